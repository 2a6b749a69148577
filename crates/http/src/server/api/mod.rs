//! What Pirn has beyond the protocol, under `/api/v1` of every port: events, reads of processes, what they send
//! (streams, webhooks), a desk that signs, and the controls of a development network.
//!
//! Refusals here are problems as RFC 9457 has them. The routes of the protocol keep the words that its clients know.

mod desk;
mod dev;
mod door;
mod events;
mod guard;
mod hooks;
mod outgoing;
mod state;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;
use unit::Error;

use super::reply::Refused;
use super::{Context, Failure, json};
use crate::wire::error::status;

pub use door::Door;
pub use guard::Guard;
pub(super) use guard::guard;
pub(super) use state::at_device;
pub use state::{Globals, Names, Reads};

/// Where all of this is.
const PREFIX: &str = "/api/v1";

/// Adds the routes to those of a part.
pub(super) fn routes(routes: Router, context: &Context) -> Router {
    let events = Arc::new(events::Server {
        events: context.events.clone(),
        heartbeat_ms: context.options.heartbeat_ms.max(1),
    });
    let reads = Arc::new(state::Server { reads: context.reads.clone() });
    let outgoing = Arc::new(outgoing::Server {
        subscriptions: context.subscriptions.clone(),
        heartbeat_ms: context.options.heartbeat_ms.max(1),
        stream_ms: context.stream_ms,
        page_max: context.options.page_max,
    });
    let hooks = Arc::new(hooks::Server {
        subscriptions: context.subscriptions.clone(),
        door: context.webhooks_door.clone(),
        options: context.options.clone(),
    });
    let desk = Arc::new(desk::Server {
        desk: context.desk.clone(),
        door: context.desk_door.clone(),
        options: context.options.clone(),
    });
    let control =
        Arc::new(dev::Server { control: context.control.clone(), options: context.options.clone() });
    routes
        .route("/api/v1/events", get(events::events).with_state(events))
        .route("/api/v1/settlement", get(settlement).with_state(context.settlement.clone()))
        .route("/api/v1/processes/{process}/state", get(state::all).with_state(reads.clone()))
        .route("/api/v1/processes/{process}/state/{*path}", get(state::one).with_state(reads))
        .route("/api/v1/processes/{process}/messages", get(outgoing::messages).with_state(outgoing.clone()))
        .route("/api/v1/processes/{process}/subscribe", get(outgoing::subscribe).with_state(outgoing))
        .merge(hooks::routes(hooks))
        .merge(desk::routes(desk))
        .merge(dev::routes(control))
}

/// How settlement stands, where there is any.
type Standing = Option<Arc<dyn Fn() -> serde_json::Value + Send + Sync>>;

async fn settlement(State(standing): State<Standing>) -> Result<Response, Failure> {
    let standing = standing.ok_or_else(|| {
        Error::not_found("this node settles on no network elsewhere")
            .with_hint("name one: weave.gateway, with weave.settlement_wallet or weave.uploader")
    })?;
    Ok(json(StatusCode::OK, &standing()))
}

/// A refusal as RFC 9457 has it.
#[derive(Serialize)]
struct Problem<'a> {
    /// The code as a URI, which says the same for ever.
    r#type: String,
    title: &'a str,
    status: u16,
    /// What could not be done, to what, and why.
    detail: &'a str,
    /// `pirn explain` knows it.
    code: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// Writes refusals of this part of the interface as problems.
pub(super) async fn problems(request: Request, next: Next) -> Response {
    let is_ours = request
        .uri()
        .path()
        .strip_prefix(PREFIX)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let response = next.run(request).await;
    if is_ours { as_problem(response) } else { response }
}

/// Writes a refusal as a problem; leaves all else alone.
fn as_problem(mut response: Response) -> Response {
    let Some(Refused(error)) = response.extensions_mut().remove::<Refused>() else { return response };
    let said = problem(&error, response.status().as_u16());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.remove(header::CONTENT_LENGTH);
    *response.body_mut() = said.into();
    response
}

fn problem(error: &Error, said: u16) -> Vec<u8> {
    let problem = Problem {
        r#type: format!("urn:pirn:{}", error.code),
        title: error.code.explain().title,
        status: if said >= 400 { said } else { status(error.kind) },
        detail: &error.what,
        code: error.code.to_string(),
        hint: error.hint.as_deref(),
    };
    serde_json::to_vec(&problem).expect("a problem is JSON")
}
