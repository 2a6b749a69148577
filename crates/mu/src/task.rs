//! A task: one thing that this unit has promised to carry out, and how it lies on the disk.

use bytes::Bytes;
use protocol::{Address, DataItem, Id, ProcessId, Timestamp};
use store::Space;
use unit::{AssignRequest, TraceKind};

use crate::codec::{Reader, Writer};

/// Number of a task → the task, without its item's bytes.
pub(crate) const TASK: Space = Space("mu.task");
/// Number of a task → the bytes of the item it sends, as they were signed.
pub(crate) const ITEM: Space = Space("mu.item");
/// Number of a task → how often it failed, and how the last time.
pub(crate) const RETRY: Space = Space("mu.retry");

/// One thing to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    /// In the order in which tasks were promised. Nothing else has the same.
    pub(crate) number: u64,
    /// What to do.
    pub(crate) work: Work,
    /// What it follows from.
    pub(crate) chain: Chain,
    /// The task that must be delivered before.
    pub(crate) after: Option<u64>,
    /// How often it failed so far.
    pub(crate) failures: u32,
    /// How often of these because another unit did not know something.
    pub(crate) not_found: u32,
    /// The item to send, if it is in memory.
    pub(crate) item: Option<DataItem>,
}

/// What a task does first. What follows is the same for all: the outcome is pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    /// Sends an item that this unit signed.
    Send {
        /// The item.
        message: Id,
        /// The process or wallet it is for; none for a process.
        target: Option<Id>,
    },
    /// Has something assigned.
    Assign(AssignRequest),
    /// Nothing: the message has its slot, or is getting it from whoever promised this.
    Push {
        /// Whose outcome.
        process: ProcessId,
        /// The message or assignment it is the outcome of.
        message: Id,
        /// Only this element of the outcome's messages.
        only: Option<u64>,
    },
}

/// What a task follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The first message of the tree.
    pub(crate) root: Id,
    /// What `Pushed-For` says down the chain: the root, unless cron began it.
    pub(crate) pushed_for: Option<Id>,
    /// The message whose outcome this was in.
    pub(crate) parent: Option<Id>,
    /// The process whose outcome this was in.
    pub(crate) sender: Option<ProcessId>,
    /// Who signed the root.
    pub(crate) wallet: Option<Address>,
    /// How many outcomes lie between the root and this.
    pub(crate) depth: u64,
    /// When it was promised.
    pub(crate) since: Timestamp,
}

impl Work {
    /// What is sent, spawned, assigned or pushed.
    pub(crate) fn message(&self) -> Id {
        match self {
            Work::Send { message, .. } | Work::Push { message, .. } => *message,
            Work::Assign(request) => request.message,
        }
    }

    /// The process that sees it, if it is not for a wallet.
    pub(crate) fn process(&self) -> ProcessId {
        match self {
            Work::Send { message, target } => target.unwrap_or(*message).into(),
            Work::Assign(request) => request.process,
            Work::Push { process, .. } => *process,
        }
    }

    pub(crate) fn kind(&self) -> TraceKind {
        match self {
            Work::Assign(_) => TraceKind::Assign,
            Work::Send { target: None, .. } => TraceKind::Spawn,
            Work::Push { process, message, .. } if Id::from(*process) == *message => TraceKind::Spawn,
            Work::Send { .. } | Work::Push { .. } => TraceKind::Message,
        }
    }
}

impl Task {
    /// The key of a task in every space.
    pub(crate) fn key(number: u64) -> Bytes {
        Bytes::copy_from_slice(&number.to_be_bytes())
    }

