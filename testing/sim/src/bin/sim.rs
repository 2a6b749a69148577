//! Runs seeds: one to look at, or many.

use std::process::ExitCode;

use pirn_sim::{Day, Liar, Mutant, Plan, Week, run, run_day, run_week};

const USAGE: &str = "usage: sim --seed N [--trace] [--messages N] [--break RULE] [--liar LIAR], or sim --seeds FROM TO, \
     or sim --week N [--full] [--processes N] [--hours N] [--break RULE] [--trace], \
     or sim --agents N [--hours N] [--break RULE] [--trace]";

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for the terminal")]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| words.iter().position(|word| word == name).map(|at| &words[at + 1..]);
    let number = |words: &[String], at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let mutant = after("--break").and_then(|rest| {
        let all = Mutant::ALL.into_iter().chain(Mutant::OF_TIME);
        all.into_iter().find(|mutant| Some(format!("{mutant:?}")) == rest.first().cloned())
    });
    let messages = after("--messages").and_then(|rest| number(rest, 0));
    let text = words.iter().any(|word| word == "--trace");
    let liar = after("--liar").and_then(|rest| {
        Liar::ALL.into_iter().find(|liar| Some(format!("{liar:?}")) == rest.first().cloned())
    });
    let text_of = |text: &Option<String>| text.iter().for_each(|text| println!("{text}"));
    let ended = |violations: &[String]| {
        println!("{} rules broken", violations.len());
        violations.iter().for_each(|what| println!("{what}"));
        if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    };
    let or = |name: &str, other: u64| after(name).and_then(|rest| number(rest, 0)).unwrap_or(other);
    if let Some(seed) = after("--week").and_then(|rest| number(rest, 0)) {
        let plan =
            if words.iter().any(|word| word == "--full") { Week::full(seed) } else { Week::small(seed) };
        let processes = or("--processes", plan.processes as u64) as usize;
        let report = run_week(Week { processes, hours: or("--hours", plan.hours), mutant, text, ..plan });
        text_of(&report.text);
        println!("week {seed}: {report}");
        return ended(&report.violations);
    }
    if let Some(seed) = after("--agents").and_then(|rest| number(rest, 0)) {
        let report = run_day(Day { hours: or("--hours", 24), mutant, text, ..Day::of(seed) });
        text_of(&report.text);
        println!("agents {seed}: {report}");
        return ended(&report.violations);
    }
    let plan = |seed| {
        let plan = Plan::of(seed);
        Plan { mutant, liar, text, messages: messages.unwrap_or(plan.messages), ..plan }
    };
    let (from, to) = match (after("--seed"), after("--seeds")) {
        (Some(rest), _) if number(rest, 0).is_some() => {
            let seed = number(rest, 0).unwrap_or_default();
            (seed, seed + 1)
        }
        (_, Some(rest)) => match (number(rest, 0), number(rest, 1)) {
            (Some(from), Some(to)) => (from, to),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        },
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let (mut failed, mut slots, mut crashes) = (0, 0, 0);
    for seed in from..to {
        let report = run(plan(seed));
        if text {
            println!("{:?}", report.faults);
        }
        if let Some(text) = &report.text {
            println!("{text}");
        }
        (slots, crashes) = (slots + report.scheduled, crashes + report.crashes);
        if to - from == 1 || !report.violations.is_empty() {
            println!("seed {seed}: {report}");
        }
        if !report.violations.is_empty() {
            failed += 1;
            println!("{}\nagain: cargo xtask sim --seed {seed} --trace", report.violations.join("\n"));
        }
    }
    println!("{} seeds, {failed} failed; {slots} slots, {crashes} crashes", to - from);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
