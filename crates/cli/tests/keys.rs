//! `pirn dev` in a terminal listens to keys.

mod person;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use person::Person;

/// A terminal, and what it shows that was not looked at yet.
struct Terminal {
    file: File,
    shown: String,
}

impl Terminal {
    /// What it shows until it shows that.
    fn until(&mut self, wanted: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            let shown = &mut self.shown;
            if let Some(at) = shown.find(wanted) {
                let rest = shown.split_off(at + wanted.len());
                return std::mem::replace(shown, rest);
            }
            let read = self.file.read(&mut bytes);
            let read = read.unwrap_or_else(|error| panic!("{error}, before {wanted}: {shown}"));
            assert_ne!(read, 0, "it ended before {wanted}: {shown}");
            shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }

    fn press(&mut self, keys: &str) {
        self.file.write_all(keys.as_bytes()).unwrap();
    }
}

#[test]
fn keys_show_the_log_save_reset_and_end_the_network() {
    let person = Person::new();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = || {
        let opened = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        Stdio::from(opened.unwrap())
    };
    let pirn = person.command(&["dev", "--port", "0", "--mine", "manual"]);
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
    let mut terminal = Terminal { file: File::from(terminal), shown: String::new() };
    terminal.until("h help");
    terminal.press("l");
    terminal.until("the log is shown");
    terminal.press("xl");
    let shown = terminal.until("the log is hidden");
    assert!(!shown.contains("xl"), "what is pressed is not shown: {shown}");
    terminal.press("h");
    let help = terminal.until("h help");
    assert!(help.contains("s save a snapshot") && help.contains("r reset"), "{help}");

    // Saved, changed, and back, by the words that were said.
    terminal.press("s");
    let said = terminal.until("--state DIR");
    assert!(said.contains("saved s1 at block "), "{said}");
    let (_, restore) = said.split_once("back to it: pirn ").unwrap();
    let restore: Vec<_> = restore.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(restore[..3], ["snapshot", "restore", "s1"]);
    let at = &restore[3..];
    let ask = |arguments: &[&str]| person.answer(&[arguments, at].concat());
    let height = || ask(&["mine"])["height"].as_u64().unwrap();
    let first = height();
    assert_eq!(height(), first + 1);
    person.text(&restore);
    assert_eq!(height(), first, "it went back");
    terminal.press("s");
    terminal.until("saved s2 at block ");
    terminal.until("--state DIR");

    // Once is not enough, and another key in between says no.
    terminal.press("r");
    terminal.until("r again to do it");
    terminal.press("x");
    terminal.until("not reset");
    assert_eq!(height(), first + 1, "nothing was lost");
    terminal.press("r");
    terminal.until("r again to do it");
    terminal.press("r");
    terminal.until("as at its beginning");
    assert_eq!(height(), first, "all was lost");
    let names = ask(&["snapshot", "ls"]);
    let names: Vec<_> = names.as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["s1", "s2"]);

    terminal.press("q");
    terminal.until("stopping");
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(person.folder().join("tmp")).unwrap().count(), 0);
}
