//! A bundler over HTTP: where an item lies, and items in parts.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{Remote, ask, context, remote};
use pirn_http::server;
use protocol::{DataItem, Draft, Id, Transaction, Wallet, ans104};
use serde_json::{Value, json};
use store::MemoryStore;
use unit::fakes::{FakeClock, FakeWeave};
use unit::{Arweave, Weave};
use weave::EmbeddedWeave;

async fn world() -> (Remote, Arc<EmbeddedWeave>) {
    let clock = FakeClock::advancing(1_700_000_000_000, 1);
    let ports = weave::Ports { store: Arc::new(MemoryStore::new()), clock, events: unit::Events::silent() };
    let options = weave::Options {
        mining: weave::Mining::Manual,
        part_bytes_max: 1000,
        upload_bytes_max: 100_000,
        ..weave::Options::default()
    };
    let weave = EmbeddedWeave::open(ports, options).await.unwrap();
    (remote(server::bundler::router(weave.clone(), Default::default(), context())).await, weave)
}

fn item(seed: u8, tags: &[(&str, &str)], data: impl Into<Bytes>) -> DataItem {
    let draft = Draft { tags: tags.iter().copied().collect(), data: data.into(), ..Draft::default() };
    DataItem::sign(&Wallet::ed25519_from_seed([seed; 32]), draft).unwrap()
}

async fn get(remote: &Remote, path: &str) -> (u16, Value) {
    let (status, text) = ask(remote, &format!("GET {path}"), "", "").await;
    (status, serde_json::from_str(&text).unwrap_or(json!(text)))
}

async fn post(remote: &Remote, path: &str, bytes: Bytes) -> (u16, Value) {
    let (status, text) = ask(remote, &format!("POST {path}"), "application/octet-stream", bytes).await;
    (status, serde_json::from_str(&text).unwrap_or(json!(text)))
}

async fn send_parts(remote: &Remote, bytes: &Bytes) -> String {
    let (status, opened) = get(remote, "/v1/chunks/arweave/-1/-1?chunkSize=5242880").await;
    assert_eq!((status, &opened["chunkSize"], &opened["max"]), (200, &json!(1000), &json!(1000)));
    let upload = opened["id"].as_str().unwrap().to_owned();
    for start in (0..bytes.len()).step_by(1000) {
        let part = bytes.slice(start..bytes.len().min(start + 1000));
        assert_eq!(post(remote, &format!("/v1/chunks/arweave/{upload}/{start}"), part).await.0, 200);
    }
    upload
}

#[tokio::test]
async fn an_item_in_parts_is_an_item() {
    let (remote, weave) = world().await;
    let item = item(1, &[("A", "b")], vec![7; 4321]);
    let upload = send_parts(&remote, item.bytes()).await;
    let status = format!("/v1/chunks/arweave/{upload}/status");
    assert_eq!(get(&remote, &status).await.1["status"], "ASSEMBLING");
    for end in ["finalize", "-1"] {
        let (code, said) = post(&remote, &format!("/chunks/arweave/{upload}/{end}"), Bytes::new()).await;
        assert_eq!((code, &said["id"]), (200, &json!(item.id)), "{said}");
    }
    let (_, said) = get(&remote, &status).await;
    assert_eq!((&said["status"], &said["receipt"]["id"]), (&json!("FINALIZED"), &json!(item.id)));
    assert_eq!(weave.get(item.id).await.unwrap().item.data, item.data);
    let part = post(&remote, &format!("/chunks/arweave/{upload}/0"), Bytes::from_static(b"x")).await;
    assert_eq!(part.0, 400);
}

#[tokio::test]
async fn what_is_no_item_is_refused_and_what_is_missing_can_still_come() {
    let (remote, _) = world().await;
    let mut bytes = item(1, &[], vec![7; 1500]).bytes().to_vec();
    *bytes.last_mut().unwrap() += 1;
    for bytes in [Bytes::from(bytes), Bytes::from(vec![0; 1500])] {
        let upload = send_parts(&remote, &bytes).await;
        for _ in 0..2 {
            let end = post(&remote, &format!("/chunks/arweave/{upload}/finalize"), Bytes::new()).await;
            assert_eq!(end.0, 400, "{end:?}");
        }
        assert_eq!(get(&remote, &format!("/chunks/arweave/{upload}/status")).await.1["status"], "INVALID");
    }
    let good = item(1, &[], vec![7; 1500]);
    let upload = get(&remote, "/chunks/arweave/-1/-1").await.1["id"].as_str().unwrap().to_owned();
    let at = |what: &str| format!("/chunks/arweave/{upload}/{what}");
    post(&remote, &at("1000"), good.bytes().slice(1000..)).await;
    assert_eq!(post(&remote, &at("finalize"), Bytes::new()).await.0, 400);
    post(&remote, &at("0"), good.bytes().slice(..1000)).await;
    assert_eq!(post(&remote, &at("finalize"), Bytes::new()).await.0, 200);
}

