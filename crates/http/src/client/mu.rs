//! A messenger unit somewhere else.

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, DataItem, Id, ProcessId};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use unit::{
    AssignRequest, Error, Monitored, MonitoredQuery, OutboxEntry, OutboxQuery, Page, Receipt, Result, Trace,
    TraceQuery,
};

use super::Transport;
use super::transport::{Answer, base};
use crate::wire::info::UnitInfo;
use crate::wire::monitored::MonitoredShape;
use crate::wire::mu::{Accepted, Traces, kind_name};
use crate::wire::outbox::OutboxShape;

/// A messenger unit at a URL.
#[derive(Debug, Clone)]
pub struct Messenger {
    url: String,
    transport: Transport,
}

impl Messenger {
    /// The messenger unit at `url`.
    pub fn new(url: &str, transport: Transport) -> Messenger {
        Messenger { url: base(url), transport }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it says of itself and its network. Only our own units do.
    pub async fn info(&self) -> Result<UnitInfo> {
        self.transport.get(&format!("{}/info", self.url)).await?.json()
    }

    /// How the node's settlement on a network elsewhere stands. Only our own nodes say so.
    pub async fn settlement(&self) -> Result<serde_json::Value> {
        self.transport.get(&format!("{}/api/v1/settlement", self.url)).await?.json()
    }

    async fn write(&self, method: Method, path: &str, body: Bytes) -> Result<Answer> {
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        self.transport.send(method, &format!("{}/{path}", self.url), headers, body).await
    }

    async fn on_monitor(&self, method: Method, request: DataItem) -> Result<()> {
        let Some(process) = request.target else {
            return Err(Error::invalid(format!("the item {} has no target", request.id)));
        };
        self.write(method, &format!("monitor/{process}"), request.bytes().clone()).await?;
        Ok(())
    }
}

#[async_trait]
impl unit::Messenger for Messenger {
    async fn send(&self, item: DataItem) -> Result<Receipt> {
        let answer = self.write(Method::POST, "", item.bytes().clone()).await?;
        Ok(Receipt { id: answer.json::<Accepted>()?.id, novelty: answer.novelty() })
    }

    async fn assign(&self, request: AssignRequest) -> Result<Receipt> {
        let mut path = format!("?process-id={}&assign={}", request.process, request.message);
        if request.base_layer {
            path.push_str("&base-layer");
        }
        if !request.exclude.is_empty() {
            path.push_str("&exclude=");
            path.push_str(&request.exclude.join(","));
        }
        let answer = self.write(Method::POST, &path, Bytes::new()).await?;
        Ok(Receipt { id: answer.json::<Accepted>()?.id, novelty: answer.novelty() })
    }

    async fn monitor(&self, request: DataItem) -> Result<()> {
        self.on_monitor(Method::POST, request).await
    }

    async fn unmonitor(&self, request: DataItem) -> Result<()> {
        self.on_monitor(Method::DELETE, request).await
    }

    async fn push(&self, process: ProcessId, message: Id, index: Option<usize>) -> Result<()> {
        let one = index.map(|index| format!("/{index}")).unwrap_or_default();
        let path = format!("push/{message}{one}?process-id={process}");
        self.write(Method::POST, &path, Bytes::new()).await?;
        Ok(())
    }

    async fn traces(&self, query: TraceQuery) -> Result<Page<Trace>> {
        // Pages have numbers on the wire, so what is skipped is whole pages.
        let limit = query.limit.max(1);
        let mut url = format!("{}/?debug=1&page-size={limit}&page={}", self.url, query.skip / limit + 1);
        if let Some(process) = query.process {
            url.push_str(&format!("&process={process}"));
        }
        if let Some(root) = query.root {
            url.push_str(&format!("&root={root}"));
        }
        if query.kind.is_some() || query.id.is_some() {
            let name = query.kind.map_or("message", kind_name).to_ascii_lowercase();
            url.push_str(&format!("&{name}={}", query.id.as_deref().unwrap_or_default()));
        }
        if let Some(wallet) = &query.wallet {
            url.push_str(&format!("&wallet={wallet}"));
        }
        self.transport.get(&url).await?.json::<Traces>()?.read()
    }

    async fn monitored(&self, query: MonitoredQuery) -> Result<Page<Monitored>> {
        let after = query.after.map(|process| format!("&after={process}")).unwrap_or_default();
        let url = format!("{}/api/v1/monitored?limit={}{after}", self.url, query.limit);
        Ok(self.transport.get(&url).await?.json::<MonitoredShape>()?.read())
    }

    async fn outbox(&self, query: OutboxQuery) -> Result<Page<OutboxEntry>> {
        let OutboxQuery { dead, after, limit } = query;
        let dead = if dead { "&dead" } else { "" };
        let url = format!("{}/api/v1/outbox?after={after}&limit={limit}{dead}", self.url);
        self.transport.get(&url).await?.json::<OutboxShape>()?.read()
    }

    async fn retry(&self, number: u64) -> Result<()> {
        self.write(Method::POST, &format!("api/v1/outbox/dead/{number}/retry"), Bytes::new()).await?;
        Ok(())
    }

    async fn address(&self) -> Result<Address> {
        Ok(self.info().await?.address)
    }
}
