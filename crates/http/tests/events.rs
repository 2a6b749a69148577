//! What happens in a node is heard while it happens, by whoever asks for it.

mod common;

use std::sync::Arc;

use common::{Remote, context, remote};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use pirn_http::server;
use protocol::{Height, Id, ProcessId, Slot, Wallet};
use serde_json::Value;
use unit::fakes::{FakeClock, FakeScheduler};
use unit::{BlockHash, Events, EventsOptions, Happened};

struct World {
    events: Arc<Events>,
    remote: Remote,
}

async fn world(options: EventsOptions, heartbeat_ms: u64) -> World {
    let clock = FakeClock::at(1_700_000_000_000);
    let events = Events::new(5, clock.clone(), options);
    let mut context = server::Context { events: Some(events.clone()), ..context() };
    context.options.heartbeat_ms = heartbeat_ms;
    let scheduler = FakeScheduler::new(Wallet::ed25519_from_seed([9; 32]), clock);
    World { events, remote: remote(server::su::router(scheduler, context)).await }
}

/// A stream of events, block by block.
struct Stream {
    bytes: BoxStream<'static, Vec<u8>>,
    buffer: String,
}

/// One block of a stream: id, name, data.
type Block = (String, String, Value);

impl World {
    async fn listen(&self, query: &str, last: Option<&str>) -> Stream {
        let mut request = reqwest::Client::new().get(format!("{}/api/v1/events{query}", self.remote.url));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let bytes = response.bytes_stream().map(|bytes| bytes.unwrap().to_vec()).boxed();
        Stream { bytes, buffer: String::new() }
    }

    fn happen(&self, process: u8, slot: u64) {
        let what = || Happened::Assigned {
            slot: Slot(slot),
            message: Id([1; 32]),
            assignment: Id([2; 32]),
            from: None,
            action: Some(format!("Act{slot}")),
        };
        self.events.tell(Some(ProcessId(Id([process; 32]))), what);
    }
}

impl Stream {
    async fn next(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .unwrap_or_default()
                        .trim()
                        .to_owned()
                };
                let data = serde_json::from_str(&field("data:")).unwrap_or(Value::Null);
                let read = (field("id:"), field("event:"), data);
                self.buffer = rest.to_owned();
                return Some(read);
            }
            let bytes = self.bytes.next().await?;
            self.buffer.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    async fn names(&mut self, n: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..n {
            let (id, name, data) = self.next().await.unwrap();
            names.push(format!("{id} {name} {}", data["slot"]));
        }
        names
    }
}

const LONG: u64 = 600_000;

#[tokio::test]
async fn a_listener_hears_what_it_asked_for() {
    let world = world(EventsOptions::default(), LONG).await;
    let process = ProcessId(Id([1; 32]));
    let mut of_process = world.listen(&format!("?process={process}&kind=assigned,mined"), None).await;
    let mut by_action = world.listen("?action=Act3", None).await;
    assert_eq!(of_process.names(1).await, ["5-0 open null"]);
    assert_eq!(by_action.names(1).await, ["5-0 open null"]);
    world.happen(1, 2);
    world.happen(2, 3);
    world.events.tell(None, || Happened::Mined {
        height: Height(1),
        hash: BlockHash([0; 48]),
        transactions: 0,
    });
    world.happen(1, 4);
    assert_eq!(of_process.names(2).await, ["5-1 assigned 2", "5-4 assigned 4"]);
    assert_eq!(by_action.names(1).await, ["5-2 assigned 3"]);
    world.events.end("the node stops");
    let (_, name, data) = of_process.next().await.unwrap();
    assert_eq!((name.as_str(), data["why"].as_str()), ("end", Some("the node stops")));
    assert!(of_process.next().await.is_none(), "the stream ends");
}

#[tokio::test]
async fn a_listener_that_comes_back_goes_on_where_it_was_or_hears_that_it_cannot() {
    let world = world(EventsOptions { kept_max: 3, ..EventsOptions::default() }, LONG).await;
    (1..=5).for_each(|slot| world.happen(1, slot));
    let mut back = world.listen("", Some("5-3")).await;
    assert_eq!(back.names(3).await, ["5-3 open null", "5-4 assigned 4", "5-5 assigned 5"]);
    let mut late = world.listen("?after=5-1", None).await;
    let (_, open, _) = late.next().await.unwrap();
    let (_, name, data) = late.next().await.unwrap();
    assert_eq!((open.as_str(), name.as_str()), ("open", "missed"));
    assert_eq!((data["after"].as_str(), data["resumed"].as_str()), (Some("5-1"), Some("5-3")));
    assert_eq!(late.names(1).await, ["5-3 assigned 3"]);
}

#[tokio::test]
async fn silence_is_broken_and_moves_the_place_to_come_back_to() {
    let world = world(EventsOptions::default(), 5).await;
    let mut stream = world.listen("?kind=mined", None).await;
    stream.next().await.unwrap();
    world.happen(1, 1);
    loop {
        let (id, name, _) = stream.next().await.unwrap();
        assert_eq!(name, "");
        if id == "5-1" {
            break;
        }
    }
}

#[tokio::test]
async fn refusals_are_problems() {
    let options = EventsOptions { listeners_max: 1, ..EventsOptions::default() };
    let world = world(options, LONG).await;
    let _stream = world.listen("", None).await;
    let url = &world.remote.url;
    for (path, status, code, detail) in [
        ("/api/v1/events?kind=moved", 400, "P0002", "there is no kind of event \"moved\""),
        ("/api/v1/events?after=x", 400, "P0002", "\"x\" is not the id of an event"),
        ("/api/v1/events", 429, "P0007", "1 listen to this node's events, and that is the most"),
        ("/api/v1/nothing", 404, "P0025", "there is no GET /api/v1/nothing"),
    ] {
        let answer = reqwest::get(format!("{url}{path}")).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
        assert_eq!(answer.headers()["pirn-error"], code, "{path}");
        let said: Value = answer.json().await.unwrap();
        assert_eq!(
            (said["status"].as_u64(), said["code"].as_str()),
            (Some(u64::from(status)), Some(code)),
            "{path}"
        );
        assert_eq!(said["detail"], detail, "{path}");
        assert_eq!(said["type"], format!("urn:pirn:{code}"));
        assert!(said["title"].is_string());
    }
    let of_the_protocol = reqwest::get(format!("{url}/nothing")).await.unwrap();
    assert_eq!(of_the_protocol.headers()["content-type"], "application/json", "clients know those words");
}
