//! A checkpoint: a process's memory after some evaluation, published by a compute unit.

use std::str::FromStr;

use crate::hex::{from_hex, to_hex};
use crate::id::{Id, ModuleId, ProcessId};
use crate::item::Item;
use crate::schedule::{Epoch, HashChain, Height, Slot, Timestamp};
use crate::tag::{self, Tags};

/// What the tags of a Checkpoint item say. Its data is the gzipped memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose memory.
    pub process: ProcessId,
    /// What it runs.
    pub module: ModuleId,
    /// The last message that was evaluated.
    pub slot: Slot,
    /// When that message was scheduled.
    pub timestamp: Timestamp,
    /// How high the weave was then.
    pub block_height: Height,
    /// SHA-256 of the memory, not of its compressed form.
    pub sha256: [u8; 32],
    /// What the operator of the compute unit calls it.
    pub unit: String,
    /// The slot as text; for a cron's message, that of the scheduled message before it.
    pub ordinate: String,
    /// The last assignment that was evaluated, if known.
    pub assignment: Option<Id>,
    /// The hash chain of that assignment, if known.
    pub hash_chain: Option<HashChain>,
    /// The epoch of that assignment, if known.
    pub epoch: Option<Epoch>,
    /// Which cron it was, if the last evaluation was a cron's: `0-10-minutes`.
    pub cron: Option<String>,
}

/// Why an item is no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id} is no checkpoint: its {name} tag is missing or malformed")]
pub struct NotACheckpoint {
    /// The item.
    pub id: Id,
    /// The tag that is wrong.
    pub name: &'static str,
}

impl Checkpoint {
    /// Its tags in the order that compute units write them.
    pub fn tags(&self) -> Tags {
        let mut tags = Tags::default();
        tags.push(tag::DATA_PROTOCOL, tag::AO);
        tags.push(tag::VARIANT, tag::AO_TN_1);
        tags.push(tag::TYPE, "Checkpoint");
        tags.push(tag::MODULE, self.module);
        tags.push(tag::PROCESS, self.process);
        tags.push(tag::NONCE, self.slot);
        tags.push(tag::TIMESTAMP, self.timestamp);
        tags.push(tag::BLOCK_HEIGHT, self.block_height);
        tags.push(tag::CONTENT_TYPE, "application/octet-stream");
        tags.push(tag::SHA_256, to_hex(&self.sha256));
        tags.push(tag::CONTENT_ENCODING, "gzip");
        tags.push(tag::UNIT_IDENTIFIER, &self.unit);
        tags.push(tag::ORDINATE, &self.ordinate);
        if let Some(assignment) = self.assignment {
            tags.push(tag::ASSIGNMENT, assignment);
        }
        if let Some(hash_chain) = self.hash_chain {
            tags.push(tag::HASH_CHAIN, hash_chain);
        }
        if let Some(epoch) = self.epoch {
            tags.push(tag::EPOCH, epoch);
        }
        if let Some(cron) = &self.cron {
            tags.push(tag::CRON_INTERVAL, cron);
        }
        tags
    }
}

impl TryFrom<&Item> for Checkpoint {
    type Error = NotACheckpoint;

    fn try_from(item: &Item) -> Result<Checkpoint, NotACheckpoint> {
        let wrong = |name| NotACheckpoint { id: item.id, name };
        fn read<T: FromStr>(item: &Item, name: &'static str) -> Result<Option<T>, NotACheckpoint> {
            let value = item.tags.first(name);
            value.map(|value| value.parse().map_err(|_| NotACheckpoint { id: item.id, name })).transpose()
        }
        fn need<T: FromStr>(item: &Item, name: &'static str) -> Result<T, NotACheckpoint> {
            read(item, name)?.ok_or(NotACheckpoint { id: item.id, name })
        }
        if item.kind() != Some("Checkpoint") {
            return Err(wrong(tag::TYPE));
        }
        // Anything else would be taken for memory.
        if item.tags.first(tag::CONTENT_ENCODING).is_some_and(|encoding| encoding != "gzip") {
            return Err(wrong(tag::CONTENT_ENCODING));
        }
        let slot = Slot(need(item, tag::NONCE)?);
        let sha256 = item.tags.first(tag::SHA_256).and_then(from_hex).ok_or(wrong(tag::SHA_256))?;
        Ok(Checkpoint {
            process: need(item, tag::PROCESS)?,
            module: need(item, tag::MODULE)?,
            slot,
            timestamp: Timestamp(need(item, tag::TIMESTAMP)?),
            block_height: Height(need(item, tag::BLOCK_HEIGHT)?),
            sha256,
            unit: item.tags.first(tag::UNIT_IDENTIFIER).unwrap_or_default().to_owned(),
            ordinate: item.tags.first(tag::ORDINATE).map_or_else(|| slot.to_string(), str::to_owned),
            assignment: read(item, tag::ASSIGNMENT)?,
            hash_chain: read::<Id>(item, tag::HASH_CHAIN)?.map(|id| HashChain(id.0)),
            epoch: read(item, tag::EPOCH)?.map(Epoch),
            cron: item.tags.first(tag::CRON_INTERVAL).map(str::to_owned),
        })
    }
}
