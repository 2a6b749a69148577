//! The stable codes of everything that can go wrong, and what each means.

use std::str::FromStr;

use crate::Kind;

/// A number that a failure keeps for ever, so that people can look it up: `P0014`.
///
/// A code says more than the [`Kind`] and decides nothing: programs retry by the kind, people read by the code.
/// A code that was given out never changes its meaning and is never given out again (`tests/codes.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(u16);

/// What a code means.
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// Which.
    pub code: Code,
    /// A few words: what happened.
    pub title: &'static str,
    /// What it means, in whole sentences.
    pub meaning: &'static str,
    /// What usually leads to it.
    pub causes: &'static [&'static str],
    /// What to do, the likeliest first.
    pub remedies: &'static [&'static str],
}

/// What does not name a code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a code like P0007")]
pub struct NotACode(pub String);

impl Code {
    /// The code of a failure that has none of its own.
    pub fn of(kind: Kind) -> Code {
        match kind {
            Kind::NotFound => Code::NOT_FOUND,
            Kind::Invalid => Code::INVALID,
            Kind::TooLarge => Code::TOO_LARGE,
            Kind::Refused => Code::REFUSED,
            Kind::Forbidden => Code::FORBIDDEN,
            Kind::Conflict => Code::CONFLICT,
            Kind::Busy { .. } => Code::BUSY,
            Kind::Unavailable => Code::UNAVAILABLE,
            Kind::Internal => Code::INTERNAL,
        }
    }

    /// What it means.
    pub fn explain(self) -> &'static Explanation {
        let place = usize::from(self.0) - 1;
        Explanation::all().get(place).expect("a code is made only for an entry of the table")
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "P{:04}", self.0)
    }
}

/// `P0007`, `p7` or `7`.
impl FromStr for Code {
    type Err = NotACode;

    fn from_str(text: &str) -> Result<Code, NotACode> {
        let digits = text.strip_prefix(['P', 'p']).unwrap_or(text);
        let number = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let known = |number: &u16| (1..=Explanation::all().len()).contains(&usize::from(*number));
        number.filter(known).map(Code).ok_or_else(|| NotACode(text.to_owned()))
    }
}

impl Explanation {
    /// The whole table, in the order of the codes.
    pub fn all() -> &'static [Explanation] {
        crate::codes::TABLE
    }
}

/// Gives each entry of the table its constant.
macro_rules! codes {
    ($($number:literal $name:ident $title:literal
        means $meaning:literal
        causes [$($cause:literal),* $(,)?]
        remedies [$($remedy:literal),* $(,)?])*) => {
        impl crate::Code {
            $(#[doc = $title] pub const $name: crate::Code = crate::Code::numbered($number);)*
        }

        /// What each code means.
        pub(crate) const TABLE: &[crate::Explanation] = &[$(crate::Explanation {
            code: crate::Code::$name,
            title: $title,
            meaning: $meaning,
            causes: &[$($cause),*],
            remedies: &[$($remedy),*],
        }),*];
    };
}
pub(crate) use codes;

impl Code {
    pub(crate) const fn numbered(number: u16) -> Code {
        Code(number)
    }
}
