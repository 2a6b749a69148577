//! A small world to evaluate in: processes that count and remember, on a runtime without linear memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use cu::{ComputeUnit, Options, Ports};
use protocol::{
    DataItem, Draft, Id, Item, Json, Module, ModuleId, Outcome, ProcessId, SignatureType, Tags, Wallet,
};
use runtime::{Drive, Input, Limits, Machine, Memory, Opened, Program, Refusal, Runtime, Start, Unopened};
use serde::{Deserialize, Serialize};
use store::{MemoryBlobs, MemoryStore};
use unit::fakes::{FakeClock, FakeScheduler, FakeWeave};
use unit::{AssignRequest, Compute, DryRun, Evaluated, OutcomeQuery, Page, Scheduled, Scheduler};

/// Everything a compute unit needs, and the hands of who uses it.
pub struct World {
    pub clock: Arc<FakeClock>,
    pub weave: Arc<FakeWeave>,
    pub scheduler: Arc<FakeScheduler>,
    pub store: Arc<MemoryStore>,
    pub blobs: Arc<MemoryBlobs>,
    pub lab: Arc<Lab>,
    pub options: Options,
    pub user: Wallet,
    /// What runs other modules than the usual one.
    pub runtime: Option<Arc<dyn Runtime>>,
}

/// Signs what the compute unit attests.
pub fn unit_wallet() -> Wallet {
    Wallet::ed25519_from_seed([8; 32])
}

pub const MODULE: ModuleId = ModuleId(Id([77; 32]));

impl World {
    pub fn new() -> World {
        let clock = FakeClock::advancing(1_000_000, 1);
        let weave = FakeWeave::new();
        weave.set_height(5);
        weave.put(module(MODULE, &[]));
        let scheduler = FakeScheduler::new(scheduler_wallet(), Arc::clone(&clock) as Arc<dyn unit::Clock>);
        scheduler.set_height(5);
        World {
            clock,
            weave,
            scheduler,
            store: Arc::new(MemoryStore::new()),
            blobs: Arc::new(MemoryBlobs::new()),
            lab: Arc::default(),
            options: Options { retries: 1, retry_after_ms: 1, ..Options::default() },
            user: Wallet::ed25519_from_seed([1; 32]),
            runtime: None,
        }
    }

    /// A compute unit with what this world has kept so far.
    pub async fn open(&self) -> Arc<ComputeUnit> {
        self.open_with(Arc::clone(&self.scheduler) as Arc<dyn Scheduler>).await
    }

    pub async fn open_with(&self, scheduler: Arc<dyn Scheduler>) -> Arc<ComputeUnit> {
        self.open_believing(Arc::clone(&scheduler), Some(scheduler)).await
    }

    /// The same with a scheduler that runs in another program, and one that runs in this.
    pub async fn open_believing(
        &self,
        scheduler: Arc<dyn Scheduler>,
        own_scheduler: Option<Arc<dyn Scheduler>>,
    ) -> Arc<ComputeUnit> {
        let counting = Arc::new(Counting(Arc::clone(&self.lab)));
        let ports = Ports {
            store: Arc::clone(&self.store) as _,
            blobs: Arc::clone(&self.blobs) as _,
            scheduler,
            own_scheduler,
            weave: Arc::clone(&self.weave) as _,
            clock: Arc::clone(&self.clock) as _,
            events: unit::Events::silent(),
            wallet: unit_wallet(),
            runtimes: self.runtime.iter().cloned().chain([counting as _]).collect(),
        };
        ComputeUnit::open(ports, self.options.clone()).await.unwrap()
    }

    /// A compute unit that has never seen anything.
    pub async fn open_fresh(&mut self) -> Arc<ComputeUnit> {
        self.store = Arc::new(MemoryStore::new());
        self.blobs = Arc::new(MemoryBlobs::new());
        self.open().await
    }

    pub async fn spawn(&self, tags: &[(&str, &str)]) -> ProcessId {
        self.spawn_of(MODULE, tags).await
    }

    /// A process; limits are those of the test module unless the tags say others.
    pub async fn spawn_of(&self, module: ModuleId, tags: &[(&str, &str)]) -> ProcessId {
        let mut all: Tags = [("Data-Protocol", "ao"), ("Type", "Process")].into_iter().collect();
        all.push("Module", module);
        all.push("Scheduler", scheduler_wallet().address());
        tags.iter().for_each(|(name, value)| all.push(*name, value));
        let draft = Draft { tags: all, data: Bytes::from_static(b"boot"), ..Draft::default() };
        self.schedule(&self.user, draft).await.message_id().into()
    }

