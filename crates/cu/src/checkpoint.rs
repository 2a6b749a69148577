//! Checkpoints: the memory of a process at a place in its schedule, on this computer's disk.
//!
//! A checkpoint is a cache of a replay. One that is missing, damaged or of another module costs time and nothing
//! else, so reading never fails: it finds a good one or none.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{HashChain, Height, Id, ModuleId, ProcessId, Slot, Timestamp};
use runtime::{Memory, PAGE_BYTES};
use serde::{Deserialize, Serialize};
use store::Blobs;

use crate::cron::{Moment, Progress};

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
        Checkpoints { blobs, kept: kept.max(1) }
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
        self.blobs.put(&name, &encode(process, module, position, memory))?;
        let names = self.names(process);
        let excess = names.len().saturating_sub(self.kept);
        names[..excess].iter().try_for_each(|name| self.blobs.delete(name))
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
        let (header, memory) = decode(&bytes)?;
        if (header.process, header.module) != (process, module) {
            return Err("it is of another process or module".to_owned());
        }
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
    pages: u64,
}

const MAGIC: &[u8; 8] = b"pirn-cp1";
/// Pages that are compressed together: 1 MiB, so that one block needs little memory besides.
const BLOCK_PAGES: usize = 256;
/// Number and content.
const PAGE_RECORD: usize = 8 + PAGE_BYTES;

/// `magic | BLAKE3 of the rest | header length u32 | header JSON | blocks`; a block is `length u32 | LZ4 of pages`,
/// a page is `number u64 | content`. Numbers are little-endian.
fn encode(process: ProcessId, module: ModuleId, position: &Position, memory: &Memory) -> Vec<u8> {
    let header = Header {
        process,
        module,
        position: *position,
        size_bytes: memory.size_bytes,
        pages: memory.pages.len() as u64,
    };
    let header = serde_json::to_vec(&header).expect("a header is JSON");
    let mut bytes = [&MAGIC[..], &[0; blake3::OUT_LEN]].concat();
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    let mut plain = Vec::with_capacity(BLOCK_PAGES * PAGE_RECORD);
    for pages in memory.pages.chunks(BLOCK_PAGES) {
        plain.clear();
        for (number, page) in pages {
            plain.extend(number.to_le_bytes());
            plain.extend_from_slice(page);
        }
        let block = lz4_flex::compress(&plain);
        bytes.extend((block.len() as u32).to_le_bytes());
        bytes.extend(block);
    }
    let (head, rest) = bytes.split_at_mut(MAGIC.len() + blake3::OUT_LEN);
    head[MAGIC.len()..].copy_from_slice(blake3::hash(rest).as_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<(Header, Memory), &'static str> {
    const SHORT: &str = "it is cut short";
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is of another version")?;
    let (hash, rest) = rest.split_at_checked(blake3::OUT_LEN).ok_or(SHORT)?;
    if blake3::hash(rest) != *hash {
        return Err("its content is not what its hash says");
    }
    let (header, mut rest) = split_prefixed(rest).ok_or(SHORT)?;
    let header: Header = serde_json::from_slice(header).map_err(|_| "its header cannot be read")?;
    let mut memory = Memory { size_bytes: header.size_bytes, pages: Vec::new() };
    while !rest.is_empty() {
        let (block, after) = split_prefixed(rest).ok_or(SHORT)?;
        rest = after;
        let plain =
            lz4_flex::decompress(block, BLOCK_PAGES * PAGE_RECORD).map_err(|_| "a block is damaged")?;
        let plain = Bytes::from(plain);
        for at in (0..plain.len()).step_by(PAGE_RECORD) {
            let record = plain.get(at..at + PAGE_RECORD).ok_or(SHORT)?;
            let number = u64::from_le_bytes(record[..8].try_into().expect("it is eight bytes"));
            memory.pages.push((number, plain.slice(at + 8..at + PAGE_RECORD)));
        }
    }
    if memory.pages.len() as u64 != header.pages {
        return Err("pages are missing");
    }
    Ok((header, memory))
}

fn split_prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    rest.split_at_checked(u32::from_le_bytes(length.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(blobs.list("").unwrap().len(), 3);
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
        let good = encode(PROCESS, MODULE, &position(2), &memory(2));
        for at in [0, 9, 41, 60, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            blobs.put(&name(PROCESS, Slot(2), 0), &bad).unwrap();
            assert_eq!(newest(&checkpoints, Until::Head), Some(1), "byte {at}");
        }
        blobs.put(&name(PROCESS, Slot(2), 0), &good[..good.len() / 2]).unwrap();
        assert_eq!(newest(&checkpoints, Until::Head), Some(1));
        blobs.put(&name(PROCESS, Slot(2), 0), &good).unwrap();
        assert_eq!(newest(&checkpoints, Until::Head), Some(2));
    }
}
