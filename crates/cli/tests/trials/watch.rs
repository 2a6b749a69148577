//! Watch mode and colours, in a terminal.

use std::path::Path;

use crate::{CACHE, COUNTER, PASSING, project};

/// A terminal with `pirn test --watch` in it.
struct Terminal {
    child: Box<dyn portable_pty::Child + Send + Sync>,
    lines: std::sync::mpsc::Receiver<String>,
    seen: String,
    _pair: portable_pty::PtyPair,
}

impl Terminal {
    fn open(folder: &Path) -> Terminal {
        let size = portable_pty::PtySize { rows: 40, cols: 120, ..portable_pty::PtySize::default() };
        let pair = portable_pty::native_pty_system().openpty(size).unwrap();
        let mut command = portable_pty::CommandBuilder::new(env!("CARGO_BIN_EXE_pirn"));
        command.args(["test", "--watch"]);
        command.cwd(folder);
        command.env("XDG_CACHE_HOME", CACHE.path());
        command.env_remove("NO_COLOR");
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n) = std::io::Read::read(&mut reader, &mut buffer) {
                if n == 0 || sender.send(String::from_utf8_lossy(&buffer[..n]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, lines, seen: String::new(), _pair: pair }
    }

    /// Reads until it says that, and forgets what it said so far. The bound is only for a run that would never end.
    fn until(&mut self, what: &str) -> String {
        let long = std::time::Duration::from_secs(300);
        while !self.seen.contains(what) {
            let more = self.lines.recv_timeout(long);
            self.seen += &more.unwrap_or_else(|_| panic!("it never says {what:?}, but {}", self.seen));
        }
        let end = self.seen.find(what).unwrap() + what.len();
        let rest = self.seen.split_off(end);
        std::mem::replace(&mut self.seen, rest)
    }
}

#[test]
fn a_change_runs_the_tests_again() {
    let folder = project(&[("test/counter_test.lua", PASSING)]);
    let mut terminal = Terminal::open(folder.path());
    let first = terminal.until("watching for changes");
    assert!(first.contains("\u{1b}[32m3 passed\u{1b}[0m"), "{first:?}");
    let wrong = COUNTER.replace("Count = Count + by", "Count = Count + by + 1");
    std::fs::write(folder.path().join("src/counter.lua"), wrong).unwrap();
    let second = terminal.until("watching for changes");
    assert!(second.contains("src/counter.lua changed") && second.contains("1 failed"), "{second:?}");
    std::fs::write(folder.path().join("src/counter.lua"), COUNTER).unwrap();
    assert!(terminal.until("watching for changes").contains("3 passed"));
    terminal.child.kill().unwrap();
    terminal.child.wait().unwrap();
}
