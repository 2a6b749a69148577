//! The store on one disk: a segment log, its committer, and an index in memory.

use std::fs::{File, TryLockError};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::committer::{Committer, Queue};
use crate::fate::{Failed, Fate};
use crate::files::{Files, System, make_folders};
use crate::index::{Index, Recent};
use crate::segment::Place;
use crate::{Appended, Batch, Error, Order, Space, Store, check, open};

/// The bounds of a [`DiskStore`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Bytes after which a segment is sealed and the next one begun. Opening reads all of the last segment and only
    /// the footers of the others; larger segments mean fewer open files and a slower start. At most 2 GiB.
    pub segment_bytes: u64,
    /// What a segment says about its keys is written each time it has so many bytes, and not all of it when the segment is sealed.
    pub footer_bytes: usize,
    /// Bytes of the largest batch that is accepted. At most 1 GiB.
    pub batch_bytes_max: usize,
    /// Bytes of batches that may wait for the disk. Beyond, [`append`](Store::append) waits for room.
    pub queue_bytes_max: usize,
    /// How many batches may wait for the disk, likewise.
    pub queue_batches_max: usize,
    /// Bytes after which a write takes no further batch. One batch may be larger. Bounds how long a small batch waits
    /// behind others' large ones.
    pub write_bytes_max: usize,
    /// Bytes of the log's end that are kept in memory, for reads of what was just written.
    pub recent_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 128 << 20,
            footer_bytes: 256 << 10,
            batch_bytes_max: 64 << 20,
            queue_bytes_max: 64 << 20,
            queue_batches_max: 16_384,
            write_bytes_max: 8 << 20,
            recent_bytes_max: 32 << 20,
        }
    }
}

/// Keys and values on a disk.
///
/// Batches are appended to a log by one thread, which writes all that wait in one go and syncs once. A batch is
/// acknowledged, and visible, when it is synced. What was acknowledged is there after a crash; what was not may be.
///
/// When a write or sync fails the store refuses everything from then on: after a failed sync nobody knows what is on
/// the disk, and a second sync may claim success for what the first one lost. Restart the node.
///
/// When the queue is full, `append` blocks its thread until the committer took what waits: at most as long as the
/// write under way. Nothing is refused for being busy, so a batch is never missing before a later one.
#[derive(Debug)]
pub struct DiskStore {
    shared: Arc<Shared>,
    options: Options,
    /// Gone once it is closed.
    committer: Mutex<Option<JoinHandle<()>>>,
    /// Held, not read: the lock ends when it is closed, even by a kill.
    lock: Mutex<Option<File>>,
}

impl DiskStore {
    /// Opens the store in a folder, or makes one. Reads the footers of the log's sealed segments and all of its last
    /// one; blocks for that long.
    pub fn open(folder: impl AsRef<Path>, options: Options) -> Result<DiskStore, Error> {
        DiskStore::open_on(Arc::new(System), folder.as_ref(), options)
    }

