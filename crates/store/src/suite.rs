//! What every [`Store`] and every [`Blobs`] must pass.

use std::ops::Bound::{self, Excluded, Included, Unbounded};

use bytes::Bytes;

use crate::{BLOB_NAME_MAX, Batch, Blobs, Error, KEY_BYTES_MAX, Order, Space, Store};

/// An implementation under test.
pub trait Subject {
    /// The store, empty at first.
    fn store(&self) -> &dyn Store;

    /// Ends the store and opens it again.
    fn reopen(&mut self);
}

/// Runs every case on a fresh subject; panics at the first broken promise.
pub fn check_store<S: Subject>(mut fresh: impl FnMut() -> S) {
    for case in [
        a_key_has_its_last_value,
        a_later_change_in_a_batch_wins,
        a_deleted_key_is_gone,
        spaces_do_not_mix,
        a_scan_is_in_order_between_its_bounds,
        a_scan_of_an_impossible_range_is_empty,
        keys_and_values_may_be_empty_or_large,
        what_is_too_large_is_refused_and_nothing_of_its_batch_is_kept,
        appends_become_durable_in_order,
        a_batch_is_seen_whole_or_not_at_all,
        what_was_acknowledged_is_there_after_reopening,
    ] {
        case(&mut fresh());
    }
}

const A: Space = Space("suite.a");
const B: Space = Space("suite.b");

fn put(subject: &dyn Subject, space: Space, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(space, key.to_vec(), value.to_vec());
    subject.store().append(batch).wait().unwrap();
}

fn get(subject: &dyn Subject, space: Space, key: &[u8]) -> Option<Bytes> {
    subject.store().get(space, key).unwrap()
}

fn keys(subject: &dyn Subject, range: (Bound<&[u8]>, Bound<&[u8]>), order: Order, limit: usize) -> String {
    let found = subject.store().scan(A, range, order, limit).unwrap();
    let keys: Vec<&str> = found.iter().map(|(key, _)| std::str::from_utf8(key).unwrap()).collect();
    keys.join(" ")
}

fn a_key_has_its_last_value(subject: &mut dyn Subject) {
    assert_eq!(get(subject, A, b"key"), None);
    put(subject, A, b"key", b"first");
    put(subject, A, b"key", b"second");
    assert_eq!(get(subject, A, b"key").unwrap(), "second");
    subject.reopen();
    assert_eq!(get(subject, A, b"key").unwrap(), "second");
}

fn a_later_change_in_a_batch_wins(subject: &mut dyn Subject) {
    let mut batch = Batch::new();
    batch.put(A, "put", "1").put(A, "put", "2");
    batch.put(A, "deleted", "1").delete(A, "deleted");
    batch.delete(A, "back").put(A, "back", "3");
    subject.store().append(batch).wait().unwrap();
    for _ in 0..2 {
        assert_eq!(get(subject, A, b"put").unwrap(), "2");
        assert_eq!(get(subject, A, b"deleted"), None);
        assert_eq!(get(subject, A, b"back").unwrap(), "3");
        subject.reopen();
    }
}

fn a_deleted_key_is_gone(subject: &mut dyn Subject) {
    put(subject, A, b"key", b"value");
    let mut batch = Batch::new();
    batch.delete(A, "key").delete(A, "never was");
    subject.store().append(batch).wait().unwrap();
    for _ in 0..2 {
        assert_eq!(get(subject, A, b"key"), None);
        assert_eq!(keys(subject, (Unbounded, Unbounded), Order::Ascending, 9), "");
        subject.reopen();
    }
}

fn spaces_do_not_mix(subject: &mut dyn Subject) {
    put(subject, A, b"key", b"a");
    put(subject, B, b"key", b"b");
    assert_eq!(get(subject, A, b"key").unwrap(), "a");
    assert_eq!(get(subject, B, b"key").unwrap(), "b");
    assert_eq!(keys(subject, (Unbounded, Unbounded), Order::Ascending, 9), "key");
}

