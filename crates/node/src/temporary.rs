//! The folder of a network that is not kept: made for one run, and removed with it.
//!
//! A killed program removes nothing. So each folder has a file that its program holds locked as long as it lives, and
//! the next one to start removes the folders whose locks are free.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What the folders' names begin with.
const PREFIX: &str = "pirn-";
/// The file that is locked while the folder is in use. A folder without it is none of ours.
const MARK: &str = "temporary.lock";

/// A folder that is removed with everything in it when this is dropped, or else by the next program to start.
pub(crate) struct Temporary {
    folder: TempDir,
    /// Closing it gives the lock up, so it goes after the folder.
    _lock: File,
}

impl Temporary {
    /// Makes one in `parent`, after removing those that killed programs of this user left there.
    pub fn make(parent: &Path) -> io::Result<Temporary> {
        sweep(parent);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Locked before it has its name: whoever sees a mark can tell whether it is in use.
        let beginning = folder.path().join(format!("{MARK}.new"));
        let lock = File::create_new(&beginning)?;
        lock.lock()?;
        fs::rename(&beginning, folder.path().join(MARK))?;
        Ok(Temporary { folder, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what killed programs left. What cannot be removed is left to somebody else.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    let ours = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(PREFIX.as_bytes());
    for folder in entries.flatten().filter(|entry| ours(&entry.file_name())).map(|entry| entry.path()) {
        if let Some(lock) = left(&folder) {
            match fs::remove_dir_all(&folder) {
                Ok(()) => tracing::info!(folder = %folder.display(), "removed what a killed network left"),
                Err(error) => {
                    tracing::warn!(folder = %folder.display(), %error, "a killed network left this")
                }
            }
            drop(lock);
        }
    }
}

/// The lock of a folder of this user that nobody uses any more.
fn left(folder: &PathBuf) -> Option<File> {
    let about = fs::symlink_metadata(folder).ok()?;
    if !about.is_dir() || about.uid() != rustix::process::getuid().as_raw() {
        return None;
    }
    let lock = File::options().read(true).write(true).open(folder.join(MARK)).ok()?;
    match lock.try_lock() {
        Ok(()) => Some(lock),
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_removed_and_what_is_in_use_or_strange_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let lives = Temporary::make(parent.path()).unwrap();
        let killed = parent.path().join("pirn-killed");
        let strange = parent.path().join("pirn-strange");
        for folder in [&killed, &strange] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("log"), "").unwrap();
        }
        fs::write(killed.join(MARK), "").unwrap();
        let next = Temporary::make(parent.path()).unwrap();
        assert!(!killed.exists() && strange.exists() && lives.path().exists() && next.path().exists());
        let was = lives.path().to_owned();
        drop(lives);
        assert!(!was.exists());
    }
}
