//! What becomes of something that failed.

use std::time::Duration;

use unit::{Error, Kind};

use crate::Options;
use crate::task::Task;

/// What to do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Try again, after a while.
    Again(Duration),
    /// It will not get better.
    GiveUp,
}

/// Decides about a failure that `task` has counted. No chance in it: the same failures wait the same time.
pub(crate) fn verdict(error: &Error, task: &Task, options: &Options) -> Verdict {
    let Task { failures, not_found, .. } = *task;
    if options.failures_max.is_some_and(|max| failures >= max) {
        return Verdict::GiveUp;
    }
    let wait = options.wait_after(failures);
    match error.kind {
        Kind::Busy { retry_after } => Verdict::Again(wait.max(retry_after)),
        // A unit that was away is no reason to believe it sooner when it is back and does not know something yet.
        Kind::NotFound if not_found < options.not_found_max => Verdict::Again(wait),
        kind if kind.is_transient() => Verdict::Again(wait),
        _ => Verdict::GiveUp,
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Id, Timestamp};

    use super::*;
    use crate::task::{Chain, Work};

    /// The verdict about the `failures`th failure of a task, all of the same kind.
    #[track_caller]
    fn check(kind: Kind, failures: u32, failures_max: Option<u32>, expect: Option<u64>) {
        let not_found = if kind == Kind::NotFound { failures } else { 0 };
        check_among(kind, (failures, not_found), failures_max, expect);
    }

    #[track_caller]
    fn check_among(
        kind: Kind,
        (failures, not_found): (u32, u32),
        failures_max: Option<u32>,
        expect: Option<u64>,
    ) {
        let options = Options {
            retry_first_ms: 100,
            retry_longest_ms: 1000,
            not_found_max: 3,
            failures_max,
            ..Options::default()
        };
        let expect = expect.map_or(Verdict::GiveUp, |ms| Verdict::Again(Duration::from_millis(ms)));
        let task = Task { failures, not_found, ..task() };
        assert_eq!(verdict(&Error::new(kind, "it failed"), &task, &options), expect);
    }

    fn task() -> Task {
        let message = Id([1; 32]);
        let chain = Chain {
            root: message,
            pushed_for: None,
            parent: None,
            sender: None,
            wallet: None,
            depth: 0,
            since: Timestamp(0),
        };
        let work = Work::Push { process: Id([2; 32]).into(), message, only: None };
        Task { number: 1, work, chain, after: None, failures: 0, not_found: 0, item: None }
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
        // It was away before.
        check_among(Kind::NotFound, (7, 2), None, Some(1000));
        check_among(Kind::NotFound, (7, 3), None, None);
    }

    #[test]
    fn what_was_declined_is_not_asked_again() {
        for kind in [Kind::Invalid, Kind::Refused, Kind::Forbidden, Kind::TooLarge, Kind::Conflict] {
            check(kind, 1, None, None);
        }
    }
}
