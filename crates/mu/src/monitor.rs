//! Which processes are monitored: their cron runs and is pushed without anybody writing to them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use protocol::{Address, DataItem, ProcessId, Timestamp, tag};
use store::{Batch, Order, Space, Store};
use unit::{Cursor, Error, Kind, Monitored, Result};

use crate::codec::{Reader, Writer};
use crate::queue::Queue;
use crate::step::Step;
use crate::{Unit, internal, lock};

/// Process → how far its cron is pushed.
const MONITOR: Space = Space("mu.monitor");

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
}

/// How far the cron of a process is pushed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Where to start was decided.
    pub(crate) started: bool,
    /// After this. Without it from the beginning.
    pub(crate) cursor: Option<Cursor>,
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
        let one = |(process, monitor): (&ProcessId, &Arc<Monitor>)| Monitored {
            process: *process,
            looked_at: Timestamp(monitor.looked_at.load(Ordering::Relaxed)),
            pushed: lock(&monitor.progress).as_ref().and_then(|progress| progress.cursor.clone()),
            error: lock(&monitor.error).clone(),
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
        }
    }
}

fn put(process: ProcessId, progress: &Progress) -> Batch {
    let mut batch = Batch::new();
    batch.put(MONITOR, process.0.0.to_vec(), encode(progress));
    batch
}

fn encode(progress: &Progress) -> Vec<u8> {
    let mut out = Writer::default();
    out.byte(u8::from(progress.started)).byte(u8::from(progress.cursor.is_some()));
    if let Some(cursor) = &progress.cursor {
        out.number(cursor.timestamp.0).maybe_number(cursor.ordinate).maybe_text(cursor.cron.as_deref());
    }
    out.done()
}

fn decode(row: &[u8]) -> Option<Progress> {
    let mut input = Reader(row);
    let started = input.is_there()?;
    let cursor = match input.is_there()? {
        false => None,
        true => Some(Cursor {
            timestamp: Timestamp(input.number()?),
            ordinate: input.maybe_number()?,
            cron: input.maybe_text()?,
            sort: None,
        }),
    };
    Some(Progress { started, cursor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(progress: Progress) {
        assert_eq!(decode(&encode(&progress)), Some(progress));
    }

    #[test]
    fn progress_is_read_as_it_was_written() {
        check(Progress::default());
        check(Progress { started: true, cursor: None });
        let cursor = Cursor {
            timestamp: Timestamp(9),
            ordinate: Some(3),
            cron: Some("0-10-seconds".into()),
            sort: None,
        };
        check(Progress { started: true, cursor: Some(cursor.clone()) });
        check(Progress { started: true, cursor: Some(Cursor { ordinate: None, cron: None, ..cursor }) });
    }
}
