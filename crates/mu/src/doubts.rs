//! Messages of a process whose slot this unit does not know yet, and perhaps never hears of.
//!
//! Outcomes are pushed in the order of their slots. While a message may have the slot before, the outcome of a slot
//! waits: until that message is known to have another one or none, and no longer than [`Options::order_wait_ms`] where
//! the scheduler's answer was lost.
//!
//! [`Options::order_wait_ms`]: crate::Options::order_wait_ms

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use protocol::{Id, ProcessId};
use tokio::sync::Notify;
use tokio::time::Instant;
use unit::Kind;

use crate::lock;

/// What is not known, by process. As many as there are requests and deliveries under way, and as many lost answers as
/// come within the time that they are waited for, at most [`LOST_MAX`] for a process.
#[derive(Default)]
pub(crate) struct Doubts(Mutex<All>);

/// Lost answers that are remembered for one process.
const LOST_MAX: usize = 1000;

#[derive(Default)]
struct All {
    begun: u64,
    processes: BTreeMap<ProcessId, Doubt>,
}

#[derive(Default)]
struct Doubt {
    under_way: BTreeSet<u64>,
    /// Messages whose answers were lost, and until when they are waited for.
    lost: BTreeMap<Id, Instant>,
    changed: Arc<Notify>,
}

/// The scheduler is being asked for a slot, until this is dropped.
pub(crate) struct UnderWay<'a> {
    doubts: &'a Doubts,
    process: ProcessId,
    number: u64,
}

/// What there is to wait for.
pub(crate) struct Wait {
    /// It may be over.
    pub(crate) changed: Arc<Notify>,
    /// It is over then, whatever happens; none if something is under way.
    pub(crate) until: Option<Instant>,
}

/// Whether something that failed like that may have been done.
pub(crate) fn may_be_done(kind: Kind) -> bool {
    matches!(kind, Kind::Unavailable | Kind::Internal)
}

impl Doubts {
    /// A slot in that process is asked for.
    pub(crate) fn begin(&self, process: ProcessId) -> UnderWay<'_> {
        let mut all = lock(&self.0);
        all.begun += 1;
        let number = all.begun;
        all.processes.entry(process).or_default().under_way.insert(number);
        UnderWay { doubts: self, process, number }
    }

    /// The answer for that message was lost.
    pub(crate) fn lost(&self, process: ProcessId, message: Id, until: Instant) {
        let mut all = lock(&self.0);
        let doubt = all.processes.entry(process).or_default();
        if doubt.lost.len() < LOST_MAX {
            doubt.lost.insert(message, until);
        }
    }

    /// It is known what became of that message.
    pub(crate) fn known(&self, process: ProcessId, message: Id) {
        let mut all = lock(&self.0);
        if let Some(doubt) = all.processes.get_mut(&process) {
            doubt.lost.remove(&message);
            doubt.changed.notify_waiters();
        }
    }

    /// The newest that is under way anywhere: what begins later cannot have an earlier slot.
    pub(crate) fn newest(&self) -> u64 {
        lock(&self.0).begun
    }

    /// What there is to wait for in that process, of what began up to `newest`. None if nothing.
    pub(crate) fn of(&self, process: ProcessId, newest: u64, now: Instant) -> Option<Wait> {
        let mut all = lock(&self.0);
        let doubt = all.processes.get_mut(&process)?;
        doubt.lost.retain(|_, until| *until > now);
        let changed = Arc::clone(&doubt.changed);
        if doubt.under_way.range(..=newest).next().is_some() {
            return Some(Wait { changed, until: None });
        }
        let until = doubt.lost.values().max().copied();
        if until.is_none() && doubt.under_way.is_empty() {
            all.processes.remove(&process);
        }
        until.map(|until| Wait { changed, until: Some(until) })
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.doubts.0);
        let Some(doubt) = all.processes.get_mut(&self.process) else { return };
        doubt.under_way.remove(&self.number);
        doubt.changed.notify_waiters();
        if doubt.under_way.is_empty() && doubt.lost.is_empty() {
            all.processes.remove(&self.process);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_began_before_is_waited_for_and_what_was_lost_for_a_while() {
        let (doubts, process, message) = (Doubts::default(), Id([1; 32]).into(), Id([2; 32]));
        let wait = |newest| doubts.of(process, newest, Instant::now());
        assert!(wait(doubts.newest()).is_none());
        let first = doubts.begin(process);
        let newest = doubts.newest();
        let second = doubts.begin(process);
        assert!(wait(newest).is_some_and(|wait| wait.until.is_none()));
        drop(first);
        assert!(wait(newest).is_none(), "what began later is not waited for");
        drop(second);
        assert!(lock(&doubts.0).processes.is_empty());

        doubts.lost(process, message, Instant::now() + Duration::from_secs(5));
        assert!(wait(newest).is_some_and(|wait| wait.until.is_some()));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(wait(newest).is_none());
        doubts.lost(process, message, Instant::now() + Duration::from_secs(5));
        doubts.known(process, message);
        assert!(wait(newest).is_none());
        assert!(lock(&doubts.0).processes.is_empty());
    }
}
