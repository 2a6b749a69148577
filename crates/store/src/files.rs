//! What the store asks of the file system, in one place so that a test can make any of it fail.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// A file system: the operating system's, unless a test says otherwise. Each call is one operation, which happens or
/// fails; `write` may also fail half-way.
pub(crate) trait Files: Debug + Send + Sync {
    /// Opens a file that is there, for reading and writing.
    fn open(&self, path: &Path) -> io::Result<File> {
        File::options().read(true).write(true).open(path)
    }

    /// Opens a file that is there, for reading only.
    fn open_to_read(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    /// Makes an empty file that only this user may read, or empties the one that is there.
    fn create(&self, path: &Path) -> io::Result<File> {
        File::options().create(true).truncate(true).read(true).write(true).mode(0o600).open(path)
    }

    fn length(&self, file: &File) -> io::Result<u64> {
        file.metadata().map(|about| about.len())
    }

    /// Fills `bytes`; fails if there are not so many.
    fn read(&self, file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
        file.read_exact_at(bytes, at)
    }

    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    /// Forgets what is beyond `length`.
    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    /// The contents and the length of the file are on the disk when this returns. When it fails, nobody knows what of
    /// them is, and a later success says nothing about them.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    /// The names in the folder are on the disk when this returns.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        // An empty path is how a relative one without folders names its parent.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()
    }

    /// Makes a folder in one that is there.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir(folder)
    }

    /// The names in a folder, sorted, each with whether it is a folder. Names that are no text are left out.
    fn list(&self, folder: &Path) -> io::Result<Vec<(String, bool)>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Some(name) = entry.file_name().to_str() {
                names.push((name.to_owned(), entry.file_type()?.is_dir()));
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Gives a file another name.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Removes a folder with everything in it.
    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        fs::remove_dir_all(folder)
    }
}

/// The operating system.
#[derive(Debug)]
pub(crate) struct System;

impl Files for System {}

/// Makes a folder and those above it, durably: a new folder is only there once the one above it is synced.
pub(crate) fn make_folders(files: &dyn Files, folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(Path::new(""));
    make_folders(files, parent)?;
    match files.make_folder(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => files.sync_folder(parent),
    }
}

/// Makes a folder and those above it, which may be gone after a crash.
pub(crate) fn make_folders_lightly(files: &dyn Files, folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    make_folders_lightly(files, folder.parent().unwrap_or(Path::new("")))?;
    match files.make_folder(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// All of a file.
pub(crate) fn read_all(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
    let file = files.open_to_read(path)?;
    let length = usize::try_from(files.length(&file)?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    files.read(&file, &mut bytes, 0)?;
    Ok(bytes)
}

/// A file of these parts, durable except for its name.
pub(crate) fn write_all(files: &dyn Files, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let file = write_parts(files, path, parts)?;
    files.sync(&file)
}

/// A file of these parts, which may be short or gone after a crash.
pub(crate) fn write_all_lightly(files: &dyn Files, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    write_parts(files, path, parts).map(drop)
}

fn write_parts(files: &dyn Files, path: &Path, parts: &[&[u8]]) -> io::Result<File> {
    let file = files.create(path)?;
    let mut at = 0;
    for part in parts {
        files.write(&file, part, at)?;
        at += part.len() as u64;
    }
    Ok(file)
}

/// Bytes that a copy holds in memory.
const COPY_BYTES: u64 = 1 << 20;

/// Copies the first `length` bytes of a file, or all if it has less, durably except for the name.
pub(crate) fn copy(files: &dyn Files, from: &Path, to: &Path, length: u64) -> io::Result<()> {
    let from = files.open_to_read(from)?;
    let length = files.length(&from)?.min(length);
    let to = files.create(to)?;
    let mut bytes = vec![0; length.min(COPY_BYTES) as usize];
    let mut at = 0;
    while at < length {
        let part = &mut bytes[..(length - at).min(COPY_BYTES) as usize];
        files.read(&from, part, at)?;
        files.write(&to, part, at)?;
        at += part.len() as u64;
    }
    files.sync(&to)
}
