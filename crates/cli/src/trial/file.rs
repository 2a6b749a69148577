//! One file: a Lua of its own, in which its tests run one after the other.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use mlua::{Function, HookTriggers, Lua, Table, Value, Variadic, VmState};
use protocol::ModuleId;
use sandbox::{Modules, Signer};
use unit::Code;

use super::flame::{self, Scene};
use super::host::Shared;
use super::source::{self, Source};
use super::spans;
use super::{FileReport, Plan, Problem, Status, TestReport};
use crate::error::{Context as _, Failure, Result};
use crate::otlp::Span;
use crate::render::Place;

const SHOW: &str = include_str!("show.lua");
const ASSERT: &str = include_str!("assert.lua");
const NETWORK: &str = include_str!("network.lua");
const AOLITE: &str = include_str!("aolite.lua");
const SPIES: &str = include_str!("spies.lua");
const PROPERTY: &str = include_str!("property.lua");
const WORLD: &str = include_str!("world.lua");
const RUNNER: &str = include_str!("runner.lua");

/// Lines that a test prints, at most; the rest is dropped.
const PRINTED_MAX: usize = 1000;

/// Bytes that the Lua of a test takes, at most. Processes are not in it.
const MEMORY_MAX: usize = 1 << 30;

/// Instructions of Lua that a test runs, at most: several seconds. Processes are not in it.
const STEPS_MAX: u64 = 1_000_000_000;

/// So often it is looked at.
const STEPS_AT_ONCE: u32 = 1_000_000;

/// What is being told of a file while it runs.
struct Telling {
    tests: Vec<TestReport>,
    printed: Vec<String>,
    folded: Vec<(String, u64)>,
    spans: Vec<Span>,
    split: Option<usize>,
    begun: Instant,
}

/// What is run of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// One of what it was split into, from 0.
    One(usize),
}

/// What came of running it.
pub enum Ran {
    /// Its tests have run.
    Done(FileReport),
    /// It wants to be run in so many parts, in a Lua of its own each.
    Split(usize),
}

/// Runs the tests of a file, or one of them.
pub fn run(plan: &Plan, path: &Path, part: Part) -> Ran {
    let name = path.strip_prefix(&plan.base).unwrap_or(path).display().to_string();
    let telling = Telling {
        tests: Vec::new(),
        printed: Vec::new(),
        folded: Vec::new(),
        spans: Vec::new(),
        split: None,
        begun: clock(),
    };
    let telling = Arc::new(Mutex::new(telling));
    let shared = Shared::new(plan, path.to_owned());
    // What the file does before its tests.
    shared.lock().set_counts(matches!(part, Part::Whole | Part::One(0)));
    let read = std::fs::read(path);
    let text = read.as_ref().map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
    let ran = read.map_err(|error| error.to_string()).and_then(|text| {
        walk(plan, &shared, &telling, &name, &text, part).map_err(|error| error.to_string())
    });
    let mut telling = telling.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(parts) = telling.split {
        return Ran::Split(parts);
    }
    let mut tests = std::mem::take(&mut telling.tests);
    let folded = std::mem::take(&mut telling.folded);
    let spans = std::mem::take(&mut telling.spans);
    if let Err(message) = ran {
        let message = message.strip_prefix("syntax error: ").unwrap_or(&message).to_owned();
        let place = named(&Source { name: name.clone(), text }, &message);
        let problem = Problem {
            at: Some(name.clone()),
            expected: None,
            got: None,
            frame: place.and_then(|place| place.show(&message)),
            message,
            trace: Vec::new(),
        };
        tests.push(TestReport {
            status: Status::Error,
            problem: Some(problem),
            ..empty(vec![super::report::WHOLE.to_owned()])
        });
    }
    let mut host = shared.lock();
    host.gather();
    let sources = std::mem::take(&mut host.sources);
    let mut coverage = std::mem::take(&mut host.coverage);
    coverage.sources = sources;
    Ran::Done(FileReport { file: name, tests, coverage, folded, spans })
}

