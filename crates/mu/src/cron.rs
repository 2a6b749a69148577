//! Pushes what time did: the outcomes of cron messages of monitored processes.
//!
//! Asking for them makes the compute unit evaluate up to now; that is what makes cron tick where nobody writes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use protocol::{ProcessId, Timestamp};
use store::Space;
use tokio::sync::Semaphore;
use unit::{CatchUp, Cursor, Evaluated, OutcomeQuery, Result, Sort};

use crate::monitor::AtWork;
use crate::outbox::Part;
use crate::progress::{Age, Attention, Patience, Progress};
use crate::push::{Origin, promise_all};
use crate::step::Step;
use crate::{Unit, internal};

/// (process, timestamp, ordinate, cron) → nothing: what that tick sent is promised, or left out for good.
const PUSHED: Space = Space("mu.pushed.cron");

/// Pages of which nothing is pushed that count as one of which something is.
const PAGES_LEFT_OUT: usize = 10;

/// What was done about crons since the unit was opened.
#[derive(Debug, Default)]
pub(crate) struct CronCounts {
    /// Ticks whose outcomes were seen.
    pub(crate) ticks: AtomicU64,
    /// Those of them whose outcome is an error.
    pub(crate) failed: AtomicU64,
    /// Those that were pushed late, because nobody had looked.
    pub(crate) caught_up: AtomicU64,
    /// Those that were not pushed, because that was too long ago.
    pub(crate) left_out: AtomicU64,
    /// Spawned processes whose cron is not run, because too many are.
    pub(crate) refused: AtomicU64,
}

impl Unit {
    /// Looks at the cron of every monitored process, again and again.
    pub(crate) async fn watch_crons(self: &Arc<Self>) {
        let permits = Arc::new(Semaphore::new(self.options.crons_max.max(1)));
        let interval = Duration::from_millis(self.options.cron_interval_ms.max(1));
        while self.life.wait(interval).await {
            self.cron_beat.store(self.now().0, Ordering::Relaxed);
            // Whoever moves a clock that stands looks at the crons himself.
            if self.ports.clock.is_still() {
                continue;
            }
            for (process, at_work) in self.monitors.idle() {
                let permits = Arc::clone(&permits);
                self.spawn(|unit| async move {
                    let Some(_permit) = unit.permit(&permits).await else { return };
                    let looked = unit.push_cron(process, &at_work).await;
                    at_work.is_done(unit.now());
                    let failed_before = at_work.ended(&looked);
                    if let (Err(error), false) = (looked, failed_before) {
                        tracing::warn!(%process, %error, "cannot push cron; will try again at every look");
                    }
                });
            }
        }
    }

    /// Looks at the cron of every monitored process, one after the other, until all that is due is pushed.
    pub(crate) async fn look_at_crons(&self) -> Result<()> {
        let mut left: BTreeSet<ProcessId> = self.monitors.processes().into_iter().collect();
        while let (Some(process), false) = (left.first().copied(), self.life.is_stopping()) {
            let Some(at_work) = self.monitors.take(process) else {
                // Somebody else is at it, and may have asked for the time before.
                if !self.life.wait(Duration::from_millis(2)).await {
                    break;
                }
                continue;
            };
            if !self.push_cron(process, &at_work).await? {
                left.remove(&process);
                at_work.is_done(self.now());
            } else if self.queue.is_full() && !self.life.wait(Duration::from_millis(2)).await {
                break;
            }
        }
        Ok(())
    }

    /// Milliseconds by which the look at a cron is late that is most so: no beat of the ticker, or no end of a look
    /// at a process, since its turn came.
    pub(crate) fn cron_late_ms(&self) -> u64 {
        let beat = Timestamp(self.cron_beat.load(Ordering::Relaxed));
        let oldest = self.monitors.oldest_look().map_or(beat, |look| look.min(beat));
        self.now().0.saturating_sub(oldest.0).saturating_sub(self.options.cron_interval_ms)
    }

