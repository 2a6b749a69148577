//! Copies of what a store keeps, which share what never changes: a snapshot costs as much as its last segment.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use crate::Error;
use crate::blobs::sync_folder;
use crate::committer::name;
use crate::disk::Segment;

/// Makes a log in `folder` of the segments of another, of the last of which `length` bytes count.
pub(crate) fn log(segments: &[Segment], length: u32, folder: &Path) -> Result<(), Error> {
    make(folder)?;
    for (number, segment) in (1..).zip(segments) {
        let to = folder.join(name(number));
        let is_last = number as usize == segments.len();
        let copied = match is_last {
            true => copy(&segment.path, &to, u64::from(length)),
            false => share(&segment.path, &to),
        };
        copied.map_err(|error| Error::io("copy", &segment.path, &error))?;
    }
    sync_folder(folder).map_err(|error| Error::io("sync", folder, &error))
}

/// Makes a log in `to`, which is not there yet, of the log in `from`, which nobody has open. Blocks.
pub fn copy_log(from: &Path, to: &Path) -> Result<(), Error> {
    make(to)?;
    let mut names = names(from)?;
    names.retain(|name| name.ends_with(".log"));
    let last = names.pop();
    for name in &names {
        share(&from.join(name), &to.join(name)).map_err(|error| Error::io("copy", from, &error))?;
    }
    if let Some(name) = last {
        copy(&from.join(&name), &to.join(&name), u64::MAX)
            .map_err(|error| Error::io("copy", from, &error))?;
    }
    sync_folder(to).map_err(|error| Error::io("sync", to, &error))
}

/// Makes a folder of blobs in `to`, which is not there yet, that has those in `from`. They may be in use: a blob is
/// never written to, and one that goes meanwhile may be there or not. Blocks.
pub fn copy_blobs(from: &Path, to: &Path) -> Result<(), Error> {
    make(to)?;
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let (here, there) = (from.join(&folder), to.join(&folder));
        for name in names(&here)? {
            // What is half written, and nothing else, begins with a point.
            if name.starts_with('.') {
                continue;
            }
            let path = here.join(&name);
            if path.is_dir() {
                fs::create_dir(there.join(&name)).map_err(|error| Error::io("make", &there, &error))?;
                folders.push(if folder.is_empty() { name } else { format!("{folder}/{name}") });
                continue;
            }
            match share(&path, &there.join(&name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::io("copy", &path, &error));
                }
                _ => {}
            }
        }
        sync_folder(&there).map_err(|error| Error::io("sync", &there, &error))?;
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|error| Error::io("make", folder, &error))
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let listed = fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()
    });
    match listed {
        Ok(mut names) => {
            names.sort();
            Ok(names)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("list", folder, &error)),
    }
}

/// Gives a file that never changes another name, or copies it where that cannot be.
fn share(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::CrossesDevices | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            copy(from, to, u64::MAX)
        }
        linked => linked,
    }
}

fn copy(from: &Path, to: &Path, length: u64) -> io::Result<()> {
    let mut from = File::open(from)?.take(length);
    let mut to = File::create_new(to)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}
