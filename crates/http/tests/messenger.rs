//! A messenger behind HTTP is a messenger, and its routes say what the wire wants.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::{Remote, ask, check_openapi, context, remote, transport};
use expect_test::{Expect, expect};
use pirn_http::wire::info::Check;
use pirn_http::{client, server};
use protocol::{Address, DataItem, Id, ProcessId, Timestamp};
use unit::suite::{message_item, wallet};
use unit::{
    AssignRequest, CatchUp, CronTally, Cursor, DeadLetter, Error, Kind, Messenger, Monitored, MonitoredQuery,
    Novelty, OutboxEntry, OutboxQuery, Page, Receipt, Result, TickFailure, Trace, TraceKind, TraceQuery,
    TraceRelation,
};

const P: &str = "9epRWwTFujbn9uIvJvmGfiltbzdsz_Vta_9vWiudyQI";
const M: &str = "3YwZ10bNDt2FTJaxpuuUCiaBs_-FrH3XjPZvE267AJM";

/// Writes down what it is asked.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    /// Whether it was asked that before.
    fn note(&self, what: String) -> Novelty {
        let mut noted = self.0.lock().unwrap();
        let novelty = if noted.contains(&what) { Novelty::Repeat } else { Novelty::First };
        noted.push(what);
        novelty
    }
}

#[async_trait]
impl Messenger for Recorder {
    async fn send(&self, item: DataItem) -> Result<Receipt> {
        if item.tags.has("Action", "Panic") {
            panic!("told to");
        }
        if item.tags.has("Action", "Busy") {
            return Err(Error::new(Kind::Busy { retry_after: Duration::from_secs(3) }, "too much at once"));
        }
        Ok(Receipt { id: item.id, novelty: self.note(format!("send {}", item.id)) })
    }

    async fn assign(&self, request: AssignRequest) -> Result<Receipt> {
        let AssignRequest { process, message, base_layer, exclude } = &request;
        let what = format!("assign {message} to {process} base layer {base_layer} without {exclude:?}");
        Ok(Receipt { id: request.message, novelty: self.note(what) })
    }

    async fn monitor(&self, request: DataItem) -> Result<()> {
        self.note(format!("monitor {:?}", request.target));
        Ok(())
    }

    async fn unmonitor(&self, request: DataItem) -> Result<()> {
        self.note(format!("unmonitor {:?}", request.target));
        Err(Error::new(Kind::Forbidden, "only the owner may"))
    }

    async fn push(&self, process: ProcessId, message: Id, index: Option<usize>) -> Result<()> {
        self.note(format!("push {message} of {process} at {index:?}"));
        Ok(())
    }

    async fn traces(&self, query: TraceQuery) -> Result<Page<Trace>> {
        self.note(format!("traces {query:?}"));
        let trace = Trace {
            message: M.parse().unwrap(),
            process: query.process,
            wallet: Some(Address::of_owner(b"w")),
            parent: None,
            root: M.parse().unwrap(),
            timestamp: Timestamp(1_700_000_000_000),
            kind: query.kind.unwrap_or(TraceKind::Message),
            relation: TraceRelation::Descendant,
            error: Some("lost".to_owned()),
        };
        Ok(Page { items: vec![trace], has_next: true })
    }

    async fn monitored(&self, query: MonitoredQuery) -> Result<Page<Monitored>> {
        self.note(format!("monitored {query:?}"));
        let pushed = Cursor {
            timestamp: Timestamp(1_700_000_000_000),
            ordinate: Some(3),
            cron: Some("0-1-minute".to_owned()),
            sort: None,
        };
        let one = Monitored {
            process: P.parse().unwrap(),
            looked_at: Timestamp(1_700_000_000_500),
            pushed: Some(pushed),
            error: Some("the compute unit is away".to_owned()),
            spawner: Some(protocol::Id([8; 32]).into()),
            tally: CronTally {
                ticks: 9,
                failed: 1,
                failure: Some(TickFailure {
                    timestamp: Timestamp(5),
                    cron: "0-1-minute".to_owned(),
                    error: "nil".to_owned(),
                }),
                caught_up: 3,
                left_out: 2,
                catch_up: Some(CatchUp {
                    at: Timestamp(9),
                    from: Timestamp(1),
                    to: Timestamp(8),
                    pushed: 3,
                    left_out: 2,
                }),
            },
        };
        let process = protocol::Id([9; 32]).into();
        let (looked_at, tally) = (Timestamp(1), CronTally::default());
        let two = Monitored { process, looked_at, pushed: None, error: None, spawner: None, tally };
        Ok(Page { items: vec![one, two], has_next: true })
    }

    async fn outbox(&self, query: OutboxQuery) -> Result<Page<OutboxEntry>> {
        self.note(format!("outbox {query:?}"));
        let traces = self.traces(TraceQuery::default()).await?;
        let trace = Trace { relation: TraceRelation::Root, ..traces.items[0].clone() };
        let (at, body) = (Timestamp(1_700_000_000_001), Some("some bytes".into()));
        let dead = query.dead.then_some(DeadLetter { at, can_retry: true, body });
        Ok(Page { items: vec![OutboxEntry { number: 7, trace, failures: 3, dead }], has_next: true })
    }