    /// Pushes the outcomes after where it stands, up to now or a bound. Whether there may be more.
    async fn push_cron(&self, process: ProcessId, at_work: &AtWork) -> Result<bool> {
        let began = self.now();
        let attention = at_work.begins(began, self.patience());
        let more = self.push_pages(process, at_work, attention).await?;
        if let Some(CatchUp { from, to, pushed, left_out, .. }) = at_work.went_well(began, !more) {
            let (within, from, to) = (self.options.cron_catch_up_ms, from.0, to.0);
            tracing::warn!(
                %process, pushed, left_out, from, to, within,
                "nobody looked at this cron for a while: it is caught up; what was due longer before than mu.cron_catch_up_ms is left out"
            );
        }
        Ok(more)
    }

    fn patience(&self) -> Patience {
        Patience { late: self.options.cron_late_ms, catch_up: self.options.cron_catch_up_ms }
    }

    async fn push_pages(&self, process: ProcessId, at_work: &AtWork, attention: Attention) -> Result<bool> {
        if !self.about(process).await?.has_cron {
            return Ok(false);
        }
        let Some(mut progress) = at_work.progress() else { return Ok(false) };
        if !progress.started {
            let mut step = Step::at(self.now());
            progress = self.start_of_cron(process, &mut step).await?;
            if !at_work.advance(&self.queue, process, progress.clone(), step) {
                return Ok(false);
            }
        }
        let mut room = self.options.cron_pages_max.saturating_mul(PAGES_LEFT_OUT);
        while room > 0 {
            // While there is too much to send already, cron waits where it stands.
            if self.life.is_stopping() || self.queue.is_full() {
                return Ok(true);
            }
            let limit = self.options.cron_page.max(1);
            let query =
                OutcomeQuery { from: progress.cursor.clone(), to: None, sort: Sort::Ascending, limit };
            let page = self.ports.compute.cron(process, query).await?;
            let before = progress.clone();
            let mut costs = if page.items.is_empty() { PAGES_LEFT_OUT } else { 1 };
            for evaluated in &page.items {
                let age = attention.age(evaluated.cursor.timestamp, self.patience());
                self.count(evaluated, age);
                progress.pass(evaluated, age, attention);
                if age != Age::Due {
                    at_work.catches_up();
                }
                if age != Age::LeftOut {
                    costs = PAGES_LEFT_OUT;
                }
                if !self.push_tick(process, evaluated, age, &progress, at_work).await? {
                    return Ok(false);
                }
            }
            // Ticks that sent nothing wrote nothing.
            if progress != before && at_work.progress().is_some_and(|written| written != progress) {
                at_work.advance(&self.queue, process, progress.clone(), Step::at(self.now()));
            }
            if !page.has_next {
                return self.look_back(process, at_work, attention, progress).await;
            }
            room = room.saturating_sub(costs);
        }
        Ok(true)
    }

