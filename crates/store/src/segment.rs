//! What a segment of the log looks like, byte by byte. Pure: bytes in, records out.
//!
//! ```text
//! segment  header, records, and once it is sealed: last footer, trailer
//! header   "PIRNLOG\n", version u32, 0 u32, number u64, 0 u32, crc u32 of all before it; the same in every version
//! record   crc u32, length u32 of the body, since u32, kind u8, body
//! batch    a record of changes: op u8, space (u8 length, bytes), key (u16 length, bytes), put: value (u32 length, bytes)
//! footer   a record: offset u32 of the footer before it (0: none), crc u32 of that record, and the changes since, but put:
//!          offset u32, length u32, crc u32 of the value
//! trailer  offset u32 of the last footer, crc u32 of it, "PIRNSEAL"
//! ```
//!
//! A footer repeats what the records say, so that a sealed segment is opened without reading its values. They come every
//! `footer_bytes`, so that nobody waits for a large one when the segment is sealed.
//! In version 1 there was one, without the two numbers; it is still read.
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

pub(crate) const VERSION: u32 = 2;
/// The oldest version that is read.
const OLDEST: u32 = 1;
pub(crate) const HEADER_LEN: usize = 32;
pub(crate) const TRAILER_LEN: usize = 16;
pub(crate) const RECORD_HEADER_LEN: usize = 13;
const MAGIC: &[u8; 8] = b"PIRNLOG\n";
const SEALED: &[u8; 8] = b"PIRNSEAL";

const BATCH: u8 = 1;
/// The footer of version 1, the only one.
const ONLY_FOOTER: u8 = 2;
const FOOTER: u8 = 3;

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
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Replayed {
    pub end: End,
    /// Where the last write began: all before it was durable then, all from there on may be in the page cache only.
    pub since: usize,
    /// Whether its last record is a mark.
    pub marked: bool,
    /// What the next footer says so far.
    pub footer: Footer,
}

/// The footer to come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    /// The changes since the one before it.
    changes: Vec<u8>,
    /// Where that one is, and its checksum.
    before: Link,
}

/// Where a footer is, and its checksum. Zeros: there is none.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Link {
    at: u32,
    crc: u32,
}

const LINK_LEN: usize = 8;

impl Footer {
    fn push(&mut self, change: &Change<'_>) {
        let op = if change.place.is_some() { PUT } else { DELETE };
        push_key(&mut self.changes, op, change.space, change.key);
        if let Some(place) = change.place {
            push_place(&mut self.changes, place);
        }
    }
}

impl Link {
    fn read(bytes: &[u8]) -> Option<Link> {
        let bytes = bytes.get(..LINK_LEN)?;
        Some(Link { at: u32_at(bytes, 0), crc: u32_at(bytes, 4) })
    }
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
    let mut no_changes = Footer::default();
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
    /// Grows by every change.
    footer: &'a mut Footer,
}

impl<'a> Writer<'a> {
    pub fn new(segment: u32, since: u32, footer: &'a mut Footer) -> Writer<'a> {
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
            self.footer.push(&Change { space: space.0, key, place });
            placed(place);
        }
        self.end(start, BATCH);
    }

    /// What to write.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// How many bytes of changes the next footer has.
    pub fn footer_len(&self) -> usize {
        self.footer.changes.len()
    }

    /// Adds the footer of what was written since the last one.
    pub fn footer(&mut self) {
        let offset = self.offset();
        let start = self.begin();
        let Footer { changes, before } = std::mem::take(self.footer);
        self.bytes.extend_from_slice(&before.at.to_le_bytes());
        self.bytes.extend_from_slice(&before.crc.to_le_bytes());
        self.bytes.extend_from_slice(&changes);
        self.end(start, FOOTER);
        self.footer.before = Link { at: offset, crc: u32_at(&self.bytes[start..], 0) };
    }

    /// The last footer, and the trailer. Nothing follows them.
    pub fn seal(mut self) -> Vec<u8> {
        self.footer();
        let offset = self.footer.before.at.to_le_bytes();
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
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(Bad::Version(version));
    }
    if found[12..28] != header(number)[12..28] {
        return Err(Bad::Damaged { at: 8, why: "the header is that of another segment" });
    }
    Ok(())
}