fn a_scan_is_in_order_between_its_bounds(subject: &mut dyn Subject) {
    // Appended out of order, in several batches, around keys of another space.
    for key in ["d", "a", "c", "b", "ba", "e"] {
        put(subject, A, key.as_bytes(), key.as_bytes());
        put(subject, B, key.as_bytes(), b"other");
    }
    let (b, d) = (b"b".as_slice(), b"d".as_slice());
    for _ in 0..2 {
        let expected = [
            ((Unbounded, Unbounded), "a b ba c d e", "e d c ba b a"),
            ((Included(b), Included(d)), "b ba c d", "d c ba b"),
            ((Excluded(b), Excluded(d)), "ba c", "c ba"),
            ((Included(d), Unbounded), "d e", "e d"),
            ((Unbounded, Excluded(b)), "a", "a"),
        ];
        for (range, ascending, descending) in expected {
            assert_eq!(keys(subject, range, Order::Ascending, 9), ascending, "{range:?}");
            assert_eq!(keys(subject, range, Order::Descending, 9), descending, "{range:?}");
        }
        assert_eq!(keys(subject, (Unbounded, Unbounded), Order::Ascending, 2), "a b");
        assert_eq!(keys(subject, (Unbounded, Unbounded), Order::Descending, 2), "e d");
        assert_eq!(keys(subject, (Unbounded, Unbounded), Order::Ascending, 0), "");
        let found = subject.store().scan(A, (Included(b), Included(d)), Order::Ascending, 9).unwrap();
        assert!(found.iter().all(|(key, value)| key == value), "values belong to their keys: {found:?}");
        subject.reopen();
    }
}

fn a_scan_of_an_impossible_range_is_empty(subject: &mut dyn Subject) {
    put(subject, A, b"b", b"");
    let (a, b, c) = (b"a".as_slice(), b"b".as_slice(), b"c".as_slice());
    for range in [(Included(c), Included(a)), (Excluded(b), Excluded(b)), (Included(b), Excluded(b))] {
        assert_eq!(keys(subject, range, Order::Ascending, 9), "", "{range:?}");
        assert_eq!(keys(subject, range, Order::Descending, 9), "", "{range:?}");
    }
}

fn keys_and_values_may_be_empty_or_large(subject: &mut dyn Subject) {
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let long = vec![7; KEY_BYTES_MAX];
    put(subject, A, b"", b"empty key");
    put(subject, A, b"empty value", b"");
    put(subject, A, &long, &large);
    for _ in 0..2 {
        assert_eq!(get(subject, A, b"").unwrap(), "empty key");
        assert_eq!(get(subject, A, b"empty value").unwrap(), "");
        assert!(get(subject, A, &long).unwrap() == large);
        subject.reopen();
    }
}

fn what_is_too_large_is_refused_and_nothing_of_its_batch_is_kept(subject: &mut dyn Subject) {
    let long_space = Space("suite.a.space.whose.name.is.longer.than.the.sixty-four.bytes.allowed");
    for (space, key) in [(A, vec![7; KEY_BYTES_MAX + 1]), (long_space, vec![7])] {
        let mut batch = Batch::new();
        batch.put(A, "fine", "").put(space, key, "");
        let refused = subject.store().append(batch).wait();
        assert!(matches!(refused, Err(Error::TooLarge { .. })), "{refused:?}");
    }
    assert_eq!(get(subject, A, b"fine"), None);
    put(subject, A, b"key", b"the store goes on");
}

fn appends_become_durable_in_order(subject: &mut dyn Subject) {
    let mut last = None;
    for n in 0..1000_u32 {
        let mut batch = Batch::new();
        batch.put(A, "last", n.to_be_bytes().to_vec()).put(B, n.to_be_bytes().to_vec(), "");
        // All but the last are not waited for: they are written all the same, before it.
        last = Some(subject.store().append(batch));
    }
    last.unwrap().wait().unwrap();
    for _ in 0..2 {
        assert_eq!(get(subject, A, b"last").unwrap().as_ref(), 999_u32.to_be_bytes());
        let all = subject.store().scan(B, (Unbounded, Unbounded), Order::Ascending, 2000).unwrap();
        assert_eq!(all.len(), 1000);
        subject.reopen();
    }
}

fn a_batch_is_seen_whole_or_not_at_all(subject: &mut dyn Subject) {
    let store = subject.store();
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            for n in 0..300_u32 {
                let mut batch = Batch::new();
                for key in 0..8_u8 {
                    batch.put(A, vec![key], n.to_be_bytes().to_vec());
                }
                store.append(batch).wait().unwrap();
            }
        });
        while !writer.is_finished() {
            let seen = store.scan(A, (Unbounded, Unbounded), Order::Ascending, 8).unwrap();
            assert!(seen.is_empty() || seen.len() == 8, "half a batch: {seen:?}");
            assert!(seen.iter().all(|(_, value)| *value == seen[0].1), "two batches at once: {seen:?}");
        }
    });
}

