//! Pushes outcomes: what a message did becomes the next messages, written down before any of them is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use protocol::{Address, Id, Outcome, ProcessId, Slot};
use store::Space;
use unit::{Error, Events, Happened, Kind, Result, Scheduled, Trace, TraceRelation};

use crate::outbox::{Limits, Part, Sender};
use crate::parked::Group;
use crate::retry::Verdict;
use crate::sign::{Outbox, Signed};
use crate::step::Step;
use crate::task::{Chain, Task, Work};
use crate::{About, Unit, internal, lock, sign};

/// (process, slot) → what of its outcome was pushed: see [`Pushed`].
const PUSHED: Space = Space("mu.pushed");

impl Unit {
    /// Carries what came of the messages of one process as far as it goes, in the order of their slots.
    ///
    /// This is the walk. What is promised here comes back through [`Unit::route`] when it is durable, is delivered,
    /// and starts again from the top.
    async fn walk(self: Arc<Self>, process: ProcessId) {
        let mut ahead = FuturesOrdered::new();
        // Whether this process answers at all is seen with one question.
        let mut ahead_max = 1;
        while !self.life.is_stopping() {
            while ahead.len() < ahead_max {
                if let Some(slot) = self.pushes.first(process) {
                    if !self.is_next(process, slot) && !ahead.is_empty() {
                        break;
                    }
                    self.until_sure(process, slot).await;
                    if self.pushes.first(process) != Some(slot) && !self.life.is_stopping() {
                        continue;
                    }
                }
                let Some(turn) = self.pushes.next(process) else { break };
                ahead.push_back(self.prepare(process, turn));
            }
            let Some((turn, prepared, pace)) = ahead.next().await else { return };
            if let Prepared::Parked(wait) = prepared {
                // What is under way here is only asked for; it is asked for again.
                drop(ahead);
                let numbers: Vec<u64> = turn.tasks.iter().map(|task| task.number).collect();
                self.park(Group::Pushes(process), &numbers, wait);
                let others = self.pushes.close(process);
                return self.park(Group::Pushes(process), &others, wait);
            }
            ahead_max = match pace {
                Pace::Swift => self.options.ahead_max.max(1),
                Pace::Slow => 1,
            };
            self.promise(process, turn, prepared);
        }
    }

    /// Whether the slot before was pushed, or is on its way.
    pub(crate) fn is_next(&self, process: ProcessId, slot: Slot) -> bool {
        let Some(before) = slot.0.checked_sub(1).map(Slot) else { return true };
        // What cannot be read is no reason to wait.
        self.pushes.is_under_way(process, before)
            || self.pushed(process, before).map_or(true, |pushed| pushed != Pushed::Nothing)
    }

    /// Asks what came of a message and signs what follows, however often that must be tried. Nothing is promised
    /// yet: what is lost here is done again.
    async fn prepare(&self, process: ProcessId, mut turn: Turn) -> (Turn, Prepared, Pace) {
        loop {
            let Some((tried, pace)) = self.ask(process, &turn).await else {
                return (turn, Prepared::Stopped, Pace::Slow);
            };
            match tried {
                Ok(prepared) => return (turn, prepared, pace),
                Err(error) => match self.failed(&mut turn.tasks[0], &error) {
                    Verdict::Again(wait) if self.should_park() => {
                        return (turn, Prepared::Parked(wait), pace);
                    }
                    Verdict::Again(wait) if self.life.wait(wait).await => {}
                    Verdict::Again(_) => return (turn, Prepared::Stopped, pace),
                    Verdict::GiveUp => return (turn, Prepared::GaveUp(error), pace),
                },
            }
        }
    }

    /// Tries once. A process that does not answer soon waits where it is in the way of no other: however many of them
    /// there are, each has had a place among the swift for a moment only. None if the unit stops.
    async fn ask(&self, process: ProcessId, turn: &Turn) -> Option<(Result<Prepared>, Pace)> {
        let permit = self.permit(&self.push_permits).await?;
        let mut tried = std::pin::pin!(self.try_prepare(process, turn));
        let soon = Duration::from_millis(self.options.push_slow_ms);
        if let Ok(tried) = tokio::time::timeout(soon, tried.as_mut()).await {
            return Some((tried, Pace::Swift));
        }
        let Ok(_slow) = self.slow_permits.try_acquire() else {
            let what = format!(
                "process {process} has not answered within {soon:?}, and {} others are as slow",
                self.options.slow_pushes_max
            );
            return Some((Err(Error::unavailable(what)), Pace::Slow));
        };
        drop(permit);
        Some((tried.await, Pace::Slow))
    }

