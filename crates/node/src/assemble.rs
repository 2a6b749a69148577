//! A node from its configuration: ports, state, keys, units, servers; and its orderly end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pirn_http::client::Transport;
use pirn_http::server::{self, Context, Serving};
use pirn_http::wire::info::Network;
use store::{DiskBlobs, DiskStore};
use unit::{Arweave as _, Clock as _, Events, Weave as _};

use crate::clock::SystemClock;
use crate::keys::Keys;
use crate::listen::Listeners;
use crate::roles::{self, Common, Units};
use crate::sources::absolute;
use crate::temporary::Temporary;
use crate::vitals::Vitals;
use crate::{Config, Error, Preloaded, Role, accounts, metrics};

/// Winston in an AR.
const WINSTON: u128 = 1_000_000_000_000;

/// A node that runs.
pub struct Node {
    network: Arc<Network>,
    units: Units,
    events: Arc<Events>,
    servings: Vec<Serving>,
    stop_within: Duration,
    /// Removed with everything in it when the node is gone, if it is temporary.
    state: State,
}

/// The folder that keeps everything.
enum State {
    Kept(PathBuf),
    Temporary(Temporary),
}

impl State {
    fn open(config: &Config) -> Result<State, Error> {
        let Some(path) = &config.state else {
            let folder = std::env::temp_dir();
            return Temporary::make(&folder).map(State::Temporary).map_err(|source| Error::File {
                what: "make a folder in",
                path: folder,
                source,
            });
        };
        let path = absolute(path);
        std::fs::create_dir_all(&path).map_err(|source| Error::File {
            what: "make",
            path: path.clone(),
            source,
        })?;
        Ok(State::Kept(path))
    }

    fn path(&self) -> &Path {
        match self {
            State::Kept(path) => path,
            State::Temporary(folder) => folder.path(),
        }
    }
}

impl Node {
    /// Starts a node. Its ports are taken before anything is written, and it answers when this returns.
    pub async fn start(config: Config) -> Result<Node, Error> {
        let mut listeners = Listeners::bind(&config).await?;
        metrics::recorder();
        let state = State::open(&config)?;
        let common = open_common(&config, state.path()).await?;
        let keys = Keys::open(&config, state.path())?;
        let mut config = config;
        config.wasm.cache.get_or_insert_with(|| state.path().join("modules"));

        let (units, contracts) = roles::open(&config, &common, &keys).await?;
        if let (true, Some(weave)) = (config.development, &units.weave) {
            fund(weave, config.account_ar).await?;
        }
        let network = Arc::new(describe(&config, &listeners, &keys));
        let context = context(&config, &common, &network, &units);
        let mut servings = Vec::new();
        let mut serve = |role, router: Option<axum::Router>| {
            if let (Some(listener), Some(router)) = (listeners.take(role), router) {
                servings.push(server::serve(listener, router, &context));
            }
        };
        let weave = units.weave.clone();
        let mut bundler = config.bundler.clone();
        bundler.gateway = bundler.gateway.or_else(|| network.urls.get("gateway").cloned());
        serve(
            Role::Gateway,
            weave.clone().map(|weave| server::weave::router(weave, config.gateway.clone(), context.clone())),
        );
        serve(
            Role::Bundler,
            weave.map(|weave| server::bundler::router(weave, bundler.clone(), context.clone())),
        );
        serve(Role::Su, contracts.scheduler.map(|unit| server::su::router(unit, context.clone())));
        serve(Role::Cu, contracts.compute.map(|unit| server::cu::router(unit, context.clone())));
        serve(Role::Mu, contracts.messenger.map(|unit| server::mu::router(unit, context.clone())));
        // Servers end in the order in which requests come in.
        servings.reverse();
        if let Some(unit) = &units.su {
            announce(unit, &config, &network).await?;
        }
        let stop_within = Duration::from_millis(config.stop_ms);
        let events = common.events.clone();
        Ok(Node { network, units, events, servings, stop_within, state })
    }

    /// Where its parts are, and what they sign with.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The modules that were published before anybody asked.
    pub fn preloaded(&self) -> &[Preloaded] {
        &self.units.preloaded
    }

    /// The folder that keeps everything, unless it is temporary.
    pub fn state(&self) -> Option<&Path> {
        match &self.state {
            State::Kept(path) => Some(path),
            State::Temporary(_) => None,
        }
    }

