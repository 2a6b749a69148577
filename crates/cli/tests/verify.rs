//! `pirn verify` and `pirn bundle`, against a network and without one.

mod person;

use person::Person;
use serde_json::Value;

/// Slots of the process that the tests look at: its boot and two Evals.
const SLOTS: u64 = 3;

/// A process, once its whole schedule is on the weave.
fn process(person: &Person) -> String {
    let process = person.text(&["spawn"]);
    person.text(&["eval", &process, "Count = 1"]);
    person.text(&["eval", &process, "Count = Count + 1; return Count"]);
    // What is scheduled goes to the weave in its own time.
    for _ in 0..600 {
        if person.answer(&["verify", &process, "--again"])["slots"] == SLOTS {
            return process;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the schedule does not come to the weave")
}

#[test]
fn a_process_holds_and_an_altered_file_does_not() {
    let person = Person::new();
    person.network("test");
    let process = process(&person);
    let said = person.text(&["verify", &process]);
    assert!(said.starts_with(&format!("{process} holds: 3 slots, signed and in one chain")), "{said}");
    assert!(said.contains("3 of them were checked before (--again checks them again)"), "{said}");
    let again = person.answer(&["verify", &process, "--again"]);
    assert_eq!((&again["resumed"], &again["compared"]), (&0.into(), &SLOTS.into()));
    let memory = again["memory"].as_str().expect("a hash");
    assert_eq!(memory.len(), 64);

    let written = person.answer(&["bundle", &process, "--out", "log.bundle"]);
    // The module, and a message and an assignment for each slot.
    assert_eq!((&written["slots"], &written["items"]), (&SLOTS.into(), &(1 + 2 * SLOTS).into()));
    let from_file = ["verify", &process, "--file", "log.bundle", "--gateway", "http://127.0.0.1:1"];
    assert_eq!(person.answer(&from_file)["memory"], memory);

    let file = person.folder().join("log.bundle");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(9).position(|window| window == b"Count = 1").expect("the message is in the file");
    bytes[at + 8] = b'9';
    std::fs::write(&file, bytes).unwrap();
    let said = person.refused(&from_file, 1);
    assert!(said.starts_with(&format!("error[P0046]: {process} does not hold: slot 1: ")), "{said}");
    assert!(said.contains("not what was signed") && said.contains("hint: "), "{said}");
    let mut command = person.command(&from_file);
    let output = command.arg("--json").output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["finding"]["slot"], &report["finding"]["rule"]), (&1.into(), &"message".into()));
    assert_eq!(report["memory"], Value::Null);
}

#[test]
fn what_cannot_be_asked_is_no_finding() {
    let person = Person::new();
    person.network("test");
    let process = process(&person);
    let said = person.refused(&["verify", &process, "--again", "--cu", "http://127.0.0.1:1"], 1);
    assert!(said.starts_with("error[P0019]"), "{said}");
    let without =
        person.answer(&["verify", &process, "--again", "--no-claims", "--cu", "http://127.0.0.1:1"]);
    assert_eq!((&without["compared"], &without["finding"]), (&0.into(), &Value::Null));
}
