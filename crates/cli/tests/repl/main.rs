//! `pirn repl` as a person has it, in a terminal; and as a program has it, from a pipe.

mod news;
mod terminal;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use terminal::Terminal;

const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";
const TAB: &str = "\t";
const UP: &str = "\u{1b}[A";

/// A network with one process of the first account.
struct World {
    network: Child,
    urls: Vec<(&'static str, String)>,
    process: String,
    folder: TempDir,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pirn"));
        command
            .args(["dev", "--port", "0", "--json"])
            .env("TMPDIR", folder.path())
            .current_dir(folder.path());
        let mut network = command
            .env("HOME", folder.path())
            .env_remove("XDG_STATE_HOME")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(network.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let facts: Value = serde_json::from_str(&line).unwrap();
        let url = |part: &str| facts["urls"][part].as_str().unwrap().to_owned();
        let urls = vec![
            ("GATEWAY_URL", url("gateway")),
            ("MU_URL", url("mu")),
            ("SU_URL", url("su")),
            ("CU_URL", url("cu")),
        ];
        let mut world = World { network, urls, process: String::new(), folder };
        let spawned = world.pirn(&["spawn"]).output().unwrap();
        assert!(spawned.status.success(), "{spawned:?}");
        world.process = String::from_utf8(spawned.stdout).unwrap().trim().to_owned();
        world
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A person's own folders and nobody's settings.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let home = self.path().display().to_string();
        let own =
            [("HOME", home.clone()), ("XDG_DATA_HOME", format!("{home}/data")), ("NO_COLOR", "1".to_owned())];
        own.into_iter().chain(self.urls.iter().cloned()).chain([("TERM", "xterm".to_owned())]).collect()
    }

    fn pirn(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pirn"));
        command.args(arguments).env_remove("PIRN_WALLET").envs(self.settings()).current_dir(self.path());
        command
    }

    /// A terminal in which the line can be typed.
    fn repl(&self, arguments: &[&str]) -> Terminal {
        self.repl_in(&self.settings(), arguments)
    }

    fn repl_in(&self, settings: &[(&str, String)], arguments: &[&str]) -> Terminal {
        let arguments = [&["repl", &self.process], arguments].concat();
        let terminal = Terminal::run(env!("CARGO_BIN_EXE_pirn"), &arguments, settings, self.path());
        terminal.wait("lists the commands");
        terminal.wait_for_line(|line| line.ends_with('>'));
        terminal
    }

    /// What comes of programs on stdin.
    fn piped(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = self.pirn(&[&["repl", &self.process], arguments].concat());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Whoever fails early does not read everything.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.network.kill();
        let _ = self.network.wait();
    }
}

#[test]
fn lines_go_on_until_lua_says_that_they_end_and_are_there_in_the_next_session() {
    let world = World::new();
    let mut repl = world.repl(&[]);
    repl.keys("for i = 1, 2 do\rprint('row ' .. i)\rend\r");
    repl.wait("\nrow 2");
    repl.wait("slot 1 ");
    repl.keys("abandoned");
    repl.wait("abandoned");
    repl.keys(CTRL_C);
    repl.wait_for_line(|line| line.ends_with("]>"));
    repl.keys("40 + 2\r");
    repl.wait("\n42");
    repl.wait_for_line(|line| line.ends_with("]>"));
    repl.keys(CTRL_D);
    assert!(repl.ended());
    let file = world.path().join(format!("data/pirn/history/{}.txt", world.process));
    let history = std::fs::read_to_string(&file).unwrap();
    assert_eq!(history, "for i = 1, 2 do<\\n>print('row ' .. i)<\\n>end\n40 + 2\n");

    let mut repl = world.repl(&[]);
    repl.keys(UP);
    repl.wait_for_line(|line| line.ends_with("> 40 + 2"));
    repl.keys("000\r");
    repl.wait("\n2040");
    repl.keys(".exit\r");
    assert!(repl.ended());
}

#[test]
fn every_line_is_in_the_history_at_once() {
    let world = World::new();
    let mut repl = world.repl(&[]);
    repl.keys("'saved ' .. 'early'\r");
    repl.wait("\nsaved early");
    let file = world.path().join(format!("data/pirn/history/{}.txt", world.process));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "'saved ' .. 'early'\n", "the session still runs");
}

#[test]
fn tab_knows_what_the_process_has_now() {
    let world = World::new();
    let mut repl = world.repl(&[]);
    repl.keys("Handlers.ad");
    repl.keys(TAB);
    repl.wait("> Handlers.add");
    repl.keys(CTRL_C);
    repl.wait_for_line(|line| line.ends_with("]>"));
    repl.keys("Treasure = { gold = 'much ' .. 'gold' }\r");
    repl.wait("slot 1 ");
    repl.keys("Treas");
    repl.keys(TAB);
    repl.wait_for_line(|line| line.ends_with("> Treasure"));
    repl.keys(".go");
    repl.keys(TAB);
    repl.wait_for_line(|line| line.ends_with("> Treasure.gold"));
    repl.keys("\r");
    repl.wait("\nmuch gold");
    repl.keys(".load-bl");
    repl.keys(TAB);
    repl.keys("tok");
    repl.keys(TAB);
    repl.wait_for_line(|line| line.ends_with("> .load-blueprint token"));
    repl.keys("\r");
    repl.wait("slot 3 ");
    repl.keys("'a token: ' .. tostring(Denomination)\r");
    repl.wait("\na token: 12");
}

