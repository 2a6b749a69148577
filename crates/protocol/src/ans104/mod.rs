//! ANS-104 data items and bundles, byte exact.
//!
//! `signature type u16 LE | signature | owner | target flag [32] | anchor flag [32] | tag count u64 LE |
//! tag bytes length u64 LE | tag bytes (Avro) | data`.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use crate::crypto::{self, Wallet};
use crate::item::{Draft, Item};

/// A data item: what it says, and the exact bytes that say it.
///
/// Cheap to clone. A signature is verified at most once per item and its clones.
#[derive(Debug, Clone)]
pub struct DataItem {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bytes: Bytes,
    /// Where in `bytes` the raw tag bytes are: they are hashed as they came.
    tag_bytes: std::ops::Range<usize>,
    item: Item,
    verified: AtomicBool,
}

/// Why bytes are no data item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something is cut short or malformed.
    #[error("not a data item: {what} at byte {at}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// The signature does not verify.
    #[error("the signature of {id} is not valid: {why}")]
    Signature {
        /// Which item.
        id: crate::Id,
        /// Why.
        why: &'static str,
    },
    /// A draft cannot be encoded.
    #[error("cannot encode the item: {0}")]
    Draft(&'static str),
}

impl DataItem {
    /// Reads one data item that fills `bytes`. Does not check the signature: see [`DataItem::verify`].
    pub fn parse(bytes: Bytes) -> Result<DataItem, Error> {
        let _ = bytes;
        todo!("protocol helper")
    }

    /// Checks the signature against the owner, over the bytes that came in. Remembered.
    pub fn verify(&self) -> Result<(), Error> {
        if self.inner.verified.load(Ordering::Acquire) {
            return Ok(());
        }
        let hash = self.signing_hash();
        crypto::verify(self.signature_type, &self.owner, &hash, &self.signature)
            .map_err(|why| Error::Signature { id: self.id, why })?;
        self.inner.verified.store(true, Ordering::Release);
        Ok(())
    }

    /// Signs a draft. The result counts as verified.
    pub fn sign(wallet: &Wallet, draft: Draft) -> Result<DataItem, Error> {
        let _ = (wallet, draft);
        todo!("protocol helper")
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.inner.bytes
    }

    /// What it says.
    pub fn item(&self) -> &Item {
        &self.inner.item
    }

    /// What was signed: the 48-byte deep hash.
    fn signing_hash(&self) -> [u8; 48] {
        let _ = &self.inner.tag_bytes;
        todo!("protocol helper")
    }
}

impl Deref for DataItem {
    type Target = Item;

    fn deref(&self) -> &Item {
        &self.inner.item
    }
}

impl PartialEq for DataItem {
    fn eq(&self, other: &DataItem) -> bool {
        self.inner.bytes == other.inner.bytes
    }
}

impl Eq for DataItem {}

/// Reads a bundle (`count u256 LE`, then size and id of each, then the items): its items, unverified.
pub fn parse_bundle(bytes: Bytes) -> Result<Vec<DataItem>, Error> {
    let _ = bytes;
    todo!("protocol helper")
}

/// Writes a bundle.
pub fn bundle(items: &[DataItem]) -> Bytes {
    let _ = items;
    todo!("protocol helper")
}
