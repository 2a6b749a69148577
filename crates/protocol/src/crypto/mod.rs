//! Keys and signatures.

use crate::id::Address;

/// How a data item is signed. Numbers as in ANS-104.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum SignatureType {
    /// RSA-PSS 4096 with SHA-256.
    Arweave = 1,
    /// Ed25519.
    Ed25519 = 2,
    /// secp256k1, personal-sign.
    Ethereum = 3,
    /// Ed25519 over the hexadecimal text.
    Solana = 4,
    /// Ed25519 over Aptos's text.
    InjectedAptos = 5,
    /// Up to 32 Ed25519 keys with a threshold.
    MultiAptos = 6,
    /// secp256k1, EIP-712.
    TypedEthereum = 7,
}

/// Checks `signature` by `owner` over `message`. The error says why not.
pub fn verify(kind: SignatureType, owner: &[u8], message: &[u8], signature: &[u8]) -> Result<(), &'static str> {
    let _ = (kind, owner, message, signature);
    todo!("protocol helper")
}

/// A private key: Arweave RSA (JWK), Ed25519 or secp256k1. Cheap to clone.
#[derive(Clone)]
pub struct Wallet(());

/// Why a key cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the wallet: {0}")]
pub struct BadWallet(pub &'static str);

impl Wallet {
    /// Reads a wallet: a JWK of kty RSA (as Arweave wallets are), OKP/Ed25519 or EC/secp256k1.
    pub fn from_jwk(json: &str) -> Result<Wallet, BadWallet> {
        let _ = json;
        todo!("protocol helper")
    }

    /// The wallet as a JWK, private parts included.
    pub fn to_jwk(&self) -> String {
        todo!("protocol helper")
    }

    /// A new Ed25519 key. Uses the operating system's randomness.
    pub fn generate_ed25519() -> Wallet {
        todo!("protocol helper")
    }

    /// A new secp256k1 key.
    pub fn generate_secp256k1() -> Wallet {
        todo!("protocol helper")
    }

    /// A new RSA-4096 key. Takes seconds.
    pub fn generate_rsa() -> Wallet {
        todo!("protocol helper")
    }

    /// The Ed25519 key of a 32-byte seed.
    pub fn ed25519_from_seed(seed: [u8; 32]) -> Wallet {
        let _ = seed;
        todo!("protocol helper")
    }

    /// How items signed by it say so: Arweave, Ed25519 or Ethereum.
    pub fn signature_type(&self) -> SignatureType {
        todo!("protocol helper")
    }

    /// The public key as data items carry it.
    pub fn owner(&self) -> &[u8] {
        todo!("protocol helper")
    }

    /// SHA-256 of the owner.
    pub fn address(&self) -> Address {
        Address::of_owner(self.owner())
    }

    /// Signs `message` (for a data item: its deep hash).
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let _ = message;
        todo!("protocol helper")
    }
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wallet({})", self.address())
    }
}
