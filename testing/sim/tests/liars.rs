//! What a unit that lies can do, and cannot; and what proves that it lied.

use pirn_sim::{Liar, Plan, Report, run};

/// Seeds for each liar.
const SEEDS: u64 = 6;

fn with(liar: Liar, seed: u64) -> Report {
    run(Plan { liar: Some(liar), ..Plan::of(seed) })
}

/// The lies do not matter to anybody.
#[track_caller]
fn check_harmless(liar: Liar) {
    for seed in 0..SEEDS {
        let report = with(liar, seed);
        assert!(
            report.violations.is_empty(),
            "seed {seed}, {report}: cargo xtask sim --seed {seed} --liar {liar:?} --trace\n{}",
            report.violations.join("\n")
        );
    }
}

/// Only who believes compute unit 1 is deceived, and there is proof.
#[track_caller]
fn check_proved(liar: Liar, proofs: &[&str]) {
    let mut proved = 0;
    for seed in 0..SEEDS {
        let report = with(liar, seed);
        let is_its_own = |what: &&String| {
            what.contains("cu1") || what.contains("compute unit 1") || what.contains("was shown as")
        };
        let others: Vec<_> = report.violations.iter().filter(|what| !is_its_own(what)).collect();
        assert!(others.is_empty(), "seed {seed}: the lie spreads: {others:#?}");
        if report.violations.is_empty() {
            assert!(report.evidence.is_empty(), "seed {seed}: {:#?}", report.evidence);
            continue;
        }
        for proof in proofs {
            let is_there = report.evidence.iter().any(|found| found.contains(proof));
            assert!(is_there, "seed {seed}: nothing proves that {proof:?}: {:#?}", report.evidence);
        }
        proved += 1;
    }
    assert!(proved > SEEDS / 2, "the liar seldom gets to lie: {proved}");
}

#[test]
fn a_stranger_who_forges_from_process_makes_no_tokens() {
    check_harmless(Liar::Forges);
}

#[test]
fn a_message_that_two_trusted_wallets_signed_is_one_message() {
    check_harmless(Liar::Duplicates);
}

#[test]
fn what_a_messenger_drops_another_pushes() {
    check_harmless(Liar::Drops);
    let alone = |seed| {
        let plan = Plan { liar: Some(Liar::Drops), is_helped: false, ..Plan::of(seed) };
        run(plan).violations
    };
    let missed = (0..SEEDS).flat_map(alone).filter(|what| what.ends_with("has the slots []")).count();
    assert!(missed > 0, "nothing was dropped");
}

#[test]
fn a_compute_unit_that_answers_wrong_is_found_out_and_has_signed_it() {
    check_proved(Liar::AnswersWrong, &["claims another outcome of slot", "signed another leaf"]);
}

#[test]
fn a_scheduler_that_equivocates_has_signed_both() {
    check_proved(Liar::Equivocates, &["was signed twice", "signed another leaf"]);
}
