//! What an operator can choose. None of it changes an outcome; it can only refuse or take longer.

use std::collections::BTreeSet;

use protocol::Address;
use serde::{Deserialize, Serialize};

use crate::CheckpointOptions;

/// The options of a [`ComputeUnit`](crate::ComputeUnit).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The largest `Memory-Limit` that is accepted, bytes. Processes that ask for more are refused.
    pub memory_limit_max: u64,
    /// The largest `Compute-Limit` that is accepted, units of gas per evaluation.
    pub compute_limit_max: u64,
    /// The `Extension`s that modules and processes may ask for.
    pub extensions: Vec<String>,
    /// Evaluations that run at the same time. More than there are cores, so that the operating system shares them
    /// and an endless loop in one process stops no other: what takes long lets others go first.
    pub evaluations_max: usize,
    /// Replays to a past moment (dry runs and states of then) that are under way at the same time. Each has a
    /// machine of its own.
    pub replays_max: usize,
    /// Requests that may wait for one process.
    pub waiting_max: usize,
    /// Entries of a schedule that are fetched at once, and evaluated without a pause.
    pub page: usize,
    /// Machines that are kept in memory. The least recently used idle ones leave a checkpoint and go, until they are
    /// asked again. Each is an open file and some five mappings, of which Linux usually allows 65,530.
    pub machines_max: usize,
    /// Bytes of memory that the machines together hold before idle ones go.
    pub machines_bytes_max: u64,
    /// Machines that leave their checkpoint at the same time. While these hold a sixteenth more than is allowed, no
    /// other starts.
    pub saves_max: usize,
    /// Compiled modules that are kept.
    pub modules_max: usize,
    /// A checkpoint is written after that many evaluations ...
    pub checkpoint_messages: u64,
    /// ... or that much gas since the last, whichever comes first.
    pub checkpoint_gas: u64,
    /// Checkpoints that are kept of each process: the newest.
    pub checkpoints_kept: usize,
    /// Bytes of outcomes that may be on their way to the disk before evaluation waits for it.
    pub unwritten_max: usize,
    /// Checkpoints on the weave.
    pub checkpoints: CheckpointOptions,
    /// Cron ticks that one request for cron outcomes evaluates at most. The next request goes on.
    pub cron_ticks_max: u64,
    /// How long ago a moment must be before cron ticks are evaluated up to it, ms. Messages that have just got their
    /// slot and blocks just mined may not be seen yet, and would have to come before.
    pub cron_lag_ms: u64,
    /// Outcomes on one page at most.
    pub results_max: usize,
    /// How often a scheduler or a weave that cannot be reached is asked again before a request fails.
    pub retries: u32,
    /// How long to wait before the first of these, ms; then twice as long each time.
    pub retry_after_ms: u64,
    /// How long stopping waits for machines to leave their checkpoints, ms.
    pub stop_within_ms: u64,
    /// Whether the signatures of assignments and messages of other nodes' schedulers are checked. Without, they can
    /// make this unit believe what nobody signed.
    pub verify: bool,
    /// Schedulers for which our own scheduler may sign. Others do not believe what is evaluated then: for development
    /// networks, and in no configuration file.
    #[serde(skip)]
    pub stand_ins: BTreeSet<Address>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            memory_limit_max: 1 << 30,
            compute_limit_max: 9_000_000_000_000,
            extensions: vec!["WeaveDrive".to_owned()],
            evaluations_max: 64,
            replays_max: 4,
            waiting_max: 10_000,
            page: 128,
            machines_max: 4096,
            machines_bytes_max: 2 << 30,
            saves_max: 8,
            modules_max: 64,
            checkpoint_messages: 4096,
            checkpoint_gas: 2_000_000_000_000,
            checkpoints_kept: 4,
            unwritten_max: 64 << 20,
            checkpoints: CheckpointOptions::default(),
            cron_ticks_max: 10_000,
            cron_lag_ms: 1000,
            results_max: 1000,
            retries: 4,
            retry_after_ms: 50,
            stop_within_ms: 10_000,
            verify: true,
            stand_ins: BTreeSet::new(),
        }
    }
}