    /// The number in a key.
    pub(crate) fn number_in(key: &[u8]) -> Option<u64> {
        key.try_into().ok().map(u64::from_be_bytes)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match &self.work {
            Work::Send { message, target } => out.byte(0).id(*message).maybe_id(*target),
            Work::Assign(AssignRequest { process, message, base_layer, exclude }) => {
                out.byte(1)
                    .id(*process)
                    .id(*message)
                    .byte(u8::from(*base_layer))
                    .number(exclude.len() as u64);
                for field in exclude {
                    out.text(field);
                }
                &mut out
            }
            Work::Push { process, message, only } => {
                out.byte(2).id(*process).id(*message).maybe_number(*only)
            }
        };
        let Chain { root, pushed_for, parent, sender, wallet, depth, since } = &self.chain;
        out.id(*root).maybe_id(*pushed_for).maybe_id(*parent).maybe_id(*sender).maybe_id(*wallet);
        out.number(*depth).number(since.0).maybe_number(self.after).done()
    }

    pub(crate) fn decode(number: u64, bytes: &[u8]) -> Option<Task> {
        let mut input = Reader(bytes);
        let work = match input.byte()? {
            0 => Work::Send { message: input.id()?, target: input.maybe_id()? },
            1 => {
                let (process, message, base_layer) = (input.id()?, input.id()?, input.is_there()?);
                let exclude = (0..input.number()?).map(|_| input.text()).collect::<Option<_>>()?;
                Work::Assign(AssignRequest { process, message, base_layer, exclude })
            }
            2 => Work::Push { process: input.id()?, message: input.id()?, only: input.maybe_number()? },
            _ => return None,
        };
        let chain = Chain {
            root: input.id()?,
            pushed_for: input.maybe_id()?,
            parent: input.maybe_id()?,
            sender: input.maybe_id()?,
            wallet: input.maybe_id()?,
            depth: input.number()?,
            since: Timestamp(input.number()?),
        };
        let after = input.maybe_number()?;
        input.0.is_empty().then_some(Task {
            number,
            work,
            chain,
            after,
            failures: 0,
            not_found: 0,
            item: None,
        })
    }
}

/// What is written down of a task's failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) failures: u32,
    pub(crate) not_found: u32,
    /// How it failed the last time.
    pub(crate) error: String,
}

impl Retry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Retry { failures, not_found, error } = self;
        Writer::default().number((*failures).into()).text(error).number((*not_found).into()).done()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Retry> {
        let mut input = Reader(bytes);
        let (failures, error) = (input.number()?.try_into().ok()?, input.text()?);
        // Earlier versions did not count them.
        let not_found = input.number().and_then(|n| n.try_into().ok()).unwrap_or(0);
        Some(Retry { failures, not_found, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(work: Work, after: Option<u64>) {
        let chain = Chain {
            root: Id([1; 32]),
            pushed_for: Some(Id([1; 32])),
            parent: None,
            sender: Some(Id([2; 32]).into()),
            wallet: Some(Id([3; 32]).into()),
            depth: 7,
            since: Timestamp(1_700_000_000_123),
        };
        let task = Task { number: 9, work, chain, after, failures: 0, not_found: 0, item: None };
        let bytes = task.encode();
        assert_eq!(Task::decode(9, &bytes).as_ref(), Some(&task));
        for cut in 0..bytes.len() {
            assert_eq!(Task::decode(9, &bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn failures_are_read_as_they_were_written_also_by_earlier_versions() {
        let retry = Retry { failures: 7, not_found: 2, error: "away".to_owned() };
        assert_eq!(Retry::decode(&retry.encode()), Some(retry.clone()));
        let earlier = Writer::default().number(7).text("away").done();
        assert_eq!(Retry::decode(&earlier), Some(Retry { not_found: 0, ..retry }));
    }

    #[test]
    fn a_task_is_read_as_it_was_written() {
        check(Work::Send { message: Id([4; 32]), target: None }, None);
        check(Work::Send { message: Id([4; 32]), target: Some(Id([5; 32])) }, Some(8));
        check(Work::Push { process: Id([5; 32]).into(), message: Id([4; 32]), only: Some(3) }, None);
        let exclude = vec!["Data".to_owned(), "Tags".to_owned()];
        let (process, message) = (Id([5; 32]).into(), Id([4; 32]));
        check(Work::Assign(AssignRequest { process, message, base_layer: true, exclude }), Some(1));
    }
}
