//! The events of a node somewhere else.

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use unit::{Code, Error, Result};

use super::Transport;
use super::transport::base;
use crate::wire::event::EventShape;

/// Bytes of one event that a client takes.
const EVENT_BYTES_MAX: usize = 4 << 20;

/// Which events a client asks for.
#[derive(Debug, Clone, Default)]
pub struct EventsWanted {
    /// Only of this process.
    pub process: Option<protocol::ProcessId>,
    /// Only of these kinds.
    pub kinds: Vec<String>,
    /// Only messages with this `Action`.
    pub action: Option<String>,
    /// After this event.
    pub after: Option<String>,
}

/// What a stream says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// It begins: what comes is after that event.
    Open(String),
    /// Something happened.
    Event(Box<EventShape>),
    /// Some events are no longer there; why that is.
    Missed(String),
    /// It ends, and why.
    End(String),
}

/// A stream of events.
#[derive(Debug)]
pub struct EventStream {
    response: reqwest::Response,
    buffer: Vec<u8>,
    last: Option<String>,
    url: String,
}

impl EventStream {
    /// Begins to listen at the unit at `url`. `NotFound` where a unit has no events.
    pub async fn open(transport: &Transport, url: &str, wanted: &EventsWanted) -> Result<EventStream> {
        let base = base(url);
        let mut asked = reqwest::Url::parse(&format!("{base}/api/v1/events"))
            .map_err(|error| Error::invalid(format!("{url} is no URL: {error}")))?;
        {
            let mut query = asked.query_pairs_mut();
            if let Some(process) = wanted.process {
                query.append_pair("process", &process.to_string());
            }
            if !wanted.kinds.is_empty() {
                query.append_pair("kind", &wanted.kinds.join(","));
            }
            if let Some(action) = &wanted.action {
                query.append_pair("action", action);
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(after) = wanted.after.as_ref().and_then(|after| HeaderValue::from_str(after).ok()) {
            headers.insert(HeaderName::from_static("last-event-id"), after);
        }
        let response = transport.stream(asked.as_str(), headers).await?;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Err(Error::not_found(format!("{base} tells no events")).with_code(Code::NO_ROUTE));
        }
        Ok(EventStream { response, buffer: Vec::new(), last: wanted.after.clone(), url: base })
    }

    /// The id to come back with.
    pub fn position(&self) -> Option<&str> {
        self.last.as_deref()
    }

    /// What it says next; none when the connection ends.
    pub async fn next(&mut self) -> Result<Option<Said>> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(said) = self.read(&String::from_utf8_lossy(&block))? {
                    return Ok(Some(said));
                }
            }
            if self.buffer.len() > EVENT_BYTES_MAX {
                return Err(self.strange("an event is larger than expected"));
            }
            let chunk = self.response.chunk().await.map_err(|error| {
                Error::unavailable(format!("lost the events of {}: {error}", self.url))
                    .with_code(Code::UNREACHABLE)
            })?;
            match chunk {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
    }

    fn read(&mut self, block: &str) -> Result<Option<Said>> {
        let (mut name, mut data) = ("message", String::new());
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.last = Some(value.to_owned()),
                "event" => name = value,
                "data" => data.push_str(value),
                _ => {}
            }
        }
        if data.is_empty() {
            return Ok(None);
        }
        #[derive(Deserialize)]
        struct Words {
            #[serde(default)]
            after: String,
            #[serde(default)]
            why: String,
        }
        let read = match name {
            "open" => serde_json::from_str(&data).map(|words: Words| Said::Open(words.after)),
            "missed" => serde_json::from_str(&data).map(|words: Words| Said::Missed(words.why)),
            "end" => serde_json::from_str(&data).map(|words: Words| Said::End(words.why)),
            _ => serde_json::from_str(&data).map(|event| Said::Event(Box::new(event))),
        };
        read.map(Some).map_err(|error| self.strange(&error.to_string()))
    }

    fn strange(&self, why: &str) -> Error {
        Error::unavailable(format!("{} told something else than an event: {why}", self.url))
            .with_code(Code::STRANGE_ANSWER)
    }
}
