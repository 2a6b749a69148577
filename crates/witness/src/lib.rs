//! Keeps what schedulers elsewhere signed until the weave has it deep, and shows it to a scheduler that forgot it.
//!
//! A [`Witness`] wraps a [`Scheduler`]: whatever a messenger has scheduled and a compute unit reads passes through it.
//! It keeps each signed assignment with its message ([`kept`]), waits for nothing, and forgets it once the weave has both
//! deep enough. A scheduler that holds, or whose schedule is shorter than what was seen of it or contradicts that, is shown
//! what is kept, a bit at a time ([`show`]). Only its operator says when it goes on.
//!
//! Nothing that is kept is believed: it is verified before it is shown, and whoever is shown it verifies it again. What
//! the scheduler of this node signed is on this node's disk already, and is not kept a second time.

mod kept;
mod show;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, DataItem, Id, ProcessId, Slot};
use serde::{Deserialize, Serialize};
use store::Store;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use unit::{
    Adopted, AssignRequest, Clock, Code, Error, Kind, Page, Placed, ProcessRecord, ProcessTimers,
    RecoveryState, Result, Scheduled, Scheduler, SlotRange, TimersQuery, Tip, Weave,
};

use crate::kept::{Kept, Words};

/// How much is kept, and how it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether anything is kept and shown.
    pub enabled: bool,
    /// Assignments that are kept at most. Beyond, the oldest go.
    pub entries_max: usize,
    /// Bytes of assignments and messages that are kept at most. Beyond, the oldest go.
    pub bytes_max: u64,
    /// Bytes of a message that is kept with its assignment. Of a larger one the assignment alone is: who is shown it looks
    /// for the message on the weave, or has to be given it by hand.
    pub message_bytes_max: usize,
    /// Confirmations of both on the weave after which they are kept no more.
    pub depth: u64,
    /// Milliseconds between two looks at each scheduler, and at what the weave has. What looks wrong is looked at sooner.
    pub interval_ms: u64,
    /// Milliseconds between two looks at least; twice as long each time that there is nothing new to show.
    pub pause_ms: u64,
    /// Assignments that are shown at once.
    pub shown_max: usize,
    /// Bytes of assignments and messages that are shown at once, unless one is larger.
    pub shown_bytes_max: usize,
    /// Processes of one scheduler that are looked at in one go, where it holds all of them.
    pub processes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            enabled: true,
            entries_max: 100_000,
            bytes_max: 256 << 20,
            message_bytes_max: 256 << 10,
            depth: 10,
            interval_ms: 30_000,
            pause_ms: 1_000,
            shown_max: 100,
            shown_bytes_max: 1 << 20,
            processes_max: 100,
        }
    }
}

/// What a witness needs.
pub struct Ports {
    /// Keeps what was seen.
    pub store: Arc<dyn Store>,
    /// Knows every scheduler.
    pub scheduler: Arc<dyn Scheduler>,
    /// Says what is permanent by now.
    pub weave: Arc<dyn Weave>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// The public keys of schedulers whose assignments are on this disk anyhow.
    pub own: Vec<Bytes>,
}

/// A scheduler whose words are kept.
pub struct Witness {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

/// What the tasks share.
pub(crate) struct Shared {
    pub(crate) ports: Ports,
    pub(crate) options: Options,
    pub(crate) kept: Mutex<Kept>,
    /// Processes of which something was said that does not fit what is kept.
    pub(crate) doubted: Mutex<BTreeSet<ProcessId>>,
    /// Somebody was doubted, or held.
    pub(crate) alarm: Notify,
    /// Something waits to be written.
    pub(crate) work: Notify,
    pub(crate) writing: tokio::sync::Mutex<()>,
    pub(crate) shown: AtomicU64,
    pub(crate) contradictions: AtomicU64,
}

/// What a witness has and did since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Assignments that are kept.
    pub kept: u64,
    /// Bytes of them and of their messages.
    pub kept_bytes: u64,
    /// Assignments that were not kept, or went before the weave had them, because of a bound.
    pub missed: u64,
    /// Assignments that schedulers had forgotten, and took when they were shown.
    pub shown: u64,
    /// Processes of which a scheduler signed two assignments for one slot, as far as was seen.
    pub contradictions: u64,
}

