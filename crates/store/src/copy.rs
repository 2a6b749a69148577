//! Copies of what a store keeps, which share what never changes: a snapshot costs as much as its last segment.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::Error;
use crate::committer::name;
use crate::disk::Segment;
use crate::files::{self, Files, System, make_folders};

/// Makes a log in `folder` of the segments of another, of the last of which `length` bytes count.
pub(crate) fn log(files: &dyn Files, segments: &[Segment], length: u32, folder: &Path) -> Result<(), Error> {
    make(files, folder)?;
    for (number, segment) in (1..).zip(segments) {
        let to = folder.join(name(number));
        let is_last = number as usize == segments.len();
        let copied = match is_last {
            true => files::copy(files, &segment.path, &to, u64::from(length)),
            false => share(files, &segment.path, &to),
        };
        copied.map_err(|error| Error::io("copy", &segment.path, &error))?;
    }
    files.sync_folder(folder).map_err(|error| Error::io("sync", folder, &error))
}

/// Makes a log in `to`, which is not there yet, of the log in `from`, which nobody has open. Blocks.
pub fn copy_log(from: &Path, to: &Path) -> Result<(), Error> {
    let files = &System;
    make(files, to)?;
    let mut names: Vec<String> = names(files, from)?.into_iter().map(|(name, _)| name).collect();
    names.retain(|name| name.ends_with(".log"));
    let last = names.pop();
    let refused = |error: io::Error| Error::io("copy", from, &error);
    for name in &names {
        share(files, &from.join(name), &to.join(name)).map_err(refused)?;
    }
    if let Some(name) = last {
        files::copy(files, &from.join(&name), &to.join(&name), u64::MAX).map_err(refused)?;
    }
    files.sync_folder(to).map_err(|error| Error::io("sync", to, &error))
}

/// Makes a folder of blobs in `to`, which is not there yet, that has those in `from`. They may be in use: a blob is
/// never written to, and one that goes meanwhile may be there or not. Blocks.
pub fn copy_blobs(from: &Path, to: &Path) -> Result<(), Error> {
    let files = &System;
    make(files, to)?;
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let (here, there) = (from.join(&folder), to.join(&folder));
        make(files, &there)?;
        for (name, is_folder) in names(files, &here)? {
            // What is half written, and nothing else, begins with a point.
            if name.starts_with('.') {
                continue;
            }
            if is_folder {
                folders.push(if folder.is_empty() { name } else { format!("{folder}/{name}") });
                continue;
            }
            let path = here.join(&name);
            match share(files, &path, &there.join(&name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::io("copy", &path, &error));
                }
                _ => {}
            }
        }
        files.sync_folder(&there).map_err(|error| Error::io("sync", &there, &error))?;
    }
    Ok(())
}

fn make(files: &dyn Files, folder: &Path) -> Result<(), Error> {
    make_folders(files, folder).map_err(|error| Error::io("make", folder, &error))
}

/// What is in a folder; nothing if it is not there.
pub(crate) fn names(files: &dyn Files, folder: &Path) -> Result<Vec<(String, bool)>, Error> {
    match files.list(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|error| Error::io("list", folder, &error)),
    }
}

/// Gives a file that never changes another name, or copies it where that cannot be.
fn share(files: &dyn Files, from: &Path, to: &Path) -> io::Result<()> {
    match files.link(from, to) {
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::CrossesDevices | ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            files::copy(files, from, to, u64::MAX)
        }
        linked => linked,
    }
}
