//! `pirn node`, and what it shares with `pirn dev`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use node::{Config, Node as Running, Overrides, Ports};
use pirn_http::wire::info::Network;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;

use unit::Code;

use crate::error::{Context as _, Failure, Result};
use crate::ui::{Ui, table};

/// Run a node: all roles, or some of them with the others elsewhere, as the configuration says
#[derive(Debug, Args)]
pub struct Node {
    /// Configuration file; ./pirn.toml if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What this node is: some of gateway, bundler, mu, su, cu.
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// First of five ports: gateway, bundler, MU, SU and CU follow one another. 0 takes free ones.
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS")]
    host: Option<IpAddr>,
    /// Folder that keeps everything.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// A wallet (JWK) for the units. Without it they make keys of their own in the state folder.
    #[arg(long, value_name = "FILE")]
    wallet: Option<PathBuf>,
}

/// A node that is ready, as programs get it.
#[derive(Serialize)]
struct Ready<'a> {
    #[serde(flatten)]
    network: &'a Network,
    state: Option<String>,
    version: &'static str,
}

impl Node {
    /// Starts, says where everything is, and stays until it is told to end.
    pub async fn run(self, ui: Ui) -> Result {
        ui.log();
        let signals = Signals::listen()?;
        let config = self.config()?;
        let Some(node) = signals.unless_ended(Running::start(config)).await else { return Ok(()) };
        let node = node.map_err(failed)?;
        let state = node.state().map(|state| state.display().to_string());
        let ready = Ready { network: node.network(), state, version: env!("CARGO_PKG_VERSION") };
        ui.answer(units_table(node.network()), &ready);
        let broken = signals.unless_ended(node.failed()).await;
        ui.note("stopping");
        signals.unless_ended(node.stop()).await;
        // A node that cannot write must not look as if it could: whoever watches over it shall know.
        broken.map_or(Ok(()), |error| Err(failed(error)))
    }

    fn config(&self) -> Result<Config> {
        let mut flags = Overrides::default();
        if let Some(base) = self.port {
            let none = || Failure::usage(format!("there are no five ports from {base} on"));
            flags.set("ports", Ports::from_base(base).ok_or_else(none)?);
        }
        if !self.roles.is_empty() {
            flags.set("roles", &self.roles);
        }
        flags.set_some("host", self.host);
        flags.set_some("state", self.state.as_ref()).set_some("wallet", self.wallet.as_ref());
        let loaded = node::load(Config::default(), self.config.as_deref(), flags).map_err(failed)?;
        Ok(loaded.config)
    }
}

/// Why a node does not start, for a person.
pub fn failed(error: node::Error) -> Failure {
    let mut what = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        what.push_str(": ");
        what.push_str(&cause.to_string());
        source = cause.source();
    }
    let exit = if error.is_usage() { 2 } else { 1 };
    let failure = Failure { exit, ..Failure::new(error.code(), what) };
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Where the parts of a network are.
pub fn units_table(network: &Network) -> String {
    let parts = [
        ("gateway", "Arweave", "gateway, GraphQL: GATEWAY_URL"),
        ("bundler", "Bundler", "UPLOADER_URL"),
        ("mu", "Messenger", "MU_URL"),
        ("su", "Scheduler", "SU_URL"),
        ("cu", "Compute", "CU_URL"),
    ];
    let row = |(part, name, note): (&str, &str, &str)| {
        let url = network.urls.get(part)?;
        Some(vec![name.to_owned(), url.clone(), note.to_owned()])
    };
    table(&parts.into_iter().filter_map(row).collect::<Vec<_>>())
}

/// Ctrl-C and SIGTERM. A file that is larger than this program's limit is an error of the write, as a full disk is, and
/// no signal that ends the program.
pub struct Signals {
    ends: Mutex<(Signal, Signal)>,
    _file_too_large: Signal,
}

impl Signals {
    /// From now on they do not end the program by themselves.
    pub fn listen() -> Result<Signals> {
        let of = |kind| signal(kind).context(Code::INTERNAL, "could not listen for signals");
        let ends = (of(SignalKind::interrupt())?, of(SignalKind::terminate())?);
        let file_too_large = of(SignalKind::from_raw(libc::SIGXFSZ))?;
        Ok(Signals { ends: Mutex::new(ends), _file_too_large: file_too_large })
    }

    /// Waits for one of them.
    pub async fn ended(&self) {
        let mut signals = self.ends.lock().await;
        let (interrupt, terminate) = &mut *signals;
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }

    /// What comes of `work`, unless a signal comes first.
    pub async fn unless_ended<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.ended() => None,
            done = work => Some(done),
        }
    }
}
