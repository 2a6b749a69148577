//! The real time, and that of a development network, which can be moved.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use unit::{Clock, ClockState};

use crate::Error;

/// The computer's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one clock that knows the real time")]
    fn now(&self) -> Timestamp {
        // A clock before 1970 is as good as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_millis() as u64)
    }
}

/// A clock that runs beside the real one, or stands. It never goes back but to a snapshot.
pub(crate) struct VirtualClock {
    time: Mutex<Time>,
    /// Where it is kept, so that the next run does not fall behind what this one wrote.
    file: PathBuf,
}

/// How a clock goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Time {
    /// So many milliseconds ahead of the real time.
    Running { ahead_ms: i64 },
    /// It stands there, milliseconds since 1970.
    Still { at: u64 },
}

impl VirtualClock {
    /// The clock of the state folder: as it was left, or the real one. It stands if `stand` says so.
    pub fn open(state: &Path, stand: Option<bool>) -> Result<VirtualClock, Error> {
        let file = state.join("clock.json");
        let kept = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).ok(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(Error::File { what: "read the clock", path: file, source }),
        };
        let clock = VirtualClock { time: Mutex::new(kept.unwrap_or(Time::Running { ahead_ms: 0 })), file };
        match stand {
            Some(true) => clock.freeze()?,
            Some(false) => clock.resume()?,
            None => {}
        }
        Ok(clock)
    }

    pub fn time(&self) -> Time {
        *self.lock()
    }

    pub fn state(&self) -> ClockState {
        let running = matches!(self.time(), Time::Running { .. });
        ClockState { now: self.now(), running }
    }

    pub fn freeze(&self) -> Result<(), Error> {
        let at = self.now().0;
        self.set(Time::Still { at })
    }

    pub fn resume(&self) -> Result<(), Error> {
        let Time::Still { at } = self.time() else { return Ok(()) };
        let ahead_ms = i64::try_from(at).unwrap_or(i64::MAX).saturating_sub_unsigned(SystemClock.now().0);
        self.set(Time::Running { ahead_ms })
    }

    /// Goes as `time` says, from now on and in the next run.
    pub fn set(&self, time: Time) -> Result<(), Error> {
        *self.lock() = time;
        let unfinished = self.file.with_extension("new");
        let bytes = serde_json::to_vec(&time).expect("a clock is JSON");
        let written =
            std::fs::write(&unfinished, bytes).and_then(|()| std::fs::rename(&unfinished, &self.file));
        written.map_err(|source| Error::File { what: "write the clock", path: self.file.clone(), source })
    }

    /// Shows that, and stands. In memory only: whoever moves on writes it down at the end.
    pub fn step(&self, at: u64) {
        *self.lock() = Time::Still { at };
    }

    fn lock(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        match self.time() {
            Time::Running { ahead_ms } => Timestamp(SystemClock.now().0.saturating_add_signed(ahead_ms)),
            Time::Still { at } => Timestamp(at),
        }
    }

    fn is_still(&self) -> bool {
        matches!(self.time(), Time::Still { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_stands_runs_on_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let clock = VirtualClock::open(folder.path(), Some(true)).unwrap();
        let at = clock.now();
        assert!(clock.is_still());
        clock.set(Time::Still { at: at.0 + 3_600_000 }).unwrap();
        assert_eq!(clock.now().0, at.0 + 3_600_000);
        clock.resume().unwrap();
        assert!(!clock.is_still());
        let again = VirtualClock::open(folder.path(), None).unwrap();
        assert!(again.now().0 >= at.0 + 3_600_000, "an hour ahead, as it was left");
        assert_eq!(again.time(), clock.time());
    }
}
