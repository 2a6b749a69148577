//! What a store does about bytes that are not what was written.

use std::fs;
use std::ops::Bound::Unbounded;
use std::path::{Path, PathBuf};

use pirn_store::{Batch, Blobs, DiskBlobs, DiskStore, Error, Options, Order, Space, Store};
use tempfile::TempDir;

const SPACE: Space = Space("test");

/// A closed log of `batches` single writes, each of 50 bytes under its number.
fn log(batches: u8, segment_bytes: u64) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store =
        DiskStore::open(folder.path(), Options { segment_bytes, footer_bytes: 150, ..Options::default() })
            .unwrap();
    for key in 0..batches {
        let mut batch = Batch::new();
        batch.put(SPACE, vec![key], vec![key; 50]);
        store.append(batch).wait().unwrap();
    }
    folder
}

fn open(folder: &Path) -> Result<DiskStore, Error> {
    DiskStore::open(folder, Options::default())
}

fn keys(store: &DiskStore) -> Result<usize, Error> {
    let found = store.scan(SPACE, (Unbounded, Unbounded), Order::Ascending, 1000)?;
    assert!(found.iter().all(|(key, value)| value == &vec![key[0]; 50]), "a wrong value: {found:?}");
    assert!(found.iter().enumerate().all(|(n, (key, _))| n == usize::from(key[0])), "a gap: {found:?}");
    Ok(found.len())
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    found.sort();
    found
}

/// header, then records of this length: crc, length, since, kind, op, space, key, value
const HEADER: usize = 32;
/// What a store that is closed writes last, once all before it is durable.
const MARK: usize = 13;
const RECORD: usize = 13 + 1 + (1 + 4) + (2 + 1) + (4 + 50);

/// The same, in one segment, as a kill after the last acknowledgement leaves it.
fn killed(batches: u8) -> (TempDir, PathBuf) {
    let folder = log(batches, u64::MAX);
    let path = segments(folder.path()).remove(0);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len((HEADER + usize::from(batches) * RECORD) as u64).unwrap();
    (folder, path)
}

#[test]
fn a_log_that_ends_anywhere_in_its_last_record_ends_before_it() {
    let (folder, path) = killed(5);
    let whole = fs::read(&path).unwrap();
    for length in HEADER + 4 * RECORD..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let store = open(folder.path()).unwrap();
        assert_eq!(keys(&store).unwrap(), 4, "cut at {length}");
        store.verify().unwrap();
        drop(store);
        assert_eq!(fs::read(&path).unwrap().len(), HEADER + 4 * RECORD + MARK, "the torn write is gone");
    }
}

/// After a kill nobody can tell a flipped bit in the last write from a write that did not come to its end.
#[test]
fn a_flipped_bit_in_the_last_record_after_a_kill_cuts_it_off() {
    let (folder, path) = killed(5);
    let whole = fs::read(&path).unwrap();
    for at in HEADER + 4 * RECORD..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).unwrap();
        let store = open(folder.path()).unwrap();
        assert_eq!(keys(&store).unwrap(), 4, "flipped at {at}");
    }
}

#[test]
fn a_flipped_bit_before_the_last_record_is_refused_and_nothing_is_touched() {
    let (folder, path) = killed(5);
    let whole = fs::read(&path).unwrap();
    for at in 0..HEADER + 4 * RECORD {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).unwrap();
        match open(folder.path()) {
            Err(Error::Damaged { path: named, at: named_at, .. }) => {
                assert_eq!(Path::new(&named), path);
                let start = if at < HEADER { 0 } else { at - (at - HEADER) % RECORD };
                assert!((start..=at).contains(&(named_at as usize)), "flipped at {at}, named {named_at}");
            }
            other => panic!("flipped at {at}: {other:?}"),
        }
        assert!(fs::read(&path).unwrap() == flipped, "a damaged log is left as it is");
    }
}

