//! Which processes are monitored: their cron runs and is pushed without anybody writing to them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use protocol::{Address, DataItem, ProcessId, Timestamp, tag};
use store::{Batch, Order, Space, Store};
use unit::{CatchUp, Error, Kind, Monitored, Result};

use crate::progress::{Attention, Patience, Progress, decode, encode};
use crate::queue::Queue;
use crate::step::Step;
use crate::{Unit, internal, lock};

/// Process → how far its cron is pushed.
const MONITOR: Space = Space("mu.monitor");

/// Milliseconds between two looks back. A look back reads some minutes of outcomes; blocks are two minutes apart.
const LOOK_BACK_EVERY_MS: u64 = 10_000;

/// How many processes may lie between a process and the wallet that spawned the first of them.
const SPAWNERS_MAX: usize = 16;

impl Unit {
    pub(crate) async fn monitor(&self, request: DataItem) -> Result<()> {
        let process = self.owned_process(request).await?;
        let written = {
            let mut monitors = lock(&self.monitors.0);
            if monitors.contains_key(&process) {
                return Err(Error::new(Kind::Conflict, "Process already being monitored"));
            }
            if monitors.len() >= self.options.monitored_max {
                let max = self.options.monitored_max;
                return Err(Error::refused(format!(
                    "{max} processes are monitored here and that is the most"
                )));
            }
            monitors.insert(process, Arc::new(Monitor::new(Progress::default(), self.now())));
            self.ports.store.append(put(process, &Progress::default()))
        };
        written.await.map_err(internal)
    }

    pub(crate) async fn unmonitor(&self, request: DataItem) -> Result<()> {
        let process = self.owned_process(request).await?;
        let written = {
            let mut monitors = lock(&self.monitors.0);
            let monitor = monitors.remove(&process);
            let monitor = monitor.ok_or_else(|| Error::not_found("Process monitor not found"))?;
            // Whoever is at this process's cron writes nothing from here on, so nothing comes after this batch.
            let mut progress = lock(&monitor.progress);
            *progress = None;
            let mut batch = Batch::new();
            batch.delete(MONITOR, process.0.0.to_vec());
            self.ports.store.append(batch)
        };
        written.await.map_err(internal)
    }

    /// Monitors a process that a process spawned with crons, since nobody else would: its signature is this unit's. Once
    /// it is durable, or nothing if there are too many already.
    pub(crate) async fn monitor_child(&self, child: ProcessId, spawner: ProcessId) -> Result<()> {
        let progress = Progress { started: true, spawner: Some(spawner), ..Progress::default() };
        let written = {
            let mut monitors = lock(&self.monitors.0);
            if monitors.contains_key(&child) {
                return Ok(());
            }
            let is_child = |monitor: &&Arc<Monitor>| {
                lock(&monitor.progress).as_ref().is_some_and(|it| it.spawner.is_some())
            };
            let max = self.options.monitored_children_max.min(self.options.monitored_max);
            if monitors.len() >= self.options.monitored_max
                || monitors.values().filter(is_child).count() >= max
            {
                self.cron_counts.refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%child, %spawner, max, "the cron of a spawned process is not run: too many are (mu.monitored_children_max); its owner may ask for it");
                return Ok(());
            }
            let batch = put(child, &progress);
            monitors.insert(child, Arc::new(Monitor::new(progress, self.now())));
            self.ports.store.append(batch)
        };
        written.await.map_err(internal)
    }

    /// The process that a request is about, if its owner made it.
    async fn owned_process(&self, request: DataItem) -> Result<ProcessId> {
        let request = self.verified(request).await?;
        // Messages are public: whoever reads one of the owner's could send it here as a request.
        if matches!(request.kind(), Some("Message" | "Process")) {
            return Err(Error::invalid("a message is no monitor request")
                .with_hint("sign an item without tags whose target is the process"));
        }
        let process = request.target.ok_or_else(|| {
            Error::invalid("the request does not say which process")
                .with_hint("the process is the item's target")
        })?;
        let owner = self.owner_of(process.into()).await?;
        if owner != request.address() {
            let who = request.address();
            return Err(Error::new(Kind::Forbidden, format!("{who} does not own process {process}"))
                .with_hint(format!("its owner {owner} must sign the request")));
        }
        Ok(process.into())
    }

    /// The wallet that a process belongs to. One that this unit signed for a process belongs to whom that process
    /// belongs to.
    async fn owner_of(&self, mut process: ProcessId) -> Result<Address> {
        let us = self.ports.wallet.address();
        for _ in 0..SPAWNERS_MAX {
            let record = self.ports.scheduler.process(process).await?;
            let owner = record.item.address();
            match record.item.tags.first(tag::FROM_PROCESS).and_then(|spawner| spawner.parse().ok()) {
                Some(spawner) if owner == us => process = spawner,
                _ => return Ok(owner),
            }
        }
        Ok(us)
    }
}

