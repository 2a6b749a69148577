//! The pages of `/api/v1/webhooks`.

use serde::{Deserialize, Serialize};
use unit::{DeadDelivery, Hook};

/// Some webhooks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookPage {
    /// In the order of their ids.
    pub webhooks: Vec<Hook>,
    /// Whether there are more.
    pub has_next: bool,
}

/// What a webhook gave up.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadPage {
    /// Oldest place first.
    pub dead: Vec<DeadDelivery>,
    /// Whether there are more.
    pub has_next: bool,
}
