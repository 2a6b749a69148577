//! The one thread that writes the log, and the queue it takes from.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use bytes::Bytes;
use futures_channel::oneshot;
use tracing::{error, warn};

use crate::disk::{Options, Segment, Shared};
use crate::files::Files;
use crate::segment::{self, Change, Footer, HEADER_LEN, Place, Writer};
use crate::{Appended, Batch, Error};

/// Batches on their way to the disk, in the order in which they become durable.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<Waiting>,
    /// Something to write, or nothing ever again.
    work: Condvar,
    /// Room for another batch.
    room: Condvar,
    bytes_max: usize,
    batches_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    bytes: usize,
    state: Running,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Running {
    #[default]
    Open,
    /// What waits is written, then no more.
    Closing,
    /// Nothing is written any more.
    Dead,
}

#[derive(Debug)]
struct Entry {
    batch: Batch,
    size: usize,
    tell: oneshot::Sender<Result<(), Error>>,
}

impl Queue {
    pub fn new(bytes_max: usize, batches_max: usize) -> Queue {
        Queue {
            state: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
            bytes_max,
            batches_max: batches_max.max(1),
        }
    }

    /// Adds a batch; waits for room while the queue is over a bound. A batch larger than the bound fits when it is
    /// alone.
    pub fn push(&self, batch: Batch, size: usize) -> Appended {
        let (tell, appended) = Appended::pending();
        let mut waiting = self.lock();
        while waiting.state == Running::Open && self.is_full(&waiting, size) {
            waiting = self.room.wait(waiting).expect("nothing panics while it holds this lock");
        }
        if waiting.state != Running::Open {
            return Appended::refused(Error::Poisoned);
        }
        waiting.bytes += size;
        waiting.entries.push_back(Entry { batch, size, tell });
        drop(waiting);
        self.work.notify_one();
        appended
    }

    /// Lets the committer write what waits, and end.
    pub fn close(&self) {
        let mut waiting = self.lock();
        if waiting.state == Running::Open {
            waiting.state = Running::Closing;
        }
        drop(waiting);
        self.work.notify_all();
    }

    /// The next batches to write, up to `bytes_max` or one larger one. Waits for the first. None at the end.
    fn take(&self, bytes_max: usize) -> Option<Vec<Entry>> {
        let mut waiting = self.lock();
        while waiting.entries.is_empty() {
            if waiting.state != Running::Open {
                return None;
            }
            waiting = self.work.wait(waiting).expect("nothing panics while it holds this lock");
        }
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(entry) =
            waiting.entries.pop_front_if(|next| bytes == 0 || bytes + next.size <= bytes_max)
        {
            bytes += entry.size;
            taken.push(entry);
        }
        waiting.bytes -= bytes;
        drop(waiting);
        self.room.notify_all();
        Some(taken)
    }

    /// Drops what waits, which tells those who wait for it, and refuses the rest.
    fn end(&self) {
        let mut waiting = self.lock();
        waiting.state = Running::Dead;
        waiting.entries.clear();
        waiting.bytes = 0;
        drop(waiting);
        self.room.notify_all();
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.lock().entries.len()
    }

