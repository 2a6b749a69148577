//! What machines hold in memory, and who goes when that is too much.
//!
//! Machines stay while there is room. Beyond `machines_max`, or `machines_bytes_max`, those that were not used for the
//! longest time leave a checkpoint and go, a sixteenth of the bound at once, so that not every message looks at all of
//! them. They go on holding what they hold until their checkpoint is written: if that takes so long that a sixteenth
//! more is held than the bound allows, no other machine starts meanwhile. So what is held is bounded however slow the
//! disk is; only machines that are evaluating are never told to go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::Options;
use crate::line::{Line, Shared, lock};

/// Parts of a bound that go at once.
const PARTS: u64 = 16;

/// How many machines, and the bytes that they hold.
#[derive(Default)]
struct Sum {
    machines: AtomicU64,
    bytes: AtomicU64,
}

impl Sum {
    /// One machine holds `after` bytes instead of `before`; one that holds none is no machine.
    fn replace(&self, before: u64, after: u64) {
        match (before, after) {
            (0, 1..) => drop(self.machines.fetch_add(1, Ordering::Relaxed)),
            (1.., 0) => drop(self.machines.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
        // It wraps, as does the difference.
        self.bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }

    fn get(&self) -> (u64, u64) {
        (self.machines.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

/// What all machines of a unit hold.
#[derive(Default)]
pub(crate) struct Held {
    all: Sum,
    /// Those that were told to go, as they were then.
    going: Sum,
    gone: Notify,
    woken: AtomicU64,
    hibernated: AtomicU64,
}

impl Held {
    /// A machine that held `before` bytes holds `after`.
    pub(crate) fn replace(&self, before: u64, after: u64) {
        self.all.replace(before, after);
    }

    /// A machine that holds so many bytes was told to go.
    pub(crate) fn goes(&self, bytes: u64) {
        self.going.replace(0, bytes);
    }

    /// A machine that was told to go, and held so many bytes then, went or stays after all.
    pub(crate) fn went(&self, bytes: u64) {
        self.going.replace(bytes, 0);
        self.gone.notify_waiters();
    }

    /// Machines in memory, and the bytes that they hold.
    pub(crate) fn machines(&self) -> (u64, u64) {
        self.all.get()
    }

    /// A machine was started from a checkpoint.
    pub(crate) fn wakes(&self) {
        self.woken.fetch_add(1, Ordering::Relaxed);
    }

    /// A machine left its checkpoint and went.
    pub(crate) fn hibernates(&self) {
        self.hibernated.fetch_add(1, Ordering::Relaxed);
    }

    /// How many of each so far: started from a checkpoint; left one and went.
    pub(crate) fn turns(&self) -> (u64, u64) {
        (self.woken.load(Ordering::Relaxed), self.hibernated.load(Ordering::Relaxed))
    }

    /// Without those that go.
    fn staying(&self) -> (u64, u64) {
        let ((machines, bytes), (fewer, less)) = (self.all.get(), self.going.get());
        (machines.saturating_sub(fewer), bytes.saturating_sub(less))
    }

    /// Waits until another machine may start.
    pub(crate) async fn room(&self, options: &Options) {
        loop {
            let gone = self.gone.notified();
            let (machines, bytes) = self.all.get();
            let (machines_max, bytes_max) = bounds(options);
            let is_full = machines > machines_max.saturating_add(machines_max / PARTS)
                || bytes > bytes_max.saturating_add(bytes_max / PARTS);
            if !is_full || self.going.get().0 == 0 {
                return;
            }
            gone.await;
        }
    }
}

/// Machines and bytes that may stay.
fn bounds(options: &Options) -> (u64, u64) {
    (options.machines_max as u64, options.machines_bytes_max)
}

impl Shared {
    /// Lets the least recently used idle machines go if there are too many.
    pub(crate) fn trim(self: &Arc<Self>) {
        let (machines_max, bytes_max) = bounds(&self.options);
        let fits = |(machines, bytes): (u64, u64), machines_max, bytes_max| {
            machines <= machines_max && bytes <= bytes_max
        };
        if fits(self.held.staying(), machines_max, bytes_max) {
            return;
        }
        let (machines_max, bytes_max) = (machines_max - machines_max / PARTS, bytes_max - bytes_max / PARTS);
        let mut lines: Vec<(u64, Arc<Line>)> = {
            let lines = lock(&self.lines);
            let resident = lines.values().filter(|line| line.resident() > 0);
            resident.map(|line| (line.last_use(), Arc::clone(line))).collect()
        };
        lines.sort_unstable_by_key(|(used, _)| *used);
        for (_, line) in lines {
            let staying = self.held.staying();
            // The last one stays, however large it is: it was asked for a moment ago.
            if staying.0 <= 1 || fits(staying, machines_max, bytes_max) {
                break;
            }
            line.leave(self, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_starts_while_those_that_go_hold_more_than_is_allowed() {
        let options = Options { machines_max: 32, machines_bytes_max: 1000, ..Options::default() };
        let held = Held::default();
        for _ in 0..34 {
            held.replace(0, 10);
        }
        assert_eq!((held.machines(), held.staying()), ((34, 340), (34, 340)));
        held.room(&options).await;
        held.replace(0, 10);
        // Nobody goes: waiting would be for ever.
        held.room(&options).await;
        held.goes(10);
        assert_eq!(held.staying(), (34, 340));
        let mut room = std::pin::pin!(held.room(&options));
        assert!(futures::poll!(&mut room).is_pending());
        held.replace(10, 0);
        held.went(10);
        room.await;
        // Bytes count as machines do.
        held.replace(10, 900);
        held.goes(900);
        let mut room = std::pin::pin!(held.room(&options));
        assert!(futures::poll!(&mut room).is_pending());
        held.went(900);
        room.await;
        assert_eq!(held.machines(), (34, 1230));
    }
}
