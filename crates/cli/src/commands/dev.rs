//! `pirn dev`

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use node::{Config, Node, Overrides, Ports};
use protocol::Address;
use serde::Serialize;
use tokio::time::Instant;

use super::accounts;
use super::node::{Signals, failed, units_table};
use crate::error::{Failure, Result};
use crate::ui::{Ui, table};

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
}

fn parse_mining(text: &str) -> Result<weave::Mining, String> {
    match text {
        "auto" => Ok(weave::Mining::Auto),
        "manual" => Ok(weave::Mining::Manual),
        ms => match ms.parse() {
            Ok(ms) if ms > 0 => Ok(weave::Mining::Interval(ms)),
            _ => Err("expected auto, manual, or milliseconds".to_owned()),
        },
    }
}

/// A network that is ready, as programs get it: one line, as soon as everything answers.
#[derive(Serialize)]
struct Ready<'a> {
    urls: &'a BTreeMap<String, String>,
    ports: BTreeMap<&'a str, u16>,
    addresses: &'a BTreeMap<String, Address>,
    authority: Option<Address>,
    accounts: Vec<accounts::Shown>,
    modules: &'a [node::Preloaded],
    state: Option<String>,
    version: &'static str,
}

impl Dev {
    /// Starts, says where everything is, and stays until it is told to end.
    pub async fn run(self, ui: Ui) -> Result {
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
        let ar = config.account_ar;
        let Some(node) = signals.unless_ended(Node::start(config)).await else { return Ok(()) };
        let node = node.map_err(failed)?;
        ui.answer(banner(&node, ar, started.elapsed().as_secs_f64()), &ready(&node));
        signals.ended().await;
        ui.note("stopping");
        signals.unless_ended(node.stop()).await;
        Ok(())
    }

    fn config(&self) -> Result<Config> {
        let ports = Ports::from_base(self.port).ok_or_else(|| {
            Failure::usage(format!("there are no five ports from {} on", self.port))
                .hint("65531 is the last that can be")
        })?;
        let mut flags = Overrides::default();
        flags.set("ports", ports).set("host", self.host).set("weave.mining", self.mine);
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

fn ready(node: &Node) -> Ready<'_> {
    let network = node.network();
    let port = |(name, url): (&'static str, &String)| Some((name, url.rsplit_once(':')?.1.parse().ok()?));
    let named =
        node::Role::ALL.into_iter().filter_map(|role| Some((role.name(), network.urls.get(role.name())?)));
    Ready {
        urls: &network.urls,
        ports: named.filter_map(port).collect(),
        addresses: &network.addresses,
        authority: network.authority,
        accounts: accounts::shown(),
        modules: node.preloaded(),
        state: node.state().map(|state| state.display().to_string()),
        version: env!("CARGO_PKG_VERSION"),
    }
}

fn banner(node: &Node, ar: u64, seconds: f64) -> String {
    let network = node.network();
    let indent = |text: String| text.lines().map(|line| format!("  {line}\n")).collect::<String>();
    let version = env!("CARGO_PKG_VERSION");
    let mut out =
        format!("  pirn {version} · a whole ao network on your machine · ready in {seconds:.2} s\n\n");
    out += &indent(units_table(network));

    out += "\n  Accounts   public test keys, the same on every machine. Never send them real money.\n";
    let shown = accounts::shown();
    let row = |account: &accounts::Shown| {
        let (index, name) = (account.index.to_string(), account.name.to_owned());
        vec![index, name, account.address.to_string(), format!("{ar} AR")]
    };
    let rows: Vec<_> = shown.iter().take(3).map(row).collect();
    out += &table(&rows).lines().map(|line| format!("    {line}\n")).collect::<String>();
    out += &format!("    {} in all: `pirn accounts`\n", shown.len());

    if !node.preloaded().is_empty() {
        out += "\n  Modules\n";
        let row = |module: &node::Preloaded| vec![module.id.to_string(), module.file.display().to_string()];
        let rows: Vec<_> = node.preloaded().iter().map(row).collect();
        out += &table(&rows).lines().map(|line| format!("    {line}\n")).collect::<String>();
    }

    let state = match node.state() {
        Some(state) => state.display().to_string(),
        None => "temporary · keep it with --state DIR".to_owned(),
    };
    let authority = network.authority.map(|address| address.to_string()).unwrap_or_default();
    let scheduler = network.addresses.get("su").map(ToString::to_string).unwrap_or_default();
    let facts = [("Authority", authority), ("Scheduler", scheduler), ("State", state)];
    let facts: Vec<_> = facts.into_iter().map(|(name, value)| vec![format!("{name:<9}"), value]).collect();
    out += &format!("\n{}", indent(table(&facts)));

    let gateway =
        network.urls.get("gateway").and_then(|url| url.rsplit_once(':')).map_or("4000", |(_, port)| port);
    let port = if gateway == "4000" { String::new() } else { format!(" --port {gateway}") };
    out + &format!(
        "\n  In another shell:  eval \"$(pirn env{port})\"   then aoconnect, aos and arweave-js point here"
    )
}
