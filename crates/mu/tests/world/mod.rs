//! A small world around one messenger unit: processes whose messages say what comes of them.
//!
//! The data of a message is the JSON of its outcome. A chain of messages is written as one text.

#![allow(dead_code, missing_docs, reason = "each test file uses a part of it")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use pirn_mu::{MessengerUnit, Options, Ports};
use protocol::{Address, DataItem, Draft, Id, Json, Outcome, ProcessId, Slot, Tags, Wallet, tag};
use serde_json::json;
use store::{Appended, Batch, MemoryStore, Order, Space, Store};
use unit::fakes::{FakeClock, FakeCompute, FakeScheduler, FakeWeave};
use unit::{
    AssignRequest, Error, Messenger, Page, Placed, ProcessRecord, Receipt, Result, Scheduled, Scheduler,
    SlotRange, Tip,
};

pub const MODULE: &str = "IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g";

/// Everything that survives a crash of the messenger unit, but its store.
pub struct World {
    pub scheduler: Arc<FakeScheduler>,
    pub faulty: Arc<Faulty>,
    pub compute: Arc<FakeCompute>,
    pub weave: Arc<FakeWeave>,
    pub clock: Arc<FakeClock>,
    pub user: Wallet,
    pub stranger: Wallet,
    pub wallet: Wallet,
}

impl World {
    pub fn new() -> World {
        let clock = FakeClock::advancing(1_700_000_000_000, 1);
        let wallet = |seed: u8| Wallet::ed25519_from_seed([seed; 32]);
        let scheduler = FakeScheduler::new(wallet(1), clock.clone());
        let known = Arc::clone(&scheduler);
        World {
            faulty: Arc::new(Faulty::new(Arc::clone(&scheduler))),
            compute: FakeCompute::new(move |process, id| Ok(outcome_of(&known, process, id))),
            scheduler,
            weave: FakeWeave::new(),
            clock,
            user: wallet(2),
            stranger: wallet(3),
            wallet: wallet(4),
        }
    }

    pub fn ports(&self, store: Arc<dyn Store>) -> Ports {
        Ports {
            store,
            scheduler: self.faulty.clone(),
            compute: self.compute.clone(),
            weave: self.weave.clone(),
            clock: self.clock.clone(),
            events: unit::Events::silent(),
            wallet: self.wallet.clone(),
        }
    }

    pub async fn open(&self, store: Arc<dyn Store>) -> Arc<MessengerUnit> {
        self.open_with(store, Options::default()).await
    }

    pub async fn open_with(&self, store: Arc<dyn Store>, options: Options) -> Arc<MessengerUnit> {
        MessengerUnit::open(self.ports(store), options).await.expect("the unit opens")
    }

    /// A process of the user, scheduled without the messenger unit.
    pub async fn process(&self, name: &str) -> ProcessId {
        let item = self.process_item(name, &[]);
        let id = item.id;
        self.scheduler.schedule(item).await.expect("it is scheduled");
        id.into()
    }

    pub fn process_item(&self, name: &str, tags: &[(&str, &str)]) -> DataItem {
        let mut all: Tags =
            [("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Process"), ("Name", name)]
                .into_iter()
                .collect();
        all.push(tag::MODULE, MODULE);
        all.push(tag::SCHEDULER, MODULE);
        all.0.extend(tags.iter().map(|(name, value)| tag(name, value)));
        sign(&self.user, Draft { tags: all, data: "{}".into(), ..Draft::default() })
    }

    /// A message of the user.
    pub fn message(&self, to: impl Into<Id>, says: &str) -> DataItem {
        let tags =
            [("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Message")].into_iter().collect();
        let data = Bytes::copy_from_slice(says.as_bytes());
        sign(&self.user, Draft { target: Some(to.into()), anchor: None, tags, data })
    }

    /// A request to monitor or unmonitor.
    pub fn request(&self, wallet: &Wallet, process: ProcessId) -> DataItem {
        sign(wallet, Draft { target: Some(process.into()), data: " ".into(), ..Draft::default() })
    }

    /// What a process was sent after its boot: sender's first letters and data, in the order of the slots.
    pub fn inbox(&self, process: ProcessId) -> Vec<String> {
        self.scheduler.entries(process).iter().skip(1).map(show).collect()
    }

    /// The item in a slot.
    pub fn item(&self, process: ProcessId, slot: u64) -> Arc<protocol::Item> {
        let entry =
            self.scheduler.entries(process).into_iter().find(|entry| entry.assignment.slot == Slot(slot));
        entry.expect("the slot is taken").message.expect("it was delivered")
    }

    pub fn user_address(&self) -> Address {
        self.user.address()
    }
}

fn show(entry: &Scheduled) -> String {
    match &entry.message {
        Some(item) => item.text().into_owned(),
        None => format!("assigned {}", entry.message_id()),
    }
}

fn tag(name: &str, value: &str) -> protocol::Tag {
    protocol::Tag::new(name, value)
}

pub fn sign(wallet: &Wallet, draft: Draft) -> DataItem {
    DataItem::sign(wallet, draft).expect("the draft is fine")
}

/// What the message with that id says of itself.
fn outcome_of(scheduler: &FakeScheduler, process: ProcessId, id: Id) -> Outcome {
    let entries = scheduler.entries(process);
    let entry = entries.iter().find(|entry| entry.message_id() == id || entry.assignment.id() == id);
    let text = entry.and_then(|entry| entry.message.clone()).map(|item| item.text().into_owned());
    outcome(text.as_deref().unwrap_or("{}"))
}