    /// Sends a message that does `action`.
    pub async fn send(&self, process: ProcessId, action: &str) -> Id {
        let tags = [("Action", action), ("At", &self.lab.next_name())].into_iter().collect();
        let draft = Draft { target: Some(process.into()), tags, ..Draft::default() };
        self.schedule(&self.user, draft).await.message_id()
    }

    /// A message of another process, pushed and signed by `by`.
    pub async fn push(&self, process: ProcessId, by: &Wallet, reference: &str) -> Scheduled {
        let tags = [("Action", "Add"), ("From-Process", "P"), ("Reference", reference)].into_iter().collect();
        let draft = Draft { target: Some(process.into()), tags, ..Draft::default() };
        self.schedule(by, draft).await
    }

    pub async fn assign(&self, process: ProcessId, message: Id, exclude: &[&str]) -> Scheduled {
        let exclude = exclude.iter().map(|field| field.to_string()).collect();
        self.scheduler
            .assign(AssignRequest { process, message, base_layer: false, exclude })
            .await
            .unwrap()
            .entry
    }

    pub async fn schedule(&self, wallet: &Wallet, draft: Draft) -> Scheduled {
        self.scheduler.schedule(DataItem::sign(wallet, draft).unwrap()).await.unwrap().entry
    }

    /// How many messages machines have handled, replays and dry runs included.
    pub fn handled(&self) -> u64 {
        self.lab.handled.load(Ordering::SeqCst)
    }
}

pub fn scheduler_wallet() -> Wallet {
    Wallet::ed25519_from_seed([9; 32])
}

/// An item on the weave that nobody checks the signature of.
pub fn item(id: Id, tags: &[(&str, &str)], data: &'static str) -> Item {
    Item {
        id,
        signature_type: SignatureType::Ed25519,
        signature: Bytes::from_static(b"signature"),
        owner: Bytes::from_static(b"somebody's key"),
        target: None,
        anchor: Bytes::new(),
        tags: tags.iter().copied().collect(),
        data: Bytes::from_static(data.as_bytes()),
    }
}

/// The test module, with `tags` instead of its own of the same name; an empty value leaves a tag out.
pub fn module(id: ModuleId, tags: &[(&str, &str)]) -> Item {
    let usual = [
        ("Module-Format", "counting"),
        ("Input-Encoding", "JSON-1"),
        ("Output-Encoding", "JSON-1"),
        ("Memory-Limit", "1-mb"),
        ("Compute-Limit", "1000"),
    ];
    let mut all: Vec<(&str, &str)> =
        usual.into_iter().filter(|(name, _)| !tags.iter().any(|(other, _)| other == name)).collect();
    all.extend(tags.iter().filter(|(_, value)| !value.is_empty()));
    item(id.into(), &all, "a program")
}

/// The text that an outcome shows.
pub fn output(outcome: &Outcome) -> String {
    match &outcome.error {
        Some(error) => format!("error {}", error.get()),
        None => outcome.output.to::<String>().unwrap(),
    }
}

pub async fn ask(cu: &ComputeUnit, process: ProcessId, message: Id) -> String {
    match cu.result(process, message).await {
        Ok(outcome) => output(&outcome),
        Err(error) => format!("{:?}: {error}", error.kind),
    }
}

pub async fn all_results(cu: &ComputeUnit, process: ProcessId) -> Page<Evaluated> {
    cu.results(process, OutcomeQuery { limit: 1000, ..OutcomeQuery::default() }).await.unwrap()
}

pub fn dry(action: &str) -> DryRun {
    DryRun {
        id: None,
        signature: None,
        data: None,
        owner: "W".to_owned(),
        target: None,
        anchor: None,
        forwarded_by: None,
        tags: [("Action", action)].into_iter().collect(),
        timestamp: None,
        block_height: None,
    }
}

/// What tests see of all machines, and what they hold them up with.
#[derive(Default)]
pub struct Lab {
    pub handled: AtomicU64,
    pub loaded: AtomicU64,
    names: AtomicU64,
    looping: Mutex<Looping>,
    changed: Condvar,
}

#[derive(Default)]
struct Looping {
    inside: bool,
    released: bool,
}

impl Lab {
    /// Ends all loops, those to come too.
    pub fn release(&self) {
        self.looping.lock().unwrap().released = true;
        self.changed.notify_all();
    }

