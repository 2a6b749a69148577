//! Outcomes, by where they stand in their process and by message.
//!
//! Every outcome is stored and listed, those with an error too, so pages are exact. A duplicate has no outcome of its
//! own: it is remembered as one, answered with an empty outcome, and not listed.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{Assignment, Digest, Id, Json, Outcome, ProcessId, Slot, Timestamp};
use store::{Batch, Order, Space};
use unit::{Cursor, Error, Evaluated, OutcomeQuery, Page, Result, Sort};

use protocol::attestation::{Due, Leaf, outcome_digest};

use crate::cron::Tick;
use crate::history::{End, Histories};
use crate::journal::Journal;

/// Process, timestamp, ordinate, cron: an [outcome](encode).
const OUTCOMES: Space = Space("cu.outcome");
/// The keys of [`OUTCOMES`] that are of crons.
const CRONS: Space = Space("cu.cron");
/// Process, slot, step of its ticks, cron: that key. In the order of evaluation, which is not that of the pages:
/// blocks can be older than when they are reached.
const TICKS: Space = Space("cu.tick");
/// Process, message: a [`Standing`]. Assignment ids are not among them: the scheduler knows these, and few ask by them.
const MESSAGES: Space = Space("cu.message");
/// Process, duplicate key: the first slot that has it.
const SEEN: Space = Space("cu.seen");
/// Process: the newest slot that is recorded.
const HEADS: Space = Space("cu.head");

/// Process: the slot of the checkpoint of the weave that it was started from, and how many slots from 0 on have their
/// outcome all the same.
const BEGUN: Space = Space("cu.begun");

/// The outcomes of all processes.
#[derive(Clone)]
pub(crate) struct Results {
    journal: Journal,
    histories: Histories,
}

/// An evaluation that is recorded for the first time.
pub(crate) struct Record<'a> {
    pub(crate) assignment: &'a Assignment,
    /// What has the slot.
    pub(crate) message: Id,
    /// What tells it from others, if it was pushed.
    pub(crate) content: Option<Id>,
    /// What [`Results::before`] said of it.
    pub(crate) before: Before,
    /// `None` if it repeats another.
    pub(crate) outcome: Option<&'a Outcome>,
    /// The root of the state after it, where its leaf has one.
    pub(crate) state_root: Option<Digest>,
    /// The assignment of the slot before, if crons may have ticked since.
    pub(crate) ticked: Option<Id>,
}

/// What is known of a message when it has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Before {
    /// It repeats one that has an earlier slot.
    pub(crate) is_duplicate: bool,
    /// Whether its id stands for a slot already; `None` if nobody has looked.
    is_known: Option<bool>,
}

/// Which outcomes a page is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    Cron,
}

/// What a message id stands for in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It was evaluated.
    Evaluated { timestamp: u64, slot: u64 },
    /// It repeats an earlier message and was skipped.
    Duplicate { slot: u64 },
}

/// The outcome of a message that was skipped.
pub fn empty_outcome() -> Outcome {
    Outcome {
        messages: Vec::new(),
        assignments: Vec::new(),
        spawns: Vec::new(),
        output: Json::string(""),
        error: None,
        gas_used: 0,
        gas: 0,
        gas_schedule: runtime::GAS_SCHEDULE,
        memory_bytes: 0,
    }
}

impl Results {
    pub(crate) fn new(journal: Journal) -> Results {
        Results { histories: Histories::new(journal.clone()), journal }
    }

    /// What these outcomes are the leaves of.
    pub(crate) fn histories(&self) -> &Histories {
        &self.histories
    }

    /// What is recorded of a message of a process.
    pub(crate) fn of_message(&self, process: ProcessId, message: Id) -> Result<Option<Arc<Outcome>>> {
        match self.standing(process, message)? {
            None => Ok(None),
            Some(Standing::Duplicate { .. }) => Ok(Some(Arc::new(empty_outcome()))),
            Some(Standing::Evaluated { timestamp, slot }) => self.at(process, timestamp, slot),
        }
    }

