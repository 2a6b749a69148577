//! A node that cannot use its disk or its ports says what is wrong, where, and what to do. `docs/recovery.md` lists it all.

mod person;

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use person::Person;

/// A node that answers, and what it says of itself.
fn started(mut command: Command) -> (Child, Value) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let said = serde_json::from_str(&line);
    (child, said.unwrap_or_else(|error| panic!("{error}: {line:?}")))
}

const NODE: [&str; 6] = ["node", "--port", "0", "--state", "state", "--json"];

fn stop(mut child: Child) {
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(told.success());
    assert!(child.wait().unwrap().success());
}

/// How a node does not start: its exit status is 1.
#[track_caller]
fn refused(person: &Person, state: &str) -> String {
    person.refused(&["node", "--port", "0", "--state", state], 1)
}

/// A state folder with something in it, of a node that was stopped.
fn state(person: &Person) {
    stop(started(person.command(&NODE)).0);
}

#[test]
fn a_full_disk_ends_the_node_with_the_reason() {
    let person = Person::new();
    state(&person);
    let command = person.command(&NODE);
    // A limit on the size of files, in blocks of 512 or 1024 bytes: beyond it a write fails as on a full disk.
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 200; exec \"$0\" \"$@\""]).arg(command.get_program());
    limited.args(command.get_args()).current_dir(person.folder()).env("HOME", person.folder());
    let (mut child, ready) = started(limited);
    let mu = ready["urls"]["mu"].as_str().unwrap().to_owned();
    let spawn = ["spawn", "--wallet", "wallet.json"];
    person.text(&["wallet", "new", "wallet.json"]);
    person.text(&["context", "add", "full", "--mu", &mu, "--use"]);
    let said = person.run(&spawn);
    assert!(!said.status.success(), "the module is larger than that: {said:?}");
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.starts_with("error[P0024]") && said.contains("hint: "), "{said}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["code"], "P0024", "{log}");
    let error = last["error"].as_str().unwrap();
    assert!(error.contains("accepts nothing more: could not write"), "{error}");
    assert!(error.contains("File too large"), "{error}");
    assert!(last["hints"][0].as_str().unwrap().contains("`df`"), "{log}");

    // There is room again.
    let (child, ready) = started(person.command(&NODE));
    let mu = ready["urls"]["mu"].as_str().unwrap();
    person.text(&["context", "add", "again", "--mu", mu, "--use"]);
    person.text(&spawn);
    stop(child);
}

#[test]
fn a_damaged_log_is_refused_with_its_file_and_place() {
    let person = Person::new();
    state(&person);
    let segment = person.folder().join("state/log/0000000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100] ^= 4;
    std::fs::write(&segment, &bytes).unwrap();
    let said = refused(&person, "state");
    assert!(said.starts_with("error[P0024]: cannot open the state in "), "{said}");
    assert!(said.contains("the log is damaged: ") && said.contains("/log/0000000001.log at byte "), "{said}");
    assert!(said.contains("hint: ") && said.contains("`pirn restore --from BACKUP --state DIR`"), "{said}");
    assert_eq!(std::fs::read(&segment).unwrap(), bytes, "it is left as it is");
}

#[test]
fn a_state_of_a_newer_version_is_refused() {
    let person = Person::new();
    state(&person);
    let segment = person.folder().join("state/log/0000000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[8] = 99;
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&segment, &bytes).unwrap();
    let said = refused(&person, "state");
    assert!(said.contains("is a log of version 99; this program knows version 2"), "{said}");
    assert!(said.contains("hint: start it with the version of Pirn that wrote it"), "{said}");
    assert_eq!(std::fs::read(&segment).unwrap(), bytes, "it is left as it is");
}

#[test]
fn a_state_that_another_node_has_is_refused() {
    let person = Person::new();
    let (child, _) = started(person.command(&NODE));
    let said = refused(&person, "state");
    assert!(said.starts_with("error[P0034]: cannot open the state in "), "{said}");
    assert!(said.contains("hint: another node uses that folder"), "{said}");
    stop(child);
}

#[test]
fn a_state_folder_that_cannot_be_made_is_said() {
    let person = Person::new();
    // Whoever runs the test may be allowed everything, but nobody can make a folder in a file.
    person.write("file", "text");
    let said = refused(&person, "file/state");
    assert!(said.contains("cannot make ") && said.contains("file/state"), "{said}");
    assert!(said.contains("Not a directory") && said.contains("hint: see that the path is right"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_said() {
    let person = Person::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    // Five in a row must be ports at all.
    let taken = if port < 65_000 { taken } else { TcpListener::bind("127.0.0.1:0").unwrap() };
    let port = taken.local_addr().unwrap().port().to_string();
    let said = person.refused(&["node", "--port", &port, "--state", "state"], 2);
    assert!(said.starts_with(&format!("error[P0030]: port {port} for the gateway is taken")), "{said}");
    assert!(said.contains("hint: start on other ports"), "{said}");
    assert!(!person.folder().join("state").exists(), "nothing was written");
}
