//! The compute unit: evaluates the schedules of processes into states and outcomes.
//!
//! What a process is, is a function of its schedule: the [`Scheduler`] says what happened in which order, a
//! [`Runtime`] says what that does, and everything kept here, outcomes and checkpoints, is a cache of that. It
//! implements [`Compute`], as the units of `ao.TN.1` answer it.
//!
//! To be read in this order: [`input`] (what a guest sees) and [`cron`] (when crons are due), which are pure;
//! `evaluate` (one machine along its schedule), `hands` (on which thread), `line` (who waits for which process), `replay` (how its machine gets
//! there), `drive` (what it reads of the weave), `dry_run`, `checkpoint`,
//! `results`, `history`, `attest`, `published` (checkpoints on the weave).
//!
//! # Deviations
//!
//! From the incumbent's compute unit, each with a test of that name in `tests/compute/defects.rs`: outcomes are kept by
//! process and message; nothing caches dry runs; errors are stored and listed, and pages are full; an unknown message
//! or process is refused at once; memory limits are enforced by the runtime; an endless loop holds up its process
//! only. Hash chains are checked for every process, and the signatures of whatever another node's scheduler says. An
//! outcome has a [largest size](OUTCOME_BYTES_MAX).

pub mod cron;
pub mod input;

mod attest;
mod base;
mod checkpoint;
mod drive;
mod dry_run;
mod evaluate;
mod hands;
mod held;
mod history;
mod journal;
mod line;
mod options;
mod pages;
mod published;
mod replay;
mod results;
mod saving;
mod subject;
mod verify;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use protocol::{Address, Attestation, Digest, Id, Outcome, ProcessId, Slot, Timestamp, Wallet, tag};
use runtime::Runtime;
use store::{Blobs, Store};
use tokio::sync::Semaphore;
use unit::{
    Clock, Compute, DryRun, Error, Evaluated, Evaluation, Events, History, Kind, OutcomeQuery, Page,
    ProcessRecord, PublishedCheckpoint, Result, Scheduled, Scheduler, SlotRange, Sort, StateAt, Tip, Weave,
};

use crate::checkpoint::Checkpoints;
use crate::evaluate::Counted;
pub use crate::evaluate::{OUTCOME_BYTES_MAX, settled};
use crate::hands::Hands;
use crate::held::Held;
use crate::journal::Journal;
use crate::line::{Line, Shared, lock};
pub use crate::options::Options;
pub use crate::published::CheckpointOptions;
use crate::published::Published;
pub use crate::results::empty_outcome;
use crate::results::{Results, Which};
pub use crate::subject::limits;
use crate::subject::{Programs, Subject};
use crate::verify::unlisted;

/// What a compute unit needs from outside.
#[derive(Clone)]
pub struct Ports {
    /// Keeps outcomes.
    pub store: Arc<dyn Store>,
    /// Keeps checkpoints.
    pub blobs: Arc<dyn Blobs>,
    /// Says what happened to a process.
    pub scheduler: Arc<dyn Scheduler>,
    /// The scheduler that runs in this program, if one does: what it says itself is not verified again. `scheduler`
    /// asks it first.
    pub own_scheduler: Option<Arc<dyn Scheduler>>,
    /// Has modules, and messages that are assigned by their id.
    pub weave: Arc<dyn Weave>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Hears of outcomes.
    pub events: Arc<Events>,
    /// Signs what this unit attests.
    pub wallet: Wallet,
    /// Run modules; the first that runs a format is taken.
    pub runtimes: Vec<Arc<dyn Runtime>>,
}

/// Evaluates processes.
pub struct ComputeUnit {
    shared: Arc<Shared>,
    /// Replays to past moments.
    past: Semaphore,
}