/// The outcome that a text says; an empty one if it says none.
pub fn outcome(text: &str) -> Outcome {
    let says: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let list = |name: &str| -> Vec<Json> {
        let elements = says.get(name).and_then(|list| list.as_array()).cloned().unwrap_or_default();
        elements.iter().map(|element| Json::parse(&element.to_string()).expect("it is JSON")).collect()
    };
    Outcome {
        messages: list("Messages"),
        spawns: list("Spawns"),
        assignments: list("Assignments"),
        ..FakeCompute::empty()
    }
}

/// An element that sends `says`; `n` makes it different from others.
pub fn to(target: impl Into<Id>, n: usize, says: &str) -> serde_json::Value {
    json!({"Target": target.into(), "Anchor": format!("{n:032}"), "Tags": [], "Data": says})
}

/// The text of an outcome that sends these.
pub fn sends(messages: impl IntoIterator<Item = serde_json::Value>) -> String {
    json!({"Messages": messages.into_iter().collect::<Vec<_>>()}).to_string()
}

/// Waits until nothing is left to carry out.
pub async fn settle(unit: &MessengerUnit) {
    until(|| unit.gauges().outbox == 0).await;
}

/// Waits until that holds. Time is not real in these tests: a wait costs nothing while anything is to be done.
pub async fn until(holds: impl Fn() -> bool) {
    for _ in 0..1_000_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("what was waited for does not come");
}

/// Sends until it is taken, as a client does that gets no answer.
pub async fn send(unit: &MessengerUnit, item: &DataItem) -> Receipt {
    for _ in 0..100 {
        if let Ok(receipt) = unit.send(item.clone()).await {
            return receipt;
        }
    }
    panic!("{} is not taken", item.id)
}

/// A scheduler whose every call takes another time, and whose answers can be lost.
pub struct Faulty {
    inner: Arc<FakeScheduler>,
    /// How many of the next answers are lost, after what was asked is done.
    lost: Mutex<usize>,
}

impl Faulty {
    fn new(inner: Arc<FakeScheduler>) -> Faulty {
        Faulty { inner, lost: Mutex::new(0) }
    }

    pub fn lose_answers(&self, n: usize) {
        *self.lost.lock().unwrap() = n;
    }

    fn answer<T>(&self, answer: Result<T>) -> Result<T> {
        let mut lost = self.lost.lock().unwrap();
        if *lost == 0 {
            return answer;
        }
        *lost -= 1;
        Err(Error::unavailable("the answer was lost"))
    }
}

#[async_trait]
impl Scheduler for Faulty {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        for _ in 0..item.id.0[0] % 16 {
            tokio::task::yield_now().await;
        }
        self.answer(self.inner.schedule(item).await)
    }
    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        self.answer(self.inner.assign(request).await)
    }
    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        self.inner.find(process, id).await
    }
    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        self.inner.schedule_page(process, range, limit).await
    }
    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        self.inner.latest(process).await
    }
    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        self.inner.process(process).await
    }
    async fn now(&self) -> Result<Tip> {
        self.inner.now().await
    }
    async fn address(&self) -> Result<Address> {
        self.inner.address().await
    }
}

/// A store whose node loses power with its nth batch.
pub struct Crashing {
    inner: MemoryStore,
    left: Mutex<usize>,
    /// The last batch reached the disk, although nobody was told.
    reached: bool,
    survivor: Mutex<Option<MemoryStore>>,
}

impl Crashing {
    pub fn at(batch: usize, reached: bool, inner: MemoryStore) -> Arc<Crashing> {
        Arc::new(Crashing { inner, left: Mutex::new(batch), reached, survivor: Mutex::default() })
    }

    /// What a restart finds; without a crash so far, it comes now.
    pub fn survivor(&self) -> MemoryStore {
        *self.left.lock().unwrap() = 0;
        self.survivor.lock().unwrap().take().unwrap_or_else(|| self.inner.crash())
    }

    pub fn has_crashed(&self) -> bool {
        *self.left.lock().unwrap() == 0
    }
}

impl Store for Crashing {
    fn append(&self, batch: Batch) -> Appended {
        let mut left = self.left.lock().unwrap();
        if *left == 1 {
            if self.reached {
                drop(self.inner.append(batch.clone()));
            }
            *self.survivor.lock().unwrap() = Some(self.inner.crash());
        }
        *left = left.saturating_sub(1);
        self.inner.append(batch)
    }

    fn get(&self, space: Space, key: &[u8]) -> std::result::Result<Option<Bytes>, store::Error> {
        self.inner.get(space, key)
    }

    fn scan(
        &self,
        space: Space,
        range: (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>),
        order: Order,
        limit: usize,
    ) -> std::result::Result<Vec<(Bytes, Bytes)>, store::Error> {
        self.inner.scan(space, range, order, limit)
    }
}

/// Whether it is decided where the cron of a process starts.
pub fn progress_is_written(store: &dyn Store, process: ProcessId) -> bool {
    let row = store.get(Space("mu.monitor"), &process.0.0).ok().flatten();
    row.is_some_and(|row| row.first() == Some(&1))
}
