//! Transactions and chunks as JSON: numbers are text, bytes are base64url.

use bytes::Bytes;
use protocol::id::{base64url, from_base64url};
use protocol::{Address, Id, Transaction};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unit::{Chunk, Code, Error, NewChunk, Result};

/// Bytes as base64url. Reading tolerates padding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Base64Url(pub Bytes);

impl Serialize for Base64Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64url(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Base64Url, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = from_base64url(text.trim_end_matches('='));
        bytes.map(|bytes| Base64Url(bytes.into())).ok_or_else(|| serde::de::Error::custom("not base64url"))
    }
}

/// A number that the wire writes as text; a bare number is read as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Number(pub u128);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Number, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Bare(u64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Bare(number) => Ok(Number(number.into())),
            Either::Text(text) if text.is_empty() => Ok(Number(0)),
            // More than any amount or size: it is refused for what it means, not for how it is written.
            Either::Text(text) if text.len() > 38 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Number(text.parse().unwrap_or(u128::MAX)))
            }
            Either::Text(text) => {
                text.parse().map(Number).map_err(|_| serde::de::Error::custom("not a whole number"))
            }
        }
    }
}

impl Number {
    /// The number, if it fits into 64 bits.
    fn small(self, refusal: &str, what: &str) -> Result<u64> {
        let hint = || format!("{what} has more than 64 bits");
        u64::try_from(self.0)
            .map_err(|_| Error::invalid(refusal).with_code(Code::TRANSACTION).with_hint(hint()))
    }
}

/// A node's word for a transaction that cannot be right.
const UNVERIFIED: &str = "Transaction verification failed.";

/// `POST /tx`, `GET /tx/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's, and protocol::Transaction's")]
pub struct TransactionShape {
    pub format: u8,
    pub id: Id,
    #[serde(default)]
    pub last_tx: Base64Url,
    #[serde(default)]
    pub owner: Base64Url,
    #[serde(default)]
    pub tags: Vec<TagShape>,
    #[serde(default)]
    pub target: Base64Url,
    #[serde(default)]
    pub quantity: Number,
    #[serde(default)]
    pub data: Base64Url,
    #[serde(default)]
    pub data_size: Number,
    /// Always empty; old clients expect it.
    #[serde(default)]
    pub data_tree: Vec<String>,
    #[serde(default)]
    pub data_root: Base64Url,
    #[serde(default)]
    pub reward: Number,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub denomination: Number,
    pub signature: Base64Url,
}

fn is_zero(number: &Number) -> bool {
    number.0 == 0
}

/// One tag.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TagShape {
    pub name: Base64Url,
    pub value: Base64Url,
}

/// The header of a transaction as WeaveDrive shows it: the shape, and the address of its owner after it.
pub fn header_json(shape: &TransactionShape, owner: Address) -> Result<Bytes> {
    #[derive(Serialize)]
    struct Header<'a> {
        #[serde(flatten)]
        shape: &'a TransactionShape,
        #[serde(rename = "ownerAddress")]
        owner: Address,
    }
    let text = serde_json::to_vec(&Header { shape, owner }).map_err(|error| Error::internal(&error))?;
    Ok(text.into())
}

impl TransactionShape {
    /// The transaction that it is.
    pub fn read(self) -> Result<Transaction> {
        Ok(Transaction {
            format: self.format,
            id: self.id,
            last_tx: self.last_tx.0,
            owner: self.owner.0,
            tags: self.tags.into_iter().map(|tag| (tag.name.0, tag.value.0)).collect(),
            target: self.target.0,
            quantity: self.quantity.0,
            data_size: self.data_size.small(UNVERIFIED, "data_size")?,
            data_root: self.data_root.0,
            data: self.data.0,
            reward: self.reward.0,
            denomination: self.denomination.small(UNVERIFIED, "denomination")?,
            signature: self.signature.0,
        })
    }
}

impl From<&Transaction> for TransactionShape {
    fn from(tx: &Transaction) -> TransactionShape {
        let tag = |(name, value): &(Bytes, Bytes)| TagShape {
            name: Base64Url(name.clone()),
            value: Base64Url(value.clone()),
        };
        TransactionShape {
            format: tx.format,
            id: tx.id,
            last_tx: Base64Url(tx.last_tx.clone()),
            owner: Base64Url(tx.owner.clone()),
            tags: tx.tags.iter().map(tag).collect(),
            target: Base64Url(tx.target.clone()),
            quantity: Number(tx.quantity),
            data: Base64Url(tx.data.clone()),
            data_size: Number(tx.data_size.into()),
            data_tree: Vec::new(),
            data_root: Base64Url(tx.data_root.clone()),
            reward: Number(tx.reward),
            denomination: Number(tx.denomination.into()),
            signature: Base64Url(tx.signature.clone()),
        }
    }
}

/// `POST /chunk`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's, and unit::NewChunk's")]
pub struct NewChunkShape {
    pub data_root: Base64Url,
    pub data_size: Number,
    pub data_path: Base64Url,
    pub offset: Number,
    pub chunk: Base64Url,
}

impl From<NewChunk> for NewChunkShape {
    fn from(chunk: NewChunk) -> NewChunkShape {
        NewChunkShape {
            data_root: Base64Url(Bytes::copy_from_slice(&chunk.data_root)),
            data_size: Number(chunk.data_size.into()),
            data_path: Base64Url(chunk.data_path),
            offset: Number(chunk.offset.into()),
            chunk: Base64Url(chunk.data),
        }
    }
}

impl NewChunkShape {
    /// The chunk that it is.
    pub fn read(self) -> Result<NewChunk> {
        Ok(NewChunk {
            data_root: self.data_root.0[..].try_into().map_err(|_| Error::invalid("invalid_proof"))?,
            data_size: self.data_size.small("data_size_too_big", "data_size")?,
            data_path: self.data_path.0,
            offset: self.offset.small("offset_too_big", "offset")?,
            data: self.chunk.0,
        })
    }
}

/// `GET /chunk/{offset}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's, and unit::Chunk's")]
pub struct ChunkShape {
    pub chunk: Base64Url,
    pub data_path: Base64Url,
    pub tx_path: Base64Url,
    /// Always `unpacked`.
    pub packing: String,
}

impl From<Chunk> for ChunkShape {
    fn from(chunk: Chunk) -> ChunkShape {
        ChunkShape {
            chunk: Base64Url(chunk.data),
            data_path: Base64Url(chunk.data_path),
            tx_path: Base64Url(chunk.tx_path),
            packing: "unpacked".to_owned(),
        }
    }
}

/// `GET /tx/{id}/offset`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OffsetShape {
    /// Of the last byte, in the weave.
    pub offset: Number,
    /// Of the data.
    pub size: Number,
}
