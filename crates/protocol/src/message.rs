//! A message: an item for a process.

use crate::id::{Address, MessageId, ProcessId};
use crate::item::Item;
use crate::tag;

/// A typed view of an item that is a message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a>(pub &'a Item);

impl Message<'_> {
    /// Its id.
    pub fn id(&self) -> MessageId {
        self.0.id.into()
    }

    /// Who is said to have sent it: `From-Process`, else the owner. Only the receiving process can judge
    /// whether the owner may speak for that process (its authorities).
    pub fn from_process(&self) -> Option<&str> {
        self.0.tags.first(tag::FROM_PROCESS)
    }

    /// The process it is for, if its target is set.
    pub fn target(&self) -> Option<ProcessId> {
        self.0.target.map(ProcessId)
    }

    /// Who signed it.
    pub fn owner(&self) -> Address {
        self.0.address()
    }
}
