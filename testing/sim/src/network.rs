//! The real units, each on a host of its own, and what links them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use archive::Archive;
use protocol::{Address, ProcessId, Wallet};
use runtime::Runtime;
use store::{Blobs as _, MemoryBlobs, MemoryStore, Store};
use unit::{
    Clock, Compute, Error, Events, Messenger, OutboxEntry, Result, Scheduled, Scheduler, SlotRange, Weave,
};

use crate::disk::Disk;
use crate::faulty::{Door, Faulty};
use crate::fickle::{Chain, DEEP, Fickle};
use crate::liars::Liar;
use crate::machine::SimRuntime;
use crate::mutants::Mutant;
use crate::pace::Pace;
use crate::world::{Host, Life, NoClock, SimClock, World};

/// All hosts.
pub struct Network {
    /// Where they are.
    pub world: Arc<World>,
    /// A rule that is broken on purpose.
    pub mutant: Option<Mutant>,
    /// Somebody who lies.
    pub liar: Option<Liar>,
    pace: Pace,
    runtimes: Vec<Arc<dyn Runtime>>,
    weave: Arc<Door<dyn Weave>>,
    su: Arc<Door<dyn Scheduler>>,
    cus: [Arc<Door<dyn Compute>>; 2],
    mus: [Arc<Door<dyn Messenger>>; 2],
    disks: Mutex<BTreeMap<Host, Arc<MemoryStore>>>,
    blobs: BTreeMap<Host, Arc<MemoryBlobs>>,
    chain: Arc<Chain>,
    units: Mutex<Units>,
    /// Those that ended in good order, and are down.
    ended: Mutex<BTreeSet<Host>>,
}

/// How long a unit may take to end in good order.
const STOP_LONGEST: Duration = Duration::from_secs(120);

/// What a network is made of.
pub struct Setup {
    /// How long its world lasts.
    pub pace: Pace,
    /// A rule that is broken on purpose.
    pub mutant: Option<Mutant>,
    /// Somebody who lies.
    pub liar: Option<Liar>,
    /// What its compute units can run.
    pub runtimes: Vec<Arc<dyn Runtime>>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup { pace: Pace::Minutes, mutant: None, liar: None, runtimes: vec![Arc::new(SimRuntime)] }
    }
}

/// The units that are up.
#[derive(Default)]
struct Units {
    weave: Option<Arc<Fickle>>,
    su: Option<Arc<su::SchedulerUnit>>,
    mus: BTreeMap<Host, Arc<mu::MessengerUnit>>,
    cus: BTreeMap<Host, Arc<cu::ComputeUnit>>,
}

/// The wallet of a unit, or of a client; the same in every world.
pub fn wallet(seed: u8) -> Wallet {
    Wallet::ed25519_from_seed([seed; 32])
}

/// What the scheduler unit signs with.
pub fn scheduler_address() -> Address {
    wallet(1).address()
}

/// The wallets of the messenger units.
pub const MESSENGERS: [u8; 2] = [2, 12];
/// The wallets of the compute units.
pub const COMPUTERS: [u8; 2] = [3, 13];

/// What the messenger units sign with. Every process trusts both.
pub fn messenger_addresses() -> [Address; 2] {
    MESSENGERS.map(|seed| wallet(seed).address())
}

impl Network {
    /// Hosts that are all down.
    pub fn new(world: Arc<World>, setup: Setup) -> Arc<Network> {
        let Setup { pace, mutant, liar, runtimes } = setup;
        let disk = |host| {
            // The weave waits for its disk on the thread that everybody shares.
            let store = if host == Host::Weave { MemoryStore::new() } else { MemoryStore::stepped() };
            (host, Arc::new(store))
        };
        Arc::new(Network {
            world,
            mutant,
            liar,
            pace,
            runtimes,
            weave: Door::new(),
            su: Door::new(),
            cus: [Door::new(), Door::new()],
            mus: [Door::new(), Door::new()],
            disks: Mutex::new(Host::UNITS.into_iter().map(disk).collect()),
            blobs: [Host::Cu0, Host::Cu1].into_iter().map(|host| (host, Arc::default())).collect(),
            chain: Arc::default(),
            units: Mutex::default(),
            ended: Mutex::default(),
        })
    }

