//! Generated programs and messages, evaluated with different settings of whoever runs them: the same outcomes, and byte
//! for byte the same memory, after every message.

use std::sync::{Arc, OnceLock};

use pirn_runtime_lua::{MODULE, TAGS};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use protocol::{Id, Json, Module, Outcome, Tags};
use runtime::{Environment, Input, Limits, Machine as _, Memory, Start};
use runtime_wasm::{Machine, MachineOptions, Options, WasmProgram, WasmRuntime};
use serde_json::json;

/// Small, so that programs reach them.
const LIMITS: Limits = Limits { memory_bytes: 32 << 20, compute: 3_000_000_000 };

fn program(options: Options) -> WasmProgram {
    let id = Id([7; 32]);
    let module = Module { id: id.into(), owner: id.into(), tags: Tags::from_iter(TAGS), data: MODULE.into() };
    WasmRuntime::new(options).unwrap().program(&module).unwrap()
}

/// The module as operators of different habits run it.
struct Settings {
    /// As it comes.
    usual: WasmProgram,
    /// Commits after every message and keeps nothing in memory.
    anxious: WasmProgram,
    /// Commits hardly ever, keeps all it can, and found the module compiled on its disk.
    lavish: WasmProgram,
}

fn settings() -> &'static Settings {
    static SETTINGS: OnceLock<Settings> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let of = |machine| Options { cache: Some(folder.path().to_owned()), machine, ..Options::default() };
        let anxious = MachineOptions {
            messages_per_commit: 1,
            pages_per_message: usize::MAX,
            bytes_per_commit: 1,
            gas_per_commit: 1,
            overlay_bytes_max: 0,
            compared_bytes_min: 0,
        };
        let lavish = MachineOptions {
            messages_per_commit: 1 << 20,
            pages_per_message: 1,
            bytes_per_commit: 1 << 30,
            gas_per_commit: u64::MAX,
            overlay_bytes_max: 1 << 30,
            compared_bytes_min: 0,
        };
        Settings {
            usual: program(of(MachineOptions::default())),
            anxious: program(of(anxious)),
            lavish: program(of(lavish)),
        }
    })
}

fn start(program: &WasmProgram, memory: Option<Memory>) -> Machine {
    let environment =
        json!({ "Process": { "Id": "P", "Owner": "O", "Tags": [] }, "Module": { "Id": "M", "Tags": [] } });
    let environment = Arc::new(Environment::from_json(environment.to_string()));
    program.machine(Start { environment, limits: LIMITS, memory, drive: None }).unwrap()
}

/// Something that a program does. Names are few, so that programs meet what others left.
fn statement() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["A", "B", "C"]);
    let number = prop_oneof![
        (-3i64..300).prop_map(|n| n.to_string()),
        prop::sample::select(vec!["0.1", "1e300", "-0.0", "math.huge", "math.mininteger", "1 / 3", "2^53"])
            .prop_map(str::to_owned),
    ];
    let text = "[a-zA-Z0-9 äß%.*-]{0,12}".prop_map(|text| format!("[==[{text}]==]"));
    let value = prop_oneof![
        number.clone(),
        text.clone(),
        Just("{}".to_owned()),
        Just("function(x) return x end".to_owned()),
        Just("tostring({})".to_owned()),
        Just("coroutine.wrap(function(x) while true do x = coroutine.yield(x) end end)".to_owned()),
        Just("math.random()".to_owned()),
        Just("os.time() .. os.clock()".to_owned()),
        Just("setmetatable({}, { __gc = function() G = (G or 0) + 1 end, __mode = 'k' })".to_owned()),
    ];
    let table = |name: &str| format!("if type({name}) ~= 'table' then {name} = {{}} end");
    prop_oneof![
        4 => (name.clone(), value.clone()).prop_map(|(name, value)| format!("{name} = {value}")),
        4 => (name.clone(), text.clone(), value.clone())
            .prop_map(move |(name, key, value)| format!("{} {name}[{key}] = {value}", table(name))),
        3 => (name.clone(), 1..400u32).prop_map(move |(name, n)| {
            format!("{} for i = 1, {n} do {name}[i] = {{ i, 'k' .. i % 7 }} end", table(name))
        }),
        3 => (name.clone(), name.clone()).prop_map(move |(one, two)| {
            format!("{} local n = 0 for k, v in pairs({one}) do n = n + 1 end {two} = n", table(one))
        }),
        2 => (name.clone(), number.clone()).prop_map(|(name, n)| format!("{name} = ({name} or 1) + {n}")),
        2 => (text.clone(), 0..3000u32).prop_map(|(text, n)| format!("S = #({text}):rep({n}, ',')")),
        2 => (text.clone(), text.clone()).prop_map(|(text, pattern)| {
            format!("S = pcall(string.gsub, {text}, {pattern}, '<%0>')")
        }),
        2 => value.prop_map(|value| format!("print({value})")),
        1 => Just("collectgarbage()".to_owned()),
        1 => Just("C = collectgarbage('count')".to_owned()),
        1 => Just("table.sort({ 5, 3, 9, 1 }, function(a, b) return math.random() < 0.5 end)".to_owned()),
        1 => name.clone().prop_map(|name| format!("B = require('json').encode({{ x = {name} }})")),
        1 => name.clone().prop_map(|name| format!("A = pcall(function() return {name} .. {name} end)")),
        1 => Just("error({ code = 7 })".to_owned()),
        1 => text.prop_map(|text| format!("error({text})")),
        1 => Just("while true do end".to_owned()),
        1 => Just("local t = {} while true do t = { t, ('x'):rep(1000) .. #t } end".to_owned()),
        1 => Just("local function f() return 1 + f() end f()".to_owned()),
        1 => Just("Send({ Target = 'T', Data = tostring(A) })".to_owned()),
        1 => Just("Handlers.add('h', 'Note', function(m) N = (N or '') .. m.Data m.reply({ Data = N }) end)".to_owned()),
    ]
}

