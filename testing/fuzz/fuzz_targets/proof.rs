//! A Merkle proof: the first 48 bytes are root, size and offset.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{Id, merkle};

fuzz_target!(|bytes: &[u8]| {
    let Some((root, rest)) = bytes.split_first_chunk::<32>() else { return };
    let Some((size, rest)) = rest.split_first_chunk::<8>() else { return };
    let Some((offset, proof)) = rest.split_first_chunk::<8>() else { return };
    let (size, offset) = (u64::from_be_bytes(*size), u64::from_be_bytes(*offset));
    if let Some(proven) = merkle::prove(root, size, offset, proof) {
        assert!(proven.range.contains(&offset) && proven.range.end <= size);
        let _ = proven.is_strict(size);
    }
    // Nobody guesses a root. With the one that the first branch has, the walk goes further.
    let rebased = usize::from(proof.starts_with(&[0; 32])) * 32;
    let root = match proof.get(rebased..rebased + 96) {
        Some(branch) => sha256(&branch.chunks(32).flat_map(sha256).collect::<Vec<_>>()),
        None => sha256(&proof.chunks(32).flat_map(sha256).collect::<Vec<_>>()),
    };
    if let Some(proven) = merkle::prove(&root, size, offset, proof) {
        assert!(proven.range.contains(&offset) && proven.range.end <= size);
    }
});

fn sha256(bytes: &[u8]) -> [u8; 32] {
    // The crate's own: an id is the SHA-256 of a signature.
    Id::of_signature(bytes).0
}