#[test]
fn errors_point_into_the_line_and_into_files() {
    let world = World::new();
    std::fs::create_dir(world.path().join("lib")).unwrap();
    let library = "local lib = {}\nfunction lib.open(box)\n  return box.lid.hinge\nend\nreturn lib\n";
    std::fs::write(world.path().join("lib/box.lua"), library).unwrap();
    std::fs::write(world.path().join("main.lua"), "local box = require('lib.box')\nreturn box.open({})\n")
        .unwrap();
    let mut repl = world.repl(&[]);
    repl.keys("local x = nil; x.y = 1\r");
    repl.wait("error[P0029]: the process failed: attempt to index a nil value (local 'x')");
    repl.wait("╭─ line 1:16\n  1 │ local x = nil; x.y = 1\n    │                ^");
    repl.keys(".load main.lua\r");
    repl.wait("attempt to index a nil value (field 'lid')");
    repl.wait(
        "╭─ lib/box.lua:3:14\n  2 │ function lib.open(box)\n  3 │   return box.lid.hinge\n    │              ^\n  4 │ end",
    );
    repl.keys(".load mian.lua\r");
    repl.wait("did you mean");
    repl.wait("/main.lua?");
}

#[test]
fn a_dry_run_saves_nothing_and_says_so() {
    let world = World::new();
    let mut repl = world.repl(&[]);
    repl.keys(".dry on\r");
    repl.wait_for_line(|line| line.starts_with("dry ") && line.ends_with('>'));
    repl.keys("Gone = 7; return 'gone: ' .. Gone\r");
    repl.wait("\ngone: 7");
    repl.wait("nothing was saved");
    repl.keys(".dry off\r");
    repl.wait_for_line(|line| line.starts_with("aos@") && line.ends_with('>'));
    repl.keys("'now: ' .. tostring(Gone)\r");
    repl.wait("\nnow: nil");
    repl.wait("slot 1 ");
}

#[test]
fn lines_are_collected_for_one_program() {
    let world = World::new();
    let mut repl = world.repl(&[]);
    repl.keys(".editor\rlocal a = 'one'\rwrong\r.delete\rlocal b = 'two'\rreturn a .. b\r.done\r");
    repl.wait("\nonetwo");
    repl.wait("slot 1 ");
}

#[test]
fn lua_is_coloured_while_it_is_typed_unless_nobody_wants_colours() {
    let world = World::new();
    let mut settings = world.settings();
    let mut plain = world.repl_in(&settings, &[]);
    settings.push(("NO_COLOR", String::new()));
    let mut coloured = world.repl_in(&settings, &[]);
    for (repl, is_coloured) in [(&mut coloured, true), (&mut plain, false)] {
        repl.keys("return 'text'");
        repl.wait_for_line(|line| line.ends_with("> return 'text'"));
        assert_eq!(repl.is_coloured("return"), is_coloured);
        assert_eq!(repl.is_coloured("'text'"), is_coloured);
        assert_eq!(repl.is_coloured("aos@"), is_coloured, "the process colours its prompt");
    }
}

#[test]
fn whom_the_process_does_not_know_is_warned_before_they_send() {
    let world = World::new();
    let mut repl = world.repl(&["--wallet", "1"]);
    repl.wait("does not evaluate what");
    repl.keys(".whoami\r");
    repl.wait("which the process trusts");
    // What it has can be looked at all the same.
    repl.keys(".handlers\r");
    repl.wait("_default");
}

