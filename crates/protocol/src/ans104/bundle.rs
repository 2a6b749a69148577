//! Bundles: many data items in one thing.
//!
//! `count u256 LE`, then `size u256 LE | id` of each, then the items back to back.

use std::ops::Range;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{DataItem, Error};
use crate::id::Id;

/// How many bytes a number in a bundle has.
const NUMBER: usize = 32;
/// How many bytes of the index an item has.
const ENTRY: usize = NUMBER + 32;

/// One item of a bundle, as the bundle's index tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What the index calls it. [`parse_bundle`] checks it, [`bundle_index`] does not.
    pub id: Id,
    /// Where in the bundle it is.
    pub range: Range<usize>,
}

/// Reads a bundle that fills `bytes`: its items, unverified, with the ids that the bundle gives them.
pub fn parse_bundle(bytes: Bytes) -> Result<Vec<DataItem>, Error> {
    let entries = bundle_index(&bytes)?;
    entries.into_iter().map(|entry| parse_entry(&bytes, entry)).collect()
}

/// Reads one item of a bundle, for whom one bad item must not hide the others.
pub fn parse_entry(bundle: &Bytes, entry: Entry) -> Result<DataItem, Error> {
    let start = entry.range.start;
    let item = DataItem::parse(bundle.slice(entry.range)).map_err(|error| error.further(start))?;
    if item.id != entry.id {
        return Err(Error::Malformed { what: "an item has another id than the bundle says", at: start });
    }
    Ok(item)
}

/// Reads where in a bundle its items are.
pub fn bundle_index(bytes: &[u8]) -> Result<Vec<Entry>, Error> {
    let malformed = |what, at| Error::Malformed { what, at };
    let count = number(bytes, 0)?;
    let index_len = count.checked_mul(ENTRY).filter(|len| *len <= bytes.len() - NUMBER);
    let index_len = index_len.ok_or(malformed("the bundle's index is cut short", bytes.len()))?;
    let mut start = NUMBER + index_len;
    let mut entries = Vec::with_capacity(count);
    for i in 0..count {
        let at = NUMBER + i * ENTRY;
        let size = number(bytes, at)?;
        let end = start.checked_add(size).filter(|end| *end <= bytes.len());
        let end = end.ok_or(malformed("an item is longer than the bundle", at))?;
        let id = Id::from_slice(&bytes[at + NUMBER..at + ENTRY]).expect("32 bytes");
        entries.push(Entry { id, range: start..end });
        start = end;
    }
    if start != bytes.len() {
        return Err(malformed("bytes after the last item", start));
    }
    Ok(entries)
}

/// Writes a bundle.
pub fn bundle(items: &[DataItem]) -> Bytes {
    let len = NUMBER + items.iter().map(|item| ENTRY + item.bytes().len()).sum::<usize>();
    let mut bytes = BytesMut::with_capacity(len);
    put_number(&mut bytes, items.len());
    for item in items {
        put_number(&mut bytes, item.bytes().len());
        bytes.put_slice(item.id.as_bytes());
    }
    for item in items {
        bytes.put_slice(item.bytes());
    }
    bytes.freeze()
}

/// A 256-bit number that must fit into memory.
fn number(bytes: &[u8], at: usize) -> Result<usize, Error> {
    let Some(number) = bytes.get(at..at + NUMBER) else {
        return Err(Error::Malformed { what: "the bundle is cut short", at: bytes.len() });
    };
    let (low, high) = number.split_at(8);
    let low = u64::from_le_bytes(low.try_into().expect("8 bytes"));
    match usize::try_from(low) {
        Ok(number) if high.iter().all(|byte| *byte == 0) => Ok(number),
        _ => Err(Error::Malformed { what: "a number in the bundle is absurd", at }),
    }
}

fn put_number(bytes: &mut BytesMut, number: usize) {
    bytes.put_u64_le(number as u64);
    bytes.put_bytes(0, NUMBER - 8);
}
