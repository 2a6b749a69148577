//! The agents of `processes/agents` for a day with all units, in which whatever can go wrong does.

use std::thread;

use pirn_sim::{Day, DayReport, Mutant, run_day};

#[track_caller]
fn check(plan: Day) -> DayReport {
    let report = run_day(plan);
    let again = format!("cargo xtask sim --agents {} --hours {} --trace", plan.seed, plan.hours);
    assert!(report.violations.is_empty(), "{report}\n{}\nagain: {again}", report.violations.join("\n"));
    println!("{report}");
    report
}

#[test]
fn for_a_day_agents_lose_no_token_keep_to_their_budgets_and_their_lives_are_verified() {
    let days = thread::scope(|threads| {
        let days = [4, 7].map(|seed| threads.spawn(move || check(Day::of(seed))));
        days.map(|day| day.join().expect("it says what is wrong itself"))
    });
    for report in &days {
        assert_eq!(report.resolved.as_deref(), Some("yes"));
        assert!(report.ticks.values().all(|ticks| *ticks > 40) && report.crashes > 10, "{report}");
        assert!(report.verified >= 2 * report.slots && report.compared >= report.verified, "{report}");
    }
    // They did not only survive; which day brings what changes with all that takes time.
    for what in ["purchases", "fills", "quotes taken", "liquidations", "trades"] {
        assert!(days.iter().any(|report| report.deeds[what] > 0), "no {what}");
    }
}

#[test]
fn with_the_smallest_bounds_that_work_agents_do_what_they_do() {
    let report = check(Day { hours: 6, ..Day::of(1) });
    assert!(report.deeds["purchases"] > 0 && report.is_tiny, "{report}");
}

#[test]
fn the_same_seed_is_the_same_day() {
    let plan = Day { hours: 2, ..Day::of(7) };
    assert_eq!(check(plan).trace, check(plan).trace);
}

#[test]
fn a_broken_rule_of_the_units_is_seen_by_what_agents_have() {
    for mutant in [Mutant::SignAgain, Mutant::LoseTasks, Mutant::ForgeSender] {
        let seen = [10, 4, 7, 12, 13].into_iter().find(|&seed| {
            let report = run_day(Day { hours: 3, mutant: Some(mutant), ..Day::of(seed) });
            report.violations.iter().any(|what| what.contains("thinks that it has"))
        });
        println!("{mutant:?}: seed {seen:?}");
        assert!(seen.is_some(), "{mutant:?} breaks a rule, and five seeds do not show it");
    }
}
