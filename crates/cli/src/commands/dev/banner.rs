//! What a development network says when it is ready.

use std::collections::BTreeMap;
use std::path::Path;

use node::Node;
use protocol::{Address, ModuleId};
use serde::Serialize;

use crate::commands::accounts;
use crate::commands::node::units_table;
use crate::registry::port_of;
use crate::ui::table;

/// A network that is ready, as programs get it: one line, as soon as everything answers.
#[derive(Serialize)]
pub struct Ready<'a> {
    urls: &'a BTreeMap<String, String>,
    ports: BTreeMap<&'a str, u16>,
    addresses: &'a BTreeMap<String, Address>,
    authority: Option<Address>,
    accounts: Vec<accounts::Shown>,
    /// The module of Pirn's own Lua.
    lua: ModuleId,
    modules: &'a [node::Preloaded],
    state: Option<String>,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    version: &'static str,
}

/// What programs are told.
pub fn ready<'a>(node: &'a Node, log: Option<&Path>) -> Ready<'a> {
    let network = node.network();
    let port = |(name, url): (&'static str, &String)| Some((name, port_of(url)?));
    let named =
        node::Role::ALL.into_iter().filter_map(|role| Some((role.name(), network.urls.get(role.name())?)));
    Ready {
        urls: &network.urls,
        ports: named.filter_map(port).collect(),
        addresses: &network.addresses,
        authority: network.authority,
        accounts: accounts::shown(),
        lua: ModuleId(node::lua_module().id),
        modules: node.preloaded(),
        state: node.state().map(|state| state.display().to_string()),
        pid: std::process::id(),
        log: log.map(|log| log.display().to_string()),
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// What people are told.
pub fn banner(node: &Node, ar: u64, seconds: f64) -> String {
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

    out += "\n  Modules    in the binary, or as you publish them\n";
    let lua = vec![node::lua_module().id.to_string(), "lua".to_owned()];
    let row = |module: &node::Preloaded| vec![module.id.to_string(), module.file.display().to_string()];
    let rows: Vec<_> = std::iter::once(lua).chain(node.preloaded().iter().map(row)).collect();
    out += &table(&rows).lines().map(|line| format!("    {line}\n")).collect::<String>();

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
