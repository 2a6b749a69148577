//! The four contracts of a node, each here or elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use pirn_http::client::{self, RoutingScheduler, Transport};
use pirn_http::server::weave::Library;
use store::{DiskBlobs, DiskStore};
use unit::{Clock, Compute, Events, Messenger, Scheduler, Weave};

use crate::keys::Keys;
use crate::metered::Metered;
use crate::prepare::{self, Preloaded};
use crate::{Config, Error, Role, access, backup, outward};

/// What the units of a node share.
pub(crate) struct Common {
    /// The state folder.
    pub folder: std::path::PathBuf,
    pub store: Arc<DiskStore>,
    pub blobs: Arc<DiskBlobs>,
    pub clock: Arc<dyn Clock>,
    pub events: Arc<Events>,
    pub transport: Transport,
}

/// The units that run here.
#[derive(Default)]
pub(crate) struct Units {
    pub weave: Option<Arc<weave::EmbeddedWeave>>,
    /// What sees things onto the network elsewhere.
    pub settlement: Option<Arc<settlement::Settlement>>,
    pub su: Option<Arc<su::SchedulerUnit>>,
    pub cu: Option<Arc<cu::ComputeUnit>>,
    pub mu: Option<Arc<mu::MessengerUnit>>,
    /// What keeps the words of schedulers elsewhere.
    pub witness: Option<Arc<witness::Witness>>,
    /// What reads schedules from the weave.
    pub archive: Option<Arc<archive::Fallback>>,
    /// Modules that were published before anybody asked.
    pub preloaded: Vec<Preloaded>,
}

/// The contracts of the node, as its servers carry them.
pub(crate) struct Contracts {
    pub scheduler: Option<Arc<dyn Scheduler>>,
    pub compute: Option<Arc<dyn Compute>>,
    pub messenger: Option<Arc<dyn Messenger>>,
}

/// Opens the units in the order in which they need each other.
///
/// The last of the answer knows every schedule, wherever it is.
pub(crate) async fn open(
    config: &Config,
    common: &Common,
    keys: &Keys,
) -> Result<(Units, Contracts, Option<Arc<dyn Scheduler>>), Error> {
    let mut units = Units::default();
    let weave = open_weave(config, common, &mut units).await?;
    let mut config = config.clone();
    let mut stand_ins = BTreeSet::new();
    if let (true, Some(weave)) = (config.development, &units.weave) {
        stand_ins = prepare::stand_ins(&config, weave, keys.su.address()).await?;
        units.preloaded = prepare::publish(&config, weave).await?;
        config.su.stand_ins = stand_ins.clone();
        config.cu.stand_ins = stand_ins.clone();
    }
    let config = &config;
    let own = open_scheduler(config, common, keys, &weave, &mut units).await?;
    // What another scheduler schedules is asked of that one.
    let scheduler = own.clone().map(|own| {
        let (weave, clock) = (weave.clone(), common.clock.clone());
        let routing = RoutingScheduler::new(own, weave, clock, common.transport.clone());
        Arc::new(routing.standing_in(stand_ins)) as Arc<dyn Scheduler>
    });
    let scheduler = match scheduler {
        Some(scheduler) => Some(witness_of(config, common, keys, &weave, scheduler, &mut units)?),
        None => None,
    };
    let compute = open_compute(config, common, keys, &weave, &own, &scheduler, &mut units).await?;
    let messenger = open_messenger(config, common, keys, &weave, &scheduler, &compute, &mut units).await?;
    push_ticks(config, common, &units, &messenger);
    let contracts = Contracts {
        scheduler: own.filter(|_| config.has(Role::Su)),
        compute: compute.filter(|_| config.has(Role::Cu)),
        messenger,
    };
    let guarded = access::guard(contracts, &config.access, scheduler.clone());
    Ok((units, guarded, scheduler))
}

