//! Units that lie on purpose, to see what a lie can do, and what proves it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use protocol::{Assignment, DataItem, Draft, HashChain, Id, Json, Outcome, ProcessId, Slot, tag};
use runtime::{Input, Machine, Memory, Program, Refusal, Runtime, Start};
use store::{MemoryBlobs, MemoryStore};
use unit::{Compute, Error, Evaluation, Novelty, Page, Placed, Result, Scheduled, Scheduler, SlotRange};

use crate::layer::{Layered, SchedulerLayer};
use crate::machine::SimRuntime;
use crate::network::{MESSENGERS, Network, scheduler_address, wallet};
use crate::workload::Workload;
use crate::world::{Host, SimClock, World};

/// Who lies, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liar {
    /// The scheduler shows one compute unit other assignments than everybody else.
    Equivocates,
    /// One compute unit says that something else came of messages.
    AnswersWrong,
    /// A stranger sends messages that say they are from processes.
    Forges,
    /// A messenger has each message signed by another that is trusted, too, and sends both.
    Duplicates,
    /// A messenger does not send every fourth message, and says it did.
    Drops,
}

/// What the stranger signs with.
pub const STRANGER: u8 = 66;

impl Liar {
    /// All of them.
    pub const ALL: [Liar; 5] =
        [Liar::Equivocates, Liar::AnswersWrong, Liar::Forges, Liar::Duplicates, Liar::Drops];

    /// Whether a compute unit is not to be believed. Messengers have chosen the other one then.
    pub fn is_about_cu1(self) -> bool {
        matches!(self, Liar::Equivocates | Liar::AnswersWrong)
    }

    /// The scheduler that a host speaks to, with this lie.
    pub fn scheduler(self, world: &Arc<World>, host: Host, inner: Arc<dyn Scheduler>) -> Arc<dyn Scheduler> {
        match (self, host) {
            (Liar::Equivocates, Host::Cu1) => Arc::new(Layered(TwoFaced { world: Arc::clone(world), inner })),
            (Liar::Duplicates | Liar::Drops, Host::Mu0) => {
                Arc::new(Layered(Messenger { liar: self, inner, sent: AtomicU64::new(0) }))
            }
            _ => inner,
        }
    }

    /// The runtime of a compute unit, with this lie.
    pub fn runtime(self, host: Host) -> Option<Arc<dyn Runtime>> {
        (self == Liar::AnswersWrong && host == Host::Cu1).then(|| Arc::new(WrongRuntime) as Arc<dyn Runtime>)
    }
}

/// What proves the lies, by what anybody can read and verify; empty if nothing does.
pub async fn evidence(network: &Network, workload: &Workload, liar: Liar) -> Vec<String> {
    let mut proofs = Vec::new();
    for (one, other) in network.world.equivocations() {
        let place = |of: &Assignment| (of.process, of.slot, of.item.address());
        let is_signed =
            |of: &Assignment| DataItem::restore(&of.item).is_some_and(|item| item.verify().is_ok());
        let same = place(&one) == place(&other) && one.item.address() == scheduler_address();
        if same && one.id() != other.id() && is_signed(&one) && is_signed(&other) {
            proofs.push(format!("slot {} of {} was signed twice", one.slot, one.process));
        }
    }
    if !liar.is_about_cu1() {
        return proofs;
    }
    for &process in workload.processes.iter().filter(|process| **process != workload.mute) {
        let found = verify_against(network, workload, process, 0).await;
        if let Some(found) = found {
            network.world.violation(format!("an honest compute unit does not hold: {found}"));
        }
        if let Some(found) = verify_against(network, workload, process, 1).await {
            proofs.push(found);
        }
        proofs.extend(contradictions(network, workload, process).await);
    }
    proofs
}

/// What a verification finds that has only the weave, and what a compute unit claims.
async fn verify_against(
    network: &Network,
    workload: &Workload,
    process: ProcessId,
    which: usize,
) -> Option<String> {
    let ports = verify::Ports {
        weave: Arc::new(network.weave(workload.life())),
        claims: Some(Arc::new(network.compute(workload.life(), which))),
        store: Arc::new(MemoryStore::new()),
        blobs: Arc::new(MemoryBlobs::new()),
        clock: Arc::new(SimClock { world: Arc::clone(&network.world), host: Host::Client, skew_ms: 0 }),
        runtimes: vec![Arc::new(SimRuntime)],
    };
    match verify::verify(ports, process, &|_| {}).await {
        Ok(report) => report.finding.map(|finding| finding.what),
        Err(error) => Some(format!("it cannot be verified: {error}")),
    }
}

/// Evaluations of which two compute units have signed different things.
async fn contradictions(network: &Network, workload: &Workload, process: ProcessId) -> Vec<String> {
    let [one, other] = [0, 1].map(|which| network.compute(workload.life(), which));
    let mut found = Vec::new();
    for index in 0.. {
        let of = Evaluation::Leaf(index);
        let pair = (one.attest(process, of, false).await, other.attest(process, of, false).await);
        let (Ok(mine), Ok(theirs)) = pair else { break };
        if mine.leaf != theirs.leaf {
            found.push(format!("{} signed another leaf {index} of {process}", theirs.signer()));
        }
    }
    found
}

/// Signs a second schedule for one who asks.
struct TwoFaced {
    world: Arc<World>,
    inner: Arc<dyn Scheduler>,
}

impl TwoFaced {
    /// The first slot of which there are two assignments.
    const FROM: Slot = Slot(2);

