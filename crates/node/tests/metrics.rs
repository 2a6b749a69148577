//! What `/metrics` prints is documented, and what is documented, drawn and alarmed about is printed.

use std::collections::{BTreeMap, BTreeSet};

use pirn_http::client::{Compute, Messenger, Options, Scheduler, Transport};
use pirn_node::{Config, Node, Ports};
use protocol::{Address, Id, ProcessId, Tags};
use unit::suite::{message_item, process_item, wallet};
use unit::{
    AssignRequest, Compute as _, DryRun, Messenger as _, OutcomeQuery, Scheduler as _, SlotRange, TraceQuery,
};

const DOCUMENTED: &str = include_str!("../../../docs/metrics.md");
const DASHBOARD: &str = include_str!("../../../ops/grafana-dashboard.json");
const ALERTS: &str = include_str!("../../../ops/prometheus-alerts.yml");

/// Asks a node for everything there is to ask, well and badly.
async fn work(node: &Node) {
    let url = |part: &str| node.network().urls[part].clone();
    let transport = Transport::new(Options::default()).unwrap();
    let su = Scheduler::new(&url("su"), transport.clone());
    let cu = Compute::new(&url("cu"), transport.clone());
    let mu = Messenger::new(&url("mu"), transport);
    let ours: Address = su.address().await.unwrap();
    let process = process_item(&wallet(1), ours, &[]);
    su.schedule(process.clone()).await.unwrap();
    let message = message_item(&wallet(1), process.id.into(), &[], "hi");
    mu.send(message.clone()).await.unwrap();
    let dry = DryRun {
        id: None,
        signature: None,
        data: None,
        owner: "nobody".to_owned(),
        target: Some(process.id.to_string()),
        anchor: None,
        forwarded_by: None,
        tags: Tags::default(),
        timestamp: None,
        block_height: None,
    };
    // The module is nowhere, so what evaluates fails, and so does all that is about a process nobody knows.
    for process in [ProcessId(process.id), ProcessId(Id([7; 32]))] {
        let stray = message_item(&wallet(1), process, &[], "stray");
        let request = AssignRequest { process, message: message.id, base_layer: false, exclude: Vec::new() };
        let all = SlotRange::Slots { after: None, to: None };
        let _ = su.schedule(stray.clone()).await;
        let _ = su.assign(request.clone()).await;
        let _ = su.find(Some(process), message.id).await;
        let _ = su.schedule_page(process, all, 10).await;
        let _ = su.latest(process).await;
        let _ = su.process(process).await;
        let _ = mu.send(stray.clone()).await;
        let _ = mu.assign(request).await;
        let _ = mu.monitor(stray.clone()).await;
        let _ = mu.unmonitor(stray).await;
        let _ = mu.push(process, message.id, None).await;
        let _ = mu.traces(TraceQuery { process: Some(process), limit: 1, ..TraceQuery::default() }).await;
        let query = OutcomeQuery { limit: 1, ..OutcomeQuery::default() };
        let _ = cu.result(process, message.id).await;
        let _ = cu.results(process, query.clone()).await;
        let _ = cu.cron(process, query).await;
        let _ = cu.dry_run(process, dry.clone(), None).await;
        let _ = cu.state(process, None).await;
    }
}

/// Name and type of each metric that a text of Prometheus's format has.
fn printed(text: &str) -> BTreeMap<String, String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

/// The names of our metrics in a text.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("pirn_")).collect()
}

/// The name under which a series is declared: histograms are printed as three.
fn declared<'a>(name: &'a str, printed: &BTreeMap<String, String>) -> &'a str {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    base.filter(|base| printed.get(*base).is_some_and(|kind| kind == "histogram")).unwrap_or(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_printed_as_documented_and_nobody_watches_what_is_not_there() {
    let config = Config { ports: Ports::from_base(0).unwrap(), ..Config::development() };
    let node = Node::start(config).await.unwrap();
    work(&node).await;
    let text = reqwest::get(format!("{}/metrics", node.network().urls["mu"])).await.unwrap();
    let ready = reqwest::get(format!("{}/readyz", node.network().urls["su"])).await.unwrap();
    assert_eq!(ready.status(), 200);
    let ready: serde_json::Value = ready.json().await.unwrap();
    let checks: Vec<_> = ready["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
    assert_eq!(checks, ["storage", "settlement", "schedules", "evaluation", "outbox", "cron", "ticks"]);
    let printed = printed(&text.text().await.unwrap());
    node.stop().await;

    let mut documented = BTreeMap::new();
    for row in DOCUMENTED.lines().filter_map(|line| line.strip_prefix("| `")) {
        let mut cells = row.split(" | ");
        let name = cells.next().unwrap().trim_end_matches('`');
        let kind = cells.next().expect("a metric has a type");
        assert!(cells.next().is_some_and(|meaning| meaning.len() > 5), "{name} has a meaning");
        documented.insert(name.to_owned(), kind.to_owned());
    }
    // Some calls do not fail here, and what counts failures comes with the first one.
    let without_failures = |name: &&String| {
        name.strip_suffix("_failed_total")
            .is_some_and(|call| printed.contains_key(&format!("{call}_seconds")))
    };
    let silent: BTreeSet<_> = documented.keys().filter(|name| !printed.contains_key(*name)).collect();
    assert!(silent.iter().all(without_failures), "documented and not printed: {silent:?}");
    assert!(silent.len() < 4, "most calls fail here: {silent:?}");
    documented.retain(|name, _| printed.contains_key(name));
    assert_eq!(documented, printed, "docs/metrics.md against /metrics");

    for (file, text, least) in [("dashboard", DASHBOARD, 15), ("alerts", ALERTS, 6)] {
        let used = named(text);
        assert!(used.len() >= least, "{file} uses {used:?}");
        for name in used {
            assert!(
                printed.contains_key(declared(name, &printed)),
                "the {file} uses {name}, which is not there"
            );
        }
    }
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().unwrap();
        assert!(targets.iter().all(|target| target["expr"].is_string()), "{}", panel["title"]);
    }
    let rules = ALERTS.matches("- alert: ").count();
    for word in ["expr: ", "for: ", "severity: ", "summary: ", "description: "] {
        assert_eq!(ALERTS.matches(word).count(), rules, "each rule has {word:?}");
    }
}