/// A message: to be evaluated, or for the handlers.
fn message() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        5 => prop::collection::vec(statement(), 1..6).prop_map(|code| ("Eval", format!("{} return A", code.join("; ")))),
        1 => "[a-z]{0,9}".prop_map(|data| ("Note", data)),
    ]
}

fn written(at: usize, action: &str, data: &str) -> String {
    json!({
        "Id": format!("M{at}"), "From": "O", "Owner": "O", "Target": "P", "Module": "M",
        "Tags": [{ "name": "Action", "value": action }], "Data": data,
        "Timestamp": 1_718_000_000_000_u64 + 1000 * at as u64, "Block-Height": 7 + at, "Cron": false,
    })
    .to_string()
}

/// Every outcome, and the memory after it.
type Course = Vec<(Outcome, Memory)>;

/// One machine, warm all along.
fn warm(program: &WasmProgram, messages: &[String]) -> Course {
    let mut machine = start(program, None);
    let step = |message: &String| (machine.handle_json(message).unwrap(), machine.memory().unwrap());
    messages.iter().map(step).collect()
}

/// One machine that nobody looks into before the end. Only the last memory is there to be compared.
fn blind(program: &WasmProgram, messages: &[String]) -> (Vec<Outcome>, Memory) {
    let mut machine = start(program, None);
    let outcomes = messages.iter().map(|message| machine.handle_json(message).unwrap()).collect();
    (outcomes, machine.memory().unwrap())
}

/// A new machine for every message, each from the memory that the one before left, now of one operator, now of another.
fn restored(programs: &[&WasmProgram], messages: &[String]) -> Course {
    let mut memory = None;
    let step = |(at, message): (usize, &String)| {
        let mut machine = start(programs[at % programs.len()], memory.take());
        let outcome = machine.handle_json(message).unwrap();
        let left = machine.memory().unwrap();
        // As it comes from a disk: without what it shares with the machine.
        memory = Some(Memory::from_dense(&left.to_dense()));
        (outcome, left)
    };
    messages.iter().enumerate().map(step).collect()
}

/// A machine that is forked before every message; the forks do something else.
fn forked(program: &WasmProgram, messages: &[String]) -> Course {
    let mut machine = start(program, None);
    let step = |message: &String| {
        let mut fork = machine.fork().unwrap();
        let other = Input {
            owner: Some("O".to_owned()),
            from: Some("O".to_owned()),
            target: Some("P".to_owned()),
            tags: Tags::from_iter([("Action", "Eval")]),
            data: Some(Json::string("A = 'forked' for i = 1, 1000 do _G['F' .. i] = i end")),
            timestamp: Some(1),
            ..Input::default()
        };
        fork.handle(&other).unwrap();
        (machine.handle_json(message).unwrap(), machine.memory().unwrap())
    };
    messages.iter().map(step).collect()
}

proptest! {
    #![proptest_config(Config {
        cases: 12,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    })]

    #[test]
    fn no_setting_changes_an_outcome_or_a_byte(given in prop::collection::vec(message(), 1..7)) {
        let Settings { usual, anxious, lavish } = settings();
        let boot = written(0, "Boot", "");
        let later = given.iter().enumerate().map(|(at, (action, data))| written(at + 1, action, data));
        let messages: Vec<String> = std::iter::once(boot).chain(later).collect();
        let expected = warm(usual, &messages);
        // At the same time, on threads of their own.
        let (anxiously, lavishly, again) = std::thread::scope(|scope| {
            let anxiously = scope.spawn(|| warm(anxious, &messages));
            let lavishly = scope.spawn(|| blind(lavish, &messages));
            let again = restored(&[usual, anxious, lavish], &messages);
            (anxiously.join().unwrap(), lavishly.join().unwrap(), again)
        });
        let forked = forked(lavish, &messages);
        for (at, expected) in expected.iter().enumerate() {
            for (how, got) in [("anxious", &anxiously), ("restored", &again), ("forked", &forked)] {
                prop_assert_eq!(&got[at].0, &expected.0, "the outcome of message {}, {}", at, how);
                prop_assert!(got[at].1 == expected.1, "the memory after message {}, {}", at, how);
            }
            prop_assert_eq!(&lavishly.0[at], &expected.0, "the outcome of message {}, lavish", at);
        }
        prop_assert!(Some(&lavishly.1) == expected.last().map(|(_, memory)| memory), "the memory, lavish");
        // From each checkpoint to the end.
        for from in 0..messages.len() {
            let mut machine = start(anxious, Some(expected[from].1.clone()));
            for (at, message) in messages.iter().enumerate().skip(from + 1) {
                prop_assert_eq!(&machine.handle_json(message).unwrap(), &expected[at].0, "{} from {}", at, from);
            }
            prop_assert!(machine.memory().unwrap() == expected.last().unwrap().1, "the memory from {}", from);
        }
    }
}
