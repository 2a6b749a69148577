//! Lines: for each process one evaluation that everybody who asks about it shares.
//!
//! A [`Line`] runs while somebody waits for it, and tells each who waits as soon as their slot is done. At most one
//! thread evaluates a process at a time; lines run beside each other. When nobody waits a line keeps its machine at
//! hand, until others need the room.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{Outcome, ProcessId, Slot};
use runtime::Machine;
use tokio::sync::{Semaphore, oneshot};
use unit::{Error, Kind, Result, Scheduled, Tip};

use crate::checkpoint::{Checkpoints, Position};
use crate::cron::Moment;
use crate::evaluate::{Counted, Live, Stop, Work, stopping};
use crate::hands::Hands;
use crate::held::Held;
use crate::journal::Journal;
use crate::published::Published;
use crate::results::Results;
use crate::saving::Series;
use crate::subject::{Programs, Subject, refused};
use crate::{Options, Ports};

/// What all lines share.
pub(crate) struct Shared {
    pub(crate) ports: Ports,
    pub(crate) options: Options,
    pub(crate) journal: Journal,
    pub(crate) results: Results,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) programs: Programs,
    /// Evaluations at the same time.
    pub(crate) gate: Arc<Semaphore>,
    /// The threads that they run on.
    pub(crate) hands: Hands,
    pub(crate) counted: Counted,
    pub(crate) stopping: AtomicBool,
    /// Checkpoints that are being written while evaluation goes on.
    pub(crate) saves: AtomicU64,
    /// Machines that leave their checkpoint at the same time: each has its memory in hand meanwhile.
    pub(crate) savers: Semaphore,
    /// What machines hold, and whether there is room for more.
    pub(crate) held: Held,
    /// Counts uses of lines, to know which is the least recent.
    pub(crate) uses: AtomicU64,
    /// What was read of the weave lately.
    pub(crate) drive_cache: Arc<crate::drive::Cache>,
    /// Checkpoints on the weave.
    pub(crate) published: Published,
    pub(crate) lines: Mutex<BTreeMap<ProcessId, Arc<Line>>>,
}

/// The evaluation of one process.
pub(crate) struct Line {
    pub(crate) process: ProcessId,
    /// Starts from checkpoints of then, and is forgotten after.
    pub(crate) past: Option<Slot>,
    pub(crate) state: Mutex<State>,
    /// A checkpoint is being written.
    pub(crate) saving: AtomicBool,
    /// What the next checkpoint may follow.
    pub(crate) series: Mutex<Series>,
    /// When its memory was published last, by the unit's clock; 0 if not while this line is there.
    pub(crate) published_ms: AtomicU64,
    /// When it was last used, as [`Shared::uses`] counts.
    used: AtomicU64,
    /// Bytes that its machine holds; 0 if it has none.
    resident: AtomicU64,
    /// The next slot of its machine.
    pub(crate) next: AtomicU64,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) wishes: BTreeMap<Slot, Vec<Wish>>,
    pub(crate) tails: Vec<Tail>,
    /// How many of both.
    pub(crate) waiting: usize,
    /// An entry that somebody has found already: saves asking for a page of one.
    pub(crate) hint: Option<Scheduled>,
    running: bool,
    /// Told to save and drop its machine when nobody waits; the bytes that it held then.
    leaving: Option<u64>,
    /// No longer among [`Shared::lines`]; takes no wishes.
    retired: bool,
    pub(crate) subject: Option<Arc<Subject>>,
    /// The machine, while the line does not run.
    parked: Option<Live>,
}

/// What somebody waits for, after a slot.
pub(crate) enum Wish {
    /// To know that it is evaluated, and the outcome if it was evaluated just now.
    Outcome(oneshot::Sender<Result<Option<Arc<Outcome>>>>),
    /// A copy of the machine, at this slot or later.
    Fork(oneshot::Sender<Result<Option<Forked>>>),
    /// A copy of the machine at exactly this slot and before any tick; `None` if it is later already.
    ForkExactly(oneshot::Sender<Result<Option<Forked>>>),
}

/// A copy of a machine.
pub(crate) struct Forked {
    pub(crate) machine: Box<dyn Machine>,
    pub(crate) position: Option<Position>,
    /// The cron that ticked last, if that is known.
    pub(crate) cron: Option<String>,
    pub(crate) subject: Arc<Subject>,
}