    async fn try_prepare(&self, process: ProcessId, turn: &Turn) -> Result<Prepared> {
        let pushed = self.pushed(process, turn.slot)?;
        let Some(part) = pushed.missing(turn.only) else { return Ok(Prepared::Already) };
        let outcome = self.ports.compute.result(process, turn.ask).await?;
        let outbox = self.outbox_of(&turn.origin(process), &outcome, part).await?;
        Ok(Prepared::Signed(outbox, pushed))
    }

    /// Promises what follows, in one batch with the mark that it is.
    fn promise(&self, process: ProcessId, mut turn: Turn, prepared: Prepared) {
        turn.tasks.extend(self.pushes.end(process, turn.place()));
        let mut step = Step::at(self.now());
        match prepared {
            Prepared::Stopped | Prepared::Parked(_) => return,
            Prepared::GaveUp(error) => {
                return turn.tasks.into_iter().for_each(|task| self.give_up(task, &error));
            }
            Prepared::Already => turn.tasks.iter().for_each(|task| finish_again(&mut step, task)),
            Prepared::Signed(outbox, before) => match self.pushed(process, turn.slot) {
                Ok(now) if now == before => {
                    step.finish(&turn.tasks[0]);
                    turn.tasks[1..].iter().for_each(|task| finish_again(&mut step, task));
                    let origin = turn.origin(process);
                    self.tell_pushed(&origin, &outbox);
                    promise_all(&mut step, &origin, outbox);
                    step.mark(PUSHED, key_of(process, turn.slot), before.with(turn.only).encode());
                }
                // Another part of the same outcome was pushed meanwhile.
                Ok(_) => return self.pushes.again(process, turn),
                Err(error) => return tracing::error!(%process, %error, "cannot read what was pushed"),
            },
        }
        self.queue.commit(step);
    }

    /// Has the outcome of what a client sent pushed, behind what waits for the same process. `ask` is the id that it is
    /// asked for by.
    pub(crate) fn push_claimed(self: &Arc<Self>, task: Task, scheduled: &Scheduled, ask: Id) {
        if self.queue.has_backlog() {
            self.queue.abandon(vec![task.number]);
        } else if self.deliveries.is_busy(&task) {
            // What was read from the disk is on its way there.
            self.route(task);
        } else {
            self.push_soon(task, scheduled, ask);
        }
    }

    /// Has the outcome of what has a slot pushed. `ask` is the id that it is asked for by.
    pub(crate) fn push_soon(self: &Arc<Self>, task: Task, scheduled: &Scheduled, ask: Id) {
        let process = scheduled.assignment.process;
        let may_wait = matches!(task.work, Work::Push { .. });
        if may_wait && (self.queue.is_over() || self.queue.is_abandoning()) {
            // It waits on the disk until there is room, and so does what comes after it.
            return self.queue.abandon(vec![task.number]);
        }
        let slot = scheduled.assignment.slot;
        let add = |task| self.pushes.add(process, slot, ask, task);
        if self.unless_parked(Group::Pushes(process), task, add) == Some(true) {
            self.spawn(|unit| unit.walk(process));
        }
    }

    /// What follows from an outcome, signed.
    pub(crate) async fn outbox_of(
        &self,
        origin: &Origin,
        outcome: &Arc<Outcome>,
        part: Part,
    ) -> Result<Outbox> {
        let is_empty =
            outcome.messages.is_empty() && outcome.spawns.is_empty() && outcome.assignments.is_empty();
        if is_empty || outcome.error.is_some() {
            return Ok(Outbox::default());
        }
        if let Some(max) = self.options.depth_max.filter(|max| origin.depth >= *max) {
            return Ok(Outbox::refused(format!(
                "nothing of its outcome is pushed: it is {max} outcomes from the root"
            )));
        }
        let about = match self.about(origin.process).await {
            Ok(about) => about,
            Err(error) if error.kind == Kind::NotFound => Arc::new(About::default()),
            Err(error) => return Err(error),
        };
        let limits = Limits {
            elements: self.options.elements_max,
            item_bytes: self.options.item_bytes_max,
            outcome_bytes: self.options.outcome_bytes_max,
        };
        let (wallet, outcome) = (self.ports.wallet.clone(), Arc::clone(outcome));
        let (process, pushed_for) = (origin.process, origin.pushed_for);
        unit::blocking(move || {
            let (module, scheduler) = (about.module.as_str(), about.scheduler.as_deref());
            sign::outbox(&wallet, Sender { process, module, scheduler, pushed_for }, &outcome, limits, &part)
        })
        .await
    }

    /// Tells what follows from an outcome, if something does.
    pub(crate) fn tell_pushed(&self, origin: &Origin, outbox: &Outbox) {
        if outbox.signed.is_empty() {
            return;
        }
        let id = |signed: &Signed| match signed {
            Signed::Message { item, .. } | Signed::Spawn { item, .. } => item.id,
            Signed::Assign(request) => request.message,
        };
        self.ports.events.tell(Some(origin.process), || Happened::Pushed {
            message: origin.message,
            sent: outbox.signed.iter().take(Events::PUSHED_MAX).map(id).collect(),
            count: outbox.signed.len(),
        });
    }