    /// What is recorded of an entry of a schedule.
    pub(crate) fn of_entry(&self, assignment: &Assignment) -> Result<Option<Arc<Outcome>>> {
        let (process, slot) = (assignment.process, assignment.slot);
        if self.head(process)?.is_none_or(|head| head < slot) {
            return Ok(None);
        }
        // It was evaluated, and only duplicates leave no outcome; unless a checkpoint was taken for it.
        let outcome = self.at(process, assignment.timestamp.0, slot.0)?;
        if outcome.is_none()
            && self.begun(process)?.is_some_and(|(after, done)| slot <= after && slot.0 >= done)
        {
            return Ok(None);
        }
        Ok(Some(outcome.unwrap_or_else(|| Arc::new(empty_outcome()))))
    }

    fn at(&self, process: ProcessId, timestamp: u64, slot: u64) -> Result<Option<Arc<Outcome>>> {
        let stored = self.journal.get(OUTCOMES, &key(process, timestamp, slot, None))?;
        Ok(stored.map(|value| decode(&value)).transpose()?.map(|(_, outcome)| Arc::new(outcome)))
    }

    /// A part of the recorded outcomes of a process.
    pub(crate) fn page(
        &self,
        process: ProcessId,
        query: &OutcomeQuery,
        which: Which,
    ) -> Result<Page<Evaluated>> {
        // The order in which a cursor was taken beats the order that is asked for: clients page on with the cursor
        // alone and expect to go on in the same direction.
        let sort_of = |cursor: &Option<Cursor>| cursor.as_ref().and_then(|cursor| cursor.sort);
        let sort = match which {
            Which::Cron => Sort::Ascending,
            Which::All => sort_of(&query.from).or(sort_of(&query.to)).unwrap_or(query.sort),
        };
        let lower = lower_bound(process, query.from.as_ref());
        let upper = upper_bound(process, query.to.as_ref());
        let range = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
        let order = match sort {
            Sort::Ascending => Order::Ascending,
            Sort::Descending => Order::Descending,
        };
        let space = if which == Which::Cron { CRONS } else { OUTCOMES };
        let found = self.journal.scan(space, range, order, query.limit.saturating_add(1))?;
        let page = Page::cut(found, query.limit);
        let items = page.items.into_iter().map(|(key, value)| {
            let value = match which {
                Which::All => value,
                Which::Cron => {
                    self.journal.get(OUTCOMES, &key)?.ok_or_else(|| damaged("the outcome of a cron"))?
                }
            };
            let (message, outcome) = decode(&value)?;
            Ok(Evaluated { cursor: cursor(&key, sort)?, message, outcome: Arc::new(outcome) })
        });
        Ok(Page { items: items.collect::<Result<_>>()?, has_next: page.has_next })
    }

    /// The newest slot whose outcome is recorded. Evaluating up to there again writes nothing.
    pub(crate) fn head(&self, process: ProcessId) -> Result<Option<Slot>> {
        let value = self.journal.get(HEADS, process.0.as_bytes())?;
        value
            .map(|value| read_u64(&value, 0).map(Slot).ok_or_else(|| damaged("the head of a process")))
            .transpose()
    }

    /// What is known of a message that has `slot`. Whether it repeats another is told by its content if it is pushed,
    /// else by its id.
    pub(crate) fn before(
        &self,
        process: ProcessId,
        slot: Slot,
        message: Id,
        content: Option<Id>,
    ) -> Result<Before> {
        let (first, is_known) = match content {
            Some(content) => {
                let seen = self.journal.get(SEEN, &joined(process, content.as_bytes()))?;
                (seen.and_then(|value| read_u64(&value, 0)), None)
            }
            None => {
                let standing = self.standing(process, message)?;
                let slot = standing.map(|standing| match standing {
                    Standing::Evaluated { slot, .. } | Standing::Duplicate { slot } => slot,
                });
                (slot, Some(slot.is_some()))
            }
        };
        Ok(Before { is_duplicate: first.is_some_and(|first| first < slot.0), is_known })
    }

