//! A store whose process is killed keeps what it acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::ops::Bound::Unbounded;
use std::path::Path;
use std::process::{Command, Stdio};

use pirn_store::{Batch, DiskStore, Options, Order, Space, Store};

const ENTRY: Space = Space("entry");
const HEAD: Space = Space("head");

fn open(folder: &Path) -> DiskStore {
    // Small enough that kills also meet rotations.
    DiskStore::open(folder, Options { segment_bytes: 40_000, footer_bytes: 1000, ..Options::default() })
        .unwrap()
}

/// How many entries there are. They are the first ones, without gaps, and the head says the same.
fn entries(store: &DiskStore) -> u64 {
    let all = store.scan(ENTRY, (Unbounded, Unbounded), Order::Ascending, usize::MAX).unwrap();
    for (n, (key, value)) in (0_u64..).zip(&all) {
        assert_eq!(key.as_ref(), n.to_be_bytes(), "batches become durable in order");
        assert!(*value == value_of(n));
    }
    let head = store.get(HEAD, b"").unwrap().map(|head| u64::from_be_bytes(head[..].try_into().unwrap()));
    assert_eq!(head.unwrap_or(0), all.len() as u64, "a batch is there whole or not at all");
    all.len() as u64
}

fn value_of(n: u64) -> Vec<u8> {
    vec![n as u8; (n * 37 % 900) as usize]
}

/// The child: appends to the store in its working folder for ever, and says what was acknowledged.
#[test]
#[ignore = "run by the test below, which kills it"]
fn child() {
    let store = open(Path::new("."));
    let mut pending = std::collections::VecDeque::new();
    for n in entries(&store).. {
        let mut batch = Batch::new();
        batch.put(ENTRY, n.to_be_bytes().to_vec(), value_of(n));
        batch.put(HEAD, "", (n + 1).to_be_bytes().to_vec());
        pending.push_back((n, store.append(batch)));
        if pending.len() > 20 {
            let (n, oldest) = pending.pop_front().unwrap();
            oldest.wait().unwrap();
            writeln!(std::io::stdout(), "acknowledged {n}").unwrap();
        }
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut next = 0;
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--ignored", "--nocapture"])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // A line may be cut short by the kill: then its number was not said.
        let mut numbers = said.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
        let first = numbers.nth(30 + 17 * round).expect("the child appends until it is killed");
        child.kill().unwrap();
        let last = numbers.last().unwrap_or(first);
        child.wait().unwrap();

        let store = open(folder.path());
        let kept = entries(&store);
        store.verify().unwrap();
        assert!(first < kept && next < kept, "{first} was acknowledged, but only {kept} are there");
        assert!(last < kept, "{last} was acknowledged, but only {kept} are there");
        next = kept;
    }
}
