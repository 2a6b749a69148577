//! Who signs. Quick, and the same in every run.

use std::sync::Arc;

use protocol::{Address, DataItem, Draft, Id, Item, SignatureType, Wallet};
use unit::{Code, Error, Result};

/// Whoever sends something.
#[derive(Clone)]
pub enum Signer {
    /// A wallet whose signatures are always the same: Ed25519 or secp256k1.
    Wallet(Wallet),
    /// A public key without its private one. What it sends has its owner and a signature that fits no key: an
    /// RSA signature takes milliseconds and is never the same twice, and nobody in a sandbox verifies it.
    StandIn {
        /// What sort of key.
        kind: SignatureType,
        /// The public key.
        owner: Vec<u8>,
    },
}

impl Signer {
    /// The Ed25519 wallet of a seed.
    pub fn of_seed(seed: [u8; 32]) -> Signer {
        Signer::Wallet(Wallet::ed25519_from_seed(seed))
    }

    /// A wallet by a name of one's choice.
    pub fn named(name: &str) -> Signer {
        Signer::of_seed(Address::of_owner(name.as_bytes()).0.0)
    }

    /// The public key.
    pub fn owner(&self) -> &[u8] {
        match self {
            Signer::Wallet(wallet) => wallet.owner(),
            Signer::StandIn { owner, .. } => owner,
        }
    }

    /// SHA-256 of the public key.
    pub fn address(&self) -> Address {
        Address::of_owner(self.owner())
    }

    /// The item of a draft. Refused where data items cannot say it.
    pub fn sign(&self, draft: Draft) -> Result<Arc<Item>> {
        let signed = |wallet: &Wallet| {
            DataItem::sign(wallet, draft).map_err(|error| {
                Error::invalid(format!("it cannot be signed: {error}")).with_code(Code::NOT_AN_ITEM)
            })
        };
        match self {
            Signer::Wallet(wallet) => Ok(signed(wallet)?.shared()),
            Signer::StandIn { kind, owner } => {
                // A signature of the same content by a key of ours is as good as random, and the same every time.
                let ours = signed(&Wallet::ed25519_from_seed(Address::of_owner(owner).0.0))?;
                let mut item = ours.item().clone();
                let signature: Vec<u8> =
                    item.signature.iter().copied().cycle().take(kind.signature_len()).collect();
                item.id = Id::of_signature(&signature);
                (item.signature, item.owner) = (signature.into(), owner.clone().into());
                item.signature_type = *kind;
                Ok(Arc::new(item))
            }
        }
    }
}
