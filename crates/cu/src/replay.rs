//! Replay: for each process a line of evaluation that everybody who asks about it shares.
//!
//! A [`Line`] runs while somebody waits for it. It finds a machine (its own from before, a checkpoint, or an empty
//! one), fetches the schedule page by page ahead of the evaluation, and tells each who waits as soon as their slot is
//! done. At most one thread evaluates a process at a time; lines run beside each other.
//!
//! # An assigned message that cannot be had
//!
//! An entry can assign something that this unit's weave does not have (yet). Skipping it or recording a failure would
//! be a verdict that another operator, who has it, does not share; so the line stops before it and answers
//! `Unavailable`, and every request tries again. Slots before it stay answered. The scheduler must not assign what it
//! has not seen, so waiting is right; whatever the weave has, even without data, is evaluated.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use protocol::{Height, Outcome, ProcessId, Slot};
use runtime::{Machine, Start};
use tokio::sync::{Semaphore, oneshot};
use unit::{BlockRef, Error, Kind, Result, Scheduled, SlotRange, Tip};

use crate::checkpoint::{Checkpoints, Position, Until};
use crate::cron::Moment;
use crate::evaluate::{Bench, Counted, Entry, Live, Stop, Work, stopping};
use crate::input::Delivery;
use crate::journal::Journal;
use crate::results::Results;
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
    pub(crate) counted: Counted,
    pub(crate) stopping: AtomicBool,
    /// Checkpoints that are being written while evaluation goes on.
    pub(crate) saves: AtomicU64,
    /// Counts uses of lines, to know which is the least recent.
    pub(crate) uses: AtomicU64,
    pub(crate) lines: Mutex<BTreeMap<ProcessId, Arc<Line>>>,
}

/// The evaluation of one process.
pub(crate) struct Line {
    process: ProcessId,
    /// Starts from checkpoints of then, and is forgotten after.
    past: Option<Slot>,
    state: Mutex<State>,
    /// A checkpoint is being written.
    saving: AtomicBool,
    /// When it was last used, as [`Shared::uses`] counts.
    used: AtomicU64,
    /// Bytes that its machine holds; 0 if it has none.
    resident: AtomicU64,
    /// The next slot of its machine.
    next: AtomicU64,
}

#[derive(Default)]
struct State {
    wishes: BTreeMap<Slot, Vec<Wish>>,
    tails: Vec<Tail>,
    /// An entry that somebody has found already: saves asking for a page of one.
    hint: Option<Scheduled>,
    running: bool,
    /// Told to save and drop its machine when nobody waits.
    leaving: bool,
    /// No longer among [`Shared::lines`]; takes no wishes.
    retired: bool,
    subject: Option<Arc<Subject>>,
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
    pub(crate) subject: Arc<Subject>,
}

/// Somebody waits for cron ticks after a slot, up to a moment.
struct Tail {
    slot: Slot,
    until: Moment,
    caught_up: oneshot::Sender<Result<bool>>,
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

    fn wish(self: &Arc<Self>, process: ProcessId, add: impl FnOnce(&mut State)) -> Result<()> {
        let mut add = Some(add);
        loop {
            let line = self.line(process);
            let taken = line.add(self, |state| (add.take().expect("a wish is added once"))(state))?;
            if taken {
                return Ok(());
            }
        }
    }

    /// Lets the least recently used idle machines go while there are too many.
    fn trim(self: &Arc<Self>) {
        let too_many =
            |count, bytes| count > self.options.machines_max || bytes > self.options.machines_bytes_max;
        let (mut count, mut bytes) = self.machines();
        if !too_many(count, bytes) {
            return;
        }
        let mut lines: Vec<Arc<Line>> = lock(&self.lines).values().cloned().collect();
        lines.retain(|line| line.resident() > 0);
        lines.sort_by_key(|line| line.used.load(Ordering::Relaxed));
        for line in lines {
            // The last one stays, however large it is: it was asked for a moment ago.
            if count <= 1 || !too_many(count, bytes) {
                break;
            }
            let resident = line.resident();
            if line.leave(self, false) {
                count -= 1;
                bytes = bytes.saturating_sub(resident);
            }
        }
    }

