//! A node from its configuration: ports, state, keys, units, servers; and its orderly end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pirn_http::client::Transport;
use pirn_http::server::{self, Context, Globals, Guard, Names, Reads, Serving};
use pirn_http::wire::info::Network;
use store::{DiskBlobs, DiskStore};
use tokio::sync::watch;
use unit::{Arweave as _, Clock, Events, Weave};

use crate::clock::{SystemClock, VirtualClock};
use crate::control::Controls;
use crate::keys::Keys;
use crate::listen::Listeners;
use crate::roles::{self, Common, Units};
use crate::snapshots::Snapshots;
use crate::sources::absolute;
use crate::temporary::Temporary;
use crate::vitals::Vitals;
use crate::{Config, DevelopmentClock, Error, Preloaded, Role, accounts, applications, desk, metrics};

/// Winston in an AR.
const WINSTON: u128 = 1_000_000_000_000;

/// A node that runs.
pub struct Node(Arc<Inner>);

/// What stays the same while a node runs, and what runs.
pub(crate) struct Inner {
    config: Config,
    network: Arc<Network>,
    keys: Keys,
    guard: Guard,
    listeners: Listeners,
    clock: Arc<dyn Clock>,
    /// The clock, if it can be moved.
    pub(crate) moved: Option<Arc<VirtualClock>>,
    preloaded: OnceLock<Vec<Preloaded>>,
    /// Why the log can no longer be written, once that is so.
    failed: watch::Sender<Option<store::Error>>,
    /// How often the network was put back.
    pub(crate) replaced: watch::Sender<u64>,
    /// When the last run began.
    run: AtomicU64,
    /// None while it is being replaced, and at the end. Whoever controls the node holds this.
    pub(crate) running: tokio::sync::Mutex<Option<Running>>,
    /// Removed with everything in it when the node is gone, if it is temporary. The last to go.
    state: State,
}

/// What a restored snapshot replaces.
pub(crate) struct Running {
    pub(crate) units: Units,
    pub(crate) common: Common,
    servings: Vec<Serving>,
    /// Streams and webhooks, where there is a compute unit that knows what processes send.
    apps: Option<Arc<apps::Apps>>,
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
        // Its name is on the disk before anything that it keeps is acknowledged.
        let above = path.parent().unwrap_or(&path);
        let synced = std::fs::File::open(above).and_then(|folder| folder.sync_all());
        synced.map_err(|source| Error::File { what: "sync", path: above.to_owned(), source })?;
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
        let guard = config.guard().map_err(Error::part("controls"))?;
        let listeners = Listeners::bind(&config).await?;
        metrics::recorder();
        let state = State::open(&config)?;
        let finish = Snapshots::of(state.path());
        let finished = tokio::task::spawn_blocking(move || finish.finish()).await;
        finished
            .unwrap_or_else(|panic| Err(unit::Error::internal(&panic)))
            .map_err(Error::part("snapshots"))?;
        let (clock, moved): (Arc<dyn Clock>, _) = match config.development {
            true => {
                let stand = config.dev.clock.map(|clock| clock == DevelopmentClock::Manual);
                let clock = Arc::new(VirtualClock::open(state.path(), stand)?);
                (clock.clone(), Some(clock))
            }
            false => (Arc::new(SystemClock), None),
        };
        let keys = Keys::open(&config, state.path())?;
        let mut config = config;
        config.wasm.cache.get_or_insert_with(|| state.path().join("modules"));
        let inner = Arc::new(Inner {
            network: Arc::new(describe(&config, &listeners, &keys)),
            config,
            keys,
            guard,
            listeners,
            clock,
            moved,
            preloaded: OnceLock::new(),
            failed: watch::Sender::new(None),
            replaced: watch::Sender::new(0),
            run: AtomicU64::new(0),
            running: tokio::sync::Mutex::new(None),
            state,
        });
        let running = Running::start(&inner).await?;
        *inner.running.lock().await = Some(running);
        Ok(Node(inner))
    }

    /// Where its parts are, and what they sign with.
    pub fn network(&self) -> &Network {
        &self.0.network
    }

    /// The modules that were published before anybody asked.
    pub fn preloaded(&self) -> &[Preloaded] {
        self.0.preloaded.get().map_or(&[], Vec::as_slice)
    }

    /// The folder that keeps everything, unless it is temporary.
    pub fn state(&self) -> Option<&Path> {
        match &self.0.state {
            State::Kept(path) => Some(path),
            State::Temporary(_) => None,
        }
    }

    /// Its controls; they fail unless it is a development network, and once it has stopped.
    pub fn control(&self) -> Arc<dyn unit::Control> {
        Arc::new(Controls(Arc::downgrade(&self.0)))
    }

    /// How often the network was put back to a snapshot or to its beginning: tells whoever keeps something there.
    pub fn replaced(&self) -> watch::Receiver<u64> {
        self.0.replaced.subscribe()
    }

    /// Waits until its log can no longer be written, and says why. It answers on, but whatever would have to be kept is
    /// refused: whoever runs it should stop it.
    pub async fn failed(&self) -> Error {
        let mut failed = self.0.failed.subscribe();
        let why = failed.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        let source = why.unwrap_or(store::Error::Poisoned);
        Error::StoreFailed { path: self.0.folder().to_owned(), source }
    }

    /// Lets what is under way finish, within bounds, and ends: the messenger first, the weave last.
    pub async fn stop(self) {
        let within = Duration::from_millis(self.0.config.stop_ms);
        let orderly = async {
            if let Some(running) = self.0.running.lock().await.take() {
                running.end("the node stops", Some(within / 3)).await;
            }
        };
        if tokio::time::timeout(within, orderly).await.is_err() {
            tracing::warn!(?within, "not everything ended in time; nothing that was acknowledged is lost");
        }
    }
}

