//! The messenger unit: takes messages in and carries their consequences out.
//!
//! Whatever is accepted is a task on the disk until it is done, and every task has the same two steps. *Deliver*:
//! the item gets its slot (`receive` for what a client sends, `deliver` for what this unit sends itself).
//! *Push*: the outcome of that slot is asked for, its outbox becomes signed items, and those are the next tasks
//! (`push` shows the walk; `outbox` decides what is sent). `cron` pushes what time did, without a client.
//!
//! # Why nothing is lost and nothing happens twice
//!
//! One batch of the store finishes a task, writes the signed bytes of what follows, and marks the slot as pushed.
//! Only when that batch is durable are the bytes sent. A crash before it leaves the task: its outcome is asked for
//! again, and is the same. A crash after it leaves the next tasks: the same bytes are sent again, and the scheduler
//! answers with the slot they have. Signing again would not do: signatures may be salted, so new bytes are a new
//! message.
//!
//! # Order
//!
//! What one process sends to another arrives in the order in which it was said. Different receivers do not wait
//! for one another, nor do different senders. Where the scheduler's answer for a message was lost, the pushes of its
//! process wait until the slot is known, or some time has passed (`doubts`). After a crash, and where tasks wait on the
//! disk for room, the order of two outcomes may be that in which this unit learnt of them; that within an outcome holds.
//!
//! # Deviations from the legacy network
//!
//! - A bad element of an outbox is refused alone, and listed; numbers and booleans as tag values become text.
//! - A process cannot set the `From-Process`, `From-Module`, `Pushed-For` or `Variant` of what it sends, also where
//!   the reference would let a second tag of that name stand before its own.
//! - Only the owner of a process may have it monitored. Items of the ao protocol are no monitor requests: they are
//!   public, and anybody could send one again.
//! - A message to something that is neither a process nor a known wallet is refused, if it comes from a client.

// The walk, in order; then what it stands on.
mod receive;
mod push;
pub mod outbox;
mod sign;
mod deliver;
mod doubts;
mod retry;
mod monitor;
mod progress;
mod cron;
mod trace;
mod dead;
mod parked;
mod queue;
mod step;
mod task;
mod codec;
mod life;
mod options;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, DataItem, Id, ProcessId, Timestamp, Wallet, tag};
use store::Store;
use tokio::sync::Semaphore;
use unit::{
    AssignRequest, Clock, Compute, Error, Events, Messenger, Monitored, MonitoredQuery, OutboxEntry,
    OutboxQuery, Page, Receipt, Result, Scheduler, Trace, TraceQuery, Weave,
};

pub use options::Options;

use cron::CronCounts;
use deliver::Deliveries;
use doubts::Doubts;
use life::Life;
use monitor::Monitors;
use parked::Parked;
use push::Pushes;
use queue::{Bounds, Queue};

/// What a messenger unit needs.
#[derive(Clone)]
pub struct Ports {
    /// Keeps the tasks.
    pub store: Arc<dyn Store>,
    /// Gives messages their slots.
    pub scheduler: Arc<dyn Scheduler>,
    /// Says what came of them.
    pub compute: Arc<dyn Compute>,
    /// Takes messages for wallets.
    pub weave: Arc<dyn Weave>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Hears of what is taken in and sent on.
    pub events: Arc<Events>,
    /// Signs what is pushed. Processes that trust it name it as `Authority`.
    pub wallet: Wallet,
}

/// A messenger unit.
pub struct MessengerUnit(Arc<Unit>);

/// What a messenger unit has to do, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauges {
    /// Tasks, on the disk and in memory.
    pub outbox: usize,
    /// Tasks in memory.
    pub loaded: usize,
    /// Tasks in memory that failed and are tried again.
    pub retrying: usize,
    /// What was given up.
    pub dead: usize,
    /// Processes whose cron is looked at.
    pub monitored: usize,
    /// Those of them whose last look failed.
    pub cron_failing: usize,
    /// Milliseconds by which the look at a cron is late that is most so.
    pub cron_late_ms: u64,
    /// Ticks of crons whose outcomes were seen, since the unit was opened.
    pub cron_ticks: u64,
    /// Those of them whose outcome is an error.
    pub cron_failed: u64,
    /// Those that were pushed late, because nobody had looked.
    pub cron_caught_up: u64,
    /// Those that were not pushed, because that was too long ago.
    pub cron_left_out: u64,
    /// Spawned processes whose cron is not run, because too many are.
    pub cron_children_refused: u64,
}