    /// Blocks until some machine is in its loop.
    pub fn wait_for_loop(&self) {
        let looping = self.looping.lock().unwrap();
        drop(self.changed.wait_while(looping, |looping| !looping.inside).unwrap());
    }

    fn run_loop(&self) {
        let mut looping = self.looping.lock().unwrap();
        looping.inside = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(looping, |looping| !looping.released).unwrap());
    }

    fn next_name(&self) -> String {
        self.names.fetch_add(1, Ordering::SeqCst).to_string()
    }
}

/// Runs modules whose processes count the messages they get and remember them all.
struct Counting(Arc<Lab>);

impl Runtime for Counting {
    fn runs(&self, format: &str) -> bool {
        format == "counting"
    }

    fn load(&self, module: &Module) -> Result<Arc<dyn Program>, Refusal> {
        self.0.loaded.fetch_add(1, Ordering::SeqCst);
        if &module.data[..] != b"a program" {
            return Err(Refusal::Module { module: module.id, why: "it is no program".to_owned() });
        }
        Ok(Arc::new(CountingProgram(Arc::clone(&self.0))))
    }
}

struct CountingProgram(Arc<Lab>);

impl Program for CountingProgram {
    fn start(&self, start: Start) -> Result<Box<dyn Machine>, Refusal> {
        let state = match start.memory {
            None => State::default(),
            Some(memory) => serde_json::from_slice(&memory.to_dense())
                .map_err(|e| Refusal::Memory { why: e.to_string() })?,
        };
        let drive = start.drive;
        Ok(Box::new(Counter { lab: Arc::clone(&self.0), limits: start.limits, state, drive }))
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct State {
    count: u64,
    log: Vec<String>,
}

struct Counter {
    lab: Arc<Lab>,
    limits: Limits,
    state: State,
    drive: Option<Arc<dyn Drive>>,
}

/// What a guest would read at a path, as text.
fn read(drive: Option<&dyn Drive>, input: &Input, path: &str) -> Result<String, Unopened> {
    let Some(drive) = drive else { return Ok("no drive".to_owned()) };
    let bytes = match drive.open(&input.to_json(), path)? {
        Opened::NotAvailable => return Ok("not available".to_owned()),
        Opened::Text(text) => text,
        Opened::Data { id, size } => drive.read(id, 0, size as usize).map_err(Unopened::Refused)?,
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Machine for Counter {
    fn handle(&mut self, input: &Input) -> Result<Outcome, Refusal> {
        self.lab.handled.fetch_add(1, Ordering::SeqCst);
        let before = self.state.clone();
        let action = input.tags.first("Action").unwrap_or("Add").to_owned();
        let when = (input.timestamp.unwrap_or_default(), input.nonce, input.block_height);
        self.state.count += 1;
        self.state.log.push(format!("{action} {when:?} {}", input.tags.first("At").unwrap_or_default()));
        let shown = match action.as_str() {
            "Fail" => {
                self.state = before;
                let mut failed = Outcome::failed("boom", 1, 1);
                failed.messages.push(Json::parse("{}").unwrap());
                return Ok(failed);
            }
            "Loop" => {
                self.lab.run_loop();
                "looped".to_owned()
            }
            "Panic" => panic!("a machine breaks, on purpose"),
            path if path.starts_with('/') => match read(self.drive.as_deref(), input, path) {
                Ok(text) => text,
                Err(Unopened::Failed(why)) => return Ok(Outcome::failed(&why, 1, 1)),
                Err(Unopened::Refused(refusal)) => return Err(refusal),
            },
            "Echo" => input.to_json(),
            "Limits" => format!("{} {}", self.limits.memory_bytes, self.limits.compute),
            _ => self.state.count.to_string(),
        };
        Ok(Outcome { output: Json::string(&shown), error: None, ..Outcome::failed("", 10, 1) })
    }

    fn fork(&mut self) -> Result<Box<dyn Machine>, Refusal> {
        let (lab, drive) = (Arc::clone(&self.lab), self.drive.clone());
        Ok(Box::new(Counter { lab, limits: self.limits, state: self.state.clone(), drive }))
    }

    fn memory(&mut self) -> Result<Memory, Refusal> {
        Ok(Memory::from_dense(&serde_json::to_vec(&self.state).unwrap()))
    }

    fn resident_bytes(&self) -> u64 {
        100
    }
}