    pub(crate) fn open_on(
        files: Arc<dyn Files>,
        folder: &Path,
        mut options: Options,
    ) -> Result<DiskStore, Error> {
        // Offsets in a segment are 32 bits, and a segment may be over by one write and its footer.
        options.segment_bytes = options.segment_bytes.min(2 << 30);
        options.batch_bytes_max = options.batch_bytes_max.min(1 << 30);
        options.write_bytes_max = options.write_bytes_max.min(options.batch_bytes_max);

        let made = make_folders(&*files, folder)
            // Also if it was there: an earlier run may have been killed before it did that.
            .and_then(|()| folder.parent().map_or(Ok(()), |parent| files.sync_folder(parent)));
        made.map_err(|error| Error::io("make", folder, &error))?;
        let lock = lock(folder)?;
        let opened = open::open(&*files, folder)?;
        let shared = Arc::new(Shared {
            files: Arc::clone(&files),
            queue: Queue::new(options.queue_bytes_max, options.queue_batches_max),
            fate: Fate::default(),
            view: RwLock::new(View {
                index: opened.index,
                recent: Recent::new(options.recent_bytes_max),
                segments: Arc::new(opened.segments),
                length: opened.last.length,
            }),
        });
        let committer = Committer {
            files,
            folder: folder.to_owned(),
            shared: Arc::clone(&shared),
            options: options.clone(),
            last: opened.last,
        };
        let committer = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || committer.run())
            .map_err(|error| Error::io("start the committer of", folder, &error))?;
        Ok(DiskStore {
            shared,
            options,
            committer: Mutex::new(Some(committer)),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Reads the whole log and compares every byte with its checksums, and every footer with what it sums up. Opening
    /// does that only for the last segment; a read does it for its value.
    pub fn verify(&self) -> Result<(), Error> {
        let (segments, length) = {
            let view = self.shared.view();
            (Arc::clone(&view.segments), view.length)
        };
        open::verify(&*self.shared.files, &segments, length)
    }

    /// Takes nothing more, and waits until everything that was appended is on the disk; what comes after is refused as
    /// `Poisoned`. Reads go on, and somebody else may open the folder. Blocks.
    pub fn close(&self) {
        self.shared.queue.close();
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer {
            // If it panicked, it said so itself, and everyone who waited was told.
            let _ = committer.join();
        }
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Makes a log of everything that is durable now in a folder that is not there yet. Sealed segments are shared with
    /// this one, on the same file system; only the last segment is copied. Blocks.
    pub fn copy_to(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        let (segments, length) = {
            let view = self.shared.view();
            (Arc::clone(&view.segments), view.length)
        };
        crate::copy::log(&*self.shared.files, &segments, length, folder.as_ref())
    }

    /// Resolves when a write or sync fails, and nothing is accepted any more: with why. With nothing when the store is
    /// closed before that.
    pub fn failed(&self) -> Failed {
        self.shared.fate.wait()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.shared.view().index.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Store for DiskStore {
    fn append(&self, batch: Batch) -> Appended {
        match check(&batch, self.options.batch_bytes_max) {
            Ok(size) => self.shared.queue.push(batch, size),
            Err(error) => Appended::refused(error),
        }
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let (place, segments) = {
            let view = self.shared.view();
            let Some(place) = view.index.get(space, key) else {
                return Ok(None);
            };
            if let Some(value) = view.recent.get(place) {
                return Ok(Some(value));
            }
            (place, Arc::clone(&view.segments))
        };
        self.shared.read(&segments, place).map(Some)
    }

    fn scan(
        &self,
        space: Space,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let (found, segments) = {
            let view = self.shared.view();
            let found = view.index.scan(space, range, order, limit);
            let found: Vec<_> =
                found.into_iter().map(|(key, place)| (key, place, view.recent.get(place))).collect();
            (found, Arc::clone(&view.segments))
        };
        let value =
            |place, recent: Option<Bytes>| recent.map_or_else(|| self.shared.read(&segments, place), Ok);
        found.into_iter().map(|(key, place, recent)| Ok((key, value(place, recent)?))).collect()
    }
}

impl Drop for DiskStore {
    /// Waits until everything that was appended is on the disk.
    fn drop(&mut self) {
        self.close();
    }
}

/// What readers, writers and the committer share.
#[derive(Debug)]
pub(crate) struct Shared {
    files: Arc<dyn Files>,
    pub queue: Queue,
    pub fate: Fate,
    view: RwLock<View>,
}

/// What is durable, as readers see it.
#[derive(Debug)]
pub(crate) struct View {
    pub index: Index,
    pub recent: Recent,
    /// By number, from 1.
    pub segments: Arc<Vec<Segment>>,
    /// How many bytes of the last segment are durable.
    pub length: u32,
}

/// One file of the log.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub path: PathBuf,
    pub file: Arc<File>,
}

impl Shared {
    fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().expect("nothing panics while it holds this lock")
    }

    pub fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().expect("nothing panics while it holds this lock")
    }

    fn read(&self, segments: &[Segment], place: Place) -> Result<Bytes, Error> {
        let segment = &segments[place.segment as usize - 1];
        let mut value = vec![0; place.length as usize];
        let read = self.files.read(&segment.file, &mut value, place.offset.into());
        read.map_err(|error| Error::io("read", &segment.path, &error))?;
        if crc32c::crc32c(&value) != place.crc {
            return Err(Error::Damaged {
                path: segment.path.display().to_string(),
                at: place.offset.into(),
                why: "the value is not what was written".to_owned(),
            });
        }
        Ok(Bytes::from(value))
    }
}

/// Takes the folder of a log, or of a backup, for this process, for as long as the file is open.
pub fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| Error::io("open", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: folder.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Condvar, Mutex};
    use std::{fs, io};

    use super::*;

    const SPACE: Space = Space("test");

    /// A file system that can be held and broken.
    #[derive(Debug, Default)]
    struct Faulty {
        writes: AtomicUsize,
        syncs: AtomicUsize,
        /// Which write, counted from now as 1, fails; 0 for none. Likewise for syncs.
        fail_write: AtomicUsize,
        fail_sync: AtomicUsize,
        /// How many syncs may pass; none limits them.
        passes: Mutex<Option<usize>>,
        passed: Condvar,
    }

    impl Faulty {
        /// Makes syncs wait.
        fn hold(&self) {
            *self.passes.lock().unwrap() = Some(0);
        }

        /// Lets some of them pass, or all from now on.
        fn pass(&self, syncs: Option<usize>) {
            *self.passes.lock().unwrap() = syncs;
            self.passed.notify_all();
        }

        fn wait_for_write(&self, number: usize) {
            while self.writes.load(Ordering::SeqCst) < number {
                std::thread::yield_now();
            }
        }

        fn fails(&self, countdown: &AtomicUsize) -> bool {
            let before = countdown.load(Ordering::SeqCst);
            countdown.store(before.saturating_sub(1), Ordering::SeqCst);
            before == 1
        }
    }

    impl Files for Faulty {
        fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
            let written = if self.fails(&self.fail_write) {
                // As a full disk does: some of it is there.
                System.write(file, &bytes[..bytes.len() / 2], at)?;
                Err(io::Error::from(io::ErrorKind::StorageFull))
            } else {
                System.write(file, bytes, at)
            };
            self.writes.fetch_add(1, Ordering::SeqCst);
            written
        }

        fn sync(&self, file: &File) -> io::Result<()> {
            let mut passes = self.passes.lock().unwrap();
            while *passes == Some(0) {
                passes = self.passed.wait(passes).unwrap();
            }
            *passes = passes.map(|passes| passes - 1);
            self.syncs.fetch_add(1, Ordering::SeqCst);
            if self.fails(&self.fail_sync) {
                return Err(io::Error::other("the disk is gone"));
            }
            System.sync(file)
        }
    }

