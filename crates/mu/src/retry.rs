//! What becomes of something that failed.

use std::time::Duration;

use unit::{Error, Kind};

use crate::Options;

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Try again, after a while.
    Again(Duration),
    /// It will not get better.
    GiveUp,
}

/// Decides about the `failures`th failure of a task. No chance in it: the same failures wait the same time.
pub(crate) fn verdict(error: &Error, failures: u32, options: &Options) -> Verdict {
    if options.failures_max.is_some_and(|max| failures >= max) {
        return Verdict::GiveUp;
    }
    let wait = options.wait_after(failures);
    match error.kind {
        Kind::Busy { retry_after } => Verdict::Again(wait.max(retry_after)),
        Kind::NotFound if failures < options.not_found_max => Verdict::Again(wait),
        kind if kind.is_transient() => Verdict::Again(wait),
        _ => Verdict::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Kind, failures: u32, failures_max: Option<u32>, expect: Option<u64>) {
        let options = Options {
            retry_first_ms: 100,
            retry_longest_ms: 1000,
            not_found_max: 3,
            failures_max,
            ..Options::default()
        };
        let expect = expect.map_or(Verdict::GiveUp, |ms| Verdict::Again(Duration::from_millis(ms)));
        assert_eq!(verdict(&Error::new(kind, "it failed"), failures, &options), expect);
    }

    #[test]
    fn a_unit_that_is_down_is_asked_again_for_ever_and_ever_less_often() {
        for (failures, wait) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (64, 1000), (65, 1000)] {
            check(Kind::Unavailable, failures, None, Some(wait));
        }
        check(Kind::Internal, 1_000_000, None, Some(1000));
        check(Kind::Unavailable, 4, Some(5), Some(800));
        check(Kind::Unavailable, 5, Some(5), None);
    }

    #[test]
    fn a_busy_unit_says_itself_when_to_come_back() {
        let busy = |ms| Kind::Busy { retry_after: Duration::from_millis(ms) };
        check(busy(5000), 1, None, Some(5000));
        check(busy(10), 3, None, Some(400));
    }

    #[test]
    fn what_a_unit_does_not_know_it_may_only_not_know_yet() {
        check(Kind::NotFound, 2, None, Some(200));
        check(Kind::NotFound, 3, None, None);
    }

    #[test]
    fn what_was_declined_is_not_asked_again() {
        for kind in [Kind::Invalid, Kind::Refused, Kind::Forbidden, Kind::TooLarge, Kind::Conflict] {
            check(kind, 1, None, None);
        }
    }
}
