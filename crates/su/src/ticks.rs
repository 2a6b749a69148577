//! What a scheduler unit shows of timers and ticks, and whom it has push them.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use protocol::{Id, ProcessId, Slot, Timestamp};
use store::Order;
use unit::{Messenger, Page, ProcessTimers, Scheduled, SlotRange, TimerState, TimersQuery};

use crate::ledger::ticks::TIMERS;
use crate::ledger::{Teller, lock};
use crate::timers::Table;
use crate::{Error, SchedulerUnit};

/// What is seen of ticks: numbers since this unit was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticks {
    /// Ticks that got their slots.
    pub given: u64,
    /// Moments that passed without one, by the policies of their timers.
    pub missed: u64,
    /// Ticks that a messenger took.
    pub told: u64,
    /// Ticks that no messenger has taken yet, up to 1000.
    pub untold: usize,
    /// Whether there is a messenger to take them. Without one, ticks get their slots and nobody pushes them.
    pub has_messenger: bool,
    /// Milliseconds by which the look at what is due is late: no beat, or something due that has no slot.
    pub late_ms: u64,
    /// How late the newest tick was when it got its slot, ms.
    pub newest_late_ms: u64,
    /// The newest failure, until a tick is given.
    pub error: Option<String>,
}

impl SchedulerUnit {
    /// Has ticks pushed by a messenger from now on, those first that no one has taken yet.
    pub fn push_ticks_through(&self, messenger: Arc<dyn Messenger>) {
        lock(&self.tasks).spawn(Teller { ledger: self.ledger.clone(), messenger }.run());
    }

    /// Gives the ticks that are due now, all of them. For whoever moves a clock that stands.
    pub async fn give_ticks(&self) -> Result<u64, Error> {
        self.ledger.give_due().await
    }

    /// The moment at which a timer is due next, or was and has no tick yet.
    pub fn next_tick(&self) -> Result<Option<Timestamp>, Error> {
        self.ledger.next_look()
    }

    /// Ticks that wait for a messenger, where there is one.
    pub fn ticks_untold(&self) -> u64 {
        match self.ledger.ticking.has_messenger.load(Ordering::Relaxed) {
            true => self.ledger.untold(1000).map_or(0, |untold| untold as u64),
            false => 0,
        }
    }

    /// What is seen of ticks.
    pub fn ticks(&self) -> Ticks {
        let ticking = &self.ledger.ticking;
        let now = self.ledger.clock.now().0;
        let beat = ticking.beat.load(Ordering::Relaxed);
        let beat_late = now.saturating_sub(beat).saturating_sub(self.ledger.options.tick_interval_ms);
        let next = self.ledger.next_look().ok().flatten();
        let due_late = next.map_or(0, |next| now.saturating_sub(next.0));
        Ticks {
            given: ticking.given.load(Ordering::Relaxed),
            missed: ticking.missed.load(Ordering::Relaxed),
            told: ticking.told.load(Ordering::Relaxed),
            untold: self.ledger.untold(1000).unwrap_or(0),
            has_messenger: ticking.has_messenger.load(Ordering::Relaxed),
            late_ms: if self.ledger.clock.is_still() { 0 } else { beat_late.max(due_late) },
            newest_late_ms: ticking.late_ms.load(Ordering::Relaxed),
            error: lock(&ticking.error).clone(),
        }
    }

    /// The table of a process's timers, from its log alone. What the store has is the same, unless it was put together
    /// from elsewhere: then [`rebuild_timers`](Self::rebuild_timers) makes it so.
    pub async fn derive_timers(&self, process: ProcessId) -> Result<Option<Table>, Error> {
        let mut table = None;
        let mut after = None;
        loop {
            let range = SlotRange::Slots { after, to: None };
            let page = self.ledger.page(process, range, self.ledger.options.page_max).await?;
            for Scheduled { message, assignment } in &page.items {
                let item = match (message, assignment.message) {
                    (Some(item), _) => Some(item.clone()),
                    // What was assigned, not sent, lies on the weave.
                    (None, Some(id)) => self.on_weave(id).await?,
                    (None, None) => None,
                };
                let Some(item) = item else { continue };
                match &mut table {
                    None if assignment.slot == Slot(0) => {
                        table = Table::begin(&item, self.ledger.address, assignment.timestamp);
                    }
                    Some(table) => {
                        table.pass(assignment.epoch);
                        table.apply(&item, assignment.slot, assignment.timestamp);
                    }
                    None => {}
                }
                after = Some(assignment.slot);
            }
            if !page.has_next {
                return Ok(table);
            }
        }
    }

    /// Makes what the store has of a process's timers what its log says. For schedules that did not grow here.
    pub async fn rebuild_timers(&self, process: ProcessId) -> Result<(), Error> {
        let table = self.derive_timers(process).await?.filter(|table| !table.is_blank());
        self.ledger.replace_timers(process, table).await
    }

    /// The timers of processes, in the order of the processes' ids.
    pub(crate) fn timers(&self, query: &TimersQuery) -> Result<Page<ProcessTimers>, Error> {
        let now = self.ledger.clock.now();
        if let Some(process) = query.process {
            self.ledger.boot(process)?;
            let kept = self.ledger.kept(process)?;
            let items = kept.map(|kept| shown(process, &kept.table, now)).into_iter().collect();
            return Ok(Page { items, has_next: false });
        }
        let limit = query.limit.clamp(1, self.ledger.options.page_max);
        let after = query.after.map(|after| Bytes::copy_from_slice(&after.0.0)).unwrap_or_default();
        let range = (Bound::Excluded(&after[..]), Bound::Unbounded);
        let rows = self.ledger.store.scan(TIMERS, range, Order::Ascending, limit + 1)?;
        let mut items = Vec::new();
        for (key, _) in &rows {
            let Some(process) = Id::from_slice(key).map(ProcessId::from) else { continue };
            if let Some(kept) = self.ledger.kept(process)? {
                items.push(shown(process, &kept.table, now));
            }
        }
        Ok(Page::cut(items, limit))
    }
}

fn shown(process: ProcessId, table: &Table, now: Timestamp) -> ProcessTimers {
    let timers = table.timers().iter().map(|timer| TimerState {
        name: timer.name.clone(),
        schedule: timer.text.clone(),
        missed: timer.missed.to_string(),
        next: timer.next(now.0).map(Timestamp),
        last: timer.last.map(Timestamp),
        given: timer.given,
        budget_left: timer.budget_left(),
        late_ms: timer.due(now.0).map_or(0, |due| now.0.saturating_sub(due)),
    });
    let refused = table.refused().map(|refused| (refused.slot, refused.why.clone()));
    ProcessTimers { process, timers: timers.collect(), refused }
}
