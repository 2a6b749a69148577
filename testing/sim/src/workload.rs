//! What clients do: they spawn processes, and send them what sets something off.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use protocol::{DataItem, Draft, Id, ProcessId, Tags, Wallet, tag};
use unit::{Kind, Messenger, Weave as _};

use crate::faulty::Faulty;
use crate::fickle::DEEP;
use crate::liars::{Liar, STRANGER};
use crate::machine::{Ask, FORMAT, Pass};
use crate::network::{Network, messenger_addresses, scheduler_address, wallet};
use crate::world::Life;

/// Tokens that there are in a world.
pub const SUPPLY: u64 = 1000;

/// What clients know.
pub struct Workload {
    network: Arc<Network>,
    life: Life,
    pub(crate) owner: Wallet,
    /// Every process that a client spawned, in order.
    pub processes: Vec<ProcessId>,
    /// The one that never answers.
    pub mute: ProcessId,
    /// Those with a cron.
    pub crons: Vec<ProcessId>,
    /// What the messenger unit acknowledged: for whom, and what.
    pub acknowledged: Mutex<Vec<(ProcessId, Id)>>,
}

pub(crate) fn sign(wallet: &Wallet, draft: Draft) -> DataItem {
    DataItem::sign(wallet, draft).expect("the drafts of the workload are small")
}

pub(crate) fn ao(kind: &str) -> Tags {
    [(tag::DATA_PROTOCOL, tag::AO), (tag::VARIANT, tag::AO_TN_1), (tag::TYPE, kind)].into_iter().collect()
}

fn module() -> DataItem {
    let mut tags = ao("Module");
    tags.push(tag::MODULE_FORMAT, FORMAT);
    tags.push(tag::INPUT_ENCODING, "JSON-1");
    tags.push(tag::OUTPUT_ENCODING, "JSON-1");
    tags.push(tag::MEMORY_LIMIT, "1-mb");
    tags.push(tag::COMPUTE_LIMIT, 1_000_000);
    sign(&wallet(3), Draft { tags, data: Bytes::from_static(b"sim"), ..Draft::default() })
}

pub(crate) fn process(owner: &Wallet, n: u64, more: &[(&str, &str)]) -> DataItem {
    let mut tags = ao("Process");
    tags.push(tag::MODULE, module().id);
    tags.push(tag::SCHEDULER, scheduler_address());
    messenger_addresses().iter().for_each(|address| tags.push(tag::AUTHORITY, address));
    tags.push("Name", n);
    more.iter().for_each(|(name, value)| tags.push(*name, value));
    sign(owner, Draft { tags, data: Bytes::from_static(b"{}"), ..Draft::default() })
}

/// A message that says something by its tags.
pub(crate) fn said(by: &Wallet, n: u64, process: ProcessId, more: &[(String, String)]) -> DataItem {
    let mut tags = ao("Message");
    more.iter().for_each(|(name, value)| tags.push(name, value));
    let anchor = format!("{n:032}").into_bytes().try_into().ok();
    sign(by, Draft { target: Some(process.into()), anchor, tags, data: Bytes::from_static(b" ") })
}

impl Workload {
    /// Publishes the module and spawns the processes, in the middle of the storm.
    pub async fn begin(network: &Arc<Network>) -> Workload {
        let mut workload = Workload::on(network).await;
        for n in 0..4 + network.world.below(3) {
            let spawned = workload.spawn(n, &[]).await;
            workload.processes.push(spawned);
        }
        workload.mute = workload.spawn(100, &[("Mute", "yes")]).await;
        let listener = workload.processes[0].to_string();
        let cron = [(tag::CRON_INTERVAL, "20-seconds"), ("Listener", listener.as_str())];
        let cron = workload.spawn(101, &cron).await;
        workload.crons.push(cron);
        workload.processes.push(cron);
        for which in workload.messengers() {
            workload.ask_monitor(which, cron, true).await;
        }
        workload
    }

    /// Publishes the module. There are no processes yet.
    pub async fn on(network: &Arc<Network>) -> Workload {
        let workload = Workload::of(network);
        workload.publish(&module()).await;
        workload
    }

    /// Clients that know nothing yet.
    pub(crate) fn of(network: &Arc<Network>) -> Workload {
        Workload {
            network: Arc::clone(network),
            life: Life::begin(),
            owner: wallet(7),
            processes: Vec::new(),
            mute: Id([0; 32]).into(),
            crons: Vec::new(),
            acknowledged: Mutex::default(),
        }
    }