    fn pushed(&self, process: ProcessId, slot: Slot) -> Result<Pushed> {
        let value = self.queue.mark(PUSHED, &key_of(process, slot)).map_err(internal)?;
        Ok(value.map_or(Pushed::Nothing, |value| Pushed::decode(&value)))
    }
}

/// Adds what follows from an outcome to a step.
pub(crate) fn promise_all(step: &mut Step, origin: &Origin, outbox: Outbox) {
    for signed in outbox.signed {
        match signed {
            Signed::Message { item, assignments } => {
                let chain = origin.chain_of(item.id, step.now);
                let (message, target) = (item.id, item.target);
                let sent = step.promise(Work::Send { message, target }, chain.clone(), Some(item), None);
                for request in assignments {
                    let chain = Chain { parent: Some(message), ..chain.clone() };
                    step.promise(Work::Assign(request), chain, None, Some(sent));
                }
            }
            Signed::Spawn { item, notice } => {
                let chain = origin.chain_of(item.id, step.now);
                let (message, target) = (item.id, None);
                let spawned = step.promise(Work::Send { message, target }, chain.clone(), Some(item), None);
                let chain = Chain { parent: Some(message), ..chain };
                let (message, target) = (notice.id, notice.target);
                step.promise(Work::Send { message, target }, chain, Some(notice), Some(spawned));
            }
            Signed::Assign(request) => {
                let chain = origin.chain_of(request.message, step.now);
                step.promise(Work::Assign(request), chain, None, None);
            }
        }
    }
    for refused in outbox.refused {
        tracing::debug!(process = %origin.process, why = refused.why, "an element of an outbox is refused");
        let message = origin.message.unwrap_or(origin.process.into());
        let row = Trace {
            message,
            process: Some(origin.process),
            wallet: origin.wallet,
            parent: origin.message,
            root: origin.root.unwrap_or(message),
            timestamp: step.now,
            kind: refused.kind,
            relation: TraceRelation::Root,
            error: Some(refused.why),
        };
        step.refuse(row, refused.body);
    }
}

/// Whose outcome it is, and what that follows from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) process: ProcessId,
    /// None for cron.
    pub(crate) message: Option<Id>,
    /// None for cron: there the root is whatever is sent.
    pub(crate) root: Option<Id>,
    pub(crate) pushed_for: Option<Id>,
    pub(crate) wallet: Option<Address>,
    pub(crate) depth: u64,
}

impl Origin {
    /// The chain of something that this outcome sends.
    fn chain_of(&self, message: Id, since: protocol::Timestamp) -> Chain {
        Chain {
            root: self.root.unwrap_or(message),
            pushed_for: self.pushed_for,
            parent: self.message,
            sender: Some(self.process),
            wallet: self.wallet,
            depth: self.depth + 1,
            since,
        }
    }
}

/// An outcome whose turn comes.
struct Turn {
    slot: Slot,
    only: Option<u64>,
    /// What the outcome is asked for by.
    ask: Id,
    /// The task that wants it pushed, and others that want the same.
    tasks: Vec<Task>,
}

/// How soon a process answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Swift,
    Slow,
}

enum Prepared {
    /// What follows, and what was pushed before.
    Signed(Outbox, Pushed),
    Already,
    GaveUp(Error),
    /// It is tried again later, from the disk.
    Parked(Duration),
    Stopped,
}

impl Turn {
    fn place(&self) -> Place {
        (self.slot, self.only)
    }

    fn origin(&self, process: ProcessId) -> Origin {
        let chain = &self.tasks[0].chain;
        Origin {
            process,
            message: Some(self.tasks[0].work.message()),
            root: Some(chain.root),
            pushed_for: chain.pushed_for,
            wallet: chain.wallet,
            depth: chain.depth,
        }
    }
}

/// A client that sends the same again adds nothing, not even a trace.
fn finish_again(step: &mut Step, task: &Task) {
    match task.work {
        Work::Push { .. } => step.withdraw(task),
        _ => step.finish(task),
    }
}

/// Which part of which outcome.
type Place = (Slot, Option<u64>);

/// Outcomes that wait for their turn, by process. As many as tasks are loaded.
#[derive(Default)]
pub(crate) struct Pushes(Mutex<BTreeMap<ProcessId, Walk>>);

#[derive(Default)]
struct Walk {
    waiting: BTreeMap<Place, Turn>,
    /// Under way: the numbers of their tasks, and the tasks that came for the same meanwhile.
    ahead: BTreeMap<Place, (Vec<u64>, Vec<Task>)>,
}