/// What a compute unit has done since it was opened, and what it holds now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages evaluated, duplicates included.
    pub evaluated: u64,
    /// Messages evaluated again after a restart or for a look at the past.
    pub replayed: u64,
    /// Cron messages evaluated.
    pub ticks: u64,
    /// Messages skipped because they repeat others.
    pub duplicates: u64,
    /// Machines in memory.
    pub machines: u64,
    /// Bytes that they hold.
    pub machines_bytes: u64,
    /// Machines started from a checkpoint.
    pub woken: u64,
    /// Machines that left a checkpoint and went.
    pub hibernated: u64,
    /// Slots that somebody waits for, over all processes.
    pub slots_behind: u64,
    /// Processes started from a checkpoint on the weave.
    pub revived: u64,
    /// Slots before such checkpoints: read and verified, not evaluated.
    pub passed: u64,
    /// Checkpoints on the weave that were looked at and refused.
    pub checkpoints_refused: u64,
    /// Memories published on the weave.
    pub checkpoints_published: u64,
    /// Memories that could not be published.
    pub checkpoints_failed: u64,
}

impl ComputeUnit {
    /// Opens a compute unit. Nothing is evaluated until somebody asks.
    pub async fn open(ports: Ports, options: Options) -> Result<Arc<ComputeUnit>> {
        let journal = Journal::new(Arc::clone(&ports.store), options.unwritten_max);
        let shared = Shared {
            results: Results::new(journal.clone()),
            checkpoints: Checkpoints::new(Arc::clone(&ports.blobs), options.checkpoints_kept),
            programs: Programs::new(Arc::clone(&ports.weave), ports.runtimes.clone(), options.modules_max),
            gate: Arc::new(Semaphore::new(options.evaluations_max.max(1))),
            hands: Hands::new(),
            counted: Counted::default(),
            stopping: AtomicBool::new(false),
            saves: AtomicU64::new(0),
            savers: Semaphore::new(options.saves_max.max(1)),
            held: Held::default(),
            uses: AtomicU64::new(0),
            lines: Mutex::new(BTreeMap::new()),
            drive_cache: Arc::default(),
            published: Published::new(&options.checkpoints),
            journal,
            ports,
            options,
        };
        let past = Semaphore::new(shared.options.replays_max.max(1));
        Ok(Arc::new(ComputeUnit { shared: Arc::new(shared), past }))
    }

    /// What it has done and holds.
    pub fn counters(&self) -> Counters {
        let Shared { counted, .. } = &*self.shared;
        let (machines, machines_bytes) = self.shared.held.machines();
        let (woken, hibernated) = self.shared.held.turns();
        Counters {
            evaluated: counted.evaluated.load(Ordering::Relaxed),
            replayed: counted.replayed.load(Ordering::Relaxed),
            ticks: counted.ticks.load(Ordering::Relaxed),
            duplicates: counted.duplicates.load(Ordering::Relaxed),
            machines,
            machines_bytes,
            woken,
            hibernated,
            slots_behind: lock(&self.shared.lines).values().map(|line| line.behind()).sum(),
            revived: self.shared.published.revived.load(Ordering::Relaxed),
            passed: self.shared.published.read.load(Ordering::Relaxed),
            checkpoints_refused: self.shared.published.refused.load(Ordering::Relaxed),
            checkpoints_published: self.shared.published.uploaded.load(Ordering::Relaxed),
            checkpoints_failed: self.shared.published.failed.load(Ordering::Relaxed),
        }
    }

    /// Takes no more requests, lets every machine leave its checkpoint, and waits for that within a bound. What is
    /// not written by then is evaluated again after the next start.
    pub async fn stop(&self) {
        let shared = &self.shared;
        shared.stopping.store(true, Ordering::Relaxed);
        self.rest().await;
    }

    /// Has every machine leave its checkpoint, within the bound of stopping, so that whoever copies the blobs and then
    /// the log has what evaluation needs to go on from there. Requests meanwhile are served.
    pub async fn rest(&self) {
        let shared = &self.shared;
        let within = Duration::from_millis(shared.options.stop_within_ms);
        let left = tokio::time::timeout(within, async {
            loop {
                let lines: Vec<Arc<Line>> = lock(&shared.lines).values().cloned().collect();
                if lines.is_empty() && shared.saves.load(Ordering::Relaxed) == 0 {
                    break;
                }
                for line in lines {
                    line.leave(shared, true);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            shared.journal.durable().await
        });
        match left.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "not every outcome was written"),
            Err(_) => tracing::warn!("not every machine left its checkpoint in time"),
        }
    }
}

