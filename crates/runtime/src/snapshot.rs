//! A state that is read later than it was.

use crate::{Memory, Refusal};

/// What a machine's state was when this was taken. The machine goes on meanwhile, and this can be read on another
/// thread: a large memory takes a second.
pub struct Snapshot {
    pages_max: usize,
    read: Box<dyn FnOnce() -> Result<Memory, Refusal> + Send>,
}

impl Snapshot {
    /// One that `read` reads: at most so many pages.
    pub fn new(
        pages_max: usize,
        read: impl FnOnce() -> Result<Memory, Refusal> + Send + 'static,
    ) -> Snapshot {
        Snapshot { pages_max, read: Box::new(read) }
    }

    /// How many pages it has, or a few more.
    pub fn pages_max(&self) -> usize {
        self.pages_max
    }

    /// The state.
    pub fn read(self) -> Result<Memory, Refusal> {
        (self.read)()
    }
}

impl From<Memory> for Snapshot {
    fn from(memory: Memory) -> Snapshot {
        Snapshot::new(memory.pages.len(), move || Ok(memory))
    }
}
