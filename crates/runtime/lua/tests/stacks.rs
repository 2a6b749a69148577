//! What is read of a running process: the functions that are called, and all of the gas.

use std::sync::Arc;

use pirn_runtime_lua::stacks::STATE;
use pirn_runtime_lua::{MODULE, Stacks, TAGS};
use protocol::{Id, Module, Outcome, Tags};
use runtime::{Environment, Function, Limits, Machine as _, Memory, PAGE_BYTES, Profile, Running, Start};
use runtime_wasm::{Machine, Options, WasmRuntime};
use serde_json::{Value, json};

const LIMITS: Limits = Limits { memory_bytes: 128 << 20, compute: 200_000_000_000 };

fn booted(runtime: WasmRuntime, limits: Limits) -> Machine {
    let id = Id([7; 32]);
    let module = Module { id: id.into(), owner: id.into(), tags: Tags::from_iter(TAGS), data: MODULE.into() };
    let environment =
        json!({ "Process": { "Id": "P", "Owner": "O", "Tags": [] }, "Module": { "Id": "M", "Tags": [] } });
    let environment = Arc::new(Environment::from_json(environment.to_string()));
    let program = runtime.program(&module).unwrap();
    let mut machine = program.machine(Start { environment, limits, memory: None, drive: None }).unwrap();
    let outcome = machine.handle_json(&message(&[("Type", "Process")], "")).unwrap();
    assert_eq!(outcome.error, None);
    machine
}

fn plain() -> WasmRuntime {
    WasmRuntime::new(Options::default()).unwrap()
}

fn watched() -> WasmRuntime {
    plain().with_stacks(Arc::new(Stacks)).unwrap()
}

fn message(tags: &[(&str, &str)], data: &str) -> String {
    let tags: Vec<Value> = tags.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    json!({
        "Id": "P", "From": "O", "Owner": "O", "Target": "P", "Module": "M", "Tags": tags, "Data": data,
        "Timestamp": 1_718_000_000_123_u64, "Block-Height": 7, "Cron": false,
    })
    .to_string()
}

/// A script, as a bundle has it: a chunk with the name of its file.
fn eval(machine: &mut Machine, code: &str) -> Outcome {
    let code = format!("return assert(load({}, '@a.lua'))()", json!(code));
    machine.handle_json(&message(&[("Action", "Eval")], &code)).unwrap()
}

fn text(function: &Function) -> String {
    match function {
        Function::Script { source, line } => format!("{source}:{line}"),
        Function::Builtin(name) => name.as_deref().unwrap_or("?").to_owned(),
    }
}

/// The gas of each function itself, whoever called it.
fn own(profile: &Profile, name: &str) -> u64 {
    let is_it = |stack: &&Vec<Function>| stack.last().is_some_and(|last| text(last) == name);
    profile.stacks.iter().filter(|(stack, _)| is_it(stack)).map(|(_, gas)| gas).sum()
}

/// What calls `inner`, from the outermost function of the script on.
fn callers(profile: &Profile, inner: &str) -> Vec<String> {
    let stack = profile.stacks.keys().find(|stack| stack.last().is_some_and(|last| text(last) == inner));
    let names = stack.unwrap_or_else(|| panic!("{inner} is not in it: {profile:#?}")).iter().map(text);
    names.skip_while(|name| !name.starts_with("@a.lua")).collect()
}

const SCRIPT: &str = "local function busy(n)
  local sum = 0
  for i = 1, n do sum = sum + i * i % 7 end
  return sum
end
function Once(n)
  return busy(n) + 1
end
function Waits(n)
  local c = coroutine.wrap(function()
    coroutine.yield(busy(n))
  end)
  return c()
end
function Fails(n)
  return pcall(function() busy(n) error('x') end)
end
function Texts(n)
  return #string.rep('ab', n):reverse()
end
function Deep(n)
  return n > 0 and 1 + Deep(n - 1) or 0
end";

const CALLS: &[&str] = &[
    "return Once(2000)",
    "return Waits(2000)",
    "return (Fails(2000))",
    "return Texts(20000)",
    "return Deep(5000)",
    "for i = 1, 200 do local x = {} for j = 1, 20 do x[j] = tostring(j) end end",
    "error('no')",
    "local t = setmetatable({}, { __index = function(_, k) return Once(k) end }) return t[5] + t[6]",
    "local co co = coroutine.create(function() return coroutine.status(co) .. Once(3) end) return select(2, coroutine.resume(co))",
];

#[test]
fn a_watched_process_does_the_same_at_the_same_cost() {
    let (mut plain, mut watched) = (booted(plain(), LIMITS), booted(watched(), LIMITS));
    for code in [SCRIPT].iter().chain(CALLS) {
        let (one, other) = (eval(&mut plain, code), eval(&mut watched, code));
        assert_eq!(one, other, "{code}");
        assert_eq!(plain.take_profile(), None);
        let profile = watched.take_profile().expect("a profile of every evaluation");
        assert_eq!(profile.stacks.values().sum::<u64>(), one.gas, "{code}");
    }
    assert!(plain.memory().unwrap() == watched.memory().unwrap());
}

