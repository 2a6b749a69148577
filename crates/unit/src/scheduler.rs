//! The contract of a scheduler unit.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::{Address, Assignment, DataItem, Height, Id, Item, ProcessId, Slot, Timestamp};

use crate::{Adopted, Error, Page, RecoveryState, Result, Tip};

/// Gives every message of a process its slot.
///
/// No assignment is seen outside before its signed bytes are durable. The same item always gets the same slot,
/// whoever sends it again. Timestamps are strictly increasing within a schedule. The process itself has slot 0.
#[async_trait]
pub trait Scheduler: Send + Sync {
    /// Assigns the next slot to a Process or Message item; for an item that has one already, answers with that. A
    /// pushed message that another messenger pushed before has that one's slot: `message_id` of the answer then is
    /// the other's id, and only that one is found in the schedule.
    async fn schedule(&self, item: DataItem) -> Result<Placed>;

    /// Assigns a message or transaction that is on the weave (or in this scheduler's log) to a process.
    async fn assign(&self, request: AssignRequest) -> Result<Placed>;

    /// What a message id or an assignment id has in that process's schedule, and no other's. The process's own id
    /// finds slot 0. Without a process: the oldest assignment of the message.
    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled>;

    /// A part of a schedule, ascending. A scheduler may give fewer than `limit`, never none where there is one, and
    /// `has_next` is exact. A limit of 0 is invalid.
    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>>;

    /// The newest entry of a schedule; slot 0 if there is no message yet.
    async fn latest(&self, process: ProcessId) -> Result<Scheduled>;

    /// The time, and then the newest entry of a schedule: nothing that is not known came before that time. The scheduler's
    /// own word, also where somebody else remembers its schedules.
    async fn latest_after_now(&self, process: ProcessId) -> Result<(Tip, Scheduled)> {
        // The time first: a message that gets its slot in between is later than that.
        let now = self.now().await?;
        Ok((now, self.latest(process).await?))
    }

    /// The process's item and where its schedule began.
    async fn process(&self, process: ProcessId) -> Result<ProcessRecord>;

    /// The timers of processes that have some, in the order of the processes' ids.
    async fn timers(&self, _query: TimersQuery) -> Result<Page<ProcessTimers>> {
        Err(Error::not_found("this scheduler tells of no timers")
            .with_hint("ask a scheduler of a newer version, or one that gives ticks"))
    }

    /// How that process stands with its scheduler, if that one recovers logs: [`Recovery`](crate::Recovery) says the
    /// same of a scheduler that is known.
    async fn standing_of(&self, process: ProcessId) -> Result<RecoveryState> {
        Err(recovers_nothing(process))
    }

    /// Shows the scheduler of that process assignments that it signed, and their messages.
    async fn show(&self, process: ProcessId, _shown: Vec<DataItem>) -> Result<Adopted> {
        Err(recovers_nothing(process))
    }

    /// The scheduler's time and the weave's height as it knows it.
    async fn now(&self) -> Result<Tip>;

    /// The wallet that signs the assignments.
    async fn address(&self) -> Result<Address>;
}

fn recovers_nothing(process: ProcessId) -> Error {
    Error::not_found(format!("the scheduler of {process} does not tell how its recovery stands"))
}

/// An entry of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// What has the slot, where it was delivered with the request (slot 0: the Process item). `None` for an
    /// assignment of something that is on the weave: whoever evaluates it fetches it there.
    pub message: Option<Arc<Item>>,
    /// The signed assignment.
    pub assignment: Arc<Assignment>,
}

impl Scheduled {
    /// The id of what has the slot: the message, the assigned transaction, or at slot 0 the process.
    pub fn message_id(&self) -> Id {
        match (&self.message, self.assignment.message) {
            (_, Some(id)) => id,
            (Some(message), None) => message.id,
            (None, None) => self.assignment.process.into(),
        }
    }
}

/// What came of a wish for a slot: the entry, and whether it was there before. Reads like its entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The entry.
    pub entry: Scheduled,
    /// Whether this wish made it.
    pub novelty: Novelty,
}

impl std::ops::Deref for Placed {
    type Target = Scheduled;

    fn deref(&self) -> &Scheduled {
        &self.entry
    }
}

/// Whether a write did something or found it done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// It was done now.
    First,
    /// The same was asked for before, and this is the answer of then.
    Repeat,
}

/// A wish to have something assigned that exists already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignRequest {
    /// To which process.
    pub process: ProcessId,
    /// What: a message, a data item, a transaction.
    pub message: Id,
    /// It is a base-layer transaction and needs as many confirmations as the process's `Settlement-Depth` says.
    pub base_layer: bool,
    /// Fields that the evaluation shall not see: `Data`, `Tags`, `Signature`, `Anchor`, `Owner`.
    pub exclude: Vec<String>,
}

/// Which part of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotRange {
    /// By timestamp: after `after`, up to and including `to`.
    Time {
        /// Exclusive; `None` starts at slot 0.
        after: Option<Timestamp>,
        /// Inclusive.
        to: Option<Timestamp>,
    },
    /// By slot: after `after`, up to and including `to`.
    Slots {
        /// Exclusive; `None` starts at slot 0.
        after: Option<Slot>,
        /// Inclusive.
        to: Option<Slot>,
    },
}

/// A process as its scheduler knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessRecord {
    /// The Process item.
    pub item: Arc<Item>,
    /// Timestamp of slot 0.
    pub timestamp: Timestamp,
    /// Height of the weave at slot 0.
    pub block_height: Height,
}

/// Which timers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimersQuery {
    /// Of this process only.
    pub process: Option<ProcessId>,
    /// Of processes with a larger id than this.
    pub after: Option<ProcessId>,
    /// Of so many processes at most.
    pub limit: usize,
}

/// The timers of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessTimers {
    /// Whose.
    pub process: ProcessId,
    /// In the order in which they were set.
    pub timers: Vec<TimerState>,
    /// The newest wish that changed nothing: where it is in the schedule, and what is wrong with it.
    pub refused: Option<(Slot, String)>,
}

/// How a timer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerState {
    /// Unique in its process.
    pub name: String,
    /// As its author wrote it: `5-minutes`, or cron syntax.
    pub schedule: String,
    /// What becomes of missed moments: `skip`, `once`, `all-3`.
    pub missed: String,
    /// Its next moment, ms since 1970; none if it is over.
    pub next: Option<Timestamp>,
    /// The moment of its newest tick.
    pub last: Option<Timestamp>,
    /// Ticks that it was given since it was set.
    pub given: u64,
    /// How many more it may be given, if that is bounded.
    pub budget_left: Option<u64>,
    /// For how long something has been due that has no slot yet, ms.
    pub late_ms: u64,
}
