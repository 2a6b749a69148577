//! What a node says word for word, as programs compare it.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Remote, ask, context, remote};
use pirn_http::server;
use pirn_http::wire::transaction::TransactionShape;
use protocol::{Transaction, Wallet};
use serde_json::{Value, json};
use store::MemoryStore;
use unit::Arweave;
use unit::fakes::FakeClock;
use weave::EmbeddedWeave;

async fn world() -> (Remote, Arc<EmbeddedWeave>) {
    let clock = FakeClock::advancing(1_700_000_000_000, 1);
    let ports = weave::Ports { store: Arc::new(MemoryStore::new()), clock, events: unit::Events::silent() };
    let options = weave::Options { mining: weave::Mining::Manual, ..weave::Options::default() };
    let weave = EmbeddedWeave::open(ports, options).await.unwrap();
    let options = server::weave::Options { control: true, ..Default::default() };
    (remote(server::weave::router(weave.clone(), options, context())).await, weave)
}

async fn rich(weave: &dyn Arweave) -> Wallet {
    let wallet = Wallet::from_jwk(include_str!("../../node/accounts/rsa-0.json")).unwrap();
    weave.mint(wallet.address(), 1_000_000_000_000_000).await.unwrap();
    wallet
}

async fn draft(weave: &dyn Arweave, data: &'static str) -> Transaction {
    Transaction {
        last_tx: Bytes::copy_from_slice(&weave.anchor().await.unwrap().0),
        reward: weave.price(data.len() as u64, None).await.unwrap(),
        data: data.into(),
        ..Transaction::default()
    }
}

async fn say(remote: &Remote, what: &str, body: impl ToString) -> (u16, String) {
    ask(remote, what, "application/json", body.to_string()).await
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_transaction_that_cannot_be_read_is_refused_in_a_nodes_words() {
    let (remote, weave) = world().await;
    let tx = draft(&*weave, "x").await.sign(&rich(&*weave).await).unwrap();
    let good = serde_json::to_value(TransactionShape::from(&tx)).unwrap();
    let check = async |field: &str, value: Value, word: &str| {
        let mut changed = good.clone();
        changed[field] = value;
        let (status, said) = say(&remote, "POST /tx", &changed).await;
        assert!(status == 400 && said.starts_with(word), "{field}: {status} {said}");
    };
    check("id", json!("short"), "Invalid hash.").await;
    check("id", json!(7), "Invalid hash.").await;
    check("owner", json!("!"), "Invalid JSON.").await;
    check("tags", json!(7), "Invalid JSON.").await;
    check("quantity", json!("many"), "Invalid JSON.").await;
    check("quantity", json!("9".repeat(60)), "Transaction verification failed.").await;
    check("data_size", json!("18446744073709551616"), "Transaction verification failed.").await;
    check("signature", json!(""), "Transaction verification failed.").await;
    check("last_tx", json!(""), "Transaction verification failed.").await;
    assert!(say(&remote, "POST /tx", "{").await.1.starts_with("Invalid JSON."));
    assert_eq!(say(&remote, "POST /tx", &good).await, (200, "OK".to_owned()));
}

#[tokio::test]
async fn a_transaction_that_waits_is_told_to_who_asks_for_it() {
    let (remote, weave) = world().await;
    let tx = draft(&*weave, "0123456789").await.sign(&rich(&*weave).await).unwrap();
    let shape = serde_json::to_value(TransactionShape::from(&tx)).unwrap();
    say(&remote, "POST /tx", &shape).await;
    for _ in 0..2 {
        let (status, said) = say(&remote, &format!("GET /unconfirmed_tx/{}", tx.id), "").await;
        assert_eq!((status, &read(&said)["signature"]), (200, &shape["signature"]));
        weave.mine(1).await.unwrap();
    }
    assert_eq!(say(&remote, "GET /unconfirmed_tx/x", "").await, (400, "Invalid hash.".to_owned()));
    // Its data under /tx, too, is served in parts.
    let part = reqwest::Client::new().get(format!("{}/tx/{}/data.txt", remote.url, tx.id));
    let part = part.header("range", "bytes=2-4").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.text().await.unwrap()), (206, "234".to_owned()));
}

#[tokio::test]
async fn a_chunk_is_refused_with_the_one_word_that_clients_know() {
    let (remote, weave) = world().await;
    let tx = draft(&*weave, "x").await.sign(&rich(&*weave).await).unwrap();
    say(&remote, "POST /tx", serde_json::to_value(TransactionShape::from(&tx)).unwrap()).await;
    let root = protocol::id::base64url(&tx.data_root);
    let good = json!({"data_root": root, "data_size": "1", "data_path": "", "offset": "0", "chunk": "eA"});
    for (field, value, word) in [
        ("data_size", json!("18446744073709551616"), "data_size_too_big"),
        ("offset", json!("99999999999999999999"), "offset_too_big"),
        ("chunk", json!(protocol::id::base64url(vec![0; 262_145])), "chunk_too_big"),
        ("data_path", json!(protocol::id::base64url(vec![0; 262_145])), "data_path_too_big"),
        ("data_path", json!("AAAA"), "invalid_proof"),
        ("data_root", json!("AAAA"), "invalid_proof"),
        ("offset", json!(null), "invalid_json"),
        ("chunk", json!("!"), "invalid_json"),
    ] {
        let mut changed = good.clone();
        changed[field] = value;
        let (status, said) = say(&remote, "POST /chunk", &changed).await;
        assert_eq!((status, &read(&said)["error"]), (400, &json!(word)), "{field}");
    }
}

