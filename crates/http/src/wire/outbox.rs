//! The shapes of an outbox and its dead letters.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use protocol::{Address, Id, ProcessId, Timestamp};
use serde::{Deserialize, Serialize};
use unit::{DeadLetter, Error, OutboxEntry, Page, Result, Trace, TraceKind, TraceRelation};

/// `GET /api/v1/outbox`, and with `?dead` the dead letters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutboxShape {
    entries: Vec<EntryShape>,
    has_next: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryShape {
    number: u64,
    kind: Kind,
    message: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Id>,
    root: Id,
    /// Milliseconds since 1970, when it was promised.
    timestamp: u64,
    failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead: Option<DeadShape>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Message,
    Spawn,
    Assign,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeadShape {
    /// Milliseconds since 1970, when it was given up.
    at: u64,
    can_retry: bool,
    /// base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

impl From<&Page<OutboxEntry>> for OutboxShape {
    fn from(page: &Page<OutboxEntry>) -> OutboxShape {
        let dead = |letter: &DeadLetter| DeadShape {
            at: letter.at.0,
            can_retry: letter.can_retry,
            body: letter.body.as_ref().map(|body| URL_SAFE_NO_PAD.encode(body)),
        };
        let entry = |entry: &OutboxEntry| EntryShape {
            number: entry.number,
            kind: match entry.trace.kind {
                TraceKind::Message => Kind::Message,
                TraceKind::Spawn => Kind::Spawn,
                TraceKind::Assign => Kind::Assign,
            },
            message: entry.trace.message,
            process: entry.trace.process,
            wallet: entry.trace.wallet,
            parent: entry.trace.parent,
            root: entry.trace.root,
            timestamp: entry.trace.timestamp.0,
            failures: entry.failures,
            error: entry.trace.error.clone(),
            dead: entry.dead.as_ref().map(dead),
        };
        OutboxShape { entries: page.items.iter().map(entry).collect(), has_next: page.has_next }
    }
}

impl OutboxShape {
    /// The page.
    pub fn read(self) -> Result<Page<OutboxEntry>> {
        let dead = |shape: DeadShape| -> Result<DeadLetter> {
            let body = shape.body.map(|body| URL_SAFE_NO_PAD.decode(body)).transpose();
            let body = body.map_err(|error| Error::refused(format!("the body of a dead letter: {error}")))?;
            Ok(DeadLetter {
                at: Timestamp(shape.at),
                can_retry: shape.can_retry,
                body: body.map(Bytes::from),
            })
        };
        let entry = |shape: EntryShape| {
            let trace = Trace {
                message: shape.message,
                process: shape.process,
                wallet: shape.wallet,
                parent: shape.parent,
                root: shape.root,
                timestamp: Timestamp(shape.timestamp),
                kind: match shape.kind {
                    Kind::Message => TraceKind::Message,
                    Kind::Spawn => TraceKind::Spawn,
                    Kind::Assign => TraceKind::Assign,
                },
                relation: TraceRelation::Root,
                error: shape.error,
            };
            let (number, failures) = (shape.number, shape.failures);
            Ok(OutboxEntry { number, trace, failures, dead: shape.dead.map(dead).transpose()? })
        };
        let items = self.entries.into_iter().map(entry).collect::<Result<_>>()?;
        Ok(Page { items, has_next: self.has_next })
    }
}