/// Somebody waits for cron ticks after a slot, up to a moment.
pub(crate) struct Tail {
    pub(crate) slot: Slot,
    pub(crate) until: Moment,
    pub(crate) caught_up: oneshot::Sender<Result<bool>>,
}

impl Shared {
    /// The line of a process.
    fn line(&self, process: ProcessId) -> Arc<Line> {
        let mut lines = lock(&self.lines);
        Arc::clone(lines.entry(process).or_insert_with(|| Line::new(process, None)))
    }

    /// Has a process evaluated up to the entry, and answers with its outcome if it was evaluated just now.
    pub(crate) async fn evaluate(self: &Arc<Self>, entry: Scheduled) -> Result<Option<Arc<Outcome>>> {
        let (tell, told) = oneshot::channel();
        let slot = entry.assignment.slot;
        self.wish(entry.assignment.process, |state| {
            state.hint = Some(entry);
            state.wishes.entry(slot).or_default().push(Wish::Outcome(tell));
        })?;
        told.await.unwrap_or_else(|_| Err(lost()))
    }

    /// A copy of the machine of a process, after the slot or later.
    pub(crate) async fn fork(self: &Arc<Self>, process: ProcessId, slot: Slot) -> Result<Forked> {
        let (tell, told) = oneshot::channel();
        self.wish(process, |state| state.wishes.entry(slot).or_default().push(Wish::Fork(tell)))?;
        told.await.unwrap_or_else(|_| Err(lost()))?.ok_or_else(lost)
    }

    /// A copy of the machine of a process as it was right after the slot.
    pub(crate) async fn fork_at(
        self: &Arc<Self>,
        process: ProcessId,
        slot: Slot,
        past: &Semaphore,
    ) -> Result<Forked> {
        let (tell, told) = oneshot::channel();
        self.wish(process, |state| state.wishes.entry(slot).or_default().push(Wish::ForkExactly(tell)))?;
        if let Some(forked) = told.await.unwrap_or_else(|_| Err(lost()))? {
            return Ok(forked);
        }
        // The process is past that: another machine goes there.
        let _permit = past.acquire().await.map_err(|_| stopping())?;
        let (tell, told) = oneshot::channel();
        let line = Line::new(process, Some(slot));
        line.add(self, |state| state.wishes.entry(slot).or_default().push(Wish::ForkExactly(tell)))?;
        told.await.unwrap_or_else(|_| Err(lost()))?.ok_or_else(lost)
    }

    /// Has the cron ticks of a process evaluated up to a moment after `slot`. Whether there are no more until then.
    pub(crate) async fn tick(self: &Arc<Self>, process: ProcessId, slot: Slot, until: Tip) -> Result<bool> {
        let (caught_up, told) = oneshot::channel();
        let until = Moment { timestamp: until.timestamp.0, height: until.height.0 };
        self.wish(process, |state| state.tails.push(Tail { slot, until, caught_up }))?;
        told.await.unwrap_or_else(|_| Err(lost()))
    }

    /// The outcome of a slot from before the checkpoint that its process was started from: another machine goes there
    /// from the beginning. What it finds on the way is kept, so nobody goes there twice.
    pub(crate) async fn outcome_before(
        self: &Arc<Self>,
        assignment: &protocol::Assignment,
        past: &Semaphore,
    ) -> Result<Arc<Outcome>> {
        let _permit = past.acquire().await.map_err(|_| stopping())?;
        if let Some(outcome) = self.results.of_entry(assignment)? {
            return Ok(outcome);
        }
        let (tell, told) = oneshot::channel();
        let slot = assignment.slot;
        // Not a machine that is at this slot already: that knows no outcome of it.
        let line = Line::new(assignment.process, Some(Slot(slot.0.saturating_sub(1))));
        line.add(self, |state| state.wishes.entry(slot).or_default().push(Wish::Outcome(tell)))?;
        told.await.unwrap_or_else(|_| Err(lost()))?.ok_or_else(lost)
    }

