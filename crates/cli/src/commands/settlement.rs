//! `pirn settlement`

use clap::Args;
use serde_json::Value;

use crate::error::Result;
use crate::network::Where;
use crate::ui::{Ui, table};

/// Show what a node has on its way to the network that it settles on, and what that has cost
#[derive(Debug, Args)]
pub struct Settlement {
    #[command(flatten)]
    at: Where,
}

impl Settlement {
    /// Asks the node, at any of its ports: the messenger's.
    pub async fn run(self, ui: Ui) -> Result {
        let standing = self.at.clients()?.mu.settlement().await?;
        ui.answer(shown(&standing), &standing);
        if standing["dry"] == true {
            ui.note("nothing is posted: settlement.dry is set");
        }
        Ok(())
    }
}

fn shown(standing: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        other => other.to_string(),
    };
    let row = |name: &str, said: String| vec![name.to_owned(), said];
    let mut rows = Vec::new();
    for (name, key) in
        [("Waiting", "waiting"), ("Signed", "signed"), ("Posted", "posted"), ("In a block", "seen")]
    {
        let count = &standing[key];
        rows.push(row(name, format!("{} items, {} bytes", text(&count["items"]), text(&count["bytes"]))));
    }
    if let Some(age_ms) = standing["age_ms"].as_u64() {
        rows.push(row("Oldest", format!("has waited for {} s", age_ms / 1000)));
    }
    let totals = &standing["totals"];
    rows.push(row("Settled", format!("{} items", text(&totals["settled"]))));
    rows.push(row(
        "Paid",
        format!("{} winston for {} transactions", text(&totals["winston"]), text(&totals["transactions"])),
    ));
    rows.push(row(
        "Again",
        format!(
            "{} lost and posted again, {} in replaced blocks, {} refused",
            text(&totals["reposted"]),
            text(&totals["reorganised"]),
            text(&totals["refused"])
        ),
    ));
    if standing["dry"] == true {
        let (items, winston) = (text(&standing["dry_items"]), text(&standing["dry_winston"]));
        rows.push(row("Would cost", format!("{winston} winston for {items} items since the start")));
    }
    rows.push(row("Wallet", text(&standing["wallet"])));
    for gateway in standing["gateways"].as_array().into_iter().flatten() {
        let health = match gateway["failures"].as_u64() {
            Some(0) | None => "answers".to_owned(),
            Some(failures) => format!("failed {failures} times: {}", text(&gateway["error"])),
        };
        rows.push(row("Gateway", format!("{} {health}", text(&gateway["url"]))));
    }
    if let Some(problem) = standing["problem"].as_str() {
        rows.push(row("Last problem", problem.to_owned()));
    }
    table(&rows)
}
