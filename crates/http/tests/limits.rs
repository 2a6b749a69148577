//! Whoever asks too much is told which limit it was, and when to come back.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{Remote, context, remote, transport};
use expect_test::{Expect, expect};
use pirn_http::server::limits::{Limits, Options, Rate};
use pirn_http::{client, server};
use protocol::{DataItem, Wallet};
use unit::fakes::{FakeClock, FakeScheduler};
use unit::suite::{message_item, process_item, wallet};
use unit::{Kind, Scheduler as _};

struct World {
    remote: Remote,
    seconds: Arc<AtomicU64>,
    process: DataItem,
}

/// A scheduler with one process, whose limits are `change` made of none, also for clients on this computer.
async fn world(change: impl FnOnce(&mut Options)) -> World {
    let clock = FakeClock::advancing(1_700_000_000_000, 1);
    let scheduler = FakeScheduler::new(Wallet::ed25519_from_seed([9; 32]), clock);
    let process = process_item(&wallet(1), scheduler.address().await.unwrap(), &[]);
    scheduler.schedule(process.clone()).await.unwrap();
    let none = Rate { per_minute: 0, burst: 0 };
    let mut options = Options { loopback: true, ..Options::default() };
    for class in [&mut options.write, &mut options.evaluate, &mut options.read] {
        (class.all, class.ip, class.wallet, class.process) = (none, none, none, none);
    }
    change(&mut options);
    let seconds = Arc::new(AtomicU64::new(1));
    let time = seconds.clone();
    let limits = Limits::at(options, Arc::new(move || Duration::from_secs(time.load(Ordering::SeqCst))));
    let context = server::Context { limits, ..context() };
    World { remote: remote(server::su::router(scheduler, context)).await, seconds, process }
}

impl World {
    async fn get(&self) -> reqwest::Response {
        reqwest::get(format!("{}/timestamp", self.remote.url)).await.unwrap()
    }

    async fn post(&self, item: &DataItem) -> reqwest::Response {
        let client = reqwest::Client::new();
        client.post(&self.remote.url).body(item.bytes().to_vec()).send().await.unwrap()
    }

    fn message(&self, by: u8, data: &str) -> DataItem {
        message_item(&wallet(by), self.process.id.into(), &[], data)
    }
}

/// Two at once, and one more every two seconds.
const TWO: Rate = Rate { per_minute: 30, burst: 2 };

async fn check(response: reqwest::Response, expect: Expect) {
    let mut said = format!("{}", response.status().as_u16());
    for name in ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after"] {
        if let Some(value) = response.headers().get(name) {
            said.push_str(&format!(" {name}={}", value.to_str().unwrap()));
        }
    }
    if !response.status().is_success() {
        assert_eq!(response.headers()["content-type"], "application/json");
        said.push_str(&format!(" {}", response.text().await.unwrap()));
    }
    expect.assert_eq(&said);
}

#[tokio::test]
async fn an_address_that_asks_too_much_waits_until_its_bucket_fills() {
    let world = world(|options| options.read.ip = TWO).await;
    check(world.get().await, expect!["200 ratelimit-limit=2 ratelimit-remaining=1 ratelimit-reset=2"]).await;
    check(world.get().await, expect!["200 ratelimit-limit=2 ratelimit-remaining=0 ratelimit-reset=4"]).await;
    check(world.get().await, expect![[r#"429 ratelimit-limit=2 ratelimit-remaining=0 ratelimit-reset=4 retry-after=2 {"error":"too many requests: the limit read.ip allows this address 30 a minute and 2 at once (hint: try again in 2 s; whoever runs the node sets limits.read.ip)"}"#]]).await;
    // What watches over the node, and what writes, has other limits.
    assert!(reqwest::get(format!("{}/readyz", world.remote.url)).await.unwrap().status().is_success());
    assert_eq!(world.post(&world.message(1, "hi")).await.status(), 200);
    world.seconds.fetch_add(2, Ordering::SeqCst);
    check(world.get().await, expect!["200 ratelimit-limit=2 ratelimit-remaining=0 ratelimit-reset=4"]).await;
    assert_eq!(world.get().await.status(), 429);
}

#[tokio::test]
async fn a_wallet_has_its_own_limit_and_nobody_can_use_it_up_for_it() {
    let world = world(|options| options.write.wallet = TWO).await;
    let item = world.message(1, "forged");
    let mut forged = item.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    for _ in 0..3 {
        let forged = DataItem::parse(forged.clone().into()).unwrap();
        assert_eq!(world.post(&forged).await.status(), 400, "whoever gets it refuses it");
    }
    assert_eq!(world.post(&world.message(1, "a")).await.status(), 200);
    assert_eq!(world.post(&world.message(1, "b")).await.status(), 200);
    check(world.post(&world.message(1, "c")).await, expect![[r#"429 ratelimit-limit=2 ratelimit-remaining=0 ratelimit-reset=4 retry-after=2 {"error":"too many requests: the limit write.wallet allows this wallet 30 a minute and 2 at once (hint: try again in 2 s; whoever runs the node sets limits.write.wallet)"}"#]]).await;
    assert_eq!(world.post(&world.message(2, "c")).await.status(), 200, "another wallet");
}

#[tokio::test]
async fn a_process_has_its_own_limit_whoever_writes() {
    let world = world(|options| options.write.process = TWO).await;
    for by in 1..3 {
        assert_eq!(world.post(&world.message(by, "hi")).await.status(), 200);
    }
    check(world.post(&world.message(3, "hi")).await, expect![[r#"429 ratelimit-limit=2 ratelimit-remaining=0 ratelimit-reset=4 retry-after=2 {"error":"too many requests: the limit write.process allows this process 30 a minute and 2 at once (hint: try again in 2 s; whoever runs the node sets limits.write.process)"}"#]]).await;
}

#[tokio::test]
async fn all_clients_together_have_a_limit_for_each_class() {
    let world = world(|options| options.write.all = TWO).await;
    for by in 1..3 {
        assert_eq!(world.post(&world.message(by, "hi")).await.status(), 200);
    }
    check(world.post(&world.message(3, "hi")).await, expect![[r#"429 ratelimit-limit=2 ratelimit-remaining=0 ratelimit-reset=4 retry-after=2 {"error":"too many requests: the limit write.all allows all clients together 30 a minute and 2 at once (hint: try again in 2 s; whoever runs the node sets limits.write.all)"}"#]]).await;
    assert_eq!(world.get().await.status(), 200);
}

#[tokio::test]
async fn a_unit_elsewhere_that_is_limited_says_when_to_come_back() {
    let world = world(|options| options.read.ip = TWO).await;
    let there = client::Scheduler::new(&world.remote.url, transport());
    for _ in 0..2 {
        there.now().await.unwrap();
    }
    let error = there.now().await.unwrap_err();
    assert_eq!(error.kind, Kind::Busy { retry_after: Duration::from_secs(2) });
}

#[tokio::test]
async fn clients_on_this_computer_are_free_by_default() {
    let world = world(|options| {
        options.loopback = false;
        options.read.ip = TWO;
    })
    .await;
    for _ in 0..5 {
        check(world.get().await, expect!["200"]).await;
    }
}