    async fn retry(&self, number: u64) -> Result<()> {
        self.note(format!("retry {number}"));
        Err(Error::new(Kind::NotFound, "there is no such letter"))
    }

    async fn address(&self) -> Result<Address> {
        Ok(Address::of_owner(b"mu"))
    }
}

async fn world() -> (Remote, Arc<Recorder>, client::Messenger) {
    let unit = Arc::new(Recorder::default());
    let remote = remote(server::mu::router(unit.clone(), context())).await;
    let there = client::Messenger::new(&remote.url, transport());
    (remote, unit, there)
}

#[track_caller]
fn check((status, body): (u16, String), expect: Expect) {
    expect.assert_eq(&format!("{status} {}", body.replace(P, "PROCESS").replace(M, "MESSAGE")));
}

#[tokio::test]
async fn what_is_sent_arrives_as_it_was_signed() {
    let (_remote, unit, there) = world().await;
    let item = message_item(&wallet(1), P.parse().unwrap(), &[], "hi");
    assert_eq!(there.send(item.clone()).await.unwrap(), Receipt { id: item.id, novelty: Novelty::First });
    let request = AssignRequest {
        process: P.parse().unwrap(),
        message: M.parse().unwrap(),
        base_layer: true,
        exclude: vec!["Data".to_owned(), "Anchor".to_owned()],
    };
    there.assign(request).await.unwrap();
    there.monitor(item.clone()).await.unwrap();
    let refused = there.unmonitor(item.clone()).await.unwrap_err();
    assert_eq!(refused, Error::new(Kind::Forbidden, "only the owner may"));
    there.push(P.parse().unwrap(), M.parse().unwrap(), Some(3)).await.unwrap();
    there.push(P.parse().unwrap(), M.parse().unwrap(), None).await.unwrap();
    let noted = unit.0.lock().unwrap().join("\n").replace(&item.id.to_string(), "ITEM");
    expect![[r#"
        send ITEM
        assign MESSAGE to PROCESS base layer true without ["Data", "Anchor"]
        monitor Some(PROCESS)
        unmonitor Some(PROCESS)
        push MESSAGE of PROCESS at Some(3)
        push MESSAGE of PROCESS at None"#]]
    .assert_eq(&noted.replace(P, "PROCESS").replace(M, "MESSAGE"));
}

#[tokio::test]
async fn what_is_sent_again_is_said_to_be_there_already() {
    let (remote, _, there) = world().await;
    let item = message_item(&wallet(1), P.parse().unwrap(), &[], "hi");
    for (novelty, header) in [(Novelty::First, None), (Novelty::Repeat, Some("true"))] {
        // Another item of the same kind for the other way to look at it.
        let other = message_item(&wallet(2), P.parse().unwrap(), &[], "hi");
        let answer =
            reqwest::Client::new().post(&remote.url).body(other.bytes().to_vec()).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        assert_eq!(answer.headers().get("idempotent-replay").map(|value| value.to_str().unwrap()), header);
        assert_eq!(there.send(item.clone()).await.unwrap(), Receipt { id: item.id, novelty });
    }
}

#[tokio::test]
async fn a_node_with_a_failing_check_is_alive_but_not_ready() {
    let check =
        |name: &str, ok, age_ms| Check { name: name.to_owned(), ok, reason: "seen".to_owned(), age_ms };
    let checks = vec![check("storage", true, None), check("cron", false, Some(70_000))];
    let look = Arc::new(move || {
        let checks = checks.clone();
        Box::pin(async move { checks }) as _
    });
    let context = server::Context { checks: Some(look), ..context() };
    let remote = remote(server::mu::router(Arc::new(Recorder::default()), context)).await;
    self::check(
        ask(&remote, "GET /readyz", "", "").await,
        expect![[
            r#"503 {"ready":false,"checks":[{"name":"storage","ok":true,"reason":"seen"},{"name":"cron","ok":false,"reason":"seen","age_ms":70000}]}"#
        ]],
    );
    self::check(ask(&remote, "GET /healthz", "", "").await, expect!["200 ok"]);
}

#[tokio::test]
async fn a_busy_unit_says_when_to_come_back() {
    let (_remote, _, there) = world().await;
    let item = message_item(&wallet(1), P.parse().unwrap(), &[("Action", "Busy")], "");
    let error = there.send(item).await.unwrap_err();
    assert_eq!(error.kind, Kind::Busy { retry_after: Duration::from_secs(3) });
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_server_goes_on() {
    let (_remote, _, there) = world().await;
    let item = message_item(&wallet(1), P.parse().unwrap(), &[("Action", "Panic")], "");
    assert_eq!(there.send(item).await.unwrap_err().kind, Kind::Internal);
    assert_eq!(there.address().await.unwrap(), Address::of_owner(b"mu"));
}

#[tokio::test]
async fn traces_come_in_pages() {
    let (remote, unit, there) = world().await;
    let get = async |path: &str| ask(&remote, &format!("GET {path}"), "", "").await;
    check(
        get(&format!("/?debug=1&process={P}&page=3&page-size=5")).await,
        expect![[
            r#"200 {"pageInfo":{"hasNextPage":true},"edges":[{"node":{"relation":"descendant","id":"MESSAGE-PROCESS","messageId":"MESSAGE","processId":"PROCESS","wallet":"UOch5JwBPwDGLPWfIWNUKp2N8CRk7-thXTEFGw_dwyY","ip":null,"parentId":null,"timestamp":1700000000000,"type":"MESSAGE","rootId":"MESSAGE","error":"lost"},"cursor":"MESSAGE-PROCESS"}]}"#
        ]],
    );
    check(
        get("/?debug=1").await,
        expect![[
            r#"400 {"error":"the parameter process is missing (hint: name a process, or a message with message=, spawn= or assign=)"}"#
        ]],
    );
    check(
        get("/?debug&message=x&spawn=y").await,
        expect![[r#"422 {"error":"more than one of message, spawn and assign is given"}"#]],
    );
    let query = TraceQuery { root: Some(M.parse().unwrap()), limit: 7, skip: 14, ..TraceQuery::default() };
    let page = there.traces(query.clone()).await.unwrap();
    assert_eq!(page, unit.traces(query).await.unwrap());
}

#[tokio::test]
async fn other_routes() {
    let (remote, _, _) = world().await;
    let item = message_item(&wallet(1), P.parse().unwrap(), &[], "hi");
    let ask = async |request: &str, body: Vec<u8>| ask(&remote, request, "", body).await;
    check(ask("GET /", vec![]).await, expect!["200 ao messenger unit"]);
    check(
        ask("POST /", vec![]).await,
        expect![[
            r#"400 {"error":"not a data item: it is cut short at byte 0 (hint: the body must be one signed ANS-104 data item)"}"#
        ]],
    );
    check(
        ask(&format!("POST /?process-id={P}"), vec![]).await,
        expect![[r#"400 {"error":"process-id is given without assign (hint: give both or neither)"}"#]],
    );
    check(ask(&format!("POST /monitor/{P}"), item.bytes().to_vec()).await, expect!["200 Monitoring process"]);
    check(
        ask(&format!("DELETE /monitor/{M}"), item.bytes().to_vec()).await,
        expect![[r#"400 {"error":"the item is for PROCESS, but the path names MESSAGE"}"#]],
    );
    check(
        ask(&format!("POST /push/{M}/one?process-id={P}"), vec![]).await,
        expect![[r#"400 {"error":"\"one\" is not the number of a message"}"#]],
    );
    check(
        ask(&format!("POST /push/{M}/1"), vec![]).await,
        expect![[r#"400 {"error":"the parameter process-id is missing (hint: add ?process-id=<id>)"}"#]],
    );
    check(ask("GET /readyz", vec![]).await, expect![[r#"200 {"ready":true,"checks":[]}"#]]);
    check(ask("GET /nope", vec![]).await, expect![[r#"404 {"error":"there is no GET /nope"}"#]]);
}

#[tokio::test]
async fn its_routes_are_those_of_the_document() {
    let (remote, _, _) = world().await;
    check_openapi(&remote, "mu").await;
}

#[tokio::test]
async fn who_is_monitored_is_read_as_it_is() {
    let (_remote, unit, there) = world().await;
    let after = Some(P.parse().unwrap());
    for query in [MonitoredQuery { after: None, limit: 3 }, MonitoredQuery { after, limit: 1 }] {
        assert_eq!(there.monitored(query).await.unwrap(), unit.monitored(query).await.unwrap());
        assert_eq!(unit.0.lock().unwrap()[0], format!("monitored {query:?}"));
        unit.0.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn an_outbox_is_read_as_it_is() {
    let (remote, unit, there) = world().await;
    for dead in [false, true] {
        let query = OutboxQuery { dead, after: 5, limit: 20 };
        assert_eq!(there.outbox(query).await.unwrap(), unit.outbox(query).await.unwrap());
        assert_eq!(unit.0.lock().unwrap()[0], format!("outbox {query:?}"));
        unit.0.lock().unwrap().clear();
    }
    let error = there.retry(9).await.unwrap_err();
    assert_eq!((error.kind, &*error.what), (Kind::NotFound, "there is no such letter"));
    assert_eq!(unit.0.lock().unwrap()[0], "retry 9");
    let url = format!("{}/api/v1/outbox/dead/x/retry", remote.url);
    let answer = reqwest::Client::new().post(url).send().await.unwrap();
    assert_eq!(answer.status(), 400);
}
