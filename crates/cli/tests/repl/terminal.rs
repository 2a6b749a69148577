//! A terminal that is not there: a pseudo-terminal, the program in it, and the screen that a person would see.

use std::io::{Read as _, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// What a program asks to know where the cursor is.
const WHERE: &[u8] = b"\x1b[6n";
const ROWS: u16 = 50;
const COLUMNS: u16 = 120;
/// Nobody waits longer for what never comes.
const NEVER: Duration = Duration::from_secs(60);

type Writer = Arc<Mutex<Box<dyn Write + Send>>>;

/// The screen, and whether the program has closed it.
struct Screen {
    parser: vt100::Parser,
    closed: bool,
}

/// A program in a terminal.
pub struct Terminal {
    screen: Arc<(Mutex<Screen>, Condvar)>,
    writer: Writer,
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Runs a program.
    pub fn run(program: &str, arguments: &[&str], settings: &[(&str, String)], folder: &Path) -> Terminal {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.cwd(folder);
        command.env_remove("PIRN_WALLET");
        for (name, value) in settings {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let writer: Writer = Arc::new(Mutex::new(pair.master.take_writer().unwrap()));
        let screen = Screen { parser: vt100::Parser::new(ROWS, COLUMNS, 0), closed: false };
        let screen = Arc::new((Mutex::new(screen), Condvar::new()));
        let (theirs, answers) = (screen.clone(), writer.clone());
        std::thread::spawn(move || {
            let mut waiting: Vec<u8> = Vec::new();
            let mut bytes = [0; 4096];
            loop {
                let count = reader.read(&mut bytes).unwrap_or(0);
                let mut screen = theirs.0.lock().unwrap();
                if count == 0 {
                    screen.closed = true;
                    theirs.1.notify_all();
                    return;
                }
                waiting.extend_from_slice(&bytes[..count]);
                while let Some(at) = waiting.windows(WHERE.len()).position(|part| part == WHERE) {
                    screen.parser.process(&waiting[..at]);
                    waiting.drain(..at + WHERE.len());
                    let (row, column) = screen.parser.screen().cursor_position();
                    let _ = write!(answers.lock().unwrap(), "\u{1b}[{};{}R", row + 1, column + 1);
                    let _ = answers.lock().unwrap().flush();
                }
                // The beginning of a question may be at the end of what came.
                let open =
                    (1..WHERE.len()).rev().find(|length| waiting.ends_with(&WHERE[..*length])).unwrap_or(0);
                let whole = waiting.len() - open;
                screen.parser.process(&waiting[..whole]);
                waiting.drain(..whole);
                theirs.1.notify_all();
            }
        });
        Terminal { screen, writer, child, _master: pair.master }
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        let mut writer = self.writer.lock().unwrap();
        writer.write_all(keys.as_bytes()).unwrap();
        writer.flush().unwrap();
    }

    /// All that is on the screen.
    pub fn screen(&self) -> String {
        text(&self.screen.0.lock().unwrap())
    }

    /// Whether the last place on the screen that has this text is coloured.
    #[track_caller]
    pub fn is_coloured(&self, wanted: &str) -> bool {
        let screen = self.screen.0.lock().unwrap();
        let screen = screen.parser.screen();
        let found =
            screen.rows(0, COLUMNS).enumerate().filter_map(|(row, line)| Some((row, line.find(wanted)?)));
        let (row, column) = found.last().expect("the text is on the screen");
        let cell = screen.cell(row.try_into().unwrap(), column.try_into().unwrap()).unwrap();
        cell.fgcolor() != vt100::Color::Default
    }

    /// Waits until the screen has this text.
    #[track_caller]
    pub fn wait(&self, wanted: &str) {
        self.until(&format!("{wanted:?}"), |screen| text(screen).contains(wanted));
    }

    /// Waits until the line with the cursor is as wanted.
    #[track_caller]
    pub fn wait_for_line(&self, wanted: impl Fn(&str) -> bool) {
        self.until("a line with the cursor", |screen| {
            let (row, _) = screen.parser.screen().cursor_position();
            let line = screen.parser.screen().rows(0, COLUMNS).nth(row.into()).unwrap_or_default();
            wanted(line.trim_end())
        });
    }

    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn(&Screen) -> bool) {
        let (screen, changed) = &*self.screen;
        let waits = |screen: &mut Screen| !holds(screen) && !screen.closed;
        let (screen, _) = changed.wait_timeout_while(screen.lock().unwrap(), NEVER, waits).unwrap();
        assert!(holds(&screen), "not there: {what}\n{}", text(&screen));
    }

    /// Waits for the program to end; whether it ended well.
    #[track_caller]
    pub fn ended(&mut self) -> bool {
        const LOOKS: u32 = 6000;
        for _ in 0..LOOKS {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(NEVER / LOOKS);
        }
        panic!("it does not end\n{}", self.screen());
    }
}

fn text(screen: &Screen) -> String {
    let lines: Vec<String> =
        screen.parser.screen().rows(0, COLUMNS).map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
