//! What a segment of the log looks like, byte by byte. Pure: bytes in, records out.
//!
//! ```text
//! segment  header, records, and once it is sealed: footer, trailer
//! header   "PIRNLOG\n", version u32, 0 u32, number u64, 0 u32, crc u32 of all before it; the same in every version
//! record   crc u32, length u32 of the body, since u32, kind u8, body
//! batch    a record of changes: op u8, space (u8 length, bytes), key (u16 length, bytes), put: value (u32 length, bytes)
//! footer   a record of the same changes, but put: offset u32, length u32, crc u32 of the value
//! trailer  offset u32 of the footer, crc u32 of it, "PIRNSEAL"
//! ```
//!
//! Numbers are little-endian, checksums are CRC-32C. A record's checksum also covers the segment's number and the
//! record's offset, so a record that was written elsewhere is no record here.
//!
//! `since` is the offset at which the write began that this record was part of: all before it was durable then. That
//! tells a torn write from damage without guessing. If the first bad record lies before the `since` of a good one,
//! then it had been durable once, and was acknowledged: damage. Otherwise it belongs to the last write, which nobody
//! was told about: a torn tail, which may be cut off.
//!
//! A mark is a batch without changes, written when the store is closed or was recovered. Its `since` says that all
//! before it is durable, so that from then on nothing before it is taken for torn.

use crate::{Batch, Space};

pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER_LEN: usize = 32;
pub(crate) const TRAILER_LEN: usize = 16;
const RECORD_HEADER_LEN: usize = 13;
const MAGIC: &[u8; 8] = b"PIRNLOG\n";
const SEALED: &[u8; 8] = b"PIRNSEAL";

const BATCH: u8 = 1;
const FOOTER: u8 = 2;

const DELETE: u8 = 0;
const PUT: u8 = 1;

/// How many bytes the search behind a bad record may checksum before it gives up and calls it damage. Strangers'
/// bytes that look like records could otherwise make it take for ever.
const SEARCH_BYTES_MAX: usize = 1 << 30;

/// Where a value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The segment's number. The first is 1.
    pub segment: u32,
    /// Where in it.
    pub offset: u32,
    pub length: u32,
    /// The CRC-32C of the value: a read notices what has rotted since.
    pub crc: u32,
}

/// One change as the index needs to know it. `None` deletes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change<'a> {
    pub space: &'a str,
    pub key: &'a [u8],
    pub place: Option<Place>,
}

/// Why bytes are not the segment they should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// A segment of a later (or much earlier) version.
    Version(u32),
    /// Not what was written, at that byte.
    Damaged { at: usize, why: &'static str },
}

/// How a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With a footer: it takes no more records.
    Sealed,
    /// After the last whole record, at that byte; what follows it is a torn write.
    Open(usize),
}

/// What a whole segment was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub end: End,
    /// Where the last write began: all before it was durable then, all from there on may be in the page cache only.
    pub since: usize,
    /// Whether its last record is a mark.
    pub marked: bool,
}

