//! Ed25519, alone and in Aptos's sets of up to 32 keys.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use ed25519_dalek::VerifyingKey;

const KEYS: usize = 32;
const KEY: usize = 32;
const SIGNATURE: usize = 64;

/// 32 keys and the threshold.
pub(super) const MULTI_OWNER: usize = KEYS * KEY + 1;
/// 32 signatures and which of them are there.
pub(super) const MULTI_SIGNATURE: usize = KEYS * SIGNATURE + KEYS / 8;

pub(super) fn verify(owner: &[u8], message: &[u8], signature: &[u8]) -> Result<(), &'static str> {
    UnparsedPublicKey::new(&ED25519, owner)
        .verify(message, signature)
        .map_err(|_| "the Ed25519 signature does not match")
}

/// At least `threshold` signers, and every flagged signature is valid.
///
/// The places that a set of fewer than 32 keys leaves empty are zero, and the zero key is one for which anyone
/// can sign: such keys may not be flagged. No signer at all, which other verifiers accept, is nobody's word.
pub(super) fn verify_multi(owner: &[u8], message: &[u8], signature: &[u8]) -> Result<(), &'static str> {
    let (keys, threshold) = owner.split_at(KEYS * KEY);
    let (signatures, bitmap) = signature.split_at(KEYS * SIGNATURE);
    let flagged: u32 = bitmap.iter().map(|byte| byte.count_ones()).sum();
    if flagged < u32::from(threshold[0]).max(1) {
        return Err("fewer signers than the threshold asks for");
    }
    for (i, (key, signature)) in keys.chunks(KEY).zip(signatures.chunks(SIGNATURE)).enumerate() {
        if bitmap[i / 8] & (128 >> (i % 8)) == 0 {
            continue;
        }
        let key = key.try_into().expect("chunks of 32 bytes");
        let strong = VerifyingKey::from_bytes(key).is_ok_and(|key| !key.is_weak());
        if !strong {
            return Err("a signer without a key of its own");
        }
        verify(key, message, signature)?;
    }
    Ok(())
}
