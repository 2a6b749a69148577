//! `pirn log`

use clap::Args;
use protocol::{ProcessId, Slot, tag};
use serde::Serialize;
use unit::{Scheduled, Scheduler as _, SlotRange};

use super::parse_process;
use crate::error::Result;
use crate::network::Where;
use crate::ui::{Ui, table};

/// Show a process's schedule: slot by slot, what came from whom
#[derive(Debug, Args)]
pub struct Log {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: ProcessId,
    /// Start after this slot.
    #[arg(long, value_name = "SLOT")]
    after: Option<u64>,
    /// Show at most that many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
struct Entry {
    slot: Slot,
    timestamp: u64,
    message: String,
    assignment: String,
    from: String,
    action: String,
    hash_chain: String,
}

impl Entry {
    fn of(entry: &Scheduled) -> Entry {
        let Scheduled { message, assignment } = entry;
        let first = |name| message.as_ref().and_then(|message| message.tags.first(name));
        let owner = || message.as_ref().map(|message| message.address().to_string());
        let kind = if message.is_none() { "(assigned)" } else { first(tag::TYPE).unwrap_or_default() };
        Entry {
            slot: assignment.slot,
            timestamp: assignment.timestamp.0,
            message: entry.message_id().to_string(),
            assignment: assignment.id().to_string(),
            from: first(tag::FROM_PROCESS).map(str::to_owned).or_else(owner).unwrap_or_default(),
            action: first(tag::ACTION).unwrap_or(kind).to_owned(),
            hash_chain: assignment.hash_chain.to_string(),
        }
    }
}

impl Log {
    /// Asks the scheduler for a page of the schedule.
    pub async fn run(self, ui: Ui) -> Result {
        let range = SlotRange::Slots { after: self.after.map(Slot), to: None };
        let page = self.at.clients()?.su.schedule_page(self.process, range, self.limit).await?;
        let entries: Vec<Entry> = page.items.iter().map(Entry::of).collect();
        let head = ["slot", "action", "from", "message"].map(str::to_owned).to_vec();
        let row = |entry: &Entry| {
            vec![entry.slot.to_string(), entry.action.clone(), entry.from.clone(), entry.message.clone()]
        };
        let rows: Vec<_> = std::iter::once(head).chain(entries.iter().map(row)).collect();
        ui.answer(table(&rows), &entries);
        if let (true, Some(last)) = (page.has_next, entries.last()) {
            ui.note(format_args!("there is more: --after {}", last.slot));
        }
        Ok(())
    }
}
