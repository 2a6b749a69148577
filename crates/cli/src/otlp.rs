//! Trees of messages as OpenTelemetry has them: each message is a span, under the one whose outcome sent it, and each
//! process a service.
//!
//! Written as OTLP/JSON, to a file or to a collector. Ids are made of the messages' own, so that the same tree is the
//! same trace: a span's is the first 8 bytes of its message's id, a trace's the first 16 of the id at its root.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use bytes::Bytes;
use pirn_http::client::{Options, Transport};
use protocol::{Id, ProcessId, Slot, Timestamp};
use serde_json::{Value, json};
use unit::Code;

use crate::error::{Context as _, Failure, Result};

/// Where a collector takes traces, if its URL does not say.
const TRACES: &str = "/v1/traces";

/// `SPAN_KIND_CONSUMER`: somebody else sent what is handled here.
const CONSUMER: u32 = 5;

/// `SPAN_KIND_INTERNAL`.
const INTERNAL: u32 = 1;

/// `STATUS_CODE_ERROR`.
const ERROR: u32 = 2;

/// Spans in one request to a collector: about a megabyte.
const SPANS_AT_ONCE: usize = 2000;

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A file of JSON.
    File(PathBuf),
    /// A collector, which is sent the same.
    Url(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Target::File(text.into())) };
        if !matches!(scheme, "http" | "https") || rest.is_empty() {
            return Err("expected a file, or a URL that begins with http:// or https://".to_owned());
        }
        let base = text.trim_end_matches('/');
        let has_path = rest.trim_end_matches('/').contains('/');
        Ok(Target::Url(if has_path { base.to_owned() } else { format!("{base}{TRACES}") }))
    }
}

