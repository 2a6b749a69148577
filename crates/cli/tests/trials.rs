//! `pirn test`: what it finds, what it says, and what it writes.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use expect_test::{Expect, expect};
use tempfile::TempDir;

/// Compiled modules, for all tests of this file.
static CACHE: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

const COUNTER: &str = r#"Count = Count or 0

Handlers.add("inc", "Inc", function(msg)
  local by = tonumber(msg.By) or 1
  if by < 0 then
    error("a step is not negative")
  end
  Count = Count + by
  msg.reply({ Action = "Inc-Result", Data = tostring(Count) })
end)

Handlers.add("tick", function(msg)
  return msg.Cron
end, function()
  Count = Count + 1
end)

Handlers.add("never", "Never", function()
  Count = nil
end)
"#;

fn project(tests: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("src/counter.lua", COUNTER);
    tests.iter().for_each(|(path, text)| write(path, text));
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pirn"));
    command.arg("test").args(arguments).current_dir(folder);
    command.env("NO_COLOR", "1").env("XDG_CACHE_HOME", CACHE.path());
    command
}

fn pirn(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Times and gas are not the same everywhere.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_inclusive(' ').collect();
        let mut kept = String::new();
        for (at, word) in words.iter().enumerate() {
            let unit = words.get(at + 1).map(|next| next.trim()).unwrap_or_default();
            let before_gas = words[at..].iter().take_while(|word| word.trim().parse::<u64>().is_ok()).count();
            let is_gas = words.get(at + before_gas).is_some_and(|word| word.trim() == "gas");
            let is_number = word.trim().parse::<f64>().is_ok();
            match (is_number && (unit == "ms" || unit == "s"), is_number && is_gas) {
                (true, _) => kept.push_str("_ "),
                (_, true) => {}
                _ if word.trim().is_empty() && unit.parse::<f64>().is_ok() => {}
                _ => kept.push_str(word),
            }
        }
        out.push_str(kept.trim_end());
        out.push('\n');
    }
    out
}

#[track_caller]
fn check(folder: &Path, arguments: &[&str], exit: i32, answer: Expect, error: Expect) {
    let output = pirn(folder, arguments);
    answer.assert_eq(&masked(&text(&output.stdout)));
    error.assert_eq(&text(&output.stderr));
    assert_eq!(output.status.code(), Some(exit));
}

const PASSING: &str = r#"
describe("counter", function()
  local counter
  before_each(function()
    counter = t.spawn({ source = "src/counter.lua", tags = { ["Cron-Interval"] = "1-minute" } })
  end)

  it("counts up", function()
    t.send({ Action = "Inc", By = 5 })
    t.expect({ Action = "Inc-Result", Data = "5", Target = t.ada })
    assert.are.equal(5, t.state("Count"))
  end)

  it("refuses a negative step", function()
    local result = counter:send({ Action = "Inc", By = -1 })
    assert.matches("a step is not negative", result.error)
    assert.matches("src/counter.lua:6:", result.error)
    assert.are.equal(0, t.state("Count"))
  end)

  it("ticks every minute", function()
    assert.are.equal(3, t.clock.advance("3m"))
    assert.are.equal(3, t.state("Count"))
  end)

  pending("is not there yet")
end)
"#;

const FAILING: &str = r#"
local counter = t.spawn("src/counter.lua")

it("is wrong", function()
  counter:send({ Action = "Inc", By = 2 })
  assert.are.same({ count = 3 }, counter:eval("return { count = Count }"))
end)

it("expects what is not sent", function()
  counter:send({ Action = "Inc" })
  t.expect({ Action = "Dec-Result" })
end)

it("is broken", function()
  print("before", 1)
  local nothing = nil
  return nothing.field
end)
"#;

