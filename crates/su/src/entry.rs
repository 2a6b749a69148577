//! How a schedule lies in the store: the spaces, their keys, and an entry's bytes.
//!
//! Keys are fixed-width and big-endian, so a scan is in the order of slots and of time.

use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use protocol::{Assignment, DataItem, Id, ProcessId, Slot, Timestamp};
use store::{Batch, Space};
use unit::Scheduled;

use crate::Error;

/// (process, slot) → the entry.
pub(crate) const ENTRY: Space = Space("su.entry");
/// (message, process) → slot, timestamp.
pub(crate) const MESSAGE: Space = Space("su.message");
/// Assignment → process, slot.
pub(crate) const ASSIGNMENT: Space = Space("su.assignment");
/// (process, what duplicates of a pushed message have in common) → slot.
pub(crate) const DUPLICATE: Space = Space("su.duplicate");
/// (process, slot) → nothing: on its way to the weave.
pub(crate) const UNSETTLED: Space = Space("su.unsettled");

/// A scheduled message in both its forms: the bytes that were signed, and what they say.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The message or process, where it was delivered here.
    pub(crate) message: Option<DataItem>,
    /// The signed assignment.
    pub(crate) assignment: DataItem,
    /// What the contract gives out.
    pub(crate) scheduled: Scheduled,
}

/// First byte of an entry; another layout gets another.
const VERSION: u8 = 1;
/// Bytes before the items.
const HEADER: usize = 13;

impl Entry {
    pub(crate) fn new(message: Option<DataItem>, signed: DataItem, assignment: Assignment) -> Entry {
        let scheduled =
            Scheduled { message: message.as_ref().map(DataItem::shared), assignment: Arc::new(assignment) };
        Entry { message, assignment: signed, scheduled }
    }

    pub(crate) fn process(&self) -> ProcessId {
        self.scheduled.assignment.process
    }

    pub(crate) fn slot(&self) -> Slot {
        self.scheduled.assignment.slot
    }

    /// Everything that becomes durable with this entry, at once.
    pub(crate) fn batch(&self, duplicate: Option<Id>) -> Batch {
        let Assignment { process, slot, timestamp, .. } = *self.scheduled.assignment;
        let message = self.scheduled.message_id();
        let place = pair(process.0, slot.0);
        let mut batch = Batch::new();
        batch.put(ENTRY, place.clone(), self.encode());
        batch.put(
            MESSAGE,
            message_key(message, process),
            [slot.0.to_be_bytes(), timestamp.0.to_be_bytes()].concat(),
        );
        batch.put(ASSIGNMENT, Bytes::copy_from_slice(&self.assignment.id.0), place.clone());
        if let Some(duplicate) = duplicate {
            batch.put(DUPLICATE, duplicate_key(process, duplicate), number(slot.0));
        }
        batch.put(UNSETTLED, place, Bytes::new());
        batch
    }

    /// Roughly what it takes in memory.
    pub(crate) fn size(&self) -> usize {
        const OVERHEAD: usize = 2048;
        OVERHEAD + self.message.as_ref().map_or(0, |item| item.bytes().len()) + self.assignment.bytes().len()
    }

    /// Version, timestamp, length of the message (absent: 0), message, assignment.
    pub(crate) fn encode(&self) -> Bytes {
        let message = self.message.as_ref().map_or(&[][..], |item| item.bytes());
        let assignment = self.assignment.bytes();
        let mut bytes = BytesMut::with_capacity(HEADER + message.len() + assignment.len());
        bytes.put_u8(VERSION);
        bytes.put_u64(self.scheduled.assignment.timestamp.0);
        bytes.put_u32(u32::try_from(message.len()).expect("items are bounded well below 4 GiB"));
        bytes.put_slice(message);
        bytes.put_slice(assignment);
        bytes.freeze()
    }

