//! Snapshots of a whole network, as folders beside its state: the log, which shares its sealed segments with it, and the
//! checkpoints of its processes.
//!
//! Restoring makes the new state beside the old one, says with one rename that it is the one that counts, and then
//! moves it into place; a crash in between is finished by the next start.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use protocol::Timestamp;
use serde::{Deserialize, Serialize};
use store::DiskStore;
use unit::{Code, Error, Kind, SnapshotInfo};

use crate::clock::Time;

/// Snapshots of one network.
const SNAPSHOTS_MAX: usize = 256;
/// The version of a snapshot's folder.
const VERSION: u32 = 1;
/// What of the state folder a snapshot has.
const PARTS: [&str; 2] = ["log", "blobs"];
/// What a backup has besides.
pub(crate) const KEYS: &str = "keys";
pub(crate) const CLOCK: &str = "clock.json";
/// A state that is being made, and does not count yet.
pub(crate) const MAKING: &str = ".restoring";
/// A state that counts, and is not in place yet.
const READY: &str = ".restored";

/// What a snapshot says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Meta {
    version: u32,
    /// How the clock went.
    pub time: Time,
    /// What it showed.
    pub now: Timestamp,
    /// The height of the newest block.
    pub height: u64,
}

impl Meta {
    pub fn of(time: Time, now: Timestamp, height: u64) -> Meta {
        Meta { version: VERSION, time, now, height }
    }
}

/// The snapshots of the network in a state folder. Everything here blocks on the disk.
#[derive(Debug, Clone)]
pub(crate) struct Snapshots {
    state: PathBuf,
}

impl Snapshots {
    pub fn of(state: &Path) -> Snapshots {
        Snapshots { state: state.to_owned() }
    }

    fn folder(&self) -> PathBuf {
        self.state.join("snapshots")
    }

    fn path(&self, name: &str) -> Result<PathBuf, Error> {
        check_name(name)?;
        Ok(self.folder().join(name))
    }

    /// Keeps what is durable now. Checkpoints first: the log must reach at least as far as they do.
    pub fn save(&self, name: &str, store: &DiskStore, meta: &Meta) -> Result<SnapshotInfo, Error> {
        let path = self.path(name)?;
        if path.exists() {
            return Err(Error::new(Kind::Conflict, format!("there is a snapshot {name:?} already"))
                .with_hint(format!(
                    "`pirn snapshot rm {name}` removes it, and so does DELETE /api/v1/dev/snapshots/{name}"
                )));
        }
        if self.list()?.len() >= SNAPSHOTS_MAX {
            return Err(Error::refused(format!("there are {SNAPSHOTS_MAX} snapshots, and that is the most"))
                .with_hint(
                    "`pirn snapshot rm NAME` removes one, and so does DELETE /api/v1/dev/snapshots/NAME",
                ));
        }
        let making = self.folder().join(format!(".{name}"));
        remove(&making)?;
        store::copy_blobs(&self.state.join("blobs"), &making.join("blobs")).map_err(of_store)?;
        store.copy_to(making.join("log")).map_err(of_store)?;
        let file = making.join("snapshot.json");
        let bytes = serde_json::to_vec_pretty(meta).map_err(|error| Error::internal(&error))?;
        fs::write(&file, bytes).map_err(|error| of_file("write", &file, &error))?;
        sync(&file)?;
        sync(&making)?;
        fs::rename(&making, &path).map_err(|error| of_file("make", &path, &error))?;
        sync(&self.folder())?;
        self.info(name)
    }

