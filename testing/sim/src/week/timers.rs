//! Which timers the processes have, and which ticks these must bring: worked out apart from the scheduler, from nothing
//! but the moments, the policy, and what the scheduler's clock showed while it was up.

use std::collections::BTreeSet;

use protocol::ProcessId;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A kind of timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The tag that opens it.
    pub tag: &'static str,
    /// What that says.
    pub text: &'static str,
    /// Milliseconds between two of its moments.
    every: u64,
    /// When its moments are, after a multiple of that since 1970, ms; None if they are counted from its start.
    of_calendar: Option<u64>,
    /// How many of a thousand processes have it.
    pub share: usize,
}

/// All of them, the most frequent first.
pub const KINDS: [Kind; 8] = [
    Kind { tag: "Tick-Interval", text: "1-minute", every: MINUTE, of_calendar: None, share: 2 },
    Kind { tag: "Tick-Interval", text: "5-minutes", every: 5 * MINUTE, of_calendar: None, share: 8 },
    Kind { tag: "Tick-Interval", text: "15-minutes", every: 15 * MINUTE, of_calendar: None, share: 25 },
    Kind { tag: "Tick-Cron", text: "*/30 * * * *", every: 30 * MINUTE, of_calendar: Some(0), share: 65 },
    Kind { tag: "Tick-Interval", text: "1-hour", every: HOUR, of_calendar: None, share: 150 },
    Kind { tag: "Tick-Cron", text: "0 */6 * * *", every: 6 * HOUR, of_calendar: Some(0), share: 250 },
    Kind { tag: "Tick-Interval", text: "1-day", every: DAY, of_calendar: None, share: 300 },
    Kind {
        tag: "Tick-Cron",
        text: "30 9 * * *",
        every: DAY,
        of_calendar: Some(9 * HOUR + 30 * MINUTE),
        share: 200,
    },
];

/// What becomes of moments that nobody was there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// A minute late is too late.
    Skip,
    /// One for all.
    Once,
    /// The newest hundred.
    All,
}

impl Policy {
    /// All of them.
    pub const ALL: [Policy; 3] = [Policy::Skip, Policy::Once, Policy::All];

    /// As a tag says it.
    pub fn text(self) -> &'static str {
        match self {
            Policy::Skip => "skip",
            Policy::Once => "once",
            Policy::All => "all-100",
        }
    }
}

/// The timer of process number `n` of `of`. Of a thousand, each kind has its share; of fewer, each kind and policy is
/// there where it can be, and one process has the most frequent.
pub fn choose(n: usize, of: usize, seed: u64) -> (Kind, Policy) {
    if of < 1000 {
        let policy = (n / KINDS.len() + seed as usize) % Policy::ALL.len();
        let kind = if n > 0 && n.is_multiple_of(KINDS.len()) { 4 } else { n % KINDS.len() };
        return (KINDS[kind], Policy::ALL[policy]);
    }
    let mut place = n * 37 % 1000;
    let kind = KINDS.iter().find(|kind| {
        let is_it = place < kind.share;
        place = place.saturating_sub(kind.share);
        is_it
    });
    (*kind.expect("the shares are a thousand"), Policy::ALL[n % Policy::ALL.len()])
}

/// A process with a timer.
#[derive(Debug, Clone)]
pub struct Ticking {
    /// Which.
    pub process: ProcessId,
    /// Whom it tells of each tick.
    pub listener: ProcessId,
    /// What the timer is.
    pub kind: Kind,
    /// And what becomes of missed moments.
    pub policy: Policy,
}

/// A time for which the scheduler's clock showed one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What it showed, ms since 1970.
    pub at: u64,
    /// The scheduler was up all the time, and looked. Otherwise it crashed or began meanwhile: it may have looked at
    /// some processes, and may have written some of what came of it.
    pub is_sure: bool,
}

impl Kind {
    /// The first moment of a timer that was set then.
    fn first(&self, set: u64) -> u64 {
        match self.of_calendar {
            None => set + self.every,
            Some(after) => {
                let passed = (set + self.every - after) / self.every;
                passed * self.every + after
            }
        }
    }

    /// How many moments it has after `set`, up to `end`.
    pub fn moments(&self, set: u64, end: u64) -> u64 {
        end.checked_sub(self.first(set)).map_or(0, |rest| rest / self.every + 1)
    }
}

/// What a look brings: ticks, and a moment up to which everything has passed without one.
fn look(policy: Policy, due: &[u64], now: u64) -> (&[u64], Option<u64>) {
    let Some(&newest) = due.last() else { return (due, None) };
    match policy {
        Policy::Skip if now - newest > MINUTE => (&[], Some(newest)),
        Policy::Skip | Policy::Once => (&due[due.len() - 1..], None),
        Policy::All => (&due[due.len().saturating_sub(100)..], None),
    }
}