/// Publishes a module file.
pub fn publish(modules: &Modules, path: &Path) -> Result<ModuleId> {
    let data = std::fs::read(path).context(Code::FILE, format!("could not read {}", path.display()))?;
    let format = node::module_format(&data).ok_or_else(|| {
        Failure::new(
            Code::FORMAT_UNKNOWN,
            format!("cannot tell the format of {} from its imports", path.display()),
        )
    })?;
    Ok(modules.publish(&Signer::named("pirn"), node::module_draft(format, data.into()))?)
}

fn empty(title: Vec<String>) -> TestReport {
    TestReport {
        title,
        line: None,
        status: Status::Passed,
        ms: 0.0,
        messages: 0,
        ticks: 0,
        gas: 0,
        lost: 0,
        problem: None,
        printed: Vec::new(),
    }
}

#[expect(clippy::disallowed_methods, reason = "people are told how long a test took")]
fn clock() -> Instant {
    Instant::now()
}

fn walk(
    plan: &Plan,
    shared: &Shared,
    telling: &Arc<Mutex<Telling>>,
    name: &str,
    text: &[u8],
    part: Part,
) -> mlua::Result<()> {
    let lua = Lua::new();
    let host = shared.table(&lua)?;
    let chunk = format!("@{name}");
    let own = Source { name: name.to_owned(), text: String::from_utf8_lossy(text).into_owned() };
    add_reporting(&lua, &host, plan, shared, telling, own)?;
    let told = telling.clone();
    let split = move |_: &Lua, parts: usize| {
        told.lock().unwrap_or_else(PoisonError::into_inner).split = Some(parts);
        Ok(())
    };
    host.set("split", lua.create_function(split)?)?;
    let which = match part {
        Part::Whole => None,
        Part::One(at) => Some(at + 1),
    };
    host.set("which", lua.create_function(move |_, ()| Ok(which))?)?;
    let part = |name: &str, text: &'static str| lua.load(text).set_name(format!("={name}")).into_function();
    part("world", WORLD)?.call::<()>(&host)?;
    let show: Function = part("show", SHOW)?.call(&host)?;
    let spies = part("spies", SPIES)?.bind(&show)?;
    let (assert, fail, same, busted, spies): (Value, Function, Function, Table, Table) =
        part("assert", ASSERT)?.call((&host, &show, spies))?;
    let (t, now): (Table, Table) = part("network", NETWORK)?.call((&host, &show, &fail, &same))?;
    let aolite: Table = part("aolite", AOLITE)?.call((&host, &t, &now))?;
    part("property", PROPERTY)?.call::<()>((&host, &show, &t, &fail))?;
    let run: Function = part("runner", RUNNER)?.call((&host, &t, &now, &spies))?;
    let globals = lua.globals();
    globals.set("assert", &assert)?;
    globals.set("t", &t)?;
    let preload: Table = globals.get::<Table>("package")?.get("loaded")?;
    for (name, value) in [("t", t), ("aolite", aolite)] {
        preload.set(name, value)?;
    }
    for pair in busted.pairs::<String, Value>() {
        let (name, value) = pair?;
        if matches!(name.as_str(), "spy" | "stub" | "mock" | "match") {
            globals.set(name.as_str(), &value)?;
            preload.set(format!("luassert.{name}"), value)?;
        } else {
            preload.set(name, value)?;
        }
    }
    let json = lua.create_table()?;
    json.set("encode", host.get::<Function>("encode")?)?;
    json.set("decode", host.get::<Function>("decode")?)?;
    preload.set("json", json)?;
    let folder = |path: &Path| format!("{0}/?.lua;{0}/?/init.lua", path.display());
    let own = plan.base.join(name);
    let paths = [folder(own.parent().unwrap_or(&plan.base)), folder(&plan.base)].join(";");
    globals.get::<Table>("package")?.set("path", paths)?;
    let file = lua.load(text).set_name(chunk).into_function()?;
    run.call(file)
}

