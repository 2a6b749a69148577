//! A process of the Lua module: what it answers, what it remembers, how it ends.

use std::sync::Arc;

use pirn_runtime_lua::{FORMAT, MODULE, TAGS};
use protocol::{Id, Module, Outcome, Tags};
use runtime::{Environment, Limits, Machine as _, Memory, Start};
use runtime_wasm::{Machine, Options, WasmProgram, WasmRuntime};
use serde_json::{Value, json};

const LIMITS: Limits = Limits { memory_bytes: 128 << 20, compute: 200_000_000_000 };

fn program() -> WasmProgram {
    let id = Id([7; 32]);
    let module = Module { id: id.into(), owner: id.into(), tags: Tags::from_iter(TAGS), data: MODULE.into() };
    WasmRuntime::new(Options::default()).unwrap().program(&module).unwrap()
}

fn machine(program: &WasmProgram, memory: Option<Memory>) -> Machine {
    let environment =
        json!({ "Process": { "Id": "P", "Owner": "O", "Tags": [] }, "Module": { "Id": "M", "Tags": [] } });
    let environment = Arc::new(Environment::from_json(environment.to_string()));
    program.machine(Start { environment, limits: LIMITS, memory, drive: None }).unwrap()
}

fn message(id: &str, from: &str, tags: &[(&str, &str)], data: &str) -> String {
    let tags: Vec<Value> = tags.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    json!({
        "Id": id, "From": from, "Owner": from, "Target": "P", "Module": "M", "Tags": tags, "Data": data,
        "Timestamp": 1_718_000_000_123_u64, "Block-Height": 7, "Cron": false,
    })
    .to_string()
}

fn eval(machine: &mut Machine, code: &str) -> Outcome {
    machine.handle_json(&message("E", "O", &[("Action", "Eval")], code)).unwrap()
}

fn booted(program: &WasmProgram) -> Machine {
    let mut machine = machine(program, None);
    let outcome = machine.handle_json(&message("P", "O", &[("Type", "Process")], "")).unwrap();
    assert_eq!(outcome.error, None);
    machine
}

/// What an Eval says, or the last line of its error.
fn said(outcome: &Outcome) -> String {
    if let Some(error) = &outcome.error {
        let error: Value = serde_json::from_str(error.get()).unwrap();
        let error = error.as_str().map_or(error.to_string(), str::to_owned);
        return error.lines().last().unwrap_or_default().replace("\u{1b}[0m", "");
    }
    let output: Value = serde_json::from_str(outcome.output.get()).unwrap();
    output["data"].as_str().unwrap().to_owned()
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    let mut machine = booted(&program());
    for (code, expected) in cases {
        assert_eq!(said(&eval(&mut machine, code)), *expected, "{code}");
    }
}

#[test]
fn it_is_lua() {
    check(&[
        ("return 1 + 1", "2"),
        (
            "return 7 // 2 .. ' ' .. 10 / 2 .. ' ' .. 2^53 .. ' ' .. math.maxinteger + 1",
            "3 5.0 9.007199254741e+15 -9223372036854775808",
        ),
        ("local ok, why = pcall(error, { code = 5 }) return tostring(ok) .. why.code", "false5"),
        ("return select(2, xpcall(function() error('x', 0) end, function(e) return e .. '!' end))", "x!"),
        (
            "local c = coroutine.wrap(function() local ok, e = pcall(function() coroutine.yield(1) error({ 7 }) end) coroutine.yield(e[1]) end) return c() .. ' ' .. c()",
            "1 7",
        ),
        ("local n = 0 ::again:: n = n + 1 if n < 5 then goto again end return n", "5"),
        (
            "local t = setmetatable({}, { __index = function(_, k) return k .. k end, __call = function(_, a) return a end }) return t.ab .. t(1)",
            "abab1",
        ),
        ("return utf8.char(228, 8364) .. utf8.len('ä€')", "ä€2"),
        ("return (string.unpack('>I4', string.pack('>I4', 77)))", "77"),
        ("return bit32.band(7, 2) .. ('x'):rep(3, ',') .. ('hello'):gsub('l+', '%0%0')", "2x,x,xhellllo"),
        ("return tostring((load('return 4 +')))", "nil"),
        ("return string.format('%5.2f %q %x', 3.14159, 'a\\n', 255)", " 3.14 \"a\\\n\" ff"),
    ]);
}

