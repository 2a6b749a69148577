//! A scheduler behind HTTP is a scheduler, and its routes say what the wire wants.

mod common;

use std::sync::Arc;

use axum::Router;
use axum::http::Uri;
use axum::response::Redirect;
use common::{Remote, ask, check_openapi, context, remote, running, transport};
use expect_test::{Expect, expect};
use pirn_http::{client, server};
use protocol::Wallet;
use store::MemoryStore;
use unit::fakes::{FakeClock, FakeScheduler, FakeWeave};
use unit::suite::{Ground, message_item, process_item, wallet};
use unit::{Scheduler, SlotRange};

async fn fresh(through: impl AsyncFn(Router) -> String) -> Ground {
    let (weave, clock) = (FakeWeave::new(), FakeClock::at(1_700_000_000_000));
    let ports = su::Ports {
        store: Arc::new(MemoryStore::new()),
        weave: weave.clone(),
        clock: clock.clone(),
        events: unit::Events::silent(),
        wallet: Wallet::ed25519_from_seed([98; 32]),
    };
    // The suite mines and looks at once; heights must not be older than that.
    let options = su::Options { height_interval_ms: 5, ..su::Options::default() };
    let unit = su::SchedulerUnit::open(ports, options).await.unwrap();
    let url = through(server::su::router(unit, context())).await;
    Ground { scheduler: Arc::new(client::Scheduler::new(&url, transport())), weave, clock }
}

#[tokio::test]
async fn a_scheduler_behind_http_is_a_scheduler() {
    unit::suite::scheduler(async || fresh(running).await).await;
}

#[tokio::test]
async fn a_write_follows_redirects_with_its_body() {
    let ground = fresh(async |router| {
        let to = running(router).await;
        let router = Router::new().fallback(async move |uri: Uri| {
            Redirect::temporary(&format!("{to}{}", uri.path_and_query().unwrap()))
        });
        running(router).await
    })
    .await;
    let ours = ground.scheduler.address().await.unwrap();
    let item = process_item(&wallet(1), ours, &[]);
    let scheduled = ground.scheduler.schedule(item.clone()).await.unwrap();
    assert_eq!(scheduled.message_id(), item.id);
}

async fn world() -> (Remote, Arc<FakeScheduler>, String, String) {
    let scheduler =
        FakeScheduler::new(Wallet::ed25519_from_seed([9; 32]), FakeClock::advancing(1_700_000_000_000, 1));
    scheduler.set_height(1_440_001);
    let process = process_item(&wallet(1), scheduler.address().await.unwrap(), &[]);
    scheduler.schedule(process.clone()).await.unwrap();
    let message = message_item(&wallet(1), process.id.into(), &[("Action", "Eval")], "1+1");
    scheduler.schedule(message.clone()).await.unwrap();
    let remote = remote(server::su::router(scheduler.clone(), context())).await;
    (remote, scheduler, process.id.to_string(), message.id.to_string())
}

/// Ids, keys and signatures cut to what tells them apart.
fn short(text: &str, process: &str, message: &str) -> String {
    let text = text.replace(process, "PROCESS").replace(message, "MESSAGE");
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => word.push(c),
            _ => {
                out.push_str(if word.len() >= 40 { "…" } else { &word });
                word.clear();
                out.push(c);
            }
        }
    }
    out
}

#[track_caller]
fn check(said: (u16, String), process: &str, message: &str, expect: Expect) {
    expect.assert_eq(&format!("{} {}", said.0, short(&said.1, process, message)));
}

