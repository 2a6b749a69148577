//! Refusals: the table of kinds and statuses, and the text that carries one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use unit::{Code, Error, Kind};

/// The header of every refusal that carries its [`Code`]: the body stays as old clients know it.
pub const CODE: &str = "pirn-error";

/// The body of every refusal on a unit's routes. Clients show it as it is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// What could not be done, and the hint in brackets if there is one.
    pub error: String,
}

/// The status of a kind.
pub fn status(kind: Kind) -> u16 {
    match kind {
        Kind::Invalid => 400,
        Kind::Forbidden => 403,
        Kind::NotFound => 404,
        Kind::Conflict => 409,
        Kind::TooLarge => 413,
        Kind::Refused => 422,
        Kind::Busy { .. } => 429,
        Kind::Internal => 500,
        Kind::Unavailable => 503,
    }
}

/// The kind of a status. `retry_after` is what the header of that name says.
pub fn kind(status: u16, retry_after: Option<Duration>) -> Kind {
    match status {
        403 | 401 => Kind::Forbidden,
        404 | 410 => Kind::NotFound,
        409 => Kind::Conflict,
        413 => Kind::TooLarge,
        422 => Kind::Refused,
        // 425: the unit cannot go that far back now.
        425 | 429 => Kind::Busy { retry_after: retry_after.unwrap_or(Duration::from_secs(1)) },
        502..=504 => Kind::Unavailable,
        400..=499 => Kind::Invalid,
        _ => Kind::Internal,
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Refusal {
        Refusal { error: error.to_string() }
    }
}

impl Refusal {
    /// The refusal as an error again, hint and all. `code` is what the header says, if the unit is one that says it.
    pub fn into_error(self, kind: Kind, code: Option<Code>) -> Error {
        let hinted = self.error.strip_suffix(')').and_then(|text| text.split_once(" (hint: "));
        let (what, hint) = match hinted {
            Some((what, hint)) => (what.to_owned(), Some(hint.to_owned())),
            None => (self.error, None),
        };
        // The reference's scheduler says 400 whatever is wrong.
        let missing = kind == Kind::Invalid && (what.ends_with("not found") || what.starts_with("NotFound("));
        let kind = if missing { Kind::NotFound } else { kind };
        Error { kind, code: code.unwrap_or(Code::of(kind)), what, hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: Error) {
        let (status, text) = (status(error.kind), Refusal::from(&error));
        let retry_after = match error.kind {
            Kind::Busy { retry_after } => Some(retry_after),
            _ => None,
        };
        assert_eq!(text.into_error(kind(status, retry_after), error.code.to_string().parse().ok()), error);
    }

    #[test]
    fn a_refusal_is_the_same_at_the_other_end() {
        use Kind::*;
        let busy = Busy { retry_after: Duration::from_secs(7) };
        for kind in [NotFound, Invalid, TooLarge, Refused, Forbidden, Conflict, busy, Unavailable, Internal] {
            check(Error::new(kind, "slot 9 of p is not scheduled (yet)"));
            check(Error::new(kind, "slot 9 of p is not scheduled").with_hint("the latest is 8 (of p)"));
            check(Error::new(kind, "slot 9 of p is not scheduled").with_code(Code::NOT_SCHEDULED));
        }
    }

    #[test]
    fn a_reference_scheduler_that_says_400_may_mean_not_found() {
        for text in ["Message or Process not found", "NotFound(\"Process not found\")"] {
            assert_eq!(
                Refusal { error: text.to_owned() }.into_error(kind(400, None), None).kind,
                Kind::NotFound
            );
        }
    }
}
