//! The queue of tasks: on the disk all of them, in memory as many as its bounds allow.
//!
//! Everything that happens to a task is a [`Step`], and a step is one batch: durable in all its parts or in none.
//! What a step promises is handed on when the step is durable, in the order of the steps. Tasks that find no room
//! in memory stay on the disk and are read when there is room.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use store::{Appended, Batch, Order, Space, Store};
use tokio::sync::mpsc;
use unit::Trace;

use crate::dead::{self, Burial};
use crate::step::{Fresh, Mark, Step};
use crate::task::{ITEM, RETRY, Retry, TASK, Task};
use crate::trace::{self, TRACE};

/// How many tasks one read of the store takes.
const PAGE: usize = 256;

/// How many tasks may wait for their time; beyond that, what fails stays in memory.
const PARKED_MAX: usize = 1 << 20;

/// What the queue may use.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) loaded_max: usize,
    pub(crate) loaded_bytes_max: usize,
    pub(crate) traces_max: u64,
    pub(crate) dead_max: usize,
}

/// The tasks of one unit.
pub(crate) struct Queue {
    store: Arc<dyn Store>,
    bounds: Bounds,
    /// The next number. Held while a batch is appended, so that tasks become visible in the order of their numbers.
    next: Mutex<u64>,
    memory: Mutex<Memory>,
    events: mpsc::UnboundedSender<Event>,
}

/// What is kept of tasks that are not finished.
#[derive(Default)]
struct Memory {
    live: BTreeMap<u64, Live>,
    /// Bytes of items in `live`.
    bytes: usize,
    /// Tasks up to here are live or finished.
    read: u64,
    /// Tasks up to here were seen on the disk once.
    seen: u64,
    /// There may be tasks on the disk that are not in memory.
    backlog: bool,
    /// Tasks on the disk that wait for their time: they are in no backlog.
    parked: BTreeSet<u64>,
    /// Tasks that were abandoned and are about to be in the backlog.
    abandoned: usize,
    /// Values that are on their way to the disk, where reads do not see them yet.
    marks: BTreeMap<(Space, Bytes), Bytes>,
    /// All tasks, on the disk and in memory.
    promised: usize,
    dead: usize,
}

#[derive(Default)]
struct Live {
    delivered: bool,
    failing: bool,
    bytes: usize,
    /// Tasks that wait for its delivery.
    held: Vec<Task>,
}

/// What the queue is told; in the order of the batches. As many as steps are under way, which is bounded by who
/// makes them.
enum Event {
    Appended {
        appended: Appended,
        fresh: Vec<Task>,
        finished: Vec<u64>,
        marks: Vec<Mark>,
    },
    /// Something left the memory: there may be room for others.
    Room,
    /// These are to be read again.
    Unparked {
        numbers: Vec<u64>,
    },
    /// Nobody carries these out any more: they are to be read again once `visible`.
    Abandoned {
        visible: Appended,
        numbers: Vec<u64>,
    },
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) promised: usize,
    pub(crate) loaded: usize,
    pub(crate) failing: usize,
    pub(crate) dead: usize,
}

/// Tasks that their maker carries out himself. If he does not, the queue does.
pub(crate) struct Claim {
    queue: Arc<Queue>,
    tasks: Vec<Task>,
}

impl Claim {
    /// The tasks, which from here on are the caller's to finish or to route.
    pub(crate) fn take(mut self) -> Vec<Task> {
        std::mem::take(&mut self.tasks)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.tasks.is_empty() {
            self.queue.abandon(self.tasks.iter().map(|task| task.number).collect());
        }
    }
}

/// What [`Queue::run`] listens to.
pub(crate) struct Events(mpsc::UnboundedReceiver<Event>);

impl Queue {
    /// Opens the queue. Reads how many tasks there are; the tasks themselves are read by [`Queue::run`].
    pub(crate) fn open(store: Arc<dyn Store>, bounds: Bounds) -> Result<(Arc<Queue>, Events), store::Error> {
        let mut next = 1;
        for space in [TASK, TRACE, dead::DEAD] {
            let last = store.scan(space, (Bound::Unbounded, Bound::Unbounded), Order::Descending, 1)?;
            let number = last.first().and_then(|(key, _)| Task::number_in(key));
            next = next.max(number.map_or(1, |number| number + 1));
        }
        let memory = Memory {
            backlog: true,
            promised: count(&*store, TASK)?,
            dead: count(&*store, dead::DEAD)?,
            ..Memory::default()
        };
        drop_old_traces(&*store, next.saturating_sub(bounds.traces_max))?;
        let (events, heard) = mpsc::unbounded_channel();
        let queue = Queue { store, bounds, next: Mutex::new(next), memory: Mutex::new(memory), events };
        Ok((Arc::new(queue), Events(heard)))
    }

