//! `pirn tx`

use clap::Args;
use pirn_http::client::Explorer;
use protocol::{Address, Id, Tag, Transaction, id::base64url, merkle};
use serde::Serialize;
use unit::Code;

use super::{DATA_MAX, Listed, Standing, ar, bytes, explorer, row, tags_of};
use crate::error::{Failure, Result};
use crate::network::Where;
use crate::ui::{Ui, table};

/// Show a transaction of the base layer: signature and data, checked on this computer, and what it bundles
#[derive(Debug, Args)]
pub struct Tx {
    /// Its id.
    #[arg(allow_hyphen_values = true)]
    id: Id,
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
struct Shown {
    id: Id,
    format: u8,
    signature_valid: bool,
    key: String,
    from: Address,
    target: Option<String>,
    quantity_winston: String,
    reward_winston: String,
    anchor: String,
    data_bytes: u64,
    data_root: Option<String>,
    data: Data,
    content_type: Option<String>,
    tags: Vec<Tag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<Listed>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_items: Option<bool>,
    block: Option<Standing>,
}

/// Whether the data is what was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Data {
    None,
    AsSigned,
    NotAsSigned,
    NotThere,
    NotChecked,
}

impl Tx {
    /// Asks the gateway for it, and checks what it says.
    pub async fn run(self, ui: Ui) -> Result {
        let (explorer, id) = (explorer(&self.at)?, self.id);
        let (seen, _) = explorer.seen(&[id]).await?;
        let sight = seen.into_iter().find(|sight| sight.id == id);
        let Some(tx) = explorer.transaction(id).await?.filter(|tx| tx.id == id) else {
            let what = format!("{id} is no transaction that {} knows", explorer.url());
            let failure = Failure::new(Code::NOT_FOUND, what);
            return Err(match sight {
                Some(_) => failure.hint(format!("it is a data item: `pirn item {id}`")),
                None => failure.hint("compare the id; --gateway URL asks another gateway"),
            });
        };
        let tags = tx.tags();
        let is_bundle = tags.first(protocol::tag::BUNDLE_FORMAT) == Some("binary");
        let (items, more_items) = match is_bundle {
            true => {
                let (items, more) = explorer.items_of(id).await?;
                (Some(items.iter().map(Listed::of).collect()), Some(more))
            }
            false => (None, None),
        };
        let shown = Shown {
            id,
            format: tx.format,
            signature_valid: tx.verify().is_ok(),
            key: key(&tx),
            from: tx.address(),
            target: (!tx.target.is_empty()).then(|| base64url(&tx.target)),
            quantity_winston: tx.quantity.to_string(),
            reward_winston: tx.reward.to_string(),
            anchor: base64url(&tx.last_tx),
            data_bytes: tx.data_size.max(tx.data.len() as u64),
            data_root: (!tx.data_root.is_empty()).then(|| base64url(&tx.data_root)),
            data: check_data(&explorer, &tx).await?,
            content_type: tags.first(protocol::tag::CONTENT_TYPE).map(str::to_owned),
            tags: tags.0,
            items,
            more_items,
            block: match &sight {
                Some(sight) => Standing::of(&explorer, sight).await?,
                None => None,
            },
        };
        ui.answer(text(&shown, &tx), &shown);
        if !shown.signature_valid || shown.data == Data::NotAsSigned {
            let what = format!("what {} gives as {id} is not what was signed", explorer.url());
            return Err(Failure::new(Code::NOT_AS_SIGNED, what));
        }
        Ok(())
    }
}

async fn check_data(explorer: &Explorer, tx: &Transaction) -> Result<Data> {
    let size = tx.data_size;
    if size == 0 && tx.data.is_empty() {
        return Ok(Data::None);
    }
    if tx.format == 1 {
        // The signature is over the data itself.
        return Ok(if tx.verify().is_ok() { Data::AsSigned } else { Data::NotAsSigned });
    }
    if size > DATA_MAX {
        return Ok(Data::NotChecked);
    }
    let Some(data) = explorer.data(tx.id).await?.filter(|data| &data[..] != b"Pending" || size == 7) else {
        return Ok(Data::NotThere);
    };
    if data.len() as u64 != size {
        return Ok(Data::NotAsSigned);
    }
    let has_root =
        |chunks: Vec<_>| merkle::tree(&merkle::leaves(&data, &chunks)).root[..] == tx.data_root[..];
    let holds = has_root(merkle::cut(size)) || has_root(merkle::cut_evenly(size));
    Ok(if holds { Data::AsSigned } else { Data::NotAsSigned })
}

fn key(tx: &Transaction) -> String {
    match tx.owner.len() {
        0 => "secp256k1".to_owned(),
        len => format!("RSA {}", len * 8),
    }
}

fn text(shown: &Shown, tx: &Transaction) -> String {
    let holds = if shown.signature_valid { "valid" } else { "NOT VALID" };
    let mut rows = vec![
        row("transaction", shown.id),
        row("format", shown.format),
        row("signature", format!("{holds}, {}", shown.key)),
        row("from", shown.from),
    ];
    rows.extend(shown.target.as_ref().map(|target| row("to", target)));
    if tx.quantity > 0 {
        rows.push(row("quantity", ar(tx.quantity)));
    }
    rows.push(row("fee", ar(tx.reward)));
    rows.push(row("anchor", if shown.anchor.is_empty() { "none" } else { &shown.anchor }));
    let state = match shown.data {
        Data::None => None,
        Data::AsSigned => Some("as signed"),
        Data::NotAsSigned => Some("NOT WHAT WAS SIGNED"),
        Data::NotThere => Some("not all there"),
        Data::NotChecked => Some("too much to be checked here"),
    };
    let kind = shown.content_type.as_ref().map(|kind| format!(" of {}", super::shown(kind)));
    let state = state.map(|state| format!(", {state}")).unwrap_or_default();
    rows.push(row("data", format!("{}{}{state}", bytes(shown.data_bytes), kind.unwrap_or_default())));
    rows.extend(shown.data_root.as_ref().map(|root| row("data root", root)));
    rows.extend(Standing::rows(shown.block.as_ref()));
    let mut text = format!("{}\n{}", table(&rows), tags_of(&shown.tags));
    if let (Some(items), Some(more)) = (&shown.items, shown.more_items) {
        text.push_str(&format!("\nitems\n{}", Listed::table(items, more)));
    }
    text
}
