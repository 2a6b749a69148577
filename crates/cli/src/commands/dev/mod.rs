//! `pirn dev`

mod banner;
mod controls;
mod detach;
mod keys;
mod project;

use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use node::{Config, Node, Overrides, Ports};
use protocol::Address;
use tokio::time::Instant;
use unit::Code;

use self::controls::Controls;
use self::keys::{Key, Keys};
use super::node::{Signals, failed};
use crate::error::{Context as _, Failure, Result};
use crate::registry::{Entry, Registered, Registry};
use crate::ui::Ui;

/// Start a whole ao network on this machine: gateway, bundler, messenger, scheduler and compute unit
#[derive(Debug, Args)]
pub struct Dev {
    /// First of five ports: gateway, bundler, MU, SU and CU follow one another. 0 takes free ones.
    #[arg(long, value_name = "N", default_value_t = 4000)]
    port: u16,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Folder that keeps the network. Without it everything is gone at the end.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// A wallet (JWK) for the units. Without it they make keys of their own.
    #[arg(long, value_name = "FILE")]
    wallet: Option<PathBuf>,
    /// When blocks are made: `auto` (shortly after something waits for one), `manual` (when asked, with GET /mine),
    /// or every so many milliseconds.
    #[arg(long, value_name = "auto|manual|MS", default_value = "auto", value_parser = parse_mining)]
    mine: weave::Mining,
    /// How the network's clock goes at the start: `real`, or `manual`: it stands until `pirn clock` moves it. Default: as
    /// it was left in the state folder.
    #[arg(long, value_name = "real|manual", value_parser = parse_clock)]
    clock: Option<node::DevelopmentClock>,
    /// A module file to publish at the start; may be repeated. `FILE=ID` publishes it under an id of your choice,
    /// for programs that name a fixed one: such a module is only on this network, and nobody can verify it.
    #[arg(long = "module", value_name = "FILE[=ID]")]
    modules: Vec<String>,
    /// Another scheduler whose processes this network takes, too; may be repeated. For programs that name a fixed
    /// `Scheduler`. This network's own key signs for it.
    #[arg(long = "scheduler", value_name = "ADDRESS")]
    schedulers: Vec<Address>,
    /// Configuration file; ./pirn.toml if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Leave the network running in the background, and return when it is ready. `pirn stop` ends it.
    #[arg(long)]
    detach: bool,
    /// A file to write when the network is ready: what --json answers. It is removed at the end.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Leave the processes of the project here alone. Without it they are spawned, and loaded again when a file is
    /// saved.
    #[arg(long)]
    no_up: bool,
    /// What `--detach` starts: a session of its own, whose stderr is that file.
    #[arg(long, value_name = "FILE", hide = true)]
    detached: Option<PathBuf>,
}

fn parse_clock(text: &str) -> Result<node::DevelopmentClock, String> {
    match text {
        "real" => Ok(node::DevelopmentClock::Real),
        "manual" => Ok(node::DevelopmentClock::Manual),
        _ => Err("expected real or manual".to_owned()),
    }
}

/// Reads when blocks are made.
pub fn parse_mining(text: &str) -> Result<weave::Mining, String> {
    match text {
        "auto" => Ok(weave::Mining::Auto),
        "manual" => Ok(weave::Mining::Manual),
        ms => match ms.parse() {
            Ok(ms) if ms > 0 => Ok(weave::Mining::Interval(ms)),
            _ => Err("expected auto, manual, or milliseconds".to_owned()),
        },
    }
}

impl Dev {
    /// Starts, says where everything is, and stays until it is told to end.
    pub async fn run(self, ui: Ui) -> Result {
        if self.detach {
            return detach::start(ui).await;
        }
        if self.detached.is_some() {
            detach::leave_terminal();
        }
        let started = Instant::now();
        ui.log();
        let signals = Signals::listen()?;
        let config = self.config()?;
        let host = config.host;
        if !host.is_loopback() {
            ui.note(format!(
                "warning: {host} is not only this computer: others can use this network and its public test keys"
            ));
        }
        if let Some(file) = &self.ready_file {
            // What a killed network left would be taken for this one's.
            let _ = std::fs::remove_file(file);
        }
        let ar = config.account_ar;
        let Some(node) = signals.unless_ended(Node::start(config)).await else { return Ok(()) };
        let node = node.map_err(refused)?;
        let registered = self.register(&node, ui);
        let ready = banner::ready(&node, self.detached.as_deref());
        let ready_file = self.ready_file.as_ref().map(|file| ReadyFile::write(file, &ready)).transpose()?;
        ui.answer(banner::banner(&node, ar, started.elapsed().as_secs_f64()), &ready);
        let keys = if ui.json { None } else { Keys::listen() };
        if keys.is_some() {
            ui.note(format!("\n  {}", keys::HELP));
        }
        let network = node.network().clone();
        let controls = Controls::of(&node);
        let replaced = node.replaced();
        let work = async {
            tokio::select! {
                biased;
                () = follow(keys, controls, ui) => {}
                () = project::keep(&network, replaced, self.no_up, ui) => {}
            }
            None
        };
        let work = async {
            tokio::select! {
                biased;
                error = node.failed() => Some(error),
                ended = work => ended,
            }
        };
        let broken = signals.unless_ended(work).await.flatten();
        ui.note("stopping");
        drop(ready_file);
        signals.unless_ended(node.stop()).await;
        // The last thing: who waits for this entry to go may take the ports then.
        drop(registered);
        broken.map_or(Ok(()), |error| Err(failed(error)))
    }

