//! Whether a log has exactly the ticks that were due: worked out apart from the scheduler, from nothing but what the log
//! says of timers, and what the scheduler's clock showed while it was up.
//!
//! The clock shows one moment for a while, and each entry has the time at which it got its slot: that moment, or a
//! millisecond after the entry before where that is later (a schedule does not go back). So it is known in which look an
//! entry was made, nearly always. Where it may have been in two, or where a look was not sure, everything that may have
//! come of it is followed up, and one way has to lead through the whole log.

use std::collections::BTreeSet;

use super::table::{Log, Table, What};

/// A time for which the scheduler's clock showed one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What it showed, ms since 1970.
    pub at: u64,
    /// The scheduler was up all the time, and looked. Otherwise it began or ended meanwhile: it may have looked at some
    /// processes, and may have written some of what came of it.
    pub is_sure: bool,
}

/// How far a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    /// Entries that are made.
    made: usize,
    /// The process is not looked at before the clock shows this. What is due changes with every change of its timers and
    /// every tick; a look to which nothing is due lets pass what is skipped.
    idle_until: u64,
}

/// What a process did last within one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Last {
    Nothing,
    /// A tick is followed by the next that is due, at once.
    Tick,
    /// Its timers changed, and it need not have been looked at since.
    Change,
}

/// Says what is wrong unless the log has exactly the ticks that these looks had to bring.
pub fn explain(log: &Log, looks: &[Look]) -> Result<(), String> {
    if let Some(step) = log.steps.iter().find(|step| matches!(step.what, What::Tick(..)) && !step.has_changed)
    {
        return Err(format!("{:?} at {} is of no timer, or not for the first time", step.what, step.at));
    }
    let mut ways = BTreeSet::from([Way { made: 0, idle_until: u64::MAX }]);
    let furthest = |ways: &BTreeSet<Way>| ways.last().map_or(0, |way| way.made);
    // Where the way that was furthest ended.
    let mut end = None;
    for look in looks {
        let is_idle = |way: &Way| way.idle_until > look.at && !log.may_go_on(*way, look.at);
        if ways.iter().all(is_idle) {
            continue;
        }
        let after = log.after(&ways, *look);
        if furthest(&after) < furthest(&ways) {
            end = Some(log.stuck(&ways, *look));
        }
        ways = after;
    }
    let made = ways.last().map(|way| way.made);
    if made == Some(log.steps.len()) {
        return Ok(());
    }
    let next = made.and_then(|made| log.steps.get(made)).map(|step| (step.at, &step.what));
    Err(end.unwrap_or_else(|| format!("no look brings {next:?}")))
}

impl Log {
    fn table(&self, way: Way) -> Table {
        way.made.checked_sub(1).map_or_else(Table::default, |made| self.steps[made].table.clone())
    }

    /// Whether the next entry has the time that it would have now.
    fn may_go_on(&self, way: Way, now: u64) -> bool {
        let least = way.made.checked_sub(1).map_or(0, |made| self.steps[made].at + 1);
        self.steps.get(way.made).is_some_and(|next| next.at == now.max(least))
    }

    /// Everything that a look may leave.
    fn after(&self, ways: &BTreeSet<Way>, Look { at, is_sure }: Look) -> BTreeSet<Way> {
        let mut open: Vec<(Way, Last)> = ways.iter().map(|way| (*way, Last::Nothing)).collect();
        let (mut known, mut after) = (BTreeSet::new(), BTreeSet::new());
        while let Some((way, last)) = open.pop() {
            if !known.insert((way, last)) {
                continue;
            }
            let table = self.table(way);
            let (due, next) = (table.due(at), table.next(at));
            let is_looked_at = way.idle_until <= at || last == Last::Tick;
            let is_done = !is_looked_at || (due.is_none() && next == way.idle_until);
            if is_done || !is_sure || last == Last::Change {
                after.insert(way);
            }
            if !is_done && due.is_none() {
                open.push((Way { idle_until: next, ..way }, Last::Nothing));
            }
            if !self.may_go_on(way, at) {
                continue;
            }
            let step = &self.steps[way.made];
            let made = way.made + 1;
            let changed = Way { made, idle_until: step.table.next(step.at) };
            match &step.what {
                What::Tick(name, moment) => {
                    if is_looked_at && due == Some((name.as_str(), *moment)) {
                        open.push((changed, Last::Tick));
                    }
                }
                What::Change if step.has_changed => open.push((changed, Last::Change)),
                What::Change | What::Other => open.push((Way { made, ..way }, last)),
            }
        }
        after
    }