impl ComputeUnit {
    /// Up to when the blocks between entries are known, ms, if the scheduler knows the weave as it is `now`. It may have
    /// been cut off: its next entry then is of blocks that count before ticks which would be evaluated without them.
    async fn certain_until(&self, now: Tip) -> Result<u64> {
        let weave = &self.shared.ports.weave;
        let tip = self.shared.patiently(|| weave.tip()).await?;
        if tip.height <= now.height {
            return Ok(u64::MAX);
        }
        let next = protocol::Height(now.height.0 + 1);
        let blocks = self.shared.patiently(|| weave.blocks(next, 1)).await?;
        // A block is reached in the second of its timestamp.
        Ok(blocks.first().map_or(u64::MAX, |block| block.timestamp.0 / 1000 * 1000))
    }
}

impl Shared {
    /// The slot of a message in the schedule of that process.
    pub(crate) async fn find(&self, process: ProcessId, id: Id) -> Result<Scheduled> {
        if let Some(own) = &self.ports.own_scheduler
            && let Ok(found) = own.find(Some(process), id).await
            && found.assignment.process == process
        {
            return Ok(found);
        }
        let found = self.patiently(|| self.ports.scheduler.find(Some(process), id)).await?;
        if found.assignment.process != process {
            return Err(Error::not_found(format!(
                "message {id} has no slot in the schedule of process {process}"
            ))
            .with_code(unit::Code::NOT_SCHEDULED));
        }
        if !self.options.verify {
            return Ok(found);
        }
        let shown = found.clone();
        let verify = |shown| unit::blocking(move || verify::entry(process, shown));
        let entry = match verify(shown).await? {
            Ok(verified) => verified.scheduled,
            // Some schedulers show no anchors of single entries, and without them nothing can be verified.
            Err(_) => {
                let slot = found.assignment.slot;
                let listed = self.listed(process, slot).await?;
                if listed.assignment.id() != found.assignment.id() {
                    let what =
                        format!("slot {slot} of {process} is not what the scheduler says that {id} has");
                    return Err(Error::refused(what).with_code(unit::Code::BROKEN_SCHEDULE));
                }
                verify(listed).await??.scheduled
            }
        };
        let slot = entry.assignment.slot;
        if entry.message_id() != id && entry.assignment.id() != id {
            let what =
                format!("the scheduler answered with slot {slot} of {process}, which is not that of {id}");
            return Err(Error::refused(what).with_code(unit::Code::BROKEN_SCHEDULE));
        }
        // Anybody can sign that a message has a slot; whoever is not the scheduler of this process is not asked.
        subject::check_signer(process, self.scheduler_of(process).await?, &entry.assignment)?;
        Ok(entry)
    }

    /// The entry of a slot that is in the schedule, as its scheduler lists it. Who does not list it does not know it
    /// yet, or is not asked himself: that passes.
    pub(crate) async fn listed(&self, process: ProcessId, slot: Slot) -> Result<Scheduled> {
        let range = SlotRange::Slots { after: slot.0.checked_sub(1).map(Slot), to: Some(slot) };
        let page = self.patiently(|| self.ports.scheduler.schedule_page(process, range, 1)).await?;
        let listed = page.items.into_iter().find(|listed| listed.assignment.slot == slot);
        listed.ok_or_else(|| unlisted(process, slot))
    }

    /// The wallet that signs the schedule of a process.
    async fn scheduler_of(&self, process: ProcessId) -> Result<Address> {
        let line = lock(&self.lines).get(&process).cloned();
        let known = line.and_then(|line| lock(&line.state).subject.as_ref().map(|subject| subject.scheduler));
        match known {
            Some(scheduler) => Ok(scheduler),
            None => Ok(self.patiently(|| Subject::load(process, self)).await?.scheduler),
        }
    }

