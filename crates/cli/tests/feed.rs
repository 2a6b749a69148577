//! `pirn feed`: what a source says is said in a process, once, whatever fails in between.

mod person;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use person::Person;

/// A source on this computer that answers every request with what it is told to.
struct Source {
    url: String,
    answer: Arc<Mutex<(u16, String)>>,
}

impl Source {
    fn new() -> Source {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/price", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new((200, String::new())));
        let told = answer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (status, body) = told.lock().unwrap().clone();
                let _ = respond(stream, status, &body);
            }
        });
        Source { url, answer }
    }

    fn says(&self, body: &str) {
        *self.answer.lock().unwrap() = (200, body.to_owned());
    }

    fn fails(&self, status: u16) {
        *self.answer.lock().unwrap() = (status, "no".to_owned());
    }
}

fn respond(mut stream: TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

const HEARS: &str = r#"Heard = {} Handlers.add("hear", "Feed", function(msg)
    table.insert(Heard, msg["Feed-Name"] .. "=" .. msg["Feed-Value"])
    assert(not Last or tonumber(msg["Feed-Sequence"]) > Last) Last = tonumber(msg["Feed-Sequence"])
    From = msg.From end)"#;

#[test]
fn what_a_source_says_is_said_once() {
    let person = Person::new();
    person.network("test");
    person.text(&["clock", "freeze"]);
    let process = person.text(&["spawn"]);
    person.text(&["eval", &process, HEARS]);
    let source = Source::new();
    let heard = || person.text(&["eval", &process, "return table.concat(Heard, ' ')"]);
    let feed = |more: &[&str]| {
        let own =
            ["feed", "price", "--url", &source.url, "--pick", "/data/0/usd", "--process", &process, "--once"];
        [&own[..], &["--scale", "2", "--wallet", "ben"], more].concat().join("\n")
    };
    let arguments = |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
    let run = |more: &[&str]| {
        let all = arguments(&feed(more));
        person.run(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let text = |output: &std::process::Output| {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };

    source.says(r#"{"data": [{"usd": 12.345}]}"#);
    let output = run(&[]);
    assert!(output.status.success() && text(&output).contains("price = 1234 in"), "{output:?}");
    // Unchanged: nothing is sent before the heartbeat.
    let output = run(&["--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["value"], answer.get("message")), (&"1234".into(), None));
    assert_eq!(heard(), "price=1234");
    source.says(r#"{"data": [{"usd": "13"}]}"#);
    assert!(run(&[]).status.success());
    person.text(&["clock", "+11m"]);
    assert!(run(&[]).status.success());
    assert_eq!(heard(), "price=1234 price=1300 price=1300");

    // What the source says wrongly is not said.
    for (wrong, why) in
        [("{}", "no \"data\""), (r#"{"data": [{"usd": -1}]}"#, "no number"), ("<html>", "no \"data\"")]
    {
        source.says(wrong);
        let output = run(&[]);
        assert!(output.status.code() == Some(1) && text(&output).contains(why), "{output:?}");
    }
    for status in [500, 302] {
        source.fails(status);
        assert_eq!(run(&[]).status.code(), Some(1));
    }
    assert_eq!(heard(), "price=1234 price=1300 price=1300");

    // It is signed, and the messenger cannot be reached. Later the same bytes are sent, whatever the source says then.
    source.says(r#"{"data": [{"usd": 14}]}"#);
    let output = run(&["--mu", "http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    source.fails(503);
    let output = run(&[]);
    assert!(output.status.code() == Some(1) && text(&output).contains("price = 1400 in"), "{output:?}");
    assert_eq!(heard(), "price=1234 price=1300 price=1300 price=1400");
    // As if it had been killed after it sent and before it knew: it is there once.
    let folder = person.folder().join(".pirn/feeds");
    let path = folder.join(format!("price-{process}.json"));
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    source.says(r#"{"data": [{"usd": 15}]}"#);
    assert_eq!(run(&["--mu", "http://127.0.0.1:1"]).status.code(), Some(1));
    let pending = std::fs::read(&path).unwrap();
    assert!(run(&[]).status.success());
    std::fs::write(&path, &pending).unwrap();
    assert!(run(&[]).status.success());
    assert_eq!(heard(), "price=1234 price=1300 price=1300 price=1400 price=1500");
    assert_eq!(kept["said"]["value"], "1400");

    // A file that is lost makes no number smaller: it is said again, and believed.
    std::fs::remove_file(&path).unwrap();
    person.text(&["clock", "+1m"]);
    assert!(run(&[]).status.success());
    assert_eq!(heard(), "price=1234 price=1300 price=1300 price=1400 price=1500 price=1500");
}

#[test]
fn a_feed_may_stand_in_the_project() {
    let person = Person::new();
    person.network("test");
    let process = person.text(&["spawn"]);
    person.text(&["eval", &process, HEARS]);
    let source = Source::new();
    source.says(r#"{"winner": "yes"}"#);
    let feeds = format!("[feeds.match]\nurl = {:?}\npick = \"/winner\"\nevery = \"10s\"\n", source.url);
    person.write("pirn.toml", &feeds);
    let refused = person.refused(&["feed", "match", "--once"], 2);
    assert!(refused.contains("--process"), "{refused}");
    person.write("pirn.toml", &format!("{feeds}process = {process:?}\nwallet = \"cleo\"\n"));
    let answer = person.answer(&["feed", "match", "--once"]);
    assert_eq!((&answer["name"], &answer["value"]), (&"match".into(), &"yes".into()));
    assert_eq!(person.text(&["eval", &process, "return Heard[1]"]), "match=yes");
    let cleo = person.answer(&["accounts"])[2]["address"].as_str().unwrap().to_owned();
    assert_eq!(person.text(&["eval", &process, "return From"]), cleo);
    // Nothing of it is a node's.
    person.text(&["config", "check"]);

    for (arguments, why) in [
        (&["feed", "match", "--url", "http://example.com/x", "--once"][..], "--allow-http"),
        (&["feed", "match", "--pick", "winner", "--once"], "JSON pointer"),
        (&["feed", "match", "--every", "soon", "--once"], "span of time"),
        (&["feed", "other", "--once"], "--url"),
    ] {
        let refused = person.refused(arguments, 2);
        assert!(refused.contains(why), "{refused}");
    }
}