impl MessengerUnit {
    /// Opens the unit on its store and takes up what an earlier run left.
    pub async fn open(ports: Ports, options: Options) -> Result<Arc<MessengerUnit>> {
        let bounds = Bounds {
            loaded_max: options.loaded_max.max(1),
            loaded_bytes_max: options.loaded_bytes_max,
            traces_max: options.traces_max.max(1),
            dead_max: options.dead_max,
        };
        let (queue, events) = Queue::open(Arc::clone(&ports.store), bounds).map_err(internal)?;
        let now = ports.clock.now();
        let unit = Arc::new(Unit {
            cron_beat: AtomicU64::new(now.0),
            cron_counts: CronCounts::default(),
            monitors: Monitors::open(&*ports.store, now).map_err(internal)?,
            queue,
            life: Life::new(),
            broken: OnceLock::new(),
            deliveries: Deliveries::default(),
            pushes: Pushes::default(),
            parked: Parked::default(),
            doubts: Doubts::default(),
            delivery_permits: Semaphore::new(options.deliveries_max.max(1)),
            push_permits: Semaphore::new(options.pushes_max.max(1)),
            slow_permits: Semaphore::new(options.slow_pushes_max),
            retries: tokio::sync::Mutex::default(),
            processes: Mutex::default(),
            ports,
            options,
        });
        let runs = Arc::clone(&unit);
        tokio::spawn(async move {
            let route = |task| runs.route(task);
            tokio::select! {
                biased;
                () = runs.life.over() => {}
                end = runs.queue.run(events, route) => {
                    if let Err(error) = end {
                        tracing::error!(%error, "the messenger ends: its store failed");
                        let _ = runs.broken.set(internal(error));
                    }
                    runs.life.end();
                }
            }
        });
        let watches = Arc::clone(&unit);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = watches.life.stopping() => {}
                () = watches.watch_crons() => {}
            }
        });
        Ok(Arc::new(MessengerUnit(unit)))
    }

    /// Takes nothing more, finishes what is under way within [`Options::stop_ms`], and leaves the rest on the disk.
    pub async fn stop(&self) {
        let unit = &self.0;
        unit.life.stop(Duration::from_millis(unit.options.stop_ms)).await;
        if let Err(error) = unit.queue.flush().await {
            tracing::error!(%error, "the last steps of the messenger are not durable; they are done again");
        }
        unit.life.end();
    }

    /// What is still to be carried out: tasks after a number (0 for the first), oldest first.
    pub fn pending(&self, after: u64, limit: usize) -> Result<Vec<OutboxEntry>> {
        self.0.pending(after, limit)
    }

    /// What was given up, and why: after a number (0 for the first), oldest first.
    pub fn dead(&self, after: u64, limit: usize) -> Result<Vec<OutboxEntry>> {
        self.0.dead(after, limit)
    }

    /// Milliseconds for which the oldest task has waited that did not fail yet, among the oldest `LAG_LOOK`; None if
    /// there is none. What failed is tried in its own time and counted in [`Gauges::retrying`].
    pub fn outbox_age_ms(&self) -> Result<Option<u64>> {
        const LAG_LOOK: usize = 256;
        let waiting = self.pending(0, LAG_LOOK)?.into_iter().find(|task| task.failures == 0);
        Ok(waiting.map(|task| self.0.now().0.saturating_sub(task.trace.timestamp.0)))
    }

    /// The processes whose cron is looked at.
    pub fn monitored_processes(&self) -> Vec<ProcessId> {
        self.0.monitors.processes()
    }

    /// Looks at the cron of every monitored process now, and returns when all that was due is promised.
    pub async fn look_at_crons(&self) -> Result<()> {
        let _busy = self.0.begin()?;
        self.0.look_at_crons().await
    }

    /// How much there is to do.
    pub fn gauges(&self) -> Gauges {
        let counts = self.0.queue.counts();
        let (crons, count) = (&self.0.cron_counts, |count: &AtomicU64| count.load(Ordering::Relaxed));
        Gauges {
            outbox: counts.promised,
            loaded: counts.loaded,
            retrying: counts.failing,
            dead: counts.dead,
            monitored: self.0.monitors.len(),
            cron_failing: self.0.monitors.failing(),
            cron_late_ms: self.0.cron_late_ms(),
            cron_ticks: count(&crons.ticks),
            cron_failed: count(&crons.failed),
            cron_caught_up: count(&crons.caught_up),
            cron_left_out: count(&crons.left_out),
            cron_children_refused: count(&crons.refused),
        }
    }
}

/// Without [`MessengerUnit::stop`] whatever is under way is dropped; the disk has it.
impl Drop for MessengerUnit {
    fn drop(&mut self) {
        self.0.life.end();
    }
}

#[async_trait]
impl Messenger for MessengerUnit {
    async fn send(&self, item: DataItem) -> Result<Receipt> {
        let _busy = self.0.begin()?;
        self.0.receive(item).await
    }

    async fn assign(&self, request: AssignRequest) -> Result<Receipt> {
        let _busy = self.0.begin()?;
        self.0.receive_assign(request).await
    }

    async fn monitor(&self, request: DataItem) -> Result<()> {
        let _busy = self.0.begin()?;
        self.0.monitor(request).await
    }

    async fn unmonitor(&self, request: DataItem) -> Result<()> {
        let _busy = self.0.begin()?;
        self.0.unmonitor(request).await
    }

    async fn push(&self, process: ProcessId, message: Id, index: Option<usize>) -> Result<()> {
        let _busy = self.0.begin()?;
        self.0.receive_push(process, message, index).await
    }

    async fn traces(&self, query: TraceQuery) -> Result<Page<Trace>> {
        let store = Arc::clone(&self.0.ports.store);
        unit::blocking(move || trace::query(&*store, &query)).await?.map_err(internal)
    }