/// `print`, and how the runner tells what came of a test.
fn add_reporting(
    lua: &Lua,
    host: &Table,
    plan: &Plan,
    shared: &Shared,
    telling: &Arc<Mutex<Telling>>,
    test: Source,
) -> mlua::Result<()> {
    let chunk = format!("@{}", test.name);
    let filter = plan.filter.clone();
    let wanted = move |_: &Lua, title: Vec<String>| {
        Ok(filter.as_ref().is_none_or(|filter| title.join(" ").contains(filter.as_str())))
    };
    host.set("wanted", lua.create_function(wanted)?)?;
    let own = chunk.clone();
    host.set("where", lua.create_function(move |lua, ()| Ok(line_of(lua, &own)))?)?;
    // An error, and where in this file it came from.
    let own = chunk;
    let locate = move |lua: &Lua, problem: Value| {
        let table = match problem {
            Value::Table(table) => table,
            other => {
                let table = lua.create_table()?;
                let text = match &other {
                    Value::Error(error) => innermost(error),
                    other => other.to_string()?,
                };
                table.set("message", text)?;
                table
            }
        };
        // Where it was first seen: what passes it on is further from the reason.
        if let Some(line) = line_of(lua, &own).filter(|_| !table.contains_key("line").unwrap_or(false)) {
            table.set("line", line)?;
        }
        Ok(table)
    };
    host.set("locate", lua.create_function(locate)?)?;
    let (told, seen) = (telling.clone(), shared.clone());
    let (keeps_folded, keeps_spans) = (plan.flame, plan.spans);
    let report = move |_: &Lua, what: Table| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut host = seen.lock();
        host.gather();
        let (before, after) = (host.begun, host.net.counters());
        let status = match what.get::<String>("status")?.as_str() {
            "passed" => Status::Passed,
            "failed" => Status::Failed,
            "pending" => Status::Pending,
            _ => Status::Error,
        };
        let problem = what.get::<Option<Table>>("problem")?.filter(|_| status != Status::Pending);
        let problem = problem.map(|problem| problem_of(&problem, &test, &host.sources)).transpose()?;
        let problem =
            problem.map(|problem| Problem { trace: host.trace(what.get("mark").unwrap_or(0)), ..problem });
        let is_pending = status == Status::Pending;
        if (keeps_folded || keeps_spans) && !is_pending {
            let title = what.get::<Vec<String>>("title")?.join(" ");
            let mark = what.get("mark").unwrap_or(0);
            let (letters, names, sources) = (host.net.letters(), &host.names, &host.sources);
            let scene = Scene { title: &title, letters, mark, names, sources };
            if keeps_folded {
                told.folded.extend(flame::fold(&scene));
            }
            if keeps_spans {
                told.spans.extend(spans::of(&test.name, &scene));
            }
        }
        let count = |after: u64, before: u64| if is_pending { 0 } else { after.saturating_sub(before) };
        let printed = std::mem::take(&mut told.printed);
        let ms = told.begun.elapsed().as_secs_f64() * 1000.0;
        told.tests.push(TestReport {
            title: what.get("title")?,
            line: what.get("line")?,
            status,
            ms,
            messages: count(after.messages, before.messages),
            ticks: count(after.ticks, before.ticks),
            gas: count(after.gas, before.gas),
            lost: count(after.lost, before.lost),
            problem,
            printed,
        });
        told.begun = clock();
        Ok(())
    };
    host.set("report", lua.create_function(report)?)?;
    let (told, seen) = (telling.clone(), shared.clone());
    let spent = bound(lua)?;
    let begin = move |_: &Lua, ()| {
        let mut host = seen.lock();
        host.begin();
        spent.store(0, Ordering::Relaxed);
        told.lock().unwrap_or_else(PoisonError::into_inner).begun = clock();
        Ok(())
    };
    host.set("begin", lua.create_function(begin)?)?;
    let told = telling.clone();
    // What a block prints after its tests belongs to the last of them.
    let over = move |_: &Lua, ()| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let printed = std::mem::take(&mut told.printed);
        if let Some(last) = told.tests.last_mut() {
            last.printed.extend(printed);
        }
        Ok(())
    };
    host.set("over", lua.create_function(over)?)?;
    let (told, seen) = (telling.clone(), shared.clone());
    let print = move |_: &Lua, values: Variadic<Value>| {
        if !seen.lock().counts {
            return Ok(());
        }
        let words = values.iter().map(Value::to_string).collect::<mlua::Result<Vec<_>>>()?;
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.printed.len() < PRINTED_MAX {
            told.printed.push(words.join("\t"));
        }
        Ok(())
    };
    lua.globals().set("print", lua.create_function(print)?)
}

