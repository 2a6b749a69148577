//! A compute unit's routes.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use protocol::{ProcessId, Timestamp};
use unit::{Compute, Cursor, Error, Evaluated, Evaluation, Kind, OutcomeQuery, Page, Sort};

use super::common::unit_routes;
use super::su::path_id;
use super::{Context, Failure, Params, json, read_body};
use crate::wire::attestation::{AttestationShape, ConsistencyShape, HistoryShape};
use crate::wire::cu::{
    CheckpointShape, Detail, OutcomeShape, Results, Root, decode_cursor, read_dry_run, read_sort,
};

/// Outcomes of a page of `/results` if the client does not say.
const RESULTS_PAGE: usize = 25;
/// Outcomes of a page of `/cron` if the client does not say.
const CRON_PAGE: usize = 500;
/// Leaves of a page of a history if the client does not say.
const HISTORY_PAGE: usize = 256;

struct Server {
    unit: Arc<dyn Compute>,
    context: Context,
}

/// The routes of a compute unit.
pub fn router(unit: Arc<dyn Compute>, context: Context) -> Router {
    let server = Arc::new(Server { unit: unit.clone(), context: context.clone() });
    let routes = Router::new()
        .route("/", get(root))
        .route("/result/{message}", get(result))
        .route("/results/{process}", get(results))
        .route("/cron/{process}", get(cron))
        .route("/dry-run", post(dry_run))
        .route("/state/{process}", get(state))
        .route("/{process}/now/{*path}", get(at_device))
        .route("/{process}/compute/{*path}", get(at_device))
        .route("/api/v1/processes/{process}/attestations/{message}", get(attestation))
        .route("/api/v1/processes/{process}/checkpoints", post(checkpoint))
        .route("/api/v1/processes/{process}/history", get(history))
        .route("/api/v1/processes/{process}/history/{index}", get(leaf))
        .route("/api/v1/processes/{process}/history/consistency", get(consistency))
        .with_state(server);
    let address = move || {
        let unit = unit.clone();
        Box::pin(async move { unit.address().await }) as _
    };
    unit_routes(routes, "cu", Arc::new(address), &context)
}

type Answer = Result<Response, Failure>;

/// What a process publishes, at the path that AO-Core nodes have for it.
async fn at_device(
    State(server): State<Arc<Server>>,
    Path((process, path)): Path<(String, String)>,
    params: Params,
    headers: HeaderMap,
) -> Answer {
    Ok(super::api::at_device(&server.context.reads, (&process, &path), &params, &headers).await?)
}

async fn root(State(server): State<Arc<Server>>) -> Answer {
    let address = server.unit.address().await?;
    Ok(json(StatusCode::OK, &Root { address, timestamp: server.context.clock.now().0 }))
}

async fn result(State(server): State<Arc<Server>>, Path(message): Path<String>, params: Params) -> Answer {
    let process = params.required_id("process-id")?;
    let message = path_id(&message)?;
    let outcome = server.unit.result(process.into(), message).await?;
    Ok(json(StatusCode::OK, &OutcomeShape::of(&outcome, detail(&params, Detail::Result))))
}

async fn results(State(server): State<Arc<Server>>, Path(process): Path<String>, params: Params) -> Answer {
    let process = path_id(&process)?.into();
    let query = outcome_query(&params, RESULTS_PAGE, server.context.options.page_max)?;
    let (sort, detail) = (query.sort, detail(&params, Detail::Node));
    let page = server.shown(Which::All, process, query, detail).await?;
    Ok(json(StatusCode::OK, &Results::of(&page, sort, detail)))
}

async fn cron(State(server): State<Arc<Server>>, Path(process): Path<String>, params: Params) -> Answer {
    let process = path_id(&process)?.into();
    let mut query = outcome_query(&params, CRON_PAGE, server.context.options.page_max)?;
    query.sort = Sort::Ascending;
    let detail = detail(&params, Detail::Node);
    let page = server.shown(Which::Cron, process, query, detail).await?;
    Ok(json(StatusCode::OK, &Results::of(&page, Sort::Ascending, detail)))
}

async fn dry_run(
    State(server): State<Arc<Server>>,
    params: Params,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let process: ProcessId = params.required_id("process-id")?.into();
    let at = params.id("to")?;
    let kind =
        headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("application/json");
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        let error = Error::invalid(format!("a dry run is JSON, not {kind}"))
            .with_hint("send it with Content-Type: application/json");
        return Err(Failure::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    let message = read_dry_run(&read_body(body, &server.context.options).await?)?;
    let outcome = server.unit.dry_run(process, message, at).await?;
    Ok(json(StatusCode::OK, &OutcomeShape::of(&outcome, detail(&params, Detail::Result))))
}

async fn state(State(server): State<Arc<Server>>, Path(process): Path<String>, params: Params) -> Answer {
    let process = path_id(&process)?.into();
    let state = server.unit.state(process, params.number("to")?.map(Timestamp)).await?;
    let mut response = state.memory.into_response();
    let mut say = |name: &'static str, value: HeaderValue| response.headers_mut().insert(name, value);
    say("content-type", HeaderValue::from_static("application/octet-stream"));
    say("last-timestamp", state.timestamp.0.into());
    say("last-ordinate", state.ordinate.into());
    say("last-block-height", state.block_height.0.into());
    Ok(response)
}

async fn attestation(
    State(server): State<Arc<Server>>,
    Path((process, message)): Path<(String, String)>,
    params: Params,
) -> Answer {
    server.attest(&process, Evaluation::Message(path_id(&message)?), &params).await
}

async fn leaf(
    State(server): State<Arc<Server>>,
    Path((process, index)): Path<(String, String)>,
    params: Params,
) -> Answer {
    let index = index.parse().map_err(|_| {
        Error::invalid(format!("{index:?} is no place in a history"))
            .with_hint("a number from 0 on, or `consistency`")
    })?;
    server.attest(&process, Evaluation::Leaf(index), &params).await
}

async fn checkpoint(State(server): State<Arc<Server>>, Path(process): Path<String>) -> Answer {
    let published = server.unit.publish_checkpoint(path_id(&process)?.into()).await?;
    let status = if published.is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, &CheckpointShape::from(&published)))
}

