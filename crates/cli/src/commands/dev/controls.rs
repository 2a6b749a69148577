//! What keys do with the network: snapshots, and back to the beginning.

use std::sync::Arc;

use node::Node;
use unit::{Control, SnapshotInfo};

use crate::error::Result;
use crate::ui::Ui;

/// The controls of the network that runs here, and how its person would reach them from another shell.
pub struct Controls {
    control: Arc<dyn Control>,
    /// What a reset takes away.
    pub loses: String,
    /// What `pirn snapshot` needs to be told to come here.
    at: String,
    temporary: bool,
}

impl Controls {
    /// Those of a node.
    pub fn of(node: &Node) -> Controls {
        let messenger = node.network().urls.get("mu").map(String::as_str).unwrap_or_default();
        let at = match messenger {
            "http://127.0.0.1:4002" => String::new(),
            elsewhere => format!(" --mu {elsewhere}"),
        };
        let loses = match node.state() {
            Some(state) => format!("reset: all of {} but its snapshots goes", state.display()),
            None => "reset: everything but the snapshots goes".to_owned(),
        };
        Controls { control: node.control(), loses, at, temporary: node.state().is_none() }
    }

    /// Saves a snapshot under the next free name, and says how to come back to it.
    pub async fn save(&self, ui: Ui) {
        match self.try_save().await {
            Ok(saved) => {
                let (name, height, at) = (&saved.name, saved.height, &self.at);
                ui.note(format!(
                    "saved {name} at block {height} · back to it: pirn snapshot restore {name}{at}"
                ));
                if self.temporary {
                    ui.note("it goes when the network ends: keep both with --state DIR");
                }
            }
            Err(failure) => ui.failed(&failure),
        }
    }

    async fn try_save(&self) -> Result<SnapshotInfo> {
        let taken = self.control.snapshots().await?;
        let names = (1_u64..).map(|number| format!("s{number}"));
        let mut free = names.filter(|name| taken.iter().all(|one| one.name != *name));
        let name = free.next().expect("there are fewer snapshots than numbers");
        Ok(self.control.save_snapshot(&name).await?)
    }

    /// Puts the network back to its beginning.
    pub async fn reset(&self, ui: Ui) {
        ui.note("resetting");
        match self.control.reset().await {
            Ok(()) => ui.note("the network is as at its beginning"),
            Err(error) => ui.failed(&error.into()),
        }
    }
}