    async fn monitored(&self, query: MonitoredQuery) -> Result<Page<Monitored>> {
        let more = query.limit.saturating_add(1);
        Ok(Page::cut(self.0.monitors.list(query.after, more), query.limit))
    }

    async fn outbox(&self, query: OutboxQuery) -> Result<Page<OutboxEntry>> {
        let unit = Arc::clone(&self.0);
        let entries = move || {
            let OutboxQuery { dead, after, limit } = query;
            let more = limit.saturating_add(1);
            let entries = if dead { unit.dead(after, more) } else { unit.pending(after, more) };
            Ok(Page::cut(entries?, limit))
        };
        unit::blocking(entries).await?
    }

    async fn retry(&self, number: u64) -> Result<()> {
        let _busy = self.0.begin()?;
        self.0.retry(number).await
    }

    async fn address(&self) -> Result<Address> {
        Ok(self.0.ports.wallet.address())
    }
}

/// What the parts of the unit share.
struct Unit {
    ports: Ports,
    options: Options,
    queue: Arc<Queue>,
    life: Life,
    /// Why it ended by itself, if it did.
    broken: OnceLock<Error>,
    deliveries: Deliveries,
    pushes: Pushes,
    parked: Parked,
    doubts: Doubts,
    delivery_permits: Semaphore,
    push_permits: Semaphore,
    slow_permits: Semaphore,
    /// Held while a dead letter is taken up again.
    retries: tokio::sync::Mutex<()>,
    monitors: Monitors,
    /// Milliseconds since 1970 of the newest beat of whoever looks at crons.
    cron_beat: AtomicU64,
    cron_counts: CronCounts,
    processes: Mutex<BTreeMap<ProcessId, Arc<About>>>,
}

/// What is said of a process in what it sends. Never changes.
#[derive(Debug, Default)]
struct About {
    module: String,
    scheduler: Option<String>,
    has_cron: bool,
    has_block_cron: bool,
}

impl Unit {
    fn pending(&self, after: u64, limit: usize) -> Result<Vec<OutboxEntry>> {
        let tasks = self.queue.list(after, limit).map_err(internal)?;
        let entry = |(task, error): (task::Task, Option<String>)| OutboxEntry {
            number: task.number,
            trace: trace::of(&task, error.as_deref()),
            failures: task.failures,
            dead: None,
        };
        Ok(tasks.into_iter().map(entry).collect())
    }

    fn dead(&self, after: u64, limit: usize) -> Result<Vec<OutboxEntry>> {
        dead::list(&*self.ports.store, after, limit).map_err(internal)
    }

    fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// The unit is at work for as long as the answer lives; none of it if the unit stops.
    fn begin(&self) -> Result<life::Busy<'_>> {
        let busy = self.life.busy();
        if let Some(error) = self.broken.get() {
            return Err(error.clone());
        }
        if self.life.is_stopping() {
            return Err(Error::unavailable("the messenger unit is stopping")
                .with_code(unit::Code::STOPPING)
                .with_hint("send it again in a moment"));
        }
        Ok(busy)
    }

    /// Runs `work` until it is done or the unit is over.
    fn spawn<F: Future<Output = ()> + Send + 'static>(self: &Arc<Self>, work: impl FnOnce(Arc<Unit>) -> F) {
        let unit = Arc::clone(self);
        let work = work(Arc::clone(self));
        tokio::spawn(async move {
            let _busy = unit.life.busy();
            tokio::select! {
                biased;
                () = unit.life.over() => {}
                () = work => {}
            }
        });
    }

    /// What its scheduler knows of a process.
    async fn about(&self, process: ProcessId) -> Result<Arc<About>> {
        if let Some(about) = lock(&self.processes).get(&process) {
            return Ok(Arc::clone(about));
        }
        let record = self.ports.scheduler.process(process).await?;
        let text = |name| record.item.tags.first(name).map(str::to_owned);
        let about =
            Arc::new(About {
                module: text(tag::MODULE).unwrap_or_default(),
                scheduler: text(tag::SCHEDULER),
                has_cron: record.item.tags.first(tag::CRON_INTERVAL).is_some(),
                has_block_cron: record.item.tags.all(tag::CRON_INTERVAL).any(|interval| {
                    interval.split_once('-').is_some_and(|(_, unit)| cron::counts_blocks(unit))
                }),
            });
        let mut processes = lock(&self.processes);
        // Which one goes does not matter: it is asked for again.
        if processes.len() >= self.options.processes_max {
            processes.pop_first();
        }
        processes.insert(process, Arc::clone(&about));
        Ok(about)
    }
}

/// A panic elsewhere must not hide behind a poisoned lock here; nothing is left half done under these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the store could not do, to whoever asked for more.
fn internal(error: store::Error) -> Error {
    Error::internal(&error).with_code(unit::Code::STORE).with_hint_if(error.hint())
}

/// The beginning of bytes that may be long.
fn beginning(text: &str) -> Bytes {
    const MAX: usize = 1024;
    let end = (0..=MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Bytes::copy_from_slice(&text.as_bytes()[..end])
}
