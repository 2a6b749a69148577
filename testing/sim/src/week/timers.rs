//! Which timers the processes have.

use protocol::ProcessId;

const SECOND: u64 = 1000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A kind of timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The tag that opens it.
    pub tag: &'static str,
    /// What that says.
    pub text: &'static str,
    /// Milliseconds between two of its moments.
    pub every: u64,
    /// When its moments are, after a multiple of that since 1970, ms; None if they are counted from its start.
    pub of_calendar: Option<u64>,
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

    /// The one that a tag means.
    pub fn of(text: &str) -> Option<Policy> {
        Policy::ALL.into_iter().find(|policy| policy.text() == text)
    }

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
    /// What the timer is.
    pub kind: Kind,
    /// And what becomes of missed moments.
    pub policy: Policy,
}

impl Kind {
    /// The first moment of a timer that was set then.
    pub fn first(&self, set: u64) -> u64 {
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

#[cfg(test)]
mod tests {
    use super::*;

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
