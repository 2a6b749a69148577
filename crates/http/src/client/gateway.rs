//! A weave somewhere else: a gateway that is asked, and a bundler that takes items in.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::merkle;
use protocol::{Address, DataItem, Height, Id, Item, Transaction};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use unit::{BlockRef, Code, Error, Found, Kind, Page, Piece, Query, Result, Sort, Tip, Weave};

use super::Transport;
use super::transport::base;
use crate::wire::bundler::ReceivedShape;
use crate::wire::graphql::{self, Blocks, Response, Transactions};
use crate::wire::transaction::{ChunkShape, OffsetShape, TransactionShape, header_json};

/// Where the weave is, and how far it is believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayOptions {
    /// The base URL of the gateway.
    pub gateway: String,
    /// The URL of its GraphQL, where that is another.
    pub graphql: Option<String>,
    /// The base URL of the bundler.
    pub uploader: String,
    /// Whether the signature of everything that is read with its data is checked. Gateways that do not tell the
    /// anchors of items exactly make items unreadable that have one.
    pub verify: bool,
    /// What becomes of the bundler's receipts.
    pub receipts: Receipts,
    /// Milliseconds for which the newest block is taken for the newest.
    pub tip_ms: u64,
}

impl Default for GatewayOptions {
    fn default() -> GatewayOptions {
        GatewayOptions {
            gateway: "https://arweave.net".to_owned(),
            graphql: None,
            uploader: "https://up.arweave.net".to_owned(),
            verify: true,
            receipts: Receipts::Unread,
            tip_ms: 2_000,
        }
    }
}

/// What becomes of a bundler's receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Receipts {
    /// None is asked for: a signature takes a bundler milliseconds, and one of ours is believed.
    Unread,
    /// One that is signed is checked by the key that it names. A bundler that signs nothing is believed.
    Checked,
    /// An item is taken only with a receipt that the key of this address signed.
    SignedBy(Address),
}

/// A weave at a URL.
pub struct Gateway {
    pub(super) options: GatewayOptions,
    graphql: String,
    pub(super) transport: Transport,
    tip: Mutex<Option<(Instant, Tip)>>,
    /// Transactions whose data was read piece by piece, the newest last.
    rooted: Mutex<Vec<(Id, Rooted)>>,
    /// The item that was read last, whole, for who reads it piece by piece.
    whole: Mutex<Option<(Id, Bytes)>>,
}

/// Where the data of a transaction is, and by what it is proven.
#[derive(Debug, Clone, Copy)]
struct Rooted {
    root: merkle::Hash,
    size: u64,
    /// Of its first byte, in the weave.
    start: u64,
}

/// Transactions that are remembered with their data root.
const ROOTED_MAX: usize = 256;

impl Gateway {
    /// The weave that these options name.
    pub fn new(options: GatewayOptions, transport: Transport) -> Gateway {
        let options =
            GatewayOptions { gateway: base(&options.gateway), uploader: base(&options.uploader), ..options };
        let graphql = options.graphql.clone().unwrap_or_else(|| format!("{}/graphql", options.gateway));
        Gateway {
            options,
            graphql,
            transport,
            tip: Mutex::new(None),
            rooted: Mutex::default(),
            whole: Mutex::default(),
        }
    }

    /// The base URL of the gateway.
    pub fn url(&self) -> &str {
        &self.options.gateway
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&self, request: &graphql::Request) -> Result<T> {
        let body = serde_json::to_vec(request).map_err(|error| Error::internal(&error))?;
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let answer = self.transport.send(Method::POST, &self.graphql, headers, body.into()).await?;
        answer.json::<Response<T>>()?.read()
    }

    /// Gives a wallet winston out of nothing, where the gateway is one of a development network; what it has then.
    pub async fn mint(&self, wallet: Address, winston: u128) -> Result<u128> {
        let url = format!("{}/mint/{wallet}/{winston}", self.options.gateway);
        let answer = self.transport.get(&url).await?;
        let balance = std::str::from_utf8(&answer.body).ok().and_then(|text| text.trim().parse().ok());
        balance.ok_or_else(|| Error::unavailable(format!("{url} answered with no balance")))
    }

    async fn head(&self, id: Id) -> Result<Found> {
        let page = self.query(Query { ids: vec![id], limit: 1, ..Query::default() }).await?;
        let found = page.items.into_iter().find(|found| found.item.id == id);
        found.ok_or_else(|| Error::not_found(format!("{id} is not known to {}", self.options.gateway)))
    }

    /// Checks that the gateway gave what was signed.
    async fn check(&self, found: &Found) -> Result<()> {
        let item = &*found.item;
        if !self.options.verify {
            return Ok(());
        }
        let holds = if found.base_layer { self.check_transaction(item).await? } else { item_holds(item) };
        if holds {
            return Ok(());
        }
        let what = format!("what {} gives as {} is not what was signed", self.options.gateway, item.id);
        let hint = "ask another gateway, or do not verify this one";
        Err(Error::unavailable(what).with_code(Code::NOT_AS_SIGNED).with_hint(hint))
    }

