use runtime::PAGE_BYTES;
use store::MemoryBlobs;

use super::*;

const PROCESS: ProcessId = ProcessId(Id([7; 32]));
const MODULE: ModuleId = ModuleId(Id([8; 32]));

fn position(slot: u64) -> Position {
    Position {
        slot: Slot(slot),
        assignment: Id([2; 32]),
        chain: Id([3; 32]),
        timestamp: Timestamp(1000),
        height: Height(5),
        ticks: None,
        last: (Timestamp(1000), Height(5)),
    }
}

fn memory(seed: u8) -> Memory {
    let mut dense = vec![0; 1000 * PAGE_BYTES + 5];
    for at in (0..dense.len()).step_by(PAGE_BYTES * 3 / 2) {
        dense[at] = seed;
    }
    Memory::from_dense(&dense)
}

fn checkpoints() -> (Arc<MemoryBlobs>, Checkpoints) {
    let blobs = Arc::new(MemoryBlobs::default());
    (Arc::clone(&blobs), Checkpoints::new(blobs, 3))
}

fn save(checkpoints: &Checkpoints, position: Position, memory: Memory) -> Option<Link> {
    checkpoints.save(PROCESS, MODULE, &position, &Said::Whole(memory)).unwrap()
}

fn newest(checkpoints: &Checkpoints, until: Until) -> Option<u64> {
    checkpoints.newest(PROCESS, MODULE, until).map(|found| found.position.slot.0)
}

#[test]
fn the_newest_checkpoint_before_a_slot_is_found_and_old_ones_go() {
    let (blobs, checkpoints) = checkpoints();
    for slot in [3, 9, 10, 100] {
        save(&checkpoints, position(slot), memory(slot as u8));
    }
    assert_eq!(newest(&checkpoints, Until::Head), Some(100));
    assert_eq!(newest(&checkpoints, Until::Slot(Slot(100))), Some(100));
    assert_eq!(newest(&checkpoints, Until::Slot(Slot(99))), Some(10));
    assert_eq!(newest(&checkpoints, Until::Slot(Slot(8))), None, "three are kept");
    assert_eq!(blobs.list("checkpoint/").unwrap().len(), 3);
    let found = checkpoints.newest(PROCESS, MODULE, Until::Head).unwrap();
    assert_eq!((found.position, found.memory), (position(100), memory(100)));
    assert!(checkpoints.newest(PROCESS, ModuleId(Id([1; 32])), Until::Head).is_none());
}

