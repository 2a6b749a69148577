//! What is scheduled goes to the weave: the message, then its assignment, in their own time.
//!
//! An entry waits in the store from the moment it is durable until the weave has taken both its items, so a crash
//! forgets nothing. What is sent twice is the same bytes, and the weave takes them once. Nothing here makes a
//! message wait for its slot. What the weave took may be looked after further: [`confirm`](crate::confirm).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use protocol::{ProcessId, Slot, Timestamp};
use store::{Appended, Batch, Order, Store};
use tracing::{debug, error, warn};
use unit::Weave;

use crate::Error;
use crate::confirm::POSTED;
use crate::entry::{ENTRY, UNSETTLED, split_pair};
use crate::height::ask;
use crate::ledger::{Ledger, lock};

/// Carries entries to the weave.
pub(crate) struct Settler {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) weave: Arc<dyn Weave>,
}

/// What one round over all waiting entries came to.
#[derive(Debug, Default)]
struct Round {
    settled: u64,
    failed: u64,
    /// The newest failure.
    why: Option<Error>,
    /// A whole window failed and might not have: the weave is away, and the rest was left alone.
    away: bool,
}

impl Settler {
    /// Settles until the store fails.
    pub(crate) async fn run(self) {
        let options = &self.ledger.options;
        let (first, longest) = (options.settle_retry_ms.max(1), options.settle_retry_max_ms.max(1));
        let mut pause = first;
        loop {
            let round = match self.round().await {
                Ok(round) => round,
                Err(why) => {
                    let why = unit::Error::from(why);
                    error!(error = %why, "cannot read or write what waits for the weave; it goes on after a restart");
                    return;
                }
            };
            let Some(why) = round.why else {
                pause = first;
                self.ledger.settle.notified().await;
                tokio::time::sleep(Duration::from_millis(options.settle_interval_ms)).await;
                continue;
            };
            let (settled, waiting) = (round.settled, *self.ledger.unsettled.borrow());
            warn!(error = %why, settled, waiting, "could not settle everything, will try again");
            if round.settled > 0 {
                pause = first;
            }
            // New entries do not wait for those that failed, unless the weave is away altogether.
            tokio::time::sleep(Duration::from_millis(first)).await;
            let rest = Duration::from_millis(pause.saturating_sub(first));
            match round.away {
                true => tokio::time::sleep(rest).await,
                false => drop(tokio::time::timeout(rest, self.ledger.settle.notified()).await),
            }
            pause = (pause * 2).min(longest);
        }
    }

    /// Tries every waiting entry once, in the order of the schedules.
    async fn round(&self) -> Result<Round, Error> {
        let options = &self.ledger.options;
        let mut round = Round::default();
        let mut cleared: Option<Appended> = None;
        let mut from = Bound::Unbounded;
        loop {
            let window = waiting_after(&*self.ledger.store, &from, options.settle_window)?;
            let Some(last) = window.last() else { break };
            from = Bound::Excluded(last.clone());

            let attempts = window.into_iter().map(|key| async {
                let outcome = self.settle(&key).await;
                (key, outcome)
            });
            let mut attempts = stream::iter(attempts).buffer_unordered(options.settle_concurrency.max(1));
            let (mut batch, mut settled, mut hopeless) = (Batch::new(), Vec::new(), 0);
            while let Some((key, outcome)) = attempts.next().await {
                match outcome {
                    Ok(scheduled) => {
                        settled.push(scheduled);
                        if options.settle_depth() > 0 {
                            let now = self.ledger.clock.now().0;
                            batch.put(POSTED, key.clone(), now.to_be_bytes().to_vec());
                        }
                        batch.delete(UNSETTLED, key);
                    }
                    Err(why) => {
                        round.failed += 1;
                        hopeless += u64::from(!unit::Error::from(why.clone()).kind.is_transient());
                        round.why = Some(why);
                    }
                }
            }
            let n = settled.len() as u64;
            round.settled += n;
            if n > 0 {
                let mut ages = lock(&self.ledger.ages);
                settled.into_iter().for_each(|scheduled| ages.remove(scheduled));
                drop(ages);
                if options.settle_depth() > 0 {
                    self.ledger.unconfirmed.fetch_add(n, Ordering::AcqRel);
                }
                self.ledger.unsettled.send_modify(|waiting| *waiting -= n);
                cleared = Some(self.ledger.store.append(batch));
            } else if hopeless == 0 {
                round.away = true;
                break;
            }
        }
        // The next round must not see again what this one settled. Batches become durable in order.
        if let Some(cleared) = cleared {
            cleared.await?;
        }
        debug!(settled = round.settled, failed = round.failed, "settled");
        Ok(round)
    }

    /// Sends one entry to the weave. Answers with when it was scheduled.
    async fn settle(&self, key: &[u8]) -> Result<Timestamp, Error> {
        let place = split_pair(key).map(|(process, slot)| (ProcessId(process), Slot(slot)));
        let Some((process, slot)) = place else { return Ok(Timestamp(0)) };
        let Some(entry) = self.ledger.entry(process, slot)? else { return Ok(Timestamp(0)) };
        let ms = self.ledger.options.weave_timeout_ms;
        if let Some(message) = &entry.message {
            ask(ms, self.weave.upload(message.clone())).await?;
        }
        ask(ms, self.weave.upload(entry.assignment.clone())).await?;
        Ok(entry.scheduled.assignment.timestamp)
    }
}

/// When the entries that wait were scheduled, to the second: as many numbers as seconds in which something was
/// scheduled that still waits.
#[derive(Debug, Default)]
pub(crate) struct Ages(BTreeMap<u64, u64>);

impl Ages {
    const MS: u64 = 1000;

    pub(crate) fn add(&mut self, scheduled: Timestamp) {
        *self.0.entry(scheduled.0 / Self::MS).or_default() += 1;
    }

    fn remove(&mut self, scheduled: Timestamp) {
        if let Entry::Occupied(mut second) = self.0.entry(scheduled.0 / Self::MS) {
            *second.get_mut() -= 1;
            if *second.get() == 0 {
                second.remove();
            }
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> u64 {
        self.0.values().sum()
    }

    /// When the one that waits longest was scheduled, rounded down to a second.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.0.first_key_value().map(|(second, _)| Timestamp(second * Self::MS))
    }
}

/// The entries that wait, as the store has them.
pub(crate) fn waiting(store: &dyn Store) -> Result<Ages, Error> {
    const PAGE: usize = 4096;
    let mut from = Bound::Unbounded;
    let mut ages = Ages::default();
    loop {
        let page = waiting_after(store, &from, PAGE)?;
        for key in &page {
            // One that cannot be read counts as well, and as very old.
            let entry = store.get(ENTRY, key)?;
            ages.add(entry.as_deref().and_then(crate::entry::Entry::peek_timestamp).unwrap_or(Timestamp(0)));
        }
        match page.last() {
            Some(last) if page.len() == PAGE => from = Bound::Excluded(last.clone()),
            _ => return Ok(ages),
        }
    }
}

fn waiting_after(store: &dyn Store, from: &Bound<Bytes>, limit: usize) -> Result<Vec<Bytes>, Error> {
    let range = (from.as_ref().map(|key| &**key), Bound::Unbounded);
    let found = store.scan(UNSETTLED, range, Order::Ascending, limit.max(1))?;
    Ok(found.into_iter().map(|(key, _)| key).collect())
}
