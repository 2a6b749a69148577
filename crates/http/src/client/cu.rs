//! A compute unit somewhere else.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::{Address, Height, Id, Outcome, ProcessId, Timestamp};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use unit::{DryRun, Error, Evaluated, OutcomeQuery, Page, Result, StateAt};

use super::Transport;
use super::transport::{Answer, base};
use crate::wire::cu::{DryRunShape, OutcomeShape, Results, Root, encode_cursor, sort_name};

/// A compute unit at a URL.
#[derive(Debug, Clone)]
pub struct Compute {
    url: String,
    transport: Transport,
}

impl Compute {
    /// The compute unit at `url`.
    pub fn new(url: &str, transport: Transport) -> Compute {
        Compute { url: base(url), transport }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        self.transport.get(&format!("{}/{path}", self.url)).await
    }

    async fn page(&self, route: &str, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        let sort = sort_name(query.sort);
        let mut path = format!("{route}/{process}?full&limit={}&sort={sort}", query.limit);
        for (name, cursor) in [("from", query.from), ("to", query.to)] {
            if let Some(cursor) = cursor {
                // The alphabet of base64 has three characters that a query gives another meaning.
                let escaped =
                    encode_cursor(&cursor).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                path.push_str(&format!("&{name}={escaped}"));
            }
        }
        self.get(&path).await?.json::<Results<'_>>()?.read()
    }
}

#[async_trait]
impl unit::Compute for Compute {
    async fn result(&self, process: ProcessId, message: Id) -> Result<Arc<Outcome>> {
        let answer = self.get(&format!("result/{message}?process-id={process}&no-busy=1&full")).await?;
        Ok(Arc::new(answer.json::<OutcomeShape<'_>>()?.read()))
    }

    async fn results(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        self.page("results", process, query).await
    }

    async fn cron(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        self.page("cron", process, query).await
    }

    async fn dry_run(&self, process: ProcessId, message: DryRun, at: Option<Id>) -> Result<Outcome> {
        let at = at.map(|at| format!("&to={at}")).unwrap_or_default();
        let url = format!("{}/dry-run?process-id={process}{at}&full", self.url);
        let body =
            serde_json::to_vec(&DryRunShape::from(&message)).map_err(|error| Error::internal(&error))?;
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let answer = self.transport.send(Method::POST, &url, headers, body.into()).await?;
        Ok(answer.json::<OutcomeShape<'_>>()?.read())
    }

    async fn state(&self, process: ProcessId, to: Option<Timestamp>) -> Result<StateAt> {
        let to = to.map(|to| format!("?to={to}")).unwrap_or_default();
        let answer = self.get(&format!("state/{process}{to}")).await?;
        Ok(StateAt {
            timestamp: Timestamp(answer.number("last-timestamp")?),
            ordinate: answer.number("last-ordinate")?,
            block_height: Height(answer.number("last-block-height")?),
            memory: answer.body,
        })
    }

    async fn address(&self) -> Result<Address> {
        Ok(self.get("").await?.json::<Root>()?.address)
    }
}
