//! Bounds.

use serde::{Deserialize, Serialize};

/// How much applications may ask of a node, and how webhooks are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Streams of outgoing messages that are open at once. More are told to come back.
    pub streams_max: usize,
    /// Milliseconds that one stream lasts at most; its client resumes it then: one day.
    pub stream_ms: u64,
    /// Bytes of messages that are kept in memory for each process that somebody follows. Who is slower than that
    /// reads from the record.
    pub kept_bytes_max: usize,
    /// Readers of the record at once: those who resume from afar, or are slow.
    pub readers_max: usize,
    /// Bytes of data that are told of one message; more is left out, and said to be.
    pub data_bytes_max: usize,
    /// Milliseconds between two looks for new outcomes, where the compute unit is elsewhere. One here tells of them.
    pub poll_ms: u64,
    /// Webhooks, whatever their state.
    pub hooks_max: usize,
    /// Milliseconds that a webhook lasts at most: 90 days.
    pub hook_ms: u64,
    /// Posts to webhooks that are under way at once.
    pub posts_max: usize,
    /// Tries after which a message is given up.
    pub tries_max: u32,
    /// Milliseconds until the second try; each further one waits twice as long.
    pub retry_first_ms: u64,
    /// Milliseconds that a try waits at most for the one before: five minutes.
    pub retry_longest_ms: u64,
    /// Messages given up in a row, after which a webhook is paused. Its place is kept.
    pub pause_after: u32,
    /// Dead letters that are kept of one webhook. Older ones are forgotten, and counted.
    pub dead_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            streams_max: 4096,
            stream_ms: 24 * 60 * 60 * 1000,
            kept_bytes_max: 4 << 20,
            readers_max: 8,
            data_bytes_max: 1 << 20,
            poll_ms: 1000,
            hooks_max: 1000,
            hook_ms: 90 * 24 * 60 * 60 * 1000,
            posts_max: 64,
            tries_max: 12,
            retry_first_ms: 1000,
            retry_longest_ms: 300_000,
            pause_after: 20,
            dead_max: 1000,
        }
    }
}

impl Options {
    /// Milliseconds to wait after so many tries.
    pub(crate) fn wait_after(&self, tries: u32) -> u64 {
        let doubled = self.retry_first_ms.saturating_mul(1 << tries.saturating_sub(1).min(32));
        doubled.min(self.retry_longest_ms)
    }
}
