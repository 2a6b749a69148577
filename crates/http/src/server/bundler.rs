//! A bundler's routes: items in, receipts out, as at up.arweave.net.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use protocol::{DataItem, Id};
use serde::{Deserialize, Serialize};
use serde_json::json as json_value;
use tokio::sync::Semaphore;
use unit::{Arweave, Entry, Error, Kind, Weave};

use super::common::finish;
use super::limits::Guest;
use super::{Context, Failure, Params, json, multipart, read_body, text};
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
    pub(super) weave: Arc<dyn Arweave>,
    /// Takes what is sent: the same weave, or one that wraps it.
    uploads: Arc<dyn Weave>,
    options: Options,
    pub(super) limits: super::Options,
    /// Items, and uploads in parts, that are being taken in.
    under_way: Arc<Mutex<BTreeSet<Id>>>,
    /// Who puts parts together: an item that came in parts is in memory whole until it is kept.
    pub(super) assembling: Arc<Semaphore>,
}

/// Uploads that are put together at once.
const ASSEMBLED_MAX: usize = 2;

/// The routes of a bundler.
pub fn router(weave: Arc<dyn Arweave>, options: Options, context: Context) -> Router {
    let receiver = Arc::new(Receiver::new(weave, options, context.clone()));
    let free = || async { text(StatusCode::OK, "0.0000000000000") };
    let plenty = || async { text(StatusCode::OK, PLENTY) };
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
        .route("/v1/tx/{id}/offsets", get(offsets))
        .route("/chunks/{token}/{upload}/{what}", get(multipart::look).post(multipart::send))
        .route("/v1/chunks/{token}/{upload}/{what}", get(multipart::look).post(multipart::send))
        .route("/price/{size}", get(free))
        .route("/price/{token}/{size}", get(free))
        .route(
            "/v1/price/bytes/{size}",
            get(|| async {
                json(StatusCode::OK, &json_value!({"winc": "0", "adjustments": [], "fees": []}))
            }),
        )
        .route("/account/balance", get(plenty))
        .route("/account/balance/{token}", get(plenty))
        .route("/v1/account/balance/{token}", get(balance))
        .with_state(receiver);
    finish(routes.layer(DefaultBodyLimit::disable()), "bundler", &context)
}

/// What everybody has here, in winston.
const PLENTY: &str = "99999999999999999999";

pub(super) type Answer = Result<Response, Failure>;
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
    let mut shape = json_value!({
        "status": if confirmed { "FINALIZED" } else { "CONFIRMED" },
        "bundleId": entry.bundle,
        "info": if confirmed { "permanent" } else { "pending" },
        "winc": "0",
        "block": entry.block.map(|block| block.height.0),
    });
    add_offsets(&receiver, &entry, &mut shape).await?;
    Ok(json(StatusCode::OK, &shape))
}

/// Adds where the bytes of an item lie. A transaction of the base layer lies nowhere.
async fn add_offsets(
    receiver: &Receiver,
    entry: &Entry,
    shape: &mut serde_json::Value,
) -> Result<(), Failure> {
    shape["payloadContentType"] =
        entry.found.item.tags.first(protocol::tag::CONTENT_TYPE).unwrap_or_default().into();
    shape["payloadContentLength"] = entry.data_size.into();
    if entry.found.base_layer {
        return Ok(());
    }
    let offsets = receiver.weave.item_offsets(entry.found.item.id).await?;
    shape["rawContentLength"] = offsets.size.into();
    shape["payloadDataStart"] = offsets.data_start.into();
    if let Some((root, start)) = offsets.root {
        shape["rootBundleId"] = root.to_string().into();
        shape["startOffsetInRootBundle"] = start.into();
    }
    Ok(())
}

async fn offsets(State(receiver): Shared, Path(id): Path<String>) -> Answer {
    let Some(entry) = receiver.entry(&id).await? else { return Ok(unknown()) };
    let mut shape = json_value!({});
    add_offsets(&receiver, &entry, &mut shape).await?;
    Ok(json(StatusCode::OK, &shape))
}

/// What an account has, as a payment service says it.
async fn balance(params: Params) -> Response {
    let shape = json_value!({
        "winc": PLENTY,
        "controlledWinc": PLENTY,
        "effectiveBalance": PLENTY,
        "balance": PLENTY,
        "address": params.get("address"),
        "receivedApprovals": [],
        "givenApprovals": [],
    });
    json(StatusCode::OK, &shape)
}

/// Why bytes are no item.
pub(super) fn no_item(error: &protocol::ans104::Error) -> Error {
    Error::invalid(error.to_string())
        .with_code(unit::Code::NOT_AN_ITEM)
        .with_hint("the body must be the bytes of a signed ANS-104 data item")
}

fn unknown() -> Response {
    text(StatusCode::NOT_FOUND, "TX doesn't exist")
}

impl Receiver {
    pub(super) fn new(weave: Arc<dyn Arweave>, options: Options, context: Context) -> Receiver {
        let limits = super::Options { body_bytes_max: options.item_bytes_max, ..context.options };
        let uploads = context.uploads.unwrap_or_else(|| weave.clone());
        let assembling = Arc::new(Semaphore::new(ASSEMBLED_MAX));
        Receiver { weave, uploads, options, limits, under_way: Arc::default(), assembling }
    }

    /// Reads an item, has it kept, and answers with a receipt.
    pub(super) async fn receive(&self, guest: &Guest, headers: &HeaderMap, body: Body) -> Answer {
        let bytes = read_body(body, &self.limits).await?;
        let item = DataItem::parse(bytes).map_err(|error| no_item(&error))?;
        guest.check_item(&item).await?;
        let id = item.id;
        let Some(_under_way) = self.begin(id) else { return Ok(StatusCode::ACCEPTED.into_response()) };
        self.upload(item).await?;
        self.answer(id, headers).await
    }

    /// Notes that this is being taken in; `None` if somebody is at it.
    pub(super) fn begin(&self, id: Id) -> Option<UnderWay> {
        UnderWay::begin(&self.under_way, id)
    }

    /// Has an item kept.
    pub(super) async fn upload(&self, item: DataItem) -> unit::Result<()> {
        self.uploads.upload(item).await
    }

    /// What whoever uploaded an item hears.
    pub(super) async fn answer(&self, id: Id, headers: &HeaderMap) -> Answer {
        let minimal = headers.get("prefer").is_some_and(|value| value == "return=minimal");
        if minimal || !self.options.sign_receipts {
            return Ok(json(StatusCode::OK, &json_value!({"id": id, "winc": "0"})));
        }
        Ok(json(StatusCode::OK, &self.receipt(id).await?))
    }

    /// A signed receipt.
    pub(super) async fn receipt(&self, id: Id) -> Result<ReceiptShape, Failure> {
        let address = self.weave.info().await?.address;
        let receipt = self.weave.upload_receipt(id).await?;
        Ok(ReceiptShape::new(&receipt, address, self.options.gateway.clone()))
    }

    async fn entry(&self, id: &str) -> Result<Option<Entry>, Failure> {
        let Ok(id) = id.parse::<Id>() else { return Ok(None) };
        match self.weave.entry(id).await {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Notes that an item is being taken in: who sends it meanwhile hears that it is.
pub(super) struct UnderWay {
    all: Arc<Mutex<BTreeSet<Id>>>,
    id: Id,
}

impl UnderWay {
    /// `None` if it is under way already.
    fn begin(all: &Arc<Mutex<BTreeSet<Id>>>, id: Id) -> Option<UnderWay> {
        let is_first = all.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        is_first.then(|| UnderWay { all: Arc::clone(all), id })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
