//! Keys and signatures.

mod ed25519;
mod ethereum;
mod rsa;
mod wallet;
pub(crate) mod weave;

use crate::hex::to_hex;

pub use wallet::{BadWallet, Wallet};

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

impl SignatureType {
    /// The type of that number, if we know it.
    pub fn from_number(number: u16) -> Option<SignatureType> {
        use SignatureType::*;
        [Arweave, Ed25519, Ethereum, Solana, InjectedAptos, MultiAptos, TypedEthereum]
            .into_iter()
            .find(|kind| kind.number() == number)
    }

    /// Its number on the wire.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// How many bytes a signature has.
    pub fn signature_len(self) -> usize {
        match self {
            SignatureType::Arweave => 512,
            SignatureType::Ed25519 | SignatureType::Solana | SignatureType::InjectedAptos => 64,
            SignatureType::Ethereum | SignatureType::TypedEthereum => 65,
            SignatureType::MultiAptos => ed25519::MULTI_SIGNATURE,
        }
    }

    /// How many bytes a public key has.
    pub fn owner_len(self) -> usize {
        match self {
            SignatureType::Arweave => 512,
            SignatureType::Ed25519 | SignatureType::Solana | SignatureType::InjectedAptos => 32,
            SignatureType::Ethereum => 65,
            SignatureType::TypedEthereum => 42,
            SignatureType::MultiAptos => ed25519::MULTI_OWNER,
        }
    }
}

/// Checks `signature` by `owner` over `message`. The error says why not.
///
/// There is one valid reading of every signature: no second recovery byte, no high `s`, no empty set of signers.
pub fn verify(
    kind: SignatureType,
    owner: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), &'static str> {
    if owner.len() != kind.owner_len() {
        return Err("the public key has the wrong length");
    }
    if signature.len() != kind.signature_len() {
        return Err("the signature has the wrong length");
    }
    match kind {
        SignatureType::Arweave => rsa::verify(owner, message, signature),
        SignatureType::Ed25519 => ed25519::verify(owner, message, signature),
        SignatureType::Ethereum => ethereum::verify(owner, message, signature),
        SignatureType::Solana => ed25519::verify(owner, to_hex(message).as_bytes(), signature),
        SignatureType::InjectedAptos => {
            let text = format!("APTOS\nmessage: {}\nnonce: bundlr", to_hex(message));
            ed25519::verify(owner, text.as_bytes(), signature)
        }
        SignatureType::MultiAptos => ed25519::verify_multi(owner, message, signature),
        SignatureType::TypedEthereum => ethereum::verify_typed(owner, message, signature),
    }
}
