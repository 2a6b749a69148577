//! An Arweave node's and gateway's routes, at the root of a port: what arweave-js, ao's units and wallets ask.
//!
//! Answers are those of real nodes; `/mine`, `/mint`, `/wallet` and `/reset`, which scripts know from arlocal, only
//! exist where [`Options::control`] says so.

mod content;
mod library;
mod manifest;

pub use library::Library;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use bytes::Bytes;
use protocol::id::base64url;
use protocol::{Address, Height, Id, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::json as json_value;
use unit::{Arweave, BlockAt, BlockHash, BlockHead, Error, Kind, Posted};

use super::bundler::{self, Receiver};
use super::common::finish;
use super::limits::Guest;
use super::{Context, Failure, coded, graphql, json, read_body, text};
use crate::wire::block::{BlockShape, NodeShape, StatusShape};
use crate::wire::error::status;
use crate::wire::transaction::{ChunkShape, NewChunkShape, Number, OffsetShape, TransactionShape};

/// What a gateway takes in and gives out at most, and what it lets anyone do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether anyone may mine, mint and reset: on a development network only.
    pub control: bool,
    /// Bytes of a posted transaction as JSON: 12 MiB of data in base64url.
    pub transaction_bytes_max: usize,
    /// Bytes of a posted chunk as JSON: 256 KiB, a long proof, and their base64url.
    pub chunk_bytes_max: usize,
    /// Bytes of data that are read at once and sent on, for an answer of any length.
    pub piece_bytes: u64,
    /// Bytes of data up to which an answer says their SHA-256 (`x-ar-io-digest`): they are in memory at once.
    pub digest_bytes_max: u64,
    /// Bytes of a manifest.
    pub manifest_bytes_max: u64,
    /// GraphQL.
    pub graphql: graphql::Options,
    /// Items in octet streams, as at a bundler.
    pub bundler: bundler::Options,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            control: false,
            transaction_bytes_max: 17 << 20,
            chunk_bytes_max: 1 << 20,
            piece_bytes: 1 << 20,
            digest_bytes_max: 1 << 20,
            manifest_bytes_max: 16 << 20,
            graphql: graphql::Options::default(),
            bundler: bundler::Options::default(),
        }
    }
}

struct Server {
    weave: Arc<dyn Arweave>,
    receiver: Receiver,
    options: Options,
    context: Context,
}

/// The routes of a node and gateway.
pub fn router(weave: Arc<dyn Arweave>, options: Options, context: Context) -> Router {
    let receiver = Receiver::new(weave.clone(), options.bundler.clone(), context.clone());
    let graphql = graphql::routes(weave.clone(), options.graphql.clone(), context.clone());
    let server = Arc::new(Server { weave, receiver, options, context: context.clone() });
    let mut routes = Router::new()
        .route("/", get(info))
        .route("/info", get(info))
        .route("/height", get(height))
        .route("/time", get(time))
        .route("/peers", get(|| async { json(StatusCode::OK, &json_value!([])) }))
        .route("/tx_anchor", get(anchor))
        .route("/price/{bytes}", get(price))
        .route("/price/{bytes}/{target}", get(price_to))
        .route("/wallet/{address}/balance", get(balance))
        .route("/wallet/{address}/last_tx", get(last_tx))
        .route("/tx", post(post_tx))
        .route("/tx/pending", get(pending))
        .route("/unconfirmed_tx/{id}", get(unconfirmed))
        .route("/tx/{id}", get(transaction).post(post_item))
        .route("/tx/{id}/status", get(tx_status))
        .route("/tx/{id}/offset", get(offset))
        .route("/tx/{id}/{field}", get(field))
        .route("/chunk", post(post_chunk))
        .route("/chunk/{offset}", get(chunk))
        .route("/block/current", get(block_current))
        .route("/block/height/{height}", get(block_at_height))
        .route("/block/hash/{hash}", get(block_by_hash))
        .route("/raw/{id}", get(content::raw))
        .route("/{id}", get(content::resolved))
        .route("/{id}/", get(content::resolved_root))
        .route("/{id}/{*path}", get(content::resolved_path));
    if server.options.control {
        routes = routes
            .route("/mine", get(mine_one).post(mine_one))
            .route("/mine/{blocks}", get(mine).post(mine))
            .route("/mint/{address}/{winston}", get(mint).post(mint))
            .route("/wallet", post(wallet))
            .route("/reset", get(reset).post(reset));
    }
    finish(routes.with_state(server).merge(graphql).layer(DefaultBodyLimit::disable()), "gateway", &context)
}

type Answer = Result<Response, Failure>;
type Shared = State<Arc<Server>>;

