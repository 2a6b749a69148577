//! Projects: made, brought up, and loaded again while they run.

mod person;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use pirn_http::client::{Control, Options, Transport};
use serde_json::Value;
use unit::Control as _;

use person::Person;

/// A command that stays, and the lines that it says.
struct Staying {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Staying {
    fn start(mut command: Command) -> Staying {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Staying { child, lines }
    }

    /// The next line of JSON.
    #[track_caller]
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn inside(person: &Person, folder: &str, arguments: &[&str]) -> Command {
    let mut command = person.command(arguments);
    command.current_dir(person.folder().join(folder));
    command
}

#[track_caller]
fn answer(person: &Person, folder: &str, arguments: &[&str]) -> Value {
    let output = inside(person, folder, &[arguments, &["--json"]].concat()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn edit(person: &Person, path: &str, from: &str, to: &str) {
    let path = person.folder().join(path);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn each_template_is_spawned_and_answers() {
    let person = Person::new();
    person.network("test");
    for (template, action, expected) in [
        ("lua", "Get", "Get-Result"),
        ("lua-token", "Info", "Denomination"),
        ("agent", "Status", "without a plan"),
    ] {
        let folder = format!("my-{template}");
        let made = person.answer(&["new", &folder, "--template", template]);
        for file in made["files"].as_array().unwrap() {
            let text = std::fs::read_to_string(person.folder().join(file.as_str().unwrap())).unwrap();
            assert!(!text.is_empty() && !text.contains("{{"), "{file}");
        }
        let settings = std::fs::read_to_string(person.folder().join(&folder).join(".luarc.json")).unwrap();
        serde_json::from_str::<Value>(&settings).unwrap();
        let up = answer(&person, &folder, &["up"]);
        assert_eq!((&up[0]["came"], &up[0]["owner"]), (&"spawned".into(), &"ada".into()), "{up}");
        assert_eq!(up[0]["removed"], serde_json::json!([]));
        assert!(up[0]["added"].as_array().is_some_and(|added| !added.is_empty()), "{up}");
        assert!(up[0].get("doubts").is_none(), "{up}");
        let sent = answer(&person, &folder, &["send", &folder, "--action", action]);
        assert!(sent.to_string().contains(expected), "{sent}");
        assert_eq!(answer(&person, &folder, &["up"])[0]["came"], "same");
    }
    // The clock of the first one ticks: it is monitored, which cannot be said twice.
    let said = person.refused(&["new", "my-lua"], 2);
    assert!(said.contains("has something in it already"), "{said}");
}

#[test]
fn a_project_is_brought_up_to_date_and_state_is_kept() {
    let person = Person::new();
    person.network("test");
    person.answer(&["new", "counter"]);
    let first = answer(&person, "counter", &["up"]);
    let by_name = |arguments: &[&str]| answer(&person, "counter", arguments);
    by_name(&["send", "counter", "--action", "Inc", "--tag", "By=5"]);
    edit(&person, "counter/src/counter.lua", "\"get\", \"Get\"", "\"read\", \"Get\"");
    edit(&person, "counter/src/counter.lua", "Count = Count + by", "Count = Count + 10 * by");
    let second = answer(&person, "counter", &["up"]);
    assert_eq!((&second[0]["came"], &second[0]["process"]), (&"loaded".into(), &first[0]["process"]));
    assert_eq!((&second[0]["added"], &second[0]["removed"]), (&["read"][..].into(), &["get"][..].into()));
    by_name(&["send", "counter", "--action", "Inc"]);
    assert_eq!(by_name(&["eval", "counter", "return Count"])["Output"]["data"], "15");

    // From a folder inside, another one of it, and one that is not there.
    let third = answer(&person, "counter/src", &["up", "--fresh"]);
    assert_ne!(third[0]["process"], first[0]["process"]);
    assert_eq!(by_name(&["eval", "counter", "return Count"])["Output"]["data"], "0");
    let output = inside(&person, "counter", &["up", "cuonter"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint: did you mean counter?"), "{output:?}");
    assert!(person.refused(&["up"], 2).starts_with("error[P0032]: no pirn.toml"));
}

/// Saves a broken file and a good one under a command that watches, and looks at what is told and what runs.
fn reload(person: &Person, told: &mut dyn FnMut() -> Value, evaluate: &dyn Fn(&str) -> String) {
    evaluate("Count = 7");
    edit(person, "counter/src/counter.lua", "Count = Count + by", "Count = = by");
    let failed = told();
    let error = failed["failed"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("src/counter.lua:19: ") && error.contains("19 │   Count = = by"), "{failed}");
    assert_eq!(evaluate("return Count"), "7");
    edit(person, "counter/src/counter.lua", "Count = = by", "Count = Count + 100 * by");
    assert_eq!(told()["loaded"]["came"], "loaded");
    // A file that was not there before.
    person.write("counter/src/more.lua", "More = 'more'");
    edit(person, "counter/src/counter.lua", "Count = Count or 0", "Count = Count or 0 require('more')");
    assert_eq!(told()["loaded"]["came"], "loaded");
    person.write("counter/src/more.lua", "More = 'much more'");
    assert_eq!(told()["loaded"]["came"], "loaded");
    assert_eq!(evaluate("return More .. Count"), "much more7");
}

#[test]
fn what_is_saved_is_loaded_and_what_cannot_be_leaves_the_old_code() {
    let person = Person::new();
    person.network("test");
    person.answer(&["new", "counter"]);
    let mut up = Staying::start(inside(&person, "counter", &["up", "--watch", "--json"]));
    let process = up.next()["loaded"]["process"].as_str().unwrap().to_owned();
    assert!(Path::new(up.next()["watching"]["folder"].as_str().unwrap()).ends_with("counter"));
    let evaluate = |code: &str| person.text(&["eval", &process, code]);
    reload(&person, &mut || up.next(), &evaluate);
    let id = up.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(up.child.wait().unwrap().success());
}

#[test]
fn a_network_that_is_started_in_a_project_has_its_processes_and_follows_their_files() {
    let person = Person::new();
    person.answer(&["new", "counter"]);
    let mut command = inside(&person, "counter", &["dev", "--port", "0", "--json"]);
    command.env("PIRN_LOG", "pirn=info").stderr(Stdio::piped());
    let mut dev = Staying::start(command);
    let ready = dev.next();
    let mut log = BufReader::new(dev.child.stderr.take().unwrap());
    // What the project's part of the log says, until it says that.
    let mut until = |wanted: &str| -> String {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the log ended before {wanted}");
            assert!(line.contains(wanted) || !line.contains("ERROR"), "before {wanted}: {line}");
        }
        line
    };
    let loaded: Value = serde_json::from_str(&until("\"loaded\"")).unwrap();
    let process = loaded["fields"]["process"].as_str().unwrap();
    let url = |part: &str| ready["urls"][part].as_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let at =
            [("--mu", url("mu")), ("--su", url("su")), ("--cu", url("cu")), ("--gateway", url("gateway"))];
        let at: Vec<&str> = at.iter().flat_map(|(flag, url)| [*flag, url.as_str()]).collect();
        person.text(&[arguments, &at[..]].concat())
    };
    let evaluate = |code: &str| run(&["eval", process, code]);
    assert_eq!(evaluate("Count = 7 return Count"), "7");
    run(&["snapshot", "save", "before"]);
    edit(&person, "counter/src/counter.lua", "Count = Count + by", "Count = = by");
    assert!(until("not loaded").contains("src/counter.lua:19"));
    edit(&person, "counter/src/counter.lua", "Count = = by", "Count = Count + 2 * by");
    until("\"loaded\"");
    assert_eq!(evaluate("Count = Count + 1 return Count"), "8");

    // Put back to when it ran the old code, it gets what is in the file now; at the beginning, it is spawned again.
    run(&["snapshot", "restore", "before"]);
    let again: Value = serde_json::from_str(&until("\"loaded\"")).unwrap();
    assert_eq!(again["fields"]["process"], process);
    run(&["send", process, "--action", "Inc", "--tag", "By=5"]);
    assert_eq!(evaluate("return Count"), "17");
    let transport = Transport::new(Options::default()).unwrap();
    let reset = async { Control::new(&url("mu"), transport).reset().await };
    tokio::runtime::Runtime::new().unwrap().block_on(reset).unwrap();
    let anew: Value = serde_json::from_str(&until("\"loaded\"")).unwrap();
    assert_ne!(anew["fields"]["process"], process);
    assert_eq!(run(&["eval", anew["fields"]["process"].as_str().unwrap(), "return Count"]), "0");
}
