//! Large values by name: checkpoints and compiled modules.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use crate::Error;
use crate::files::{
    Files, System, make_folders, make_folders_lightly, read_all, write_all, write_all_lightly,
};

/// The longest name, in bytes.
pub const BLOB_NAME_MAX: usize = 512;

/// Keeps large values by name.
///
/// A name is a relative path of `A-Z a-z 0-9 . _ -` and `/`, such as `checkpoint/3kX.../412`; no part of it is empty or
/// starts with a full stop. All calls may block on the disk: async code goes through `spawn_blocking`.
pub trait Blobs: Send + Sync {
    /// Keeps `bytes` under `name`, replacing what was there. When this returns, it survives a crash; in a crash
    /// before that, either the old value is there or the new one, whole.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Error>;

    /// The same, but without waiting for the disk: after a crash of the computer `name` may be gone, be what it was
    /// before, or be refused as [`Error::Damaged`]. For what can be made again.
    fn put_lightly(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.put(name, bytes)
    }

    /// What is kept under `name`. Bytes that are not what was put are refused as [`Error::Damaged`].
    fn get(&self, name: &str) -> Result<Option<Bytes>, Error>;

    /// Forgets `name`. It is no error if it does not exist.
    fn delete(&self, name: &str) -> Result<(), Error>;

    /// The same, but without waiting for the disk: after a crash of the computer the blob may be there again.
    fn delete_lightly(&self, name: &str) -> Result<(), Error> {
        self.delete(name)
    }

    /// The names that start with `prefix`, sorted.
    fn list(&self, prefix: &str) -> Result<Vec<String>, Error>;
}

/// Blobs as files in a folder.
///
/// A file is the value and its BLAKE3 hash, so that damage is noticed before it is believed: a compiled module is
/// machine code, a checkpoint is the state of a process.
#[derive(Debug)]
pub struct DiskBlobs {
    files: Arc<dyn Files>,
    folder: PathBuf,
    /// Makes the temporary names of concurrent puts differ.
    serial: AtomicU64,
    /// Folders whose own names are on the disk. Those that an earlier run made may not be: it may have been killed
    /// between making one and syncing the one above it.
    durable: Mutex<BTreeSet<PathBuf>>,
    /// What changes something holds it for reading.
    closed: RwLock<bool>,
}

/// Makes a file of these parts: [`write_all`], or lightly.
type Write = fn(&dyn Files, &Path, &[&[u8]]) -> io::Result<()>;

/// Files under construction live here; no blob's name can start with a full stop.
const TEMPORARY: &str = ".temporary";
const HASH_LEN: usize = blake3::OUT_LEN;

impl DiskBlobs {
    /// Opens the folder, makes it if there is none, and clears away what a crash left half-written. One process at
    /// a time: a node opens its [`DiskStore`](crate::DiskStore) first, which holds the lock.
    pub fn open(folder: impl Into<PathBuf>) -> Result<DiskBlobs, Error> {
        DiskBlobs::open_on(Arc::new(System), folder.into())
    }

    pub(crate) fn open_on(files: Arc<dyn Files>, folder: PathBuf) -> Result<DiskBlobs, Error> {
        let temporary = folder.join(TEMPORARY);
        match files.remove_folder(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("clear", &temporary, &error));
            }
            _ => {}
        }
        make_folders(&*files, &temporary).map_err(|error| Error::io("make", &temporary, &error))?;
        let (serial, closed) = (AtomicU64::new(0), RwLock::new(false));
        Ok(DiskBlobs { files, folder, serial, durable: Mutex::default(), closed })
    }

    /// Takes nothing more: what comes after is refused as `Poisoned`. Waits for what is being written. Reads go on.
    pub fn close(&self) {
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// The right to change something, as long as the answer lives.
    fn open_still(&self) -> Result<RwLockReadGuard<'_, bool>, Error> {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        if *closed { Err(Error::Poisoned) } else { Ok(closed) }
    }

    /// Makes the folder of a blob, and sees to it once in each run that its name and those above it are on the disk.
    fn make_parent(&self, parent: &Path) -> io::Result<()> {
        let known = || self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(parent) {
            return Ok(());
        }
        make_folders(&*self.files, parent)?;
        let ours = parent.ancestors().take_while(|folder| folder.starts_with(&self.folder));
        for folder in ours.filter_map(Path::parent) {
            self.files.sync_folder(folder)?;
        }
        known().insert(parent.to_owned());
        Ok(())
    }

    /// Writes a blob beside its name, by `write`, and gives it its name.
    fn write(&self, path: &Path, bytes: &[u8], write: Write) -> Result<(), Error> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(TEMPORARY).join(serial.to_string());
        let written = write(&*self.files, &temporary, &[bytes, blake3::hash(bytes).as_bytes()])
            .and_then(|()| self.files.rename(&temporary, path));
        written.map_err(|error| {
            // Only tidiness: the next opening clears the folder.
            let _ = self.files.remove(&temporary);
            Error::io("write", path, &error)
        })
    }

    fn path(&self, name: &str) -> Result<PathBuf, Error> {
        check_name(name)?;
        Ok(self.folder.join(name))
    }
}

