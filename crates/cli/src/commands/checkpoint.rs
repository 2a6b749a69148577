//! `pirn checkpoint`

use clap::Args;
use pirn_http::wire::cu::CheckpointShape;
use protocol::{ProcessId, hex};
use unit::Compute as _;

use super::parse_process;
use crate::error::Result;
use crate::network::Where;
use crate::ui::{Ui, table};

/// Have a compute unit publish the memory of a process on the weave, signed
///
/// Whoever trusts that unit (cu.checkpoints.trusted_owners) then starts the process from there, not from its beginning.
/// A unit does so on a development network, and where its operator allows it (cu.checkpoints.on_demand). What was
/// published before is not published again.
#[derive(Debug, Args)]
pub struct Checkpoint {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: ProcessId,
    #[command(flatten)]
    at: Where,
}

impl Checkpoint {
    /// Asks, and shows what is on the weave.
    pub async fn run(self, ui: Ui) -> Result {
        let published = self.at.clients()?.cu.publish_checkpoint(self.process).await?;
        let row = |name: &str, said: String| vec![name.to_owned(), said];
        let after = match &published.cron {
            None => format!("slot {}", published.slot),
            Some(cron) => format!("slot {} and cron {cron}", published.slot),
        };
        let rows = [
            row("Checkpoint", published.id.to_string()),
            row("After", after),
            row("Memory", format!("{} bytes", published.size_bytes)),
            row("SHA-256", hex::to_hex(&published.sha256)),
        ];
        ui.answer(table(&rows), &CheckpointShape::from(&published));
        if !published.is_new {
            ui.note("it was published before");
        }
        Ok(())
    }
}
