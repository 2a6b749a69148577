//! Requests and what becomes of them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use unit::{Code, Error, Kind, Novelty, Result};

use crate::wire::IDEMPOTENT_REPLAY;
use crate::wire::error::{CODE, Refusal, kind};

/// How long and how much a client waits and reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Milliseconds until a connection must stand.
    pub connect_ms: u64,
    /// Milliseconds between two pieces of an answer, the first included. An evaluation may take minutes.
    pub read_ms: u64,
    /// Bytes of an answer: a page of a schedule, or the memory of a process.
    pub answer_bytes_max: usize,
    /// Redirects that are followed, a write's body sent again.
    pub redirects_max: usize,
    /// Idle connections that are kept to one server.
    pub idle_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connect_ms: 5_000,
            read_ms: 300_000,
            answer_bytes_max: 1 << 30,
            redirects_max: 5,
            idle_max: 32,
        }
    }
}

/// Sends requests and keeps connections. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Transport {
    plain: reqwest::Client,
    /// For `https`. Made when it is first needed: reading the system's certificates takes a while, they may not be
    /// there at all, and who speaks to a network on this computer needs none.
    secure: Arc<OnceLock<reqwest::Client>>,
    options: Options,
}

/// What a server answered, all of it.
pub(crate) struct Answer {
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Who said it, for errors.
    pub from: String,
}

impl Transport {
    /// A transport.
    pub fn new(options: Options) -> Result<Transport> {
        let plain = builder(&options).tls_certs_only([]).build().map_err(|error| Error::internal(&error))?;
        Ok(Transport { plain, secure: Arc::default(), options })
    }

    /// The client for a URL.
    fn client(&self, url: &str) -> Result<&reqwest::Client> {
        if !url.starts_with("https:") {
            return Ok(&self.plain);
        }
        if let Some(client) = self.secure.get() {
            return Ok(client);
        }
        let client = builder(&self.options).build().map_err(|error| {
            Error { kind: Kind::Unavailable, ..Error::internal(&error) }
                .with_code(Code::UNREACHABLE)
                .with_hint("https needs the certificates of the system: install ca-certificates")
        })?;
        Ok(self.secure.get_or_init(|| client))
    }

    /// Asks for something.
    pub(crate) async fn get(&self, url: &str) -> Result<Answer> {
        self.send(Method::GET, url, HeaderMap::new(), Bytes::new()).await
    }

    /// Asks anybody for something: the bytes of the answer.
    pub async fn read(&self, url: &str) -> Result<Bytes> {
        self.get(url).await.map(|answer| answer.body)
    }

    /// Sends something, and passes over what is answered.
    pub async fn post(&self, url: &str, content_type: &str, body: Bytes) -> Result<()> {
        let value = header::HeaderValue::from_str(content_type);
        let value =
            value.map_err(|error| Error::invalid(format!("the content type {content_type:?}: {error}")))?;
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, value)]);
        self.send(Method::POST, url, headers, body).await.map(drop)
    }

    /// Asks for something that comes bit by bit.
    pub(crate) async fn stream(&self, url: &str, headers: HeaderMap) -> Result<reqwest::Response> {
        let request = self.client(url)?.get(url).headers(headers);
        let response = request.send().await.map_err(|error| unreachable(url, &error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.whole(url, response).await?;
        Err(refusal(url, status, &headers, &body))
    }

    /// Sends `body`, and again to wherever a redirect points.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer> {
        let mut request = self.client(url)?.request(method, url).headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let response = request.send().await.map_err(|error| unreachable(url, &error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.whole(url, response).await?;
        if !status.is_success() {
            return Err(refusal(url, status, &headers, &body));
        }
        Ok(Answer { headers, body: body.into(), from: url.to_owned() })
    }

    /// A body to its end, if it is not too large.
    async fn whole(&self, url: &str, mut response: reqwest::Response) -> Result<Vec<u8>> {
        let announced = response.content_length().unwrap_or(0).min(1 << 20) as usize;
        let mut body = Vec::with_capacity(announced);
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(url, &error))? {
            if body.len() + chunk.len() > self.options.answer_bytes_max {
                let max = self.options.answer_bytes_max;
                return Err(Error::unavailable(format!("{url} answered with more than {max} bytes"))
                    .with_code(Code::STRANGE_ANSWER));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// What all of a transport's clients have in common.
fn builder(options: &Options) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_millis(options.connect_ms))
        .read_timeout(Duration::from_millis(options.read_ms))
        .pool_max_idle_per_host(options.idle_max)
        .redirect(reqwest::redirect::Policy::limited(options.redirects_max))
        .tcp_nodelay(true)
        // A node speaks to whom it is told to, whatever the environment says.
        .no_proxy()
        .user_agent(concat!("pirn/", env!("CARGO_PKG_VERSION")))
}

impl Answer {
    /// Reads the answer as JSON.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let start: String = String::from_utf8_lossy(&self.body).chars().take(80).collect();
            Error::unavailable(format!(
                "{} answered with something else than expected: {error}: {start:?}",
                self.from
            ))
            .with_code(Code::STRANGE_ANSWER)
        })
    }

    /// Whether what was asked for had been done before. Only our own units say so.
    pub fn novelty(&self) -> Novelty {
        let said = self.headers.get(IDEMPOTENT_REPLAY);
        if said.is_some_and(|value| value == "true") { Novelty::Repeat } else { Novelty::First }
    }

    /// A header that is a number.
    pub fn number(&self, name: &str) -> Result<u64> {
        let value =
            self.headers.get(name).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
        value.ok_or_else(|| {
            Error::unavailable(format!("{} answered without the header {name}", self.from))
                .with_code(Code::STRANGE_ANSWER)
        })
    }
}

fn unreachable(url: &str, error: &reqwest::Error) -> Error {
    let mut causes = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    // The innermost cause is the one that says something.
    let why = causes.pop().unwrap_or_else(|| error.to_string());
    let base = reqwest::Url::parse(url).map(|url| url.origin().ascii_serialization());
    Error::unavailable(format!("could not reach {}: {why}", base.as_deref().unwrap_or(url)))
        .with_code(Code::UNREACHABLE)
}

fn refusal(url: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let kind: Kind = kind(status.as_u16(), seconds.map(Duration::from_secs));
    let code: Option<Code> = headers.get(CODE).and_then(|value| value.to_str().ok()?.parse().ok());
    if let Ok(refusal) = serde_json::from_slice::<Refusal>(body) {
        return refusal.into_error(kind, code);
    }
    // What is no part of the protocol refuses with RFC 9457.
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
        hint: Option<String>,
    }
    if let Ok(Problem { detail, hint }) = serde_json::from_slice(body) {
        let error = Error::new(kind, detail);
        let error = code.into_iter().fold(error, Error::with_code);
        return hint.into_iter().fold(error, Error::with_hint);
    }
    let start: String = String::from_utf8_lossy(body).trim().chars().take(200).collect();
    let said = if start.is_empty() { String::new() } else { format!(": {start}") };
    let error = Error::new(kind, format!("{url} answered {}{said}", status.as_u16()));
    // Whatever answers like this is no unit of ao.
    error.with_code(code.unwrap_or(Code::STRANGE_ANSWER))
}

/// A base URL without the slash at its end.
pub(crate) fn base(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}
