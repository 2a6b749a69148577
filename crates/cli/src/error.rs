//! What a command could not do, and what the person can do about it.

use std::fmt::Display;

/// A command that failed. Says what, and what to do next; exits with `code`.
#[derive(Debug)]
pub struct Failure {
    /// One lowercase phrase, causes included.
    pub what: String,
    /// What to do next.
    pub hints: Vec<String>,
    /// 1: it failed. 2: it was not asked for properly, or a port is taken.
    pub code: u8,
}

/// The result of a command.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A command that failed.
    pub fn new(what: impl Display) -> Failure {
        Failure { what: what.to_string(), hints: Vec::new(), code: 1 }
    }

    /// A command that was not asked for properly.
    pub fn usage(what: impl Display) -> Failure {
        Failure { code: 2, ..Failure::new(what) }
    }

    /// The same, with something to do about it.
    pub fn hint(mut self, hint: impl Display) -> Failure {
        self.hints.push(hint.to_string());
        self
    }
}

impl From<unit::Error> for Failure {
    fn from(error: unit::Error) -> Failure {
        Failure { what: error.what, hints: error.hint.into_iter().collect(), code: 1 }
    }
}

/// Adds where it went wrong to an error of any sort.
pub trait Context<T> {
    /// `what: the error`.
    fn context(self, what: impl Display) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl Display) -> Result<T> {
        self.map_err(|error| Failure::new(format!("{what}: {error}")))
    }
}
