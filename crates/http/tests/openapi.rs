//! `openapi.json` names every route that there is, and no other; and no server speaks HTML.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{Remote, check_openapi, context, remote};
use expect_test::expect_file;
use pirn_http::server;
use protocol::Wallet;
use serde_json::Value;
use store::MemoryStore;
use unit::fakes::{FakeClock, FakeCompute, FakeScheduler};
use weave::EmbeddedWeave;

const DOCUMENT: &str = include_str!("../src/openapi.json");

/// The sources that declare the routes of a part. All parts have those of `common.rs`.
const SOURCES: [(&str, &str); 6] = [
    ("gateway", include_str!("../src/server/weave/mod.rs")),
    ("gateway", include_str!("../src/server/graphql.rs")),
    ("bundler", include_str!("../src/server/bundler.rs")),
    ("mu", include_str!("../src/server/mu.rs")),
    ("su", include_str!("../src/server/su.rs")),
    ("cu", include_str!("../src/server/cu.rs")),
];
const COMMON: &str = concat!(
    include_str!("../src/server/common.rs"),
    include_str!("../src/server/api/mod.rs"),
    include_str!("../src/server/api/hooks.rs"),
    include_str!("../src/server/api/desk.rs"),
    include_str!("../src/server/api/dev.rs")
);

/// A path whose parameters have no names: the router and the document may call them otherwise.
fn nameless(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// `METHOD path` of each `.route(path, methods)` in a source.
fn declared(source: &str) -> Vec<(String, String)> {
    let mut routes = Vec::new();
    for call in source.split(".route(").skip(1) {
        let mut depth = 1;
        let end = call.find(|c: char| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let call = &call[..end.expect("what is opened is closed")];
        let path = call.split('"').nth(1).expect("a route has a path in quotes");
        for method in ["get", "post", "delete", "put", "patch"] {
            let named = |start: char| call.contains(&format!("{start}{method}("));
            if named(' ') || named('.') {
                routes.push((method.to_owned(), nameless(path)));
            }
        }
    }
    routes
}

#[test]
fn the_document_names_every_route_and_no_other() {
    let mut there = BTreeSet::new();
    for (part, source) in SOURCES {
        let own = declared(source);
        assert!(!own.is_empty(), "{part} declares routes");
        // `/info` is common to units; gateway and bundler have their own.
        for (method, path) in own.into_iter().chain(declared(COMMON)) {
            there.insert(format!("{method} /{part}{path}"));
        }
    }
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let mut named = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|name| *name != "parameters") {
            named.insert(format!("{method} {}", nameless(path)));
        }
    }
    let missing: Vec<_> = there.difference(&named).collect();
    let invented: Vec<_> = named.difference(&there).collect();
    assert!(missing.is_empty() && invented.is_empty(), "not named: {missing:#?}\nnot there: {invented:#?}");
}

#[test]
fn what_the_document_points_to_is_in_it() {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let pointers = DOCUMENT.split("\"$ref\": \"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    let mut n = 0;
    for pointer in pointers {
        assert!(document.pointer(pointer).is_some(), "there is no {pointer}");
        n += 1;
    }
    assert!(n > 50, "{n}");
}

/// What clients of `/api/v1` rely on, line by line: routes, what may and must be said, what is answered. The same on
/// every port, so of one part each is enough.
fn promised(document: &Value) -> BTreeSet<String> {
    let resolve = |schema: &Value| -> Value {
        let pointer = schema["$ref"].as_str().and_then(|pointer| pointer.strip_prefix('#'));
        pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema).clone()
    };
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut lines = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some((_, route)) = path.split_once("/api/v1/") else { continue };
        for (method, said) in methods.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            let route = format!("{method} {}", nameless(route));
            lines.insert(route.clone());
            for parameter in said["parameters"].as_array().into_iter().flatten().map(&resolve) {
                let (name, place) = (&parameter["name"], &parameter["in"]);
                let (name, place) = (name.as_str().unwrap(), place.as_str().unwrap());
                if place != "path" {
                    let must = if parameter["required"] == true { "must" } else { "may" };
                    lines.insert(format!("{route} {must} {place} {name}"));
                }
            }
            let body = resolve(&said["requestBody"]["content"]["application/json"]["schema"]);
            lines.extend(texts(&body["required"]).iter().map(|name| format!("{route} must body {name}")));
            for (status, answer) in said["responses"].as_object().unwrap() {
                if status.starts_with('2') {
                    lines.insert(format!("{route} answers {status}"));
                    let schema = resolve(&resolve(answer)["content"]["application/json"]["schema"]);
                    let named = texts(&schema["required"]);
                    lines.extend(named.iter().map(|name| format!("{route} answers {status} {name}")));
                }
            }
        }
    }
    lines
}