// ── Writing ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// The first bytes of a segment.
pub(crate) fn header(number: u32) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..24].copy_from_slice(&u64::from(number).to_le_bytes());
    let crc = crc32c::crc32c(&header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// A mark, to be written at that offset.
pub(crate) fn mark(number: u32, at: u32) -> Vec<u8> {
    let mut no_changes = Vec::new();
    let mut writer = Writer::new(number, at, &mut no_changes);
    writer.batch(&Batch::new(), |_| {});
    writer.finish()
}

/// How many bytes a batch takes in a segment.
pub(crate) fn record_len(batch: &Batch) -> usize {
    let change = |(space, key, value): &(Space, bytes::Bytes, Option<bytes::Bytes>)| {
        4 + space.0.len() + key.len() + value.as_ref().map_or(0, |value| 4 + value.len())
    };
    RECORD_HEADER_LEN + batch.changes.iter().map(change).sum::<usize>()
}

/// Builds what one write appends to a segment: records, or the footer.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    segment: u32,
    /// The offset of `bytes` in the segment.
    since: u32,
    bytes: Vec<u8>,
    /// The footer so far; grows by every change.
    footer: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    pub fn new(segment: u32, since: u32, footer: &'a mut Vec<u8>) -> Writer<'a> {
        Writer { segment, since, bytes: Vec::new(), footer }
    }

    /// Adds a batch; says for each of its changes, in order, where its value will stand.
    pub fn batch(&mut self, batch: &Batch, mut placed: impl FnMut(Option<Place>)) {
        self.bytes.reserve(record_len(batch));
        let start = self.begin();
        for (space, key, value) in &batch.changes {
            let op = if value.is_some() { PUT } else { DELETE };
            push_key(&mut self.bytes, op, space.0, key);
            let place = value.as_ref().map(|value| {
                self.bytes.extend_from_slice(&len_u32(value));
                let offset = self.offset();
                self.bytes.extend_from_slice(value);
                let length = value.len() as u32;
                Place { segment: self.segment, offset, length, crc: crc32c::crc32c(value) }
            });
            push_change(self.footer, &Change { space: space.0, key, place });
            placed(place);
        }
        self.end(start, BATCH);
    }

    /// What to write.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Footer and trailer, made from what was written to the segment so far. Nothing follows them.
    pub fn seal(mut self) -> Vec<u8> {
        let offset = self.offset();
        let start = self.begin();
        self.bytes.extend_from_slice(self.footer);
        self.end(start, FOOTER);
        let offset = offset.to_le_bytes();
        self.bytes.extend_from_slice(&offset);
        self.bytes.extend_from_slice(&crc32c::crc32c(&offset).to_le_bytes());
        self.bytes.extend_from_slice(SEALED);
        self.bytes
    }

    fn offset(&self) -> u32 {
        self.since + self.bytes.len() as u32
    }

    fn begin(&mut self) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; RECORD_HEADER_LEN]);
        start
    }

    fn end(&mut self, start: usize, kind: u8) {
        let at = self.since as usize + start;
        let length = len_u32(&self.bytes[start + RECORD_HEADER_LEN..]);
        let record = &mut self.bytes[start..];
        record[4..8].copy_from_slice(&length);
        record[8..12].copy_from_slice(&self.since.to_le_bytes());
        record[12] = kind;
        let crc = checksum(self.segment, at, &record[4..]);
        record[..4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Adds a change to a footer.
pub(crate) fn push_change(footer: &mut Vec<u8>, change: &Change<'_>) {
    let op = if change.place.is_some() { PUT } else { DELETE };
    push_key(footer, op, change.space, change.key);
    if let Some(place) = change.place {
        push_place(footer, place);
    }
}

fn push_key(bytes: &mut Vec<u8>, op: u8, space: &str, key: &[u8]) {
    // The store refuses longer spaces and keys before they get here.
    bytes.extend_from_slice(&[op, space.len() as u8]);
    bytes.extend_from_slice(space.as_bytes());
    bytes.extend_from_slice(&(key.len() as u16).to_le_bytes());
    bytes.extend_from_slice(key);
}

fn push_place(bytes: &mut Vec<u8>, place: Place) {
    for number in [place.offset, place.length, place.crc] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
}

fn len_u32(bytes: &[u8]) -> [u8; 4] {
    (bytes.len() as u32).to_le_bytes()
}

fn checksum(segment: u32, at: usize, bytes: &[u8]) -> u32 {
    let place = u64::from(segment) << 32 | at as u64;
    crc32c::crc32c_append(crc32c::crc32c(&place.to_le_bytes()), bytes)
}

// ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// Checks the first bytes of segment `number`.
pub(crate) fn check_header(number: u32, bytes: &[u8]) -> Result<(), Bad> {
    let Some(found) = bytes.get(..HEADER_LEN) else {
        return Err(Bad::Damaged { at: bytes.len(), why: "the header is cut off" });
    };
    if &found[..8] != MAGIC {
        return Err(Bad::Damaged { at: 0, why: "it does not start like a segment" });
    }
    // First: a flipped bit in the version is damage, not another version.
    if u32_at(found, 28) != crc32c::crc32c(&found[..28]) {
        return Err(Bad::Damaged { at: 8, why: "the header is not what was written" });
    }
    let version = u32_at(found, 8);
    if version != VERSION {
        return Err(Bad::Version(version));
    }
    if found != header(number) {
        return Err(Bad::Damaged { at: 8, why: "the header is that of another segment" });
    }
    Ok(())
}

/// Where the footer of a sealed segment starts, by its last bytes.
pub(crate) fn footer_start(trailer: &[u8; TRAILER_LEN]) -> Option<u32> {
    let whole = &trailer[8..] == SEALED && u32_at(trailer, 4) == crc32c::crc32c(&trailer[..4]);
    whole.then(|| u32_at(trailer, 0))
}

/// Reads the footer of a sealed segment: `bytes` is all from offset `at` to the trailer.
pub(crate) fn read_footer(
    number: u32,
    at: usize,
    bytes: &[u8],
    mut change: impl FnMut(Change<'_>),
) -> Result<(), Bad> {
    let record = Record::read(number, at, bytes).filter(|record| record.kind == FOOTER);
    let Some(record) = record.filter(|record| record.len() == bytes.len()) else {
        return Err(Bad::Damaged { at, why: "the footer is not what was written" });
    };
    record.changes(&mut change)
}

/// Reads a whole segment, header to end, and says where it ends. `since` of the next write is that end.
pub(crate) fn replay(number: u32, bytes: &[u8], mut change: impl FnMut(Change<'_>)) -> Result<Replayed, Bad> {
    check_header(number, bytes)?;
    let (mut at, mut since, mut marked) = (HEADER_LEN, HEADER_LEN, false);
    while at < bytes.len() {
        let Some(record) = Record::read(number, at, &bytes[at..]) else {
            torn(number, at, bytes)?;
            break;
        };
        let next = at + record.len();
        if record.kind == FOOTER {
            let trailer = bytes[next..].try_into().ok().and_then(footer_start);
            if trailer.is_some_and(|start| start as usize == at) {
                return Ok(Replayed { end: End::Sealed, since: at, marked: false });
            }
            // The footer repeats what the records say: without its trailer it is a torn write like any other.
            torn(number, at, bytes)?;
            break;
        }
        record.changes(&mut change)?;
        marked = record.body.is_empty() && record.since == at;
        (at, since) = (next, record.since.min(at));
    }
    Ok(Replayed { end: End::Open(at), since, marked })
}

/// Whether all from `at` on belongs to a write that was never acknowledged.
fn torn(number: u32, at: usize, bytes: &[u8]) -> Result<(), Bad> {
    let damaged = Bad::Damaged { at, why: "the record is not what was written, and later ones are whole" };
    let mut searched = 0;
    for later in at + 1..bytes.len() {
        let rest = &bytes[later..];
        let Some(claim) = Record::claim(rest) else {
            continue;
        };
        let since = u32_at(rest, 8) as usize;
        if since <= at || since > later {
            continue;
        }
        searched += claim;
        if searched > SEARCH_BYTES_MAX || Record::read(number, later, rest).is_some() {
            return Err(damaged);
        }
    }
    Ok(())
}

/// A record whose checksum is right.
struct Record<'a> {
    segment: u32,
    at: usize,
    since: usize,
    kind: u8,
    body: &'a [u8],
}

impl<'a> Record<'a> {
    /// The length of what claims to be a record at the start of `bytes`, if it could be one.
    fn claim(bytes: &[u8]) -> Option<usize> {
        let header = bytes.get(..RECORD_HEADER_LEN)?;
        let length = RECORD_HEADER_LEN.checked_add(u32_at(header, 4) as usize)?;
        (matches!(header[12], BATCH | FOOTER) && length <= bytes.len()).then_some(length)
    }

    /// The record at the start of `bytes`, which is offset `at` of the segment.
    fn read(segment: u32, at: usize, bytes: &'a [u8]) -> Option<Record<'a>> {
        let record = &bytes[..Record::claim(bytes)?];
        let whole = u32_at(record, 0) == checksum(segment, at, &record[4..]);
        let since = u32_at(record, 8) as usize;
        whole.then(|| Record { segment, at, since, kind: record[12], body: &record[RECORD_HEADER_LEN..] })
    }

    fn len(&self) -> usize {
        RECORD_HEADER_LEN + self.body.len()
    }

    fn changes(&self, change: &mut impl FnMut(Change<'_>)) -> Result<(), Bad> {
        let mut reader = Reader { rest: self.body };
        while !reader.rest.is_empty() {
            let at = self.at + self.len() - reader.rest.len();
            // The checksum was right, so this is our own doing, or someone's who knows CRC-32C.
            let bad =
                Bad::Damaged { at, why: "the record's checksum is right but its contents make no sense" };
            change(self.change(&mut reader).ok_or(bad)?);
        }
        Ok(())
    }

    fn change(&self, reader: &mut Reader<'a>) -> Option<Change<'a>> {
        let op = reader.take(1)?[0];
        let space = reader.take(1)?[0];
        let space = std::str::from_utf8(reader.take(space.into())?).ok()?;
        let key = reader.take(2)?;
        let key = reader.take(u16::from_le_bytes([key[0], key[1]]).into())?;
        let place = match (op, self.kind) {
            (DELETE, _) => None,
            (PUT, BATCH) => {
                let length = reader.u32()?;
                let offset = (self.at + self.len() - reader.rest.len()) as u32;
                let crc = crc32c::crc32c(reader.take(length as usize)?);
                Some(Place { segment: self.segment, offset, length, crc })
            }
            (PUT, _) => {
                let [offset, length, crc] = [reader.u32()?, reader.u32()?, reader.u32()?];
                // A footer speaks of what stands before it.
                if offset as usize + length as usize > self.at {
                    return None;
                }
                Some(Place { segment: self.segment, offset, length, crc })
            }
            _ => return None,
        };
        Some(Change { space, key, place })
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| u32_at(bytes, 0))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes are four bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPACE: Space = Space("test");

    /// A segment of these writes, each of so many batches of one key, and where its records start.
    fn segment(writes: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = header(3).to_vec();
        let mut starts = Vec::new();
        let mut footer = Vec::new();
        let mut key = 0_u8;
        for batches in writes {
            let mut writer = Writer::new(3, bytes.len() as u32, &mut footer);
            for _ in 0..*batches {
                starts.push(bytes.len() + writer.bytes.len());
                let mut batch = Batch::new();
                batch.put(SPACE, vec![key], vec![key; 20]);
                writer.batch(&batch, |_| {});
                key += 1;
            }
            let write = writer.finish();
            bytes.extend(write);
        }
        starts.push(bytes.len());
        (bytes, starts)
    }

    /// The end that a replay finds, and how many changes before it.
    fn read(bytes: &[u8]) -> Result<(End, usize), Bad> {
        let mut count = 0;
        replay(3, bytes, |_| count += 1).map(|replayed| (replayed.end, count))
    }

    #[test]
    fn a_write_that_is_cut_off_anywhere_ends_at_its_last_whole_record() {
        let (bytes, starts) = segment(&[1, 3]);
        for length in starts[1]..bytes.len() {
            let whole = starts.iter().rposition(|start| *start <= length).unwrap();
            assert_eq!(read(&bytes[..length]), Ok((End::Open(starts[whole]), whole)), "cut at {length}");
        }
    }

    #[test]
    fn a_hole_in_the_last_write_is_torn_even_if_its_end_is_whole() {
        let (mut bytes, starts) = segment(&[1, 3]);
        bytes[starts[2]..starts[3]].fill(0);
        assert_eq!(read(&bytes), Ok((End::Open(starts[2]), 2)));
    }

    #[test]
    fn a_hole_before_the_last_write_is_damage() {
        for (hole, writes) in [(0, [1, 3]), (1, [2, 1]), (2, [3, 2])] {
            let (mut bytes, starts) = segment(&writes);
            bytes[starts[hole]..starts[hole + 1]].fill(0);
            let found = read(&bytes);
            assert!(matches!(found, Err(Bad::Damaged { at, .. }) if at == starts[hole]), "{found:?}");
        }
    }

    #[test]
    fn zeros_at_the_end_are_torn() {
        let (mut bytes, starts) = segment(&[1, 2]);
        bytes.extend([0; 5000]);
        assert_eq!(read(&bytes), Ok((End::Open(starts[3]), 3)));
    }

    #[test]
    fn a_record_that_belongs_elsewhere_is_none_here() {
        let (bytes, starts) = segment(&[1, 1]);
        let mut moved = bytes[..starts[1]].to_vec();
        moved.extend_from_slice(&bytes[starts[0]..starts[1]]);
        assert_eq!(read(&moved), Ok((End::Open(starts[1]), 1)));
        assert!(matches!(replay(4, &bytes, |_| {}), Err(Bad::Damaged { at: 8, .. })));
    }

    #[test]
    fn a_later_version_is_named() {
        let (mut bytes, _) = segment(&[1]);
        bytes[8] = 2;
        assert!(matches!(read(&bytes), Err(Bad::Damaged { at: 8, .. })), "a flipped bit is no version");
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(read(&bytes), Err(Bad::Version(2)));
    }

    #[test]
    fn what_a_mark_follows_is_damage_and_never_torn() {
        let (mut bytes, starts) = segment(&[1, 3]);
        bytes.extend(mark(3, starts[4] as u32));
        let whole = replay(3, &bytes, |_| {}).unwrap();
        assert_eq!(whole, Replayed { end: End::Open(bytes.len()), since: starts[4], marked: true });
        for at in starts[1]..starts[4] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(matches!(read(&flipped), Err(Bad::Damaged { .. })), "flipped at {at}");
        }
        // The mark itself says nothing that could be lost.
        for at in starts[4]..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(read(&flipped), Ok((End::Open(starts[4]), 4)), "flipped at {at}");
        }
    }

    fn batches() -> impl Strategy<Value = Vec<Batch>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        let change = (prop::sample::select(vec!["a", "space.b"]), bytes(), prop::option::of(bytes()));
        let batch = prop::collection::vec(change, 0..5).prop_map(|changes| {
            let change = |(space, key, value): (_, Vec<u8>, Option<Vec<u8>>)| {
                (Space(space), key.into(), value.map(bytes::Bytes::from))
            };
            Batch { changes: changes.into_iter().map(change).collect() }
        });
        prop::collection::vec(batch, 0..6)
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(batches in batches(), sealed: bool) {
            let mut footer = Vec::new();
            let mut bytes = header(7).to_vec();
            let mut expected = Vec::new();
            for batch in &batches {
                let before = bytes.len();
                let mut writer = Writer::new(7, before as u32, &mut footer);
                let mut places = Vec::new();
                writer.batch(batch, |place| places.push(place));
                bytes.extend(writer.finish());
                prop_assert_eq!(bytes.len() - before, record_len(batch));
                expected.extend(batch.changes.iter().cloned().zip(places));
            }
            let end = bytes.len();
            if sealed {
                let seal = Writer::new(7, end as u32, &mut footer).seal();
                bytes.extend(seal);
            }

            let mut found = Vec::new();
            let keep = |found: &mut Vec<_>, change: Change<'_>| {
                found.push((change.space.to_owned(), change.key.to_vec(), change.place));
            };
            let ended = replay(7, &bytes, |change| keep(&mut found, change)).unwrap();
            prop_assert_eq!(ended.end, if sealed { End::Sealed } else { End::Open(end) });
            prop_assert_eq!(found.len(), expected.len());
            for ((space, key, place), ((wanted, wanted_key, value), wanted_place)) in found.iter().zip(&expected) {
                prop_assert_eq!((space.as_str(), key.as_slice(), place), (wanted.0, &wanted_key[..], wanted_place));
                let read = place.map(|place| &bytes[place.offset as usize..][..place.length as usize]);
                prop_assert_eq!(read, value.as_deref());
            }
            if sealed {
                let trailer = bytes.len() - TRAILER_LEN;
                let start = footer_start(bytes[trailer..].try_into().unwrap()).unwrap() as usize;
                let mut summed = Vec::new();
                read_footer(7, start, &bytes[start..trailer], |change| keep(&mut summed, change)).unwrap();
                prop_assert_eq!(summed, found);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(tail in prop::collection::vec(any::<u8>(), 0..300), at in 0..300_usize) {
            let _ = replay(3, &tail, |_| {});
            let _ = read_footer(3, at, &tail, |_| {});
            let mut bytes = header(3).to_vec();
            bytes.extend(&tail);
            let _ = replay(3, &bytes, |_| {});
        }

        /// As above, but the checksums are right: what is behind them must hold as well.
        #[test]
        fn any_body_is_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..300), kind in 1..=2_u8) {
            let mut footer = body;
            let mut writer = Writer::new(3, HEADER_LEN as u32, &mut footer);
            let start = writer.begin();
            writer.bytes.extend_from_slice(writer.footer);
            writer.end(start, kind);
            let record = writer.finish();
            let mut bytes = header(3).to_vec();
            bytes.extend(&record);
            let _ = replay(3, &bytes, |_| {});
            let _ = read_footer(3, HEADER_LEN, &record, |_| {});
        }
    }
}
