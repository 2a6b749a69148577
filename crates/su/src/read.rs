//! Schedules, read. Whatever is in the store is durable, so all of it may be shown.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{Id, ProcessId, Slot, Timestamp};
use store::Order;
use unit::{Page, Scheduled, SlotRange};

use crate::Error;
use crate::entry::{ASSIGNMENT, ENTRY, Entry, MESSAGE, message_key, pair, read_place, read_slot, split_pair};
use crate::ledger::{Ledger, lock};

/// Entries that are read from the store at once. Small, so that a long page does not keep a thread for long.
const CHUNK: usize = 32;

impl Ledger {
    /// The entry of a slot, if there is one.
    pub(crate) fn entry(&self, process: ProcessId, slot: Slot) -> Result<Option<Arc<Entry>>, Error> {
        if let Some(entry) = lock(&self.recent).get(&(process, slot)) {
            return Ok(Some(entry.clone()));
        }
        match self.store.get(ENTRY, &pair(process.0, slot.0))? {
            Some(bytes) => Entry::decode(process, slot, &bytes).map(|entry| Some(Arc::new(entry))),
            None => Ok(None),
        }
    }

    /// The newest entry of a schedule.
    pub(crate) fn newest(&self, process: ProcessId) -> Result<Option<Arc<Entry>>, Error> {
        let all = (&*pair(process.0, 0), &*pair(process.0, u64::MAX));
        let newest = self.store.scan(ENTRY, inclusive(all), Order::Descending, 1)?;
        newest.first().map(|(key, bytes)| decode(process, key, bytes)).transpose()
    }

    /// Slot 0, which every process that is known has.
    pub(crate) fn boot(&self, process: ProcessId) -> Result<Arc<Entry>, Error> {
        self.entry(process, Slot(0))?.ok_or(Error::UnknownProcess { process })
    }

    /// What an id, of a message or of an assignment, has in a process's schedule.
    pub(crate) fn find_in(&self, process: ProcessId, id: Id) -> Result<Option<Arc<Entry>>, Error> {
        if let Some(slot) = self.store.get(MESSAGE, &message_key(id, process))?.as_deref().and_then(read_slot)
        {
            return self.entry(process, slot);
        }
        match self.place_of_assignment(id)? {
            Some((assigned, slot)) if assigned == process => self.entry(process, slot),
            _ => Ok(None),
        }
    }

    /// What an id has in whatever schedule: of a message, its oldest assignment.
    pub(crate) fn find_anywhere(&self, id: Id) -> Result<Option<Arc<Entry>>, Error> {
        let mut oldest: Option<(Timestamp, ProcessId, Slot)> = None;
        self.each_place(id, |process, slot, timestamp| {
            let place = (timestamp, process, slot);
            oldest = Some(oldest.map_or(place, |oldest| oldest.min(place)));
            Ok(true)
        })?;
        let place = oldest.map(|(_, process, slot)| (process, slot));
        match place.map_or_else(|| self.place_of_assignment(id), |place| Ok(Some(place)))? {
            Some((process, slot)) => self.entry(process, slot),
            None => Ok(None),
        }
    }

    /// An entry, in whatever schedule, that has the message's bytes.
    pub(crate) fn find_delivered(&self, message: Id) -> Result<Option<Arc<Entry>>, Error> {
        let mut delivered = None;
        self.each_place(message, |process, slot, _| {
            delivered = self.entry(process, slot)?.filter(|entry| entry.message.is_some());
            Ok(delivered.is_none())
        })?;
        Ok(delivered)
    }

    /// A part of a schedule, ascending.
    pub(crate) async fn page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>, Error> {
        if limit == 0 {
            return Err(Error::EmptyPage);
        }
        let Some((first, last)) = self.slots(process, range)? else {
            return Ok(Page { items: Vec::new(), has_next: false });
        };
        let limit = limit.min(self.options.page_max);
        let mut items = Vec::new();
        let mut size = 0;
        let mut next = first;
        while next <= last && items.len() < limit && size < self.options.page_bytes_max {
            let want = CHUNK.min(limit - items.len());
            let chunk = self.chunk(process, next, last, want)?;
            let Some(newest) = chunk.last() else { break };
            next = newest.slot().next();
            for entry in chunk {
                // A page may end early, and says so; but never before its first entry.
                if !items.is_empty() && size + entry.size() > self.options.page_bytes_max {
                    return Ok(Page { items, has_next: true });
                }
                size += entry.size();
                items.push(entry.scheduled.clone());
            }
            tokio::task::yield_now().await;
        }
        Ok(Page { has_next: next <= last && !items.is_empty(), items })
    }

