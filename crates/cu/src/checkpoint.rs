//! Checkpoints: the memory of a process at a place in its schedule, on this computer's disk.
//!
//! A checkpoint is a cache of a replay. One that is missing, damaged or of another module costs time and nothing
//! else, so reading never fails: it finds a good one or none.
//!
//! A checkpoint says only what is not in the [`base`](crate::base) of its module. Where a memory is large, the next ones
//! say only what changed since the one before: a whole checkpoint and those that follow it are a series. Each names the
//! one before by its hash, and a series is kept or deleted as one.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{HashChain, Height, Id, ModuleId, ProcessId, Slot, Timestamp};
use runtime::{Changes, Later, Machine, Memory, PAGE_BYTES, Refusal};
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

/// Pages of a memory that is large: below, a whole checkpoint costs hardly more than one of changes.
const LARGE: usize = (4 << 20) / PAGE_BYTES;
/// Checkpoints in a series, beside the whole one.
const LINKS_MAX: u32 = 15;
/// Ends the name of one that says what changed.
const CHANGES: &str = ".changes";

/// A checkpoint that the next one of the same machine may follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    name: String,
    /// Of its content.
    hash: Id,
    /// How many before it in its series.
    before: u32,
    /// Pages of the whole one.
    whole: usize,
    /// Pages that were written again since.
    since: usize,
}

impl Link {
    /// Whether one more is better than a whole one: a series has half again as many pages as its first, or hardly more.
    fn may_go_on(&self) -> bool {
        self.before < LINKS_MAX && self.since * 2 < self.whole
    }
}

/// What a checkpoint will say.
pub(crate) enum Taken {
    Whole(Later<Memory>),
    Changes(Later<Changes>, Link),
}

/// What a checkpoint says.
pub(crate) enum Said {
    Whole(Memory),
    Changes(Changes, Link),
}

impl Taken {
    /// Reads what is still in the machine. For a large memory that is a second.
    pub(crate) fn read(self) -> Result<Said, Refusal> {
        Ok(match self {
            Taken::Whole(memory) => Said::Whole(memory.read()?),
            Taken::Changes(changes, link) => Said::Changes(changes.read()?, link),
        })
    }
}

/// Takes the state of a machine, or what changed since the checkpoint that was taken of it last.
pub(crate) fn take(machine: &mut dyn Machine, last: Option<Link>) -> Result<Taken, Refusal> {
    if let Some(last) = last.filter(Link::may_go_on)
        && let Some(changes) = machine.changes()?
    {
        return Ok(Taken::Changes(changes, last));
    }
    let whole = machine.memory_later()?;
    if whole.pages_max() >= LARGE {
        machine.track();
    }
    Ok(Taken::Whole(whole))
}

/// A checkpoint that was read.
pub(crate) struct Found {
    pub(crate) position: Position,
    pub(crate) memory: Memory,
    /// If one of changes may follow it.
    pub(crate) link: Option<Link>,
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
    pub(crate) fn newest(&self, process: ProcessId, module: ModuleId, until: Until) -> Option<Found> {
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
        names.iter().rev().filter(|name| place(name) <= last.as_str()).find_map(read)
    }

    /// Writes a checkpoint, then forgets the oldest series beyond those that are kept. Answers with what the next one
    /// may follow.
    pub(crate) fn save(
        &self,
        process: ProcessId,
        module: ModuleId,
        position: &Position,
        said: &Said,
    ) -> Result<Option<Link>, store::Error> {
        let header =
            Header { process, module, position: *position, size_bytes: 0, base: None, after: None, pages: 0 };
        let name = name(process, position.slot, position.tick());
        let link = match said {
            Said::Whole(memory) => {
                let base = self.bases.of(module, position.slot, memory);
                let of = base.as_ref().map(|base| base.id);
                let header =
                    Header { size_bytes: memory.size_bytes, base: of, pages: memory.pages.len(), ..header };
                let base = base.as_deref().map(|base| &base.memory);
                let (bytes, hash) = encode(&header, |out| pages::encode(memory, base, out));
                self.blobs.put_lightly(&name, &bytes)?;
                header.link(name, hash)
            }
            Said::Changes(changes, after) => {
                let name = format!("{name}{CHANGES}");
                if name == after.name {
                    // Nothing was evaluated since.
                    return Ok(None);
                }
                let (size_bytes, pages) = (changes.size_bytes, changes.pages.len());
                let header = Header { size_bytes, pages, after: Some(after.clone()), ..header };
                let (bytes, hash) = encode(&header, |out| pages::encode_changes(changes, out));
                self.blobs.put_lightly(&name, &bytes)?;
                header.link(name, hash)
            }
        };
        let names = self.names(process);
        let mut excess = names.len().saturating_sub(self.kept);
        // Not what one that stays follows.
        while names.get(excess).is_some_and(|name| name.ends_with(CHANGES)) && excess > 0 {
            excess -= 1;
        }
        names[..excess].iter().try_for_each(|name| self.blobs.delete_lightly(name))?;
        Ok(link)
    }

    /// Forgets checkpoints taken after ticks that followed `slot`: the schedule says now that they never were.
    pub(crate) fn forget_ticks(&self, process: ProcessId, slot: Slot) -> Result<(), store::Error> {
        let entry = name(process, slot, 0);
        let beyond = self.names(process).into_iter().filter(|name| place(name) > entry.as_str());
        beyond.into_iter().try_for_each(|name| self.blobs.delete(&name))
    }

