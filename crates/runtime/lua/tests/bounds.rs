//! Whatever a program does, it ends within its gas and its memory, and the process goes on.

use std::sync::{Arc, OnceLock};

use pirn_runtime_lua::{MODULE, TAGS};
use protocol::{Id, Module, Tags};
use runtime::{Environment, Limits, Machine as _, Start};
use runtime_wasm::{Machine, Options, WasmProgram, WasmRuntime};
use serde_json::{Value, json};

/// A fifth of what other tests have: what is endless ends sooner.
const LIMITS: Limits = Limits { memory_bytes: 24 << 20, compute: 40_000_000_000 };

/// How an evaluation ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// With an error that says this.
    Error(&'static str),
    /// With an error.
    AnyError,
    /// With this answer.
    Answer(&'static str),
    /// Either way.
    Any,
}

fn machine() -> Machine {
    static PROGRAM: OnceLock<WasmProgram> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let id = Id([7; 32]);
        let module =
            Module { id: id.into(), owner: id.into(), tags: Tags::from_iter(TAGS), data: MODULE.into() };
        WasmRuntime::new(Options::default()).unwrap().program(&module).unwrap()
    });
    let environment =
        json!({ "Process": { "Id": "P", "Owner": "O", "Tags": [] }, "Module": { "Id": "M", "Tags": [] } });
    let environment = Arc::new(Environment::from_json(environment.to_string()));
    program.machine(Start { environment, limits: LIMITS, memory: None, drive: None }).unwrap()
}

fn message(action: &str, data: &str) -> String {
    json!({
        "Id": "E", "From": "O", "Owner": "O", "Target": "P", "Module": "M",
        "Tags": [{ "name": "Action", "value": action }], "Data": data,
        "Timestamp": 1_718_000_000_123_u64, "Block-Height": 7, "Cron": false,
    })
    .to_string()
}

/// What came of a message: an answer, or an error.
fn ask(machine: &mut Machine, action: &str, data: &str) -> Result<String, String> {
    let outcome = machine.handle_json(&message(action, data)).expect("a guest's failure is no refusal");
    assert!(outcome.gas <= LIMITS.compute, "{data}: {} of gas", outcome.gas);
    if let Some(error) = outcome.error {
        return Err(error.get().to_owned());
    }
    let output: Value = serde_json::from_str(outcome.output.get()).unwrap();
    Ok(output["data"].as_str().unwrap_or_default().to_owned())
}

