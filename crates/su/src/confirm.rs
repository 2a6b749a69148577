//! What the weave has taken is looked at until it lies deep enough: a bundler can lose what it accepted, and the newest
//! blocks can be replaced by others. What is not there any more is sent again, the same bytes.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use protocol::{Height, Id, ProcessId, Slot};
use store::{Appended, Batch, Order, Space, Store};
use tracing::{error, info, warn};
use unit::{Query, Weave};

use crate::Error;
use crate::entry::{UNSETTLED, split_pair};
use crate::height::ask;
use crate::ledger::{Ledger, lock};

/// (process, slot) → when the weave took it, ms: not known to lie deep enough yet.
pub(crate) const POSTED: Space = Space("su.posted");

/// Entries that are asked about at once; each is two items.
const WINDOW: usize = 32;

/// Looks after entries that the weave has taken.
pub(crate) struct Confirmer {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) weave: Arc<dyn Weave>,
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It lies deep enough.
    Settled,
    /// It may get there.
    Waiting,
    /// It does not.
    Lost,
}

/// Decides about an entry that was taken `age_ms` ago and whose items have so many confirmations; none if they are in no
/// block, or unknown.
fn standing(confirmations: &[Option<u64>], depth: u64, age_ms: u64, patience_ms: u64) -> Standing {
    if confirmations.iter().all(|known| known.is_some_and(|known| known >= depth)) {
        return Standing::Settled;
    }
    match confirmations.iter().any(Option::is_none) && age_ms >= patience_ms {
        true => Standing::Lost,
        false => Standing::Waiting,
    }
}

impl Confirmer {
    /// Looks until the store fails.
    pub(crate) async fn run(self) {
        let interval = Duration::from_millis(self.ledger.options.confirm_interval_ms.max(1));
        let mut reached = true;
        loop {
            tokio::time::sleep(interval).await;
            let answer = self.round().await;
            match &answer {
                Err(Error::Store(why)) => {
                    error!(error = %why, "cannot read or write what is on the weave; it goes on after a restart");
                    return;
                }
                Err(why) if reached => {
                    let why = unit::Error::from(why.clone());
                    warn!(error = %why, "cannot ask the weave for what it took, will ask again");
                }
                _ => {}
            }
            reached = answer.is_ok();
        }
    }

    /// Looks at every entry once.
    async fn round(&self) -> Result<(), Error> {
        let mut from = Bound::Unbounded;
        let mut written: Option<Appended> = None;
        loop {
            let range = (from.as_ref().map(|key: &Bytes| &**key), Bound::Unbounded);
            let window = self.ledger.store.scan(POSTED, range, Order::Ascending, WINDOW)?;
            let Some((last, _)) = window.last() else { break };
            from = Bound::Excluded(last.clone());
            if let Some(batch) = self.look(&window).await? {
                written = Some(self.ledger.store.append(batch));
            }
        }
        // The next round must not see again what this one decided. Batches become durable in order.
        if let Some(written) = written {
            written.await?;
        }
        Ok(())
    }

    /// The blocks that have these items.
    async fn heights(&self, ids: Vec<Id>) -> Result<BTreeMap<Id, Height>, Error> {
        // A query that asks for no ids is one for everything.
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let query = Query { limit: ids.len(), ids, ..Query::default() };
        let found = ask(self.ledger.options.weave_timeout_ms, self.weave.query(query)).await?;
        Ok(found.items.iter().filter_map(|it| Some((it.item.id, it.block?.height))).collect())
    }

    /// Looks at some entries. Answers with what is to be written.
    async fn look(&self, window: &[(Bytes, Bytes)]) -> Result<Option<Batch>, Error> {
        let Ledger { options, store, .. } = &*self.ledger;
        let mut entries = Vec::with_capacity(window.len());
        for (key, posted) in window {
            let place = split_pair(key).map(|(process, slot)| (ProcessId(process), Slot(slot)));
            let entry = place.map(|(process, slot)| self.ledger.entry(process, slot)).transpose()?.flatten();
            let posted_ms = posted[..].try_into().map_or(0, u64::from_be_bytes);
            entries.push((key, posted_ms, entry));
        }
        let ids_of = |entry: &crate::entry::Entry| -> Vec<Id> {
            let message = entry.message.as_ref().map(|message| message.id);
            message.into_iter().chain([entry.assignment.id]).collect()
        };
        let ids: Vec<Id> =
            entries.iter().filter_map(|(_, _, entry)| entry.as_deref()).flat_map(ids_of).collect();
        let heights = self.heights(ids).await?;
        let tip = self.ledger.heights.get().await?;
        let depth = |id: &Id| heights.get(id).map(|height| tip.0.saturating_sub(height.0));
        let now = self.ledger.clock.now().0;

        let (mut batch, mut settled, mut lost) = (Batch::new(), 0, 0);
        for (key, posted_ms, entry) in &entries {
            let confirmations: Vec<Option<u64>> =
                entry.as_deref().map(ids_of).unwrap_or_default().iter().map(depth).collect();
            let age_ms = now.saturating_sub(*posted_ms);
            match standing(&confirmations, options.settle_depth(), age_ms, options.settle_patience_ms) {
                Standing::Waiting => continue,
                Standing::Settled => settled += 1,
                Standing::Lost => {
                    lost += 1;
                    batch.put(UNSETTLED, (*key).clone(), Bytes::new());
                    if let Some(entry) = entry {
                        lock(&self.ledger.ages).add(entry.scheduled.assignment.timestamp);
                    }
                }
            }
            batch.delete(POSTED, (*key).clone());
        }
        if lost > 0 {
            warn!(lost, "the weave does not have what it took; it is sent again");
            self.ledger.unsettled.send_modify(|waiting| *waiting += lost);
        }
        if settled + lost == 0 {
            return Ok(None);
        }
        info!(settled, lost, "looked at what is on the weave");
        self.ledger.unconfirmed.fetch_sub(settled + lost, Ordering::AcqRel);
        if lost > 0 {
            // Settlement reads the store: it must be there.
            store.append(std::mem::replace(&mut batch, Batch::new())).await?;
            self.ledger.settle.notify_one();
        }
        Ok(Some(batch))
    }
}

/// How many entries are looked after, as the store has them.
pub(crate) fn waiting(store: &dyn Store) -> Result<u64, Error> {
    const PAGE: usize = 4096;
    let mut from = Bound::Unbounded;
    let mut n = 0;
    loop {
        let range = (from.as_ref().map(|key: &Bytes| &**key), Bound::Unbounded);
        let page = store.scan(POSTED, range, Order::Ascending, PAGE)?;
        n += page.len() as u64;
        match page.last() {
            Some((last, _)) if page.len() == PAGE => from = Bound::Excluded(last.clone()),
            _ => return Ok(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_deep_enough_is_settled_and_what_is_gone_is_sent_again() {
        use Standing::{Lost, Settled, Waiting};
        for (confirmations, age_ms, expected) in [
            (&[Some(3), Some(3)][..], 0, Settled),
            (&[Some(3)], 0, Settled),
            (&[Some(3), Some(2)], 10_000, Waiting),
            (&[Some(3), None], 999, Waiting),
            (&[Some(3), None], 1000, Lost),
            (&[None, None], 1000, Lost),
        ] {
            assert_eq!(standing(confirmations, 3, age_ms, 1000), expected, "{confirmations:?} {age_ms}");
        }
    }
}
