//! What a scheduler unit cannot do, and what to do about it.

use protocol::{Address, Id, ProcessId};
use unit::{Code, Kind};

/// What could not be done, to what.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Somebody else signed it, or it was changed after it was signed.
    #[error(transparent)]
    Signature(#[from] protocol::ans104::Error),
    /// Over the operator's bound.
    #[error("item {id} is {size} bytes; at most {max} are accepted")]
    ItemTooLarge {
        /// Which item.
        id: Id,
        /// How large it is.
        size: usize,
        /// How large it may be.
        max: usize,
    },
    /// A tag that another variant of ao keeps for itself.
    #[error("item {id} has the tag {name:?}, whose name or value ends in +link")]
    LinkTag {
        /// Which item.
        id: Id,
        /// The tag's name.
        name: String,
    },
    /// Not an item of any data protocol.
    #[error("item {id} has no Data-Protocol tag")]
    NoDataProtocol {
        /// Which item.
        id: Id,
    },
    /// Neither a process nor a message.
    #[error("item {id} has the Type {kind:?}")]
    Type {
        /// Which item.
        id: Id,
        /// What its `Type` says; empty if it has none.
        kind: String,
    },
    /// A process that lacks what a process needs.
    #[error("process {id} cannot be started: {why}")]
    NotAProcess {
        /// Which item.
        id: Id,
        /// What it lacks.
        why: protocol::process::NotAProcess,
    },
    /// Two schedulers must not order one process.
    #[error("process {process} names the scheduler {named}, and this one is {ours}")]
    OtherScheduler {
        /// Which process.
        process: ProcessId,
        /// Its `Scheduler` tag.
        named: Address,
        /// The wallet here.
        ours: Address,
    },
    /// Its first evaluation would find nothing.
    #[error("process {process} cannot be started: its On-Boot tag says {value:?}, which is not on the weave")]
    OnBoot {
        /// Which process.
        process: ProcessId,
        /// Its `On-Boot` tag.
        value: String,
    },
    /// A message for nobody.
    #[error("message {id} has no target")]
    NoTarget {
        /// Which message.
        id: Id,
    },
    /// Never scheduled here.
    #[error("process {process} is not known to this scheduler")]
    UnknownProcess {
        /// Which process.
        process: ProcessId,
    },
    /// Not in the schedule that was asked.
    #[error("{id} has no slot in the schedule of {process}")]
    NotScheduled {
        /// A message or an assignment.
        id: Id,
        /// Whose schedule.
        process: ProcessId,
    },
    /// In no schedule.
    #[error("{id} has no slot in any schedule here")]
    NotScheduledAnywhere {
        /// A message or an assignment.
        id: Id,
    },
    /// It cannot be assigned, since nobody could evaluate it.
    #[error("cannot assign {id} to {process}: it is neither in this scheduler's log nor on the weave")]
    NothingToAssign {
        /// What was to be assigned.
        id: Id,
        /// To which process.
        process: ProcessId,
    },
    /// `base-layer` was said of a data item.
    #[error("cannot assign {id} to {process} as a base-layer transaction: it is a data item")]
    NotBaseLayer {
        /// What was to be assigned.
        id: Id,
        /// To which process.
        process: ProcessId,
    },
    /// A block that may still be replaced.
    #[error("cannot assign {id} to {process} yet: it has {confirmations} of {needed} confirmations")]
    NotSettled {
        /// What was to be assigned.
        id: Id,
        /// To which process.
        process: ProcessId,
        /// How deep it is.
        confirmations: u64,
        /// How deep it must be.
        needed: u64,
    },
    /// A field list that is no field list.
    #[error("cannot assign {id}: {why}")]
    Exclude {
        /// What was to be assigned.
        id: Id,
        /// What is wrong with `exclude`.
        why: &'static str,
    },
    /// A page of nothing never ends.
    #[error("a page of 0 entries was asked for")]
    EmptyPage,
    /// More wait than the operator lets wait.
    #[error("{waiting} requests wait for process {process} already")]
    Busy {
        /// Which process.
        process: ProcessId,
        /// How many wait.
        waiting: usize,
    },
    /// Nothing new is accepted.
    #[error("this scheduler is stopping")]
    Stopping,
    /// What is in memory may be ahead of the disk, so nothing more is assigned.
    #[error("an earlier write failed: nothing is scheduled until this node is restarted")]
    Poisoned,
    /// The disk, or what it had.
    #[error("the log of schedules failed")]
    Store(#[from] store::Error),
    /// Bytes in the log that were no entry.
    #[error("the entry of {process} at slot {slot} cannot be read: {why}")]
    Entry {
        /// Whose schedule.
        process: ProcessId,
        /// Which slot.
        slot: protocol::Slot,
        /// What is wrong.
        why: String,
    },
    /// A weave that does not answer in time.
    #[error("the weave did not answer within {ms} ms")]
    WeaveTimeout {
        /// The bound.
        ms: u64,
    },
    /// The weave says no.
    #[error(transparent)]
    Weave(unit::Error),
    /// The message has its slot, and an acknowledgement is to mean more than that.
    #[error("message {id} has slot {slot} of {process}, and the weave has not taken it yet: {why}")]
    NotTaken {
        /// Which message.
        id: Id,
        /// Whose schedule.
        process: ProcessId,
        /// Its slot.
        slot: protocol::Slot,
        /// What the weave said.
        why: String,
    },
    /// Nothing is scheduled for it until its operator says so.
    #[error("process {process} is held: {}", hold.why.says())]
    Held {
        /// Which process.
        process: ProcessId,
        /// Why, and since when.
        hold: unit::Hold,
    },
    /// This scheduler signed two histories.
    #[error("assignment {shown} of slot {slot} of {process} contradicts {with}: this scheduler signed both")]
    Contradiction {
        /// Whose schedule.
        process: ProcessId,
        /// The slot of what was shown.
        slot: protocol::Slot,
        /// What is known here.
        with: Id,
        /// What was shown.
        shown: Id,
    },
    /// The operator's word does not fit what is known.
    #[error("{} not released: {why}", process.map_or("the processes are".to_owned(), |process| format!("process {process} is")))]
    NotTheTail {
        /// Which process; none for all.
        process: Option<ProcessId>,
        /// What does not fit.
        why: String,
    },
    /// Somebody else's order.
    #[error("the order {id} is signed by {by}, and this scheduler obeys {ours}")]
    NotTheOperator {
        /// The order.
        id: Id,
        /// Who signed it.
        by: Address,
        /// Whose word counts.
        ours: Address,
    },
    /// An order that is none, or is too old.
    #[error(transparent)]
    Order(unit::Error),
    /// Signing was given up.
    #[error("the assignment could not be signed: {why}")]
    Sign {
        /// Why.
        why: String,
    },
}

impl Error {
    fn kind(&self) -> Kind {
        match self {
            Error::Signature(_)
            | Error::LinkTag { .. }
            | Error::NoDataProtocol { .. }
            | Error::Type { .. }
            | Error::NotAProcess { .. }
            | Error::OnBoot { .. }
            | Error::NoTarget { .. }
            | Error::Exclude { .. }
            | Error::EmptyPage => Kind::Invalid,
            Error::ItemTooLarge { .. } => Kind::TooLarge,
            Error::OtherScheduler { .. } | Error::NotBaseLayer { .. } | Error::NotSettled { .. } => {
                Kind::Refused
            }
            Error::UnknownProcess { .. }
            | Error::NotScheduled { .. }
            | Error::NotScheduledAnywhere { .. }
            | Error::NothingToAssign { .. } => Kind::NotFound,
            Error::Busy { .. } => Kind::Busy { retry_after: std::time::Duration::from_secs(1) },
            Error::Stopping
            | Error::Poisoned
            | Error::WeaveTimeout { .. }
            | Error::NotTaken { .. }
            | Error::Held { .. } => Kind::Unavailable,
            Error::Contradiction { .. } | Error::NotTheTail { .. } => Kind::Conflict,
            Error::NotTheOperator { .. } => Kind::Forbidden,
            Error::Store(_) | Error::Entry { .. } | Error::Sign { .. } => Kind::Internal,
            Error::Weave(error) | Error::Order(error) => error.kind,
        }
    }

    fn code(&self) -> Code {
        match self {
            Error::Signature(_) => Code::SIGNATURE,
            Error::LinkTag { .. }
            | Error::NoDataProtocol { .. }
            | Error::Type { .. }
            | Error::NoTarget { .. } => Code::NOT_AO,
            Error::NotAProcess { .. } | Error::OnBoot { .. } => Code::NOT_A_PROCESS,
            Error::OtherScheduler { .. } => Code::OTHER_SCHEDULER,
            Error::UnknownProcess { .. } => Code::UNKNOWN_PROCESS,
            Error::NotScheduled { .. } | Error::NotScheduledAnywhere { .. } => Code::NOT_SCHEDULED,
            Error::Stopping => Code::STOPPING,
            Error::Poisoned | Error::Store(_) | Error::Entry { .. } => Code::STORE,
            Error::Weave(error) | Error::Order(error) => error.code,
            Error::Held { .. } => Code::HELD,
            Error::Contradiction { .. } => Code::CONTRADICTION,
            Error::NotTheTail { .. } => Code::NOT_THE_TAIL,
            _ => Code::of(self.kind()),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Signature(_) => "sign the item again, and send exactly the bytes that were signed".into(),
            Error::ItemTooLarge { .. } => "put large data on the weave and send its id".into(),
            Error::LinkTag { .. } => "rename the tag".into(),
            Error::NoDataProtocol { .. } => "tag it Data-Protocol: ao".into(),
            Error::Type { .. } => "tag it Type: Process or Type: Message".into(),
            Error::NotAProcess { .. } => {
                "a process has a Module tag (a module's id) and a Scheduler tag (a wallet's address)".into()
            }
            Error::OtherScheduler { ours, .. } => {
                format!("spawn it with Scheduler: {ours}, or send it to the scheduler that it names")
            }
            Error::OnBoot { .. } => "upload what it boots from first, or tag it On-Boot: Data".into(),
            Error::NoTarget { .. } => "set the item's target to the id of a process".into(),
            Error::UnknownProcess { .. } => {
                "check the id, and that its Process item was sent to this scheduler".into()
            }
            Error::NotScheduled { .. } | Error::NotScheduledAnywhere { .. } => {
                "check the ids; a message has a slot only in processes that it was sent or assigned to".into()
            }
            Error::NothingToAssign { .. } => "upload it first, or check the id".into(),
            Error::NotBaseLayer { .. } => "leave out base-layer".into(),
            Error::NotSettled { .. } => {
                "try again in some blocks, or lower the process's Settlement-Depth".into()
            }
            Error::Exclude { .. } => {
                "name fields of the message: Data, Tags, Signature, Anchor, Owner".into()
            }
            Error::EmptyPage => "ask for a limit of at least 1".into(),
            Error::Busy { .. } => "send slower, or spread the messages over several processes".into(),
            Error::Stopping | Error::WeaveTimeout { .. } => "try again shortly".into(),
            Error::NotTaken { .. } => {
                "send the same item again: it keeps its slot, and is acknowledged once the weave has it"
                    .into()
            }
            Error::Poisoned => return store::Error::Poisoned.hint().map(str::to_owned),
            Error::Held { process, .. } => {
                format!(
                    "send it again later: the operator looks with `pirn recover {process}`, and says `pirn recover confirm`"
                )
            }
            Error::Contradiction { process, .. } => {
                format!(
                    "find out who else signs with this key; `pirn recover confirm {process} --new-epoch` goes on after what is known here"
                )
            }
            Error::NotTheTail { .. } => "look again: `pirn recover`".into(),
            Error::NotTheOperator { .. } => "sign it with the scheduler's own wallet: `--wallet FILE`".into(),
            Error::Weave(error) | Error::Order(error) => return error.hint.clone(),
            Error::Store(error) => return error.hint().map(str::to_owned),
            Error::Entry { .. } | Error::Sign { .. } => return None,
        })
    }
}

impl From<Error> for unit::Error {
    fn from(error: Error) -> unit::Error {
        let what = match &error {
            Error::Weave(error) | Error::Order(error) => error.what.clone(),
            error => unit::Error::internal(error).what,
        };
        unit::Error { kind: error.kind(), code: error.code(), what, hint: error.hint() }
    }
}
