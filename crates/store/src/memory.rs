//! A store that keeps everything in memory: for tests, for `pirn dev --memory`, and for the simulated world.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use futures_channel::oneshot;

use crate::{Appended, Batch, Error, Options, Order, Space, Store, check, is_empty_range};

/// Keys and values in memory.
///
/// [`MemoryStore::new`] makes every batch "durable" and visible at once. [`MemoryStore::stepped`] holds batches back
/// until [`sync`](MemoryStore::sync) says so: that is how a simulation shows what a crash loses.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    spaces: BTreeMap<Space, BTreeMap<Bytes, Bytes>>,
    /// Taken, not yet durable. Empty unless the store is stepped.
    waiting: VecDeque<(Batch, oneshot::Sender<Result<(), Error>>)>,
    stepped: bool,
    crashed: bool,
}

impl MemoryStore {
    /// An empty store in which every batch is durable and visible when `append` returns.
    #[expect(
        clippy::new_without_default,
        reason = "`new` is one of two ways to make it, neither is the default"
    )]
    pub fn new() -> MemoryStore {
        MemoryStore { state: Mutex::new(State::default()) }
    }

    /// An empty store in which a batch waits until [`sync`](MemoryStore::sync) or
    /// [`sync_next`](MemoryStore::sync_next), or is lost in a [`crash`](MemoryStore::crash).
    pub fn stepped() -> MemoryStore {
        MemoryStore { state: Mutex::new(State { stepped: true, ..State::default() }) }
    }

    /// Makes everything durable that waits, and tells those who wait for it. Returns how many batches that were.
    pub fn sync(&self) -> usize {
        std::iter::from_fn(|| self.sync_next().then_some(())).count()
    }

    /// Makes the oldest waiting batch durable. False if none waits.
    pub fn sync_next(&self) -> bool {
        let mut state = self.state();
        let Some((batch, tell)) = state.waiting.pop_front() else {
            return false;
        };
        state.apply(batch);
        drop(state);
        // Whoever appended may have gone; the batch counts all the same.
        let _ = tell.send(Ok(()));
        true
    }

    /// How many batches wait to become durable.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// What a restart finds after the power went out: everything that was durable, nothing that waited. This handle
    /// is dead afterwards, so that leftovers of the crashed node cannot write behind the restarted one's back.
    pub fn crash(&self) -> MemoryStore {
        self.crash_after(0)
    }

    /// The same, but the first `reached` of the waiting batches had reached the disk, although nobody was told.
    pub fn crash_after(&self, reached: usize) -> MemoryStore {
        let mut state = self.state();
        let reached = reached.min(state.waiting.len());
        let mut waiting = std::mem::take(&mut state.waiting);
        for (batch, _) in waiting.drain(..reached) {
            state.apply(batch);
        }
        state.crashed = true;
        let survivor =
            State { spaces: std::mem::take(&mut state.spaces), stepped: state.stepped, ..State::default() };
        MemoryStore { state: Mutex::new(survivor) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}

impl Store for MemoryStore {
    fn append(&self, batch: Batch) -> Appended {
        if let Err(error) = check(&batch, Options::default().batch_bytes_max) {
            return Appended::refused(error);
        }
        let (tell, appended) = Appended::pending();
        let mut state = self.state();
        if state.crashed {
            let _ = tell.send(Err(Error::Poisoned));
        } else if state.stepped {
            state.waiting.push_back((batch, tell));
        } else {
            state.apply(batch);
            let _ = tell.send(Ok(()));
        }
        appended
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let state = self.alive()?;
        Ok(state.spaces.get(&space).and_then(|keys| keys.get(key)).cloned())
    }

    fn scan(
        &self,
        space: Space,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let state = self.alive()?;
        let Some(keys) = state.spaces.get(&space) else {
            return Ok(Vec::new());
        };
        if is_empty_range(range) {
            return Ok(Vec::new());
        }
        let found = keys.range::<[u8], _>(range).map(|(key, value)| (key.clone(), value.clone()));
        Ok(match order {
            Order::Ascending => found.take(limit).collect(),
            Order::Descending => found.rev().take(limit).collect(),
        })
    }
}

impl MemoryStore {
    fn alive(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.state();
        if state.crashed { Err(Error::Poisoned) } else { Ok(state) }
    }
}

impl State {
    fn apply(&mut self, batch: Batch) {
        for (space, key, value) in batch.changes {
            let keys = self.spaces.entry(space).or_default();
            match value {
                Some(value) => drop(keys.insert(key, value)),
                None => drop(keys.remove(&key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: Space = Space("test");

    fn put(store: &MemoryStore, key: &'static str) -> Appended {
        let mut batch = Batch::new();
        batch.put(SPACE, key, "value");
        store.append(batch)
    }

    fn keys(store: &MemoryStore) -> Vec<Bytes> {
        let all = store.scan(SPACE, (Bound::Unbounded, Bound::Unbounded), Order::Ascending, 100);
        all.unwrap().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_batch_is_invisible_until_it_is_durable() {
        let store = MemoryStore::stepped();
        let appended = put(&store, "a");
        assert!(keys(&store).is_empty());
        assert!(store.sync_next());
        assert_eq!(keys(&store), ["a"]);
        appended.wait().unwrap();
    }

    #[test]
    fn a_crash_loses_what_was_not_durable_and_ends_the_handle() {
        let store = MemoryStore::stepped();
        let kept = put(&store, "a");
        store.sync();
        let lost = put(&store, "b");
        let after = store.crash();
        assert_eq!(keys(&after), ["a"]);
        kept.wait().unwrap();
        assert!(matches!(lost.wait(), Err(Error::Poisoned)));
        assert!(matches!(put(&store, "c").wait(), Err(Error::Poisoned)));
        assert!(matches!(store.get(SPACE, b"a"), Err(Error::Poisoned)));
    }

    #[test]
    fn a_batch_can_reach_the_disk_without_anyone_being_told() {
        let store = MemoryStore::stepped();
        let told = [put(&store, "a"), put(&store, "b")];
        let after = store.crash_after(1);
        assert_eq!(keys(&after), ["a"]);
        for appended in told {
            assert!(matches!(appended.wait(), Err(Error::Poisoned)));
        }
    }
}