    /// The entry of `process` at `slot`, as the store has it. Shares `bytes`.
    pub(crate) fn decode(process: ProcessId, slot: Slot, bytes: &Bytes) -> Result<Entry, Error> {
        let broken = |why: String| Error::Entry { process, slot, why };
        if bytes.len() < HEADER || bytes[0] != VERSION {
            return Err(broken("it is not in a layout that this version knows".into()));
        }
        let len = u32::from_be_bytes([bytes[9], bytes[10], bytes[11], bytes[12]]) as usize;
        let items = bytes.slice(HEADER..);
        if items.len() < len {
            return Err(broken("it is cut short".into()));
        }
        // Signatures were checked, or made here, before the bytes were written.
        let read = |bytes| DataItem::parse_trusted(bytes).map_err(|error| broken(error.to_string()));
        let message = if len == 0 { None } else { Some(read(items.slice(..len))?) };
        let signed = read(items.slice(len..))?;
        let assignment =
            Assignment::try_from(signed.item().clone()).map_err(|error| broken(error.to_string()))?;
        Ok(Entry::new(message, signed, assignment))
    }

    /// Only the timestamp of an entry, without reading its items.
    pub(crate) fn peek_timestamp(bytes: &[u8]) -> Option<Timestamp> {
        bytes.get(1..9).and_then(read_number).map(Timestamp)
    }
}

/// The key of a process's slot.
pub(crate) fn pair(id: Id, n: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(40);
    key.put_slice(&id.0);
    key.put_u64(n);
    key.freeze()
}

/// The two parts of such a key.
pub(crate) fn split_pair(key: &[u8]) -> Option<(Id, u64)> {
    let (id, n) = key.split_at_checked(32)?;
    Some((Id::from_slice(id)?, read_number(n)?))
}

/// The key of a message in a process's schedule.
pub(crate) fn message_key(message: Id, process: ProcessId) -> Bytes {
    Bytes::from([message.0, process.0.0].concat())
}

/// The key of a pushed message that another messenger may push as well.
pub(crate) fn duplicate_key(process: ProcessId, duplicate: Id) -> Bytes {
    Bytes::from([process.0.0, duplicate.0].concat())
}

/// What a (message, process) key has: the process; and its value: slot and timestamp.
pub(crate) fn read_place(key: &[u8], value: &[u8]) -> Option<(ProcessId, Slot, Timestamp)> {
    let process = Id::from_slice(key.get(32..)?)?.into();
    Some((process, Slot(read_number(value.get(..8)?)?), Timestamp(read_number(value.get(8..)?)?)))
}

/// A slot from the start of a value.
pub(crate) fn read_slot(value: &[u8]) -> Option<Slot> {
    value.get(..8).and_then(read_number).map(Slot)
}

fn number(n: u64) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

fn read_number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use protocol::{Draft, Height, Wallet};

    use super::*;
    use crate::assign::assign;

    fn entry(message: Option<DataItem>) -> Entry {
        let wallet = Wallet::ed25519_from_seed([1; 32]);
        let plan = assign(Id([1; 32]).into(), None, Id([1; 32]), vec![], Timestamp(77), Height(1));
        let signed = DataItem::sign(&wallet, plan.draft()).unwrap();
        let assignment = plan.signed(signed.item().clone());
        Entry::new(message, signed, assignment)
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let message = DataItem::sign(&Wallet::ed25519_from_seed([2; 32]), Draft::default()).unwrap();
        for message in [None, Some(message)] {
            let entry = entry(message);
            let bytes = entry.encode();
            let read = Entry::decode(entry.process(), entry.slot(), &bytes).unwrap();
            assert_eq!((&read.message, &read.assignment), (&entry.message, &entry.assignment));
            assert_eq!(read.scheduled, entry.scheduled);
            assert_eq!(Entry::peek_timestamp(&bytes), Some(Timestamp(77)));
        }
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let entry = entry(None);
        let bytes = entry.encode();
        let check = |bytes: Bytes| assert!(Entry::decode(entry.process(), entry.slot(), &bytes).is_err());
        (0..bytes.len()).for_each(|len| check(bytes.slice(..len)));
        check(Bytes::from([&[VERSION + 1], &bytes[1..]].concat()));
        check(Bytes::from([&bytes[..9], &u32::MAX.to_be_bytes(), &bytes[HEADER..]].concat()));
    }
}
