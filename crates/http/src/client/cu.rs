//! A compute unit somewhere else.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::{Address, Attestation, Digest, Height, Id, Outcome, ProcessId, Timestamp};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use unit::{
    Code, DryRun, Error, Evaluated, Evaluation, History, Kind, OutcomeQuery, Page, PublishedCheckpoint,
    Result, StateAt,
};

use super::Transport;
use super::transport::{Answer, base};
use crate::wire::attestation::{AttestationShape, ConsistencyShape, HistoryShape};
use crate::wire::cu::{CheckpointShape, DryRunShape, OutcomeShape, Results, Root, encode_cursor, sort_name};

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

    /// What only Pirn has. Others know no such path.
    async fn ours(&self, process: ProcessId, path: &str) -> Result<Answer> {
        let answer = self.get(&format!("api/v1/processes/{process}/{path}")).await;
        answer.map_err(|error| match (error.kind, error.code) {
            (Kind::NotFound, Code::NOT_FOUND) => unit::no_attestations(),
            _ => error,
        })
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

    async fn attest(&self, process: ProcessId, of: Evaluation, with_state: bool) -> Result<Attestation> {
        let state = if with_state { "?state" } else { "" };
        let of = match of {
            Evaluation::Message(message) => format!("attestations/{message}{state}"),
            Evaluation::Leaf(index) => format!("history/{index}{state}"),
        };
        let answer = self.ours(process, &of).await?;
        let attestation = answer.json::<AttestationShape>()?.read()?;
        let (said, unit) = (attestation.leaf.process, attestation.signer());
        if said != process {
            let what =
                format!("compute unit {unit} answered with an attestation of process {said}, not {process}");
            return Err(Error::refused(what).with_code(Code::NOT_ATTESTED));
        }
        Ok(attestation)
    }

    async fn publish_checkpoint(&self, process: ProcessId) -> Result<PublishedCheckpoint> {
        let url = format!("{}/api/v1/processes/{process}/checkpoints", self.url);
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        let answer = self.transport.send(Method::POST, &url, headers, Default::default()).await?;
        answer.json::<CheckpointShape>()?.read()
    }

    async fn history(&self, process: ProcessId, from: u64, limit: usize) -> Result<History> {
        let answer = self.ours(process, &format!("history?from={from}&limit={limit}")).await?;
        Ok(answer.json::<HistoryShape>()?.into())
    }

    async fn consistency(&self, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>> {
        let answer = self.ours(process, &format!("history/consistency?from={from}&to={to}")).await?;
        Ok(answer.json::<ConsistencyShape>()?.path)
    }
}
