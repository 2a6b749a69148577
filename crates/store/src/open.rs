//! Finds out, from the files of a log, what is in it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tracing::warn;

use crate::Error;
use crate::committer::{Last, begin, name};
use crate::disk::Segment;
use crate::files::Files;
use crate::index::Index;
use crate::segment::{self, Bad, Change, End, HEADER_LEN, RECORD_HEADER_LEN, TRAILER_LEN};

/// A log that can be read and appended to.
pub(crate) struct Opened {
    pub index: Index,
    pub segments: Vec<Segment>,
    pub last: Last,
}

/// Reads the log in `folder`; cuts off a torn write at its end; makes a first segment if there is none.
pub(crate) fn open(files: &dyn Files, folder: &Path) -> Result<Opened, Error> {
    let count = count(files, folder)?;
    // A crash may have come between a segment's name and the sync of it: what is added to it must not go with the name.
    files.sync_folder(folder).map_err(|error| Error::io("sync", folder, &error))?;
    let mut index = Index::default();
    let mut segments = Vec::new();
    for number in 1..count {
        let segment = open_segment(files, folder, number)?;
        read_sealed(files, number, &segment, |change| index.apply(change))?;
        segments.push(segment);
    }
    let last = if count == 0 {
        begin(files, folder, 1)?
    } else {
        let segment = open_segment(files, folder, count)?;
        let (last, end) = read_last(files, count, &segment, &mut index)?;
        if end == End::Sealed {
            // A crash came between its footer and the next one's name.
            segments.push(segment);
            begin(files, folder, count + 1)?
        } else {
            last
        }
    };
    segments.push(Segment { path: last.path.clone(), file: Arc::clone(&last.file) });
    Ok(Opened { index, segments, last })
}

/// Reads every byte of the log. `length` bytes of the last segment count.
pub(crate) fn verify(files: &dyn Files, segments: &[Segment], length_of_last: u32) -> Result<(), Error> {
    for (number, segment) in (1..).zip(segments) {
        let is_last = number as usize == segments.len();
        let length = if is_last { length_of_last as usize } else { length(files, segment)? };
        let expected = if is_last { End::Open(length) } else { End::Sealed };
        let bytes = read(files, segment, 0, length)?;
        check(number, &bytes, expected).map_err(|bad| refuse(&segment.path, bad))?;
    }
    Ok(())
}

/// Compares every byte of a segment with its checksums, and its footer with what it sums up.
pub(crate) fn check(number: u32, bytes: &[u8], expected: End) -> Result<(), Bad> {
    let end = segment::replay(number, bytes, |_| {})?.end;
    if end != expected {
        let at = if let End::Open(at) = end { at } else { bytes.len() };
        return Err(Bad::Damaged { at, why: "it does not end as it was written" });
    }
    Ok(())
}

/// How many segments there are. They are numbered from 1 without gaps.
pub(crate) fn count(files: &dyn Files, folder: &Path) -> Result<u32, Error> {
    let listed = files.list(folder).map_err(|error| Error::io("list", folder, &error))?;
    let number = |file: &str| file.strip_suffix(".log")?.parse().ok().filter(|number| *file == name(*number));
    let mut numbers: Vec<u32> = listed.iter().filter_map(|(file, _)| number(file)).collect();
    numbers.sort_unstable();
    let missing = (1..).zip(&numbers).find(|(expected, number)| expected != *number);
    match missing {
        None => Ok(numbers.len() as u32),
        Some((expected, _)) => Err(Error::Damaged {
            path: folder.join(name(expected)).display().to_string(),
            at: 0,
            why: "the segment is missing, and later ones are there".to_owned(),
        }),
    }
}

fn open_segment(files: &dyn Files, folder: &Path, number: u32) -> Result<Segment, Error> {
    let path = folder.join(name(number));
    let file = files.open(&path).map_err(|error| Error::io("open", &path, &error))?;
    Ok(Segment { path, file: Arc::new(file) })
}

