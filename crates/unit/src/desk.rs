//! The contract of what signs for applications that have no wallet.

use async_trait::async_trait;
use protocol::{ModuleId, ProcessId};
use serde::{Deserialize, Serialize};

use crate::{Error, Receipt, Result, SaidTag};

/// Bytes of an `Idempotency-Key`.
const KEY_BYTES_MAX: usize = 255;

/// What is to be signed and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Which wallet signs. Default: the first that the desk has.
    #[serde(default)]
    pub signer: Option<String>,
    /// What it is.
    pub what: Wished,
    /// Its tags; those of the protocol are added.
    pub tags: Vec<SaidTag>,
    /// Its data.
    pub data: String,
}

/// What is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wished {
    /// A message to a process.
    Message(ProcessId),
    /// A process of a module. Default: the Lua module that comes with Pirn.
    Process(Option<ModuleId>),
}

/// Signs with keys of the node, and sends.
#[async_trait]
pub trait Desk: Send + Sync {
    /// Signs and sends. The same `key` with the same wish sends the same bytes again, so nothing happens twice; with
    /// another wish, `Conflict`.
    async fn write(&self, wish: Wish, key: Option<String>) -> Result<Receipt>;
}

/// Refuses an `Idempotency-Key` that is empty, or longer than 255 bytes.
pub fn checked_key(key: &str) -> Result<()> {
    if (1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(Error::invalid(format!("an Idempotency-Key has 1 to {KEY_BYTES_MAX} bytes"))
        .with_hint("a UUID is a good one"))
}
