//! The committed memory of a process: a file without a name, which machines map copy-on-write.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use runtime::PAGE_BYTES;
use rustix::fs::{MemfdFlags, SeekFrom, ftruncate, memfd_create, seek};
use rustix::io::{Errno, pread, pwrite};

const COPY_BYTES: usize = 1 << 20;

/// Bytes that are read at once, which pages share. Whoever writes waits no longer than for that.
const SHARED_BYTES: u64 = 256 << 10;

const PAGE: u64 = PAGE_BYTES as u64;

/// Lets this program have as many open files as the system allows it: each process in memory has an image, which is
/// one, and the usual soft limit is a thousand.
pub(crate) fn allow_many() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Not to be allowed is no failure: it shows when there are too many.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Sparse bytes, as long as the address space of the memory they are for. What was never written is zero.
#[derive(Debug)]
pub(crate) struct Image {
    file: Arc<OwnedFd>,
    capacity: u64,
    /// Who reads what it was.
    readers: Mutex<Vec<Weak<Mutex<Ahead>>>>,
}

impl Image {
    /// All zeros.
    pub fn new(capacity: u64) -> Result<Image, Errno> {
        let file = memfd_create("pirn-process", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, capacity)?;
        Ok(Image { file: Arc::new(file), capacity, readers: Mutex::default() })
    }

    /// The same bytes again, for somebody who goes another way from here.
    pub fn copy(&self) -> Result<Image, Errno> {
        let copy = Image::new(self.capacity)?;
        let mut buffer = vec![0; COPY_BYTES];
        for (start, end) in self.written()? {
            let mut at = start;
            while at < end {
                let part = &mut buffer[..COPY_BYTES.min((end - at) as usize)];
                self.read(at, part)?;
                copy.write(at, part)?;
                at += part.len() as u64;
            }
        }
        Ok(copy)
    }

    /// Puts `bytes` at `at`.
    pub fn write(&self, mut at: u64, mut bytes: &[u8]) -> Result<(), Errno> {
        let readers = self.readers();
        for reader in readers.iter().filter_map(Weak::upgrade) {
            lock(&reader).keep(&self.file, at, at + bytes.len() as u64)?;
        }
        drop(readers);
        while !bytes.is_empty() {
            let n = pwrite(&self.file, bytes, at)?;
            at += n as u64;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Fills `buffer` from `at` on.
    pub fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        read(&self.file, at, buffer)
    }

    /// The runs of pages that hold something, ascending: start and end, bytes.
    pub fn written(&self) -> Result<Vec<(u64, u64)>, Errno> {
        let mut runs = Vec::new();
        let mut at = 0;
        loop {
            let start = match seek(&self.file, SeekFrom::Data(at)) {
                Ok(start) => start,
                Err(Errno::NXIO) => return Ok(runs),
                Err(error) => return Err(error),
            };
            at = seek(&self.file, SeekFrom::Hole(start))?;
            runs.push((start / PAGE * PAGE, at.div_ceil(PAGE) * PAGE));
        }
    }

    /// What the first `size` bytes are now, to be read while others are written.
    pub fn past(&self, size: u64) -> Result<Past, Errno> {
        let runs = self.written()?.into_iter().map(|(start, end)| (start, end.min(size)));
        Ok(self.past_of(runs.collect()))
    }

    /// What these runs of pages are now, ascending; some may be empty.
    pub fn past_of(&self, mut runs: Vec<(u64, u64)>) -> Past {
        runs.retain(|(start, end)| start < end);
        let ahead = Arc::new(Mutex::new(Ahead { runs: runs.clone(), next: 0, before: BTreeMap::new() }));
        self.readers().push(Arc::downgrade(&ahead));
        Past { file: Arc::clone(&self.file), runs, ahead }
    }

    /// Those who read still.
    fn readers(&self) -> MutexGuard<'_, Vec<Weak<Mutex<Ahead>>>> {
        let mut readers = lock(&self.readers);
        readers.retain(|reader| reader.strong_count() > 0);
        readers
    }

    /// The bytes that it occupies.
    pub fn resident_bytes(&self) -> u64 {
        rustix::fs::fstat(&self.file).map_or(0, |stat| stat.st_blocks as u64 * 512)
    }

    /// The file, to be mapped.
    pub fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Bytes of address space.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }
}

/// What an image was.
///
/// Whoever writes a page that is not read yet keeps what it was before. So reading needs no copy, holds up who writes
/// only for a moment, and takes the room of one copy in the end, as pages that were kept are those of the answer.
pub(crate) struct Past {
    file: Arc<OwnedFd>,
    runs: Vec<(u64, u64)>,
    ahead: Arc<Mutex<Ahead>>,
}

/// What is not read yet.
#[derive(Debug)]
struct Ahead {
    /// All that is read, ascending.
    runs: Vec<(u64, u64)>,
    /// Pages below were read.
    next: u64,
    /// Pages that were written since, as they were.
    before: BTreeMap<u64, Bytes>,
}

impl Ahead {
    /// These bytes will be written.
    fn keep(&mut self, file: &OwnedFd, start: u64, end: u64) -> Result<(), Errno> {
        let first = self.runs.partition_point(|run| run.1 <= start);
        for run in self.runs[first..].iter().take_while(|run| run.0 < end) {
            let first = (start / PAGE * PAGE).max(run.0).max(self.next);
            for at in (first..end.min(run.1)).step_by(PAGE_BYTES) {
                if let Entry::Vacant(before) = self.before.entry(at) {
                    let mut page = vec![0; PAGE_BYTES];
                    read(file, at, &mut page)?;
                    before.insert(page.into());
                }
            }
        }
        Ok(())
    }
}

impl Past {
    /// At most how many pages it has.
    pub fn pages_max(&self) -> usize {
        self.runs.iter().map(|(start, end)| (end - start).div_ceil(PAGE) as usize).sum()
    }

    /// Each page, by its index; `None` for nothing but zeros.
    pub fn read(&self) -> Result<Vec<(u64, Option<Bytes>)>, Errno> {
        let mut pages = Vec::with_capacity(self.pages_max());
        for (start, end) in &self.runs {
            for at in (*start..*end).step_by(SHARED_BYTES as usize) {
                pages.extend(self.part(at, (at + SHARED_BYTES).min(*end))?.map(|(at, page)| {
                    let is_zero = page.iter().all(|&byte| byte == 0);
                    (at / PAGE, (!is_zero).then_some(page))
                }));
            }
        }
        Ok(pages)
    }

    /// The pages from `start` to `end`.
    fn part(&self, start: u64, end: u64) -> Result<impl Iterator<Item = (u64, Bytes)>, Errno> {
        let mut bytes = vec![0; (end - start) as usize];
        let mut ahead = lock(&self.ahead);
        read(&self.file, start, &mut bytes)?;
        ahead.next = end;
        let later = ahead.before.split_off(&end);
        let mut before = std::mem::replace(&mut ahead.before, later);
        drop(ahead);
        let bytes = Bytes::from(bytes);
        Ok((start..end).step_by(PAGE_BYTES).map(move |at| {
            let here = (at - start) as usize;
            (at, before.remove(&at).unwrap_or_else(|| bytes.slice(here..here + PAGE_BYTES)))
        }))
    }
}

fn read(file: &OwnedFd, mut at: u64, mut buffer: &mut [u8]) -> Result<(), Errno> {
    while !buffer.is_empty() {
        let n = pread(file, &mut *buffer, at)?;
        if n == 0 {
            return Err(Errno::INVAL);
        }
        at += n as u64;
        buffer = &mut buffer[n..];
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
