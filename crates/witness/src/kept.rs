//! What is kept: an index in memory, and the bytes in the store.
//!
//! Nobody waits for what is kept to be written. It goes to the store in one batch for all that was seen within a moment,
//! and shares the flush of whatever else the node writes then.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use protocol::{Address, Assignment, DataItem, Epoch, Id, ProcessId, Slot, Timestamp};
use store::{Batch, Order, Space, Store};
use unit::Scheduled;

use crate::{Options, Shared, lock};

/// Process, slot: a [`Mark`].
const MARKS: Space = Space("witness.mark");
/// Process, slot: bytes of the assignment's length, the assignment, the message if there is one.
const ENTRIES: Space = Space("witness.entry");

/// How long what was seen waits for more of it.
const LINGER: Duration = Duration::from_millis(20);
/// Bytes that wait to be written at most; what comes while there are as many is not kept.
const WAITING_BYTES: usize = 16 << 20;
/// Bytes that are written at once, unless one entry is larger.
const TOGETHER_BYTES: usize = 1 << 20;
/// Marks that are read at once.
const PAGE: usize = 1000;

/// What is known of a kept entry without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The assignment.
    pub(crate) assignment: Id,
    /// Who signed it, as it says itself.
    pub(crate) signer: Address,
    /// What was delivered with it; none where the weave had that before.
    pub(crate) message: Option<Id>,
    pub(crate) epoch: Epoch,
    /// When it was seen.
    pub(crate) since: Timestamp,
    pub(crate) bytes: u64,
}

/// What became of an entry that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Kept,
    Known,
    /// Its slot has another assignment of the same epoch.
    Contradicts,
}

/// An entry as it is kept.
pub(crate) struct Words {
    signer: Address,
    message: Option<Id>,
    bytes: Bytes,
}

impl Words {
    /// The bytes of an entry, unverified; none if nobody can have signed them.
    pub(crate) fn of(entry: &Scheduled, options: &Options) -> Option<Words> {
        let signed = DataItem::reframe(&entry.assignment.item)?;
        let fits = |bytes: usize| bytes <= options.message_bytes_max;
        let message = entry.message.as_ref().filter(|item| fits(item.data.len()));
        let message =
            message.and_then(|item| DataItem::reframe(item)).filter(|item| fits(item.bytes().len()));
        let (signer, bytes) = (signed.address(), encode(&signed, message.as_ref()));
        Some(Words { signer, message: entry.message.as_ref().map(|item| item.id), bytes })
    }
}

/// All that is kept.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    of: BTreeMap<ProcessId, BTreeMap<Slot, Mark>>,
    ages: BTreeSet<(Timestamp, ProcessId, Slot)>,
    bytes: u64,
    missed: u64,
    waiting: Vec<(Space, Bytes, Option<Bytes>)>,
    waiting_bytes: usize,
    /// What its scheduler was shown of a process, last: nothing is shown twice for one hold.
    told: BTreeMap<ProcessId, Told>,
    /// Slots of which another assignment was seen than the one that is kept: one of each process.
    contradicted: BTreeMap<ProcessId, Slot>,
}

/// What a scheduler was shown of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    /// Since when it held then.
    pub(crate) since: Option<Timestamp>,
    /// How much was kept then, and up to where.
    pub(crate) of: (usize, Option<Slot>),
}

impl Kept {
    pub(crate) fn open(store: &dyn Store, options: &Options) -> Result<Kept, store::Error> {
        let mut kept = Kept::default();
        let mut after: Option<Bytes> = None;
        loop {
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = store.scan(MARKS, (from, Bound::Unbounded), Order::Ascending, PAGE)?;
            for (key, value) in &page {
                // What a later version kept is not shown by this one.
                if let (Some((process, slot)), Some(mark)) = (read_key(key), Mark::read(value)) {
                    kept.put(process, slot, mark);
                }
            }
            after = page.last().map(|(key, _)| key.clone());
            if page.len() < PAGE {
                break;
            }
        }
        kept.shrink(options);
        Ok(kept)
    }

