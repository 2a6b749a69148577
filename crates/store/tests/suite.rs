//! Every implementation passes the one suite.

use pirn_store::suite::{Subject, check_blobs, check_store};
use pirn_store::{DiskBlobs, DiskStore, MemoryBlobs, MemoryStore, Options, Store};
use tempfile::TempDir;

struct Memory(MemoryStore);

impl Subject for Memory {
    fn store(&self) -> &dyn Store {
        &self.0
    }

    fn reopen(&mut self) {
        self.0 = self.0.crash();
    }
}

struct Disk {
    options: Options,
    folder: TempDir,
    store: Option<DiskStore>,
}

impl Disk {
    fn new(options: Options) -> Disk {
        let mut disk = Disk { options, folder: tempfile::tempdir().unwrap(), store: None };
        disk.reopen();
        disk
    }
}

impl Subject for Disk {
    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        drop(self.store.take());
        self.store = Some(DiskStore::open(self.folder.path(), self.options.clone()).unwrap());
    }
}

#[test]
fn memory_is_a_store() {
    check_store(|| Memory(MemoryStore::new()));
}

#[test]
fn a_disk_is_a_store() {
    check_store(|| Disk::new(Options::default()));
}

#[test]
fn a_disk_with_tiny_bounds_is_a_store() {
    let options = Options {
        segment_bytes: 500,
        footer_bytes: 100,
        queue_bytes_max: 300,
        queue_batches_max: 3,
        write_bytes_max: 100,
        recent_bytes_max: 0,
        ..Options::default()
    };
    check_store(|| Disk::new(options.clone()));
}

#[test]
fn memory_keeps_blobs() {
    check_blobs(MemoryBlobs::new);
}

#[test]
fn a_disk_keeps_blobs() {
    let folders = tempfile::tempdir().unwrap();
    let mut next = 0;
    check_blobs(|| {
        next += 1;
        DiskBlobs::open(folders.path().join(next.to_string())).unwrap()
    });
}
