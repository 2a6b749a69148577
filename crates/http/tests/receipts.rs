//! A bundler's receipts, as whoever uploads reads them: an item counts as taken only with one that holds.

mod common;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use common::{context, remote, transport};
use pirn_http::client::{Gateway, GatewayOptions, Receipts};
use pirn_http::server;
use protocol::{Address, DataItem, Draft};
use serde_json::{Value, json};
use store::MemoryStore;
use unit::fakes::FakeClock;
use unit::{Arweave as _, Code, Weave as _};

fn item(data: &'static str) -> DataItem {
    let draft = Draft { data: data.into(), ..Draft::default() };
    DataItem::sign(&unit::suite::wallet(1), draft).unwrap()
}

fn gateway(url: &str, receipts: Receipts) -> Gateway {
    let options = GatewayOptions { uploader: url.to_owned(), receipts, ..GatewayOptions::default() };
    Gateway::new(options, transport())
}

/// A real receipt for `item("a")`, and the address of who signed it.
async fn real() -> (Value, Address) {
    let ports = weave::Ports {
        store: Arc::new(MemoryStore::new()),
        clock: FakeClock::advancing(1_700_000_000_000, 1),
        events: unit::Events::silent(),
    };
    let weave = weave::EmbeddedWeave::open(ports, weave::Options::default()).await.unwrap();
    let address = weave.info().await.unwrap().address;
    let served = remote(server::bundler::router(weave, Default::default(), context())).await;
    gateway(&served.url, Receipts::SignedBy(address)).upload(item("b")).await.unwrap();
    let sent = reqwest::Client::new().post(format!("{}/tx", served.url)).body(item("a").bytes().clone());
    let receipt = sent.send().await.unwrap().text().await.unwrap();
    (serde_json::from_str(&receipt).unwrap(), address)
}

/// What becomes of `item("a")` with a bundler that answers so.
async fn upload(status: u16, answer: String, receipts: Receipts) -> Result<(), String> {
    let status = StatusCode::from_u16(status).unwrap();
    let served = remote(Router::new().route("/tx", post(move || async move { (status, answer) }))).await;
    let taken = gateway(&served.url, receipts).upload(item("a")).await;
    taken.map_err(|error| {
        assert_eq!((error.code, error.kind.is_transient()), (Code::NOT_AS_SIGNED, true), "{error}");
        error.what
    })
}

#[tokio::test]
async fn a_receipt_that_does_not_hold_is_none() {
    let (receipt, address) = real().await;
    let changed = |name: &str, value: Value| {
        let mut receipt = receipt.clone();
        receipt[name] = value;
        receipt
    };
    let signature = receipt["signature"].as_str().unwrap();
    let flipped = format!("{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    let two = [Receipts::Checked, Receipts::SignedBy(address)];
    for receipts in two {
        upload(200, receipt.to_string(), receipts).await.unwrap();
        for (wrong, why) in [
            (changed("signature", json!(flipped)), "its signature is not over what it says"),
            (changed("timestamp", json!(1)), "its signature is not over what it says"),
            (changed("deadlineHeight", json!(1)), "its signature is not over what it says"),
            (changed("version", json!("2")), "its signature is not over what it says"),
            (changed("id", json!(item("b").id)), "it is for another item"),
            (changed("public", json!("?")), "its public key is no base64url"),
            (changed("signature", json!("?")), "its signature is no base64url"),
        ] {
            let said = upload(200, wrong.to_string(), receipts).await.unwrap_err();
            assert!(said.ends_with(why), "{said}: {why}");
        }
        let mut other = changed("id", Value::Null);
        other.as_object_mut().unwrap().remove("id");
        upload(200, other.to_string(), receipts).await.expect("the id of an item that was sent is known");
    }
}

#[tokio::test]
async fn whoever_knows_the_key_takes_no_other() {
    let (receipt, address) = real().await;
    let somebody = Receipts::SignedBy(item("a").address());
    let said = upload(200, receipt.to_string(), somebody).await.unwrap_err();
    assert!(said.ends_with("another key signed it"), "{said}");
    let mut other_shape = receipt.clone();
    other_shape.as_object_mut().unwrap().remove("deadlineHeight");
    let other_shape = other_shape.to_string();
    for (status, answer) in [(200, "OK"), (202, ""), (200, "{\"id\":7}"), (200, "[]"), (200, &other_shape)] {
        upload(status, answer.to_owned(), Receipts::Checked).await.expect("such a bundler is believed");
        let said = upload(status, answer.to_owned(), Receipts::SignedBy(address)).await.unwrap_err();
        assert!(said.ends_with("it is not signed"), "{said}");
    }
}

#[tokio::test]
async fn nothing_is_looked_at_where_no_receipt_is_asked_for() {
    upload(200, "{\"signature\":\"A\"}".to_owned(), Receipts::Unread).await.unwrap();
}