/// Every byte of every file of a log that was closed: what was acknowledged is there, or the file is named.
#[test]
fn a_flipped_byte_anywhere_loses_nothing_and_gives_no_wrong_value() {
    let folder = log(12, 400);
    let paths = segments(folder.path());
    assert!(paths.len() > 2, "{paths:?}");
    let all: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let (mut refused, mut found_by_reads, mut unharmed) = (0, 0, 0);
    for (path, whole) in paths.iter().zip(&all) {
        for (at, flip) in (0..whole.len()).flat_map(|at| [(at, 1_u8 << (at % 8)), (at, 0xff)]) {
            for (path, whole) in paths.iter().zip(&all) {
                fs::write(path, whole).unwrap();
            }
            let mut flipped = whole.clone();
            flipped[at] ^= flip;
            fs::write(path, &flipped).unwrap();
            let what = format!("byte {at} of {} ^ {flip:#x}", path.display());
            let names_it = |error: &Error| {
                assert!(error.hint().is_some());
                matches!(error, Error::Damaged { path: named, .. } if Path::new(named) == path)
            };
            match open(folder.path()) {
                Err(error) => {
                    assert!(names_it(&error), "{what}: {error}");
                    assert!(fs::read(path).unwrap() == flipped, "{what}: it was touched");
                    refused += 1;
                }
                Ok(store) => {
                    match keys(&store) {
                        Ok(count) => assert_eq!(count, 12, "{what}: something is lost"),
                        Err(error) => {
                            assert!(names_it(&error), "{what}: {error}");
                            found_by_reads += 1;
                        }
                    }
                    match store.verify() {
                        // The mark, which has nothing in it, was made again.
                        Ok(()) => unharmed += 1,
                        Err(error) => assert!(names_it(&error), "{what}: {error}"),
                    }
                }
            }
        }
    }
    assert_eq!(unharmed, 2 * MARK, "only the mark is nobody's loss");
    assert!(refused > 1000 && found_by_reads > 500, "{refused} refused, {found_by_reads} found by reads");
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_is_refused_or_found() {
    let folder = log(12, 400);
    assert!(segments(folder.path()).len() > 2);
    let path = &segments(folder.path())[1];
    let whole = fs::read(path).unwrap();
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(path, &flipped).unwrap();
        match open(folder.path()) {
            Err(Error::Damaged { path: named, .. }) => {
                assert_eq!(Path::new(&named), path);
                refused += 1;
            }
            Err(other) => panic!("flipped at {at}: {other:?}"),
            Ok(store) => {
                // Not the footer, so it is in a record: a read never believes it, and `verify` finds it.
                match keys(&store) {
                    Ok(count) => assert_eq!(count, 12),
                    Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{error:?}"),
                }
                let found = store.verify();
                assert!(matches!(found, Err(Error::Damaged { .. })), "flipped at {at}: {found:?}");
            }
        }
    }
    assert!(refused >= HEADER);
    fs::write(path, &whole).unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!(keys(&store).unwrap(), 12);
    store.verify().unwrap();
}

#[test]
fn a_sealed_segment_that_is_cut_off_is_refused() {
    let folder = log(12, 400);
    let path = &segments(folder.path())[1];
    let whole = fs::read(path).unwrap();
    for length in 0..whole.len() {
        fs::write(path, &whole[..length]).unwrap();
        let opened = open(folder.path());
        assert!(matches!(opened, Err(Error::Damaged { .. })), "cut at {length}: {opened:?}");
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let folder = log(12, 400);
    let path = segments(folder.path()).swap_remove(1);
    fs::remove_file(&path).unwrap();
    let opened = open(folder.path());
    assert!(
        matches!(&opened, Err(Error::Damaged { path: named, .. }) if Path::new(named) == path),
        "{opened:?}"
    );
}

#[test]
fn a_crash_between_sealing_and_beginning_a_segment_is_no_harm() {
    let folder = log(12, 400);
    let paths = segments(folder.path());
    let (last, kept) = paths.split_last().unwrap();
    // The last segment's records are lost with it: it had not begun.
    fs::remove_file(last).unwrap();
    fs::write(folder.path().join("next"), b"half a header").unwrap();
    let store = open(folder.path()).unwrap();
    let before = keys(&store).unwrap();
    let mut batch = Batch::new();
    batch.put(SPACE, vec![before as u8], vec![before as u8; 50]);
    store.append(batch).wait().unwrap();
    drop(store);
    assert_eq!(segments(folder.path()).len(), kept.len() + 1);
    assert_eq!(keys(&open(folder.path()).unwrap()).unwrap(), before + 1);
}

#[test]
fn a_blob_that_is_not_what_was_put_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = DiskBlobs::open(folder.path()).unwrap();
    blobs.put("a", b"machine code").unwrap();
    let path = folder.path().join("a");
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert!(matches!(blobs.get("a"), Err(Error::Damaged { .. })), "flipped at {at}");
        fs::write(&path, &whole[..at]).unwrap();
        assert!(matches!(blobs.get("a"), Err(Error::Damaged { .. })), "cut at {at}");
    }
}
