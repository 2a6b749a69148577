//! What a signed thing says, whether a data item or a transaction.

use bytes::Bytes;

use crate::crypto::SignatureType;
use crate::id::{Address, Id};
use crate::tag::{self, Tags};

/// What a signed data item or transaction says.
///
/// Decoded, so it can come from bytes or from somebody's JSON; whoever needs the bytes that were signed
/// holds a [`crate::DataItem`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// SHA-256 of the signature.
    pub id: Id,
    /// How it is signed.
    pub signature_type: SignatureType,
    /// The signature's bytes; empty where the source did not tell.
    pub signature: Bytes,
    /// The public key's bytes.
    pub owner: Bytes,
    /// 32 bytes, or absent.
    pub target: Option<Id>,
    /// Absent is empty. 32 bytes in data items, up to 48 in transactions (`last_tx`).
    pub anchor: Bytes,
    /// In wire order.
    pub tags: Tags,
    /// The payload.
    pub data: Bytes,
}

impl Item {
    /// The address of who signed: SHA-256 of the owner bytes.
    pub fn address(&self) -> Address {
        Address::of_owner(&self.owner)
    }

    /// The first `Type` tag (or `type`, which scheduler units accept).
    pub fn kind(&self) -> Option<&str> {
        self.tags.first(tag::TYPE).or_else(|| self.tags.first("type"))
    }

    /// Whether one of its data protocols is `ao`.
    pub fn is_ao(&self) -> bool {
        self.tags.has(tag::DATA_PROTOCOL, tag::AO)
    }

    /// The data as text, with replacement characters for what is not UTF-8, as the units pass it on.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.data)
    }

    /// The anchor as text if there is one and it is UTF-8 (the normal case for pushed messages).
    pub fn anchor_text(&self) -> Option<&str> {
        (!self.anchor.is_empty()).then(|| std::str::from_utf8(&self.anchor).ok()).flatten()
    }
}

/// What somebody is about to sign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// Absent, or 32 bytes.
    pub target: Option<Id>,
    /// Absent, or exactly 32 bytes.
    pub anchor: Option<[u8; 32]>,
    /// In wire order.
    pub tags: Tags,
    /// The payload.
    pub data: Bytes,
}
