//! The few things the log asks of the file system, in one place so that a test can make them fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What writes the log. Reads need no door: they fail loudly by themselves.
pub(crate) trait Files: Send + Sync {
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()>;

    /// The contents and the length of the file are on the disk when this returns.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// The names in the folder are on the disk when this returns.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The operating system.
pub(crate) struct System;

impl Files for System {
    fn write(&self, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}