    /// Takes a step; what it promises is routed when it is durable.
    pub(crate) fn commit(&self, step: Step) {
        let mut next = lock(&self.next);
        let (fresh, finished, marks, batch) = self.number(&mut next, step);
        let appended = self.store.append(batch);
        // Fails when the unit ends: then a restart reads what this step wrote.
        let _ = self.events.send(Event::Appended { appended, fresh, finished, marks });
    }

    /// Takes a step that only promises; what it promises is the caller's, at once.
    pub(crate) fn claim(self: &Arc<Self>, step: Step) -> (Claim, Appended) {
        let mut next = lock(&self.next);
        let (tasks, _, _, batch) = self.number(&mut next, step);
        {
            let mut memory = self.memory();
            for task in &tasks {
                memory.live.insert(task.number, Live::default());
            }
        }
        (Claim { queue: Arc::clone(self), tasks }, self.store.append(batch))
    }

    /// Hands on what becomes durable, and what is read from the disk, until the unit ends or the store fails.
    pub(crate) async fn run(&self, events: Events, route: impl Fn(Task)) -> Result<(), store::Error> {
        let Events(mut events) = events;
        loop {
            while self.has_room() {
                self.refill(&route)?;
            }
            let Some(event) = events.recv().await else { return Ok(()) };
            match event {
                Event::Appended { appended, fresh, finished, marks } => {
                    appended.await?;
                    self.settle(fresh, finished, marks, &route);
                }
                Event::Abandoned { visible, numbers } => {
                    visible.await?;
                    self.put_back(&numbers);
                }
                Event::Room => {}
                Event::Unparked { numbers } => {
                    let mut memory = self.memory();
                    for number in numbers {
                        memory.parked.remove(&number);
                        memory.leave_from(number);
                    }
                }
            }
        }
    }

    /// The value of a key, be it on its way to the disk.
    pub(crate) fn mark(&self, space: Space, key: &Bytes) -> Result<Option<Bytes>, store::Error> {
        let waiting = self.memory().marks.get(&(space, key.clone())).cloned();
        match waiting {
            Some(value) => Ok(Some(value)),
            None => self.store.get(space, key),
        }
    }

    /// The bytes of the item that a task sends.
    pub(crate) fn item(&self, task: &Task) -> Result<Option<Bytes>, store::Error> {
        match &task.item {
            Some(item) => Ok(Some(item.bytes().clone())),
            None => self.store.get(ITEM, &Task::key(task.number)),
        }
    }

    /// The task has its slot: what waited for that may go.
    pub(crate) fn delivered(&self, number: u64) -> Vec<Task> {
        let mut memory = self.memory();
        let Some(live) = memory.live.get_mut(&number) else { return Vec::new() };
        live.delivered = true;
        let (held, bytes) = (std::mem::take(&mut live.held), std::mem::take(&mut live.bytes));
        memory.bytes -= bytes;
        held
    }

    /// For the gauges: whether the task fails.
    pub(crate) fn is_failing(&self, number: u64, failing: bool) {
        if let Some(live) = self.memory().live.get_mut(&number) {
            live.failing = failing;
        }
    }

    /// Whether no more is taken into memory.
    pub(crate) fn is_full(&self) -> bool {
        self.memory().live.len() >= self.bounds.loaded_max
    }

    /// Whether more is in memory than should be.
    pub(crate) fn is_over(&self) -> bool {
        self.memory().live.len() > self.bounds.loaded_max
    }

    /// Whether tasks wait on the disk for room: what comes now must not overtake them.
    pub(crate) fn has_backlog(&self) -> bool {
        let memory = self.memory();
        memory.backlog || memory.abandoned > 0
    }

    /// Whether tasks were abandoned that are not back on the disk's list yet.
    pub(crate) fn is_abandoning(&self) -> bool {
        self.memory().abandoned > 0
    }

    /// These are on the disk and nobody carries them out any more.
    pub(crate) fn abandon(&self, numbers: Vec<u64>) {
        self.memory().abandoned += numbers.len();
        let visible = self.store.append(Batch::new());
        let _ = self.events.send(Event::Abandoned { visible, numbers });
    }

    /// Whether what fails should not stay in memory: others wait for room, or soon will.
    pub(crate) fn is_crowded(&self) -> bool {
        let memory = self.memory();
        let is_crowded = memory.backlog || memory.live.len() * 2 >= self.bounds.loaded_max;
        is_crowded && memory.parked.len() < PARKED_MAX
    }

