//! A compute unit over a scheduler in memory, and a store on the disk.

use std::sync::Arc;

use pirn_cu::{ComputeUnit, Options, Ports};
use protocol::{DataItem, Draft, Id, Item, ProcessId, SignatureType, Tags, Wallet};
use runtime::Runtime;
use store::{DiskBlobs, DiskStore};
use unit::Scheduler as _;
use unit::fakes::{FakeClock, FakeScheduler, FakeWeave};

/// What a module gets that says nothing else: one gigabyte, and all the gas there is.
pub const LIMITS: [(&str, &str); 4] = [
    ("Input-Encoding", "JSON-1"),
    ("Output-Encoding", "JSON-1"),
    ("Memory-Limit", "1-gb"),
    ("Compute-Limit", "9000000000000"),
];

/// A scheduler, a weave with one module, and what runs it.
pub struct World {
    clock: Arc<FakeClock>,
    weave: Arc<FakeWeave>,
    scheduler: Arc<FakeScheduler>,
    wallet: Wallet,
}

const MODULE: Id = Id([7; 32]);

impl World {
    /// A world whose module is that, with these tags.
    pub fn new(module: Vec<u8>, tags: Tags) -> World {
        let clock = FakeClock::advancing(1_700_000_000_000, 1);
        let weave = FakeWeave::new();
        weave.put(Item {
            id: MODULE,
            signature_type: SignatureType::Ed25519,
            signature: Default::default(),
            owner: Default::default(),
            target: None,
            anchor: Default::default(),
            tags,
            data: module.into(),
        });
        let wallet = Wallet::ed25519_from_seed([1; 32]);
        let scheduler = FakeScheduler::new(wallet.clone(), Arc::clone(&clock) as _);
        World { clock, weave, scheduler, wallet }
    }

    /// Who signs: the owner of all processes.
    #[expect(dead_code, reason = "one of two benches says it to a process")]
    pub fn owner(&self) -> protocol::Address {
        self.wallet.address()
    }

    /// A compute unit with its files in that folder.
    pub async fn open(&self, folder: &tempfile::TempDir, runtime: &Arc<dyn Runtime>) -> Arc<ComputeUnit> {
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
            runtimes: vec![Arc::clone(runtime)],
        };
        ComputeUnit::open(ports, Options::default()).await.expect("a compute unit")
    }

    /// A process of the module.
    pub async fn spawn(&self) -> ProcessId {
        let mut tags: Tags = [("Data-Protocol", "ao"), ("Type", "Process")].into_iter().collect();
        tags.push("Module", MODULE);
        tags.push("Scheduler", self.wallet.address());
        self.schedule(Draft { tags, ..Draft::default() }).await.into()
    }

    /// A message with that action and data.
    pub async fn send(&self, process: ProcessId, tags: &[(&str, &str)], data: String) -> Id {
        let fixed = [("Data-Protocol", "ao"), ("Type", "Message"), ("Variant", "ao.TN.1")];
        let tags = tags.iter().copied().chain(fixed).collect();
        self.schedule(Draft { target: Some(process.into()), tags, data: data.into(), ..Draft::default() })
            .await
    }

    async fn schedule(&self, draft: Draft) -> Id {
        let item = DataItem::sign(&self.wallet, draft).expect("an item");
        self.scheduler.schedule(item).await.expect("a slot").message_id()
    }
}
