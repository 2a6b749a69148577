//! A store on a disk that fails, in each of its operations and in each way: nothing acknowledged is lost, nothing is
//! there by half, and every failure is an error.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Bound::Unbounded;
use std::path::Path;
use std::sync::Arc;

use crate::faulty::{Draw, Fault, Faulty};
use crate::{Batch, Blobs as _, DiskBlobs, DiskStore, Error, Options, Order, Space, Store as _};

const ENTRY: Space = Space("entry");
const HEAD: Space = Space("head");

fn options() -> Options {
    // Several segments in one load, and values that are really read.
    Options { segment_bytes: 500, footer_bytes: 60, recent_bytes_max: 0, ..Options::default() }
}

fn value_of(n: u64) -> Vec<u8> {
    vec![n as u8; (n * 37 % 120) as usize]
}

fn blob_of(n: u64) -> Vec<u8> {
    vec![n as u8; 150 + n as usize]
}

/// What a load was told.
#[derive(Debug, Default, Clone)]
struct Told {
    /// So many entries are acknowledged.
    acknowledged: u64,
    /// So many were asked for; those beyond `acknowledged` may be there or not.
    asked: u64,
    /// What each blob may be: what was put last, and what may have been put or deleted since.
    blobs: BTreeMap<String, Vec<Option<Vec<u8>>>>,
    /// How often something failed.
    failed: usize,
    /// How many operations there were before the store was closed.
    closing: usize,
}

impl Told {
    /// A blob is now that, or may be.
    fn blob(&mut self, name: &str, value: Option<Vec<u8>>, done: Result<(), Error>) {
        let may_be = self.blobs.entry(name.to_owned()).or_insert_with(|| vec![None]);
        if done.is_ok() {
            may_be.clear();
        }
        may_be.push(value);
        self.fails(done);
    }

    /// Counts an error, which is of a kind that says what to do.
    fn fails<T>(&mut self, done: Result<T, Error>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(error) => {
                assert!(
                    matches!(error, Error::Io { .. } | Error::Poisoned | Error::Damaged { .. }),
                    "{error}"
                );
                assert!(error.hint().is_some());
                self.failed += 1;
                None
            }
        }
    }
}

/// Opens what is in a folder, adds `entries` entries and some blobs, and closes it. What is there is checked first.
fn load(files: &Arc<Faulty>, folder: &Path, entries: u64, told: &mut Told) {
    let opened = DiskStore::open_on(files.clone(), &folder.join("log"), options());
    let Some(store) = told.fails(opened) else { return };
    let opened = DiskBlobs::open_on(files.clone(), folder.join("blobs"));
    let Some(blobs) = told.fails(opened) else { return };
    let Some(first) = told.fails(store.get(HEAD, b"")) else { return };
    let first = first.map_or(0, |head| u64::from_be_bytes(head[..].try_into().unwrap()));
    assert!((told.acknowledged..=told.asked).contains(&first), "{first} entries, {told:?}");
    // What is shown is there for good.
    told.acknowledged = first;
    for n in first..first + entries {
        let mut batch = Batch::new();
        batch.put(ENTRY, n.to_be_bytes().to_vec(), value_of(n));
        batch.put(HEAD, "", (n + 1).to_be_bytes().to_vec());
        told.asked = told.asked.max(n + 1);
        match store.append(batch).wait() {
            Ok(()) => {
                assert_eq!(n, told.acknowledged, "nothing is acknowledged after a failure");
                told.acknowledged = n + 1;
            }
            failed => drop(told.fails(failed)),
        }
        // A read that fails is an error, never another value.
        let visible = told.acknowledged.saturating_sub(1 + n % 3);
        if visible < told.acknowledged
            && let Some(value) = told.fails(store.get(ENTRY, &visible.to_be_bytes()))
        {
            assert_eq!(value.unwrap(), value_of(visible));
        }
        if n % 4 == 0 {
            let name = format!("checkpoint/{}/{}", n % 8, n % 3);
            let put = blobs.put(&name, &blob_of(n));
            told.blob(&name, Some(blob_of(n)), put);
        }
        if n % 6 == 5 {
            let name = format!("checkpoint/{}/{}", (n - 1) % 8, (n - 1) % 3);
            let deleted = blobs.delete(&name);
            told.blob(&name, None, deleted);
        }
    }
    told.closing = files.count();
}

/// Reads everything there is, on a disk that is well.
#[track_caller]
fn check(folder: &Path, told: &Told, what: &str) {
    let files = Arc::new(Faulty::new(folder, None));
    let store = DiskStore::open_on(files.clone(), &folder.join("log"), options());
    let store = store.unwrap_or_else(|error| panic!("{what}: {error}, {told:?}"));
    let all = store.scan(ENTRY, (Unbounded, Unbounded), Order::Ascending, usize::MAX).unwrap();
    for (n, (key, value)) in (0_u64..).zip(&all) {
        assert_eq!(key.as_ref(), n.to_be_bytes(), "{what}: a gap");
        assert_eq!(value, &value_of(n), "{what}: a wrong value");
    }
    let count = all.len() as u64;
    let head = store.get(HEAD, b"").unwrap().map(|head| u64::from_be_bytes(head[..].try_into().unwrap()));
    assert_eq!(head.unwrap_or(0), count, "{what}: half a batch");
    assert!((told.acknowledged..=told.asked).contains(&count), "{what}: {count} entries, {told:?}");
    store.verify().unwrap_or_else(|error| panic!("{what}: {error}"));
    let blobs = DiskBlobs::open_on(files, folder.join("blobs")).unwrap();
    for (name, may_be) in &told.blobs {
        let found = blobs.get(name).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = found.map(|found| found.to_vec());
        assert!(may_be.contains(&found), "{what}: the blob {name} is {found:?}, not {may_be:?}");
    }
}

