//! The durable queue: what waits, what is under way, and how many of each. Everything that changes is written down
//! before anybody is told.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::Shared;
use protocol::{DataItem, Id, Timestamp};
use store::{Appended, Batch, Order, Space, Store};
use tokio::sync::watch;
use unit::Clock;

use crate::record::{
    BYTES, ITEM, Lot, POSTED, Parcel, SIGNED, Standing, TOTAL, Totals, WAITING, key, number, read, write,
};
use crate::{Error, Options};

/// Keys that one scan reads.
const PAGE: usize = 256;

/// What is on its way, in the node's store.
pub(crate) struct Queue {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    next: AtomicU64,
    counts: Mutex<Counts>,
    totals: Mutex<Totals>,
    /// Taken in, and on their way to the disk.
    arriving: Mutex<BTreeMap<Id, Shared<Appended>>>,
    /// Goes on with every change.
    pub(crate) changed: watch::Sender<u64>,
}

/// How many items stand how.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    by: BTreeMap<Standing, Count>,
    /// When those came that the network has not taken, to the second.
    ages: BTreeMap<u64, u64>,
}

/// Some items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Count {
    /// How many.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them are assignments: entries of schedules.
    pub entries: u64,
}

impl Counts {
    pub(crate) fn of(&self, standing: Standing) -> Count {
        self.by.get(&standing).copied().unwrap_or_default()
    }

    /// When the one came that has waited longest to be taken.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.ages.first_key_value().map(|(second, _)| Timestamp(second * 1000))
    }

    fn add(&mut self, standing: Standing, lots: &[Lot]) {
        let count = self.by.entry(standing).or_default();
        for lot in lots {
            count.items += 1;
            count.bytes += lot.size;
            count.entries += u64::from(lot.entry);
            if standing <= Standing::Signed {
                *self.ages.entry(lot.since.0 / 1000).or_default() += 1;
            }
        }
    }

    fn remove(&mut self, standing: Standing, lots: &[Lot]) {
        let count = self.by.entry(standing).or_default();
        for lot in lots {
            count.items = count.items.saturating_sub(1);
            count.bytes = count.bytes.saturating_sub(lot.size);
            count.entries = count.entries.saturating_sub(u64::from(lot.entry));
            if standing <= Standing::Signed
                && let Some(second) = self.ages.get_mut(&(lot.since.0 / 1000))
            {
                *second -= 1;
                if *second == 0 {
                    self.ages.remove(&(lot.since.0 / 1000));
                }
            }
        }
    }
}

