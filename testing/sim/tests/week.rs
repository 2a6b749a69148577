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

#[test]
fn a_day_brings_exactly_the_ticks_that_are_due_and_each_is_pushed_once() {
    let report = check(Week::small(1));
    println!("{report}");
    assert!(report.torn_ticks > 0 && report.said.ahead > 0 && report.said.behind > 0, "{report}");
    assert!(report.said.slow > 0 && report.crashes > 10, "{report}");
}

#[test]
fn every_broken_rule_of_time_is_seen() {
    for mutant in Mutant::OF_TIME {
        let seen = (0..10).find(|&seed| {
            let plan = Week { processes: 8, hours: 8, mutant: Some(mutant), ..Week::small(seed) };
            !run_week(plan).violations.is_empty()
        });
        println!("{mutant:?}: seed {seen:?}");
        assert!(seen.is_some(), "{mutant:?} breaks a rule, and ten seeds do not show it");
    }
}
