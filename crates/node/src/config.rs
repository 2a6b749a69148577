//! Everything that an operator may choose: the options of the parts, under the parts' names, and what joins them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use protocol::Address;
use serde::{Deserialize, Serialize};

/// The configuration of a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What this node is. What is missing is asked for at the URLs of `remote`.
    pub roles: Vec<Role>,
    /// The address that it listens on. Only this computer reaches the default.
    pub host: IpAddr,
    /// Where it listens.
    pub ports: Ports,
    /// The base URL by which others reach this node's scheduler, as its Scheduler-Location says it. None: what it
    /// listens on.
    pub scheduler_url: Option<String>,
    /// Milliseconds for which others may believe the Scheduler-Location: one day.
    pub scheduler_ttl_ms: u64,
    /// The folder that keeps everything. None: a temporary one that is removed at the end.
    pub state: Option<PathBuf>,
    /// A JWK for all units. None: keys of their own, made in the state folder.
    pub wallet: Option<PathBuf>,
    /// A JWK for each unit; these win over `wallet`.
    pub wallets: Wallets,
    /// A development network: public accounts with money out of nothing.
    pub development: bool,
    /// What a development network has before anybody asks.
    pub dev: Development,
    /// AR that each account of a development network starts with.
    pub account_ar: u64,
    /// Milliseconds that a node takes at most to end.
    pub stop_ms: u64,
    /// Where the parts are that this node is not.
    pub remote: Remote,
    /// The durable log.
    pub store: store::Options,
    /// The embedded weave, and the network on which it settles.
    pub weave: crate::outward::Options,
    /// Settlement on the network that `weave.gateway` names.
    pub settlement: settlement::Options,
    /// How turns are taken at the gateways that `weave.gateway` names.
    pub gateways: pirn_http::client::GatewaysOptions,
    /// When a compute unit reads schedules from the weave.
    pub archive: archive::Options,
    /// What is kept of the words of schedulers elsewhere, to show it to one that forgot it.
    pub witness: witness::Options,
    /// The embedded weave as a gateway.
    pub gateway: pirn_http::server::weave::Options,
    /// The embedded weave as a bundler.
    pub bundler: pirn_http::server::bundler::Options,
    /// The messenger unit.
    pub mu: mu::Options,
    /// The scheduler unit.
    pub su: su::Options,
    /// The compute unit.
    pub cu: cu::Options,
    /// The runtime of WebAssembly modules.
    pub wasm: runtime_wasm::Options,
    /// When this node is ready.
    pub ready: crate::vitals::Options,
    /// How much a client may ask for. Nothing is limited on a development network unless it is said.
    pub limits: pirn_http::server::limits::Options,
    /// What is kept of events, for whoever listens.
    pub events: unit::EventsOptions,
    /// Streams and webhooks of what processes send: their bounds.
    pub apps: apps::Options,
    /// Who may make webhooks, and where they lead.
    pub webhooks: crate::applications::Webhooks,
    /// Signing for applications.
    pub desk: crate::desk::Options,
    /// Names under which processes are read over HTTP, as `NAME=ID`. On a development network a process is read under
    /// its `Name` as well.
    pub names: Vec<String>,
    /// Whom this node serves.
    pub access: crate::access::Options,
    /// HTTP, as a server.
    pub http: pirn_http::server::Options,
    /// HTTP, as a client.
    pub client: pirn_http::client::Options,
}

/// A part that a node can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The embedded weave, as a gateway.
    Gateway,
    /// The embedded weave, as a bundler. Goes with the gateway.
    Bundler,
    /// The messenger unit.
    Mu,
    /// The scheduler unit.
    Su,
    /// The compute unit.
    Cu,
}

impl Role {
    /// All of them, in the order of their ports.
    pub const ALL: [Role; 5] = [Role::Gateway, Role::Bundler, Role::Mu, Role::Su, Role::Cu];

    /// Its name in configurations and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Role::Gateway => "gateway",
            Role::Bundler => "bundler",
            Role::Mu => "mu",
            Role::Su => "su",
            Role::Cu => "cu",
        }
    }
}

/// A port for each role; 0 is any that is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the roles")]
pub struct Ports {
    pub gateway: u16,
    pub bundler: u16,
    pub mu: u16,
    pub su: u16,
    pub cu: u16,
}

