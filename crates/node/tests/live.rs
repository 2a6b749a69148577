//! The time of a development network can be moved, and the network put back to where it was.

use std::path::Path;

use bytes::Bytes;
use pirn_http::client::{
    Compute, Control, Gateway, GatewayOptions, Messenger, Options, Scheduler, Transport,
};
use pirn_node::{Config, DevelopmentClock, Node, Ports, accounts};
use protocol::{DataItem, Draft, Id, ProcessId, Slot, Tags, Timestamp, Wallet};
use serde_json::{Value, json};
use unit::{
    ClockMove, Compute as _, Control as _, Kind, Messenger as _, MiningMode, Scheduler as _, SlotRange,
    Weave as _,
};

/// A network with a Lua process in it.
struct World {
    node: Node,
    control: Control,
    mu: Messenger,
    su: Scheduler,
    cu: Compute,
    wallet: Wallet,
}

fn config(state: &Path) -> Config {
    let mut config = Config { ports: Ports::from_base(0).unwrap(), ..Config::development() };
    config.state = Some(state.to_owned());
    config.dev.clock = Some(DevelopmentClock::Manual);
    config.weave.embedded.mining = weave::Mining::Manual;
    config
}

impl World {
    async fn start(config: Config) -> World {
        let node = Node::start(config).await.unwrap();
        let transport = Transport::new(Options::default()).unwrap();
        let url = |part: &str| node.network().urls[part].clone();
        World {
            control: Control::new(&url("mu"), transport.clone()),
            mu: Messenger::new(&url("mu"), transport.clone()),
            su: Scheduler::new(&url("su"), transport.clone()),
            cu: Compute::new(&url("cu"), transport),
            // Its signatures are the same every time, and so are the ids.
            wallet: accounts()[10].wallet(),
            node,
        }
    }

    fn sign(&self, target: Option<Id>, tags: &[(&str, &str)], data: impl Into<Bytes>) -> DataItem {
        let ours = [("Data-Protocol", "ao"), ("Variant", "ao.TN.1")];
        let tags = Tags::from_iter(tags.iter().chain(&ours).copied());
        DataItem::sign(&self.wallet, Draft { target, tags, data: data.into(), ..Draft::default() }).unwrap()
    }

    /// A process of our own Lua, booted.
    async fn spawn(&self, tags: &[(&str, &str)]) -> ProcessId {
        let module = DataItem::sign(
            &self.wallet,
            Draft {
                tags: Tags::from_iter(runtime_lua::TAGS),
                data: Bytes::from_static(runtime_lua::MODULE),
                ..Draft::default()
            },
        )
        .unwrap();
        let gateway = self.node.network().urls["gateway"].clone();
        let options = GatewayOptions { uploader: gateway.clone(), gateway, ..GatewayOptions::default() };
        let gateway = Gateway::new(options, Transport::new(Options::default()).unwrap());
        let id = module.id.to_string();
        gateway.upload(module).await.unwrap();
        let scheduler = self.su.address().await.unwrap().to_string();
        let authority = self.mu.address().await.unwrap().to_string();
        let own = [
            ("Type", "Process"),
            ("Module", id.as_str()),
            ("Scheduler", scheduler.as_str()),
            // Else nobody believes what another process says.
            ("Authority", authority.as_str()),
        ];
        let process = self.sign(None, &[&own[..], tags].concat(), "");
        let id = process.id;
        self.mu.send(process).await.unwrap();
        assert_eq!(self.cu.result(id.into(), id).await.unwrap().error, None);
        id.into()
    }

