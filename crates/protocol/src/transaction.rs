//! Transactions of Arweave's base layer, formats 1 and 2.

use bytes::Bytes;

use crate::crypto::{SignatureType, Wallet, weave};
use crate::deep_hash::List;
use crate::id::{Address, Id};
use crate::item::Item;
use crate::merkle;
use crate::tag::{Tag, Tags};

/// How many bytes the names and values of all tags may have together.
pub const MAX_TAG_BYTES: usize = 2048;
/// How many tags there may be.
pub const MAX_TAGS: usize = 2048;
/// How many bytes of data a transaction of format 1 may have.
pub const MAX_DATA_V1: usize = 10 * 1024 * 1024;
/// The first amount that is too large: it has 31 digits.
const AMOUNT_END: u128 = 10u128.pow(30);

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
    /// The modulus of the wallet's RSA key; empty where the signature is ECDSA, which tells the key itself.
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
    /// The key that signed it: the owner, or what an ECDSA signature tells. Empty if it tells nothing.
    pub fn public_key(&self) -> Bytes {
        if !self.owner.is_empty() {
            return self.owner.clone();
        }
        let key = weave::recover(&self.signing_bytes(), &self.signature);
        key.map_or_else(|_| Bytes::new(), |key| Bytes::copy_from_slice(&key))
    }

    /// The wallet that signed it.
    pub fn address(&self) -> Address {
        Address::of_owner(&self.public_key())
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
        let denomination = (self.denomination > 0).then(|| self.denomination.to_string());
        let owner = (!self.owner.is_empty()).then_some(&self.owner);
        let mut list = List::of(8 + usize::from(denomination.is_some()) + usize::from(owner.is_some()));
        if let Some(denomination) = denomination {
            list = list.blob(denomination);
        }
        list = list.blob("2");
        if let Some(owner) = owner {
            list = list.blob(owner);
        }
        list.blob(&self.target)
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
        if !self.owner.is_empty() {
            return weave::verify(&self.owner, &self.signing_bytes(), &self.signature);
        }
        if self.format == 1 {
            return Err("format 1 has an owner");
        }
        weave::recover(&self.signing_bytes(), &self.signature).map(drop)
    }

    /// Checks all that can be checked without knowing the weave: everything but anchor, reward and balance.
    pub fn check(&self) -> Result<(), Invalid> {
        self.check_fields()?;
        if self.id != Id::of_signature(&self.signature) {
            return Err(Invalid::Id);
        }
        self.verify().map_err(Invalid::Signature)?;
        if self.target[..] == self.address().0.0 {
            return Err(Invalid::PaysItself);
        }
        self.check_data()
    }

    fn check_fields(&self) -> Result<(), Invalid> {
        let tag_bytes: usize = self.tags.iter().map(|(name, value)| name.len() + value.len()).sum();
        let limits = [
            ("last_tx", self.last_tx.len() <= 48),
            ("owner", self.owner.len() <= 512),
            ("signature", self.signature.len() <= 512),
            ("target", self.target.len() <= 32),
            ("quantity", self.quantity < AMOUNT_END),
            ("reward", self.reward < AMOUNT_END),
            ("data_root", self.data_root.len() <= 32),
            ("number of tags", self.tags.len() <= MAX_TAGS),
            ("tags together (more than 2048 bytes)", tag_bytes <= MAX_TAG_BYTES),
            ("data (in format 1)", self.format == 2 || self.data.len() <= MAX_DATA_V1),
        ];
        if let Some((what, _)) = limits.iter().find(|(_, kept)| !kept) {
            return Err(Invalid::TooLarge(what));
        }
        if self.quantity > 0 && self.target.len() != 32 {
            return Err(Invalid::NoTarget);
        }
        match self.format {
            1 if self.data_root.is_empty() && self.denomination == 0 => Ok(()),
            2 => Ok(()),
            _ => Err(Invalid::Format),
        }
    }

    /// Nodes cut data that comes within a transaction at every 256 KiB. Where clients cut otherwise (less than 32 KiB
    /// are left after a full chunk) their root is another one, and their data has to come in chunks.
    fn check_data(&self) -> Result<(), Invalid> {
        let len = self.data.len() as u64;
        if self.format == 1 {
            // Old clients leave the size out.
            return if self.data_size == 0 || self.data_size == len {
                Ok(())
            } else {
                Err(Invalid::DataSize)
            };
        }
        if (self.data_size == 0) != self.data_root.is_empty() {
            return Err(Invalid::DataRoot);
        }
        if len == 0 {
            return Ok(());
        }
        if len != self.data_size {
            return Err(Invalid::DataSize);
        }
        let tree = merkle::tree(&merkle::leaves(&self.data, &merkle::cut_evenly(len)));
        if self.data_root[..] != tree.root { Err(Invalid::Data) } else { Ok(()) }
    }

    /// Signs it: sets owner, data size and root (if the data is here), signature and id.
    pub fn sign(self, wallet: &Wallet) -> Result<Transaction, WrongWallet> {
        self.sign_with(wallet, |message| wallet.sign_for_weave(message))
    }

    /// The same, with a signature that is always the same.
    pub fn sign_unsalted(self, wallet: &Wallet) -> Result<Transaction, WrongWallet> {
        self.sign_with(wallet, |message| match wallet.signature_type() {
            SignatureType::Arweave => Some(wallet.sign_unsalted(message)),
            _ => wallet.sign_for_weave(message),
        })
    }

    fn sign_with(
        mut self,
        wallet: &Wallet,
        sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Transaction, WrongWallet> {
        self.owner = match wallet.signature_type() {
            SignatureType::Arweave => Bytes::copy_from_slice(wallet.owner()),
            _ => Bytes::new(),
        };
        if !self.data.is_empty() {
            self.data_size = self.data.len() as u64;
            if self.format != 1 {
                self.data_root = Bytes::copy_from_slice(&merkle::data_root(&self.data));
            }
        }
        self.signature = sign(&self.signing_bytes()).ok_or(WrongWallet)?.into();
        self.id = Id::of_signature(&self.signature);
        Ok(self)
    }

    /// The tags as text.
    pub fn tags(&self) -> Tags {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        Tags(self.tags.iter().map(|(name, value)| Tag { name: text(name), value: text(value) }).collect())
    }

    /// What it says, as units see it: with that data. Its signature type is Arweave, whichever key it was: an item
    /// of a transaction does not verify by itself.
    pub fn item(&self, data: Bytes) -> Item {
        Item {
            id: self.id,
            signature_type: SignatureType::Arweave,
            signature: self.signature.clone(),
            owner: self.public_key(),
            target: Id::from_slice(&self.target),
            anchor: self.last_tx.clone(),
            tags: self.tags(),
            data,
        }
    }
}

/// Why a transaction is not valid, whatever the state of the weave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Neither format, or a field that the format does not have.
    #[error("its format is neither 2, nor 1 without data_root and denomination")]
    Format,
    /// A field is larger than nodes allow.
    #[error("its {0} is too large")]
    TooLarge(&'static str),
    /// It pays nobody.
    #[error("it has a quantity, but its target is no address of 32 bytes")]
    NoTarget,
    /// It pays its own wallet.
    #[error("its target is its own wallet")]
    PaysItself,
    /// The id does not belong to the signature.
    #[error("its id is not the SHA-256 of its signature")]
    Id,
    /// The signature is not valid.
    #[error("its signature is not valid: {0}")]
    Signature(&'static str),
    /// Data without root, or root without data.
    #[error("its data_root and its data_size do not agree on whether there is data")]
    DataRoot,
    /// The data within it has another size.
    #[error("its data has not the size that data_size says")]
    DataSize,
    /// The data within it has another root.
    #[error(
        "its data, cut at every 256 KiB, has not the root that data_root says; upload it in chunks instead"
    )]
    Data,
}

/// A wallet whose signatures the base layer does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("transactions are signed by Arweave (RSA) or secp256k1 wallets, not by Ed25519 ones")]
pub struct WrongWallet;
