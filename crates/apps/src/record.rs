//! What processes sent, from the durable record: the histories and outcomes of a compute unit.
//!
//! Leaves of a history are in the order of evaluation, and only grow. Ticks of legacy crons after the newest slot are
//! no leaves yet (`docs/attestations.md`); a messenger sends what they say all the same, so they are told under the
//! places that they have once the next slot is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use protocol::attestation::{Due, Leaf};
use protocol::{Json, ProcessId, Slot, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use unit::{
    Compute, Cursor, Error, Evaluated, OutcomeQuery, Outgoing, Place, Result, Said, SaidTag, Scheduler,
    SlotRange, Sort, Start,
};

use crate::lock;

/// Pages of outcomes that are read for one page of leaves.
const PAGES_MAX: usize = 64;
/// Ticks of one process at one time that are looked through.
const TICKS_MAX: usize = 256;
/// Ticks after the newest slot that are read at once.
const TAIL_PAGE: usize = 256;
/// Processes for which it is remembered where these pages begin; then all is forgotten, and counted again.
const TAILS_MAX: usize = 1024;
/// Bytes of the tags that are told of one message.
const TAGS_BYTES_MAX: usize = 64 << 10;

/// One evaluation, and what it sends.
#[derive(Debug)]
pub(crate) struct Turn {
    pub leaf: u64,
    pub said: Vec<Arc<Said>>,
}

impl Turn {
    /// Bytes that it keeps, roughly.
    pub fn bytes(&self) -> usize {
        // The JSON, and the same once more as values.
        self.said.iter().map(|said| 2 * said.json.len() + size_of::<Said>()).sum::<usize>() + 64
    }
}

/// Reads what a compute unit recorded.
pub(crate) struct Record {
    pub compute: Arc<dyn Compute>,
    pub scheduler: Arc<dyn Scheduler>,
    pub data_bytes_max: usize,
    pub tails: Mutex<BTreeMap<ProcessId, Tail>>,
}

/// Where the pages of ticks after the newest slot begin: whoever reads on does not count them again.
#[derive(Clone, Default)]
pub(crate) struct Tail {
    /// Leaves of the process when it was counted.
    size: u64,
    /// How many ticks are read by there, and the last of them.
    marks: Vec<(u64, Cursor)>,
}

/// Ticks after the newest slot, in the order in which they become leaves.
#[derive(Default)]
struct Ticks {
    /// How many come before these.
    at: u64,
    items: Vec<Evaluated>,
}

impl Record {
    /// The leaf that the next evaluation has.
    pub async fn end(&self, process: ProcessId) -> Result<u64> {
        let size = self.compute.history(process, 0, 1).await?.size;
        let last = self.ticks_after(process, size, u64::MAX).await?;
        Ok(size + last.at + last.items.len() as u64)
    }

    /// Where a start is. None: beyond the end.
    pub async fn place(&self, process: ProcessId, start: Start) -> Result<(Place, bool)> {
        let end = self.end(process).await?;
        let place = match start {
            Start::Now => Place { leaf: end, index: 0 },
            Start::At(place) => place,
            Start::After(place) => place.next(),
            Start::Slot(slot) => Place { leaf: self.leaf_of(process, slot).await?, index: 0 },
        };
        let is_beyond = place.leaf > end;
        Ok(if is_beyond { (Place { leaf: end, index: 0 }, true) } else { (place, false) })
    }

    /// The first leaf that is not before a slot: leaves are in the order of slots.
    async fn leaf_of(&self, process: ProcessId, slot: Slot) -> Result<u64> {
        let (mut low, mut high) = (0, self.compute.history(process, 0, 1).await?.size);
        while low < high {
            let middle = low + (high - low) / 2;
            let page = self.compute.history(process, middle, 1).await?;
            match page.leaves.first() {
                Some(leaf) if leaf.slot < slot => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Evaluations from a leaf on, in order; none at the end.
    pub async fn turns(&self, process: ProcessId, from: u64, limit: usize) -> Result<Vec<Turn>> {
        let page = self.compute.history(process, from, limit).await?;
        if page.leaves.is_empty() {
            let Ticks { at, items } =
                self.ticks_after(process, page.size, from.saturating_sub(page.size)).await?;
            let numbered = (page.size + at..).zip(items).filter(|(leaf, _)| *leaf >= from).take(limit);
            return Ok(numbered.map(|(leaf, tick)| self.turn(process, leaf, &tick)).collect());
        }
        let mut outcomes = self.outcomes(process, &page.leaves).await?;
        let mut turns = Vec::with_capacity(page.leaves.len());
        for (index, leaf) in (from..).zip(&page.leaves) {
            let mut found = outcomes.remove(&(leaf.slot, leaf.cron.clone()));
            if let (None, Some(due)) = (&found, &leaf.cron) {
                found = self.tick(process, leaf.slot, due).await?;
            }
            // What repeats an earlier message has no outcome of its own.
            let said = found.map(|found| self.turn(process, index, &found));
            turns.push(said.unwrap_or(Turn { leaf: index, said: Vec::new() }));
        }
        Ok(turns)
    }

    /// The outcomes of leaves, as far as they are listed between the first and the last of these.
    async fn outcomes(
        &self,
        process: ProcessId,
        leaves: &[Leaf],
    ) -> Result<BTreeMap<(Slot, Option<Due>), Evaluated>> {
        let mut found = BTreeMap::new();
        let (Some(first), Some(last)) = (leaves.first(), leaves.last()) else { return Ok(found) };
        let since = self.time_of(process, first.slot).await?;
        let mut from = since.0.checked_sub(1).map(|before| Cursor {
            timestamp: Timestamp(before),
            ordinate: None,
            cron: None,
            sort: None,
        });
        for _ in 0..PAGES_MAX {
            let query = OutcomeQuery { from, to: None, sort: Sort::Ascending, limit: leaves.len() + 1 };
            let page = self.compute.results(process, query).await?;
            let Some(newest) = page.items.last().map(|newest| newest.cursor.clone()) else { break };
            for evaluated in page.items {
                if let Some((slot, due)) = stands(&evaluated.cursor) {
                    found.insert((slot, due), evaluated);
                }
            }
            if !page.has_next || newest.ordinate.is_some_and(|ordinate| ordinate > last.slot.0) {
                break;
            }
            from = Some(Cursor { sort: None, ..newest });
        }
        Ok(found)
    }

    /// One tick.
    async fn tick(&self, process: ProcessId, slot: Slot, due: &Due) -> Result<Option<Evaluated>> {
        let from = Cursor { timestamp: due.timestamp, ordinate: Some(slot.0), cron: None, sort: None };
        // The slot itself may stand there, and is left out by this bound.
        let query = OutcomeQuery { from: Some(from), to: None, sort: Sort::Ascending, limit: TICKS_MAX };
        let page = self.compute.results(process, query).await?;
        let is_it = |one: &Evaluated| stands(&one.cursor) == Some((slot, Some(due.clone())));
        Ok(page.items.into_iter().find(is_it))
    }

    /// The page of the ticks after the newest slot that has the one after `skip` others, or the last page.
    async fn ticks_after(&self, process: ProcessId, size: u64, skip: u64) -> Result<Ticks> {
        let Some(before) = size.checked_sub(1) else { return Ok(Ticks::default()) };
        let newest = self.compute.history(process, before, 1).await?;
        let Some(slot) = newest.leaves.first().map(|leaf| leaf.slot) else { return Ok(Ticks::default()) };
        let query = OutcomeQuery { from: None, to: None, sort: Sort::Descending, limit: 1 };
        // Most processes have no cron: then the newest outcome is the slot's own.
        let listed = self.compute.results(process, query).await?;
        let is_tick = |one: &Evaluated| one.cursor.cron.is_some() && one.cursor.ordinate == Some(slot.0);
        if !listed.items.first().is_some_and(is_tick) {
            return Ok(Ticks::default());
        }
        let mut tail = lock(&self.tails).get(&process).filter(|tail| tail.size == size).cloned();
        let tail = tail.get_or_insert_with(|| Tail { size, marks: Vec::new() });
        let known = tail.marks.partition_point(|(count, _)| *count <= skip);
        let (mut at, mut from) = match known.checked_sub(1).map(|last| tail.marks[last].clone()) {
            Some(mark) => mark,
            None => {
                let timestamp = self.time_of(process, slot).await?;
                (0, Cursor { timestamp, ordinate: Some(slot.0), cron: None, sort: None })
            }
        };
        loop {
            let query = OutcomeQuery { from: Some(from), to: None, sort: Sort::Ascending, limit: TAIL_PAGE };
            let page = self.compute.results(process, query).await?;
            let last = page.items.last().map(|last| Cursor { sort: None, ..last.cursor.clone() });
            let items: Vec<Evaluated> = page.items.into_iter().filter(is_tick).collect();
            let end = at + items.len() as u64;
            let Some(last) = last.filter(|_| page.has_next && end > at) else {
                return Ok(Ticks { at, items });
            };
            if tail.marks.last().is_none_or(|(count, _)| *count < end) {
                tail.marks.push((end, last.clone()));
                let mut tails = lock(&self.tails);
                if tails.len() >= TAILS_MAX && !tails.contains_key(&process) {
                    tails.clear();
                }
                tails.insert(process, tail.clone());
            }
            if skip < end {
                return Ok(Ticks { at, items });
            }
            (at, from) = (end, last);
        }
    }

    async fn time_of(&self, process: ProcessId, slot: Slot) -> Result<Timestamp> {
        let range = SlotRange::Slots { after: slot.0.checked_sub(1).map(Slot), to: Some(slot) };
        let page = self.scheduler.schedule_page(process, range, 1).await?;
        let entry = page.items.iter().find(|entry| entry.assignment.slot == slot);
        entry.map(|entry| entry.assignment.timestamp).ok_or_else(|| {
            Error::unavailable(format!(
                "slot {slot} of {process} was evaluated, but its scheduler does not know it"
            ))
        })
    }

    fn turn(&self, process: ProcessId, leaf: u64, evaluated: &Evaluated) -> Turn {
        let read = |(index, json): (usize, &Json)| {
            let place = Place { leaf, index: index as u64 };
            read(place, process, evaluated, json, self.data_bytes_max).map(Said::of)
        };
        Turn { leaf, said: evaluated.outcome.messages.iter().enumerate().filter_map(read).collect() }
    }
}

fn stands(cursor: &Cursor) -> Option<(Slot, Option<Due>)> {
    let due = cursor.cron.clone().map(|name| Due { timestamp: cursor.timestamp, name });
    cursor.ordinate.map(|slot| (Slot(slot), due))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MessageJson {
    target: Option<Value>,
    data: Option<Value>,
    anchor: Option<Value>,
    tags: Option<Vec<TagJson>>,
}

#[derive(Deserialize)]
struct TagJson {
    name: Value,
    value: Value,
}

/// A message of an outbox. None for what is no message at all: a messenger refuses it, too.
fn read(
    place: Place,
    process: ProcessId,
    evaluated: &Evaluated,
    json: &Json,
    data_bytes_max: usize,
) -> Option<Outgoing> {
    let message: MessageJson = json.to().ok()?;
    let mut cut = false;
    let mut left = TAGS_BYTES_MAX;
    let mut tags = Vec::new();
    for tag in message.tags.unwrap_or_default() {
        let (Some(name), Some(value)) = (text(&tag.name), text(&tag.value)) else { continue };
        match left.checked_sub(name.len() + value.len()) {
            Some(rest) => left = rest,
            None => {
                cut = true;
                continue;
            }
        }
        tags.push(SaidTag { name, value });
    }
    let data = message.data.unwrap_or_default();
    let size = match &data {
        Value::String(text) => text.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        other => other.to_string().len(),
    };
    let data = if size > data_bytes_max { Value::Null } else { data };
    let action = tags.iter().find(|tag| tag.name == "Action").map(|tag| tag.value.clone());
    Some(Outgoing {
        id: place.to_string(),
        process,
        slot: evaluated.cursor.ordinate.unwrap_or_default(),
        cron: evaluated.cursor.cron.clone(),
        at: evaluated.cursor.timestamp.0,
        message: evaluated.message,
        target: message.target.as_ref().and_then(text),
        action,
        tags,
        data,
        anchor: message.anchor.as_ref().and_then(text),
        cut: cut || size > data_bytes_max,
    })
}

/// As a messenger makes text of what a process says.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
