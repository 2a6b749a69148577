//! `pirn block`

use clap::Args;
use pirn_http::client::Explorer;
use protocol::{Height, Id};
use serde::Serialize;
use unit::{BlockAt, BlockHash};

use super::{Listed, bytes, explorer, row};
use crate::error::Result;
use crate::network::Where;
use crate::ui::{Ui, moment, table};

/// Show a block of the weave, and the transactions in it
#[derive(Debug, Args)]
pub struct Block {
    /// Its height or its hash; `current` is the newest.
    #[arg(default_value = "current", value_name = "HEIGHT|HASH|current", value_parser = parse, allow_hyphen_values = true)]
    which: BlockAt,
    #[command(flatten)]
    at: Where,
}

fn parse(text: &str) -> Result<BlockAt, String> {
    if text == "current" {
        return Ok(BlockAt::Current);
    }
    if let Ok(height) = text.parse() {
        return Ok(BlockAt::Height(Height(height)));
    }
    BlockHash::parse(text).map(BlockAt::Hash).ok_or_else(|| {
        "a block is named by its height, by the 64 characters of its hash, or by `current`".to_owned()
    })
}

#[derive(Serialize)]
struct Shown {
    height: u64,
    hash: String,
    previous: String,
    /// Seconds.
    timestamp: u64,
    confirmations: u64,
    block_size: String,
    weave_size: String,
    tx_root: String,
    /// All of them.
    txs: Vec<Id>,
    /// What the gateway's index has of them.
    transactions: Vec<Listed>,
}

impl Block {
    /// Asks the gateway for it.
    pub async fn run(self, ui: Ui) -> Result {
        let explorer = explorer(&self.at)?;
        let block = explorer.block(self.which).await?;
        let shown = Shown {
            confirmations: (explorer.height().await? + 1).saturating_sub(block.height),
            transactions: transactions(&explorer, &block.txs).await?,
            height: block.height,
            hash: block.indep_hash,
            previous: block.previous_block,
            timestamp: block.timestamp,
            block_size: block.block_size,
            weave_size: block.weave_size,
            tx_root: block.tx_root,
            txs: block.txs,
        };
        ui.answer(text(&shown), &shown);
        Ok(())
    }
}

/// What is known of a block's transactions, in the block's order.
async fn transactions(explorer: &Explorer, ids: &[Id]) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for ids in ids.chunks(pirn_http::client::EXPLORER_PAGE) {
        let (seen, _) = explorer.seen(ids).await?;
        let known = ids.iter().filter_map(|id| seen.iter().find(|sight| sight.id == *id));
        listed.extend(known.map(Listed::of));
    }
    Ok(listed)
}

fn text(shown: &Shown) -> String {
    let number = |text: &str| text.parse().map(bytes).unwrap_or_else(|_| text.to_owned());
    let mut rows = vec![row("block", shown.height), row("hash", &shown.hash)];
    if !shown.previous.is_empty() {
        rows.push(row("previous", &shown.previous));
    }
    rows.push(row("time", moment(shown.timestamp.saturating_mul(1000))));
    rows.push(row("confirmations", shown.confirmations));
    rows.push(row(
        "data",
        format!("{}, {} in the weave", number(&shown.block_size), number(&shown.weave_size)),
    ));
    if !shown.tx_root.is_empty() {
        rows.push(row("tx root", &shown.tx_root));
    }
    let text = table(&rows);
    match (shown.txs.len(), shown.transactions.len()) {
        (0, _) => format!("{text}\ntransactions  none"),
        (all, known) if known < all => {
            let unknown: Vec<_> = shown.txs.iter().map(|id| format!("  {id}")).take(super::ROWS).collect();
            format!("{text}\ntransactions  {all}, of which the index has {known}\n{}", unknown.join("\n"))
        }
        _ => format!("{text}\ntransactions\n{}", Listed::table(&shown.transactions, false)),
    }
}
