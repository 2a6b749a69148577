//! secp256k1 as Ethereum uses it: personal-sign and EIP-712.

use std::sync::LazyLock;

use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{All, Message, PublicKey, Secp256k1, SecretKey};
use sha3::{Digest as _, Keccak256};

use crate::hex::from_hex;

/// Tables of the library; making them takes longer than a signature.
pub(super) static CURVE: LazyLock<Secp256k1<All>> = LazyLock::new(Secp256k1::new);

const WRONG_KEY: &str = "the secp256k1 signature is by another key";

/// `owner` is the uncompressed public key.
pub(super) fn verify(owner: &[u8], message: &[u8], signature: &[u8]) -> Result<(), &'static str> {
    let signer = recover(personal(message), signature)?;
    (signer.serialize_uncompressed() == owner).then_some(()).ok_or(WRONG_KEY)
}

/// `owner` is the text of an Ethereum address, in any case.
pub(super) fn verify_typed(owner: &[u8], message: &[u8], signature: &[u8]) -> Result<(), &'static str> {
    let address = std::str::from_utf8(owner).ok().and_then(|owner| from_hex(owner.strip_prefix("0x")?));
    let address: [u8; 20] = address.ok_or("the owner is no Ethereum address")?;
    let signer = recover(typed(message, &address), signature)?;
    let hash = keccak(&[&signer.serialize_uncompressed()[1..]]);
    (hash[12..] == address).then_some(()).ok_or(WRONG_KEY)
}

pub(super) fn sign(key: &SecretKey, message: &[u8]) -> Vec<u8> {
    let signature = CURVE.sign_ecdsa_recoverable(Message::from_digest(personal(message)), key);
    let (id, compact) = signature.serialize_compact();
    let mut bytes = compact.to_vec();
    bytes.push(27 + u8::try_from(i32::from(id)).expect("a recovery id is 0 to 3"));
    bytes
}

/// Who signed `digest`. `signature` is r, s, v with a low s and v 27 or 28: any other spelling of the same
/// signature would be a second id for the same item.
fn recover(digest: [u8; 32], signature: &[u8]) -> Result<PublicKey, &'static str> {
    let (compact, v) = signature.split_at(64);
    let id = match v {
        [27] => RecoveryId::Zero,
        [28] => RecoveryId::One,
        _ => return Err("the recovery byte is neither 27 nor 28"),
    };
    let signature = RecoverableSignature::from_compact(compact, id)
        .map_err(|_| "the secp256k1 signature is out of range")?;
    let given = signature.to_standard();
    let mut low = given;
    low.normalize_s();
    if low != given {
        return Err("the secp256k1 signature has a high s");
    }
    CURVE
        .recover_ecdsa(Message::from_digest(digest), &signature)
        .map_err(|_| "the secp256k1 signature has no signer")
}

/// What personal-sign signs.
fn personal(message: &[u8]) -> [u8; 32] {
    keccak(&[b"\x19Ethereum Signed Message:\n", message.len().to_string().as_bytes(), message])
}

/// What EIP-712 signs, for the one type that data items use.
fn typed(message: &[u8], address: &[u8; 20]) -> [u8; 32] {
    static DOMAIN: LazyLock<[u8; 32]> = LazyLock::new(|| {
        let kind = keccak(&[b"EIP712Domain(string name,string version)"]);
        keccak(&[&kind, &keccak(&[b"Bundlr"]), &keccak(&[b"1"])])
    });
    // The field's name has a space in it.
    static KIND: LazyLock<[u8; 32]> =
        LazyLock::new(|| keccak(&[b"Bundlr(bytes Transaction hash,address address)"]));
    let content = keccak(&[&*KIND, &keccak(&[message]), &[0; 12], address]);
    keccak(&[b"\x19\x01", &*DOMAIN, &content])
}

fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Keccak256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}
