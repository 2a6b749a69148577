//! Under which conditions was measured: a figure without them means nothing.

use std::fmt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::Options;

/// What a reader of a figure has to know.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    cpu: String,
    cores: usize,
    memory: String,
    system: String,
    commit: String,
    pirn: String,
    node: String,
    load_before: String,
    date: String,
    runs: usize,
    size: &'static str,
}

impl Conditions {
    /// As they are now.
    pub(super) fn now(pirn: &Path, node: &str, options: &Options) -> Conditions {
        let after = |file: &str, key: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(key)).map(str::to_owned);
            line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned())).unwrap_or_else(unknown)
        };
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_else(|_| unknown());
        let changed = says("git", &["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
        let commit = says("git", &["rev-parse", "HEAD"]).unwrap_or_else(unknown);
        Conditions {
            cpu: after("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory: after("/proc/meminfo", "MemTotal"),
            system: says("uname", &["-srm"]).unwrap_or_else(unknown),
            commit: if changed { format!("{commit} and changes") } else { commit },
            pirn: said(Command::new(pirn).arg("--version")).unwrap_or_else(unknown),
            node: node.to_owned(),
            load_before: load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            date: says("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]).unwrap_or_else(unknown),
            runs: options.runs,
            size: options.size.name(),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "cpu": self.cpu, "cores": self.cores, "memory": self.memory, "system": self.system,
            "commit": self.commit, "pirn": self.pirn, "node": self.node, "load_before": self.load_before,
            "date": self.date, "runs": self.runs, "size": self.size,
        })
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conditions { cpu, cores, node, load_before, date, runs, size, .. } = self;
        write!(f, "{date}, {cores} cores ({cpu}), load {load_before}, Node.js {node}, {runs} runs, {size}")
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn says(program: &str, arguments: &[&str]) -> Option<String> {
    said(Command::new(program).args(arguments).current_dir(crate::root()))
}

fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
