//! What a test can say: busted, luassert, aolite, properties, and that nothing of it differs from run to run.

use crate::{pirn, project, text};

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
fn what_luassert_replaces_is_put_back() {
    let test = r#"
        local thing = { greet = function(x) return "hi " .. x end }
        it("spies", function()
          local s = spy.new(function(a) return a * 2 end)
          s(2) s(3)
          assert.spy(s).was.called() assert.spy(s).was.called(2) assert.spy(s).was_called_with(match.is_number())
          assert.spy(s).was_not.called_with(4) assert.spy(s).returned_with(6) assert.spy(s).was.called_at_least(1)
          assert.has_error(function() assert.spy(s).was.called(3) end)
          spy.on(thing, "greet")
          assert.equal("hi ben", thing.greet("ben"))
          assert.spy(thing.greet).was.called_with("ben")
          local given = { 1 }
          s = spy.new(function() end)
          s(given) given[1] = 2
          assert.spy(s).was.called_with({ 1 })
        end)
        it("has it back, and stubs", function()
          assert.is_function(thing.greet)
          local s = stub(thing, "greet").returns("who?")
          s.on_call_with("ben").returns("ben!")
          assert.equal("ben!", thing.greet("ben")) assert.equal("who?", thing.greet("x"))
          s:revert()
          assert.equal("hi x", thing.greet("x"))
          local m = mock({ a = function() return 1 end, b = { c = function() return 2 end } }, true)
          assert.is_nil(m.b.c(9))
          assert.stub(m.b.c).was.called_with(9) assert.spy(m.a).was_not_called()
          finally(function() print("the end") end)
        end)
        it("has luassert's modifiers", function()
          assert.message("said").is_true(true) assert.array({ 1, 2 }).has.no.holes() assert.array({ 1, nil, 3 }).has.holes(3)
          assert.is_unique({ 1, 2 }) assert.is_not_unique({ { 1 }, { 1 } })
          require("say"):set("even.positive", "expected %s to be even")
          assert:register("assertion", "even", function(_, a) return a[1] % 2 == 0 end, "even.positive")
          assert.is_even(2) assert.is_not_even(3)
          assert.error_matches(function() assert.is_even(3) end, "expected 3 to be even")
        end)
        it("says which calls there were", function()
          local s = spy.new()
          s("a", { 1 })
          assert.spy(s).was.called_with("b", match._)
        end)
    "#;
    let folder = project(&[("spies_test.lua", test)]);
    let output = pirn(folder.path(), &["--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let tests = &answer["files"][0]["tests"];
    assert_eq!((&answer["passed"], &answer["failed"]), (&3.into(), &1.into()), "{answer:#}");
    assert_eq!(tests[1]["printed"], serde_json::json!(["the end"]));
    let problem = &tests[3]["problem"];
    assert_eq!(problem["expected"], "(\"b\", anything)");
    assert_eq!(problem["got"], "(\"a\", { 1 })");
}

#[test]
fn a_property_is_broken_by_the_simplest_case() {
    let test = r#"
        local counter = t.spawn("src/counter.lua")
        local function adds(low)
          return function()
            t.property({ steps = t.gen.list(t.gen.integer(low, 9), 5), name = t.gen.string() }, function(case)
              local sum = 0
              for _, by in ipairs(case.steps) do
                counter:send({ Action = "Inc", By = by })
                sum = sum + by
              end
              assert.are.equal(sum, counter:state("Count"))
            end, { runs = 30 })
          end
        end
        it("holds", adds(0))
        it("breaks", adds(-3))
        it("left nothing", function() assert.equal(0, counter:state("Count")) end)
    "#;
    let folder = project(&[("property_test.lua", test)]);
    for seed in ["0", "1", "2"] {
        let output = pirn(folder.path(), &["--json", "--seed", seed]);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&answer["passed"], &answer["failed"]), (&2.into(), &1.into()), "{answer:#}");
        let problem = &answer["files"][0]["tests"][1]["problem"];
        let message = problem["message"].as_str().unwrap();
        assert!(
            message.contains(r#"breaks it with { name = "", steps = { -1 } }: expected the same value"#),
            "{message}"
        );
        assert_eq!(problem["trace"].as_array().unwrap().len(), 1, "{problem:#}");
    }
}

#[test]
fn a_test_can_neither_end_the_run_nor_make_two_runs_differ() {
    let test = r#"
        it("ends", function() os.exit(0) end)
        it("never ends", function() while true do end end)
        it("takes all memory", function() local all = {} for i = 1, 1e9 do all[i] = ("x"):rep(1e7) .. i end end)
        it("is the same", function()
          local keys = {}
          for key in pairs({ b = 1, a = 2, [2] = 3, [1] = 4, [true] = 5, c = nil }) do keys[#keys + 1] = tostring(key) end
          print(table.concat(keys, " "), math.random(1000), math.random(2, 3), os.time(), os.date("!%Y"), function() end ~= nil)
          assert.equal(print, assert)
        end)
    "#;
    let folder = project(&[("world_test.lua", test)]);
    let run = |arguments: &[&str]| text(&pirn(folder.path(), arguments).stdout);
    assert_eq!(run(&["--json", "--filter", "is the same"]), run(&["--json", "--filter", "is the same"]));
    let first = run(&["--json"]);
    let answer: serde_json::Value = serde_json::from_str(&first).unwrap();
    let tests = answer["files"][0]["tests"].as_array().unwrap();
    let message = |at: usize| tests[at]["problem"]["message"].as_str().unwrap_or_default();
    assert!(message(0).contains("does not end the run"), "{first}");
    assert!(message(1).contains("the test does not end"), "{first}");
    assert!(message(2).contains("not enough memory"), "{first}");
    assert!(tests[3]["printed"][0].as_str().unwrap().starts_with("1 2 a b true\t"), "{first}");
    assert_eq!(tests[3]["problem"]["expected"], "a function", "{first}");
}

#[test]
fn the_types_for_editors_name_what_is_there_and_all_of_it() {
    let types = include_str!("../../../../processes/library/test.lua");
    let mut checks = String::new();
    let (mut class, mut documented) = ("", String::new());
    for line in types.lines() {
        if let Some(name) = line.strip_prefix("---@class ") {
            class = name;
        } else if let Some(field) =
            line.strip_prefix("---@field ").and_then(|rest| rest.split([' ', '?']).next())
        {
            let of = match class {
                "t" => "t",
                "Clock" => "t.clock",
                "Generators" => "t.gen",
                "TestProcess" => "process",
                "Account" => "t.ada",
                "Result" if field != "error" => "result",
                _ => continue,
            };
            if !field.starts_with('[') {
                checks += &format!("assert.is_not_nil({of}.{field}, {field:?})\n");
                documented += &format!("[{:?}] = true, ", format!("{of}.{field}"));
            }
        } else if let Some((name, _)) = line.strip_prefix("function ").and_then(|rest| rest.split_once('(')) {
            let name = name.replace("TestProcess:", "process.");
            checks += &format!("assert.is_function({name}, {name:?})\n");
            documented += &format!("[{name:?}] = true, ");
        }
    }
    let test = format!(
        r#"
        local documented = {{ {documented} }}
        it("is there", function()
          local process = t.spawn({{ code = "Count = 1", name = "one" }})
          local result = process:send({{ Action = "X" }})
          {checks}
          assert.is_table(spy) assert.is_table(stub) assert.is_table(mock) assert.is_table(match)
        end)
        it("is all of it", function()
          local aolite = require("aolite")
          for _, part in ipairs({{ {{ "t", t }}, {{ "t.clock", t.clock }}, {{ "t.gen", t.gen }}, {{ "process", getmetatable(t.spawn()) }} }}) do
            for name in pairs(part[2]) do
              local is_aolite = part[1] == "t" and aolite[name] ~= nil
              assert(documented[part[1] .. "." .. name] or is_aolite or name:find("^__"), part[1] .. "." .. name)
            end
          end
        end)
        "#
    );
    let folder = project(&[("types_test.lua", &test)]);
    let output = pirn(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}
