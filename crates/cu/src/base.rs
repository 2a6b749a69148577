//! Bases: what the memories of a module's processes have in common.
//!
//! After its first messages the memory of a process is nearly that of any other process of the module: libraries are
//! loaded, and in the same places. So the first young memory of a module is kept, under its hash, and checkpoints say
//! what is different: of Pirn's Lua 3 KB instead of 220. A base never changes. If it is lost, so are the checkpoints
//! that name it, and checkpoints are a cache.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use protocol::{Id, ModuleId, Slot};
use runtime::{Memory, PAGE_BYTES};
use store::Blobs;

use crate::line::lock;
use crate::pages;

/// The latest slot of a memory that becomes a base. Later ones have too much of their own.
const YOUNG: Slot = Slot(16);
/// Bytes of pages of a base at most: the bases of some modules are held in memory.
const BASE_BYTES_MAX: usize = 16 << 20;
/// Bases in memory. One more, and all are read again when they are asked for.
const BASES_MAX: usize = 32;

/// What checkpoints of a module are the difference to.
pub(crate) struct Base {
    /// The hash of what is kept.
    pub(crate) id: Id,
    pub(crate) memory: Memory,
}

/// The bases of all modules. Everything here may block on the disk.
pub(crate) struct Bases {
    blobs: Arc<dyn Blobs>,
    known: Mutex<BTreeMap<(ModuleId, Id), Arc<Base>>>,
}

impl Bases {
    pub(crate) fn new(blobs: Arc<dyn Blobs>) -> Bases {
        Bases { blobs, known: Mutex::default() }
    }

    /// The base of a module. If there is none yet, this memory, as it is at that slot, becomes it if it will do.
    pub(crate) fn of(&self, module: ModuleId, slot: Slot, memory: &Memory) -> Option<Arc<Base>> {
        let first = (module, Id([0; 32]));
        // Under the lock, so that those who ask at the same time agree.
        let mut known = lock(&self.known);
        if let Some((_, base)) = known.range(first..).next().filter(|((of, _), _)| *of == module) {
            return Some(Arc::clone(base));
        }
        let names = self.blobs.list(&prefix(module)).unwrap_or_default();
        let ids = names.iter().filter_map(|name| name.rsplit('/').next()?.parse().ok());
        let base = ids.into_iter().find_map(|id| self.read(module, id));
        let base = base.or_else(|| self.make(module, slot, memory))?;
        keep(&mut known, module, &base);
        Some(base)
    }

    /// The base of that hash.
    pub(crate) fn named(&self, module: ModuleId, id: Id) -> Option<Arc<Base>> {
        let mut known = lock(&self.known);
        if let Some(base) = known.get(&(module, id)) {
            return Some(Arc::clone(base));
        }
        let base = self.read(module, id)?;
        keep(&mut known, module, &base);
        Some(base)
    }

    fn make(&self, module: ModuleId, slot: Slot, memory: &Memory) -> Option<Arc<Base>> {
        if slot > YOUNG || memory.pages.len() * PAGE_BYTES > BASE_BYTES_MAX {
            return None;
        }
        let mut bytes = memory.size_bytes.to_le_bytes().to_vec();
        pages::encode(memory, None, &mut bytes);
        let id = Id(blake3::hash(&bytes).into());
        // Durable: many checkpoints will need it.
        if let Err(error) = self.blobs.put(&name(module, id), &bytes) {
            tracing::warn!(%module, %error, "what its checkpoints have in common could not be written");
            return None;
        }
        Some(Arc::new(Base { id, memory: memory.clone() }))
    }

    fn read(&self, module: ModuleId, id: Id) -> Option<Arc<Base>> {
        let bytes = match self.blobs.get(&name(module, id)) {
            Ok(bytes) => bytes.filter(|bytes| blake3::hash(bytes) == id.0)?,
            Err(error) => {
                tracing::warn!(%module, %error, "what its checkpoints have in common cannot be read");
                return None;
            }
        };
        let (size_bytes, pages) = bytes.split_at_checked(8)?;
        let size_bytes = u64::from_le_bytes(size_bytes.try_into().ok()?);
        let memory = pages::decode(pages, size_bytes, None).ok()?;
        Some(Arc::new(Base { id, memory }))
    }
}

fn keep(known: &mut BTreeMap<(ModuleId, Id), Arc<Base>>, module: ModuleId, base: &Arc<Base>) {
    if known.len() >= BASES_MAX {
        known.clear();
    }
    known.insert((module, base.id), Arc::clone(base));
}

fn prefix(module: ModuleId) -> String {
    format!("base/{module}/")
}

fn name(module: ModuleId, id: Id) -> String {
    format!("{}{id}", prefix(module))
}