#[test]
fn functions_are_found_under_those_that_call_them() {
    let mut machine = booted(watched(), LIMITS);
    eval(&mut machine, SCRIPT);
    let mut calls = |code: &str, inner: &str| {
        eval(&mut machine, code);
        callers(&machine.take_profile().unwrap(), inner).join(" > ")
    };
    assert_eq!(calls("return (Once(2000))", "@a.lua:1"), "@a.lua:0 > @a.lua:6 > @a.lua:1");
    // Whose call is its last deed is not there any more.
    assert_eq!(calls("return Once(2000)", "@a.lua:1"), "@a.lua:6 > @a.lua:1");
    // Through a coroutine, whose maker has no name of its own.
    assert_eq!(calls("return (Waits(2000))", "@a.lua:1"), "@a.lua:0 > @a.lua:9 > ? > @a.lua:10 > @a.lua:1");
    assert_eq!(
        calls("return (Fails(2000))", "@a.lua:1"),
        "@a.lua:0 > @a.lua:15 > pcall > @a.lua:16 > @a.lua:1"
    );
    assert_eq!(calls("return (Texts(20000))", "string.reverse"), "@a.lua:0 > @a.lua:18 > string.reverse");
}

#[test]
fn what_a_function_is_said_to_cost_is_what_it_costs() {
    let mut machine = booted(watched(), LIMITS);
    eval(&mut machine, SCRIPT);
    // What the outcome says without a profile: the same call with more turns of one loop.
    let mut cost = |code: &str| {
        let outcome = eval(&mut machine, code);
        (outcome.gas, machine.take_profile().unwrap())
    };
    for (few, many, name) in [
        ("return Once(10)", "return Once(5010)", "@a.lua:1"),
        ("return (Waits(10))", "return (Waits(5010))", "@a.lua:1"),
        ("return (Fails(10))", "return (Fails(5010))", "@a.lua:1"),
    ] {
        let ((less, before), (more, after)) = (cost(few), cost(many));
        let (whole, own) = (more - less, own(&after, name) - own(&before, name));
        // The texts differ by two digits, and whatever is collected meanwhile.
        assert!(own.abs_diff(whole) * 100 < whole, "{name}: {own} of {whole}");
    }
}

#[test]
fn an_evaluation_without_an_end_is_told_apart_up_to_its_limit() {
    let mut machine = booted(watched(), Limits { compute: 2_000_000_000, ..LIMITS });
    let outcome = eval(&mut machine, "local function forever() while true do end end forever()");
    assert!(outcome.error.is_some());
    let profile = machine.take_profile().unwrap();
    assert_eq!(profile.stacks.values().sum::<u64>(), outcome.gas);
    assert!(own(&profile, "@a.lua:1") > outcome.gas / 2, "{profile:#?}");
}

/// Reads no module.
struct Blind;

impl runtime::Stacks for Blind {
    fn reads(&self, _: &Module) -> bool {
        false
    }

    fn read(&self, _: &[u8], _: &mut Vec<Running>) -> bool {
        unreachable!("it reads nothing")
    }

    fn name(&self, _: &[u8], _: Running) -> Function {
        unreachable!("it reads nothing")
    }
}

#[test]
fn a_module_that_nobody_can_read_runs_as_ever() {
    let (mut one, mut other) =
        (booted(plain(), LIMITS), booted(plain().with_stacks(Arc::new(Blind)).unwrap(), LIMITS));
    let code = "local sum = 0 for i = 1, 1000 do sum = sum + i end return sum";
    assert_eq!(eval(&mut one, code), eval(&mut other, code));
    assert_eq!(other.take_profile(), None);
}

#[test]
fn the_state_is_where_it_is_looked_for() {
    let memory = booted(plain(), LIMITS).memory().unwrap();
    let word = |at: u64| -> Option<u32> {
        let bytes = page(&memory, at)?.get(at as usize % PAGE_BYTES..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    };
    // A main coroutine is what its global state says is one.
    let is_main = |at: u64| {
        let kind = word(at + 4).is_some_and(|word| word & 0xff == 8);
        kind && word(at + 16).and_then(|global| word(u64::from(global) + 124)).map(u64::from) == Some(at)
    };
    // Behind the stack of C, on which there are copies.
    let starts = memory.pages.iter().map(|(index, _)| index * PAGE_BYTES as u64);
    let places = starts
        .filter(|start| *start >= 16 << 20)
        .flat_map(|start| (start..start + PAGE_BYTES as u64).step_by(4));
    let mut found = places.filter(|at| word(*at).is_some_and(|state| is_main(state.into())));
    let first = found.next().expect("a process has a state");
    assert_eq!(STATE, first, "the module was built anew: write this number at `STATE` in src/stacks.rs");
}

fn page(memory: &Memory, at: u64) -> Option<&[u8]> {
    let index = at / PAGE_BYTES as u64;
    memory.pages.iter().find(|(number, _)| *number == index).map(|(_, bytes)| &bytes[..])
}

#[test]
fn no_bytes_make_the_reader_fail() {
    use runtime::Stacks as _;
    let memory = booted(plain(), LIMITS).memory().unwrap();
    let mut bytes = vec![0; memory.size_bytes as usize];
    for (index, page) in &memory.pages {
        bytes[*index as usize * PAGE_BYTES..][..PAGE_BYTES].copy_from_slice(page);
    }
    let mut stack = Vec::new();
    assert!(Stacks.read(&bytes, &mut stack));
    let state = u32::from_le_bytes(*bytes[STATE as usize..].first_chunk().unwrap()) as usize;
    let whole = bytes.clone();
    // Every word of the state and of what it points to, with what points to the end, beyond it, and to itself.
    for at in (state..state + 120).step_by(4) {
        for evil in [0, 1, 4, u32::MAX, u32::MAX - 40, state as u32, memory.size_bytes as u32 - 2] {
            bytes[at..at + 4].copy_from_slice(&evil.to_le_bytes());
            stack.clear();
            Stacks.read(&bytes, &mut stack);
            for function in stack.iter().take(100) {
                Stacks.name(&bytes, *function);
            }
        }
        bytes[at..at + 4].copy_from_slice(&whole[at..at + 4]);
    }
}