    fn names(&self, process: ProcessId) -> Vec<String> {
        self.blobs.list(&prefix(process)).unwrap_or_else(|error| {
            tracing::warn!(%process, %error, "checkpoints cannot be listed");
            Vec::new()
        })
    }

    fn read(&self, name: &str, process: ProcessId, module: ModuleId) -> Result<Found, String> {
        let mut series = vec![self.part(name, process, module)?];
        while let Some(after) = series.last().and_then(|part| part.header.after.as_ref()) {
            if series.len() > LINKS_MAX as usize {
                return Err(format!("more than {LINKS_MAX} follow each other"));
            }
            let part =
                self.part(&after.name, process, module).map_err(|why| format!("{}: {why}", after.name))?;
            if part.hash != after.hash {
                return Err(format!("{} is another one than it follows", after.name));
            }
            series.push(part);
        }
        let mut memory = None;
        for Part { header, bytes, at, .. } in series.iter().rev() {
            let base = match header.base {
                Some(id) => Some(self.bases.named(module, id).ok_or("what it is the difference to is gone")?),
                None => None,
            };
            let before = memory.as_ref().or(base.as_deref().map(|base| &base.memory));
            memory = Some(pages::decode(&bytes[*at..], header.size_bytes, before)?);
        }
        let Part { header, hash, .. } = series.swap_remove(0);
        let position = header.position;
        Ok(Found { position, memory: memory.unwrap_or_default(), link: header.link(name.to_owned(), hash) })
    }

    /// One of a series.
    fn part(&self, name: &str, process: ProcessId, module: ModuleId) -> Result<Part, String> {
        let bytes = self.blobs.get(name).map_err(|error| error.to_string())?.ok_or("it is gone")?;
        let (header, hash, at) = decode(&bytes)?;
        if (header.process, header.module) != (process, module) {
            return Err("it is of another process or module".to_owned());
        }
        Ok(Part { header, hash, bytes, at })
    }
}

/// A checkpoint as it is on the disk.
struct Part {
    header: Header,
    hash: Id,
    bytes: Bytes,
    /// Where its pages begin.
    at: usize,
}

fn prefix(process: ProcessId) -> String {
    format!("checkpoint/{process}/")
}

/// Names of one process sort as its positions do.
fn name(process: ProcessId, slot: Slot, tick: u64) -> String {
    format!("{}{:020}-{tick:020}", prefix(process), slot.0)
}

/// The name without how it is written: what sorts.
fn place(name: &str) -> &str {
    name.strip_suffix(CHANGES).unwrap_or(name)
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
    /// The checkpoint that the pages are changes of.
    #[serde(default)]
    after: Option<Link>,
    /// How many pages it says, or said before the base was taken away.
    #[serde(default)]
    pages: usize,
}

impl Header {
    /// For one that follows it.
    fn link(&self, name: String, hash: Id) -> Option<Link> {
        let link = match &self.after {
            None => Link { name, hash, before: 0, whole: self.pages, since: 0 },
            Some(after) => {
                let (before, since) = (after.before + 1, after.since.saturating_add(self.pages));
                Link { name, hash, before, whole: after.whole, since }
            }
        };
        (link.whole >= LARGE).then_some(link)
    }
}

/// Of one that stands alone, or on a base.
const WHOLE: &[u8; 8] = b"pirn-cp2";
/// Of one that follows another.
const FOLLOWS: &[u8; 8] = b"pirn-cp3";

/// `magic | BLAKE3 of the rest | header length u32 | header JSON | pages`, and that hash. The length has the lowest byte
/// first.
fn encode(header: &Header, pages: impl FnOnce(&mut Vec<u8>)) -> (Vec<u8>, Id) {
    let magic = if header.after.is_some() { FOLLOWS } else { WHOLE };
    let header = serde_json::to_vec(header).expect("a header is JSON");
    let mut bytes = [&magic[..], &[0; blake3::OUT_LEN]].concat();
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    pages(&mut bytes);
    let (head, rest) = bytes.split_at_mut(magic.len() + blake3::OUT_LEN);
    let hash = blake3::hash(rest);
    head[magic.len()..].copy_from_slice(hash.as_bytes());
    (bytes, Id(hash.into()))
}

/// The header, the hash, and where the pages begin.
fn decode(bytes: &[u8]) -> Result<(Header, Id, usize), &'static str> {
    let (magic, rest) = bytes.split_at_checked(WHOLE.len()).ok_or(pages::SHORT)?;
    if magic != WHOLE && magic != FOLLOWS {
        return Err("it is of another version");
    }
    let (said, rest) = rest.split_at_checked(blake3::OUT_LEN).ok_or(pages::SHORT)?;
    let hash = blake3::hash(rest);
    if hash != *said {
        return Err("its content is not what its hash says");
    }
    let (header, rest) = pages::split_prefixed(rest).ok_or(pages::SHORT)?;
    let header = serde_json::from_slice(header).map_err(|_| "its header cannot be read")?;
    Ok((header, Id(hash.into()), bytes.len() - rest.len()))
}

#[cfg(test)]
mod tests;
