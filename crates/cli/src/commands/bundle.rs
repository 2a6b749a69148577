//! `pirn bundle`

use std::path::PathBuf;
use std::sync::Arc;

use archive::Archive;
use clap::Args;
use protocol::{DataItem, Item, ProcessId, Slot, ans104, tag};
use serde::Serialize;
use unit::{Code, Error, Scheduler as _, SlotRange, Weave};

use super::parse_process;
use crate::error::{Context as _, Result};
use crate::network::Where;
use crate::ui::Ui;

/// Write a process's whole log into one file: module, process, messages and assignments
///
/// The file is an ANS-104 bundle. Whoever has it can check the process without any network: `pirn verify --file FILE`.
#[derive(Debug, Args)]
pub struct Bundle {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: ProcessId,
    /// The file to write.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
    items: usize,
    bytes: usize,
    slots: u64,
}

impl Bundle {
    /// Reads the log from the gateway and writes it.
    pub async fn run(self, ui: Ui) -> Result {
        let weave: Arc<dyn Weave> = Arc::new(self.at.clients()?.gateway);
        let archive = Archive::new(Arc::clone(&weave));
        let mut items = Vec::new();
        let process = archive.process(self.process).await?.item;
        if let Some(module) = process.tags.first(tag::MODULE).and_then(|module| module.parse().ok()) {
            let found = weave.get(module).await?;
            match found.base_layer {
                // A transaction is no data item, and cannot be in a bundle.
                true => ui
                    .note(format!("module {module} is a transaction: `pirn verify` asks the gateway for it")),
                false => items.push(restored(&found.item)?),
            }
        }
        let mut after: Option<Slot> = None;
        loop {
            let range = SlotRange::Slots { after, to: None };
            let page = archive.schedule_page(self.process, range, archive::SLOTS_PER_QUERY).await?;
            for entry in &page.items {
                match &entry.message {
                    Some(message) => items.push(restored(message)?),
                    // Assigned by its id: it may be anything on the weave.
                    None => {
                        let found = weave.get(entry.message_id()).await?;
                        if !found.base_layer {
                            items.push(restored(&found.item)?);
                        }
                    }
                }
                items.push(restored(&entry.assignment.item)?);
            }
            after = page.items.last().map(|entry| entry.assignment.slot).or(after);
            if !page.has_next {
                break;
            }
        }
        let slots = after.map_or(0, |last| last.0 + 1);
        let bytes = ans104::bundle(&items);
        std::fs::write(&self.out, &bytes).context(Code::FILE, self.out.display())?;
        let written = Written { file: self.out, items: items.len(), bytes: bytes.len(), slots };
        let text = format!(
            "{}: {slots} slots, {} items, {} bytes",
            written.file.display(),
            written.items,
            written.bytes
        );
        ui.answer(text, &written);
        Ok(())
    }
}

fn restored(item: &Item) -> Result<DataItem> {
    let altered = || {
        let what = format!("what the gateway gives as {} is not what was signed", item.id);
        Error::refused(what).with_code(Code::NOT_AS_SIGNED)
    };
    Ok(DataItem::restore(item).ok_or_else(altered)?)
}
