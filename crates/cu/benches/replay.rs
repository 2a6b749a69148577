//! How fast a compute unit is: messages of one process as a stream, one by one, and replayed by a new unit.
//!
//! `cargo bench -p pirn-cu --bench replay` measures with a runtime that does nothing, which is what the unit itself
//! costs. With the file of an aos module and its `Module-Format` behind `--`, it evaluates `Action = Eval`
//! messages in that.
#![expect(clippy::disallowed_macros, reason = "a bench says what it measured")]

use std::sync::Arc;
use std::time::Duration;

use pirn_cu::{ComputeUnit, Options, Ports};
use protocol::{DataItem, Draft, Id, Item, Json, Module, Outcome, ProcessId, SignatureType, Tags, Wallet};
use runtime::{Input, Machine, Memory, Program, Refusal, Runtime, Start};
use store::{DiskBlobs, DiskStore};
use tokio::time::Instant;
use unit::fakes::{FakeClock, FakeScheduler, FakeWeave};
use unit::{Compute as _, Scheduler as _};

const MESSAGES: usize = 2000;
const SINGLE: usize = 300;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (module, format, runtime): (_, _, Arc<dyn Runtime>) = match &arguments[..] {
        [] => (b"nothing".to_vec(), "nothing", Arc::new(Nothing)),
        [file, format, ..] => {
            let wasm = runtime_wasm::WasmRuntime::new(runtime_wasm::Options::default());
            (std::fs::read(file).expect("the module"), format.as_str(), Arc::new(wasm.expect("an engine")))
        }
        [_] => panic!("a module needs its Module-Format behind it"),
    };
    let world = World::new(module, format, runtime);
    let process = world.spawn().await;
    let mut messages = Vec::new();
    for n in 0..MESSAGES + SINGLE {
        messages.push(world.send(process, n).await);
    }

    let folder = tempfile::tempdir().expect("a folder");
    let cu = world.open(&folder).await;
    let boot = timed(async { cu.result(process, process.into()).await.expect("it boots") }).await;
    println!("boot            {:8.1} ms", boot.as_secs_f64() * 1e3);
    let last = messages[MESSAGES - 1];
    let stream = timed(async { cu.result(process, last).await.expect("an outcome") }).await;
    report("stream", stream, MESSAGES);
    let single = timed(async {
        for message in &messages[MESSAGES..] {
            cu.result(process, *message).await.expect("an outcome");
        }
    });
    report("one by one", single.await, SINGLE);
    let again = timed(async {
        for message in &messages {
            cu.result(process, *message).await.expect("an outcome");
        }
    });
    report("from the store", again.await, messages.len());
    let stop = timed(cu.stop()).await;
    println!("stop            {:8.1} ms", stop.as_secs_f64() * 1e3);

    let folder = tempfile::tempdir().expect("a folder");
    let cold = world.open(&folder).await;
    let replay = timed(async { cold.result(process, last).await.expect("an outcome") }).await;
    report("cold replay", replay, MESSAGES + 1);
}

fn report(what: &str, took: Duration, messages: usize) {
    let seconds = took.as_secs_f64();
    let (rate, each) = (messages as f64 / seconds, seconds * 1e6 / messages as f64);
    println!("{what:15} {rate:8.0} messages/s {each:8.1} us each");
}

async fn timed<T>(work: impl Future<Output = T>) -> Duration {
    let start = Instant::now();
    work.await;
    start.elapsed()
}

struct World {
    clock: Arc<FakeClock>,
    weave: Arc<FakeWeave>,
    scheduler: Arc<FakeScheduler>,
    runtime: Arc<dyn Runtime>,
    wallet: Wallet,
}

const MODULE: Id = Id([7; 32]);

impl World {
    fn new(module: Vec<u8>, format: &str, runtime: Arc<dyn Runtime>) -> World {
        let clock = FakeClock::advancing(1_700_000_000_000, 1);
        let weave = FakeWeave::new();
        let tags = [
            ("Module-Format", format),
            ("Input-Encoding", "JSON-1"),
            ("Output-Encoding", "JSON-1"),
            ("Memory-Limit", "1-gb"),
            ("Compute-Limit", "9000000000000"),
        ];
        weave.put(Item {
            id: MODULE,
            signature_type: SignatureType::Ed25519,
            signature: Default::default(),
            owner: Default::default(),
            target: None,
            anchor: Default::default(),
            tags: tags.into_iter().collect(),
            data: module.into(),
        });
        let wallet = Wallet::ed25519_from_seed([1; 32]);
        let scheduler = FakeScheduler::new(wallet.clone(), Arc::clone(&clock) as _);
        World { clock, weave, scheduler, runtime, wallet }
    }

    async fn open(&self, folder: &tempfile::TempDir) -> Arc<ComputeUnit> {
        let store = DiskStore::open(folder.path().join("store"), store::Options::default()).expect("a store");
        let ports = Ports {
            store: Arc::new(store),
            blobs: Arc::new(DiskBlobs::open(folder.path().join("blobs")).expect("blobs")),
            scheduler: Arc::clone(&self.scheduler) as _,
            own_scheduler: Some(self.scheduler.clone()),
            weave: Arc::clone(&self.weave) as _,
            clock: Arc::clone(&self.clock) as _,
            events: unit::Events::silent(),
            wallet: Wallet::ed25519_from_seed([4; 32]),
            runtimes: vec![Arc::clone(&self.runtime)],
        };
        ComputeUnit::open(ports, Options::default()).await.expect("a compute unit")
    }

    async fn spawn(&self) -> ProcessId {
        let mut tags: Tags = [("Data-Protocol", "ao"), ("Type", "Process")].into_iter().collect();
        tags.push("Module", MODULE);
        tags.push("Scheduler", self.wallet.address());
        self.schedule(Draft { tags, ..Draft::default() }).await.into()
    }

    async fn send(&self, process: ProcessId, n: usize) -> Id {
        let tags = [("Action", "Eval"), ("Data-Protocol", "ao"), ("Type", "Message"), ("Variant", "ao.TN.1")];
        let data = format!("Count = (Count or 0) + 1; return Count + {n}").into();
        let tags = tags.into_iter().collect();
        self.schedule(Draft { target: Some(process.into()), tags, data, ..Draft::default() }).await
    }

    async fn schedule(&self, draft: Draft) -> Id {
        let item = DataItem::sign(&self.wallet, draft).expect("an item");
        self.scheduler.schedule(item).await.expect("a slot").message_id()
    }
}

/// Runs anything, and does nothing.
struct Nothing;

impl Runtime for Nothing {
    fn runs(&self, _format: &str) -> bool {
        true
    }

    fn load(&self, _module: &Module) -> Result<Arc<dyn Program>, Refusal> {
        Ok(Arc::new(Nothing))
    }
}

impl Program for Nothing {
    fn start(&self, _start: Start) -> Result<Box<dyn Machine>, Refusal> {
        Ok(Box::new(Nothing))
    }
}

impl Machine for Nothing {
    fn handle(&mut self, input: &Input) -> Result<Outcome, Refusal> {
        // An outcome of the usual size.
        let output = Json::string(&input.to_json());
        Ok(Outcome { output, error: None, ..Outcome::failed("", 1, 1) })
    }

    fn fork(&mut self) -> Result<Box<dyn Machine>, Refusal> {
        Ok(Box::new(Nothing))
    }

    fn memory(&mut self) -> Result<Memory, Refusal> {
        Ok(Memory::default())
    }

    fn resident_bytes(&self) -> u64 {
        1
    }
}
