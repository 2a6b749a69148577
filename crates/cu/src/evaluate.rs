//! Evaluation: a machine, taken along its schedule message by message.
//!
//! All of this is synchronous and runs on threads that may block. What belongs to the schedule (which ticks lie
//! between two entries, which message repeats another, whether an entry continues the chain) is decided here, in the
//! same way whoever asks and wherever a machine started from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use protocol::attestation::has_state_root;
use protocol::message::duplicate_key;
use protocol::{Height, Item, Json, Message, Outcome, Slot, Timestamp, tag};
use runtime::{Input, Machine, Refusal};
use unit::{BlockRef, Error, Events, Happened, Result, Scheduled, Told, told_text};

use crate::checkpoint::Position;
use crate::cron::{Contradiction, Moment, Tick, Walk};
use crate::history::End;
use crate::input::{self, Delivery};
use crate::results::{Record, Results, empty_outcome};
use crate::subject::{Subject, check_signer, refused};

/// A process in memory, and how far it is.
pub(crate) struct Live {
    pub(crate) subject: Arc<Subject>,
    pub(crate) machine: Box<dyn Machine>,
    /// `None` before slot 0.
    pub(crate) position: Option<Position>,
    /// The newest slot whose outcome is recorded; up to there outcomes are only repeated.
    pub(crate) recorded: Option<Slot>,
    /// The slot of the checkpoint of the weave that it was started from, if it was: it has no history, and outcomes up
    /// to there are kept when somebody asks for them.
    pub(crate) began_after: Option<Slot>,
    /// Where its history ends.
    pub(crate) history: End,
    /// Since the last checkpoint.
    pub(crate) unsaved: Work,
    /// Since the memory was published, or came here.
    pub(crate) unpublished: Work,
    /// The cron that ticked last, if it was this machine that evaluated it and nothing since.
    pub(crate) cron: Option<String>,
    /// The machine refused in the middle of an evaluation: what its memory is then, nobody says.
    pub(crate) broken: bool,
}

/// What was evaluated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) messages: u64,
    pub(crate) gas: u64,
}

/// An entry of a schedule with what it assigns.
pub(crate) struct Entry {
    pub(crate) scheduled: Scheduled,
    pub(crate) item: Arc<Item>,
    pub(crate) delivery: Delivery,
    /// What the machine gets, if there was time to write it down before its turn.
    pub(crate) encoded: Option<Encoded>,
}

/// An input and its text.
pub(crate) struct Encoded {
    input: Input,
    text: String,
}

/// Data that is longer is encoded when it has its turn: a page would have it in memory three times.
const ENCODED_BYTES_MAX: usize = 64 << 10;

impl Entry {
    /// Writes down what the machine gets.
    pub(crate) fn encode(&mut self) {
        if self.item.data.len() <= ENCODED_BYTES_MAX {
            let input = input::scheduled(&self.item, &self.scheduled.assignment, self.delivery);
            self.encoded = Some(Encoded { text: input.to_json(), input });
        }
    }
}

/// What an evaluation needs beside the machine.
pub(crate) struct Bench<'a> {
    pub(crate) results: &'a Results,
    pub(crate) counted: &'a Counted,
    pub(crate) events: &'a Events,
    /// Set when the unit stops.
    pub(crate) stopping: &'a AtomicBool,
}

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) evaluated: AtomicU64,
    pub(crate) replayed: AtomicU64,
    pub(crate) ticks: AtomicU64,
    pub(crate) duplicates: AtomicU64,
}

/// Why evaluation does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It cannot.
    Failed(Error),
    /// Ticks were evaluated that the schedule contradicts.
    Contradicted,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

impl From<Contradiction> for Stop {
    fn from(_: Contradiction) -> Stop {
        Stop::Contradicted
    }
}

impl Live {
    /// The slot that comes next.
    pub(crate) fn next_slot(&self) -> Slot {
        self.position.map_or(Slot(0), |position| position.slot.next())
    }

