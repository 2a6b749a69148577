//! Schedules of a scheduler that may be gone: as it says them, and as the weave remembers them while it says nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use protocol::{Address, DataItem, Id, ProcessId};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use unit::{
    Adopted, AssignRequest, Code, Error, Kind, Page, Placed, ProcessRecord, ProcessTimers, RecoveryState,
    Result, Scheduled, Scheduler, SlotRange, TimersQuery, Tip, Weave, told_text,
};

use crate::Archive;

/// Processes whose scheduler is known not to answer, at most.
const AWAY_MAX: usize = 10_000;

/// When the weave is read instead of a scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether a schedule is read from the weave while its scheduler does not answer. What is read is verified like
    /// what a scheduler elsewhere says: its signatures, its slots, its hash chain.
    pub enabled: bool,
    /// Failures in a row after which a scheduler is not asked first any more.
    pub failures: u32,
    /// Milliseconds for which it is not asked first then; twice as long after each further failure ...
    pub pause_ms: u64,
    /// ... up to this.
    pub pause_ms_max: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { enabled: true, failures: 3, pause_ms: 1_000, pause_ms_max: 5_000 }
    }
}

/// A scheduler whose schedules are read from the weave while it does not answer. Schedules nothing meanwhile, and knows
/// no time: whatever may come after the newest slot of the weave, nobody can say.
pub struct Fallback {
    scheduler: Arc<dyn Scheduler>,
    /// What this one has is not asked of the weave: it is believed as it is, and the weave is not.
    own: Option<Arc<dyn Scheduler>>,
    archive: Archive,
    options: Options,
    away: Mutex<BTreeMap<ProcessId, Away>>,
    entries: AtomicU64,
}

/// A scheduler that did not answer when it was asked about a process.
#[derive(Debug, Clone)]
struct Away {
    failures: u32,
    /// How it failed last.
    why: String,
    /// Until when it is not asked first.
    until: Option<Instant>,
    /// Whether it was told that the weave is read.
    is_told: bool,
}

impl Fallback {
    /// Asks `scheduler`, and the weave where that does not answer; but never about what `own` has.
    pub fn new(
        scheduler: Arc<dyn Scheduler>,
        own: Option<Arc<dyn Scheduler>>,
        weave: Arc<dyn Weave>,
        options: Options,
    ) -> Fallback {
        let archive = Archive::new(weave);
        Fallback { scheduler, own, archive, options, away: Mutex::default(), entries: AtomicU64::new(0) }
    }

    /// Entries of schedules that were read from the weave.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Processes whose schedules are read from the weave now.
    pub fn processes(&self) -> u64 {
        self.away().values().filter(|away| away.is_told).count() as u64
    }

