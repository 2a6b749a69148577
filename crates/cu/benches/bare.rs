//! What a message costs in the unit, against the bare call of the module with the same inputs.
//!
//! `cargo bench -p pirn-cu --bench bare` measures Pirn's Lua, small and with most of a gigabyte in strings, and a small
//! module with as much memory; with the file of an aos module and its `Module-Format` behind `--`, that as well. With
//! `--only TEXT` it measures the rows whose name has that.
//!
//! The unit gets its messages from a scheduler in memory, and has its store on the disk: slots are fetched, inputs
//! written, outcomes stored and flushed, memory committed and checkpointed. The bare machine is an instance of the same
//! module with the same gas settings, which has evaluated the same inputs and never commits anything: text in, call,
//! text out. Both get the same streams of a thousand messages in turn, so that what else the computer does meets both.
#![expect(clippy::disallowed_macros, reason = "a bench says what it measured")]

mod world;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::{Digest, Module, Outcome, Tags};
use runtime::{Input, Machine, Memory, Program, Refusal, Runtime, Start};
use runtime_wasm::{MachineOptions, Options, WasmRuntime};
use tokio::time::Instant;
use unit::Compute as _;
use world::World;

/// As `pirn` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOKEN: &str = include_str!("../../../processes/blueprints/token.lua");
const STATE: &str = include_str!("../../../testing/bench/state.wat");
const EVAL: [(&str, &str); 1] = [("Action", "Eval")];
const BLOCKS: usize = 9;
const BLOCK: usize = 1000;

/// One row: a module, what is said before, and what each message says.
struct Case {
    name: &'static str,
    module: Vec<u8>,
    tags: Tags,
    before: Vec<String>,
    message: Say,
}

/// What a message says.
#[derive(Clone, Copy)]
enum Say {
    Eval,
    Transfer,
}

#[tokio::main]
async fn main() {
    let mut arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let only = arguments.iter().position(|argument| argument == "--only").map(|at| arguments.split_off(at));
    let only = only
        .map_or(String::new(), |rest| rest.get(1).cloned().expect("a part of a row's name behind --only"));
    println!("{:34} {:>9} {:>9} {:>7}", "us a message", "bare", "unit", "ratio");
    for case in cases(&arguments).into_iter().filter(|case| case.name.contains(&only)) {
        measure(case).await;
    }
}

fn cases(arguments: &[String]) -> Vec<Case> {
    let strings = |megabytes: usize| {
        let fill = "Kept = Kept or {} for i = 1, 50 do Kept[#Kept + 1] = string.rep(string.char(64 + i), 2 ^ 20) end";
        vec![fill.to_owned(); megabytes / 50]
    };
    let lua = |name, before, message| Case {
        name,
        module: runtime_lua::MODULE.to_vec(),
        tags: Tags::from_iter(runtime_lua::TAGS),
        before,
        message,
    };
    let wat = |name, megabytes: usize| {
        let text = STATE.lines().filter(|line| !line.trim_start().starts_with(";;")).collect::<Vec<_>>();
        let text = text.join("\n").replace("PAGES", &(megabytes * 16).to_string());
        let module = wat::parse_str(text).expect("the text of a module");
        let tags =
            world::LIMITS.into_iter().chain([("Module-Format", "wasm32-unknown-emscripten4")]).collect();
        Case { name, module, tags, before: Vec::new(), message: Say::Eval }
    };
    let mut cases = vec![
        lua("lua, eval", Vec::new(), Say::Eval),
        lua("lua, token transfer", vec![TOKEN.to_owned()], Say::Transfer),
        lua("lua with 900 MB, eval", strings(900), Say::Eval),
        wat("wat with 1 MB", 1),
        wat("wat with 1 GB", 1024),
    ];
    if let [file, format, ..] = arguments {
        let aos = |name, before, message| Case {
            name,
            module: std::fs::read(file).expect("the module"),
            tags: world::LIMITS.into_iter().chain([("Module-Format", format.as_str())]).collect(),
            before,
            message,
        };
        cases.extend([
            aos("aos, eval", Vec::new(), Say::Eval),
            aos("aos, token transfer", vec![AOS_TOKEN.to_owned()], Say::Transfer),
            aos("aos with 400 MB, eval", strings(350), Say::Eval),
            aos(
                "aos with 400 MB, token transfer",
                [vec![AOS_TOKEN.to_owned()], strings(350)].concat(),
                Say::Transfer,
            ),
        ]);
    }
    cases
}

/// A token for aos, which has no blueprint of ours.
const AOS_TOKEN: &str = r#"
Balances = { [Owner] = 1000000000000 }
Handlers.add("transfer", Handlers.utils.hasMatchingTag("Action", "Transfer"), function (msg)
  local quantity = tonumber(msg.Tags.Quantity)
  assert(quantity > 0 and (Balances[msg.From] or 0) >= quantity, "not enough")
  Balances[msg.From] = Balances[msg.From] - quantity
  Balances[msg.Tags.Recipient] = (Balances[msg.Tags.Recipient] or 0) + quantity
  ao.send({ Target = msg.From, Action = "Debit-Notice", Quantity = tostring(quantity) })
  ao.send({ Target = msg.Tags.Recipient, Action = "Credit-Notice", Quantity = tostring(quantity) })
end)
"#;

