//! ANS-104 data items and bundles, byte exact.
//!
//! `signature type u16 LE | signature | owner | target flag [32] | anchor flag [32] | tag count u64 LE |
//! tag bytes length u64 LE | tag bytes (Avro) | data`.

mod bundle;
pub mod tags;

use std::ops::{Deref, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::crypto::{self, SignatureType, Wallet};
use crate::deep_hash;
use crate::id::Id;
use crate::item::{Draft, Item};
use crate::tag::Tags;

pub use bundle::{Entry, bundle, bundle_index, parse_bundle, parse_entry};

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
    tag_bytes: Range<usize>,
    item: Arc<Item>,
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
        id: Id,
        /// Why.
        why: &'static str,
    },
    /// A draft cannot be encoded.
    #[error("cannot encode the item: {0}")]
    Draft(&'static str),
}

impl Error {
    /// The same, where the bytes were a part that begins at `by`.
    fn further(self, by: usize) -> Error {
        match self {
            Error::Malformed { what, at } => Error::Malformed { what, at: by + at },
            other => other,
        }
    }
}

impl DataItem {
    /// Reads one data item that fills `bytes`. Does not check the signature: see [`DataItem::verify`].
    pub fn parse(bytes: Bytes) -> Result<DataItem, Error> {
        DataItem::read(bytes, false)
    }

    /// Reads an item whose signature was verified before these bytes were written down. Counts as verified, so only
    /// bytes from one's own store belong here.
    pub fn parse_trusted(bytes: Bytes) -> Result<DataItem, Error> {
        DataItem::read(bytes, true)
    }

    fn read(bytes: Bytes, verified: bool) -> Result<DataItem, Error> {
        let layout = Layout::read(&bytes)?;
        let tags =
            tags::decode(&bytes[layout.tags.clone()]).map_err(|error| error.further(layout.tags.start))?;
        if tags.0.len() as u64 != layout.tag_count {
            return Err(Error::Malformed {
                what: "the tags are not as many as it says",
                at: layout.tags.start,
            });
        }
        let id = Id::of_signature(&bytes[layout.signature.clone()]);
        Ok(DataItem::assemble(bytes, layout, id, tags, verified))
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
        let kind = wallet.signature_type();
        let anchor = draft.anchor.as_ref().map_or(&[][..], |anchor| anchor);
        let mut bytes = frame(kind, wallet.owner(), draft.target, anchor, &draft.tags, &draft.data)?;
        let layout = Layout::read(&bytes).expect("it was written just above");
        let signature = wallet.sign(&layout.signing_hash(&bytes));
        bytes[layout.signature.clone()].copy_from_slice(&signature);
        Ok(DataItem::assemble(bytes.freeze(), layout, Id::of_signature(&signature), draft.tags, true))
    }

    /// The item whose words these are, if its signature is over exactly these words. For who has an item from
    /// somebody's JSON; what kind of signature it is need not be told, as long as the lengths tell.
    pub fn restore(item: &Item) -> Option<DataItem> {
        DataItem::possible(item).find(|possible| possible.verify().is_ok())
    }

    /// The same without a look at the signature: the bytes that it is over, if the item is told as it was signed.
    pub fn reframe(item: &Item) -> Option<DataItem> {
        let told = DataItem::framed(item, item.signature_type);
        told.or_else(|| DataItem::possible(item).next())
    }

