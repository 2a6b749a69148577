//! Answers.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use unit::{Code, Error, Kind, Novelty};

use crate::wire::IDEMPOTENT_REPLAY;
use crate::wire::error::{CODE, Refusal, status};

/// A refusal, on its way out.
#[derive(Debug)]
pub struct Failure {
    error: Error,
    /// Where HTTP has a finer word than the kinds have.
    status: Option<StatusCode>,
    /// What is left of the limit that was reached.
    left: Option<Left>,
}

/// What a response refuses with, for who writes it in other words.
#[derive(Debug, Clone)]
pub(super) struct Refused(pub Error);

/// What is left of a limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    /// Requests at once.
    pub limit: u64,
    /// How many of them are left.
    pub remaining: u64,
    /// Seconds until all are there again.
    pub reset: u64,
}

impl Left {
    /// The headers that say so.
    pub fn write(self, headers: &mut HeaderMap) {
        let said = [("limit", self.limit), ("remaining", self.remaining), ("reset", self.reset)];
        for (name, value) in said {
            let name = HeaderName::try_from(format!("ratelimit-{name}")).expect("these are lower case words");
            headers.insert(name, HeaderValue::from(value));
        }
    }
}

impl Failure {
    /// A refusal with a status of its own.
    pub fn with_status(status: StatusCode, error: Error) -> Failure {
        Failure { error, status: Some(status), left: None }
    }

    /// A refusal because of a limit.
    pub(super) fn limited(error: Error, left: Left) -> Failure {
        Failure { error, status: None, left: Some(left) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, status: None, left: None }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.status.unwrap_or_else(|| {
            StatusCode::from_u16(status(self.error.kind)).expect("the table has statuses only")
        });
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self.error, "could not answer");
        }
        let mut response = coded(json(status, &Refusal::from(&self.error)), self.error.code);
        if let Kind::Busy { retry_after } = self.error.kind {
            // Whole seconds, rounded up: sooner would be refused again.
            let seconds = retry_after.as_millis().div_ceil(1000) as u64;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(left) = self.left {
            left.write(response.headers_mut());
        }
        response.extensions_mut().insert(Refused(self.error));
        response
    }
}

/// A refusal that says its code.
pub(crate) fn coded(mut response: Response, code: Code) -> Response {
    let code = HeaderValue::from_str(&code.to_string()).expect("a code is a letter and digits");
    response.headers_mut().insert(CODE, code);
    response
}

/// JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => body(status, "application/json", bytes),
        Err(error) => Failure::from(Error::internal(&error)).into_response(),
    }
}

/// The answer to a write, which says whether it is that of an earlier one.
pub(crate) fn with_novelty(mut response: Response, novelty: Novelty) -> Response {
    if novelty == Novelty::Repeat {
        response.headers_mut().insert(IDEMPOTENT_REPLAY, HeaderValue::from_static("true"));
    }
    response
}

/// JSON that is written already.
pub(crate) fn raw_json(text: &'static str) -> Response {
    body(StatusCode::OK, "application/json", text)
}

/// Plain text.
pub(crate) fn text(status: StatusCode, text: impl Into<Body>) -> Response {
    body(status, "text/plain; charset=utf-8", text)
}

fn body(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body.into()).into_response()
}
