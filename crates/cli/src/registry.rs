//! The development networks that run on this computer, as this user's commands know them.
//!
//! Each has a file in the state folder of the user, which its program holds locked as long as it lives. So what a
//! killed program left is told from what runs without asking whose a process number is now.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pirn_http::wire::info::Network;
use serde::{Deserialize, Serialize};

use unit::Code;

use crate::error::{Context as _, Failure, Result};
use crate::folders;

/// Bytes of an entry; a longer one is not ours.
const ENTRY_MAX: u64 = 64 * 1024;

/// A development network that runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The process number of its program.
    pub pid: u32,
    /// Milliseconds since 1970 when it was ready.
    pub started: u64,
    /// The folder where it was started.
    pub folder: PathBuf,
    /// The folder that keeps it; none if it is temporary.
    pub state: Option<PathBuf>,
    /// Where a program without a terminal writes what it has to say.
    pub log: Option<PathBuf>,
    /// The version of its program.
    pub version: String,
    /// Where its parts are, and what they sign with.
    pub network: Network,
}

impl Entry {
    /// Its ports, in the order of the parts.
    pub fn ports(&self) -> Vec<u16> {
        let port = |role: node::Role| port_of(self.network.urls.get(role.name())?);
        node::Role::ALL.into_iter().filter_map(port).collect()
    }

    /// How long it has been ready, for people: `6 min ago`.
    pub fn ago(&self) -> String {
        let seconds = now_ms().saturating_sub(self.started) / 1000;
        match seconds {
            0..60 => format!("{seconds} s ago"),
            60..3600 => format!("{} min ago", seconds / 60),
            3600..86_400 => format!("{} h ago", seconds / 3600),
            _ => format!("{} days ago", seconds / 86_400),
        }
    }
}

/// The port of a base URL.
pub fn port_of(url: &str) -> Option<u16> {
    url.rsplit_once(':')?.1.parse().ok()
}

/// A network's own entry: gone when this is dropped, and free for the taking when its program was killed.
pub struct Registered {
    path: PathBuf,
    _lock: File,
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Whoever lists entries removes what stays.
        let _ = fs::remove_file(&self.path);
    }
}

/// An entry of somebody else, and the file that is locked while its program lives.
pub struct Found {
    /// What it says.
    pub entry: Entry,
    path: PathBuf,
    lock: File,
}

/// Where entries and logs are.
pub struct Registry(PathBuf);

impl Registry {
    /// That of this user. Nothing is made yet.
    pub fn open() -> Result<Registry> {
        Ok(Registry(folders::state()?.join("networks")))
    }

    /// Milliseconds since 1970.
    pub fn now() -> u64 {
        now_ms()
    }

    /// Adds an entry, from now until it is dropped.
    pub fn register(&self, entry: &Entry) -> Result<Registered> {
        let failed = || format!("could not write to {}", self.0.display());
        fs::create_dir_all(&self.0).context(Code::FILE, failed())?;
        // Locked and complete before it has its name: whoever sees it can tell whether it lives.
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.0);
        let file =
            file.as_mut().map_err(|error| Failure::new(Code::FILE, format!("{}: {error}", failed())))?;
        file.as_file().lock().context(Code::FILE, failed())?;
        let text = serde_json::to_vec_pretty(entry).expect("an entry is JSON");
        file.write_all(&text).context(Code::FILE, failed())?;
        let lock = file.as_file().try_clone().context(Code::FILE, failed())?;
        let path = self.0.join(format!("{}-{}.json", entry.pid, entry.started));
        fs::rename(file.path(), &path).context(Code::FILE, failed())?;
        Ok(Registered { path, _lock: lock })
    }

    /// What runs, the oldest first. What killed programs left is removed.
    pub fn running(&self) -> Vec<Found> {
        let Ok(files) = fs::read_dir(&self.0) else { return Vec::new() };
        let mut found: Vec<Found> = files.flatten().filter_map(|file| Found::at(file.path())).collect();
        found.sort_by_key(|found| found.entry.started);
        found
    }

    /// A new file for what a program without a terminal has to say. Those of programs that are gone are removed.
    pub fn log_file(&self) -> Result<(PathBuf, File)> {
        let folder = self.0.join("logs");
        let failed = || format!("could not write to {}", folder.display());
        fs::create_dir_all(&folder).context(Code::FILE, failed())?;
        for old in fs::read_dir(&folder).context(Code::FILE, failed())?.flatten() {
            remove_if_old(&old.path());
        }
        let made = tempfile::Builder::new().prefix("dev-").suffix(".log").tempfile_in(&folder);
        let (file, path) = made
            .map_err(|error| error.to_string())
            .and_then(|made| made.keep().map_err(|error| error.to_string()))
            .context(Code::FILE, failed())?;
        Ok((path, file))
    }
}