/// Where the last footer of a sealed segment starts, by its last bytes.
pub(crate) fn footer_start(trailer: &[u8; TRAILER_LEN]) -> Option<u32> {
    let whole = &trailer[8..] == SEALED && u32_at(trailer, 4) == crc32c::crc32c(&trailer[..4]);
    whole.then(|| u32_at(trailer, 0))
}

/// How many bytes a footer has, by its first [`RECORD_HEADER_LEN`].
pub(crate) fn footer_len(header: &[u8; RECORD_HEADER_LEN]) -> usize {
    RECORD_HEADER_LEN.saturating_add(u32_at(header, 4) as usize)
}

/// A footer that was read.
pub(crate) struct Found<'a>(Record<'a>);

impl Found<'_> {
    /// Says its changes.
    pub fn changes(&self, mut change: impl FnMut(Change<'_>)) -> Result<(), Bad> {
        self.0.changes(&mut change)
    }
}

/// Reads a footer of a sealed segment, which is all of `bytes`, at offset `at`. Answers it, and where the one before it is.
/// `crc`: the checksum that the footer after it states.
pub(crate) fn read_footer(
    number: u32,
    at: usize,
    bytes: &[u8],
    crc: Option<u32>,
) -> Result<(Found<'_>, Option<(u32, u32)>), Bad> {
    let bad = || Bad::Damaged { at, why: "the footer is not what was written" };
    let record = Record::read(number, at, bytes).filter(|record| record.len() == bytes.len());
    let record = record.filter(|_| crc.is_none_or(|crc| crc == u32_at(bytes, 0))).ok_or_else(bad)?;
    let before = match record.kind {
        FOOTER => record.link().filter(|link| (link.at as usize) < at).ok_or_else(bad)?,
        ONLY_FOOTER => Link::default(),
        _ => return Err(bad()),
    };
    Ok((Found(record), (before.at > 0).then_some((before.at, before.crc))))
}

/// Reads a whole segment, header to end, and says where it ends. `since` of the next write is that end. Footers must say what
/// the records do.
pub(crate) fn replay(number: u32, bytes: &[u8], mut change: impl FnMut(Change<'_>)) -> Result<Replayed, Bad> {
    check_header(number, bytes)?;
    let (mut at, mut since, mut marked) = (HEADER_LEN, HEADER_LEN, false);
    let mut footer = Footer::default();
    while at < bytes.len() {
        let Some(record) = Record::read(number, at, &bytes[at..]) else {
            torn(number, at, bytes)?;
            break;
        };
        let next = at + record.len();
        if record.kind != BATCH {
            let trailer = bytes[next..].try_into().ok().and_then(footer_start);
            let is_last = trailer.is_some_and(|start| start as usize == at);
            if record.kind == ONLY_FOOTER && !is_last {
                // It repeats what the records say: without its trailer it is a torn write like any other.
                torn(number, at, bytes)?;
                break;
            }
            let link = if record.kind == FOOTER { record.link() } else { Some(Link::default()) };
            if link != Some(footer.before) || record.listed() != footer.changes {
                return Err(Bad::Damaged { at, why: "the footer does not say what the records do" });
            }
            if is_last {
                return Ok(Replayed {
                    end: End::Sealed,
                    since: at,
                    marked: false,
                    footer: Footer::default(),
                });
            }
            footer =
                Footer { changes: Vec::new(), before: Link { at: at as u32, crc: u32_at(&bytes[at..], 0) } };
        } else {
            record.changes(&mut |it| {
                footer.push(&it);
                change(it);
            })?;
        }
        marked = record.kind == BATCH && record.body.is_empty() && record.since == at;
        (at, since) = (next, record.since.min(at));
    }
    Ok(Replayed { end: End::Open(at), since, marked, footer })
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
        (matches!(header[12], BATCH | ONLY_FOOTER | FOOTER) && length <= bytes.len()).then_some(length)
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

    fn link(&self) -> Option<Link> {
        Link::read(self.body)
    }

    /// Its changes, as they stand in it.
    fn listed(&self) -> &'a [u8] {
        let from = if self.kind == FOOTER { LINK_LEN } else { 0 };
        self.body.get(from..).unwrap_or_default()
    }

    fn changes(&self, change: &mut impl FnMut(Change<'_>)) -> Result<(), Bad> {
        let mut reader = Reader { rest: self.listed() };
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
mod tests;
