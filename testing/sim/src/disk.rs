//! The disk of a host: what was not synced is lost when the host crashes.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use store::{Appended, Batch, Error, MemoryStore, Order, Space, Store};
use tokio::sync::Notify;

use crate::world::{Host, Life, World};

/// A store as one run of a host has it.
pub struct Disk {
    world: Arc<World>,
    host: Host,
    life: Life,
    store: Arc<MemoryStore>,
    appended: Notify,
}

impl Disk {
    /// What is on the disk, for a host that begins. Whatever it appends becomes durable in its own time.
    pub fn mount(world: &Arc<World>, host: Host, life: &Life, store: Arc<MemoryStore>) -> Arc<Disk> {
        let (world, life) = (Arc::clone(world), life.clone());
        let disk = Arc::new(Disk { world, host, life, store, appended: Notify::new() });
        tokio::spawn(Arc::clone(&disk).sync());
        disk
    }

    async fn sync(self: Arc<Disk>) {
        loop {
            tokio::select! {
                biased;
                () = self.life.over() => return,
                () = self.appended.notified() => {}
            }
            while self.store.waiting() > 0 {
                let most = if self.world.is_storm() { self.world.faults.disk_ms } else { 0 };
                tokio::time::sleep(Duration::from_millis(1 + self.world.below(most))).await;
                if !self.life.goes_on() {
                    return;
                }
                // Those that came meanwhile may have to wait for the next flush.
                let n = 1 + self.world.below(self.store.waiting() as u64);
                for _ in 0..n {
                    self.store.sync_next();
                }
            }
        }
    }
}

impl Store for Disk {
    fn append(&self, batch: Batch) -> Appended {
        if self.world.strikes(self.world.faults.crash_permille) || self.world.meets_doom(self.host) {
            self.world.crash(self.host);
        }
        let appended = self.store.append(batch);
        self.appended.notify_one();
        appended
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.store.get(space, key)
    }

    fn scan(
        &self,
        space: Space,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        self.store.scan(space, range, order, limit)
    }
}
