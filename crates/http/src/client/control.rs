//! The controls of a development network somewhere else.

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use unit::{
    AccountState, ClockMove, ClockState, Error, MiningMode, ReorganisedState, Result, SnapshotInfo, Tip,
};

use super::Transport;
use super::transport::base;
use crate::wire::control::{Accounts, MinedShape, Snapshots};

/// The controls of the development network with a unit at a URL.
#[derive(Debug, Clone)]
pub struct Control {
    url: String,
    transport: Transport,
}

impl Control {
    /// The controls of the network with the unit at `url`.
    pub fn new(url: &str, transport: Transport) -> Control {
        Control { url: base(url), transport }
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let url = format!("{}/api/v1/dev/{path}", self.url);
        self.transport.send(method, &url, headers, body).await?.json::<T>()
    }
}

#[async_trait]
impl unit::Control for Control {
    async fn clock(&self) -> Result<ClockState> {
        self.ask(Method::GET, "clock", None).await
    }

    async fn move_clock(&self, how: ClockMove) -> Result<ClockState> {
        let (path, body) = match how {
            ClockMove::Freeze => ("clock/freeze", json!({})),
            ClockMove::Resume => ("clock/resume", json!({})),
            ClockMove::Set(at) => ("clock/set", json!({"timestamp": at.0})),
            ClockMove::Advance(ms) => ("clock/advance", json!({"ms": ms})),
        };
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn mining(&self) -> Result<MiningMode> {
        self.ask(Method::GET, "mining", None).await
    }

    async fn set_mining(&self, mode: MiningMode) -> Result<MiningMode> {
        let body = serde_json::to_value(mode).map_err(|error| Error::internal(&error))?;
        self.ask(Method::PUT, "mining", Some(body)).await
    }

    async fn mine(&self, blocks: u64) -> Result<Tip> {
        let mined: MinedShape =
            self.ask(Method::POST, "mining/mine", Some(json!({"blocks": blocks}))).await?;
        Ok(mined.read())
    }

    async fn reorganise(&self, blocks: u64) -> Result<ReorganisedState> {
        self.ask(Method::POST, "reorganise", Some(json!({"blocks": blocks}))).await
    }

    async fn accounts(&self) -> Result<Vec<AccountState>> {
        Ok(self.ask::<Accounts>(Method::GET, "accounts", None).await?.accounts)
    }

    async fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        Ok(self.ask::<Snapshots>(Method::GET, "snapshots", None).await?.snapshots)
    }

    async fn save_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        self.ask(Method::POST, "snapshots", Some(json!({"name": name}))).await
    }

    async fn restore_snapshot(&self, name: &str) -> Result<SnapshotInfo> {
        check_name(name)?;
        self.ask(Method::POST, &format!("snapshots/{name}/restore"), Some(json!({}))).await
    }

    async fn remove_snapshot(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.ask::<Value>(Method::DELETE, &format!("snapshots/{name}"), None).await.map(drop)
    }

    async fn reset(&self) -> Result<()> {
        self.ask::<Value>(Method::POST, "reset", Some(json!({}))).await.map(drop)
    }
}

/// A name that stands in a path as it is.
fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match !name.is_empty() && name.len() <= 64 && name.chars().all(plain) && !name.starts_with('.') {
        true => Ok(()),
        false => Err(Error::invalid(format!("{name:?} is no name of a snapshot"))
            .with_hint("names are letters, digits and . _ -, at most 64 of them")),
    }
}
