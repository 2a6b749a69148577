//! The webhooks of a node somewhere else.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;
use unit::{Error, Hook, HookWish, Result};

use super::Transport;
use super::transport::{Answer, base};
use crate::wire::hooks::{DeadPage, HookPage};

/// The webhooks of the node at a URL.
#[derive(Debug, Clone)]
pub struct Webhooks {
    url: String,
    transport: Transport,
    headers: HeaderMap,
}

impl Webhooks {
    /// Those of the node at `url`, with its token if it has one.
    pub fn new(url: &str, transport: Transport, token: Option<&str>) -> Result<Webhooks> {
        let mut headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
                .map_err(|_| Error::invalid("the token is no text that a request could carry"))?;
            headers.insert(AUTHORIZATION, value);
        }
        Ok(Webhooks { url: format!("{}/api/v1/webhooks", base(url)), transport, headers })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<Answer> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|error| Error::internal(&error))?;
        let url = format!("{}{path}", self.url);
        self.transport.send(method, &url, self.headers.clone(), body.unwrap_or_default().into()).await
    }

    /// Makes one.
    pub async fn create(&self, wish: &HookWish) -> Result<Hook> {
        self.ask(Method::POST, "", Some(wish)).await?.json()
    }

    /// Some of them.
    pub async fn list(&self, after: Option<&str>, limit: usize) -> Result<HookPage> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        self.ask(Method::GET, &format!("?limit={limit}{after}"), None::<&()>).await?.json()
    }

    /// One of them.
    pub async fn get(&self, id: &str) -> Result<Hook> {
        self.ask(Method::GET, &format!("/{id}"), None::<&()>).await?.json()
    }

    /// Forgets one.
    pub async fn remove(&self, id: &str) -> Result<()> {
        self.ask(Method::DELETE, &format!("/{id}"), None::<&()>).await.map(drop)
    }

    /// Delivers again from a place on.
    pub async fn replay(&self, id: &str, from: &str) -> Result<Hook> {
        let wish = serde_json::json!({"from": from});
        self.ask(Method::POST, &format!("/{id}/replay"), Some(&wish)).await?.json()
    }

    /// What one gave up.
    pub async fn dead(&self, id: &str, after: Option<&str>, limit: usize) -> Result<DeadPage> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        self.ask(Method::GET, &format!("/{id}/dead?limit={limit}{after}"), None::<&()>).await?.json()
    }

    /// Posts one of those again.
    pub async fn retry(&self, id: &str, place: &str) -> Result<()> {
        self.ask(Method::POST, &format!("/{id}/dead/{place}/retry"), None::<&()>).await.map(drop)
    }
}