impl Queue {
    pub(crate) fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Queue, Error> {
        let mut counts = Counts::default();
        let mut next = 0;
        let mut from = Bound::Unbounded;
        while let Some(page) = page_of(&*store, WAITING, &mut from)? {
            for (at, value) in page {
                next = next.max(number(&at) + 1);
                counts.add(Standing::Waiting, &[read("what waits", &value)?]);
            }
        }
        for space in [SIGNED, POSTED] {
            let mut from = Bound::Unbounded;
            while let Some(page) = page_of(&*store, space, &mut from)? {
                for (at, value) in page {
                    next = next.max(number(&at) + 1);
                    let parcel: Parcel = read("a parcel", &value)?;
                    let standing = if space == SIGNED { Standing::Signed } else { parcel.standing() };
                    counts.add(standing, &parcel.lots);
                }
            }
        }
        let totals = store.get(TOTAL, b"total")?;
        let totals = totals.map(|bytes| read("what was done", &bytes)).transpose()?.unwrap_or_default();
        Ok(Queue {
            store,
            clock,
            options,
            next: AtomicU64::new(next),
            counts: Mutex::new(counts),
            totals: Mutex::new(totals),
            arriving: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    /// Takes an item in that was verified; twice is once. Answers when it is durable.
    pub(crate) async fn take(&self, item: &DataItem) -> Result<(), Error> {
        let id = item.id;
        let size = item.bytes().len() as u64;
        let durable = {
            let mut arriving = lock(&self.arriving);
            if let Some(durable) = arriving.get(&id) {
                durable.clone()
            } else {
                if self.store.get(ITEM, &id.0)?.is_some() {
                    return Ok(());
                }
                let waiting = {
                    let counts = self.counts();
                    counts.of(Standing::Waiting).bytes + counts.of(Standing::Signed).bytes
                };
                if waiting + size > self.options.queue_bytes_max {
                    return Err(Error::Full { id, waiting });
                }
                let lot = Lot { id, since: self.clock.now(), size, entry: item.kind() == Some("Assignment") };
                let mut batch = Batch::new();
                batch.put(BYTES, id.0.to_vec(), item.bytes().clone());
                batch.put(ITEM, id.0.to_vec(), vec![Standing::Waiting.byte()]);
                batch.put(WAITING, key(self.number()), write(&lot));
                self.counts().add(Standing::Waiting, &[lot]);
                let durable = self.store.append(batch).shared();
                arriving.insert(id, durable.clone());
                durable
            }
        };
        let written = durable.await;
        lock(&self.arriving).remove(&id);
        written?;
        self.tell();
        Ok(())
    }

    /// How an item stands that was taken in.
    pub(crate) fn standing(&self, id: Id) -> Result<Option<Standing>, Error> {
        Ok(self.store.get(ITEM, &id.0)?.as_deref().and_then(Standing::read))
    }

    /// The bytes of an item that is not settled yet.
    pub(crate) fn item(&self, id: Id) -> Result<Option<DataItem>, Error> {
        let Some(bytes) = self.store.get(BYTES, &id.0)? else { return Ok(None) };
        // It was verified before it was written down.
        let item =
            DataItem::parse_trusted(bytes).map_err(|_| Error::Damaged { what: format!("item {id}") })?;
        Ok(Some(item))
    }

    /// The items of a parcel, in its order.
    pub(crate) fn items(&self, lots: &[Lot]) -> Result<Vec<DataItem>, Error> {
        let item =
            |lot: &Lot| self.item(lot.id)?.ok_or_else(|| Error::Damaged { what: format!("item {}", lot.id) });
        lots.iter().map(item).collect()
    }

    /// Some of what waits, in the order in which it came, beginning after a number.
    pub(crate) fn waiting(&self, from: &mut Bound<Vec<u8>>) -> Result<Option<Vec<(u64, Lot)>>, Error> {
        let Some(page) = page_of(&*self.store, WAITING, from)? else { return Ok(None) };
        let lot = |(at, value): (Bytes, Bytes)| Ok((number(&at), read("what waits", &value)?));
        page.into_iter().map(lot).collect::<Result<_, Error>>().map(Some)
    }

    /// Some parcels of a space, in their order, beginning after a number.
    pub(crate) fn parcels(
        &self,
        space: Space,
        from: &mut Bound<Vec<u8>>,
    ) -> Result<Option<Vec<(u64, Parcel)>>, Error> {
        let Some(page) = page_of(&*self.store, space, from)? else { return Ok(None) };
        let parcel = |(at, value): (Bytes, Bytes)| Ok((number(&at), read("a parcel", &value)?));
        page.into_iter().map(parcel).collect::<Result<_, Error>>().map(Some)
    }

    /// Lots become a parcel whose transaction is signed.
    pub(crate) async fn sign(&self, numbers: &[u64], parcel: &Parcel) -> Result<u64, Error> {
        let at = self.number();
        let mut batch = Batch::new();
        numbers.iter().for_each(|number| {
            batch.delete(WAITING, key(*number));
        });
        batch.put(SIGNED, key(at), write(parcel));
        mark(&mut batch, &parcel.lots, Standing::Signed);
        self.write(batch, Standing::Waiting, Standing::Signed, &parcel.lots).await?;
        Ok(at)
    }

    /// The network took an item that waited.
    pub(crate) async fn uploaded(&self, at: u64, parcel: &Parcel) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.delete(WAITING, key(at));
        batch.put(POSTED, key(at), write(parcel));
        mark(&mut batch, &parcel.lots, Standing::Posted);
        self.write(batch, Standing::Waiting, Standing::Posted, &parcel.lots).await
    }

    /// The network took a parcel. `is_first` if it did not take this transaction before.
    pub(crate) async fn posted(&self, at: u64, parcel: &Parcel, is_first: bool) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.delete(SIGNED, key(at));
        batch.put(POSTED, key(at), write(parcel));
        mark(&mut batch, &parcel.lots, Standing::Posted);
        if is_first {
            let winston = parcel.transaction.as_ref().map_or(0, |tx| tx.reward());
            self.count(&mut batch, |totals| {
                totals.transactions += 1;
                totals.winston = totals.winston.saturating_add(u64::try_from(winston).unwrap_or(u64::MAX));
            });
        }
        self.write(batch, Standing::Signed, Standing::Posted, &parcel.lots).await
    }

    /// A parcel that was posted stands otherwise now; `before` is how it stood.
    pub(crate) async fn note(
        &self,
        at: u64,
        before: Standing,
        parcel: &Parcel,
        count: impl FnOnce(&mut Totals),
    ) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.put(POSTED, key(at), write(parcel));
        if before != parcel.standing() {
            mark(&mut batch, &parcel.lots, parcel.standing());
        }
        self.count(&mut batch, count);
        self.write(batch, before, parcel.standing(), &parcel.lots).await
    }