    /// The header of a transaction that is in a block, as it was signed.
    async fn transaction(&self, id: Id) -> Result<Transaction> {
        let answer = self.transport.get(&format!("{}/tx/{id}", self.options.gateway)).await?;
        let transaction = answer.json::<TransactionShape>()?.read()?;
        if self.options.verify && (transaction.id != id || transaction.verify().is_err()) {
            let what =
                format!("the header that {} gives as {id} is not what was signed", self.options.gateway);
            return Err(Error::unavailable(what).with_code(Code::NOT_AS_SIGNED));
        }
        Ok(transaction)
    }

    /// Where the data of that was when it was read last.
    fn known_root(&self, id: Id) -> Option<Rooted> {
        let known = self.rooted.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(of, _)| *of == id).map(|(_, rooted)| *rooted)
    }

    /// Where the data of that is, if it is a transaction whose data is proven chunk by chunk; `None` for what is read
    /// whole.
    async fn look_up_root(&self, id: Id) -> Result<Option<Rooted>> {
        if !self.head(id).await?.base_layer {
            return Ok(None);
        }
        let transaction = self.transaction(id).await?;
        let Ok(root) = merkle::Hash::try_from(&transaction.data_root[..]) else { return Ok(None) };
        let url = format!("{}/tx/{id}/offset", self.options.gateway);
        let end = match self.transport.get(&url).await {
            Ok(answer) => answer.json::<OffsetShape>()?.offset.0,
            // Not every gateway has chunks.
            Err(error) if error.kind == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size = transaction.data_size;
        let start = u64::try_from(end).ok().and_then(|end| end.checked_add(1)?.checked_sub(size));
        let start = start.ok_or_else(|| Error::unavailable(format!("{url} answered with no offset")))?;
        let found = Rooted { root, size, start };
        let mut rooted = self.rooted.lock().unwrap_or_else(PoisonError::into_inner);
        if rooted.len() >= ROOTED_MAX {
            rooted.remove(0);
        }
        rooted.push((id, found));
        Ok(Some(found))
    }

    /// The chunk with the byte `at` of a transaction, proven.
    async fn chunk_of(&self, id: Id, rooted: Rooted, at: u64) -> Result<Piece> {
        let Rooted { root, size, start } = rooted;
        if at >= size {
            return Ok(Piece { total: size, start: size, bytes: Bytes::new() });
        }
        let url = format!("{}/chunk/{}", self.options.gateway, start.saturating_add(at));
        let shape = self.transport.get(&url).await?.json::<ChunkShape>()?;
        let chunk = shape.chunk.0;
        let proven = merkle::prove(&root, size, at, &shape.data_path.0).filter(|proven| proven.is_of(&chunk));
        let proven = proven.ok_or_else(|| {
            Error::unavailable(format!("the chunk of {url} is not what {id} was signed with"))
                .with_code(Code::NOT_AS_SIGNED)
        })?;
        Ok(Piece { total: size, start: proven.range.start, bytes: chunk })
    }

    async fn check_transaction(&self, item: &Item) -> Result<bool> {
        let answer = self.transport.get(&format!("{}/tx/{}", self.options.gateway, item.id)).await?;
        // While it waits for a block, a node tells nothing about it.
        let Ok(shape) = answer.json::<TransactionShape>() else { return Ok(true) };
        let transaction = shape.read()?;
        Ok(transaction.id == item.id && transaction_holds(transaction, item))
    }
}

/// Whether the signature of a transaction is over this data.
fn transaction_holds(mut transaction: Transaction, item: &Item) -> bool {
    if transaction.format == 1 {
        transaction.data = item.data.clone();
        return transaction.verify().is_ok();
    }
    let size = item.data.len() as u64;
    let is_root = |chunks: Vec<_>| {
        merkle::tree(&merkle::leaves(&item.data, &chunks)).root[..] == transaction.data_root[..]
    };
    let has_root = if size == 0 {
        transaction.data_root.is_empty()
    } else {
        is_root(merkle::cut(size)) || is_root(merkle::cut_evenly(size))
    };
    has_root
        && transaction.data_size == size
        && transaction.tags() == item.tags
        && transaction.verify().is_ok()
}

/// Whether the signature of a data item is over what it is said to say. The gateway does not tell the type of a key;
/// its length leaves at most a few.
fn item_holds(item: &Item) -> bool {
    DataItem::restore(item).is_some()
}

