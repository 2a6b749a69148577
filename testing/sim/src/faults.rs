//! What goes wrong in a world: drawn once from its seed. Each fault is on or off, and then has a strength.

use std::sync::Arc;
use std::time::Duration;

use crate::world::{Host, World};

/// What goes wrong. Those that end in `permille` say how often in a thousand calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// A call, and an answer, takes up to that.
    pub delay_ms: u64,
    /// A call does not arrive.
    pub lost_request_permille: u64,
    /// An answer does not arrive.
    pub lost_reply_permille: u64,
    /// A call arrives twice.
    pub twice_permille: u64,
    /// This one takes ten times as long.
    pub slow: Option<Host>,
    /// Somebody is cut off now and then.
    pub cuts: bool,
    /// Being cut off may be one-way.
    pub one_way: bool,
    /// Whoever calls, or writes, crashes.
    pub crash_permille: u64,
    /// Some of what was on its way to the disk is there after a crash.
    pub torn: bool,
    /// Longest time that the disk takes.
    pub disk_ms: u64,
    /// Clocks differ by up to that.
    pub skew_ms: u64,
    /// Checkpoints change while they lie on the disk.
    pub rot: bool,
    /// The smallest bounds that still work.
    pub tiny: bool,
    /// The weave accepts something, and forgets it.
    pub forget_permille: u64,
    /// The newest blocks of the weave are replaced now and then.
    pub reorganises: bool,
    /// Clients speak to both messengers, and have either push what the other has.
    pub both_messengers: bool,
}

impl Faults {
    /// Draws what goes wrong.
    pub fn draw(rng: &mut fastrand::Rng) -> Faults {
        let mut some = |max: u64| if rng.bool() { rng.u64(1..=max) } else { 0 };
        let (delay_ms, disk_ms) = (some(400), some(40));
        let (lost_request_permille, lost_reply_permille, twice_permille) = (some(150), some(150), some(150));
        let (crash_permille, skew_ms) = (some(12), some(5000));
        let slow = rng.bool().then(|| Host::UNITS[rng.usize(..Host::UNITS.len())]);
        Faults {
            delay_ms,
            lost_request_permille,
            lost_reply_permille,
            twice_permille,
            slow,
            cuts: rng.bool(),
            one_way: rng.bool(),
            crash_permille,
            torn: rng.bool(),
            disk_ms,
            skew_ms,
            rot: rng.bool(),
            tiny: rng.bool(),
            forget_permille: if rng.bool() { rng.u64(1..=300) } else { 0 },
            reorganises: rng.bool(),
            both_messengers: rng.bool(),
        }
    }
}

/// Cuts hosts off from one another, for as long as the storm lasts.
pub async fn weather(world: Arc<World>) {
    if !world.faults.cuts {
        return;
    }
    loop {
        tokio::time::sleep(Duration::from_millis(500 + world.below(20_000))).await;
        let some = |world: &World| match world.below(Host::UNITS.len() as u64 + 1) {
            0 => Host::Client,
            n => Host::UNITS[n as usize - 1],
        };
        let (one, other) = (some(&world), some(&world));
        let time = Duration::from_millis(1000 + world.below(15_000));
        world.cut(one, other, time);
        if !world.faults.one_way || world.below(2) == 0 {
            world.cut(other, one, time);
        }
    }
}
