//! Transactions of Arweave's base layer, formats 1 and 2.

use bytes::Bytes;

use crate::crypto::{self, SignatureType, Wallet};
use crate::deep_hash::List;
use crate::id::{Address, Id};
use crate::item::Item;
use crate::merkle;
use crate::tag::{Tag, Tags};

/// A transaction, as it was signed.
///
/// Its fields are bytes, even where they should be ids or text: what was signed need not be what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// 1 or 2.
    pub format: u8,
    /// SHA-256 of the signature.
    pub id: Id,
    /// The anchor: a recent block, or the wallet's last transaction. Up to 48 bytes.
    pub last_tx: Bytes,
    /// The modulus of the wallet's RSA key.
    pub owner: Bytes,
    /// Names and values, in order.
    pub tags: Vec<(Bytes, Bytes)>,
    /// Who gets `quantity`: an address, or nobody.
    pub target: Bytes,
    /// Winston to be transferred.
    pub quantity: u128,
    /// Bytes of data.
    pub data_size: u64,
    /// Empty without data, and in format 1.
    pub data_root: Bytes,
    /// The data, if it came along; else its chunks follow.
    pub data: Bytes,
    /// Winston for the network.
    pub reward: u128,
    /// 0 as long as nobody has redenominated the winston.
    pub denomination: u64,
    /// Over [`Transaction::signing_bytes`].
    pub signature: Bytes,
}

/// A transaction that says nothing, of format 2: to be filled in and signed.
impl Default for Transaction {
    fn default() -> Transaction {
        Transaction {
            format: 2,
            id: Id([0; 32]),
            last_tx: Bytes::new(),
            owner: Bytes::new(),
            tags: Vec::new(),
            target: Bytes::new(),
            quantity: 0,
            data_size: 0,
            data_root: Bytes::new(),
            data: Bytes::new(),
            reward: 0,
            denomination: 0,
            signature: Bytes::new(),
        }
    }
}

impl Transaction {
    /// The wallet that signed it.
    pub fn address(&self) -> Address {
        Address::of_owner(&self.owner)
    }

    /// What is signed: in format 2 the deep hash of the fields and the data root, in format 1 the fields and the
    /// data one after the other.
    pub fn signing_bytes(&self) -> Vec<u8> {
        if self.format == 1 { self.signing_bytes_v1() } else { self.signing_hash_v2().to_vec() }
    }

    fn signing_bytes_v1(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [&self.owner, &self.target, &self.data] {
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(self.quantity.to_string().as_bytes());
        bytes.extend_from_slice(self.reward.to_string().as_bytes());
        bytes.extend_from_slice(&self.last_tx);
        for (name, value) in &self.tags {
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(value);
        }
        bytes
    }

    fn signing_hash_v2(&self) -> [u8; 48] {
        let pair = |(name, value): &(Bytes, Bytes)| List::of(2).blob(name).blob(value);
        let tags = self.tags.iter().fold(List::of(self.tags.len()), |tags, tag| tags.list(pair(tag)));
        let list = if self.denomination > 0 {
            List::of(10).blob(self.denomination.to_string())
        } else {
            List::of(9)
        };
        list.blob("2")
            .blob(&self.owner)
            .blob(&self.target)
            .blob(self.quantity.to_string())
            .blob(self.reward.to_string())
            .blob(&self.last_tx)
            .list(tags)
            .blob(self.data_size.to_string())
            .blob(&self.data_root)
            .finish()
    }

    /// Checks id and signature. The error says why not.
    pub fn verify(&self) -> Result<(), &'static str> {
        if self.id != Id::of_signature(&self.signature) {
            return Err("the id is not the hash of the signature");
        }
        crypto::verify(SignatureType::Arweave, &self.owner, &self.signing_bytes(), &self.signature)
    }

    /// Signs it: sets owner, data size and root (if the data is here), signature and id.
    pub fn sign(self, wallet: &Wallet) -> Transaction {
        self.sign_with(wallet.owner(), |message| wallet.sign(message))
    }

    /// The same, with a signature that is always the same.
    pub fn sign_unsalted(self, wallet: &Wallet) -> Transaction {
        self.sign_with(wallet.owner(), |message| wallet.sign_unsalted(message))
    }

    fn sign_with(mut self, owner: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Transaction {
        self.owner = Bytes::copy_from_slice(owner);
        if !self.data.is_empty() {
            self.data_size = self.data.len() as u64;
            if self.format != 1 {
                self.data_root = Bytes::copy_from_slice(&merkle::data_root(&self.data));
            }
        }
        self.signature = sign(&self.signing_bytes()).into();
        self.id = Id::of_signature(&self.signature);
        self
    }

    /// The tags as text.
    pub fn tags(&self) -> Tags {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        Tags(self.tags.iter().map(|(name, value)| Tag { name: text(name), value: text(value) }).collect())
    }

    /// What it says, as units see it: with that data.
    pub fn item(&self, data: Bytes) -> Item {
        Item {
            id: self.id,
            signature_type: SignatureType::Arweave,
            signature: self.signature.clone(),
            owner: self.owner.clone(),
            target: Id::from_slice(&self.target),
            anchor: self.last_tx.clone(),
            tags: self.tags(),
            data,
        }
    }
}
