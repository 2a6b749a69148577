//! `pirn attest` and `pirn outbox`, against a network.

mod person;

use person::Person;

#[test]
fn a_compute_unit_signs_its_outcomes_and_its_history_only_grows() {
    let person = Person::new();
    person.network("test");
    let process = person.text(&["spawn"]);
    person.text(&["eval", &process, "Count = 1"]);
    let then = person.answer(&["attest", &process, "--state-root"]);
    assert_eq!((&then["index"], &then["size"], &then["leaf"]["slot"]), (&1.into(), &2.into(), &1.into()));
    assert!(then["stateRoot"].is_string(), "{then}");
    let file = person.folder().join("then.json");
    std::fs::write(&file, then.to_string()).unwrap();

    person.text(&["eval", &process, "Count = 2"]);
    let said = person.text(&["attest", &process, "--since", "then.json"]);
    assert!(
        said.contains("slot          2 of ") && said.contains("the history of 2 evaluations of then"),
        "{said}"
    );
    let boot = person.text(&["attest", &process, "0", "--since", "then.json"]);
    assert!(boot.contains("history       0 of 3"), "{boot}");

    // One byte of what was signed is another: nothing of it is believed.
    let statement = then["statement"].as_str().unwrap();
    let middle = statement.len() / 2;
    let other = if statement.as_bytes()[middle] == b'A' { 'B' } else { 'A' };
    let changed = format!("{}{other}{}", &statement[..middle], &statement[middle + 1..]);
    std::fs::write(&file, then.to_string().replace(statement, &changed)).unwrap();
    let said = person.refused(&["attest", &process, "--since", "then.json"], 1);
    assert!(said.starts_with("error[P0049]: "), "{said}");
    let said = person.refused(&["attest", &process, "99"], 1);
    assert!(said.contains("hint: "), "{said}");
}

#[test]
fn what_a_messenger_gave_up_is_listed_with_its_reason() {
    let person = Person::new();
    person.network("test");
    let process = person.text(&["spawn"]);
    // What came of the spawn is on its way for a moment.
    for _ in 0..600 {
        if person.text(&["outbox"]) == "everything is delivered" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(person.text(&["outbox"]), "everything is delivered");
    assert_eq!(person.text(&["outbox", "--dead"]), "no dead letters");
    let lines = "ao.outbox.Messages = {{ Target = 'nobody', Tags = {} }} return 1";
    person.text(&["eval", &process, lines]);
    let mut dead = person.answer(&["outbox", "--dead"]);
    for _ in 0..600 {
        if !dead["entries"].as_array().unwrap().is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        dead = person.answer(&["outbox", "--dead"]);
    }
    let letter = &dead["entries"][0];
    assert!(letter["error"].as_str().unwrap().contains("its Target \"nobody\" is not an id"), "{letter}");
    assert_eq!(letter["dead"]["canRetry"], false);
    let number = letter["number"].to_string();
    let said = person.refused(&["outbox", "retry", &number], 1);
    assert!(said.starts_with("error[P0050]: ") && said.contains("hint: "), "{said}");
    let said = person.refused(&["outbox", "retry", "--all"], 1);
    assert!(said.contains("there is nothing to retry"), "{said}");
}
