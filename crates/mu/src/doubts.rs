//! Messages of a process whose slot this unit does not know yet, and perhaps never hears of.
//!
//! Outcomes are pushed in the order of their slots. While a message may have the slot before, the outcome of a slot
//! waits: until that message is known to have another one or none, and no longer than [`Options::order_wait_ms`] where
//! the scheduler's answer was lost. Who waits asks the scheduler again what became of what a client sent, as nobody
//! knows whether that client will.
//!
//! [`Options::order_wait_ms`]: crate::Options::order_wait_ms

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use protocol::{Id, ProcessId, Slot};
use tokio::sync::Notify;
use tokio::time::Instant;
use unit::{Kind, Result};

use crate::{Unit, lock};

/// What is not known, by process. As many as there are requests and deliveries under way, and lost answers for as long as
/// they are waited for, at most [`LOST_MAX`] of all processes.
#[derive(Default)]
pub(crate) struct Doubts(Mutex<All>);

/// Lost answers that are remembered; beyond, the oldest is not waited for any more.
const LOST_MAX: usize = 10_000;

#[derive(Default)]
struct All {
    begun: u64,
    processes: BTreeMap<ProcessId, Doubt>,
    /// The lost answers, oldest first; some are known by now, or were lost again.
    in_order: VecDeque<(ProcessId, Id, Lost)>,
}

#[derive(Default)]
struct Doubt {
    under_way: BTreeSet<u64>,
    /// Messages whose answers were lost.
    lost: BTreeMap<Id, Lost>,
    changed: Arc<Notify>,
}

/// An answer that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lost {
    /// The first question, or what began when the scheduler said that it had no slot.
    number: u64,
    /// Until when it is waited for.
    until: Instant,
    /// Who asks again.
    asker: Asker,
}

/// Who asks for a slot, and again if the answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A client, if he likes.
    Client,
    /// This unit, until it knows.
    Unit,
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
    /// A message of a client of which the scheduler can be asked meanwhile.
    pub(crate) ask: Option<Id>,
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

    /// The newest that is under way anywhere: what begins later cannot have an earlier slot.
    pub(crate) fn newest(&self) -> u64 {
        lock(&self.0).begun
    }

    /// What there is to wait for in that process, of what began up to `newest`. None if nothing.
    pub(crate) fn of(&self, process: ProcessId, newest: u64, now: Instant) -> Option<Wait> {
        let mut all = lock(&self.0);
        all.forget(now);
        let doubt = all.processes.get(&process)?;
        let changed = Arc::clone(&doubt.changed);
        if doubt.under_way.range(..=newest).next().is_some() {
            return Some(Wait { changed, until: None, ask: None });
        }
        let lost = doubt.lost.iter().filter(|(_, lost)| lost.number <= newest && lost.until > now);
        let until = lost.clone().map(|(_, lost)| lost.until).max()?;
        let ask = lost.clone().find(|(_, lost)| lost.asker == Asker::Client).map(|(message, _)| *message);
        Some(Wait { changed, until: Some(until), ask })
    }

    /// It is known what became of a message.
    pub(crate) fn known(&self, process: ProcessId, message: Id) {
        lock(&self.0).known(process, message);
    }

    /// A message has no slot. If it gets one, that comes after all that there are.
    pub(crate) fn is_later(&self, process: ProcessId, message: Id) {
        let mut all = lock(&self.0);
        all.begun += 1;
        let number = all.begun;
        if let Some(doubt) = all.processes.get_mut(&process)
            && let Some(lost) = doubt.lost.get_mut(&message)
        {
            lost.number = number;
            doubt.changed.notify_waiters();
        }
    }
}

impl UnderWay<'_> {
    /// The answer for that message was lost.
    pub(crate) fn lost(&self, message: Id, asker: Asker, now: Instant, until: Instant) {
        let mut all = lock(&self.doubts.0);
        all.forget(now);
        let known = &mut all.processes.entry(self.process).or_default().lost;
        // It may have got its slot the first time already.
        let number = known.get(&message).map_or(self.number, |first| first.number);
        let lost = Lost { number, until, asker };
        known.insert(message, lost);
        all.in_order.push_back((self.process, message, lost));
        if all.in_order.len() > LOST_MAX {
            all.forget_oldest();
        }
    }

    /// It is known what became of that message.
    pub(crate) fn known(&self, message: Id) {
        self.doubts.known(self.process, message);
    }
}