async fn history(State(server): State<Arc<Server>>, Path(process): Path<String>, params: Params) -> Answer {
    let process = path_id(&process)?.into();
    let limit = params.limit(HISTORY_PAGE, server.context.options.page_max)?;
    let history = server.unit.history(process, params.number("from")?.unwrap_or(0), limit).await?;
    Ok(json(StatusCode::OK, &HistoryShape::from(&history)))
}

async fn consistency(
    State(server): State<Arc<Server>>,
    Path(process): Path<String>,
    params: Params,
) -> Answer {
    let process = path_id(&process)?.into();
    let need = |name: &str| {
        let number = params.number(name)?;
        number.ok_or_else(|| Error::invalid(format!("{name} is missing")).with_hint("?from=SIZE&to=SIZE"))
    };
    let path = server.unit.consistency(process, need("from")?, need("to")?).await?;
    Ok(json(StatusCode::OK, &ConsistencyShape { path }))
}

/// Our own clients ask for everything.
fn detail(params: &Params, usual: Detail) -> Detail {
    if params.has("full") { Detail::Full } else { usual }
}

fn outcome_query(params: &Params, default: usize, max: usize) -> Result<OutcomeQuery, Error> {
    let from = params.get("from").map(decode_cursor).transpose()?;
    let to = params.get("to").map(decode_cursor).transpose()?;
    let asked = params.get("sort").map(read_sort).transpose()?.unwrap_or_default();
    let taken_in = |cursor: &Option<Cursor>| cursor.as_ref().and_then(|cursor| cursor.sort);
    let sort = taken_in(&from).or(taken_in(&to)).unwrap_or(asked);
    Ok(OutcomeQuery { from, to, sort, limit: params.limit(default, max)? })
}

#[derive(Clone, Copy)]
enum Which {
    All,
    Cron,
}

impl Server {
    async fn attest(&self, process: &str, of: Evaluation, params: &Params) -> Answer {
        let process = path_id(process)?.into();
        let attestation = self.unit.attest(process, of, params.has("state")).await?;
        Ok(json(StatusCode::OK, &AttestationShape::from(&attestation)))
    }

    async fn page(
        &self,
        which: Which,
        process: ProcessId,
        query: OutcomeQuery,
    ) -> Result<Page<Evaluated>, Error> {
        match which {
            Which::All => self.unit.results(process, query).await,
            Which::Cron => self.unit.cron(process, query).await,
        }
    }

    /// A page without the outcomes that are errors, which the wire leaves out. It is filled up from what follows:
    /// a page of nothing but errors would leave its client without a cursor to go on from.
    async fn shown(
        &self,
        which: Which,
        process: ProcessId,
        query: OutcomeQuery,
        detail: Detail,
    ) -> Result<Page<Evaluated>, Error> {
        let mut page = match self.page(which, process, query.clone()).await {
            // The reference knows no process that has no results.
            Err(error) if error.kind == Kind::NotFound && matches!(which, Which::All) => {
                Page { items: Vec::new(), has_next: false }
            }
            page => page?,
        };
        if detail == Detail::Full {
            return Ok(page);
        }
        let mut shown = Vec::new();
        loop {
            let end = page.items.last().map(|one| one.cursor.clone());
            shown.extend(page.items.into_iter().filter(|one| one.outcome.error.is_none()));
            let (Some(end), true, true) = (end, page.has_next, shown.len() < query.limit) else {
                return Ok(Page { items: shown, has_next: page.has_next });
            };
            page = self.page(which, process, after(&query, end.clone(), query.limit - shown.len())).await?;
            page.items.retain(|one| one.cursor != end);
        }
    }
}

/// The next `limit` outcomes of a query, after the place `end`.
fn after(query: &OutcomeQuery, end: Cursor, limit: usize) -> OutcomeQuery {
    match query.sort {
        Sort::Ascending => OutcomeQuery { from: Some(end), limit, ..query.clone() },
        // The upper bound is inclusive: the place itself comes once more.
        Sort::Descending => OutcomeQuery { to: Some(end), limit: limit + 1, ..query.clone() },
    }
}
