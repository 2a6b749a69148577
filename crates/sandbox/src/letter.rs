//! What was sent in a sandbox, and what came of it.

use std::sync::Arc;

use protocol::{Id, Item, Outcome, ProcessId, Slot, Timestamp};
use runtime::Profile;

/// Something that was sent: by a client, by a process, or by time.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its place among all letters, from 0.
    pub number: usize,
    /// What it is.
    pub what: What,
    /// Who sent it: the process whose outcome it was in, or the signer's address.
    pub from: Id,
    /// Whether a process sent it, or cron did; otherwise a client.
    pub of_process: bool,
    /// Whom it is for; none for a message without a target.
    pub to: Option<Id>,
    /// The item. None for ticks, and for what could not become one.
    pub item: Option<Arc<Item>>,
    /// What it follows from.
    pub parent: Option<usize>,
    /// When it was sent.
    pub sent: Timestamp,
    /// What became of it.
    pub fate: Fate,
    /// The message at the head of its chain; none where time began it.
    pub(crate) pushed_for: Option<Id>,
    /// Not delivered before.
    pub(crate) due: Timestamp,
}

/// What a letter is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A message.
    Message,
    /// A new process.
    Process,
    /// An assignment of something that exists.
    Assignment {
        /// What it leaves out.
        exclude: Vec<String>,
    },
    /// A cron message; which cron, as in `0-10-minutes`.
    Tick {
        /// Its number and interval.
        cron: String,
    },
}

/// What became of a letter.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It is on its way.
    Waiting,
    /// A process evaluated it.
    Evaluated {
        /// Whose outcome it is.
        process: ProcessId,
        /// Its place in the schedule; for ticks, the slot before.
        slot: Slot,
        /// When.
        at: Timestamp,
        /// What came of it.
        outcome: Arc<Outcome>,
        /// Where its gas went, if the modules' runtime looks at that.
        profile: Option<Arc<Profile>>,
    },
    /// It is for a wallet, or for nobody.
    Mailed,
    /// A fault took it.
    Lost,
    /// It repeats another and was skipped.
    Repeat,
    /// It could not be sent or scheduled.
    Refused(String),
}

impl Letter {
    /// The outcome, if it was evaluated.
    pub fn outcome(&self) -> Option<&Arc<Outcome>> {
        match &self.fate {
            Fate::Evaluated { outcome, .. } => Some(outcome),
            _ => None,
        }
    }

    /// The first tag of that name.
    pub fn tag(&self, name: &str) -> Option<&str> {
        self.item.as_ref()?.tags.first(name)
    }
}
