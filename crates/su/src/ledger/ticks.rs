//! Ticks: timers of processes that are due get their slots, and a messenger is told of each.
//!
//! The table of a process's timers changes with the entry that changes it, in one batch; so do the row that says when
//! it is to be looked at, and the row that says that no messenger was told of a tick yet. A tick is made while the
//! line of its process is held, from the table as it stands there: two looks at once give it once.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use protocol::{Id, Item, ProcessId, Slot, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Batch, Order, Space};
use tokio::sync::Notify;
use unit::Messenger;

use super::{End, Ledger, Line, Turn, Wish};
use crate::Error;
use crate::entry::{Entry, pair, split_pair};
use crate::timers::{Table, asks_for_some, may_concern};

/// Process → its timers: see [`Kept`].
pub(crate) const TIMERS: Space = Space("su.timers");
/// (when it is to be looked at, process) → nothing.
const DUE: Space = Space("su.due");
/// (process, slot) → the id of a tick that no messenger has taken yet.
pub(crate) const UNTOLD: Space = Space("su.untold");

/// Rows that are read at once.
const PAGE: usize = 256;

/// What the store has of the timers of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Under which moment it stands among those that are due.
    look: Option<Timestamp>,
    pub(crate) table: Table,
}

/// What is seen of ticks.
#[derive(Debug, Default)]
pub(crate) struct Ticking {
    /// Ticks that got their slots since this unit was opened.
    pub(crate) given: AtomicU64,
    /// Moments that passed without one, by the policies of their timers.
    pub(crate) missed: AtomicU64,
    /// Ticks that a messenger has taken.
    pub(crate) told: AtomicU64,
    /// How late the newest tick was, ms.
    pub(crate) late_ms: AtomicU64,
    /// When the due were looked at last, ms since 1970.
    pub(crate) beat: AtomicU64,
    /// There is a messenger to tell.
    pub(crate) has_messenger: AtomicBool,
    /// The newest failure of a look or of a messenger.
    pub(crate) error: std::sync::Mutex<Option<String>>,
    /// A tick was given.
    news: Notify,
}

impl Ledger {
    /// Gives ticks when they are due, again and again.
    pub(crate) async fn tick(self: Arc<Self>) {
        let pause = Duration::from_millis(self.options.tick_interval_ms.max(1));
        self.ticking.beat.store(self.clock.now().0, Ordering::Relaxed);
        loop {
            tokio::time::sleep(pause).await;
            self.ticking.beat.store(self.clock.now().0, Ordering::Relaxed);
            // Whoever moves a clock that stands has the ticks given himself.
            if !self.clock.is_still()
                && let Err(error) = self.give_due().await
            {
                let error = unit::Error::from(error).to_string();
                let before = super::lock(&self.ticking.error).replace(error.clone());
                if before.as_ref() != Some(&error) {
                    tracing::warn!(error, "cannot give ticks; will try again at every look");
                }
            }
        }
    }

    /// Gives all ticks that are due now, in the order of their moments where that matters: within a process. How many.
    pub(crate) async fn give_due(self: &Arc<Self>) -> Result<u64, Error> {
        let end = Bytes::copy_from_slice(&self.clock.now().0.saturating_add(1).to_be_bytes());
        let mut from = Bytes::new();
        let mut given = 0;
        // A clock that stands is moved by somebody who wants the same each time.
        let at_once = if self.clock.is_still() { 1 } else { self.options.ticks_at_once.max(1) };
        loop {
            let range = (Bound::Excluded(&from[..]), Bound::Excluded(&end[..]));
            let page = self.store.scan(DUE, range, Order::Ascending, PAGE)?;
            let processes: Vec<ProcessId> =
                page.iter().filter_map(|(key, _)| Some(split_due(key)?.1)).collect();
            let mut looks = futures::stream::iter(processes)
                .map(|process| {
                    let ledger = self.clone();
                    async move { ledger.give_ticks(process).await }
                })
                .buffered(at_once);
            let mut failed = None;
            while let Some(look) = looks.next().await {
                match look {
                    Ok(n) => given += n,
                    Err(error) => failed = Some(error),
                }
            }
            drop(looks);
            if let Some(error) = failed {
                return Err(error);
            }
            match page.last() {
                Some((key, _)) if page.len() == PAGE => from = key.clone(),
                _ => return Ok(given),
            }
        }
    }

    /// When the next process is to be looked at.
    pub(crate) fn next_look(&self) -> Result<Option<Timestamp>, Error> {
        let first = self.store.scan(DUE, (Bound::Unbounded, Bound::Unbounded), Order::Ascending, 1)?;
        Ok(first.first().and_then(|(key, _)| Some(split_due(key)?.0)))
    }

