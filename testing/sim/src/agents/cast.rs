//! Who takes part in a day of agents: the processes of `processes/agents` as they are, two tokens, and five people.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use protocol::{Address, DataItem, Draft, Id, Json, Module, ModuleId, ProcessId, Tags, Wallet, tag};
use runtime::{Program, Refusal, Runtime};
use runtime_wasm::WasmRuntime;
use serde::de::DeserializeOwned;
use unit::{Clock as _, Compute as _, DryRun, Messenger as _};

use crate::network::{Network, messenger_addresses, scheduler_address, wallet};
use crate::workload::{Workload, ao, sign};
use crate::world::{Host, SimClock};

/// Of each token.
pub const SUPPLY: u64 = 100_000_000;

/// How far apart ticks are. In the agents' own project it is a minute.
pub const INTERVAL: &str = "15-minutes";

/// What every agent may require.
const LIBRARY: [(&str, &str); 6] = [
    ("lib.amount", include_str!("../../../../processes/agents/lib/amount.lua")),
    ("lib.because", include_str!("../../../../processes/agents/lib/because.lua")),
    ("lib.feeds", include_str!("../../../../processes/agents/lib/feeds.lua")),
    ("lib.once", include_str!("../../../../processes/agents/lib/once.lua")),
    ("lib.ticks", include_str!("../../../../processes/agents/lib/ticks.lua")),
    ("lib.till", include_str!("../../../../processes/agents/lib/till.lua")),
];

const TOKEN: &str = include_str!("../../../../processes/blueprints/token.lua");

/// Why an agent acts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// It does not.
    Never,
    /// By ticks that its scheduler signs.
    Timer,
    /// By a cron of the legacy network.
    Cron,
}

/// The agents, what each says, and when it acts: as `processes/agents/pirn.toml` has it.
pub const AGENTS: [(&str, &str, Begins); 9] = [
    ("amm", include_str!("../../../../processes/agents/amm/amm.lua"), Begins::Never),
    ("dca", include_str!("../../../../processes/agents/dca/dca.lua"), Begins::Timer),
    ("order-book", include_str!("../../../../processes/agents/order-book/order-book.lua"), Begins::Never),
    ("market-maker", include_str!("../../../../processes/agents/order-book/market-maker.lua"), Begins::Timer),
    ("rfq", include_str!("../../../../processes/agents/rfq/rfq.lua"), Begins::Cron),
    ("lending", include_str!("../../../../processes/agents/lending/lending.lua"), Begins::Never),
    ("watcher", include_str!("../../../../processes/agents/lending/watcher.lua"), Begins::Timer),
    ("prediction", include_str!("../../../../processes/agents/prediction/prediction.lua"), Begins::Cron),
    ("notifier", include_str!("../../../../processes/agents/notifier/notifier.lua"), Begins::Timer),
];

/// The tokens: what is traded, and what it is paid with.
pub const TOKENS: [&str; 2] = ["gold", "coin"];

/// A person, by the number of its wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    /// Owns all processes.
    Ada = 40,
    /// Trades.
    Ben,
    /// Trades, and is a feeder who says little.
    Cleo,
    /// A feeder, and in debt.
    Dan,
    /// A feeder.
    Eve,
}

impl Person {
    /// What it signs with.
    pub fn wallet(self) -> Wallet {
        wallet(self as u8)
    }

    /// Its account.
    pub fn address(self) -> Address {
        self.wallet().address()
    }
}

/// Everybody.
pub struct Cast {
    /// How people speak to the network.
    pub workload: Workload,
    network: Arc<Network>,
    processes: BTreeMap<&'static str, ProcessId>,
    sent: AtomicU64,
    /// Transfers that people made: in which token, and which message.
    transfers: Mutex<Vec<(ProcessId, Id)>>,
}