    /// Whether the weave is asked before the scheduler.
    fn is_away(&self, process: ProcessId) -> bool {
        let until = self.away().get(&process).and_then(|away| away.until);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// The scheduler did not answer.
    fn fails(&self, process: ProcessId, why: &Error) {
        let Options { failures, pause_ms, pause_ms_max, .. } = self.options;
        let mut all = self.away();
        if all.len() >= AWAY_MAX {
            all.clear();
        }
        let new = || Away { failures: 0, why: String::new(), until: None, is_told: false };
        let away = all.entry(process).or_insert_with(new);
        away.failures = away.failures.saturating_add(1);
        away.why = told_text(&why.to_string());
        let Some(more) = away.failures.checked_sub(failures.max(1)) else { return };
        let pause = pause_ms.saturating_mul(1 << more.min(20)).min(pause_ms_max);
        away.until = Some(Instant::now() + Duration::from_millis(pause));
    }

    /// The scheduler answered.
    fn answers(&self, process: ProcessId) {
        let mut all = self.away();
        if all.is_empty() {
            return;
        }
        if all.remove(&process).is_some_and(|away| away.is_told) {
            tracing::info!(%process, "its scheduler answers again");
        }
    }

    /// Something was read from the weave.
    fn reads(&self, process: ProcessId, entries: usize) {
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        if let Some(away) = self.away().get_mut(&process).filter(|away| !away.is_told) {
            away.is_told = true;
            let why = &away.why;
            tracing::warn!(%process, why, "its scheduler does not answer: its schedule is read from the weave");
        }
    }

    /// Whether the weave may be asked, because the scheduler says nothing and does not run here.
    async fn is_gone(&self, process: ProcessId, error: &Error) -> bool {
        let says_nothing = match error.kind {
            Kind::Unavailable | Kind::Internal => error.code != Code::HELD,
            _ => matches!(error.code, Code::STRANGE_ANSWER | Code::SCHEDULER_NOWHERE),
        };
        says_nothing
            && match &self.own {
                Some(own) => own.process(process).await.is_err_and(|error| error.kind == Kind::NotFound),
                None => true,
            }
    }

    fn away(&self) -> MutexGuard<'_, BTreeMap<ProcessId, Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the weave cannot say either.
fn neither(error: Error) -> Error {
    let hint = "the weave was asked instead, and does not have it, or not yet";
    if error.hint.is_some() { error } else { error.with_hint(hint) }
}

/// Asks the scheduler, and the weave if it does not answer; the other way round while it is away. What the weave does not
/// have is the scheduler's to say: `$entries` tells how many entries are in what was found, or that it is not that.
macro_rules! read {
    ($self:ident, $process:expr, $verb:ident ( $($argument:expr),* ), $entries:expr) => {{
        let process = $process;
        let mut why = None;
        if !$self.is_away(process) {
            match $self.scheduler.$verb($($argument),*).await {
                Err(error) if $self.is_gone(process, &error).await => {
                    $self.fails(process, &error);
                    why = Some(error);
                }
                answer => {
                    $self.answers(process);
                    return answer;
                }
            }
        }
        if let Ok(mut found) = $self.archive.$verb($($argument),*).await
            && let Some(entries) = $entries(&mut found)
        {
            $self.reads(process, entries);
            return Ok(found);
        }
        if let Some(error) = why {
            return Err(neither(error));
        }
        let answer = $self.scheduler.$verb($($argument),*).await;
        match &answer {
            Err(error) if $self.is_gone(process, error).await => $self.fails(process, error),
            _ => $self.answers(process),
        }
        answer.map_err(neither)
    }};
}

/// How many entries a page of the weave has; `None` if it has nothing of what was asked for. One that ends before its
/// range does is not the last of it: what follows is in the schedule, and on the weave when it is settled.
fn entries_of(page: &mut Page<Scheduled>, range: SlotRange) -> Option<usize> {
    let SlotRange::Slots { after, to } = range else { return Some(page.items.len()) };
    let last = page.items.last().map(|last| last.assignment.slot).or(after);
    // Every schedule has a slot 0.
    let last = last?;
    if to.is_some_and(|to| last < to) {
        if page.items.is_empty() {
            return None;
        }
        page.has_next = true;
    }
    Some(page.items.len())
}

#[async_trait]
impl Scheduler for Fallback {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        self.scheduler.schedule(item).await
    }

    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        self.scheduler.assign(request).await
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        let Some(of) = process else { return self.scheduler.find(None, id).await };
        read!(self, of, find(process, id), |_| Some(1))
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        read!(self, process, schedule_page(process, range, limit), |page| entries_of(page, range))
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        read!(self, process, latest(process), |_| Some(1))
    }

    async fn latest_after_now(&self, process: ProcessId) -> Result<(Tip, Scheduled)> {
        // What the weave has is late, and time would be taken for gone by before a slot that it does not have yet.
        self.scheduler.latest_after_now(process).await
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        read!(self, process, process(process), |_| Some(0))
    }

    async fn timers(&self, query: TimersQuery) -> Result<Page<ProcessTimers>> {
        self.scheduler.timers(query).await
    }

    async fn standing_of(&self, process: ProcessId) -> Result<RecoveryState> {
        self.scheduler.standing_of(process).await
    }

    async fn show(&self, process: ProcessId, shown: Vec<DataItem>) -> Result<Adopted> {
        self.scheduler.show(process, shown).await
    }

    async fn now(&self) -> Result<Tip> {
        self.scheduler.now().await
    }

    async fn address(&self) -> Result<Address> {
        self.scheduler.address().await
    }
}