impl Pushes {
    /// Adds a task. True if nobody walks for this process yet.
    fn add(&self, process: ProcessId, slot: Slot, ask: Id, task: Task) -> bool {
        let only = match task.work {
            Work::Push { only, .. } => only,
            _ => None,
        };
        let mut walks = lock(&self.0);
        let is_new = !walks.contains_key(&process);
        let walk = walks.entry(process).or_default();
        match walk.ahead.get_mut(&(slot, only)) {
            Some((_, same)) => same.push(task),
            None => {
                let turn = || Turn { slot, only, ask, tasks: Vec::new() };
                walk.waiting.entry((slot, only)).or_insert_with(turn).tasks.push(task);
            }
        }
        is_new
    }

    /// The next turn. None if there is none; and if none is under way either, the walk is over.
    fn next(&self, process: ProcessId) -> Option<Turn> {
        let mut walks = lock(&self.0);
        let walk = walks.get_mut(&process)?;
        let next = walk.waiting.pop_first();
        match &next {
            Some((place, turn)) => {
                let numbers = turn.tasks.iter().map(|task| task.number).collect();
                drop(walk.ahead.insert(*place, (numbers, Vec::new())));
            }
            None if walk.ahead.is_empty() => drop(walks.remove(&process)),
            None => {}
        }
        next.map(|(_, turn)| turn)
    }

    /// A turn is over. Answers with the tasks that came for the same meanwhile.
    fn end(&self, process: ProcessId, place: Place) -> Vec<Task> {
        let mut walks = lock(&self.0);
        let ended = walks.get_mut(&process).and_then(|walk| walk.ahead.remove(&place));
        ended.map(|(_, same)| same).unwrap_or_default()
    }

    /// The slot whose turn is next.
    pub(crate) fn first(&self, process: ProcessId) -> Option<Slot> {
        lock(&self.0).get(&process)?.waiting.first_key_value().map(|((slot, _), _)| *slot)
    }

    /// Whether the outcome of a slot is being pushed.
    fn is_under_way(&self, process: ProcessId, slot: Slot) -> bool {
        let walks = lock(&self.0);
        let ahead = walks.get(&process).and_then(|walk| walk.ahead.last_key_value());
        ahead.is_some_and(|((last, _), _)| *last == slot)
    }

    /// The numbers of all tasks of a walk, which is over.
    fn close(&self, process: ProcessId) -> Vec<u64> {
        let Some(walk) = lock(&self.0).remove(&process) else { return Vec::new() };
        let waiting = walk.waiting.into_values().flat_map(|turn| turn.tasks);
        let mut numbers: Vec<u64> = waiting.map(|task| task.number).collect();
        for (under_way, same) in walk.ahead.into_values() {
            numbers.extend(under_way);
            numbers.extend(same.iter().map(|task| task.number));
        }
        numbers
    }

    /// A turn is to be taken again.
    fn again(&self, process: ProcessId, turn: Turn) {
        if let Some(walk) = lock(&self.0).get_mut(&process) {
            walk.waiting.insert(turn.place(), turn);
        }
    }
}

/// What of an outcome was pushed. On the disk: nothing for all of it, else 8 bytes for each of its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pushed {
    Nothing,
    Messages(BTreeSet<u64>),
    All,
}

impl Pushed {
    /// What there is still to push of what is wanted.
    fn missing(&self, only: Option<u64>) -> Option<Part> {
        match (self, only) {
            (Pushed::All, _) => None,
            (Pushed::Messages(pushed), Some(index)) if pushed.contains(&index) => None,
            (_, Some(index)) => Some(Part::Message(index as usize)),
            (Pushed::Nothing, None) => Some(Part::All),
            (Pushed::Messages(pushed), None) => {
                Some(Part::AllBut(pushed.iter().map(|index| *index as usize).collect()))
            }
        }
    }

    /// What is pushed once that is pushed as well.
    fn with(self, only: Option<u64>) -> Pushed {
        let mut messages = match (self, only) {
            (Pushed::All, _) | (_, None) => return Pushed::All,
            (Pushed::Messages(messages), _) => messages,
            (Pushed::Nothing, _) => BTreeSet::new(),
        };
        messages.extend(only);
        Pushed::Messages(messages)
    }

    fn encode(&self) -> Bytes {
        match self {
            Pushed::Messages(messages) => messages.iter().flat_map(|index| index.to_be_bytes()).collect(),
            Pushed::All | Pushed::Nothing => Bytes::new(),
        }
    }

    fn decode(value: &[u8]) -> Pushed {
        let messages = value.chunks_exact(8).map(|index| index.try_into().map_or(0, u64::from_be_bytes));
        let messages: BTreeSet<u64> = messages.collect();
        if messages.is_empty() { Pushed::All } else { Pushed::Messages(messages) }
    }
}

fn key_of(process: ProcessId, slot: Slot) -> Bytes {
    [&process.0.0[..], &slot.0.to_be_bytes()].concat().into()
}
