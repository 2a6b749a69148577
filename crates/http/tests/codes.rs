//! A refusal keeps its code on the way, and the body stays as old clients know it.

mod common;

use std::sync::Arc;

use common::{Remote, context, remote, transport};
use pirn_http::{client, server};
use protocol::{ProcessId, Wallet};
use unit::fakes::FakeClock;
use unit::{Code, Scheduler};

async fn unit() -> Remote {
    let real = su::SchedulerUnit::open(
        su::Ports {
            store: Arc::new(store::MemoryStore::new()),
            weave: unit::fakes::FakeWeave::new(),
            clock: FakeClock::at(1_700_000_000_000),
            events: unit::Events::silent(),
            wallet: Wallet::ed25519_from_seed([98; 32]),
        },
        su::Options::default(),
    );
    remote(server::su::router(real.await.unwrap(), context())).await
}

#[tokio::test]
async fn a_remote_unit_fails_under_the_code_of_the_local_one() {
    let remote = unit().await;
    let scheduler = client::Scheduler::new(&remote.url, transport());
    let error = scheduler.latest(ProcessId(protocol::Id([1; 32]))).await.unwrap_err();
    assert_eq!(error.code, Code::UNKNOWN_PROCESS, "{error}");

    let nobody = client::Scheduler::new("http://127.0.0.1:1", transport());
    let error = nobody.latest(ProcessId(protocol::Id([1; 32]))).await.unwrap_err();
    assert_eq!(error.code, Code::UNREACHABLE, "{error}");
}

#[tokio::test]
async fn every_refusal_says_its_code_in_a_header() {
    let remote = unit().await;
    let check = async |method: &str, path: &str, status: u16, code: &str| {
        let method = method.parse().unwrap();
        let request = reqwest::Client::new().request(method, format!("{}{path}", remote.url));
        let response = request.body("x").send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(response.headers().get("Pirn-Error").map(|value| value.to_str().unwrap()), Some(code));
        let body: serde_json::Value = response.json().await.unwrap();
        assert!(body["error"].is_string() && body.as_object().unwrap().len() == 1, "{body}");
    };
    check("GET", "/no/such/route/here", 404, "P0025").await;
    check("DELETE", "/timestamp", 405, "P0025").await;
    check("POST", "/", 400, "P0011").await;
    check("GET", "/AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE/latest", 404, "P0014").await;
    let fine = reqwest::get(format!("{}/timestamp", remote.url)).await.unwrap();
    assert_eq!(fine.headers().get("Pirn-Error"), None);
}
