//! Checkpoints: the memory of a process at a place in its schedule, on this computer's disk.
//!
//! A checkpoint is a cache of a replay. One that is missing, damaged or of another module costs time and nothing
//! else, so reading never fails: it finds a good one or none. It says only what is not in the [`base`](crate::base) of
//! its module.

use std::sync::Arc;

use protocol::{HashChain, Height, Id, ModuleId, ProcessId, Slot, Timestamp};
use runtime::Memory;
use serde::{Deserialize, Serialize};
use store::Blobs;

use crate::base::Bases;
use crate::cron::{Moment, Progress};
use crate::pages;

/// How far a process is evaluated: up to an entry of its schedule, and the ticks after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Of the last entry.
    pub(crate) slot: Slot,
    /// The id of its assignment.
    pub(crate) assignment: Id,
    /// The hash chain it has, as an id.
    pub(crate) chain: Id,
    /// Its timestamp.
    pub(crate) timestamp: Timestamp,
    /// Its height.
    pub(crate) height: Height,
    /// The ticks after it.
    pub(crate) ticks: Option<Progress>,
    /// What the last evaluation, entry or tick, had for a timestamp and a height.
    pub(crate) last: (Timestamp, Height),
}

impl Position {
    /// Right after an entry.
    pub(crate) fn at(assignment: &protocol::Assignment) -> Position {
        Position {
            slot: assignment.slot,
            assignment: assignment.id(),
            chain: Id(assignment.hash_chain.0),
            timestamp: assignment.timestamp,
            height: assignment.block_height,
            ticks: None,
            last: (assignment.timestamp, assignment.block_height),
        }
    }

    /// The hash chain that the next entry must have.
    pub(crate) fn next_chain(&self) -> HashChain {
        HashChain(self.chain.0).after(self.assignment)
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { timestamp: self.timestamp.0, height: self.height.0 }
    }

    fn tick(&self) -> u64 {
        self.ticks.map_or(0, |ticks| ticks.step)
    }
}

/// The checkpoints of all processes. Everything here blocks on the disk.
#[derive(Clone)]
pub(crate) struct Checkpoints {
    blobs: Arc<dyn Blobs>,
    bases: Arc<Bases>,
    kept: usize,
}

/// Which checkpoints will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Any.
    Head,
    /// At or before that slot, and no tick after it.
    Slot(Slot),
}

impl Checkpoints {
    pub(crate) fn new(blobs: Arc<dyn Blobs>, kept: usize) -> Checkpoints {
        let bases = Arc::new(Bases::new(Arc::clone(&blobs)));
        Checkpoints { blobs, bases, kept: kept.max(1) }
    }

    /// The newest good checkpoint.
    pub(crate) fn newest(
        &self,
        process: ProcessId,
        module: ModuleId,
        until: Until,
    ) -> Option<(Position, Memory)> {
        let last = match until {
            Until::Head => name(process, Slot(u64::MAX), u64::MAX),
            Until::Slot(slot) => name(process, slot, 0),
        };
        let names = self.names(process);
        let read = |name: &String| match self.read(name, process, module) {
            Ok(checkpoint) => Some(checkpoint),
            Err(why) => {
                tracing::warn!(%process, %name, why, "a checkpoint is ignored");
                None
            }
        };
        names.iter().rev().filter(|name| **name <= last).find_map(read)
    }

    /// Writes a checkpoint, then forgets the oldest beyond those that are kept.
    pub(crate) fn save(
        &self,
        process: ProcessId,
        module: ModuleId,
        position: &Position,
        memory: &Memory,
    ) -> Result<(), store::Error> {
        let name = name(process, position.slot, position.tick());
        let base = self.bases.of(module, position.slot, memory);
        let base = base.as_deref();
        let (size_bytes, of) = (memory.size_bytes, base.map(|base| base.id));
        let header = Header { process, module, position: *position, size_bytes, base: of };
        let bytes = encode(&header, memory, base.map(|base| &base.memory));
        self.blobs.put_lightly(&name, &bytes)?;
        let names = self.names(process);
        let excess = names.len().saturating_sub(self.kept);
        names[..excess].iter().try_for_each(|name| self.blobs.delete_lightly(name))
    }

    /// Forgets checkpoints taken after ticks that followed `slot`: the schedule says now that they never were.
    pub(crate) fn forget_ticks(&self, process: ProcessId, slot: Slot) -> Result<(), store::Error> {
        let entry = name(process, slot, 0);
        let beyond = self.names(process).into_iter().filter(|name| *name > entry);
        beyond.into_iter().try_for_each(|name| self.blobs.delete(&name))
    }

    fn names(&self, process: ProcessId) -> Vec<String> {
        self.blobs.list(&prefix(process)).unwrap_or_else(|error| {
            tracing::warn!(%process, %error, "checkpoints cannot be listed");
            Vec::new()
        })
    }

    fn read(&self, name: &str, process: ProcessId, module: ModuleId) -> Result<(Position, Memory), String> {
        let bytes = self.blobs.get(name).map_err(|error| error.to_string())?.ok_or("it is gone")?;
        let (header, pages) = decode(&bytes)?;
        if (header.process, header.module) != (process, module) {
            return Err("it is of another process or module".to_owned());
        }
        let base = match header.base {
            Some(id) => Some(self.bases.named(module, id).ok_or("what it is the difference to is gone")?),
            None => None,
        };
        let memory = pages::decode(pages, header.size_bytes, base.as_deref().map(|base| &base.memory))?;
        Ok((header.position, memory))
    }
}

