//! `pirn webhooks`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use pirn_http::client::{Options, Transport, Webhooks as Client};
use protocol::ProcessId;
use unit::{Code, DeadDelivery, Filter, Hook, HookState, HookWish};

use super::parse_process;
use crate::error::{Context as _, Result};
use crate::network::Where;
use crate::ui::Ui;

/// How many dead letters one request lists.
const PAGE: usize = 1000;

/// Webhooks of a node: what processes send, posted to an application
#[derive(Debug, Args)]
pub struct Webhooks {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    at: At,
}

/// Which node, and with which token.
#[derive(Debug, Clone, Args)]
struct At {
    /// A file with the node's token for webhooks, where it has one.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make one. Its secret is shown once
    Create(Create),
    /// Show one
    Show(One),
    /// Remove one, with its dead letters
    Rm(One),
    /// Deliver again from a place on; a paused one goes on
    Replay(Replay),
    /// List what one gave up
    Dead(One),
    /// Post dead letters again
    Retry(Retry),
}

#[derive(Debug, Args)]
struct Create {
    /// Whose messages: an id, or a name in the project.
    #[arg(value_parser = parse_process)]
    process: ProcessId,
    /// Where they are posted to.
    url: String,
    /// Only with this Action. May be repeated.
    #[arg(long, value_name = "ACTION")]
    action: Vec<String>,
    /// Only to this process or wallet. May be repeated.
    #[arg(long, value_name = "ID")]
    recipient: Vec<String>,
    /// Only with this tag: NAME=VALUE, or NAME for any value. May be repeated.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Where to begin: now, start, slot:N, or a place.
    #[arg(long, value_name = "PLACE", default_value = "now")]
    from: String,
    /// When it ends, milliseconds since 1970 by the node's clock.
    #[arg(long, value_name = "MS")]
    expires: Option<u64>,
    /// Messages after which it ends.
    #[arg(long, value_name = "N")]
    budget: Option<u64>,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
struct One {
    /// Its id.
    id: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
struct Replay {
    /// Its id.
    id: String,
    /// From where: start, slot:N, or a place.
    #[arg(long, value_name = "PLACE")]
    from: String,
    #[command(flatten)]
    at: At,
}

#[derive(Debug, Args)]
struct Retry {
    /// The id of the webhook.
    id: String,
    /// Which of them, by their places. All, if none is named.
    places: Vec<String>,
    #[command(flatten)]
    at: At,
}

impl At {
    fn client(&self) -> Result<Client> {
        let clients = self.at.clients()?;
        let read = |path: &PathBuf| {
            std::fs::read_to_string(path).context(Code::FILE, format!("could not read {}", path.display()))
        };
        let token = self.token_file.as_ref().map(read).transpose()?;
        Ok(Client::new(clients.mu.url(), Transport::new(Options::default())?, token.as_deref())?)
    }
}

impl Webhooks {
    /// Lists, or does what the verb says.
    pub async fn run(self, ui: Ui) -> Result {
        match self.action {
            None => {
                let client = self.at.client()?;
                let page = client.list(None, PAGE).await?;
                let lines: Vec<String> = page.webhooks.iter().map(line).collect();
                let shown = if lines.is_empty() { "no webhooks".to_owned() } else { lines.join("\n") };
                ui.answer(shown, &page);
            }
            Some(Action::Create(create)) => {
                let hook = create.at.client()?.create(&create.wish()).await?;
                let secret = hook.secret.clone().unwrap_or_default();
                ui.note(format!("secret   {secret}"));
                ui.answer(&hook.id, &hook);
            }
            Some(Action::Show(One { id, at })) => {
                let hook = at.client()?.get(&id).await?;
                ui.answer(line(&hook), &hook);
            }
            Some(Action::Rm(One { id, at })) => {
                at.client()?.remove(&id).await?;
                ui.answer(format!("{id} is removed"), &serde_json::json!({"removed": id}));
            }
            Some(Action::Replay(Replay { id, from, at })) => {
                let hook = at.client()?.replay(&id, &from).await?;
                ui.answer(line(&hook), &hook);
            }
            Some(Action::Dead(One { id, at })) => {
                let page = at.client()?.dead(&id, None, PAGE).await?;
                let letter = |letter: &DeadDelivery| {
                    format!("{:<12}  tried {} times\n        {}", letter.place, letter.tries, letter.error)
                };
                let lines: Vec<String> = page.dead.iter().map(letter).collect();
                let shown = if lines.is_empty() { "no dead letters".to_owned() } else { lines.join("\n") };
                ui.answer(shown, &page);
            }
            Some(Action::Retry(Retry { id, places, at })) => {
                let client = at.client()?;
                let places = match places.is_empty() {
                    false => places,
                    true => {
                        let page = client.dead(&id, None, PAGE).await?;
                        page.dead.into_iter().map(|letter| letter.place).collect()
                    }
                };
                for place in &places {
                    client.retry(&id, place).await?;
                }
                let shown = format!("{} delivered", places.len());
                ui.answer(shown, &serde_json::json!({"delivered": places}));
            }
        }
        Ok(())
    }
}

impl Create {
    fn wish(&self) -> HookWish {
        let (actions, recipients) = (self.action.clone(), self.recipient.clone());
        let mut filter = Filter { actions, recipients, ..Filter::default() };
        for tag in &self.tag {
            let (name, value) = match tag.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (tag.clone(), None),
            };
            filter.tags.entry(name).or_default().extend(value);
        }
        HookWish {
            process: self.process,
            url: self.url.clone(),
            filter,
            secret: None,
            from: Some(self.from.clone()),
            expires: self.expires,
            budget: self.budget,
        }
    }
}

fn line(hook: &Hook) -> String {
    let state = match hook.state {
        HookState::Active => "active",
        HookState::Paused => "paused",
        HookState::Ended => "ended",
    };
    let mut line = format!("{}  {state:<6}  {} to {}", hook.id, hook.process, hook.url);
    line.push_str(&format!(
        "\n        {} delivered, {} given up, next {}",
        hook.delivered, hook.given_up, hook.next
    ));
    for said in hook.why.iter().chain(&hook.last_error) {
        line.push_str(&format!("\n        {said}"));
    }
    line
}
