//! Connections that do nothing, or do it too slowly, have a bound.

mod common;

use std::net::SocketAddr;

use common::{Remote, context, remote_with};
use pirn_http::server::{self, Context, Options};
use protocol::Wallet;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use unit::fakes::{FakeClock, FakeScheduler};

/// A scheduler whose bounds are `change` made of the defaults.
async fn world(change: impl FnOnce(&mut Options)) -> Remote {
    let mut options = Options::default();
    change(&mut options);
    let clock = FakeClock::advancing(1_700_000_000_000, 1);
    let scheduler = FakeScheduler::new(Wallet::ed25519_from_seed([9; 32]), clock);
    let context = Context { options, ..context() };
    remote_with(server::su::router(scheduler, context.clone()), &context).await
}

fn address(remote: &Remote) -> SocketAddr {
    remote.url.strip_prefix("http://").unwrap().parse().unwrap()
}

async fn connect(remote: &Remote) -> TcpStream {
    TcpStream::connect(address(remote)).await.unwrap()
}

/// All that the server says until it closes the connection. However it closes it: what was sent and not read makes the
/// operating system say that it was cut.
async fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut some = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut some).await {
        all.extend_from_slice(&some[..n]);
    }
    String::from_utf8(all).unwrap()
}

/// The next answer, whose body is one line of JSON or text without an end.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut all = String::new();
    let mut some = [0; 4096];
    while !(all.contains("\r\n\r\n") && all.ends_with("ok")) {
        let n = stream.read(&mut some).await.unwrap();
        assert_ne!(n, 0, "closed after {all:?}");
        all.push_str(std::str::from_utf8(&some[..n]).unwrap());
    }
    all
}

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: pirn\r\n\r\n";

#[tokio::test]
async fn a_head_that_never_ends_is_cut() {
    let remote = world(|options| options.header_ms = 50).await;
    let mut slow = connect(&remote).await;
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: pi").await.unwrap();
    assert_eq!(rest(&mut slow).await, "");
    // A byte now and then does not help.
    let mut drip = connect(&remote).await;
    drip.write_all(b"GET /healthz HTTP/1.1\r\nx: ").await.unwrap();
    while drip.write_all(b"y").await.is_ok() {
        tokio::task::yield_now().await;
    }
    let fresh = ask(&mut connect(&remote).await, HEALTH).await;
    assert!(fresh.starts_with("HTTP/1.1 200"), "{fresh}");
}

#[tokio::test]
async fn a_connection_on_which_nobody_asks_is_closed() {
    let remote = world(|options| options.idle_ms = 50).await;
    let mut silent = connect(&remote).await;
    assert_eq!(rest(&mut silent).await, "", "not even the first request came");
    let mut used = connect(&remote).await;
    for _ in 0..3 {
        ask(&mut used, HEALTH).await;
    }
    assert_eq!(rest(&mut used).await, "", "it is kept for some time only");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408() {
    for name in ["body_pause_ms", "body_ms"] {
        let remote = world(|options| match name {
            "body_ms" => options.body_ms = 50,
            _ => options.body_pause_ms = 50,
        })
        .await;
        let mut slow = connect(&remote).await;
        slow.write_all(b"POST / HTTP/1.1\r\nHost: pirn\r\nContent-Length: 100\r\n\r\nabc").await.unwrap();
        let said = rest(&mut slow).await;
        assert!(said.starts_with("HTTP/1.1 408"), "{said}");
        assert!(said.contains("within 50 ms (hint: ") && said.contains(&format!("http.{name}")), "{said}");
        assert!(said.contains("pirn-error: P0002"), "{said}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_cut() {
    let remote = world(|options| options.write_pause_ms = 50).await;
    let socket = TcpSocket::new_v4().unwrap();
    // Small, so that not everything fits on the way.
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(address(&remote)).await.unwrap();
    let request = "GET /openapi.json HTTP/1.1\r\nHost: pirn\r\n\r\n";
    // It asks on and reads nothing, until it is cut off.
    while deaf.write_all(request.as_bytes()).await.is_ok() {}
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_a_closed_one_makes_room() {
    let remote = world(|options| options.connections_max = 2).await;
    let (mut one, mut two) = (connect(&remote).await, connect(&remote).await);
    ask(&mut one, HEALTH).await;
    ask(&mut two, HEALTH).await;
    let mut three = connect(&remote).await;
    let said = rest(&mut three).await;
    assert!(said.starts_with("HTTP/1.1 429"), "{said}");
    assert!(said.contains("pirn-error: P0007") && said.contains("retry-after: 1"), "{said}");
    assert!(
        said.contains("too many connections: 2 are open") && said.contains("http.connections_max"),
        "{said}"
    );
    ask(&mut one, HEALTH).await;
    drop(two);
    // The server sees that in its own time.
    loop {
        let mut again = connect(&remote).await;
        let _ = again.write_all(b"GET /healthz HTTP/1.1\r\nHost: pirn\r\nConnection: close\r\n\r\n").await;
        if rest(&mut again).await.starts_with("HTTP/1.1 200") {
            break;
        }
    }
}

#[tokio::test]
async fn a_server_that_stops_finishes_what_it_answers_and_closes_the_rest() {
    let remote = world(|_| {}).await;
    let mut idle = connect(&remote).await;
    ask(&mut idle, HEALTH).await;
    let url = remote.url.clone();
    remote.serving.stop(std::time::Duration::from_secs(60)).await;
    assert_eq!(rest(&mut idle).await, "");
    assert!(TcpStream::connect(url.strip_prefix("http://").unwrap()).await.is_err());
}