    /// How many machines there are, and the bytes that they hold.
    pub(crate) fn machines(&self) -> (usize, u64) {
        let lines = lock(&self.lines);
        let resident = lines.values().map(|line| line.resident()).filter(|resident| *resident > 0);
        resident.fold((0, 0), |(count, bytes), resident| (count + 1, bytes + resident))
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

    fn resident(&self) -> u64 {
        self.resident.load(Ordering::Relaxed)
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
        if state.wishes.values().map(Vec::len).sum::<usize>() + state.tails.len()
            >= shared.options.waiting_max
        {
            return Err(Error::new(
                Kind::Busy { retry_after: Duration::from_secs(1) },
                format!("too many requests wait for process {}", self.process),
            ));
        }
        add(&mut state);
        self.used.store(shared.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.start(shared, state);
        Ok(true)
    }

    /// Tells the line to save and drop its machine. Only if it is idle, unless `even_if_busy`. Whether it will.
    pub(crate) fn leave(self: &Arc<Self>, shared: &Arc<Shared>, even_if_busy: bool) -> bool {
        let mut state = lock(&self.state);
        if state.retired || (state.running && !even_if_busy) {
            return false;
        }
        state.leaving = true;
        self.start(shared, state);
        true
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
        let running = Running(&self);
        loop {
            match self.advance(&shared, &mut live).await {
                Ok(()) => {}
                Err(Stop::Contradicted) => live = self.roll_back(&shared, live.take()).await,
                Err(Stop::Failed(error)) => self.fail(&error),
            }
            let resident = live.as_ref().map_or(0, |live| live.machine.resident_bytes().max(1));
            self.resident.store(resident, Ordering::Relaxed);
            match self.rest(&mut live) {
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
        self.resident.store(0, Ordering::Relaxed);
        self.forget(&shared);
    }

    /// Decides whether the line may rest, in one piece: who asks a moment later starts it again.
    fn rest(&self, live: &mut Option<Live>) -> Rest {
        let mut state = lock(&self.state);
        if state.goal().is_some() {
            return Rest::Wanted;
        }
        let saved = live.as_ref().is_none_or(|live| live.unsaved == Work::default());
        if live.is_none() || self.past.is_some() || (state.leaving && saved) {
            state.running = false;
            state.retired = true;
            return Rest::Retired;
        }
        if state.leaving {
            return Rest::Unsaved;
        }
        state.running = false;
        state.parked = live.take();
        Rest::Parked
    }

    fn forget(self: &Arc<Self>, shared: &Shared) {
        let mut lines = lock(&shared.lines);
        if lines.get(&self.process).is_some_and(|line| Arc::ptr_eq(line, self)) {
            lines.remove(&self.process);
        }
    }

    /// Evaluates what is waited for.
    async fn advance(self: &Arc<Self>, shared: &Arc<Shared>, live: &mut Option<Live>) -> Result<(), Stop> {
        let Some(goal) = lock(&self.state).goal() else { return Ok(()) };
        if live.is_none() {
            *live = Some(self.wake(shared, self.past.map_or(Until::Head, Until::Slot)).await?);
        }
        let here = live.as_ref().expect("it was woken");
        let subject = Arc::clone(&here.subject);
        let mut next = here.next_slot();
        let reached = here.position.map(|position| position.reached());
        let mut page = Page::default();
        if next <= goal {
            page = self.fetch(shared, &subject, next, goal, reached).await?;
        }
        loop {
            let stop = page.stop.take();
            next = page.entries.last().map_or(next, |entry| entry.scheduled.assignment.slot.next());
            let go_on = stop.is_none() && next <= goal && !page.entries.is_empty();
            let reached = page.entries.last().map(|entry| entry.scheduled.assignment.block_height);
            // The next page is fetched while this one is evaluated.
            let (evaluated, fetched) = futures::join!(self.section(shared, live, page), async {
                if !go_on {
                    return Ok(Page::default());
                }
                self.fetch_after(shared, &subject, next, goal, reached).await
            });
            evaluated?;
            if let Some(error) = stop {
                return Err(error.into());
            }
            if !go_on {
                break;
            }
            page = fetched?;
        }
        if live.as_ref().is_none_or(|live| live.next_slot() <= goal) {
            let what = format!("slot {goal} of process {} is not in its schedule yet", self.process);
            return Err(Error::unavailable(what).into());
        }
        self.tails(shared, live).await
    }

    /// Evaluates ticks up to now for those who wait for them.
    async fn tails(self: &Arc<Self>, shared: &Arc<Shared>, live: &mut Option<Live>) -> Result<(), Stop> {
        let Some(until) =
            lock(&self.state).tails.iter().map(|tail| tail.until).max_by_key(|until| until.timestamp)
        else {
            return Ok(());
        };
        let (subject, position) =
            live.as_ref().map(|live| (Arc::clone(&live.subject), live.position)).expect("it was woken");
        let mut blocks = Vec::new();
        if let (false, Some(position)) = (subject.crons.is_empty(), position) {
            blocks = self.blocks(shared, position.reached(), Height(until.height)).await?;
        }
        let caught_up = self
            .blocking(shared, live, move |line, shared, live| {
                let max = shared.options.cron_ticks_max;
                live.tick_until(until, &blocks, max, &shared.bench(), |live| line.between(shared, live, None))
            })
            .await?;
        let tails = {
            let mut state = lock(&self.state);
            let (done, later): (Vec<_>, Vec<_>) = std::mem::take(&mut state.tails)
                .into_iter()
                .partition(|tail| tail.until.timestamp <= until.timestamp);
            state.tails = later;
            done
        };
        for tail in tails {
            let _ = tail.caught_up.send(Ok(caught_up));
        }
        Ok(())
    }

    /// Evaluates a page, and tells everybody whose slot is done.
    async fn section(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        live: &mut Option<Live>,
        page: Page,
    ) -> Result<(), Stop> {
        self.blocking(shared, live, move |line, shared, live| {
            line.between(shared, live, None);
            for entry in &page.entries {
                let assignment = &entry.scheduled.assignment;
                let until = Moment { timestamp: assignment.timestamp.0, height: assignment.block_height.0 };
                live.tick_until(until, &page.blocks, u64::MAX, &shared.bench(), |live| {
                    line.between(shared, live, None);
                })?;
                let outcome = live.step(entry, &shared.bench())?;
                line.between(shared, live, Some((assignment.slot, &outcome)));
            }
            Ok(())
        })
        .await
    }

    /// Runs something with the machine on a thread that may block, when it is its turn.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        live: &mut Option<Live>,
        run: impl FnOnce(&Arc<Line>, &Arc<Shared>, &mut Live) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Stop> {
        shared.journal.room().await?;
        let permit = Arc::clone(&shared.gate).acquire_owned().await.map_err(|_| stopping())?;
        let (line, shared) = (Arc::clone(self), Arc::clone(shared));
        let mut taken = live.take().expect("a machine is there before it is used");
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let result = run(&line, &shared, &mut taken);
            (taken, result)
        });
        // A machine that panicked is gone; the next request starts from a checkpoint.
        let (taken, result) = done.await.map_err(|panic| Error::internal(&panic))?;
        *live = Some(taken);
        result
    }

    /// Between two messages: tells who waits, and sees whether a checkpoint is due.
    fn between(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        live: &mut Live,
        evaluated: Option<(Slot, &Arc<Outcome>)>,
    ) {
        let next = live.next_slot();
        self.next.store(next.0, Ordering::Relaxed);
        let due = {
            let mut state = lock(&self.state);
            match state.wishes.first_key_value() {
                Some((slot, _)) if *slot < next => {
                    let later = state.wishes.split_off(&next);
                    std::mem::replace(&mut state.wishes, later)
                }
                _ => BTreeMap::new(),
            }
        };
        for (slot, wishes) in due {
            let outcome = evaluated.filter(|(at, _)| *at == slot).map(|(_, outcome)| outcome);
            for wish in wishes {
                grant(wish, slot, live, outcome);
            }
        }
        let Work { messages, gas } = live.unsaved;
        let due = messages >= shared.options.checkpoint_messages || gas >= shared.options.checkpoint_gas;
        if due && self.past.is_none() && !self.saving.swap(true, Ordering::AcqRel) {
            self.save_aside(shared, live);
        }
    }

    /// Takes the memory now and writes it while evaluation goes on.
    fn save_aside(self: &Arc<Self>, shared: &Arc<Shared>, live: &mut Live) {
        let (Some(position), Ok(memory)) = (live.position, live.machine.memory()) else {
            self.saving.store(false, Ordering::Release);
            return;
        };
        live.unsaved = Work::default();
        shared.saves.fetch_add(1, Ordering::Relaxed);
        let (line, shared, module) = (Arc::clone(self), Arc::clone(shared), live.subject.module);
        tokio::runtime::Handle::current().spawn(async move {
            line.write(&shared, module, position, memory).await;
            line.saving.store(false, Ordering::Release);
            shared.saves.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Writes a checkpoint of the machine where it stands, and waits for that.
    async fn save(self: &Arc<Self>, shared: &Arc<Shared>, live: Option<Live>) -> Option<Live> {
        let mut live = live?;
        let taken = tokio::task::spawn_blocking(move || {
            let memory = live.machine.memory();
            (live, memory)
        });
        let Ok((mut live, memory)) = taken.await else { return None };
        match (live.position, memory) {
            (Some(position), Ok(memory)) => self.write(shared, live.subject.module, position, memory).await,
            (_, Err(refusal)) => {
                tracing::warn!(process = %self.process, %refusal, "no checkpoint could be taken")
            }
            (None, _) => {}
        }
        live.unsaved = Work::default();
        Some(live)
    }

    async fn write(
        &self,
        shared: &Shared,
        module: protocol::ModuleId,
        position: Position,
        memory: runtime::Memory,
    ) {
        // What decides about duplicates after the checkpoint must not be lost when the checkpoint is kept.
        if shared.journal.durable().await.is_err() {
            return;
        }
        let (checkpoints, process) = (shared.checkpoints.clone(), self.process);
        let written =
            tokio::task::spawn_blocking(move || checkpoints.save(process, module, &position, &memory)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%process, %error, "a checkpoint could not be written");
        }
    }

    /// A machine from the newest checkpoint that will do, or an empty one.
    async fn wake(&self, shared: &Arc<Shared>, until: Until) -> Result<Live> {
        let known = lock(&self.state).subject.clone();
        let subject = match known {
            Some(subject) => subject,
            None => {
                let Shared { ports, programs, options, .. } = &**shared;
                let load = || Subject::load(self.process, &*ports.scheduler, programs, options);
                let subject = Arc::new(shared.patiently(load).await?);
                lock(&self.state).subject = Some(Arc::clone(&subject));
                subject
            }
        };
        let shared = Arc::clone(shared);
        let woken = tokio::task::spawn_blocking(move || {
            let recorded = shared.results.head(subject.process)?;
            let start = |memory| {
                let environment = Arc::clone(&subject.environment);
                subject.program.start(Start { environment, limits: subject.limits, memory })
            };
            let mut found = None;
            if let Some((position, memory)) =
                shared.checkpoints.newest(subject.process, subject.module, until)
            {
                match start(Some(memory)) {
                    Ok(machine) => found = Some((Some(position), machine)),
                    Err(refusal) => {
                        tracing::warn!(process = %subject.process, %refusal, "a checkpoint is not restored");
                    }
                }
            }
            let (position, machine) = match found {
                Some(found) => found,
                None => (None, start(None).map_err(|refusal| refused(&refusal))?),
            };
            Ok(Live { subject, machine, position, recorded, unsaved: Work::default() })
        });
        woken.await.map_err(|panic| Error::internal(&panic))?
    }

    /// The schedule contradicts ticks that were evaluated: forgets them and goes back to before.
    async fn roll_back(&self, shared: &Arc<Shared>, live: Option<Live>) -> Option<Live> {
        let Live { position, recorded, .. } = live?;
        let Position { slot, timestamp, .. } = position?;
        let process = self.process;
        tracing::warn!(%process, %slot, "cron was ahead of the schedule; its ticks are evaluated again");
        // If later slots are recorded, so are the right ticks before them, and only a checkpoint was wrong.
        let outcomes = match recorded {
            Some(recorded) if recorded > slot => Ok(()),
            _ => shared.results.forget_ticks(process, slot, timestamp),
        };
        let (checkpoints, results) = (shared.checkpoints.clone(), outcomes);
        let forgotten = tokio::task::spawn_blocking(move || {
            results?;
            checkpoints.forget_ticks(process, slot).map_err(|error| Error::internal(&error))
        });
        let woken = match forgotten.await.unwrap_or_else(|panic| Err(Error::internal(&panic))) {
            Ok(()) => self.wake(shared, Until::Slot(slot)).await,
            Err(error) => Err(error),
        };
        woken.inspect_err(|error| self.fail(error)).ok()
    }

    /// Tells everybody who still waits that it cannot be.
    fn fail(&self, error: &Error) {
        let (wishes, tails) = {
            let mut state = lock(&self.state);
            state.hint = None;
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

    async fn fetch(
        &self,
        shared: &Shared,
        subject: &Subject,
        next: Slot,
        goal: Slot,
        reached: Option<Height>,
    ) -> Result<Page> {
        let hint = lock(&self.state).hint.take().filter(|hint| hint.assignment.slot == next && next == goal);
        match hint {
            Some(hint) => self.prepare(shared, subject, vec![hint], reached).await,
            None => self.fetch_after(shared, subject, next, goal, reached).await,
        }
    }

    /// The page of the schedule that starts with `next`, and what it needs from the weave.
    async fn fetch_after(
        &self,
        shared: &Shared,
        subject: &Subject,
        next: Slot,
        goal: Slot,
        reached: Option<Height>,
    ) -> Result<Page> {
        let range = SlotRange::Slots { after: next.0.checked_sub(1).map(Slot), to: Some(goal) };
        let scheduler = &shared.ports.scheduler;
        let page =
            shared.patiently(|| scheduler.schedule_page(self.process, range, shared.options.page)).await?;
        self.prepare(shared, subject, page.items, reached).await
    }

    async fn prepare(
        &self,
        shared: &Shared,
        subject: &Subject,
        entries: Vec<Scheduled>,
        reached: Option<Height>,
    ) -> Result<Page> {
        let mut page = Page::default();
        let heights = || entries.iter().map(|entry| entry.assignment.block_height);
        // Before slot 0 nothing ticks.
        if let (false, Some(left), Some(right)) =
            (subject.crons.is_empty(), reached.or_else(|| heights().next()), heights().max())
        {
            page.blocks = self.blocks(shared, left, right).await?;
        }
        let mut hydrated = stream::iter(entries)
            .map(|scheduled| self.hydrate(shared, subject, scheduled))
            .buffered(shared.options.page.clamp(1, 16));
        loop {
            match hydrated.try_next().await {
                Ok(Some(entry)) => page.entries.push(entry),
                Ok(None) => break,
                // What comes before it can be evaluated all the same.
                Err(error) => {
                    page.stop = Some(error);
                    break;
                }
            }
        }
        drop(hydrated);
        Ok(page)
    }

    async fn hydrate(&self, shared: &Shared, subject: &Subject, scheduled: Scheduled) -> Result<Entry> {
        let boot = scheduled.assignment.slot == Slot(0);
        if let Some(item) = scheduled.message.clone().or_else(|| boot.then(|| Arc::clone(&subject.item))) {
            return Ok(Entry { scheduled, item, delivery: Delivery::Delivered });
        }
        let id = scheduled.message_id();
        let found =
            shared.patiently(|| shared.ports.weave.get(id)).await.map_err(|error| match error.kind {
                Kind::NotFound => {
                    let slot = scheduled.assignment.slot;
                    Error::unavailable(format!(
                        "slot {slot} of process {} assigns {id}, which cannot be found",
                        self.process
                    ))
                    .with_hint("evaluation goes on as soon as the weave has it")
                }
                _ => error,
            })?;
        Ok(Entry { scheduled, item: found.item, delivery: Delivery::Assigned })
    }

    /// The blocks above a height, up to another.
    async fn blocks(&self, shared: &Shared, left: Height, right: Height) -> Result<Vec<BlockRef>> {
        const PAGE: usize = 1000;
        let mut blocks: Vec<BlockRef> = Vec::new();
        let mut from = Height(left.0 + 1);
        while from <= right {
            let more = shared.patiently(|| shared.ports.weave.blocks(from, PAGE)).await?;
            let Some(last) = more.last().map(|block| block.height).filter(|last| *last >= from) else {
                let what =
                    format!("block {from} is not known yet, and the crons of {} need it", self.process);
                return Err(Error::unavailable(what));
            };
            from = Height(last.0 + 1);
            blocks.extend(more.into_iter().filter(|block| block.height <= right));
        }
        Ok(blocks)
    }
}

impl Shared {
    fn bench(&self) -> Bench<'_> {
        Bench { results: &self.results, counted: &self.counted, stopping: &self.stopping }
    }
}

/// A part of a schedule, ready to be evaluated.
#[derive(Default)]
struct Page {
    entries: Vec<Entry>,
    /// For the crons between them.
    blocks: Vec<BlockRef>,
    /// Why there are no more entries than these.
    stop: Option<Error>,
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
struct Running<'a>(&'a Line);

impl Running<'_> {
    /// It ended as it should.
    fn done(self) {
        std::mem::forget(self);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).running = false;
        self.0.fail(&lost());
    }
}

impl State {
    /// The last slot that somebody waits for.
    fn goal(&self) -> Option<Slot> {
        let tails = self.tails.iter().map(|tail| tail.slot);
        self.wishes.keys().next_back().copied().into_iter().chain(tails).max()
    }
}

/// Gives somebody who waited for `slot` what they waited for.
fn grant(wish: Wish, slot: Slot, live: &mut Live, outcome: Option<&Arc<Outcome>>) {
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
    Ok(Forked { machine, position: live.position, subject: Arc::clone(&live.subject) })
}

fn lost() -> Error {
    Error::new(Kind::Internal, "the evaluation was broken off").with_hint("ask again")
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