#[tokio::test]
async fn a_wallet_can_be_made_on_a_development_network() {
    let (remote, _) = world().await;
    let address = protocol::Id([5; 32]);
    let body = json!({"address": address, "balance": 9_007_199_254_740_993_u64});
    let (status, said) = say(&remote, "POST /wallet", &body).await;
    assert_eq!((status, &read(&said)["balance"]), (200, &json!("9007199254740993")));
    let balance = say(&remote, &format!("GET /wallet/{address}/balance"), "").await;
    assert_eq!(balance, (200, "9007199254740993".to_owned()));
    assert_eq!(say(&remote, "POST /wallet", json!({"address": "x"})).await.0, 400);
}

#[tokio::test]
async fn graphql_tells_how_something_is_signed() {
    let (remote, weave) = world().await;
    let rsa = draft(&*weave, "rsa").await.sign(&rich(&*weave).await).unwrap();
    let curve = Wallet::secp256k1_from_secret([7; 32]).unwrap();
    let ecdsa = draft(&*weave, "ecdsa").await.sign(&curve).unwrap();
    weave.mint(ecdsa.address(), 1_000_000_000_000_000).await.unwrap();
    for tx in [&rsa, &ecdsa] {
        weave.post_transaction(tx.clone()).await.unwrap();
    }
    let draft = protocol::Draft { data: "item".into(), ..Default::default() };
    let item = protocol::DataItem::sign(&Wallet::ed25519_from_seed([1; 32]), draft).unwrap();
    unit::Weave::upload(&*weave, item.clone()).await.unwrap();
    for (id, expected) in [(rsa.id, json!(1)), (ecdsa.id, json!(null)), (item.id, json!(2))] {
        let query = json!({"query": format!("{{transaction(id: \"{id}\") {{signatureType}}}}")});
        let said = read(&say(&remote, "POST /graphql", &query).await.1);
        assert_eq!(said["data"]["transaction"]["signatureType"], expected);
    }
}

#[tokio::test]
async fn what_is_no_block_is_not_found() {
    let (remote, _) = world().await;
    let absent = (404, "Block not found.".to_owned());
    assert_eq!(say(&remote, "GET /block/hash/nothing", "").await, absent);
    assert_eq!(say(&remote, "GET /block/height/7", "").await, absent);
    assert_eq!(say(&remote, "GET /block/height/x", "").await, (400, "Invalid height.".to_owned()));
}

#[tokio::test]
async fn the_digest_of_what_is_served_is_said_as_long_as_it_is_not_too_much() {
    let (remote, weave) = world().await;
    let item = async |size: usize| {
        let draft = protocol::Draft { data: vec![b'x'; size].into(), ..Default::default() };
        let item = protocol::DataItem::sign(&Wallet::ed25519_from_seed([1; 32]), draft).unwrap();
        unit::Weave::upload(&*weave, item.clone()).await.unwrap();
        item.id
    };
    let (small, large) = (item(3).await, item((1 << 20) + 1).await);
    let client = reqwest::Client::new();
    for method in ["GET", "HEAD"] {
        for (id, digest) in [(small, Some("zS6wg3ybTJYsItL_i1RBt7RYBYh_BR05vxM7WDuvaGA")), (large, None)] {
            let url = format!("{}/raw/{id}", remote.url);
            let answer = client.request(method.parse().unwrap(), url).send().await.unwrap();
            let said = answer.headers().get("x-ar-io-digest").map(|said| said.to_str().unwrap().to_owned());
            assert_eq!(said.as_deref(), digest, "{method}");
        }
    }
    let part = client.get(format!("{}/raw/{small}", remote.url)).header("range", "bytes=0-0").send().await;
    assert!(part.unwrap().headers().get("x-ar-io-digest").is_none());
}

#[tokio::test]
async fn the_head_of_an_item_says_where_it_lies() {
    let (remote, weave) = world().await;
    let draft = protocol::Draft { data: "somewhere".into(), ..Default::default() };
    let item = protocol::DataItem::sign(&Wallet::ed25519_from_seed([1; 32]), draft).unwrap();
    unit::Weave::upload(&*weave, item.clone()).await.unwrap();
    weave.mine(1).await.unwrap();
    let answer = reqwest::Client::new().head(format!("{}/{}", remote.url, item.id)).send().await.unwrap();
    let said = |name: &str| answer.headers()[format!("x-ar-io-{name}")].to_str().unwrap().to_owned();
    let number = |name: &str| said(name).parse::<u64>().unwrap();
    let root = said("root-transaction-id").parse().unwrap();
    let start = number("data-item-offset");
    let all = weave.data(root, start..start + number("data-item-size")).await.unwrap();
    assert_eq!(all, *item.bytes());
    assert_eq!(all[(number("data-item-data-offset") - start) as usize..], item.data);
}
