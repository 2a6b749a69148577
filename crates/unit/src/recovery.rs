//! The contract of a scheduler's recovery: what it may have forgotten, what it is shown of that, and its operator's word
//! that it knows enough to go on.

use async_trait::async_trait;
use protocol::{Address, DataItem, Draft, Id, Item, ProcessId, Slot, Tags, Timestamp, tag};
use serde::{Deserialize, Serialize};

use crate::{Error, Kind, Result};

/// Recovers the schedules of a scheduler that may have forgotten some of what it signed.
#[async_trait]
pub trait Recovery: Send + Sync {
    /// How it stands, with the processes that are held, in the order of their ids.
    async fn recovery(&self, query: HeldQuery) -> Result<RecoveryState>;

    /// Takes in what this scheduler signed once: its assignments, and the messages that they name, in any order. Anyone
    /// may show them, since nobody else can have signed them.
    async fn adopt(&self, shown: Vec<DataItem>) -> Result<Adopted>;

    /// Does what the operator says: an [`Order`], signed with the wallet of the scheduler itself.
    async fn order(&self, order: DataItem) -> Result<Ordered>;
}

/// Which of the processes that are held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeldQuery {
    /// Only this one, held or not.
    pub only: Option<ProcessId>,
    /// Those with a larger id than this.
    pub after: Option<ProcessId>,
    /// At most that many.
    pub limit: usize,
}

/// Why nothing is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The disk was empty, and the weave knows what this scheduler signed.
    EmptyDisk,
    /// The state was restored from a backup, which may be behind what was visible.
    Backup,
    /// Somebody showed an assignment of this scheduler that it did not have.
    Shown,
    /// Two assignments contradict each other.
    Contradiction,
}

impl Why {
    /// Part of a sentence.
    pub fn says(self) -> &'static str {
        match self {
            Why::EmptyDisk => "its scheduler lost its disk, and may have forgotten slots that others saw",
            Why::Backup => {
                "its scheduler was restored from a backup, and may have forgotten slots that others saw"
            }
            Why::Shown => "its scheduler was shown a slot that it had forgotten, and there may be more",
            Why::Contradiction => "two assignments of its scheduler contradict each other",
        }
    }
}

/// A hold: nothing is scheduled until the operator says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why.
    pub why: Why,
    /// Since when, milliseconds since 1970. Tells this hold from an earlier one.
    pub since: Timestamp,
}

/// How recovery stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryState {
    /// Who signs the schedules.
    pub scheduler: Address,
    /// The hold of all processes that are not confirmed yet, those that are not known here included.
    pub general: Option<Hold>,
    /// What reading the weave came to, since the start.
    pub restoring: Restoring,
    /// Processes that are held.
    pub held: Vec<HeldProcess>,
    /// Whether there are more of them.
    pub has_next: bool,
}

/// What reading the weave came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoring {
    /// Whether it goes on.
    pub running: bool,
    /// How often all of the weave was read to the end.
    pub rounds: u64,
    /// Processes that were looked at.
    pub processes: u64,
    /// Slots that were taken from there.
    pub slots: u64,
    /// What did not work, the newest last, at most 100.
    pub problems: Vec<Problem>,
}

/// What did not work with a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which; none where the weave itself did not answer.
    pub process: Option<ProcessId>,
    /// What.
    pub what: String,
}

/// A process for which nothing is scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldProcess {
    /// Which.
    pub process: ProcessId,
    /// Its hold; none if it is not held.
    pub hold: Option<Hold>,
    /// The newest slot that is known without a gap; none if not even slot 0 is.
    pub tail: Option<Slot>,
    /// The assignment of that slot.
    pub assignment: Option<Id>,
    /// The epoch of what is scheduled next.
    pub epoch: u64,
    /// The highest slot that was shown and cannot follow yet, because something before it is missing.
    pub shown: Option<Slot>,
    /// The first slots that are missing before that, at most 100.
    pub missing: Vec<Slot>,
}

/// What became of what was shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// Slots that are part of their schedules now.
    pub adopted: u64,
    /// Slots that were there already.
    pub known: u64,
    /// Slots that wait for something before them, or for their message.
    pub kept: u64,
    /// Slots of an epoch that the operator ended, which count no more.
    pub void: u64,
    /// Items that are no assignments of this scheduler, nor messages of one that was shown.
    pub passed_over: u64,
}

/// What came of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// How many processes go on that were held; of a general hold, those that are known here.
    pub released: u64,
    /// Whether the weave is being read.
    pub restoring: bool,
}

