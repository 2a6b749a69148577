//! A disk for tests that fails when it is told to, and that knows what a power cut would leave.
//!
//! What is written goes to real files, as to a page cache. Beside them stands what is on the disk: a file's writes get
//! there when it is synced, a folder's names when that is. A sync that fails loses the writes for good, although they can
//! still be read: that is what Linux does.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::files::{Files, System};

/// What goes wrong in one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An error, and nothing happens. A sync loses what it should have brought to the disk.
    Error(ErrorKind),
    /// A write writes half, then there is no room. Everything else is an error.
    Half,
    /// The process dies: neither this nor anything later happens. A write may come half-way.
    Kill,
    /// A read gives one byte that is not what is there. Everything else is an error.
    Flip,
}

/// The disk.
#[derive(Debug, Default)]
pub(crate) struct Faulty(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Operations so far.
    count: usize,
    /// Which of them goes wrong, and how.
    fault: Option<(usize, Fault)>,
    /// What went wrong.
    struck: Option<String>,
    dead: bool,
    /// Files by the number that the system has for them now, which it uses again.
    numbers: BTreeMap<u64, usize>,
    files: Vec<Content>,
    /// Names on the disk. None is a folder.
    names: BTreeMap<PathBuf, Option<usize>>,
}

#[derive(Debug, Default)]
struct Content {
    durable: Vec<u8>,
    /// Writes that are not synced, in order.
    waiting: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(at, part) => {
                let at = *at as usize;
                bytes.resize(bytes.len().max(at + part.len()), 0);
                bytes[at..at + part.len()].copy_from_slice(part);
            }
            Change::Cut(length) => bytes.resize(*length as usize, 0),
        }
    }
}

/// Seeded and small (SplitMix64).
pub(crate) struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

