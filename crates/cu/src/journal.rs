//! Writes that are seen at once and reach the disk in their own time.
//!
//! An outcome is a function of the schedule, which is durable already, so nobody waits for it to be written; but who
//! was told of an outcome must find it. Reads look at what is on its way to the disk first, then at the store.
//!
//! As nobody waits, what is written within [`LINGER`] goes to the store together: a flush for every outcome would cost
//! the evaluation more than the outcome does.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use store::{Batch, Order, Space, Store};
use tokio::sync::{Notify, mpsc};
use unit::{Error, Result};

/// How long a write waits for others, if nobody waits for it.
const LINGER: Duration = Duration::from_millis(10);
/// Bytes of keys and values that are handed to the store at once, if no single batch is larger.
const TOGETHER_BYTES: usize = 1 << 20;

/// A store whose writes are seen before they are durable.
#[derive(Clone)]
pub(crate) struct Journal {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    /// Wakes the task that writes; it ends when the last of these is gone.
    work: mpsc::Sender<()>,
    /// Bytes on their way beyond which [`Journal::room`] waits.
    bytes_max: usize,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Somebody waits, or there is much: no lingering.
    hurry: Notify,
    /// Something became durable, or failed.
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    /// What the store does not have yet, oldest first. Only the last one takes more.
    groups: VecDeque<Group>,
    /// What the store is writing.
    written: Option<Arc<Values>>,
    /// Of everything that is not durable.
    bytes: usize,
    /// Groups that were begun.
    begun: u64,
    /// Of these, how many are durable: the first.
    durable: u64,
    failed: Option<store::Error>,
}

/// Batches that go to the store as one. Of what is written to one key only the last counts.
#[derive(Default)]
struct Group {
    values: Values,
    /// Bytes of keys and values that were appended.
    bytes: usize,
}

/// By space and key; `None` is deleted.
#[derive(Default)]
struct Values(BTreeMap<Space, BTreeMap<Bytes, Option<Bytes>>>);

/// A range of keys.
pub(crate) type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

impl Journal {
    /// A journal over `store`. Spawns the task that writes.
    pub(crate) fn new(store: Arc<dyn Store>, bytes_max: usize) -> Journal {
        let shared = Arc::new(Shared::default());
        let (work, more) = mpsc::channel(1);
        tokio::spawn(write(Arc::clone(&store), Arc::clone(&shared), more));
        Journal { store, shared, work, bytes_max }
    }

    /// Takes a batch. It is seen when this returns.
    pub(crate) fn append(&self, batch: Batch) -> Result<()> {
        let bytes = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        let bytes = batch.changes.iter().map(|(_, key, value)| key.len() + bytes(value)).sum();
        let mut waiting = self.shared.waiting();
        waiting.check()?;
        let is_first = waiting.groups.is_empty();
        let is_much = waiting.add(batch, bytes);
        drop(waiting);
        if is_first {
            // Full means that the task will look anyhow.
            let _ = self.work.try_send(());
        }
        if is_much {
            self.shared.hurry.notify_one();
        }
        Ok(())
    }

    /// Waits until not too much is on its way.
    pub(crate) async fn room(&self) -> Result<()> {
        self.wait(|waiting| waiting.bytes <= self.bytes_max).await
    }

    /// Waits until everything that was appended before this call is durable.
    pub(crate) async fn durable(&self) -> Result<()> {
        let begun = self.shared.waiting().begun;
        self.wait(|waiting| waiting.durable >= begun).await
    }

    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>> {
        let waiting = self.shared.waiting();
        waiting.check()?;
        if let Some(value) = waiting.newest_first().find_map(|values| values.0.get(&space)?.get(key)) {
            return Ok(value.clone());
        }
        drop(waiting);
        self.store.get(space, key).map_err(|error| of_store(&error))
    }

    pub(crate) fn scan(
        &self,
        space: Space,
        range: Range<'_>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Bytes, Bytes)>> {
        // What is on its way is read first: what becomes durable in between is then seen twice, never missed.
        let newer: BTreeMap<Bytes, Option<Bytes>> = {
            let waiting = self.shared.waiting();
            waiting.check()?;
            let of_space = waiting.newest_first().filter_map(|values| values.0.get(&space));
            let all: Vec<_> = of_space.filter(|_| !is_empty(range)).collect();
            let found = all.iter().rev().flat_map(|values| values.range::<[u8], _>(range));
            found.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let deleted = newer.values().filter(|value| value.is_none()).count();
        let older = self.store.scan(space, range, order, limit.saturating_add(deleted));
        let older = older.map_err(|error| of_store(&error))?;
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
            self.shared.hurry.notify_one();
            changed.await;
        }
    }
}

/// Hands what was appended to the store, in its order, until the last journal is gone and nothing is left.
async fn write(store: Arc<dyn Store>, shared: Arc<Shared>, mut more: mpsc::Receiver<()>) {
    loop {
        let ends = more.recv().await.is_none();
        loop {
            if !ends && !shared.waiting().is_much() {
                let _ = tokio::time::timeout(LINGER, shared.hurry.notified()).await;
            }
            let Some((values, bytes)) = shared.waiting().take() else { break };
            let batch = values.to_batch();
            drop(values);
            let durable = store.append(batch).await;
            shared.settle(bytes, durable);
        }
        if ends {
            return;
        }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, bytes: usize, durable: std::result::Result<(), store::Error>) {
        let mut waiting = self.waiting();
        let mut gone = None;
        match durable {
            Ok(()) => {
                waiting.durable += 1;
                waiting.bytes -= bytes;
                gone = waiting.written.take();
            }
            Err(error) => {
                tracing::error!(%error, "outcomes cannot be written any more");
                waiting.failed.get_or_insert(error);
            }
        }
        drop(waiting);
        // Not while others wait for the lock: it is thousands of keys.
        drop(gone);
        self.changed.notify_waiters();
    }
}

