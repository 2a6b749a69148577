//! What an operator may set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The bounds of a messenger unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// How many items are given to schedulers at the same time. Each sender has at most one on its way to each
    /// receiver, so that the order is kept.
    pub deliveries_max: usize,
    /// How many outcomes are asked for at the same time, not counting those of `slow_pushes_max`.
    pub pushes_max: usize,
    /// Milliseconds after which a process whose outcome is waited for counts as slow: it makes room for others.
    pub push_slow_ms: u64,
    /// How many outcomes of slow processes are waited for at the same time, one in the way of no other process. Beyond,
    /// they are asked for again later.
    pub slow_pushes_max: usize,
    /// How many outcomes of one process are asked for at the same time, once it has answered and is not slow.
    pub ahead_max: usize,
    /// Elements of one outcome that are pushed. What is beyond is dead, and listed as that.
    pub elements_max: usize,
    /// Bytes of the largest item that is taken, and of the largest data that is pushed.
    pub item_bytes_max: usize,
    /// Bytes of all elements of one outcome: they become durable in one batch of the store.
    pub outcome_bytes_max: usize,
    /// How many outcomes may lie between a message and what follows from it. No bound if absent: two processes that
    /// play ping-pong do nothing wrong.
    pub depth_max: Option<u64>,
    /// Milliseconds before the second try of what failed for now. Doubles with each failure.
    pub retry_first_ms: u64,
    /// Milliseconds between two tries at most.
    pub retry_longest_ms: u64,
    /// Failures after which it is given up. No bound if absent: a unit that is down comes back.
    pub failures_max: Option<u32>,
    /// Milliseconds for which the outcomes of a process wait, at most, for a message that may have an earlier slot:
    /// the scheduler's answer for it was lost, and it says nothing when it is asked again.
    pub order_wait_ms: u64,
    /// How often another unit may not know something before that is given up. It may only not know it yet.
    pub not_found_max: u32,
    /// Tasks in memory; the rest waits on the disk.
    pub loaded_max: usize,
    /// Bytes of items in memory; the rest waits on the disk.
    pub loaded_bytes_max: usize,
    /// Processes whose module and scheduler are remembered.
    pub processes_max: usize,
    /// Processes whose cron may be monitored.
    pub monitored_max: usize,
    /// Processes that processes have spawned whose cron is run without being asked for. Some of `monitored_max`, so that
    /// others find room.
    pub monitored_children_max: usize,
    /// Milliseconds between two looks at the cron of a monitored process.
    pub cron_interval_ms: u64,
    /// Milliseconds after which nobody has looked at a cron: what was due before counts as caught up.
    pub cron_late_ms: u64,
    /// Milliseconds for which a cron is caught up. What was due longer before somebody looked again is evaluated and not
    /// pushed, and `pirn cron` says how much that was. A day, as the reference has it.
    pub cron_catch_up_ms: u64,
    /// Milliseconds after which a block is known at the latest: ticks of blocks are looked for so long before the newest
    /// tick that is pushed. Only for processes whose crons count blocks.
    pub cron_look_back_ms: u64,
    /// Outcomes of cron that are asked for at once.
    pub cron_page: usize,
    /// Pages of one process that are taken in one look, before another process has its turn.
    pub cron_pages_max: usize,
    /// Processes whose cron is looked at, at the same time.
    pub crons_max: usize,
    /// Traces that are kept.
    pub traces_max: u64,
    /// Dead letters that are kept.
    pub dead_max: usize,
    /// Milliseconds that [`stop`](crate::MessengerUnit::stop) waits for what is under way.
    pub stop_ms: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            deliveries_max: 256,
            pushes_max: 256,
            push_slow_ms: 1_000,
            slow_pushes_max: 4_096,
            ahead_max: 8,
            elements_max: 10_000,
            item_bytes_max: 10 << 20,
            outcome_bytes_max: 32 << 20,
            depth_max: None,
            retry_first_ms: 100,
            retry_longest_ms: 10_000,
            order_wait_ms: 60_000,
            failures_max: None,
            not_found_max: 8,
            loaded_max: 50_000,
            loaded_bytes_max: 256 << 20,
            processes_max: 10_000,
            monitored_max: 10_000,
            monitored_children_max: 5_000,
            cron_interval_ms: 1_000,
            cron_late_ms: 10_000,
            cron_catch_up_ms: 86_400_000,
            cron_look_back_ms: 600_000,
            cron_page: 100,
            cron_pages_max: 10,
            crons_max: 16,
            traces_max: 100_000,
            dead_max: 100_000,
            stop_ms: 10_000,
        }
    }
}

impl Options {
    /// How long to wait after so many failures.
    pub(crate) fn wait_after(&self, failures: u32) -> Duration {
        let factor = 1u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
        Duration::from_millis(self.retry_first_ms.saturating_mul(factor).min(self.retry_longest_ms))
    }
}