    /// What is wrong, in words.
    fn stuck(&self, ways: &BTreeSet<Way>, Look { at, is_sure }: Look) -> String {
        let sure = if is_sure { "sure" } else { "not sure" };
        let ways: Vec<_> = ways
            .iter()
            .rev()
            .take(3)
            .map(|way| {
                let due = self.table(*way).due(at).map(|(name, due)| (name.to_owned(), due));
                let next = self.steps.get(way.made).map(|step| (step.at, &step.what));
                format!("after {} entries {due:?} is due, and {next:?} comes", way.made)
            })
            .collect();
        format!("at {at} ({sure}): {}", ways.join("; or "))
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Happened::{self, Cancel, Set, Tick};
    use super::super::timers::{KINDS, MINUTE, Policy};
    use super::*;

    fn at(minutes: u64) -> u64 {
        minutes * MINUTE
    }

    fn looks(minutes: &[u64]) -> Vec<Look> {
        minutes.iter().map(|minute| Look { at: at(*minute), is_sure: true }).collect()
    }

    /// Whether these ticks, each in minutes and at the minutes that the clock showed, are those of a timer of five minutes.
    fn check(policy: Policy, looks: &[Look], given: &[(u64, u64)]) -> bool {
        let tags = [
            (KINDS[1].tag, KINDS[1].text),
            ("Tick-Name", "it"),
            ("Tick-Missed", policy.text()),
            ("Tick-End", "1440000"),
        ];
        let mut happened = vec![(0, Set(&tags))];
        let ticks = given.iter().map(|(seen, due)| (at(*seen), Tick("it", at(*due))));
        happened.extend(ticks);
        check_log(looks, happened)
    }

    fn check_log(looks: &[Look], mut happened: Vec<(u64, Happened<'_>)>) -> bool {
        let mut least = 0;
        for (at, _) in &mut happened {
            *at = least.max(*at);
            least = *at + 1;
        }
        let looks: Vec<Look> = [Look { at: 0, is_sure: true }].iter().chain(looks).copied().collect();
        explain(&Log::of(&happened), &looks).is_ok()
    }

    #[test]
    fn policies_say_what_is_due() {
        let seen = looks(&[1, 5, 6, 17, 20, 26]);
        assert!(check(Policy::All, &seen, &[(5, 5), (17, 10), (17, 15), (20, 20)]));
        assert!(check(Policy::Once, &seen, &[(5, 5), (17, 15), (20, 20)]));
        assert!(check(Policy::Skip, &seen, &[(5, 5), (20, 20)]));
        for policy in Policy::ALL {
            let wrong: [&[(u64, u64)]; 6] = [
                &[],
                &[(5, 5)],
                &[(5, 5), (20, 20), (26, 25)],
                &[(5, 5), (17, 10), (20, 20)],
                &[(4, 4), (17, 10), (17, 15), (20, 20)],
                &[(5, 5), (20, 15), (20, 20)],
            ];
            for wrong in wrong {
                assert!(!check(policy, &seen, wrong), "{policy:?} {wrong:?}");
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_repeats_nothing() {
        let seen = looks(&[5, 12, 6, 10, 15]);
        assert!(check(Policy::Once, &seen, &[(5, 5), (12, 10), (15, 15)]));
        assert!(check(Policy::Skip, &seen, &[(5, 5), (15, 15)]), "what was too late at twelve stays so");
        assert!(!check(Policy::Skip, &seen, &[(5, 5), (10, 10), (15, 15)]));
    }

    #[test]
    fn what_is_not_sure_may_have_been_or_not() {
        let mut seen = looks(&[5, 17, 20]);
        seen[1].is_sure = false;
        assert!(check(Policy::All, &seen, &[(5, 5), (17, 10), (17, 15), (20, 20)]));
        assert!(check(Policy::All, &seen, &[(5, 5), (17, 10), (20, 15), (20, 20)]));
        assert!(check(Policy::Once, &seen, &[(5, 5), (17, 15), (20, 20)]));
        assert!(check(Policy::Once, &seen, &[(5, 5), (20, 20)]));
        assert!(!check(Policy::Once, &seen, &[(5, 5), (17, 10), (20, 20)]));
        assert!(!check(Policy::Once, &seen, &[(5, 5), (17, 15)]));
    }

    #[test]
    fn a_change_begins_with_its_entry() {
        let five = [("Tick-Interval", "5-minutes"), ("Tick-Name", "it"), ("Tick-End", "1440000")];
        let quarter = [("Tick-Interval", "15-minutes"), ("Tick-Name", "it"), ("Tick-Budget", "1")];
        let broken = [("Tick-Name", "it"), ("Tick-Interval", "5-minutes")];
        let seen = looks(&[5, 7, 10, 15, 20, 22, 25, 37, 40]);
        let set = |minutes: u64, tags| (at(minutes), Set(tags));
        let tick = |seen: u64, due: u64| (at(seen), Tick("it", at(due)));
        // Fifteen minutes after the seventh.
        let changed = |then: &[(u64, Happened<'static>)]| {
            let mut happened = vec![set(0, &five[..]), tick(5, 5), set(7, &quarter[..])];
            happened.extend_from_slice(then);
            check_log(&seen, happened)
        };
        assert!(changed(&[tick(22, 22)]));
        assert!(!changed(&[tick(10, 10), tick(22, 22)]), "it is another timer");
        assert!(!changed(&[tick(22, 22), tick(37, 37)]), "it has a budget");
        assert!(!changed(&[]));
        assert!(changed(&[(at(15), Cancel)]));
        assert!(!changed(&[(at(15), Cancel), tick(22, 22)]));
        let as_before = [10, 15, 20].map(|due| tick(due, due));
        let mut happened = vec![set(0, &five[..]), tick(5, 5), set(7, &broken[..])];
        happened.extend(as_before);
        assert!(check_log(&seen, happened), "what is not understood changes nothing");
    }
}
