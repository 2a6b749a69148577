//! `POST /api/v1/messages` and `POST /api/v1/processes`: the node signs, for applications that have no wallet.
//!
//! On a development network the public accounts sign. On a node, only if its operator names wallets for that, and only
//! for who has the token: whoever may write here speaks with those wallets.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use protocol::{ModuleId, ProcessId, tag};
use serde::Deserialize;
use unit::{Desk, Error, SaidTag, Wish, Wished};

use super::Door;
use super::hooks::{Taken, key_of, read};
use crate::server::{Failure, Options, json, with_novelty};

/// What opens the door.
const SETTING: &str = "desk.token_file";
/// Tags that one may name.
const TAGS_MAX: usize = 120;

/// What the routes need.
pub(super) struct Server {
    pub desk: Option<Arc<dyn Desk>>,
    pub door: Door,
    pub options: Options,
}

type Answer = Result<Response, Failure>;
type At = State<Arc<Server>>;

/// The routes.
pub(super) fn routes(server: Arc<Server>) -> Router {
    Router::new()
        .route("/api/v1/messages", post(message))
        .route("/api/v1/processes", post(process))
        .with_state(server)
}

/// Tags as an object, or as a list where a name comes twice.
#[derive(Deserialize)]
#[serde(untagged)]
enum TagsShape {
    Named(BTreeMap<String, String>),
    Listed(Vec<SaidTag>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageShape {
    process: ProcessId,
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    tags: Option<TagsShape>,
    #[serde(default)]
    data: String,
    #[serde(default)]
    signer: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessShape {
    #[serde(default)]
    module: Option<ModuleId>,
    #[serde(default)]
    tags: Option<TagsShape>,
    #[serde(default)]
    data: String,
    #[serde(default)]
    signer: Option<String>,
}

impl Server {
    async fn write(&self, wish: Wish, headers: &HeaderMap) -> Answer {
        let receipt = self.desk()?.write(wish, key_of(headers)?).await?;
        let taken = Taken { id: receipt.id.to_string() };
        Ok(with_novelty(json(StatusCode::CREATED, &taken), receipt.novelty))
    }

    fn desk(&self) -> Result<&dyn Desk, Error> {
        self.desk.as_deref().ok_or_else(|| {
            Error::not_found("this node signs for nobody").with_hint(
                "sign the item yourself and POST it to the messenger; or see desk in docs/config.md",
            )
        })
    }

    fn enter(&self, headers: &HeaderMap) -> Result<(), Error> {
        self.desk()?;
        self.door.check(headers, SETTING)
    }
}

async fn message(State(server): At, headers: HeaderMap, body: Body) -> Answer {
    server.enter(&headers)?;
    let MessageShape { process, action, tags, data, signer } = read(body, &server.options).await?;
    let action = action.map(|value| SaidTag { name: tag::ACTION.to_owned(), value });
    let tags = action.into_iter().chain(listed(tags)?).collect();
    server.write(Wish { signer, what: Wished::Message(process), tags, data }, &headers).await
}

async fn process(State(server): At, headers: HeaderMap, body: Body) -> Answer {
    server.enter(&headers)?;
    let ProcessShape { module, tags, data, signer } = read(body, &server.options).await?;
    let tags = listed(tags)?;
    server.write(Wish { signer, what: Wished::Process(module), tags, data }, &headers).await
}

fn listed(tags: Option<TagsShape>) -> Result<Vec<SaidTag>, Error> {
    let tags: Vec<_> = match tags {
        None => Vec::new(),
        Some(TagsShape::Listed(tags)) => tags,
        Some(TagsShape::Named(tags)) => {
            tags.into_iter().map(|(name, value)| SaidTag { name, value }).collect()
        }
    };
    if tags.len() > TAGS_MAX {
        return Err(Error::invalid(format!("{} tags are named, at most {TAGS_MAX} are taken", tags.len())));
    }
    Ok(tags)
}
