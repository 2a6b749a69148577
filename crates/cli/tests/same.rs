//! What a process sees under `pirn test` is what it sees under `pirn dev`: the same project, loaded and sent messages
//! both ways, notes everything that it is given, and both notes are compared byte for byte. Only ids, signatures and the
//! clock are others: each id is replaced by the number of its first appearance, each time by a word.

mod person;

use std::collections::BTreeMap;

use person::Person;
use serde_json::Value;

/// Notes all that its handlers are given, passes messages on to another of its kind, and fails when it is told to.
const NOTER: &str = r#"
local json = require("json")
Seen = Seen or {}
Handlers.prepend("note", function(m) return m.Action ~= "Eval" and "continue" end, function(m)
  local seen = {}
  for k, v in pairs(m) do
    if type(v) ~= "function" then seen[k] = v end
  end
  Seen[#Seen + 1] = { message = seen, env = ao.env, owner = Owner, authorities = ao.authorities }
end)
Handlers.add("pass", "Pass", function(m)
  Send({ Target = m.To, Action = "Passed", Data = m.Data, ["X-Note"] = m["X-Note"], Quantity = 5 })
end)
Handlers.add("passed", "Passed", function(m)
  Total = (Total or 0) + tonumber(m.Quantity)
  m.reply({ Action = "Thanks", Data = json.encode({ Total, #m.Data, math.type(Total) }) })
end)
Handlers.add("show", "Show", function(m)
  print({ Action = m.Action, Data = m.Data })
end)
Handlers.add("fail", "Fail", function(m)
  Total = 99
  error("on purpose: " .. m.Data)
end)
"#;

const PROJECT: &str = r#"
[processes.first]
source = "src/noter.lua"
tags = { "On" = "purpose", "Second" = "tag" }
owner = "ada"

[processes.second]
source = "src/noter.lua"
owner = "ada"
"#;

/// A message in the words of both: the action, its own tags, the data.
type Sent = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const MESSAGES: &[Sent] = &[
    (
        "Show",
        &[("X-Note", "ü 漢字"), ("Lower-case", "kept"), ("Empty", "x")],
        "text with \"quotes\" and\nlines",
    ),
    ("Pass", &[("To", "SECOND"), ("X-Note", "on the way")], "12345"),
    ("Fail", &[], "so it is"),
    ("Pass", &[("To", "SECOND")], "a"),
    ("Nothing-Handles-This", &[("Number", "007")], "."),
];

const READ: &str = "require('json').encode({ Seen = Seen, Total = Total, Inbox = Inbox, Errors = Errors })";

fn test_file() -> String {
    let mut sends = String::new();
    for (action, tags, data) in MESSAGES {
        let tags: Vec<String> = tags
            .iter()
            .map(|(name, value)| match *value {
                "SECOND" => format!("{{ name = {name:?}, value = second.id }}"),
                value => format!("{{ name = {name:?}, value = {value:?} }}"),
            })
            .collect();
        sends += &format!(
            "  result = first:send({{ Action = {action:?}, Tags = {{ {} }}, Data = {data:?} }})\n  \
             print(json.encode({{ output = result.output, error = result.error, gas = result.gas }}))\n",
            tags.join(", ")
        );
    }
    format!(
        "local json = require('json')\nit('is noted', function()\n  local first, second, result = t.spawn('first'), t.spawn('second')\n{sends}  \
         print(first:eval(\"return {READ}\"))\n  print(second:eval(\"return {READ}\"))\nend)\n"
    )
}

/// Ids by the number of their first appearance, and no times.
fn masked(text: &str) -> String {
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
            word.push(c);
            continue;
        }
        let is_number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
        match word.len() {
            43.. => {
                let next = ids.len();
                out += &format!("<{}>", ids.entry(word.clone()).or_insert(next));
            }
            13 if is_number => out += "<time>",
            _ => out += &word,
        }
        word.clear();
        out.push(c);
    }
    // Heights of blocks are those of their networks.
    let mut parts = out.split("\"Block-Height\":");
    let mut shown = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find([',', '}']).unwrap();
        shown += "\"Block-Height\":<height>";
        shown += &part[end..];
    }
    shown
}

#[test]
fn a_process_sees_under_test_what_it_sees_on_a_network() {
    let person = Person::new();
    person.network("same");
    person.write("project/pirn.toml", PROJECT);
    person.write("project/src/noter.lua", NOTER);
    person.write("project/test/noter_test.lua", &test_file());
    let inside = |arguments: &[&str]| {
        let mut command = person.command(arguments);
        command.current_dir(person.folder().join("project"));
        command.output().unwrap()
    };
    let answer = |arguments: &[&str]| -> Value {
        let output = inside(&[arguments, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    };

    let report = answer(&["test"]);
    let test = &report["files"][0]["tests"][0];
    assert_eq!(test["status"], "passed", "{report:#}");
    let printed: Vec<&str> =
        test["printed"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();

    let up = answer(&["up"]);
    let second = up.as_array().unwrap().iter().find(|one| one["name"] == "second").unwrap();
    let second = second["process"].as_str().unwrap();
    for (at, (action, tags, data)) in MESSAGES.iter().enumerate() {
        let mut arguments: Vec<String> = ["send", "first", "--action", action, data].map(Into::into).into();
        for (name, value) in *tags {
            let value = if *value == "SECOND" { second } else { value };
            arguments.extend(["--tag".to_owned(), format!("{name}={value}")]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let sent = inside(&[&arguments[..], &["--json"]].concat());
        let shown: Value = serde_json::from_str(printed[at]).unwrap();
        assert_eq!(sent.status.success(), shown["error"].is_null(), "{sent:?} {shown}");
        // Under test a message comes when all that followed from the one before is done.
        while answer(&["outbox"])["entries"] != serde_json::json!([]) {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    let read = |name: &str| {
        let seen = answer(&["eval", name, &format!("return {READ}")]);
        seen["Output"]["data"].as_str().unwrap_or_else(|| panic!("{seen}")).to_owned()
    };
    let (tested, lived) = (&printed[MESSAGES.len()..], [read("first"), read("second")]);
    for (tested, lived) in tested.iter().zip(&lived) {
        assert!(tested.contains("Passed") || tested.contains("Pass"), "{tested}");
        assert_eq!(masked(tested), masked(lived));
    }
}
