//! Networks in the background: `pirn dev --detach`, `pirn status`, `pirn stop`, and what a kill leaves.

mod person;

use std::process::Command;

use serde_json::Value;

use person::Person;

fn temporary(person: &Person) -> usize {
    std::fs::read_dir(person.folder().join("tmp")).unwrap().count()
}

fn kill(pid: &Value) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_network_in_the_background_is_shown_used_and_stopped() {
    let person = Person::new();
    assert!(person.refused(&["status"], 1).starts_with("error[P0028]"));
    let ready = person.answer(&["dev", "--port", "0", "--detach", "--ready-file", "ready.json"]);
    let file: Value =
        serde_json::from_slice(&std::fs::read(person.folder().join("ready.json")).unwrap()).unwrap();
    assert_eq!(file, ready);

    let shown = &person.answer(&["status"])[0];
    assert_eq!((&shown["pid"], &shown["answers"]), (&ready["pid"], &Value::Bool(true)));
    assert_eq!(shown["network"]["urls"], ready["urls"]);
    assert_eq!(shown["held"], serde_json::json!({ "processes": 0, "has_more": false, "all": false }));
    let mu = ready["urls"]["mu"].as_str().unwrap();
    assert_eq!(person.answer(&["env", "--mu", mu])["MU_URL"], ready["urls"]["mu"]);

    assert_eq!(person.answer(&["stop"])["stopped"][0], ready["pid"]);
    assert!(person.refused(&["stop"], 1).starts_with("error[P0028]"));
    assert!(!person.folder().join("ready.json").exists());
    assert_eq!(temporary(&person), 0);
}

#[test]
fn a_port_that_another_network_has_is_said_with_what_to_do() {
    let person = Person::new();
    let ready = person.answer(&["dev", "--port", "0", "--detach"]);
    let (port, pid) = (ready["ports"]["gateway"].to_string(), &ready["pid"]);
    let said = person.refused(&["dev", "--port", &port], 2);
    let first = format!("error[P0030]: port {port} for the gateway is taken by pirn (pid {pid}), started ");
    assert!(said.starts_with(&first), "{said}");
    assert!(said.contains("hint: use it: `pirn status`"), "{said}");
    assert!(said.contains(&format!("hint: stop that one: `pirn stop --port {port}`")), "{said}");
    // The same from the background: what the network said comes through.
    assert_eq!(person.refused(&["dev", "--port", &port, "--detach"], 2), said);

    let second = person.answer(&["dev", "--port", "0", "--detach"]);
    let said = person.refused(&["stop"], 2);
    assert!(said.contains(&format!("hint: pid {pid}, ")) && said.contains("--all"), "{said}");
    assert!(person.refused(&["stop", "--port", "1"], 1).starts_with("error[P0040]"));
    assert_eq!(person.answer(&["stop", "--port", &port])["stopped"][0], *pid);
    assert_eq!(person.answer(&["stop"])["stopped"][0], second["pid"]);
}

#[test]
fn what_a_kill_leaves_is_recognised_and_removed() {
    let person = Person::new();
    let killed = person.answer(&["dev", "--port", "0", "--detach"]);
    let networks = person.folder().join(".local/state/pirn/networks");
    let entries = || {
        let files = std::fs::read_dir(&networks).unwrap().flatten().map(|file| file.path());
        files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect::<Vec<_>>()
    };
    let state = std::fs::read_dir(person.folder().join("tmp")).unwrap().flatten().next().unwrap().path();
    let held = [&entries()[0], &state.join("temporary.lock")].map(|path| std::fs::File::open(path).unwrap());
    kill(&killed["pid"]);
    // It is gone when it holds them no more.
    held.iter().for_each(|file| file.lock().unwrap());
    drop(held);
    assert!(person.refused(&["stop"], 1).starts_with("error[P0028]"));
    assert!(entries().is_empty());
    assert_eq!(temporary(&person), 1, "its state is still there");
    let next = person.answer(&["dev", "--port", "0", "--detach"]);
    assert_eq!(temporary(&person), 1, "the next one has removed it");
    assert_eq!(person.answer(&["status"]).as_array().unwrap().len(), 1);
    assert_eq!(person.answer(&["stop", "--force"])["stopped"][0], next["pid"]);
}