    /// Records what came of the message that has a slot, and puts it behind its process's history.
    ///
    /// What was started from a checkpoint of the weave has no history.
    pub(crate) fn record(&self, record: &Record<'_>, history: Option<&mut End>) -> Result<()> {
        let Record { assignment, message, content, before, outcome, state_root, ticked } = *record;
        let process = assignment.process;
        let (timestamp, slot) = (assignment.timestamp.0, assignment.slot.0);
        let mut batch = Batch::new();
        if let Some(outcome) = outcome {
            batch.put(OUTCOMES, key(process, timestamp, slot, None), encode(Some(message), outcome)?);
        }
        let before = Before { is_duplicate: outcome.is_none(), ..before };
        self.see(&mut batch, assignment, message, content, before)?;
        batch.put(HEADS, process.0.0.to_vec(), slot.to_be_bytes().to_vec());
        let leaf = |slot, id, cron, outcome: &Outcome| Leaf {
            process,
            epoch: assignment.epoch,
            slot,
            cron,
            assignment: id,
            outcome: outcome_digest(outcome),
            gas: outcome.gas,
            gas_schedule: outcome.gas_schedule,
            state_root: None,
        };
        let Some(history) = history else { return self.journal.append(batch) };
        if let Some(before) = ticked {
            let last = Slot(slot.saturating_sub(1));
            for (due, outcome) in self.ticks(process, last)? {
                history.append(&mut batch, &leaf(last, before, Some(due), &outcome));
            }
        }
        let nothing = empty_outcome();
        let own = leaf(assignment.slot, assignment.id(), None, outcome.unwrap_or(&nothing));
        history.append(&mut batch, &Leaf { state_root, ..own });
        self.journal.append(batch)
    }

    /// Remembers that a message had a slot: later ones may repeat it.
    fn see(
        &self,
        batch: &mut Batch,
        assignment: &Assignment,
        message: Id,
        content: Option<Id>,
        before: Before,
    ) -> Result<()> {
        let process = assignment.process;
        let (timestamp, slot) = (assignment.timestamp.0, assignment.slot.0);
        let standing = match before.is_duplicate {
            false => {
                if let Some(content) = content {
                    batch.put(SEEN, joined(process, content.as_bytes()), slot.to_be_bytes().to_vec());
                }
                Standing::Evaluated { timestamp, slot }
            }
            true => Standing::Duplicate { slot },
        };
        // The first slot of a message is the one its id stands for.
        let is_known = match before.is_known {
            Some(is_known) => is_known,
            None => self.standing(process, message)?.is_some(),
        };
        if !is_known {
            batch.put(MESSAGES, joined(process, message.as_bytes()), standing.encode());
        }
        Ok(())
    }

    /// Remembers that a message had a slot, without evaluating it.
    pub(crate) fn pass(&self, assignment: &Assignment, message: Id, content: Option<Id>) -> Result<()> {
        let mut batch = Batch::new();
        let before = self.before(assignment.process, assignment.slot, message, content)?;
        self.see(&mut batch, assignment, message, content, before)?;
        if batch.changes.is_empty() { Ok(()) } else { self.journal.append(batch) }
    }

    /// A process is evaluated from a checkpoint of the weave on that was taken after `slot`; up to `head` it was
    /// evaluated before.
    pub(crate) fn begin_after(&self, process: ProcessId, slot: Slot, head: Option<Slot>) -> Result<()> {
        let done = match self.begun(process)? {
            Some((_, done)) => done,
            None => head.map_or(0, |head| head.0 + 1),
        };
        let mut batch = Batch::new();
        let value = [slot.0.to_be_bytes(), done.to_be_bytes()].concat();
        batch.put(BEGUN, process.0.0.to_vec(), value);
        batch.put(HEADS, process.0.0.to_vec(), slot.0.to_be_bytes().to_vec());
        self.journal.append(batch)
    }

    /// The slot of the checkpoint of the weave that a process was started from, if it was.
    pub(crate) fn began_after(&self, process: ProcessId) -> Result<Option<Slot>> {
        Ok(self.begun(process)?.map(|(after, _)| after))
    }

