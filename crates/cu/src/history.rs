//! The history of each process: a leaf for every evaluation, in an append-only Merkle tree
//! ([`protocol::attestation`], [`protocol::history`]).
//!
//! Crons after the newest slot are not in it yet: the schedule may still say that they never were. They are as soon as
//! the next slot is, second by second, those of one second in the order of their names.

use std::ops::Bound;

use bytes::Bytes;
use protocol::attestation::Leaf;
use protocol::history::{self, Frontier, Subtree};
use protocol::{Digest, ProcessId, Slot};
use store::{Batch, Order, Space};
use unit::{Error, Result};

use crate::journal::Journal;

/// Process, index: the bytes of a leaf.
const LEAVES: Space = Space("cu.leaf");
/// Process, level, index: the root of a complete subtree of more than one leaf.
const SUBTREES: Space = Space("cu.subtree");

/// The histories of all processes.
#[derive(Clone)]
pub(crate) struct Histories {
    journal: Journal,
}

/// Where a history ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct End {
    pub(crate) frontier: Frontier,
    /// Of the last leaf.
    pub(crate) slot: Option<Slot>,
}

impl End {
    /// Puts a leaf behind the others. It is there when `batch` is.
    pub(crate) fn append(&mut self, batch: &mut Batch, leaf: &Leaf) {
        let process = leaf.process;
        let bytes = leaf.encode();
        let digest = history::leaf(&bytes);
        batch.put(LEAVES, key(process, self.frontier.size()), bytes);
        for (subtree, root) in self.frontier.append(digest) {
            batch.put(SUBTREES, key_of(process, subtree), root.0.to_vec());
        }
        self.slot = Some(leaf.slot);
    }
}

impl Histories {
    pub(crate) fn new(journal: Journal) -> Histories {
        Histories { journal }
    }

    /// Where the history of a process ends.
    pub(crate) fn end(&self, process: ProcessId) -> Result<End> {
        let (first, last) = (key(process, 0), key(process, u64::MAX));
        let range = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
        let newest = self.journal.scan(LEAVES, range, Order::Descending, 1)?;
        let Some((key, value)) = newest.first() else { return Ok(End::default()) };
        let index = key.last_chunk().map(|index| u64::from_be_bytes(*index)).ok_or_else(damaged)?;
        let leaf = Leaf::decode(value).ok_or_else(damaged)?;
        let frontier = Frontier::of(index + 1, |subtree| self.subtree(process, subtree))?;
        Ok(End { frontier, slot: Some(leaf.slot) })
    }

    /// The leaf at `index`, which is one of the process's.
    pub(crate) fn leaf(&self, process: ProcessId, index: u64) -> Result<Leaf> {
        let value = self.journal.get(LEAVES, &key(process, index))?.ok_or_else(damaged)?;
        Leaf::decode(&value).ok_or_else(damaged)
    }

    /// Leaves from an index on.
    pub(crate) fn page(&self, process: ProcessId, from: u64, limit: usize) -> Result<Vec<Leaf>> {
        let (first, last) = (key(process, from), key(process, u64::MAX));
        let range = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
        let found = self.journal.scan(LEAVES, range, Order::Ascending, limit)?;
        found.iter().map(|(_, value)| Leaf::decode(value).ok_or_else(damaged)).collect()
    }

    /// The place of the leaf of a slot, among the first `size`: leaves are in the order of slots, that of the slot
    /// itself before those of crons after it.
    pub(crate) fn index_of(&self, process: ProcessId, slot: Slot, size: u64) -> Result<Option<u64>> {
        let (mut low, mut high) = (0, size);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.leaf(process, middle)?.slot < slot {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let is_there = low < size && self.leaf(process, low)?.slot == slot;
        Ok(is_there.then_some(low))
    }

    /// What proves that a leaf is among the first `size`.
    pub(crate) fn inclusion(&self, process: ProcessId, index: u64, size: u64) -> Result<Vec<Digest>> {
        history::inclusion(index, size, |subtree| self.subtree(process, subtree))
    }

    /// What proves that the first `to` leaves begin with the first `from`.
    pub(crate) fn consistency(&self, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>> {
        history::consistency(from, to, |subtree| self.subtree(process, subtree))
    }

    /// The root of a complete subtree.
    fn subtree(&self, process: ProcessId, subtree: Subtree) -> Result<Digest> {
        if subtree.level == 0 {
            return Ok(self.leaf(process, subtree.index)?.digest());
        }
        let value = self.journal.get(SUBTREES, &key_of(process, subtree))?;
        let root = value.as_deref().and_then(|value| value.try_into().ok());
        root.map(Digest).ok_or_else(damaged)
    }
}

fn key(process: ProcessId, index: u64) -> Vec<u8> {
    [process.0.as_bytes(), &index.to_be_bytes()[..]].concat()
}

fn key_of(process: ProcessId, subtree: Subtree) -> Bytes {
    let Subtree { level, index } = subtree;
    Bytes::from([process.0.as_bytes(), &level.to_be_bytes()[..], &index.to_be_bytes()].concat())
}

fn damaged() -> Error {
    let what = "the history of a process is not stored as this version stores it";
    Error::new(unit::Kind::Internal, what).with_code(unit::Code::STORE)
}