impl Waiting {
    /// Puts a batch behind the others. Whether what waits is much by now.
    fn add(&mut self, batch: Batch, bytes: usize) -> bool {
        self.bytes += bytes;
        let last = match self.groups.back_mut() {
            Some(last) if last.bytes + bytes <= TOGETHER_BYTES => last,
            _ => {
                self.begun += 1;
                self.groups.push_back(Group::default());
                self.groups.back_mut().expect("one was put there")
            }
        };
        last.bytes += bytes;
        for (space, key, value) in batch.changes {
            last.values.0.entry(space).or_default().insert(key, value);
        }
        self.is_much()
    }

    /// Whether there is enough for the store.
    fn is_much(&self) -> bool {
        self.groups.front().is_some_and(|first| first.bytes >= TOGETHER_BYTES || self.groups.len() > 1)
    }

    /// The oldest group, to be written, and how many bytes it is.
    fn take(&mut self) -> Option<(Arc<Values>, usize)> {
        let Group { values, bytes } = self.groups.pop_front()?;
        let values = Arc::new(values);
        self.written = Some(Arc::clone(&values));
        Some((values, bytes))
    }

    /// Everything that is not durable.
    fn newest_first(&self) -> impl Iterator<Item = &Values> {
        self.groups.iter().rev().map(|group| &group.values).chain(self.written.as_deref())
    }

    /// A store that failed once accepts nothing any more; nor do we.
    fn check(&self) -> Result<()> {
        self.failed.as_ref().map_or(Ok(()), |error| Err(of_store(error)))
    }
}

impl Values {
    /// The same, for the store.
    fn to_batch(&self) -> Batch {
        let of_space = |(space, values): (&Space, &BTreeMap<Bytes, Option<Bytes>>)| {
            let space = *space;
            let changes = values.iter().map(move |(key, value)| (space, key.clone(), value.clone()));
            changes.collect::<Vec<_>>()
        };
        Batch { changes: self.0.iter().flat_map(of_space).collect() }
    }
}

/// What the store could not do, to whoever asked for more.
fn of_store(error: &store::Error) -> Error {
    Error::internal(error).with_code(unit::Code::STORE).with_hint_if(error.hint())
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

    /// Makes durable what was appended.
    async fn sync(journal: &Journal, store: &MemoryStore) {
        let reach = async {
            while journal.shared.waiting().bytes > 0 {
                store.sync();
                tokio::task::yield_now().await;
            }
        };
        let (durable, ()) = tokio::join!(journal.durable(), reach);
        durable.unwrap();
    }

    #[tokio::test]
    async fn a_write_is_seen_before_it_is_durable_and_still_after() {
        let store = Arc::new(MemoryStore::stepped());
        let journal = Journal::new(Arc::clone(&store) as Arc<dyn Store>, 1 << 20);
        for key in ["a", "b", "c"] {
            put(&journal, key, Some("1"));
        }
        sync(&journal, &store).await;
        assert!(journal.shared.waiting().newest_first().next().is_none(), "nothing is kept twice");
        put(&journal, "b", None);
        put(&journal, "c", Some("2"));
        put(&journal, "d", Some("2"));
        for _ in 0..2 {
            assert_eq!(keys(&journal, Order::Ascending, 2), "a1 c2 ");
            assert_eq!(keys(&journal, Order::Descending, 2), "d2 c2 ");
            assert_eq!(journal.get(SPACE, b"b").unwrap(), None);
            assert_eq!(journal.get(SPACE, b"d").unwrap().as_deref(), Some(b"2".as_slice()));
            sync(&journal, &store).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_at_the_same_time_goes_together_and_large_things_alone() {
        let store = Arc::new(MemoryStore::stepped());
        let journal = Journal::new(Arc::clone(&store) as Arc<dyn Store>, 1 << 20);
        for key in ["a", "b", "a"] {
            put(&journal, key, Some("1"));
        }
        tokio::time::sleep(LINGER * 2).await;
        assert_eq!(store.waiting(), 1, "three batches are one write");
        put(&journal, "a", Some("2"));
        assert_eq!(store.sync(), 1);
        tokio::time::sleep(LINGER * 2).await;
        assert_eq!(store.get(SPACE, b"a").unwrap().as_deref(), Some(b"1".as_slice()));
        assert_eq!(journal.get(SPACE, b"a").unwrap().as_deref(), Some(b"2".as_slice()), "it waits still");
        sync(&journal, &store).await;

        for large in ["c", "d"] {
            let mut batch = Batch::new();
            batch.put(SPACE, large, vec![0; TOGETHER_BYTES]);
            journal.append(batch).unwrap();
        }
        let mut writes = 0;
        while journal.shared.waiting().bytes > 0 {
            writes += store.sync();
            tokio::task::yield_now().await;
        }
        assert_eq!(writes, 2);
    }

    #[tokio::test]
    async fn what_was_appended_is_written_when_the_journal_is_gone() {
        let store = Arc::new(MemoryStore::new());
        let journal = Journal::new(Arc::clone(&store) as Arc<dyn Store>, 1 << 20);
        put(&journal, "a", Some("1"));
        drop(journal);
        while store.get(SPACE, b"a").unwrap().is_none() {
            tokio::task::yield_now().await;
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