    /// Lets what is under way finish, within bounds, and ends: the messenger first, the weave last.
    pub async fn stop(self) {
        let Node { units, events, servings, stop_within, state, .. } = self;
        events.end("the node stops");
        let orderly = async {
            // Nothing new comes in while the units finish; each server waits for its own answers.
            let each = stop_within / 3;
            futures::future::join_all(servings.into_iter().map(|serving| serving.stop(each))).await;
            if let Some(unit) = &units.mu {
                unit.stop().await;
            }
            if let Some(unit) = &units.cu {
                unit.stop().await;
            }
            if let Some(unit) = &units.su {
                unit.stop().await;
            }
            if let Some(unit) = &units.weave {
                unit.stop().await;
            }
        };
        if tokio::time::timeout(stop_within, orderly).await.is_err() {
            tracing::warn!(within = ?stop_within, "not everything ended in time; nothing that was acknowledged is lost");
        }
        drop(units);
        drop(state);
    }
}

async fn open_common(config: &Config, state: &Path) -> Result<Common, Error> {
    let (folder, options) = (state.join("log"), config.store.clone());
    // Opening reads the end of the log.
    let opened = tokio::task::spawn_blocking(move || DiskStore::open(folder, options)).await;
    let of_store = |source| Error::Store { path: state.to_owned(), source };
    let store = opened.unwrap_or(Err(store::Error::Poisoned)).map_err(of_store)?;
    let blobs = DiskBlobs::open(state.join("blobs")).map_err(of_store)?;
    let transport = Transport::new(config.client.clone()).map_err(Error::part("HTTP client"))?;
    let clock = Arc::new(SystemClock);
    let events = Events::new(clock.now().0, clock.clone(), config.events.clone());
    Ok(Common { store: Arc::new(store), blobs: Arc::new(blobs), clock, events, transport })
}

/// Gives the public accounts their money, once.
async fn fund(weave: &Arc<weave::EmbeddedWeave>, ar: u64) -> Result<(), Error> {
    for account in accounts() {
        let address = account.wallet().address();
        if !weave.knows_wallet(address).await.map_err(Error::part("weave"))? {
            weave.mint(address, u128::from(ar) * WINSTON).await.map_err(Error::part("weave"))?;
        }
    }
    Ok(())
}

fn describe(config: &Config, listeners: &Listeners, keys: &Keys) -> Network {
    let mut urls = listeners.urls();
    let elsewhere = &config.remote;
    for (name, url) in [
        ("gateway", &elsewhere.gateway),
        ("bundler", &elsewhere.bundler),
        ("su", &elsewhere.su),
        ("cu", &elsewhere.cu),
    ] {
        if let Some(url) = url {
            urls.entry(name.to_owned()).or_insert_with(|| url.trim_end_matches('/').to_owned());
        }
    }
    let units = [(Role::Mu, &keys.mu), (Role::Su, &keys.su), (Role::Cu, &keys.cu)];
    let here = units.into_iter().filter(|(role, _)| config.has(*role));
    let addresses: BTreeMap<_, _> = here.map(|(role, key)| (role.name().to_owned(), key.address())).collect();
    let authority = addresses.get("mu").copied();
    Network { urls, addresses, authority, development: config.development }
}

fn context(config: &Config, common: &Common, network: &Arc<Network>, units: &Units) -> Context {
    let vitals = Arc::new(Vitals::of(units, common, config.ready.clone()));
    let (metrics, checks) = (vitals.clone(), vitals);
    Context {
        options: config.http.clone(),
        clock: common.clock.clone(),
        network: Some(network.clone()),
        metrics: Some(Arc::new(move || metrics.metrics())),
        checks: Some(Arc::new(move || {
            let checks = checks.clone();
            Box::pin(async move { checks.checks().await })
        })),
        events: Some(common.events.clone()),
        limits: server::limits::Limits::new(config.limits.clone()),
    }
}

async fn announce(unit: &su::SchedulerUnit, config: &Config, network: &Network) -> Result<(), Error> {
    let own = network.urls.get("su").map(String::as_str);
    let Some(url) = config.scheduler_url.as_deref().or(own) else { return Ok(()) };
    let said = unit.announce(url, Duration::from_millis(config.scheduler_ttl_ms)).await;
    said.map(|_| ()).map_err(|error| Error::Part { part: "scheduler unit", source: error.into() })
}
