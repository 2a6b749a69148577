//! The controls of a development network are for programs and pages of this computer.

use pirn_node::{Config, Node, Ports};
use reqwest::{Client, Method, Response};
use serde_json::Value;

struct World {
    node: Node,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start(change: impl FnOnce(&mut Config)) -> World {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { ports: Ports::from_base(0).unwrap(), ..Config::development() };
        config.state = Some(folder.path().to_owned());
        change(&mut config);
        World { node: Node::start(config).await.unwrap(), _folder: folder }
    }

    /// `METHOD path` at a part, with these headers and no others than a plain client's.
    async fn ask(&self, part: &str, request: &str, headers: &[(&str, &str)]) -> Response {
        let (method, path) = request.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let mut request = Client::new().request(method, format!("{}{path}", self.node.network().urls[part]));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// The status, and what the answer allows browsers.
    async fn said(&self, part: &str, request: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let answer = self.ask(part, request, headers).await;
        let allowed = answer.headers().get("access-control-allow-origin");
        (answer.status().as_u16(), allowed.map_or("nobody", |value| value.to_str().unwrap()).to_owned())
    }
}

const EVIL: (&str, &str) = ("origin", "https://evil.example");
const PREFLIGHT: (&str, &str) = ("access-control-request-method", "POST");

#[tokio::test(flavor = "multi_thread")]
async fn pages_from_elsewhere_control_nothing() {
    let world = World::start(|_| {}).await;
    let nobody = |status: u16| (status, "nobody".to_owned());
    for part in ["mu", "su", "cu", "gateway", "bundler"] {
        // Programs.
        assert_eq!(world.said(part, "POST /api/v1/dev/clock/resume", &[]).await, nobody(200), "{part}");
        assert_eq!(world.said(part, "GET /api/v1/dev/clock", &[]).await, nobody(200), "{part}");
        // Pages of this computer, which may read the answers.
        let own = ("origin", "http://localhost:5173");
        let may = (200, own.1.to_owned());
        assert_eq!(world.said(part, "POST /api/v1/dev/clock/resume", &[own]).await, may, "{part}");
        assert_eq!(world.said(part, "OPTIONS /api/v1/dev/clock/resume", &[own, PREFLIGHT]).await, may);
        // Pages from elsewhere, with a form, with fetch, or asking first.
        for request in
            ["POST /api/v1/dev/reset", "GET /api/v1/dev/accounts", "DELETE /api/v1/dev/snapshots/one"]
        {
            assert_eq!(world.said(part, request, &[EVIL]).await, nobody(403), "{part} {request}");
            assert_eq!(world.said(part, request, &[("origin", "null")]).await, nobody(403));
            let image = ("sec-fetch-site", "cross-site");
            assert_eq!(world.said(part, request, &[image]).await, nobody(403), "{part} {request}");
            // Under a name that somebody lets lead here.
            let rebound = ("host", "evil.example:4002");
            assert_eq!(world.said(part, request, &[rebound]).await, nobody(403), "{part} {request}");
        }
        let asks = [EVIL, PREFLIGHT];
        assert_eq!(world.said(part, "OPTIONS /api/v1/dev/reset", &asks).await, nobody(403), "{part}");
    }
    for request in ["GET /mine", "POST /mine/3", "GET /mint/x/1", "GET /reset"] {
        assert_eq!(world.said("gateway", request, &[EVIL]).await, nobody(403), "{request}");
        assert_eq!(world.said("gateway", request, &[("sec-fetch-site", "cross-site")]).await, nobody(403));
    }
    assert_eq!(world.said("gateway", "GET /mine", &[]).await, nobody(200));
    // What everybody may read, everybody may.
    assert_eq!(world.said("mu", "GET /info", &[EVIL]).await, (200, "*".to_owned()));
    assert_eq!(
        world.said("gateway", "GET /info", &[EVIL, ("host", "a.example")]).await,
        (200, "*".to_owned())
    );

    let refused = world.ask("mu", "POST /api/v1/dev/reset", &[EVIL]).await;
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    assert_eq!(refused.headers()["vary"], "Origin, Sec-Fetch-Site");
    let problem: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert_eq!(problem["code"], "P0043");
    assert_eq!(
        problem["detail"],
        "the controls of this network are not for web pages from \"https://evil.example\""
    );
    let hint = problem["hint"].as_str().unwrap();
    assert!(hint.contains("dev.origins = [\"https://evil.example\"]"), "{hint}");
    let refused = world.ask("mu", "GET /api/v1/dev/clock", &[("host", "evil.example:4002")]).await;
    let problem: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert!(problem["hint"].as_str().unwrap().contains("dev.hosts = [\"evil.example\"]"), "{problem}");
    world.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_listed_may() {
    let world = World::start(|config| {
        config.dev.origins = vec!["https://app.example".to_owned()];
        config.dev.hosts = vec!["devbox.local".to_owned()];
    })
    .await;
    let app = ("origin", "https://app.example");
    let site = ("sec-fetch-site", "cross-site");
    let may = (200, app.1.to_owned());
    assert_eq!(world.said("mu", "GET /api/v1/dev/clock", &[app, site]).await, may);
    assert_eq!(world.said("mu", "OPTIONS /api/v1/dev/clock/freeze", &[app, PREFLIGHT]).await, may);
    assert_eq!(world.said("mu", "GET /api/v1/dev/clock", &[EVIL]).await.0, 403);
    assert_eq!(world.said("mu", "GET /api/v1/dev/clock", &[("host", "devbox.local:4002")]).await.0, 200);
    world.node.stop().await;

    let mut config = Config { ports: Ports::from_base(0).unwrap(), ..Config::development() };
    config.dev.origins = vec!["app.example".to_owned()];
    let folder = tempfile::tempdir().unwrap();
    config.state = Some(folder.path().to_owned());
    let refused = Node::start(config).await.err().unwrap();
    assert!(refused.to_string().contains("controls"), "{refused}");
}