async fn info(State(server): Shared) -> Answer {
    let info = server.weave.info().await?;
    Ok(json(StatusCode::OK, &NodeShape::new(&info, server.context.network.as_deref())))
}

async fn height(State(server): Shared) -> Answer {
    Ok(text(StatusCode::OK, server.weave.tip().await?.height.to_string()))
}

async fn time(State(server): Shared) -> Answer {
    Ok(text(StatusCode::OK, (server.context.clock.now().0 / 1000).to_string()))
}

async fn anchor(State(server): Shared) -> Answer {
    Ok(text(StatusCode::OK, server.weave.anchor().await?.to_string()))
}

async fn price(State(server): Shared, Path(bytes): Path<String>) -> Answer {
    quote(&server, &bytes, None).await
}

async fn price_to(State(server): Shared, Path((bytes, target)): Path<(String, String)>) -> Answer {
    let Some(target) = read_id(&target) else { return Ok(text(StatusCode::BAD_REQUEST, "Invalid address.")) };
    quote(&server, &bytes, Some(Address(target))).await
}

async fn quote(server: &Server, bytes: &str, target: Option<Address>) -> Answer {
    let Ok(bytes) = bytes.parse() else {
        let error = json_value!({"error": "size_must_be_an_integer"});
        return Ok(json(StatusCode::BAD_REQUEST, &error));
    };
    Ok(text(StatusCode::OK, server.weave.price(bytes, target).await?.to_string()))
}

async fn balance(State(server): Shared, Path(address): Path<String>) -> Answer {
    let Some(address) = read_id(&address).map(Address) else {
        return Ok(text(StatusCode::BAD_REQUEST, "Invalid address."));
    };
    Ok(text(StatusCode::OK, server.weave.balance(address).await?.to_string()))
}

async fn last_tx(State(server): Shared, Path(address): Path<String>) -> Answer {
    let Some(address) = read_id(&address).map(Address) else {
        return Ok(text(StatusCode::BAD_REQUEST, "Invalid address."));
    };
    let last = server.weave.last_tx(address).await?;
    Ok(text(StatusCode::OK, last.map(|id| id.to_string()).unwrap_or_default()))
}

/// A transaction as JSON, or an item as an octet stream from a client that knows one URL only.
async fn post_tx(state: Shared, guest: Guest, headers: HeaderMap, body: Body) -> Answer {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/octet-stream") {
        return state.receiver.receive(&guest, &headers, body).await;
    }
    let State(server) = state;
    let body = read_max(&server, body, server.options.transaction_bytes_max).await?;
    let shape: Result<TransactionShape, _> = serde_json::from_slice(&body);
    let transaction = match shape {
        Ok(shape) => shape.read(),
        Err(error) => Err(unreadable(&body, &error)),
    };
    drop(body);
    let posted = match transaction {
        Ok(transaction) => server.weave.post_transaction(transaction).await,
        Err(error) => Err(error),
    };
    Ok(match posted {
        Ok(Posted::Accepted) => text(StatusCode::OK, "OK"),
        Ok(Posted::Known) => text(StatusCode::ALREADY_REPORTED, "Transaction already processed."),
        Err(error) => plain(error),
    })
}

/// Why a body is no transaction. Nodes look at its id before the rest.
fn unreadable(body: &[u8], error: &serde_json::Error) -> Error {
    let value = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let is_id = |id: &serde_json::Value| id.as_str().is_some_and(|id| read_id(id).is_some());
    let what = if value.get("id").is_some_and(|id| !is_id(id)) { "Invalid hash." } else { "Invalid JSON." };
    Error::invalid(what).with_code(unit::Code::TRANSACTION).with_hint(error.to_string())
}

/// An item as at a bundler: the path names what would be paid with.
async fn post_item(State(server): Shared, guest: Guest, headers: HeaderMap, body: Body) -> Answer {
    server.receiver.receive(&guest, &headers, body).await
}

