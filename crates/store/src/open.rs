//! Finds out, from the files of a log, what is in it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use tracing::warn;

use crate::Error;
use crate::committer::{Last, begin, name};
use crate::disk::Segment;
use crate::files::Files;
use crate::index::Index;
use crate::segment::{self, Bad, Change, End, HEADER_LEN, TRAILER_LEN};

/// A log that can be read and appended to.
pub(crate) struct Opened {
    pub index: Index,
    pub segments: Vec<Segment>,
    pub last: Last,
}

/// Reads the log in `folder`; cuts off a torn write at its end; makes a first segment if there is none.
pub(crate) fn open(files: &dyn Files, folder: &Path) -> Result<Opened, Error> {
    let count = count(folder)?;
    let mut index = Index::default();
    let mut segments = Vec::new();
    for number in 1..count {
        let segment = open_segment(folder, number)?;
        read_sealed(number, &segment, |change| index.apply(change))?;
        segments.push(segment);
    }
    let mut last = if count == 0 {
        begin(files, folder, 1)?
    } else {
        let segment = open_segment(folder, count)?;
        let (last, end) = read_last(files, count, &segment, &mut index)?;
        if end == End::Sealed {
            // A crash came between its footer and the next one's name.
            segments.push(segment);
            begin(files, folder, count + 1)?
        } else {
            last
        }
    };
    last.footer.shrink_to_fit();
    segments.push(Segment { path: last.path.clone(), file: Arc::clone(&last.file) });
    Ok(Opened { index, segments, last })
}

/// Reads every byte of the log. `length` bytes of the last segment count.
pub(crate) fn verify(segments: &[Segment], length_of_last: u32) -> Result<(), Error> {
    for (number, segment) in (1..).zip(segments) {
        let is_last = number as usize == segments.len();
        let length = if is_last { length_of_last as usize } else { length(segment)? };
        let bytes = read(segment, 0, length)?;
        let mut footer = Vec::new();
        let end = segment::replay(number, &bytes, |change| segment::push_change(&mut footer, &change))
            .map_err(|bad| refuse(segment, bad))?;
        let expected = if is_last { End::Open(length) } else { End::Sealed };
        let sums_up = is_last || bytes[..length - TRAILER_LEN].ends_with(&footer);
        if end != expected || !sums_up {
            let at = if let End::Open(at) = end { at } else { length };
            return Err(refuse(segment, Bad::Damaged { at, why: "it does not end as it was written" }));
        }
    }
    Ok(())
}

/// How many segments there are. They are numbered from 1 without gaps.
fn count(folder: &Path) -> Result<u32, Error> {
    let refused = |error: io::Error| Error::io("list", folder, &error);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(refused)? {
        let file = entry.map_err(refused)?.file_name();
        let number = file.to_str().and_then(|file| file.strip_suffix(".log")?.parse().ok());
        numbers.extend(number.filter(|number| file.to_str() == Some(&name(*number))));
    }
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

fn open_segment(folder: &Path, number: u32) -> Result<Segment, Error> {
    let path = folder.join(name(number));
    let file = File::options().read(true).write(true).open(&path);
    let file = file.map_err(|error| Error::io("open", &path, &error))?;
    Ok(Segment { path, file: Arc::new(file) })
}

/// Learns what is in a sealed segment from its footer.
fn read_sealed(number: u32, segment: &Segment, change: impl FnMut(Change<'_>)) -> Result<(), Error> {
    let length = length(segment)?;
    segment::check_header(number, &read(segment, 0, length.min(HEADER_LEN))?)
        .map_err(|bad| refuse(segment, bad))?;
    let unsealed = |at| {
        let why = "the footer is missing, although this is not the last segment";
        refuse(segment, Bad::Damaged { at, why })
    };
    let end = length.checked_sub(TRAILER_LEN).ok_or_else(|| unsealed(length))?;
    let trailer = read(segment, end, TRAILER_LEN)?;
    let trailer = trailer.as_slice().try_into().expect("it was read at that length");
    let start = segment::footer_start(trailer).ok_or_else(|| unsealed(end))? as usize;
    let footer = end.checked_sub(start).ok_or_else(|| unsealed(end))?;
    segment::read_footer(number, start, &read(segment, start, footer)?, change)
        .map_err(|bad| refuse(segment, bad))
}

/// Reads the last segment, whole, and makes it ready to be appended to.
fn read_last(
    files: &dyn Files,
    number: u32,
    segment: &Segment,
    index: &mut Index,
) -> Result<(Last, End), Error> {
    let length = length(segment)?;
    let mut footer = Vec::new();
    let end = segment::replay(number, &read(segment, 0, length)?, |change| {
        segment::push_change(&mut footer, &change);
        index.apply(change);
    })
    .map_err(|bad| refuse(segment, bad))?;
    let whole = match end {
        End::Open(whole) => whole,
        End::Sealed => length,
    };
    let refused = |error: io::Error| Error::io("recover", &segment.path, &error);
    if whole < length {
        let cut = length - whole;
        warn!(path = %segment.path.display(), at = whole, cut, "cut off a write that a crash interrupted");
        segment.file.set_len(whole as u64).map_err(refused)?;
    }
    // After a kill, what was read may so far be in the page cache only. It is shown from now on: it must be durable.
    files.sync(&segment.file).map_err(refused)?;
    let file = Arc::clone(&segment.file);
    Ok((Last { number, file, path: segment.path.clone(), length: whole as u32, footer }, end))
}

fn length(segment: &Segment) -> Result<usize, Error> {
    let metadata = segment.file.metadata().map_err(|error| Error::io("measure", &segment.path, &error))?;
    let at = u32::MAX as usize;
    match usize::try_from(metadata.len()) {
        Ok(length) if length <= at => Ok(length),
        _ => Err(refuse(segment, Bad::Damaged { at, why: "no segment is that long" })),
    }
}

fn read(segment: &Segment, at: usize, length: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; length];
    let read = segment.file.read_exact_at(&mut bytes, at as u64);
    read.map_err(|error| Error::io("read", &segment.path, &error))?;
    Ok(bytes)
}

fn refuse(segment: &Segment, bad: Bad) -> Error {
    let path = segment.path.display().to_string();
    match bad {
        Bad::Version(found) => Error::Version { path, found, known: segment::VERSION },
        Bad::Damaged { at, why } => Error::Damaged { path, at: at as u64, why: why.to_owned() },
    }
}
