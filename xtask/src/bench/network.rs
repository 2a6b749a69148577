//! Networks that are measured: each in a folder of its own, and gone afterwards, whatever happens.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// Runs a program until the other end of stdin is gone, and ends it then: so it ends with whoever started it, also if
/// that was killed. 60 seconds of patience.
const UNTIL_ALONE: &str = r#"
    "$@" </dev/null &
    pirn=$!
    exec >/dev/null
    read -r _
    kill -INT $pirn 2>/dev/null
    (sleep 60; kill -KILL $pirn) 2>/dev/null &
    patience=$!
    wait $pirn
    status=$?
    kill $patience 2>/dev/null
    exit $status"#;

/// The same for a folder, which is removed when those who use it have had time to end.
const REMOVE_WHEN_ALONE: &str = r#"
    read -r done
    tries=0
    while [ $tries -lt 60 ]; do
        rm -rf "$1" 2>/dev/null && [ -n "$done" ] && break
        tries=$((tries + 1)); sleep 1
    done"#;

/// A temporary folder.
pub(super) struct Scratch {
    path: PathBuf,
    keeper: Child,
    stdin: Option<ChildStdin>,
}

impl Scratch {
    pub(super) fn new() -> anyhow::Result<Scratch> {
        let path = tempfile::Builder::new().prefix("pirn-bench-").tempdir();
        let path = path.context("could not make a temporary folder")?.keep();
        let mut keeper = shell(REMOVE_WHEN_ALONE).arg(&path).stdout(Stdio::null()).spawn()?;
        let stdin = keeper.stdin.take();
        Ok(Scratch { path, keeper, stdin })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A word says that nobody uses it any more.
        if let Some(mut stdin) = self.stdin.take() {
            let _ = stdin.write_all(b"done\n");
        }
        let _ = self.keeper.wait();
    }
}

/// A network that runs, or a node. Dropped, it ends.
pub(super) struct Network {
    facts: Value,
    keeper: Child,
    stdin: Option<ChildStdin>,
}

impl Network {
    /// `pirn dev` with the modules of these files; the folder may be of an earlier one.
    pub(super) fn dev(pirn: &Path, state: &Path, modules: &[PathBuf]) -> anyhow::Result<Network> {
        let mut command = shell(UNTIL_ALONE);
        command.arg(pirn).args(["dev", "--port", "0", "--json", "--no-up", "--state"]).arg(state);
        for module in modules {
            command.arg("--module").arg(module);
        }
        let mut network = Network::start(command)?;
        network.facts["state"] = state.to_string_lossy().into();
        Ok(network)
    }

    /// A compute unit for the processes of another network.
    pub(super) fn compute(pirn: &Path, state: &Path, network: &Network) -> anyhow::Result<Network> {
        let mut command = shell(UNTIL_ALONE);
        command.arg(pirn).args(["node", "--port", "0", "--json", "--roles", "cu", "--state"]).arg(state);
        for role in ["gateway", "su"] {
            let url = network.facts["urls"][role].as_str().unwrap_or_default();
            command.env(format!("PIRN__REMOTE__{}", role.to_uppercase()), url);
        }
        Network::start(command)
    }

    fn start(mut command: Command) -> anyhow::Result<Network> {
        // Not in the repository, whose pirn.toml it would read.
        command.current_dir(std::env::temp_dir()).env("RUST_LOG", "error").stdout(Stdio::piped());
        let mut keeper = command.spawn().context("could not start pirn")?;
        let stdin = keeper.stdin.take();
        let stdout = keeper.stdout.take().expect("it was piped");
        let mut network = Network { facts: Value::Null, keeper, stdin };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        network.facts = serde_json::from_str(&line).context("pirn did not say that it is ready")?;
        Ok(network)
    }

    /// What it said of itself: `urls`, `addresses`, `authority`, `lua`, `modules`; and its folder, `state`.
    pub(super) fn facts(&self) -> &Value {
        &self.facts
    }

    /// Waits for the first answer of every unit.
    pub(super) fn answers(&self) -> anyhow::Result<()> {
        let urls = self.facts["urls"].as_object().context("pirn did not say where its units are")?;
        for (unit, url) in urls {
            let host = url.as_str().and_then(|url| url.strip_prefix("http://")).context("no URL")?;
            let mut stream = TcpStream::connect(host)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(stream, "GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            if !answer.starts_with("HTTP/1.1 200") {
                bail!("{unit} answered {:?}", answer.lines().next().unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Ends it; an error if it does not end well, or ended before.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        drop(self.stdin.take());
        let status = self.keeper.wait()?;
        ensure!(status.success(), "the network did not end well: {status}");
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// A shell that runs a script; what follows are its arguments. In a group of its own, so that Ctrl-C in a terminal
/// reaches what it starts by way of the script only.
fn shell(script: &str) -> Command {
    use std::os::unix::process::CommandExt as _;

    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).stdin(Stdio::piped()).process_group(0);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_whoever_made_it() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().to_owned();
        std::fs::create_dir(path.join("state")).unwrap();
        std::fs::write(path.join("state/file"), "kept").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    fn start(script: &str) -> anyhow::Result<Network> {
        let mut command = shell(UNTIL_ALONE);
        command.args(["sh", "-c", script]);
        Network::start(command)
    }

    #[test]
    fn a_program_that_ends_before_it_is_ready_is_an_error() {
        let error = start("exit 1").err().unwrap();
        assert_eq!(error.to_string(), "pirn did not say that it is ready");
    }

    #[test]
    fn a_network_that_ended_by_itself_is_an_error() {
        let network = start("echo '{}'; exit 3").unwrap();
        let error = network.stop().unwrap_err();
        assert_eq!(error.to_string(), "the network did not end well: exit status: 3");
    }
}