impl Inner {
    /// The folder that keeps everything.
    pub(crate) fn folder(&self) -> &Path {
        self.state.path()
    }

    /// How the clock goes at the beginning.
    pub(crate) fn starts_still(&self) -> bool {
        self.config.dev.clock == Some(DevelopmentClock::Manual)
    }

    /// A number that no earlier run has.
    fn next_run(&self) -> u64 {
        let now = SystemClock.now().0;
        let next = |last: u64| now.max(last + 1);
        let last = self.run.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(next(last)));
        next(last.unwrap_or_default())
    }
}

impl Running {
    /// Opens the units on what is in the state folder, and answers.
    pub(crate) async fn start(inner: &Arc<Inner>) -> Result<Running, Error> {
        let Inner { config, network, keys, listeners, .. } = &**inner;
        // Before anything is opened: what is wrong with it is said at once.
        let given = applications::names(config)?;
        let common = open_common(inner).await?;
        watch_log(inner, &common.store);
        let (units, contracts, schedules) = roles::open(config, &common, keys).await?;
        if let (true, Some(weave)) = (config.development, &units.weave) {
            fund(weave, config.account_ar).await?;
        }
        let _ = inner.preloaded.set(units.preloaded.clone());
        let known = schedules.zip(contracts.compute.clone());
        let apps =
            known.clone().map(|(scheduler, compute)| applications::open(config, &common, scheduler, compute));
        let apps = apps.transpose()?;
        let desk = match (&contracts.messenger, network.addresses.get("su")) {
            (Some(messenger), Some(scheduler)) => {
                let ports = desk::Ports {
                    store: common.store.clone(),
                    clock: common.clock.clone(),
                    messenger: messenger.clone(),
                    scheduler: *scheduler,
                    authority: keys.mu.address(),
                };
                desk::Desk::open(ports, &config.desk, config.development)?
            }
            _ => None,
        };
        let said =
            units.weave.clone().filter(|_| config.development).map(|weave| weave as Arc<dyn unit::Weave>);
        let names = Names { given, said };
        let reads = known.map(|(scheduler, compute)| {
            let globals = if config.development { Globals::All } else { Globals::Published };
            Arc::new(Reads { scheduler, compute, globals, names })
        });
        let context = Context {
            reads,
            subscriptions: apps.clone().map(|apps| apps as Arc<dyn unit::Subscriptions>),
            desk: desk.map(|desk| desk as Arc<dyn unit::Desk>),
            webhooks_door: applications::door(config, config.webhooks.token_file.as_deref())?,
            desk_door: applications::door(config, config.desk.token_file.as_deref())?,
            ..context(inner, &common, &units, apps.clone())
        };
        let mut servings = Vec::new();
        let mut serve = |role, router: Option<axum::Router>| {
            if let (Some(listener), Some(router)) = (listeners.of(role)?, router) {
                servings.push(server::serve(listener, router, &context));
            }
            Ok::<_, Error>(())
        };
        let weave = units.weave.clone();
        let mut bundler = config.bundler.clone();
        bundler.gateway = bundler.gateway.or_else(|| network.urls.get("gateway").cloned());
        serve(
            Role::Gateway,
            weave.clone().map(|weave| server::weave::router(weave, config.gateway.clone(), context.clone())),
        )?;
        serve(
            Role::Bundler,
            weave.map(|weave| server::bundler::router(weave, bundler.clone(), context.clone())),
        )?;
        serve(Role::Su, contracts.scheduler.map(|unit| server::su::router(unit, context.clone())))?;
        serve(Role::Cu, contracts.compute.map(|unit| server::cu::router(unit, context.clone())))?;
        serve(Role::Mu, contracts.messenger.map(|unit| server::mu::router(unit, context.clone())))?;
        // Servers end in the order in which requests come in.
        servings.reverse();
        if let Some(unit) = &units.su {
            announce(unit, config, network).await?;
        }
        Ok(Running { units, common, servings, apps })
    }

