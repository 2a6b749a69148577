//! What a request says.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use protocol::{DataItem, Id};
use unit::{Error, Kind};

use super::limits::Guest;
use super::{Context, Failure, Options};

/// The parameters of a request's query.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Params, Infallible> {
        // What cannot be read names no parameter that anybody asks for.
        Ok(Query::try_from_uri(&parts.uri).map(|Query(pairs)| Params(pairs)).unwrap_or_default())
    }
}

impl Params {
    /// The value of a parameter. Empty ones, and the text `undefined` of a JavaScript client, are absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty() && *value != "undefined")
    }

    /// All values of a parameter that may be given several times.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// An id, if it is there.
    pub fn id(&self, name: &str) -> Result<Option<Id>, Error> {
        let read = |text: &str| {
            text.parse().map_err(|error| Error::invalid(format!("the parameter {name}: {error}")))
        };
        self.get(name).map(read).transpose()
    }

    /// An id that must be there.
    pub fn required_id(&self, name: &str) -> Result<Id, Error> {
        self.id(name)?.ok_or_else(|| {
            Error::invalid(format!("the parameter {name} is missing")).with_hint(format!("add ?{name}=<id>"))
        })
    }

    /// A whole number, if it is there.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Error> {
        let read = |text: &str| {
            text.parse()
                .map_err(|_| Error::invalid(format!("the parameter {name} is {text:?}, not a whole number")))
        };
        self.get(name).map(read).transpose()
    }

    /// How long a page shall be: at least one entry and at most `max`.
    pub fn limit(&self, default: usize, max: usize) -> Result<usize, Error> {
        match self.number("limit")? {
            None => Ok(default.min(max)),
            Some(0) => {
                Err(Error::invalid("the parameter limit is 0").with_hint("ask for one entry at least"))
            }
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(max).min(max)),
        }
    }
}

/// The whole of a body, if it is neither too large nor too slow.
pub(crate) async fn read_body(body: Body, options: &Options) -> Result<Bytes, Failure> {
    let whole = tokio::time::timeout(Duration::from_millis(options.body_ms), read_pieces(body, options));
    whole.await.unwrap_or_else(|_| Err(too_slow("the body did not end", "http.body_ms", options.body_ms)))
}

fn too_slow(what: &str, name: &str, ms: u64) -> Failure {
    let hint =
        format!("send it again over a faster connection, or less at once; whoever runs the node sets {name}");
    let error = Error::invalid(format!("{what} within {ms} ms")).with_hint(hint);
    Failure::with_status(StatusCode::REQUEST_TIMEOUT, error)
}

async fn read_pieces(body: Body, options: &Options) -> Result<Bytes, Failure> {
    let max = options.body_bytes_max;
    let announced = body.size_hint().lower() as usize;
    let mut stream = body.into_data_stream();
    let mut whole = BytesMut::new();
    let mut first = None;
    let mut seen = 0;
    let pause = Duration::from_millis(options.body_pause_ms);
    loop {
        let Ok(chunk) = tokio::time::timeout(pause, stream.next()).await else {
            return Err(too_slow("no more of the body came", "http.body_pause_ms", options.body_pause_ms));
        };
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|error| Error::invalid(format!("the body was cut off: {error}")))?;
        seen += chunk.len();
        if seen > max {
            whole = BytesMut::new();
            if seen > options.refused_bytes_max {
                break;
            }
            continue;
        }
        // Most bodies come in one piece, and need not be copied.
        match (first.take(), whole.is_empty()) {
            (None, true) => first = Some(chunk),
            (Some(earlier), _) => {
                whole.reserve(announced.min(max));
                whole.extend_from_slice(&earlier);
                whole.extend_from_slice(&chunk);
            }
            (None, false) => whole.extend_from_slice(&chunk),
        }
    }
    if seen > max {
        return Err(Error::new(Kind::TooLarge, format!("the body is larger than {max} bytes")).into());
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}
/// The data item in a body, if whoever signed it may send one more.
pub(super) async fn read_item(body: Body, context: &Context, guest: &Guest) -> Result<DataItem, Failure> {
    let bytes = read_body(body, &context.options).await?;
    let item = DataItem::parse(bytes).map_err(|error| {
        Error::invalid(error.to_string())
            .with_code(unit::Code::NOT_AN_ITEM)
            .with_hint("the body must be one signed ANS-104 data item")
    })?;
    guest.check_item(&item).await?;
    Ok(item)
}