#[test]
fn checkpoints_with_ticks_stand_after_their_slot() {
    let (_, checkpoints) = checkpoints();
    let ticked = Position {
        ticks: Some(serde_json::from_str(r#"{"step":9,"height":5,"reached":null}"#).unwrap()),
        ..position(4)
    };
    save(&checkpoints, ticked, memory(1));
    assert_eq!(newest(&checkpoints, Until::Slot(Slot(4))), None);
    assert_eq!(newest(&checkpoints, Until::Slot(Slot(5))), Some(4));
    checkpoints.forget_ticks(PROCESS, Slot(4)).unwrap();
    assert_eq!(newest(&checkpoints, Until::Head), None);
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let (blobs, checkpoints) = checkpoints();
    save(&checkpoints, position(1), memory(1));
    save(&checkpoints, position(2), memory(2));
    let good = blobs.get(&name(PROCESS, Slot(2), 0)).unwrap().unwrap();
    for at in [0, 9, 41, 60, good.len() / 2, good.len() - 1] {
        let mut bad = good.to_vec();
        bad[at] ^= 1;
        blobs.put(&name(PROCESS, Slot(2), 0), &bad).unwrap();
        assert_eq!(newest(&checkpoints, Until::Head), Some(1), "byte {at}");
    }
    blobs.put(&name(PROCESS, Slot(2), 0), &good[..good.len() / 2]).unwrap();
    assert_eq!(newest(&checkpoints, Until::Head), Some(1));
    blobs.put(&name(PROCESS, Slot(2), 0), &good).unwrap();
    assert_eq!(newest(&checkpoints, Until::Head), Some(2));
}

#[test]
fn a_checkpoint_is_small_where_it_is_as_others_of_its_module_are() {
    let noise = |seed: u64| {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        (0..64 * PAGE_BYTES).map(|_| next()).collect::<Vec<u8>>()
    };
    let mut dense = noise(1);
    let (blobs, checkpoints) = checkpoints();
    let save = |process: u8, dense: &[u8]| {
        let process = ProcessId(Id([process; 32]));
        let taken = Said::Whole(Memory::from_dense(dense));
        checkpoints.save(process, MODULE, &position(3), &taken).unwrap();
        let name = name(process, Slot(3), 0);
        blobs.get(&name).unwrap().unwrap().len()
    };
    assert!(save(1, &dense) < 1000, "all of it is in the base");
    // Some bytes differ, a page is zero, another one quite different, and one more than in the base.
    for at in (0..20 * PAGE_BYTES).step_by(1000) {
        dense[at] ^= 1;
    }
    dense[30 * PAGE_BYTES..31 * PAGE_BYTES].fill(0);
    dense[40 * PAGE_BYTES..41 * PAGE_BYTES].copy_from_slice(&noise(2)[..PAGE_BYTES]);
    dense.extend(&noise(3)[..PAGE_BYTES]);
    assert!(save(2, &dense) < 3 * PAGE_BYTES);
    // Whoever opens it later finds the same.
    let later = Checkpoints::new(Arc::clone(&blobs) as Arc<dyn Blobs>, 3);
    for checkpoints in [&checkpoints, &later] {
        let found = checkpoints.newest(ProcessId(Id([2; 32])), MODULE, Until::Head).unwrap();
        assert_eq!(found.memory, Memory::from_dense(&dense));
    }
    assert_eq!(blobs.list("base/").unwrap().len(), 1);
    // Without its base it is none.
    blobs.delete(&blobs.list("base/").unwrap()[0]).unwrap();
    let later = Checkpoints::new(Arc::clone(&blobs) as Arc<dyn Blobs>, 3);
    assert!(later.newest(ProcessId(Id([2; 32])), MODULE, Until::Head).is_none());
}

#[test]
fn the_memory_of_a_process_that_is_old_or_large_is_no_base() {
    let (blobs, checkpoints) = checkpoints();
    save(&checkpoints, position(1000), memory(1));
    let page = bytes::Bytes::from(vec![1; PAGE_BYTES]);
    let pages = (0..5000).map(|index| (index, page.clone())).collect();
    let large = Memory { size_bytes: 5000 * PAGE_BYTES as u64, pages };
    save(&checkpoints, position(2), large.clone());
    assert_eq!(blobs.list("base/").unwrap().len(), 0);
    assert_eq!(newest(&checkpoints, Until::Head), Some(1000));
    assert_eq!(checkpoints.newest(PROCESS, MODULE, Until::Slot(Slot(2))).unwrap().memory, large);
}

/// A memory of which little changes, and what did.
struct Large {
    memory: Memory,
    steps: u64,
}

impl Large {
    fn new() -> Large {
        let page = |n: u64| Bytes::from(vec![n as u8 | 1; PAGE_BYTES]);
        let pages = (0..2 * LARGE as u64).map(|n| (n * 2, page(n))).collect();
        Large { memory: Memory { size_bytes: 5 * (LARGE * PAGE_BYTES) as u64, pages }, steps: 0 }
    }

    /// A page is another one, one is new, and one is zero.
    fn step(&mut self) -> Changes {
        self.steps += 1;
        let n = self.steps;
        let page = Some(Bytes::from(vec![n as u8; PAGE_BYTES]));
        let pages = vec![(n * 2, None), (n * 2 + 1, page.clone()), (n * 2 + 200, page)];
        let changes = Changes { size_bytes: self.memory.size_bytes, pages };
        self.memory = changes.clone().apply(&self.memory);
        changes
    }
}

#[test]
fn a_large_memory_is_written_once_and_then_what_changed() {
    let (blobs, checkpoints) = checkpoints();
    let mut large = Large::new();
    assert_eq!(save(&checkpoints, position(0), memory(1)), None, "one that is small is written whole");
    let mut link = save(&checkpoints, position(1), large.memory.clone()).unwrap();
    let mut memories = vec![large.memory.clone()];
    for slot in 2..=1 + u64::from(LINKS_MAX) {
        assert!(link.may_go_on(), "{link:?}");
        let taken = Said::Changes(large.step(), link);
        link = checkpoints.save(PROCESS, MODULE, &position(slot), &taken).unwrap().unwrap();
        memories.push(large.memory.clone());
        let bytes = blobs.get(&link.name).unwrap().unwrap().len();
        assert!(bytes < 4 * PAGE_BYTES, "{bytes} bytes");
        assert_eq!(checkpoints.newest(PROCESS, MODULE, Until::Head).unwrap().link.as_ref(), Some(&link));
    }
    assert!(!link.may_go_on(), "a series has an end");
    // More than three: what these follow, all of it. The one before the series is gone.
    assert_eq!(blobs.list("checkpoint/").unwrap().len(), 1 + LINKS_MAX as usize);
    for (slot, memory) in (1..).zip(&memories) {
        let found = checkpoints.newest(PROCESS, MODULE, Until::Slot(Slot(slot))).unwrap();
        assert_eq!((found.position.slot, &found.memory), (Slot(slot), memory));
    }
    // The next whole ones take their place, the series stays until none of it is among the three.
    for (slot, there) in [(101, 17), (102, 18), (103, 3)] {
        save(&checkpoints, position(slot), large.memory.clone());
        assert_eq!(blobs.list("checkpoint/").unwrap().len(), there);
    }
}

#[test]
fn what_follows_a_checkpoint_is_good_as_long_as_that_is() {
    let (blobs, checkpoints) = checkpoints();
    let mut large = Large::new();
    save(&checkpoints, position(1), memory(1));
    let first = save(&checkpoints, position(2), large.memory.clone()).unwrap();
    let taken = Said::Changes(large.step(), first.clone());
    let second = checkpoints.save(PROCESS, MODULE, &position(3), &taken).unwrap().unwrap();
    assert_eq!(newest(&checkpoints, Until::Head), Some(3));
    // Taken again where nothing was evaluated since, it does not follow itself.
    let taken = Said::Changes(Changes::default(), second.clone());
    assert_eq!(checkpoints.save(PROCESS, MODULE, &position(3), &taken).unwrap(), None);
    assert_eq!(newest(&checkpoints, Until::Head), Some(3));
    // Another one in its place, which is good by itself.
    save(&checkpoints, position(2), Large::new().step().apply(&large.memory));
    assert_eq!(newest(&checkpoints, Until::Head), Some(2));
    save(&checkpoints, position(2), Large::new().memory);
    assert_eq!(newest(&checkpoints, Until::Head), Some(3), "the same again");
    blobs.delete(&first.name).unwrap();
    assert_eq!(newest(&checkpoints, Until::Head), Some(1));
    // Two that follow each other have no beginning.
    let (one, other) = (second.name, format!("{}.changes", name(PROCESS, Slot(4), 0)));
    let header = |slot, after: &str| Header {
        process: PROCESS,
        module: MODULE,
        position: position(slot),
        size_bytes: 0,
        base: None,
        after: Some(Link { name: after.to_owned(), ..first.clone() }),
        pages: 0,
    };
    blobs.put(&one, &encode(&header(3, &other), |_| {}).0).unwrap();
    blobs.put(&other, &encode(&header(4, &one), |_| {}).0).unwrap();
    assert_eq!(newest(&checkpoints, Until::Head), Some(1));
}

#[test]
fn ticks_are_forgotten_with_what_followed_them() {
    let (_, checkpoints) = checkpoints();
    let mut large = Large::new();
    let ticked = |step: u64| Position {
        ticks: Some(
            serde_json::from_str(&format!(r#"{{"step":{step},"height":5,"reached":null}}"#)).unwrap(),
        ),
        ..position(4)
    };
    let mut link = save(&checkpoints, position(3), large.memory.clone()).unwrap();
    for position in [position(4), ticked(1), ticked(2)] {
        let taken = Said::Changes(large.step(), link);
        link = checkpoints.save(PROCESS, MODULE, &position, &taken).unwrap().unwrap();
    }
    assert_eq!(newest(&checkpoints, Until::Slot(Slot(4))), Some(4));
    checkpoints.forget_ticks(PROCESS, Slot(4)).unwrap();
    assert_eq!(checkpoints.newest(PROCESS, MODULE, Until::Head).unwrap().position, position(4));
}
