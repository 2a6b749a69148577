//! What an item costs: reading and verifying it, signing it, hashing its data.

use std::hint::black_box;
use std::path::Path;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use protocol::{DataItem, Draft, Id, Wallet, deep_hash, id, merkle, message};

/// One valid item of every signature type, as recorded. (No valid one of type 6 is.)
fn recorded() -> Vec<(String, Bytes)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testing/vectors/arweave/ans104-items.json");
    let text = std::fs::read_to_string(path).expect("the vectors are in the repository");
    let cases: Vec<serde_json::Value> = serde_json::from_str(&text).expect("the vectors are JSON");
    let full = cases.iter().filter_map(|case| {
        let name = case["name"].as_str()?.strip_suffix(" / full")?;
        (case["expected_ours"] == true).then(|| (name, case["raw"].as_str()))
    });
    full.map(|(name, raw)| {
        let raw = raw.and_then(id::from_base64url).expect("the item is base64url");
        (name.to_owned(), raw.into())
    })
    .collect()
}

fn wallets() -> [(&'static str, Wallet); 3] {
    let rsa = include_str!("../../node/accounts/rsa-0.json");
    [
        ("rsa", Wallet::from_jwk(rsa).expect("a test account")),
        ("ed25519", Wallet::ed25519_from_seed([7; 32])),
        ("secp256k1", Wallet::secp256k1_from_secret([7; 32]).expect("a secret")),
    ]
}

/// A message of the usual size: eight tags, 1 KiB.
fn draft() -> Draft {
    let tags = (0..8).map(|n| (format!("Some-Tag-{n}"), "a value of the usual length"));
    Draft {
        target: Some(Id([9; 32])),
        anchor: Some([8; 32]),
        tags: tags.collect(),
        data: vec![b'x'; 1024].into(),
    }
}

fn read_and_verify(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for (name, bytes) in recorded() {
        group.bench_function(BenchmarkId::new("only", &name), |b| {
            b.iter(|| DataItem::parse(black_box(bytes.clone())));
        });
        group.bench_function(BenchmarkId::new("and verify", &name), |b| {
            b.iter(|| DataItem::parse(black_box(bytes.clone())).and_then(|item| item.verify()));
        });
    }
}

fn sign(c: &mut Criterion) {
    let mut group = c.benchmark_group("sign");
    for (name, wallet) in wallets() {
        group.bench_function(name, |b| b.iter(|| DataItem::sign(&wallet, draft())));
    }
}

fn hash(c: &mut Criterion) {
    let mut group = c.benchmark_group("hash");
    for size in [0, 1 << 10, 1 << 20] {
        let data = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group
            .bench_function(BenchmarkId::new("deep", size), |b| b.iter(|| deep_hash::blob(black_box(&data))));
        group.bench_function(BenchmarkId::new("data root", size), |b| {
            b.iter(|| merkle::data_root(black_box(&data)));
        });
    }
    let item = DataItem::sign(&wallets()[1].1, draft()).expect("a draft");
    group.throughput(Throughput::Elements(1));
    group.bench_function("signing hash of a message", |b| b.iter(|| item.signing_hash()));
    group.bench_function("duplicate key of a message", |b| b.iter(|| message::duplicate_key(&item, &[])));
}

criterion_group!(benches, read_and_verify, sign, hash);
criterion_main!(benches);