    /// Tells this user's other commands of it. A network that they do not know is still one.
    fn register(&self, node: &Node, ui: Ui) -> Option<Registered> {
        let entry = Entry {
            pid: std::process::id(),
            started: Registry::now(),
            folder: std::env::current_dir().unwrap_or_default(),
            state: node.state().map(ToOwned::to_owned),
            log: self.detached.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            network: node.network().clone(),
        };
        let registered = Registry::open().and_then(|registry| registry.register(&entry));
        registered.map_err(|error| ui.note(format!("`pirn status` will not know of it: {}", error.what))).ok()
    }

    fn config(&self) -> Result<Config> {
        let ports = Ports::from_base(self.port).ok_or_else(|| {
            Failure::usage(format!("there are no five ports from {} on", self.port))
                .hint("65531 is the last that can be")
        })?;
        let mut flags = Overrides::default();
        flags.set("ports", ports).set("host", self.host).set("weave.mining", self.mine);
        flags.set_some("dev.clock", self.clock);
        flags.set_some("state", self.state.as_ref()).set_some("wallet", self.wallet.as_ref());
        if !self.modules.is_empty() {
            flags.set("dev.modules", &self.modules);
        }
        if !self.schedulers.is_empty() {
            flags.set("dev.schedulers", &self.schedulers);
        }
        let loaded = node::load(Config::development(), self.config.as_deref(), flags).map_err(failed)?;
        Ok(loaded.config)
    }
}

/// Why a network does not start. A port that another `pirn dev` has is said with what to do about that one.
fn refused(error: node::Error) -> Failure {
    let node::Error::PortTaken { port, role, .. } = &error else { return failed(error) };
    let running = Registry::open().map(|registry| registry.running()).unwrap_or_default();
    let Some(other) = running.into_iter().find(|found| found.entry.ports().contains(port)) else {
        return failed(error);
    };
    let (pid, ago, folder) = (other.entry.pid, other.entry.ago(), other.entry.folder.display().to_string());
    let what = format!("port {port} for the {role} is taken by pirn (pid {pid}), started {ago} in {folder}");
    let first = other.entry.ports().first().copied().unwrap_or(*port);
    let failure = Failure { exit: 2, ..Failure::new(error.code(), what) };
    let failure = failure.hint("use it: `pirn status` says where it is");
    let failure = match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    };
    failure.hint(format!("stop that one: `pirn stop --port {first}`"))
}

/// Does what the keys say, until one says that it is the end.
async fn follow(keys: Option<Keys>, controls: Controls, ui: Ui) {
    let Some(mut keys) = keys else { return std::future::pending().await };
    let mut asked = false;
    loop {
        let key = keys.next().await;
        let again = std::mem::take(&mut asked);
        if again && key != Key::Reset {
            ui.note("not reset");
        }
        match key {
            Key::Quit => return,
            Key::Save => controls.save(ui).await,
            Key::Reset if again => controls.reset(ui).await,
            Key::Reset => {
                asked = true;
                ui.note(format!("{}; r again to do it, any other key to leave it", controls.loses));
            }
            Key::Other => {}
            Key::Logs => match crate::ui::toggle_log() {
                true => ui.note("the log is shown; l hides it again"),
                false => ui.note("the log is hidden, warnings aside"),
            },
            Key::Help => ui.note(keys::HELP),
        }
    }
}

/// A file that is there as long as the network is ready.
struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Writes it as a whole: whoever sees it can read all of it.
    fn write(path: &Path, ready: &impl serde::Serialize) -> Result<ReadyFile> {
        let failed = || format!("could not write {}", path.display());
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).context(Code::FILE, failed())?;
        let mut text = serde_json::to_vec(ready).expect("answers are JSON");
        text.push(b'\n');
        file.write_all(&text).context(Code::FILE, failed())?;
        file.persist(path).context(Code::FILE, failed())?;
        Ok(ReadyFile(path.to_owned()))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        // Whoever looks at it next finds that nothing answers.
        let _ = std::fs::remove_file(&self.0);
    }
}