    /// Evaluates the next entry of the schedule, without the ticks before it.
    pub(crate) fn step(&mut self, entry: &Entry, bench: &Bench<'_>) -> Result<Arc<Outcome>> {
        let assignment = &*entry.scheduled.assignment;
        follows(&self.subject, self.position.as_ref(), entry)?;
        let message = entry.item.id;
        let content = (entry.delivery == Delivery::Delivered && Message(&entry.item).is_pushed())
            .then(|| duplicate_key(&entry.item, &self.subject.authorities));
        let process = self.subject.process;
        let is_new = self.recorded.is_none_or(|recorded| assignment.slot > recorded);
        let known = bench.results.before(process, assignment.slot, message, content)?;
        let outcome = if known.is_duplicate {
            bench.counted.duplicates.fetch_add(1, Ordering::Relaxed);
            self.unsaved.messages += 1;
            None
        } else {
            Some(match &entry.encoded {
                Some(Encoded { input, text }) => {
                    self.handle(bench, |machine| machine.handle_encoded(input, text))?
                }
                None => {
                    let input = input::scheduled(&entry.item, assignment, entry.delivery);
                    self.handle(bench, |machine| machine.handle(&input))?
                }
            })
        };
        if is_new {
            let has_history = self.began_after.is_none();
            let state_root = match has_history && has_state_root(assignment.slot) {
                true => Some(self.machine.root().map_err(|refusal| self.refuse(&refusal))?),
                false => None,
            };
            let before = self.position.filter(|_| !self.subject.crons.is_empty());
            let ticked = before.map(|before| before.assignment);
            let outcome = outcome.as_ref();
            let record = Record { assignment, message, content, before: known, outcome, state_root, ticked };
            // The memory is ahead of what is recorded then.
            let history = has_history.then_some(&mut self.history);
            bench.results.record(&record, history).inspect_err(|_| self.broken = true)?;
            self.recorded = Some(assignment.slot);
            bench.counted.evaluated.fetch_add(1, Ordering::Relaxed);
        } else {
            bench.counted.replayed.fetch_add(1, Ordering::Relaxed);
            if self.began_after.is_some_and(|slot| assignment.slot <= slot) {
                bench.results.record_before(assignment, message, outcome.as_ref())?;
            }
        }
        self.cron = None;
        self.position = Some(Position::at(assignment));
        let outcome = Arc::new(outcome.unwrap_or_else(empty_outcome));
        if is_new {
            bench.events.tell(Some(process), || told(entry, &outcome));
        }
        Ok(outcome)
    }