impl Faulty {
    /// A disk whose operation `fault.0`, counted from 0, goes wrong. What is below `folder` is on the disk.
    pub fn new(folder: &Path, fault: Option<(usize, Fault)>) -> Faulty {
        let mut state = State { fault, ..State::default() };
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for (name, is_folder) in System.list(&folder).unwrap() {
                let path = folder.join(name);
                if is_folder {
                    folders.push(path.clone());
                    state.names.insert(path, None);
                } else {
                    let id = state.add(&path);
                    state.files[id].durable = fs::read(&path).unwrap();
                    state.names.insert(path, Some(id));
                }
            }
        }
        Faulty(Mutex::new(state))
    }

    /// What went wrong, if the operation was reached.
    pub fn struck(&self) -> Option<String> {
        self.state().struck.clone()
    }

    /// How many operations there were.
    pub fn count(&self) -> usize {
        self.state().count
    }

    /// The same disk for the next program, while the computer goes on: nothing more goes wrong.
    pub fn restarted(&self) -> Faulty {
        let state = std::mem::take(&mut *self.state());
        Faulty(Mutex::new(State { count: 0, fault: None, struck: None, dead: false, ..state }))
    }

    /// Makes `to` what is left of `from` when the power is cut now: what is on the disk, and any part of what was on its
    /// way there.
    pub fn power_cut(&self, from: &Path, to: &Path, draw: &mut Draw) {
        let state = self.state();
        let mut names = state.names.clone();
        let mut seen = BTreeMap::new();
        walk(from, &mut |path, is_folder| {
            let id = if is_folder { None } else { state.id(path) };
            // The lock is nobody's content.
            if is_folder || id.is_some() {
                seen.insert(path.to_owned(), id);
            }
        });
        let all: Vec<PathBuf> = names.keys().chain(seen.keys()).cloned().collect();
        for path in all {
            if names.get(&path) != seen.get(&path) && draw.below(2) == 0 {
                match seen.get(&path) {
                    Some(id) => names.insert(path, *id),
                    None => names.remove(&path),
                };
            }
        }
        fs::create_dir_all(to).unwrap();
        for (path, id) in &names {
            let there = to.join(path.strip_prefix(from).unwrap());
            // A name below a folder whose own name is not there is not there either.
            match id {
                None => drop(fs::create_dir(there)),
                Some(id) => drop(fs::write(there, state.files[*id].after_power_cut(draw))),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation, and says what goes wrong in it.
    fn next(&self, what: impl FnOnce() -> String) -> (MutexGuard<'_, State>, Option<Fault>) {
        let mut state = self.state();
        if state.dead {
            return (state, Some(Fault::Error(ErrorKind::BrokenPipe)));
        }
        let fault = state.fault.filter(|(at, _)| *at == state.count).map(|(_, fault)| fault);
        state.count += 1;
        if let Some(fault) = fault {
            state.struck = Some(format!("{fault:?} in operation {}, {}", state.count - 1, what()));
            state.dead = fault == Fault::Kill;
        }
        (state, fault)
    }

    /// An operation that happens whole or not at all.
    fn whole<T>(
        &self,
        what: impl FnOnce() -> String,
        work: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let (mut state, fault) = self.next(what);
        match fault {
            None => work(&mut state),
            Some(fault) => Err(fault.error()),
        }
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Fault::Error(kind) => kind.into(),
            Fault::Half => ErrorKind::StorageFull.into(),
            Fault::Kill | Fault::Flip => io::Error::other("the device answers with an error"),
        }
    }
}

impl State {
    fn add(&mut self, path: &Path) -> usize {
        self.files.push(Content::default());
        self.numbers.insert(fs::metadata(path).unwrap().ino(), self.files.len() - 1);
        self.files.len() - 1
    }

    fn id(&self, path: &Path) -> Option<usize> {
        self.numbers.get(&fs::metadata(path).ok()?.ino()).copied()
    }

    fn of(&mut self, file: &File) -> &mut Content {
        let id = self.numbers[&file.metadata().unwrap().ino()];
        &mut self.files[id]
    }
}

impl Content {
    fn after_power_cut(&self, draw: &mut Draw) -> Vec<u8> {
        const BLOCK: usize = 64;
        let mut bytes = self.durable.clone();
        let chance = draw.below(5);
        let mut reaches = || draw.below(4) < chance;
        for change in &self.waiting {
            match change {
                Change::Write(at, part) => {
                    for (n, part) in part.chunks(BLOCK).enumerate() {
                        if reaches() {
                            Change::Write(at + (n * BLOCK) as u64, part.to_vec()).apply(&mut bytes);
                        }
                    }
                }
                cut if reaches() => cut.apply(&mut bytes),
                Change::Cut(_) => {}
            }
        }
        bytes
    }
}

fn walk(folder: &Path, see: &mut impl FnMut(&Path, bool)) {
    for (name, is_folder) in System.list(folder).unwrap() {
        let path = folder.join(name);
        see(&path, is_folder);
        if is_folder {
            walk(&path, see);
        }
    }
}

impl Files for Faulty {
    fn open(&self, path: &Path) -> io::Result<File> {
        self.whole(|| format!("open {}", path.display()), |_| System.open(path))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<File> {
        self.whole(|| format!("open {}", path.display()), |_| System.open_to_read(path))
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.whole(
            || format!("create {}", path.display()),
            |state| {
                // Another file than the one that had the name on the disk, even where the system uses its number again.
                let file = System.create(path)?;
                state.add(path);
                Ok(file)
            },
        )
    }

    fn length(&self, file: &File) -> io::Result<u64> {
        self.whole(|| "measure".to_owned(), |_| System.length(file))
    }

    fn read(&self, file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let (_state, fault) = self.next(|| format!("read {} bytes at {at}", bytes.len()));
        match fault {
            Some(Fault::Flip) if !bytes.is_empty() => {
                System.read(file, bytes, at)?;
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
                Ok(())
            }
            Some(fault) => Err(fault.error()),
            None => System.read(file, bytes, at),
        }
    }

    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let (mut state, fault) = self.next(|| format!("write {} bytes at {at}", bytes.len()));
        let reached = match fault {
            None => bytes,
            Some(Fault::Half | Fault::Kill) => &bytes[..bytes.len() / 2],
            Some(_) => &[],
        };
        System.write(file, reached, at)?;
        state.of(file).waiting.push(Change::Write(at, reached.to_vec()));
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        self.whole(
            || format!("cut at {length}"),
            |state| {
                state.of(file).waiting.push(Change::Cut(length));
                System.cut(file, length)
            },
        )
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let (mut state, fault) = self.next(|| "sync a file".to_owned());
        let dead = state.dead;
        let content = state.of(file);
        match fault {
            None => {
                for change in std::mem::take(&mut content.waiting) {
                    change.apply(&mut content.durable);
                }
                Ok(())
            }
            Some(fault) => {
                if !dead {
                    content.waiting.clear();
                }
                Err(fault.error())
            }
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.whole(
            || format!("sync {}", folder.display()),
            |state| {
                let mut names = std::mem::take(&mut state.names);
                names.retain(|path, _| path.parent() != Some(folder) || path.exists());
                for (name, is_folder) in System.list(folder)? {
                    let path = folder.join(name);
                    let id = if is_folder { None } else { state.id(&path) };
                    if is_folder || id.is_some() {
                        names.insert(path, id);
                    }
                }
                state.names = names;
                Ok(())
            },
        )
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.whole(|| format!("make {}", folder.display()), |_| System.make_folder(folder))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(String, bool)>> {
        self.whole(|| format!("list {}", folder.display()), |_| System.list(folder))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole(|| format!("rename to {}", to.display()), |_| System.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole(|| format!("link {}", to.display()), |_| System.link(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.whole(|| format!("remove {}", path.display()), |_| System.remove(path))
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        self.whole(|| format!("remove {}", folder.display()), |_| System.remove_folder(folder))
    }
}