    fn open(folder: &Path, options: Options) -> (Arc<Faulty>, DiskStore) {
        let files = Arc::new(Faulty::default());
        let store = DiskStore::open_on(Arc::clone(&files) as Arc<dyn Files>, folder, options).unwrap();
        (files, store)
    }

    fn put(store: &DiskStore, key: u32) -> Appended {
        let mut batch = Batch::new();
        batch.put(SPACE, key.to_be_bytes().to_vec(), vec![7; 100]);
        store.append(batch)
    }

    fn count(store: &DiskStore) -> usize {
        store.scan(SPACE, (Bound::Unbounded, Bound::Unbounded), Order::Ascending, usize::MAX).unwrap().len()
    }

    fn fails_for_good(break_it: impl Fn(&Faulty)) {
        let folder = tempfile::tempdir().unwrap();
        let (files, store) = open(folder.path(), Options::default());
        put(&store, 0).wait().unwrap();
        break_it(&files);
        assert!(matches!(put(&store, 1).wait(), Err(Error::Io { .. })));
        let (writes, syncs) = (files.writes.load(Ordering::SeqCst), files.syncs.load(Ordering::SeqCst));
        assert!(matches!(put(&store, 2).wait(), Err(Error::Poisoned)));
        assert_eq!(count(&store), 1, "what is durable can be read, what failed cannot");
        drop(store);
        let after = (files.writes.load(Ordering::SeqCst), files.syncs.load(Ordering::SeqCst));
        assert_eq!(after, (writes, syncs), "nothing is tried again");
        let (_, store) = open(folder.path(), Options::default());
        assert!((1..=2).contains(&count(&store)), "what failed may be there or not");
        put(&store, 3).wait().unwrap();
    }

    #[test]
    fn a_store_whose_sync_failed_accepts_nothing_more() {
        fails_for_good(|files| files.fail_sync.store(1, Ordering::SeqCst));
    }

    #[test]
    fn a_store_whose_write_failed_accepts_nothing_more() {
        fails_for_good(|files| files.fail_write.store(1, Ordering::SeqCst));
    }