/// Each program is evaluated by itself and in a handler, and the process remembers and answers afterwards.
#[track_caller]
fn check(cases: &[(&str, End)]) {
    let mut machine = machine();
    ask(&mut machine, "Boot", "").unwrap();
    ask(&mut machine, "Eval", "Kept = { 41 + 1 } return 1").unwrap();
    let mut failures = Vec::new();
    for (code, end) in cases {
        let mut ended = vec![ask(&mut machine, "Eval", code)];
        let handler = format!("Handlers.add('bomb', 'Bomb', function(msg) {code} end) return 1");
        if ask(&mut machine, "Eval", &handler).is_ok() {
            // A handler that fails says so in another way: only that it ends matters.
            let _ = ask(&mut machine, "Bomb", "");
            let removed = ask(&mut machine, "Eval", "Handlers.remove('bomb') return 1");
            if removed.as_deref() != Ok("1") {
                ended.push(removed);
            }
        }
        let as_expected = match (&ended[0], end) {
            (Err(said), End::Error(expected)) => said.contains(expected),
            (Err(_), End::AnyError) => true,
            (Ok(said), End::Answer(expected)) => said == expected,
            (_, End::Any) => true,
            _ => false,
        };
        if !as_expected || ended.len() > 1 {
            failures.push(format!("{code}\n  {end:?}, but: {ended:?}"));
        }
        let kept = ask(&mut machine, "Eval", "return Kept[1]");
        if kept.as_deref() != Ok("42") {
            failures.push(format!("{code}\n  and then the process is lost: {kept:?}"));
        }
        let bytes = machine.memory().unwrap().to_dense().len() as u64;
        assert!(bytes <= LIMITS.memory_bytes, "{code}: {bytes} bytes of memory");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

use End::{Answer, Any, AnyError, Error};

#[test]
fn endless_loops_end_with_their_gas() {
    check(&[
        ("while true do end", Error("out of gas")),
        ("repeat until false", Error("out of gas")),
        ("::again:: goto again", Error("out of gas")),
        ("for i = 1, math.huge do end", Error("out of gas")),
        ("for i = 1, math.maxinteger do end", Error("out of gas")),
        ("local function f() return f() end return f()", Error("out of gas")),
        // Nothing catches that it is over.
        ("while true do pcall(function() while true do end end) end", Error("out of gas")),
        ("pcall(function() while true do end end) return 'caught'", Error("out of gas")),
        (
            "return xpcall(function() while true do end end, function() return 'caught' end)",
            Error("out of gas"),
        ),
        ("return xpcall(error, function() while true do end end)", Error("out of gas")),
        ("local c = coroutine.wrap(function() while true do end end) return c()", Error("out of gas")),
        (
            "local c = coroutine.wrap(function() while true do coroutine.yield(1) end end) while true do c() end",
            Error("out of gas"),
        ),
        ("while true do coroutine.wrap(function() coroutine.yield() end)() end", Error("out of gas")),
        (
            "return setmetatable({}, { __gc = function() while true do end end }) and collectgarbage()",
            AnyError,
        ),
    ]);
}

#[test]
fn metamethods_that_do_not_end_end() {
    check(&[
        (
            "return setmetatable({}, { __index = function(t, k) while true do end end }).x",
            Error("out of gas"),
        ),
        ("return #setmetatable({}, { __len = function() while true do end end })", Error("out of gas")),
        (
            "local t = setmetatable({}, { __index = function(t, k) return t[k] end }) return t.x",
            Error("stack overflow"),
        ),
        ("local t = {} setmetatable(t, t) t.__index = t return t.x", Error("loop")),
        (
            "local t = setmetatable({}, { __newindex = function(t, k, v) t[k] = v end }) t.x = 1",
            Error("stack overflow"),
        ),
        ("local t = setmetatable({}, {}) getmetatable(t).__call = t return t()", AnyError),
        (
            "return tostring(setmetatable({}, { __tostring = function(t) return tostring(t) end }))",
            Error("stack overflow"),
        ),
        (
            "local t = setmetatable({}, { __concat = function(a, b) return a .. b end }) return t .. t",
            Error("stack overflow"),
        ),
        (
            "local m = {} m.__eq = function(a, b) return a == b end return setmetatable({}, m) == setmetatable({}, m)",
            Error("stack overflow"),
        ),
        (
            "local m = {} m.__lt = function(a, b) while true do end end return setmetatable({}, m) < setmetatable({}, m)",
            Error("out of gas"),
        ),
        (
            "for k in pairs(setmetatable({}, { __pairs = function() return function() return 1 end end })) do end",
            Error("out of gas"),
        ),
    ]);
}

#[test]
fn recursion_has_a_depth() {
    check(&[
        ("local function f() return 1 + f() end return f()", AnyError),
        ("local function f(...) return select('#', ...) + f(1, ...) end return f()", AnyError),
        ("local function f() return pcall(f) end return f()", Any),
        ("local function f() return 1, xpcall(f, f) end return f()", Any),
        (
            "local function f(e) error(e) end return xpcall(error, f, 1)",
            Answer("false\terror in error handling"),
        ),
        ("local function f() local ok, e = pcall(f) error(e) end f()", AnyError),
        ("local function f(s) return (s:gsub('.', f)) end return f('x')", Error("C stack overflow")),
        ("local function f() table.sort({ 1, 2, 3 }, f) end f()", Error("C stack overflow")),
        ("local function c() return coroutine.wrap(c)() end return c()", Error("C stack overflow")),
        ("local function l() return load(l)() end return l()", AnyError),
        ("local t = {} for i = 1, 1000000 do t = { t } end return require('json').encode(t)", AnyError),
    ]);
}

#[test]
fn strings_have_a_size() {
    check(&[
        ("return ('x'):rep(1 << 40)", Error("resulting string too large")),
        ("return ('x'):rep(1 << 62, 'y')", Error("resulting string too large")),
        ("return #('x'):rep(1 << 30)", Error("not enough memory")),
        ("return #(('x'):rep(1 << 20)):rep(1 << 20)", AnyError),
        ("return #('x'):rep(-1)", Answer("0")),
        ("local s = 'x' while true do s = s .. s end", Error("not enough memory")),
        ("local s = 'x' while true do s = s .. 'y' end", AnyError),
        (
            "local t = {} for i = 1, 1000000 do t[i] = 'xxxxxxxxxxxxxxxx' end while true do t[1] = table.concat(t) end",
            AnyError,
        ),
        ("return #table.concat({}, 'x', 1, 1 << 40)", AnyError),
        ("return #table.concat({}, ('x'):rep(1 << 20), -(1 << 62), 1 << 62)", AnyError),
        ("return string.format('%99999999d', 1)", AnyError),
        ("return #string.format('%99.99f', 1e300)", Answer("401")),
        (
            "return #string.format(('%s'):rep(200), table.unpack(setmetatable({}, { __index = function() return ('x'):rep(1 << 20) end }), 1, 200))",
            AnyError,
        ),
        ("return string.format(('%d'):rep(1 << 20))", AnyError),
        ("return #string.pack('!16' .. ('i16'):rep(1 << 10), 1)", AnyError),
        ("return string.pack('s' .. (1 << 40), 'x')", AnyError),
        ("return #string.char(table.unpack({}, 1, 1 << 30))", AnyError),
        (
            "return #utf8.char(table.unpack(setmetatable({}, { __index = function() return 65 end }), 1, 1 << 22))",
            AnyError,
        ),
        ("return #('x'):rep(1 << 16):gsub('x', ('y'):rep(1 << 16))", Error("not enough memory")),
        ("return #('x'):rep(1 << 20):gsub('', ('y'):rep(1 << 20))", Error("not enough memory")),
        ("return tostring(tonumber(('1'):rep(1 << 20)))", Answer("inf")),
        ("print(('x'):rep(1 << 26))", AnyError),
    ]);
}

#[test]
fn tables_have_a_size() {
    check(&[
        ("local t = {} for i = 1, 1 << 40 do t[i] = i end", AnyError),
        ("local t = {} while true do t = { t } end", Error("not enough memory")),
        ("local t = {} while true do t[{}] = {} end", Error("not enough memory")),
        ("local t = {} while true do t[#t + 1] = coroutine.create(print) end", Error("not enough memory")),
        ("local t = {} while true do t[#t + 1] = function() return t end end", Error("not enough memory")),
        ("return table.unpack({}, 1, 1 << 40)", Error("too many results")),
        ("return select('#', table.unpack({}, 1, 1 << 23))", Error("too many results")),
        ("return #table.pack(table.unpack({}, 1, 900000))", AnyError),
        ("return table.move({ 1 }, 1, 1 << 62, 2)", AnyError),
        (
            "local t = setmetatable({}, { __len = function() return math.maxinteger end }) table.insert(t, 1)",
            Any,
        ),
        (
            "local t = setmetatable({}, { __len = function() return 1 << 40 end }) table.remove(t, 1)",
            Error("out of gas"),
        ),
        (
            "local t = setmetatable({}, { __len = function() return 1 << 60 end }) table.sort(t)",
            Error("array too big"),
        ),
        ("Kept[2] = {} for i = 1, 1 << 40 do Kept[2][i] = { i } end", Error("not enough memory")),
        ("for i = 1, 1 << 40 do Handlers.add('h' .. i, 'x', function() end) end", AnyError),
        ("for i = 1, 1 << 40 do Send({ Target = 'T', Data = ('x'):rep(1000) .. i }) end", AnyError),
    ]);
}

#[test]
fn sorting_with_an_order_that_is_none_ends() {
    check(&[
        (
            "local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function() return true end) return 1",
            Error("invalid order function"),
        ),
        (
            "local t = {} for i = 1, 1000 do t[i] = i % 7 end local n = 0 table.sort(t, function(a, b) n = n + 1 return n % 2 == 0 end) return 'ended'",
            AnyError,
        ),
        (
            "local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function(a, b) while true do end end)",
            Error("out of gas"),
        ),
        (
            "local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function(a, b) t[a] = nil return a < b end) return 1",
            AnyError,
        ),
        ("table.sort({ 3, 2, 1 }, function() error('no order') end)", Error("no order")),
        (
            "local c = coroutine.wrap(function() table.sort({ 3, 2, 1 }, function() coroutine.yield() end) end) return c()",
            Error("attempt to yield across a C-call boundary"),
        ),
    ]);
}

#[test]
fn patterns_that_go_back_for_ever_end() {
    check(&[
        ("return ('a'):rep(60):find(('a*'):rep(30) .. 'b')", Error("out of gas")),
        ("return ('a'):rep(60):match(('a-'):rep(30) .. 'b')", Error("out of gas")),
        ("return ('a'):rep(60):gsub(('a?'):rep(60) .. 'b', '')", AnyError),
        ("return ('a'):rep(300000):find(('a?'):rep(300000) .. 'b')", Error("pattern too complex")),
        ("return ('('):rep(1 << 20):find(('%b()'):rep(1 << 10))", AnyError),
        ("return ('x'):find(('('):rep(1000))", Error("too many captures")),
        ("for _ in ('a'):rep(1 << 20):gmatch('.-.-.-.-b') do end return 1", Error("out of gas")),
    ]);
}

#[test]
fn code_that_is_too_much_is_not_compiled() {
    check(&[
        ("return load('return ' .. ('{'):rep(100000))()", AnyError),
        ("return load('return ' .. ('('):rep(100000) .. '1' .. (')'):rep(100000))()", AnyError),
        ("return load('return ' .. ('- '):rep(100000) .. '1')()", AnyError),
        ("return load(('do '):rep(100000))()", AnyError),
        ("return load('local ' .. ('a,'):rep(300) .. 'a')()", AnyError),
        ("return load('return ' .. ('a..'):rep(100000) .. 'a')()", AnyError),
        ("return load('x = ' .. ('\"y\" .. '):rep(1000) .. '1')() or 'ok'", AnyError),
        ("return load(function() return 'x = 1 ' end)", AnyError),
        ("return load(function() while true do end end)", Error("out of gas")),
        ("return load(string.dump(function() end):rep(100))", Any),
        ("return load('\\27Lua' .. ('\\255'):rep(1000), 'x', 'b')()", AnyError),
        (
            "local s = 'return 1' for i = 1, 100 do s = 'return load([' .. ('='):rep(i) .. '[' .. s .. ']' .. ('='):rep(i) .. '])()' end return load(s)()",
            Answer("1"),
        ),
        ("return require('json').decode(('['):rep(1 << 20))", AnyError),
        ("return require('json').decode('\"' .. ('x'):rep(1 << 20))", AnyError),
    ]);
}
