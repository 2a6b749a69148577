//! A compute unit behind HTTP is a compute unit, and its routes say what the wire wants.

mod common;

use std::sync::Arc;

use common::{Remote, ask, check_openapi, context, remote, transport};
use expect_test::{Expect, expect};
use pirn_http::{client, server};
use protocol::{Address, Height, Id, Json, Outcome, ProcessId, Tags, Timestamp};
use unit::fakes::FakeCompute;
use unit::{Compute, Cursor, DryRun, Error, Evaluated, OutcomeQuery, Sort, StateAt};

const P: &str = "9epRWwTFujbn9uIvJvmGfiltbzdsz_Vta_9vWiudyQI";
const M: &str = "3YwZ10bNDt2FTJaxpuuUCiaBs_-FrH3XjPZvE267AJM";

fn process() -> ProcessId {
    P.parse().unwrap()
}

fn outcome(data: &str) -> Outcome {
    let message = format!(r#"{{"Target":"W","Anchor":"0001","Data":"{data}","Tags":[]}}"#);
    Outcome {
        messages: vec![Json::parse(&message).unwrap()],
        output: Json::parse(r#"{"data": "1", "print":true}"#).unwrap(),
        gas: 12,
        ..FakeCompute::empty()
    }
}

fn evaluated(slot: u64, outcome: Outcome) -> Evaluated {
    let cursor = Cursor {
        timestamp: Timestamp(1_700_000_000_000 + slot),
        ordinate: Some(slot),
        cron: None,
        sort: None,
    };
    Evaluated { cursor, message: Some(M.parse().unwrap()), outcome: Arc::new(outcome) }
}

async fn world() -> (Remote, Arc<FakeCompute>) {
    let unit = FakeCompute::new(|_, id: Id| match id.to_string() == M {
        true => Ok(outcome("hi")),
        false => Err(Error::not_found(format!("message {id} is not scheduled")).with_hint("send it first")),
    });
    let results = [
        evaluated(0, outcome("0")),
        evaluated(1, Outcome::failed("boom", 3, 1)),
        evaluated(2, outcome("2")),
        evaluated(3, Outcome::failed("boom", 3, 1)),
        evaluated(4, Outcome::failed("boom", 3, 1)),
        evaluated(5, outcome("5")),
    ];
    for one in results {
        unit.put_evaluated(process(), one);
    }
    unit.put_state(
        process(),
        StateAt {
            memory: vec![7; 100_000].into(),
            timestamp: Timestamp(1_700_000_000_005),
            ordinate: 5,
            block_height: Height(9),
        },
    );
    (remote(server::cu::router(unit.clone(), context())).await, unit)
}

#[track_caller]
fn check((status, body): (u16, String), expect: Expect) {
    expect.assert_eq(&format!("{status} {}", body.replace(P, "PROCESS").replace(M, "MESSAGE")));
}

#[tokio::test]
async fn a_result_is_passed_on_byte_for_byte() {
    let (remote, _) = world().await;
    let get = async |path: &str| ask(&remote, &format!("GET {path}"), "", "").await;
    check(
        get(&format!("/result/{M}?process-id={P}&no-busy=1")).await,
        expect![[
            r#"200 {"Messages":[{"Target":"W","Anchor":"0001","Data":"hi","Tags":[]}],"Assignments":[],"Spawns":[],"Output":{"data": "1", "print":true},"GasUsed":0}"#
        ]],
    );
    check(
        get(&format!("/result/{P}?process-id={P}")).await,
        expect![[r#"404 {"error":"message PROCESS is not scheduled (hint: send it first)"}"#]],
    );
    check(
        get(&format!("/result/{M}")).await,
        expect![[r#"400 {"error":"the parameter process-id is missing (hint: add ?process-id=<id>)"}"#]],
    );
    check(
        get(&format!("/result/abc?process-id={P}")).await,
        expect![[r#"404 {"error":"\"abc\" is not an id: expected 43 base64url characters"}"#]],
    );
    check(
        get("/").await,
        expect![[
            r#"200 {"address":"gbzoCM41yCxws2Lzr_LjCIXERw-5VV_fq4Z9VI2gyng","timestamp":1700000000000}"#
        ]],
    );
}

#[tokio::test]
async fn a_page_skips_failures_and_is_filled_up() {
    let (remote, _) = world().await;
    let get = async |path: &str| ask(&remote, &format!("GET /results/{P}{path}"), "", "").await;
    check(
        get("?limit=2").await,
        expect![[
            r#"200 {"pageInfo":{"hasNextPage":true},"edges":[{"node":{"Messages":[{"Target":"W","Anchor":"0001","Data":"0","Tags":[]}],"Assignments":[],"Spawns":[],"Output":{"data": "1", "print":true}},"cursor":"eyJ0aW1lc3RhbXAiOjE3MDAwMDAwMDAwMDAsIm9yZGluYXRlIjoiMCIsImNyb24iOm51bGwsInNvcnQiOiJBU0MifQ=="},{"node":{"Messages":[{"Target":"W","Anchor":"0001","Data":"2","Tags":[]}],"Assignments":[],"Spawns":[],"Output":{"data": "1", "print":true}},"cursor":"eyJ0aW1lc3RhbXAiOjE3MDAwMDAwMDAwMDIsIm9yZGluYXRlIjoiMiIsImNyb24iOm51bGwsInNvcnQiOiJBU0MifQ=="}]}"#
        ]],
    );
    check(
        get("?limit=2&sort=DESC").await,
        expect![[
            r#"200 {"pageInfo":{"hasNextPage":true},"edges":[{"node":{"Messages":[{"Target":"W","Anchor":"0001","Data":"5","Tags":[]}],"Assignments":[],"Spawns":[],"Output":{"data": "1", "print":true}},"cursor":"eyJ0aW1lc3RhbXAiOjE3MDAwMDAwMDAwMDUsIm9yZGluYXRlIjoiNSIsImNyb24iOm51bGwsInNvcnQiOiJERVNDIn0="},{"node":{"Messages":[{"Target":"W","Anchor":"0001","Data":"2","Tags":[]}],"Assignments":[],"Spawns":[],"Output":{"data": "1", "print":true}},"cursor":"eyJ0aW1lc3RhbXAiOjE3MDAwMDAwMDAwMDIsIm9yZGluYXRlIjoiMiIsImNyb24iOm51bGwsInNvcnQiOiJERVNDIn0="}]}"#
        ]],
    );
    check(
        get("?limit=1&from=1700000000002").await,
        expect![[
            r#"200 {"pageInfo":{"hasNextPage":true},"edges":[{"node":{"Messages":[{"Target":"W","Anchor":"0001","Data":"2","Tags":[]}],"Assignments":[],"Spawns":[],"Output":{"data": "1", "print":true}},"cursor":"eyJ0aW1lc3RhbXAiOjE3MDAwMDAwMDAwMDIsIm9yZGluYXRlIjoiMiIsImNyb24iOm51bGwsInNvcnQiOiJBU0MifQ=="}]}"#
        ]],
    );
    check(
        get("?limit=1&from=zzzz").await,
        expect![[
            r#"400 {"error":"\"zzzz\" is neither a cursor nor a timestamp in milliseconds (hint: use the cursor of an edge of an earlier page)"}"#
        ]],
    );
    check(
        get("?sort=SIDEWAYS").await,
        expect![[r#"400 {"error":"the sort \"SIDEWAYS\" is neither ASC nor DESC"}"#]],
    );
}

#[tokio::test]
async fn the_order_in_a_cursor_beats_the_one_asked_for() {
    let (remote, _) = world().await;
    // timestamp 1700000000000, ordinate 0, sort DESC; padding and an unescaped plus are forgiven.
    let cursor =
        "eyJ0aW1lc3RhbXAiOjE3MDAwMDAwMDAwMDAsIm9yZGluYXRlIjoiMCIsImNyb24iOm51bGwsInNvcnQiOiJERVNDIn0";
    let (_, body) = ask(&remote, &format!("GET /results/{P}?sort=ASC&from={cursor}"), "", "").await;
    let place = |data: &str| body.find(&format!(r#""Data":"{data}""#));
    assert!(place("5").is_some() && place("5") < place("2"), "newest first: {body}");
    assert_eq!(place("0"), None, "the lower bound is exclusive: {body}");
}

#[tokio::test]
async fn a_dry_run_says_every_field_that_is_wrong() {
    let (remote, _) = world().await;
    let post = async |kind: &str, body: &str| {
        ask(&remote, &format!("POST /dry-run?process-id={P}&to={M}"), kind, body.to_owned()).await
    };
    let json = "application/json; charset=utf-8";
    check(
        post(json, r#"{"Owner":"1234","Tags":[{"name":"Action","value":"Info"}]}"#).await,
        expect![[
            r#"200 {"Messages":[{"Target":"W","Anchor":"0001","Data":"hi","Tags":[]}],"Assignments":[],"Spawns":[],"Output":{"data": "1", "print":true},"GasUsed":0}"#
        ]],
    );
    check(post(json, "{}").await, expect![[r#"400 {"error":"'Owner' is missing; 'Tags' is missing"}"#]]);
    check(
        post(json, r#"{"Owner":1,"Tags":[{"name":"a"},{"name":"b","value":1}],"Anchor":null}"#).await,
        expect![[
            r#"400 {"error":"'Owner' must be text, not a number; 'Tags[0]' must have a name and a value, both text; 'Tags[1]' must have a name and a value, both text"}"#
        ]],
    );
    check(
        post(json, r#"{"Owner":"a","Tags":"x"}"#).await,
        expect![[r#"400 {"error":"'Tags' must be a list of {name, value}, not text"}"#]],
    );
    check(
        post(json, "hello").await,
        expect![[
            r#"400 {"error":"the body is no JSON object: expected value at line 1 column 1 (hint: send a message as JSON, with Owner and Tags at least)"}"#
        ]],
    );
    check(
        post("text/plain", "{}").await,
        expect![[
            r#"415 {"error":"a dry run is JSON, not text/plain (hint: send it with Content-Type: application/json)"}"#
        ]],
    );
    check(
        ask(&remote, "POST /dry-run", json, "{}").await,
        expect![[r#"400 {"error":"the parameter process-id is missing (hint: add ?process-id=<id>)"}"#]],
    );
}

#[tokio::test]
async fn the_other_end_says_the_same() {
    let (remote, here) = world().await;
    let there = client::Compute::new(&remote.url, transport());
    let message: Id = M.parse().unwrap();
    assert_eq!(there.result(process(), message).await, here.result(process(), message).await);
    let unknown = Id::from(process());
    assert_eq!(there.result(process(), unknown).await, here.result(process(), unknown).await);
    for sort in [Sort::Ascending, Sort::Descending] {
        let query = OutcomeQuery { limit: 4, sort, ..OutcomeQuery::default() };
        let mut mine = here.results(process(), query.clone()).await.unwrap();
        // The wire always says the order.
        mine.items.iter_mut().for_each(|one| one.cursor.sort = Some(sort));
        assert_eq!(there.results(process(), query).await.unwrap(), mine);
    }
    let state = there.state(process(), None).await.unwrap();
    assert_eq!(state, here.state(process(), None).await.unwrap());
    let run = DryRun {
        id: Some("1234".to_owned()),
        signature: None,
        data: Some(Json::string("x")),
        owner: "1234".to_owned(),
        target: None,
        anchor: Some(None),
        forwarded_by: None,
        tags: Tags::from_iter([("Action", "Info")]),
        timestamp: Some(5),
        block_height: None,
    };
    let dry = there.dry_run(process(), run.clone(), Some(message)).await;
    assert_eq!(dry, here.dry_run(process(), run, Some(message)).await);
    assert_eq!(there.address().await.unwrap(), Address::of_owner(b"fake compute"));
}

#[tokio::test]
async fn its_routes_are_those_of_the_document() {
    let (remote, _) = world().await;
    check_openapi(&remote, "cu").await;
}