impl Unit {
    /// Waits while a message may yet turn out to have a slot before this.
    pub(crate) async fn until_sure(self: &Arc<Self>, process: ProcessId, slot: Slot) {
        let newest = self.doubts.newest();
        let doubt = || {
            let first = self.pushes.first(process)?;
            if first < slot || self.is_next(process, first) {
                return None;
            }
            self.doubts.of(process, newest, Instant::now())
        };
        let mut failures = 0;
        while let Some(wait) = doubt() {
            let mut changed = std::pin::pin!(wait.changed.notified());
            changed.as_mut().enable();
            // It may have changed before anybody listened.
            let Some(wait) = doubt() else { return };
            let over = async {
                match wait.until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => futures::future::pending().await,
                }
            };
            let told = async {
                // Others come and go all the time: a question is not asked anew for each of them.
                if let Some(message) = wait.ask
                    && let Err(error) = self.look_for(process, message).await
                {
                    failures += 1;
                    tracing::debug!(%message, failures, %error, "will ask again for its slot");
                    let _ = tokio::time::timeout(self.options.wait_after(failures), changed).await;
                } else if wait.ask.is_none() {
                    changed.await;
                }
            };
            tokio::select! {
                biased;
                () = self.life.stopping() => return,
                () = told => {}
                () = over => {}
            }
        }
    }

    /// Asks the scheduler what became of a message of a client whose answer was lost. If it has its slot, what came of it
    /// is pushed, whether the client asks again or not, as after a crash.
    async fn look_for(self: &Arc<Self>, process: ProcessId, message: Id) -> Result<()> {
        match self.find(process, message).await {
            Ok(scheduled) => {
                let is_here = scheduled.message.is_some();
                let ask = if is_here { message } else { scheduled.assignment.id() };
                self.push_found(process, &scheduled, ask, None).await?;
                self.doubts.known(process, message);
            }
            Err(error) if error.kind == Kind::NotFound => self.doubts.is_later(process, message),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl All {
    /// Forgets the lost answers that nobody waits for any more.
    fn forget(&mut self, now: Instant) {
        while self.in_order.front().is_some_and(|(_, _, lost)| lost.until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((process, message, lost)) = self.in_order.pop_front() else { return };
        let Some(doubt) = self.processes.get(&process) else { return };
        // It may have been lost again.
        if doubt.lost.get(&message).is_some_and(|known| known.until == lost.until) {
            self.known(process, message);
        }
    }

    fn known(&mut self, process: ProcessId, message: Id) {
        let Some(doubt) = self.processes.get_mut(&process) else { return };
        if doubt.lost.remove(&message).is_some() {
            doubt.changed.notify_waiters();
        }
        if doubt.under_way.is_empty() && doubt.lost.is_empty() {
            self.processes.remove(&process);
        }
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

        let lose = |message| {
            let (asked, now) = (doubts.begin(process), Instant::now());
            asked.lost(message, Asker::Client, now, now + Duration::from_secs(5));
        };
        lose(message);
        assert!(wait(newest).is_none(), "it was asked later");
        let newest = doubts.newest();
        assert!(wait(newest).is_some_and(|wait| wait.until.is_some()));
        tokio::time::sleep(Duration::from_secs(4)).await;
        lose(Id([3; 32]));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(wait(newest).is_none(), "others that are lost meanwhile make it no longer");
        lose(message);
        let newest = doubts.newest();
        lose(message);
        assert!(wait(newest).is_some(), "lost again, it may have had its slot since the first time");
        doubts.begin(process).known(message);
        doubts.begin(process).known(Id([3; 32]));
        assert!(wait(doubts.newest()).is_none());
        assert!(lock(&doubts.0).processes.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_lost_can_be_asked_for() {
        let (doubts, process) = (Doubts::default(), Id([1; 32]).into());
        let [sent, delivered] = [Id([2; 32]), Id([3; 32])];
        let lose = |message, asker| {
            let (asked, now) = (doubts.begin(process), Instant::now());
            asked.lost(message, asker, now, now + Duration::from_secs(5));
        };
        let wait = |newest| doubts.of(process, newest, Instant::now());
        lose(delivered, Asker::Unit);
        assert_eq!(wait(doubts.newest()).unwrap().ask, None, "it is asked for already");
        lose(sent, Asker::Client);
        let newest = doubts.newest();
        assert_eq!(wait(newest).unwrap().ask, Some(sent));
        doubts.known(process, delivered);
        // It has no slot yet: one that has is not after it, one to come may be.
        doubts.is_later(process, sent);
        assert!(wait(newest).is_none());
        assert_eq!(wait(doubts.newest()).unwrap().ask, Some(sent));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(wait(doubts.newest()).is_none());
        assert!(lock(&doubts.0).processes.is_empty(), "it is forgotten all the same");
        doubts.known(process, sent);
        doubts.is_later(process, sent);
        assert!(lock(&doubts.0).processes.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lost_for_many_processes_is_bounded() {
        let doubts = Doubts::default();
        let lose = |n: usize| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&n.to_be_bytes());
            let now = Instant::now();
            doubts.begin(Id(id).into()).lost(Id(id), Asker::Unit, now, now + Duration::from_secs(5));
        };
        (0..LOST_MAX + 500).for_each(lose);
        let sizes = || {
            let all = lock(&doubts.0);
            (all.processes.len(), all.in_order.len())
        };
        assert_eq!(sizes(), (LOST_MAX, LOST_MAX));
        tokio::time::sleep(Duration::from_secs(6)).await;
        lose(0);
        assert_eq!(sizes(), (1, 1));
    }
}
