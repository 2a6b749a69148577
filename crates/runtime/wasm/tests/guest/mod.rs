//! A guest of our own, in both widths, and the one way in which tests run it.

use std::sync::Arc;

use pirn_runtime_wasm::{Machine, Options, WasmProgram, WasmRuntime};
use protocol::{Id, Json, Module, Outcome, Tags};
use runtime::{Environment, Limits, Memory, Refusal, Start};

pub const NARROW: &str = "wasm32-unknown-emscripten4";
pub const WIDE: &str = "wasm64-unknown-emscripten-draft_2024_02_15";
pub const METERED: [&str; 2] =
    ["wasm32-unknown-emscripten-metering", "wasm64-unknown-emscripten-draft_2024_10_16-metering"];
pub const LIMITS: Limits = Limits { memory_bytes: 4 << 20, compute: 10_000_000_000 };

/// The guest as a module of that format.
pub fn module(format: &str) -> Module {
    let text = include_str!("guest.wat");
    let wide = format.starts_with("wasm64");
    let words = if wide {
        [
            ("INVOKE", "invoke_vjj"),
            ("WIDE", "i64"),
            ("EXTEND", "local.get 0"),
            ("WRAP", "local.get 0"),
            ("PTR", "i64"),
        ]
    } else {
        [
            ("INVOKE", "invoke_vii"),
            ("WIDE", ""),
            ("EXTEND", "(i64.extend_i32_u (local.get 0))"),
            ("WRAP", "(i32.wrap_i64 (local.get 0))"),
            ("PTR", "i32"),
        ]
    };
    let code =
        text.lines().filter(|line| !line.trim_start().starts_with(";;")).collect::<Vec<_>>().join("\n");
    let text = words.iter().fold(code, |text, (word, with)| text.replace(word, with));
    of_text(format, &text)
}

/// Any module.
pub fn of_text(format: &str, text: &str) -> Module {
    of_bytes(format, wat::parse_str(text).expect("the text of a module"))
}

/// Any module.
pub fn of_bytes(format: &str, bytes: Vec<u8>) -> Module {
    let tags = Tags::from_iter([("Module-Format", format)]);
    let id = Id([7; 32]);
    Module { id: id.into(), owner: id.into(), tags, data: bytes.into() }
}

/// A runtime that commits in the usual intervals.
pub fn runtime() -> WasmRuntime {
    WasmRuntime::new(Options::default()).expect("an engine")
}

/// The guest, compiled.
pub fn program(format: &str) -> WasmProgram {
    runtime().program(&module(format)).expect("the guest compiles")
}

/// What machines start from.
pub fn start(limits: Limits, memory: Option<Memory>) -> Start {
    Start { environment: Arc::new(Environment::from_json("{}")), limits, memory, drive: None }
}

/// A machine of the guest.
pub fn machine(program: &WasmProgram) -> Machine {
    program.machine(start(LIMITS, None)).expect("a machine")
}

/// Gives each letter to the machine as a message; says the output or the error of each.
pub fn say(machine: &mut Machine, letters: &str) -> String {
    let mut said = Vec::new();
    for letter in letters.chars() {
        said.push(match machine.handle_json(&letter.to_string()) {
            Ok(outcome) => shown(&outcome),
            Err(refusal) => refused(&refusal),
        });
    }
    said.join("\n")
}

fn shown(outcome: &Outcome) -> String {
    match &outcome.error {
        Some(error) => format!("error {}", error.get()),
        None if outcome.messages.is_empty() => outcome.output.get().to_owned(),
        None => format!(
            "{} sends {}",
            outcome.output.get(),
            outcome.messages.iter().map(Json::get).collect::<Vec<_>>().join(" ")
        ),
    }
}

pub fn refused(refusal: &Refusal) -> String {
    format!("refused: {refusal}")
}
