//! Where this scheduler is: the `Scheduler-Location` item that clients look for.

use protocol::{Address, DataItem, Draft, Tags, Timestamp, Wallet, tag};
use unit::{Query, Sort, TagFilter};

use crate::Error;

/// `Type` of the item.
const SCHEDULER_LOCATION: &str = "Scheduler-Location";

/// The newest word of `owner` about where it is.
pub(crate) fn query(owner: Address) -> Query {
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
pub(crate) fn says(tags: &Tags, url: &str, ttl_ms: u64) -> bool {
    tags.first(tag::URL) == Some(url) && tags.first(tag::TIME_TO_LIVE) == Some(&ttl_ms.to_string())
}

/// The item that says it. Its anchor is the time: a scheduler that moves back to where it was says so in a new item.
pub(crate) fn location(wallet: &Wallet, url: &str, ttl_ms: u64, now: Timestamp) -> Result<DataItem, Error> {
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
