//! `pirn dry`

use clap::Args;
use protocol::{Json, Outcome, ProcessId, Tag, tag};
use unit::{Compute as _, DryRun};

use super::{Shown, ao_tags, check, outbox_of, output_of, parse_process, parse_tag, text_of};
use crate::error::Result;
use crate::network::{Clients, Signer, Where};
use crate::ui::Ui;

/// Show what a message would do, without sending it
#[derive(Debug, Args)]
pub struct Dry {
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
    /// Who is said to send it: an address. Default: the wallet's.
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<String>,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

impl Dry {
    /// Asks the compute unit. Nothing is signed or kept.
    pub async fn run(self, ui: Ui) -> Result {
        let owner = match self.owner {
            Some(owner) => owner,
            None => self.signer.wallet()?.address().to_string(),
        };
        let mut tags: Vec<Tag> = self.action.iter().map(|action| Tag::new(tag::ACTION, action)).collect();
        tags.extend(self.tags);
        let clients = self.at.clients()?;
        let outcome = dry_run(&clients, self.process, owner, &tags, &text_of(&self.data)?).await?;
        let mut lines = outbox_of(&outcome);
        lines.push(output_of(&outcome));
        ui.answer(lines.join("\n").trim_end(), &Shown::of(&outcome));
        ui.note("nothing was sent and nothing was saved");
        check(&outcome)
    }
}

/// What a message would do, if `owner` sent it.
pub async fn dry_run(
    clients: &Clients,
    process: ProcessId,
    owner: impl ToString,
    tags: &[Tag],
    data: &str,
) -> Result<Outcome> {
    let message = DryRun {
        id: Some("1234".to_owned()),
        signature: None,
        data: Some(Json::string(data)),
        owner: owner.to_string(),
        target: Some(process.to_string()),
        anchor: Some(Some("0".to_owned())),
        forwarded_by: None,
        tags: ao_tags(tags, "Message"),
        timestamp: None,
        block_height: None,
    };
    Ok(clients.cu.dry_run(process, message, None).await?)
}
