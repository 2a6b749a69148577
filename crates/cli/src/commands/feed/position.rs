//! Where a feed has got to, in a file: what was said last, and what is signed and not acknowledged yet.

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use protocol::{Address, ProcessId};
use serde::{Deserialize, Serialize};
use unit::Code;

use crate::error::{Context as _, Failure, Result};

/// Bytes of the file.
const FILE_MAX: u64 = 1024 * 1024;

/// Something that was said, or is about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// What.
    pub value: String,
    /// When it was seen, in the scheduler's milliseconds.
    pub time: u64,
    /// Its number: each is larger than the one before.
    pub sequence: u64,
}

/// A message that is signed and may or may not have arrived. The same bytes are sent until it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// What it says.
    pub said: Said,
    /// The signed item, as base64url.
    pub item: String,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    feed: String,
    process: ProcessId,
    feeder: Address,
    said: Option<Said>,
    pending: Option<Pending>,
}

/// The position of one feeder in one feed of one process. Nobody else has it at the same time.
#[derive(Debug)]
pub struct Position {
    path: PathBuf,
    kept: Kept,
    /// Held as long as this lives.
    _lock: File,
}

impl Position {
    /// Reads the file, or begins it. Refuses a file of another feed, and one that another program has.
    pub fn open(path: &Path, feed: &str, process: ProcessId, feeder: Address) -> Result<Position> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).context(Code::FILE, folder.display())?;
        }
        let locked = path.with_extension("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&locked);
        let lock = lock.context(Code::FILE, locked.display())?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = format!("another program feeds from {}", path.display());
                return Err(
                    Failure::new(Code::FILE, what).hint("end it, or give this one its own --position")
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).context(Code::FILE, locked.display()),
        }
        let fresh = Kept { feed: feed.to_owned(), process, feeder, said: None, pending: None };
        let kept = match fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => fresh.clone(),
            Err(error) => return Err(error).context(Code::FILE, path.display()),
            Ok(about) if about.len() > FILE_MAX => return Err(unreadable(path, "it is too large")),
            Ok(_) => {
                let text = fs::read(path).context(Code::FILE, path.display())?;
                serde_json::from_slice(&text).map_err(|error| unreadable(path, error))?
            }
        };
        if (&kept.feed, kept.process, kept.feeder) != (&fresh.feed, process, feeder) {
            let what = format!("{} is of feed {} of {}", path.display(), kept.feed, kept.process);
            return Err(Failure::new(Code::FILE, what).hint("each feed has a --position of its own"));
        }
        Ok(Position { path: path.to_owned(), kept, _lock: lock })
    }

    /// What was said last and has arrived.
    pub fn said(&self) -> Option<&Said> {
        self.kept.said.as_ref()
    }

    /// What is on its way.
    pub fn pending(&self) -> Option<&Pending> {
        self.kept.pending.as_ref()
    }

    /// Notes what is about to be sent. It is on the disk when this returns.
    pub fn begin(&mut self, pending: Pending) -> Result {
        self.kept.pending = Some(pending);
        self.write()
    }

    /// Notes that what was on its way has arrived, or that it was refused for good.
    pub fn end(&mut self, arrived: bool) -> Result {
        let pending = self.kept.pending.take();
        if arrived {
            self.kept.said = pending.map(|pending| pending.said).or(self.kept.said.take());
        }
        self.write()
    }

    fn write(&self) -> Result {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&serde_json::to_vec_pretty(&self.kept)?)?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        write().context(Code::FILE, self.path.display())
    }
}

fn unreadable(path: &Path, why: impl std::fmt::Display) -> Failure {
    let what = format!("{} does not say where the feed is: {why}", path.display());
    Failure::new(Code::FILE, what)
        .hint("remove it: the feed then begins anew, and repeats its last value once")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: ProcessId = ProcessId(protocol::Id([1; 32]));

    fn pending(sequence: u64) -> Pending {
        Pending { said: Said { value: "5".to_owned(), time: 7, sequence }, item: "aXRlbQ".to_owned() }
    }

    #[test]
    fn what_is_on_its_way_survives_until_it_has_arrived() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/feed.json");
        let feeder = Address(protocol::Id([2; 32]));
        let open = || Position::open(&path, "price", PROCESS, feeder);
        let mut position = open().unwrap();
        assert!(open().unwrap_err().what.contains("another program"));
        position.begin(pending(1)).unwrap();
        drop(position);
        let mut position = open().unwrap();
        assert_eq!((position.said(), position.pending()), (None, Some(&pending(1))));
        position.end(true).unwrap();
        position.begin(pending(2)).unwrap();
        position.end(false).unwrap();
        drop(position);
        let position = open().unwrap();
        assert_eq!((position.said(), position.pending()), (Some(&pending(1).said), None));
        drop(position);
        let other = Position::open(&path, "other", PROCESS, feeder).unwrap_err();
        assert!(other.what.contains("is of feed price"), "{other:?}");
        std::fs::write(&path, "{").unwrap();
        assert!(open().unwrap_err().what.contains("does not say"));
    }
}