    /// The entries from slot `first` on, at most up to `last`, at most `limit`.
    fn chunk(
        &self,
        process: ProcessId,
        first: Slot,
        last: Slot,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, Error> {
        // What was shown a moment ago is asked for by the compute unit of the same node right away.
        let recent = {
            let mut recent = lock(&self.recent);
            let slots = (first.0..=last.0).map(Slot).take(limit);
            slots.map_while(|slot| recent.get(&(process, slot)).cloned()).collect::<Vec<_>>()
        };
        if !recent.is_empty() {
            return Ok(recent);
        }
        let range = (&*pair(process.0, first.0), &*pair(process.0, last.0));
        let found = self.store.scan(ENTRY, inclusive(range), Order::Ascending, limit)?;
        found.iter().map(|(key, bytes)| decode(process, key, bytes)).collect()
    }

    /// The first and the last slot of a range, both there; `None` if the range has none.
    fn slots(&self, process: ProcessId, range: SlotRange) -> Result<Option<(Slot, Slot)>, Error> {
        let newest = self.newest(process)?.ok_or(Error::UnknownProcess { process })?.slot();
        // Half-open: from the first slot to the one after the last.
        let (first, end) = match range {
            SlotRange::Slots { after, to } => (
                after.map_or(0, |after| after.0.saturating_add(1)),
                to.map_or(newest.0, |to| to.0.min(newest.0)) + 1,
            ),
            SlotRange::Time { after, to } => (
                after.map_or(Ok(0), |after| self.first_after(process, newest, after))?,
                to.map_or(Ok(newest.0 + 1), |to| self.first_after(process, newest, to))?,
            ),
        };
        Ok((first < end).then(|| (Slot(first), Slot(end - 1))))
    }

    /// The first slot later than `time`; one after `newest` if there is none. Timestamps rise with the slots, so
    /// this halves its way there, from the end: compute units ask for what is new.
    fn first_after(&self, process: ProcessId, newest: Slot, time: Timestamp) -> Result<u64, Error> {
        let is_after = |slot: u64| self.timestamp(process, Slot(slot)).map(|at| at > time);
        let mut end = newest.0 + 1;
        let mut step = 1;
        let mut first = loop {
            let Some(slot) = end.checked_sub(step) else { break 0 };
            if !is_after(slot)? {
                break slot + 1;
            }
            end = slot;
            step *= 2;
        };
        while first < end {
            let middle = first + (end - first) / 2;
            match is_after(middle)? {
                true => end = middle,
                false => first = middle + 1,
            }
        }
        Ok(first)
    }

    fn timestamp(&self, process: ProcessId, slot: Slot) -> Result<Timestamp, Error> {
        if let Some(entry) = lock(&self.recent).get(&(process, slot)) {
            return Ok(entry.scheduled.assignment.timestamp);
        }
        let bytes = self.store.get(ENTRY, &pair(process.0, slot.0))?;
        let timestamp = bytes.as_deref().and_then(Entry::peek_timestamp);
        timestamp.ok_or_else(|| Error::Entry { process, slot, why: "it is not there".into() })
    }

    fn place_of_assignment(&self, id: Id) -> Result<Option<(ProcessId, Slot)>, Error> {
        let place = self.store.get(ASSIGNMENT, &id.0)?;
        Ok(place.as_deref().and_then(split_pair).map(|(process, slot)| (process.into(), Slot(slot))))
    }

    /// Shows every place that a message has, by process, until told to stop.
    fn each_place(
        &self,
        message: Id,
        mut see: impl FnMut(ProcessId, Slot, Timestamp) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let last = message_key(message, Id([u8::MAX; 32]).into());
        let mut from = Bound::Included(message_key(message, Id([0; 32]).into()));
        loop {
            let range = (as_slice(&from), Bound::Included(&*last));
            let places = self.store.scan(MESSAGE, range, Order::Ascending, CHUNK)?;
            for (key, value) in &places {
                let Some((process, slot, timestamp)) = read_place(key, value) else { continue };
                if !see(process, slot, timestamp)? {
                    return Ok(());
                }
            }
            match places.last() {
                Some((key, _)) if places.len() == CHUNK => from = Bound::Excluded(key.clone()),
                _ => return Ok(()),
            }
        }
    }
}

fn decode(process: ProcessId, key: &[u8], bytes: &Bytes) -> Result<Arc<Entry>, Error> {
    let slot = Slot(split_pair(key).map_or(0, |(_, slot)| slot));
    Entry::decode(process, slot, bytes).map(Arc::new)
}

/// Both ends included.
fn inclusive<'a>((from, to): (&'a [u8], &'a [u8])) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (Bound::Included(from), Bound::Included(to))
}

fn as_slice(bound: &Bound<Bytes>) -> Bound<&[u8]> {
    bound.as_ref().map(|bytes| &**bytes)
}
