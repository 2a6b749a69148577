//! How often units do what they do again and again, by how long a world lasts, and the bounds that a seed draws.

use crate::faults::Faults;

/// Milliseconds between two looks of the scheduler at which timers are due, in a world that lasts for days.
const LOOK_MS: u64 = 8_000;

/// How long a world lasts: what is done again and again is done less often in a long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Minutes, as those of the seeds.
    Minutes,
    /// Days, as those of timers.
    Days,
}

impl Pace {
    /// Milliseconds between two blocks.
    pub fn block_ms(self) -> u64 {
        match self {
            Pace::Minutes => 30_000,
            Pace::Days => 10 * 60_000,
        }
    }

    /// Of a scheduler that believes what lies so deep on the weave.
    pub fn scheduler(self, faults: &Faults, depth: u64) -> su::Options {
        let all = su::Options {
            settle_depth: Some(depth),
            confirm_interval_ms: 10_000,
            settle_patience_ms: 120_000,
            ..su::Options::default()
        };
        let all = match self {
            Pace::Minutes => all,
            Pace::Days => su::Options {
                confirm_interval_ms: 15 * 60_000,
                settle_patience_ms: 60 * 60_000,
                height_interval_ms: 60_000,
                settle_interval_ms: 1000,
                tick_interval_ms: LOOK_MS,
                tick_retry_ms: 30_000,
                ..all
            },
        };
        if !faults.tiny {
            return all;
        }
        su::Options { waiting_max: 2, in_flight_max: 1, lines_max: 1, page_max: 2, settle_window: 1, ..all }
    }

    /// Of a compute unit.
    pub fn compute(self, faults: &Faults) -> cu::Options {
        let all = cu::Options { checkpoint_messages: 4, cron_lag_ms: 20_000, ..cu::Options::default() };
        let all = match self {
            Pace::Minutes => all,
            Pace::Days => cu::Options { checkpoint_messages: 500, ..all },
        };
        if !faults.tiny {
            return all;
        }
        cu::Options {
            evaluations_max: 1,
            replays_max: 1,
            page: 1,
            machines_max: 1,
            checkpoint_messages: 1,
            checkpoints_kept: 1,
            unwritten_max: 1,
            results_max: 1,
            ..all
        }
    }

    /// Of a messenger.
    pub fn messenger(self, faults: &Faults) -> mu::Options {
        let all = mu::Options {
            cron_interval_ms: 5000,
            retry_longest_ms: 20_000,
            failures_max: None,
            order_wait_ms: 600_000,
            ..mu::Options::default()
        };
        let all = match self {
            Pace::Minutes => all,
            Pace::Days => mu::Options { cron_interval_ms: 30_000, ..all },
        };
        if !faults.tiny {
            return all;
        }
        mu::Options {
            deliveries_max: 1,
            pushes_max: 1,
            ahead_max: 1,
            loaded_max: 2,
            loaded_bytes_max: 1,
            processes_max: 1,
            cron_page: 1,
            ..all
        }
    }
}
