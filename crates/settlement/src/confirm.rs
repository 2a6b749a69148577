//! What the network took is looked at until it lies deep enough, and then read back: a bundler can lose what it
//! accepted, the newest blocks can be replaced by others, and a gateway can give something else than was posted.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use protocol::{DataItem, Id, ans104};
use tracing::{info, warn};
use unit::{Kind, Network, Query, Whereabouts};

use crate::record::{POSTED, Parcel, Standing};
use crate::{Error, Options, Settlement};

/// Looks after what was posted.
pub(crate) struct Confirmer(pub(crate) Arc<Settlement>);

/// What becomes of a parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It may get there.
    Wait,
    /// It is in a block now.
    Seen,
    /// It was in a block, and is not.
    Reorganised,
    /// It lies deep enough to be read back.
    Deep,
    /// It does not get there: post it again.
    Lost,
}

/// Decides about a parcel that was taken `age_ms` ago.
pub(crate) fn step(seen: bool, at: Whereabouts, age_ms: u64, options: &Options) -> Step {
    match at {
        Whereabouts::InBlock { confirmations } if confirmations >= options.depth => Step::Deep,
        Whereabouts::InBlock { .. } if seen => Step::Wait,
        Whereabouts::InBlock { .. } => Step::Seen,
        _ if seen => Step::Reorganised,
        _ if age_ms >= options.patience_ms => Step::Lost,
        _ => Step::Wait,
    }
}

impl Confirmer {
    /// Looks until the store fails.
    pub(crate) async fn run(self) {
        let interval = Duration::from_millis(self.0.queue.options.confirm_interval_ms.max(1));
        loop {
            tokio::time::sleep(interval).await;
            if let Err(error) = self.round().await {
                if matches!(error, Error::Store(_)) {
                    tracing::error!(%error, "cannot read or write what was posted; it goes on after a restart");
                    return;
                }
                self.0.say(&error);
            }
        }
    }

    /// Looks at everything once.
    pub(crate) async fn round(&self) -> Result<(), Error> {
        let mut from = Bound::Unbounded;
        while let Some(page) = self.0.queue.parcels(POSTED, &mut from)? {
            let (bundles, uploads): (Vec<_>, Vec<_>) =
                page.into_iter().partition(|(_, parcel)| parcel.transaction.is_some());
            let mut places = self.of_uploads(&uploads).await?;
            for (at, parcel) in &bundles {
                if let Some(tx) = &parcel.transaction {
                    // One that cannot be asked about does not keep the others waiting.
                    match self.0.network.whereabouts(tx.id()).await {
                        Ok(place) => drop(places.insert(*at, place)),
                        Err(error) => self.0.say(&Error::Network(error)),
                    }
                }
            }
            for (at, parcel) in bundles.into_iter().chain(uploads) {
                if let Some(place) = places.get(&at) {
                    self.look(at, parcel, *place).await?;
                }
            }
        }
        Ok(())
    }

    /// Where items stand that went to a bundler.
    async fn of_uploads(&self, uploads: &[(u64, Parcel)]) -> Result<BTreeMap<u64, Whereabouts>, Error> {
        /// Ids in one query.
        const IDS: usize = 50;
        let mut places = BTreeMap::new();
        if uploads.is_empty() {
            return Ok(places);
        }
        let tip = self.0.network.tip().await?.height.0;
        for some in uploads.chunks(IDS) {
            let ids: Vec<Id> = some.iter().filter_map(|(_, parcel)| Some(parcel.lots.first()?.id)).collect();
            let found = self.0.network.query(Query { limit: ids.len(), ids, ..Query::default() }).await?;
            let heights: BTreeMap<Id, Option<u64>> = found
                .items
                .iter()
                .map(|found| (found.item.id, found.block.map(|block| block.height.0)))
                .collect();
            for (at, parcel) in some {
                let known = parcel.lots.first().and_then(|lot| heights.get(&lot.id));
                let place = match known {
                    None => Whereabouts::Unknown,
                    Some(None) => Whereabouts::Pending,
                    Some(Some(height)) => Whereabouts::InBlock { confirmations: tip.saturating_sub(*height) },
                };
                places.insert(*at, place);
            }
        }
        Ok(places)
    }