    /// These, and what waits for their delivery, are on the disk only, until they are unparked. Answers with all of
    /// them.
    pub(crate) fn park(&self, numbers: &[u64]) -> Vec<u64> {
        let mut memory = self.memory();
        let mut all = numbers.to_vec();
        let mut at = 0;
        while let Some(&number) = all.get(at) {
            let held = memory.live.get_mut(&number).map(|live| std::mem::take(&mut live.held));
            all.extend(held.into_iter().flatten().map(|task| task.number));
            memory.remove(number);
            memory.parked.insert(number);
            at += 1;
        }
        drop(memory);
        // There is room now.
        let _ = self.events.send(Event::Room);
        all
    }

    /// Their time has come: they are to be read again.
    pub(crate) fn unpark(&self, numbers: Vec<u64>) {
        let _ = self.events.send(Event::Unparked { numbers });
    }

    /// Resolves when every step so far is durable.
    pub(crate) fn flush(&self) -> Appended {
        self.store.append(Batch::new())
    }

    pub(crate) fn counts(&self) -> Counts {
        let memory = self.memory();
        let failing = memory.live.values().filter(|live| live.failing).count();
        let failing = failing + memory.parked.len();
        Counts { promised: memory.promised, loaded: memory.live.len(), failing, dead: memory.dead }
    }

    /// Unfinished tasks after a number, and how each failed last.
    pub(crate) fn list(&self, after: u64, limit: usize) -> Result<Vec<(Task, Option<String>)>, store::Error> {
        let key = after.to_be_bytes();
        let rows =
            self.store.scan(TASK, (Bound::Excluded(&key), Bound::Unbounded), Order::Ascending, limit)?;
        rows.iter().filter_map(|(key, row)| self.read(key, row).transpose()).collect()
    }

    /// Numbers what a step promises and completes its batch.
    fn number(&self, next: &mut u64, step: Step) -> (Vec<Task>, Vec<u64>, Vec<Mark>, Batch) {
        let Step { fresh, notes, finished, buried, raised, marks, mut batch, now } = step;
        let first = *next;
        let trace = |batch: &mut Batch, number: u64, row: &Trace| {
            batch.put(TRACE, Task::key(number), trace::encode(row));
            if let Some(old) = number.checked_sub(self.bounds.traces_max) {
                batch.delete(TRACE, Task::key(old));
            }
        };
        let mut tasks = Vec::with_capacity(fresh.len());
        for Fresh { work, chain, item, after } in fresh {
            let after = after.map(|index| first + index as u64);
            let task = Task { number: *next, work, chain, after, failures: 0, not_found: 0, item };
            *next += 1;
            let key = Task::key(task.number);
            batch.put(TASK, key.clone(), task.encode());
            if let Some(item) = &task.item {
                batch.put(ITEM, key, item.bytes().clone());
            }
            trace(&mut batch, task.number, &trace::of(&task, None));
            tasks.push(task);
        }
        let buried = buried + notes.len();
        for (row, body) in notes {
            trace(&mut batch, *next, &row);
            dead::put(&mut batch, *next, Burial { row: &row, at: now, task: None, body: Some(body) });
            *next += 1;
        }
        let mut memory = self.memory();
        memory.promised += tasks.len();
        memory.dead = (memory.dead + buried).saturating_sub(raised);
        let over = memory.dead.saturating_sub(self.bounds.dead_max);
        if buried > 0 && over > 0 {
            memory.dead -= dead::drop_oldest(&*self.store, &mut batch, over);
        }
        memory.marks.extend(marks.iter().cloned());
        (tasks, finished, marks, batch)
    }

    fn settle(&self, fresh: Vec<Task>, finished: Vec<u64>, marks: Vec<Mark>, route: &impl Fn(Task)) {
        {
            let mut memory = self.memory();
            for (key, value) in &marks {
                // A later step may have set it again.
                if memory.marks.get(key) == Some(value) {
                    memory.marks.remove(key);
                }
            }
            for number in &finished {
                memory.promised = memory.promised.saturating_sub(1);
                memory.remove(*number);
            }
        }
        for task in fresh {
            let admitted = self.memory().admit_fresh(task, &self.bounds);
            admitted.map(route);
        }
    }

    fn has_room(&self) -> bool {
        let memory = self.memory();
        memory.backlog && memory.live.len() + PAGE.min(self.bounds.loaded_max) <= self.bounds.loaded_max
    }