impl Blobs for DiskBlobs {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(name)?;
        let _open = self.open_still()?;
        let parent = path.parent().expect("a blob lies in the folder or below it");
        self.make_parent(parent).map_err(|error| Error::io("make", parent, &error))?;
        self.write(&path, bytes, write_all)?;
        self.files.sync_folder(parent).map_err(|error| Error::io("sync", parent, &error))
    }

    fn put_lightly(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(name)?;
        let _open = self.open_still()?;
        let parent = path.parent().expect("a blob lies in the folder or below it");
        make_folders_lightly(&*self.files, parent).map_err(|error| Error::io("make", parent, &error))?;
        self.write(&path, bytes, write_all_lightly)
    }

    fn get(&self, name: &str) -> Result<Option<Bytes>, Error> {
        let path = self.path(name)?;
        let mut bytes = match read_all(&*self.files, &path) {
            Ok(bytes) => bytes,
            // A name can be a folder of other names, or go below a blob: neither is a blob.
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(Error::io("read", &path, &error)),
        };
        let damaged = |at: usize, why: &str| Error::Damaged {
            path: path.display().to_string(),
            at: at as u64,
            why: why.to_owned(),
        };
        let Some(len) = bytes.len().checked_sub(HASH_LEN) else {
            return Err(damaged(bytes.len(), "the file is shorter than its hash"));
        };
        if blake3::hash(&bytes[..len]) != bytes[len..] {
            return Err(damaged(0, "the hash at its end is another one"));
        }
        bytes.truncate(len);
        Ok(Some(Bytes::from(bytes)))
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name)?;
        let _open = self.open_still()?;
        match self.files.remove(&path) {
            Ok(()) => {
                let parent = path.parent().expect("a blob lies in the folder or below it");
                self.files.sync_folder(parent).map_err(|error| Error::io("sync", parent, &error))
            }
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(Error::io("delete", &path, &error)),
        }
    }

    fn delete_lightly(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name)?;
        let _open = self.open_still()?;
        match self.files.remove(&path) {
            Err(error) if !is_absent(&error) => Err(Error::io("delete", &path, &error)),
            _ => Ok(()),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        // The folder that holds every match, however many there are beside it.
        let first = prefix.rfind('/').map_or("", |end| &prefix[..=end]);
        if !first.is_empty() && check_name(&first[..first.len() - 1]).is_err() {
            return Ok(names);
        }
        let mut folders = vec![first.to_owned()];
        while let Some(folder) = folders.pop() {
            let path = self.folder.join(&folder);
            let listed = match self.files.list(&path) {
                Err(error) if is_absent(&error) && !folder.is_empty() => continue,
                listed => listed.map_err(|error| Error::io("list", &path, &error))?,
            };
            for (name, is_folder) in listed {
                let name = format!("{folder}{name}");
                if is_folder {
                    let below = format!("{name}/");
                    // Only folders that can hold a match are walked.
                    if below.starts_with(prefix) || prefix.starts_with(&below) {
                        folders.push(below);
                    }
                } else if name.starts_with(prefix) && check_name(&name).is_ok() {
                    names.push(name);
                }
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Blobs in memory.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    blobs: Mutex<BTreeMap<String, Bytes>>,
}

impl MemoryBlobs {
    /// None yet.
    pub fn new() -> MemoryBlobs {
        MemoryBlobs::default()
    }

    fn blobs(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.blobs.lock().expect("nothing panics while it holds this lock")
    }
}

impl Blobs for MemoryBlobs {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        check_name(name)?;
        self.blobs().insert(name.to_owned(), Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Option<Bytes>, Error> {
        check_name(name)?;
        Ok(self.blobs().get(name).cloned())
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        check_name(name)?;
        self.blobs().remove(name);
        Ok(())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, Error> {
        Ok(self.blobs().keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let safe = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.len() <= 255
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    if name.len() <= BLOB_NAME_MAX && name.split('/').all(safe) {
        return Ok(());
    }
    Err(Error::BlobName { name: name.chars().take(80).collect() })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Listed(Mutex<Vec<PathBuf>>);

    impl Files for Listed {
        fn list(&self, folder: &Path) -> io::Result<Vec<(String, bool)>> {
            self.0.lock().unwrap().push(folder.to_owned());
            System.list(folder)
        }
    }

    #[test]
    fn who_lists_one_folder_looks_at_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let files = Arc::new(Listed::default());
        let blobs = DiskBlobs::open_on(Arc::clone(&files) as Arc<dyn Files>, folder.path().into()).unwrap();
        for name in ["a/1/x", "a/2/x", "a/2/y/z", "a/20/x", "b"] {
            blobs.put(name, b"").unwrap();
        }
        files.0.lock().unwrap().clear();
        assert_eq!(blobs.list("a/2/").unwrap(), ["a/2/x", "a/2/y/z"]);
        assert_eq!(*files.0.lock().unwrap(), [folder.path().join("a/2/"), folder.path().join("a/2/y/")]);
        assert_eq!(blobs.list("a/2").unwrap(), ["a/2/x", "a/2/y/z", "a/20/x"]);
        for nothing in ["c/", "b/", "a/../", "/", "../", "a//2/"] {
            assert!(blobs.list(nothing).unwrap().is_empty(), "{nothing}");
        }
    }
}
