//! Writes that are seen at once and reach the disk in their own time.
//!
//! An outcome is a function of the schedule, which is durable already, so nobody waits for it to be written; but who
//! was told of an outcome must find it. Reads look at what is on its way to the disk first, then at the store.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use store::{Appended, Batch, Order, Space, Store};
use tokio::sync::{Notify, mpsc};
use unit::{Error, Result};

/// A store whose writes are seen before they are durable.
#[derive(Clone)]
pub(crate) struct Journal {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    written: mpsc::UnboundedSender<Written>,
    /// Bytes on their way beyond which [`Journal::room`] waits.
    bytes_max: usize,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Held while a batch is handed over, so that batches reach the store in the order of their serials. Apart from
    /// `waiting`: a store whose queue is full takes its time, and reads shall go on.
    handing: Mutex<()>,
    /// Something became durable, or failed.
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    values: BTreeMap<(Space, Bytes), (u64, Option<Bytes>)>,
    bytes: usize,
    /// Of the newest batch that was handed to the store.
    appended: u64,
    /// Of the newest batch that is durable.
    durable: u64,
    failed: Option<store::Error>,
}

struct Written {
    serial: u64,
    keys: Vec<(Space, Bytes)>,
    bytes: usize,
    appended: Appended,
}

/// A range of keys.
pub(crate) type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

impl Journal {
    /// A journal over `store`. Spawns the task that waits for the disk.
    pub(crate) fn new(store: Arc<dyn Store>, bytes_max: usize) -> Journal {
        let (written, mut batches) = mpsc::unbounded_channel::<Written>();
        let shared = Arc::new(Shared::default());
        let settle = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Some(batch) = batches.recv().await {
                let durable = batch.appended.await;
                settle.settle(batch.serial, &batch.keys, batch.bytes, durable);
            }
        });
        Journal { store, shared, written, bytes_max }
    }

    /// Hands a batch to the store. It is seen when this returns.
    pub(crate) fn append(&self, batch: Batch) -> Result<()> {
        let _in_order = self.shared.handing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = self.shared.waiting();
        waiting.check()?;
        waiting.appended += 1;
        let serial = waiting.appended;
        let mut keys = Vec::with_capacity(batch.changes.len());
        let mut bytes = 0;
        for (space, key, value) in &batch.changes {
            bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
            keys.push((*space, key.clone()));
            waiting.values.insert((*space, key.clone()), (serial, value.clone()));
        }
        waiting.bytes += bytes;
        drop(waiting);
        let appended = self.store.append(batch);
        self.written
            .send(Written { serial, keys, bytes, appended })
            .map_err(|_| Error::unavailable("the compute unit is stopping").with_code(unit::Code::STOPPING))
    }

    /// Waits until not too much is on its way.
    pub(crate) async fn room(&self) -> Result<()> {
        self.wait(|waiting| waiting.bytes <= self.bytes_max).await
    }

    /// Waits until everything that was appended before this call is durable.
    pub(crate) async fn durable(&self) -> Result<()> {
        let serial = self.shared.waiting().appended;
        self.wait(|waiting| waiting.durable >= serial).await
    }

    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>> {
        let waiting = self.shared.waiting();
        waiting.check()?;
        if !waiting.values.is_empty()
            && let Some((_, value)) = waiting.values.get(&(space, Bytes::copy_from_slice(key)))
        {
            return Ok(value.clone());
        }
        drop(waiting);
        self.store.get(space, key).map_err(|error| Error::internal(&error).with_code(unit::Code::STORE))
    }

    pub(crate) fn scan(
        &self,
        space: Space,
        range: Range<'_>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>> {
        // What is on its way is read first: what becomes durable in between is then seen twice, never missed.
        let newer: Vec<(Bytes, Option<Bytes>)> = {
            let waiting = self.shared.waiting();
            waiting.check()?;
            let of_space = (
                with_space(space, range.0, Bound::Included((space, Bytes::new()))),
                range.1.map(|key| (space, Bytes::copy_from_slice(key))),
            );
            if waiting.values.is_empty() || is_empty(range) {
                Vec::new()
            } else {
                let found = waiting.values.range(of_space).take_while(|((of, _), _)| *of == space);
                found.map(|((_, key), (_, value))| (key.clone(), value.clone())).collect()
            }
        };
        let deleted = newer.iter().filter(|(_, value)| value.is_none()).count();
        let older = self.store.scan(space, range, order, limit.saturating_add(deleted));
        let older = older.map_err(|error| Error::internal(&error).with_code(unit::Code::STORE))?;
        if newer.is_empty() {
            return Ok(older);
        }
        let mut merged: BTreeMap<Bytes, Option<Bytes>> =
            older.into_iter().map(|(key, value)| (key, Some(value))).collect();
        merged.extend(newer);
        let there = merged.into_iter().filter_map(|(key, value)| Some((key, value?)));
        Ok(match order {
            Order::Ascending => there.take(limit).collect(),
            Order::Descending => there.rev().take(limit).collect(),
        })
    }

    async fn wait(&self, done: impl Fn(&Waiting) -> bool) -> Result<()> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let waiting = self.shared.waiting();
                waiting.check()?;
                if done(&waiting) {
                    return Ok(());
                }
            }
            changed.await;
        }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, serial: u64, keys: &[(Space, Bytes)], bytes: usize, durable: Result<(), store::Error>) {
        let mut waiting = self.waiting();
        match durable {
            Ok(()) => {
                waiting.durable = serial;
                waiting.bytes -= bytes;
                for key in keys {
                    if waiting.values.get(key).is_some_and(|(newest, _)| *newest == serial) {
                        waiting.values.remove(key);
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "outcomes cannot be written any more");
                waiting.failed.get_or_insert(error);
            }
        }
        drop(waiting);
        self.changed.notify_waiters();
    }
}

