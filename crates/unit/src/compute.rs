//! The contract of a compute unit.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{
    Address, Attestation, Digest, Height, Id, Json, Leaf, Outcome, ProcessId, Slot, Tags, Timestamp,
};

use crate::{Code, Error, Page, Result, Sort};

/// Says what came of a message.
#[async_trait]
pub trait Compute: Send + Sync {
    /// The outcome of a message of a process, by message id or assignment id (the process's own id: its boot).
    /// Evaluates up to it and waits for that.
    async fn result(&self, process: ProcessId, message: Id) -> Result<Arc<Outcome>>;

    /// Outcomes that are there already, cron included, errors included. Evaluates nothing.
    async fn results(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>>;

    /// Outcomes of cron messages, evaluated up to now. Always ascending.
    async fn cron(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>>;

    /// What a message would do after the message `at` (or now). Touches no state.
    async fn dry_run(&self, process: ProcessId, message: DryRun, at: Option<Id>) -> Result<Outcome>;

    /// The memory of a process as of the newest evaluation not after `to` (or now).
    async fn state(&self, process: ProcessId, to: Option<Timestamp>) -> Result<StateAt>;

    /// The wallet of this unit.
    async fn address(&self) -> Result<Address>;

    /// This unit's signed word of what came of an evaluation, with the root of the state after it, if it is asked for.
    /// Evaluates a message and waits for that. Units of the legacy network do not attest.
    async fn attest(&self, process: ProcessId, of: Evaluation, with_state: bool) -> Result<Attestation>;

    /// Publishes the memory of a process after its newest message on the weave, signed, unless it has before. Evaluates
    /// and waits for that. Units of the legacy network do so only when they want to.
    async fn publish_checkpoint(&self, process: ProcessId) -> Result<PublishedCheckpoint> {
        let what = format!("this compute unit publishes no checkpoint of {process} on demand");
        Err(Error::unavailable(what).with_code(Code::CHECKPOINT))
    }

    /// The history that its attestations are of, and at most `limit` of its leaves, from an index on. Evaluates nothing.
    async fn history(&self, process: ProcessId, from: u64, limit: usize) -> Result<History>;

    /// What proves that the history of `to` leaves continues that of `from` leaves: see
    /// [`is_consistent`](protocol::history::is_consistent).
    async fn consistency(&self, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>>;
}

/// What a unit answers that evaluates and signs nothing.
pub fn no_attestations() -> Error {
    Error::unavailable("this compute unit does not attest").with_code(Code::NO_ATTESTATIONS)
}

/// Which evaluation of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluation {
    /// Of a message, by message id or assignment id.
    Message(Id),
    /// The one that has that place in the history.
    Leaf(u64),
}

/// A part of the history of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// All leaves.
    pub size: u64,
    /// The Merkle root of all.
    pub root: Digest,
    /// Those that were asked for.
    pub leaves: Vec<Leaf>,
}

/// Where an outcome stands among all of its process: by timestamp, then ordinate (a number), then cron (none first).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Of the message, or when the cron was due.
    pub timestamp: Timestamp,
    /// The slot; for cron, the slot of the message before it. `None` for a cursor that is a bare timestamp.
    pub ordinate: Option<u64>,
    /// Which cron, for example `0-10-minutes`.
    pub cron: Option<String>,
    /// The order it was taken in, if it says. It beats the order that a query asks for.
    pub sort: Option<Sort>,
}

/// Which outcomes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutcomeQuery {
    /// Exclusive lower bound, whatever the order.
    pub from: Option<Cursor>,
    /// Inclusive upper bound.
    pub to: Option<Cursor>,
    /// The order, unless a cursor says another.
    pub sort: Sort,
    /// At most that many.
    pub limit: usize,
}

/// An outcome and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluated {
    /// Where it stands.
    pub cursor: Cursor,
    /// What evaluated: the message's id; none for cron.
    pub message: Option<Id>,
    /// What came of it.
    pub outcome: Arc<Outcome>,
}

/// A message that nobody signed, to see what would come of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the wire's: protocol/04-cu.md section 4.10")]
pub struct DryRun {
    pub id: Option<String>,
    pub signature: Option<String>,
    pub data: Option<Json>,
    pub owner: String,
    /// Default: the process.
    pub target: Option<String>,
    pub anchor: Option<Option<String>>,
    pub forwarded_by: Option<String>,
    pub tags: Tags,
    /// Default: that of the last evaluation.
    pub timestamp: Option<u64>,
    /// Default: that of the last evaluation.
    pub block_height: Option<u64>,
}

/// A memory of a process that is on the weave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedCheckpoint {
    /// The item that has it.
    pub id: Id,
    /// The last message that was evaluated.
    pub slot: Slot,
    /// Of the last evaluation.
    pub timestamp: Timestamp,
    /// Of the last evaluation.
    pub block_height: Height,
    /// The cron that ticked last, if one did after that message.
    pub cron: Option<String>,
    /// Bytes of the memory before it was compressed.
    pub size_bytes: u64,
    /// Of the memory before it was compressed.
    pub sha256: [u8; 32],
    /// Whether it was published just now.
    pub is_new: bool,
}

/// A memory and what it is the memory of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateAt {
    /// The whole linear memory.
    pub memory: Bytes,
    /// Of the last evaluation.
    pub timestamp: Timestamp,
    /// Of the last evaluation.
    pub ordinate: u64,
    /// Of the last evaluation.
    pub block_height: Height,
}
