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
    let signer = recover_v(personal(message), signature)?;
    (signer.serialize_uncompressed() == owner).then_some(()).ok_or(WRONG_KEY)
}

/// `owner` is the text of an Ethereum address, in any case.
pub(super) fn verify_typed(owner: &[u8], message: &[u8], signature: &[u8]) -> Result<(), &'static str> {
    let address = std::str::from_utf8(owner).ok().and_then(|owner| from_hex(owner.strip_prefix("0x")?));
    let address: [u8; 20] = address.ok_or("the owner is no Ethereum address")?;
    let signer = recover_v(typed(message, &address), signature)?;
    let hash = keccak(&[&signer.serialize_uncompressed()[1..]]);
    (hash[12..] == address).then_some(()).ok_or(WRONG_KEY)
}

pub(super) fn sign(key: &SecretKey, message: &[u8]) -> Vec<u8> {
    let mut signature = sign_digest(key, personal(message));
    signature[64] += 27;
    signature.to_vec()
}

/// r, s and the recovery id.
pub(super) fn sign_digest(key: &SecretKey, digest: [u8; 32]) -> [u8; 65] {
    let signature = CURVE.sign_ecdsa_recoverable(Message::from_digest(digest), key);
    let (id, compact) = signature.serialize_compact();
    let mut bytes = [0; 65];
    bytes[..64].copy_from_slice(&compact);
    bytes[64] = u8::try_from(i32::from(id)).expect("a recovery id is 0 to 3");
    bytes
}

/// Who signed `digest`. `signature` is r, s, and v 27 or 28.
fn recover_v(digest: [u8; 32], signature: &[u8]) -> Result<PublicKey, &'static str> {
    let (compact, v) = signature.split_at(64);
    let id = match v {
        [27] => RecoveryId::Zero,
        [28] => RecoveryId::One,
        _ => return Err("the recovery byte is neither 27 nor 28"),
    };
    recover(digest, compact, id)
}

/// Who signed `digest`. Only with the low one of the two possible s: the other would be a second spelling of the
/// signature, and a second id for the same item.
pub(super) fn recover(digest: [u8; 32], compact: &[u8], id: RecoveryId) -> Result<PublicKey, &'static str> {
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