    /// How many ticks no messenger has taken yet, up to a bound.
    pub(crate) fn untold(&self, max: usize) -> Result<usize, Error> {
        Ok(self.store.scan(UNTOLD, (Bound::Unbounded, Bound::Unbounded), Order::Ascending, max)?.len())
    }

    /// What the store has of the timers of a process.
    pub(crate) fn kept(&self, process: ProcessId) -> Result<Option<Kept>, Error> {
        let Some(row) = self.store.get(TIMERS, &process.0.0)? else { return Ok(None) };
        let broken = |error: serde_json::Error| Error::Entry {
            process,
            slot: Slot(0),
            why: format!("the row of its timers is damaged: {error}"),
        };
        serde_json::from_slice(&row).map(Some).map_err(broken)
    }

    /// What the timers of a process are after `entry`, whose item is `item`, if it changes them; the rows of that are
    /// added to the batch.
    pub(super) fn timers_after(
        &self,
        line: &Line,
        end: &End,
        item: Option<&Item>,
        entry: &Entry,
        batch: &mut Batch,
    ) -> Result<Option<Kept>, Error> {
        let (process, slot, now) = (entry.process(), entry.slot(), entry.scheduled.assignment.timestamp);
        let Some(item) = item else { return Ok(None) };
        let before = end.timers.as_ref();
        let table = if slot == Slot(0) {
            match asks_for_some(item) {
                true => Table::begin(item, self.address, now),
                false => None,
            }
        } else if may_concern(item) {
            let table = match before {
                Some(kept) => Some(kept.table.clone()),
                None => self.first_table(line, process)?,
            };
            table.and_then(|mut table| {
                let is_tick = table.is_tick(item);
                let changed = table.apply(item, slot, now);
                if changed && is_tick {
                    batch.put(UNTOLD, pair(process.0, slot.0), Bytes::copy_from_slice(&item.id.0));
                }
                changed.then_some(table)
            })
        } else {
            None
        };
        let Some(table) = table else { return Ok(None) };
        let kept = Kept { look: table.next(now), table };
        keep(batch, process, before, &kept);
        Ok(Some(kept))
    }

    /// The table of a process to which no timer was ever set.
    fn first_table(&self, line: &Line, process: ProcessId) -> Result<Option<Table>, Error> {
        let boot = self.boot_of(line, process)?;
        let item = boot.message.as_ref();
        Ok(item.and_then(|item| Table::begin(item, self.address, boot.scheduled.assignment.timestamp)))
    }

    /// Gives a process all ticks that are due. How many.
    async fn give_ticks(self: &Arc<Self>, process: ProcessId) -> Result<u64, Error> {
        let mut given = 0;
        while self.give_tick(process).await? {
            given += 1;
        }
        Ok(given)
    }

    /// Gives a process the tick that comes first of those that are due. False if none is.
    async fn give_tick(self: &Arc<Self>, process: ProcessId) -> Result<bool, Error> {
        let line = self.line(process);
        let turn = Turn::take(&line, process, self.options.waiting_max)?;
        let mut end = line.end.lock().await;
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned);
        }
        self.load(process, &mut end)?;
        // What is held gets no ticks either: what it missed is then for its policies.
        if end.timers.is_none() || end.head.is_none() || self.hold_at(process, &mut end)?.is_some() {
            return Ok(false);
        }
        let Some(kept) = &end.timers else { return Ok(false) };
        let now = self.clock.now();
        let Some(due) = kept.table.due(now) else {
            // Moments may have passed by policy: it is to be looked at later than it was said.
            let next = Kept { look: kept.table.next(now), table: kept.table.clone() };
            if next.look != kept.look {
                let mut batch = Batch::new();
                keep(&mut batch, process, Some(kept), &next);
                end.timers = Some(next);
                let written = self.store.append(batch);
                drop((end, turn));
                written.await.map_err(|_| Error::Poisoned)?;
            }
            return Ok(false);
        };
        let missed = kept.table.missed_before(&due.name, due.at);
        let tick = self.sign(due.draft).await?;
        let item = Some(tick.shared());
        let wish = Wish { process, message: tick.id, delivered: Some(tick), item, exclude: Vec::new() };
        let shown = self.give(&line, &mut end, wish, None, self.heights.known()).await?;
        drop((end, turn));
        shown.await.map_err(|_| Error::Stopping)??;
        self.ticking.given.fetch_add(1, Ordering::Relaxed);
        self.ticking.missed.fetch_add(missed, Ordering::Relaxed);
        self.ticking.late_ms.store(now.0.saturating_sub(due.at.0), Ordering::Relaxed);
        *super::lock(&self.ticking.error) = None;
        self.ticking.news.notify_one();
        Ok(true)
    }

    /// Puts a table in the place of what the store has of a process's timers.
    pub(crate) async fn replace_timers(&self, process: ProcessId, table: Option<Table>) -> Result<(), Error> {
        let line = self.line(process);
        let mut end = line.end.lock().await;
        self.load(process, &mut end)?;
        let mut batch = Batch::new();
        let next = table.map(|table| Kept { look: table.next(self.clock.now()), table });
        match &next {
            Some(next) => keep(&mut batch, process, end.timers.as_ref(), next),
            None => {
                if let Some(look) = end.timers.as_ref().and_then(|kept| kept.look) {
                    batch.delete(DUE, due_key(look, process));
                }
                batch.delete(TIMERS, process.0.0.to_vec());
            }
        }
        end.timers = next;
        let written = self.store.append(batch);
        drop(end);
        written.await.map_err(|_| Error::Poisoned)
    }
}

