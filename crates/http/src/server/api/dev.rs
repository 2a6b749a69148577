//! `/api/v1/dev`: the controls of a development network. Elsewhere each route says that there are none.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post};
use protocol::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::json as value;
use unit::{ClockMove, Control, Error};

use crate::server::{Failure, Options, json, read_body};
use crate::wire::control::{
    Accounts, ClockAdvance, ClockSet, MineShape, MinedShape, SnapshotNamed, Snapshots,
};

/// What the routes need.
pub(super) struct Server {
    pub control: Option<Arc<dyn Control>>,
    pub options: Options,
}

type Answer = Result<Response, Failure>;
type At = State<Arc<Server>>;

/// The routes.
pub(super) fn routes(server: Arc<Server>) -> Router {
    Router::new()
        .route("/api/v1/dev/clock", get(clock))
        .route("/api/v1/dev/clock/freeze", post(freeze))
        .route("/api/v1/dev/clock/resume", post(resume))
        .route("/api/v1/dev/clock/set", post(set))
        .route("/api/v1/dev/clock/advance", post(advance))
        .route("/api/v1/dev/mining", get(mining).put(set_mining))
        .route("/api/v1/dev/mining/mine", post(mine))
        .route("/api/v1/dev/reorganise", post(reorganise))
        .route("/api/v1/dev/accounts", get(accounts))
        .route("/api/v1/dev/snapshots", get(snapshots).post(save))
        .route("/api/v1/dev/snapshots/{name}", delete(remove))
        .route("/api/v1/dev/snapshots/{name}/restore", post(restore))
        .route("/api/v1/dev/reset", post(reset))
        .with_state(server)
}

impl Server {
    fn control(&self) -> Result<&dyn Control, Error> {
        self.control.as_deref().ok_or_else(|| {
            Error::not_found(
                "this is no development network: its clock, blocks and state are nobody's to move",
            )
            .with_hint("`pirn dev` starts a network that has these controls")
        })
    }

    async fn read<T: DeserializeOwned>(&self, body: Body) -> Result<T, Failure> {
        // Whoever has no controls reads no bodies.
        self.control()?;
        let bytes = read_body(body, &self.options).await?;
        let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes[..] };
        serde_json::from_slice(bytes).map_err(|error| {
            let error = Error::invalid(format!("the body is not what this route takes: {error}"))
                .with_hint("GET /openapi.json says what it takes");
            Failure::from(error)
        })
    }

    async fn moved(&self, how: ClockMove) -> Answer {
        Ok(json(StatusCode::OK, &self.control()?.move_clock(how).await?))
    }
}

async fn clock(State(server): At) -> Answer {
    Ok(json(StatusCode::OK, &server.control()?.clock().await?))
}

async fn freeze(State(server): At) -> Answer {
    server.moved(ClockMove::Freeze).await
}

async fn resume(State(server): At) -> Answer {
    server.moved(ClockMove::Resume).await
}

async fn set(State(server): At, body: Body) -> Answer {
    let ClockSet { timestamp } = server.read(body).await?;
    server.moved(ClockMove::Set(Timestamp(timestamp))).await
}

async fn advance(State(server): At, body: Body) -> Answer {
    let ClockAdvance { ms } = server.read(body).await?;
    server.moved(ClockMove::Advance(ms)).await
}

async fn mining(State(server): At) -> Answer {
    Ok(json(StatusCode::OK, &server.control()?.mining().await?))
}

async fn set_mining(State(server): At, body: Body) -> Answer {
    let mode = server.read(body).await?;
    Ok(json(StatusCode::OK, &server.control()?.set_mining(mode).await?))
}

async fn mine(State(server): At, body: Body) -> Answer {
    let MineShape { blocks } = server.read(body).await?;
    Ok(json(StatusCode::OK, &MinedShape::of(&server.control()?.mine(blocks).await?)))
}

async fn reorganise(State(server): At, body: Body) -> Answer {
    let MineShape { blocks } = server.read(body).await?;
    Ok(json(StatusCode::OK, &server.control()?.reorganise(blocks).await?))
}

async fn accounts(State(server): At) -> Answer {
    Ok(json(StatusCode::OK, &Accounts { accounts: server.control()?.accounts().await? }))
}

async fn snapshots(State(server): At) -> Answer {
    Ok(json(StatusCode::OK, &Snapshots { snapshots: server.control()?.snapshots().await? }))
}

async fn save(State(server): At, body: Body) -> Answer {
    let SnapshotNamed { name } = server.read(body).await?;
    Ok(json(StatusCode::OK, &server.control()?.save_snapshot(&name).await?))
}

async fn restore(State(server): At, Path(name): Path<String>) -> Answer {
    Ok(json(StatusCode::OK, &server.control()?.restore_snapshot(&name).await?))
}

async fn remove(State(server): At, Path(name): Path<String>) -> Answer {
    server.control()?.remove_snapshot(&name).await?;
    Ok(json(StatusCode::OK, &value!({"removed": name})))
}

async fn reset(State(server): At) -> Answer {
    server.control()?.reset().await?;
    Ok(json(StatusCode::OK, &value!({"reset": true})))
}
