//! A schedule as the weave remembers it: a [`Scheduler`] that nobody has to run any more.
//!
//! A scheduler unit settles each message and its assignment on the weave. From there alone the schedule can be read
//! again, by anyone: after the scheduler is gone, or to check what it says. Reading decides nothing about what is
//! read: signatures, slots and the hash chain are verified by whoever evaluates.

mod fallback;
mod file;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use protocol::{Address, Assignment, DataItem, Id, Item, ProcessId, Slot, tag};
use unit::{
    AssignRequest, Code, Error, Kind, Page, Placed, ProcessRecord, Query, Result, Scheduled, Scheduler,
    SlotRange, Sort, TagFilter, Tip, Weave,
};

pub use fallback::{Fallback, Options};
pub use file::BundleFile;

/// How many slots are asked for in one query, at most.
pub const SLOTS_PER_QUERY: usize = 64;

/// How many assignments one query may answer with: more than one for a slot shows that the scheduler equivocated.
const FOUND_PER_QUERY: usize = 2 * SLOTS_PER_QUERY;

/// How many items are fetched at the same time.
const FETCHES: usize = 16;

/// Reads schedules from a weave. Schedules nothing.
pub struct Archive {
    weave: Arc<dyn Weave>,
}

impl Archive {
    /// The schedules on that weave.
    pub fn new(weave: Arc<dyn Weave>) -> Archive {
        Archive { weave }
    }

    /// The Process item.
    async fn item(&self, process: ProcessId) -> Result<Arc<Item>> {
        let found = self.weave.get(process.into()).await?;
        if found.item.kind() != Some("Process") {
            return Err(Error::not_found(format!("{process} is on the weave, but is no process")));
        }
        Ok(found.item)
    }

    /// Who signs the schedule of a process.
    async fn scheduler(&self, process: ProcessId) -> Result<Address> {
        let item = self.item(process).await?;
        let named = item.tags.first(tag::SCHEDULER).and_then(|address| address.parse().ok());
        named.ok_or_else(|| Error::refused(format!("{process} names no Scheduler")))
    }

    /// The assignments of these slots that its scheduler signed, in order; a slot that the weave does not know is
    /// left out. Of two epochs the later one counts, and what the earlier one has after its beginning does not.
    pub async fn assignments(
        &self,
        process: ProcessId,
        by: Address,
        slots: std::ops::RangeInclusive<u64>,
    ) -> Result<BTreeMap<Slot, Arc<Assignment>>> {
        let mut query = assignments_of(process, by);
        let values = slots.map(|slot| slot.to_string()).collect();
        query.tags.push(TagFilter { name: tag::NONCE.to_owned(), values, negated: false });
        query.limit = FOUND_PER_QUERY;
        let found = self.weave.query(query).await?;
        let fetched = stream::iter(found.items).map(|found| self.assignment(process, found.item.id));
        let fetched: Vec<Assignment> = fetched.buffered(FETCHES).try_collect().await?;
        let mut slots: BTreeMap<Slot, Arc<Assignment>> = BTreeMap::new();
        for assignment in fetched {
            let (slot, id) = (assignment.slot, assignment.id());
            match slots.get(&slot) {
                Some(other) if other.epoch > assignment.epoch => continue,
                Some(other) if other.epoch == assignment.epoch && other.id() != id => {
                    return Err(equivocates(process, slot, other.id(), id));
                }
                _ => drop(slots.insert(slot, Arc::new(assignment))),
            }
        }
        let mut epoch = protocol::Epoch(0);
        slots.retain(|_, assignment| {
            epoch = epoch.max(assignment.epoch);
            assignment.epoch == epoch
        });
        Ok(slots)
    }

    /// What queries answer is without data, and data is signed.
    async fn assignment(&self, process: ProcessId, id: Id) -> Result<Assignment> {
        let found = self.weave.get(id).await?;
        let read = Assignment::try_from((*found.item).clone());
        let assignment =
            read.map_err(|error| Error::refused(error.to_string()).with_code(Code::BROKEN_SCHEDULE))?;
        if assignment.process != process {
            let what = format!("assignment {id} is of {}, not of {process}", assignment.process);
            return Err(Error::refused(what).with_code(Code::BROKEN_SCHEDULE));
        }
        Ok(assignment)
    }

    /// An entry with its message, if that was delivered to this process.
    async fn entry(&self, assignment: Arc<Assignment>) -> Result<Scheduled> {
        let process = assignment.process;
        let id = assignment.message.unwrap_or_else(|| process.into());
        let message = match self.weave.get(id).await {
            Ok(found) => found.item,
            Err(error) if error.kind == Kind::NotFound => {
                let slot = assignment.slot;
                return Err(Error::not_found(format!(
                    "message {id}, which has slot {slot} of {process}, is not on the weave"
                ))
                .with_code(Code::BROKEN_SCHEDULE));
            }
            Err(error) => return Err(error),
        };
        let is_delivered = id == process.into() || message.target == Some(process.into());
        Ok(Scheduled { message: is_delivered.then_some(message), assignment })
    }

