//! What an operator may choose.

use serde::{Deserialize, Serialize};

/// Bounds and paces of settlement on a network elsewhere. None of them changes what is settled, only when and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Post nothing: say in the log what would be posted and what it would cost. What comes in is kept, and posted
    /// once this is off.
    pub dry: bool,
    /// Items in one bundle.
    pub bundle_items_max: usize,
    /// Bytes of items in one bundle, unless a single item has more.
    pub bundle_bytes_max: u64,
    /// Milliseconds that an item waits at most for others to share its bundle.
    pub bundle_age_ms: u64,
    /// Bytes of data that go within a transaction; more goes in chunks. At most one chunk: nodes cut what comes within
    /// a transaction otherwise.
    pub inline_bytes_max: u64,
    /// Bytes that may wait to be posted. More are told to come back: nothing is dropped.
    pub queue_bytes_max: u64,
    /// Items or chunks that are sent at once.
    pub concurrency: usize,
    /// Milliseconds between two looks at what waits.
    pub interval_ms: u64,
    /// First pause after something could not be posted, ms; it doubles.
    pub retry_ms: u64,
    /// Longest such pause, ms.
    pub retry_max_ms: u64,
    /// How often the network is asked for what it took, ms.
    pub confirm_interval_ms: u64,
    /// Blocks that something must lie deep before it is read back and not looked after any more.
    pub depth: u64,
    /// How long after it was posted something may not be in a block, ms. After that it is posted again, the same bytes.
    pub patience_ms: u64,
    /// How long after it lies deep enough something may not be readable, ms. After that its data is sent again.
    pub read_patience_ms: u64,
    /// How much more than the quoted price a transaction offers, in hundredths of it: prices rise.
    pub reward_margin_percent: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            dry: false,
            bundle_items_max: 2000,
            bundle_bytes_max: 16 << 20,
            bundle_age_ms: 60_000,
            inline_bytes_max: 256 << 10,
            queue_bytes_max: 16 << 30,
            concurrency: 16,
            interval_ms: 1000,
            retry_ms: 1000,
            retry_max_ms: 120_000,
            confirm_interval_ms: 30_000,
            depth: 20,
            patience_ms: 30 * 60_000,
            read_patience_ms: 30 * 60_000,
            reward_margin_percent: 5,
        }
    }
}
