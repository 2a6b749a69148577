//! `t.parallel()`: the tests of one file at the same time, each in a run of the file of its own.

use super::*;

/// Blocks in one another, hooks that do something, chance, failures, prints, and a test that is not there yet.
const MANY: &str = r#"
require("mode")
print("the file")
local counter
describe("outer", function()
  setup(function()
    print("outer setup " .. math.random(1000000))
    counter = t.spawn({ source = "src/counter.lua", name = "c" })
  end)
  before_each(function() counter:send({ Action = "Inc" }) end)
  for at = 1, 3 do
    it("counts " .. at, function()
      print("test " .. math.random(1000000))
      counter:send({ Action = "Inc", By = at })
      assert.are.equal(1 + at, t.state("Count"))
    end)
  end
  it("has a friend", function() t.account("finn") end)
  it("fails", function()
    -- The friend's address, whose name nobody has said in this test.
    t.post({ Target = "SkTR6KNSlx8WztQ47X3lki-TrNc71NlVNc4A7C2RYW8", Action = "Hello" })
    counter:send({ Action = "Inc", By = -1 })
    assert.are.equal(7, t.state("Count"))
  end)
  pending("later")
  describe("inner", function()
    setup(function()
      print("inner setup " .. math.random(1000000))
      counter:send({ Action = "Inc", By = 10 })
    end)
    it("has both", function() assert.are.equal(11, t.state("Count")) end)
    it("loses some", function()
      t.faults({ drop = 0.5 })
      for _ = 1, 4 do t.post({ Target = counter.id, Action = "Inc" }) end
      t.run()
      print(t.state("Count"))
    end)
    teardown(function() print("inner teardown") error("not torn down") end)
  end)
  teardown(function() print("outer teardown") end)
end)
describe("without tests", function()
  setup(function() t.spawn({ source = "src/counter.lua" }) end)
end)
describe("broken", function()
  it("is reported", function() end)
  describe("and empty", function() end)
  error("no block")
end)
describe("not set up", function()
  setup(function() error("no setup") end)
  it("cannot begin", function() end)
end)
it("is alone", function() t.spawn({ source = "src/counter.lua" }):send({ Action = "Never" }) end)
"#;

fn files(mode: &str) -> TempDir {
    project(&[("mode.lua", mode), ("many_test.lua", MANY)])
}

/// What a run says and writes, but for times.
fn results(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let outputs = ["--junit=j.xml", "--coverage=lcov:l.info", "--flamegraph=g.folded", "--otlp=o.json"];
    let mut command = command(folder, &[&outputs, arguments].concat());
    let output = command.arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let junit = read("j.xml");
    let mut junit = junit.split(" time=\"").map(|part| part.split_once('"').map_or(part, |(_, rest)| rest));
    let first = junit.next().unwrap().to_owned();
    let junit = junit.fold(first, |all, part| all + part);
    vec![text(&output.stdout), junit, read("l.info"), read("g.folded"), read("o.json")]
}

#[test]
fn in_parallel_it_is_the_same_as_one_after_the_other() {
    let (serial, parallel) = (files(""), files("t.parallel()"));
    for arguments in [&[][..], &["--seed=5"], &["--filter=inner"]] {
        let expected = results(serial.path(), arguments);
        for jobs in ["--jobs=1", "--jobs=4"] {
            let found = results(parallel.path(), &[arguments, &[jobs]].concat());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "{arguments:?} {jobs}");
            }
        }
    }
}

#[test]
fn a_test_in_parallel_sees_no_variable_of_another() {
    let test = "MODE
local seen = {}
for _, name in ipairs({ 'a', 'b', 'c' }) do
  it(name, function()
    seen[#seen + 1] = name
    Global = (Global or '') .. name
    assert.are.same({ name }, seen)
    assert.are.equal(name, Global)
  end)
end
";
    for (mode, passed) in [("", 1), ("t.parallel()", 3)] {
        let folder = project(&[("own_test.lua", &test.replace("MODE", mode))]);
        let output = command(folder.path(), &["--json"]).output().unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["passed"], passed, "{mode:?}: {answer:#}");
    }
}

#[test]
fn whether_a_file_is_run_in_parallel_is_said_at_its_head() {
    let test = "describe('a', function() t.parallel() it('b', function() end) end)\nit('c', function() t.parallel() end)";
    let folder = project(&[("own_test.lua", test)]);
    let output = command(folder.path(), &["--json"]).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["errors"], 2, "{answer:#}");
    for at in 0..2 {
        let message = answer["files"][0]["tests"][at]["problem"]["message"].as_str().unwrap();
        assert!(message.contains("call it outside of describe and it"), "{message}");
    }
}
