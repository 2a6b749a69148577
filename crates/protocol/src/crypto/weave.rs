//! Signatures of the base layer's transactions: RSA, and secp256k1 in the weave's own way.

use secp256k1::ecdsa::RecoveryId;
use sha2::{Digest as _, Sha256};

use super::{ethereum, rsa};

/// Checks a signature by the key of modulus `owner`.
pub(crate) fn verify(owner: &[u8], message: &[u8], signature: &[u8]) -> Result<(), &'static str> {
    rsa::verify(owner, message, signature)
}

/// The public key (33 bytes, compressed) whose signature it is: r, s, recovery id 0 to 3, over SHA-256.
pub(crate) fn recover(message: &[u8], signature: &[u8]) -> Result<[u8; 33], &'static str> {
    let (compact, id) = match signature {
        [compact @ .., id] if compact.len() == 64 => (compact, i32::from(*id)),
        _ => return Err("without an owner a signature has 65 bytes (ECDSA)"),
    };
    let id = RecoveryId::try_from(id).map_err(|_| "the recovery id is not 0 to 3")?;
    let key = ethereum::recover(Sha256::digest(message).into(), compact, id)?;
    Ok(key.serialize())
}
