//! `pirn watch`, `clock`, `mine` and `snapshot`, against a network of their own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A development network whose time stands, and the commands that speak to it.
struct Network {
    child: Child,
    urls: Vec<(&'static str, String)>,
    folder: tempfile::TempDir,
}

impl Network {
    fn start() -> Network {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pirn"))
            .args(["dev", "--port", "0", "--json", "--clock", "manual", "--mine", "manual"])
            .env("TMPDIR", folder.path())
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let facts: Value = serde_json::from_str(&line).unwrap();
        let url = |part: &str| facts["urls"][part].as_str().unwrap().to_owned();
        let parts = [("GATEWAY_URL", "gateway"), ("MU_URL", "mu"), ("SU_URL", "su"), ("CU_URL", "cu")];
        let urls = parts.map(|(name, part)| (name, url(part))).to_vec();
        Network { child, urls, folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pirn"));
        command.args(arguments).current_dir(self.folder.path()).env("HOME", self.folder.path());
        for name in ["XDG_STATE_HOME", "XDG_CONFIG_HOME", "PIRN_CONTEXT", "PIRN_WALLET"] {
            command.env_remove(name);
        }
        command.env("NO_COLOR", "1").envs(self.urls.iter().cloned());
        command
    }

    /// What a command answers.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let output: Output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// How a command fails.
    #[track_caller]
    fn fails(&self, arguments: &[&str]) -> String {
        let output: Output = self.command(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_network_is_watched_moved_and_put_back() {
    let network = Network::start();
    let process = network.run(&["spawn"]);

    let mut watch = network
        .command(&["watch", &process, "--count", "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(watch.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), format!("watching {process}"));
    network.run(&["eval", &process, "Count = 1; return 40 + 2"]);
    network.run(&["eval", &process, "ao.send({ Target = ao.id, Action = 'Hello' })"]);
    assert!(watch.wait().unwrap().success(), "it ends after two");
    let mut watched = String::new();
    watch.stdout.take().unwrap().read_to_string(&mut watched).unwrap();
    assert!(watched.contains("evaluated") && watched.contains("\n    42\n"), "{watched}");
    assert!(watched.contains(&format!("sends Hello to {process}")), "{watched}");

    let saved = network.run(&["snapshot", "save", "before"]);
    assert!(saved.starts_with("saved before at block "), "{saved}");
    assert!(
        network.fails(&["snapshot", "save", "before"]).contains("there is a snapshot \"before\" already")
    );
    let clock = network.run(&["clock"]);
    assert!(clock.ends_with(" · stands"), "{clock}");
    network.run(&["eval", &process, "Count = 2"]);
    assert_ne!(network.run(&["clock", "+1h"]), clock);
    let mined: Value = serde_json::from_str(&network.run(&["mine", "2", "--json"])).unwrap();
    assert_eq!(mined["mining"]["mode"], "manual");
    network.run(&["snapshot", "restore", "before"]);
    assert_eq!(network.run(&["clock"]), clock);
    assert_eq!(network.run(&["eval", &process, "return Count"]), "1");
    assert!(network.run(&["snapshot", "ls"]).starts_with("before  block "));
    network.run(&["snapshot", "rm", "before"]);
    assert_eq!(network.run(&["snapshot", "ls"]), "");
    assert!(network.fails(&["snapshot", "restore", "before"]).contains("there is no snapshot \"before\""));
    assert!(network.run(&["clock", "2100-01-01T00:00:00Z"]).starts_with("2100-01-01T00:00:00.00"));
    assert!(network.run(&["mine", "--when", "1000"]).contains("every 1000 ms"));
    assert!(network.fails(&["clock", "-1h"]).contains("no way to move a clock"));
    assert!(network.fails(&["clock", "soon"]).contains("no way to move a clock"));
}
