//! `cargo xtask test`: everything that must pass before a change lands, in one command.
//!
//! A step that cannot run has failed. The last line says how many tests passed and failed, alone.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;
use cargo_metadata::MetadataCommand;

use crate::lua::Built;
use crate::node::Node;

/// Runs every step; true if all passed.
pub fn run() -> anyhow::Result<bool> {
    let root = crate::root();
    let target = target_folder()?;
    let mut tally = Tally::default();

    tally.step("format", cargo(&["fmt", "--all", "--check"]));
    tally.step("lint", cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    tally.tests("test", cargo(&["test", "--workspace", "--no-fail-fast"]), Counter::Libtest);
    tally.step("build", cargo(&["build", "--package", "pirn-cli", "--bin", "pirn"]));

    if Command::new("lua5.3").arg("-v").output().is_err() {
        install(&["lua5.3"]);
    }
    let mut lua = Command::new("lua5.3");
    lua.arg("processes/test/run.lua").current_dir(root);
    tally.tests("library of processes (Lua 5.3)", lua, Counter::Lua);

    let mut agents = Command::new(target.join("debug/pirn"));
    agents.arg("test").current_dir(root.join("processes/agents"));
    tally.tests("agents (pirn test)", agents, Counter::Trial);

    heading("Lua module");
    if !crate::lua::is_installed() {
        install(crate::lua::PACKAGES);
    }
    match crate::lua::is_installed() {
        true => match crate::lua::run(false) {
            Ok(Built::Same) => tally.passed += 1,
            Ok(_) => {
                tally.fail("the Lua module is not what its sources make (hint: cargo xtask lua --update)")
            }
            Err(error) => tally.fail(&format!("{error:#}")),
        },
        false => tally.fail(&format!("the Lua module is not rebuilt: {}", crate::lua::how_to_install())),
    }

    heading("Node.js");
    match Node::find_or_install(&target.join("tools/node")) {
        Ok(node) => {
            println!("{}", node.version()?);
            conformance(&mut tally, &node, &root.join("testing/conformance"), &target.join("debug/pirn"))?;
        }
        Err(error) => tally.fail(&format!("{error:#}")),
    }

    for (failure, why) in tally.failures.iter().filter(|(_, why)| !why.is_empty()) {
        heading(&format!("why {failure} failed"));
        why.iter().for_each(|line| println!("{line}"));
    }
    heading("summary");
    tally.failures.iter().for_each(|(failure, _)| println!("failed: {failure}"));
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed == 0)
}

