//! `/api/v1/processes/{id}/messages` and `/subscribe`: what a process sends, in pages and as server-sent events.
//!
//! Each message has the id of its place in the history of the process. A stream that comes back with `Last-Event-ID`
//! goes on right after it, whatever has happened meanwhile: it is read from the record.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event as Sent, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::stream::{self, Stream, StreamExt as _};
use protocol::{Id, ProcessId};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;
use unit::{Error, Filter, Followed, Follower, Place, Start, Subscriptions};

use crate::server::{Failure, Params, json};

/// Messages of a page if the client does not say.
const PAGE: usize = 100;

/// What the routes need.
pub(super) struct Server {
    pub subscriptions: Option<Arc<dyn Subscriptions>>,
    pub heartbeat_ms: u64,
    pub stream_ms: u64,
    pub page_max: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outbox<'a> {
    messages: Vec<&'a RawValue>,
    /// What to give as `from` to go on.
    next: String,
    has_next: bool,
}

/// What needs a compute unit that keeps histories.
pub(super) fn none() -> Error {
    Error::not_found("this node has no compute unit that knows what a process sent")
        .with_hint("ask a node with the roles su and cu, or one whose remote.cu is a Pirn")
}

pub(super) fn process_of(text: &str) -> Result<ProcessId, Error> {
    let id =
        text.parse::<Id>().map_err(|error| Error::invalid(format!("{text:?} is no process: {error}")))?;
    Ok(id.into())
}

/// A page of what a process sent.
pub(super) async fn messages(
    State(server): State<Arc<Server>>,
    Path(process): Path<String>,
    params: Params,
) -> Result<Response, Failure> {
    let subscriptions = server.subscriptions.as_ref().ok_or_else(none)?;
    let process = process_of(&process)?;
    let from = params.get("from").unwrap_or("start").parse()?;
    let limit = params.limit(PAGE, server.page_max)?;
    let (page, next) = subscriptions.outgoing(process, from, filter(&params)?, limit).await?;
    let raw = |said: &'_ Arc<unit::Said>| RawValue::from_string(said.json.clone());
    let messages: Result<Vec<_>, _> = page.items.iter().map(raw).collect();
    let messages = messages.map_err(|error| Error::internal(&error))?;
    let messages = messages.iter().map(AsRef::as_ref).collect();
    Ok(json(StatusCode::OK, &Outbox { messages, next: written(next), has_next: page.has_next }))
}

/// A place as a start: everything from it on.
fn written(next: Place) -> String {
    match next.index.checked_sub(1) {
        Some(last) => Place { index: last, ..next }.to_string(),
        None => next.leaf.to_string(),
    }
}

fn filter(params: &Params) -> Result<Filter, Error> {
    let mut filter = Filter::default();
    let listed = |name| params.all(name).flat_map(|values| values.split(',')).map(str::to_owned);
    filter.actions = listed("action").collect();
    filter.recipients = listed("recipient").collect();
    for tag in params.all("tag") {
        let (name, value) = match tag.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (tag, None),
        };
        let values = filter.tags.entry(name.to_owned()).or_default();
        values.extend(value.map(str::to_owned));
    }
    filter.check()?;
    Ok(filter)
}

/// Streams what a process sends, until the client goes, its time or budget is over, or the node ends.
pub(super) async fn subscribe(
    State(server): State<Arc<Server>>,
    Path(process): Path<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let subscriptions = server.subscriptions.as_ref().ok_or_else(none)?;
    let process = process_of(&process)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    let from: Start = last.or(params.get("after")).or(params.get("from")).unwrap_or("now").parse()?;
    let lasts = params.number("expires_ms")?.unwrap_or(server.stream_ms).min(server.stream_ms);
    let budget = params.number("budget")?;
    let follower = subscriptions.follow(process, from, filter(&params)?).await?;
    let reading = Reading {
        follower,
        beat: Duration::from_millis(server.heartbeat_ms),
        until: Instant::now() + Duration::from_millis(lasts),
        budget,
        stage: Stage::Opening,
        process,
    };
    let mut response = Sse::new(reading.stream()).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One stream.
struct Reading {
    follower: Box<dyn Follower>,
    beat: Duration,
    until: Instant,
    /// Messages that are left.
    budget: Option<u64>,
    stage: Stage,
    process: ProcessId,
}

enum Stage {
    Opening,
    Open,
    Over,
}

impl Reading {
    fn stream(self) -> impl Stream<Item = Result<Sent, Infallible>> {
        let pieces = stream::unfold(self, |mut reading| async move {
            let sent = reading.next().await?;
            Some((sent, reading))
        });
        pieces.flat_map(|sent| stream::iter(sent.into_iter().map(Ok)))
    }

    async fn next(&mut self) -> Option<Vec<Sent>> {
        match self.stage {
            Stage::Over => return None,
            Stage::Opening => {
                self.stage = Stage::Open;
                let position = written(self.follower.position());
                let said = json!({
                    "process": self.process.to_string(),
                    "from": position,
                    "heartbeat_ms": self.beat.as_millis() as u64,
                });
                return Some(vec![named("open", &said).id(position)]);
            }
            Stage::Open => {}
        }
        if self.budget == Some(0) {
            return Some(self.end("its budget is used up"));
        }
        if Instant::now() >= self.until {
            return Some(self.end("its time is over: come back with Last-Event-ID"));
        }
        let wait = (Instant::now() + self.beat).min(self.until);
        Some(match tokio::time::timeout_at(wait, self.follower.next()).await {
            Ok(Followed::Messages(said)) => {
                let left = self.budget.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
                let said = &said[..said.len().min(left)];
                self.budget = self.budget.map(|left| left - said.len() as u64);
                let sent =
                    |one: &Arc<unit::Said>| Sent::default().id(&one.what.id).event("message").data(&one.json);
                said.iter().map(sent).collect()
            }
            Ok(Followed::Nothing) => Vec::new(),
            Ok(Followed::Ahead { resumed }) => {
                let said = json!({
                    "resumed": written(resumed),
                    "why": "the place is beyond what this process has sent: the network was put back, or the place \
                            is of another process; what comes from now on is told",
                });
                vec![named("missed", &said).id(written(resumed))]
            }
            Ok(Followed::End(why)) => self.end(&why),
            // An id without data moves the place from which a client resumes, and is no event to it.
            Err(_) => vec![Sent::default().id(written(self.follower.position())).comment("still here")],
        })
    }

    fn end(&mut self, why: &str) -> Vec<Sent> {
        self.stage = Stage::Over;
        vec![named("end", &json!({"why": why}))]
    }
}

fn named(name: &str, said: &serde_json::Value) -> Sent {
    Sent::default().event(name).data(said.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_so_that_it_goes_on_there() {
        for (next, text) in [((3, 0), "3"), ((3, 1), "3-0"), ((0, 0), "0")] {
            let next = Place { leaf: next.0, index: next.1 };
            assert_eq!(written(next), text);
            let start = match text.parse::<Start>().unwrap() {
                Start::At(place) => place,
                Start::After(place) => place.next(),
                other => panic!("{other:?}"),
            };
            assert_eq!(start, next);
        }
    }
}