/// Has a test end that would never end by itself. The counter begins again with each.
fn bound(lua: &Lua) -> mlua::Result<Arc<AtomicU64>> {
    lua.set_memory_limit(MEMORY_MAX)?;
    let spent = Arc::new(AtomicU64::new(0));
    let counter = spent.clone();
    let triggers = HookTriggers::new().every_nth_instruction(STEPS_AT_ONCE);
    lua.set_global_hook(triggers, move |_, _| {
        let before = counter.fetch_add(u64::from(STEPS_AT_ONCE), Ordering::Relaxed);
        match before < STEPS_MAX {
            true => Ok(VmState::Continue),
            false => Err(mlua::Error::runtime(format!("the test does not end: {STEPS_MAX} steps of Lua"))),
        }
    })?;
    Ok(spent)
}

/// The line of the file that runs now, or that called what runs now.
fn line_of(lua: &Lua, chunk: &str) -> Option<usize> {
    const LEVELS_MAX: usize = 200;
    for level in 0..LEVELS_MAX {
        let line = lua.inspect_stack(level, |debug| {
            let is_own = debug.source().source.as_deref() == Some(chunk);
            is_own.then(|| debug.current_line()).flatten()
        })?;
        if line.is_some() {
            return line;
        }
    }
    None
}

/// What a function of ours said, without the layers around it.
pub fn innermost(error: &mlua::Error) -> String {
    match error {
        mlua::Error::CallbackError { cause, .. } | mlua::Error::WithContext { cause, .. } => innermost(cause),
        mlua::Error::RuntimeError(text) => text.clone(),
        other => other.to_string(),
    }
}

fn problem_of(problem: &Table, test: &Source, sources: &[Source]) -> mlua::Result<Problem> {
    let message = match problem.get::<Value>("message")? {
        Value::Nil => "it ended with an error that is a table".to_owned(),
        Value::Error(error) => innermost(&error),
        other => other.to_string()?,
    };
    let message = without_ours(message);
    let line: Option<usize> = problem.get("line")?;
    // What a process's own file says of itself is nearer to the reason than the test.
    let place = sources.iter().find_map(|source| named(source, &message));
    let place = place.or_else(|| Some(source::place(test, line?)));
    Ok(Problem {
        at: Some(line.map_or(test.name.clone(), |line| format!("{}:{line}", test.name))),
        frame: place.and_then(|place| place.show(&message)),
        message,
        expected: problem.get("expected")?,
        got: problem.get("got")?,
        trace: Vec::new(),
    })
}

/// Without a place in our own scripts, which helps nobody.
fn without_ours(message: String) -> String {
    let after = ["network", "aolite", "assert", "runner", "world", "show", "spies", "property"]
        .iter()
        .find_map(|name| {
            let (line, rest) = message.strip_prefix(name)?.strip_prefix(':')?.split_once(": ")?;
            line.parse::<u64>().is_ok().then(|| rest.to_owned())
        });
    after.unwrap_or(message)
}

/// The line of a file that a text names, as in `src/a.lua:12:`.
fn named(source: &Source, text: &str) -> Option<Place> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(source.name.as_str()) {
        rest = after;
        let digits = after.strip_prefix(':').and_then(|after| after.split_once(':'));
        if let Some(line) = digits.and_then(|(digits, _)| digits.parse().ok()) {
            return Some(source::place(source, line));
        }
    }
    None
}