/// Tells a messenger of ticks, until it has taken each.
pub(crate) struct Teller {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) messenger: Arc<dyn Messenger>,
}

impl Teller {
    /// Tells for ever.
    pub(crate) async fn run(self) {
        let ticking = &self.ledger.ticking;
        ticking.has_messenger.store(true, Ordering::Relaxed);
        let retry = Duration::from_millis(self.ledger.options.tick_retry_ms.max(1));
        loop {
            let news = ticking.news.notified();
            match self.round().await {
                // Nothing waits: until something does.
                Ok(()) => news.await,
                Err(error) => {
                    let error = error.to_string();
                    let before = super::lock(&ticking.error).replace(error.clone());
                    if before.as_ref() != Some(&error) {
                        tracing::warn!(error, "cannot have ticks pushed; will try again");
                    }
                    tokio::time::sleep(retry).await;
                }
            }
        }
    }

    /// Tells of all that wait, those of one process in their order. The newest failure, if one was.
    async fn round(&self) -> unit::Result<()> {
        let mut from = Bytes::new();
        let mut failed = None;
        loop {
            let range = (Bound::Excluded(&from[..]), Bound::Unbounded);
            let page = self.ledger.store.scan(UNTOLD, range, Order::Ascending, PAGE).map_err(Error::Store)?;
            let rows = page.clone();
            let mut told = futures::stream::iter(rows)
                .map(|(key, value)| async move { (self.tell(&key, &value).await, key) })
                .buffered(self.ledger.options.ticks_at_once.max(1));
            let mut batch = Batch::new();
            while let Some((told, key)) = told.next().await {
                match told {
                    Ok(()) => drop(batch.delete(UNTOLD, key)),
                    Err(error) => failed = Some(error),
                }
            }
            drop(told);
            let n = batch.changes.len() as u64;
            if n > 0 {
                self.ledger.store.append(batch).await.map_err(Error::Store)?;
                self.ledger.ticking.told.fetch_add(n, Ordering::Relaxed);
            }
            match (page.last(), &failed) {
                // One that takes nothing is not asked a hundred thousand times.
                (Some((key, _)), error) if page.len() == PAGE && (n > 0 || error.is_none()) => {
                    from = key.clone()
                }
                _ => return failed.map_or(Ok(()), Err),
            }
        }
    }

    async fn tell(&self, key: &[u8], value: &[u8]) -> unit::Result<()> {
        let (Some((process, _)), Some(message)) = (split_pair(key), Id::from_slice(value)) else {
            tracing::error!(?key, "a tick that was not told of cannot be read and is left where it is");
            return Ok(());
        };
        self.messenger.push(process.into(), message, None).await
    }
}

/// The rows of a process's timers.
fn keep(batch: &mut Batch, process: ProcessId, before: Option<&Kept>, kept: &Kept) {
    let look = before.and_then(|before| before.look);
    if let Some(look) = look.filter(|look| Some(*look) != kept.look) {
        batch.delete(DUE, due_key(look, process));
    }
    if let Some(look) = kept.look {
        batch.put(DUE, due_key(look, process), Bytes::new());
    }
    let row = serde_json::to_vec(kept).expect("a table is always JSON");
    batch.put(TIMERS, process.0.0.to_vec(), row);
}

fn due_key(at: Timestamp, process: ProcessId) -> Bytes {
    Bytes::from([&at.0.to_be_bytes()[..], &process.0.0].concat())
}

fn split_due(key: &[u8]) -> Option<(Timestamp, ProcessId)> {
    let (at, id) = key.split_at_checked(8)?;
    Some((Timestamp(u64::from_be_bytes(at.try_into().ok()?)), Id::from_slice(id)?.into()))
}
