//! The controls of a development network, as `/api/v1/dev` says them.

use protocol::{Height, Timestamp};
use serde::{Deserialize, Serialize};
use unit::{AccountState, SnapshotInfo, Tip};

/// `POST /api/v1/dev/clock/set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSet {
    /// Milliseconds since 1970.
    pub timestamp: u64,
}

/// `POST /api/v1/dev/clock/advance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockAdvance {
    /// Milliseconds.
    pub ms: u64,
}

/// `POST /api/v1/dev/mining/mine` and `/api/v1/dev/reorganise`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MineShape {
    /// How many; 1 if it is not said.
    #[serde(default = "one")]
    pub blocks: u64,
}

fn one() -> u64 {
    1
}

/// `POST /api/v1/dev/snapshots`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotNamed {
    /// The name.
    pub name: String,
}

/// The newest block after `POST /api/v1/dev/mining/mine`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinedShape {
    /// Its height.
    pub height: u64,
    /// When it was made, milliseconds since 1970.
    pub timestamp: u64,
}

impl MinedShape {
    /// A block.
    pub fn of(tip: &Tip) -> MinedShape {
        MinedShape { height: tip.height.0, timestamp: tip.timestamp.0 }
    }

    /// The block that is said.
    pub fn read(&self) -> Tip {
        Tip { height: Height(self.height), timestamp: Timestamp(self.timestamp) }
    }
}

/// `GET /api/v1/dev/accounts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// In their order.
    pub accounts: Vec<AccountState>,
}

/// `GET /api/v1/dev/snapshots`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshots {
    /// By name.
    pub snapshots: Vec<SnapshotInfo>,
}
