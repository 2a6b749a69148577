//! What every unit's server answers, and what wraps every route.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::BoxFuture;
use protocol::Address;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{Any as AnyOf, CorsLayer};
use unit::{Code, Error};

use super::limits::{Gate, limit};
use super::reply::raw_json;
use super::{Context, Failure, api, coded, json, text};
use crate::wire::error::{CODE, kind};
use crate::wire::info::{Readiness, UnitInfo};

/// How a unit says its address.
pub(super) type AddressOf = Arc<dyn Fn() -> BoxFuture<'static, Result<Address, Error>> + Send + Sync>;

/// Adds what units have in common to a unit's routes: `/info`, health, metrics.
pub(super) fn unit_routes(
    routes: Router,
    name: &'static str,
    address: AddressOf,
    context: &Context,
) -> Router {
    let network = context.network.clone();
    let info = move || async move {
        let address = address().await?;
        let network = network.as_deref().cloned();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok::<_, Failure>(json(StatusCode::OK, &UnitInfo { unit: name.to_owned(), address, version, network }))
    };
    finish(routes.route("/info", get(info)), name, context)
}

/// Health, metrics, limits, CORS, JSON for what is not there and for a handler that panics.
pub(crate) fn finish(routes: Router, part: &'static str, context: &Context) -> Router {
    let checks = context.checks.clone();
    let ready = move || async move {
        let checks = match checks {
            Some(checks) => checks().await,
            None => Vec::new(),
        };
        let ready = checks.iter().all(|check| check.ok);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        json(status, &Readiness { ready, checks })
    };
    let metrics = context.metrics.clone();
    let metrics = move || async move {
        let written = metrics.map(|metrics| metrics()).unwrap_or_default();
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        ([(header::CONTENT_TYPE, kind)], written)
    };
    let cors = CorsLayer::new()
        .allow_origin(AnyOf)
        .allow_methods(AnyOf)
        .allow_headers(AnyOf)
        .expose_headers(AnyOf)
        .max_age(Duration::from_millis(context.options.preflight_ms));
    let routes = api::routes(routes, context)
        .route("/health", get(|| async { StatusCode::OK }))
        .route("/healthz", get(|| async { text(StatusCode::OK, "ok") }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(|| async { raw_json(OPENAPI) }))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method);
    let routes = match context.limits.clone() {
        Some(limits) => routes.layer(from_fn_with_state(Gate { limits, part }, limit)),
        None => routes,
    };
    let routes = routes
        .layer(CatchPanicLayer::custom(panicked))
        .layer(map_response(with_code))
        .layer(from_fn(api::problems))
        .layer(cors);
    match &context.control {
        // Outermost: a browser that asks whether it may is answered here, too.
        Some(_) => routes.layer(from_fn_with_state(context.guard.clone(), api::guard)),
        None => routes,
    }
}

/// The routes of all parts, written by hand; `tests/openapi.rs` compares it with what is routed, and asks each.
const OPENAPI: &str = include_str!("../openapi.json");

async fn no_route(method: Method, uri: Uri) -> Failure {
    Failure::from(Error::not_found(format!("there is no {method} {}", uri.path())).with_code(Code::NO_ROUTE))
}

async fn no_method(method: Method, uri: Uri) -> Failure {
    let error = Error::invalid(format!("{} does not take {method}", uri.path())).with_code(Code::NO_ROUTE);
    Failure::with_status(StatusCode::METHOD_NOT_ALLOWED, error)
}

/// Refusals that say their own words, as Arweave's do, have the code of their status.
async fn with_code(response: Response) -> Response {
    let status = response.status();
    if status.as_u16() < 400 || response.headers().contains_key(CODE) {
        return response;
    }
    coded(response, Code::of(kind(status.as_u16(), None)))
}

/// A bug of ours. It must not look like an answer, and must not end the node.
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let what = payload.downcast_ref::<String>().map(String::as_str);
    let what = what.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
    let error = Error::new(unit::Kind::Internal, format!("a handler panicked: {what}"))
        .with_hint("this is a bug of the node; please report it");
    Failure::from(error).into_response()
}