    /// Reads a page of tasks that are not in memory.
    fn refill(&self, route: &impl Fn(Task)) -> Result<(), store::Error> {
        let from = self.memory().read.to_be_bytes();
        let page =
            self.store.scan(TASK, (Bound::Excluded(&from), Bound::Unbounded), Order::Ascending, PAGE)?;
        let numbers = page.iter().filter_map(|(key, _)| Task::number_in(key));
        if let Some(last) = numbers.max() {
            let mut memory = self.memory();
            memory.seen = memory.seen.max(last);
        }
        for (key, row) in &page {
            let Some(number) = Task::number_in(key) else { continue };
            if !self.memory().has(number) {
                if self.is_full() {
                    return Ok(());
                }
                if let Some((task, error)) = self.read(key, row)? {
                    let admitted = self.memory().admit(task, &self.bounds);
                    self.is_failing(number, error.is_some());
                    admitted.map(route);
                }
            }
            self.memory().read = number;
        }
        self.memory().backlog = page.len() == PAGE;
        Ok(())
    }

    fn read(&self, key: &[u8], row: &[u8]) -> Result<Option<(Task, Option<String>)>, store::Error> {
        let task = Task::number_in(key).and_then(|number| Task::decode(number, row));
        let Some(mut task) = task else {
            tracing::error!(?key, "a task cannot be read and is left where it is");
            return Ok(None);
        };
        let retry = self.store.get(RETRY, key)?.and_then(|retry| Retry::decode(&retry));
        let error = retry.map(|Retry { failures, not_found, error }| {
            (task.failures, task.not_found) = (failures, not_found);
            error
        });
        Ok(Some((task, error)))
    }

    fn put_back(&self, numbers: &[u64]) {
        let mut memory = self.memory();
        for number in numbers {
            memory.remove(*number);
            memory.leave_from(*number);
        }
        memory.abandoned = memory.abandoned.saturating_sub(numbers.len());
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

/// Every unfinished task on the disk is live or parked, or there is a backlog and its number is above `read`.
impl Memory {
    /// Whether somebody cares for that task already.
    fn has(&self, number: u64) -> bool {
        self.live.contains_key(&number) || self.parked.contains(&number)
    }

    /// Takes in what just became durable. While older tasks wait on the disk it waits behind them, so that nothing
    /// is overtaken on its way to the same process.
    fn admit_fresh(&mut self, task: Task, bounds: &Bounds) -> Option<Task> {
        if task.number <= self.seen || self.backlog {
            return None;
        }
        if self.live.len() >= bounds.loaded_max {
            self.leave_from(task.number);
            return None;
        }
        self.admit(task, bounds)
    }

    /// Takes a task in. Answers with it unless it waits for another.
    fn admit(&mut self, mut task: Task, bounds: &Bounds) -> Option<Task> {
        let size = task.item.as_ref().map_or(0, |item| item.bytes().len());
        let fits = self.bytes + size <= bounds.loaded_bytes_max;
        let bytes = if fits { size } else { 0 };
        task.item = task.item.filter(|_| fits);
        self.bytes += bytes;
        self.live.insert(task.number, Live { bytes, ..Live::default() });
        match task.after.and_then(|before| self.live.get_mut(&before)) {
            Some(before) if !before.delivered => {
                before.held.push(task);
                None
            }
            _ => Some(task),
        }
    }

    /// From this number on, tasks are to be read from the disk.
    fn leave_from(&mut self, number: u64) {
        let before = number - 1;
        self.read = if self.backlog { self.read.min(before) } else { before };
        self.backlog = true;
    }

    fn remove(&mut self, number: u64) {
        if let Some(live) = self.live.remove(&number) {
            self.bytes -= live.bytes;
        }
    }
}

/// A panic elsewhere must not hide behind a poisoned lock here; nothing is left half done under these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(store: &dyn Store, space: Space) -> Result<usize, store::Error> {
    let mut n = 0;
    let mut from = Bytes::new();
    loop {
        let page = store.scan(space, (Bound::Excluded(&from), Bound::Unbounded), Order::Ascending, PAGE)?;
        n += page.len();
        match page.last() {
            Some((key, _)) if page.len() == PAGE => from = key.clone(),
            _ => return Ok(n),
        }
    }
}

/// An earlier run may have kept more.
fn drop_old_traces(store: &dyn Store, below: u64) -> Result<(), store::Error> {
    let below = below.to_be_bytes();
    loop {
        let range = (Bound::Unbounded, Bound::Excluded(&below[..]));
        let page = store.scan(TRACE, range, Order::Ascending, PAGE)?;
        if page.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for (key, _) in page {
            batch.delete(TRACE, key);
        }
        store.append(batch).wait()?;
    }
}
