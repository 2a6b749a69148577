//! A scheduler unit somewhere else.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, DataItem, Id, ProcessId};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::value::RawValue;
use unit::{
    Adopted, AssignRequest, HeldQuery, Page, Placed, ProcessRecord, RecoveryState, Result, Scheduled,
    SlotRange, Tip,
};

use super::Transport;
use super::transport::{Answer, base};
use crate::wire::su::{List, Node, ProcessShape, Root, TipShape, Written};
use crate::wire::timers::TimersShape;

/// A scheduler unit at a URL.
#[derive(Debug, Clone)]
pub struct Scheduler {
    url: String,
    transport: Transport,
}

impl Scheduler {
    /// The scheduler unit at `url`.
    pub fn new(url: &str, transport: Transport) -> Scheduler {
        Scheduler { url: base(url), transport }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.transport
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        self.transport.get(&format!("{}/{path}", self.url)).await
    }

    /// A write's answer. A unit of ours says the whole assignment, as preferred; others are asked for it.
    async fn written(&self, answer: Answer, message: Option<DataItem>, process: ProcessId) -> Result<Placed> {
        let novelty = answer.novelty();
        let written: Written<'_> = answer.json()?;
        let entry = match written.assignment {
            Some(assignment) => Scheduled {
                message: message.map(|item| item.shared()),
                assignment: Arc::new(assignment.read()?),
            },
            None => unit::Scheduler::find(self, Some(process), written.id).await?,
        };
        Ok(Placed { entry, novelty })
    }
}

fn write_headers() -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (ACCEPT, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("prefer"), HeaderValue::from_static("return=representation")),
    ])
}

#[async_trait]
impl unit::Scheduler for Scheduler {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        let url = format!("{}/", self.url);
        let answer = self.transport.send(Method::POST, &url, write_headers(), item.bytes().clone()).await?;
        let process = match item.kind() {
            Some("Process") => item.id.into(),
            _ => item.target.unwrap_or(item.id).into(),
        };
        self.written(answer, Some(item), process).await
    }

    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        let mut url = format!("{}/?process-id={}&assign={}", self.url, request.process, request.message);
        if request.base_layer {
            url.push_str("&base-layer");
        }
        if !request.exclude.is_empty() {
            url.push_str("&exclude=");
            url.push_str(&request.exclude.join(","));
        }
        let answer = self.transport.send(Method::POST, &url, write_headers(), Bytes::new()).await?;
        // What was assigned may have been delivered earlier, which only a look-up tells.
        let written: Written<'_> = answer.json()?;
        let entry = unit::Scheduler::find(self, Some(request.process), written.id).await?;
        Ok(Placed { entry, novelty: answer.novelty() })
    }

    async fn timers(&self, query: unit::TimersQuery) -> Result<Page<unit::ProcessTimers>> {
        let mut path = format!("api/v1/timers?limit={}", query.limit.max(1));
        for (name, id) in [("process", query.process), ("after", query.after)] {
            if let Some(id) = id {
                path.push_str(&format!("&{name}={id}"));
            }
        }
        let answer = self.get(&path).await?;
        Ok(answer.json::<TimersShape>()?.read())
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        // The id of a process asks for its schedule, whose first entry it is.
        let answer = match process {
            Some(process) => self.get(&format!("{id}?process-id={process}&show-anchor&limit=1")).await?,
            None => self.get(&format!("{id}?show-anchor&limit=1")).await?,
        };
        let whole: &RawValue = answer.json()?;
        let found = match serde_json::from_str::<Node<'_>>(whole.get()) {
            Ok(node) => Some(node.read()?),
            Err(_) => answer.json::<List<'_>>()?.read()?.items.into_iter().next(),
        };
        // Other schedulers answer with what another process has, and ours with the schedule of a process by that id.
        let found = found.filter(|entry| process.is_none_or(|process| entry.assignment.process == process));
        found.ok_or_else(|| {
            let within = process.map(|process| format!(" in the schedule of {process}")).unwrap_or_default();
            unit::Error::not_found(format!("there is no {id}{within} at {}", self.url))
                .with_code(unit::Code::NOT_SCHEDULED)
        })
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        let mut query = format!("{process}?process-id={process}&show-anchor&limit={limit}");
        let mut say = |name: &str, value: Option<u64>| {
            if let Some(value) = value {
                query.push_str(&format!("&{name}={value}"));
            }
        };
        match range {
            SlotRange::Time { after, to } => {
                say("from", after.map(|time| time.0));
                say("to", to.map(|time| time.0));
            }
            SlotRange::Slots { after, to } => {
                say("from-nonce", after.map(|slot| slot.0));
                say("to-nonce", to.map(|slot| slot.0));
                if after.is_none() {
                    query.push_str("&from-nonce=-1");
                }
            }
        }
        self.get(&query).await?.json::<List<'_>>()?.read()
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        self.get(&format!("{process}/latest")).await?.json::<Node<'_>>()?.read()
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        self.get(&format!("processes/{process}")).await?.json::<ProcessShape<'_>>()?.read()
    }

    async fn standing_of(&self, process: ProcessId) -> Result<RecoveryState> {
        let query = HeldQuery { only: Some(process), after: None, limit: 1 };
        unit::Recovery::recovery(self, query).await
    }

    async fn show(&self, _process: ProcessId, shown: Vec<DataItem>) -> Result<Adopted> {
        unit::Recovery::adopt(self, shown).await
    }

    async fn now(&self) -> Result<Tip> {
        self.get("timestamp").await?.json::<TipShape>()?.read()
    }

    async fn address(&self) -> Result<Address> {
        Ok(self.get("").await?.json::<Root>()?.address)
    }
}