/// Learns what is in a sealed segment from its footers.
fn read_sealed(
    files: &dyn Files,
    number: u32,
    segment: &Segment,
    mut change: impl FnMut(Change<'_>),
) -> Result<(), Error> {
    let length = length(files, segment)?;
    let bad = |bad| refuse(&segment.path, bad);
    segment::check_header(number, &read(files, segment, 0, length.min(HEADER_LEN))?).map_err(bad)?;
    let unsealed = |at| bad(Bad::Damaged { at, why: UNSEALED });
    let end = length.checked_sub(TRAILER_LEN).ok_or_else(|| unsealed(length))?;
    let trailer = read(files, segment, end, TRAILER_LEN)?;
    let trailer = trailer.as_slice().try_into().expect("it was read at that length");
    let start = segment::footer_start(trailer).ok_or_else(|| unsealed(end))? as usize;
    let last = end.checked_sub(start).ok_or_else(|| unsealed(end))?;
    // The last one comes first, each leads to the one before it, and they count from the first to the last.
    let mut footers = Vec::new();
    let mut next = Some((start, read(files, segment, start, last)?, None));
    while let Some((at, bytes, crc)) = next {
        let before = segment::read_footer(number, at, &bytes, crc).map_err(bad)?.1;
        footers.push((at, bytes));
        next = match before {
            None => None,
            Some((before, crc)) => {
                let before = before as usize;
                let header = read(files, segment, before, RECORD_HEADER_LEN.min(at - before))?;
                let length = header.as_slice().try_into().ok().map(segment::footer_len);
                let length = length.filter(|length| *length <= at - before);
                let why = "the footer is not what was written";
                let length = length.ok_or_else(|| bad(Bad::Damaged { at: before, why }))?;
                Some((before, read(files, segment, before, length)?, Some(crc)))
            }
        };
    }
    for (at, bytes) in footers.iter().rev() {
        segment::read_footer(number, *at, bytes, None)
            .and_then(|(footer, _)| footer.changes(&mut change))
            .map_err(bad)?;
    }
    Ok(())
}

/// Why a segment that is not the last cannot be one.
pub(crate) const UNSEALED: &str = "the footer is missing, although this is not the last segment";

/// Reads the last segment, whole, and makes it ready to be appended to.
fn read_last(
    files: &dyn Files,
    number: u32,
    segment: &Segment,
    index: &mut Index,
) -> Result<(Last, End), Error> {
    let length = length(files, segment)?;
    let bytes = read(files, segment, 0, length)?;
    let found = segment::replay(number, &bytes, |change| index.apply(change))
        .map_err(|bad| refuse(&segment.path, bad))?;
    let mut whole = match found.end {
        End::Open(whole) => whole,
        End::Sealed => length,
    };
    let refused = |error: io::Error| Error::io("recover", &segment.path, &error);
    if whole < length {
        let cut = length - whole;
        warn!(path = %segment.path.display(), at = whole, cut, "cut off a write that a crash interrupted");
        files.cut(&segment.file, whole as u64).map_err(refused)?;
    }
    // The last write may so far be in the page cache only. It is shown from now on: it must be durable. To sync is not
    // enough: if an earlier sync of it failed, the system may take those pages for written although they are not.
    if found.since < whole {
        files.write(&segment.file, &bytes[found.since..whole], found.since as u64).map_err(refused)?;
    }
    files.sync(&segment.file).map_err(refused)?;
    if found.end != End::Sealed && !found.marked && whole > HEADER_LEN {
        let mark = segment::mark(number, whole as u32);
        files.write(&segment.file, &mark, whole as u64).map_err(refused)?;
        files.sync(&segment.file).map_err(refused)?;
        whole += mark.len();
    }
    let file = Arc::clone(&segment.file);
    let last = Last {
        number,
        file,
        path: segment.path.clone(),
        length: whole as u32,
        footer: found.footer,
        marked: true,
    };
    Ok((last, found.end))
}

fn length(files: &dyn Files, segment: &Segment) -> Result<usize, Error> {
    let length = files.length(&segment.file).map_err(|error| Error::io("measure", &segment.path, &error))?;
    let at = u32::MAX as usize;
    match usize::try_from(length) {
        Ok(length) if length <= at => Ok(length),
        _ => Err(refuse(&segment.path, Bad::Damaged { at, why: "no segment is that long" })),
    }
}

fn read(files: &dyn Files, segment: &Segment, at: usize, length: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; length];
    let read = files.read(&segment.file, &mut bytes, at as u64);
    read.map_err(|error| Error::io("read", &segment.path, &error))?;
    Ok(bytes)
}

pub(crate) fn refuse(path: &Path, bad: Bad) -> Error {
    let path = path.display().to_string();
    match bad {
        Bad::Version(found) => Error::Version { path, found, known: segment::VERSION },
        Bad::Damaged { at, why } => Error::Damaged { path, at: at as u64, why: why.to_owned() },
    }
}
