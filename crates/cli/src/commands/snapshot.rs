//! `pirn snapshot`

use clap::{Args, Subcommand};
use serde::Serialize;
use unit::{Control as _, SnapshotInfo};

use crate::error::Result;
use crate::network::Where;
use crate::ui::{Ui, moment, table};

/// Keep a whole development network as it is now, and go back to it
#[derive(Debug, Args)]
pub struct Snapshot {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Keep the network as it is now, under a name
    Save(Named),
    /// Put the network back: nothing that was accepted later is there any more
    Restore(Named),
    /// List the snapshots
    Ls(There),
    /// Forget a snapshot
    Rm(Named),
}

#[derive(Debug, Args)]
struct Named {
    /// Its name: letters, digits and . _ -, at most 64.
    name: String,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Args)]
struct There {
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
struct Removed<'a> {
    removed: &'a str,
}

impl Snapshot {
    /// Asks the network for it.
    pub async fn run(self, ui: Ui) -> Result {
        match self.what {
            What::Save(Named { name, at }) => {
                let made = at.control()?.save_snapshot(&name).await?;
                ui.answer(format!("saved {name} at block {}", made.height), &made);
            }
            What::Restore(Named { name, at }) => {
                let back = at.control()?.restore_snapshot(&name).await?;
                ui.answer(format!("back at {name}, block {}", back.height), &back);
            }
            What::Rm(Named { name, at }) => {
                at.control()?.remove_snapshot(&name).await?;
                ui.answer(format!("removed {name}"), &Removed { removed: &name });
            }
            What::Ls(There { at }) => {
                let snapshots = at.control()?.snapshots().await?;
                let row = |one: &SnapshotInfo| {
                    let clock = if one.still { "clock stands" } else { "clock runs" };
                    vec![
                        one.name.clone(),
                        format!("block {}", one.height),
                        moment(one.at.0),
                        clock.to_owned(),
                        format!("{} KiB", one.bytes.div_ceil(1024)),
                    ]
                };
                let rows: Vec<_> = snapshots.iter().map(row).collect();
                ui.answer(table(&rows), &snapshots);
            }
        }
        Ok(())
    }
}