#[tokio::test]
async fn what_is_finalized_often_at_once_is_put_together_once_and_goes_where_uploads_go() {
    let clock = FakeClock::advancing(1_700_000_000_000, 1);
    let ports = weave::Ports { store: Arc::new(MemoryStore::new()), clock, events: unit::Events::silent() };
    let options = weave::Options { part_bytes_max: 1000, ..weave::Options::default() };
    let served = EmbeddedWeave::open(ports, options).await.unwrap();
    let elsewhere = FakeWeave::new();
    let context = server::Context { uploads: Some(elsewhere.clone()), ..context() };
    let options = server::bundler::Options { sign_receipts: false, ..Default::default() };
    let remote = remote(server::bundler::router(served, options, context)).await;
    let item = item(1, &[], vec![7; 4321]);
    let upload = send_parts(&remote, item.bytes()).await;
    let finalize = format!("/chunks/arweave/{upload}/finalize");
    elsewhere.fail_uploads(1);
    assert_eq!(post(&remote, &finalize, Bytes::new()).await.0, 503);
    let all = (0..16).map(|_| post(&remote, &finalize, Bytes::new()));
    let statuses: Vec<u16> =
        futures::future::join_all(all).await.into_iter().map(|(status, _)| status).collect();
    assert!(
        statuses.contains(&200) && statuses.iter().all(|status| [200, 202].contains(status)),
        "{statuses:?}"
    );
    assert_eq!((elsewhere.ids(), post(&remote, &finalize, Bytes::new()).await.0), (vec![item.id], 200));
}

#[tokio::test]
async fn parts_that_cannot_be_are_refused() {
    let (remote, _) = world().await;
    let upload = get(&remote, "/chunks/arweave/-1/-1").await.1["id"].as_str().unwrap().to_owned();
    let at = |what: &str| format!("/chunks/arweave/{upload}/{what}");
    let some = Bytes::from_static(b"x");
    assert_eq!(post(&remote, &at("0"), vec![0; 1001].into()).await.0, 413);
    assert_eq!(post(&remote, &at("100000"), some.clone()).await.0, 413);
    assert_eq!(post(&remote, &at("18446744073709551615"), some.clone()).await.0, 413);
    assert_eq!(post(&remote, &at("18446744073709551616"), some.clone()).await.0, 400);
    assert_eq!(post(&remote, &at("first"), some.clone()).await.0, 400);
    assert_eq!(post(&remote, &at("0"), Bytes::new()).await.0, 400);
    let nowhere = Id([9; 32]);
    assert_eq!(post(&remote, &format!("/chunks/arweave/{nowhere}/0"), some.clone()).await.0, 404);
    assert_eq!(post(&remote, "/chunks/arweave/x/0", some).await.0, 404);
    assert_eq!(get(&remote, &format!("/chunks/arweave/{nowhere}/status")).await.0, 404);
    assert_eq!(get(&remote, "/chunks/arweave/-1/-1?chunkSize=many").await.0, 400);
}

#[tokio::test]
async fn offsets_say_where_the_bytes_of_an_item_lie() {
    let (remote, weave) = world().await;
    let bundled = [("Bundle-Format", "binary"), ("Bundle-Version", "2.0.0")];
    let inner = item(2, &[("Content-Type", "text/plain")], "inner");
    let nest = item(3, &bundled, ans104::bundle(&[item(4, &[], "before"), inner.clone()]));
    let lone = item(5, &[("Content-Type", "text/css")], "lone");
    for item in [&lone, &nest] {
        assert_eq!(post(&remote, "/v1/tx/arweave", item.bytes().clone()).await.0, 200);
    }
    let (_, waiting) = get(&remote, &format!("/tx/{}/offsets", lone.id)).await;
    assert_eq!(
        (&waiting["rawContentLength"], waiting.get("rootBundleId")),
        (&json!(lone.bytes().len()), None)
    );
    weave.mine(1).await.unwrap();
    // A posted bundle, too.
    let wallet = Wallet::from_jwk(include_str!("../../node/accounts/rsa-0.json")).unwrap();
    weave.mint(wallet.address(), 1_000_000_000_000_000).await.unwrap();
    let posted = item(6, &[], "posted");
    let data = ans104::bundle(std::slice::from_ref(&posted));
    let tag =
        |(name, value): (&str, &str)| (name.as_bytes().to_vec().into(), value.as_bytes().to_vec().into());
    let tx = Transaction {
        last_tx: Bytes::copy_from_slice(&weave.anchor().await.unwrap().0),
        reward: weave.price(data.len() as u64, None).await.unwrap(),
        tags: bundled.map(tag).to_vec(),
        data,
        ..Transaction::default()
    };
    weave.post_transaction(tx.sign(&wallet).unwrap()).await.unwrap();
    for item in [&lone, &nest, &inner, &posted] {
        let (_, said) = get(&remote, &format!("/v1/tx/{}/offsets", item.id)).await;
        let root: Id = said["rootBundleId"].as_str().unwrap().parse().unwrap();
        let start = said["startOffsetInRootBundle"].as_u64().unwrap();
        let size = said["rawContentLength"].as_u64().unwrap();
        assert_eq!(weave.data(root, start..start + size).await.unwrap(), *item.bytes());
        let data = said["payloadDataStart"].as_u64().unwrap() as usize;
        assert_eq!(item.bytes()[data..], item.data);
        assert_eq!(said["payloadContentLength"], json!(item.data.len()));
        let status = get(&remote, &format!("/v1/tx/{}/status", item.id)).await.1;
        assert_eq!(status["startOffsetInRootBundle"], said["startOffsetInRootBundle"]);
    }
}

#[tokio::test]
async fn what_it_costs_is_said_as_payment_services_say_it() {
    let (remote, _) = world().await;
    assert_eq!(get(&remote, "/v1/price/bytes/1000").await.1["winc"], "0");
    let (status, balance) = get(&remote, "/v1/account/balance/arweave?address=somebody").await;
    assert_eq!((status, &balance["address"]), (200, &json!("somebody")));
    assert!(balance["winc"].as_str().unwrap().parse::<u128>().unwrap() > 0);
}
