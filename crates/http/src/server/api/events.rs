//! `GET /api/v1/events`: what happens in a node, as server-sent events.
//!
//! Every event has an id; a client that comes back with `Last-Event-ID` goes on after it, or is told with an event
//! `missed` that some are no longer there. The stream begins with an event `open` and ends, when the node does, with
//! an event `end`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event as Sent, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream::{self, Stream, StreamExt as _};
use protocol::ProcessId;
use serde_json::json;
use unit::{Error, Event, EventId, EventKind, Events, Heard, Listener};

use crate::server::{Failure, Params};
use crate::wire::event::EventShape;

/// What the route needs.
pub(super) struct Server {
    pub events: Option<Arc<Events>>,
    pub heartbeat_ms: u64,
}

/// Streams what matches, until the client goes or the node ends.
pub(super) async fn events(
    State(server): State<Arc<Server>>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let filter = Filter::read(&params)?;
    let after = match headers.get("last-event-id").and_then(|id| id.to_str().ok()).or(params.get("after")) {
        Some(id) => Some(id.parse::<EventId>()?),
        None => None,
    };
    let none = || Error::not_found("this node tells no events").with_hint("poll /results instead");
    let listener = server.events.as_ref().ok_or_else(none)?.listen(after)?;
    let beat = Duration::from_millis(server.heartbeat_ms);
    let mut response = Sse::new(stream(listener, filter, beat)).into_response();
    // What stands between must pass on each event as it comes.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Which events a client wants.
#[derive(Debug, Default)]
struct Filter {
    process: Option<ProcessId>,
    kinds: Vec<EventKind>,
    action: Option<String>,
}

impl Filter {
    fn read(params: &Params) -> Result<Filter, Error> {
        let kind = |name: &str| {
            let known = EventKind::ALL.into_iter().find(|kind| kind.name() == name);
            known.ok_or_else(|| {
                let shown: String = name.chars().take(64).collect();
                let names = EventKind::ALL.map(EventKind::name).join(", ");
                Error::invalid(format!("there is no kind of event {shown:?}"))
                    .with_hint(format!("the kinds are {names}; several are separated by commas"))
            })
        };
        let kinds = params.get("kind").map(|kinds| kinds.split(',').map(kind).collect());
        Ok(Filter {
            process: params.id("process")?.map(ProcessId::from),
            kinds: kinds.transpose()?.unwrap_or_default(),
            action: params.get("action").map(str::to_owned),
        })
    }

    fn wants(&self, event: &Event) -> bool {
        let action = || match &event.what {
            unit::Happened::Received { action, .. }
            | unit::Happened::Assigned { action, .. }
            | unit::Happened::Evaluated { action, .. } => action.as_deref(),
            _ => None,
        };
        self.process.is_none_or(|process| event.process == Some(process))
            && (self.kinds.is_empty() || self.kinds.contains(&event.what.kind()))
            && self.action.as_deref().is_none_or(|wanted| action() == Some(wanted))
    }
}

/// Where a stream is.
enum Stage {
    Opening,
    Open,
    Over,
}

fn stream(
    listener: Listener,
    filter: Filter,
    beat: Duration,
) -> impl Stream<Item = Result<Sent, Infallible>> {
    let start = (listener, filter, Stage::Opening);
    let pieces = stream::unfold(start, move |(mut listener, filter, stage)| async move {
        match stage {
            Stage::Over => None,
            Stage::Opening => {
                let position = listener.position().to_string();
                let kinds = EventKind::ALL.map(EventKind::name);
                let said =
                    json!({"after": position, "kinds": kinds, "heartbeat_ms": beat.as_millis() as u64});
                let open = named("open", &said).id(position);
                Some((vec![open], (listener, filter, Stage::Open)))
            }
            Stage::Open => {
                let heard = tokio::time::timeout(beat, listener.next()).await;
                let mut stage = Stage::Open;
                let sent = match heard {
                    Ok(Heard::Events(events)) => {
                        let wanted = events.iter().filter(|event| filter.wants(event));
                        wanted.map(|event| of(event)).collect()
                    }
                    Ok(Heard::Missed(missed)) => {
                        let said = json!({
                            "after": missed.after.to_string(),
                            "resumed": missed.resumed.to_string(),
                            "why": "what came after that event is no longer kept: read what you need again, for \
                                    example from /results",
                        });
                        vec![named("missed", &said)]
                    }
                    Ok(Heard::End(why)) => {
                        stage = Stage::Over;
                        vec![named("end", &json!({"why": why}))]
                    }
                    // An id without data moves the place from which a client resumes, and is no event to it.
                    Err(_) => {
                        let position = listener.position().to_string();
                        vec![Sent::default().id(position).comment("still here")]
                    }
                };
                Some((sent, (listener, filter, stage)))
            }
        }
    });
    pieces.flat_map(|sent| stream::iter(sent.into_iter().map(Ok)))
}

fn of(event: &Event) -> Sent {
    let shape = EventShape::of(event);
    let data = serde_json::to_string(&shape).expect("an event is JSON");
    Sent::default().id(shape.id).event(event.what.kind().name()).data(data)
}

fn named(name: &str, said: &serde_json::Value) -> Sent {
    Sent::default().event(name).data(said.to_string())
}
