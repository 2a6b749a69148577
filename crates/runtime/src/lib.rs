//! The contract of a process runtime: (memory, message) → (memory, outcome).
//!
//! Synchronous and pure: no clock, no randomness, no file, no socket. Same memory, same input: same outcome, on
//! every computer, forever. The one thing that is read from outside is the weave, which does not change ([`Drive`]).
//!
//! [`Runtime`] turns a module into a [`Program`]; a program starts [`Machine`]s; a machine is one process in
//! memory. What the guest gets wrong is in the [`Outcome`](protocol::Outcome); what this operator declines is a
//! [`Refusal`] and is never recorded as state.

mod drive;
mod input;
mod later;
mod limits;
mod memory;
mod profile;
mod root;
#[cfg(feature = "suite")]
pub mod suite;

use std::sync::Arc;

pub use drive::{
    DRIVE_BYTES_MAX, DRIVE_BYTES_PER_OPERATOR, DRIVE_OPEN_OPERATORS, DRIVE_OPENS_MAX, Drive, Opened, Unopened,
};
pub use input::{Environment, Input};
pub use later::Later;
pub use limits::{BadLimit, Limits, parse_memory_limit};
pub use memory::{Changes, Memory, PAGE_BYTES};
pub use profile::{Function, Profile, Running, Stacks};
pub use root::Pages;

/// Version of the table that says what an evaluation costs. In every outcome; a new table is a new version,
/// and recorded outcomes never change.
pub const GAS_SCHEDULE: u32 = 1;

/// Units of `Compute-Limit` that one WASM operator costs in formats that are not metered by the module itself.
pub const GAS_PER_OPERATOR: u64 = 100;

/// Runs modules of some formats.
pub trait Runtime: Send + Sync {
    /// Whether `Module-Format` is one of its own.
    fn runs(&self, format: &str) -> bool;

    /// Compiles a module (slow, once per module). Refuses bytes that are no module of that format.
    fn load(&self, module: &protocol::Module) -> Result<Arc<dyn Program>, Refusal>;
}

/// A module, compiled. Shared by all its processes.
pub trait Program: Send + Sync {
    /// A machine of this program: fresh, or with the memory of a checkpoint.
    fn start(&self, start: Start) -> Result<Box<dyn Machine>, Refusal>;
}

/// What a machine starts from.
#[derive(Debug, Clone)]
pub struct Start {
    /// The process and the module, as the guest sees them.
    pub environment: Arc<Environment>,
    /// What one evaluation may use.
    pub limits: Limits,
    /// The memory to go on from; `None` starts empty.
    pub memory: Option<Memory>,
    /// Reads the weave for it; `None` where nothing of the weave is available to guests.
    pub drive: Option<Arc<dyn Drive>>,
}

/// A process in memory.
pub trait Machine: Send {
    /// Evaluates one message. An outcome with an error leaves the memory as it was before.
    fn handle(&mut self, input: &Input) -> Result<protocol::Outcome, Refusal>;

    /// The same for a message that was encoded before its turn, beside the evaluation of others: `text` is its
    /// [`Input::to_json`]. A machine that reads no text leaves it.
    fn handle_encoded(&mut self, input: &Input, text: &str) -> Result<protocol::Outcome, Refusal> {
        let _ = text;
        self.handle(input)
    }

    /// A copy that shares unchanged memory and goes its own way: for dry runs.
    fn fork(&mut self) -> Result<Box<dyn Machine>, Refusal>;

    /// The whole state, sparse.
    fn memory(&mut self) -> Result<Memory, Refusal>;

    /// The whole state as it is now, to be read while the machine goes on.
    fn memory_later(&mut self) -> Result<Later<Memory>, Refusal> {
        self.memory().map(Later::from)
    }

    /// From here on, [`changes`](Machine::changes) are counted.
    fn track(&mut self) {}

    /// What changed since it was asked last, or since [`track`](Machine::track): for checkpoints that say only that.
    /// `None` if it does not know; then [`memory`](Machine::memory) says all.
    fn changes(&mut self) -> Result<Option<Later<Changes>>, Refusal> {
        Ok(None)
    }

    /// The root of the state (see [`Pages`]). The same for every machine with the same memory, however it came to it.
    fn root(&mut self) -> Result<protocol::Digest, Refusal> {
        Ok(self.memory()?.root())
    }

    /// Bytes of this computer's memory that it holds, roughly.
    fn resident_bytes(&self) -> u64;

    /// Where the gas of the last evaluation went. `None` unless the runtime was told to look, and can.
    fn take_profile(&mut self) -> Option<Profile> {
        None
    }
}

/// This operator declines. Never stored as an outcome: another operator may accept.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No runtime here knows the format.
    #[error("module format {format:?} is not supported here")]
    Format {
        /// The `Module-Format` tag.
        format: String,
    },
    /// The bytes are not a module of their format.
    #[error("module {module} cannot be loaded: {why}")]
    Module {
        /// Which module.
        module: protocol::ModuleId,
        /// What is wrong with it.
        why: String,
    },
    /// A checkpoint does not fit the module or its limits.
    #[error("the memory cannot be restored: {why}")]
    Memory {
        /// Why.
        why: String,
    },
    /// Something that the guest reads from the weave is not to be had now, or not what was signed.
    #[error("the weave cannot be read for this evaluation: {what}")]
    Weave {
        /// What was read, and why it cannot be.
        what: String,
    },
    /// The operating system did not give what was needed.
    #[error("this computer refused {what}")]
    System {
        /// What was asked for.
        what: String,
    },
}
