//! `pirn item`

use clap::Args;
use protocol::crypto::SignatureType;
use protocol::{Address, DataItem, Id, Tag, id::base64url};
use serde::Serialize;
use unit::{Code, Weave as _};

use super::{DATA_MAX, Standing, bytes, explorer, row, tags_of};
use crate::error::{Failure, Result};
use crate::network::Where;
use crate::ui::{Ui, table};

/// Show a data item: who signed it, checked on this computer, its tags, and where it is bundled
#[derive(Debug, Args)]
pub struct Item {
    /// Its id.
    #[arg(allow_hyphen_values = true)]
    id: Id,
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
struct Shown {
    id: Id,
    /// Absent where the data is too large to be fetched for it.
    signature_valid: Option<bool>,
    signature_type: Option<&'static str>,
    from: Address,
    target: Option<Id>,
    anchor: Option<String>,
    content_type: Option<String>,
    data_bytes: u64,
    item_bytes: Option<u64>,
    tags: Vec<Tag>,
    bundle: Option<Id>,
    block: Option<Standing>,
}

impl Item {
    /// Asks the gateway for it, and checks what it says.
    pub async fn run(self, ui: Ui) -> Result {
        let (explorer, id) = (explorer(&self.at)?, self.id);
        let (seen, _) = explorer.seen(&[id]).await?;
        let Some(sight) = seen.into_iter().find(|sight| sight.id == id) else {
            let what = format!("{id} is not known to {}", explorer.url());
            return Err(Failure::new(Code::NOT_FOUND, what).hint(
                "a gateway knows an item once it has unpacked its bundle; --gateway URL asks another",
            ));
        };
        if sight.fee.winston.0 > 0 && sight.bundled_in.is_none() {
            let what = format!("{id} is a transaction of the base layer, not a data item");
            return Err(Failure::new(Code::INVALID, what).hint(format!("`pirn tx {id}` shows it")));
        }
        let data_bytes = u64::try_from(sight.data.size.0).unwrap_or(u64::MAX);
        let item = match data_bytes <= DATA_MAX {
            // Fails unless everything is as it was signed.
            true => DataItem::restore(&self.at.clients()?.gateway.get(id).await?.item),
            false => None,
        };
        let shown = Shown {
            id,
            signature_valid: item.as_ref().map(|item| item.verify().is_ok()),
            signature_type: item.as_ref().map(|item| name(item.signature_type)),
            from: item.as_ref().map_or(sight.owner.address, |item| item.address()),
            target: item.as_ref().and_then(|item| item.target),
            anchor: item.as_ref().filter(|item| !item.anchor.is_empty()).map(|item| base64url(&item.anchor)),
            content_type: sight.data.kind.clone().filter(|kind| !kind.is_empty()),
            data_bytes,
            item_bytes: item.as_ref().map(|item| item.bytes().len() as u64),
            tags: sight.tags.0.clone(),
            bundle: sight.bundled_in.map(|bundle| bundle.id),
            block: Standing::of(&explorer, &sight).await?,
        };
        ui.answer(text(&shown), &shown);
        Ok(())
    }
}

fn text(shown: &Shown) -> String {
    let signature = match (shown.signature_valid, shown.signature_type) {
        (Some(true), Some(kind)) => format!("valid, {kind}"),
        (Some(false), _) => "not valid".to_owned(),
        _ => format!("not checked: more than {DATA_MAX} bytes of data"),
    };
    let mut rows = vec![row("item", shown.id), row("signature", signature), row("from", shown.from)];
    rows.extend(shown.target.map(|target| row("to", target)));
    rows.extend(shown.anchor.as_ref().map(|anchor| row("anchor", anchor)));
    let kind = shown.content_type.as_ref().map(|kind| format!(" of {}", super::shown(kind)));
    rows.push(row("data", format!("{}{}", bytes(shown.data_bytes), kind.unwrap_or_default())));
    rows.extend(shown.item_bytes.map(|size| row("size", bytes(size))));
    rows.push(row("bundle", shown.bundle.map_or("none yet".to_owned(), |bundle| bundle.to_string())));
    rows.extend(Standing::rows(shown.block.as_ref()));
    format!("{}\n{}", table(&rows), tags_of(&shown.tags))
}

/// What people call a kind of signature.
fn name(kind: SignatureType) -> &'static str {
    match kind {
        SignatureType::Arweave => "Arweave (RSA 4096)",
        SignatureType::Ed25519 => "Ed25519",
        SignatureType::Ethereum => "Ethereum (secp256k1)",
        SignatureType::Solana => "Solana (Ed25519)",
        SignatureType::InjectedAptos => "Aptos (Ed25519)",
        SignatureType::MultiAptos => "Aptos, several keys",
        SignatureType::TypedEthereum => "Ethereum, typed (secp256k1)",
    }
}
