//! `pirn backup` and `pirn restore`

use std::path::PathBuf;

use clap::Args;
use node::{BackedUp, Behind, Existing};
use serde::Serialize;
use unit::Code;

use super::node::failed;
use crate::error::{Context as _, Result};
use crate::ui::Ui;

/// Copy a state folder, also while a node uses it; the next time, only what is new
///
/// The backup has the log, the checkpoints, and the keys that the units made in the state folder: keep it as safe as the
/// keys. Everything that was acknowledged before it began is in it. `pirn restore` brings it back.
#[derive(Debug, Args)]
pub struct Backup {
    /// The state folder.
    #[arg(long, value_name = "DIR", required_unless_present = "verify")]
    state: Option<PathBuf>,
    /// The folder of the backup; made if it is not there.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Read all of the backup afterwards, and compare every record with its checksum. Without --state, do only that.
    #[arg(long)]
    verify: bool,
}

/// Make a state folder of a backup; every record is compared with its checksum
///
/// A backup may be behind what others saw of the schedules, so after the next start their scheduler schedules nothing
/// until you say so: `pirn recover`. A development network goes on at once.
#[derive(Debug, Args)]
pub struct Restore {
    /// The folder of the backup.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The state folder to make. No node may be using it.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Replace what is in the state folder, its keys included.
    #[arg(long)]
    force: bool,
    /// The backup has all that ever was: the node was stopped before it was made, and never ran since. Its scheduler goes
    /// on at once. If that is not so, it signs slots a second time that others have seen.
    #[arg(long)]
    complete: bool,
}

/// A backup as programs get it.
#[derive(Serialize)]
struct Said<'a> {
    folder: &'a PathBuf,
    segments: usize,
    blobs: usize,
    files: usize,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_copied: Option<u64>,
    verified: bool,
    damaged_blobs: &'a [String],
}

impl<'a> Said<'a> {
    fn of(folder: &'a PathBuf, done: &'a BackedUp) -> Said<'a> {
        Said {
            folder,
            segments: done.segments,
            blobs: done.blobs,
            files: done.files,
            bytes: done.bytes,
            bytes_copied: None,
            verified: true,
            damaged_blobs: &done.damaged_blobs,
        }
    }
}

fn summary(done: &BackedUp) -> String {
    let BackedUp { segments, blobs, files, bytes, .. } = done;
    let kib = bytes.div_ceil(1024);
    format!("{segments} segments of the log, {blobs} checkpoints, {files} other files, {kib} KiB")
}

impl Backup {
    /// Copies, and checks if it is asked to.
    pub async fn run(self, ui: Ui) -> Result {
        ui.log();
        let Backup { state, to, verify } = self;
        let (folder, made) = (to.clone(), state.is_some());
        let work = move || {
            let made = state.map(|state| node::back_up(&state, &to)).transpose()?;
            let checked = verify.then(|| node::verify_backup(&to)).transpose()?;
            Ok((made, checked))
        };
        let (backed_up, checked) = on_disk(work).await?;
        for name in backed_up.iter().flat_map(|done| &done.damaged_blobs) {
            ui.note(format!("the checkpoint {name} is damaged and is left out: it will be made again"));
        }
        let done = backed_up.or(checked).unwrap_or_default();
        let text = match made {
            true => format!(
                "backed up to {}: {}, {} KiB of them new",
                folder.display(),
                summary(&done),
                done.bytes_copied.div_ceil(1024)
            ),
            false => format!("{} holds: {}", folder.display(), summary(&done)),
        };
        let copied = made.then_some(done.bytes_copied);
        ui.answer(text, &Said { bytes_copied: copied, verified: verify, ..Said::of(&folder, &done) });
        Ok(())
    }
}

impl Restore {
    /// Checks and copies.
    pub async fn run(self, ui: Ui) -> Result {
        ui.log();
        let Restore { from, state, force, complete } = self;
        let folder = state.clone();
        let existing = if force { Existing::Replace } else { Existing::Keep };
        let behind = if complete { Behind::No } else { Behind::Perhaps };
        let done = on_disk(move || node::restore(&from, &state, existing, behind)).await?;
        let text = format!("restored to {}: {}", folder.display(), summary(&done));
        ui.answer(text, &Said::of(&folder, &done));
        if !complete {
            ui.note("its scheduler schedules nothing until you confirm what it knows: `pirn recover`");
        }
        Ok(())
    }
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, node::Error> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.context(Code::INTERNAL, "it came to no end")?;
    done.map_err(failed)
}
