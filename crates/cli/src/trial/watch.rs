//! Waits until a file of the project changes.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use unit::Code;

use crate::error::{Context as _, Result};

/// Milliseconds without a change before tests run again: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(80);

/// Watches a folder as long as it lives.
pub struct Watch {
    changes: Receiver<PathBuf>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Begins to watch a folder and those in it.
    pub fn new(folder: &Path) -> Result<Watch> {
        let (sender, changes) = channel();
        let seen = move |event: notify::Result<Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            for path in event.paths.into_iter().filter(|path| matters(path)) {
                // Nobody listens any more: the program ends.
                let _ = sender.send(path);
            }
        };
        let what = || format!("could not watch {}", folder.display());
        let mut watcher = notify::recommended_watcher(seen).context(Code::FILE, what())?;
        watcher.watch(folder, RecursiveMode::Recursive).context(Code::FILE, what())?;
        Ok(Watch { changes, _watcher: watcher })
    }

    /// Waits for the next change, and until it is quiet. The file that changed first; None if nothing is watched.
    pub fn next(&self) -> Option<PathBuf> {
        let first = self.changes.recv().ok()?;
        loop {
            match self.changes.recv_timeout(QUIET) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return Some(first),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }
}

fn matters(path: &Path) -> bool {
    let hidden = |part: &std::ffi::OsStr| part.to_string_lossy().starts_with('.');
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    matches!(extension, "lua" | "wasm" | "json" | "toml") && !path.file_name().is_some_and(hidden)
}