/// Whether the ticks that a timer was given, by their moments, are those that it had to be given. Where a look was not
/// sure, everything that may have come of it is followed up; only one way has to lead to what is there. The timer was
/// `set` then, and has no moments after its `end`.
pub fn explain(
    kind: &Kind,
    policy: Policy,
    (set, end): (u64, u64),
    looks: &[Look],
    given: &[u64],
) -> Result<(), String> {
    let first = kind.first(set);
    // How many were given, and up to which moment the others have passed.
    let mut ways: BTreeSet<(usize, Option<u64>)> = BTreeSet::from([(0, None)]);
    let next = |(n, passed): (usize, Option<u64>)| {
        let last = n.checked_sub(1).map(|n| given[n]).max(passed);
        last.map_or(first, |last| last + kind.every)
    };
    for seen in looks {
        let now = seen.at;
        let newest = now.min(end);
        if ways.iter().all(|way| next(*way) > newest) {
            continue;
        }
        let mut after = BTreeSet::new();
        for &(n, passed) in &ways {
            let mut at = next((n, passed));
            let mut due = Vec::new();
            while at <= newest {
                due.push(at);
                at += kind.every;
            }
            let (brings, lets_pass) = look(policy, &due, now);
            let fits = |some: usize| given[n..].starts_with(&brings[..some]);
            if seen.is_sure {
                if fits(brings.len()) {
                    after.insert((n + brings.len(), passed.max(lets_pass)));
                }
                continue;
            }
            after.extend((0..=brings.len()).filter(|some| fits(*some)).map(|some| (n + some, passed)));
            after.insert((n, passed.max(lets_pass)));
        }
        if after.is_empty() {
            let ways: Vec<_> = ways.iter().map(|way| (way.0, next(*way))).collect();
            let then = ways.first().map(|(n, _)| &given[*n..given.len().min(n + 3)]);
            return Err(format!(
                "at {now} ({}), set at {set}: (ticks so far, next moment) were {ways:?}, and the next ticks are {then:?}",
                if seen.is_sure { "sure" } else { "not sure" }
            ));
        }
        ways = after;
    }
    match ways.iter().any(|(n, _)| *n == given.len()) {
        true => Ok(()),
        false => Err(format!("{} ticks, and no look brings more than the first of {ways:?}", given.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> u64 {
        minutes * MINUTE
    }

    fn looks(minutes: &[u64]) -> Vec<Look> {
        minutes.iter().map(|minute| Look { at: at(*minute), is_sure: true }).collect()
    }

    fn check(policy: Policy, looks: &[Look], given: &[u64]) -> bool {
        let given: Vec<u64> = given.iter().map(|minute| at(*minute)).collect();
        explain(&KINDS[1], policy, (0, at(24)), looks, &given).is_ok()
    }

    #[test]
    fn policies_say_what_is_due() {
        let seen = looks(&[1, 5, 6, 17, 20, 26]);
        assert!(check(Policy::All, &seen, &[5, 10, 15, 20]));
        assert!(check(Policy::Once, &seen, &[5, 15, 20]));
        assert!(check(Policy::Skip, &seen, &[5, 20]));
        for policy in Policy::ALL {
            for wrong in [&[][..], &[5], &[5, 20, 25], &[5, 10, 20], &[4, 10, 15, 20]] {
                assert!(!check(policy, &seen, wrong), "{policy:?} {wrong:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_repeats_nothing() {
        let seen = looks(&[5, 12, 6, 10, 15]);
        assert!(check(Policy::Once, &seen, &[5, 10, 15]));
        assert!(check(Policy::Skip, &seen, &[5, 15]), "what was too late at twelve stays so");
        assert!(!check(Policy::Skip, &seen, &[5, 10, 15]));
    }

    #[test]
    fn what_is_not_sure_may_have_been_or_not() {
        let mut seen = looks(&[5, 17, 20]);
        seen[1].is_sure = false;
        assert!(check(Policy::All, &seen, &[5, 10, 15, 20]));
        assert!(check(Policy::Once, &seen, &[5, 15, 20]) && check(Policy::Once, &seen, &[5, 20]));
        assert!(!check(Policy::Once, &seen, &[5, 10, 20]));
        assert!(!check(Policy::Once, &seen, &[5, 15]));
    }

    #[test]
    fn a_calendar_is_not_counted_from_the_start() {
        assert_eq!(KINDS[3].first(31 * MINUTE), 60 * MINUTE);
        assert_eq!(KINDS[3].first(30 * MINUTE), 60 * MINUTE);
        assert_eq!(KINDS[7].first(9 * HOUR), 9 * HOUR + 30 * MINUTE);
        assert_eq!(KINDS[7].first(10 * HOUR), DAY + 9 * HOUR + 30 * MINUTE);
        assert_eq!([KINDS[4].moments(0, 3 * HOUR), KINDS[4].moments(1, 3 * HOUR)], [3, 2]);
        assert_eq!(KINDS.iter().map(|kind| kind.share).sum::<usize>(), 1000);
    }
}