impl Cast {
    /// Publishes the module and spawns everybody. No timer has a moment after `end`, ms since 1970.
    pub async fn begin(network: &Arc<Network>, end: u64) -> Cast {
        let mut workload = Workload::of(network);
        workload.owner = Person::Ada.wallet();
        workload.publish(&module()).await;
        let mut processes = BTreeMap::new();
        let texts = TOKENS.into_iter().map(|name| (name, token(name), Begins::Never));
        let agents = AGENTS.into_iter().map(|(name, source, begins)| (name, source.to_owned(), begins));
        let ends = end.to_string();
        for (name, source, begins) in texts.chain(agents) {
            let more: &[(&str, &str)] = match begins {
                Begins::Never => &[],
                Begins::Timer => &[("Tick-Interval", INTERVAL), ("Tick-End", &ends)],
                Begins::Cron => &[(tag::CRON_INTERVAL, INTERVAL), ("Cron-Tag-Action", "Tick")],
            };
            let item = process(name, more, bundle(name, &source));
            let id = item.id.into();
            workload.send(item, id).await;
            processes.insert(name, id);
            if begins == Begins::Cron {
                for which in workload.messengers() {
                    workload.ask_monitor(which, id, true).await;
                }
                workload.crons.push(id);
            }
        }
        Cast {
            workload,
            network: Arc::clone(network),
            processes,
            sent: AtomicU64::new(0),
            transfers: Mutex::default(),
        }
    }

    /// A process, by its name.
    pub fn of(&self, name: &str) -> ProcessId {
        self.processes[name]
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, ProcessId)> {
        self.processes.iter().map(|(name, id)| (*name, *id))
    }

    /// Sends until it is acknowledged: a message with a tag for each field.
    pub async fn send(&self, who: Person, to: &str, fields: &[(&str, &str)]) -> Id {
        let process = self.of(to);
        let mut tags = ao("Message");
        fields.iter().for_each(|(name, value)| tags.push(*name, value));
        let n = self.sent.fetch_add(1, Ordering::Relaxed);
        let anchor = format!("{n:032}").into_bytes().try_into().ok();
        let data = Bytes::from_static(b" ");
        let item = sign(&who.wallet(), Draft { target: Some(process.into()), anchor, tags, data });
        let id = item.id;
        self.workload.send(item, process).await;
        id
    }

    /// Sends tokens, and says what for.
    pub async fn transfer(&self, token: &str, who: Person, to: &str, quantity: u64, fields: &[(&str, &str)]) {
        let (recipient, quantity) = (self.of(to).to_string(), quantity.to_string());
        let all = [("Action", "Transfer"), ("Recipient", &recipient), ("Quantity", &quantity)];
        let id = self.send(who, token, &[&all, fields].concat()).await;
        self.transfers().push((self.of(token), id));
    }

    /// The second messenger pushes what came of a transfer, which the first one has pushed or will: that has no effect.
    pub async fn push_again(&self) {
        let known = {
            let transfers = self.transfers();
            transfers.get(self.network.world.below(transfers.len() as u64) as usize).copied()
        };
        if let Some((process, message)) = known {
            let _ = self.network.messenger(self.workload.life(), 1).push(process, message, None).await;
        }
    }

    fn transfers(&self) -> MutexGuard<'_, Vec<(ProcessId, Id)>> {
        self.transfers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A feeder says something. As feeders do, it writes the time of the scheduler.
    pub async fn feed(&self, who: Person, to: &str, name: &str, value: &str) {
        let clock = SimClock { world: Arc::clone(&self.network.world), host: Host::Su, skew_ms: 0 };
        let (now, n) = (clock.now().0.to_string(), self.sent.load(Ordering::Relaxed).to_string());
        let said = [("Feed-Name", name), ("Feed-Value", value), ("Feed-Time", &now), ("Feed-Sequence", &n)];
        self.send(who, to, &[&[("Action", "Feed")], &said[..]].concat()).await;
    }