    fn wish(self: &Arc<Self>, process: ProcessId, add: impl FnOnce(&mut State)) -> Result<()> {
        let mut add = Some(add);
        loop {
            let line = self.line(process);
            let taken = line.add(self, |state| (add.take().expect("a wish is added once"))(state))?;
            if taken {
                return Ok(());
            }
            line.forget(self);
        }
    }

    /// Asks again while a failure may pass.
    pub(crate) async fn patiently<T, F: Future<Output = Result<T>>>(&self, ask: impl Fn() -> F) -> Result<T> {
        let mut pause = Duration::from_millis(self.options.retry_after_ms);
        for _ in 0..self.options.retries {
            match ask().await {
                Err(error) if error.kind.is_transient() && !self.stopping.load(Ordering::Relaxed) => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
        ask().await
    }
}

impl Line {
    fn new(process: ProcessId, past: Option<Slot>) -> Arc<Line> {
        Arc::new(Line {
            process,
            past,
            state: Mutex::default(),
            saving: AtomicBool::new(false),
            series: Mutex::default(),
            published_ms: AtomicU64::new(0),
            used: AtomicU64::new(0),
            resident: AtomicU64::new(0),
            next: AtomicU64::new(0),
        })
    }

    /// Slots that are waited for and not evaluated yet.
    pub(crate) fn behind(&self) -> u64 {
        let goal = lock(&self.state).goal().map_or(0, |slot| slot.0 + 1);
        goal.saturating_sub(self.next.load(Ordering::Relaxed))
    }

    pub(crate) fn resident(&self) -> u64 {
        self.resident.load(Ordering::Relaxed)
    }

    /// When it was last used, as [`Shared::uses`] counts.
    pub(crate) fn last_use(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Its machine holds so many bytes; 0 if it has none.
    fn hold(&self, shared: &Shared, bytes: u64) {
        shared.held.replace(self.resident.swap(bytes, Ordering::Relaxed), bytes);
    }

    /// It has gone, or stays after all.
    fn stay(&self, shared: &Shared, state: &mut State) {
        if let Some(bytes) = state.leaving.take() {
            shared.held.went(bytes);
        }
    }

    /// Adds to what is waited for and has the line run. False if it takes nothing any more.
    fn add(self: &Arc<Self>, shared: &Arc<Shared>, add: impl FnOnce(&mut State)) -> Result<bool> {
        if shared.stopping.load(Ordering::Relaxed) {
            return Err(stopping());
        }
        let mut state = lock(&self.state);
        if state.retired {
            return Ok(false);
        }
        if state.waiting >= shared.options.waiting_max {
            return Err(Error::new(
                Kind::Busy { retry_after: Duration::from_secs(1) },
                format!("too many requests wait for process {}", self.process),
            ));
        }
        add(&mut state);
        state.waiting += 1;
        self.stay(shared, &mut state);
        self.used.store(shared.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.start(shared, state);
        Ok(true)
    }

    /// Tells the line to save and drop its machine. Only if it is idle, unless `even_if_busy`.
    pub(crate) fn leave(self: &Arc<Self>, shared: &Arc<Shared>, even_if_busy: bool) {
        let mut state = lock(&self.state);
        if state.retired || (state.running && !even_if_busy) {
            return;
        }
        if state.leaving.is_none() {
            let bytes = self.resident();
            state.leaving = Some(bytes);
            shared.held.goes(bytes);
        }
        self.start(shared, state);
    }

    fn start(self: &Arc<Self>, shared: &Arc<Shared>, mut state: MutexGuard<'_, State>) {
        if !state.running {
            state.running = true;
            let live = state.parked.take();
            tokio::spawn(Arc::clone(self).run(Arc::clone(shared), live));
        }
    }

    /// Runs until nobody waits, then parks the machine or lets it go.
    async fn run(self: Arc<Self>, shared: Arc<Shared>, mut live: Option<Live>) {
        let running = Running { line: &self, shared: &shared };
        loop {
            match self.advance(&shared, &mut live).await {
                Ok(()) => {}
                Err(Stop::Contradicted) => live = self.roll_back(&shared, live.take()).await,
                Err(Stop::Failed(error)) => self.fail(&error),
            }
            let resident = live.as_ref().map_or(0, |live| live.machine.resident_bytes().max(1));
            self.hold(&shared, resident);
            match self.rest(&shared, &mut live) {
                Rest::Wanted => {}
                Rest::Unsaved => live = self.save(&shared, live.take()).await,
                Rest::Parked => {
                    running.done();
                    return shared.trim();
                }
                Rest::Retired => break,
            }
        }
        running.done();
        self.forget(&shared);
        if live.take().is_some() && self.past.is_none() {
            shared.held.hibernates();
        }
        self.gone(&shared);
    }

    /// Decides whether the line may rest, in one piece: who asks a moment later starts it again.
    fn rest(&self, shared: &Shared, live: &mut Option<Live>) -> Rest {
        let mut state = lock(&self.state);
        if state.goal().is_some() {
            return Rest::Wanted;
        }
        let saved = live
            .as_ref()
            .is_none_or(|live| live.unsaved == Work::default() && !self.publishes_at_the_end(shared, live));
        if live.is_none() || self.past.is_some() || (state.leaving.is_some() && saved) {
            state.running = false;
            state.retired = true;
            return Rest::Retired;
        }
        if state.leaving.is_some() {
            return Rest::Unsaved;
        }
        state.running = false;
        state.parked = live.take();
        Rest::Parked
    }

    /// It has no machine any more.
    fn gone(&self, shared: &Shared) {
        self.hold(shared, 0);
        self.stay(shared, &mut lock(&self.state));
    }

    fn forget(self: &Arc<Self>, shared: &Shared) {
        let mut lines = lock(&shared.lines);
        if lines.get(&self.process).is_some_and(|line| Arc::ptr_eq(line, self)) {
            lines.remove(&self.process);
        }
    }

    /// Tells everybody who still waits that it cannot be.
    pub(crate) fn fail(&self, error: &Error) {
        let (wishes, tails) = {
            let mut state = lock(&self.state);
            (state.hint, state.waiting) = (None, 0);
            (std::mem::take(&mut state.wishes), std::mem::take(&mut state.tails))
        };
        for wish in wishes.into_values().flatten() {
            match wish {
                Wish::Outcome(tell) => drop(tell.send(Err(error.clone()))),
                Wish::Fork(tell) | Wish::ForkExactly(tell) => drop(tell.send(Err(error.clone()))),
            }
        }
        for tail in tails {
            let _ = tail.caught_up.send(Err(error.clone()));
        }
    }
}

/// What a line does when it has done what it was asked.
enum Rest {
    /// Go on: somebody waits.
    Wanted,
    /// Save the machine before it goes.
    Unsaved,
    /// Nothing, with the machine at hand.
    Parked,
    /// Nothing any more.
    Retired,
}

/// Should a line break off, which is a fault of ours, nobody shall wait forever.
struct Running<'a> {
    line: &'a Line,
    shared: &'a Shared,
}

impl Running<'_> {
    /// It ended as it should.
    fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.line.state).running = false;
        self.line.gone(self.shared);
        self.line.fail(&lost());
    }
}

