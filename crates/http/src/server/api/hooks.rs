//! `/api/v1/webhooks`: what a process sends, posted to an application, signed and in order.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use unit::{Error, HookWish, Place, Start, Subscriptions};

use super::Door;
use super::outgoing::none;
use crate::server::{Failure, Options, Params, json, read_body, with_novelty};
use crate::wire::hooks::{DeadPage, HookPage};

/// Entries of a page if the client does not say.
const PAGE: usize = 100;
/// What opens the door.
const SETTING: &str = "webhooks.token_file";

/// What the routes need.
pub(super) struct Server {
    pub subscriptions: Option<Arc<dyn Subscriptions>>,
    pub door: Door,
    pub options: Options,
}

type Answer = Result<Response, Failure>;
type At = State<Arc<Server>>;

/// The routes.
pub(super) fn routes(server: Arc<Server>) -> Router {
    Router::new()
        .route("/api/v1/webhooks", get(list).post(create))
        .route("/api/v1/webhooks/{hook}", get(one).delete(remove))
        .route("/api/v1/webhooks/{hook}/replay", post(replay))
        .route("/api/v1/webhooks/{hook}/dead", get(dead))
        .route("/api/v1/webhooks/{hook}/dead/{place}/retry", post(retry))
        .with_state(server)
}

impl Server {
    fn enter(&self, headers: &HeaderMap) -> Result<&dyn Subscriptions, Error> {
        let subscriptions = self.subscriptions.as_deref().ok_or_else(none)?;
        self.door.check(headers, SETTING)?;
        Ok(subscriptions)
    }
}

async fn create(State(server): At, headers: HeaderMap, body: Body) -> Answer {
    let subscriptions = server.enter(&headers)?;
    let wish: HookWish = read(body, &server.options).await?;
    let (hook, novelty) = subscriptions.create_hook(wish, key_of(&headers)?).await?;
    Ok(with_novelty(json(StatusCode::CREATED, &hook), novelty))
}

async fn list(State(server): At, headers: HeaderMap, params: Params) -> Answer {
    let subscriptions = server.enter(&headers)?;
    let limit = params.limit(PAGE, server.options.page_max)?;
    let page = subscriptions.hooks(params.get("after").map(str::to_owned), limit).await?;
    Ok(json(StatusCode::OK, &HookPage { webhooks: page.items, has_next: page.has_next }))
}

async fn one(State(server): At, Path(hook): Path<String>, headers: HeaderMap) -> Answer {
    Ok(json(StatusCode::OK, &server.enter(&headers)?.hook(&hook).await?))
}

async fn remove(State(server): At, Path(hook): Path<String>, headers: HeaderMap) -> Answer {
    server.enter(&headers)?.remove_hook(&hook).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayShape {
    from: String,
}

async fn replay(State(server): At, Path(hook): Path<String>, headers: HeaderMap, body: Body) -> Answer {
    let subscriptions = server.enter(&headers)?;
    let ReplayShape { from } = read(body, &server.options).await?;
    Ok(json(StatusCode::OK, &subscriptions.replay_hook(&hook, from.parse()?).await?))
}

async fn dead(State(server): At, Path(hook): Path<String>, headers: HeaderMap, params: Params) -> Answer {
    let subscriptions = server.enter(&headers)?;
    let limit = params.limit(PAGE, server.options.page_max)?;
    let after = params.get("after").map(place_of).transpose()?;
    let page = subscriptions.dead_deliveries(&hook, after, limit).await?;
    Ok(json(StatusCode::OK, &DeadPage { dead: page.items, has_next: page.has_next }))
}

async fn retry(State(server): At, Path((hook, place)): Path<(String, String)>, headers: HeaderMap) -> Answer {
    server.enter(&headers)?.retry_delivery(&hook, place_of(&place)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn place_of(text: &str) -> Result<Place, Error> {
    match text.parse::<Start>()? {
        Start::After(place) => Ok(place),
        _ => Err(Error::invalid("a message is named by its place: LEAF-INDEX")),
    }
}

/// The `Idempotency-Key` of a request.
pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let read = |key: &axum::http::HeaderValue| {
        key.to_str().map(str::to_owned).map_err(|_| Error::invalid("the Idempotency-Key is no ASCII text"))
    };
    headers.get("idempotency-key").map(read).transpose()
}

/// A body that is JSON.
pub(super) async fn read<T: serde::de::DeserializeOwned>(
    body: Body,
    options: &Options,
) -> Result<T, Failure> {
    let bytes = read_body(body, options).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let error = Error::invalid(format!("the body is not what this route takes: {error}"))
            .with_hint("GET /openapi.json says what it takes");
        Failure::from(error)
    })
}

/// Something that was taken in.
#[derive(Serialize)]
pub(super) struct Taken {
    pub id: String,
}
