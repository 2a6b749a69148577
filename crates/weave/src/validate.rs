//! What makes a transaction acceptable: the checks of a node, in its order. Pure.

use std::ops::Range;

use protocol::merkle::{self, Leaf, Tree};
use protocol::{Id, Transaction};
use unit::{Error, Kind};

use crate::record::Account;

/// No tags have more bytes together.
const TAG_BYTES_MAX: usize = 2048;
/// No transaction has more tags.
const TAGS_MAX: usize = 2048;
/// A number of winston has at most 30 digits.
const WINSTON_MAX: u128 = 999_999_999_999_999_999_999_999_999_999;

/// Why a transaction is not accepted, in a node's words; what comes after them is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Something about it is wrong, and stays wrong.
    Verification(String),
    /// Its data has another root than it says.
    Split,
    /// `last_tx` names no recent block, and not the wallet's last transaction.
    Anchor,
    /// `last_tx` names a transaction that waits for a block.
    AnchorPending,
    /// It has more data within it than is accepted.
    TooLarge { size: u64, max: u64 },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        match refusal {
            Refusal::Verification(why) => Error::invalid(format!("Transaction verification failed. {why}")),
            Refusal::Split => Error::invalid("The attached data is split in an unknown way.")
                .with_hint("the data root must be that of the data; data of more than one chunk is best posted in chunks"),
            Refusal::Anchor => Error::invalid("Invalid anchor (last_tx).").with_hint(
                "last_tx must be one of the last 50 blocks (GET /tx_anchor) or the wallet's last transaction",
            ),
            Refusal::AnchorPending => Error::invalid("Invalid anchor (last_tx from mempool).")
                .with_hint("last_tx names a transaction that waits for a block: use GET /tx_anchor"),
            Refusal::TooLarge { size, max } => {
                Error::new(Kind::TooLarge, format!("{size} bytes of data came within the transaction; at most {max} may"))
                    .with_hint("post the transaction without data, and the data in chunks to /chunk")
            }
        }
    }
}

/// What data makes up a transaction, as its chunks.
pub(crate) struct Chunked {
    pub(crate) chunks: Vec<Range<u64>>,
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) tree: Tree,
}

/// The checks that need nothing but the transaction. Gives the chunks of the data that came with it, if any did.
pub(crate) fn alone(tx: &Transaction, inline_max: u64, data_max: u64) -> Result<Option<Chunked>, Refusal> {
    let wrong = |why: &str| Err(Refusal::Verification(why.to_owned()));
    if !matches!(tx.format, 1 | 2) {
        return wrong("the format must be 1 or 2");
    }
    if tx.data.len() as u64 > inline_max {
        return Err(Refusal::TooLarge { size: tx.data.len() as u64, max: inline_max });
    }
    if tx.denomination > 0 {
        return wrong("the winston was never redenominated here");
    }
    let long = [
        ("last_tx", tx.last_tx.len(), 48),
        ("owner", tx.owner.len(), 512),
        ("signature", tx.signature.len(), 512),
        ("data_root", tx.data_root.len(), 32),
        ("target", tx.target.len(), 32),
    ];
    if let Some((field, len, max)) = long.into_iter().find(|(_, len, max)| len > max) {
        return wrong(&format!("{field} has {len} bytes, more than {max}"));
    }
    if tx.quantity > WINSTON_MAX || tx.reward > WINSTON_MAX {
        return wrong("quantity and reward have at most 30 digits");
    }
    if tx.quantity > 0 && tx.target.len() != 32 {
        return wrong("winston can only go to a target of 32 bytes");
    }
    if tx.target == tx.address().0.as_bytes()[..] {
        return wrong("the target is the owner's own address");
    }
    let tag_bytes: usize = tx.tags.iter().map(|(name, value)| name.len() + value.len()).sum();
    if tx.tags.len() > TAGS_MAX || tag_bytes > TAG_BYTES_MAX {
        return wrong(&format!(
            "names and values of the tags have {tag_bytes} bytes, more than {TAG_BYTES_MAX}"
        ));
    }
    if tx.data_size > data_max {
        return wrong(&format!(
            "{} bytes of data are more than the {data_max} that are accepted here",
            tx.data_size
        ));
    }
    if tx.format == 2 && (tx.data_size == 0) != tx.data_root.is_empty() {
        return wrong("a data root goes with data, and only with data");
    }
    if let Err(why) = tx.verify() {
        return wrong(&format!("{why}"));
    }
    if tx.format == 1 {
        return v1(tx);
    }
    if tx.data_root.len() != 32 && tx.data_size > 0 {
        return wrong("the data root must have 32 bytes");
    }
    if tx.data.is_empty() {
        return Ok(None);
    }
    if tx.data.len() as u64 != tx.data_size {
        return Err(Refusal::Split);
    }
    // Clients balance the last two chunks and nodes do not; a node takes data of several chunks in one piece only if
    // it is cut its own way. Here both are fine.
    let ways = [merkle::cut(tx.data_size), merkle::cut_evenly(tx.data_size)];
    let chunked = ways.into_iter().map(|chunks| chunked(tx, chunks));
    chunked.into_iter().find(|chunked| chunked.tree.root == tx.data_root[..]).map(Some).ok_or(Refusal::Split)
}

/// In format 1 all the data comes along, and its root is not signed.
fn v1(tx: &Transaction) -> Result<Option<Chunked>, Refusal> {
    if tx.data_size != 0 && tx.data_size != tx.data.len() as u64 {
        return Err(Refusal::Split);
    }
    if tx.data.is_empty() {
        return Ok(None);
    }
    Ok(Some(chunked(tx, merkle::cut_evenly(tx.data.len() as u64))))
}

fn chunked(tx: &Transaction, chunks: Vec<Range<u64>>) -> Chunked {
    let leaves = merkle::leaves(&tx.data, &chunks);
    let tree = merkle::tree(&leaves);
    Chunked { chunks, leaves, tree }
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
        let why = format!("The reward of {} winston is less than the price of {}.", tx.reward, around.price);
        return Err(Refusal::Verification(why));
    }
    let cost = tx.quantity.saturating_add(tx.reward).saturating_add(around.pending_cost);
    if cost > around.account.balance {
        let why = format!(
            "The wallet has {} winston, and needs {cost} for this and what waits for a block.",
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