    /// Puts an item on the weave. Whoever publishes looks after it, until it lies deep enough.
    pub(crate) async fn publish(&self, item: &DataItem) {
        let weave = self.network.weave(&self.life);
        while !weave.confirmations(item.id).await.is_ok_and(|depth| depth.is_some_and(|it| it >= DEEP)) {
            if weave.get(item.id).await.is_err() {
                let _ = weave.upload(item.clone()).await;
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    /// Those that clients speak to.
    pub(crate) fn messengers(&self) -> std::ops::Range<usize> {
        if self.network.world.faults.both_messengers { 0..2 } else { 0..1 }
    }

    /// One of those.
    fn some_messenger(&self) -> Faulty<dyn Messenger> {
        let n = self.messengers().len() as u64;
        self.network.messenger(&self.life, self.network.world.below(n) as usize)
    }

    /// Has a messenger push the outcome of something that is acknowledged: twice has no effect.
    async fn push_again(&self) {
        let known = {
            let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
            acknowledged.get(self.network.world.below(acknowledged.len() as u64) as usize).copied()
        };
        if let Some((process, message)) = known.filter(|(process, _)| *process != self.mute) {
            let _ = self.some_messenger().push(process, message, None).await;
        }
    }

    pub(crate) async fn spawn(&self, n: u64, more: &[(&str, &str)]) -> ProcessId {
        let item = process(&self.owner, n, more);
        let id = item.id;
        self.send(item, id.into()).await;
        id.into()
    }

    /// Has a messenger look at the cron of a process, or not any more.
    pub(crate) async fn ask_monitor(&self, which: usize, process: ProcessId, is_on: bool) {
        let draft =
            Draft { target: Some(process.into()), data: Bytes::from_static(b" "), ..Draft::default() };
        let (messenger, request) = (self.network.messenger(&self.life, which), sign(&self.owner, draft));
        loop {
            let done = match is_on {
                true => messenger.monitor(request.clone()).await,
                false => messenger.unmonitor(request.clone()).await,
            };
            // An answer may have been lost.
            let is_done_before = |error: &unit::Error| matches!(error.kind, Kind::Conflict | Kind::NotFound);
            if done.as_ref().err().is_none_or(is_done_before) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Nothing begins by itself any more.
    pub async fn end_crons(&self) {
        for &cron in &self.crons {
            for which in self.messengers() {
                self.ask_monitor(which, cron, false).await;
            }
        }
    }

    /// Sends the same bytes until they are acknowledged.
    pub(crate) async fn send(&self, item: DataItem, process: ProcessId) {
        loop {
            match self.some_messenger().send(item.clone()).await {
                Ok(_) => break,
                Err(error) if error.kind.is_transient() || error.kind == Kind::NotFound => {}
                Err(error) => {
                    self.network.world.violation(format!("{} is refused: {error}", item.id));
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(200 + self.network.world.below(2000))).await;
        }
        let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        acknowledged.push((process, item.id));
    }

    pub(crate) async fn ask(&self, n: u64, process: ProcessId, ask: &Ask) {
        let data = serde_json::to_vec(ask).expect("what is asked is always JSON");
        let anchor = format!("{n:032}").into_bytes().try_into().ok();
        let draft = Draft { target: Some(process.into()), anchor, tags: ao("Message"), data: data.into() };
        self.send(sign(&self.owner, draft), process).await;
    }

    /// Sends what says that a process sent it, and did not: tokens out of nothing.
    async fn forge(&self, n: u64) {
        let some = || self.processes[self.network.world.below(self.processes.len() as u64) as usize];
        let (victim, to) = (some(), some());
        let mut tags = ao("Message");
        tags.push(tag::FROM_PROCESS, victim);
        tags.push("Reference", 1_000_000 + n);
        let pass = Ask::Pass(Pass { tokens: SUPPLY, route: Vec::new() });
        let data = serde_json::to_vec(&pass).expect("what is asked is always JSON");
        let anchor = format!("{n:032}").into_bytes().try_into().ok();
        let draft = Draft { target: Some(to.into()), anchor, tags, data: data.into() };
        self.send(sign(&wallet(STRANGER), draft), to).await;
    }

    /// Asks the second messenger to push every outcome there is, until nothing new comes of it.
    pub async fn push_everything(&self) {
        let messenger = self.network.messenger(&self.life, 1);
        let mut known = 0;
        loop {
            let Ok(schedules) = self.network.schedules(&self.life).await else { return };
            let slots = schedules.values().map(Vec::len).sum();
            if slots == known {
                return;
            }
            known = slots;
            for (process, entries) in schedules.iter().filter(|(process, _)| **process != self.mute) {
                for entry in entries {
                    let _ = messenger.push(*process, entry.message_id(), None).await;
                }
            }
            // What is pushed has outcomes that are pushed.
            tokio::time::sleep(Duration::from_secs(120)).await;
        }
    }

    /// Sends so many messages, several at a time.
    pub async fn run(self: &Arc<Self>, messages: u64) {
        let world = &self.network.world;
        self.ask(u64::MAX, self.processes[0], &Ask::Mint(SUPPLY)).await;
        let mut sending = tokio::task::JoinSet::new();
        for n in 0..messages {
            let some = |world: &crate::world::World| {
                self.processes[world.below(self.processes.len() as u64) as usize]
            };
            let (to, with) = (some(world), some(world));
            let route = (0..1 + world.below(6)).map(|_| some(world).to_string()).collect();
            let ask = match world.below(12) {
                0..=4 => Ask::Start(Pass { tokens: 1 + world.below(SUPPLY / 10), route }),
                5 | 6 => Ask::Rally { with: with.to_string(), depth: world.below(6) },
                7 => Ask::Spawn(1 + world.below(2)),
                8 => Ask::Share(with.to_string()),
                9 => Ask::Fail,
                10 => Ask::Work(world.below(2_000_000)),
                _ => Ask::Note,
            };
            // Tokens begin where they are.
            let to = if matches!(ask, Ask::Start(_)) { self.processes[0] } else { to };
            let to = if n % 16 == 15 { self.mute } else { to };
            let workload = Arc::clone(self);
            sending.spawn(async move {
                workload.ask(n, to, &ask).await;
                if workload.network.liar == Some(Liar::Forges) && n % 3 == 0 {
                    workload.forge(n).await;
                }
                if n % 4 == 0 {
                    workload.push_again().await;
                }
            });
            tokio::time::sleep(Duration::from_millis(1 + world.below(1500))).await;
        }
        while sending.join_next().await.is_some() {}
    }

    /// How clients look at things.
    pub fn life(&self) -> &Life {
        &self.life
    }
}