fn prefix(process: ProcessId) -> String {
    format!("checkpoint/{process}/")
}

/// Names of one process sort as its positions do.
fn name(process: ProcessId, slot: Slot, tick: u64) -> String {
    format!("{}{:020}-{tick:020}", prefix(process), slot.0)
}

/// What stands before the pages.
#[derive(Serialize, Deserialize)]
struct Header {
    process: ProcessId,
    module: ModuleId,
    position: Position,
    size_bytes: u64,
    /// What the pages are the difference to.
    base: Option<Id>,
}

const MAGIC: &[u8; 8] = b"pirn-cp2";

/// `magic | BLAKE3 of the rest | header length u32 | header JSON | pages`. The length has the lowest byte first.
fn encode(header: &Header, memory: &Memory, base: Option<&Memory>) -> Vec<u8> {
    let header = serde_json::to_vec(header).expect("a header is JSON");
    let mut bytes = [&MAGIC[..], &[0; blake3::OUT_LEN]].concat();
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    pages::encode(memory, base, &mut bytes);
    let (head, rest) = bytes.split_at_mut(MAGIC.len() + blake3::OUT_LEN);
    head[MAGIC.len()..].copy_from_slice(blake3::hash(rest).as_bytes());
    bytes
}

/// The header, and the pages as they are encoded.
fn decode(bytes: &[u8]) -> Result<(Header, &[u8]), &'static str> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is of another version")?;
    let (hash, rest) = rest.split_at_checked(blake3::OUT_LEN).ok_or(pages::SHORT)?;
    if blake3::hash(rest) != *hash {
        return Err("its content is not what its hash says");
    }
    let (header, rest) = pages::split_prefixed(rest).ok_or(pages::SHORT)?;
    let header = serde_json::from_slice(header).map_err(|_| "its header cannot be read")?;
    Ok((header, rest))
}

#[cfg(test)]
mod tests {
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

    fn newest(checkpoints: &Checkpoints, until: Until) -> Option<u64> {
        checkpoints.newest(PROCESS, MODULE, until).map(|(position, _)| position.slot.0)
    }

    #[test]
    fn the_newest_checkpoint_before_a_slot_is_found_and_old_ones_go() {
        let (blobs, checkpoints) = checkpoints();
        for slot in [3, 9, 10, 100] {
            checkpoints.save(PROCESS, MODULE, &position(slot), &memory(slot as u8)).unwrap();
        }
        assert_eq!(newest(&checkpoints, Until::Head), Some(100));
        assert_eq!(newest(&checkpoints, Until::Slot(Slot(100))), Some(100));
        assert_eq!(newest(&checkpoints, Until::Slot(Slot(99))), Some(10));
        assert_eq!(newest(&checkpoints, Until::Slot(Slot(8))), None, "three are kept");
        assert_eq!(blobs.list("checkpoint/").unwrap().len(), 3);
        let (found, content) = checkpoints.newest(PROCESS, MODULE, Until::Head).unwrap();
        assert_eq!((found, content), (position(100), memory(100)));
        assert!(checkpoints.newest(PROCESS, ModuleId(Id([1; 32])), Until::Head).is_none());
    }

    #[test]
    fn checkpoints_with_ticks_stand_after_their_slot() {
        let (_, checkpoints) = checkpoints();
        let ticked = Position {
            ticks: Some(serde_json::from_str(r#"{"step":9,"height":5,"reached":null}"#).unwrap()),
            ..position(4)
        };
        checkpoints.save(PROCESS, MODULE, &ticked, &memory(1)).unwrap();
        assert_eq!(newest(&checkpoints, Until::Slot(Slot(4))), None);
        assert_eq!(newest(&checkpoints, Until::Slot(Slot(5))), Some(4));
        checkpoints.forget_ticks(PROCESS, Slot(4)).unwrap();
        assert_eq!(newest(&checkpoints, Until::Head), None);
    }

    #[test]
    fn a_damaged_checkpoint_is_passed_over() {
        let (blobs, checkpoints) = checkpoints();
        checkpoints.save(PROCESS, MODULE, &position(1), &memory(1)).unwrap();
        checkpoints.save(PROCESS, MODULE, &position(2), &memory(2)).unwrap();
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
            checkpoints.save(process, MODULE, &position(3), &Memory::from_dense(dense)).unwrap();
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
            assert_eq!(found.1, Memory::from_dense(&dense));
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
        checkpoints.save(PROCESS, MODULE, &position(1000), &memory(1)).unwrap();
        let page = bytes::Bytes::from(vec![1; PAGE_BYTES]);
        let pages = (0..5000).map(|index| (index, page.clone())).collect();
        let large = Memory { size_bytes: 5000 * PAGE_BYTES as u64, pages };
        checkpoints.save(PROCESS, MODULE, &position(2), &large).unwrap();
        assert_eq!(blobs.list("base/").unwrap().len(), 0);
        assert_eq!(newest(&checkpoints, Until::Head), Some(1000));
        assert_eq!(checkpoints.newest(PROCESS, MODULE, Until::Slot(Slot(2))).unwrap().1, large);
    }
}
