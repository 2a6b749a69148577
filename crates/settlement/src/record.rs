//! How what is settled lies in the store: the spaces, their keys, and what is written there.
//!
//! Numbers are big-endian, so a scan is in the order in which things came.

use bytes::Bytes;
use protocol::id::{base64url, from_base64url};
use protocol::{Id, Timestamp, Transaction};
use serde::{Deserialize, Serialize};
use store::Space;

use crate::Error;

/// Item → how it stands, one byte.
pub(crate) const ITEM: Space = Space("settlement.item");
/// Item → its bytes, until it is settled.
pub(crate) const BYTES: Space = Space("settlement.bytes");
/// Number → a lot that waits to be posted.
pub(crate) const WAITING: Space = Space("settlement.waiting");
/// Number → a parcel that is signed and written down, and that the network has not taken yet.
pub(crate) const SIGNED: Space = Space("settlement.signed");
/// Number → a parcel that the network has taken.
pub(crate) const POSTED: Space = Space("settlement.posted");
/// `total` → what was done so far.
pub(crate) const TOTAL: Space = Space("settlement.total");

/// How far an item is from being settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Standing {
    /// It waits to be posted.
    Waiting,
    /// It is in a transaction that is signed, and not taken yet.
    Signed,
    /// The network has taken it.
    Posted,
    /// It is in a block.
    Seen,
    /// It lies deep enough, and was read back.
    Settled,
}

impl Standing {
    const ALL: [Standing; 5] =
        [Standing::Waiting, Standing::Signed, Standing::Posted, Standing::Seen, Standing::Settled];

    pub(crate) fn byte(self) -> u8 {
        self as u8
    }

    pub(crate) fn read(value: &[u8]) -> Option<Standing> {
        Standing::ALL.into_iter().find(|standing| value == [standing.byte()])
    }
}

/// One item among others on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lot {
    pub(crate) id: Id,
    /// When it came.
    pub(crate) since: Timestamp,
    /// Bytes of the whole item.
    pub(crate) size: u64,
    /// Whether it is an assignment: an entry of a schedule.
    pub(crate) entry: bool,
}

/// What is posted at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parcel {
    /// The transaction that has the items as a bundle; none where one item went to a bundler.
    pub(crate) transaction: Option<Header>,
    pub(crate) lots: Vec<Lot>,
    /// When the network took it, the last time.
    pub(crate) posted: Timestamp,
    /// Whether it was seen in a block.
    pub(crate) seen: bool,
    /// When it was first seen so deep that it could be read back.
    pub(crate) deep: Option<Timestamp>,
}

impl Parcel {
    pub(crate) fn standing(&self) -> Standing {
        if self.seen { Standing::Seen } else { Standing::Posted }
    }
}

/// A signed transaction without its data, which is the bundle of its items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    id: Id,
    last_tx: String,
    owner: String,
    tags: Vec<(String, String)>,
    data_size: u64,
    data_root: String,
    /// Winston, as text: JSON has no such numbers.
    reward: String,
    signature: String,
}

impl Header {
    pub(crate) fn of(tx: &Transaction) -> Header {
        let tag = |(name, value): &(Bytes, Bytes)| (base64url(name), base64url(value));
        Header {
            id: tx.id,
            last_tx: base64url(&tx.last_tx),
            owner: base64url(&tx.owner),
            tags: tx.tags.iter().map(tag).collect(),
            data_size: tx.data_size,
            data_root: base64url(&tx.data_root),
            reward: tx.reward.to_string(),
            signature: base64url(&tx.signature),
        }
    }

    pub(crate) fn id(&self) -> Id {
        self.id
    }

    pub(crate) fn reward(&self) -> u128 {
        self.reward.parse().unwrap_or_default()
    }

    /// The transaction, without its data.
    pub(crate) fn transaction(&self) -> Result<Transaction, Error> {
        let damaged = || Error::Damaged { what: format!("transaction {}", self.id) };
        let bytes = |text: &str| from_base64url(text).map(Bytes::from).ok_or_else(damaged);
        let tag = |(name, value): &(String, String)| Ok::<_, Error>((bytes(name)?, bytes(value)?));
        Ok(Transaction {
            id: self.id,
            last_tx: bytes(&self.last_tx)?,
            owner: bytes(&self.owner)?,
            tags: self.tags.iter().map(tag).collect::<Result<_, _>>()?,
            data_size: self.data_size,
            data_root: bytes(&self.data_root)?,
            reward: self.reward.parse().map_err(|_| damaged())?,
            signature: bytes(&self.signature)?,
            ..Transaction::default()
        })
    }
}

/// What was done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Winston that the transactions offered which the network took.
    pub winston: u64,
    /// Transactions that the network took, each once.
    pub transactions: u64,
    /// Items that are settled.
    pub settled: u64,
    /// How often something that was taken was lost, and posted again.
    pub reposted: u64,
    /// How often something was in a block, and then was not.
    pub reorganised: u64,
    /// Transactions that were refused for good, so that their items went into others.
    pub refused: u64,
}

pub(crate) fn write<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("records are JSON")
}

pub(crate) fn read<T: for<'de> Deserialize<'de>>(what: &str, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|_| Error::Damaged { what: what.to_owned() })
}

pub(crate) fn key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

pub(crate) fn number(key: &[u8]) -> u64 {
    key.try_into().map_or(0, u64::from_be_bytes)
}
