//! Where this scheduler is: the `Scheduler-Location` item that clients look for.

use std::sync::Arc;
use std::time::Duration;

use protocol::{Address, DataItem, Draft, Tags, Timestamp, Wallet, tag};
use tracing::{error, info};
use unit::{Query, Sort, TagFilter, Weave};

use crate::Error;
use crate::height::ask;
use crate::ledger::Ledger;

/// `Type` of the item.
const SCHEDULER_LOCATION: &str = "Scheduler-Location";

/// Sees to it that the weave says where this scheduler is.
pub(crate) struct Announcer {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) weave: Arc<dyn Weave>,
    pub(crate) url: String,
    pub(crate) ttl_ms: u64,
}

impl Announcer {
    /// Says it, unless the newest word on the weave is the same. True if it was said anew.
    pub(crate) async fn once(&self) -> Result<bool, Error> {
        let Ledger { wallet, address, clock, options, .. } = &*self.ledger;
        // A word of ours on the weave would say that this ledger was lost.
        self.ledger.begin(&*self.weave).await?;
        let newest = ask(options.weave_timeout_ms, self.weave.query(query(*address))).await?;
        if newest.items.first().is_some_and(|found| says(&found.item.tags, &self.url, self.ttl_ms)) {
            return Ok(false);
        }
        let location = location(wallet, &self.url, self.ttl_ms, clock.now())?;
        ask(options.weave_timeout_ms, self.weave.upload(location)).await?;
        Ok(true)
    }

    /// Tries until it is said, or will never be.
    pub(crate) async fn run(self) {
        let options = &self.ledger.options;
        let longest = options.settle_retry_max_ms.max(1);
        let mut pause = options.settle_retry_ms.max(1);
        loop {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match self.once().await.map_err(unit::Error::from) {
                Ok(_) => return info!(url = self.url, "the weave says now where this scheduler is"),
                Err(why) if why.kind.is_transient() => pause = (pause * 2).min(longest),
                Err(why) => return error!(error = %why, url = self.url, "cannot say where this scheduler is"),
            }
        }
    }
}

/// The newest word of `owner` about where it is.
fn query(owner: Address) -> Query {
    let equals = |name: &str, value: &str| TagFilter {
        name: name.to_owned(),
        values: vec![value.to_owned()],
        negated: false,
    };
    Query {
        owners: vec![owner],
        tags: vec![equals(tag::DATA_PROTOCOL, tag::AO), equals(tag::TYPE, SCHEDULER_LOCATION)],
        sort: Sort::Descending,
        limit: 1,
        ..Query::default()
    }
}

/// Whether what is on the weave says the same.
fn says(tags: &Tags, url: &str, ttl_ms: u64) -> bool {
    tags.first(tag::URL) == Some(url) && tags.first(tag::TIME_TO_LIVE) == Some(&ttl_ms.to_string())
}

/// The item that says it. Its anchor is the time: a scheduler that moves back to where it was says so in a new item.
fn location(wallet: &Wallet, url: &str, ttl_ms: u64, now: Timestamp) -> Result<DataItem, Error> {
    let tags = Tags::from_iter([
        (tag::DATA_PROTOCOL, tag::AO.to_owned()),
        (tag::VARIANT, tag::AO_TN_1.to_owned()),
        (tag::TYPE, SCHEDULER_LOCATION.to_owned()),
        (tag::URL, url.to_owned()),
        (tag::TIME_TO_LIVE, ttl_ms.to_string()),
    ]);
    let mut anchor = [0; 32];
    anchor.copy_from_slice(format!("{now:032}").as_bytes());
    let draft = Draft { anchor: Some(anchor), tags, ..Draft::default() };
    DataItem::sign(wallet, draft).map_err(|error| Error::Sign { why: error.to_string() })
}
