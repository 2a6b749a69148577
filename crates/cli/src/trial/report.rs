//! What people are told.

use std::fmt::Write as _;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::coverage::FileCoverage;
use super::{FileReport, Problem, Status, TestReport};

/// What stands for a test where a file itself is broken.
pub const WHOLE: &str = "(file)";

/// Names are padded to this width at most.
const NAME_MAX: usize = 60;

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// They hold.
    pub passed: usize,
    /// An assertion does not hold.
    pub failed: usize,
    /// They ended otherwise than they should.
    pub errors: usize,
    /// They are not there yet.
    pub pending: usize,
}

impl Totals {
    /// Of all files.
    pub fn of(reports: &[FileReport]) -> Totals {
        let mut totals = Totals::default();
        for test in reports.iter().flat_map(|report| &report.tests) {
            *match test.status {
                Status::Passed => &mut totals.passed,
                Status::Failed => &mut totals.failed,
                Status::Error => &mut totals.errors,
                Status::Pending => &mut totals.pending,
            } += 1;
        }
        totals
    }

    /// Tests that do not hold.
    pub fn bad(&self) -> usize {
        self.failed + self.errors
    }

    /// All tests.
    pub fn all(&self) -> usize {
        self.passed + self.failed + self.errors + self.pending
    }
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether there are some.
    pub colours: bool,
    /// What the run began with; said where a test fails.
    pub seed: u64,
}

impl Style {
    fn paint(self, code: &str, text: &str) -> String {
        match self.colours {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    /// One file.
    pub fn file(self, report: &FileReport) -> String {
        let mut out = self.paint("1", &report.file);
        out.push('\n');
        let name = |test: &TestReport| test.title.join(" › ");
        let width =
            report.tests.iter().map(|test| name(test).chars().count()).max().unwrap_or(0).min(NAME_MAX);
        for test in &report.tests {
            let (mark, colour) = match test.status {
                Status::Passed => ("✓", "32"),
                Status::Failed | Status::Error => ("✗", "31"),
                Status::Pending => ("-", "33"),
            };
            let cost = match test.status {
                Status::Pending => "pending".to_owned(),
                _ => cost(test),
            };
            let _ = writeln!(
                out,
                "  {} {:<width$}  {}",
                self.paint(colour, mark),
                name(test),
                self.paint("2", &cost)
            );
            for line in &test.printed {
                let _ = writeln!(out, "      {} {line}", self.paint("2", "│"));
            }
            if let Some(problem) = &test.problem {
                out.push_str(&self.problem(report, test, problem));
            }
        }
        out
    }

    fn problem(self, report: &FileReport, test: &TestReport, problem: &Problem) -> String {
        let mut out = String::new();
        let at = problem.at.as_ref().map(|at| format!("{at}: ")).unwrap_or_default();
        // An error of Lua's says where it is.
        let is_said = problem.at.as_ref().is_some_and(|at| problem.message.starts_with(&format!("{at}:")));
        let at = if is_said { String::new() } else { at };
        for (n, line) in format!("{at}{}", problem.message).lines().enumerate() {
            let _ = writeln!(out, "      {}", if n == 0 { self.paint("31", line) } else { line.to_owned() });
        }
        if let (Some(expected), Some(got)) = (&problem.expected, &problem.got) {
            let diff = TextDiff::from_lines(expected.as_str(), got.as_str());
            for change in diff.iter_all_changes() {
                let text = change.value().trim_end_matches('\n');
                let line = match change.tag() {
                    ChangeTag::Delete => self.paint("32", &format!("- expected  {text}")),
                    ChangeTag::Insert => self.paint("31", &format!("+ got       {text}")),
                    ChangeTag::Equal => format!("            {text}"),
                };
                let _ = writeln!(out, "        {line}");
            }
        }
        for line in problem.frame.iter().flat_map(|frame| frame.lines()) {
            let _ = writeln!(out, "      {}", self.paint("2", line));
        }
        if !problem.trace.is_empty() {
            let _ = writeln!(out, "      messages");
            for line in &problem.trace {
                let line = match line.split_once("  failed: ") {
                    Some((line, why)) => format!("{line}  {}", self.paint("31", &format!("failed: {why}"))),
                    None => line.clone(),
                };
                let _ = writeln!(out, "        {line}");
            }
        }
        let filter = match &test.title[..] {
            [name] if name == WHOLE => String::new(),
            title => format!(" --filter {:?}", title.join(" ")),
        };
        let again = format!("again: pirn test {}{filter} --seed {}", report.file, self.seed);
        let _ = writeln!(out, "      {}", self.paint("2", &again));
        out
    }

    /// The last line, with what was covered if that was asked for.
    pub fn end(self, totals: Totals, ms: f64, covered: Option<&[FileCoverage]>) -> String {
        let mut parts = Vec::new();
        for (count, word, colour) in [
            (totals.passed, "passed", "32"),
            (totals.failed, "failed", "31"),
            (totals.errors, if totals.errors == 1 { "error" } else { "errors" }, "31"),
            (totals.pending, "pending", "33"),
        ] {
            if count > 0 {
                parts.push(self.paint(colour, &format!("{count} {word}")));
            }
        }
        let mut out = format!("{} in {}", parts.join(" · "), span(ms));
        if let Some(files) = covered {
            let sum = |of: fn(&FileCoverage) -> (usize, usize)| {
                files.iter().map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
            };
            let ((lines, all_lines), (handlers, all_handlers)) =
                (sum(FileCoverage::lines_run), sum(FileCoverage::handlers_run));
            let _ = write!(out, " · lines {lines}/{all_lines} · handlers {handlers}/{all_handlers}");
        }
        out
    }
}

/// What was covered, as a table.
pub fn coverage_table(files: &[FileCoverage]) -> String {
    let mut rows = vec![["covered", "lines", "", "handlers", "not run"].map(str::to_owned).to_vec()];
    for file in files {
        let ((lines, all_lines), (handlers, all_handlers)) = (file.lines_run(), file.handlers_run());
        let percent = (lines * 100).checked_div(all_lines).unwrap_or(100);
        let idle = file.handlers.iter().filter(|(_, _, count)| *count == 0).map(|(_, name, _)| name.clone());
        let mut missing: Vec<String> = idle.collect();
        missing.extend(
            Some(file.missing()).filter(|lines| !lines.is_empty()).map(|lines| format!("lines {lines}")),
        );
        rows.push(vec![
            file.file.clone(),
            format!("{lines}/{all_lines}"),
            format!("{percent}%"),
            format!("{handlers}/{all_handlers}"),
            missing.join("; "),
        ]);
    }
    crate::ui::table(&rows)
}

/// `2.1 ms  2 messages  3 cron  41 318 gas`
fn cost(test: &TestReport) -> String {
    let mut parts = vec![format!("{:>8}", span(test.ms))];
    let messages = test.messages;
    parts.push(format!("{messages} message{}", if messages == 1 { "" } else { "s" }));
    if test.ticks > 0 {
        parts.push(format!("{} cron", test.ticks));
    }
    if test.lost > 0 {
        parts.push(format!("{} lost", test.lost));
    }
    parts.push(format!("{} gas", grouped(test.gas)));
    parts.join("  ")
}

fn span(ms: f64) -> String {
    match ms {
        ms if ms < 100.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// Three digits at a time: `41 318`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}