    /// The value of a Lua expression in a process, as a compute unit has it now; none while that cannot be had.
    pub async fn look<T: DeserializeOwned>(&self, name: &str, expression: &str) -> Option<T> {
        let compute = self.network.compute(self.workload.life(), self.network.world.below(2) as usize);
        let text = format!("return require('json').encode({expression})");
        let message = DryRun {
            id: None,
            signature: None,
            data: Some(Json::string(&text)),
            owner: Person::Ada.address().to_string(),
            target: None,
            anchor: None,
            forwarded_by: None,
            tags: [("Action", "Eval")].into_iter().collect(),
            timestamp: None,
            block_height: None,
        };
        let outcome = compute.dry_run(self.of(name), message, None).await.ok()?;
        let output: serde_json::Value = outcome.output.to().ok()?;
        let said = output["data"].as_str()?;
        let value = serde_json::from_str(said);
        if value.is_err() {
            let world = &self.network.world;
            world.violation(format!("{expression} of {name} cannot be read: {said} {:?}", outcome.error));
        }
        value.ok()
    }

    /// The same, until it can be had.
    pub async fn read<T: DeserializeOwned>(&self, name: &str, expression: &str) -> T {
        loop {
            if let Some(value) = self.look(name, expression).await {
                return value;
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }

    /// Waits until a Lua expression is true in a process.
    pub async fn until(&self, name: &str, expression: &str) {
        while !self.read::<bool>(name, &format!("({expression}) and true or false")).await {
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    }
}

/// Pirn's own Lua.
fn module() -> DataItem {
    let tags = Tags::from_iter(runtime_lua::TAGS);
    sign(&wallet(3), Draft { tags, data: Bytes::from_static(runtime_lua::MODULE), ..Draft::default() })
}

fn process(name: &str, more: &[(&str, &str)], text: String) -> DataItem {
    let mut tags = ao("Process");
    tags.push(tag::MODULE, module().id);
    tags.push(tag::SCHEDULER, scheduler_address());
    messenger_addresses().iter().for_each(|address| tags.push(tag::AUTHORITY, address));
    tags.push("Name", name);
    tags.push(tag::ON_BOOT, "Data");
    more.iter().for_each(|(name, value)| tags.push(*name, value));
    sign(&Person::Ada.wallet(), Draft { tags, data: text.into(), ..Draft::default() })
}

/// A token of which four people have a quarter each, and which takes each message of a process once.
fn token(name: &str) -> String {
    let people = [Person::Ada, Person::Ben, Person::Cleo, Person::Dan];
    let list = people.map(|person| format!("[\"{}\"] = \"{}\"", person.address(), SUPPLY / 4)).join(", ");
    format!("require(\"lib.once\")\nBalances = Balances or {{ {list} }}\nTicker = \"{name}\"\n{TOKEN}")
}

/// What a process loads when it begins: each file under its own name, as `pirn up` has it.
fn bundle(name: &str, source: &str) -> String {
    let mut text = String::new();
    for (name, source) in LIBRARY {
        text += &format!("package.preload[{name:?}] = load({}, \"@{name}\")\n", long(source));
    }
    text + &format!("load({}, \"@{name}\")()\n", long(source))
}

/// In brackets that do not occur in it.
fn long(text: &str) -> String {
    let signs = (1..).map(|n| "=".repeat(n)).find(|signs| !text.contains(&format!("]{signs}")));
    let signs = signs.expect("some number of signs does not occur");
    format!("[{signs}[\n{text}]{signs}]")
}

/// Runs modules, and compiles each once, however often a unit begins anew.
pub struct Compiled {
    runtime: WasmRuntime,
    programs: Mutex<BTreeMap<ModuleId, Arc<dyn Program>>>,
}

impl Compiled {
    /// One that has compiled nothing yet.
    pub fn new() -> Result<Compiled, Refusal> {
        let runtime = WasmRuntime::new(runtime_wasm::Options::default())?;
        Ok(Compiled { runtime, programs: Mutex::default() })
    }
}

impl Runtime for Compiled {
    fn runs(&self, format: &str) -> bool {
        self.runtime.runs(format)
    }

    fn load(&self, module: &Module) -> Result<Arc<dyn Program>, Refusal> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(program) = programs.get(&module.id) {
            return Ok(Arc::clone(program));
        }
        let program = self.runtime.load(module)?;
        programs.insert(module.id, Arc::clone(&program));
        Ok(program)
    }
}