    /// An item under each kind of signature that its lengths may be of.
    fn possible(item: &Item) -> impl Iterator<Item = DataItem> + '_ {
        (1..=7).filter_map(SignatureType::from_number).filter_map(|kind| DataItem::framed(item, kind))
    }

    fn framed(item: &Item, kind: SignatureType) -> Option<DataItem> {
        if kind.owner_len() != item.owner.len() || kind.signature_len() != item.signature.len() {
            return None;
        }
        let mut bytes = frame(kind, &item.owner, item.target, &item.anchor, &item.tags, &item.data).ok()?;
        let layout = Layout::read(&bytes).ok()?;
        bytes[layout.signature].copy_from_slice(&item.signature);
        DataItem::parse(bytes.freeze()).ok().filter(|framed| framed.id == item.id)
    }

    fn assemble(bytes: Bytes, layout: Layout, id: Id, tags: Tags, verified: bool) -> DataItem {
        let item = Arc::new(Item {
            id,
            signature_type: layout.kind,
            signature: bytes.slice(layout.signature),
            owner: bytes.slice(layout.owner),
            target: Id::from_slice(&bytes[layout.target]),
            anchor: bytes.slice(layout.anchor),
            tags,
            data: bytes.slice(layout.data),
        });
        let verified = AtomicBool::new(verified);
        DataItem { inner: Arc::new(Inner { bytes, tag_bytes: layout.tags, item, verified }) }
    }

    /// The exact bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.inner.bytes
    }

    /// What it says.
    pub fn item(&self) -> &Item {
        &self.inner.item
    }

    /// What it says, to keep without its bytes' frame and without a copy.
    pub fn shared(&self) -> Arc<Item> {
        self.inner.item.clone()
    }

    /// What was signed: the deep hash of everything but the signature.
    pub fn signing_hash(&self) -> deep_hash::Hash {
        let target = self.target.as_ref().map_or(&[][..], |id| &id.0);
        let tags = &self.inner.bytes[self.inner.tag_bytes.clone()];
        signing_hash(self.signature_type, [&self.owner, target, &self.anchor, tags, &self.data])
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

/// The bytes of an item with room for its signature.
fn frame(
    kind: SignatureType,
    owner: &[u8],
    target: Option<Id>,
    anchor: &[u8],
    tags: &Tags,
    data: &[u8],
) -> Result<BytesMut, Error> {
    let tag_bytes = tags::encode(tags)?;
    let len = 2 + kind.signature_len() + kind.owner_len() + 82 + tag_bytes.len() + data.len();
    let mut bytes = BytesMut::with_capacity(len);
    bytes.put_u16_le(kind.number());
    bytes.put_bytes(0, kind.signature_len());
    bytes.put_slice(owner);
    for optional in [target.as_ref().map_or(&[][..], |id| id.as_bytes()), anchor] {
        bytes.put_u8((!optional.is_empty()).into());
        bytes.put_slice(optional);
    }
    bytes.put_u64_le(tags.0.len() as u64);
    bytes.put_u64_le(tag_bytes.len() as u64);
    bytes.put_slice(&tag_bytes);
    bytes.put_slice(data);
    Ok(bytes)
}

/// Where in an item's bytes its parts are. What is absent is an empty range.
struct Layout {
    kind: SignatureType,
    signature: Range<usize>,
    owner: Range<usize>,
    target: Range<usize>,
    anchor: Range<usize>,
    tag_count: u64,
    tags: Range<usize>,
    data: Range<usize>,
}

impl Layout {
    fn read(bytes: &[u8]) -> Result<Layout, Error> {
        let mut at = 0;
        let mut take = |len: usize| {
            let end = at + len;
            let range = at..end;
            if end > bytes.len() {
                return Err(Error::Malformed { what: "it is cut short", at: bytes.len() });
            }
            at = end;
            Ok(range)
        };
        let kind = take(2)?;
        let kind = SignatureType::from_number(u16::from_le_bytes([bytes[kind.start], bytes[kind.start + 1]]))
            .ok_or(Error::Malformed { what: "its signature type is unknown", at: 0 })?;
        let signature = take(kind.signature_len())?;
        let owner = take(kind.owner_len())?;
        let mut optional = |what| {
            let flag = take(1)?;
            match bytes[flag.start] {
                0 => take(0),
                1 => take(32),
                _ => Err(Error::Malformed { what, at: flag.start }),
            }
        };
        let target = optional("its target is neither there (1) nor absent (0)")?;
        let anchor = optional("its anchor is neither there (1) nor absent (0)")?;
        let mut number = || {
            let range = take(8)?;
            Ok(u64::from_le_bytes(bytes[range].try_into().expect("8 bytes")))
        };
        let tag_count = number()?;
        let tag_len = number()?;
        // Looked at before it is added to anything: it may be any number.
        let tag_len = usize::try_from(tag_len).ok().filter(|len| *len <= tags::MAX_BYTES);
        let tag_len = tag_len
            .ok_or(Error::Malformed { what: "it has more than 4096 bytes of tags", at: anchor.end + 8 })?;
        let tags = take(tag_len)?;
        let data = tags.end..bytes.len();
        Ok(Layout { kind, signature, owner, target, anchor, tag_count, tags, data })
    }

    fn signing_hash(&self, bytes: &[u8]) -> deep_hash::Hash {
        let parts = [&self.owner, &self.target, &self.anchor, &self.tags, &self.data];
        signing_hash(self.kind, parts.map(|range| &bytes[range.clone()]))
    }
}

/// The deep hash of an item of that kind with these owner, target, anchor, tags and data.
fn signing_hash(kind: SignatureType, parts: [&[u8]; 5]) -> deep_hash::Hash {
    let head = deep_hash::List::of(8).blob("dataitem").blob("1").blob(kind.number().to_string());
    parts.into_iter().fold(head, deep_hash::List::blob).finish()
}
