//! How far the cron of a process is pushed, and what came of its ticks. Pure, and how it lies on the disk.
//!
//! What a cron does while nobody looks is evaluated all the same, since the state follows from it; what it sends is
//! caught up, but not without end: what was due too long before somebody looked again is left out, and counted.

use protocol::{ProcessId, Timestamp};
use unit::{CatchUp, CronTally, Cursor, Evaluated, TickFailure};

use crate::beginning;
use crate::codec::{Reader, Writer};

/// How far the cron of a process is pushed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Where to start was decided.
    pub(crate) started: bool,
    /// After this. Without it from the beginning.
    pub(crate) cursor: Option<Cursor>,
    /// The process that spawned it, if that is why it is monitored.
    pub(crate) spawner: Option<ProcessId>,
    /// What came of its ticks so far.
    pub(crate) tally: CronTally,
}

/// Whether a tick comes when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// Somebody looks.
    Due,
    /// It was due while nobody looked, and is pushed now.
    Late,
    /// It was due so long before somebody looked again that it is not pushed.
    LeftOut,
}

/// How long nobody may have looked. Milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Looks that are no further apart than this are one after the other.
    pub(crate) late: u64,
    /// What was due so long before somebody looked again is caught up.
    pub(crate) catch_up: u64,
}

/// Since when somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attention {
    since: Timestamp,
    newest: Timestamp,
}

impl Attention {
    pub(crate) fn from(now: Timestamp) -> Attention {
        Attention { since: now, newest: now }
    }

    /// A look begins. If the last one that went well is too long ago, nobody looked in between.
    pub(crate) fn look(&mut self, now: Timestamp, patience: Patience) -> Attention {
        if now.0.saturating_sub(self.newest.0) > patience.late {
            self.since = now;
        }
        *self
    }

    /// A look that began then went well.
    pub(crate) fn was_well(&mut self, began: Timestamp) {
        self.newest = self.newest.max(began);
    }

    /// Of a tick that was due then.
    pub(crate) fn age(&self, due: Timestamp, patience: Patience) -> Age {
        match self.since.0.saturating_sub(due.0) {
            ago if ago > patience.catch_up => Age::LeftOut,
            ago if ago > patience.late => Age::Late,
            _ => Age::Due,
        }
    }
}

impl Progress {
    /// Everything up to this tick is pushed, or left out.
    pub(crate) fn pass(&mut self, tick: &Evaluated, age: Age, attention: Attention) {
        // Without the order it was taken in, which would beat the order that is asked for.
        self.cursor = Some(Cursor { sort: None, ..tick.cursor.clone() });
        self.started = true;
        self.count(tick, age, attention);
    }

    /// Counts a tick.
    pub(crate) fn count(&mut self, tick: &Evaluated, age: Age, attention: Attention) {
        let (due, tally) = (tick.cursor.timestamp, &mut self.tally);
        tally.ticks += 1;
        if let Some(error) = &tick.outcome.error {
            let error = error.to::<String>().unwrap_or_else(|_| error.get().to_owned());
            let error = String::from_utf8_lossy(&beginning(&error)).into_owned();
            let cron = tick.cursor.cron.clone().unwrap_or_default();
            tally.failed += 1;
            tally.failure = Some(TickFailure { timestamp: due, cron, error });
        }
        let (late, left_out) = (u64::from(age == Age::Late), u64::from(age == Age::LeftOut));
        if late + left_out > 0 {
            tally.caught_up += late;
            tally.left_out += left_out;
            let fresh = CatchUp { at: attention.since, from: due, to: due, pushed: 0, left_out: 0 };
            let catch_up = tally.catch_up.get_or_insert(fresh);
            if catch_up.at != attention.since {
                *catch_up = fresh;
            }
            catch_up.to = due;
            catch_up.pushed += late;
            catch_up.left_out += left_out;
        }
    }
}

pub(crate) fn encode(progress: &Progress) -> Vec<u8> {
    let Progress { started, cursor, spawner, tally } = progress;
    let mut out = Writer::default();
    out.byte(u8::from(*started)).byte(u8::from(cursor.is_some()));
    if let Some(cursor) = cursor {
        out.number(cursor.timestamp.0).maybe_number(cursor.ordinate).maybe_text(cursor.cron.as_deref());
    }
    out.maybe_id(*spawner);
    for count in [tally.ticks, tally.failed, tally.caught_up, tally.left_out] {
        out.number(count);
    }
    out.byte(u8::from(tally.failure.is_some()));
    if let Some(TickFailure { timestamp, cron, error }) = &tally.failure {
        out.number(timestamp.0).text(cron).text(error);
    }
    out.byte(u8::from(tally.catch_up.is_some()));
    if let Some(CatchUp { at, from, to, pushed, left_out }) = &tally.catch_up {
        out.number(at.0).number(from.0).number(to.0).number(*pushed).number(*left_out);
    }
    out.done()
}

