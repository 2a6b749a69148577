//! `--otlp`: what `pirn test` and `pirn trace` write is what a collector of OpenTelemetry reads.

mod person;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use person::Person;

const PINGS: &str =
    "Handlers.add('ping', 'Ping', function(msg) Send({ Target = msg.Next, Action = 'Pong' }) end)
Handlers.add('pong', 'Pong', function() error('no') end)
";

const TEST: &str = "describe('pings', function()
  local a, b
  setup(function()
    a, b = t.spawn({ source = 'pings.lua', name = 'a' }), t.spawn({ source = 'pings.lua', name = 'b' })
  end)
  it('one', function() a:send({ Action = 'Ping', Next = b.id }) end)
  it('two', function() a:send({ Action = 'Ping', Next = b.id }) end)
end)
";

/// The spans of a request, each with its service.
fn spans(json: &str) -> Vec<(String, Span)> {
    let request: ExportTraceServiceRequest = serde_json::from_str(json).unwrap();
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let service = attributes(&resource.resource.unwrap().attributes).remove("service.name").unwrap();
        let own = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(own.map(|span| (service.clone(), span)));
    }
    spans
}

fn attributes(list: &[opentelemetry_proto::tonic::common::v1::KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    list.iter()
        .map(|one| (one.key.clone(), text(one.value.as_ref().unwrap().value.as_ref().unwrap())))
        .collect()
}

/// Span by span: who did what, under what.
fn tree(spans: &[(String, Span)]) -> Vec<String> {
    let by_id: BTreeMap<_, _> =
        spans.iter().map(|(service, span)| (&span.span_id, (service, span))).collect();
    assert_eq!(by_id.len(), spans.len(), "every span has an id of its own");
    let mut lines: Vec<String> = spans
        .iter()
        .map(|(service, span)| {
            let mut line = format!("{service} {}", span.name);
            let mut next = &span.parent_span_id;
            while let Some((service, parent)) = by_id.get(next) {
                assert_eq!(parent.trace_id, span.trace_id);
                line = format!("{service} {} > {line}", parent.name);
                next = &parent.parent_span_id;
            }
            assert!(next.is_empty(), "{line} has a parent that is not there");
            let failed = span.status.as_ref().map(|status| format!(" ({})", status.code));
            line + &failed.unwrap_or_default()
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn the_messages_of_tests_are_spans() {
    let person = Person::new();
    person.write("pings.lua", PINGS);
    person.write("pings_test.lua", TEST);
    person.text(&["test", "--otlp", "spans.json"]);
    let json = std::fs::read_to_string(person.folder().join("spans.json")).unwrap();
    let all = spans(&json);
    let traces: std::collections::BTreeSet<_> = all.iter().map(|(_, span)| span.trace_id.clone()).collect();
    assert_eq!(traces.len(), 2, "the same messages in two tests are two traces");
    for trace in traces {
        let own: Vec<_> = all.iter().filter(|(_, span)| span.trace_id == trace).cloned().collect();
        let name = &own.iter().find(|(service, _)| service == "pirn test").unwrap().1.name;
        let root = format!("pirn test {name}");
        let expected = [root.clone(), format!("{root} > a Ping"), format!("{root} > a Ping > b Pong (2)")];
        assert_eq!(tree(&own), expected);
        let pong = &own.iter().find(|(_, span)| span.name == "Pong").unwrap().1;
        let told = attributes(&pong.attributes);
        assert_eq!(told["ao.action"], "Pong");
        assert_eq!(told["ao.from"], "a");
        assert!(told["ao.error"].ends_with("no") && pong.status.as_ref().unwrap().message.ends_with("no"));
        assert!(told["ao.gas"].parse::<u64>().unwrap() > 1_000_000 && told["ao.slot"] == "2", "{told:?}");
    }
    person.text(&["test", "--otlp", "again.json"]);
    assert_eq!(std::fs::read_to_string(person.folder().join("again.json")).unwrap(), json);
    // What came of the tests is said although nobody takes the spans.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = person.run(&["test", "--otlp", &format!("http://{nobody}")]);
    assert_eq!(output.status.code(), Some(1));
    let (told, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(told.contains("2 passed") && said.contains("could not reach"), "{told}{said}");
}

#[test]
fn a_tree_of_a_network_is_sent_to_a_collector() {
    let person = Person::new();
    person.write("pings.lua", PINGS);
    person.network("own");
    let spawn = || person.answer(&["spawn"])["process"].as_str().unwrap().to_owned();
    let (a, b) = (spawn(), spawn());
    for process in [&a, &b] {
        person.text(&["eval", process, "@pings.lua"]);
    }
    let sent = person.answer(&["send", &a, "--action", "Ping", "--tag", &format!("Next={b}")]);
    let message = sent["message"].as_str().unwrap();
    // What follows is pushed in its own time.
    while !person.text(&["log", &b]).contains("Pong") {}
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", collector.local_addr().unwrap());
    let mut trace = person.command(&["trace", message, "--otlp", &url]).spawn().unwrap();
    let (mut stream, _) = collector.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let head = head.to_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json\r\n"), "{head}");
    let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
    assert!(trace.wait().unwrap().success());
    let all = spans(std::str::from_utf8(&body).unwrap());
    assert_eq!(tree(&all), [format!("{a} Ping"), format!("{a} Ping > {b} Pong (2)")]);
    let ping = &all.iter().find(|(_, span)| span.name == "Ping").unwrap().1;
    // The ids are those of the message.
    let id: protocol::Id = message.parse().unwrap();
    assert_eq!((&ping.trace_id[..], &ping.span_id[..]), (&id.0[..16], &id.0[..8]));
    let told = attributes(&ping.attributes);
    assert_eq!((&*told["ao.message"], &*told["ao.process"], &*told["ao.slot"]), (message, &*a, "2"));
    assert!(told["ao.gas"].parse::<u64>().unwrap() > 1_000_000, "{told:?}");

    // Who does not take it is no success.
    drop((collector, stream, reader));
    let output = person.run(&["trace", message, "--otlp", &url]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("could not reach") && said.contains("where a collector takes OTLP"), "{said}");
}
