//! The weave's own bundles: items that came by themselves, put together into a transaction.

use bytes::{BufMut as _, Bytes, BytesMut};
use protocol::merkle::{self, Leaf};
use protocol::{Id, Transaction};
use sha2::{Digest as _, Sha256};
use store::Batch;

use crate::Error;
use crate::core::Core;
use crate::keys::{BUNDLE, BUNDLE_INDEX, FIND, PROOF, Place, RootKey, Term};
use crate::record::{Head, Source, What};
use crate::upload::{Terms, put};

/// Items that will be in one bundle.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) items: Vec<Cargo>,
    pub(crate) bytes: u64,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cargo {
    pub(crate) place: Place,
    pub(crate) id: Id,
    pub(crate) size: u64,
}

/// Makes a transaction of items, and notes in the batch what is needed to find and to read it. Its data is nowhere:
/// it is put together again from the items whenever somebody asks.
pub(crate) fn bundle(core: &Core, load: &Load, batch: &mut Batch) -> Result<Head, Error> {
    let index = index(load);
    let size = index.len() as u64 + load.bytes;
    let leaves = leaves(core, load, &index, size)?;
    let tree = merkle::tree(&leaves);
    let (received, received_at) = core.now();
    let anchor = core.anchor();
    let tag = |name: &'static str, value: &'static str| {
        (Bytes::from_static(name.as_bytes()), value.as_bytes().into())
    };
    let tx = Transaction {
        last_tx: Bytes::copy_from_slice(&anchor.0),
        tags: vec![tag("Bundle-Format", "binary"), tag("Bundle-Version", "2.0.0"), tag("App-Name", "pirn")],
        data_size: size,
        data_root: Bytes::copy_from_slice(&tree.root),
        reward: core.price(size, None)?,
        ..Transaction::default()
    };
    // Without a salt, the same items in the same place give the same transaction.
    let tx = tx.sign_unsalted(&core.wallet).expect("our key is an RSA key");
    let data = RootKey { root: tree.root, size };
    for (leaf, proof) in leaves.iter().zip(tree.proofs) {
        batch.put(PROOF, data.chunk(leaf.end).to_vec(), proof);
    }
    let last = load.items.last().expect("a bundle has an item").place.number;
    let place = Place { number: last, within: Place::BUNDLE };
    batch.put(BUNDLE, last.to_be_bytes().to_vec(), tx.id.as_bytes().to_vec());
    batch.put(BUNDLE_INDEX, tx.id.as_bytes().to_vec(), index);
    for item in &load.items {
        batch.put(FIND, Term::bundle(tx.id).key(item.place).to_vec(), item.id.as_bytes().to_vec());
    }
    let terms = Terms::of(tx.address(), None, &tx.tags());
    let id = tx.id;
    let source = Source::Bundle { root: tree.root };
    let what = What::Transaction(Box::new(tx));
    let head = Head { place, received, received_at, data_size: size, source, parent: None, what };
    put(batch, id, &head, &terms);
    Ok(head)
}

/// The first bytes of a bundle: how many items, and the size and id of each.
fn index(load: &Load) -> Bytes {
    let mut bytes = BytesMut::with_capacity(32 + 64 * load.items.len());
    let number = |bytes: &mut BytesMut, number: u64| {
        bytes.put_u64_le(number);
        bytes.put_bytes(0, 24);
    };
    number(&mut bytes, load.items.len() as u64);
    for item in &load.items {
        number(&mut bytes, item.size);
        bytes.put_slice(item.id.as_bytes());
    }
    bytes.freeze()
}

/// The chunks of a bundle, hashed as they go by: the bundle is never in memory.
fn leaves(core: &Core, load: &Load, index: &[u8], size: u64) -> Result<Vec<Leaf>, Error> {
    let mut hasher =
        Hasher { ends: merkle::cut(size).into_iter().map(|chunk| chunk.end).collect(), ..Hasher::new() };
    hasher.update(index);
    for item in &load.items {
        let bytes = core.item_bytes(item.id)?.filter(|bytes| bytes.len() as u64 == item.size);
        hasher.update(&bytes.ok_or(Error::Damaged("an item"))?);
    }
    Ok(hasher.finish())
}

struct Hasher {
    ends: Vec<u64>,
    leaves: Vec<Leaf>,
    chunk: Sha256,
    at: u64,
}

impl Hasher {
    fn new() -> Hasher {
        Hasher { ends: Vec::new(), leaves: Vec::new(), chunk: Sha256::new(), at: 0 }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while let Some(end) = self.ends.get(self.leaves.len()).copied() {
            let (part, rest) = bytes.split_at(bytes.len().min((end - self.at) as usize));
            self.chunk.update(part);
            self.at += part.len() as u64;
            bytes = rest;
            if self.at < end {
                return;
            }
            self.leaves.push(Leaf { hash: self.chunk.finalize_reset().into(), end });
        }
    }

    fn finish(self) -> Vec<Leaf> {
        self.leaves
    }
}
