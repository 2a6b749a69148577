//! What crosses a contract when something cannot be done.

use std::time::Duration;

use crate::Code;

/// The result of a contract's verb.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a unit did not do what it was asked. A remote unit fails exactly like a local one: `http` maps the kind to a
/// status and back, and retry policy reads the kind and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What sort of failure.
    pub kind: Kind,
    /// What to look it up by; says more than the kind, and decides nothing.
    pub code: Code,
    /// What could not be done, to what, and why; one lowercase phrase without a full stop.
    pub what: String,
    /// What the caller can do about it.
    pub hint: Option<String>,
}

/// What sort of failure, as far as the caller must tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It does not exist, as far as this unit knows. 404.
    NotFound,
    /// The request is wrong and will be wrong again. 400.
    Invalid,
    /// The request is larger than what is accepted. 413.
    TooLarge,
    /// Well-formed, but this operator or the protocol declines (limits, formats, ownership). 422.
    Refused,
    /// The signer may not do that. 403.
    Forbidden,
    /// It is there already. 409.
    Conflict,
    /// Too much at once; try again. 429.
    Busy {
        /// When.
        retry_after: Duration,
    },
    /// It, or what it needs, cannot be reached now; try again. 503.
    Unavailable,
    /// Our own fault. 500.
    Internal,
}

impl Kind {
    /// Whether the same request may succeed later.
    pub fn is_transient(self) -> bool {
        matches!(self, Kind::Busy { .. } | Kind::Unavailable | Kind::Internal)
    }
}

impl Error {
    /// An error of that kind, with the kind's own code.
    pub fn new(kind: Kind, what: impl Into<String>) -> Error {
        Error { kind, code: Code::of(kind), what: what.into(), hint: None }
    }

    /// The same, with something to do about it.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// The same, under a code of its own.
    pub fn with_code(mut self, code: Code) -> Error {
        self.code = code;
        self
    }

    /// `NotFound`.
    pub fn not_found(what: impl Into<String>) -> Error {
        Error::new(Kind::NotFound, what)
    }

    /// `Invalid`.
    pub fn invalid(what: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, what)
    }

    /// `Refused`.
    pub fn refused(what: impl Into<String>) -> Error {
        Error::new(Kind::Refused, what)
    }

    /// The same with what to do next, if that is known.
    pub fn with_hint_if(self, hint: Option<impl Into<String>>) -> Error {
        match hint {
            Some(hint) => self.with_hint(hint),
            None => self,
        }
    }

    /// `Unavailable`.
    pub fn unavailable(what: impl Into<String>) -> Error {
        Error::new(Kind::Unavailable, what)
    }

    /// `Internal`, from anything that can be shown, its sources included.
    pub fn internal(error: &dyn std::error::Error) -> Error {
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            what.push_str(": ");
            what.push_str(&cause.to_string());
            source = cause.source();
        }
        Error::new(Kind::Internal, what)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
