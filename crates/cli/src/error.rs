//! What a command could not do, and what the person can do about it.

use std::fmt::Display;

use unit::Code;

/// A command that failed. Says what, and what to do next; exits with `exit`.
#[derive(Debug)]
pub struct Failure {
    /// What `pirn explain` knows it by.
    pub code: Code,
    /// One lowercase phrase, causes included.
    pub what: String,
    /// Where in the person's own text it is: lines of it, and a caret.
    pub frame: Option<String>,
    /// What to do next.
    pub hints: Vec<String>,
    /// 1: it failed. 2: it was not asked for properly, or a port is taken.
    pub exit: u8,
}

/// The result of a command.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A command that failed.
    pub fn new(code: Code, what: impl Display) -> Failure {
        Failure { code, what: what.to_string(), frame: None, hints: Vec::new(), exit: 1 }
    }

    /// A command that was not asked for properly.
    pub fn usage(what: impl Display) -> Failure {
        Failure { exit: 2, ..Failure::new(Code::USAGE, what) }
    }

    /// The same, with something to do about it.
    pub fn hint(mut self, hint: impl Display) -> Failure {
        self.hints.push(hint.to_string());
        self
    }

    /// What to do next: what is known of this failure, or else where to read on.
    pub fn next(&self) -> Vec<String> {
        if self.hints.is_empty() {
            return vec![format!("`pirn explain {}` says what to do", self.code)];
        }
        self.hints.clone()
    }
}

impl From<unit::Error> for Failure {
    fn from(error: unit::Error) -> Failure {
        let hints = error.hint.into_iter().collect();
        Failure { code: error.code, what: error.what, frame: None, hints, exit: 1 }
    }
}

/// Adds where it went wrong to an error of any sort.
pub trait Context<T> {
    /// `what: the error`.
    fn context(self, code: Code, what: impl Display) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, code: Code, what: impl Display) -> Result<T> {
        self.map_err(|error| Failure::new(code, format!("{what}: {error}")))
    }
}
