//! `pirn cron`: what is monitored, when it is due, up to where it is pushed.

mod person;

use person::Person;

#[test]
fn what_is_monitored_is_listed_with_its_next_and_its_last_tick() {
    let person = Person::new();
    person.network("test");
    person.text(&["clock", "freeze"]);
    assert_eq!(person.text(&["cron"]), "no process is monitored");
    let process =
        person.text(&["spawn", "--tag", "Cron-Interval=10-minutes", "--tag", "Cron-Tag-Action=Cron"]);
    let quiet = person.text(&["spawn"]);
    let stranger = person.refused(&["cron", "monitor", &process, "--wallet", "5"], 1);
    assert!(stranger.contains("does not own process"), "{stranger}");
    for process in [&process, &quiet] {
        assert!(person.text(&["cron", "monitor", process]).starts_with(process.as_str()));
    }
    assert!(person.refused(&["cron", "monitor", &process], 1).contains("already being monitored"));

    let of = |process: &str| {
        let list = person.answer(&["cron"]);
        let one = list["processes"].as_array().unwrap().iter().find(|one| one["process"] == process);
        (one.expect("it is listed").clone(), list["now"].as_u64().unwrap())
    };
    let (one, now) = of(&process);
    assert_eq!((&one["intervals"][0], &one["pushed"]), (&"10-minutes".into(), &serde_json::Value::Null));
    let next = one["next"].as_u64().unwrap();
    assert!(next > now && next <= now + 600_999, "{one}");
    assert!(of(&quiet).0.get("next").is_none());

    let handler =
        r#"Handlers.add("Cron", "Cron", function() Send({ Target = ao.id, Action = "Ticked" }) end)"#;
    person.text(&["eval", &process, handler]);
    person.text(&["clock", "+25m"]);
    let (one, now) = of(&process);
    let log = person.text(&["log", &process]);
    assert_eq!(one["cron"], "0-10-minutes", "{one} {log}");
    let pushed = one["pushed"].as_u64().unwrap();
    assert!(now - pushed < 600_000 && one.get("error").is_none(), "{one}");
    let said = person.text(&["cron"]);
    for part in ["10-minutes", "in ", "(0-10-minutes)", "no cron", "never"] {
        assert!(said.contains(part), "{part}: {said}");
    }

    let (first, second) = if process < quiet { (&process, &quiet) } else { (&quiet, &process) };
    let page = |arguments: &[&str]| person.answer(&[&["cron", "--limit", "1"], arguments].concat());
    let list = page(&[]);
    let ids = |list: &serde_json::Value| list["processes"][0]["process"].as_str().unwrap().to_owned();
    // Ids are ordered by their bytes, their texts are not.
    let (first, second) = if ids(&list) == *first { (first, second) } else { (second, first) };
    assert_eq!((ids(&list), &list["hasNext"]), (first.clone(), &true.into()));
    let list = page(&["--after", first]);
    assert_eq!((ids(&list), &list["hasNext"]), (second.clone(), &false.into()));

    for process in [&process, &quiet] {
        person.text(&["cron", "unmonitor", process]);
    }
    assert_eq!(person.text(&["cron"]), "no process is monitored");
}