fn what_was_acknowledged_is_there_after_reopening(subject: &mut dyn Subject) {
    for round in 0..4_u8 {
        for n in 0..50_u8 {
            put(subject, A, &[round, n], &vec![n; usize::from(n) * 40]);
        }
        subject.reopen();
        let all = subject.store().scan(A, (Unbounded, Unbounded), Order::Ascending, 1000).unwrap();
        assert_eq!(all.len(), (usize::from(round) + 1) * 50);
        for (key, value) in all {
            assert_eq!(value, vec![key[1]; usize::from(key[1]) * 40]);
        }
    }
}

/// Runs every case on fresh blobs; panics at the first broken promise.
pub fn check_blobs<B: Blobs>(mut fresh: impl FnMut() -> B) {
    for case in [
        a_blob_is_what_was_put_last,
        blobs_are_listed_by_prefix_in_order,
        a_deleted_blob_is_gone,
        a_name_that_could_leave_the_folder_is_refused,
    ] {
        case(&fresh());
    }
}

fn a_blob_is_what_was_put_last(blobs: &dyn Blobs) {
    assert_eq!(blobs.get("a").unwrap(), None);
    let large = vec![3; 1_000_000];
    blobs.put("a", b"first").unwrap();
    blobs.put("a", &large).unwrap();
    blobs.put("b/c", b"").unwrap();
    blobs.put_lightly("d/e/f", b"first").unwrap();
    blobs.put_lightly("d/e/f", b"light").unwrap();
    assert_eq!(blobs.get("d/e/f").unwrap().unwrap(), "light");
    assert!(blobs.get("a").unwrap().unwrap() == large);
    assert_eq!(blobs.get("b/c").unwrap().unwrap(), "");
    assert_eq!(blobs.get("b").unwrap(), None);
    assert_eq!(blobs.get("a/b").unwrap(), None);
}

fn blobs_are_listed_by_prefix_in_order(blobs: &dyn Blobs) {
    for name in ["module/x", "checkpoint/p/2", "checkpoint/p/1", "checkpoint/q/1", "check"] {
        blobs.put(name, name.as_bytes()).unwrap();
    }
    let list = |prefix| blobs.list(prefix).unwrap().join(" ");
    assert_eq!(list(""), "check checkpoint/p/1 checkpoint/p/2 checkpoint/q/1 module/x");
    assert_eq!(list("checkpoint/p/"), "checkpoint/p/1 checkpoint/p/2");
    assert_eq!(list("check"), "check checkpoint/p/1 checkpoint/p/2 checkpoint/q/1");
    assert_eq!(list("checkpoint/p/1/"), "");
    assert_eq!(list("nothing"), "");
}

fn a_deleted_blob_is_gone(blobs: &dyn Blobs) {
    blobs.put("a/b", b"x").unwrap();
    blobs.delete("a/b").unwrap();
    blobs.delete("a/b").unwrap();
    blobs.delete("never/was").unwrap();
    blobs.put("a/b", b"x").unwrap();
    blobs.delete_lightly("a/b").unwrap();
    blobs.delete_lightly("a/b").unwrap();
    assert_eq!(blobs.get("a/b").unwrap(), None);
    assert_eq!(blobs.get("a/b").unwrap(), None);
    assert!(blobs.list("").unwrap().is_empty());
}

fn a_name_that_could_leave_the_folder_is_refused(blobs: &dyn Blobs) {
    let long = "a/".repeat(BLOB_NAME_MAX / 2) + "a";
    let component = "a".repeat(256);
    for name in
        ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", ".a", "a b", "a\0", "ä", &long, &component]
    {
        assert!(matches!(blobs.put(name, b""), Err(Error::BlobName { .. })), "{name:?}");
        assert!(matches!(blobs.get(name), Err(Error::BlobName { .. })), "{name:?}");
        assert!(matches!(blobs.delete(name), Err(Error::BlobName { .. })), "{name:?}");
    }
}