    fn begun(&self, process: ProcessId) -> Result<Option<(Slot, u64)>> {
        let Some(value) = self.journal.get(BEGUN, process.0.as_bytes())? else { return Ok(None) };
        let read =
            |at| read_u64(&value, at).ok_or_else(|| damaged("the checkpoint that a process began from"));
        Ok(Some((Slot(read(0)?), read(8)?)))
    }

    /// Keeps the outcome of a slot that lies before the checkpoint that its process was started from. They come one
    /// after the other.
    pub(crate) fn record_before(
        &self,
        assignment: &Assignment,
        message: Id,
        outcome: Option<&Outcome>,
    ) -> Result<()> {
        let (process, slot) = (assignment.process, assignment.slot);
        let Some((after, done)) = self.begun(process)? else { return Ok(()) };
        // Several may be on their way through the past; who is ahead writes.
        if slot.0 != done {
            return Ok(());
        }
        let mut batch = Batch::new();
        if let Some(outcome) = outcome {
            let key = key(process, assignment.timestamp.0, slot.0, None);
            batch.put(OUTCOMES, key, encode(Some(message), outcome)?);
        }
        let value = [after.0.to_be_bytes(), (done + 1).to_be_bytes()].concat();
        batch.put(BEGUN, process.0.0.to_vec(), value);
        self.journal.append(batch)
    }

    /// The ticks after a slot, second by second; those of one second in the order of their names.
    fn ticks(&self, process: ProcessId, slot: Slot) -> Result<Vec<(Due, Outcome)>> {
        let (lower, upper) = (key(process, slot.0, 0, None), after_all_of(process, slot.0));
        let range = (Bound::Included(lower.as_slice()), Bound::Included(upper.as_slice()));
        let ticks = self.journal.scan(TICKS, range, Order::Ascending, usize::MAX / 2)?;
        let tick = |(_, listed): (Bytes, Bytes)| {
            let value =
                self.journal.get(OUTCOMES, &listed)?.ok_or_else(|| damaged("the outcome of a cron"))?;
            let Cursor { timestamp, cron, .. } = cursor(&listed, Sort::Ascending)?;
            let name = cron.ok_or_else(|| damaged("the key of a cron"))?;
            Ok((Due { timestamp, name }, decode(&value)?.1))
        };
        ticks.into_iter().map(tick).collect()
    }

    /// Records the outcome of a tick after the message that has `slot`, in that step of its ticks.
    pub(crate) fn record_tick(
        &self,
        process: ProcessId,
        slot: Slot,
        step: u64,
        tick: &Tick,
        outcome: &Outcome,
    ) -> Result<()> {
        let listed = Bytes::from(key(process, tick.listed.0, slot.0, Some(&tick.cron)));
        let mut batch = Batch::new();
        batch.put(OUTCOMES, listed.clone(), encode(None, outcome)?);
        batch.put(CRONS, listed.clone(), Bytes::new());
        batch.put(TICKS, key(process, slot.0, step, Some(&tick.cron)), listed);
        self.journal.append(batch)
    }

    /// Forgets the ticks after the message that has `slot`, or only those after a step: they were never evaluated, as
    /// far as the machine knows that goes on from there, or the schedule says now that they never were.
    pub(crate) fn forget_ticks(&self, process: ProcessId, slot: Slot, after: Option<u64>) -> Result<()> {
        let lower = key(process, slot.0, after.map_or(0, |step| step + 1), None);
        let upper = after_all_of(process, slot.0);
        let range = (Bound::Included(lower.as_slice()), Bound::Included(upper.as_slice()));
        let ticks = self.journal.scan(TICKS, range, Order::Ascending, usize::MAX / 2)?;
        if ticks.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for (key, listed) in ticks {
            batch.delete(OUTCOMES, listed.clone()).delete(CRONS, listed).delete(TICKS, key);
        }
        self.journal.append(batch)
    }

    fn standing(&self, process: ProcessId, id: Id) -> Result<Option<Standing>> {
        let value = self.journal.get(MESSAGES, &joined(process, id.as_bytes()))?;
        value
            .map(|value| Standing::decode(&value).ok_or_else(|| damaged("the place of a message")))
            .transpose()
    }
}

