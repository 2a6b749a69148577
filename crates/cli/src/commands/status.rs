//! `pirn status`

use clap::Args;
use pirn_http::client::{Messenger, Options, Transport};
use serde::Serialize;
use unit::Code;

use crate::commands::node::units_table;
use crate::error::{Failure, Result};
use crate::registry::{Entry, Registry};
use crate::ui::{Ui, table};

/// Show the development networks that run on this computer. Exits with 1 if there is none
#[derive(Debug, Args)]
pub struct Status {}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    entry: Entry,
    ports: Vec<u16>,
    /// Whether its messenger answers.
    answers: bool,
}

impl Status {
    /// Asks each whether it answers.
    pub async fn run(self, ui: Ui) -> Result {
        let transport = Transport::new(Options::default())?;
        let mut networks = Vec::new();
        for found in Registry::open()?.running() {
            let entry = found.entry;
            let answers = match entry.network.urls.get("mu") {
                Some(url) => Messenger::new(url, transport.clone()).info().await.is_ok(),
                None => false,
            };
            networks.push(Shown { ports: entry.ports(), entry, answers });
        }
        if networks.is_empty() {
            return Err(Failure::new(
                Code::NO_NETWORK,
                "no development network of yours runs on this computer",
            )
            .hint("`pirn dev` starts one; `pirn dev --detach` leaves it in the background"));
        }
        let text: Vec<String> = networks.iter().map(text).collect();
        ui.answer(text.join("\n\n"), &networks);
        Ok(())
    }
}

fn text(shown: &Shown) -> String {
    let entry = &shown.entry;
    let answers = if shown.answers { "answers" } else { "does not answer" };
    let temporary = "temporary".to_owned();
    let state = entry.state.as_ref().map_or(temporary, |state| state.display().to_string());
    let mut rows =
        vec![vec!["Folder".to_owned(), entry.folder.display().to_string()], vec!["State".to_owned(), state]];
    if let Some(log) = &entry.log {
        rows.push(vec!["Log".to_owned(), log.display().to_string()]);
    }
    format!(
        "pirn {} (pid {}), started {}, {answers}\n\n{}\n\n{}",
        entry.version,
        entry.pid,
        entry.ago(),
        units_table(&entry.network),
        table(&rows)
    )
}
