//! How fast a compute unit is: messages of one process as a stream, one by one, and replayed by a new unit.
//!
//! `cargo bench -p pirn-cu --bench replay` measures with a runtime that does nothing, which is what the unit itself
//! costs. With the file of an aos module and its `Module-Format` behind `--`, it evaluates `Action = Eval`
//! messages in that.
#![expect(clippy::disallowed_macros, reason = "a bench says what it measured")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use protocol::{Json, Module, Outcome};
use runtime::{Input, Machine, Memory, Program, Refusal, Runtime, Start};
use tokio::time::Instant;
use unit::Compute as _;
use world::World;

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
    let tags = world::LIMITS.into_iter().chain([("Module-Format", format)]).collect();
    let world = World::new(module, tags);
    let process = world.spawn().await;
    let mut messages = Vec::new();
    for n in 0..MESSAGES + SINGLE {
        let data = format!("Count = (Count or 0) + 1; return Count + {n}");
        messages.push(world.send(process, &[("Action", "Eval")], data).await);
    }

    let folder = tempfile::tempdir().expect("a folder");
    let cu = world.open(&folder, &runtime).await;
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
    let cold = world.open(&folder, &runtime).await;
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
