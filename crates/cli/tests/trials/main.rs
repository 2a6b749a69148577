//! `pirn test`: what it finds, what it says, and what it writes.

mod language;
mod parallel;
mod watch;

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

/// Times and gas are not the same everywhere: in lines that tell them they are left out, with the padding around them.
fn masked(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if !line.ends_with(" gas") && !line.contains(" in ") {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        out.push_str(&line[..line.len() - line.trim_start().len()]);
        let mut kept = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let is_number = word.parse::<f64>().is_ok();
            let is_gas = words[at..].iter().find(|word| word.parse::<u64>().is_err()) == Some(&"gas");
            match words.get(at + 1) {
                Some(&("ms" | "s")) if is_number => kept.push("_"),
                _ if is_number && is_gas => {}
                _ => kept.push(word),
            }
        }
        out.push_str(&kept.join(" "));
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
              ✓ counter › counts up _ ms 3 messages gas
              ✓ counter › refuses a negative step _ ms 3 messages gas
              ✓ counter › ticks every minute _ ms 2 messages 3 cron gas
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
              ✗ is wrong _ ms 2 messages gas
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
                      counter ──Inc-Result──▶ ada  2
                    ada ──Eval──▶ counter  slot 3
                  again: pirn test a_test.lua --filter "is wrong" --seed 7
              ✗ expects what is not sent _ ms 1 message gas
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
                      counter ──Inc-Result──▶ ada  1
                  again: pirn test a_test.lua --filter "expects what is not sent" --seed 7
              ✗ is broken _ ms 0 messages gas
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
    assert!(text(&output.stdout).contains("      broken_test.lua:1: "), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("1 │ describe('x'"), "{}", text(&output.stdout));
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
fn coverage_is_a_page_and_gas_a_graph() {
    let folder = project(&[("test/counter_test.lua", PASSING)]);
    let arguments = ["--coverage=html:coverage.html", "--flamegraph", "gas.svg"];
    assert_eq!(pirn(folder.path(), &arguments).status.code(), Some(0));
    let page = std::fs::read_to_string(folder.path().join("coverage.html")).unwrap();
    assert!(page.contains("<td class=\"n\">15 of 16<td class=\"n\">2 of 3"), "{page}");
    assert!(page.contains("<span class=\"not\"><i>19</i><b>0</b>"), "{page}");
    let graph = std::fs::read_to_string(folder.path().join("gas.svg")).unwrap();
    assert!(graph.starts_with("<?xml") && graph.trim_end().ends_with("</svg>"), "{graph}");
    // The tests, what they send, and what it costs.
    for part in ["counter counts up", " Inc (", " gas, "] {
        assert!(graph.contains(part), "{part}\n{graph}");
    }
    assert_eq!(pirn(folder.path(), &arguments).status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(folder.path().join("gas.svg")).unwrap(), graph, "the same again");
    let said = text(&pirn(folder.path(), &["--coverage=pdf:a.pdf"]).stderr);
    assert!(said.contains("hint: --coverage=lcov:FILE or --coverage=html:FILE"), "{said}");
}

#[test]
fn the_graph_has_the_functions_of_each_message_and_all_of_its_gas() {
    let work = "local function work(n)\n  local sum = 0\n  for i = 1, n do sum = sum + i % 7 end\n  return sum\nend\nreturn { work = work }\n";
    let uses = "local work = require('lib.work')\nHandlers.add('busy', 'Busy', function(msg)\n  Sum = work.work(tonumber(msg.N))\n  Send({ Target = msg.Next, Action = 'Told' })\nend)\nHandlers.add('told', 'Told', function() error('no') end)\n";
    let test = "it('works', function()\n  local b = t.spawn({ source = 'src/uses.lua', name = 'b' })\n  local a = t.spawn({ source = 'src/uses.lua', name = 'a' })\n  a:send({ Action = 'Busy', N = 3000, Next = b.id })\n  a:send({ Action = 'Unknown' })\nend)\n";
    let folder = project(&[("src/lib/work.lua", work), ("src/uses.lua", uses), ("uses_test.lua", test)]);
    let gas = |output: &Output| {
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        answer["files"][0]["tests"][0]["gas"].as_u64().unwrap()
    };
    let json = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pirn"));
        command.args(["--json", "test"]).args(arguments).current_dir(folder.path());
        command.env("XDG_CACHE_HOME", CACHE.path()).output().unwrap()
    };
    let plain = json(&[]);
    let drawn = json(&["--flamegraph", "gas.folded"]);
    assert_eq!(text(&plain.stdout), text(&drawn.stdout), "nobody notices");
    let folded = std::fs::read_to_string(folder.path().join("gas.folded")).unwrap();
    let lines: Vec<(&str, u64)> = folded
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(stack, gas)| (stack, gas.parse().unwrap()))
        .collect();
    assert_eq!(lines.iter().map(|(_, gas)| gas).sum::<u64>(), gas(&plain));
    // Of files that were bundled, too, and under the message that they ran for.
    let of = |stack: &str| lines.iter().find(|(known, _)| *known == stack).map_or(0, |(_, gas)| *gas);
    let busy = "works;a Busy;(boot library);src/uses.lua:2 handler busy;src/lib/work.lua:1 work";
    let whole = lines.iter().filter(|(stack, _)| stack.starts_with("works;a Busy;(boot library);src"));
    assert!(of(busy) * 10 > whole.map(|(_, gas)| gas).sum::<u64>() * 9, "{folded}");
    let told = "works;a Busy;b Told;(boot library);src/uses.lua:6 handler told;error";
    assert!(of(told) > 0, "{folded}");
    assert!(of("works;a Unknown;(machine)") > 0, "{folded}");
    assert!(!folded.contains("boot/"), "{folded}");
}

#[test]
fn what_tests_cost_is_kept_and_compared() {
    let folder = project(&[("test/counter_test.lua", PASSING)]);
    let run = |arguments: &[&str]| pirn(folder.path(), &[&["--gas-snapshot", "gas.txt"], arguments].concat());
    let file = || std::fs::read_to_string(folder.path().join("gas.txt")).unwrap();
    assert_eq!(run(&["--gas-check"]).status.code(), Some(1), "there is no file yet");
    assert!(!folder.path().join("gas.txt").exists());
    assert!(run(&[]).status.success());
    let first = file();
    assert_eq!(first.lines().count(), 3, "{first}");
    assert!(first.starts_with("test/counter_test.lua › counter › counts up (gas: "), "{first}");
    assert!(run(&["--gas-check"]).status.success());
    // One that costs more: it is said which, and how much, and only a run that may writes it down.
    let source = COUNTER
        .replace("Count = Count + by", "for _ = 1, 1000 do Count = Count + by - by end Count = Count + by");
    std::fs::write(folder.path().join("src/counter.lua"), source).unwrap();
    let checked = run(&["--gas-check", "--filter", "counts up"]);
    assert_eq!(checked.status.code(), Some(1));
    let said = text(&checked.stdout);
    assert!(said.contains("test/counter_test.lua › counter › counts up") && said.contains('%'), "{said}");
    assert!(text(&checked.stderr).contains("1 of 1 tests cost another amount of gas"), "{checked:?}");
    assert!(run(&["--gas-check=99", "--filter", "counts up"]).status.success());
    assert_eq!(file(), first);
    assert!(run(&["--filter", "counts up"]).status.success());
    assert_ne!(file(), first);
    assert_eq!(file().lines().count(), 3, "what was not run is kept");
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
