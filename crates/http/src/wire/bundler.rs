//! What a bundler says.

use std::collections::BTreeMap;

use protocol::id::{base64url, from_base64url};
use protocol::{Address, Id, SignatureType, Timestamp, crypto};
use serde::{Deserialize, Serialize};
use unit::UploadReceipt;

use super::transaction::Number;

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

/// What any bundler says when it took an item, as far as it is looked at: some sign nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct ReceivedShape {
    pub id: Option<String>,
    pub timestamp: Option<Number>,
    pub version: Option<String>,
    pub deadline_height: Option<Number>,
    pub public: Option<String>,
    pub signature: Option<String>,
}

impl ReceivedShape {
    /// Reads an answer; what is no JSON of this shape is a receipt without anything in it.
    pub fn read(body: &[u8]) -> ReceivedShape {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// Whether this is no receipt for `item`, and why. `by` is the address of the key that must have signed it; without
    /// one, a signature must be of the key that it names, and what has no signature of this kind is believed.
    pub fn check(&self, item: Id, by: Option<Address>) -> Result<(), &'static str> {
        if self.id.as_ref().is_some_and(|id| *id != item.to_string()) {
            return Err("it is for another item");
        }
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let number = |number: Option<Number>| u64::try_from(number?.0).ok();
        let (Some(signature), Some(public), Some(version), Some(deadline), Some(timestamp)) = (
            text(&self.signature),
            text(&self.public),
            text(&self.version),
            number(self.deadline_height),
            number(self.timestamp),
        ) else {
            return if by.is_some() { Err("it is not signed") } else { Ok(()) };
        };
        let signature = from_base64url(&signature).ok_or("its signature is no base64url")?;
        let public = from_base64url(&public).ok_or("its public key is no base64url")?;
        if by.is_some_and(|by| by != Address::of_owner(&public)) {
            return Err("another key signed it");
        }
        let message = UploadReceipt::message(&version, item, deadline.into(), Timestamp(timestamp));
        crypto::verify(SignatureType::Arweave, &public, &message, &signature)
            .map_err(|_| "its signature is not over what it says")
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
