//! A messenger unit's routes.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use protocol::Id;
use unit::{Error, Kind, Messenger, MonitoredQuery, OutboxQuery, TraceKind, TraceQuery};

use super::common::unit_routes;
use super::limits::Guest;
use super::request::read_item;
use super::su::{assign_request, path_id};
use super::{Context, Failure, Params, json, text, with_novelty};
use crate::wire::monitored::MonitoredShape;
use crate::wire::mu::{Accepted, Traces};
use crate::wire::outbox::OutboxShape;

/// Steps of a page of traces if the client does not say.
const PAGE: u64 = 10;
/// Entries of a page of the outbox if the client does not say.
const OUTBOX_PAGE: usize = 100;

struct Server {
    unit: Arc<dyn Messenger>,
    context: Context,
}

/// The routes of a messenger unit.
pub fn router(unit: Arc<dyn Messenger>, context: Context) -> Router {
    let server = Arc::new(Server { unit: unit.clone(), context: context.clone() });
    let routes = Router::new()
        .route("/", get(root).post(write))
        .route("/monitor/{process}", post(monitor).delete(unmonitor))
        .route("/push/{message}", post(push))
        .route("/push/{message}/{index}", post(push_one))
        .route("/api/v1/monitored", get(monitored))
        .route("/api/v1/outbox", get(outbox))
        .route("/api/v1/outbox/dead/{number}/retry", post(retry))
        .with_state(server);
    let address = move || {
        let unit = unit.clone();
        Box::pin(async move { unit.address().await }) as _
    };
    unit_routes(routes, "mu", Arc::new(address), &context)
}

type Answer = Result<Response, Failure>;

async fn root(State(server): State<Arc<Server>>, params: Params) -> Answer {
    if !params.has("debug") {
        return Ok(text(StatusCode::OK, "ao messenger unit"));
    }
    let page = server.unit.traces(trace_query(&params, server.context.options.page_max)?).await?;
    Ok(json(StatusCode::OK, &Traces::from(page)))
}

/// An item in the body, or in the query something to assign that exists already.
async fn write(State(server): State<Arc<Server>>, params: Params, guest: Guest, body: Body) -> Answer {
    let (receipt, message) = match assign_request(&params)? {
        Some(request) => (server.unit.assign(request).await?, "Processing Assignment"),
        None => {
            let item = read_item(body, &server.context, &guest).await?;
            (server.unit.send(item).await?, "Processing DataItem")
        }
    };
    let accepted = Accepted { message: message.to_owned(), id: receipt.id };
    Ok(with_novelty(json(StatusCode::ACCEPTED, &accepted), receipt.novelty))
}

async fn monitor(
    State(server): State<Arc<Server>>,
    Path(process): Path<String>,
    guest: Guest,
    body: Body,
) -> Answer {
    let request = monitor_request(&server, &process, &guest, body).await?;
    server.unit.monitor(request).await?;
    Ok(text(StatusCode::OK, "Monitoring process"))
}

async fn unmonitor(
    State(server): State<Arc<Server>>,
    Path(process): Path<String>,
    guest: Guest,
    body: Body,
) -> Answer {
    let request = monitor_request(&server, &process, &guest, body).await?;
    server.unit.unmonitor(request).await?;
    Ok(text(StatusCode::OK, "Process deleted"))
}

/// The signed wish. It names the process by its target, and the path must not name another.
async fn monitor_request(
    server: &Server,
    process: &str,
    guest: &Guest,
    body: Body,
) -> Result<protocol::DataItem, Failure> {
    let process = path_id(process)?;
    let item = read_item(body, &server.context, guest).await?;
    match item.target {
        Some(target) if target == process => Ok(item),
        Some(target) => {
            Err(Error::invalid(format!("the item is for {target}, but the path names {process}")).into())
        }
        None => Err(Error::invalid(format!("the item {} has no target", item.id))
            .with_hint("sign an item whose target is the process")
            .into()),
    }
}

async fn push(State(server): State<Arc<Server>>, Path(message): Path<String>, params: Params) -> Answer {
    push_from(&server, &message, None, &params).await
}

async fn push_one(
    State(server): State<Arc<Server>>,
    Path((message, index)): Path<(String, String)>,
    params: Params,
) -> Answer {
    let index =
        index.parse().map_err(|_| Error::invalid(format!("{index:?} is not the number of a message")))?;
    push_from(&server, &message, Some(index), &params).await
}

async fn push_from(server: &Server, message: &str, index: Option<usize>, params: &Params) -> Answer {
    let message: Id = path_id(message)?;
    let process = params.required_id("process-id")?;
    server.unit.push(process.into(), message, index).await?;
    Ok(json(StatusCode::ACCEPTED, &Accepted { message: "Processing push".to_owned(), id: message }))
}

async fn monitored(State(server): State<Arc<Server>>, params: Params) -> Answer {
    let limit = params.limit(OUTBOX_PAGE, server.context.options.page_max)?;
    let after = params.id("after")?.map(Into::into);
    let page = server.unit.monitored(MonitoredQuery { after, limit }).await?;
    Ok(json(StatusCode::OK, &MonitoredShape::from(page)))
}

async fn outbox(State(server): State<Arc<Server>>, params: Params) -> Answer {
    let limit = params.limit(OUTBOX_PAGE, server.context.options.page_max)?;
    let after = params.number("after")?.unwrap_or(0);
    let page = server.unit.outbox(OutboxQuery { dead: params.has("dead"), after, limit }).await?;
    Ok(json(StatusCode::OK, &OutboxShape::from(&page)))
}

async fn retry(State(server): State<Arc<Server>>, Path(number): Path<String>) -> Answer {
    let number = number.parse().map_err(|_| {
        Error::invalid(format!("{number:?} is not the number of a dead letter"))
            .with_hint("GET /api/v1/outbox?dead lists them")
    })?;
    server.unit.retry(number).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn trace_query(params: &Params, page_max: usize) -> Result<TraceQuery, Error> {
    let kinds = [("message", TraceKind::Message), ("spawn", TraceKind::Spawn), ("assign", TraceKind::Assign)];
    let mut given = kinds.into_iter().filter(|(name, _)| params.has(name));
    let chosen = given.next();
    if given.next().is_some() {
        return Err(Error::new(Kind::Refused, "more than one of message, spawn and assign is given"));
    }
    let id = chosen.and_then(|(name, _)| params.get(name)).map(str::to_owned);
    let process = params.id("process")?;
    let root = params.id("root")?;
    if process.is_none() && root.is_none() && id.is_none() {
        return Err(Error::invalid("the parameter process is missing")
            .with_hint("name a process, or a message with message=, spawn= or assign="));
    }
    let limit = params.number("page-size")?.unwrap_or(PAGE).clamp(1, page_max as u64);
    let page = params.number("page")?.unwrap_or(1).max(1);
    Ok(TraceQuery {
        process: process.map(Into::into),
        kind: chosen.map(|(_, kind)| kind),
        id,
        root,
        wallet: params.get("wallet").map(str::to_owned),
        skip: usize::try_from((page - 1).saturating_mul(limit)).unwrap_or(usize::MAX),
        limit: limit as usize,
    })
}
