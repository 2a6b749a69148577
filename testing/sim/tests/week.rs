//! Days of timers and crons with all units, in which whatever can go wrong does.

use pirn_sim::{Mutant, Week, WeekReport, run_week};

#[track_caller]
fn check(plan: Week) -> WeekReport {
    let report = run_week(plan);
    let Week { seed, processes, hours, .. } = plan;
    let again = format!("cargo xtask sim --week {seed} --processes {processes} --hours {hours} --trace");
    assert!(report.violations.is_empty(), "{report}\n{}\nagain: {again}", report.violations.join("\n"));
    report
}

/// What days brought together: which of them brings what changes with all that takes time, so none is asked alone.
fn sum(days: &[WeekReport], of: impl Fn(&WeekReport) -> u64) -> u64 {
    days.iter().map(of).sum()
}

#[test]
fn a_day_brings_exactly_the_ticks_that_are_due_and_each_is_pushed_once() {
    // In the day of seed 2 blocks of one time once lost what crons of blocks had sent, but for the last.
    let days = [2, 3, 4].map(|seed| check(Week::small(seed)));
    days.iter().for_each(|report| println!("{report}"));
    for (what, n, least) in [
        ("crashes between a tick's slot and its messenger", sum(&days, |it| it.torn_ticks), 1),
        ("crashes", sum(&days, |it| it.crashes), 31),
        ("jumps ahead", sum(&days, |it| it.said.ahead), 1),
        ("jumps back", sum(&days, |it| it.said.behind), 1),
        ("minutes of a slow unit", sum(&days, |it| it.said.slow), 1),
        ("stops in good order", sum(&days, |it| it.said.stops), 1),
        ("jumps of the weave", sum(&days, |it| it.said.weave), 1),
        ("many blocks at once", sum(&days, |it| it.said.blocks), 1),
        ("wishes of processes", sum(&days, |it| it.changed.itself), 31),
        ("wishes of owners", sum(&days, |it| it.changed.owner), 10),
        ("wishes of strangers", sum(&days, |it| it.changed.stranger), 4),
        ("ticks of timers that change", sum(&days, |it| it.changed.ticks), 151),
        ("children", sum(&days, |it| it.changed.children), 10),
        ("ticks of children", sum(&days, |it| it.changed.children_ticks), 61),
    ] {
        assert!(n >= least, "only {n} {what}");
    }
}

#[test]
fn every_broken_rule_of_time_is_seen() {
    let plan = |seed, mutant| Week { processes: 8, hours: 8, mutant, ..Week::small(seed) };
    check(plan(0, None));
    for mutant in Mutant::OF_TIME {
        let seen = (0..10).find(|&seed| !run_week(plan(seed, Some(mutant))).violations.is_empty());
        println!("{mutant:?}: seed {seen:?}");
        assert!(seen.is_some(), "{mutant:?} breaks a rule, and ten seeds do not show it");
    }
}