    /// A parcel was lost: a transaction is sent again as it was signed, an item goes to the bundler again.
    pub(crate) async fn lost(&self, at: u64, parcel: &Parcel) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.delete(POSTED, key(at));
        let again = match parcel.transaction {
            Some(_) => {
                batch.put(SIGNED, key(at), write(parcel));
                Standing::Signed
            }
            None => {
                self.wait_again(&mut batch, &parcel.lots);
                Standing::Waiting
            }
        };
        mark(&mut batch, &parcel.lots, again);
        self.count(&mut batch, |totals| totals.reposted += 1);
        self.write(batch, parcel.standing(), again, &parcel.lots).await
    }

    /// A transaction was refused for good and nobody knows it: its items wait for another.
    pub(crate) async fn refused(&self, at: u64, parcel: &Parcel) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.delete(SIGNED, key(at));
        self.wait_again(&mut batch, &parcel.lots);
        mark(&mut batch, &parcel.lots, Standing::Waiting);
        self.count(&mut batch, |totals| totals.refused += 1);
        self.write(batch, Standing::Signed, Standing::Waiting, &parcel.lots).await
    }

    /// A parcel is settled.
    pub(crate) async fn settled(&self, at: u64, before: Standing, parcel: &Parcel) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.delete(POSTED, key(at));
        for lot in &parcel.lots {
            batch.delete(BYTES, lot.id.0.to_vec());
        }
        mark(&mut batch, &parcel.lots, Standing::Settled);
        self.count(&mut batch, |totals| totals.settled += parcel.lots.len() as u64);
        self.write(batch, before, Standing::Settled, &parcel.lots).await
    }

    pub(crate) fn counts(&self) -> MutexGuard<'_, Counts> {
        lock(&self.counts)
    }

    pub(crate) fn totals(&self) -> Totals {
        lock(&self.totals).clone()
    }

    fn wait_again(&self, batch: &mut Batch, lots: &[Lot]) {
        for lot in lots {
            batch.put(WAITING, key(self.number()), write(lot));
        }
    }

    fn count(&self, batch: &mut Batch, count: impl FnOnce(&mut Totals)) {
        let mut totals = lock(&self.totals);
        count(&mut totals);
        batch.put(TOTAL, &b"total"[..], write(&*totals));
    }

    async fn write(&self, batch: Batch, from: Standing, to: Standing, lots: &[Lot]) -> Result<(), Error> {
        self.store.append(batch).await?;
        {
            let mut counts = self.counts();
            counts.remove(from, lots);
            if to != Standing::Settled {
                counts.add(to, lots);
            }
        }
        self.tell();
        Ok(())
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn tell(&self) {
        self.changed.send_modify(|n| *n += 1);
    }
}

fn mark(batch: &mut Batch, lots: &[Lot], standing: Standing) {
    for lot in lots {
        batch.put(ITEM, lot.id.0.to_vec(), vec![standing.byte()]);
    }
}

/// The next keys of a space, and where the ones after them begin. None at the end.
fn page_of(
    store: &dyn Store,
    space: Space,
    from: &mut Bound<Vec<u8>>,
) -> Result<Option<Vec<(Bytes, Bytes)>>, Error> {
    let range = (from.as_ref().map(|key| &**key), Bound::Unbounded);
    let page = store.scan(space, range, Order::Ascending, PAGE)?;
    let Some((last, _)) = page.last() else { return Ok(None) };
    *from = Bound::Excluded(last.to_vec());
    Ok(Some(page))
}

/// Nothing panics while it holds one of these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