impl Ports {
    /// Five in a row from `base` on; five free ones for 0. `None` if they go beyond 65535.
    pub fn from_base(base: u16) -> Option<Ports> {
        if base == 0 {
            return Some(Ports { gateway: 0, bundler: 0, mu: 0, su: 0, cu: 0 });
        }
        let at = |n| base.checked_add(n);
        Some(Ports { gateway: base, bundler: at(1)?, mu: at(2)?, su: at(3)?, cu: at(4)? })
    }

    /// The port of a role.
    pub fn of(&self, role: Role) -> u16 {
        match role {
            Role::Gateway => self.gateway,
            Role::Bundler => self.bundler,
            Role::Mu => self.mu,
            Role::Su => self.su,
            Role::Cu => self.cu,
        }
    }
}

impl Default for Ports {
    fn default() -> Ports {
        Ports::from_base(4000).expect("4004 is a port")
    }
}

/// Where parts are that are elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Remote {
    /// Base URL of a gateway.
    pub gateway: Option<String>,
    /// URL of its GraphQL, if that is elsewhere.
    pub graphql: Option<String>,
    /// Base URL of a bundler; the gateway's if none is said.
    pub bundler: Option<String>,
    /// Base URL of a scheduler unit.
    pub su: Option<String>,
    /// Base URL of a compute unit.
    pub cu: Option<String>,
    /// Base URL of a messenger unit that pushes the ticks of this scheduler, where none runs here.
    pub mu: Option<String>,
}

/// What a development network has before anybody asks. Elsewhere it must be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Development {
    /// Modules to publish, as `FILE` or `FILE=ID`. Under an id of one's own choice, a module is there for whoever
    /// asks this weave, but nobody can verify it: such an id is the hash of no signature.
    pub modules: Vec<String>,
    /// Schedulers that ours stands in for: their processes are accepted, and signed with our key.
    pub schedulers: Vec<Address>,
    /// Origins of web pages, like `https://app.example`, that may use the controls (`/api/v1/dev`, and the gateway's
    /// `/mine`, `/mint` and `/reset`). Pages of this computer may, and programs; other pages may not.
    pub origins: Vec<String>,
    /// Names, besides those of this computer, under which the controls may be used: for a network that others reach.
    pub hosts: Vec<String>,
    /// How the clock goes. None: as it was left, and as the computer's the first time.
    pub clock: Option<DevelopmentClock>,
}

/// How the clock of a development network goes at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DevelopmentClock {
    /// It runs.
    Real,
    /// It stands until it is moved.
    Manual,
}

/// Files with JWKs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are those of the units")]
pub struct Wallets {
    pub mu: Option<PathBuf>,
    pub su: Option<PathBuf>,
    pub cu: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            roles: Role::ALL.to_vec(),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: Ports::default(),
            scheduler_url: None,
            scheduler_ttl_ms: 24 * 60 * 60 * 1000,
            state: Some(PathBuf::from("pirn-state")),
            wallet: None,
            wallets: Wallets::default(),
            development: false,
            dev: Development::default(),
            account_ar: 1000,
            stop_ms: 30_000,
            remote: Remote::default(),
            store: store::Options::default(),
            weave: crate::outward::Options::default(),
            settlement: settlement::Options::default(),
            gateways: pirn_http::client::GatewaysOptions::default(),
            archive: archive::Options::default(),
            witness: witness::Options::default(),
            gateway: pirn_http::server::weave::Options::default(),
            bundler: pirn_http::server::bundler::Options::default(),
            mu: mu::Options::default(),
            su: su::Options::default(),
            cu: cu::Options::default(),
            wasm: runtime_wasm::Options::default(),
            ready: crate::vitals::Options::default(),
            limits: pirn_http::server::limits::Options::default(),
            events: unit::EventsOptions::default(),
            apps: apps::Options::default(),
            webhooks: crate::applications::Webhooks::default(),
            desk: crate::desk::Options::default(),
            names: Vec::new(),
            access: crate::access::Options::default(),
            http: pirn_http::server::Options::default(),
            client: pirn_http::client::Options::default(),
        }
    }
}

impl Config {
    /// What a development network starts from: everything, for a while, with public accounts.
    pub fn development() -> Config {
        let mut config = Config { state: None, development: true, ..Config::default() };
        config.gateway.control = true;
        config.limits.enabled = false;
        config
    }

    /// Whom the controls of a development network obey.
    pub(crate) fn guard(&self) -> unit::Result<pirn_http::server::Guard> {
        pirn_http::server::Guard::new(&self.dev.origins, &self.dev.hosts, !self.host.is_loopback())
    }

    /// Whether this node is that.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}
