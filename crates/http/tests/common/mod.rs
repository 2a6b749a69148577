//! Units behind a loopback socket.
#![allow(dead_code, reason = "each test file uses its own part")]

use axum::Router;
use pirn_http::client::{Options, Transport};
use pirn_http::server::{Context, Serving, serve};
use tokio::net::TcpListener;
use unit::fakes::FakeClock;

/// A server on a free port, and its base URL.
pub struct Remote {
    pub url: String,
    pub serving: Serving,
}

pub async fn remote(router: Router) -> Remote {
    remote_with(router, &context()).await
}

/// The same with other bounds.
pub async fn remote_with(router: Router, context: &Context) -> Remote {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    Remote { url, serving: serve(listener, router, context) }
}

/// A server that runs as long as the test; its base URL.
pub async fn running(router: Router) -> String {
    let Remote { url, serving } = remote(router).await;
    // Dropped, it would stop.
    std::mem::forget(serving);
    url
}

pub fn context() -> Context {
    Context::new(FakeClock::at(1_700_000_000_000))
}

pub fn transport() -> Transport {
    Transport::new(Options::default()).unwrap()
}

/// Status and body of a request, written as `METHOD path` with or without a body.
pub async fn ask(
    remote: &Remote,
    request: &str,
    kind: &str,
    body: impl Into<reqwest::Body>,
) -> (u16, String) {
    let (method, path) = request.split_once(' ').unwrap();
    let method = method.parse().unwrap();
    let client = reqwest::Client::new();
    let mut request = client.request(method, format!("{}{path}", remote.url)).body(body);
    if !kind.is_empty() {
        request = request.header("content-type", kind);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Asks for everything that the unit's part of `openapi.json` names, and wants each route to be there.
pub async fn check_openapi(remote: &Remote, unit: &str) {
    let (status, text) = ask(remote, "GET /openapi.json", "", "").await;
    assert_eq!(status, 200);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix(&format!("/{unit}")) else { continue };
        let named =
            |part: &str| part.starts_with('{').then_some("9epRWwTFujbn9uIvJvmGfiltbzdsz_Vta_9vWiudyQI");
        let path: Vec<_> = path.split('/').map(|part| named(part).unwrap_or(part)).collect();
        for method in methods.as_object().unwrap().keys().filter(|name| *name != "parameters") {
            let request = format!("{} {}", method.to_uppercase(), path.join("/"));
            let (status, said) = ask(remote, &request, "", "").await;
            let unrouted = format!("there is no {} /", method.to_uppercase());
            assert!(status != 405 && !said.contains(&unrouted), "{request}: {said}");
            asked += 1;
        }
    }
    assert!(asked > 5, "{unit} has {asked} routes");
}
