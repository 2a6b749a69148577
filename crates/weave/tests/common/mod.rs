//! A weave in memory, wallets, and drafts of things to put on it.
#![allow(dead_code, reason = "every test file uses a part")]

use std::sync::Arc;

use bytes::Bytes;
use pirn_weave::{EmbeddedWeave, Mining, Options, Ports};
use protocol::{DataItem, Draft, Tags, Transaction, Wallet};
use store::{MemoryStore, Store};
use unit::fakes::FakeClock;
use unit::{Arweave, Query, Sort, Weave};

/// Blocks are made when asked.
pub fn manual() -> Options {
    Options { mining: Mining::Manual, ..Options::default() }
}

pub async fn weave() -> Arc<EmbeddedWeave> {
    over(Arc::new(MemoryStore::new()), manual()).await
}

pub async fn over(store: Arc<dyn Store>, options: Options) -> Arc<EmbeddedWeave> {
    let clock = FakeClock::advancing(1_700_000_000_000, 1);
    EmbeddedWeave::open(Ports { store, clock, events: unit::Events::silent() }, options).await.unwrap()
}

pub fn wallet(seed: u8) -> Wallet {
    Wallet::ed25519_from_seed([seed; 32])
}

pub fn rsa() -> Wallet {
    Wallet::from_jwk(include_str!("../../../node/accounts/rsa-0.json")).unwrap()
}

pub fn other_rsa() -> Wallet {
    Wallet::from_jwk(include_str!("../../../node/accounts/rsa-1.json")).unwrap()
}

pub fn item(seed: u8, tags: &[(&str, &str)], data: impl Into<Bytes>) -> DataItem {
    let tags: Tags = tags.iter().copied().collect();
    DataItem::sign(&wallet(seed), Draft { tags, data: data.into(), ..Draft::default() }).unwrap()
}

pub fn bundle_tags() -> Vec<(&'static str, &'static str)> {
    vec![("Bundle-Format", "binary"), ("Bundle-Version", "2.0.0")]
}

pub fn tx_tags(tags: &[(&str, &str)]) -> Vec<(Bytes, Bytes)> {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    tags.iter().map(|(name, value)| (bytes(name), bytes(value))).collect()
}

/// A transaction with data that offers what it must, for a recent block, not signed.
pub async fn draft(weave: &EmbeddedWeave, data: impl Into<Bytes>) -> Transaction {
    let data = data.into();
    Transaction {
        last_tx: Bytes::copy_from_slice(&weave.anchor().await.unwrap().0),
        reward: weave.price(data.len() as u64, None).await.unwrap(),
        data,
        ..Transaction::default()
    }
}

/// A wallet with a thousand AR.
pub async fn rich(weave: &EmbeddedWeave) -> Wallet {
    let wallet = rsa();
    weave.mint(wallet.address(), 1_000_000_000_000_000).await.unwrap();
    wallet
}

/// The data of what a query finds, in its order.
pub async fn find(weave: &EmbeddedWeave, query: Query) -> Vec<String> {
    let page = weave.query(query).await.unwrap();
    let mut found = Vec::new();
    for one in page.items {
        let item = weave.get(one.item.id).await.unwrap().item;
        found.push(item.text().into_owned());
    }
    found
}

pub fn ascending(query: Query) -> Query {
    Query { sort: Sort::Ascending, limit: 100, ..query }
}