    pub(crate) fn entries(&self) -> usize {
        self.ages.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    /// Whether what a scheduler said is kept already, or cannot be; none if it is to be kept.
    pub(crate) fn judge(&mut self, assignment: &Assignment) -> Option<Seen> {
        let (process, slot) = (assignment.process, assignment.slot);
        let mark = self.mark(process, slot)?;
        if mark.assignment == assignment.id() || mark.epoch > assignment.epoch {
            return Some(Seen::Known);
        }
        if mark.epoch < assignment.epoch {
            return None;
        }
        self.contradicted.insert(process, slot);
        Some(Seen::Contradicts)
    }

    /// Keeps what a scheduler said.
    pub(crate) fn keep(
        &mut self,
        assignment: &Assignment,
        words: Words,
        now: Timestamp,
        options: &Options,
    ) -> Seen {
        if let Some(seen) = self.judge(assignment) {
            return seen;
        }
        let (process, slot, epoch) = (assignment.process, assignment.slot, assignment.epoch);
        let Words { signer, message, bytes } = words;
        if self.waiting_bytes + bytes.len() > WAITING_BYTES {
            self.missed += 1;
            return Seen::Known;
        }
        let assignment = assignment.id();
        let mark = Mark { assignment, signer, message, epoch, since: now, bytes: bytes.len() as u64 };
        self.forget(process, slot);
        self.put(process, slot, mark);
        self.write(MARKS, process, slot, Some(mark.encode()));
        self.write(ENTRIES, process, slot, Some(bytes));
        self.shrink(options);
        Seen::Kept
    }

    pub(crate) fn mark(&self, process: ProcessId, slot: Slot) -> Option<Mark> {
        self.of.get(&process)?.get(&slot).copied()
    }

    /// The newest slot of a process that is kept.
    pub(crate) fn newest(&self, process: ProcessId) -> Option<Slot> {
        self.of.get(&process)?.last_key_value().map(|(slot, _)| *slot)
    }

    /// A slot of a process of which its scheduler said something else than what is kept.
    pub(crate) fn contradicted(&self, process: ProcessId) -> Option<(Slot, Mark)> {
        let slot = *self.contradicted.get(&process)?;
        Some((slot, self.mark(process, slot)?))
    }

    /// How much is kept of a process, and up to where.
    fn extent(&self, process: ProcessId) -> (usize, Option<Slot>) {
        (self.of.get(&process).map_or(0, BTreeMap::len), self.newest(process))
    }

    /// Marks of a process from a slot on.
    pub(crate) fn from(&self, process: ProcessId, first: Slot) -> Vec<(Slot, Mark)> {
        let marks = self.of.get(&process).into_iter().flat_map(|marks| marks.range(first..));
        marks.map(|(slot, mark)| (*slot, *mark)).collect()
    }

    /// The processes by who signs their schedules, as their newest assignments say.
    pub(crate) fn by_signer(&self) -> BTreeMap<Address, Vec<ProcessId>> {
        let mut by: BTreeMap<Address, Vec<ProcessId>> = BTreeMap::new();
        for (process, marks) in &self.of {
            if let Some((_, mark)) = marks.last_key_value() {
                by.entry(mark.signer).or_default().push(*process);
            }
        }
        by
    }

    /// Marks after a place, in the order of processes and slots; at most so many.
    pub(crate) fn after(&self, place: Option<(ProcessId, Slot)>, max: usize) -> Vec<(ProcessId, Slot, Mark)> {
        let from = place.map_or(Bound::Unbounded, |(process, _)| Bound::Included(process));
        let is_after = |process: ProcessId, slot: Slot| place.is_none_or(|place| (process, slot) > place);
        let all = self.of.range((from, Bound::Unbounded));
        let all = all.flat_map(|(process, marks)| marks.iter().map(|(slot, mark)| (*process, *slot, *mark)));
        all.filter(|(process, slot, _)| is_after(*process, *slot)).take(max).collect()
    }

    /// Keeps an entry no more, as it was marked.
    pub(crate) fn drop_entry(&mut self, process: ProcessId, slot: Slot, mark: &Mark) {
        if self.mark(process, slot).as_ref() == Some(mark) {
            self.forget(process, slot);
            self.write(MARKS, process, slot, None);
            self.write(ENTRIES, process, slot, None);
        }
    }

    /// Its scheduler was shown all that is kept of a process.
    pub(crate) fn tell(&mut self, process: ProcessId, since: Option<Timestamp>) {
        let of = self.extent(process);
        self.told.insert(process, Told { since, of });
        self.contradicted.remove(&process);
    }

    /// Whether its scheduler was shown all that is kept of a process, in whatever hold.
    pub(crate) fn was_shown(&self, process: ProcessId) -> bool {
        self.told.get(&process).is_some_and(|told| told.of == self.extent(process))
    }

    /// The same, in the hold since then.
    pub(crate) fn was_shown_since(&self, process: ProcessId, since: Option<Timestamp>) -> bool {
        self.told.get(&process) == Some(&Told { since, of: self.extent(process) })
    }

    fn put(&mut self, process: ProcessId, slot: Slot, mark: Mark) {
        self.bytes += mark.bytes;
        self.ages.insert((mark.since, process, slot));
        self.of.entry(process).or_default().insert(slot, mark);
    }

    fn forget(&mut self, process: ProcessId, slot: Slot) {
        let Some(marks) = self.of.get_mut(&process) else { return };
        let Some(mark) = marks.remove(&slot) else { return };
        if marks.is_empty() {
            self.of.remove(&process);
            self.told.remove(&process);
            self.contradicted.remove(&process);
        }
        self.bytes -= mark.bytes;
        self.ages.remove(&(mark.since, process, slot));
    }

    /// Lets the oldest go, as long as there are too many.
    fn shrink(&mut self, options: &Options) {
        while (self.ages.len() > options.entries_max || self.bytes > options.bytes_max)
            && let Some((_, process, slot)) = self.ages.first().copied()
        {
            self.missed += 1;
            self.forget(process, slot);
            self.write(MARKS, process, slot, None);
            self.write(ENTRIES, process, slot, None);
        }
    }

    fn write(&mut self, space: Space, process: ProcessId, slot: Slot, value: Option<Bytes>) {
        self.waiting_bytes += value.as_ref().map_or(0, Bytes::len);
        self.waiting.push((space, key(process, slot), value));
    }

    /// What is to be written next.
    fn take(&mut self) -> Option<Batch> {
        if self.waiting.is_empty() {
            return None;
        }
        let mut bytes = 0;
        let fits = self.waiting.iter().take_while(|(_, key, value)| {
            bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
            bytes <= TOGETHER_BYTES
        });
        let n = fits.count().max(1);
        let changes: Vec<_> = self.waiting.drain(..n).collect();
        let taken: usize = changes.iter().filter_map(|(_, _, value)| value.as_ref()).map(Bytes::len).sum();
        self.waiting_bytes -= taken;
        Some(Batch { changes })
    }
}

impl Mark {
    const BYTES: usize = 32 * 3 + 8 * 3 + 1;

    fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(Mark::BYTES);
        bytes.put_slice(&self.assignment.0);
        bytes.put_slice(self.signer.0.as_bytes());
        bytes.put_u8(self.message.is_some().into());
        bytes.put_slice(&self.message.unwrap_or(self.assignment).0);
        for number in [self.epoch.0, self.since.0, self.bytes] {
            bytes.put_u64(number);
        }
        bytes.freeze()
    }

    fn read(bytes: &[u8]) -> Option<Mark> {
        if bytes.len() != Mark::BYTES {
            return None;
        }
        let id = |at: usize| Id::from_slice(&bytes[at..at + 32]);
        let number = |at: usize| bytes[at..at + 8].try_into().ok().map(u64::from_be_bytes);
        Some(Mark {
            assignment: id(0)?,
            signer: Address(id(32)?),
            message: if bytes[64] == 1 { Some(id(65)?) } else { None },
            epoch: Epoch(number(97)?),
            since: Timestamp(number(105)?),
            bytes: number(113)?,
        })
    }
}

fn key(process: ProcessId, slot: Slot) -> Bytes {
    Bytes::from([process.0.as_bytes(), &slot.0.to_be_bytes()[..]].concat())
}

fn read_key(key: &[u8]) -> Option<(ProcessId, Slot)> {
    let (process, slot) = key.split_at_checked(32)?;
    Some((ProcessId(Id::from_slice(process)?), Slot(slot.try_into().ok().map(u64::from_be_bytes)?)))
}

fn encode(assignment: &DataItem, message: Option<&DataItem>) -> Bytes {
    let (assignment, message) =
        (assignment.bytes(), message.map(|item| &item.bytes()[..]).unwrap_or_default());
    let mut bytes = BytesMut::with_capacity(4 + assignment.len() + message.len());
    // An assignment has no data, and tags of four kilobytes at most.
    bytes.put_u32(u32::try_from(assignment.len()).unwrap_or(u32::MAX));
    bytes.put_slice(assignment);
    bytes.put_slice(message);
    bytes.freeze()
}

/// An entry as it was kept: an assignment that holds, and its message if that does.
pub(crate) fn read(
    store: &dyn Store,
    process: ProcessId,
    slot: Slot,
) -> Result<Option<Vec<DataItem>>, store::Error> {
    let Some(value) = store.get(ENTRIES, &key(process, slot))? else { return Ok(None) };
    let Some(length) = value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) as usize) else {
        return Ok(None);
    };
    let Some(end) = length.checked_add(4).filter(|end| *end <= value.len()) else { return Ok(None) };
    let verified = |bytes: Bytes| {
        let item = DataItem::parse(bytes).ok()?;
        // What kind of signature it is may have been a guess.
        if item.verify().is_ok() { Some(item) } else { DataItem::restore(item.item()) }
    };
    let Some(assignment) = verified(value.slice(4..end)) else { return Ok(Some(Vec::new())) };
    let message = (value.len() > end).then(|| verified(value.slice(end..))).flatten();
    Ok(Some([assignment].into_iter().chain(message).collect()))
}

/// Writes what was seen, until the store fails.
pub(crate) async fn write(shared: Arc<Shared>) {
    loop {
        shared.work.notified().await;
        tokio::time::sleep(LINGER).await;
        if !shared.flush().await {
            return;
        }
    }
}

impl Shared {
    /// Writes all that waits. False if the store failed: then everything else fails as well, and says so.
    pub(crate) async fn flush(&self) -> bool {
        // Batches reach the store in their order.
        let _writing = self.writing.lock().await;
        loop {
            let batch = lock(&self.kept).take();
            let Some(batch) = batch else { return true };
            if self.ports.store.append(batch).await.is_err() {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for message in [None, Some(Id([3; 32]))] {
            let mark = Mark {
                assignment: Id([1; 32]),
                signer: Address(Id([2; 32])),
                message,
                epoch: Epoch(4),
                since: Timestamp(5),
                bytes: 6,
            };
            assert_eq!(Mark::read(&mark.encode()), Some(mark));
        }
        assert_eq!(Mark::read(&[1; 7]), None);
    }
}
