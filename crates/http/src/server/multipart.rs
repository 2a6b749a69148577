//! Items in parts, as bundlers take what is large: begin an upload, send its parts, finalize it, ask how it went.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use protocol::{DataItem, Id};
use serde_json::json as json_value;
use unit::{Error, Kind, UploadStage, UploadState};

use super::bundler::{Answer, Receiver};
use super::limits::Guest;
use super::{Failure, Options, Params, json, read_body, text};

type Shared = State<Arc<Receiver>>;
type Named = Path<(String, String, String)>;

/// Bytes of a part, where nobody says otherwise: what clients send.
const PART_BYTES: u64 = 5 << 20;

/// `/-1/-1` begins an upload; of one there is, `status` says how it went, anything else what is here.
pub(super) async fn look(State(receiver): Shared, Path((_, upload, what)): Named, params: Params) -> Answer {
    if upload == "-1" {
        let wanted = params.number("chunkSize")?.unwrap_or(PART_BYTES);
        let state = receiver.weave.open_upload(wanted).await?;
        return Ok(json(StatusCode::OK, &shape(&state)));
    }
    let state = receiver.weave.upload_state(read_id(&upload)?).await?;
    if what != "status" {
        return Ok(json(StatusCode::OK, &shape(&state)));
    }
    let said = match state.stage {
        // Clients wait for as long as it is this.
        UploadStage::Open => json_value!({"status": "ASSEMBLING", "timestamp": state.opened.0}),
        UploadStage::Refused(why) => {
            json_value!({"status": "INVALID", "timestamp": state.opened.0, "error": why})
        }
        UploadStage::Done(id) => {
            let receipt = receiver.receipt(id).await?;
            json_value!({"status": "FINALIZED", "timestamp": receipt.timestamp, "receipt": receipt})
        }
    };
    Ok(json(StatusCode::OK, &said))
}

/// A part by its offset; or the end: `finalize`, or `-1` as older clients say.
pub(super) async fn send(
    State(receiver): Shared,
    Path((_, upload, what)): Named,
    guest: Guest,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let upload = read_id(&upload)?;
    if what == "finalize" || what == "-1" {
        return finalize(&receiver, upload, &guest, &headers).await;
    }
    let offset = what.parse().map_err(|_| {
        let hint = "the last part of the path is the offset of the part's first byte, or finalize";
        Failure::from(Error::invalid(format!("{what:?} is no offset")).with_hint(hint))
    })?;
    let state = receiver.weave.upload_state(upload).await?;
    let max = usize::try_from(state.part_bytes_max).unwrap_or(usize::MAX);
    let limits = Options { body_bytes_max: max, ..receiver.limits.clone() };
    let part = read_body(body, &limits).await?;
    receiver.weave.put_part(upload, offset, part).await?;
    Ok(text(StatusCode::OK, ""))
}

async fn finalize(receiver: &Receiver, upload: Id, guest: &Guest, headers: &HeaderMap) -> Answer {
    // Whoever asks for the same meanwhile hears that it is under way, and makes no second copy of it.
    let Some(_under_way) = receiver.begin(upload) else { return Ok(StatusCode::ACCEPTED.into_response()) };
    match receiver.weave.upload_state(upload).await?.stage {
        UploadStage::Done(id) => return receiver.answer(id, headers).await,
        UploadStage::Refused(why) => return Err(Error::invalid(why).into()),
        UploadStage::Open => {}
    }
    // Never closed.
    let _permit = receiver.assembling.acquire().await.map_err(|error| Error::internal(&error))?;
    let bytes = receiver.weave.assemble_upload(upload).await?;
    let refuse = async |error: Error| {
        let stage = UploadStage::Refused(error.to_string());
        receiver.weave.end_upload(upload, stage).await.err().unwrap_or(error)
    };
    let item = match DataItem::parse(bytes) {
        Ok(item) => item,
        Err(error) => return Err(refuse(super::bundler::no_item(&error)).await.into()),
    };
    guest.check_item(&item).await?;
    let id = item.id;
    match receiver.upload(item).await {
        Ok(()) => {}
        // Anything else may be better next time.
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::TooLarge) => {
            return Err(refuse(error).await.into());
        }
        Err(error) => return Err(error.into()),
    }
    receiver.weave.end_upload(upload, UploadStage::Done(id)).await?;
    receiver.answer(id, headers).await
}

fn shape(state: &UploadState) -> serde_json::Value {
    json_value!({
        "id": state.id,
        "min": 1,
        "max": state.part_bytes_max,
        "chunkSize": state.part_bytes,
        "size": state.bytes,
    })
}

fn read_id(text: &str) -> Result<Id, Failure> {
    text.parse().map_err(|_| Failure::from(Error::not_found(format!("there is no upload {text:?}"))))
}