    #[test]
    fn those_behind_a_failed_write_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let (files, store) = open(folder.path(), Options { write_bytes_max: 1, ..Options::default() });
        files.hold();
        files.fail_sync.store(1, Ordering::SeqCst);
        let told: Vec<Appended> = (0..50).map(|key| put(&store, key)).collect();
        files.pass(None);
        let mut told = told.into_iter().map(Appended::wait);
        assert!(matches!(told.next(), Some(Err(Error::Io { .. }))));
        assert!(told.all(|told| matches!(told, Err(Error::Poisoned))));
    }

    #[test]
    fn what_waits_is_written_together() {
        let folder = tempfile::tempdir().unwrap();
        let (files, store) = open(folder.path(), Options::default());
        let syncs = files.syncs.load(Ordering::SeqCst);
        files.hold();
        let told: Vec<Appended> = (0..1000).map(|key| put(&store, key)).collect();
        files.pass(None);
        told.into_iter().for_each(|told| told.wait().unwrap());
        // The committer may have begun with any of them before the rest came.
        assert!(files.syncs.load(Ordering::SeqCst) - syncs <= 2);
        assert_eq!(count(&store), 1000);
    }

    #[test]
    fn nothing_is_visible_before_it_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let (files, store) = open(folder.path(), Options::default());
        files.hold();
        let writes = files.writes.load(Ordering::SeqCst);
        let told = put(&store, 0);
        files.wait_for_write(writes + 1);
        assert_eq!(count(&store), 0);
        files.pass(None);
        told.wait().unwrap();
        assert_eq!(count(&store), 1);
    }

    #[test]
    fn a_full_queue_makes_appends_wait() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { queue_batches_max: 3, ..Options::default() };
        let (files, store) = open(folder.path(), options);
        files.hold();
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4_u32)
                .map(|writer| {
                    let store = &store;
                    scope.spawn(move || (0..50).for_each(|n| drop(put(store, writer * 50 + n))))
                })
                .collect();
            while store.shared.queue.len() < 3 {
                std::thread::yield_now();
            }
            files.pass(None);
            while writers.iter().any(|writer| !writer.is_finished()) {
                assert!(store.shared.queue.len() <= 3);
            }
        });
        drop(store);
        let (_, store) = open(folder.path(), Options::default());
        assert_eq!(count(&store), 200, "those who did not wait for it are written too");
    }

    #[test]
    fn a_folder_has_one_store_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let (_, store) = open(folder.path(), Options::default());
        let second = DiskStore::open(folder.path(), Options::default());
        assert!(matches!(second, Err(Error::InUse { .. })), "{second:?}");
        drop(store);
        DiskStore::open(folder.path(), Options::default()).unwrap();
    }

    /// A log in which three batches were acknowledged and a write of five more is not synced: its bytes, and how many
    /// of them are durable.
    fn interrupted() -> (Vec<u8>, usize) {
        let folder = tempfile::tempdir().unwrap();
        let (files, store) = open(folder.path(), Options::default());
        put(&store, 0).wait().unwrap();
        put(&store, 1).wait().unwrap();
        let writes = files.writes.load(Ordering::SeqCst);
        files.hold();
        let mut told = vec![put(&store, 2)];
        files.wait_for_write(writes + 1);
        told.extend((3..8).map(|key| put(&store, key)));
        files.pass(Some(1));
        files.wait_for_write(writes + 2);
        let bytes = fs::read(folder.path().join(crate::committer::name(1))).unwrap();
        let durable = store.shared.view().length as usize;
        files.pass(None);
        told.into_iter().for_each(|told| told.wait().unwrap());
        (bytes, durable)
    }

    #[test]
    fn a_power_cut_loses_nothing_that_was_acknowledged() {
        let (bytes, durable) = interrupted();
        // A disk writes blocks in any order: any of them may be missing, and the file may be shorter.
        let block = (bytes.len() - durable).div_ceil(7);
        let mut kept = std::collections::BTreeSet::new();
        for missing in 0..1_u32 << 7 {
            for length in [bytes.len(), bytes.len() - block / 2, durable + block, durable] {
                let mut after = bytes.clone();
                for (n, block) in after[durable..].chunks_mut(block).enumerate() {
                    if missing & 1 << n != 0 {
                        block.fill(0);
                    }
                }
                after.truncate(length);
                let folder = tempfile::tempdir().unwrap();
                fs::write(folder.path().join(crate::committer::name(1)), after).unwrap();
                let (_, store) = open(folder.path(), Options::default());
                let keys =
                    store.scan(SPACE, (Bound::Unbounded, Bound::Unbounded), Order::Ascending, 9).unwrap();
                assert!(keys.iter().zip(0_u32..).all(|((key, _), n)| key.as_ref() == n.to_be_bytes()));
                assert!(keys.len() >= 3, "only {} of 3 are there", keys.len());
                kept.insert(keys.len());
            }
        }
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8], "every way to be cut was seen");
    }
}
