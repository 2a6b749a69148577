//! Transactions and Merkle trees of the base layer against arweave-js's own.

mod vectors;

use bytes::Bytes;
use protocol::{Id, Transaction, Wallet, merkle};
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
    let mut hasher = Shake256::default();
    hasher.update(b"merkle");
    let mut data = vec![0; size as usize];
    hasher.finalize_xof().read(&mut data);
    data
}

#[test]
fn data_is_cut_and_proven_as_arweave_js_does() {
    let trees: Vec<Tree> = load("arweave/merkle.json");
    assert!(trees.len() >= 15);
    for Tree { size, data_root, chunks } in trees {
        let leaves = merkle::leaves(&data(size), &merkle::cut(size));
        let tree = merkle::tree(&leaves);
        assert_eq!(tree.root[..], data_root.0, "{size} bytes");
        for (i, chunk) in chunks.iter().enumerate() {
            assert_eq!(leaves[i].hash[..], chunk.hash.0, "chunk {i} of {size} bytes");
            assert_eq!(tree.proofs[i], chunk.proof.0, "chunk {i} of {size} bytes");
            for offset in [chunk.min, chunk.proof_offset] {
                let proven = merkle::prove(&tree.root, size, offset, &chunk.proof.0).unwrap();
                assert_eq!((proven.range, proven.hash), (chunk.min..chunk.max, leaves[i].hash));
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

#[derive(Deserialize)]
struct Case {
    tx: Json,
    signature_data: B64,
    verify: bool,
}

#[derive(Deserialize)]
struct Json {
    format: u8,
    id: Id,
    last_tx: B64,
    owner: B64,
    tags: Vec<JsonTag>,
    target: B64,
    quantity: String,
    data: B64,
    data_size: String,
    data_root: B64,
    reward: String,
    signature: B64,
}

#[derive(Deserialize)]
struct JsonTag {
    name: B64,
    value: B64,
}

fn transaction(json: Json) -> Transaction {
    Transaction {
        format: json.format,
        id: json.id,
        last_tx: json.last_tx.0.into(),
        owner: json.owner.0.into(),
        tags: json.tags.into_iter().map(|tag| (tag.name.0.into(), tag.value.0.into())).collect(),
        target: json.target.0.into(),
        quantity: json.quantity.parse().unwrap(),
        data_size: json.data_size.parse().unwrap(),
        data_root: json.data_root.0.into(),
        data: json.data.0.into(),
        reward: json.reward.parse().unwrap(),
        denomination: 0,
        signature: json.signature.0.into(),
    }
}

#[test]
fn a_transaction_signed_by_arweave_js_verifies_and_a_changed_one_does_not() {
    let cases: Vec<Case> = load("arweave/tx-v2.json");
    assert!(cases.len() >= 2);
    for case in cases {
        let tx = transaction(case.tx);
        assert_eq!(tx.signing_bytes(), case.signature_data.0);
        assert_eq!(tx.verify().is_ok(), case.verify);
        assert!(Transaction { reward: tx.reward + 1, ..tx.clone() }.verify().is_err());
        assert!(Transaction { id: Id([0; 32]), ..tx }.verify().is_err());
    }
}

#[test]
fn both_formats_verify_after_signing() {
    let wallet = Wallet::from_jwk(include_str!("../../node/accounts/rsa-0.json")).unwrap();
    for format in [1, 2] {
        let data = Bytes::from_static(b"hello");
        let tags = vec![(Bytes::from_static(b"App"), Bytes::from_static(b"test"))];
        let tx = Transaction { format, data, tags, reward: 5, ..Transaction::default() }.sign(&wallet);
        assert_eq!(tx.verify(), Ok(()));
        assert_eq!(tx.data_size, 5);
        let unsalted = tx.clone().sign_unsalted(&wallet);
        assert_eq!(unsalted.verify(), Ok(()));
        assert_eq!(unsalted.id, tx.clone().sign_unsalted(&wallet).id);
        assert!(Transaction { quantity: 1, ..tx }.verify().is_err());
    }
}
