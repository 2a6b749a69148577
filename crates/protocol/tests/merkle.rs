//! The Merkle tree against the recorded vectors, and what proves nothing.

mod vectors;

use protocol::merkle::{self, BadChunk, CHUNK_MAX, Hash};
use serde::Deserialize;
use sha3::Shake256;
use sha3::digest::{ExtendableOutput as _, Update as _, XofReader as _};
use vectors::{B64, load};

#[derive(Deserialize)]
struct Tree {
    size: u64,
    data_root: B64,
    chunks: Vec<Chunk>,
}

#[derive(Deserialize)]
struct Chunk {
    min: u64,
    max: u64,
    hash: B64,
    proof_offset: u64,
    proof: B64,
}

fn data(size: u64) -> Vec<u8> {
    let mut data = vec![0; size as usize];
    Shake256::default().chain(b"merkle").finalize_xof().read(&mut data);
    data
}

#[test]
fn data_is_cut_and_proven_as_arweave_js_does() {
    let trees: Vec<Tree> = load("arweave/merkle.json");
    assert!(trees.len() >= 15);
    for Tree { size, data_root, chunks } in trees {
        let data = data(size);
        let cut = merkle::cut(size);
        let leaves = merkle::leaves(&data, &cut);
        let tree = merkle::tree(&leaves);
        assert_eq!(tree.root[..], data_root.0, "{size} bytes");
        let uploaded = cut.iter().filter(|range| !range.is_empty()).count();
        assert_eq!(uploaded, chunks.len(), "{size} bytes");
        for (i, chunk) in chunks.iter().enumerate() {
            assert_eq!(leaves[i].hash[..], chunk.hash.0, "chunk {i} of {size} bytes");
            assert_eq!(tree.proofs[i], chunk.proof.0, "chunk {i} of {size} bytes");
            let bytes = &data[chunk.min as usize..chunk.max as usize];
            for offset in [chunk.min, chunk.min.midpoint(chunk.max), chunk.proof_offset] {
                let proven = merkle::check_chunk(&tree.root, size, offset, &chunk.proof.0, bytes).unwrap();
                assert_eq!((proven.range, proven.hash), (chunk.min..chunk.max, leaves[i].hash));
            }
            for offset in [chunk.min.wrapping_sub(1), chunk.max] {
                assert_eq!(merkle::prove(&tree.root, size, offset, &chunk.proof.0), None);
            }
        }
    }
}

#[test]
fn a_proof_of_another_chunk_root_or_offset_proves_nothing() {
    let size = 1_000_000;
    let tree = merkle::tree(&merkle::leaves(&data(size), &merkle::cut(size)));
    let proof = &tree.proofs[1];
    assert!(merkle::prove(&tree.root, size, 300_000, proof).is_some());
    assert_eq!(merkle::prove(&[7; 32], size, 300_000, proof), None);
    assert_eq!(merkle::prove(&tree.root, size, 10, proof), None);
    assert_eq!(merkle::prove(&tree.root, size, size, proof), None);
    for cut in 0..proof.len() {
        assert_eq!(merkle::prove(&tree.root, size, 300_000, &proof[..cut]), None, "cut to {cut}");
    }
    for at in 0..proof.len() {
        let mut bad = proof.clone();
        bad[at] ^= 1;
        assert_eq!(merkle::prove(&tree.root, size, 300_000, &bad), None, "flipped at {at}");
    }
}

struct Posted {
    root: Hash,
    size: u64,
    offset: u64,
    proof: Vec<u8>,
    chunk: Vec<u8>,
}

/// What is said of the second of three chunks of 100 bytes each, or of other sizes, after a change.
#[track_caller]
fn check(ends: [u64; 3], change: impl FnOnce(&mut Posted), verdict: Result<(), BadChunk>) {
    let ranges = [0..ends[0], ends[0]..ends[1], ends[1]..ends[2]];
    let size = ends[2];
    let data = data(size);
    let mut tree = merkle::tree(&merkle::leaves(&data, &ranges));
    let chunk = data[ends[0] as usize..ends[1] as usize].to_vec();
    let mut posted = Posted { root: tree.root, size, offset: ends[0], proof: tree.proofs.remove(1), chunk };
    change(&mut posted);
    let Posted { root, size, offset, proof, chunk } = posted;
    assert_eq!(merkle::check_chunk(&root, size, offset, &proof, &chunk).map(drop), verdict);
}

#[test]
fn a_chunk_that_is_not_what_its_proof_says_is_refused() {
    let ends = [CHUNK_MAX, 2 * CHUNK_MAX, 2 * CHUNK_MAX + 1000];
    check(ends, |_| {}, Ok(()));
    check(ends, |it| it.size = 0, Err(BadChunk::Proof));
    check(ends, |it| it.proof.clear(), Err(BadChunk::Proof));
    check(ends, |it| it.chunk[7] ^= 1, Err(BadChunk::Bytes));
    check(ends, |it| it.chunk.push(0), Err(BadChunk::Bytes));
    check(ends, |it| it.chunk.clear(), Err(BadChunk::Bytes));
}

#[test]
fn chunks_lie_where_nodes_find_them() {
    check([10, 20, 30], |_| {}, Err(BadChunk::Costly));
    check([1000, 2000, 3000], |_| {}, Err(BadChunk::Place));
    check([CHUNK_MAX, CHUNK_MAX + 1000, CHUNK_MAX + 2000], |_| {}, Ok(()));
    check([CHUNK_MAX - 1, 2 * CHUNK_MAX - 1, 3 * CHUNK_MAX], |_| {}, Err(BadChunk::Place));
    check([1, 2 + CHUNK_MAX, 3 + CHUNK_MAX], |_| {}, Err(BadChunk::Proof));
}

#[test]
fn rebased_subtrees_are_read() {
    // Two data sets of 300 and 200 bytes under one root, each with offsets of its own.
    let data = data(500);
    let halves = [
        merkle::tree(&merkle::leaves(&data[..300], &[0..100, 100..300])),
        merkle::tree(&merkle::leaves(&data[300..], std::slice::from_ref(&(0..200)))),
    ];
    let mut split = [0; 32];
    split[30..].copy_from_slice(&300u16.to_be_bytes());
    let top = [halves[0].root, halves[1].root, split];
    let root = sha256(&top.map(|part| sha256(&part)).concat());
    let proof = |half: usize, leaf: usize| [&[0; 32], &top.concat()[..], &halves[half].proofs[leaf]].concat();
    for (offset, half, leaf, range) in [(0, 0, 0, 0..100), (299, 0, 1, 100..300), (300, 1, 0, 300..500)] {
        assert_eq!(merkle::prove(&root, 500, offset, &proof(half, leaf)).unwrap().range, range);
    }
    assert_eq!(merkle::prove(&root, 500, 300, &proof(0, 1)), None);
    assert_eq!(merkle::prove(&root, 500, 299, &proof(1, 0)), None);
}

fn sha256(bytes: &[u8]) -> Hash {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}
