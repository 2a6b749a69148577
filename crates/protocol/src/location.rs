//! Where a scheduler unit is: published by its operator, found by the `Scheduler` address of a process.

use crate::id::Id;
use crate::item::Item;
use crate::tag::{self, Tags};

/// A Scheduler-Location item, read. The newest one that the scheduler's own wallet signed counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerLocation {
    /// Base URL of the scheduler unit, or of its router.
    pub url: String,
    /// How long it may be believed, ms.
    pub time_to_live_ms: u64,
}

/// Why an item is no scheduler location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{id} is no scheduler location: its {name} tag is missing or malformed")]
pub struct NotALocation {
    /// The item.
    pub id: Id,
    /// The tag that is wrong.
    pub name: &'static str,
}

impl SchedulerLocation {
    /// The tags that publish it.
    pub fn tags(&self) -> Tags {
        let mut tags = Tags::default();
        tags.push(tag::DATA_PROTOCOL, tag::AO);
        tags.push(tag::VARIANT, tag::AO_TN_1);
        tags.push(tag::TYPE, "Scheduler-Location");
        tags.push(tag::URL, &self.url);
        tags.push(tag::TIME_TO_LIVE, self.time_to_live_ms);
        tags
    }
}

impl TryFrom<&Item> for SchedulerLocation {
    type Error = NotALocation;

    fn try_from(item: &Item) -> Result<SchedulerLocation, NotALocation> {
        let wrong = |name| NotALocation { id: item.id, name };
        // These two names are the ones that clients match in any case.
        let any_case = |name: &'static str| {
            let found = item.tags.iter().find(|tag| tag.name.eq_ignore_ascii_case(name));
            found.map(|tag| tag.value.as_str()).ok_or(wrong(name))
        };
        if item.kind() != Some("Scheduler-Location") {
            return Err(wrong(tag::TYPE));
        }
        let time_to_live_ms = any_case(tag::TIME_TO_LIVE)?.parse().map_err(|_| wrong(tag::TIME_TO_LIVE))?;
        Ok(SchedulerLocation { url: any_case(tag::URL)?.to_owned(), time_to_live_ms })
    }
}
