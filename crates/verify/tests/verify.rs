//! Logs that hold, and logs in which one thing was changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use pirn_verify::{Ports, Report, Rule, verify};
use protocol::{
    Address, Attestation, DataItem, Digest, Draft, Height, Id, Item, Outcome, ProcessId, Tags, Timestamp,
    Wallet, tag,
};
use sim::machine::{Ask, FORMAT, SimRuntime};
use store::{MemoryBlobs, MemoryStore};
use unit::fakes::{FakeClock, FakeWeave};
use unit::{
    BlockRef, Compute, DryRun, Evaluated, Evaluation, Events, Found, History, OutcomeQuery, Page, Query,
    Result, Scheduler as _, StateAt, Tip, Weave,
};

/// Messages of the process, beside its boot. `PIRN_VERIFY_MESSAGES=10000` makes it a long one.
#[expect(clippy::disallowed_methods, reason = "how long the log of a test is, is no configuration")]
fn messages() -> u64 {
    std::env::var("PIRN_VERIFY_MESSAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(150)
}

/// A weave on which some items are not what they were, or not there.
#[derive(Default)]
struct Tampered {
    weave: Option<Arc<FakeWeave>>,
    changed: Mutex<BTreeMap<Id, Option<Item>>>,
}

impl Tampered {
    fn weave(&self) -> &FakeWeave {
        self.weave.as_deref().unwrap()
    }

    fn seen(&self, found: Found) -> Option<Found> {
        match self.changed.lock().unwrap().get(&found.item.id) {
            None => Some(found),
            Some(None) => None,
            Some(Some(item)) => Some(Found { item: Arc::new(item.clone()), ..found }),
        }
    }
}

#[async_trait]
impl Weave for Tampered {
    async fn upload(&self, item: DataItem) -> Result<()> {
        self.weave().upload(item).await
    }
    async fn get(&self, id: Id) -> Result<Found> {
        let found = self.weave().get(id).await?;
        self.seen(found).ok_or_else(|| unit::Error::not_found(format!("{id} is not on the weave")))
    }
    async fn confirmations(&self, id: Id) -> Result<Option<u64>> {
        self.weave().confirmations(id).await
    }
    async fn query(&self, query: Query) -> Result<Page<Found>> {
        let page = self.weave().query(query).await?;
        let items = page.items.into_iter().filter_map(|found| self.seen(found)).collect();
        Ok(Page { items, has_next: page.has_next })
    }
    async fn tip(&self) -> Result<Tip> {
        self.weave().tip().await
    }
    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>> {
        self.weave().blocks(from, limit).await
    }
    async fn knows_wallet(&self, address: Address) -> Result<bool> {
        self.weave().knows_wallet(address).await
    }
}

/// A compute unit that says of one message something else.
struct Claims {
    unit: Arc<dyn Compute>,
    liar: Option<Id>,
}

#[async_trait]
impl Compute for Claims {
    async fn result(&self, process: ProcessId, message: Id) -> Result<Arc<Outcome>> {
        let outcome = self.unit.result(process, message).await?;
        if self.liar != Some(message) {
            return Ok(outcome);
        }
        Ok(Arc::new(Outcome { output: protocol::Json::string("otherwise"), ..(*outcome).clone() }))
    }
    async fn results(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        self.unit.results(process, query).await
    }
    async fn cron(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        self.unit.cron(process, query).await
    }
    async fn dry_run(&self, process: ProcessId, message: DryRun, at: Option<Id>) -> Result<Outcome> {
        self.unit.dry_run(process, message, at).await
    }
    async fn state(&self, process: ProcessId, to: Option<Timestamp>) -> Result<StateAt> {
        self.unit.state(process, to).await
    }
    async fn address(&self) -> Result<Address> {
        self.unit.address().await
    }

    async fn attest(&self, process: ProcessId, of: Evaluation, with_state: bool) -> Result<Attestation> {
        self.unit.attest(process, of, with_state).await
    }
    async fn history(&self, process: ProcessId, from: u64, limit: usize) -> Result<History> {
        self.unit.history(process, from, limit).await
    }
    async fn consistency(&self, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>> {
        self.unit.consistency(process, from, to).await
    }
}

struct World {
    weave: Arc<Tampered>,
    process: ProcessId,
    module: Id,
    entries: Vec<unit::Scheduled>,
    compute: Arc<dyn Compute>,
}

fn ao(kind: &str) -> Tags {
    [(tag::DATA_PROTOCOL, tag::AO), (tag::VARIANT, tag::AO_TN_1), (tag::TYPE, kind)].into_iter().collect()
}

fn wallet(seed: u8) -> Wallet {
    Wallet::ed25519_from_seed([seed; 32])
}

async fn world() -> World {
    let fake = FakeWeave::new();
    let weave = Arc::new(Tampered { weave: Some(fake), ..Tampered::default() });
    let clock = FakeClock::advancing(1_700_000_000_000, 1);
    let mut tags = ao("Module");
    for (name, value) in [
        (tag::MODULE_FORMAT, FORMAT),
        (tag::INPUT_ENCODING, "JSON-1"),
        (tag::OUTPUT_ENCODING, "JSON-1"),
        (tag::MEMORY_LIMIT, "1-mb"),
        (tag::COMPUTE_LIMIT, "1000000"),
    ] {
        tags.push(name, value);
    }
    let module = DataItem::sign(&wallet(3), Draft { tags, data: "m".into(), ..Draft::default() }).unwrap();
    weave.upload(module.clone()).await.unwrap();
    let ports = su::Ports {
        store: Arc::new(MemoryStore::new()),
        weave: weave.clone(),
        clock: clock.clone(),
        events: Events::silent(),
        wallet: wallet(1),
    };
    let unit = su::SchedulerUnit::open(ports, su::Options::default()).await.unwrap();
    let mut tags = ao("Process");
    tags.push(tag::MODULE, module.id);
    tags.push(tag::SCHEDULER, wallet(1).address());
    let process = DataItem::sign(&wallet(2), Draft { tags, data: "{}".into(), ..Draft::default() }).unwrap();
    unit.schedule(process.clone()).await.unwrap();
    for n in 0..messages() {
        let ask = serde_json::to_vec(&Ask::Work(n)).unwrap();
        let anchor = format!("{n:032}").into_bytes().try_into().ok();
        let draft = Draft { target: Some(process.id), anchor, tags: ao("Message"), data: Bytes::from(ask) };
        unit.schedule(DataItem::sign(&wallet(2), draft).unwrap()).await.unwrap();
    }
    unit.settled().await;
    let mut entries: Vec<unit::Scheduled> = Vec::new();
    while entries.len() as u64 <= messages() {
        let after = entries.last().map(|entry| entry.assignment.slot);
        let range = unit::SlotRange::Slots { after, to: None };
        entries.extend(unit.schedule_page(process.id.into(), range, 1000).await.unwrap().items);
    }
    let ports = cu::Ports {
        store: Arc::new(MemoryStore::new()),
        blobs: Arc::new(MemoryBlobs::new()),
        scheduler: unit.clone(),
        own_scheduler: Some(unit),
        weave: weave.clone(),
        clock,
        events: Events::silent(),
        wallet: wallet(4),
        runtimes: vec![Arc::new(SimRuntime)],
    };
    let compute = cu::ComputeUnit::open(ports, cu::Options::default()).await.unwrap();
    World { weave, process: process.id.into(), module: module.id, entries, compute }
}

impl World {
    fn ports(&self, liar: Option<Id>, blobs: &Arc<MemoryBlobs>, store: &Arc<MemoryStore>) -> Ports {
        Ports {
            weave: self.weave.clone(),
            claims: Some(Arc::new(Claims { unit: self.compute.clone(), liar })),
            store: store.clone(),
            blobs: blobs.clone(),
            clock: FakeClock::at(1_700_000_100_000),
            runtimes: vec![Arc::new(SimRuntime)],
        }
    }

    async fn verify(&self, liar: Option<Id>) -> Report {
        verify(self.ports(liar, &Arc::default(), &Arc::new(MemoryStore::new())), self.process, &|_| {})
            .await
            .unwrap()
    }

    /// What is found once `change` was done to an item; everything is as it was afterwards.
    async fn with(&self, id: Id, change: impl FnOnce(&mut Item)) -> (u64, Rule) {
        let mut item = (*self.weave.weave().get(id).await.unwrap().item).clone();
        change(&mut item);
        self.weave.changed.lock().unwrap().insert(id, Some(item));
        self.found().await
    }

    async fn without(&self, id: Id) -> (u64, Rule) {
        self.weave.changed.lock().unwrap().insert(id, None);
        self.found().await
    }

    async fn found(&self) -> (u64, Rule) {
        let report = self.verify(None).await;
        self.weave.changed.lock().unwrap().clear();
        let finding = report.finding.expect("something does not hold");
        assert_eq!(report.memory, None);
        (finding.slot.0, finding.rule)
    }
}

fn flip(bytes: &mut Bytes) {
    let mut changed = bytes.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    *bytes = changed.into();
}

#[tokio::test]
async fn an_honest_log_holds() {
    let world = world().await;
    let report = world.verify(None).await;
    assert_eq!(report.finding, None);
    assert_eq!((report.slots, report.compared), (messages() + 1, messages() + 1));
    let state = world.compute.state(world.process, None).await.unwrap();
    use sha2::Digest as _;
    let memory: String =
        sha2::Sha256::digest(&state.memory).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(report.memory, Some(memory));
}

#[tokio::test]
async fn one_changed_bit_is_found_with_its_slot() {
    let world = world().await;
    for slot in [1, 63, 64, 100, messages()] {
        let entry = &world.entries[slot as usize];
        let (message, assignment) = (entry.message_id(), entry.assignment.id());
        assert_eq!(world.with(message, |item| flip(&mut item.data)).await, (slot, Rule::Message), "its data");
        let tag = |item: &mut Item| item.tags.0[0].value.push('x');
        assert_eq!(world.with(message, tag).await, (slot, Rule::Message), "a tag of it");
        let tag = |item: &mut Item| item.tags.0.last_mut().unwrap().value.push('x');
        assert_eq!(world.with(assignment, tag).await, (slot, Rule::Assignment), "its assignment");
        assert_eq!(world.without(message).await, (slot, Rule::Message), "the message is gone");
        if slot < messages() {
            assert_eq!(world.without(assignment).await, (slot, Rule::Assignment), "the assignment is gone");
        }
    }
    assert_eq!(world.with(world.module, |item| flip(&mut item.data)).await, (0, Rule::Process));
    assert_eq!(world.without(world.module).await, (0, Rule::Process));
    assert_eq!(world.with(world.process.into(), |item| flip(&mut item.data)).await, (0, Rule::Process));
    assert_eq!(world.verify(None).await.finding, None, "everything is as it was");
}

#[tokio::test]
async fn a_wrong_outcome_is_told_in_full() {
    let world = world().await;
    let report = world.verify(Some(world.entries[70].message_id())).await;
    let finding = report.finding.unwrap();
    assert_eq!((finding.slot.0, finding.rule), (70, Rule::Outcome));
    assert_eq!(finding.claimed.unwrap()["Output"], "otherwise");
    assert!(finding.expected.unwrap()["Output"]["data"]["history"].is_string());
    assert_eq!(report.slots, 70);
}

#[tokio::test]
async fn it_goes_on_where_it_ended() {
    let world = world().await;
    let (blobs, store) = (Arc::new(MemoryBlobs::new()), Arc::new(MemoryStore::new()));
    let liar = Some(world.entries[130].message_id());
    let first = verify(world.ports(liar, &blobs, &store), world.process, &|_| {}).await.unwrap();
    assert_eq!(first.finding.unwrap().slot.0, 130);
    let second = verify(world.ports(None, &blobs, &store), world.process, &|_| {}).await.unwrap();
    assert_eq!(second.finding, None);
    assert_eq!((second.resumed, second.slots, second.compared), (128, messages() + 1, messages() + 1 - 128));
    assert_eq!(second.memory, world.verify(None).await.memory);
}
