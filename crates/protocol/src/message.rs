//! A message: an item for a process.

use sha2::{Digest as _, Sha256};

use crate::deep_hash::List;
use crate::id::{Address, Id, MessageId, ProcessId};
use crate::item::Item;
use crate::tag::{self, Tag};

/// A typed view of an item that is a message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a>(pub &'a Item);

impl Message<'_> {
    /// Its id.
    pub fn id(&self) -> MessageId {
        self.0.id.into()
    }

    /// The process that is said to have sent it, where it is not the owner's own. Only the receiving process can
    /// judge whether the owner may speak for that process (its authorities).
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

    /// Whether a messenger unit sent it for a process, which makes it one with others of the same
    /// [`duplicate_key`].
    pub fn is_pushed(&self) -> bool {
        self.from_process().is_some()
    }
}

/// What pushed messages (those with `From-Process`) have in common if they are the same message.
///
/// Several messenger units may push one element of an outbox, each signing it and each naming another
/// `Pushed-For`; the process shall see it once. So the key covers target, anchor, data and the other tags in any
/// order, and not the owner, if the owner is among the receiving process's `authorities`. Anybody else is covered
/// by name: a stranger who guesses what will be pushed does not take its place.
pub fn duplicate_key(item: &Item, authorities: &[Address]) -> Id {
    let trusted = authorities.contains(&item.address());
    let owner = if trusted { &[][..] } else { &item.owner };
    let target = item.target.as_ref().map_or(&[][..], |id| &id.0);
    let mut tags: Vec<&Tag> = item.tags.iter().filter(|tag| tag.name != tag::PUSHED_FOR).collect();
    tags.sort();
    let tags = tags
        .iter()
        .fold(List::of(tags.len()), |list, tag| list.list(List::of(2).blob(&tag.name).blob(&tag.value)));
    let hash = List::of(5).blob(owner).blob(target).blob(&item.anchor).list(tags).blob(&item.data).finish();
    Id(Sha256::digest(hash).into())
}