impl State {
    /// The last slot that somebody waits for.
    pub(crate) fn goal(&self) -> Option<Slot> {
        let tails = self.tails.iter().map(|tail| tail.slot);
        self.wishes.keys().next_back().copied().into_iter().chain(tails).max()
    }
}

/// Gives somebody who waited for `slot` what they waited for.
pub(crate) fn grant(wish: Wish, slot: Slot, live: &mut Live, outcome: Option<&Arc<Outcome>>) {
    match wish {
        Wish::Outcome(tell) => drop(tell.send(Ok(outcome.cloned()))),
        Wish::Fork(tell) => drop(tell.send(fork(live).map(Some))),
        Wish::ForkExactly(tell) => {
            let exactly = live.position.is_some_and(|at| at.slot == slot && at.ticks.is_none());
            drop(tell.send(if exactly { fork(live).map(Some) } else { Ok(None) }));
        }
    }
}

fn fork(live: &mut Live) -> Result<Forked> {
    let machine = live.machine.fork().map_err(|refusal| refused(&refusal))?;
    let cron = live.cron.clone();
    Ok(Forked { machine, position: live.position, cron, subject: Arc::clone(&live.subject) })
}

fn lost() -> Error {
    Error::new(Kind::Internal, "the evaluation was broken off").with_hint("ask again")
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