    /// A process, and whether what is said of it is believed as it is: that depends on who says it. Whom an answer
    /// names as the scheduler is part of the answer.
    pub(crate) async fn process(&self, process: ProcessId) -> Result<(ProcessRecord, bool)> {
        if let Some(own) = &self.ports.own_scheduler {
            match own.process(process).await {
                Err(error) if error.kind == Kind::NotFound => {}
                answer => return Ok((answer?, true)),
            }
        }
        Ok((self.ports.scheduler.process(process).await?, !self.options.verify))
    }
}

#[async_trait]
impl Compute for ComputeUnit {
    async fn result(&self, process: ProcessId, message: Id) -> Result<Arc<Outcome>> {
        let results = &self.shared.results;
        if let Some(outcome) = results.of_message(process, message)? {
            return Ok(outcome);
        }
        let entry = self.shared.find(process, message).await?;
        if let Some(outcome) = results.of_entry(&entry.assignment)? {
            return Ok(outcome);
        }
        let assignment = Arc::clone(&entry.assignment);
        let is_before = || Ok(results.began_after(process)?.is_some_and(|began| assignment.slot <= began));
        if !is_before()?
            && let Some(outcome) = self.shared.evaluate(entry).await?
        {
            return Ok(outcome);
        }
        // Somebody else had it evaluated in the meantime, or a checkpoint was taken for it.
        let outcome = results.of_entry(&assignment)?;
        if outcome.is_none() && is_before()? {
            return self.shared.outcome_before(&assignment, &self.past).await;
        }
        outcome.ok_or_else(|| {
            Error::unavailable(format!("the outcome of {message} in process {process} is not there"))
        })
    }

    async fn results(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        let limit = query.limit.min(self.shared.options.results_max);
        self.shared.results.page(process, &OutcomeQuery { limit, ..query }, Which::All)
    }

    async fn cron(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        let scheduler = &self.shared.ports.scheduler;
        let record = self.shared.patiently(|| scheduler.process(process)).await?;
        if record.item.tags.first(tag::CRON_INTERVAL).is_none() {
            return Ok(Page { items: Vec::new(), has_next: false });
        }
        let (now, latest) = self.shared.patiently(|| scheduler.latest_after_now(process)).await?;
        // While the clock stands nothing is under way that could come before.
        let is_still = self.shared.ports.clock.is_still();
        let lag = if is_still { 0 } else { self.shared.options.cron_lag_ms };
        let certain = self.certain_until(now).await?;
        let until = now.timestamp.0.saturating_sub(lag).min(certain);
        let until = Tip { timestamp: Timestamp(until), ..now };
        let caught_up = self.shared.tick(process, latest.assignment.slot, until).await?;
        let limit = query.limit.min(self.shared.options.results_max);
        let query = OutcomeQuery { limit, sort: Sort::Ascending, ..query };
        let page = self.shared.results.page(process, &query, Which::Cron)?;
        Ok(Page { has_next: page.has_next || !caught_up, ..page })
    }

    async fn dry_run(&self, process: ProcessId, message: DryRun, at: Option<Id>) -> Result<Outcome> {
        dry_run::dry_run(&self.shared, &self.past, process, message, at).await
    }

    async fn state(&self, process: ProcessId, to: Option<Timestamp>) -> Result<StateAt> {
        dry_run::state(&self.shared, &self.past, process, to).await
    }

    async fn address(&self) -> Result<Address> {
        Ok(self.shared.ports.wallet.address())
    }

    async fn attest(&self, process: ProcessId, of: Evaluation, with_state: bool) -> Result<Attestation> {
        if let Evaluation::Message(message) = of {
            self.result(process, message).await?;
        }
        attest::attest(&self.shared, &self.past, process, of, with_state).await
    }

    async fn publish_checkpoint(&self, process: ProcessId) -> Result<PublishedCheckpoint> {
        self.shared.publish_now(process).await
    }

    async fn history(&self, process: ProcessId, from: u64, limit: usize) -> Result<History> {
        attest::history(&self.shared, process, from, limit)
    }

    async fn consistency(&self, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>> {
        attest::consistency(&self.shared, process, from, to)
    }
}
