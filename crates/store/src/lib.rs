//! The durable log and its index, and blobs: what a node keeps.
//!
//! The log is the truth: an append-only segment log with group commit. The index only says where in the log a
//! key's value stands; it can be thrown away and is then rebuilt. Nothing here knows what the values mean.

mod backup;
mod blobs;
mod committer;
mod copy;
mod disk;
mod fate;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faulty;
mod files;
mod index;
mod memory;
mod open;
mod segment;
#[cfg(feature = "suite")]
pub mod suite;

use std::ops::Bound;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

pub use backup::{BackedUp, Backup};
pub use blobs::{BLOB_NAME_MAX, Blobs, DiskBlobs, MemoryBlobs};
pub use copy::{copy_blobs, copy_log};
pub use disk::{DiskStore, Options, lock};
pub use fate::Failed;
pub use memory::MemoryStore;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 1024;

/// The longest name of a space, in bytes.
pub const SPACE_BYTES_MAX: usize = 64;

/// A set of keys that belong together, by name: `su.entry`. At most [`SPACE_BYTES_MAX`] bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Space(pub &'static str);

/// Changes that become durable and visible together, or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// In order; a later change to the same key wins. `None` deletes.
    pub changes: Vec<(Space, Bytes, Option<Bytes>)>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Sets a key.
    pub fn put(&mut self, space: Space, key: impl Into<Bytes>, value: impl Into<Bytes>) -> &mut Batch {
        self.changes.push((space, key.into(), Some(value.into())));
        self
    }

    /// Removes a key.
    pub fn delete(&mut self, space: Space, key: impl Into<Bytes>) -> &mut Batch {
        self.changes.push((space, key.into(), None));
        self
    }
}

/// Which end a scan starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// Keeps keys and values, in order, durably.
///
/// Any number of threads may call; nothing here blocks for long except a rebuild at opening.
pub trait Store: Send + Sync {
    /// Takes a batch into the queue at once, in the order of the calls; what is returned resolves when the batch
    /// is durable and visible to reads. It need not be polled for the batch to be written. Batches become
    /// durable in order: a batch that is durable means that all before it are.
    ///
    /// A batch over a bound is refused with [`Error::TooLarge`] and nothing of it is kept. A full queue refuses
    /// nothing: it makes this call wait until the write under way is done.
    fn append(&self, batch: Batch) -> Appended;

    /// The value of a key.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Keys and values in a range, at most `limit`.
    fn scan(
        &self,
        space: Space,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, Error>;
}

/// A batch on its way to the disk. Resolves when it is there.
pub struct Appended(futures_channel::oneshot::Receiver<Result<(), Error>>);

impl Appended {
    /// One that resolves when told.
    pub(crate) fn pending() -> (futures_channel::oneshot::Sender<Result<(), Error>>, Appended) {
        let (tell, told) = futures_channel::oneshot::channel();
        (tell, Appended(told))
    }

    /// One that failed at once.
    pub(crate) fn refused(error: Error) -> Appended {
        let (tell, appended) = Appended::pending();
        let _ = tell.send(Err(error));
        appended
    }

    /// Blocks this thread until the batch is durable. Not for async code.
    pub fn wait(self) -> Result<(), Error> {
        futures_executor::block_on(self)
    }
}

impl Future for Appended {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|told| told.unwrap_or(Err(Error::Poisoned)))
    }
}

/// What a store could not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("could not {what} {path}: {why}")]
    Io {
        /// The act.
        what: &'static str,
        /// The file.
        path: String,
        /// The operating system's words.
        why: String,
    },
    /// A record in the middle of the log is not what was written.
    #[error("the log is damaged: {path} at byte {at}: {why}")]
    Damaged {
        /// The segment.
        path: String,
        /// Where in it.
        at: u64,
        /// What is wrong there.
        why: String,
    },
    /// A backup is not what was written.
    #[error("the backup is damaged: {path} at byte {at}: {why}")]
    Backup {
        /// The object.
        path: String,
        /// Where in it.
        at: u64,
        /// What it was a copy of, and what is wrong there.
        why: String,
    },
    /// The log was written by another version of this program.
    #[error("{path} is a log of version {found}; this program knows version {known}")]
    Version {
        /// The segment.
        path: String,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Another process has it open.
    #[error("{path} is in use by another process")]
    InUse {
        /// The folder.
        path: String,
    },
    /// A write failed earlier; nothing is accepted until a restart.
    #[error("an earlier write failed: nothing is accepted until this node is restarted")]
    Poisoned,
    /// A blob cannot have that name.
    #[error("{name:?} cannot name a blob: a name is a relative path of A-Z, a-z, 0-9, '.', '_', '-' and '/'")]
    BlobName {
        /// The name, or the first part of a long one.
        name: String,
    },
    /// Over a bound.
    #[error("{what} is {size} bytes; at most {max} are accepted")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How large it is.
        size: usize,
        /// How large it may be.
        max: usize,
    },
}

impl Error {
    /// What can be done about it, if anything can.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Io { .. } => Some(
                "see that the disk is not full (`df`) nor failing (`dmesg`), and that this user may write there; then \
                 start the node again",
            ),
            Error::Damaged { .. } => Some(
                "keep the damaged folder, nothing in it was changed, and look for a failing disk (`dmesg`); then bring \
                 back a backup: `pirn restore --from BACKUP --state DIR`",
            ),
            Error::Backup { .. } => Some(
                "take another backup; if the state folder is there still, back it up again, to an empty folder: \
                 `pirn backup --state DIR --to FOLDER`",
            ),
            Error::Version { .. } => {
                Some("start it with the version of Pirn that wrote it, or with a newer one")
            }
            Error::InUse { .. } => {
                Some("another node uses that folder; stop it, or choose another with `--state`")
            }
            Error::Poisoned => Some(
                "look at the disk and its space, and at the log for what failed; then start the node again",
            ),
            Error::BlobName { .. } | Error::TooLarge { .. } => None,
        }
    }

    pub(crate) fn io(what: &'static str, path: &Path, error: &std::io::Error) -> Error {
        Error::Io { what, path: path.display().to_string(), why: error.to_string() }
    }
}

/// The size of a batch in the log, if it is one that a store accepts.
fn check(batch: &Batch, batch_bytes_max: usize) -> Result<usize, Error> {
    let bound = |what, size, max| {
        if size > max { Err(Error::TooLarge { what, size, max }) } else { Ok(()) }
    };
    for (space, key, _) in &batch.changes {
        bound("the name of a space", space.0.len(), SPACE_BYTES_MAX)?;
        bound("a key", key.len(), KEY_BYTES_MAX)?;
    }
    let size = segment::record_len(batch);
    bound("a batch", size, batch_bytes_max)?;
    Ok(size)
}

/// Whether no key lies in the range. `BTreeMap::range` panics on ranges that end before they start; here they are
/// merely empty.
fn is_empty_range(range: (Bound<&[u8]>, Bound<&[u8]>)) -> bool {
    match range {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end) | Bound::Included(end)) => {
            start >= end
        }
    }
}