/// A node's refusal: a sentence as plain text, which scripts look for; the hint comes after it.
fn plain(error: Error) -> Response {
    let status = StatusCode::from_u16(status(error.kind)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    text(status, error.to_string())
}

async fn read_max(server: &Server, body: Body, max: usize) -> Result<Bytes, Failure> {
    let options = super::Options { body_bytes_max: max, ..server.context.options.clone() };
    read_body(body, &options).await
}

async fn pending(State(server): Shared) -> Answer {
    Ok(json(StatusCode::OK, &server.weave.pending().await?))
}

/// Reads 43 base64url characters, whatever the bits that the last has to spare: clients' decoders do not look.
fn read_id(text: &str) -> Option<Id> {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    let engine = GeneralPurpose::new(&alphabet::URL_SAFE, config);
    Id::from_slice(&engine.decode(text).ok().filter(|_| text.len() == 43)?)
}

fn waiting() -> Response {
    text(StatusCode::ACCEPTED, "Pending")
}

fn absent() -> Response {
    text(StatusCode::NOT_FOUND, "Not Found.")
}

/// A transaction in a block, or the answer where there is none.
async fn mined(
    server: &Server,
    id: &str,
) -> Result<Result<(Arc<Transaction>, BlockHead), Response>, Failure> {
    let Some(id) = read_id(id) else { return Ok(Err(text(StatusCode::BAD_REQUEST, "Invalid hash."))) };
    match server.weave.transaction(id).await {
        Ok((transaction, Some(block))) => Ok(Ok((transaction, block))),
        Ok((_, None)) => Ok(Err(waiting())),
        Err(error) if error.kind == Kind::NotFound => Ok(Err(absent())),
        Err(error) => Err(error.into()),
    }
}

async fn transaction(State(server): Shared, Path(id): Path<String>) -> Answer {
    match mined(&server, &id).await? {
        Ok((transaction, _)) => Ok(json(StatusCode::OK, &shape(&server, &transaction).await?)),
        Err(answer) => Ok(answer),
    }
}

/// A transaction, whether it is in a block or waits for one.
async fn unconfirmed(State(server): Shared, Path(id): Path<String>) -> Answer {
    let Some(id) = read_id(&id) else { return Ok(text(StatusCode::BAD_REQUEST, "Invalid hash.")) };
    match server.weave.transaction(id).await {
        Ok((transaction, _)) => Ok(json(StatusCode::OK, &shape(&server, &transaction).await?)),
        Err(error) if error.kind == Kind::NotFound => Ok(absent()),
        Err(error) => Err(error.into()),
    }
}

/// Only format 1 needs its data to be verified: it is part of what was signed.
async fn shape(server: &Server, transaction: &Transaction) -> Result<TransactionShape, Failure> {
    let mut shape = TransactionShape::from(transaction);
    if transaction.format == 1 {
        let entry = server.weave.entry(transaction.id).await?;
        shape.data.0 = server.weave.data(transaction.id, 0..entry.data_size).await?;
    }
    Ok(shape)
}

async fn tx_status(State(server): Shared, Path(id): Path<String>) -> Answer {
    match mined(&server, &id).await? {
        Ok((transaction, block)) => {
            // To a node the newest block is the first confirmation.
            let depth = server.weave.confirmations(transaction.id).await?.unwrap_or(0);
            let status = StatusShape {
                block_height: block.height.0,
                block_indep_hash: block.hash.to_string(),
                number_of_confirmations: depth + 1,
            };
            Ok(json(StatusCode::OK, &status))
        }
        Err(answer) => Ok(answer),
    }
}

async fn offset(State(server): Shared, Path(id): Path<String>) -> Answer {
    match mined(&server, &id).await? {
        Ok((transaction, _)) => match server.weave.offset(transaction.id).await {
            Ok((end, size)) => {
                let shape = OffsetShape { offset: Number(end.into()), size: Number(size.into()) };
                Ok(json(StatusCode::OK, &shape))
            }
            Err(error) if error.kind == Kind::NotFound => Ok(absent()),
            Err(error) => Err(error.into()),
        },
        Err(answer) => Ok(answer),
    }
}

async fn field(
    State(server): Shared,
    Path((id, field)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let transaction = match mined(&server, &id).await? {
        Ok((transaction, _)) => transaction,
        Err(answer) => return Ok(answer),
    };
    if field.starts_with("data.") {
        return content::whole(&server, transaction.id, &method, &headers).await;
    }
    let shape = TransactionShape::from(&*transaction);
    let field = match field.as_str() {
        "data" => {
            let entry = server.weave.entry(transaction.id).await?;
            base64url(server.weave.data(transaction.id, 0..entry.data_size).await?)
        }
        "tags" => return Ok(json(StatusCode::OK, &shape.tags)),
        "id" => shape.id.to_string(),
        "last_tx" => base64url(shape.last_tx.0),
        "owner" => base64url(shape.owner.0),
        "target" => base64url(shape.target.0),
        "quantity" => transaction.quantity.to_string(),
        "data_size" => transaction.data_size.to_string(),
        "data_root" => base64url(shape.data_root.0),
        "reward" => transaction.reward.to_string(),
        "signature" => base64url(shape.signature.0),
        "format" => transaction.format.to_string(),
        _ => {
            return Ok(json(
                StatusCode::NOT_FOUND,
                &json_value!({"status": 404, "error": "Field Not Found !"}),
            ));
        }
    };
    Ok(text(StatusCode::OK, field))
}

async fn post_chunk(State(server): Shared, body: Body) -> Answer {
    let body = read_max(&server, body, server.options.chunk_bytes_max).await?;
    let chunk = serde_json::from_slice::<NewChunkShape>(&body);
    let chunk = chunk.map_err(|error| Error::invalid("invalid_json").with_hint(error.to_string()));
    let taken = match chunk.and_then(NewChunkShape::read) {
        Ok(chunk) => server.weave.post_chunk(chunk).await,
        Err(error) => Err(error),
    };
    Ok(match taken {
        Ok(()) => json(StatusCode::OK, &json_value!({})),
        // Clients compare the word: the hint must not be in it.
        Err(Error { kind: Kind::Invalid, code, what, hint }) => {
            coded(json(StatusCode::BAD_REQUEST, &json_value!({"error": what, "hint": hint})), code)
        }
        Err(error) => Failure::from(error).into_response(),
    })
}

async fn chunk(State(server): Shared, Path(offset): Path<String>) -> Answer {
    let Ok(offset) = offset.parse() else {
        return Ok(json(StatusCode::BAD_REQUEST, &json_value!({"error": "invalid_offset"})));
    };
    Ok(json(StatusCode::OK, &ChunkShape::from(server.weave.chunk(offset).await?)))
}

async fn block_current(State(server): Shared) -> Answer {
    block(&server, BlockAt::Current).await
}

async fn block_at_height(State(server): Shared, Path(height): Path<String>) -> Answer {
    match height.parse() {
        Ok(height) => block(&server, BlockAt::Height(Height(height))).await,
        Err(_) => Ok(text(StatusCode::BAD_REQUEST, "Invalid height.")),
    }
}

async fn block_by_hash(State(server): Shared, Path(hash): Path<String>) -> Answer {
    match BlockHash::parse(&hash) {
        Some(hash) => block(&server, BlockAt::Hash(hash)).await,
        None => Ok(text(StatusCode::NOT_FOUND, "Block not found.")),
    }
}

async fn block(server: &Server, at: BlockAt) -> Answer {
    match server.weave.block(at).await {
        Ok(block) => Ok(json(StatusCode::OK, &BlockShape::from(&*block))),
        Err(error) if error.kind == Kind::NotFound => Ok(text(StatusCode::NOT_FOUND, "Block not found.")),
        Err(error) => Err(error.into()),
    }
}

async fn mine_one(state: Shared) -> Answer {
    state.weave.mine(1).await?;
    info(state).await
}

async fn mine(state: Shared, Path(blocks): Path<String>) -> Answer {
    let blocks =
        blocks.parse().map_err(|_| Error::invalid(format!("{blocks:?} is not a number of blocks")))?;
    state.weave.mine(blocks).await?;
    info(state).await
}

async fn mint(State(server): Shared, Path((address, winston)): Path<(String, String)>) -> Answer {
    let Some(address) = read_id(&address).map(Address) else {
        return Ok(text(StatusCode::BAD_REQUEST, "Invalid address."));
    };
    let winston =
        winston.parse().map_err(|_| Error::invalid(format!("{winston:?} is not a whole number")))?;
    Ok(text(StatusCode::OK, server.weave.mint(address, winston).await?.to_string()))
}

/// Gives a wallet what it shall have, as arlocal's tests begin.
async fn wallet(State(server): Shared, body: Body) -> Answer {
    let body = read_max(&server, body, WALLET_BYTES_MAX).await?;
    let wanted: WalletShape = serde_json::from_slice(&body).map_err(|error| {
        let hint = "post {\"address\": \"...\", \"balance\": winston}";
        Error::invalid(format!("the body is no wallet: {error}")).with_hint(hint)
    })?;
    let Some(address) = read_id(&wanted.address).map(Address) else {
        return Ok(text(StatusCode::BAD_REQUEST, "Invalid address."));
    };
    let balance = server.weave.mint(address, wanted.balance.0).await?;
    let said = json_value!({"address": wanted.address, "balance": balance.to_string()});
    Ok(json(StatusCode::OK, &said))
}

/// Bytes of an address and a number, generously.
const WALLET_BYTES_MAX: usize = 4096;

/// `POST /wallet`.
#[derive(Deserialize)]
struct WalletShape {
    address: String,
    #[serde(default)]
    balance: Number,
}

async fn reset(State(server): Shared) -> Answer {
    server.weave.reset().await?;
    Ok(text(StatusCode::OK, "reset done"))
}
