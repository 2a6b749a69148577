//! Files that are saved.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use unit::Code;

use crate::error::{Context as _, Result};

/// Editors save in several steps: so long nothing may happen before a change is one.
const QUIET: Duration = Duration::from_millis(40);
/// So often that is waited for, at most.
const WAITS_MAX: usize = 50;

/// Watches the folders of files: a file that is replaced, or made, is seen as well as one that is written.
pub struct Watcher {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    changes: mpsc::Receiver<()>,
}

impl Watcher {
    /// Watches nothing yet.
    pub fn new() -> Result<Watcher> {
        // One is as good as many: whoever is told looks at everything.
        let (changed, changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // To read a file is no change.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = changed.try_send(());
            }
        });
        let watcher = watcher.context(Code::FILE, "could not watch files")?;
        Ok(Watcher { watcher, folders: BTreeSet::new(), changes })
    }

    /// Watches what these files are in, and nothing else any more. True if that is more than before.
    pub fn watch<'a>(&mut self, files: impl Iterator<Item = &'a Path>) -> bool {
        let folder = |file: &'a Path| file.ancestors().skip(1).find(|folder| folder.is_dir());
        let folders: BTreeSet<PathBuf> = files.filter_map(folder).map(ToOwned::to_owned).collect();
        for gone in self.folders.difference(&folders) {
            let _ = self.watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %new.display(), %error, "could not watch");
            }
        }
        let more = !folders.is_subset(&self.folders);
        self.folders = folders;
        more
    }

    /// Waits until something has changed and nothing does any more.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            // Nobody watches any more: there is nothing to come.
            std::future::pending::<()>().await;
        }
        for _ in 0..WAITS_MAX {
            if tokio::time::timeout(QUIET, self.changes.recv()).await.is_err() {
                return;
            }
        }
    }
}
