//! Seeds that must all be green, and rules whose breaking must be seen.

use pirn_sim::{Mutant, Plan, run};

/// Seeds in every run of the suite.
const SEEDS: u64 = 50;

#[track_caller]
fn check(seed: u64) -> String {
    let report = run(Plan::of(seed));
    assert!(
        report.violations.is_empty(),
        "seed {seed} breaks {} rules ({report}); to see it again: cargo xtask sim --seed {seed} --trace\n{}",
        report.violations.len(),
        report.violations.join("\n")
    );
    assert!(report.scheduled > 20, "seed {seed} did nothing: {report}");
    report.trace
}

#[test]
fn every_seed_ends_well() {
    for seed in 0..SEEDS {
        let trace = check(seed);
        if seed % 10 == 0 {
            assert_eq!(check(seed), trace, "seed {seed} is not the same twice");
        }
    }
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    for line in include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#')) {
        let seed = line.split_whitespace().next().expect("a seed in every line").parse().expect("a number");
        check(seed);
    }
}

#[test]
fn every_broken_rule_is_seen() {
    for mutant in Mutant::ALL {
        let seen = (0..20).find(|&seed| {
            let report = run(Plan { mutant: Some(mutant), ..Plan::of(seed) });
            !report.violations.is_empty()
        });
        assert!(seen.is_some(), "{mutant:?} breaks a rule, and twenty seeds do not show it");
    }
}