#[test]
fn a_suite_that_passes_says_what_it_cost() {
    let folder = project(&[("test/counter_test.lua", PASSING)]);
    check(
        folder.path(),
        &[],
        0,
        expect![[r#"
            test/counter_test.lua
              ✓ counter › counts up                _ ms 3 messages gas
              ✓ counter › refuses a negative step  _ ms 3 messages gas
              ✓ counter › ticks every minute        _ ms 2 messages 3 cron gas
              - counter › is not there yet         pending

            3 passed · 1 pending in _ ms
        "#]],
        expect![""],
    );
}

#[test]
fn a_failure_says_where_what_and_how_to_see_it_again() {
    let folder = project(&[("a_test.lua", FAILING)]);
    check(
        folder.path(),
        &["--seed", "7"],
        1,
        expect![[r#"
        a_test.lua
          ✗ is wrong                   _ ms 2 messages gas
              a_test.lua:6: expected equal contents
                - expected  { count = 3 }
                + got       { count = 2 }
                  ╭─ a_test.lua:6:3
               5 │   counter:send({ Action = "Inc", By = 2 })
               6 │   assert.are.same({ count = 3 }, counter:eval("return { count = Count }"))
                  │   ^
               7 │ end)
              messages
                ada ──Inc──▶ counter  slot 2
                  counter ──Inc-Result──▶ ada 2
                ada ──Eval──▶ counter  slot 3
              again: pirn test a_test.lua --filter "is wrong" --seed 7
          ✗ expects what is not sent   _ ms 1 message gas
              a_test.lua:11: expected that this was sent, and nothing like it was
                - expected  { Action = "Dec-Result" }
                + got       {
                + got         Action = "Inc-Result",
                + got         Data = "1",
                + got         Target = "uedjPocX4EEndRVKd-E_G4fsEmr9dwE9OeYPX3RYfgU" (ada),
                + got       }
                   ╭─ a_test.lua:11:3
               10 │   counter:send({ Action = "Inc" })
               11 │   t.expect({ Action = "Dec-Result" })
                   │   ^
               12 │ end)
              messages
                ada ──Inc──▶ counter  slot 2
                  counter ──Inc-Result──▶ ada 1
              again: pirn test a_test.lua --filter "expects what is not sent" --seed 7
          ✗ is broken                  _ ms 0 messages gas
              │ before	1
              a_test.lua:17: attempt to index a nil value (local 'nothing')
                   ╭─ a_test.lua:17:10
               16 │   local nothing = nil
               17 │   return nothing.field
                   │          ^
               18 │ end)
              again: pirn test a_test.lua --filter "is broken" --seed 7

        2 failed · 1 error in _ ms
    "#]],
        expect![[r#"
        error[P0044]: 3 of 3 tests failed
        hint: what chance began with was 7: --seed 7 runs the same again
    "#]],
    );
}

#[test]
fn what_is_not_there_is_no_success() {
    let folder = project(&[("broken_test.lua", "describe('x', function() error('no') end) it(")]);
    let output = pirn(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("broken_test.lua:1:"), "{}", text(&output.stdout));
    for (arguments, what) in [
        (&["nowhere"][..], "there is no nowhere"),
        (&["src"][..], "there are no tests here"),
        (&["--coverage=html"][..], "--coverage=html"),
        (&["--seed", "x"][..], "expected a number"),
    ] {
        let output = pirn(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(what), "{}", text(&output.stderr));
    }
    let folder = project(&[("a_test.lua", PASSING)]);
    let output = pirn(folder.path(), &["--filter", "nothing of this name"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

const CHANCE: &str = r#"
describe("a pair", function()
  local a, b
  setup(function()
    a = t.spawn({ name = "a", code = "Handlers.add('go', 'Go', function(m) for i = 1, 8 do Send({ Target = m.To, Action = 'N', Data = tostring(i) }) end end)" })
    b = t.spawn({ name = "b", code = "Got = '' Handlers.add('n', 'N', function(m) Got = Got .. m.Data end)" })
  end)

  it("in order", function()
    a:send({ Action = "Go", To = b })
    assert.are.equal("12345678", b:state("Got"))
  end)

  it("in another", function()
    t.reorder()
    a:send({ Action = "Go", To = b })
    print(b:state("Got"))
    assert.are_not.equal("12345678", b:state("Got"))
    assert.are.equal(8, #b:state("Got"))
  end)

  it("with losses", function()
    t.reorder(nil, { drop = 0.5, duplicate = 0.2, delay = "2s" })
    a:send({ Action = "Go", To = b })
    print(b:state("Got"), t.clock.now())
  end)
end)
"#;

#[test]
fn the_same_seed_is_the_same_run_byte_for_byte() {
    let folder =
        project(&[("chance_test.lua", CHANCE), ("counter_test.lua", PASSING), ("wrong_test.lua", FAILING)]);
    let run = |seed: &str, jobs: &str| {
        text(&pirn(folder.path(), &["--json", "--seed", seed, "--jobs", jobs]).stdout)
    };
    let first = run("3", "1");
    assert_eq!(first, run("3", "3"));
    assert_ne!(first, run("4", "1"));
    let answer: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((answer["passed"].as_u64(), answer["failed"].as_u64()), (Some(6), Some(2)), "{first}");
    assert_eq!((answer["errors"].as_u64(), answer["pending"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn build_servers_read_the_report() {
    let folder = project(&[("a_test.lua", FAILING), ("test/counter_test.lua", PASSING)]);
    assert_eq!(pirn(folder.path(), &["--junit", "report.xml"]).status.code(), Some(1));
    let xml = std::fs::read_to_string(folder.path().join("report.xml")).unwrap();
    assert!(xml.starts_with("<?xml"), "{xml}");
    for part in [
        "<testsuites name=\"pirn test\" tests=\"7\" skipped=\"1\" failures=\"2\" errors=\"1\"",
        "<testsuite name=\"a_test.lua\" tests=\"3\" skipped=\"0\" errors=\"1\" failures=\"2\"",
        "<testsuite name=\"test/counter_test.lua\" tests=\"4\" skipped=\"1\" errors=\"0\" failures=\"0\"",
        "file=\"test/counter_test.lua\" line=\"8\"",
        "<testcase name=\"counter › counts up\" classname=\"test.counter_test\"",
        "<failure message=\"expected equal contents\"",
        "<skipped",
        "<system-out>before    1</system-out>",
    ] {
        assert!(xml.contains(part), "{part}\n{xml}");
    }
}

#[test]
fn lines_and_handlers_are_counted_and_nothing_changes_by_it() {
    let folder = project(&[("test/counter_test.lua", PASSING)]);
    let answer = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&pirn(folder.path(), arguments).stdout).unwrap()
    };
    let (plain, counted) = (answer(&["--json"]), answer(&["--json", "--coverage=lcov:lcov.info"]));
    assert_eq!(plain["files"], counted["files"]);
    expect![[r#"
        TN:
        SF:src/counter.lua
        FN:3,inc
        FN:14,tick
        FN:18,never
        FNDA:2,inc
        FNDA:3,tick
        FNDA:0,never
        FNF:3
        FNH:2
        DA:1,3
        DA:3,6
        DA:4,2
        DA:5,2
        DA:6,1
        DA:8,1
        DA:9,1
        DA:10,4
        DA:12,6
        DA:13,3
        DA:14,3
        DA:15,3
        DA:16,6
        DA:18,6
        DA:19,0
        DA:20,6
        LF:16
        LH:15
        end_of_record
    "#]]
    .assert_eq(&std::fs::read_to_string(folder.path().join("lcov.info")).unwrap());
    let table = text(&pirn(folder.path(), &["--coverage"]).stdout);
    let end = table.rsplit("\n\n").take(2).collect::<Vec<_>>();
    expect![[r#"
        covered          lines       handlers  not run
        src/counter.lua  15/16  93%  2/3       never; lines 19
        3 passed · 1 pending in _ ms · lines 15/16 · handlers 2/3
    "#]]
    .assert_eq(&masked(&format!("{}\n{}", end[1], end[0])));
}

#[test]
fn what_busted_and_aolite_have_works_by_its_name() {
    let test = r#"
        local aolite = require("aolite")
        describe("aolite", function()
          setup(function()
            aolite.clearAllProcesses()
            aolite.spawnProcess("one", "src/counter")
            aolite.spawnProcess("two", "Handlers.add('go', 'Go', function(m) Send({ Target = m.One, Action = 'Inc' }) end)", { { name = "On-Boot", value = "Data" } })
          end)
          it("sends and reads", function()
            aolite.send({ From = "two", Target = "one", Action = "Inc" })
            assert.equals("1", aolite.getLastMsg("one", { Action = "Inc-Result" }).Data)
            aolite.setAutoSchedule(false)
            aolite.send({ Target = "two", Action = "Go", One = tostring(t.state("ao.id")) })
            aolite.queue({ Target = "one", Action = "Inc" })
            assert.equals(1, aolite.eval("one", "return Count"))
            aolite.runScheduler()
            assert.equals(2, aolite.eval("one", "return Count"))
            assert.equals(2, #aolite.getAllMsgs("one", { Action = "Inc-Result" }))
            assert.has_error(function() aolite.eval("one", "error('boom')") end)
          end)
        end)
        describe("busted", function()
          local order = {}
          before_each(function() order[#order + 1] = "outer" end)
          after_each(function() order[#order + 1] = "after" end)
          describe("in it", function()
            before_each(function() order[#order + 1] = "inner" end)
            it("runs hooks from the outside", function() assert.same({ "outer", "inner" }, order) end)
          end)
          it("has run what comes after", function() assert.same({ "outer", "inner", "after", "outer" }, order) end)
          it("has the assertions", function()
            assert.is_true(true) assert.True(true) assert.is_not_nil(1) assert.is.truthy(0) assert.falsy(nil)
            assert.is_string("") assert.is_function(print) assert.are_not.equal(1, 2) assert.are_not_same({ 1 }, { 2 })
            assert.has_error(function() error("x", 0) end, "x") assert.has_no.errors(function() end)
            assert.error_matches(function() error("a b") end, "a b$") assert.near(1, 1.05, 0.1) assert.contains("b", { "a", "b" })
            assert.has_error(function() assert.is_nil(1) end)
            assert(true, "never")
          end)
          it("ends early", function() pending("for now") error("not reached") end)
        end)
    "#;
    let folder = project(&[("names_test.lua", test)]);
    let output = pirn(folder.path(), &["--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{answer:#}");
    assert_eq!((answer["passed"].as_u64(), answer["pending"].as_u64()), (Some(4), Some(1)), "{answer:#}");
}

#[test]
fn the_blueprints_hold_what_they_promise() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let module = root.join("crates/runtime/lua/pirn-lua.wasm");
    let arguments = ["processes/blueprints", "--coverage", "--module", module.to_str().unwrap()];
    let output = pirn(&root, &arguments);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("processes/blueprints/token.lua"), "{}", text(&output.stdout));
}

#[test]
fn the_tests_of_a_new_project_pass() {
    let folder = tempfile::tempdir().unwrap();
    for template in ["lua", "lua-token", "agent"] {
        let mut new = Command::new(env!("CARGO_BIN_EXE_pirn"));
        new.args(["new", template, "--template", template]).current_dir(folder.path());
        let made = new.output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let output = pirn(&folder.path().join(template), &["--coverage"]);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{template}: {said}{}", text(&output.stderr));
        assert!(said.contains("✓") && said.contains(&format!("src/{template}.lua")), "{said}");
    }
}

#[test]
fn what_a_source_requires_comes_with_it() {
    let folder = project(&[
        ("src/main.lua", "local steps = require('lib.steps')\nStep = steps.two()\n"),
        (
            "src/lib/steps.lua",
            "return { two = function()\n  return 2\nend, never = function()\n  return 3\nend }\n",
        ),
        (
            "main_test.lua",
            "it('loads', function() local p = t.spawn('src/main.lua') assert.equal(2, p:state('Step')) end)",
        ),
    ]);
    let output = pirn(folder.path(), &["--coverage"]);
    let said = masked(&text(&output.stdout));
    assert_eq!(output.status.code(), Some(0), "{said}");
    for line in ["src/lib/steps.lua  4/5    80%   0/0       lines 4", "src/main.lua       2/2    100%  0/0"] {
        assert!(said.contains(line), "{line}\n{said}");
    }
}

/// A terminal with `pirn test --watch` in it.
struct Terminal {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    lines: std::sync::mpsc::Receiver<String>,
    seen: String,
    _pair: portable_pty::PtyPair,
}

impl Terminal {
    fn open(folder: &Path) -> Terminal {
        let size = portable_pty::PtySize { rows: 40, cols: 120, ..portable_pty::PtySize::default() };
        let pair = portable_pty::native_pty_system().openpty(size).unwrap();
        let mut command = portable_pty::CommandBuilder::new(env!("CARGO_BIN_EXE_pirn"));
        command.args(["test", "--watch"]);
        command.cwd(folder);
        command.env("XDG_CACHE_HOME", CACHE.path());
        command.env_remove("NO_COLOR");
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n) = std::io::Read::read(&mut reader, &mut buffer) {
                if n == 0 || sender.send(String::from_utf8_lossy(&buffer[..n]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, lines, seen: String::new(), _pair: pair }
    }

    /// Reads until it says that, and forgets what it said so far. The bound is only for a run that would never end.
    fn until(&mut self, what: &str) -> String {
        let long = std::time::Duration::from_secs(300);
        while !self.seen.contains(what) {
            let more = self.lines.recv_timeout(long);
            self.seen += &more.unwrap_or_else(|_| panic!("it never says {what:?}, but {}", self.seen));
        }
        let end = self.seen.find(what).unwrap() + what.len();
        let rest = self.seen.split_off(end);
        std::mem::replace(&mut self.seen, rest)
    }
}

#[test]
fn a_change_runs_the_tests_again() {
    let folder = project(&[("test/counter_test.lua", PASSING)]);
    let mut terminal = Terminal::open(folder.path());
    let first = terminal.until("watching for changes");
    assert!(first.contains("\u{1b}[32m3 passed\u{1b}[0m"), "{first:?}");
    let wrong = COUNTER.replace("Count = Count + by", "Count = Count + by + 1");
    std::fs::write(folder.path().join("src/counter.lua"), wrong).unwrap();
    let second = terminal.until("watching for changes");
    assert!(second.contains("src/counter.lua changed") && second.contains("1 failed"), "{second:?}");
    std::fs::write(folder.path().join("src/counter.lua"), COUNTER).unwrap();
    assert!(terminal.until("watching for changes").contains("3 passed"));
    terminal.child.kill().unwrap();
    terminal.child.wait().unwrap();
}
