//! A state folder backed up and brought back: its log, its checkpoints, the keys that the units made in it, and how its
//! clock goes. Not its snapshots, nor compiled modules, nor wallets that the configuration names elsewhere.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use store::{BackedUp, Backup};
use unit::Code;

use crate::Error;
use crate::snapshots::{CLOCK, KEYS, MAKING, Snapshots, remove};

/// What happens to a state folder that has something in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is left alone, and nothing is restored.
    Keep,
    /// What it has is replaced, keys included.
    Replace,
}

/// What is known of a backup that is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// More may have been visible than it has: its scheduler schedules nothing until its operator says so.
    Perhaps,
    /// It has all that ever was: the node was stopped before it was made, and never ran since.
    No,
}

/// The file that says that a state was restored and may be behind.
const RESTORED: &str = "restored";

/// Has the scheduler hold what it has, if its state was restored since the last start. A development network goes on.
pub(crate) async fn hold_restored(
    state: &Path,
    su: &su::SchedulerUnit,
    development: bool,
) -> Result<(), Error> {
    let file = state.join(RESTORED);
    if !file.exists() {
        return Ok(());
    }
    if !development {
        let held = su.hold_all(unit::Why::Backup).await;
        held.map_err(|error| Error::Part { part: "scheduler unit", source: error.into() })?;
    }
    fs::remove_file(&file).map_err(|source| Error::File { what: "remove", path: file, source })
}

/// Brings the backup in `to` up to date with a state folder, which a node may be using. Blocks.
pub fn back_up(state: &Path, to: &Path) -> Result<BackedUp, Error> {
    let mut others = vec![CLOCK.to_owned()];
    let keys = state.join(KEYS);
    match fs::read_dir(&keys) {
        Ok(entries) => {
            let mut names: Vec<String> = entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
                .filter(|name| name.ends_with(".json"))
                .collect();
            names.sort();
            others.extend(names.into_iter().map(|name| format!("{KEYS}/{name}")));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(Error::File { what: "list", path: keys, source }),
    }
    let of_store = |source| Error::Backup { what: "the state cannot be backed up", source };
    Backup::at(to).update(state, &others).map_err(of_store)
}

/// Reads all of a backup, and compares every record with its checksum. Blocks.
pub fn verify_backup(folder: &Path) -> Result<BackedUp, Error> {
    Backup::at(folder).verify().map_err(|source| Error::Backup { what: "the backup does not hold", source })
}

/// Makes a state folder of a backup; all of it is checked before anything that is there is touched. Blocks.
///
/// What is there is replaced as by a snapshot: made beside it, in the folder, then said with one rename to be the one
/// that counts, then moved into place. The next start finishes what a crash interrupts.
pub fn restore(from: &Path, state: &Path, existing: Existing, behind: Behind) -> Result<BackedUp, Error> {
    let file = |what, path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { what, path, source }
    };
    let is_new = match fs::read_dir(state) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(source) => return Err(file("list", state)(source)),
    };
    if !is_new && existing == Existing::Keep {
        return Err(Error::NotEmpty { path: state.to_owned() });
    }
    let snapshots = Snapshots::of(state);
    let log = state.join("log");
    let of_state = |source| Error::Store { path: state.to_owned(), source };
    let lock = log.is_dir().then(|| store::lock(&log)).transpose().map_err(of_state)?;
    if !is_new {
        snapshots.finish().map_err(of_unit)?;
    }
    let making = state.join(MAKING);
    let made = Backup::at(from).restore(&making);
    let restored = match made {
        Ok(restored) => restored,
        Err(source) => {
            // Only tidiness: the next start clears it away. A folder that was not there is none again.
            let _ = remove(&making);
            if is_new {
                let _ = fs::remove_dir(state);
            }
            return Err(Error::Backup { what: "the backup cannot be restored", source });
        }
    };
    // What the backup does not have is not left over from before.
    let keys = making.join(KEYS);
    fs::create_dir_all(&keys).map_err(file("make", &keys))?;
    let clock = state.join(CLOCK);
    if !making.join(CLOCK).exists() && clock.exists() {
        fs::remove_file(&clock).map_err(file("remove", &clock))?;
    }
    // Said before the state is there: a scheduler must not begin without it.
    let restored_file = state.join(RESTORED);
    if behind == Behind::Perhaps {
        let write = || {
            let written = fs::File::create(&restored_file)?;
            written.sync_all()?;
            fs::File::open(state)?.sync_all()
        };
        write().map_err(file("write", &restored_file))?;
    }
    snapshots.made().map_err(of_unit)?;
    drop(lock);
    Ok(restored)
}

fn of_unit(error: unit::Error) -> Error {
    Error::Config { code: Code::FILE, what: error.what, hint: error.hint }
}
