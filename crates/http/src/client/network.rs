//! A gateway as settlement sees it: transactions and chunks in, prices, anchors and whereabouts out.

use async_trait::async_trait;
use bytes::Bytes;
use protocol::id::from_base64url;
use protocol::{Address, Id, Transaction};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use unit::{Code, Error, GatewayHealth, Kind, Network, NewChunk, Posted, Result, Whereabouts};

use super::Gateway;
use crate::wire::transaction::{NewChunkShape, TransactionShape};

/// What nodes say of a transaction that they have, where they do not say it with 208.
const KNOWN: [&str; 3] = ["already on the weave", "already processed", "in the mempool"];
/// What nodes say of a chunk that may be taken later.
const LATER: [&str; 4] = ["data_root_not_found", "exceeds_disk_pool_size_limit", "disk_full", "timeout"];

/// `GET /tx/{id}/status`.
#[derive(Deserialize)]
struct Status {
    number_of_confirmations: u64,
}

impl Gateway {
    async fn post<T: Serialize>(&self, path: &str, body: &T) -> Result<()> {
        let body = serde_json::to_vec(body).map_err(|error| Error::internal(&error))?;
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        self.transport.send(Method::POST, &self.at(path), headers, body.into()).await.map(drop)
    }

    async fn text(&self, path: &str) -> Result<String> {
        let answer = self.transport.get(&self.at(path)).await?;
        Ok(String::from_utf8_lossy(&answer.body).trim().to_owned())
    }

    async fn winston(&self, path: &str) -> Result<u128> {
        self.text(path).await?.parse().map_err(|_| self.strange(path))
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.options.gateway)
    }

    fn strange(&self, path: &str) -> Error {
        Error::unavailable(format!("{} answered with something else than expected", self.at(path)))
            .with_code(Code::STRANGE_ANSWER)
    }

    /// The data of something, without a look at a manifest where the gateway has such a route.
    pub(super) async fn raw(&self, id: Id) -> Result<Bytes> {
        match self.transport.get(&self.at(&format!("/raw/{id}"))).await {
            // Not every gateway has the route.
            Err(error) if error.kind == Kind::NotFound => {
                Ok(self.transport.get(&self.at(&format!("/{id}"))).await?.body)
            }
            answer => Ok(answer?.body),
        }
    }
}

#[async_trait]
impl Network for Gateway {
    async fn post_transaction(&self, transaction: &Transaction) -> Result<Posted> {
        match self.post("/tx", &TransactionShape::from(transaction)).await {
            Ok(()) => Ok(Posted::Accepted),
            Err(error) if KNOWN.iter().any(|known| error.what.contains(known)) => Ok(Posted::Known),
            Err(error) => Err(error),
        }
    }

    async fn post_chunk(&self, chunk: NewChunk) -> Result<()> {
        let sent = self.post("/chunk", &NewChunkShape::from(chunk)).await;
        sent.map_err(|error| match LATER.iter().any(|later| error.what.contains(later)) {
            true => Error { kind: Kind::Unavailable, ..error },
            false => error,
        })
    }

    async fn whereabouts(&self, transaction: Id) -> Result<Whereabouts> {
        let path = format!("/tx/{transaction}/status");
        let answer = match self.transport.get(&self.at(&path)).await {
            Err(error) if error.kind == Kind::NotFound => return Ok(Whereabouts::Unknown),
            answer => answer?,
        };
        // 202, and 200 where a gateway does not know better.
        if answer.body.trim_ascii().eq_ignore_ascii_case(b"pending") {
            return Ok(Whereabouts::Pending);
        }
        let status: Status = answer.json()?;
        Ok(Whereabouts::InBlock { confirmations: status.number_of_confirmations })
    }

    async fn anchor(&self) -> Result<Bytes> {
        let path = "/tx_anchor";
        let anchor = from_base64url(&self.text(path).await?).filter(|anchor| anchor.len() <= 48);
        anchor.map(Bytes::from).ok_or_else(|| self.strange(path))
    }

    async fn price(&self, bytes: u64) -> Result<u128> {
        self.winston(&format!("/price/{bytes}")).await
    }

    async fn balance(&self, wallet: Address) -> Result<u128> {
        self.winston(&format!("/wallet/{wallet}/balance")).await
    }

    async fn data(&self, transaction: Id) -> Result<Bytes> {
        self.raw(transaction).await
    }

    fn gateways(&self) -> Vec<GatewayHealth> {
        vec![GatewayHealth { url: self.options.gateway.clone(), failures: 0, error: None }]
    }
}