/// Has the words of schedulers elsewhere kept.
fn witness_of(
    config: &Config,
    common: &Common,
    keys: &Keys,
    weave: &Arc<dyn Weave>,
    scheduler: Arc<dyn Scheduler>,
    units: &mut Units,
) -> Result<Arc<dyn Scheduler>, Error> {
    let reads = config.has(Role::Mu) || config.has(Role::Cu);
    if !config.witness.enabled || !reads {
        return Ok(scheduler);
    }
    let ports = witness::Ports {
        store: common.store.clone(),
        scheduler,
        weave: weave.clone(),
        clock: common.clock.clone(),
        own: config.has(Role::Su).then(|| Bytes::copy_from_slice(keys.su.owner())).into_iter().collect(),
    };
    let witness = witness::Witness::open(ports, config.witness.clone()).map_err(Error::part("witness"))?;
    units.witness = Some(witness.clone());
    Ok(witness)
}

/// Has schedules read from the weave while nobody else tells them.
fn with_archive(
    config: &Config,
    weave: &Arc<dyn Weave>,
    own: &Option<Arc<dyn Scheduler>>,
    scheduler: &Arc<dyn Scheduler>,
    units: &mut Units,
) -> Arc<dyn Scheduler> {
    if !config.archive.enabled {
        return scheduler.clone();
    }
    let own = own.clone().filter(|_| config.has(Role::Su));
    let fallback = archive::Fallback::new(scheduler.clone(), own, weave.clone(), config.archive.clone());
    let fallback = Arc::new(fallback);
    units.archive = Some(fallback.clone());
    fallback
}

/// Has the ticks of the scheduler here pushed: by the messenger here, or by the one that is named.
fn push_ticks(config: &Config, common: &Common, units: &Units, own: &Option<Arc<dyn Messenger>>) {
    let Some(su) = &units.su else { return };
    let remote = config.remote.mu.as_deref();
    let remote = || {
        remote
            .map(|url| Arc::new(client::Messenger::new(url, common.transport.clone())) as Arc<dyn Messenger>)
    };
    match own.clone().or_else(remote) {
        Some(messenger) => su.push_ticks_through(messenger),
        None => tracing::info!(
            "no messenger is here or named (remote.mu): ticks get their slots, and nobody pushes them"
        ),
    }
}

async fn open_weave(config: &Config, common: &Common, units: &mut Units) -> Result<Arc<dyn Weave>, Error> {
    if config.has(Role::Gateway) {
        let ports = weave::Ports {
            store: common.store.clone(),
            clock: common.clock.clone(),
            events: common.events.clone(),
        };
        let weave = weave::EmbeddedWeave::open(ports, config.weave.embedded.clone()).await;
        let weave = weave.map_err(|error| Error::Part { part: "weave", source: error.into() })?;
        units.weave = Some(weave);
    }
    units.settlement = outward::open(config, common, units.weave.clone()).await?;
    if let Some(settlement) = &units.settlement {
        return Ok(settlement.clone());
    }
    if let Some(weave) = &units.weave {
        return Ok(weave.clone());
    }
    let remote = &config.remote;
    let gateway = remote.gateway.clone().unwrap_or_default();
    let options = client::GatewayOptions {
        uploader: remote.bundler.clone().unwrap_or_else(|| gateway.clone()),
        graphql: remote.graphql.clone(),
        gateway,
        ..client::GatewayOptions::default()
    };
    Ok(Arc::new(client::Gateway::new(options, common.transport.clone())))
}

