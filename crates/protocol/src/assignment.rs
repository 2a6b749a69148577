//! An assignment: a scheduler unit's signed word that a message has a slot.

use crate::id::{Id, ProcessId};
use crate::item::Item;
use crate::schedule::{Epoch, HashChain, Height, Slot, Timestamp};
use crate::tag::{self, Tags};

/// An Assignment item, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The item: id, owner (the scheduler), signature, tags.
    pub item: Item,
    /// Whose schedule.
    pub process: ProcessId,
    /// Always 0.
    pub epoch: Epoch,
    /// Which place.
    pub slot: Slot,
    /// Covers everything before this slot.
    pub hash_chain: HashChain,
    /// The weave's height then.
    pub block_height: Height,
    /// When, in ms; strictly increasing within a schedule.
    pub timestamp: Timestamp,
    /// What has the slot. Absent where the process itself has it (slot 0).
    pub message: Option<Id>,
    /// Fields of the message that are left out, for client-requested assignments.
    pub exclude: Vec<String>,
}

/// Why an item is no assignment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id} is no assignment: its {name} tag is missing or malformed")]
pub struct NotAnAssignment {
    /// The item.
    pub id: Id,
    /// The tag that is wrong.
    pub name: &'static str,
}

impl Assignment {
    /// The id of the assignment item itself, not of what it assigns.
    pub fn id(&self) -> Id {
        self.item.id
    }

    /// Its tags in the order that scheduler units write them. `protocol/01-data-protocol.md` section 1.3.
    #[expect(clippy::too_many_arguments, reason = "the fields of the wire, once, in their order")]
    pub fn tags(
        process: ProcessId,
        epoch: Epoch,
        slot: Slot,
        hash_chain: HashChain,
        block_height: Height,
        timestamp: Timestamp,
        message: Option<Id>,
        exclude: &[String],
    ) -> Tags {
        let mut tags = Tags::default();
        tags.push(tag::PROCESS, process);
        tags.push(tag::EPOCH, epoch);
        tags.push(tag::NONCE, slot);
        tags.push(tag::HASH_CHAIN, hash_chain);
        tags.push(tag::BLOCK_HEIGHT, block_height.padded());
        tags.push(tag::TIMESTAMP, timestamp);
        tags.push(tag::DATA_PROTOCOL, tag::AO);
        tags.push(tag::TYPE, "Assignment");
        tags.push(tag::VARIANT, tag::AO_TN_1);
        if let Some(message) = message {
            tags.push(tag::MESSAGE, message);
        }
        for field in exclude {
            tags.push(tag::EXCLUDE, field);
        }
        tags
    }
}

impl TryFrom<Item> for Assignment {
    type Error = NotAnAssignment;

    fn try_from(item: Item) -> Result<Assignment, NotAnAssignment> {
        fn read<T: std::str::FromStr>(item: &Item, name: &'static str) -> Result<T, NotAnAssignment> {
            let value = item.tags.first(name).and_then(|value| value.parse().ok());
            value.ok_or(NotAnAssignment { id: item.id, name })
        }
        let message = match item.tags.first(tag::MESSAGE) {
            Some(_) => Some(read::<Id>(&item, tag::MESSAGE)?),
            None => None,
        };
        Ok(Assignment {
            process: read(&item, tag::PROCESS)?,
            epoch: Epoch(read(&item, tag::EPOCH)?),
            slot: Slot(read(&item, tag::NONCE)?),
            hash_chain: HashChain(read::<Id>(&item, tag::HASH_CHAIN)?.0),
            block_height: Height(read(&item, tag::BLOCK_HEIGHT)?),
            timestamp: Timestamp(read(&item, tag::TIMESTAMP)?),
            message,
            exclude: item.tags.all(tag::EXCLUDE).map(str::to_owned).collect(),
            item,
        })
    }
}
