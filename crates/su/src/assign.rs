//! What the next assignment of a schedule says. Decides, and does nothing.

use protocol::{Assignment, DataItem, Draft, Epoch, HashChain, Height, Id, Item, ProcessId, Slot, Timestamp};

/// The newest assignment of a schedule, as far as the next one needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) slot: Slot,
    pub(crate) assignment: Id,
    pub(crate) hash_chain: HashChain,
    pub(crate) timestamp: Timestamp,
    pub(crate) block_height: Height,
}

/// An assignment that nobody has signed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    process: ProcessId,
    slot: Slot,
    hash_chain: HashChain,
    block_height: Height,
    timestamp: Timestamp,
    message: Option<Id>,
    exclude: Vec<String>,
}

/// The assignment of `message` after `head`, or of the process itself where there is no head.
///
/// A clock that goes back does not take the schedule with it, and neither does a weave that forgets blocks: compute
/// units page by timestamp, so two equal ones at the border of a page would lose a message.
pub(crate) fn assign(
    process: ProcessId,
    head: Option<&Head>,
    message: Id,
    exclude: Vec<String>,
    now: Timestamp,
    height: Height,
) -> Plan {
    match head {
        None => Plan {
            process,
            slot: Slot(0),
            hash_chain: HashChain::start(process),
            block_height: height,
            timestamp: now,
            message: None,
            exclude,
        },
        Some(head) => Plan {
            process,
            slot: head.slot.next(),
            hash_chain: head.hash_chain.after(head.assignment),
            block_height: height.max(head.block_height),
            timestamp: now.max(Timestamp(head.timestamp.0 + 1)),
            message: Some(message),
            exclude,
        },
    }
}

impl Plan {
    /// What is signed. The anchor is the hash chain: 32 bytes that no other assignment has, without asking anyone
    /// for randomness.
    pub(crate) fn draft(&self) -> Draft {
        let tags = Assignment::tags(
            self.process,
            Epoch(0),
            self.slot,
            self.hash_chain,
            self.block_height,
            self.timestamp,
            self.message,
            &self.exclude,
        );
        Draft { anchor: Some(self.hash_chain.0), tags, ..Draft::default() }
    }

    /// The schedule's head once this is signed as `signed`.
    pub(crate) fn head(&self, signed: &DataItem) -> Head {
        Head {
            slot: self.slot,
            assignment: signed.id,
            hash_chain: self.hash_chain,
            timestamp: self.timestamp,
            block_height: self.block_height,
        }
    }

    /// The assignment that `signed` is, without reading it again.
    pub(crate) fn signed(self, signed: Item) -> Assignment {
        Assignment {
            item: signed,
            process: self.process,
            epoch: Epoch(0),
            slot: self.slot,
            hash_chain: self.hash_chain,
            block_height: self.block_height,
            timestamp: self.timestamp,
            message: self.message,
            exclude: self.exclude,
        }
    }
}

impl From<&Assignment> for Head {
    fn from(assignment: &Assignment) -> Head {
        Head {
            slot: assignment.slot,
            assignment: assignment.id(),
            hash_chain: assignment.hash_chain,
            timestamp: assignment.timestamp,
            block_height: assignment.block_height,
        }
    }
}