    /// The highest slot on the weave.
    async fn newest(&self, process: ProcessId, by: Address) -> Result<Arc<Assignment>> {
        let mut query = assignments_of(process, by);
        (query.sort, query.limit) = (Sort::Descending, FOUND_PER_QUERY);
        let found = self.weave.query(query).await?.items;
        let slot = |item: &Item| item.tags.first(tag::NONCE).and_then(|slot| slot.parse::<u64>().ok());
        // Blocks are in order, what is in one need not be; what is not in a block yet need not be there.
        let highest = found.iter().filter_map(|found| slot(&found.item)).max();
        let mut highest = highest.ok_or_else(|| no_schedule(process))?;
        loop {
            let last = highest + SLOTS_PER_QUERY as u64 - 1;
            let mut slots = self.assignments(process, by, highest..=last).await?;
            let Some((slot, newest)) = slots.pop_last() else { return Err(no_schedule(process)) };
            if slot.0 < last {
                return Ok(newest);
            }
            highest = slot.0;
        }
    }

    /// The slot of an assignment, or of a message.
    async fn assigned(&self, process: ProcessId, by: Address, id: Id) -> Result<Arc<Assignment>> {
        if id == process.into() {
            let mut first = self.assignments(process, by, 0..=0).await?;
            return first.remove(&Slot(0)).ok_or_else(|| no_schedule(process));
        }
        let item = self.weave.get(id).await?.item;
        if item.kind() == Some("Assignment") && item.address() == by {
            return self.assignment(process, id).await.map(Arc::new);
        }
        let mut query = assignments_of(process, by);
        query.tags.push(one(tag::MESSAGE, &id.to_string()));
        query.limit = 1;
        let found = self.weave.query(query).await?.items.into_iter().next();
        let found = found.ok_or_else(|| {
            Error::not_found(format!("message {id} has no slot in the schedule of {process}"))
        })?;
        self.assignment(process, found.item.id).await.map(Arc::new)
    }
}

fn one(name: &str, value: &str) -> TagFilter {
    TagFilter { name: name.to_owned(), values: vec![value.to_owned()], negated: false }
}

fn assignments_of(process: ProcessId, by: Address) -> Query {
    let process = process.to_string();
    let tags = [(tag::PROCESS, process.as_str()), (tag::TYPE, "Assignment"), (tag::DATA_PROTOCOL, tag::AO)];
    Query { owners: vec![by], ..Query::tagged(tags) }
}

fn no_schedule(process: ProcessId) -> Error {
    Error::not_found(format!("the weave has no schedule of {process}"))
}

fn equivocates(process: ProcessId, slot: Slot, one: Id, other: Id) -> Error {
    let what = format!("its scheduler signed two assignments of slot {slot} of {process}: {one} and {other}");
    let hint = "nobody can say which of them counts: the scheduler is not to be trusted any more";
    Error::refused(what).with_code(Code::BROKEN_SCHEDULE).with_hint(hint)
}

fn reads_only() -> Error {
    Error::refused("an archive schedules nothing").with_hint("send it to the scheduler of the process")
}

#[async_trait]
impl Scheduler for Archive {
    async fn schedule(&self, _item: DataItem) -> Result<Placed> {
        Err(reads_only())
    }

    async fn assign(&self, _request: AssignRequest) -> Result<Placed> {
        Err(reads_only())
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        let process = match process {
            Some(process) => process,
            None => {
                let item = self.weave.get(id).await?.item;
                let named = item.tags.first(tag::PROCESS).and_then(|process| process.parse().ok());
                match (item.kind(), named, item.target) {
                    (Some("Process"), ..) => id.into(),
                    (Some("Assignment"), Some(process), _) => process,
                    (_, _, Some(target)) => target.into(),
                    _ => return Err(Error::not_found(format!("{id} is for no process"))),
                }
            }
        };
        let by = self.scheduler(process).await?;
        self.entry(self.assigned(process, by, id).await?).await
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        let SlotRange::Slots { after, to } = range else {
            return Err(Error::refused("an archive is read by slots, not by time"));
        };
        let by = self.scheduler(process).await?;
        let first = after.map_or(0, |after| after.0 + 1);
        let limit = limit.clamp(1, SLOTS_PER_QUERY);
        // One more shows whether there is one.
        let last = to.map_or(u64::MAX, |to| to.0).min(first.saturating_add(limit as u64));
        if last < first {
            return Ok(Page { items: Vec::new(), has_next: false });
        }
        let slots = self.assignments(process, by, first..=last).await?;
        let in_order =
            slots.into_values().zip(first..).take_while(|(assignment, slot)| assignment.slot.0 == *slot);
        let page = Page::cut(in_order.map(|(assignment, _)| assignment).collect(), limit);
        let items = stream::iter(page.items).map(|assignment| self.entry(assignment));
        Ok(Page { items: items.buffered(FETCHES).try_collect().await?, has_next: page.has_next })
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        let by = self.scheduler(process).await?;
        self.entry(self.newest(process, by).await?).await
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        let (item, by) = (self.item(process).await?, self.scheduler(process).await?);
        let first = self.assigned(process, by, process.into()).await?;
        Ok(ProcessRecord { item, timestamp: first.timestamp, block_height: first.block_height })
    }

    async fn now(&self) -> Result<Tip> {
        self.weave.tip().await
    }

    async fn address(&self) -> Result<Address> {
        Err(Error::refused("an archive has schedules of many schedulers, and no address"))
    }
}