    /// Pushes ticks of blocks that stand before where it stands: a block has the time at which it was made, and is known
    /// later, when ticks of later moments are pushed already. Whether there may be more.
    async fn look_back(
        &self,
        process: ProcessId,
        at_work: &AtWork,
        attention: Attention,
        mut progress: Progress,
    ) -> Result<bool> {
        let (is_due, now) = (self.about(process).await?.has_block_cron, self.now());
        let Some(to) = progress.cursor.clone().filter(|_| is_due) else { return Ok(false) };
        if !at_work.may_look_back(now, self.ports.clock.is_still()) {
            return Ok(false);
        }
        let mut from = Some(self.back_from(&to));
        for _ in 0..self.options.cron_pages_max {
            let limit = self.options.cron_page.max(1);
            let query = OutcomeQuery { from, to: Some(to.clone()), sort: Sort::Ascending, limit };
            let page = self.ports.compute.cron(process, query).await?;
            for tick in page.items.iter().filter(|tick| is_of_block(&tick.cursor)) {
                if self.queue.mark(PUSHED, &key_of(process, &tick.cursor)).map_err(internal)?.is_some() {
                    continue;
                }
                let age = attention.age(tick.cursor.timestamp, self.patience());
                self.count(tick, age);
                progress.count(tick, age, attention);
                if !self.push_tick(process, tick, age, &progress, at_work).await? {
                    return Ok(false);
                }
            }
            // Where a page ended at the bound, ticks may have come to be known up to there only.
            match page.items.last().filter(|last| page.items.len() >= limit && last.cursor != to) {
                Some(last) => from = Some(Cursor { sort: None, ..last.cursor.clone() }),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The moment before a tick from which ticks of blocks are looked for.
    fn back_from(&self, cursor: &Cursor) -> Cursor {
        let from = cursor.timestamp.0.saturating_sub(self.options.cron_look_back_ms);
        Cursor { timestamp: Timestamp(from), ordinate: None, cron: None, sort: None }
    }

    fn count(&self, tick: &Evaluated, age: Age) {
        let add = |count: &AtomicU64, really: bool| count.fetch_add(u64::from(really), Ordering::Relaxed);
        let counts = &self.cron_counts;
        add(&counts.ticks, true);
        add(&counts.failed, tick.outcome.error.is_some());
        add(&counts.caught_up, age == Age::Late);
        add(&counts.left_out, age == Age::LeftOut);
    }

    /// Promises what one tick sends unless it is left out, in one batch with the progress. False if the process is
    /// monitored no longer.
    async fn push_tick(
        &self,
        process: ProcessId,
        evaluated: &Evaluated,
        age: Age,
        progress: &Progress,
        at_work: &AtWork,
    ) -> Result<bool> {
        let origin = Origin { process, message: None, root: None, pushed_for: None, wallet: None, depth: 0 };
        let key = key_of(process, &evaluated.cursor);
        if self.queue.mark(PUSHED, &key).map_err(internal)?.is_some() {
            return Ok(true);
        }
        let outbox = match age {
            Age::LeftOut => None,
            Age::Due | Age::Late => Some(self.outbox_of(&origin, &evaluated.outcome, Part::All).await?),
        };
        let outbox = outbox.filter(|outbox| !outbox.is_empty());
        // Ticks of blocks are met again when it is looked back, and count once.
        if outbox.is_none() && !is_of_block(&evaluated.cursor) {
            return Ok(true);
        }
        let mut step = Step::at(self.now());
        if let Some(outbox) = outbox {
            self.tell_pushed(&origin, &outbox);
            promise_all(&mut step, &origin, outbox);
        }
        step.mark(PUSHED, key, Bytes::new());
        Ok(at_work.advance(&self.queue, process, progress.clone(), step))
    }

    /// The first look starts after what is evaluated already: monitoring pushes what comes, not what was.
    async fn start_of_cron(&self, process: ProcessId, step: &mut Step) -> Result<Progress> {
        let query = OutcomeQuery { sort: Sort::Descending, limit: 1, ..OutcomeQuery::default() };
        let newest = self.ports.compute.results(process, query).await?;
        let cursor = newest.items.first().map(|newest| Cursor { sort: None, ..newest.cursor.clone() });
        let has_blocks = self.about(process).await?.has_block_cron;
        if let Some(to) = cursor.as_ref().filter(|_| has_blocks) {
            let mut from = Some(self.back_from(to));
            for _ in 0..self.options.cron_pages_max {
                let limit = self.options.cron_page.max(1);
                let query = OutcomeQuery { from, to: Some(to.clone()), sort: Sort::Ascending, limit };
                let page = self.ports.compute.results(process, query).await?;
                for tick in page.items.iter().filter(|tick| is_of_block(&tick.cursor)) {
                    step.mark(PUSHED, key_of(process, &tick.cursor), Bytes::new());
                }
                match page.items.last().filter(|_| page.has_next) {
                    Some(last) => from = Some(Cursor { sort: None, ..last.cursor.clone() }),
                    None => break,
                }
            }
        }
        Ok(Progress { started: true, cursor, ..Progress::default() })
    }
}

/// Whether it is the tick of a cron that counts blocks: `0-10-blocks`.
fn is_of_block(cursor: &Cursor) -> bool {
    let unit = cursor.cron.as_deref().and_then(|cron| cron.splitn(3, '-').nth(2));
    unit.is_some_and(counts_blocks)
}

/// Whether the unit of an interval is blocks, as a compute unit reads it.
pub(crate) fn counts_blocks(unit: &str) -> bool {
    matches!(unit.split('-').next().map(str::trim), Some("block" | "blocks"))
}

fn key_of(process: ProcessId, at: &Cursor) -> Bytes {
    let (timestamp, ordinate) = (at.timestamp.0.to_be_bytes(), at.ordinate.unwrap_or(u64::MAX).to_be_bytes());
    let cron = at.cron.as_deref().unwrap_or_default();
    [&process.0.0[..], &timestamp, &ordinate, cron.as_bytes()].concat().into()
}