#[test]
fn nothing_of_a_computer_comes_in() {
    check(&[
        (
            "return tostring(io) .. tostring(dofile) .. tostring(loadfile) .. tostring(os.execute) .. tostring(os.exit)",
            "nilnilnilnilnil",
        ),
        ("return tostring(os.getenv('HOME')) .. os.clock()", "nil0.0"),
        ("return os.time()", "1718000000123"),
        ("return os.date('%Y-%m-%d %H:%M', 1718000000)", "2024-06-10 06:13"),
        (
            "return tostring(package.path == '') .. #package.searchers .. tostring(pcall(require, 'socket'))",
            "true2false",
        ),
    ]);
}

#[test]
fn json_is_what_it_was() {
    let round = "local j = require('json') return j.encode(j.decode('%'))";
    let cases = [
        (
            r#"{"b":1,"a":[1,2.5,-0.0,1e300],"c":{},"d":[true,false]}"#,
            r#"{"a":[1,2.5,-0.0,1e+300],"b":1,"c":[],"d":[true,false]}"#,
        ),
        (r#""\\u00e4\\ud83d\\ude00\\n\\ud800""#, r#""ä😀\n�""#),
        ("[9223372036854775807,9223372036854775808,0.1]", "[9223372036854775807,9.223372036854776e+18,0.1]"),
        (" [ ] ", "[]"),
        ("[1,", "[string \"aos\"]:1: json: a value is missing at line 1 column 4"),
        ("{\"a\" 1}", "[string \"aos\"]:1: json: expected ':' after a key at line 1 column 6"),
        ("\"a", "[string \"aos\"]:1: json: a string that does not end at line 1 column 1"),
        ("01", "[string \"aos\"]:1: json: something after the value at line 1 column 2"),
    ];
    let mut machine = booted(&program());
    for (text, expected) in cases {
        assert_eq!(said(&eval(&mut machine, &round.replace('%', text))), expected, "{text}");
    }
    check(&[
        (
            "return require('json').encode({ 1, nil, 3 })",
            "[string \"aos\"]:1: json: invalid table: sparse array",
        ),
        (
            "return require('json').encode({ 1, a = 2 })",
            "[string \"aos\"]:1: json: invalid table: mixed or invalid key types",
        ),
        ("return require('json').encode(0/0)", "[string \"aos\"]:1: json: nan is no JSON number"),
        (
            "local t = {} t.t = t return (select(2, pcall(require('json').encode, t)))",
            "json: more than 128 tables in one another (hint: is there a circular reference?)",
        ),
        (
            "return (select(2, pcall(require('json').decode, ('['):rep(100000))))",
            "json: more arrays and objects in one another than allowed (128) at line 1 column 130",
        ),
    ]);
}

#[test]
fn bombs_end_by_errors_and_the_process_lives_on() {
    let program = program();
    let mut machine = booted(&program);
    let cases = [
        ("local function f() return f() + 1 end return f()", "stack overflow"),
        (
            "local function f(n) return (('x'):gsub('x', function() return f(n + 1) end)) end return f(1)",
            "C stack overflow",
        ),
        ("return ('x'):rep(1 << 40)", "resulting string too large"),
        ("return ('x'):rep(1 << 30)", "not enough memory"),
        ("local t = {} for i = 1, 1 << 30 do t[i] = { i } end", "not enough memory"),
        ("return ('a'):rep(300000):find(('a?'):rep(300000) .. 'b')", "pattern too complex"),
        ("return ('a'):rep(60):find(('a*'):rep(30) .. 'b')", "out of gas"),
        ("while true do end", "out of gas"),
        ("return load('return ' .. ('{'):rep(100000))()", "nil value"),
        (
            "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k + 1] end return t[1]",
            "C stack overflow",
        ),
        ("local function c() return coroutine.wrap(c)() end return c()", "C stack overflow"),
    ];
    for (code, expected) in cases {
        let outcome = eval(&mut machine, code);
        assert!(
            outcome.error.as_ref().is_some_and(|error| error.get().contains(expected)),
            "{code}: {outcome:?}"
        );
        assert_eq!(said(&eval(&mut machine, "return 1")), "1", "after {code}");
    }
}

#[test]
fn a_message_too_large_for_the_stack_is_an_error() {
    let mut machine = booted(&program());
    let sum = |size: usize| format!("return #[[{}]]", "x".repeat(size));
    assert_eq!(said(&eval(&mut machine, &sum(10_000_000))), "10000000");
    assert!(eval(&mut machine, &sum(15_800_000)).error.unwrap().get().contains("too large for this module"));
    assert!(eval(&mut machine, &sum(20_000_000)).error.is_some());
    assert_eq!(said(&eval(&mut machine, "return 1")), "1");
}

#[test]
fn memory_is_the_same_however_a_process_came_to_it() {
    let steps = [
        "T = {} for i = 1, 2000 do T['k' .. i] = { i, tostring({}) } end",
        "local s = 0 for k, v in pairs(T) do s = s * 31 % 1000003 + v[1] end return s",
        "error('no')",
        "Handlers.add('h', 'Hi', function(m) m.reply({ Data = { a = 1 } }) end)",
        "local c = coroutine.create(function() coroutine.yield() end) coroutine.resume(c) C = c T = nil",
        "collectgarbage() return collectgarbage('count')",
    ];
    let program = program();
    let mut warm = booted(&program);
    let mut cold = booted(&program);
    for code in steps {
        let here = eval(&mut warm, code);
        // From a checkpoint, and in a fork, each time.
        let checkpoint = cold.memory().unwrap();
        cold = machine(&program, Some(checkpoint));
        let mut fork = cold.fork().unwrap();
        let there = eval(&mut cold, code);
        assert_eq!(here, there, "{code}");
        drop(fork.memory().unwrap());
        assert_eq!(warm.memory().unwrap(), cold.memory().unwrap(), "{code}");
    }
}

#[test]
fn a_finalizer_that_fails_ends_no_process() {
    let mut machine = booted(&program());
    let code = "for i = 1, 1000 do setmetatable({}, { __gc = function() error('late') end }) end return 1";
    for _ in 0..20 {
        let outcome = eval(&mut machine, code);
        assert!(!outcome.error.is_some_and(|error| error.get().contains("trapped")));
    }
    // What finalizers say, programs may hear; but it is Lua's error, not a trap.
    let outcome = eval(&mut machine, "for i = 1, 100 do pcall(collectgarbage) end return 2");
    assert_eq!(said(&outcome), "2");
}

#[test]
fn a_handler_answers_and_a_failing_one_says_where() {
    let mut machine = booted(&program());
    eval(
        &mut machine,
        "Handlers.add('ping', 'Ping', function(m) m.reply({ Action = 'Pong', Data = 'x' }) end)",
    );
    let outcome = machine.handle_json(&message("1", "W", &[("Action", "Ping")], "")).unwrap();
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.messages.len(), 1);
    let sent: Value = serde_json::from_str(outcome.messages[0].get()).unwrap();
    assert_eq!((sent["Target"].as_str(), sent["Data"].as_str()), (Some("W"), Some("x")));
    let spawned = eval(&mut machine, "Spawn('M', {}) Assign({ Processes = { 'A' }, Message = 'B' })");
    assert_eq!((spawned.spawns.len(), spawned.assignments.len()), (1, 1));
}

#[test]
fn the_module_has_the_boot_library_of_this_repository() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../processes/boot");
    let mut n_files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "lua") {
            let source = std::fs::read(&file).unwrap();
            let is_there = MODULE.windows(source.len()).any(|window| window == source);
            assert!(is_there, "{} has changed: run cargo xtask lua --update", file.display());
            n_files += 1;
        }
    }
    assert!(n_files > 10);
    assert_eq!(TAGS.iter().find(|(name, _)| *name == "Module-Format"), Some(&("Module-Format", FORMAT)));
}
