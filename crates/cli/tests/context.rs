//! Contexts: networks under names, and who wins.

mod person;

use expect_test::expect;
use serde_json::Value;

use person::Person;

/// A value of `config show`, with where it comes from.
#[track_caller]
fn shown(person: &Person, arguments: &[&str], variables: &[(&str, &str)], key: &str) -> String {
    let mut command = person.command(&[&["config", "show", "--json"], arguments].concat());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let settings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let setting = settings.iter().find(|setting| setting["key"] == key);
    setting.map_or_else(
        || "nothing".to_owned(),
        |it| format!("{} ({})", it["value"].as_str().unwrap(), it["source"].as_str().unwrap()),
    )
}

#[test]
fn a_context_is_added_used_shown_and_removed() {
    let person = Person::new();
    let ready = person.network("test");
    let urls = &ready["urls"];
    let context = person.answer(&["context", "show"]);
    // Only the messenger was named: it knows where the others are.
    for part in ["gateway", "bundler", "mu", "su", "cu"] {
        assert_eq!(context[part], urls[part], "{part}");
    }
    assert_eq!(person.answer(&["env"])["CU_URL"], urls["cu"]);
    let process = person.text(&["spawn"]);
    assert_eq!(
        person.text(&["eval", &process, "return Owner"]),
        person.text(&["wallet", "address", "--wallet", "ada"])
    );

    let names = |person: &Person| {
        let all = person.answer(&["context", "ls"]);
        let name = |it: &Value| {
            format!("{}{}", it["name"].as_str().unwrap(), if it["current"] == true { "*" } else { "" })
        };
        all.as_array().unwrap().iter().map(name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&person), "local test*");
    person.answer(&["context", "use", "local"]);
    assert_eq!(names(&person), "local* test");
    assert_eq!(person.text(&["eval", &process, "return 1", "--context", "test"]), "1");
    person.answer(&["context", "rm", "test"]);
    assert_eq!(names(&person), "local*");
    let said = person.refused(&["env", "--context", "tset"], 2);
    assert!(said.starts_with("error[P0041]: there is no context tset"), "{said}");
}

#[test]
fn what_is_nearer_to_the_command_wins_and_says_so() {
    let person = Person::new();
    let urls = ["--gateway", "http://g/", "--mu", "http://m", "--su", "http://s", "--cu", "http://c"];
    person.answer(&[&["context", "add", "test"], &urls[..]].concat());
    let check = |arguments: &[&str], variables: &[(&str, &str)], key: &str, expected: &str| {
        assert_eq!(shown(&person, arguments, variables, key), expected, "{arguments:?} {variables:?}");
    };
    let (mu, test) = ("context.mu", ["--context", "test"]);
    check(&[], &[], mu, r#""http://127.0.0.1:4002" (default)"#);
    check(&["--port", "5000"], &[("MU_URL", "http://x")], mu, r#""http://127.0.0.1:5002" (flag)"#);
    check(&[], &[("MU_URL", "http://x")], mu, r#""http://x" (environment MU_URL)"#);
    check(&test, &[("MU_URL", "http://x")], mu, r#""http://m" (context test)"#);
    check(&[], &[("PIRN_CONTEXT", "test")], "context.gateway", r#""http://g" (context test)"#);
    check(&[], &[("PIRN_CONTEXT", "test")], "context.name", r#""test" (environment PIRN_CONTEXT)"#);
    // Public keys are for networks of one's own.
    check(&test, &[], "context.wallet", "nothing");
    check(&test, &[("PIRN_WALLET", "ben")], "context.wallet", r#""ben" (environment PIRN_WALLET)"#);
    let said = person.refused(&["spawn", "--context", "test"], 1);
    assert!(said.starts_with("error[P0035]: the context test names no wallet"), "{said}");
}

#[test]
fn what_cannot_be_a_context_is_said_with_a_hint() {
    let person = Person::new();
    let check =
        |arguments: &[&str], expect: expect_test::Expect| expect.assert_eq(&person.refused(arguments, 2));
    check(
        &["context", "add", "test", "--mu", "http://127.0.0.1:1"],
        expect![[r#"
        error[P0041]: the context would lack gateway, su, cu
        hint: say where they are: --gateway URL --su URL --cu URL
        hint: a Pirn messenger that can be reached says it itself: `--mu URL` is enough then
    "#]],
    );
    check(
        &["context", "rm", "local"],
        expect![[r#"
        error[P0041]: `local` is built in and cannot be removed
        hint: choose another name; --port N says where a network on this computer is
    "#]],
    );
    check(
        &["context", "add", "test", "--mu", "localhost"],
        expect![[r#"
        error[P0027]: invalid value 'localhost' for '--mu <URL>': expected a URL such as http://127.0.0.1:4002
        hint: For more information, try '--help'.
    "#]],
    );
    person.write(".config/pirn/contexts.toml", "[contexts.test]\nmuu = 'http://m'\n");
    let said = person.refused(&["context", "ls"], 1);
    assert!(said.starts_with("error[P0041]: ") && said.contains("unknown field `muu`"), "{said}");
}

#[test]
fn a_configuration_is_checked_with_what_it_names() {
    let person = Person::new();
    person.write("pirn.toml", "[su]\npage_max = 7\n");
    assert_eq!(person.text(&["config", "check"]), "pirn.toml can be used");
    person.write("pirn.toml", "wallet = 'nowhere.json'\n");
    assert!(person.refused(&["config", "check"], 1).starts_with("error[P0035]: could not read the wallet"));
    person.write("pirn.toml", "roles = []\n");
    assert!(person.refused(&["config", "check"], 2).starts_with("error[P0032]: roles is empty"));
}