    /// Evaluates the ticks after the last entry and before `until`, at most `max` and a few. Calls `after` when the
    /// machine stands between two of them. Whether there are no more.
    pub(crate) fn tick_until(
        &mut self,
        until: Moment,
        blocks: &[BlockRef],
        max: u64,
        bench: &Bench<'_>,
        mut after: impl FnMut(&mut Live),
    ) -> std::result::Result<bool, Stop> {
        let Some(position) = self.position else { return Ok(true) };
        let subject = Arc::clone(&self.subject);
        if subject.crons.is_empty() {
            return Ok(true);
        }
        let above = |height: u64| blocks.partition_point(|block| block.height.0 <= height);
        let (first, end) = (above(position.height.0), above(until.height));
        let blocks = &blocks[first..end.max(first)];
        if position.ticks.is_some_and(|ticked| ticked.height > until.height) {
            // A block counted that is not between the entries after all.
            return Err(Stop::Contradicted);
        }
        let (origin, left) = (subject.origin, position.moment());
        let mut walk = Walk::resume(&subject.crons, origin, left, position.ticks, blocks, until.timestamp)?;
        let mut evaluated = 0;
        while let Some((progress, ticks)) = walk.next_step() {
            for tick in &ticks {
                self.tick(position.slot, progress.step, tick, bench)?;
            }
            evaluated += ticks.len() as u64;
            let last = ticks.last().map_or(position.last, |tick| (tick.timestamp, tick.height));
            self.position = Some(Position { ticks: Some(progress), last, ..position });
            self.cron = ticks.last().map(|tick| tick.cron.clone());
            after(self);
            if evaluated >= max {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn tick(&mut self, slot: Slot, step: u64, tick: &Tick, bench: &Bench<'_>) -> Result<()> {
        let input = input::cron(self.subject.process, &self.subject.owner, tick);
        let outcome = self.handle(bench, |machine| machine.handle(&input))?;
        bench.counted.ticks.fetch_add(1, Ordering::Relaxed);
        // Before an entry that is recorded, its ticks are too.
        let is_before = self.began_after.is_some_and(|began| slot < began);
        if is_before {
            bench.results.record_tick(self.subject.process, slot, step, tick, &outcome)?;
        } else if self.recorded.is_none_or(|recorded| slot >= recorded) {
            let process = self.subject.process;
            bench.results.record_tick(process, slot, step, tick, &outcome)?;
            bench.events.tell(Some(process), || {
                let (due, cron) = (tick.timestamp, tick.cron.clone());
                Happened::Ticked { slot, due, cron, outcome: Told::of(&Arc::new(outcome)) }
            });
        }
        Ok(())
    }

    fn handle(
        &mut self,
        bench: &Bench<'_>,
        evaluate: impl FnOnce(&mut dyn Machine) -> Result<Outcome, Refusal>,
    ) -> Result<Outcome> {
        if bench.stopping.load(Ordering::Relaxed) {
            return Err(stopping());
        }
        let outcome = evaluate(&mut *self.machine).map_err(|refusal| self.refuse(&refusal))?;
        self.unsaved.messages += 1;
        self.unsaved.gas = self.unsaved.gas.saturating_add(outcome.gas);
        self.unpublished.messages += 1;
        self.unpublished.gas = self.unpublished.gas.saturating_add(outcome.gas);
        Ok(settled(outcome))
    }

    fn refuse(&mut self, refusal: &Refusal) -> Error {
        self.broken = true;
        refused(refusal)
    }
}

/// Whether the entry is the one that continues the schedule of a process after `position`, signed by its scheduler.
pub(crate) fn follows(subject: &Subject, position: Option<&Position>, entry: &Entry) -> Result<()> {
    let broken = |what: String| Error::refused(what).with_code(unit::Code::BROKEN_SCHEDULE);
    let assignment = &*entry.scheduled.assignment;
    let process = subject.process;
    let next = position.map_or(Slot(0), |position| position.slot.next());
    if assignment.process != process || assignment.slot != next {
        return Err(broken(format!(
            "the scheduler answered with slot {} of {} instead of slot {next} of {process}",
            assignment.slot, assignment.process,
        )));
    }
    let chain = match position {
        None => protocol::HashChain::start(process),
        Some(position) => position.next_chain(),
    };
    if assignment.hash_chain != chain {
        return Err(broken(format!("HashChain invalid on message {}", entry.item.id)).with_hint(format!(
            "slot {} of {process} does not continue the slots before it",
            assignment.slot
        )));
    }
    check_signer(process, subject.scheduler, assignment)?;
    if assignment.message.is_some_and(|message| message != entry.item.id) {
        return Err(broken(format!(
            "slot {} of {process} is assigned another message than the one delivered, {}",
            assignment.slot, entry.item.id
        )));
    }
    Ok(())
}

/// An evaluation as listeners hear of it.
fn told(entry: &Entry, outcome: &Arc<Outcome>) -> Happened {
    let tags = &entry.item.tags;
    let sender = tags.first(tag::FROM_PROCESS).and_then(|sender| sender.parse().ok());
    Happened::Evaluated {
        slot: entry.scheduled.assignment.slot,
        message: entry.item.id,
        from: sender.unwrap_or(entry.item.address().0),
        action: tags.first(tag::ACTION).map(told_text),
        outcome: Told::of(outcome),
    }
}

/// Where a machine stands, for the inputs of dry runs and for `state`.
pub(crate) fn last_of(position: Option<&Position>, subject: &Subject) -> (Timestamp, Height) {
    let origin = (Timestamp(subject.origin.timestamp), Height(subject.origin.height));
    position.map_or(origin, |position| position.last)
}

/// The largest outcome, bytes of its JSON. A rule of the evaluation and no option, so that all operators agree; larger
/// ones than this are not kept in one piece by everybody.
pub const OUTCOME_BYTES_MAX: usize = 32 << 20;

/// What an outcome says after all: a failure sends nothing and shows nothing but itself, and one that is too large
/// is a failure, although what it did to the memory stays.
pub fn settled(mut outcome: Outcome) -> Outcome {
    let outbox = [&outcome.messages, &outcome.assignments, &outcome.spawns].into_iter().flatten();
    let bytes: usize =
        outbox.chain([&outcome.output]).chain(&outcome.error).map(|json| json.get().len()).sum();
    if bytes > OUTCOME_BYTES_MAX {
        let error = format!("the outcome is {bytes} bytes; at most {OUTCOME_BYTES_MAX} are kept");
        outcome.error = Some(Json::string(&error));
    }
    match outcome.error {
        None => outcome,
        Some(_) => Outcome {
            messages: Vec::new(),
            assignments: Vec::new(),
            spawns: Vec::new(),
            output: Json::string(""),
            ..outcome
        },
    }
}

/// The answer to whoever asks while the unit stops.
pub(crate) fn stopping() -> Error {
    Error::unavailable("this compute unit is stopping").with_code(unit::Code::STOPPING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_that_is_too_large_is_a_failure() {
        let of = |bytes: usize| {
            let output = Json::string(&"x".repeat(bytes - 2));
            settled(Outcome { messages: vec![Json::parse("1").unwrap()], output, ..empty_outcome() })
        };
        assert_eq!(of(OUTCOME_BYTES_MAX - 1).error, None);
        let large = of(OUTCOME_BYTES_MAX);
        let why = "\"the outcome is 33554433 bytes; at most 33554432 are kept\"";
        assert_eq!(large.error.as_ref().map(Json::get), Some(why));
        assert!(large.messages.is_empty() && large.output.get() == "\"\"");
    }
}
