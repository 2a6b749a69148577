//! Where the gas of an evaluation went: which functions of the guest's own language it was used in.
//!
//! The guest is an interpreter that knows nothing of this. A runtime looks at its memory while it runs, and a
//! [`Stacks`] says what that memory means; so a profile changes neither what the guest does nor what that costs.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::Module;

/// Reads from the memory of an interpreter which of its functions run.
pub trait Stacks: Send + Sync {
    /// Whether it knows what the memory of this module means.
    fn reads(&self, module: &Module) -> bool;

    /// Puts the functions that run into `stack`, the outermost first. False where the memory says nothing that can be
    /// right: the interpreter is in the middle of changing it.
    fn read(&self, memory: &[u8], stack: &mut Vec<Running>) -> bool;

    /// Which function that is.
    fn name(&self, memory: &[u8], function: Running) -> Function;
}

/// A function that runs, by where in the memory it is. Means nothing after the evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Running(pub u128);

/// A function of the guest's language.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// It was written in that language.
    Script {
        /// What its chunk is called: `@` and a file, or `=` and a name, or its text.
        source: Arc<str>,
        /// The line on which it begins, from 1; 0 is the chunk itself.
        line: u32,
    },
    /// The interpreter has it; its name, where it has one.
    Builtin(Option<Arc<str>>),
}

/// Where the gas of one evaluation went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// By functions that ran in one another, the outermost first: the gas used in the innermost itself. With no
    /// function: what the interpreter used before and after all of them. The sum is the gas of the outcome.
    pub stacks: BTreeMap<Vec<Function>, u64>,
}
