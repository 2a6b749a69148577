//! A state that is read later than it was.

use crate::{Memory, Refusal};

/// Something of a machine's state, as it was when this was taken. The machine goes on meanwhile, and this can be read
/// on another thread: a large memory takes a second.
pub struct Later<T> {
    pages_max: usize,
    read: Box<dyn FnOnce() -> Result<T, Refusal> + Send>,
}

impl<T> Later<T> {
    /// What `read` reads: at most so many pages.
    pub fn new(pages_max: usize, read: impl FnOnce() -> Result<T, Refusal> + Send + 'static) -> Later<T> {
        Later { pages_max, read: Box::new(read) }
    }

    /// How many pages it has, or a few more.
    pub fn pages_max(&self) -> usize {
        self.pages_max
    }

    /// The state.
    pub fn read(self) -> Result<T, Refusal> {
        (self.read)()
    }
}

impl From<Memory> for Later<Memory> {
    fn from(memory: Memory) -> Later<Memory> {
        Later::new(memory.pages.len(), move || Ok(memory))
    }
}