async fn open_scheduler(
    config: &Config,
    common: &Common,
    keys: &Keys,
    weave: &Arc<dyn Weave>,
    units: &mut Units,
) -> Result<Option<Arc<dyn Scheduler>>, Error> {
    if config.has(Role::Su) {
        let ports = su::Ports {
            store: common.store.clone(),
            weave: weave.clone(),
            clock: common.clock.clone(),
            events: common.events.clone(),
            wallet: keys.su.clone(),
        };
        // A weave elsewhere may forget what it took, or replace its newest blocks.
        // Settlement looks after what it posts.
        let is_direct = !config.has(Role::Gateway) && units.settlement.is_none();
        let elsewhere = is_direct.then_some(config.su.settlement_depth);
        let settle_depth = config.su.settle_depth.or(elsewhere);
        let unit = su::SchedulerUnit::open(ports, su::Options { settle_depth, ..config.su.clone() }).await;
        let unit = unit.map_err(|error| Error::Part { part: "scheduler unit", source: error.into() })?;
        // Before anybody can ask it for a slot.
        backup::hold_restored(&common.folder, &unit, config.development).await?;
        units.su = Some(unit.clone());
        return Ok(Some(Arc::new(Metered(unit))));
    }
    let remote = config.remote.su.as_deref();
    Ok(remote
        .map(|url| Arc::new(client::Scheduler::new(url, common.transport.clone())) as Arc<dyn Scheduler>))
}

async fn open_compute(
    config: &Config,
    common: &Common,
    keys: &Keys,
    weave: &Arc<dyn Weave>,
    own: &Option<Arc<dyn Scheduler>>,
    scheduler: &Option<Arc<dyn Scheduler>>,
    units: &mut Units,
) -> Result<Option<Arc<dyn Compute>>, Error> {
    if let (true, Some(scheduler)) = (config.has(Role::Cu), scheduler) {
        let wasm = runtime_wasm::WasmRuntime::new(config.wasm.clone());
        let wasm = wasm.map_err(|error| Error::Part { part: "WebAssembly runtime", source: error.into() })?;
        // Guests read headers as a gateway shows them.
        let library: Arc<dyn Weave> = match (&units.weave, &units.settlement) {
            (Some(own), None) => Arc::new(Library(own.clone())),
            _ => weave.clone(),
        };
        let ports = cu::Ports {
            store: common.store.clone(),
            blobs: common.blobs.clone(),
            scheduler: with_archive(config, weave, own, scheduler, units),
            own_scheduler: own.clone().filter(|_| config.has(Role::Su)),
            weave: library,
            clock: common.clock.clone(),
            events: common.events.clone(),
            wallet: keys.cu.clone(),
            runtimes: vec![Arc::new(wasm)],
        };
        let mut options = config.cu.clone();
        options.checkpoints.on_demand |= config.development;
        let unit = cu::ComputeUnit::open(ports, options).await;
        let unit = unit.map_err(|error| Error::Part { part: "compute unit", source: error.into() })?;
        units.cu = Some(unit.clone());
        return Ok(Some(Arc::new(Metered(unit))));
    }
    let remote = config.remote.cu.as_deref();
    Ok(remote.map(|url| Arc::new(client::Compute::new(url, common.transport.clone())) as Arc<dyn Compute>))
}

async fn open_messenger(
    config: &Config,
    common: &Common,
    keys: &Keys,
    weave: &Arc<dyn Weave>,
    scheduler: &Option<Arc<dyn Scheduler>>,
    compute: &Option<Arc<dyn Compute>>,
    units: &mut Units,
) -> Result<Option<Arc<dyn Messenger>>, Error> {
    let (true, Some(scheduler), Some(compute)) = (config.has(Role::Mu), scheduler, compute) else {
        return Ok(None);
    };
    let ports = mu::Ports {
        store: common.store.clone(),
        scheduler: scheduler.clone(),
        compute: compute.clone(),
        weave: weave.clone(),
        clock: common.clock.clone(),
        events: common.events.clone(),
        wallet: keys.mu.clone(),
    };
    let unit = mu::MessengerUnit::open(ports, config.mu.clone()).await;
    let unit = unit.map_err(|error| Error::Part { part: "messenger unit", source: error.into() })?;
    units.mu = Some(unit.clone());
    Ok(Some(Arc::new(Metered(unit))))
}