    async fn look(&self, at: u64, mut parcel: Parcel, place: Whereabouts) -> Result<(), Error> {
        let queue = &self.0.queue;
        let (before, now) = (parcel.standing(), queue.clock.now());
        match step(parcel.seen, place, now.0.saturating_sub(parcel.posted.0), &queue.options) {
            Step::Wait => Ok(()),
            Step::Seen => {
                parcel.seen = true;
                queue.note(at, before, &parcel, |_| ()).await
            }
            Step::Reorganised => {
                warn!(items = parcel.lots.len(), "a block was replaced that had what was posted");
                (parcel.seen, parcel.deep, parcel.posted) = (false, None, now);
                queue.note(at, before, &parcel, |totals| totals.reorganised += 1).await
            }
            Step::Lost => {
                warn!(items = parcel.lots.len(), "the network does not have what it took; it is sent again");
                queue.lost(at, &parcel).await
            }
            Step::Deep => match self.read_back(&parcel).await? {
                ReadBack::Same => {
                    info!(items = parcel.lots.len(), "settled, and read back");
                    queue.settled(at, before, &parcel).await
                }
                ReadBack::Not(why) => self.unreadable(at, parcel, why).await,
            },
        }
    }

    /// It lies deep and cannot be read, or not as it was posted.
    async fn unreadable(&self, at: u64, mut parcel: Parcel, why: String) -> Result<(), Error> {
        let queue = &self.0.queue;
        let (before, now) = (parcel.standing(), queue.clock.now());
        match parcel.deep {
            None => {
                (parcel.seen, parcel.deep) = (true, Some(now));
                queue.note(at, before, &parcel, |_| ()).await
            }
            Some(deep) if now.0.saturating_sub(deep.0) >= queue.options.read_patience_ms => {
                warn!(
                    why,
                    items = parcel.lots.len(),
                    "what is in a block cannot be read; its data is sent again"
                );
                queue.lost(at, &parcel).await
            }
            Some(_) => Ok(()),
        }
    }

    /// Reads everything of a parcel again, and compares it with what was posted.
    async fn read_back(&self, parcel: &Parcel) -> Result<ReadBack, Error> {
        let items = self.0.queue.items(&parcel.lots)?;
        let checks = items.iter().cloned().map(|item| {
            let network = self.0.network.clone();
            async move { same(&*network, &item).await }
        });
        let checks = stream::iter(checks).buffer_unordered(self.0.queue.options.concurrency.max(1));
        let unlike: Vec<String> = checks.filter_map(|check| async { check.err() }).collect().await;
        let Some(why) = unlike.into_iter().next() else { return Ok(ReadBack::Same) };
        // A gateway may unpack no bundles, or tell too little of an item for anybody to verify it. Then the data of the
        // transaction shows whether all is there.
        let Some(tx) = &parcel.transaction else { return Ok(ReadBack::Not(why)) };
        match self.0.network.data(tx.id()).await {
            Ok(data) if data == ans104::bundle(&items) => {
                warn!(transaction = %tx.id(), why, "settled, but the gateway does not give each of its items");
                Ok(ReadBack::Same)
            }
            _ => Ok(ReadBack::Not(why)),
        }
    }
}

/// Whether the network gives that item as it was posted.
async fn same(network: &dyn Network, item: &DataItem) -> Result<(), String> {
    match network.get(item.id).await {
        Ok(found) if *found.item == *item.item() => Ok(()),
        Ok(_) => Err(format!("what a gateway gives as {} is not what was posted", item.id)),
        Err(error) if error.kind == Kind::NotFound => Err(format!("no gateway has {}", item.id)),
        Err(error) => Err(error.to_string()),
    }
}

enum ReadBack {
    Same,
    Not(String),
}

/// How an item that the queue has stands, where that is told to others.
pub(crate) fn is_taken(standing: Option<Standing>) -> bool {
    standing.is_none_or(|standing| standing >= Standing::Posted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_deep_is_read_back_what_is_gone_is_posted_again() {
        use Whereabouts::{InBlock, Pending, Unknown};
        let options = Options { depth: 3, patience_ms: 100, ..Options::default() };
        for (seen, place, age_ms, expected) in [
            (false, Unknown, 99, Step::Wait),
            (false, Pending, 99, Step::Wait),
            (false, Unknown, 100, Step::Lost),
            (false, Pending, 100, Step::Lost),
            (false, InBlock { confirmations: 0 }, 100, Step::Seen),
            (true, InBlock { confirmations: 2 }, 100, Step::Wait),
            (true, InBlock { confirmations: 3 }, 100, Step::Deep),
            (false, InBlock { confirmations: 3 }, 0, Step::Deep),
            (true, Unknown, 0, Step::Reorganised),
            (true, Pending, 100, Step::Reorganised),
        ] {
            assert_eq!(step(seen, place, age_ms, &options), expected, "{seen} {place:?} {age_ms}");
        }
    }
}
