//! A person with a home folder of their own, for tests of what commands keep between runs.
#![allow(dead_code, reason = "each test uses some of it")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A person: a home folder, where commands find what others of this person's left.
pub struct Person(tempfile::TempDir);

impl Person {
    pub fn new() -> Person {
        let person = Person(tempfile::tempdir().unwrap());
        std::fs::create_dir(person.folder().join("tmp")).unwrap();
        person
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A command in the home folder, with nothing of the environment that would tell it where to go.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pirn"));
        command.args(arguments).current_dir(self.folder()).env("NO_COLOR", "1");
        command.env("HOME", self.folder()).env("TMPDIR", self.folder().join("tmp"));
        for name in ["XDG_STATE_HOME", "XDG_CONFIG_HOME", "PIRN_CONTEXT", "PIRN_WALLET"] {
            command.env_remove(name);
        }
        for name in ["GATEWAY_URL", "MU_URL", "SU_URL", "CU_URL"] {
            command.env_remove(name);
        }
        command
    }

    /// A network in the background, and a context of that name in use for it.
    pub fn network(&self, name: &str) -> Value {
        let ready = self.answer(&["dev", "--port", "0", "--detach"]);
        let mu = ready["urls"]["mu"].as_str().unwrap();
        self.answer(&["context", "add", name, "--mu", mu, "--wallet", "ada", "--use"]);
        ready
    }

    /// What a command says on stdout.
    #[track_caller]
    pub fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Writes a file in the home folder.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[track_caller]
    pub fn answer(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    #[track_caller]
    pub fn refused(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.run(&["stop", "--all", "--force"]);
    }
}
