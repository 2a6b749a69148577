//! A weave elsewhere, as whoever settles on it sees it: a node that takes in transactions, beside what every weave is.

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, Id, Transaction};

use crate::{NewChunk, Posted, Result, Weave};

/// The network that settlement goes out to, through whatever gateways there are.
///
/// [`Weave::upload`] hands an item to its bundler, and answers when the bundler has promised to keep it.
#[async_trait]
pub trait Network: Weave {
    /// Hands in a signed transaction, with its data or to be followed by chunks. Twice is once.
    async fn post_transaction(&self, transaction: &Transaction) -> Result<Posted>;

    /// Hands in a chunk of a transaction's data. Twice is once.
    async fn post_chunk(&self, chunk: NewChunk) -> Result<()>;

    /// Where a transaction stands. An error, if nobody who could be reached knows it and somebody could not be.
    async fn whereabouts(&self, transaction: Id) -> Result<Whereabouts>;

    /// What a new transaction names in `last_tx`: up to 48 bytes.
    async fn anchor(&self) -> Result<Bytes>;

    /// What a transaction with so many bytes of data must offer, in winston.
    async fn price(&self, bytes: u64) -> Result<u128>;

    /// Winston of a wallet.
    async fn balance(&self, wallet: Address) -> Result<u128>;

    /// The data of a transaction as somebody gives it: not checked.
    async fn data(&self, transaction: Id) -> Result<Bytes>;

    /// How the gateways are.
    fn gateways(&self) -> Vec<GatewayHealth>;
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// Nobody knows it.
    Unknown,
    /// It waits for a block.
    Pending,
    /// It is in a block.
    InBlock {
        /// How many blocks came after that one.
        confirmations: u64,
    },
}

/// How a gateway is, as whoever asks it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayHealth {
    /// Its base URL.
    pub url: String,
    /// Failures one after the other; 0 if the last request was answered.
    pub failures: u32,
    /// What the last failure was.
    pub error: Option<String>,
}
