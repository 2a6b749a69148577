//! What an operator may choose.

use std::collections::BTreeSet;

use protocol::Address;
use serde::{Deserialize, Serialize};

/// Bounds and paces of a scheduler unit. None of them changes what an assignment says, only whether, when and how
/// fast there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Largest item that is accepted, bytes. Clients of ao know 10 MiB.
    pub item_bytes_max: usize,
    /// Requests that may wait for their turn in one process's schedule; more are told to come back.
    pub waiting_max: usize,
    /// Assignments that may be on their way to the disk at once, over all processes.
    pub in_flight_max: usize,
    /// Processes whose newest assignment is kept in memory; the others are read again when a message comes.
    pub lines_max: usize,
    /// Newest entries that are kept in memory for whoever asks next, bytes.
    pub recent_bytes_max: usize,
    /// Largest page of a schedule, entries. A longer one is cut and says that there is more.
    pub page_max: usize,
    /// Largest page of a schedule, bytes; at least one entry is given.
    pub page_bytes_max: usize,
    /// `exclude` fields that one assignment may name.
    pub exclude_max: usize,
    /// Confirmations that a base-layer assignment needs where the process has no `Settlement-Depth`.
    pub settlement_depth: u64,
    /// Threads that sign with RSA at once; 0 is one for each core. Other keys sign in place.
    pub signers: usize,
    /// How often the weave is asked for its height, ms.
    pub height_interval_ms: u64,
    /// How long one question to the weave may take, ms.
    pub weave_timeout_ms: u64,
    /// Entries that are settled between two writes of what is settled.
    pub settle_window: usize,
    /// Entries that are uploaded at once.
    pub settle_concurrency: usize,
    /// Pause between two rounds of settlement, ms: several messages then share one write.
    pub settle_interval_ms: u64,
    /// First pause after a failed upload, ms; it doubles.
    pub settle_retry_ms: u64,
    /// Longest pause after failed uploads, ms.
    pub settle_retry_max_ms: u64,
    /// Blocks that an entry must lie deep before it is not looked after any more. Default: 0 on the weave of the same
    /// program, which forgets nothing, and `settlement_depth` on another.
    pub settle_depth: Option<u64>,
    /// How often the weave is asked for what it took, ms.
    pub confirm_interval_ms: u64,
    /// How long after it took something the weave may not show it in a block, ms. After that it is sent again.
    pub settle_patience_ms: u64,
    /// When a message is acknowledged: when it is durable here, or only when the weave has taken it and its assignment
    /// as well.
    pub ack: Ack,
    /// How long an acknowledgement waits for the weave, ms. After that the sender is told to ask again; the message has
    /// its slot all the same.
    pub ack_timeout_ms: u64,
    /// Pause between two looks at which timers are due, ms.
    pub tick_interval_ms: u64,
    /// Processes that are given ticks at once, and ticks that the messenger is told of at once.
    pub ticks_at_once: usize,
    /// Pause after a messenger did not take a tick, ms.
    pub tick_retry_ms: u64,
    /// How long `stop` waits for what is under way, ms.
    pub stop_ms: u64,
    /// Schedulers whose processes this one takes too, and signs for with its own wallet. Only a compute unit that is
    /// told so believes that: for development networks, and in no configuration file.
    #[serde(skip)]
    pub stand_ins: BTreeSet<Address>,
}

/// When a message is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ack {
    /// When it is on this computer's disk.
    Durable,
    /// When the weave has taken it: the bundler has promised to keep it, or a gateway has the transaction that has it.
    Settled,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            item_bytes_max: 10 << 20,
            waiting_max: 16_384,
            in_flight_max: 8192,
            lines_max: 16_384,
            recent_bytes_max: 64 << 20,
            page_max: 1000,
            page_bytes_max: 64 << 20,
            exclude_max: 16,
            settlement_depth: 20,
            signers: 0,
            height_interval_ms: 1000,
            weave_timeout_ms: 10_000,
            settle_window: 256,
            settle_concurrency: 32,
            settle_interval_ms: 20,
            settle_retry_ms: 1000,
            settle_retry_max_ms: 32_000,
            settle_depth: None,
            confirm_interval_ms: 30_000,
            settle_patience_ms: 30 * 60_000,
            ack: Ack::Durable,
            ack_timeout_ms: 120_000,
            tick_interval_ms: 250,
            ticks_at_once: 64,
            tick_retry_ms: 2_000,
            stop_ms: 10_000,
            stand_ins: BTreeSet::new(),
        }
    }
}

impl Options {
    /// Blocks that an entry must lie deep.
    pub(crate) fn settle_depth(&self) -> u64 {
        self.settle_depth.unwrap_or(0)
    }
}
