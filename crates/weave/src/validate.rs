//! What makes a transaction acceptable: the checks of a node, in its order. Pure.

use std::ops::Range;

use protocol::merkle::{self, Leaf, Tree};
use protocol::transaction::Invalid;
use protocol::{Id, Transaction};
use unit::{Error, Kind};

use crate::record::Account;

/// Why a transaction is not accepted, in a node's words; what comes after them is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Something about it is wrong, and stays wrong.
    Verification(String),
    /// It is signed by a sort of key that transactions of its format are not signed with.
    SignatureType,
    /// Its data has another size or root than it says.
    Split(Invalid),
    /// `last_tx` names no recent block, and not the wallet's last transaction.
    Anchor,
    /// `last_tx` names a transaction that waits for a block.
    AnchorPending,
    /// It has more data within it than is accepted.
    TooLarge { size: u64, max: u64 },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let error = match refusal {
            Refusal::Verification(why) => Error::invalid("Transaction verification failed.").with_hint(why),
            Refusal::SignatureType => Error::invalid("Invalid signature type.")
                .with_hint("transactions of format 1 are signed with RSA keys: use format 2"),
            Refusal::Split(invalid) => {
                Error::invalid("The attached data is split in an unknown way.").with_hint(invalid.to_string())
            }
            Refusal::Anchor => Error::invalid("Invalid anchor (last_tx).").with_hint(
                "last_tx must be one of the last 50 blocks (GET /tx_anchor) or the wallet's last transaction",
            ),
            Refusal::AnchorPending => Error::invalid("Invalid anchor (last_tx from mempool).")
                .with_hint("last_tx names a transaction that waits for a block: use GET /tx_anchor"),
            Refusal::TooLarge { size, max } => Error::new(
                Kind::TooLarge,
                format!("{size} bytes of data came within the transaction; at most {max} may"),
            )
            .with_hint("post the transaction without data, and the data in chunks to /chunk"),
        };
        error.with_code(unit::Code::TRANSACTION)
    }
}

/// The data that came along with a transaction, as its chunks.
pub(crate) struct Chunked {
    pub(crate) chunks: Vec<Range<u64>>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) tree: Tree,
}

/// The checks that need nothing but the transaction. Gives the chunks of the data that came with it, if any did.
pub(crate) fn alone(tx: &Transaction, inline_max: u64, data_max: u64) -> Result<Option<Chunked>, Refusal> {
    // A transaction without an owner is signed by a secp256k1 key, which format 2 tells by its signature.
    if tx.format == 1 && tx.owner.is_empty() {
        return Err(Refusal::SignatureType);
    }
    let size = tx.data.len() as u64;
    if size > inline_max {
        return Err(Refusal::TooLarge { size, max: inline_max });
    }
    if tx.data_size > data_max {
        let why =
            format!("{} bytes of data are more than the {data_max} that are accepted here", tx.data_size);
        return Err(Refusal::Verification(why));
    }
    if tx.denomination > 0 {
        return Err(Refusal::Verification("the winston was never redenominated here".to_owned()));
    }
    tx.check().map_err(|invalid| match invalid {
        Invalid::Data | Invalid::DataSize => Refusal::Split(invalid),
        other => Refusal::Verification(other.to_string()),
    })?;
    if tx.format == 2 && tx.data_size > 0 && tx.data_root.len() != 32 {
        return Err(Refusal::Verification("the data root must have 32 bytes".to_owned()));
    }
    if size == 0 {
        return Ok(None);
    }
    let chunks = merkle::cut_evenly(size);
    let leaves = merkle::leaves(&tx.data, &chunks);
    let tree = merkle::tree(&leaves);
    Ok(Some(Chunked { chunks, leaves, tree }))
}

/// What the weave knows that matters to a transaction.
pub(crate) struct Around {
    /// The wallet as of the newest block.
    pub(crate) account: Account,
    /// What its transactions that wait for a block will cost it.
    pub(crate) pending_cost: u128,
    /// What the transaction must offer.
    pub(crate) price: u128,
    /// Whether `last_tx` names one of the last blocks.
    pub(crate) anchor_is_recent: bool,
    /// Whether `last_tx` names a transaction that waits for a block.
    pub(crate) anchor_is_pending: bool,
}

/// The checks that depend on the weave.
pub(crate) fn within(tx: &Transaction, around: &Around) -> Result<(), Refusal> {
    if around.anchor_is_pending {
        return Err(Refusal::AnchorPending);
    }
    let last_tx = around.account.last_tx.as_ref().map_or(&[][..], |id| id.as_bytes());
    if !around.anchor_is_recent && tx.last_tx != last_tx {
        return Err(Refusal::Anchor);
    }
    if tx.reward < around.price {
        let why = format!("the reward of {} winston is less than the price of {}", tx.reward, around.price);
        return Err(Refusal::Verification(why));
    }
    let cost = tx.quantity.saturating_add(tx.reward).saturating_add(around.pending_cost);
    if cost > around.account.balance {
        let why = format!(
            "the wallet has {} winston, and needs {cost} for this and what waits for a block",
            around.account.balance
        );
        return Err(Refusal::Verification(why));
    }
    Ok(())
}

/// The anchor as the id of a transaction, if it can be one.
pub(crate) fn anchor_id(tx: &Transaction) -> Option<Id> {
    Id::from_slice(&tx.last_tx)
}