impl Witness {
    /// Goes on with what the store has.
    pub fn open(ports: Ports, options: Options) -> Result<Arc<Witness>> {
        let kept = Kept::open(&*ports.store, &options).map_err(|error| of_store(&error))?;
        let shared = Arc::new(Shared {
            kept: Mutex::new(kept),
            doubted: Mutex::default(),
            alarm: Notify::new(),
            work: Notify::new(),
            writing: tokio::sync::Mutex::default(),
            shown: AtomicU64::new(0),
            contradictions: AtomicU64::new(0),
            ports,
            options,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(kept::write(shared.clone()));
        tasks.spawn(show::watch(shared.clone()));
        Ok(Arc::new(Witness { shared, tasks: Mutex::new(tasks) }))
    }

    /// What it has and did.
    pub fn counters(&self) -> Counters {
        let kept = lock(&self.shared.kept);
        Counters {
            kept: kept.entries() as u64,
            kept_bytes: kept.bytes(),
            missed: kept.missed(),
            shown: self.shared.shown.load(Ordering::Relaxed),
            contradictions: self.shared.contradictions.load(Ordering::Relaxed),
        }
    }

    /// Keeps and shows nothing more. What was seen a moment ago is written.
    pub async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
        self.shared.flush().await;
    }

    /// Looks at the schedulers now, rather than in a while.
    pub async fn look(&self) {
        show::Watch::new(self.shared.clone()).look().await;
    }
}

impl Shared {
    /// Keeps an entry that its scheduler said, and sees whether it fits what is kept.
    fn see(&self, entry: &Scheduled) {
        if self.ports.own.contains(&entry.assignment.item.owner) {
            return;
        }
        let known = lock(&self.kept).judge(&entry.assignment);
        let seen = known.unwrap_or_else(|| match Words::of(entry, &self.options) {
            Some(words) => {
                let now = self.ports.clock.now();
                lock(&self.kept).keep(&entry.assignment, words, now, &self.options)
            }
            None => kept::Seen::Known,
        });
        match seen {
            kept::Seen::Kept => self.work.notify_one(),
            kept::Seen::Known => {}
            kept::Seen::Contradicts => self.doubt(entry.assignment.process),
        }
    }

    /// The scheduler of a process says less of it, or something else, than was seen.
    fn doubt(&self, process: ProcessId) {
        // What was shown as it is, and changed nothing, is not shown again.
        if !lock(&self.kept).was_shown(process) {
            lock(&self.doubted).insert(process);
            self.alarm.notify_one();
        }
    }

    /// Doubts a schedule that ends before the newest slot that is kept.
    fn ends(&self, process: ProcessId, last: Option<Slot>) {
        let newest = lock(&self.kept).newest(process);
        if newest.is_some_and(|newest| last.is_none_or(|last| last < newest)) {
            self.doubt(process);
        }
    }

    /// Hears of a hold.
    fn hear<T>(&self, process: ProcessId, answer: &Result<T>) {
        match answer {
            Err(error) if error.code == Code::HELD => {
                self.ends(process, None);
                self.alarm.notify_one();
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Scheduler for Witness {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        let process = match item.kind() {
            Some("Process") => item.id,
            _ => item.target.unwrap_or(item.id),
        };
        let answer = self.shared.ports.scheduler.schedule(item).await;
        self.shared.hear(process.into(), &answer);
        answer.inspect(|placed| self.shared.see(placed))
    }

    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        let process = request.process;
        let answer = self.shared.ports.scheduler.assign(request).await;
        self.shared.hear(process, &answer);
        answer.inspect(|placed| self.shared.see(placed))
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        let found = self.shared.ports.scheduler.find(process, id).await?;
        self.shared.see(&found);
        Ok(found)
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        let page = self.shared.ports.scheduler.schedule_page(process, range, limit).await?;
        page.items.iter().for_each(|entry| self.shared.see(entry));
        if let (SlotRange::Slots { after, to: None }, false) = (range, page.has_next) {
            self.shared.ends(process, page.items.last().map(|last| last.assignment.slot).or(after));
        }
        Ok(page)
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        // Some schedulers show it without its anchor: it is compared, and not kept.
        let latest = self.shared.ports.scheduler.latest(process).await?;
        self.shared.ends(process, Some(latest.assignment.slot));
        Ok(latest)
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        let answer = self.shared.ports.scheduler.process(process).await;
        if answer.as_ref().is_err_and(|error| error.kind == Kind::NotFound) {
            self.shared.ends(process, None);
        }
        answer
    }

    async fn timers(&self, query: TimersQuery) -> Result<Page<ProcessTimers>> {
        self.shared.ports.scheduler.timers(query).await
    }

    async fn standing_of(&self, process: ProcessId) -> Result<RecoveryState> {
        self.shared.ports.scheduler.standing_of(process).await
    }

    async fn show(&self, process: ProcessId, shown: Vec<DataItem>) -> Result<Adopted> {
        self.shared.ports.scheduler.show(process, shown).await
    }

    async fn now(&self) -> Result<Tip> {
        self.shared.ports.scheduler.now().await
    }

    async fn address(&self) -> Result<Address> {
        self.shared.ports.scheduler.address().await
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn of_store(error: &store::Error) -> Error {
    Error::internal(error).with_code(Code::STORE).with_hint_if(error.hint())
}