    /// Ends it: in order, where servers have some time for what they are answering; else as fast as it can be done
    /// without losing what was acknowledged. Nothing of it writes to the state folder afterwards.
    pub(crate) async fn end(self, why: &str, each: Option<Duration>) {
        let Running { units, common, servings, apps } = self;
        common.events.end(why);
        if let Some(apps) = apps {
            apps.stop(why);
        }
        match each {
            // Nothing new comes in while the units finish; each server waits for its own answers.
            Some(each) => {
                futures::future::join_all(servings.into_iter().map(|serving| serving.stop(each))).await;
            }
            None => servings.into_iter().for_each(Serving::close),
        }
        let messenger = async {
            if let Some(unit) = &units.mu {
                unit.stop().await;
            }
        };
        let compute = async {
            if let Some(unit) = &units.cu {
                unit.stop().await;
            }
        };
        match each {
            Some(_) => {
                messenger.await;
                compute.await;
            }
            None => drop(futures::join!(messenger, compute)),
        }
        if let Some(witness) = &units.witness {
            witness.stop().await;
        }
        if let Some(unit) = &units.su {
            unit.stop().await;
        }
        if let Some(settlement) = &units.settlement {
            settlement.stop().await;
        }
        if let Some(unit) = &units.weave {
            unit.stop().await;
        }
        let close = move || {
            common.store.close();
            common.blobs.close();
        };
        // It fails only if the runtime is going, and then so does everything.
        let _ = tokio::task::spawn_blocking(close).await;
        drop(units);
    }
}

/// Tells whoever waits for it when the log fails. Ends with the log.
fn watch_log(inner: &Arc<Inner>, log: &DiskStore) {
    let (failed, inner) = (log.failed(), Arc::downgrade(inner));
    tokio::spawn(async move {
        if let (Some(why), Some(inner)) = (failed.await, inner.upgrade()) {
            inner.failed.send_replace(Some(why));
        }
    });
}

async fn open_common(inner: &Inner) -> Result<Common, Error> {
    let (config, state) = (&inner.config, inner.folder());
    let (folder, options) = (state.join("log"), config.store.clone());
    // Opening reads the end of the log.
    let opened = tokio::task::spawn_blocking(move || DiskStore::open(folder, options)).await;
    let of_store = |source| Error::Store { path: state.to_owned(), source };
    let store = opened.unwrap_or(Err(store::Error::Poisoned)).map_err(of_store)?;
    let blobs = DiskBlobs::open(state.join("blobs")).map_err(of_store)?;
    let transport = Transport::new(config.client.clone()).map_err(Error::part("HTTP client"))?;
    let clock = inner.clock.clone();
    let events = Events::new(inner.next_run(), clock.clone(), config.events.clone());
    let folder = state.to_owned();
    Ok(Common { folder, store: Arc::new(store), blobs: Arc::new(blobs), clock, events, transport })
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

fn context(inner: &Arc<Inner>, common: &Common, units: &Units, apps: Option<Arc<apps::Apps>>) -> Context {
    let (config, network) = (&inner.config, &inner.network);
    let controls = || Arc::new(Controls(Arc::downgrade(inner))) as Arc<dyn unit::Control>;
    let vitals = Arc::new(Vitals::of(units, common, config.ready.clone()));
    let (metrics, checks) = (vitals.clone(), vitals);
    let say_apps = apps.map_or_else(|| Box::new(|| {}) as Box<dyn Fn() + Send + Sync>, applications::metrics);
    Context {
        options: config.http.clone(),
        clock: common.clock.clone(),
        network: Some(network.clone()),
        metrics: Some(Arc::new(move || {
            say_apps();
            metrics.metrics()
        })),
        checks: Some(Arc::new(move || {
            let checks = checks.clone();
            Box::pin(async move { checks.checks().await })
        })),
        uploads: units.settlement.clone().map(|settlement| settlement as Arc<dyn Weave>),
        settlement: units.settlement.clone().map(|settlement| {
            let say = move || serde_json::to_value(settlement.status()).unwrap_or_default();
            Arc::new(say) as Arc<dyn Fn() -> serde_json::Value + Send + Sync>
        }),
        recovery: units.su.clone().map(|unit| unit as Arc<dyn unit::Recovery>),
        reads: None,
        subscriptions: None,
        stream_ms: config.apps.stream_ms,
        webhooks_door: server::Door::default(),
        desk: None,
        desk_door: server::Door::default(),
        control: config.development.then(controls),
        guard: inner.guard.clone(),
        events: Some(common.events.clone()),
        limits: server::limits::Limits::new(config.limits.clone()),
    }
}

async fn announce(unit: &su::SchedulerUnit, config: &Config, network: &Network) -> Result<(), Error> {
    let own = network.urls.get("su").map(String::as_str);
    let Some(url) = config.scheduler_url.as_deref().or(own) else { return Ok(()) };
    let said = unit.announce_in_time(url, Duration::from_millis(config.scheduler_ttl_ms)).await;
    said.map_err(|error| Error::Part { part: "scheduler unit", source: error.into() })
}
