//! The contract of a development network's controls: its clock, its blocks, its snapshots.

use async_trait::async_trait;
use protocol::{Address, Id, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Result, Tip};

/// Controls a development network. No other has controls.
///
/// What changes the network is done one after the other, and goes on if whoever asked goes away.
#[async_trait]
pub trait Control: Send + Sync {
    /// What the network's clock shows.
    async fn clock(&self) -> Result<ClockState>;

    /// Moves the clock, stops it, or lets it run. Blocks and cron messages that are due on the way are made and pushed
    /// in their order, and what follows from them is done before this returns.
    async fn move_clock(&self, how: ClockMove) -> Result<ClockState>;

    /// When blocks are made.
    async fn mining(&self) -> Result<MiningMode>;

    /// Sets when blocks are made, until the network ends.
    async fn set_mining(&self, mode: MiningMode) -> Result<MiningMode>;

    /// Makes so many blocks. Answers with the newest.
    async fn mine(&self, blocks: u64) -> Result<Tip>;

    /// Replaces the last so many blocks by empty ones and one more, as if the rest of the network had found a longer
    /// chain. What was in the old ones waits for a block again, as far as it is still valid.
    async fn reorganise(&self, blocks: u64) -> Result<ReorganisedState>;

    /// The public accounts, and what they have.
    async fn accounts(&self) -> Result<Vec<AccountState>>;

    /// The snapshots there are, by name.
    async fn snapshots(&self) -> Result<Vec<SnapshotInfo>>;

    /// Keeps the network as it is now, under a name. `Conflict` if the name is taken.
    async fn save_snapshot(&self, name: &str) -> Result<SnapshotInfo>;

    /// Puts the network back to a snapshot: nothing that was accepted later is there any more. Whoever listens to
    /// events hears `end`; requests that are under way fail as `Unavailable`.
    async fn restore_snapshot(&self, name: &str) -> Result<SnapshotInfo>;

    /// Forgets a snapshot.
    async fn remove_snapshot(&self, name: &str) -> Result<()>;

    /// Puts the network back to its beginning. Snapshots stay.
    async fn reset(&self) -> Result<()>;
}

/// A clock, and whether it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockState {
    /// Milliseconds since 1970.
    pub now: Timestamp,
    /// Whether it goes on by itself.
    pub running: bool,
}

/// What to do with a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockMove {
    /// It stands until it is moved.
    Freeze,
    /// It goes on from what it shows.
    Resume,
    /// It shows that, which is not before what it shows now.
    Set(Timestamp),
    /// It goes on by so many milliseconds, at once.
    Advance(u64),
}

/// When blocks are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum MiningMode {
    /// Shortly after something waits for one.
    Auto,
    /// Every so many milliseconds of the network's clock.
    Interval {
        /// How many.
        interval_ms: u64,
    },
    /// When asked.
    Manual,
}

/// What a reorganisation did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReorganisedState {
    /// The height of the newest block now: one more than before.
    pub height: u64,
    /// When that was made, milliseconds since 1970.
    pub timestamp: u64,
    /// The hashes of the blocks that are no part of the chain any more, newest first, in base64url.
    pub orphaned: Vec<String>,
    /// Transactions that were forgotten, because their anchor is no block any more or their wallet cannot pay.
    pub dropped: Vec<Id>,
}

/// A public account of a development network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountState {
    /// Its place in the list.
    pub index: usize,
    /// What people call it.
    pub name: String,
    /// What sort of key it has: `arweave`, `ed25519` or `ethereum`.
    pub kind: String,
    /// Its address.
    pub address: Address,
    /// Winston that it has, as a decimal number.
    pub balance_winston: String,
}

/// A snapshot of a development network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// Its name.
    pub name: String,
    /// When it was made, by the network's clock, milliseconds since 1970.
    pub at: Timestamp,
    /// Whether the clock stood: restoring sets it back then.
    pub still: bool,
    /// The height of the newest block.
    pub height: u64,
    /// Bytes of its files; most are shared with the network and other snapshots.
    pub bytes: u64,
}
