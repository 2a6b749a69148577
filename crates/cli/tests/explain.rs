//! Whatever fails has a code, and `pirn explain` knows it.

use std::process::{Command, Output};

fn pirn(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pirn"));
    command.args(arguments).env("NO_COLOR", "1");
    for name in ["GATEWAY_URL", "MU_URL", "SU_URL", "CU_URL", "PIRN_WALLET"] {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// It fails so, in words to people and with its code to programs.
#[track_caller]
fn check(arguments: &[&str], exit: i32, code: &str, hint: &str) {
    let (answer, error) = said(&pirn(arguments));
    assert_eq!(answer, "", "stdout is for answers");
    assert!(error.starts_with(&format!("error[{code}]: ")), "{error}");
    assert!(error.contains(&format!("hint: {hint}")), "{error}");

    let output = pirn(&[arguments, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    let failure: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(failure["code"], code);
    assert!(error.contains(failure["error"].as_str().unwrap().lines().next().unwrap()), "{failure}");
    assert!(!failure["hints"].as_array().unwrap().is_empty(), "{failure}");

    assert!(said(&pirn(&["explain", code])).0.starts_with(code), "{code} is explained");
}

#[test]
fn a_failure_says_its_code_and_what_to_do() {
    check(&["log"], 2, "P0027", "Usage: pirn log");
    check(&["accounts", "--colour"], 2, "P0027", "Usage: pirn accounts");
    check(&["config", "show", "--config", "nowhere.toml"], 2, "P0036", "name one that exists");
    check(&["wallet", "address", "--wallet", "nowhere.json"], 1, "P0035", "`pirn wallet new FILE`");
    check(&["module", "publish", "nowhere.wasm"], 1, "P0036", "`pirn explain P0036` says what to do");
    check(&["explain", "O0007"], 2, "P0042", "did you mean P0007?");
    // Nothing listens on the port of nobody.
    check(&["env", "--mu", "http://127.0.0.1:1"], 1, "P0028", "`pirn dev` starts one");
    let slot = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
    check(&["log", slot, "--su", "http://127.0.0.1:1"], 1, "P0019", "`pirn explain P0019`");
}

#[test]
fn a_code_is_explained_however_it_is_written() {
    let (full, _) = said(&pirn(&["explain", "P0007"]));
    assert!(full.starts_with("P0007: too much at once\n\n") && full.contains("What to do:\n  - "), "{full}");
    assert_eq!(said(&pirn(&["explain", "p7"])).0, full);
    let one: serde_json::Value = serde_json::from_slice(&pirn(&["explain", "7", "--json"]).stdout).unwrap();
    assert_eq!(one["title"], "too much at once");
    let all: serde_json::Value = serde_json::from_slice(&pirn(&["explain", "--json"]).stdout).unwrap();
    assert_eq!(all[6], one);
    assert_eq!(said(&pirn(&["explain"])).0.lines().count(), all.as_array().unwrap().len());
}
