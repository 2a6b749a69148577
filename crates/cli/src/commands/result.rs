//! `pirn result`

use clap::Args;
use protocol::{Id, ProcessId, Slot};
use unit::{Code, Compute as _, Scheduler as _, SlotRange};

use super::{Shown, check, outbox_of, output_of, parse_process};
use crate::error::{Failure, Result};
use crate::network::{Clients, Where};
use crate::ui::Ui;

/// Show what came of a message, by slot, message id or assignment id
#[derive(Debug, Args)]
pub struct Show {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: ProcessId,
    /// A slot or an id. Default: the newest message.
    #[arg(allow_hyphen_values = true)]
    which: Option<String>,
    #[command(flatten)]
    at: Where,
}

impl Show {
    /// Finds the message and asks for its outcome.
    pub async fn run(self, ui: Ui) -> Result {
        let clients = self.at.clients()?;
        let id = find(&clients, self.process, self.which.as_deref()).await?;
        let outcome = clients.cu.result(self.process, id).await?;
        let mut lines = outbox_of(&outcome);
        lines.push(output_of(&outcome));
        ui.answer(lines.join("\n").trim_end(), &Shown::of(&outcome));
        check(&outcome)
    }
}

/// The id of what has a slot, of the newest message, or the id that was given.
pub async fn find(clients: &Clients, process: ProcessId, which: Option<&str>) -> Result<Id> {
    let latest = || async { clients.su.latest(process).await };
    let Some(which) = which else { return Ok(latest().await?.assignment.id()) };
    if let Ok(id) = which.parse::<Id>() {
        return Ok(id);
    }
    let Ok(slot) = which.parse::<u64>() else {
        return Err(Failure::usage(format!("{which:?} is neither a slot nor an id of 43 characters")));
    };
    let range = SlotRange::Slots { after: slot.checked_sub(1).map(Slot), to: Some(Slot(slot)) };
    let page = clients.su.schedule_page(process, range, 1).await?;
    match page.items.first() {
        Some(entry) => Ok(entry.assignment.id()),
        None => {
            let newest = latest().await?.assignment.slot;
            Err(Failure::new(Code::NOT_SCHEDULED, format!("slot {slot} of {process} is not scheduled yet"))
                .hint(format!("the latest slot is {newest}; `pirn log {process}` shows the schedule")))
        }
    }
}