impl Found {
    /// The entry there, if its program lives.
    fn at(path: PathBuf) -> Option<Found> {
        if path.extension().is_none_or(|end| end != "json") {
            return None;
        }
        let file = File::options().read(true).write(true).open(&path).ok()?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {}
            // Names are not used twice, so this is the entry that was looked at.
            Ok(()) => {
                let _ = fs::remove_file(&path);
                return None;
            }
            Err(TryLockError::Error(_)) => return None,
        }
        let mut text = String::new();
        (&file).take(ENTRY_MAX).read_to_string(&mut text).ok()?;
        Some(Found { entry: serde_json::from_str(&text).ok()?, path, lock: file })
    }

    /// Asks its program to end as Ctrl-C does. Only what still holds its entry is asked.
    pub fn ask_to_end(&self, forced: bool) -> Result {
        if self.has_ended() {
            return Ok(());
        }
        let signal = if forced { rustix::process::Signal::KILL } else { rustix::process::Signal::TERM };
        let pid = i32::try_from(self.entry.pid).ok().and_then(rustix::process::Pid::from_raw);
        let pid =
            pid.ok_or_else(|| Failure::new(Code::FILE, format!("{} names no program", self.path.display())))?;
        match rustix::process::kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => {
                Err(Failure::new(Code::NOT_OURS, format!("may not end pid {}: {error}", self.entry.pid)))
            }
        }
    }

    /// Whether its program is gone.
    pub fn has_ended(&self) -> bool {
        match self.lock.try_lock() {
            Ok(()) => {
                let _ = self.lock.unlock();
                let _ = fs::remove_file(&self.path);
                true
            }
            Err(_) => !self.path.exists(),
        }
    }

    /// Waits until its program is gone; false if it is not, after so long.
    pub async fn ended_within(self, limit: Duration) -> bool {
        let (gone, waits) = tokio::sync::oneshot::channel();
        // A thread of its own: nobody has to wait for it, should it wait for ever.
        std::thread::spawn(move || {
            // The program's end gives the lock up.
            let locked = self.lock.lock().is_ok();
            let _ = fs::remove_file(&self.path);
            let _ = gone.send(locked);
        });
        matches!(tokio::time::timeout(limit, waits).await, Ok(Ok(true)))
    }
}

/// Logs are kept for a week.
fn remove_if_old(log: &Path) {
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let age = fs::metadata(log).and_then(|about| about.modified()).map(|then| now().duration_since(then));
    if matches!(age, Ok(Ok(age)) if age > week) {
        let _ = fs::remove_file(log);
    }
}

fn now_ms() -> u64 {
    now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[expect(clippy::disallowed_methods, reason = "when a network was started is about the real time")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: u32) -> Entry {
        Entry {
            pid,
            started: 1,
            folder: PathBuf::from("here"),
            state: None,
            log: None,
            version: "0".to_owned(),
            network: Network::default(),
        }
    }

    #[test]
    fn what_lives_is_listed_and_what_was_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry(folder.path().to_owned());
        assert!(registry.running().is_empty());
        let own = registry.register(&entry(7)).unwrap();
        // As a killed program leaves it: there, and locked by nobody. The number is that of somebody who lives.
        let left = folder.path().join(format!("{}-1.json", std::process::id()));
        fs::write(&left, serde_json::to_vec(&entry(std::process::id())).unwrap()).unwrap();
        let running: Vec<u32> = registry.running().iter().map(|found| found.entry.pid).collect();
        assert_eq!(running, [7]);
        assert!(!left.exists());
        drop(own);
        assert!(registry.running().is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_no_entry_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let strange = folder.path().join("7-1.json");
        fs::write(&strange, "{").unwrap();
        let held = File::open(&strange).unwrap();
        held.lock().unwrap();
        assert!(Registry(folder.path().to_owned()).running().is_empty());
        assert!(strange.exists());
    }
}
