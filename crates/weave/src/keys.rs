//! Where things are kept: the spaces of the store, and the order of everything.
//!
//! Everything that comes in from outside gets the next number. Blocks take things in by their numbers, so this order
//! is the order of the blocks too, and no index changes when a block is made.

use protocol::{Address, Id};
use sha2::{Digest as _, Sha256};
use store::Space;

/// What an item or transaction says and where its data is: id → [`crate::record::Head`].
pub(crate) const HEAD: Space = Space("weave.head");
/// Data of items that came by themselves: id, index of the piece → bytes.
pub(crate) const DATA: Space = Space("weave.data");
/// Everything in order: place → id, kind, size.
pub(crate) const ORDER: Space = Space("weave.order");
/// The index for queries: term, place → id.
pub(crate) const FIND: Space = Space("weave.find");
/// Bundles that are still to be unpacked: id → nothing.
pub(crate) const UNPACK: Space = Space("weave.unpack");
/// Data in chunks: data root, data size → bytes that are here.
pub(crate) const ROOT: Space = Space("weave.root");
/// Which transactions have that data: data root, data size, id → nothing.
pub(crate) const ROOT_USER: Space = Space("weave.root-user");
/// Chunks: data root, data size, end → bytes.
pub(crate) const CHUNK: Space = Space("weave.chunk");
/// Their proofs: data root, data size, end → bytes.
pub(crate) const PROOF: Space = Space("weave.proof");
/// Our own bundles: the last number in it → id.
pub(crate) const BUNDLE: Space = Space("weave.bundle");
/// What is in them: id → the first bytes of the bundle, which list sizes and ids.
pub(crate) const BUNDLE_INDEX: Space = Space("weave.bundle-index");
/// Blocks: height → [`crate::chain::Mined`].
pub(crate) const BLOCK: Space = Space("weave.block");
/// Blocks by hash: hash → height.
pub(crate) const BLOCK_HASH: Space = Space("weave.block-hash");
/// Which block has a number: last number in the block, height → the block in short.
pub(crate) const CUT: Space = Space("weave.cut");
/// Where data of transactions ends: end → id.
pub(crate) const OFFSET: Space = Space("weave.offset");
/// The same the other way: id → end, and the proof that leads from the block to the transaction.
pub(crate) const END: Space = Space("weave.end");
/// Wallets: address → [`crate::record::Account`].
pub(crate) const WALLET: Space = Space("weave.wallet");

/// What blocks changed in wallets, as long as they can be undone: height → [`crate::mine::Change`] each.
pub(crate) const UNDO: Space = Space("weave.undo");

/// Uploads in parts: id of the upload → how far it is.
pub(crate) const UPLOAD: Space = Space("weave.upload");
/// Their parts, in pieces: id of the upload, offset → bytes.
pub(crate) const PART: Space = Space("weave.part");

/// Ids and addresses that something of ours stands for: kind, id → id.
pub(crate) const STAND_IN: Space = Space("weave.stand-in");

/// All of them, for a reset.
pub(crate) const ALL: [Space; 21] = [
    HEAD,
    DATA,
    ORDER,
    FIND,
    UNPACK,
    ROOT,
    ROOT_USER,
    CHUNK,
    PROOF,
    BUNDLE,
    BUNDLE_INDEX,
    BLOCK,
    BLOCK_HASH,
    CUT,
    OFFSET,
    END,
    WALLET,
    UNDO,
    UPLOAD,
    PART,
    STAND_IN,
];

/// Where something stands among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The number it, or what brought it along, got when it came in.
    pub(crate) number: u64,
    /// 0 for what came in itself; what is in a posted bundle counts from 1.
    pub(crate) within: u32,
}

impl Place {
    pub(crate) const FIRST: Place = Place { number: 0, within: 0 };
    pub(crate) const LAST: Place = Place { number: u64::MAX, within: u32::MAX };
    /// One of our own bundles stands right after the last of its items.
    pub(crate) const BUNDLE: u32 = u32::MAX;

    /// Of what comes in from outside.
    pub(crate) fn of(number: u64) -> Place {
        Place { number, within: 0 }
    }

    pub(crate) fn key(self) -> [u8; 12] {
        let mut key = [0; 12];
        key[..8].copy_from_slice(&self.number.to_be_bytes());
        key[8..].copy_from_slice(&self.within.to_be_bytes());
        key
    }

    pub(crate) fn read(key: &[u8]) -> Option<Place> {
        let (number, within) = key.split_at_checked(8)?;
        Some(Place {
            number: u64::from_be_bytes(number.try_into().ok()?),
            within: u32::from_be_bytes(within.try_into().ok()?),
        })
    }

    /// The next place after it, if there is one.
    pub(crate) fn next(self) -> Option<Place> {
        match (self.within.checked_add(1), self.number.checked_add(1)) {
            (Some(within), _) => Some(Place { within, ..self }),
            (None, Some(number)) => Some(Place::of(number)),
            (None, None) => None,
        }
    }

    /// The one before it, if there is one.
    pub(crate) fn previous(self) -> Option<Place> {
        match (self.within.checked_sub(1), self.number.checked_sub(1)) {
            (Some(within), _) => Some(Place { within, ..self }),
            (None, Some(number)) => Some(Place { number, within: u32::MAX }),
            (None, None) => None,
        }
    }
}

/// What one can look for: a kind and a value, in 17 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Term([u8; 17]);

impl Term {
    pub(crate) fn owner(address: Address) -> Term {
        Term::new(b'o', &[address.0.as_bytes()])
    }

    pub(crate) fn recipient(id: Id) -> Term {
        Term::new(b'r', &[id.as_bytes()])
    }

    pub(crate) fn bundle(id: Id) -> Term {
        Term::new(b'b', &[id.as_bytes()])
    }

    pub(crate) fn tag(name: &str, value: &str) -> Term {
        Term::new(b't', &[&(name.len() as u64).to_be_bytes(), name.as_bytes(), value.as_bytes()])
    }

    fn new(kind: u8, parts: &[&[u8]]) -> Term {
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        let mut term = [kind; 17];
        term[1..].copy_from_slice(&hash.finalize()[..16]);
        Term(term)
    }

    /// The key of its entry for what stands there.
    pub(crate) fn key(&self, place: Place) -> [u8; 29] {
        let mut key = [0; 29];
        key[..17].copy_from_slice(&self.0);
        key[17..].copy_from_slice(&place.key());
        key
    }
}

/// The part of a key that says which data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RootKey {
    pub(crate) root: [u8; 32],
    pub(crate) size: u64,
}

impl RootKey {
    pub(crate) fn key(&self) -> [u8; 40] {
        let mut key = [0; 40];
        key[..32].copy_from_slice(&self.root);
        key[32..].copy_from_slice(&self.size.to_be_bytes());
        key
    }

    /// The key of the chunk that ends there.
    pub(crate) fn chunk(&self, end: u64) -> [u8; 48] {
        let mut key = [0; 48];
        key[..40].copy_from_slice(&self.key());
        key[40..].copy_from_slice(&end.to_be_bytes());
        key
    }

    /// The key of a transaction that has this data.
    pub(crate) fn user(&self, id: Id) -> [u8; 72] {
        let mut key = [0; 72];
        key[..40].copy_from_slice(&self.key());
        key[40..].copy_from_slice(id.as_bytes());
        key
    }
}

/// The end of a chunk, from its key.
pub(crate) fn chunk_end(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(40..48)?.try_into().ok()?))
}
