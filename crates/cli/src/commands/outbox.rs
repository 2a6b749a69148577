//! `pirn outbox`

use clap::{Args, Subcommand};
use pirn_http::wire::outbox::OutboxShape;
use serde::Serialize;
use unit::{Code, Messenger as _, OutboxEntry, OutboxQuery, Page, TraceKind};

use crate::error::{Failure, Result};
use crate::network::{Clients, Where};
use crate::ui::Ui;

/// How many letters one request lists.
const PAGE: usize = 1000;

/// Show what a messenger has promised and not delivered yet, and what it gave up
#[derive(Debug, Args)]
pub struct Outbox {
    #[command(subcommand)]
    action: Option<Action>,
    /// The dead letters: what was given up, with the reason.
    #[arg(long)]
    dead: bool,
    /// Continue after this number.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// Show at most that many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Deliver dead letters after all. The bytes that were signed are sent again, so nothing happens twice
    Retry(Retry),
}

#[derive(Debug, Args)]
struct Retry {
    /// Which.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    numbers: Vec<u64>,
    /// All that can be retried.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
struct Retried {
    retried: Vec<u64>,
}

impl Outbox {
    /// Lists, or retries.
    pub async fn run(self, ui: Ui) -> Result {
        if let Some(Action::Retry(retry)) = self.action {
            return retry.run(ui).await;
        }
        let clients = self.at.clients()?;
        let (dead, after, limit) = (self.dead, self.after, self.limit);
        let page = clients.mu.outbox(OutboxQuery { dead, after, limit }).await?;
        let nothing = if dead { "no dead letters" } else { "everything is delivered" };
        let lines: Vec<String> = page.items.iter().map(line).collect();
        let shown = if lines.is_empty() { nothing.to_owned() } else { lines.join("\n") };
        ui.answer(shown, &OutboxShape::from(&page));
        if let (true, Some(last)) = (page.has_next, page.items.last()) {
            ui.note(format!("there is more: --after {}", last.number));
        }
        if !dead && has_dead(&clients).await? {
            ui.note("some were given up: `pirn outbox --dead`");
        }
        Ok(())
    }
}

impl Retry {
    async fn run(self, ui: Ui) -> Result {
        let clients = self.at.clients()?;
        let numbers = if self.all { retryable(&clients).await? } else { self.numbers };
        let mut retried = Vec::new();
        for number in numbers {
            match clients.mu.retry(number).await {
                Ok(()) => retried.push(number),
                // Somebody else was faster.
                Err(error) if self.all && error.kind == unit::Kind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        if retried.is_empty() {
            return Err(Failure::new(Code::NO_RETRY, "there is nothing to retry")
                .hint("`pirn outbox --dead` says what was given up, and why"));
        }
        let shown = match retried.len() {
            1 => format!("{} is promised again", retried[0]),
            n => format!("{n} are promised again"),
        };
        ui.answer(shown, &Retried { retried });
        Ok(())
    }
}

async fn has_dead(clients: &Clients) -> Result<bool> {
    let page = clients.mu.outbox(OutboxQuery { dead: true, after: 0, limit: 1 }).await?;
    Ok(!page.items.is_empty())
}

async fn retryable(clients: &Clients) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    let mut after = 0;
    loop {
        let page: Page<OutboxEntry> =
            clients.mu.outbox(OutboxQuery { dead: true, after, limit: PAGE }).await?;
        let Some(last) = page.items.last() else { return Ok(numbers) };
        after = last.number;
        let can_retry = |entry: &&OutboxEntry| entry.dead.as_ref().is_some_and(|dead| dead.can_retry);
        numbers.extend(page.items.iter().filter(can_retry).map(|entry| entry.number));
        if !page.has_next {
            return Ok(numbers);
        }
    }
}

fn line(entry: &OutboxEntry) -> String {
    let trace = &entry.trace;
    let kind = match trace.kind {
        TraceKind::Message => "message",
        TraceKind::Spawn => "spawn",
        TraceKind::Assign => "assign",
    };
    let mut line = format!("{:>6}  {kind:<7}  {}", entry.number, trace.message);
    if let Some(process) = trace.process.filter(|process| protocol::Id::from(*process) != trace.message) {
        line.push_str(&format!(" to {process}"));
    }
    if entry.failures > 0 {
        line.push_str(&format!("  failed {} times", entry.failures));
    }
    if let Some(error) = &trace.error {
        line.push_str(&format!("\n        {error}"));
    }
    if entry.dead.as_ref().is_some_and(|dead| !dead.can_retry) {
        line.push_str("\n        it cannot be retried");
    }
    line
}