#[test]
fn handlers_are_told_with_what_they_did() {
    let world = World::new();
    let handlers = "Handlers.add('greet', 'Greet', function(msg) if msg.Loud then error('not so loud') end end)
Handlers.prepend('sees', function(msg) return msg.Action == 'Greet' and 'continue' end, function() for i = 1, 1000 do end end)
Handlers.add('never', { Action = 'Never', ['X-Kind'] = { 'a', 'b' } }, function() end)";
    std::fs::write(world.path().join("greets.lua"), handlers).unwrap();
    let evaluated = world.pirn(&["eval", &world.process, "@greets.lua"]).output().unwrap();
    assert!(evaluated.status.success(), "{evaluated:?}");
    let mut gas = Vec::new();
    for more in [&[][..], &["--tag", "Loud=1"], &[]] {
        let sent = [&["--json", "send", &world.process, "--action", "Greet"], more].concat();
        let sent = world.pirn(&sent).output().unwrap();
        let answer: Value = serde_json::from_slice(&sent.stdout).unwrap_or_else(|_| panic!("{sent:?}"));
        let message = answer["message"].as_str().unwrap();
        // What it cost is among what a span says.
        let traced = world.pirn(&["trace", message, "--otlp", "span.json"]).output().unwrap();
        assert!(traced.status.success(), "{traced:?}");
        let span = std::fs::read_to_string(world.path().join("span.json")).unwrap();
        let (_, cost) =
            span.split_once(r#""ao.gas","value":{"intValue":""#).unwrap_or_else(|| panic!("{span}"));
        gas.push(cost.split('"').next().unwrap().parse::<u64>().unwrap());
    }
    let before = world.pirn(&["log", &world.process]).output().unwrap();
    let output = world.piped(&["--json"], ".handlers\n");
    assert!(output.status.success(), "{output:?}");
    let rows: Vec<Vec<String>> = serde_json::from_slice(&output.stdout).unwrap();
    let row =
        |name: &str| rows.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("{rows:#?}")).clone();
    let mean = gas.iter().sum::<u64>() / 3;
    for (name, matches) in [("greet", "Action = Greet"), ("sees", "function greets.lua:2")] {
        let [_, pattern, left, calls, cost, error] = &row(name)[..] else { panic!("{rows:?}") };
        assert_eq!((&**pattern, &**left, &**calls), (matches, "", "3"));
        assert_eq!(cost.replace(' ', ""), mean.to_string());
        assert!(error.ends_with("not so loud"), "{error}");
    }
    assert_eq!(row("never")[1..], ["Action = Never, X-Kind = one of several", "", "0", "", ""]);
    // The script itself.
    assert_eq!(row("_eval")[3], "1");
    let output = world.piped(&[], ".handlers\n");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.starts_with("handler   matches "), "{table}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("of the newest 5 messages"), "{output:?}");
    let after = world.pirn(&["log", &world.process]).output().unwrap();
    assert_eq!(before.stdout, after.stdout, "looking leaves nothing behind");
}

#[test]
fn answers_that_are_long_or_deep_are_shown_a_part_at_a_time() {
    let world = World::new();
    let mut repl = world.repl(&[]);
    repl.keys("{ a = { b = { c = { d = 'deep' .. 'est' } } } }\r");
    repl.wait("c = { … 1 lines }");
    repl.wait("deep tables are folded: `.more` shows all");
    repl.wait("slot 1 ");
    assert!(!repl.screen().contains("deepest"));
    repl.keys(".more\r");
    repl.wait("\"deepest\"");
    repl.keys("for i = 1, 150 do print('row ' .. i) end\r");
    repl.wait("50 more lines: `.more`");
    repl.wait("slot 2 ");
    repl.keys(".more\r");
    repl.wait("\nrow 150");
    repl.keys(".more\r");
    repl.wait("there is no more");
    repl.keys("big = string.rep('x', 2 ^ 23)\r");
    repl.wait(" pages (+");
}

#[track_caller]
fn check(world: &World, arguments: &[&str], input: &str, code: i32, stdout: &str, stderr: &str) {
    let output = world.piped(arguments, input);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(stderr) && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn programs_from_a_pipe_are_answered_one_after_the_other() {
    let world = World::new();
    check(
        &world,
        &[],
        "1 + 1\n\nfor i = 1, 2 do\n  print('n' .. i)\nend\n{ 1, 2 }",
        0,
        "2\nn1\nn2\n{ 1, 2 }\n",
        "slot 3 ",
    );
    check(&world, &[], "1 + 2\nerror('stop')\n5", 1, "3\n", "error[P0029]: the process failed: stop");
    check(&world, &[], ".dry on\nreturn 6\n.exit\n7\n", 0, "6\n", "nothing was saved");
    check(&world, &[], "for i = 1, 2 do\n", 1, "", "'end' expected near <eof>");
    check(&world, &[], ".editor\nreturn 1\n", 2, "", "stdin ended inside");
    check(&world, &[], ".exti\n", 2, "", "did you mean .exit?");
    std::fs::write(world.path().join("first.lua"), "First = 'loaded'").unwrap();
    check(&world, &["--load", "first.lua"], "First", 0, "loaded\n", "slot");
    let output = world.piped(&["--json"], "'j'");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["Output"]["data"], "j");
}

#[test]
fn eval_shows_an_error_as_the_repl_does() {
    let world = World::new();
    std::fs::write(world.path().join("bad.lua"), "local a = {}\na.b.c = 1\n").unwrap();
    let output = world.pirn(&["eval", &world.process, "@bad.lua"]).output().unwrap();
    let expect = "error[P0029]: the process failed: attempt to index a nil value (field 'b')\n    ╭─ bad.lua:2:3\n  \
                  1 │ local a = {}\n  2 │ a.b.c = 1\n    │   ^\nhint: its state is as it was before\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), expect);
    assert_eq!(output.status.code(), Some(1));
}
