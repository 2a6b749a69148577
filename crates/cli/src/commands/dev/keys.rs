//! Keys that are pressed while a network runs in a terminal.

use std::io::{IsTerminal as _, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The log, or no log any more.
    Logs,
    /// A snapshot of the network.
    Save,
    /// The network as it was at its beginning.
    Reset,
    /// The end.
    Quit,
    /// To know what the keys do.
    Help,
    /// Nothing that there is a key for.
    Other,
}

/// What the keys do, on one line.
pub const HELP: &str = "keys: l logs · s save a snapshot · r reset · q quit · h help";

/// The terminal, telling keys as they are pressed; as it was before, when this is dropped.
pub struct Keys {
    before: Termios,
    pressed: mpsc::Receiver<Key>,
}

impl Keys {
    /// Listens to the terminal. None where there is none, or where it is not for this program to read.
    pub fn listen() -> Option<Keys> {
        let stdin = std::io::stdin();
        if !stdin.is_terminal() || !std::io::stdout().is_terminal() || !is_in_foreground() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut at_once = before.clone();
        // Each key by itself, and unseen. Ctrl-C stays what it is.
        at_once.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &at_once).ok()?;
        let (press, pressed) = mpsc::channel(16);
        // It ends with the program: nothing else ends a read of a terminal.
        std::thread::spawn(move || {
            let mut byte = [0];
            while matches!(std::io::stdin().read(&mut byte), Ok(1)) {
                if press.blocking_send(key(byte[0])).is_err() {
                    return;
                }
            }
        });
        Some(Keys { before, pressed })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Key {
        match self.pressed.recv().await {
            Some(key) => key,
            // The terminal is gone; who sits there does not press any more.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// A program in the background that reads its terminal would be stopped.
fn is_in_foreground() -> bool {
    rustix::termios::tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
}

fn key(byte: u8) -> Key {
    match byte {
        b'l' => Key::Logs,
        b's' => Key::Save,
        b'r' => Key::Reset,
        b'q' => Key::Quit,
        b'h' | b'?' => Key::Help,
        _ => Key::Other,
    }
}
