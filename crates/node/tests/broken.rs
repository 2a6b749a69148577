//! A node whose disk takes nothing more says so to everybody, and has all that it acknowledged when it starts again.
//!
//! The disk is full by a limit on the size of this program's files, so this is the only test of its program.

use pirn_http::client::{Messenger, Options, Scheduler, Transport};
use pirn_node::{Config, Error, Node, Ports};
use protocol::{Id, ProcessId, Slot};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use unit::suite::{message_item, process_item, wallet};
use unit::{Code, Kind, Messenger as _, Scheduler as _};

const SIGXFSZ: i32 = 25;

fn units(node: &Node) -> (Scheduler, Messenger) {
    let transport = Transport::new(Options::default()).unwrap();
    let url = |part: &str| node.network().urls[part].clone();
    (Scheduler::new(&url("su"), transport.clone()), Messenger::new(&url("mu"), transport))
}

#[track_caller]
fn says_what_to_do(error: &unit::Error) {
    assert_eq!(error.code, Code::STORE, "{error:?}");
    assert!(matches!(error.kind, Kind::Internal | Kind::Unavailable), "{error:?}");
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("start the node again")), "{error:?}");
}

#[tokio::test]
async fn a_node_whose_disk_is_full_refuses_everything_says_why_and_loses_nothing() {
    // The signal that comes with the error would end the program.
    let _ignored = signal(SignalKind::from_raw(SIGXFSZ)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config { ports: Ports::from_base(0).unwrap(), ..Config::default() };
    config.state = Some(folder.path().to_owned());
    config.limits.enabled = false;
    let node = Node::start(config.clone()).await.unwrap();
    let (su, mu) = units(&node);
    let process = process_item(&wallet(1), su.address().await.unwrap(), &[]);
    su.schedule(process.clone()).await.unwrap();
    let process: ProcessId = process.id.into();

    let log = folder.path().join("log/0000000001.log");
    let was = getrlimit(Resource::Fsize);
    let limit = std::fs::metadata(&log).unwrap().len() + 20_000;
    setrlimit(Resource::Fsize, Rlimit { current: Some(limit), ..was }).unwrap();
    let mut acknowledged: Vec<(Id, Slot)> = Vec::new();
    let refused = loop {
        let item = message_item(&wallet(1), process, &[], &format!("message {}", acknowledged.len()));
        match su.schedule(item.clone()).await {
            Ok(placed) => acknowledged.push((item.id, placed.entry.assignment.slot)),
            Err(error) => break error,
        }
        assert!(acknowledged.len() < 1000, "the disk is never full");
    };
    says_what_to_do(&refused);
    for data in ["one", "another"] {
        let item = message_item(&wallet(1), process, &[], data);
        says_what_to_do(&su.schedule(item.clone()).await.unwrap_err());
        says_what_to_do(&mu.send(item).await.unwrap_err());
    }
    let ready = reqwest::get(format!("{}/readyz", node.network().urls["su"])).await.unwrap();
    assert_eq!(ready.status(), 503);
    let said = ready.text().await.unwrap();
    assert!(said.contains("the store takes nothing") && said.contains("start the node again"), "{said}");
    let why = node.failed().await;
    assert!(matches!(&why, Error::StoreFailed { .. }), "{why}");
    assert_eq!(why.code(), Code::STORE);
    assert!(why.hint().unwrap().contains("`df`"));
    // What was acknowledged can be read on.
    let (first, slot) = acknowledged[0];
    assert_eq!(su.find(Some(process), first).await.unwrap().assignment.slot, slot);
    node.stop().await;

    setrlimit(Resource::Fsize, was).unwrap();
    let node = Node::start(config).await.unwrap();
    let (su, _) = units(&node);
    for (id, slot) in acknowledged {
        assert_eq!(su.find(Some(process), id).await.unwrap().assignment.slot, slot);
    }
    su.schedule(message_item(&wallet(1), process, &[], "it goes on")).await.unwrap();
    node.stop().await;
}