#[async_trait]
impl Weave for Gateway {
    async fn upload(&self, item: DataItem) -> Result<()> {
        item.verify().map_err(|error| Error::invalid(error.to_string()))?;
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let by = match self.options.receipts {
            Receipts::Unread => {
                headers.insert(HeaderName::from_static("prefer"), HeaderValue::from_static("return=minimal"));
                None
            }
            Receipts::Checked => None,
            Receipts::SignedBy(address) => Some(address),
        };
        let url = format!("{}/tx", self.options.uploader);
        let answer = self.transport.send(Method::POST, &url, headers, item.bytes().clone()).await?;
        if self.options.receipts == Receipts::Unread {
            return Ok(());
        }
        let (id, receipt) = (item.id, ReceivedShape::read(&answer.body));
        let checked = unit::blocking(move || receipt.check(id, by)).await?;
        checked.map_err(|why| {
            Error::unavailable(format!("{url} gave no valid receipt for {id}: {why}"))
                .with_code(Code::NOT_AS_SIGNED)
                .with_hint("see that weave.uploader_address is the address that this bundler signs with")
        })
    }

    async fn get(&self, id: Id) -> Result<Found> {
        let found = self.head(id).await?;
        let data = self.raw(id).await?;
        let item = Item { data, ..(*found.item).clone() };
        let found = Found { item: item.into(), ..found };
        self.check(&found).await?;
        Ok(found)
    }

    async fn confirmations(&self, id: Id) -> Result<Option<u64>> {
        let found = self.head(id).await?;
        let Some(block) = found.block else { return Ok(None) };
        let tip = self.tip().await?;
        Ok(Some(tip.height.0.saturating_sub(block.height.0)))
    }

    async fn query(&self, query: Query) -> Result<Page<Found>> {
        let page = self.ask::<Transactions>(&graphql::transactions(&query)).await?.transactions;
        let read = |edge: graphql::Edge<graphql::TransactionShape>| edge.node.read(edge.cursor);
        let items = page.edges.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Page { items, has_next: page.page_info.has_next_page })
    }

    async fn tip(&self) -> Result<Tip> {
        let known = *self.tip.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, tip)) = known
            && at.elapsed() < Duration::from_millis(self.options.tip_ms)
        {
            return Ok(tip);
        }
        let newest = self.ask::<Blocks>(&graphql::newest_block()).await?.blocks.edges.into_iter().next();
        let block = newest.ok_or_else(|| Error::unavailable("the gateway knows no block"))?.node.read();
        let tip = Tip { timestamp: block.timestamp, height: block.height };
        *self.tip.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), tip));
        Ok(tip)
    }

    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>> {
        let page = self.ask::<Blocks>(&graphql::blocks(from.0, limit)).await?.blocks;
        Ok(page.edges.into_iter().map(|edge| edge.node.read()).collect())
    }

    /// Transactions come chunk by chunk, each with its proof; items have none, and are read whole once.
    async fn piece(&self, id: Id, at: u64) -> Result<Piece> {
        if let Some(rooted) = self.known_root(id) {
            let piece = self.chunk_of(id, rooted, at).await;
            if piece.is_ok() {
                return piece;
            }
            // It may lie elsewhere since blocks were replaced.
            self.rooted.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _)| *of != id);
        }
        if let Some(rooted) = self.look_up_root(id).await? {
            return self.chunk_of(id, rooted, at).await;
        }
        let known = self.whole.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let bytes = match known.filter(|(of, _)| *of == id) {
            Some((_, bytes)) => bytes,
            None => {
                let bytes = self.get(id).await?.item.data.clone();
                *self.whole.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, bytes.clone()));
                bytes
            }
        };
        Ok(Piece { total: bytes.len() as u64, start: 0, bytes })
    }

    async fn transaction_json(&self, id: Id) -> Result<Bytes> {
        let transaction = self.transaction(id).await?;
        let mut shape = TransactionShape::from(&transaction);
        // Format 1 has its data in its header, format 2 need not.
        if transaction.format != 1 {
            shape.data.0 = Bytes::new();
        }
        header_json(&shape, transaction.address())
    }

    async fn block_json(&self, height: Height) -> Result<Bytes> {
        let url = format!("{}/block/height/{}", self.options.gateway, height.0);
        let body = self.transport.get(&url).await?.body;
        let told = serde_json::from_slice::<serde_json::Value>(&body).ok();
        if told.and_then(|block| block.get("height")?.as_u64()) != Some(height.0) {
            return Err(Error::unavailable(format!("{url} answered with no block of that height"))
                .with_code(Code::STRANGE_ANSWER));
        }
        Ok(body)
    }

    async fn knows_wallet(&self, address: Address) -> Result<bool> {
        let signed = Query { owners: vec![address], limit: 1, sort: Sort::Descending, ..Query::default() };
        if !self.query(signed).await?.items.is_empty() {
            return Ok(true);
        }
        match self.transport.get(&format!("{}/wallet/{address}/balance", self.options.gateway)).await {
            Ok(answer) => Ok(answer.body.trim_ascii() != b"0" && !answer.body.is_empty()),
            Err(error) if error.kind == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