    fn is_full(&self, waiting: &Waiting, size: usize) -> bool {
        let fits = waiting.bytes + size <= self.bytes_max && waiting.entries.len() < self.batches_max;
        !fits && !waiting.entries.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Last {
    pub number: u32,
    pub file: Arc<File>,
    pub path: PathBuf,
    /// Its length. All before it is durable.
    pub length: u32,
    /// The footer to come.
    pub footer: Footer,
    /// Whether nothing was written since the last mark.
    pub marked: bool,
}

pub(crate) struct Committer {
    pub files: Arc<dyn Files>,
    pub folder: PathBuf,
    pub shared: Arc<Shared>,
    pub options: Options,
    pub last: Last,
}

impl Committer {
    /// Writes what comes, until the queue is closed or something fails.
    pub fn run(mut self) {
        // Also when this thread panics: nobody may wait for what will not happen.
        let shared = Arc::clone(&self.shared);
        let _end = OnDrop(|| {
            shared.queue.end();
            shared.fate.end(Err(Error::Poisoned));
        });

        while let Some(entries) = self.shared.queue.take(self.options.write_bytes_max) {
            let committed = self.commit(&entries);
            for entry in entries {
                // Whoever appended may have gone; the batch counts all the same.
                let _ = entry.tell.send(committed.clone());
            }
            if let Err(error) = committed {
                error!(%error, "the log could not be written; nothing more is accepted");
                shared.fate.end(Err(error));
                return;
            }
        }
        // Nobody waits for it, and what was acknowledged is durable without it.
        if let Err(error) = self.mark() {
            warn!(%error, "the end of the log could not be marked");
        }
        shared.fate.end(Ok(()));
    }

    /// Says in the log that all of it is durable: what does not fit from here on is damage, and no torn write.
    fn mark(&mut self) -> Result<(), Error> {
        if self.last.marked || self.last.length as usize == HEADER_LEN {
            return Ok(());
        }
        let mark = segment::mark(self.last.number, self.last.length);
        self.append(&mark)?;
        self.last.marked = true;
        self.shared.view_mut().length = self.last.length;
        Ok(())
    }

    /// One write, one sync, then everyone may see it.
    fn commit(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let size: usize = entries.iter().map(|entry| entry.size).sum();
        let length = u64::from(self.last.length);
        if length + size as u64 > self.options.segment_bytes && length > HEADER_LEN as u64 {
            self.rotate()?;
        }

        let (number, offset) = (self.last.number, self.last.length);
        let mut writer = Writer::new(number, offset, &mut self.last.footer);
        let mut places: Vec<Option<Place>> = Vec::new();
        for entry in entries {
            writer.batch(&entry.batch, |place| places.push(place));
        }
        if writer.footer_len() >= self.options.footer_bytes {
            writer.footer();
        }
        let write = Bytes::from(writer.finish());
        self.append(&write)?;

        let changes = entries.iter().flat_map(|entry| &entry.batch.changes);
        let mut view = self.shared.view_mut();
        for ((space, key, _), place) in changes.zip(places) {
            view.index.apply(Change { space: space.0, key, place });
        }
        view.recent.push(number, offset, write);
        view.length = self.last.length;
        Ok(())
    }

    /// Seals the last segment and begins the next.
    fn rotate(&mut self) -> Result<(), Error> {
        let Last { number, length, footer, .. } = &mut self.last;
        let seal = Writer::new(*number, *length, footer).seal();
        self.append(&seal)?;
        self.last = begin(&*self.files, &self.folder, self.last.number + 1)?;
        let mut view = self.shared.view_mut();
        let segment = Segment { path: self.last.path.clone(), file: Arc::clone(&self.last.file) };
        Arc::make_mut(&mut view.segments).push(segment);
        view.length = self.last.length;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Last { file, path, length, .. } = &mut self.last;
        let written = self.files.write(file, bytes, u64::from(*length));
        written.map_err(|error| Error::io("write", path, &error))?;
        self.files.sync(file).map_err(|error| Error::io("sync", path, &error))?;
        *length += bytes.len() as u32;
        self.last.marked = false;
        Ok(())
    }
}

/// The name of a segment's file.
pub(crate) fn name(number: u32) -> String {
    format!("{number:010}.log")
}

/// Begins an empty segment. Its name appears only once its header is durable, so a crash leaves no half segment.
pub(crate) fn begin(files: &dyn Files, folder: &Path, number: u32) -> Result<Last, Error> {
    let path = folder.join(name(number));
    let make = || -> io::Result<File> {
        let unnamed = folder.join("next");
        let file = files.create(&unnamed)?;
        files.write(&file, &segment::header(number), 0)?;
        files.sync(&file)?;
        files.rename(&unnamed, &path)?;
        files.sync_folder(folder)?;
        Ok(file)
    };
    let file = make().map_err(|error| Error::io("begin", &path, &error))?;
    Ok(Last {
        number,
        file: Arc::new(file),
        path,
        length: HEADER_LEN as u32,
        footer: Footer::default(),
        marked: true,
    })
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