    /// Has every host up, again and again, for as long as the world lasts.
    pub async fn run(self: &Arc<Self>) -> Result<()> {
        for host in Host::UNITS {
            let life = self.world.born(host);
            self.up(host, &life).await?;
            let network = Arc::clone(self);
            tokio::spawn(async move { network.keep(host, life).await });
        }
        Ok(())
    }

    async fn keep(self: Arc<Self>, host: Host, mut life: Life) {
        loop {
            life.over().await;
            self.down(host);
            tokio::time::sleep(self.world.rests(host)).await;
            loop {
                life = self.world.born(host);
                match self.up(host, &life).await {
                    Ok(()) => break,
                    // It may crash while it starts.
                    Err(error) if !life.goes_on() => drop(error),
                    Err(error) => {
                        self.world.violation(format!("{host} does not start: {error}"));
                        return;
                    }
                }
                self.down(host);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Replaces the newest blocks of the weave now and then, for as long as the storm lasts.
    pub async fn reorganise(self: Arc<Self>) {
        if !self.world.faults.reorganises {
            return;
        }
        loop {
            tokio::time::sleep(Duration::from_millis(5000 + self.world.below(40_000))).await;
            let weave = self.units().weave.clone();
            if let Some(weave) = weave {
                weave.reorganise().await;
            }
        }
    }

    /// Ends a unit in good order, unless it crashes meanwhile. Whoever asks it is answered as long as it answers.
    pub async fn stop(&self, host: Host) {
        let Some(life) = self.world.begin_stop(host) else { return };
        let ended = async {
            if tokio::time::timeout(STOP_LONGEST, self.unit_stops(host)).await.is_err() {
                self.world.violation(format!("{host} does not stop within {STOP_LONGEST:?}"));
            }
        };
        tokio::select! {
            biased;
            () = life.over() => {}
            () = ended => {
                self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(host);
                self.world.tell(host, host, "ends", &"", &"");
                life.end();
            }
        }
        self.world.end_stop(host);
    }

    async fn unit_stops(&self, host: Host) {
        let (weave, su, mu, cu) = {
            let units = self.units();
            let (mu, cu) = (units.mus.get(&host).cloned(), units.cus.get(&host).cloned());
            let is = |which: Host| host == which;
            (
                units.weave.clone().filter(|_| is(Host::Weave)),
                units.su.clone().filter(|_| is(Host::Su)),
                mu,
                cu,
            )
        };
        if let Some(weave) = weave {
            weave.weave.stop().await;
        }
        if let Some(su) = su {
            su.stop().await;
        }
        if let Some(mu) = mu {
            mu.stop().await;
        }
        if let Some(cu) = cu {
            cu.stop().await;
        }
    }

    /// So many blocks at once.
    pub async fn mine(&self, blocks: u64) {
        let weave = self.units().weave.clone();
        if let Some(weave) = weave
            && unit::Arweave::mine(&*weave.weave, blocks).await.is_ok()
        {
            self.world.tell(Host::Weave, Host::Weave, "makes blocks", &blocks, &"");
        }
    }

    /// What a crash leaves; or an end in good order, which leaves everything.
    fn down(&self, host: Host) {
        let is_orderly = self.ended.lock().unwrap_or_else(PoisonError::into_inner).remove(&host);
        let mut units = self.units();
        // What is durable, and was not pushed yet.
        let is_torn = host == Host::Su && !is_orderly;
        let untold = units.su.as_ref().filter(|_| is_torn).map_or(0, |su| su.ticks_untold());
        self.world.note_untold(untold);
        match host {
            Host::Weave => drop(units.weave.take()),
            Host::Su => drop(units.su.take()),
            Host::Mu0 | Host::Mu1 => drop(units.mus.remove(&host)),
            Host::Cu0 | Host::Cu1 => drop(units.cus.remove(&host)),
            Host::Client => {}
        }
        drop(units);
        match host {
            Host::Weave => self.weave.close(),
            Host::Su => self.su.close(),
            Host::Mu0 => self.mus[0].close(),
            Host::Mu1 => self.mus[1].close(),
            Host::Cu0 => self.cus[0].close(),
            Host::Cu1 => self.cus[1].close(),
            Host::Client => {}
        }
        let mut disks = self.disks.lock().unwrap_or_else(PoisonError::into_inner);
        let disk = disks.get_mut(&host).expect("every unit has a disk");
        let reached = match disk.waiting() {
            all if is_orderly => all,
            some if self.world.faults.torn => self.world.below(some as u64 + 1) as usize,
            _ => 0,
        };
        *disk = Arc::new(disk.crash_after(reached));
        drop(disks);
        if let Some(blobs) = self.blobs.get(&host).filter(|_| self.world.faults.rot) {
            self.rot(blobs);
        }
    }

    /// One byte of one checkpoint becomes another.
    fn rot(&self, blobs: &MemoryBlobs) {
        let names = blobs.list("").unwrap_or_default();
        let Some(name) = names.get(self.world.below(names.len() as u64) as usize) else { return };
        let Ok(Some(bytes)) = blobs.get(name) else { return };
        let mut bytes = bytes.to_vec();
        let at = self.world.below(bytes.len() as u64) as usize;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << self.world.below(8);
            let _ = blobs.put(name, &bytes);
        }
    }

    async fn up(&self, host: Host, life: &Life) -> Result<()> {
        let (world, store) = (&self.world, self.store(host, life));
        let clock: Arc<dyn Clock> = Arc::new(SimClock {
            world: Arc::clone(world),
            host,
            skew_ms: world.below(world.faults.skew_ms + 1),
        });
        let events = Events::silent();
        match host {
            Host::Client => {}
            Host::Weave => {
                let mining = weave::Mining::Interval(self.pace.block_ms());
                let options = weave::Options { mining, ..weave::Options::default() };
                let unit = weave::EmbeddedWeave::open(weave::Ports { store, clock, events }, options).await?;
                let chain = Arc::clone(&self.chain);
                let fickle = Arc::new(Fickle { world: Arc::clone(world), chain, weave: unit });
                self.weave.open(life.clone(), fickle.clone());
                self.units().weave = Some(fickle);
            }
            Host::Su => {
                let ports =
                    su::Ports { store, weave: self.weave_of(host, life), clock, events, wallet: wallet(1) };
                let depth = if self.mutant == Some(Mutant::BelieveTheWeave) { 0 } else { DEEP };
                let unit =
                    su::SchedulerUnit::open(ports, self.pace.scheduler(&self.world.faults, depth)).await?;
                // One messenger is told of ticks: two would each sign what follows.
                let first = vec![(Host::Mu0, Arc::clone(&self.mus[0]))];
                unit.push_ticks_through(Arc::new(self.link(host, life, first)));
                self.su.open(life.clone(), unit.clone());
                self.units().su = Some(unit);
            }
            Host::Cu0 | Host::Cu1 => {
                let scheduler = self.scheduler_of(host, life);
                let blobs = Arc::clone(&self.blobs[&host]);
                let mut ports = self.cu_ports(store, scheduler, self.weave_of(host, life), clock);
                ports.blobs = blobs;
                ports.wallet = wallet(COMPUTERS[usize::from(host == Host::Cu1)]);
                let broken = self.mutant.and_then(|mutant| mutant.runtime(host));
                if let Some(lies) = broken.or_else(|| self.liar.and_then(|liar| liar.runtime(host))) {
                    ports.runtimes = vec![lies];
                }
                let unit = cu::ComputeUnit::open(ports, self.pace.compute(&self.world.faults)).await?;
                self.cus[usize::from(host == Host::Cu1)].open(life.clone(), unit.clone());
                self.units().cus.insert(host, unit);
            }
            Host::Mu0 | Host::Mu1 => {
                let which = usize::from(host == Host::Mu1);
                // Whom a messenger asks is its own choice.
                let believed = if self.liar.is_some_and(Liar::is_about_cu1) { 1 } else { 2 };
                let cus = [Host::Cu0, Host::Cu1].into_iter().zip(self.cus.iter().cloned());
                let cus = cus.take(believed).collect();
                let ports = mu::Ports {
                    store,
                    scheduler: self.scheduler_of(host, life),
                    compute: Arc::new(self.link(host, life, cus)),
                    weave: self.weave_of(host, life),
                    clock,
                    events,
                    wallet: wallet(MESSENGERS[which]),
                };
                let unit = mu::MessengerUnit::open(ports, self.pace.messenger(&self.world.faults)).await?;
                self.mus[which].open(life.clone(), unit.clone());
                self.units().mus.insert(host, unit);
            }
        }
        Ok(())
    }

    fn store(&self, host: Host, life: &Life) -> Arc<dyn Store> {
        let store = Arc::clone(&self.disks.lock().unwrap_or_else(PoisonError::into_inner)[&host]);
        let disk = Disk::mount(&self.world, host, life, store);
        match &self.mutant {
            Some(mutant) => mutant.store(host, disk),
            None => disk,
        }
    }

    fn link<T: ?Sized>(&self, from: Host, life: &Life, to: Vec<(Host, Arc<Door<T>>)>) -> Faulty<T> {
        Faulty { world: Arc::clone(&self.world), from, life: life.clone(), to }
    }

    fn weave_of(&self, host: Host, life: &Life) -> Arc<dyn Weave> {
        Arc::new(self.link(host, life, vec![(Host::Weave, Arc::clone(&self.weave))]))
    }

    fn scheduler_of(&self, host: Host, life: &Life) -> Arc<dyn Scheduler> {
        let link: Arc<dyn Scheduler> =
            Arc::new(self.link(host, life, vec![(Host::Su, Arc::clone(&self.su))]));
        let link = match self.liar {
            Some(liar) => liar.scheduler(&self.world, host, link),
            None => link,
        };
        match &self.mutant {
            Some(mutant) => mutant.scheduler(host, link),
            None => link,
        }
    }

    fn cu_ports(
        &self,
        store: Arc<dyn Store>,
        scheduler: Arc<dyn Scheduler>,
        weave: Arc<dyn Weave>,
        clock: Arc<dyn Clock>,
    ) -> cu::Ports {
        cu::Ports {
            store,
            blobs: Arc::new(MemoryBlobs::new()),
            scheduler,
            own_scheduler: None,
            weave,
            clock,
            events: Events::silent(),
            wallet: wallet(23),
            runtimes: self.runtimes(),
        }
    }

    /// How a client, who never crashes, speaks to a messenger unit.
    pub fn messenger(&self, life: &Life, which: usize) -> Faulty<dyn Messenger> {
        let host = if which == 0 { Host::Mu0 } else { Host::Mu1 };
        self.link(Host::Client, life, vec![(host, Arc::clone(&self.mus[which]))])
    }

    /// How a client speaks to the scheduler unit.
    pub fn scheduler(&self, life: &Life) -> Faulty<dyn Scheduler> {
        self.link(Host::Client, life, vec![(Host::Su, Arc::clone(&self.su))])
    }

    /// How a client speaks to one compute unit.
    pub fn compute(&self, life: &Life, which: usize) -> Faulty<dyn Compute> {
        let host = if which == 0 { Host::Cu0 } else { Host::Cu1 };
        self.link(Host::Client, life, vec![(host, Arc::clone(&self.cus[which]))])
    }

    /// How a client speaks to the weave.
    pub fn weave(&self, life: &Life) -> Faulty<dyn Weave> {
        self.link(Host::Client, life, vec![(Host::Weave, Arc::clone(&self.weave))])
    }

    /// The schedules of all processes that anybody was shown something of, whole.
    pub async fn schedules(&self, life: &Life) -> Result<BTreeMap<ProcessId, Vec<Scheduled>>> {
        let scheduler = self.scheduler(life);
        let seen = self.world.seen();
        let mut schedules = BTreeMap::new();
        for process in seen.slots.keys().map(|(process, _)| *process).collect::<BTreeSet<_>>() {
            let mut entries: Vec<Scheduled> = Vec::new();
            loop {
                let after = entries.last().map(|entry| entry.assignment.slot);
                let page =
                    scheduler.schedule_page(process, SlotRange::Slots { after, to: None }, 100).await?;
                entries.extend(page.items);
                if !page.has_next {
                    break;
                }
            }
            schedules.insert(process, entries);
        }
        Ok(schedules)
    }

    /// What is still to be done, in words; None if everything is settled.
    pub fn unsettled(&self, but: &[protocol::ProcessId]) -> Option<String> {
        let units = self.units();
        let Some(su) = &units.su else { return Some("a unit is down".to_owned()) };
        if units.weave.is_none() || units.cus.len() < 2 || units.mus.len() < 2 {
            return Some("a unit is down".to_owned());
        }
        for (host, mu) in &units.mus {
            let outbox = match mu.pending(0, 1000) {
                Ok(outbox) => outbox,
                Err(error) => return Some(error.to_string()),
            };
            let is_left = |task: &&OutboxEntry| !task.trace.process.is_some_and(|it| but.contains(&it));
            if let Some(task) = outbox.iter().find(is_left) {
                return Some(format!("{host} still has {task:?}"));
            }
        }
        match (su.unsettled(), su.unconfirmed()) {
            (0, 0) => None,
            (0, n) => Some(format!("{n} entries do not lie deep enough on the weave")),
            (n, _) => Some(format!("{n} entries are not on the weave")),
        }
    }

    /// Waits, in a world of days that is calm, until nothing is still to be done; otherwise says what is.
    pub async fn settle(&self, within: Duration) -> std::result::Result<(), String> {
        let until = tokio::time::Instant::now() + within;
        while let Some(left) = self.unsettled(&[]) {
            if tokio::time::Instant::now() > until {
                return Err(format!("after {} h not everything is settled: {left}", within.as_secs() / 3600));
            }
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        Ok(())
    }

    /// Waits until all that are down have come up.
    pub async fn come_up(&self) {
        while self.is_down() {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }

    /// What the messenger units gave up.
    pub fn dead(&self) -> Vec<OutboxEntry> {
        let mus: Vec<_> = self.units().mus.values().cloned().collect();
        mus.iter().flat_map(|mu| mu.dead(0, 1000).unwrap_or_default()).collect()
    }

    /// A compute unit that knows nothing but the weave, which is all that is left.
    pub async fn flood(&self) -> Result<Arc<cu::ComputeUnit>> {
        let weave = self.units().weave.clone().ok_or_else(|| Error::unavailable("there is no weave"))?;
        let scheduler: Arc<dyn Scheduler> = Arc::new(Archive::new(weave.clone()));
        let clock = Arc::new(SimClock { world: Arc::clone(&self.world), host: Host::Client, skew_ms: 0 });
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let ports = self.cu_ports(store, scheduler, weave, clock);
        cu::ComputeUnit::open(ports, cu::Options::default()).await
    }

    /// What compute units here can run.
    pub fn runtimes(&self) -> Vec<Arc<dyn Runtime>> {
        self.runtimes.clone()
    }

    /// Whether any unit is.
    fn is_down(&self) -> bool {
        let units = self.units();
        units.su.is_none() || units.weave.is_none() || units.cus.len() < 2 || units.mus.len() < 2
    }

    /// The scheduler unit, if it is up.
    pub fn scheduler_unit(&self) -> Option<Arc<su::SchedulerUnit>> {
        self.units().su.clone()
    }

    /// A scheduler unit with the same key that knows nothing but the weave, and no time either.
    pub async fn successor(&self) -> Result<Arc<su::SchedulerUnit>> {
        let weave = self.units().weave.clone().ok_or_else(|| Error::unavailable("there is no weave"))?;
        let ports = su::Ports {
            store: Arc::new(MemoryStore::new()),
            weave,
            clock: Arc::new(NoClock),
            events: Events::silent(),
            wallet: wallet(1),
        };
        Ok(su::SchedulerUnit::open(ports, su::Options::default()).await?)
    }

    fn units(&self) -> std::sync::MutexGuard<'_, Units> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