/// The processes that are monitored.
pub(crate) struct Monitors(Mutex<BTreeMap<ProcessId, Arc<Monitor>>>);

/// One process that is monitored.
pub(crate) struct Monitor {
    /// None once it is monitored no longer.
    progress: Mutex<Option<Progress>>,
    /// Somebody is at its cron.
    busy: AtomicBool,
    /// Milliseconds since 1970 when somebody last was done with a look at its cron, or when it was first monitored.
    looked_at: AtomicU64,
    /// Why the last look at its cron failed, if it did.
    error: Mutex<Option<String>>,
    attention: Mutex<Attention>,
    /// Milliseconds since 1970 when ticks of blocks were last looked for that came to be known late.
    looked_back_at: AtomicU64,
    /// Since the last look that left nothing, something came late.
    is_catching_up: AtomicBool,
}

impl Monitors {
    pub(crate) fn open(store: &dyn Store, now: Timestamp) -> Result<Monitors, store::Error> {
        const PAGE: usize = 256;
        let mut monitors = BTreeMap::new();
        let mut from = Bytes::new();
        loop {
            let page =
                store.scan(MONITOR, (Bound::Excluded(&from), Bound::Unbounded), Order::Ascending, PAGE)?;
            for (key, row) in &page {
                match protocol::Id::from_slice(key).zip(decode(row)) {
                    Some((id, progress)) => {
                        drop(monitors.insert(id.into(), Arc::new(Monitor::new(progress, now))))
                    }
                    None => tracing::error!(?key, "a monitor cannot be read and is left where it is"),
                }
            }
            match page.last() {
                Some((key, _)) if page.len() == PAGE => from = key.clone(),
                _ => return Ok(Monitors(Mutex::new(monitors))),
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    /// Of how many the last look failed.
    pub(crate) fn failing(&self) -> usize {
        lock(&self.0).values().filter(|monitor| lock(&monitor.error).is_some()).count()
    }

    /// When the look that is longest ago was done.
    pub(crate) fn oldest_look(&self) -> Option<Timestamp> {
        let monitors = lock(&self.0);
        let looks = monitors.values().map(|monitor| monitor.looked_at.load(Ordering::Relaxed));
        looks.min().map(Timestamp)
    }

    /// What there is to say of at most so many after that one, in order.
    pub(crate) fn list(&self, after: Option<ProcessId>, limit: usize) -> Vec<Monitored> {
        let monitors = lock(&self.0);
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let one = |(process, monitor): (&ProcessId, &Arc<Monitor>)| {
            let progress = lock(&monitor.progress).clone().unwrap_or_default();
            Monitored {
                process: *process,
                looked_at: Timestamp(monitor.looked_at.load(Ordering::Relaxed)),
                pushed: progress.cursor,
                error: lock(&monitor.error).clone(),
                spawner: progress.spawner,
                tally: progress.tally,
            }
        };
        monitors.range((after, Bound::Unbounded)).take(limit).map(one).collect()
    }

    /// All of them, in order.
    pub(crate) fn processes(&self) -> Vec<ProcessId> {
        lock(&self.0).keys().copied().collect()
    }

    /// The right to one of them, if nobody has it; also to one that is monitored no longer.
    pub(crate) fn take(&self, process: ProcessId) -> Option<AtWork> {
        match lock(&self.0).get(&process) {
            Some(monitor) => {
                (!monitor.busy.swap(true, Ordering::AcqRel)).then(|| AtWork(Arc::clone(monitor)))
            }
            None => {
                let gone = Monitor::new(Progress::default(), Timestamp(0));
                *lock(&gone.progress) = None;
                Some(AtWork(Arc::new(gone)))
            }
        }
    }

    /// Those nobody is at; from now on the caller is, until he drops them.
    pub(crate) fn idle(&self) -> Vec<(ProcessId, AtWork)> {
        let monitors = lock(&self.0);
        let idle = monitors.iter().filter(|(_, monitor)| !monitor.busy.swap(true, Ordering::AcqRel));
        idle.map(|(process, monitor)| (*process, AtWork(Arc::clone(monitor)))).collect()
    }
}

/// The right to push the cron of a process.
pub(crate) struct AtWork(Arc<Monitor>);

impl AtWork {
    /// How far it is. None if it is monitored no longer.
    pub(crate) fn progress(&self) -> Option<Progress> {
        lock(&self.0.progress).clone()
    }

    /// How the last look ended is now this. Answers whether the one before failed.
    pub(crate) fn ended<T>(&self, look: &Result<T>) -> bool {
        let error = look.as_ref().err().map(ToString::to_string);
        std::mem::replace(&mut *lock(&self.0.error), error).is_some()
    }

    /// A look begins: since when there have been looks.
    pub(crate) fn begins(&self, now: Timestamp, patience: Patience) -> Attention {
        lock(&self.0.attention).look(now, patience)
    }

    /// A look that began then went well. If it left nothing and something was late: what was caught up.
    pub(crate) fn went_well(&self, began: Timestamp, left_nothing: bool) -> Option<CatchUp> {
        lock(&self.0.attention).was_well(began);
        let ends = left_nothing && self.0.is_catching_up.swap(false, Ordering::Relaxed);
        if ends { self.progress().and_then(|progress| progress.tally.catch_up) } else { None }
    }

    /// Whether it is time to look back; always if the clock stands, since whoever moves it is waiting.
    pub(crate) fn may_look_back(&self, now: Timestamp, is_still: bool) -> bool {
        let before = self.0.looked_back_at.load(Ordering::Relaxed);
        let is_time = is_still || now.0.abs_diff(before) >= LOOK_BACK_EVERY_MS;
        if is_time {
            self.0.looked_back_at.store(now.0, Ordering::Relaxed);
        }
        is_time
    }

    /// Something comes late.
    pub(crate) fn catches_up(&self) {
        self.0.is_catching_up.store(true, Ordering::Relaxed);
    }

    /// Writes down that a look is done.
    pub(crate) fn is_done(&self, now: Timestamp) {
        self.0.looked_at.store(now.0, Ordering::Relaxed);
    }

    /// Takes a step that ends there. False if the process is monitored no longer: then nothing happens.
    pub(crate) fn advance(&self, queue: &Queue, process: ProcessId, to: Progress, mut step: Step) -> bool {
        let mut progress = lock(&self.0.progress);
        if progress.is_none() {
            return false;
        }
        step.put(MONITOR, process.0.0.to_vec(), encode(&to));
        *progress = Some(to);
        queue.commit(step);
        true
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

impl Monitor {
    fn new(progress: Progress, now: Timestamp) -> Monitor {
        Monitor {
            progress: Mutex::new(Some(progress)),
            busy: AtomicBool::new(false),
            looked_at: AtomicU64::new(now.0),
            error: Mutex::default(),
            attention: Mutex::new(Attention::from(now)),
            looked_back_at: AtomicU64::new(0),
            is_catching_up: AtomicBool::new(false),
        }
    }
}

fn put(process: ProcessId, progress: &Progress) -> Batch {
    let mut batch = Batch::new();
    batch.put(MONITOR, process.0.0.to_vec(), encode(progress));
    batch
}