impl Standing {
    fn encode(self) -> Vec<u8> {
        match self {
            Standing::Duplicate { slot } => [&[0], &slot.to_be_bytes()[..]].concat(),
            Standing::Evaluated { timestamp, slot } => {
                [&[1], &slot.to_be_bytes()[..], &timestamp.to_be_bytes()].concat()
            }
        }
    }

    fn decode(value: &[u8]) -> Option<Standing> {
        let slot = read_u64(value, 1)?;
        match value[0] {
            0 => Some(Standing::Duplicate { slot }),
            _ => Some(Standing::Evaluated { slot, timestamp: read_u64(value, 9)? }),
        }
    }
}

/// Keys sort as outcomes are listed: by timestamp, then ordinate, then cron, none first.
fn key(process: ProcessId, timestamp: u64, ordinate: u64, cron: Option<&str>) -> Vec<u8> {
    let cron = cron.unwrap_or_default().as_bytes();
    [process.0.as_bytes(), &timestamp.to_be_bytes()[..], &ordinate.to_be_bytes(), cron].concat()
}

fn joined(process: ProcessId, id: &[u8; 32]) -> Vec<u8> {
    [process.0.as_bytes(), &id[..]].concat()
}

/// Exclusive. A bare timestamp stands after everything of its millisecond.
fn lower_bound(process: ProcessId, from: Option<&Cursor>) -> Bound<Vec<u8>> {
    match from {
        None => Bound::Included(process.0.0.to_vec()),
        Some(cursor) => Bound::Excluded(key_of(process, cursor)),
    }
}

/// Inclusive.
fn upper_bound(process: ProcessId, to: Option<&Cursor>) -> Bound<Vec<u8>> {
    Bound::Included(match to {
        None => after_all_of(process, u64::MAX),
        Some(cursor) => key_of(process, cursor),
    })
}

fn key_of(process: ProcessId, cursor: &Cursor) -> Vec<u8> {
    match cursor.ordinate {
        Some(ordinate) => key(process, cursor.timestamp.0, ordinate, cursor.cron.as_deref()),
        None => after_all_of(process, cursor.timestamp.0),
    }
}

/// Behind every key of that millisecond: crons are text, and no text has this byte.
fn after_all_of(process: ProcessId, timestamp: u64) -> Vec<u8> {
    let mut key = key(process, timestamp, u64::MAX, None);
    key.push(0xff);
    key
}

fn cursor(key: &[u8], sort: Sort) -> Result<Cursor> {
    let read = |at| read_u64(key, at).ok_or_else(|| damaged("the key of an outcome"));
    let (timestamp, ordinate) = (read(32)?, read(40)?);
    let cron = (key.len() > 48).then(|| String::from_utf8_lossy(&key[48..]).into_owned());
    Ok(Cursor { timestamp: Timestamp(timestamp), ordinate: Some(ordinate), cron, sort: Some(sort) })
}

/// A version, the message's id if there is one, the outcome as JSON.
fn encode(message: Option<Id>, outcome: &Outcome) -> Result<Vec<u8>> {
    let mut value = vec![1, u8::from(message.is_some())];
    value.extend(message.iter().flat_map(|id| id.0));
    serde_json::to_writer(&mut value, outcome).map_err(|error| Error::internal(&error))?;
    Ok(value)
}

fn decode(value: &[u8]) -> Result<(Option<Id>, Outcome)> {
    let (message, json) = match value {
        [1, 0, json @ ..] => (None, json),
        [1, 1, rest @ ..] if rest.len() > 32 => (Id::from_slice(&rest[..32]), &rest[32..]),
        _ => return Err(damaged("an outcome")),
    };
    let outcome = serde_json::from_slice(json).map_err(|error| Error::internal(&error))?;
    Ok((message, outcome))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + 8)?;
    Some(u64::from_be_bytes(bytes.try_into().expect("it is eight bytes")))
}

fn damaged(what: &str) -> Error {
    Error::new(unit::Kind::Internal, format!("{what} is not stored as this version stores it"))
}