/// One message and what came of it.
#[derive(Debug, Clone, Default)]
pub struct Span {
    /// The trace that it belongs to.
    pub trace: [u8; 16],
    /// Its own id.
    pub id: [u8; 8],
    /// The span that it follows from.
    pub parent: Option<[u8; 8]>,
    /// What it is, in a word or two: its action.
    pub name: String,
    /// Whose work it is: the process, as people call it.
    pub service: String,
    /// A message for somebody; otherwise what only holds spans together.
    pub message: Option<Id>,
    /// The process that evaluated it.
    pub process: Option<ProcessId>,
    /// Its place in that schedule.
    pub slot: Option<Slot>,
    /// What that cost.
    pub gas: Option<u64>,
    /// Its `Action`.
    pub action: Option<String>,
    /// Whatever else there is to say.
    pub more: Vec<(&'static str, String)>,
    /// Why it failed.
    pub error: Option<String>,
    /// When it was sent.
    pub start: Timestamp,
    /// When it was evaluated.
    pub end: Timestamp,
}

/// The trace that has this message at its root.
pub fn trace_of(root: Id) -> [u8; 16] {
    *root.0.first_chunk().expect("an id has 32 bytes")
}

/// The span of this message.
pub fn span_of(message: Id) -> [u8; 8] {
    *message.0.first_chunk().expect("an id has 32 bytes")
}

/// Writes spans, or sends them. `scope` is the command.
pub async fn export(target: &Target, scope: &str, spans: &[Span]) -> Result {
    let url = match target {
        Target::File(path) => {
            let text = json(scope, spans).to_string();
            return std::fs::write(path, text)
                .context(Code::FILE, format!("could not write {}", path.display()));
        }
        Target::Url(url) => url,
    };
    let transport = Transport::new(Options::default())?;
    for spans in spans.chunks(SPANS_AT_ONCE) {
        let body = Bytes::from(json(scope, spans).to_string());
        transport.post(url, "application/json", body).await.map_err(|error| {
            Failure::from(error)
                .hint(format!("{url} has to be where a collector takes OTLP over HTTP, as JSON"))
        })?;
    }
    Ok(())
}

/// Spans as OTLP/JSON: a resource for each service, in the order in which they come.
fn json(scope: &str, spans: &[Span]) -> Value {
    let mut services: Vec<&str> = Vec::new();
    let mut by_service: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for span in spans {
        let known = by_service.entry(&span.service).or_default();
        if known.is_empty() {
            services.push(&span.service);
        }
        known.push(span.json());
    }
    let resource = |service: &str| {
        json!({
            "resource": { "attributes": [attribute("service.name", text(service))] },
            "scopeSpans": [{
                "scope": { "name": scope, "version": env!("CARGO_PKG_VERSION") },
                "spans": by_service[service],
            }],
        })
    };
    json!({ "resourceSpans": services.iter().map(|service| resource(service)).collect::<Vec<_>>() })
}

impl Span {
    fn json(&self) -> Value {
        let mut attributes: Vec<Value> = Vec::new();
        let mut tell =
            |key: &str, value: Option<Value>| attributes.extend(value.map(|it| attribute(key, it)));
        tell("ao.message", self.message.map(|id| text(&id.to_string())));
        tell("ao.process", self.process.map(|id| text(&id.to_string())));
        tell("ao.slot", self.slot.map(|slot| number(slot.0)));
        tell("ao.gas", self.gas.map(number));
        tell("ao.action", self.action.as_deref().map(text));
        tell("ao.error", self.error.as_deref().map(text));
        self.more.iter().for_each(|(key, value)| tell(key, Some(text(value))));
        let mut span = json!({
            "traceId": hex(&self.trace),
            "spanId": hex(&self.id),
            "name": self.name,
            "kind": if self.message.is_some() || self.process.is_some() { CONSUMER } else { INTERNAL },
            "startTimeUnixNano": nanoseconds(self.start),
            "endTimeUnixNano": nanoseconds(self.end.max(self.start)),
            "attributes": attributes,
        });
        if let Some(parent) = &self.parent {
            span["parentSpanId"] = hex(parent).into();
        }
        if let Some(error) = &self.error {
            span["status"] = json!({ "code": ERROR, "message": error });
        }
        span
    }
}

fn attribute(key: &str, value: Value) -> Value {
    json!({ "key": key, "value": value })
}

fn text(value: &str) -> Value {
    json!({ "stringValue": value })
}

// Numbers of 64 bits are texts in OTLP/JSON.
fn number(value: u64) -> Value {
    json!({ "intValue": value.min(i64::MAX as u64).to_string() })
}

fn nanoseconds(at: Timestamp) -> String {
    at.0.saturating_mul(1_000_000).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

    use super::*;

    #[test]
    fn what_is_written_is_otlp() {
        let id = Id(std::array::from_fn(|at| at as u8));
        let root = Span {
            trace: trace_of(id),
            id: span_of(id),
            name: "Inc".to_owned(),
            service: "counter".to_owned(),
            message: Some(id),
            process: Some(ProcessId(id)),
            slot: Some(Slot(3)),
            gas: Some(u64::MAX),
            start: Timestamp(5),
            end: Timestamp(7),
            ..Span::default()
        };
        let child = Span {
            id: [9; 8],
            parent: Some(root.id),
            service: "other".to_owned(),
            error: Some("no".to_owned()),
            end: Timestamp(1),
            ..root.clone()
        };
        let written = json("pirn test", &[root.clone(), child, root]).to_string();
        let read: ExportTraceServiceRequest = serde_json::from_str(&written).unwrap();
        let [first, second] = &read.resource_spans[..] else { panic!("{read:?}") };
        let spans = &first.scope_spans[0].spans;
        assert_eq!(spans.len(), 2);
        assert_eq!(spans[0].trace_id, (0..16).collect::<Vec<u8>>());
        assert_eq!(spans[0].span_id, (0..8).collect::<Vec<u8>>());
        assert!(spans[0].parent_span_id.is_empty() && spans[0].status.is_none());
        assert_eq!((spans[0].start_time_unix_nano, spans[0].end_time_unix_nano), (5_000_000, 7_000_000));
        assert_eq!(spans[0].attributes.len(), 4);
        let child = &second.scope_spans[0].spans[0];
        assert_eq!(child.parent_span_id, spans[0].span_id);
        assert_eq!(child.status.as_ref().unwrap().code, 2);
        assert_eq!(child.end_time_unix_nano, child.start_time_unix_nano, "nothing ends before it begins");
        // Whatever it does not know it would pass over: written again, it has to be the same.
        let again: Value = serde_json::to_value(&read).unwrap();
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let span = |value: &Value| value["resourceSpans"][1]["scopeSpans"][0]["spans"][0].clone();
        let ours: Value = serde_json::from_str(&written).unwrap();
        for name in names(&span(&ours)) {
            assert!(names(&span(&again)).contains(&name), "{name} is no field of a span");
        }
    }

    #[test]
    fn a_target_is_a_file_or_a_url() {
        let url = |text: &str| Ok::<_, String>(Target::Url(text.to_owned()));
        for (text, target) in [
            ("out.json", Ok(Target::File("out.json".into()))),
            ("http://127.0.0.1:4318", url("http://127.0.0.1:4318/v1/traces")),
            ("http://127.0.0.1:4318/", url("http://127.0.0.1:4318/v1/traces")),
            ("https://otel.example/v1/traces", url("https://otel.example/v1/traces")),
        ] {
            assert_eq!(text.parse::<Target>(), target, "{text}");
        }
        assert!("ftp://a".parse::<Target>().unwrap_err().contains("http://"));
    }
}
