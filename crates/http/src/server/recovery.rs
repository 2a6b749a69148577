//! Recovery of a scheduler's log, on the port of the scheduler: how it stands, what it is shown, and its operator's word.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use protocol::ans104::parse_bundle;
use unit::{Code, Error, HeldQuery, Recovery};

use super::limits::Guest;
use super::request::read_item;
use super::{Context, Failure, Params, json, read_body};

/// Processes of a page if the client does not say.
const PAGE: usize = 100;

/// The context, for the routes.
pub(super) type Server = Arc<Context>;

fn of(server: &Server) -> Result<Arc<dyn Recovery>, Error> {
    let missing = || {
        Error::not_found("this scheduler does not tell how its recovery stands")
            .with_hint("ask the node that has the scheduler's log")
    };
    server.recovery.clone().ok_or_else(missing)
}

/// What is held, and why.
pub(super) async fn recovery(State(server): State<Server>, params: Params) -> Result<Response, Failure> {
    let limit = params.limit(PAGE, server.options.page_max)?;
    let only = params.id("process")?.map(Into::into);
    let after = params.id("after")?.map(Into::into);
    let state = of(&server)?.recovery(HeldQuery { only, after, limit }).await?;
    Ok(json(StatusCode::OK, &state))
}

/// A bundle of assignments of this scheduler, and of the messages that they name.
pub(super) async fn adopt(State(server): State<Server>, body: Body) -> Result<Response, Failure> {
    let bytes = read_body(body, &server.options).await?;
    let items = parse_bundle(bytes).map_err(|error| {
        Error::invalid(error.to_string()).with_code(Code::NOT_AN_ITEM).with_hint(
            "the body must be an ANS-104 bundle of assignments and their messages; `pirn bundle` writes one",
        )
    })?;
    Ok(json(StatusCode::OK, &of(&server)?.adopt(items).await?))
}

/// What the operator signed.
pub(super) async fn order(
    State(server): State<Server>,
    guest: Guest,
    body: Body,
) -> Result<Response, Failure> {
    let item = read_item(body, &server, &guest).await?;
    Ok(json(StatusCode::OK, &of(&server)?.order(item).await?))
}