#[test]
fn nothing_of_v1_that_clients_rely_on_goes_away() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/v1.txt");
    let now = promised(&serde_json::from_str(DOCUMENT).unwrap());
    let text = std::fs::read_to_string(&file).unwrap();
    let frozen: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let is_known = |line: &str| frozen.contains(&line.split(' ').take(2).collect::<Vec<_>>().join(" "));
    let gone: Vec<_> = frozen.difference(&now).collect();
    // Who was not asked for it yesterday does not say it today.
    let asked: Vec<_> =
        now.difference(&frozen).filter(|line| line.contains(" must ") && is_known(line)).collect();
    assert!(
        gone.is_empty() && asked.is_empty(),
        "this breaks clients. gone: {gone:#?}, asked for: {asked:#?}"
    );
    // What is new is promised from now on.
    expect_file!["v1.txt"].assert_eq(&now.iter().map(|line| format!("{line}\n")).collect::<String>());
}

/// Every part of a node, by name.
async fn parts() -> Vec<(&'static str, Remote)> {
    let clock = FakeClock::advancing(1_700_000_000_000, 1);
    let ports = weave::Ports {
        store: Arc::new(MemoryStore::new()),
        clock: clock.clone(),
        events: unit::Events::silent(),
    };
    let options = weave::Options { mining: weave::Mining::Manual, ..weave::Options::default() };
    let weave = EmbeddedWeave::open(ports, options).await.unwrap();
    let gateway = server::weave::Options { control: true, ..Default::default() };
    let scheduler = FakeScheduler::new(Wallet::ed25519_from_seed([9; 32]), clock);
    let compute = FakeCompute::new(|_, id| Err(unit::Error::not_found(format!("{id} is nowhere"))));
    vec![
        ("gateway", remote(server::weave::router(weave.clone(), gateway, context())).await),
        ("bundler", remote(server::bundler::router(weave, Default::default(), context())).await),
        ("su", remote(server::su::router(scheduler, context())).await),
        ("cu", remote(server::cu::router(compute, context())).await),
    ]
}

#[tokio::test]
async fn the_document_is_served_as_it_is_checked_in_and_its_routes_answer() {
    for (part, remote) in parts().await {
        let served = reqwest::get(format!("{}/openapi.json", remote.url)).await.unwrap();
        assert_eq!(served.text().await.unwrap(), DOCUMENT);
        check_openapi(&remote, part).await;
    }
}

#[tokio::test]
async fn no_refusal_is_html() {
    for (part, remote) in parts().await {
        let body = |n: usize| vec![b'x'; n];
        let requests = [
            ("GET", "/a/b/c/d", "", body(0)),
            ("GET", "/%ff", "", body(0)),
            ("GET", "/tx/nothing", "", body(0)),
            ("PATCH", "/", "", body(0)),
            ("POST", "/", "text/html", body(10)),
            ("POST", "/tx", "application/octet-stream", body((20 << 20) + 1)),
            ("POST", "/", "application/octet-stream", body((10 << 20) + 1)),
            ("POST", "/graphql", "text/html", body(10)),
            ("POST", "/dry-run", "text/html", body(10)),
        ];
        for (method, path, kind, body) in requests {
            let request =
                reqwest::Client::new().request(method.parse().unwrap(), format!("{}{path}", remote.url));
            let answer =
                request.header("content-type", kind).header("accept", "text/html").body(body).send().await;
            let answer = answer.unwrap();
            assert!(answer.status().as_u16() >= 400, "{part} {method} {path} {}", answer.status());
            let said = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
            let text = answer.text().await.unwrap();
            let said = said.unwrap_or_default();
            assert!(
                !said.contains("html") && !text.contains("<html"),
                "{part} {method} {path}: {said} {text}"
            );
            assert!(!text.is_empty(), "{part} {method} {path} says why");
            if said == "application/json" {
                assert!(serde_json::from_str::<Value>(&text).unwrap().is_object(), "{text}");
            }
        }
    }
}
