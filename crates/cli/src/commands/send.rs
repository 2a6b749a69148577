//! `pirn send`

use bytes::Bytes;
use clap::Args;
use protocol::{DataItem, Draft, MessageId, ProcessId, Slot, Tag, Wallet, tag};
use serde::Serialize;
use unit::{Code, Compute as _, Messenger as _, Scheduler as _};

use super::{Shown, ao_tags, check, outbox_of, output_of, parse_process, parse_tag, text_of};
use crate::error::{Context as _, Result};
use crate::network::{Clients, Signer, Where};
use crate::ui::Ui;

/// Send a message to a process and show what came of it
#[derive(Debug, Args)]
pub struct Send {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: ProcessId,
    /// The message's data: text, @FILE, or - for stdin.
    #[arg(default_value = " ")]
    data: String,
    /// Its Action tag.
    #[arg(long, short)]
    action: Option<String>,
    /// Another tag; may be repeated.
    #[arg(long = "tag", short = 't', value_name = "NAME=VALUE", value_parser = parse_tag)]
    tags: Vec<Tag>,
    /// Do not wait for the outcome.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
struct Sent<'a> {
    message: MessageId,
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<Slot>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Shown<'a>>,
}

impl Send {
    /// Signs, sends, and unless told otherwise waits for the outcome.
    pub async fn run(self, ui: Ui) -> Result {
        let clients = self.at.clients()?;
        let mut tags: Vec<Tag> = self.action.iter().map(|action| Tag::new(tag::ACTION, action)).collect();
        tags.extend(self.tags);
        let message =
            send(&clients, &self.signer.wallet()?, self.process, &tags, &text_of(&self.data)?).await?;
        if self.no_wait {
            ui.answer(message, &Sent { message, slot: None, result: None });
            return Ok(());
        }
        let slot = clients.su.find(Some(self.process), message.0).await?.assignment.slot;
        let outcome = clients.cu.result(self.process, message.0).await?;
        let mut lines = vec![format!("sent     {message}"), format!("slot     {slot}")];
        lines.extend(outbox_of(&outcome));
        let output = output_of(&outcome);
        if outcome.error.is_none() && !output.is_empty() {
            lines.push(format!("answer   {output}"));
        }
        ui.answer(lines.join("\n"), &Sent { message, slot: Some(slot), result: Some(Shown::of(&outcome)) });
        check(&outcome)
    }
}

/// Signs and sends a message.
pub async fn send(
    clients: &Clients,
    wallet: &Wallet,
    process: ProcessId,
    tags: &[Tag],
    data: &str,
) -> Result<MessageId> {
    let draft = Draft {
        target: Some(process.0),
        anchor: Some(super::anchor()),
        tags: ao_tags(tags, "Message"),
        data: Bytes::copy_from_slice(data.as_bytes()),
    };
    let item = DataItem::sign(wallet, draft).context(Code::WALLET, "could not sign")?;
    Ok(MessageId(clients.mu.send(item).await?.id))
}