/// What an operator says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The tail of a process, or of all, is the true one: go on after it.
    Confirm {
        /// Which process; none for all, also those that are not known here.
        process: Option<ProcessId>,
        /// The tail that the operator believes in, if it was said.
        at: Option<Slot>,
        /// Since when it is held, as [`RecoveryState`] says it: an order is good for one hold.
        since: Timestamp,
        /// Whether what was visible and is not known here shall count no more, and slots go on in a new epoch.
        tail: Tail,
    },
    /// Read the weave again, for a process or for all.
    Restore {
        /// Which process; none for all.
        process: Option<ProcessId>,
        /// When it was said: an order is good for a while.
        now: Timestamp,
    },
}

/// What an operator says of a tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing after it was ever visible.
    Whole,
    /// Something may have been. It counts no more: what follows is in a new epoch.
    Ended,
}

/// `Type` of an order.
const RECOVERY_ORDER: &str = "Recovery-Order";
const HELD_SINCE: &str = "Held-Since";

impl Order {
    /// What the operator signs.
    pub fn draft(&self) -> Draft {
        let mut tags = Tags::default();
        tags.push(tag::TYPE, RECOVERY_ORDER);
        let (action, process) = match self {
            Order::Confirm { process, tail: Tail::Whole, .. } => ("Confirm-Tail", process),
            Order::Confirm { process, tail: Tail::Ended, .. } => ("New-Epoch", process),
            Order::Restore { process, .. } => ("Restore", process),
        };
        tags.push(tag::ACTION, action);
        if let Some(process) = process {
            tags.push(tag::PROCESS, process);
        }
        match self {
            Order::Confirm { at, since, .. } => {
                if let Some(at) = at {
                    tags.push(tag::NONCE, at);
                }
                tags.push(HELD_SINCE, since);
            }
            Order::Restore { now, .. } => tags.push(tag::TIMESTAMP, now),
        }
        Draft { tags, ..Draft::default() }
    }

    /// What an item orders.
    pub fn read(item: &Item) -> Result<Order> {
        let wrong = |what: &str| {
            Error::new(Kind::Invalid, format!("{} is no order to a scheduler: {what}", item.id))
                .with_hint("`pirn recover confirm` and `pirn recover restore` make them")
        };
        if item.tags.first(tag::TYPE) != Some(RECOVERY_ORDER) {
            return Err(wrong("its Type is not Recovery-Order"));
        }
        let number = |name: &str| match item.tags.first(name) {
            Some(text) => text.parse().map(Some).map_err(|_| wrong("a number in it is none")),
            None => Ok(None),
        };
        let process = match item.tags.first(tag::PROCESS) {
            Some(text) => Some(text.parse().map_err(|_| wrong("its Process is no id"))?),
            None => None,
        };
        let tail = match item.tags.first(tag::ACTION) {
            Some("Confirm-Tail") => Tail::Whole,
            Some("New-Epoch") => Tail::Ended,
            Some("Restore") => {
                let now = number(tag::TIMESTAMP)?.ok_or_else(|| wrong("it has no Timestamp"))?;
                return Ok(Order::Restore { process, now: Timestamp(now) });
            }
            _ => return Err(wrong("its Action is none of Confirm-Tail, New-Epoch and Restore")),
        };
        let since = number(HELD_SINCE)?.ok_or_else(|| wrong("it does not say since when it is held"))?;
        let at = number(tag::NONCE)?.map(Slot);
        Ok(Order::Confirm { process, at, since: Timestamp(since), tail })
    }
}

#[cfg(test)]
mod tests {
    use protocol::Wallet;

    use super::*;

    #[test]
    fn an_order_says_what_it_was_made_of() {
        let process = Some(ProcessId(Id([1; 32])));
        let since = Timestamp(7);
        for order in [
            Order::Confirm { process, at: Some(Slot(4)), since, tail: Tail::Whole },
            Order::Confirm { process: None, at: None, since, tail: Tail::Ended },
            Order::Restore { process, now: since },
            Order::Restore { process: None, now: since },
        ] {
            let item = DataItem::sign(&Wallet::ed25519_from_seed([1; 32]), order.draft()).unwrap();
            assert_eq!(Order::read(item.item()), Ok(order));
        }
    }

    #[test]
    fn anything_else_is_no_order() {
        let item = |tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|&(name, value)| (name, value)).collect();
            let draft = Draft { tags, ..Draft::default() };
            DataItem::sign(&Wallet::ed25519_from_seed([1; 32]), draft).unwrap()
        };
        for tags in [
            &[][..],
            &[("Type", "Recovery-Order")],
            &[("Type", "Message"), ("Action", "Restore"), ("Timestamp", "1")],
            &[("Type", "Recovery-Order"), ("Action", "Restore")],
            &[("Type", "Recovery-Order"), ("Action", "Confirm-Tail"), ("Held-Since", "x")],
            &[("Type", "Recovery-Order"), ("Action", "Confirm-Tail")],
            &[("Type", "Recovery-Order"), ("Action", "Confirm-Tail"), ("Held-Since", "1"), ("Process", "x")],
        ] {
            assert!(Order::read(item(tags).item()).is_err(), "{tags:?}");
        }
    }
}