pub(crate) fn decode(row: &[u8]) -> Option<Progress> {
    let mut input = Reader(row);
    let started = input.is_there()?;
    let cursor = match input.is_there()? {
        false => None,
        true => Some(Cursor {
            timestamp: Timestamp(input.number()?),
            ordinate: input.maybe_number()?,
            cron: input.maybe_text()?,
            sort: None,
        }),
    };
    // Rows of before there was more.
    if input.0.is_empty() {
        return Some(Progress { started, cursor, ..Progress::default() });
    }
    let spawner = input.maybe_id()?;
    let mut tally = CronTally {
        ticks: input.number()?,
        failed: input.number()?,
        caught_up: input.number()?,
        left_out: input.number()?,
        ..CronTally::default()
    };
    if input.is_there()? {
        let (timestamp, cron, error) = (Timestamp(input.number()?), input.text()?, input.text()?);
        tally.failure = Some(TickFailure { timestamp, cron, error });
    }
    if input.is_there()? {
        let mut time = || input.number().map(Timestamp);
        let (at, from, to) = (time()?, time()?, time()?);
        tally.catch_up = Some(CatchUp { at, from, to, pushed: input.number()?, left_out: input.number()? });
    }
    Some(Progress { started, cursor, spawner, tally })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(progress: Progress) {
        assert_eq!(decode(&encode(&progress)), Some(progress));
    }

    fn cursor() -> Cursor {
        Cursor { timestamp: Timestamp(9), ordinate: Some(3), cron: Some("0-10-seconds".into()), sort: None }
    }

    #[test]
    fn progress_is_read_as_it_was_written() {
        check(Progress::default());
        check(Progress { started: true, ..Progress::default() });
        check(Progress { started: true, cursor: Some(cursor()), ..Progress::default() });
        let bare = Cursor { ordinate: None, cron: None, ..cursor() };
        check(Progress { started: true, cursor: Some(bare), ..Progress::default() });
        let at = Timestamp;
        let tally = CronTally {
            ticks: 5,
            failed: 1,
            failure: Some(TickFailure { timestamp: at(7), cron: "0-1-hour".into(), error: "nil".into() }),
            caught_up: 3,
            left_out: 2,
            catch_up: Some(CatchUp { at: at(90), from: at(1), to: at(80), pushed: 3, left_out: 2 }),
        };
        let spawner = Some(protocol::Id([4; 32]).into());
        check(Progress { started: true, cursor: Some(cursor()), spawner, tally });
    }

    #[test]
    fn a_row_of_an_earlier_build_is_read() {
        let progress = Progress { started: true, cursor: Some(cursor()), ..Progress::default() };
        let row = encode(&progress);
        let more = 1 + 4 * 8 + 2;
        assert_eq!(decode(&row[..row.len() - more]), Some(progress));
        assert_eq!(decode(&row[..row.len() - 1]), None);
    }

    #[test]
    fn what_was_due_while_nobody_looked_is_late_and_what_was_due_long_before_is_left_out() {
        let patience = Patience { late: 10, catch_up: 100 };
        let mut attention = Attention::from(Timestamp(1_000));
        let ages = |attention: Attention, dues: &[u64]| -> Vec<Age> {
            dues.iter().map(|due| attention.age(Timestamp(*due), patience)).collect()
        };
        // Looks one after the other: what comes late comes late, and nobody was away.
        let seen = attention.look(Timestamp(1_010), patience);
        attention.was_well(Timestamp(1_010));
        assert_eq!(ages(seen, &[990, 1_000, 1_009]), [Age::Due; 3]);
        // Nobody looked for a thousand; the catching up takes looks of its own, which change nothing.
        for now in [2_010, 2_015, 2_019] {
            let seen = attention.look(Timestamp(now), patience);
            attention.was_well(Timestamp(now));
            assert_eq!(
                ages(seen, &[1_011, 1_909, 1_910, 1_999, 2_000, 2_018]),
                [Age::LeftOut, Age::LeftOut, Age::Late, Age::Late, Age::Due, Age::Due]
            );
        }
        // A look that fails is none.
        attention.look(Timestamp(2_029), patience);
        let seen = attention.look(Timestamp(2_040), patience);
        assert_eq!(ages(seen, &[2_020, 2_030]), [Age::Late, Age::Due]);
        // A clock that goes back makes nothing late.
        assert_eq!(ages(attention.look(Timestamp(5), patience), &[3, 2_100]), [Age::LeftOut, Age::Due]);
    }
}
