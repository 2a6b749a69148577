//! The shapes of attestations: `docs/attestations.md`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use protocol::attestation::Due;
use protocol::{Attestation, DataItem, Digest, Epoch, Id, Leaf, ProcessId, Slot, Timestamp};
use serde::{Deserialize, Serialize};
use unit::{Code, Error, History, Result};

/// One evaluation.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeafShape {
    process: ProcessId,
    epoch: u64,
    slot: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<DueShape>,
    assignment: Id,
    outcome: Digest,
    gas: u64,
    gas_schedule: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_root: Option<Digest>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DueShape {
    timestamp: u64,
    name: String,
}

/// `GET /api/v1/processes/{process}/attestations/{message}` and `.../history/{index}`. What is believed of it is the
/// statement, and the path that it needs; all else is there to be read by people.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestationShape {
    leaf: LeafShape,
    index: u64,
    size: u64,
    root: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_root: Option<Digest>,
    signer: String,
    path: Vec<Digest>,
    /// The data item, base64url.
    statement: String,
}

/// `GET /api/v1/processes/{process}/history`.
#[derive(Debug, Serialize, Deserialize)]
pub struct HistoryShape {
    size: u64,
    root: Digest,
    leaves: Vec<LeafShape>,
}

/// `GET /api/v1/processes/{process}/history/consistency`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConsistencyShape {
    /// Hashes, as RFC 9162 section 2.1.4 has them.
    pub path: Vec<Digest>,
}

impl From<&Leaf> for LeafShape {
    fn from(leaf: &Leaf) -> LeafShape {
        let due = |Due { timestamp, name }: &Due| DueShape { timestamp: timestamp.0, name: name.clone() };
        LeafShape {
            process: leaf.process,
            epoch: leaf.epoch.0,
            slot: leaf.slot.0,
            cron: leaf.cron.as_ref().map(due),
            assignment: leaf.assignment,
            outcome: leaf.outcome,
            gas: leaf.gas,
            gas_schedule: leaf.gas_schedule,
            state_root: leaf.state_root,
        }
    }
}

impl From<LeafShape> for Leaf {
    fn from(shape: LeafShape) -> Leaf {
        let due = |DueShape { timestamp, name }| Due { timestamp: Timestamp(timestamp), name };
        Leaf {
            process: shape.process,
            epoch: Epoch(shape.epoch),
            slot: Slot(shape.slot),
            cron: shape.cron.map(due),
            assignment: shape.assignment,
            outcome: shape.outcome,
            gas: shape.gas,
            gas_schedule: shape.gas_schedule,
            state_root: shape.state_root,
        }
    }
}

impl From<&Attestation> for AttestationShape {
    fn from(attestation: &Attestation) -> AttestationShape {
        AttestationShape {
            leaf: LeafShape::from(&attestation.leaf),
            index: attestation.index,
            size: attestation.size,
            root: attestation.root,
            state_root: attestation.state_root,
            signer: attestation.signer().to_string(),
            path: attestation.path.clone(),
            statement: URL_SAFE_NO_PAD.encode(attestation.statement.bytes()),
        }
    }
}

impl AttestationShape {
    /// The attestation, if it holds.
    pub fn read(self) -> Result<Attestation> {
        let wrong = |why: String| {
            Error::refused(format!("the compute unit answered with what is no attestation: {why}"))
                .with_code(Code::NOT_ATTESTED)
        };
        let bytes = URL_SAFE_NO_PAD.decode(self.statement.trim_end_matches('='));
        let bytes = bytes.map_err(|error| wrong(format!("its statement is not base64url: {error}")))?;
        let statement = DataItem::parse(Bytes::from(bytes)).map_err(|error| wrong(error.to_string()))?;
        Attestation::read(statement, self.path).map_err(|error| wrong(error.to_string()))
    }
}

impl From<&History> for HistoryShape {
    fn from(history: &History) -> HistoryShape {
        let leaves = history.leaves.iter().map(LeafShape::from).collect();
        HistoryShape { size: history.size, root: history.root, leaves }
    }
}

impl From<HistoryShape> for History {
    fn from(shape: HistoryShape) -> History {
        let leaves = shape.leaves.into_iter().map(Leaf::from).collect();
        History { size: shape.size, root: shape.root, leaves }
    }
}
