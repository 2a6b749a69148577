//! A bundler's routes: items in, receipts out, as at up.arweave.net.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use protocol::{DataItem, Id};
use serde::{Deserialize, Serialize};
use serde_json::json as json_value;
use unit::{Arweave, Error, Kind};

use super::common::finish;
use super::limits::Guest;
use super::{Context, Failure, json, read_body, text};
use crate::wire::bundler::{InfoShape, ReceiptShape, VERSION};

/// What a bundler takes in at most, and how it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Bytes of an item.
    pub item_bytes_max: usize,
    /// Whether receipts are signed. A signature takes milliseconds; a client that asks for a minimal answer
    /// (`Prefer: return=minimal`) is not given one.
    pub sign_receipts: bool,
    /// The URL of the gateway where items are found, for those who ask.
    pub gateway: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options { item_bytes_max: 10 << 20, sign_receipts: true, gateway: None }
    }
}

/// Takes items in over HTTP.
#[derive(Clone)]
pub(super) struct Receiver {
    weave: Arc<dyn Arweave>,
    options: Options,
    limits: super::Options,
}

/// The routes of a bundler.
pub fn router(weave: Arc<dyn Arweave>, options: Options, context: Context) -> Router {
    let receiver = Arc::new(Receiver::new(weave, options, context.clone()));
    let free = || async { text(StatusCode::OK, "0.0000000000000") };
    let plenty = || async { text(StatusCode::OK, "99999999999999999999") };
    let routes = Router::new()
        .route("/", get(info))
        .route("/info", get(info))
        .route("/v1/info", get(info))
        .route("/tx", post(receive))
        .route("/tx/{id}", post(receive))
        .route("/v1/tx", post(receive))
        .route("/v1/tx/{id}", post(receive))
        .route("/tx/{id}/status", get(status))
        .route("/v1/tx/{id}/status", get(status))
        .route("/tx/{id}/offsets", get(offsets))
        .route("/price/{size}", get(free))
        .route("/price/{token}/{size}", get(free))
        .route(
            "/v1/price/bytes/{size}",
            get(|| async { json(StatusCode::OK, &json_value!({"winc": "0", "adjustments": []})) }),
        )
        .route("/account/balance", get(plenty))
        .route("/account/balance/{token}", get(plenty))
        .with_state(receiver);
    finish(routes.layer(DefaultBodyLimit::disable()), "bundler", &context)
}

type Answer = Result<Response, Failure>;
type Shared = State<Arc<Receiver>>;

async fn receive(State(receiver): Shared, guest: Guest, headers: HeaderMap, body: Body) -> Answer {
    receiver.receive(&guest, &headers, body).await
}

async fn info(State(receiver): Shared) -> Answer {
    let info = receiver.weave.info().await?;
    let shape = InfoShape {
        version: VERSION.to_owned(),
        addresses: [("arweave".to_owned(), info.address)].into(),
        gateway: receiver.options.gateway.clone().unwrap_or_default(),
        free_upload_limit_bytes: receiver.options.item_bytes_max as u64,
    };
    Ok(json(StatusCode::OK, &shape))
}

async fn status(State(receiver): Shared, Path(id): Path<String>) -> Answer {
    let Some(entry) = receiver.entry(&id).await? else { return Ok(unknown()) };
    let confirmed = entry.block.is_some();
    let shape = json_value!({
        "status": if confirmed { "FINALIZED" } else { "CONFIRMED" },
        "bundleId": entry.bundle,
        "info": if confirmed { "permanent" } else { "pending" },
        "winc": "0",
        "block": entry.block.map(|block| block.height.0),
    });
    Ok(json(StatusCode::OK, &shape))
}

async fn offsets(State(receiver): Shared, Path(id): Path<String>) -> Answer {
    let Some(entry) = receiver.entry(&id).await? else { return Ok(unknown()) };
    let kind = entry.found.item.tags.first(protocol::tag::CONTENT_TYPE).unwrap_or_default();
    let shape = json_value!({
        "rootBundleId": entry.bundle,
        "payloadContentType": kind,
        "payloadContentLength": entry.data_size,
    });
    Ok(json(StatusCode::OK, &shape))
}

fn unknown() -> Response {
    text(StatusCode::NOT_FOUND, "TX doesn't exist")
}

impl Receiver {
    pub(super) fn new(weave: Arc<dyn Arweave>, options: Options, context: Context) -> Receiver {
        let limits = super::Options { body_bytes_max: options.item_bytes_max, ..context.options };
        Receiver { weave, options, limits }
    }

    /// Reads an item, has it kept, and answers with a receipt.
    pub(super) async fn receive(&self, guest: &Guest, headers: &HeaderMap, body: Body) -> Answer {
        let bytes = read_body(body, &self.limits).await?;
        let item = DataItem::parse(bytes).map_err(|error| {
            Error::invalid(error.to_string())
                .with_code(unit::Code::NOT_AN_ITEM)
                .with_hint("the body must be the bytes of a signed ANS-104 data item")
        })?;
        guest.check_item(&item).await?;
        let id = item.id;
        self.weave.upload(item).await?;
        let minimal = headers.get("prefer").is_some_and(|value| value == "return=minimal");
        if minimal || !self.options.sign_receipts {
            return Ok(json(StatusCode::OK, &json_value!({"id": id, "winc": "0"})));
        }
        let address = self.weave.info().await?.address;
        let receipt = self.weave.upload_receipt(id).await?;
        let gateway = self.options.gateway.clone();
        Ok(json(StatusCode::OK, &ReceiptShape::new(&receipt, address, gateway)))
    }

    async fn entry(&self, id: &str) -> Result<Option<unit::Entry>, Failure> {
        let Ok(id) = id.parse::<Id>() else { return Ok(None) };
        match self.weave.entry(id).await {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
