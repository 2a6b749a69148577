//! A backup has what was acknowledged before it began, costs what is new, and says which byte is not what was written.

use std::fs;
use std::ops::Bound::Unbounded;
use std::path::{Path, PathBuf};

use pirn_store::{BackedUp, Backup, Batch, Blobs, DiskBlobs, DiskStore, Error, Options, Order, Space, Store};
use tempfile::TempDir;

const SPACE: Space = Space("test");

struct World {
    folder: TempDir,
    store: DiskStore,
    blobs: DiskBlobs,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let options = Options { segment_bytes: 1000, footer_bytes: 100, ..Options::default() };
        let store = DiskStore::open(state.join("log"), options).unwrap();
        let blobs = DiskBlobs::open(state.join("blobs")).unwrap();
        fs::create_dir(state.join("keys")).unwrap();
        fs::write(state.join("keys/su.json"), "secret").unwrap();
        World { folder, store, blobs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, keys: std::ops::Range<u32>) {
        put(&self.store, keys);
    }

    fn back_up(&self) -> BackedUp {
        let others = ["keys/su.json".to_owned(), "clock.json".to_owned()];
        Backup::at(self.path("backup")).update(&self.path("state"), &others).unwrap()
    }
}

fn put(store: &DiskStore, keys: std::ops::Range<u32>) {
    for key in keys {
        let mut batch = Batch::new();
        batch.put(SPACE, key.to_be_bytes().to_vec(), vec![7; 50]);
        store.append(batch).wait().unwrap();
    }
}

fn count(state: &Path) -> usize {
    let store = DiskStore::open(state.join("log"), Options::default()).unwrap();
    store.verify().unwrap();
    let all = store.scan(SPACE, (Unbounded, Unbounded), Order::Ascending, usize::MAX).unwrap();
    assert!(all.iter().zip(0_u32..).all(|((key, _), n)| key.as_ref() == n.to_be_bytes()));
    all.len()
}

#[test]
fn what_was_acknowledged_is_there_and_the_second_time_costs_what_is_new() {
    let world = World::new();
    world.put(0..50);
    world.blobs.put("checkpoint/a/1", b"one").unwrap();
    let first = world.back_up();
    assert_eq!((first.blobs, first.files), (1, 1));
    assert_eq!(first.bytes_copied, first.bytes);
    world.put(50..53);
    world.blobs.put("checkpoint/a/2", b"two").unwrap();
    world.blobs.delete("checkpoint/a/1").unwrap();
    let second = world.back_up();
    assert!(first.segments > 4 && second.segments >= first.segments, "{first:?}, {second:?}");
    assert!(second.bytes_copied < second.bytes / 2 && second.bytes_copied > 3 * 50, "{second:?}");
    // Nothing is there that the newest does not need.
    let objects = fs::read_dir(world.path("backup/objects")).unwrap().count();
    assert_eq!(objects, second.segments + second.blobs + second.files);
    assert_eq!(Backup::at(world.path("backup")).verify().unwrap().bytes, second.bytes);

    drop(world.store);
    let backup = Backup::at(world.folder.path().join("backup"));
    let restored = world.folder.path().join("restored");
    assert_eq!(backup.restore(&restored).unwrap().bytes, second.bytes);
    assert_eq!(count(&restored), 53);
    let blobs = DiskBlobs::open(restored.join("blobs")).unwrap();
    assert_eq!(blobs.list("").unwrap(), ["checkpoint/a/2"]);
    assert_eq!(&blobs.get("checkpoint/a/2").unwrap().unwrap()[..], b"two");
    assert_eq!(fs::read_to_string(restored.join("keys/su.json")).unwrap(), "secret");
}

#[test]
fn a_log_that_is_written_meanwhile_is_backed_up_as_a_whole() {
    let world = World::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| world.put(0..2000));
        let mut rounds = 0_usize;
        while !writer.is_finished() || rounds == 0 {
            let all = world.store.len();
            world.back_up();
            let restored = world.path(&format!("restored{rounds}"));
            Backup::at(world.path("backup")).restore(&restored).unwrap();
            assert!(count(&restored) >= all, "what was there before it began is there");
            rounds += 1;
        }
    });
}

#[test]
fn a_flipped_byte_anywhere_in_a_backup_is_found_and_named() {
    let world = World::new();
    world.put(0..25);
    world.blobs.put("checkpoint/a/1", &[3; 100]).unwrap();
    world.back_up();
    let backup = Backup::at(world.path("backup"));
    let mut paths = vec![world.path("backup/manifest")];
    paths.extend(fs::read_dir(world.path("backup/objects")).unwrap().map(|entry| entry.unwrap().path()));
    assert!(paths.len() > 5);
    let restored = world.path("restored");
    for path in paths {
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            fs::write(&path, &flipped).unwrap();
            let said = backup.verify().unwrap_err();
            assert!(
                matches!(&said, Error::Backup { path: named, .. } if Path::new(named) == path),
                "byte {at} of {}: {said}",
                path.display()
            );
            if at % 50 == 0 {
                assert!(backup.restore(&restored).is_err(), "byte {at} of {}", path.display());
                let _ = fs::remove_dir_all(&restored);
            }
        }
        fs::remove_file(&path).unwrap();
        let said = backup.verify().unwrap_err();
        assert!(said.to_string().contains(path.parent().unwrap().to_str().unwrap()), "{said}");
        fs::write(&path, &whole).unwrap();
    }
    backup.verify().unwrap();
}

#[test]
fn a_damaged_state_is_not_backed_up_over_a_good_one() {
    let world = World::new();
    world.put(0..25);
    world.blobs.put("checkpoint/a/1", &[3; 100]).unwrap();
    let good = world.back_up();
    world.put(25..50);
    let segment = world.path("state/log/0000000004.log");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[60] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let said = Backup::at(world.path("backup")).update(&world.path("state"), &[]).unwrap_err();
    assert!(matches!(&said, Error::Damaged { path, .. } if Path::new(path) == segment), "{said}");
    assert_eq!(Backup::at(world.path("backup")).verify().unwrap().bytes, good.bytes);
    // A blob can be made again: it is left out, and said.
    let world = World::new();
    world.put(0..1);
    fs::write(world.path("state/blobs/bad"), [7; 100]).unwrap();
    assert_eq!(world.back_up().damaged_blobs, ["bad"]);
}

#[test]
fn what_is_no_backup_is_said() {
    let world = World::new();
    let nothing = Backup::at(world.path("nothing"));
    assert!(nothing.verify().unwrap_err().to_string().contains("there is no manifest"));
    let held = pirn_store::lock(&world.path("state/log"));
    assert!(matches!(held, Err(Error::InUse { .. })), "{held:?}");
    fs::create_dir(world.path("backup")).unwrap();
    let _held = pirn_store::lock(&world.path("backup")).unwrap();
    let said = Backup::at(world.path("backup")).update(&world.path("state"), &[]);
    assert!(matches!(said, Err(Error::InUse { .. })), "{said:?}");
}
