//! What a unit says of itself and of the network that it belongs to.

use std::collections::BTreeMap;

use protocol::Address;
use serde::{Deserialize, Serialize};

/// `GET /info` of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitInfo {
    /// `mu`, `su` or `cu`.
    pub unit: String,
    /// The wallet of the unit.
    pub address: Address,
    /// The version of the program.
    pub version: String,
    /// The network of the node that the unit belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// Where the parts of a network are and what they sign with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Base URL by part: `gateway`, `bundler`, `mu`, `su`, `cu`. Without a slash at the end.
    pub urls: BTreeMap<String, String>,
    /// Wallet address by unit: `mu`, `su`, `cu`.
    pub addresses: BTreeMap<String, Address>,
    /// What processes name as `Authority`: the messenger unit's wallet.
    pub authority: Option<Address>,
    /// Whether this is a development network, with public accounts and free money.
    #[serde(default)]
    pub development: bool,
}

/// `GET /readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Whether every check is well.
    pub ready: bool,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// One thing that readiness depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which.
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// What was seen; where it is not well, also what to do about it.
    pub reason: String,
    /// Milliseconds for which what it looks at has waited, where it looks at something that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}