#[tokio::test]
async fn shapes_are_those_of_the_wire() {
    let (remote, _, process, message) = world().await;
    let get = async |path: &str| ask(&remote, &format!("GET {path}"), "", "").await;
    check(
        get(&format!("/{message}?process-id={process}")).await,
        &process,
        &message,
        expect![[r#"
        200 {"message":{"id":"MESSAGE","owner":{"address":"…","key":"…"},"data":"1+1","tags":[{"name":"Action","value":"Eval"},{"name":"Data-Protocol","value":"ao"},{"name":"Variant","value":"ao.TN.1"},{"name":"Type","value":"Message"}],"signature":"…","anchor":null,"target":"PROCESS"},"assignment":{"id":"…","owner":{"address":"…","key":"…"},"tags":[{"name":"Process","value":"PROCESS"},{"name":"Epoch","value":"0"},{"name":"Nonce","value":"1"},{"name":"Hash-Chain","value":"…"},{"name":"Block-Height","value":"000001440001"},{"name":"Timestamp","value":"1700000000001"},{"name":"Data-Protocol","value":"ao"},{"name":"Type","value":"Assignment"},{"name":"Variant","value":"ao.TN.1"},{"name":"Message","value":"MESSAGE"}],"signature":"…","anchor":null,"target":""}}
    "#]],
    );
    check(
        get(&format!("/{process}?from=undefined&limit=1")).await,
        &process,
        &message,
        expect![[r#"
        200 {"page_info":{"has_next_page":true},"edges":[{"node":{"message":{"id":"PROCESS","owner":{"address":"…","key":"…"},"data":"1984","tags":[{"name":"Data-Protocol","value":"ao"},{"name":"Variant","value":"ao.TN.1"},{"name":"Type","value":"Process"},{"name":"Module","value":"…"},{"name":"Scheduler","value":"…"}],"signature":"…","anchor":null,"target":null},"assignment":{"id":"…","owner":{"address":"…","key":"…"},"tags":[{"name":"Process","value":"PROCESS"},{"name":"Epoch","value":"0"},{"name":"Nonce","value":"0"},{"name":"Hash-Chain","value":"…"},{"name":"Block-Height","value":"000001440001"},{"name":"Timestamp","value":"1700000000000"},{"name":"Data-Protocol","value":"ao"},{"name":"Type","value":"Assignment"},{"name":"Variant","value":"ao.TN.1"}],"signature":"…","anchor":null,"target":""}},"cursor":"1700000000000"}]}
    "#]],
    );
    check(
        get(&format!("/{process}?from-nonce=0")).await,
        &process,
        &message,
        expect![[r#"
        200 {"page_info":{"has_next_page":false},"edges":[{"node":{"message":{"id":"MESSAGE","owner":{"address":"…","key":"…"},"data":"1+1","tags":[{"name":"Action","value":"Eval"},{"name":"Data-Protocol","value":"ao"},{"name":"Variant","value":"ao.TN.1"},{"name":"Type","value":"Message"}],"signature":"…","anchor":null,"target":"PROCESS"},"assignment":{"id":"…","owner":{"address":"…","key":"…"},"tags":[{"name":"Process","value":"PROCESS"},{"name":"Epoch","value":"0"},{"name":"Nonce","value":"1"},{"name":"Hash-Chain","value":"…"},{"name":"Block-Height","value":"000001440001"},{"name":"Timestamp","value":"1700000000001"},{"name":"Data-Protocol","value":"ao"},{"name":"Type","value":"Assignment"},{"name":"Variant","value":"ao.TN.1"},{"name":"Message","value":"MESSAGE"}],"signature":"…","anchor":null,"target":""}},"cursor":"1"}]}
    "#]],
    );
    check(
        get(&format!("/processes/{process}")).await,
        &process,
        &message,
        expect![[r#"
        200 {"process_id":"PROCESS","block":"000001440001","owner":{"address":"…","key":"…"},"tags":[{"name":"Data-Protocol","value":"ao"},{"name":"Variant","value":"ao.TN.1"},{"name":"Type","value":"Process"},{"name":"Module","value":"…"},{"name":"Scheduler","value":"…"}],"timestamp":1700000000000,"data":"1984","anchor":null,"signature":"…","target":null}
    "#]],
    );
    check(
        get("/timestamp").await,
        &process,
        &message,
        expect![[r#"
        200 {"block_height":"000001440001","timestamp":"1700000000002"}
    "#]],
    );
    check(
        get("/?process-id=whatever").await,
        &process,
        &message,
        expect![[r#"
        200 {"address":"…","timestamp":"1700000000003"}
    "#]],
    );
    check(
        get("/health").await,
        &process,
        &message,
        expect![[r#"
        200 
    "#]],
    );
}

#[tokio::test]
async fn refusals_are_json_with_a_4xx() {
    let (remote, _, process, message) = world().await;
    let unknown = "bfzf7CIzV9zWNoLTnnVOTln3wiTmhV0eHgcLmF9dYhk";
    let ask =
        async |request: &str, body: Vec<u8>| ask(&remote, request, "application/octet-stream", body).await;
    check(
        ask(&format!("GET /{unknown}"), vec![]).await,
        &process,
        &message,
        expect![[r#"
        404 {"error":"there is neither a message nor a process …"}
    "#]],
    );
    check(
        ask(&format!("GET /{message}?process-id=x"), vec![]).await,
        &process,
        &message,
        expect![[r#"
        400 {"error":"the parameter process-id: \"x\" is not an id: expected 43 base64url characters"}
    "#]],
    );
    check(
        ask(&format!("GET /{process}?limit=0"), vec![]).await,
        &process,
        &message,
        expect![[r#"
        400 {"error":"the parameter limit is 0 (hint: ask for one entry at least)"}
    "#]],
    );
    check(
        ask(&format!("GET /{process}?from=abc"), vec![]).await,
        &process,
        &message,
        expect![[r#"
        400 {"error":"the parameter from is \"abc\", not a whole number"}
    "#]],
    );
    check(
        ask("POST /", vec![1, 2, 3]).await,
        &process,
        &message,
        expect![[r#"
        400 {"error":"not a data item: its signature type is unknown at byte 0 (hint: the body must be one signed ANS-104 data item)"}
    "#]],
    );
    check(
        ask(&format!("POST /?assign={message}"), vec![]).await,
        &process,
        &message,
        expect![[r#"
        400 {"error":"assign is given without process-id (hint: give both or neither)"}
    "#]],
    );
    check(
        ask("POST /", vec![0; (10 << 20) + 1]).await,
        &process,
        &message,
        expect![[r#"
        413 {"error":"the body is larger than 10485760 bytes"}
    "#]],
    );
    check(
        ask("PUT /", vec![]).await,
        &process,
        &message,
        expect![[r#"
        405 {"error":"/ does not take PUT"}
    "#]],
    );
    check(
        ask("GET /a/b/c", vec![]).await,
        &process,
        &message,
        expect![[r#"
        404 {"error":"there is no GET /a/b/c"}
    "#]],
    );
}

#[tokio::test]
async fn what_is_posted_again_has_its_first_assignment_and_says_so() {
    let (remote, scheduler, process, _) = world().await;
    let item = message_item(&wallet(2), process.parse().unwrap(), &[], "once");
    let post = async || {
        let request = reqwest::Client::new().post(&remote.url).header("origin", "http://example.org");
        request.body(item.bytes().to_vec()).send().await.unwrap()
    };
    let first = post().await;
    assert_eq!((first.status().as_u16(), first.headers().get("idempotent-replay")), (200, None));
    // A script on a page sees only what it is shown.
    assert_eq!(first.headers()["access-control-expose-headers"], "*");
    let again = post().await;
    assert_eq!(again.status(), 200);
    assert_eq!(again.headers()["idempotent-replay"], "true");
    assert_eq!(again.text().await.unwrap(), first.text().await.unwrap());
    assert_eq!(
        scheduler.entries(process.parse().unwrap()).len(),
        3,
        "slot 0, the world's message, and this one"
    );
}

#[tokio::test]
async fn browsers_may_ask_from_anywhere() {
    let (remote, _, process, _) = world().await;
    let client = reqwest::Client::new();
    let url = format!("{}/{process}", remote.url);
    let preflight = client
        .request(reqwest::Method::OPTIONS, &url)
        .header("origin", "http://example.org")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type")
        .send()
        .await
        .unwrap();
    assert!(preflight.status().is_success());
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    assert_eq!(preflight.headers()["access-control-allow-headers"], "*");
    assert_eq!(preflight.headers()["access-control-max-age"], "86400", "a browser asks once a day");
    let refused =
        client.get(format!("{url}/nothing")).header("origin", "http://example.org").send().await.unwrap();
    assert_eq!(refused.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn a_page_is_the_same_at_the_other_end() {
    let (remote, scheduler, process, _) = world().await;
    let there = client::Scheduler::new(&remote.url, transport());
    let process = process.parse().unwrap();
    for range in [
        SlotRange::Slots { after: None, to: None },
        SlotRange::Time { after: Some(protocol::Timestamp(1_700_000_000_000)), to: None },
    ] {
        let here = scheduler.schedule_page(process, range, 10).await.unwrap();
        assert_eq!(there.schedule_page(process, range, 10).await.unwrap(), here);
    }
    assert_eq!(there.now().await.unwrap().height, scheduler.now().await.unwrap().height);
    assert_eq!(there.process(process).await.unwrap(), scheduler.process(process).await.unwrap());
}

#[tokio::test]
async fn its_routes_are_those_of_the_document() {
    let (remote, _, _, _) = world().await;
    check_openapi(&remote, "su").await;
}
