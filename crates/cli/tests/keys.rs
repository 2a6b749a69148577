//! `pirn dev` in a terminal listens to keys.

mod person;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use person::Person;

/// What a terminal shows, until it shows that.
fn until(terminal: &mut File, wanted: &str) -> String {
    let mut shown = String::new();
    let mut bytes = [0; 4096];
    while !shown.contains(wanted) {
        let read =
            terminal.read(&mut bytes).unwrap_or_else(|error| panic!("{error}, before {wanted}: {shown}"));
        assert_ne!(read, 0, "it ended before {wanted}: {shown}");
        shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    shown
}

#[test]
fn keys_show_the_log_and_end_the_network() {
    let person = Person::new();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = || {
        let opened = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        Stdio::from(opened.unwrap())
    };
    let pirn = person.command(&["dev", "--port", "0"]);
    // Of util-linux: the terminal becomes that of the program.
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg("--wait").arg(pirn.get_program()).args(pirn.get_args());
    for (name, value) in pirn.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(person.folder()).stdin(side()).stdout(side()).stderr(side());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut terminal = File::from(terminal);
    until(&mut terminal, "q quit");
    terminal.write_all(b"l").unwrap();
    until(&mut terminal, "the log is shown");
    terminal.write_all(b"xl").unwrap();
    let shown = until(&mut terminal, "the log is hidden");
    assert!(!shown.contains("xl"), "what is pressed is not shown: {shown}");
    terminal.write_all(b"q").unwrap();
    until(&mut terminal, "stopping");
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(person.folder().join("tmp")).unwrap().count(), 0);
}
