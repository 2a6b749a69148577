//! What a sandbox begins with, and its bounds.

/// The options of a [`Sandbox`](crate::Sandbox).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What the clock says at the beginning, milliseconds since 1970. Whole seconds.
    pub start_ms: u64,
    /// The height of the first block.
    pub start_height: u64,
    /// Milliseconds from one block to the next: as on Arweave.
    pub block_ms: u64,
    /// Blocks that are remembered. A clock that would go beyond them is refused.
    pub blocks_max: usize,
    /// Letters that are remembered. More are refused: a test that sends so many has an endless loop.
    pub letters_max: usize,
    /// Deliveries and ticks of one [`run`](crate::Sandbox::run) or [`advance`](crate::Sandbox::advance). More is an
    /// error, because two processes that answer one another never end.
    pub deliveries_max: usize,
    /// Processes. Each holds a mapping of memory.
    pub processes_max: usize,
    /// Milliseconds until what a cron sends is on its way: a messenger unit looks at crons once a second.
    pub cron_look_ms: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            // 2026-01-01, midnight UTC.
            start_ms: 1_767_225_600_000,
            start_height: 1_000_000,
            block_ms: 120_000,
            blocks_max: 2_000_000,
            letters_max: 200_000,
            deliveries_max: 20_000,
            processes_max: 1000,
            cron_look_ms: 1000,
        }
    }
}