impl Waiting {
    /// A store that failed once accepts nothing any more; nor do we.
    fn check(&self) -> Result<()> {
        self.failed.as_ref().map_or(Ok(()), |error| Err(Error::internal(error).with_code(unit::Code::STORE)))
    }
}

fn with_space(space: Space, bound: Bound<&[u8]>, unbounded: Bound<(Space, Bytes)>) -> Bound<(Space, Bytes)> {
    match bound {
        Bound::Unbounded => unbounded,
        bound => bound.map(|key| (space, Bytes::copy_from_slice(key))),
    }
}

/// `BTreeMap::range` panics on these.
fn is_empty(range: Range<'_>) -> bool {
    match range {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
            start >= end
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use store::MemoryStore;

    use super::*;

    const SPACE: Space = Space("test.b");

    fn put(journal: &Journal, key: &'static str, value: Option<&'static str>) {
        let mut batch = Batch::new();
        match value {
            Some(value) => batch.put(SPACE, key, value),
            None => batch.delete(SPACE, key),
        };
        journal.append(batch).unwrap();
    }

    fn keys(journal: &Journal, order: Order, limit: usize) -> String {
        let found = journal.scan(SPACE, (Bound::Unbounded, Bound::Unbounded), order, limit).unwrap();
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        found.iter().map(|(key, value)| format!("{}{} ", text(key), text(value))).collect()
    }

    #[tokio::test]
    async fn a_write_is_seen_before_it_is_durable_and_still_after() {
        let store = Arc::new(MemoryStore::stepped());
        let journal = Journal::new(Arc::clone(&store) as Arc<dyn Store>, 1 << 20);
        for key in ["a", "b", "c"] {
            put(&journal, key, Some("1"));
        }
        store.sync();
        journal.durable().await.unwrap();
        assert!(journal.shared.waiting().values.is_empty(), "nothing is kept twice");
        put(&journal, "b", None);
        put(&journal, "c", Some("2"));
        put(&journal, "d", Some("2"));
        for _ in 0..2 {
            assert_eq!(keys(&journal, Order::Ascending, 2), "a1 c2 ");
            assert_eq!(keys(&journal, Order::Descending, 2), "d2 c2 ");
            assert_eq!(journal.get(SPACE, b"b").unwrap(), None);
            assert_eq!(journal.get(SPACE, b"d").unwrap().as_deref(), Some(b"2".as_slice()));
            store.sync();
            journal.durable().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_store_that_failed_is_not_trusted_again() {
        let store = Arc::new(MemoryStore::stepped());
        let journal = Journal::new(Arc::clone(&store) as Arc<dyn Store>, 0);
        put(&journal, "a", Some("1"));
        let _survivor = store.crash();
        assert!(journal.room().await.is_err());
        assert!(journal.get(SPACE, b"a").is_err());
    }
}
