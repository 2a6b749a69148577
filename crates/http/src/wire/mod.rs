//! The shapes of the wire, a file for each family, both ways: what servers write and clients read.

pub mod su;
pub mod timers;
pub mod mu;
pub mod monitored;
pub mod outbox;
pub mod cu;
pub mod attestation;
pub mod graphql;
pub mod transaction;
pub mod block;
pub mod bundler;
pub mod info;
pub mod error;
pub mod control;
pub mod event;
pub mod hooks;

use protocol::SignatureType;

/// The header of a write's answer that says `true` where the same had been asked for, and done, before. Absent
/// otherwise.
pub const IDEMPOTENT_REPLAY: &str = "idempotent-replay";

/// How something is signed, as far as its public key tells: the wire of units and gateways does not say.
///
/// Keys of 32 bytes are taken for Ed25519, the first of the three types that have such keys. What was verified by the
/// unit that showed it need not be verified again, and nobody can without the bytes that were signed.
pub fn signature_type(owner: &[u8]) -> SignatureType {
    use SignatureType::*;
    let of_that_length = |kind: &SignatureType| kind.owner_len() == owner.len();
    [Arweave, Ed25519, Ethereum, MultiAptos, TypedEthereum]
        .into_iter()
        .find(of_that_length)
        .unwrap_or(Arweave)
}