    /// The schedule up to a slot, as it is shown here.
    async fn shown(&self, process: ProcessId, up_to: Slot) -> Result<BTreeMap<Slot, Scheduled>> {
        let mut shown: BTreeMap<Slot, Scheduled> = BTreeMap::new();
        let mut chain = HashChain::start(process);
        loop {
            let after = shown.keys().next_back().copied();
            if after.is_some_and(|after| after >= up_to) {
                return Ok(shown);
            }
            let range = SlotRange::Slots { after, to: Some(up_to) };
            let page = self.inner.schedule_page(process, range, 100).await?;
            if page.items.is_empty() {
                return Ok(shown);
            }
            for entry in page.items {
                let entry =
                    if entry.assignment.slot < Self::FROM { entry } else { sign_otherwise(entry, chain)? };
                chain = entry.assignment.hash_chain.after(entry.assignment.id());
                self.world.saw_entry(&entry);
                shown.insert(entry.assignment.slot, entry);
            }
        }
    }

    async fn twist(&self, entry: Scheduled) -> Result<Scheduled> {
        let (process, slot) = (entry.assignment.process, entry.assignment.slot);
        let mut shown = self.shown(process, slot).await?;
        shown.remove(&slot).ok_or_else(|| Error::unavailable("it is not there yet"))
    }
}

/// Another assignment of the same message to the same slot.
fn sign_otherwise(entry: Scheduled, chain: HashChain) -> Result<Scheduled> {
    let mut tags = entry.assignment.item.tags.clone();
    for each in tags.0.iter_mut().filter(|each| each.name == tag::HASH_CHAIN) {
        each.value = chain.to_string();
    }
    tags.push("Face", 2);
    let draft = Draft { tags, data: entry.assignment.item.data.clone(), ..Draft::default() };
    let item = DataItem::sign(&wallet(1), draft).map_err(|error| Error::internal(&error))?;
    let assignment = Assignment::try_from(item.item().clone()).map_err(|error| Error::internal(&error))?;
    Ok(Scheduled { assignment: Arc::new(assignment), ..entry })
}

#[async_trait]
impl SchedulerLayer for TwoFaced {
    fn inner(&self) -> &Arc<dyn Scheduler> {
        &self.inner
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        // It knows what it signed here itself.
        if let (Some(process), Err(_)) = (process, self.inner.find(process, id).await) {
            let latest = self.inner.latest(process).await?.assignment.slot;
            let shown = self.shown(process, latest).await?;
            let found = shown.into_values().find(|entry| entry.assignment.id() == id);
            return found.ok_or_else(|| Error::not_found("nobody has it"));
        }
        self.twist(self.inner.find(process, id).await?).await
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        let page = self.inner.schedule_page(process, range, limit).await?;
        let Some(last) = page.items.last().map(|entry| entry.assignment.slot) else { return Ok(page) };
        let mut shown = self.shown(process, last).await?;
        Ok(page.map(|entry| shown.remove(&entry.assignment.slot).unwrap_or(entry)))
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        self.twist(self.inner.latest(process).await?).await
    }
}

/// How a messenger speaks to the scheduler that does not do as it should.
struct Messenger {
    liar: Liar,
    inner: Arc<dyn Scheduler>,
    sent: AtomicU64,
}

#[async_trait]
impl SchedulerLayer for Messenger {
    fn inner(&self) -> &Arc<dyn Scheduler> {
        &self.inner
    }

    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        let is_own = item.address() == wallet(MESSENGERS[0]).address() && item.kind() == Some("Message");
        let Some(target) = item.target.filter(|_| is_own) else { return self.inner.schedule(item).await };
        if self.liar == Liar::Duplicates {
            let anchor = item.anchor.as_ref().try_into().ok();
            let (tags, data) = (item.tags.clone(), item.data.clone());
            let draft = Draft { target: Some(target), anchor, tags, data };
            if let Ok(twin) = DataItem::sign(&wallet(MESSENGERS[1]), draft) {
                self.inner.schedule(twin).await?;
            }
        } else if self.sent.fetch_add(1, Ordering::Relaxed) % 4 == 3 {
            // As if it had come to what has been pushed long ago.
            let entry = self.inner.find(Some(target.into()), target).await?;
            return Ok(Placed { entry, novelty: Novelty::Repeat });
        }
        self.inner.schedule(item).await
    }
}

/// Evaluates as it should, and says of every third message that something else came of it.
struct WrongRuntime;

impl Runtime for WrongRuntime {
    fn runs(&self, format: &str) -> bool {
        SimRuntime.runs(format)
    }

    fn load(&self, module: &protocol::Module) -> std::result::Result<Arc<dyn Program>, Refusal> {
        Ok(Arc::new(WrongProgram(SimRuntime.load(module)?)))
    }
}

struct WrongProgram(Arc<dyn Program>);

impl Program for WrongProgram {
    fn start(&self, start: Start) -> std::result::Result<Box<dyn Machine>, Refusal> {
        Ok(Box::new(WrongMachine { machine: self.0.start(start)?, n: 0 }))
    }
}

struct WrongMachine {
    machine: Box<dyn Machine>,
    n: u64,
}

impl Machine for WrongMachine {
    fn handle(&mut self, input: &Input) -> std::result::Result<Outcome, Refusal> {
        let outcome = self.machine.handle(input)?;
        self.n += 1;
        Ok(match self.n % 3 {
            0 => Outcome { output: Json::string("whatever pays best"), ..outcome },
            _ => outcome,
        })
    }

    fn fork(&mut self) -> std::result::Result<Box<dyn Machine>, Refusal> {
        self.machine.fork()
    }

    fn memory(&mut self) -> std::result::Result<Memory, Refusal> {
        self.machine.memory()
    }

    fn resident_bytes(&self) -> u64 {
        self.machine.resident_bytes()
    }
}