async fn measure(case: Case) {
    let world = World::new(case.module, case.tags);
    let process = world.spawn().await;
    let mut last = process.into();
    for code in case.before {
        last = world.send(process, &EVAL, code).await;
    }
    let mut blocks = Vec::new();
    for block in 0..=BLOCKS {
        for n in 0..BLOCK {
            let n = block * BLOCK + n;
            last = match case.message {
                Say::Eval => {
                    let code = format!("Count = (Count or 0) + 1; return Count + {n}");
                    world.send(process, &EVAL, code).await
                }
                Say::Transfer => {
                    let recipient = format!("{:043}", n % 1000);
                    let tags = [("Action", "Transfer"), ("Recipient", &recipient), ("Quantity", "1")];
                    // No two items are the same.
                    world.send(process, &tags, n.to_string()).await
                }
            };
        }
        blocks.push(last);
    }

    // What a machine is given, as a unit gives it.
    let heard = Arc::new(Mutex::new(Heard::default()));
    let folder = tempfile::tempdir().expect("a folder");
    let tap: Arc<dyn Runtime> = Arc::new(Tap { of: engine(MachineOptions::default()), heard: heard.clone() });
    let unit = world.open(&folder, &tap).await;
    let outcome = unit.result(process, last).await.expect("an outcome");
    assert_eq!(outcome.error, None, "{}", case.name);
    unit.stop().await;
    drop((unit, tap));
    let Heard { module, start, inputs } = std::mem::take(&mut *heard.lock().expect("nobody panicked"));

    let never = MachineOptions {
        messages_per_commit: usize::MAX,
        bytes_per_commit: usize::MAX,
        gas_per_commit: u64::MAX,
        overlay_bytes_max: u64::MAX,
        ..MachineOptions::default()
    };
    let program = engine(never).program(&module.expect("it was loaded")).expect("it compiles");
    let mut bare = program.machine(start.expect("it was started")).expect("a machine");
    let folder = tempfile::tempdir().expect("a folder");
    let runtime: Arc<dyn Runtime> = Arc::new(engine(MachineOptions::default()));
    let unit = world.open(&folder, &runtime).await;

    // The first block, and all before it, are not counted.
    let warm = inputs.len() - BLOCKS * BLOCK;
    unit.result(process, blocks[0]).await.expect("an outcome");
    for input in &inputs[..warm] {
        bare.handle_json(input).expect("an outcome");
    }
    let mut times = Vec::new();
    for (n, inputs) in inputs[warm..].chunks(BLOCK).enumerate() {
        let mut took = [Duration::ZERO; 2];
        for turn in 0..2 {
            let which = (n + turn) % 2;
            let start = Instant::now();
            if which == 0 {
                for input in inputs {
                    bare.handle_json(input).expect("an outcome");
                }
            } else {
                unit.result(process, blocks[n + 1]).await.expect("an outcome");
            }
            took[which] = start.elapsed();
        }
        times.push(took.map(|took| took.as_secs_f64() * 1e6 / BLOCK as f64));
    }
    unit.stop().await;
    // All of them: the blocks in which checkpoints are taken are dearer than the one in the middle.
    let mean = |which: usize| times.iter().map(|times| times[which]).sum::<f64>() / times.len() as f64;
    let (bare, unit) = (mean(0), mean(1));
    let ratio = unit / bare;
    println!("{:34} {bare:9.1} {unit:9.1} {ratio:7.2}", case.name);
}

fn engine(machine: MachineOptions) -> WasmRuntime {
    WasmRuntime::new(Options { machine, ..Options::default() }).expect("an engine")
}

#[derive(Default)]
struct Heard {
    module: Option<Module>,
    start: Option<Start>,
    inputs: Vec<Box<str>>,
}

/// Writes down what goes through a runtime, a program or a machine.
struct Tap<T> {
    of: T,
    heard: Arc<Mutex<Heard>>,
}

impl<T> Tap<T> {
    fn hear(&self, what: impl FnOnce(&mut Heard)) {
        what(&mut self.heard.lock().expect("nobody panicked"));
    }
}

impl Runtime for Tap<WasmRuntime> {
    fn runs(&self, format: &str) -> bool {
        self.of.runs(format)
    }

    fn load(&self, module: &Module) -> Result<Arc<dyn Program>, Refusal> {
        self.hear(|heard| heard.module = Some(module.clone()));
        Ok(Arc::new(Tap { of: self.of.load(module)?, heard: self.heard.clone() }))
    }
}

impl Program for Tap<Arc<dyn Program>> {
    fn start(&self, start: Start) -> Result<Box<dyn Machine>, Refusal> {
        self.hear(|heard| heard.start = Some(start.clone()));
        Ok(Box::new(Tap { of: self.of.start(start)?, heard: self.heard.clone() }))
    }
}

impl Machine for Tap<Box<dyn Machine>> {
    fn handle(&mut self, input: &Input) -> Result<Outcome, Refusal> {
        self.hear(|heard| heard.inputs.push(input.to_json().into()));
        self.of.handle(input)
    }

    fn fork(&mut self) -> Result<Box<dyn Machine>, Refusal> {
        self.of.fork()
    }

    fn memory(&mut self) -> Result<Memory, Refusal> {
        self.of.memory()
    }

    fn root(&mut self) -> Result<Digest, Refusal> {
        self.of.root()
    }

    fn resident_bytes(&self) -> u64 {
        self.of.resident_bytes()
    }
}
