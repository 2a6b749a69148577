//! What an operator may choose.

use serde::{Deserialize, Serialize};

/// How the embedded weave behaves. Nothing here changes what is valid once it is in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The name of the network, as `/info` tells it.
    pub network: String,
    /// When blocks are made.
    pub mining: Mining,
    /// Milliseconds between something new and the block that takes it in, where mining is automatic: long enough
    /// for what comes together to share a block, short enough for nobody to wait.
    pub auto_delay_ms: u64,
    /// Blocks that one call may mine: they are made one after the other while the caller waits.
    pub mine_max: u64,
    /// Blocks that one reorganisation may replace. What they changed in wallets is kept for so many.
    pub reorganise_max: u64,
    /// Items and transactions that one block takes in; what is left goes into the next.
    pub block_entries_max: usize,
    /// Items in one of the weave's own bundles.
    pub bundle_items_max: usize,
    /// Bytes of items in one of the weave's own bundles, unless a single item has more.
    pub bundle_bytes_max: u64,
    /// Bytes of an uploaded item: a checkpoint with its memory must fit.
    pub item_bytes_max: u64,
    /// Uploads in parts that are open at once.
    pub uploads_open_max: usize,
    /// Uploads in parts that are known, those that have ended included. The oldest of them are forgotten first.
    pub uploads_known_max: usize,
    /// Milliseconds after which an upload in parts is forgotten, whether it has ended or not: two days.
    pub upload_keep_ms: u64,
    /// Milliseconds without a part after which an open upload makes room for another one, if there is need: ten minutes.
    pub upload_idle_ms: u64,
    /// Bytes of an item that comes in parts: it is in memory once, when its signature is checked.
    pub upload_bytes_max: u64,
    /// Parts of an upload, those that come twice counted twice.
    pub upload_parts_max: u64,
    /// Bytes of a part: it is in memory once, for each part that comes at the same time.
    pub part_bytes_max: u64,
    /// Bytes of data that may come within a transaction; more must come in chunks.
    pub inline_bytes_max: u64,
    /// Bytes of data of a transaction in chunks.
    pub data_bytes_max: u64,
    /// Bytes that are read into memory for one answer.
    pub read_bytes_max: u64,
    /// Transactions of the base layer that may wait for a block at once.
    pub pending_transactions_max: usize,
    /// Bundles within bundles that are looked into.
    pub unpack_depth_max: usize,
    /// Items of one posted bundle, nested ones included, that are looked at.
    pub unpack_items_max: u32,
    /// Bundles larger than this are unpacked after the answer, not before it.
    pub unpack_before_answer_bytes_max: u64,
    /// Ids, values and addresses in one query.
    pub query_terms_max: usize,
    /// Index entries that one query may look at.
    pub query_steps_max: u64,
    /// Winston per byte of a transaction's data (rounded up to chunks) and its fixed overhead.
    pub winston_per_byte: u64,
    /// Winston on top for a transfer to a wallet that is not known yet.
    pub new_wallet_winston: u64,
}

/// When blocks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mining {
    /// Shortly after something waits for one.
    Auto,
    /// Every so many milliseconds, whether something waits or not.
    Interval(u64),
    /// When asked.
    Manual,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            network: "pirn.local".to_owned(),
            mining: Mining::Auto,
            auto_delay_ms: 250,
            mine_max: 10_000,
            reorganise_max: 50,
            block_entries_max: 50_000,
            bundle_items_max: 4096,
            bundle_bytes_max: 32 << 20,
            item_bytes_max: 512 << 20,
            uploads_open_max: 64,
            uploads_known_max: 4096,
            upload_keep_ms: 2 * 24 * 60 * 60 * 1000,
            upload_idle_ms: 10 * 60 * 1000,
            upload_bytes_max: 256 << 20,
            upload_parts_max: 1000,
            part_bytes_max: 10 << 20,
            inline_bytes_max: 12 << 20,
            data_bytes_max: 16 << 30,
            read_bytes_max: 512 << 20,
            pending_transactions_max: 100_000,
            unpack_depth_max: 8,
            unpack_items_max: 1_000_000,
            unpack_before_answer_bytes_max: 16 << 20,
            query_terms_max: 1000,
            query_steps_max: 1_000_000,
            winston_per_byte: 1000,
            new_wallet_winston: 250_000_000,
        }
    }
}
