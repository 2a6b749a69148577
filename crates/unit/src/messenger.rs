//! The contract of a messenger unit.

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, DataItem, Id, ProcessId, Timestamp};

use crate::{AssignRequest, Cursor, Novelty, Page, Result};

/// Takes messages in and carries their consequences out.
#[async_trait]
pub trait Messenger: Send + Sync {
    /// Accepts a signed item and has it scheduled. When this returns, the item has its slot and what follows from it
    /// will be pushed, whatever crashes. An item that was sent before is accepted again and pushed once.
    async fn send(&self, item: DataItem) -> Result<Receipt>;

    /// Has something assigned that exists already, and pushes what follows.
    async fn assign(&self, request: AssignRequest) -> Result<Receipt>;

    /// Starts running the cron of the process that the item targets. Only the process's owner may.
    async fn monitor(&self, request: DataItem) -> Result<()>;

    /// Stops it. Only the process's owner may.
    async fn unmonitor(&self, request: DataItem) -> Result<()>;

    /// The processes whose cron it runs, in the order of their ids.
    async fn monitored(&self, query: MonitoredQuery) -> Result<Page<Monitored>>;

    /// Pushes the outcome of a message, or only element `index` of its messages. Anyone may; twice has no effect.
    async fn push(&self, process: ProcessId, message: Id, index: Option<usize>) -> Result<()>;

    /// What happened to messages and what followed from them, newest first.
    async fn traces(&self, query: TraceQuery) -> Result<Page<Trace>>;

    /// What this unit has promised and not carried out yet, oldest first; or what it gave up.
    async fn outbox(&self, query: OutboxQuery) -> Result<Page<OutboxEntry>>;

    /// Takes up again what was given up, behind all that is promised already. What it sends are the bytes that were
    /// signed, so that nothing happens twice.
    async fn retry(&self, number: u64) -> Result<()>;

    /// The wallet that signs pushed messages: what processes name as `Authority`.
    async fn address(&self) -> Result<Address>;
}

/// Word that something is taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The item's id; for an assignment, the id of the Assignment item.
    pub id: Id,
    /// Whether it was taken in now, or its slot is one that it had before.
    pub novelty: Novelty,
}

/// Which of the monitored processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MonitoredQuery {
    /// Those with a larger id than this.
    pub after: Option<ProcessId>,
    /// At most that many.
    pub limit: usize,
}

/// A process whose cron is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitored {
    /// Which.
    pub process: ProcessId,
    /// When a look at its cron ended last, or when it was first monitored, or monitored again after a restart.
    pub looked_at: Timestamp,
    /// The outcome up to which everything is pushed. None: nothing yet.
    pub pushed: Option<Cursor>,
    /// Why the last look failed, if it did. It is tried again at the next one.
    pub error: Option<String>,
    /// The process that spawned it, if that is why it is monitored.
    pub spawner: Option<ProcessId>,
    /// What came of its ticks.
    pub tally: CronTally,
}

/// What came of the ticks of a process since it is monitored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CronTally {
    /// Ticks whose outcomes were seen.
    pub ticks: u64,
    /// Those of them whose outcome is an error: nothing of it is sent.
    pub failed: u64,
    /// The newest of these.
    pub failure: Option<TickFailure>,
    /// Ticks that were pushed late, because nobody had looked.
    pub caught_up: u64,
    /// Ticks that were evaluated and not pushed, because that was too long ago.
    pub left_out: u64,
    /// The newest time that nobody had looked for.
    pub catch_up: Option<CatchUp>,
}

/// A tick whose outcome is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickFailure {
    /// When it was due.
    pub timestamp: Timestamp,
    /// Of which cron: `0-10-minutes`.
    pub cron: String,
    /// The beginning of what the process says.
    pub error: String,
}

/// What was due while nobody looked, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatchUp {
    /// When somebody looked again.
    pub at: Timestamp,
    /// When the first of these ticks was due.
    pub from: Timestamp,
    /// When the last of them was due, as far as it is.
    pub to: Timestamp,
    /// How many of them were pushed.
    pub pushed: u64,
    /// How many were not: they were older than is caught up.
    pub left_out: u64,
}

/// Which part of an outbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboxQuery {
    /// The dead letters, instead of what is still to be carried out.
    pub dead: bool,
    /// Those with a larger number than this.
    pub after: u64,
    /// At most that many.
    pub limit: usize,
}

/// Something that is still to be carried out, or that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Orders them; what to continue a list from.
    pub number: u64,
    /// What it is; its `error` says how it failed last, if it did.
    pub trace: Trace,
    /// How often it failed.
    pub failures: u32,
    /// Set for a dead letter.
    pub dead: Option<DeadLetter>,
}

/// What is kept of something that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// When it was given up.
    pub at: Timestamp,
    /// Whether it can be tried again. An element of an outbox that could never be signed cannot.
    pub can_retry: bool,
    /// The beginning of the item's bytes, or of an element that could not become an item; at most 1 KiB.
    pub body: Option<Bytes>,
}

/// Which traces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceQuery {
    /// Of this process.
    pub process: Option<ProcessId>,
    /// Of this kind. Default messages; of a whole tree (`root`) every kind.
    pub kind: Option<TraceKind>,
    /// Whose id contains this; with what led to them and what followed.
    pub id: Option<String>,
    /// Of the tree of messages that has this root.
    pub root: Option<Id>,
    /// Whose wallet contains this.
    pub wallet: Option<String>,
    /// Skips that many.
    pub skip: usize,
    /// At most that many.
    pub limit: usize,
}

/// One step in a tree of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// What was sent, spawned or assigned.
    pub message: Id,
    /// To which process.
    pub process: Option<ProcessId>,
    /// Who signed the first message of the tree.
    pub wallet: Option<Address>,
    /// The message whose outcome sent this one.
    pub parent: Option<Id>,
    /// The first message of the tree.
    pub root: Id,
    /// When.
    pub timestamp: Timestamp,
    /// What it is.
    pub kind: TraceKind,
    /// How it stands to what was asked for.
    pub relation: TraceRelation,
    /// What went wrong with it, if anything.
    pub error: Option<String>,
}

/// What a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceKind {
    /// A message.
    Message,
    /// A process.
    Spawn,
    /// An assignment.
    Assign,
}

/// How a step stands to what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceRelation {
    /// It is what was asked for.
    Root,
    /// It led to it.
    Ancestor,
    /// It followed from it.
    Descendant,
}
