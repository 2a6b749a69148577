//! Help says everything and fits the terminal.

use std::process::Command;

use expect_test::{ExpectFile, expect_file};

fn help(path: &[&str], width: usize) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pirn"))
        .args(path)
        .arg("--help")
        .env("COLUMNS", width.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "pirn {} --help", path.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// The help of a command and of all below it.
fn tree(path: &[&str], width: usize, out: &mut String) {
    let text = help(path, width);
    out.push_str(&format!("$ pirn {}\n{text}\n", [path, &["--help"]].concat().join(" ")));
    let commands =
        text.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
    for line in commands.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        match line.split_whitespace().next() {
            Some("help") | None => {}
            Some(name) => tree(&[path, &[name]].concat(), width, out),
        }
    }
}

#[track_caller]
fn check(width: usize, expect: ExpectFile) {
    let mut all = String::new();
    tree(&[], width, &mut all);
    for line in all.lines() {
        assert!(line.chars().count() <= width, "wider than {width}: {line}");
    }
    expect.assert_eq(&all);
}

#[test]
fn help_fits_80_columns() {
    check(80, expect_file!["snapshots/help-80.txt"]);
}

#[test]
fn help_fits_120_columns() {
    check(120, expect_file!["snapshots/help-120.txt"]);
}