    /// What a snapshot says of itself.
    pub fn meta(&self, name: &str) -> Result<Meta, Error> {
        let file = self.path(name)?.join("snapshot.json");
        let bytes = fs::read(&file).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::not_found(format!("there is no snapshot {name:?}"))
                .with_hint("`pirn snapshot ls` lists them, and so does GET /api/v1/dev/snapshots"),
            _ => of_file("read", &file, &error),
        })?;
        let meta: Meta = serde_json::from_slice(&bytes)
            .map_err(|error| Error::refused(format!("{} cannot be read: {error}", file.display())))?;
        if meta.version != VERSION {
            return Err(Error::refused(format!(
                "the snapshot {name:?} is of version {}, and this Pirn reads version {VERSION}",
                meta.version
            )));
        }
        Ok(meta)
    }

    fn info(&self, name: &str) -> Result<SnapshotInfo, Error> {
        let meta = self.meta(name)?;
        Ok(SnapshotInfo {
            name: name.to_owned(),
            at: meta.now,
            still: matches!(meta.time, Time::Still { .. }),
            height: meta.height,
            bytes: bytes_below(&self.path(name)?),
        })
    }

    /// All of them, by name.
    pub fn list(&self) -> Result<Vec<SnapshotInfo>, Error> {
        let folder = self.folder();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(of_file("list", &folder, &error)),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names.iter().map(|name| self.info(name)).collect()
    }

    /// Forgets one.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name)?;
        self.meta(name)?;
        // Out of sight first: half a snapshot is none.
        let going = self.folder().join(format!(".{name}"));
        remove(&going)?;
        fs::rename(&path, &going).map_err(|error| of_file("remove", &path, &error))?;
        remove(&going)
    }

    /// Makes the state of a snapshot, or an empty one, that counts from now on. Nobody may have the state open.
    pub fn restore(&self, name: Option<&str>) -> Result<(), Error> {
        let making = self.state.join(MAKING);
        remove(&making)?;
        fs::create_dir_all(&making).map_err(|error| of_file("make", &making, &error))?;
        if let Some(name) = name {
            let path = self.path(name)?;
            store::copy_log(&path.join("log"), &making.join("log")).map_err(of_store)?;
            store::copy_blobs(&path.join("blobs"), &making.join("blobs")).map_err(of_store)?;
        } else {
            for part in PARTS {
                let path = making.join(part);
                fs::create_dir(&path).map_err(|error| of_file("make", &path, &error))?;
            }
        }
        self.made()
    }

    /// Says that the state that is being made counts from now on, and moves it into place.
    pub fn made(&self) -> Result<(), Error> {
        let (making, ready) = (self.state.join(MAKING), self.state.join(READY));
        sync(&making)?;
        fs::rename(&making, &ready).map_err(|error| of_file("make", &ready, &error))?;
        sync(&self.state)?;
        self.finish()
    }

    /// Moves a state that counts into place, if there is one that is not.
    pub fn finish(&self) -> Result<(), Error> {
        remove(&self.state.join(MAKING))?;
        let ready = self.state.join(READY);
        for part in PARTS.into_iter().chain([KEYS, CLOCK]) {
            let from = ready.join(part);
            if from.exists() {
                let to = self.state.join(part);
                if from.is_dir() {
                    remove(&to)?;
                }
                fs::rename(&from, &to).map_err(|error| of_file("make", &to, &error))?;
            }
        }
        sync(&self.state)?;
        remove(&ready)
    }
}

/// A name that is a name of a file everywhere, and not one of our own.
fn check_name(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !name.is_empty() && name.len() <= 64 && name.chars().all(plain) && !name.starts_with('.') {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(Error::invalid(format!("{shown:?} is no name of a snapshot"))
        .with_hint("names are letters, digits and . _ -, at most 64 of them, and do not begin with a point"))
}

fn of_store(error: store::Error) -> Error {
    Error::internal(&error).with_code(Code::STORE).with_hint_if(error.hint())
}

fn of_file(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(Kind::Internal, format!("could not {what} {}: {error}", path.display())).with_code(Code::FILE)
}

fn sync(path: &Path) -> Result<(), Error> {
    let synced = fs::File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| of_file("sync", path, &error))
}

pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(of_file("remove", path, &error)),
        _ => Ok(()),
    }
}

fn bytes_below(path: &Path) -> u64 {
    let mut bytes = 0;
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => bytes += metadata.len(),
                Err(_) => {}
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_that_a_crash_interrupted_is_finished_or_forgotten() {
        let state = tempfile::tempdir().unwrap();
        let file = |path: &str| state.path().join(path);
        let write = |path: &str| {
            fs::create_dir_all(file(path).parent().unwrap()).unwrap();
            fs::write(file(path), path).unwrap();
        };
        write("log/old");
        write("blobs/old");
        write(".restoring/log/new");
        Snapshots::of(state.path()).finish().unwrap();
        assert!(file("log/old").exists() && !file(".restoring").exists(), "it did not count yet");
        // The log was moved already, the blobs not.
        write(".restored/blobs/new");
        Snapshots::of(state.path()).finish().unwrap();
        assert!(file("log/old").exists() && file("blobs/new").exists());
        assert!(!file("blobs/old").exists() && !file(".restored").exists());
    }

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        let snapshots = Snapshots::of(Path::new("/nowhere"));
        for name in ["", "..", ".x", "a/b", "a b", &"x".repeat(65)] {
            assert_eq!(snapshots.meta(name).unwrap_err().kind, Kind::Invalid, "{name:?}");
        }
        assert_eq!(snapshots.meta("a-b.c_1").unwrap_err().kind, Kind::NotFound);
    }
}