const FAULTS: [Fault; 4] = [Fault::Error(ErrorKind::Other), Fault::Half, Fault::Kill, Fault::Flip];

/// How many entries each run adds.
const ENTRIES: u64 = 10;

/// Has operation after operation of a load fail, each in a world of its own that `prepare` began, until the load ends
/// before one does. After each the power is cut or not, the store is opened again, used again, and all is there.
fn each_operation_fails(fault: Fault, prepare: impl Fn(&Path, &mut Told)) {
    for at in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let mut told = Told::default();
        prepare(folder.path(), &mut told);
        let files = Arc::new(Faulty::new(folder.path(), Some((at, fault))));
        load(&files, folder.path(), ENTRIES, &mut told);
        let Some(what) = files.struck() else {
            assert!(at > 60, "only {at} operations were seen");
            return;
        };
        // What comes after the load is the mark, which adds nothing: nobody is told if it cannot be written.
        assert_eq!(told.failed > 0, at < told.closing || told.closing == 0, "{what}: {told:?}");
        power_cut_and_go_on(&files, folder.path(), told.clone(), at as u64, &what);
        // The computer goes on: what was written can be read, whether it reached the disk or not.
        let again = Arc::new(files.restarted());
        let mut after = told.clone();
        load(&again, folder.path(), 4, &mut after);
        assert_eq!(after.failed, told.failed, "{what}: it does not go on: {after:?}");
        power_cut_and_go_on(&again, folder.path(), after.clone(), !at as u64, &what);
        check(folder.path(), &after, &what);
    }
}

/// Looks at what a power cut leaves, twice: at once, and after it was used again.
fn power_cut_and_go_on(files: &Faulty, folder: &Path, mut told: Told, seed: u64, what: &str) {
    let mut draw = Draw(seed);
    let what = format!("{what}, power cut {seed}");
    let left = tempfile::tempdir().unwrap();
    files.power_cut(folder, left.path(), &mut draw);
    let again = Arc::new(Faulty::new(left.path(), None));
    let failed = told.failed;
    load(&again, left.path(), 3, &mut told);
    assert_eq!(told.failed, failed, "{what}: it does not go on: {told:?}");
    let second = tempfile::tempdir().unwrap();
    again.power_cut(left.path(), second.path(), &mut draw);
    check(second.path(), &told, &what);
}

#[test]
fn a_new_store_survives_a_failure_in_any_operation() {
    for fault in FAULTS {
        each_operation_fails(fault, |_, _| {});
    }
}

#[test]
fn a_store_that_was_closed_survives_a_failure_in_any_operation() {
    for fault in FAULTS {
        each_operation_fails(fault, |folder, told| {
            load(&Arc::new(Faulty::new(folder, None)), folder, 6, told);
        });
    }
}

/// What a killed run began, the next one finds made, and has to see onto the disk all the same.
#[test]
fn what_a_killed_run_began_is_made_durable_by_the_next() {
    let put = |files: &Arc<Faulty>, folder: &Path| -> Result<(), Error> {
        let store = DiskStore::open_on(files.clone(), &folder.join("disk/log"), options())?;
        let blobs = DiskBlobs::open_on(files.clone(), folder.join("blobs"))?;
        let mut batch = Batch::new();
        batch.put(HEAD, "", "value");
        store.append(batch).wait()?;
        blobs.put("checkpoint/process/1", b"memory")
    };
    for at in 0.. {
        let folder = tempfile::tempdir().unwrap();
        // Apart from the blobs, whose opening would do for the log what the log must do for itself.
        std::fs::create_dir(folder.path().join("disk")).unwrap();
        let killed = Arc::new(Faulty::new(folder.path(), Some((at, Fault::Kill))));
        let _ = put(&killed, folder.path());
        let Some(what) = killed.struck() else {
            assert!(at > 20, "only {at} operations were seen");
            return;
        };
        let next = Arc::new(killed.restarted());
        put(&next, folder.path()).unwrap();
        for seed in 0..12 {
            let left = tempfile::tempdir().unwrap();
            next.power_cut(folder.path(), left.path(), &mut Draw(seed));
            let store = DiskStore::open(left.path().join("disk/log"), options()).unwrap();
            assert!(store.get(HEAD, b"").unwrap().is_some(), "{what}, power cut {seed}");
            let blobs = DiskBlobs::open(left.path().join("blobs")).unwrap();
            let blob = blobs.get("checkpoint/process/1").unwrap();
            assert_eq!(blob.as_deref(), Some(&b"memory"[..]), "{what}, power cut {seed}");
        }
    }
}