    /// Sends an Eval; its slot and what it shows.
    async fn eval(&self, process: ProcessId, code: &str) -> (Slot, String) {
        let item = self.sign(Some(process.0), &[("Type", "Message"), ("Action", "Eval")], code.to_owned());
        let id = item.id;
        self.mu.send(item).await.unwrap();
        let outcome = self.cu.result(process, id).await.unwrap();
        assert_eq!(outcome.error, None);
        (self.su.find(Some(process), id).await.unwrap().assignment.slot, outcome.output.get().to_owned())
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut request = reqwest::Client::new().get(format!("{}{path}", self.node.network().urls["cu"]));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn state(&self, process: ProcessId, path: &str) -> Value {
        let path = format!("/api/v1/processes/{process}/state/{path}");
        let answer = self.get(path.trim_end_matches('/'), &[]).await;
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }
}

/// Two processes whose crons write down when they ticked, one of them to itself by message; what they wrote in an hour.
async fn an_hour() -> (Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(config(folder.path())).await;
    let began = world.control.move_clock(ClockMove::Set(Timestamp(4_000_000_000_000))).await.unwrap();
    assert!(!began.running);
    let cron = |every| [("Cron-Interval", every), ("Cron-Tag-Action", "Tick")];
    let fast = world.spawn(&cron("10-minutes")).await;
    let slow = world.spawn(&cron("25-minutes")).await;
    let handler = format!(
        r#"
        Public = {{ ticks = {{}}, told = {{}} }}
        Handlers.add("tick", "Tick", function(msg)
          table.insert(Public.ticks, tonumber(msg.Timestamp) - {0})
          ao.send({{ Target = "{fast}", Action = "Told" }})
        end)
        Handlers.add("told", "Told", function(msg)
          table.insert(Public.told, {{ tonumber(msg.Timestamp) - {0}, #Public.ticks }})
        end)
        "#,
        began.now
    );
    for process in [fast, slow] {
        world.eval(process, &handler).await;
        world.mu.monitor(world.sign_plain(process)).await.unwrap();
    }
    let moved = world.control.move_clock(ClockMove::Advance(3_600_000)).await.unwrap();
    assert_eq!(moved.now.0, began.now.0 + 3_600_001);
    let wrote = (world.state(fast, "").await, world.state(slow, "").await);
    world.node.stop().await;
    wrote
}

impl World {
    /// What a monitor request is: an item without tags.
    fn sign_plain(&self, process: ProcessId) -> DataItem {
        DataItem::sign(&self.wallet, Draft { target: Some(process.0), ..Draft::default() }).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_that_is_moved_ticks_as_an_hour_does() {
    let (fast, slow) = an_hour().await;
    // A tick is due within its second.
    let minute = |at: &Value| (at.as_u64().unwrap() + 30_000) / 60_000;
    let minutes = |ticks: &Value| -> Vec<u64> { ticks.as_array().unwrap().iter().map(minute).collect() };
    assert_eq!(minutes(&fast["ticks"]), [10, 20, 30, 40, 50, 60]);
    assert_eq!(minutes(&slow["ticks"]), [25, 50]);
    // Each was told in its minute, after the tick of that minute and before that of the next.
    let told = fast["told"].as_array().unwrap();
    let told: Vec<_> = told.iter().map(|told| (minute(&told[0]), told[1].as_u64().unwrap())).collect();
    assert_eq!(told, [(10, 1), (20, 2), (25, 2), (30, 3), (40, 4), (50, 5), (50, 5), (60, 6)]);
    assert_eq!(an_hour().await, (fast, slow), "and another time the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_at_an_interval_follow_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(config(folder.path())).await;
    let before = world.control.mine(1).await.unwrap();
    world.control.set_mining(MiningMode::Interval { interval_ms: 120_000 }).await.unwrap();
    world.control.move_clock(ClockMove::Advance(600_000)).await.unwrap();
    let tip = world.su.now().await.unwrap();
    assert_eq!(tip.height.0, before.height.0 + 5);
    let past = world.control.move_clock(ClockMove::Set(before.timestamp)).await.unwrap_err();
    assert_eq!(past.kind, Kind::Invalid);
    let running = world.control.move_clock(ClockMove::Resume).await.unwrap();
    assert!(running.running && running.now >= tip.timestamp);
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_goes_back_to_a_snapshot_and_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(config(folder.path())).await;
    let process = world.spawn(&[]).await;
    world.eval(process, "Count = 1").await;
    let saved = world.control.save_snapshot("one").await.unwrap();
    assert!(saved.still);
    let taken = world.control.save_snapshot("one").await.unwrap_err();
    assert_eq!(taken.kind, Kind::Conflict);

    let (slot, first) = world.eval(process, "Count = Count + 1; return Count").await;
    world.control.move_clock(ClockMove::Advance(60_000)).await.unwrap();
    world.eval(process, "Count = 100").await;
    let mut stream = world.get("/api/v1/events", &[]).await;
    world.control.restore_snapshot("one").await.unwrap();
    let mut heard = String::new();
    while let Ok(Some(chunk)) = stream.chunk().await {
        heard.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    assert!(heard.contains("event: end") && heard.contains("the snapshot one"), "{heard}");

    assert_eq!(world.control.clock().await.unwrap().now, saved.at, "time is what it was");
    assert_eq!(
        world.su.latest(process).await.unwrap().assignment.slot.next(),
        slot,
        "the slot is free again"
    );
    assert_eq!(world.state(process, "Count").await, json!(1));
    assert_eq!(
        world.eval(process, "Count = Count + 1; return Count").await,
        (slot, first),
        "and the same follows"
    );
    let all = SlotRange::Slots { after: None, to: None };
    assert_eq!(world.su.schedule_page(process, all, 100).await.unwrap().items.len() as u64, slot.0 + 1);

    // The next run of the same network has it still.
    world.node.stop().await;
    let world = World::start(config(folder.path())).await;
    let names =
        |snapshots: Vec<unit::SnapshotInfo>| snapshots.into_iter().map(|one| one.name).collect::<Vec<_>>();
    assert_eq!(names(world.control.snapshots().await.unwrap()), ["one"]);
    assert_eq!(world.state(process, "Count").await, json!(2));
    world.control.restore_snapshot("one").await.unwrap();
    assert_eq!(world.state(process, "Count").await, json!(1));
    let unknown = world.control.restore_snapshot("two").await.unwrap_err();
    assert_eq!(unknown.kind, Kind::NotFound);
    world.control.reset().await.unwrap();
    assert_eq!(world.su.latest(process).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(world.control.accounts().await.unwrap()[0].balance_winston, "1000000000000000");
    world.control.remove_snapshot("one").await.unwrap();
    assert!(world.control.snapshots().await.unwrap().is_empty());
    world.node.stop().await;
}

impl World {
    /// What `/metrics` counts since the units were opened.
    async fn counted(&self, name: &str) -> u64 {
        let text = self.get("/metrics", &[]).await.text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
        line.parse().unwrap()
    }

    /// Messages that were evaluated, and evaluated again, since the units were opened.
    async fn evaluations(&self) -> (u64, u64) {
        (self.counted("pirn_cu_evaluated").await, self.counted("pirn_cu_replayed").await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_network_has_its_memory_at_once_and_nothing_of_what_came_later() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(config(folder.path())).await;
    let process = world.spawn(&[]).await;
    for count in 1..=25 {
        world.eval(process, &format!("Count = {count}; Kept = ('x'):rep({count})")).await;
    }
    let before = world.cu.state(process, None).await.unwrap();
    world.control.save_snapshot("one").await.unwrap();

    // All of it is acknowledged, evaluated, and on the weave.
    let later = world.sign(Some(process.0), &[("Type", "Message"), ("Action", "Eval")], "Count = 'later'");
    world.mu.send(later.clone()).await.unwrap();
    world.cu.result(process, later.id).await.unwrap();
    let born = world.spawn(&[("Name", "later")]).await;
    world.mu.monitor(world.sign_plain(born)).await.unwrap();
    // Time goes on only when everything is where it was sent to.
    world.control.move_clock(ClockMove::Advance(60_000)).await.unwrap();
    world.control.mine(1).await.unwrap();
    let on_weave = || async {
        let url = format!("{}/{}", world.node.network().urls["gateway"], later.id);
        reqwest::get(url).await.unwrap().status().as_u16()
    };
    assert_eq!(on_weave().await, 200);
    assert_eq!(world.state(process, "Count").await, json!("later"));

    world.control.restore_snapshot("one").await.unwrap();
    assert_eq!(world.cu.state(process, None).await.unwrap(), before, "every byte of its memory");
    assert_eq!(world.state(process, "Count").await, json!(25));
    assert_eq!(world.evaluations().await, (0, 0), "none of 26 messages was evaluated again");

    let query = unit::OutcomeQuery { limit: 100, ..unit::OutcomeQuery::default() };
    let listed = world.cu.results(process, query).await.unwrap().items;
    assert!(listed.len() == 26 && listed.iter().all(|one| one.message != Some(later.id)), "{listed:?}");
    let unknown = [
        world.su.find(Some(process), later.id).await.map(drop),
        world.su.latest(born).await.map(drop),
        world.cu.result(process, later.id).await.map(drop),
        world.cu.state(born, None).await.map(drop),
    ];
    for refused in unknown {
        assert_eq!(refused.unwrap_err().kind, Kind::NotFound);
    }
    assert_eq!(on_weave().await, 404);
    assert_eq!(world.evaluations().await, (0, 0), "nor was anything to find that out");
    let (_, shown) = world.eval(process, "Count = Count + 1; return Count").await;
    assert!(shown.contains("26"), "{shown}");
    assert_eq!(world.evaluations().await, (1, 0));
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_publishes_is_read_and_cached() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(config(folder.path())).await;
    let process = world.spawn(&[("Name", "shop")]).await;
    let (slot, _) =
        world.eval(process, r#"Public = { Name = "x", list = { 1, 2 } }; Secret = { a = 5 }"#).await;
    assert_eq!(world.state(process, "").await, json!({"Name": "x", "list": [1, 2]}));
    assert_eq!(world.state(process, "list/2").await, json!(2));
    assert_eq!(world.state(process, "Secret/a").await, json!(5), "a development network reads all");

    let path = format!("/api/v1/processes/{process}/state/Name");
    let answer = world.get(&path, &[]).await;
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with(&format!("\"{slot}-")), "{tag}");
    assert_eq!(answer.headers()["cache-control"], "no-cache");
    assert!(
        answer.headers().get_all("vary").iter().any(|vary| vary
            .to_str()
            .unwrap()
            .to_lowercase()
            .contains("origin"))
    );
    let again = world.get(&path, &[("if-none-match", &tag)]).await;
    assert_eq!((again.status().as_u16(), again.text().await.unwrap().as_str()), (304, ""));

    world.eval(process, r#"Public.Name = "y""#).await;
    assert_eq!(world.state(process, "Name").await, json!("y"));
    let past = world.get(&format!("{path}?at={slot}"), &[]).await;
    assert_eq!(past.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(past.text().await.unwrap(), "\"x\"");
    let changed = world.get(&path, &[("if-none-match", &tag)]).await;
    assert_eq!(changed.status(), 200);

    for (path, status) in [
        (format!("/api/v1/processes/{process}/state/nothing"), 404),
        (format!("/api/v1/processes/{process}/state/Handlers/add"), 422),
        (format!("/api/v1/processes/{process}/state/Name?at=99"), 404),
        ("/api/v1/processes/nobody/state/Name".to_owned(), 404),
    ] {
        let answer = world.get(&path, &[]).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }

    // By its name, and at the path of AO-Core nodes.
    let said = |path: String, tag: String| {
        let world = &world;
        async move {
            let answer = world.get(&path, &[("if-none-match", &tag)]).await;
            let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
            let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
            let status = answer.status().as_u16();
            (status, kind.unwrap_or_default(), answer.text().await.unwrap(), tag.unwrap_or_default())
        }
    };
    let (json, text) = ("application/json", "text/plain; charset=utf-8");
    for (path, kind, value) in [
        ("/api/v1/processes/shop/state/Name".to_owned(), json, "\"y\""),
        (format!("/{process}~process@1.0/now/cache/Name"), text, "y"),
        (format!("/{process}~process@1.0/now/cache/Name/serialize~json@1.0"), json, "\"y\""),
        (format!("/{process}~process@1.0/compute/list/2"), json, "2"),
        ("/shop~process@1.0/now/cache/list".to_owned(), json, "[1,2]"),
        (format!("/{process}~process@1.0/now/cache/Name?at={slot}"), text, "x"),
    ] {
        let (status, said_kind, said_value, tag) = said(path.clone(), String::new()).await;
        assert_eq!((status, said_kind.as_str(), said_value.as_str()), (200, kind, value), "{path}");
        assert_eq!(said(path.clone(), tag).await.0, 304, "{path}");
    }
    let (status, _, why, _) = said(format!("/{process}/now/cache/Name"), String::new()).await;
    assert!(status == 404 && why.contains("~process@1.0"), "{why}");
    world.node.stop().await;

    // Names that the operator gives.
    let named = |names: Vec<String>| Config { names, ..config(folder.path()) };
    let world = World::start(named(vec![format!("kiosk={process}")])).await;
    let answer = world.get("/api/v1/processes/kiosk/state/Name", &[]).await;
    assert_eq!(answer.text().await.unwrap(), "\"y\"");
    world.node.stop().await;
    for wrong in ["kiosk", "=x", "a/b=x", &format!("{process}={process}")] {
        let refused = Node::start(named(vec![wrong.to_owned()])).await.map(|_| ()).unwrap_err();
        assert!(refused.to_string().contains("is not NAME=ID"), "{wrong}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_elses_network_is_controlled() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { ports: Ports::from_base(0).unwrap(), ..Config::default() };
    let world = World::start(Config { state: Some(folder.path().to_owned()), ..config }).await;
    for refused in [
        world.control.clock().await.unwrap_err(),
        world.control.reset().await.unwrap_err(),
        world.control.save_snapshot("one").await.unwrap_err(),
    ] {
        assert_eq!(refused.kind, Kind::NotFound);
        assert!(refused.what.contains("this is no development network"), "{refused}");
    }
    world.node.stop().await;
}
