//! A weave somewhere else: a gateway that is asked, and a bundler that takes items in.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use protocol::merkle;
use protocol::{Address, DataItem, Height, Id, Item, Transaction};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use unit::{BlockRef, Code, Error, Found, Kind, Page, Query, Result, Sort, Tip, Weave};

use super::Transport;
use super::transport::base;
use crate::wire::graphql::{self, Blocks, Response, Transactions};
use crate::wire::transaction::TransactionShape;

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
            tip_ms: 2_000,
        }
    }
}

/// A weave at a URL.
pub struct Gateway {
    pub(super) options: GatewayOptions,
    graphql: String,
    pub(super) transport: Transport,
    tip: Mutex<Option<(Instant, Tip)>>,
}

impl Gateway {
    /// The weave that these options name.
    pub fn new(options: GatewayOptions, transport: Transport) -> Gateway {
        let options =
            GatewayOptions { gateway: base(&options.gateway), uploader: base(&options.uploader), ..options };
        let graphql = options.graphql.clone().unwrap_or_else(|| format!("{}/graphql", options.gateway));
        Gateway { options, graphql, transport, tip: Mutex::new(None) }
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
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
            (ACCEPT, HeaderValue::from_static("application/json")),
            // A receipt takes the bundler milliseconds, and nobody here reads it.
            (HeaderName::from_static("prefer"), HeaderValue::from_static("return=minimal")),
        ]);
        let url = format!("{}/tx", self.options.uploader);
        self.transport.send(Method::POST, &url, headers, item.bytes().clone()).await.map(drop)
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
