//! Checkpoints on the weave: the memory of a process as the incumbent's compute units publish it, signed.
//!
//! `publish` writes them, `revive` starts a process from one, [`gzip`] is what they are made of.
//!
//! Whoever starts from another's checkpoint believes its owner that this memory comes of that schedule; nothing else of
//! it is believed. What a checkpoint does not have, and outcomes depend on, is taken from the schedule itself, which is
//! read from its beginning, verified, and not evaluated: the hash chain, and which messages later ones repeat. So
//! whatever is evaluated after it is what it is from genesis.

mod revive;
mod gzip;
mod publish;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use protocol::{Address, Height, Slot, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

pub(crate) use self::revive::Revived;

/// Checkpoints on the weave: whose a process is started from, and when its memory is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointOptions {
    /// Whether a process that this unit has no memory of is started from a checkpoint on the weave, if somebody trusted
    /// has published one; else from its beginning.
    pub start: bool,
    /// Addresses of wallets whose checkpoints are believed: that this memory comes of that schedule, which nobody can
    /// see. None: only this unit's own.
    pub trusted_owners: Vec<Address>,
    /// Processes without crons of which no more slots than these are asked for are evaluated from their beginning:
    /// that takes less than to look for a checkpoint.
    pub look_beyond: u64,
    /// Checkpoints of a process that are looked at: the newest.
    pub candidates_max: usize,
    /// Whether memories are published, whenever one of the next three says so. What it uploads this unit's wallet signs,
    /// and whoever makes the weave permanent is paid for it.
    pub publish: bool,
    /// Publish the memory of a process after that much gas since it was last published, or came into memory. 0: never
    /// for that reason. The default is the incumbent's.
    pub gas: u64,
    /// ... but not within so many ms of the last time.
    pub pause_ms: u64,
    /// Publish what is in memory and was evaluated since, when the unit stops, as far as `cu.stop_within_ms` suffices.
    pub on_stop: bool,
    /// Publish for whoever asks for it (`pirn checkpoint`). Off, as it costs you and not them; a development network does.
    pub on_demand: bool,
    /// Memories that are compressed and uploaded at the same time. Each is in memory meanwhile, beside its machine.
    pub publishing_max: usize,
    /// Bytes of a compressed memory beyond which it is not published, and not read.
    pub bytes_max: usize,
    /// What `Unit-Identifier` says.
    pub unit_identifier: String,
}

impl Default for CheckpointOptions {
    fn default() -> CheckpointOptions {
        CheckpointOptions {
            start: true,
            trusted_owners: Vec::new(),
            look_beyond: 64,
            candidates_max: 50,
            publish: false,
            gas: 300_000_000_000_000,
            pause_ms: 30 * 60 * 1000,
            on_stop: true,
            on_demand: false,
            publishing_max: 1,
            bytes_max: 256 << 20,
            unit_identifier: "pirn".to_owned(),
        }
    }
}

/// What is counted, and who may publish.
pub(crate) struct Published {
    permits: Arc<Semaphore>,
    pub(crate) uploaded: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) revived: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) read: AtomicU64,
}

impl Published {
    pub(crate) fn new(options: &CheckpointOptions) -> Published {
        let permits = Arc::new(Semaphore::new(options.publishing_max.max(1)));
        let zero = AtomicU64::default;
        Published {
            permits,
            uploaded: zero(),
            failed: zero(),
            revived: zero(),
            refused: zero(),
            read: zero(),
        }
    }
}

/// Where a checkpoint says it was taken, for the log.
fn place(slot: Slot, last: (Timestamp, Height)) -> String {
    format!("slot {slot} (timestamp {}, height {})", last.0, last.1)
}