/// Real clients and recorded answers against the binary: every folder with a `package.json`.
fn conformance(tally: &mut Tally, node: &Node, folder: &Path, pirn: &Path) -> anyhow::Result<()> {
    let mut suites = Vec::new();
    for entry in fs::read_dir(folder).context("could not list the conformance suites")? {
        let suite = entry?.path();
        if let Ok(package) = fs::read_to_string(suite.join("package.json")) {
            let package: serde_json::Value = serde_json::from_str(&package)
                .with_context(|| format!("{} is no package", suite.display()))?;
            suites.push((suite, package));
        }
    }
    suites.sort_by(|(left, _), (right, _)| left.cmp(right));

    // All first: a suite may use what another folder installs.
    for (suite, _) in suites.iter().filter(|(_, package)| package.get("dependencies").is_some()) {
        let mut install = node.command("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(suite);
        tally.step(&format!("install {}", name(suite)), install);
    }
    for (suite, _) in suites.iter().filter(|(_, package)| package["scripts"]["test"].is_string()) {
        let mut test = node.command("node");
        test.args(["--test", "--test-reporter=spec"]).current_dir(suite).env("PIRN_BIN", pirn);
        tally.tests(&format!("conformance {}", name(suite)), test, Counter::Node);
    }
    Ok(())
}

/// How a test runner says how many tests passed and failed.
#[derive(Debug, Clone, Copy)]
enum Counter {
    Libtest,
    Lua,
    Trial,
    Node,
}

/// What passed and what failed so far.
#[derive(Debug, Default)]
struct Tally {
    passed: u64,
    failed: u64,
    /// One line each, and what its output says of why: all of it again, as whoever keeps the end of a log needs it there.
    failures: Vec<(String, Vec<String>)>,
}

impl Tally {
    /// Runs a command that passes or fails as a whole.
    fn step(&mut self, name: &str, mut command: Command) {
        heading(name);
        match command.status() {
            Ok(status) if status.success() => self.passed += 1,
            Ok(status) => self.fail(&format!("{name}: {status}")),
            Err(error) => self.fail(&format!("{name}: {error}")),
        }
    }

    /// Runs a command that says how many tests passed and failed.
    fn tests(&mut self, name: &str, command: Command, counter: Counter) {
        heading(name);
        let mut counts = Counts::default();
        let mut why = Why::default();
        let mut read = |line: &str| {
            counts.read(counter, line);
            why.read(counter, line);
        };
        let success = match stream(command, &mut read) {
            Ok(success) => success,
            Err(error) => return self.fail(&format!("{name}: {error:#}")),
        };
        self.passed += counts.passed;
        self.failed += counts.failed;
        let failure = match counts {
            Counts { failed, passed } if failed > 0 => format!("{name}: {failed} of {}", failed + passed),
            _ if !success => format!("{name}: it ended early"),
            Counts { passed: 0, .. } => format!("{name}: no test ran"),
            _ => return,
        };
        self.failed += u64::from(counts.failed == 0);
        self.failures.push((failure, why.told()));
    }

    /// A step without an output of its own to look into has failed.
    fn fail(&mut self, failure: &str) {
        self.failed += 1;
        self.failures.push((failure.to_owned(), Vec::new()));
    }
}

/// What an output says of tests that failed.
#[derive(Debug, Default)]
struct Why {
    /// Whether the runner is telling of failures now.
    is_telling: bool,
    told: Vec<String>,
    /// The last lines of all.
    last: VecDeque<String>,
}

impl Why {
    /// Lines that are kept of what a runner tells of failures.
    const TOLD_MAX: usize = 200;
    /// Lines of the end that are kept for a runner that tells nothing.
    const LAST_MAX: usize = 40;

    fn read(&mut self, counter: Counter, line: &str) {
        if self.last.len() == Self::LAST_MAX {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
        match counter {
            // For each test binary, between `failures:` and its result.
            Counter::Libtest if line == "failures:" => self.is_telling = true,
            Counter::Libtest if line.starts_with("test result: ") => self.is_telling = false,
            // Once, after the counts, to the end.
            Counter::Node if line.ends_with("failing tests:") => self.is_telling = true,
            _ => {}
        }
        if self.is_telling && self.told.len() < Self::TOLD_MAX {
            self.told.push(line.to_owned());
        }
    }

    fn told(self) -> Vec<String> {
        if self.told.is_empty() { self.last.into() } else { self.told }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

impl Counts {
    fn read(&mut self, counter: Counter, line: &str) {
        let number = |words: &str| words.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        match counter {
            // One line for each test binary: `test result: ok. 3 passed; 0 failed; ...`
            Counter::Libtest => {
                let Some((_, counts)) =
                    line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
                else {
                    return;
                };
                let mut counts = counts.split("; ").map(number);
                self.passed += counts.next().flatten().unwrap_or(0);
                self.failed += counts.next().flatten().unwrap_or(0);
            }
            // Once, at the end: `155 passed, 0 failed`.
            Counter::Lua => {
                let counts = line.split_once(" passed, ").and_then(|(passed, rest)| {
                    Some((passed.parse().ok()?, rest.strip_suffix(" failed")?.parse().ok()?))
                });
                if let Some((passed, failed)) = counts {
                    (self.passed, self.failed) = (passed, failed);
                }
            }
            // Once, at the end: `64 passed · 1 failed · 1 error in 19.5 s`. A file that could not be run has failed.
            Counter::Trial => {
                let Some((counts, _)) =
                    line.split_once(" in ").filter(|(counts, _)| counts.contains(" passed"))
                else {
                    return;
                };
                let of = |what: &str| {
                    let mut parts = counts.split(" · ");
                    parts.find(|part| part.contains(what)).and_then(number).unwrap_or(0)
                };
                (self.passed, self.failed) = (of("passed"), of("failed") + of("error"));
            }
            // Once, at the end, after all that the tests themselves print: `ℹ pass 3`, `ℹ fail 0`. A test that was
            // cancelled has not passed.
            Counter::Node => {
                let Some((what, count)) = line.strip_prefix("ℹ ").and_then(|rest| rest.split_once(' '))
                else {
                    return;
                };
                match (what, number(count)) {
                    ("pass", Some(count)) => self.passed = count,
                    ("fail", Some(count)) => self.failed = count,
                    ("cancelled", Some(count)) => self.failed += count,
                    _ => {}
                }
            }
        }
    }
}

/// Runs a command; shows and hands over each line it prints. True if it succeeded.
fn stream(mut command: Command, mut line: impl FnMut(&str)) -> anyhow::Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().expect("it was piped");
    for printed in BufReader::new(stdout).split(b'\n') {
        let printed = printed?;
        let printed = String::from_utf8_lossy(&printed);
        println!("{printed}");
        line(&printed);
    }
    Ok(child.wait()?.success())
}

fn heading(name: &str) {
    println!("\n── {name} {}", "─".repeat(60_usize.saturating_sub(name.len())));
}

fn name(suite: &Path) -> String {
    suite.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Installs packages of Debian, where there is its installer. Whoever needs them says so if they are not there.
fn install(packages: &[&str]) {
    let script = r#"[ "$(id -u)" -eq 0 ] && root= || root=sudo
        $root apt-get update -qq && $root apt-get install -y -qq --no-install-recommends "$@""#;
    println!("installing {}", packages.join(" "));
    let _ = Command::new("sh").args(["-c", script, "sh"]).args(packages).status();
}

fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(crate::root());
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> anyhow::Result<PathBuf> {
    let mut command = MetadataCommand::new();
    command.manifest_path(crate::root().join("Cargo.toml")).no_deps();
    Ok(command.exec().context("could not ask cargo where it builds")?.target_directory.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(counter: Counter, output: &str, passed: u64, failed: u64) {
        let mut counts = Counts::default();
        output.lines().for_each(|line| counts.read(counter, line));
        assert_eq!(counts, Counts { passed, failed });
    }

    #[test]
    fn every_test_binary_counts() {
        check(
            Counter::Libtest,
            "running 3 tests\n\
             test a ... ok\n\
             test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
             test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n",
            13,
            2,
        );
    }

    #[test]
    fn the_last_word_of_a_node_run_counts() {
        check(Counter::Node, "ℹ pass 99\nℹ tests 6\nℹ pass 3\nℹ fail 1\nℹ cancelled 2\nℹ skipped 0\n", 3, 3);
    }

    #[test]
    fn the_last_line_of_a_lua_run_counts() {
        check(Counter::Lua, "failed: process_test: a passed, b failed\n155 passed, 2 failed\n", 155, 2);
    }

    #[test]
    fn the_last_line_of_a_trial_counts() {
        check(
            Counter::Trial,
            "  ✓ buys in an hour  3 ms\n64 passed · 1 failed · 2 errors in 19.5 s\n",
            64,
            3,
        );
        check(Counter::Trial, "65 passed in 900 ms\n", 65, 0);
    }

    #[test]
    fn a_command_that_fails_or_says_nothing_has_failed() {
        let run = |script: &str| {
            let mut tally = Tally::default();
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            tally.tests("it", command, Counter::Libtest);
            (tally.passed, tally.failed)
        };
        assert_eq!(run("echo 'test result: ok. 3 passed; 0 failed'"), (3, 0));
        assert_eq!(run("echo 'test result: ok. 3 passed; 0 failed'; exit 1"), (3, 1));
        assert_eq!(run("echo 'test result: FAILED. 3 passed; 2 failed'; exit 1"), (3, 2));
        assert_eq!(run("true"), (0, 1));
        let mut tally = Tally::default();
        tally.step("it", Command::new("no such program"));
        assert_eq!((tally.passed, tally.failed), (0, 1));
    }

    #[track_caller]
    fn check_why(counter: Counter, output: &str, expected: &[&str]) {
        let mut why = Why::default();
        output.lines().for_each(|line| why.read(counter, line));
        assert_eq!(why.told(), expected);
    }

    #[test]
    fn a_failure_says_again_what_its_runner_told() {
        check_why(
            Counter::Libtest,
            "running 1 test\nfailures:\n---- it ----\npanicked\ntest result: FAILED. 0 passed; 1 failed\nrunning 2 tests",
            &["failures:", "---- it ----", "panicked"],
        );
        check_why(
            Counter::Node,
            "ℹ fail 1\n\n✖ failing tests:\n\ntest at a.mjs:1:1\n✖ it (3ms)",
            &["✖ failing tests:", "", "test at a.mjs:1:1", "✖ it (3ms)"],
        );
        let long: String = (0..100).map(|n| format!("{n}\n")).collect();
        let last: Vec<_> = (60..100).map(|n| n.to_string()).collect();
        check_why(Counter::Lua, &long, &last.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
