//! A scheduler unit's routes.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use protocol::{Id, ProcessId, Slot, Timestamp};
use unit::{AssignRequest, Error, Kind, Scheduled, Scheduler, SlotRange, TimersQuery};

use super::common::unit_routes;
use super::limits::Guest;
use super::request::read_item;
use super::{Context, Failure, Params, json, recovery, with_novelty};
use crate::wire::su::{
    Anchors, AssignmentShape, CursorBy, List, Node, ProcessShape, Root, TipShape, Written,
};
use crate::wire::timers::TimersShape;

/// Entries of a page if the client does not say.
const PAGE: usize = 100;

struct Server {
    unit: Arc<dyn Scheduler>,
    context: Context,
}

/// The routes of a scheduler unit.
pub fn router(unit: Arc<dyn Scheduler>, context: Context) -> Router {
    let server = Arc::new(Server { unit: unit.clone(), context: context.clone() });
    let routes = Router::new()
        .route("/", get(root).post(write))
        .route("/timestamp", get(timestamp))
        .route("/processes/{process}", get(process))
        .route("/api/v1/timers", get(timers))
        .route("/{id}", get(read))
        .route("/{id}/latest", get(latest))
        .with_state(server);
    let recovery = Router::new()
        .route("/api/v1/recovery", get(recovery::recovery))
        .route("/api/v1/recovery/adopt", post(recovery::adopt))
        .route("/api/v1/recovery/order", post(recovery::order))
        .with_state(Arc::new(context.clone()));
    let routes = routes.merge(recovery);
    let address = move || {
        let unit = unit.clone();
        Box::pin(async move { unit.address().await }) as _
    };
    unit_routes(routes, "su", Arc::new(address), &context)
}

type Answer = Result<Response, Failure>;

async fn root(State(server): State<Arc<Server>>) -> Answer {
    let address = server.unit.address().await?;
    let timestamp = server.unit.now().await?.timestamp.to_string();
    Ok(json(StatusCode::OK, &Root { address, timestamp }))
}

async fn timestamp(State(server): State<Arc<Server>>) -> Answer {
    Ok(json(StatusCode::OK, &TipShape::from(server.unit.now().await?)))
}

async fn timers(State(server): State<Arc<Server>>, params: Params) -> Answer {
    let limit = params.limit(PAGE, server.context.options.page_max)?;
    let (process, after) = (params.id("process")?.map(Into::into), params.id("after")?.map(Into::into));
    let page = server.unit.timers(TimersQuery { process, after, limit }).await?;
    Ok(json(StatusCode::OK, &TimersShape::from(page)))
}

/// An item in the body, or in the query something to assign that exists already.
async fn write(
    State(server): State<Arc<Server>>,
    params: Params,
    guest: Guest,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (scheduled, id) = match assign_request(&params)? {
        Some(request) => {
            let scheduled = server.unit.assign(request).await?;
            let id = scheduled.assignment.id();
            (scheduled, id)
        }
        None => {
            let item = read_item(body, &server.context, &guest).await?;
            let scheduled = server.unit.schedule(item).await?;
            let id = scheduled.message_id();
            (scheduled, id)
        }
    };
    let assignment = &scheduled.assignment;
    let whole = headers.get("prefer").is_some_and(|value| value == "return=representation");
    let written = Written {
        id,
        timestamp: assignment.timestamp.0,
        assignment: whole.then(|| AssignmentShape::of(assignment, Anchors::Shown)),
    };
    Ok(with_novelty(json(StatusCode::OK, &written), scheduled.novelty))
}

/// What the query wants to have assigned; both of its names or neither.
pub(super) fn assign_request(params: &Params) -> Result<Option<AssignRequest>, Error> {
    match (params.id("process-id")?, params.id("assign")?) {
        (None, None) => Ok(None),
        (Some(process), Some(message)) => Ok(Some(AssignRequest {
            process: process.into(),
            message,
            base_layer: params.has("base-layer"),
            exclude: params.get("exclude").map(exclude).unwrap_or_default(),
        })),
        (Some(_), None) => {
            Err(Error::invalid("process-id is given without assign").with_hint("give both or neither"))
        }
        (None, Some(_)) => {
            Err(Error::invalid("assign is given without process-id").with_hint("give both or neither"))
        }
    }
}

fn exclude(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|field| !field.is_empty()).map(str::to_owned).collect()
}

/// A message by its id or that of its assignment; a schedule by the id of its process.
async fn read(State(server): State<Arc<Server>>, Path(id): Path<String>, params: Params) -> Answer {
    let id = path_id(&id)?;
    let process = params.id("process-id")?.filter(|process| *process != id).map(ProcessId);
    // A client of old leaves process-id out and means a schedule.
    let first = match process {
        None => server.list(id.into(), &params).await,
        Some(_) => server.one(process, id, &params).await,
    };
    match first {
        Err(error) if error.kind == Kind::NotFound => {}
        answer => return Ok(answer?),
    }
    let second = match process {
        None => server.one(None, id, &params).await,
        Some(_) => server.list(id.into(), &params).await,
    };
    match second {
        Err(error) if error.kind == Kind::NotFound => {
            let within = process.map(|process| format!(" in the schedule of {process}")).unwrap_or_default();
            Err(Error::not_found(format!("there is neither a message nor a process {id}{within}"))
                .with_code(unit::Code::NOT_SCHEDULED)
                .into())
        }
        answer => Ok(answer?),
    }
}

async fn latest(State(server): State<Arc<Server>>, Path(process): Path<String>) -> Answer {
    let entry = server.unit.latest(path_id(&process)?.into()).await?;
    Ok(json(StatusCode::OK, &Node::of(&entry, Anchors::Text)))
}

async fn process(State(server): State<Arc<Server>>, Path(process): Path<String>) -> Answer {
    let record = server.unit.process(path_id(&process)?.into()).await?;
    Ok(json(StatusCode::OK, &ProcessShape::of(&record)))
}

/// The id in a path. What is no id names nothing, so it is not found.
pub(super) fn path_id(text: &str) -> Result<Id, Error> {
    text.parse().map_err(|error: protocol::id::NotAnId| Error::not_found(error.to_string()))
}

fn anchors(params: &Params) -> Anchors {
    if params.has("show-anchor") { Anchors::Shown } else { Anchors::Text }
}

impl Server {
    async fn one(&self, process: Option<ProcessId>, id: Id, params: &Params) -> Result<Response, Error> {
        let entry: Scheduled = self.unit.find(process, id).await?;
        Ok(json(StatusCode::OK, &Node::of(&entry, anchors(params))))
    }

    async fn list(&self, process: ProcessId, params: &Params) -> Result<Response, Error> {
        let limit = params.limit(PAGE, self.context.options.page_max)?;
        let (range, by) = range(params)?;
        let page = self.unit.schedule_page(process, range, limit).await?;
        Ok(json(StatusCode::OK, &List::of(&page, by, anchors(params))))
    }
}

/// By slot if either bound is a slot, else by time.
fn range(params: &Params) -> Result<(SlotRange, CursorBy), Error> {
    if params.has("from-nonce") || params.has("to-nonce") {
        let after = match params.get("from-nonce") {
            Some("-1") => None,
            _ => params.number("from-nonce")?.map(Slot),
        };
        return Ok((SlotRange::Slots { after, to: params.number("to-nonce")?.map(Slot) }, CursorBy::Slot));
    }
    let after = params.number("from")?.map(Timestamp);
    Ok((SlotRange::Time { after, to: params.number("to")?.map(Timestamp) }, CursorBy::Time))
}
