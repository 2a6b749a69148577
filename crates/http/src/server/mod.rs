//! Servers: a unit's contract, carried over HTTP.

pub mod su;
pub mod mu;
pub mod cu;
pub mod weave;
pub mod graphql;
pub mod bundler;
pub mod limits;
mod api;
mod common;
mod multipart;
mod recovery;
mod reply;
mod request;
mod serve;
mod watched;

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use unit::{Clock, Control, Desk, Events, Recovery, Subscriptions, Weave};

use crate::wire::info::{Check, Network};

pub use api::{Door, Globals, Guard, Names, Reads};
pub use reply::Failure;
pub use request::Params;
pub use serve::{Serving, serve};

pub(crate) use reply::{coded, json, text, with_novelty};
pub(crate) use request::read_body;

/// What a server takes in and gives out at most.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Bytes of a request's body: 10 MiB, as the reference units accept.
    pub body_bytes_max: usize,
    /// Bytes of a larger body that are read and thrown away, so that its sender hears why it was refused.
    pub refused_bytes_max: usize,
    /// Entries of a page, whatever a client asks for: what the reference compute unit asks a scheduler for.
    pub page_max: usize,
    /// Milliseconds that a browser may remember what it may do: one day.
    pub preflight_ms: u64,
    /// Milliseconds of silence after which a listener to events hears that it is still connected.
    pub heartbeat_ms: u64,
    /// Connections of each port that are open at once. More are told to come back. Each takes a file descriptor, of
    /// which the operating system gives a program a number of its own (`ulimit -n`).
    pub connections_max: usize,
    /// The same of one address. This computer's own are not counted: a proxy there stands for many.
    pub connections_per_address_max: usize,
    /// Milliseconds from the first byte of a request to the end of its head. Slower connections are cut.
    pub header_ms: u64,
    /// Milliseconds that a connection may stay open while nobody asks anything.
    pub idle_ms: u64,
    /// Milliseconds that the next piece of a body may take. It is answered 408 then.
    pub body_pause_ms: u64,
    /// Milliseconds that a whole body may take: the largest at a bit less than 300 kbit/s.
    pub body_ms: u64,
    /// Milliseconds without the other end taking any more of an answer. Then the connection is cut.
    pub write_pause_ms: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            body_bytes_max: 10 << 20,
            refused_bytes_max: 64 << 20,
            page_max: 1000,
            preflight_ms: 24 * 60 * 60 * 1000,
            heartbeat_ms: 15_000,
            connections_max: 4096,
            connections_per_address_max: 512,
            header_ms: 15_000,
            idle_ms: 75_000,
            body_pause_ms: 30_000,
            body_ms: 300_000,
            write_pause_ms: 60_000,
        }
    }
}

/// How a node looks at itself for `GET /readyz`.
pub type Checks = Arc<dyn Fn() -> BoxFuture<'static, Vec<Check>> + Send + Sync>;

/// What servers of one node have in common.
#[derive(Clone)]
pub struct Context {
    /// Bounds.
    pub options: Options,
    /// Tells the time, where a unit's root says it.
    pub clock: Arc<dyn Clock>,
    /// The network, for `GET /info`.
    pub network: Option<Arc<Network>>,
    /// The text of `GET /metrics`.
    pub metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    /// What `GET /readyz` looks at; no checks means ready.
    pub checks: Option<Checks>,
    /// How settlement on a network elsewhere stands, for `GET /api/v1/settlement`.
    pub settlement: Option<Arc<dyn Fn() -> serde_json::Value + Send + Sync>>,
    /// Takes the items that are uploaded here, where that is not the weave that is served: one that settles elsewhere.
    pub uploads: Option<Arc<dyn Weave>>,
    /// Recovery of the log of the node's scheduler, for `/api/v1/recovery` of its port.
    pub recovery: Option<Arc<dyn Recovery>>,
    /// What processes are read with, for `GET /api/v1/processes/{id}/state`.
    pub reads: Option<Arc<Reads>>,
    /// What processes send, for `/api/v1/processes/{id}/messages` and `subscribe`, and `/api/v1/webhooks`.
    pub subscriptions: Option<Arc<dyn Subscriptions>>,
    /// Milliseconds that one stream of that lasts.
    pub stream_ms: u64,
    /// Who may make webhooks.
    pub webhooks_door: Door,
    /// Signs for applications, for `POST /api/v1/messages` and `/api/v1/processes`.
    pub desk: Option<Arc<dyn Desk>>,
    /// For whom.
    pub desk_door: Door,
    /// The controls of a development network, for `/api/v1/dev`.
    pub control: Option<Arc<dyn Control>>,
    /// Whom the controls obey.
    pub guard: Guard,
    /// What happens in the node, for `GET /api/v1/events`.
    pub events: Option<Arc<Events>>,
    /// How much a client may ask for; without, as much as it likes.
    pub limits: Option<Arc<limits::Limits>>,
}

impl Context {
    /// A context of defaults and nothing to tell.
    pub fn new(clock: Arc<dyn Clock>) -> Context {
        Context {
            options: Options::default(),
            clock,
            network: None,
            metrics: None,
            checks: None,
            settlement: None,
            uploads: None,
            recovery: None,
            reads: None,
            subscriptions: None,
            stream_ms: 24 * 60 * 60 * 1000,
            webhooks_door: Door::default(),
            desk: None,
            desk_door: Door::default(),
            control: None,
            guard: Guard::default(),
            events: None,
            limits: None,
        }
    }
}
