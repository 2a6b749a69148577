//! A gateway as people look at it: transactions, items and blocks with what is known around them.

use bytes::Bytes;
use protocol::{Address, Id, Tags, Transaction};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use unit::{BlockAt, Error, Kind, Result};

use super::Transport;
use super::transport::base;
use crate::wire::block::{BlockShape, NodeShape};
use crate::wire::graphql::Response;
use crate::wire::transaction::{Number, TransactionShape};

/// Looks around at a gateway, of whatever make. What it tells is the gateway's word, but for what is signed.
#[derive(Debug, Clone)]
pub struct Explorer {
    url: String,
    transport: Transport,
}

/// How much of what a query asks for is asked for at once: what every gateway gives.
pub const PAGE: usize = 100;

/// What GraphQL tells of a transaction or an item.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct Sight {
    pub id: Id,
    pub owner: SightOwner,
    #[serde(default)]
    pub fee: SightAmount,
    pub data: SightData,
    #[serde(default)]
    pub tags: Tags,
    #[serde(default)]
    pub block: Option<SightBlock>,
    #[serde(default)]
    pub bundled_in: Option<SightBundle>,
}

/// Who signed.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct SightOwner {
    pub address: Address,
}

/// An amount.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct SightAmount {
    #[serde(default)]
    pub winston: Number,
}

/// About the data.
#[derive(Debug, Clone, Deserialize)]
pub struct SightData {
    pub size: Number,
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
}

/// Where it is.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct SightBlock {
    pub id: String,
    pub height: u64,
    /// Seconds.
    pub timestamp: u64,
}

/// What has it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct SightBundle {
    pub id: Id,
}

#[derive(Deserialize)]
struct Seen {
    transactions: Edges,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Edges {
    #[serde(default)]
    page_info: PageInfo,
    edges: Vec<Edge>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
}

#[derive(Deserialize)]
struct Edge {
    node: Sight,
}

const SEEN: &str = "query ($ids: [ID!], $bundles: [ID!], $first: Int) { \
    transactions(ids: $ids, bundledIn: $bundles, first: $first, sort: HEIGHT_ASC) { pageInfo { hasNextPage } \
    edges { node { id owner { address } fee { winston } data { size type } tags { name value } \
    block { id height timestamp } bundledIn { id } } } } }";

impl Explorer {
    /// Looks around at the gateway with that base URL.
    pub fn new(url: &str, transport: Transport) -> Explorer {
        Explorer { url: base(url), transport }
    }

    /// Where it looks.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A block.
    pub async fn block(&self, at: BlockAt) -> Result<BlockShape> {
        let which = match at {
            BlockAt::Current => "current".to_owned(),
            BlockAt::Height(height) => format!("height/{height}"),
            BlockAt::Hash(hash) => format!("hash/{hash}"),
        };
        let answer = self.transport.get(&format!("{}/block/{which}", self.url)).await;
        let answer = answer.map_err(|error| match error.kind {
            Kind::NotFound => Error::not_found(format!("there is no block {which} at {}", self.url)),
            _ => error,
        })?;
        answer.json()
    }

    /// The height of the newest block.
    pub async fn height(&self) -> Result<u64> {
        let info = self.transport.get(&format!("{}/info", self.url)).await?;
        Ok(info.json::<NodeShape>()?.height)
    }

    /// A transaction of the base layer, whether it is in a block or waits for one; `None` if none has that id.
    pub async fn transaction(&self, id: Id) -> Result<Option<Transaction>> {
        for path in ["unconfirmed_tx", "tx"] {
            match self.transport.get(&format!("{}/{path}/{id}", self.url)).await {
                Ok(answer) if answer.body[..] == *b"Pending" => {}
                Ok(answer) => return answer.json::<TransactionShape>()?.read().map(Some),
                Err(error) if matches!(error.kind, Kind::NotFound | Kind::Invalid) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// What the gateway's index has of these, and whether there are more than are told.
    pub async fn seen(&self, ids: &[Id]) -> Result<(Vec<Sight>, bool)> {
        self.ask(json!({"ids": ids, "first": PAGE})).await
    }

    /// The items of a bundle, the first [`PAGE`], and whether there are more.
    pub async fn items_of(&self, bundle: Id) -> Result<(Vec<Sight>, bool)> {
        self.ask(json!({"bundles": [bundle], "first": PAGE})).await
    }

    /// The data of something; `None` while it is not there.
    pub async fn data(&self, id: Id) -> Result<Option<Bytes>> {
        match self.transport.get(&format!("{}/raw/{id}", self.url)).await {
            Ok(answer) => Ok(Some(answer.body)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, variables: serde_json::Value) -> Result<(Vec<Sight>, bool)> {
        let body = json!({"query": SEEN, "variables": variables}).to_string();
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let url = format!("{}/graphql", self.url);
        let answer = self.transport.send(Method::POST, &url, headers, body.into()).await?;
        let seen: Seen = answer.json::<Response<Seen>>()?.read()?;
        let has_more = seen.transactions.page_info.has_next_page;
        Ok((seen.transactions.edges.into_iter().map(|edge| edge.node).collect(), has_more))
    }
}
