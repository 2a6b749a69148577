//! Several gateways of one network: one that fails is passed over, one that asks to be left alone is, and what is read
//! is checked and kept.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use common::{Remote, context, remote, transport};
use pirn_http::client::{Gateway, GatewayOptions, Gateways, GatewaysOptions};
use pirn_http::server;
use protocol::{DataItem, Draft};
use store::MemoryStore;
use unit::fakes::FakeClock;
use unit::{Arweave as _, Kind, Network as _, Query, Weave as _, Whereabouts};

/// A gateway that answers so many requests badly before it is well, and counts all.
#[derive(Default)]
struct Bad {
    left: AtomicU64,
    asked: AtomicU64,
}

async fn bad(State(bad): State<Arc<Bad>>, request: Request, next: Next) -> Response {
    bad.asked.fetch_add(1, Ordering::SeqCst);
    let fails = |left: u64| left.checked_sub(1);
    match bad.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails) {
        Ok(_) => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "60")], "slower").into_response(),
        Err(_) => next.run(request).await,
    }
}

struct World {
    weave: Arc<weave::EmbeddedWeave>,
    gateways: Gateways,
    first: Arc<Bad>,
    second: Arc<Bad>,
    _remotes: Vec<Remote>,
}

async fn world() -> World {
    let ports = weave::Ports {
        store: Arc::new(MemoryStore::new()),
        clock: FakeClock::advancing(1_700_000_000_000, 1),
        events: unit::Events::silent(),
    };
    let options = weave::Options { mining: weave::Mining::Manual, ..weave::Options::default() };
    let weave = weave::EmbeddedWeave::open(ports, options).await.unwrap();
    let (mut bads, mut gateways, mut remotes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..2 {
        let state = Arc::new(Bad::default());
        let router = server::weave::router(weave.clone(), server::weave::Options::default(), context());
        let layer = axum::middleware::from_fn_with_state(state.clone(), bad);
        let remote = remote(Router::new().merge(router).layer(layer)).await;
        let options = GatewayOptions {
            gateway: remote.url.clone(),
            uploader: remote.url.clone(),
            tip_ms: 0,
            ..GatewayOptions::default()
        };
        gateways.push(Gateway::new(options, transport()));
        bads.push(state);
        remotes.push(remote);
    }
    let gateways = Gateways::new(gateways, GatewaysOptions::default());
    World { weave, gateways, first: bads[0].clone(), second: bads[1].clone(), _remotes: remotes }
}

fn item(data: &str) -> DataItem {
    let draft = Draft { data: data.to_owned().into(), ..Draft::default() };
    DataItem::sign(&unit::suite::wallet(1), draft).unwrap()
}

#[tokio::test]
async fn one_that_asks_to_be_left_alone_is_and_another_answers() {
    let world = world().await;
    world.first.left.store(1, Ordering::SeqCst);
    world.gateways.tip().await.unwrap();
    world.gateways.tip().await.unwrap();
    assert_eq!(world.first.asked.load(Ordering::SeqCst), 1, "it said for how long");
    assert_eq!(world.second.asked.load(Ordering::SeqCst), 2);
    let health = world.gateways.gateways();
    assert_eq!((health[0].failures, health[1].failures), (1, 0));
}

#[tokio::test]
async fn if_none_answers_that_is_no_word_about_what_is_there() {
    let world = world().await;
    let id = item("nowhere").id;
    assert_eq!(world.gateways.get(id).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(world.gateways.whereabouts(id).await.unwrap(), Whereabouts::Unknown);
    world.first.left.store(1, Ordering::SeqCst);
    assert!(world.gateways.whereabouts(id).await.unwrap_err().kind.is_transient());
}

#[tokio::test]
async fn what_was_read_is_kept_and_cursors_go_to_whom_they_are_of() {
    let world = world().await;
    let items: Vec<DataItem> = ["a", "b", "c"].map(item).to_vec();
    for item in &items {
        world.gateways.upload(item.clone()).await.unwrap();
    }
    world.weave.mine(1).await.unwrap();
    assert_eq!(*world.gateways.get(items[0].id).await.unwrap().item, *items[0].item());
    let asked = world.first.asked.load(Ordering::SeqCst);
    world.gateways.get(items[0].id).await.unwrap();
    assert_eq!(world.first.asked.load(Ordering::SeqCst), asked);

    let query = Query { owners: vec![items[0].address()], limit: 2, ..Query::default() };
    let page = world.gateways.query(query.clone()).await.unwrap();
    let after = page.items.last().map(|found| found.cursor.clone());
    let rest = world.gateways.query(Query { after, ..query }).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.has_next), (2, 1, false));
    assert_eq!(world.second.asked.load(Ordering::SeqCst), 0);
}
