//! What a bundler says.

use std::collections::BTreeMap;

use protocol::id::base64url;
use protocol::{Address, Id};
use serde::{Deserialize, Serialize};
use unit::UploadReceipt;

/// The version of receipts, which is part of what is signed.
pub const VERSION: &str = "1.0.0";

/// `POST /tx`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct ReceiptShape {
    pub id: Id,
    pub timestamp: u64,
    /// What it cost.
    pub winc: String,
    pub version: String,
    pub deadline_height: u64,
    /// Where the item is found at once.
    pub data_caches: Vec<String>,
    pub fast_finality_indexes: Vec<String>,
    pub public: String,
    pub signature: String,
    /// The address of `public`.
    pub owner: Address,
}

impl ReceiptShape {
    /// A receipt signed by the wallet of that address, for an item that is found at `gateway`.
    pub fn new(receipt: &UploadReceipt, address: Address, gateway: Option<String>) -> ReceiptShape {
        let found: Vec<String> = gateway.into_iter().collect();
        ReceiptShape {
            id: receipt.id,
            timestamp: receipt.timestamp.0,
            winc: "0".to_owned(),
            version: VERSION.to_owned(),
            deadline_height: receipt.deadline_height.0,
            data_caches: found.clone(),
            fast_finality_indexes: found,
            public: base64url(&receipt.public),
            signature: base64url(&receipt.signature),
            owner: address,
        }
    }
}

/// `GET /info` of a bundler.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct InfoShape {
    pub version: String,
    pub addresses: BTreeMap<String, Address>,
    pub gateway: String,
    pub free_upload_limit_bytes: u64,
}
