//! One timer: when it is due, and which of the moments that have passed it is given a tick for.

use protocol::{Tags, Timestamp};
use serde::{Deserialize, Serialize};

use super::LATE_MS_MAX;
use super::calendar::Calendar;

/// A timer of a process, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timer {
    /// Unique in its process.
    pub name: String,
    /// When it is due.
    pub schedule: Schedule,
    /// The same as its author wrote it.
    pub text: String,
    /// It is due only after this, when it was set; ms since 1970.
    pub after: u64,
    /// Nor before this.
    pub start: Option<u64>,
    /// Nor after this.
    pub end: Option<u64>,
    /// What becomes of moments that pass without a tick.
    pub missed: Missed,
    /// Ticks that it is given at most.
    pub budget: Option<u64>,
    /// What its ticks carry besides.
    pub tags: Tags,
    /// The moment of its newest tick; also of one from before it was set again under its name.
    pub last: Option<u64>,
    /// How many ticks it was given since it was set.
    pub given: u64,
}

/// When a timer is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// At `from`, and every so many milliseconds after.
    Every {
        /// The interval.
        ms: u64,
        /// Where it is counted from.
        from: u64,
    },
    /// At moments of the calendar.
    Calendar(Calendar),
}

/// What becomes of moments at which nobody was there to give a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missed {
    /// Nothing: a tick is given within [`LATE_MS_MAX`] of its moment, or not at all.
    Skip,
    /// The newest of them gets one tick, which stands for all.
    Once,
    /// So many of the newest get one each, in their order.
    All(u64),
}

impl std::fmt::Display for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Missed::Skip => f.write_str("skip"),
            Missed::Once => f.write_str("once"),
            Missed::All(n) => write!(f, "all-{n}"),
        }
    }
}

impl Timer {
    pub(super) fn new(name: String, schedule: Schedule, text: String, now: Timestamp) -> Timer {
        Timer {
            name,
            schedule,
            text,
            after: now.0,
            start: None,
            end: None,
            missed: Missed::Once,
            budget: None,
            tags: Tags::default(),
            last: None,
            given: 0,
        }
    }

    /// Intervals are counted from their start.
    pub(super) fn start_at(&mut self, start: u64) {
        self.start = Some(start);
        if let Schedule::Every { from, .. } = &mut self.schedule {
            *from = start;
        }
    }

    /// The moment that is to be given a tick at `now`, if any. At most one: the next is found once this is given.
    pub fn due(&self, now: u64) -> Option<u64> {
        let newest = self.newest(now)?;
        match self.missed {
            Missed::Skip => (now - newest <= LATE_MS_MAX).then_some(newest),
            Missed::Once => Some(newest),
            Missed::All(n) => {
                let mut oldest = newest;
                for _ in 1..n {
                    match oldest.checked_sub(1).and_then(|before| self.newest(before)) {
                        Some(before) => oldest = before,
                        None => break,
                    }
                }
                Some(oldest)
            }
        }
    }

    /// When it is to be looked at, as things are at `now`: now, if something is due, or at its next moment.
    pub fn next(&self, now: u64) -> Option<u64> {
        self.due(now).or_else(|| self.next_after(self.floor().max(now)))
    }

    /// How many more ticks it may be given, if that is bounded.
    pub fn budget_left(&self) -> Option<u64> {
        self.budget.map(|budget| budget.saturating_sub(self.given))
    }

    /// Whether it will be given none any more.
    pub fn is_over(&self) -> bool {
        self.next_after(self.floor()).is_none()
    }

    /// How many moments pass without a tick when that of `due` is given; counted up to a thousand.
    pub(super) fn missed_before(&self, due: u64) -> u64 {
        let mut at = self.floor();
        let next = |at: &mut u64| {
            *at = self.next_after(*at)?;
            (*at < due).then_some(())
        };
        (0..1000).map_while(|_| next(&mut at)).count() as u64
    }

    /// Notes that the tick of a moment was given. False, and nothing, for one that it was given already.
    pub(super) fn give(&mut self, due: u64) -> bool {
        if due <= self.floor() {
            return false;
        }
        self.last = Some(due);
        self.given = self.given.saturating_add(1);
        true
    }

    /// Nothing up to `ms` is given a tick.
    pub(super) fn pass(&mut self, ms: u64) {
        self.after = self.after.max(ms);
    }

    /// Nothing up to here is given a tick any more.
    fn floor(&self) -> u64 {
        self.after.max(self.last.unwrap_or(0))
    }

    /// The newest moment up to `now` that was given no tick.
    fn newest(&self, now: u64) -> Option<u64> {
        if self.budget_left() == Some(0) {
            return None;
        }
        let now = self.end.map_or(now, |end| now.min(end));
        let at = match &self.schedule {
            Schedule::Every { ms, from } => from + now.checked_sub(*from)? / ms * ms,
            Schedule::Calendar(calendar) => calendar.until(now)?,
        };
        (at > self.floor() && self.start.is_none_or(|start| at >= start)).then_some(at)
    }

    /// The first moment after `ms`, which is not before its floor.
    fn next_after(&self, ms: u64) -> Option<u64> {
        if self.budget_left() == Some(0) {
            return None;
        }
        let at = match &self.schedule {
            Schedule::Every { from, .. } if *from > ms => *from,
            Schedule::Every { ms: every, from } => {
                from.checked_add(((ms - from) / every + 1).checked_mul(*every)?)?
            }
            Schedule::Calendar(calendar) => {
                calendar.after(ms.max(self.start.map_or(0, |it| it.saturating_sub(1))))?
            }
        };
        self.end.is_none_or(|end| at <= end).then_some(at)
    }
}
