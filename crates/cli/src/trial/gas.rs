//! What tests cost, kept in a file of the project, so that a change of it is seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use unit::Code;

use super::report::grouped;
use super::{FileReport, Status};
use crate::error::{Context as _, Failure, Result};

/// Bytes of the file, at most.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// By the name of a test, what it cost.
pub type Costs = BTreeMap<String, u64>;

/// A test that costs something else than it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Its file and its name.
    pub test: String,
    /// What it cost; none if the file does not know it.
    pub before: Option<u64>,
    /// What it costs.
    pub now: u64,
}

/// What the tests that hold cost.
pub fn of(reports: &[FileReport]) -> Costs {
    let mut costs = Costs::new();
    for report in reports {
        for test in report.tests.iter().filter(|test| test.status == Status::Passed) {
            costs
                .insert(format!("{} › {}", report.file, test.title.join(" › ").replace('\n', " ")), test.gas);
        }
    }
    costs
}

/// What the file says; nothing if there is none.
pub fn read(path: &Path) -> Result<Costs> {
    let failed = || format!("could not read {}", path.display());
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Costs::new()),
        Err(error) => return Err(Failure::new(Code::FILE, format!("{}: {error}", failed()))),
        Ok(about) if about.len() > FILE_MAX => {
            return Err(Failure::new(Code::FILE, format!("{}: it has more than {FILE_MAX} bytes", failed())));
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(path).context(Code::FILE, failed())?;
    let mut costs = Costs::new();
    for (number, line) in (1..).zip(text.lines()) {
        let read = line
            .rsplit_once(" (gas: ")
            .and_then(|(test, gas)| Some((test, gas.strip_suffix(')')?.parse().ok()?)));
        let Some((test, gas)) = read else {
            let what = format!("{}:{number} is no line of a gas snapshot", path.display());
            return Err(Failure { exit: 2, ..Failure::new(Code::FILE, what) }
                .hint("name another file, or remove this one and have it written anew"));
        };
        costs.insert(test.to_owned(), gas);
    }
    Ok(costs)
}

/// What the file has to say.
pub fn text(costs: &Costs) -> String {
    let mut out = String::new();
    for (test, gas) in costs {
        let _ = writeln!(out, "{test} (gas: {gas})");
    }
    out
}

/// What costs more or less than before by more than so many hundredths of a percent, or was not there.
pub fn changes(before: &Costs, now: &Costs, tolerance: u64) -> Vec<Change> {
    let is_far =
        |old: u64, new: u64| u128::from(old.abs_diff(new)) * 10_000 > u128::from(old) * u128::from(tolerance);
    let mut changes = Vec::new();
    for (test, &gas) in now {
        let old = before.get(test).copied();
        if old.is_none_or(|old| is_far(old, gas)) {
            changes.push(Change { test: test.clone(), before: old, now: gas });
        }
    }
    changes
}

/// The changes as a table.
pub fn table(changes: &[Change]) -> String {
    let mut rows = vec![["gas", "before", "now", ""].map(str::to_owned).to_vec()];
    for change in changes {
        let percent = change
            .before
            .filter(|before| *before > 0)
            .map(|before| format!("{:+.2}%", (change.now as f64 - before as f64) * 100.0 / before as f64));
        rows.push(vec![
            change.test.clone(),
            change.before.map_or("new".to_owned(), grouped),
            grouped(change.now),
            percent.unwrap_or_default(),
        ]);
    }
    crate::ui::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_small_changes_pass() {
        let costs = |pairs: &[(&str, u64)]| {
            pairs.iter().map(|(test, gas)| ((*test).to_owned(), *gas)).collect::<Costs>()
        };
        let before = costs(&[("a › b (gas: 1)", 1_000), ("gone", 5), ("zero", 0)]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text(&before)).unwrap();
        assert_eq!(read(file.path()).unwrap(), before);
        let now = costs(&[("a › b (gas: 1)", 1_020), ("new", 7), ("zero", 0)]);
        let far = |tolerance| {
            changes(&before, &now, tolerance).into_iter().map(|change| change.test).collect::<Vec<_>>()
        };
        assert_eq!(far(0), ["a › b (gas: 1)", "new"]);
        assert_eq!(far(199), ["a › b (gas: 1)", "new"]);
        assert_eq!(far(200), ["new"]);
        std::fs::write(file.path(), "x\n").unwrap();
        assert!(read(file.path()).unwrap_err().what.ends_with(":1 is no line of a gas snapshot"));
    }
}
