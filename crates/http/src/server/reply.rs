//! Answers.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use unit::{Error, Kind, Novelty};

use crate::wire::IDEMPOTENT_REPLAY;
use crate::wire::error::{Refusal, status};

/// A refusal, on its way out.
#[derive(Debug)]
pub struct Failure {
    error: Error,
    /// Where HTTP has a finer word than the kinds have.
    status: Option<StatusCode>,
}

impl Failure {
    /// A refusal with a status of its own.
    pub fn with_status(status: StatusCode, error: Error) -> Failure {
        Failure { error, status: Some(status) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, status: None }
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
        let mut response = json(status, &Refusal::from(&self.error));
        if let Kind::Busy { retry_after } = self.error.kind {
            // Whole seconds, rounded up: sooner would be refused again.
            let seconds = retry_after.as_millis().div_ceil(1000) as u64;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
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
