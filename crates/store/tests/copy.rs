//! A copy of a store has what was durable when it was made, and nothing of what came after.

use std::ops::Bound;
use std::path::Path;

use pirn_store::{Batch, Blobs as _, DiskBlobs, DiskStore, Error, Options, Order, Space, Store as _};

const SPACE: Space = Space("test");

fn options() -> Options {
    Options { segment_bytes: 4096, footer_bytes: 200, ..Options::default() }
}

fn put(store: &DiskStore, keys: std::ops::Range<u32>) {
    for key in keys {
        let mut batch = Batch::new();
        batch.put(SPACE, key.to_be_bytes().to_vec(), vec![7; 200]);
        store.append(batch).wait().unwrap();
    }
}

fn count(folder: &Path) -> usize {
    let store = DiskStore::open(folder, options()).unwrap();
    store.verify().unwrap();
    store.scan(SPACE, (Bound::Unbounded, Bound::Unbounded), Order::Ascending, usize::MAX).unwrap().len()
}

#[test]
fn a_copy_has_what_was_there_and_both_go_on_alone() {
    let folder = tempfile::tempdir().unwrap();
    let [live, kept, back] = ["live", "kept", "back"].map(|name| folder.path().join(name));
    let store = DiskStore::open(&live, options()).unwrap();
    put(&store, 0..100);
    store.copy_to(&kept).unwrap();
    put(&store, 100..150);
    drop(store);
    assert!(std::fs::read_dir(&kept).unwrap().count() > 3, "there are sealed segments");
    pirn_store::copy_log(&kept, &back).unwrap();
    let store = DiskStore::open(&back, options()).unwrap();
    put(&store, 200..300);
    drop(store);
    assert_eq!((count(&live), count(&kept), count(&back)), (150, 100, 200));
}

#[test]
fn a_closed_store_has_everything_and_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path(), options()).unwrap();
    let appended: Vec<_> = (0..100_u32)
        .map(|key| {
            let mut batch = Batch::new();
            batch.put(SPACE, key.to_be_bytes().to_vec(), "value");
            store.append(batch)
        })
        .collect();
    store.close();
    appended.into_iter().for_each(|appended| appended.wait().unwrap());
    assert!(matches!(store.append(Batch::new()).wait(), Err(Error::Poisoned)));
    assert!(store.get(SPACE, &1_u32.to_be_bytes()).unwrap().is_some(), "reads go on");
}

#[test]
fn blobs_are_copied_and_those_of_the_original_may_go() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = DiskBlobs::open(folder.path().join("live")).unwrap();
    blobs.put("checkpoint/a/1", b"one").unwrap();
    blobs.put("checkpoint/b/2", b"two").unwrap();
    pirn_store::copy_blobs(&folder.path().join("live"), &folder.path().join("kept")).unwrap();
    blobs.delete("checkpoint/a/1").unwrap();
    blobs.put("checkpoint/b/2", b"other").unwrap();
    let kept = DiskBlobs::open(folder.path().join("kept")).unwrap();
    assert_eq!(kept.list("").unwrap(), ["checkpoint/a/1", "checkpoint/b/2"]);
    assert_eq!(&kept.get("checkpoint/b/2").unwrap().unwrap()[..], b"two");
}
