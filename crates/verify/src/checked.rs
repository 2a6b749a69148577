//! A schedule whose every entry was checked before anybody sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use archive::{Archive, SLOTS_PER_QUERY};
use async_trait::async_trait;
use protocol::{Address, DataItem, HashChain, Id, Item, ProcessId, Slot, Timestamp, tag};
use unit::{
    AssignRequest, Error, Page, Placed, ProcessRecord, Result, Scheduled, Scheduler, SlotRange, Tip, Weave,
};

use crate::{Finding, Rule, Stop, finding};

/// Entries that are remembered after they were checked: the evaluation asks for them again.
const REMEMBERED: usize = 4 * SLOTS_PER_QUERY;

/// The schedule of one process, checked in its order.
pub(crate) struct Checked {
    archive: Archive,
    weave: Arc<dyn Weave>,
    process: ProcessId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scheduler: Option<Address>,
    record: Option<ProcessRecord>,
    /// What the next entry must continue.
    next: Option<Next>,
    entries: BTreeMap<Slot, Scheduled>,
    slots: BTreeMap<Id, Slot>,
}

#[derive(Clone, Copy)]
struct Next {
    slot: Slot,
    chain: HashChain,
    after: Option<Timestamp>,
}

impl Checked {
    pub(crate) fn new(weave: Arc<dyn Weave>, process: ProcessId) -> Checked {
        let archive = Archive::new(Arc::clone(&weave));
        Checked { archive, weave, process, state: Mutex::default() }
    }

    /// The Process item, verified, and who schedules it.
    pub(crate) async fn begin(&self) -> Result<(Arc<Item>, Address)> {
        let record = self.archive.process(self.process).await?;
        if !is_signed(&record.item) || record.item.id != self.process.into() {
            return Err(altered(format!("process {}", self.process)));
        }
        let named = record.item.tags.first(tag::SCHEDULER).and_then(|address| address.parse().ok());
        let scheduler =
            named.ok_or_else(|| Error::refused(format!("{} names no Scheduler", self.process)))?;
        let mut state = self.state();
        state.scheduler = Some(scheduler);
        state.next = Some(Next { slot: Slot(0), chain: HashChain::start(self.process), after: None });
        let item = Arc::clone(&record.item);
        state.record = Some(record);
        Ok((item, scheduler))
    }

    /// The highest slot on the weave. None if what the weave has there is none: then the walk comes to it.
    pub(crate) async fn newest(&self) -> Result<Option<Slot>> {
        match self.archive.latest(self.process).await {
            Ok(entry) => Ok(Some(entry.assignment.slot)),
            Err(error) if error.kind.is_transient() && error.code != unit::Code::NOT_AS_SIGNED => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Goes on behind a slot that was checked before.
    pub(crate) fn resume(&self, slot: Slot, chain: HashChain, after: Timestamp) {
        self.state().next = Some(Next { slot: slot.next(), chain, after: Some(after) });
    }

    /// The entries behind a slot, up to the newest, as many as one query gives; each was checked. None if that is all.
    pub(crate) async fn page(
        &self,
        after: Option<Slot>,
        newest: Option<Slot>,
    ) -> std::result::Result<Vec<Scheduled>, Stop> {
        let first = after.map_or(Slot(0), Slot::next);
        let range = SlotRange::Slots { after, to: newest };
        let page = self.archive.schedule_page(self.process, range, SLOTS_PER_QUERY).await;
        let page = match page {
            Ok(page) => page.items,
            // Which of them it is shows one by one.
            Err(error) if !error.kind.is_transient() || error.code == unit::Code::NOT_AS_SIGNED => {
                self.one_by_one(first).await?
            }
            Err(error) => return Err(Stop::Failed(error)),
        };
        if let (true, Some(newest)) = (page.is_empty(), newest) {
            let what = format!("slot {first} is not on the weave, and slot {newest} is");
            return Err(Stop::Found(Finding::new(first, Rule::Assignment, what)));
        }
        for entry in &page {
            self.check(entry).map_err(Stop::Found)?;
        }
        Ok(page)
    }

    /// The entries from a slot on, up to the first that cannot be had; that one, if it is the first.
    async fn one_by_one(&self, first: Slot) -> std::result::Result<Vec<Scheduled>, Stop> {
        let mut entries = Vec::new();
        let scheduler = self.address().await?;
        for slot in first.0..=u64::MAX {
            if let Err(error) = self.archive.assignments(self.process, scheduler, slot..=slot).await {
                return match entries.is_empty() {
                    true => Err(finding(Slot(slot), Rule::Assignment, error)),
                    false => Ok(entries),
                };
            }
            let range = SlotRange::Slots { after: slot.checked_sub(1).map(Slot), to: Some(Slot(slot)) };
            match self.archive.schedule_page(self.process, range, 1).await {
                Ok(page) if page.items.is_empty() => return Ok(entries),
                Ok(page) => entries.extend(page.items),
                Err(_) if !entries.is_empty() => return Ok(entries),
                Err(error) => return Err(finding(Slot(slot), Rule::Message, error)),
            }
        }
        Ok(entries)
    }

    /// Checks the entry that comes next.
    fn check(&self, entry: &Scheduled) -> std::result::Result<(), Finding> {
        let mut state = self.state();
        let assignment = &entry.assignment;
        let next = state.next.expect("nothing is read before the walk begins");
        let slot = next.slot;
        let found = |rule, what: String| Err(Finding::new(slot, rule, what));
        if assignment.slot != slot {
            return found(Rule::Assignment, format!("slot {slot} is not on the weave"));
        }
        let id = assignment.id();
        if !is_signed(&assignment.item) {
            return found(Rule::Assignment, format!("assignment {id} is not what its scheduler signed"));
        }
        if Some(assignment.item.address()) != state.scheduler || assignment.process != self.process {
            let signer = assignment.item.address();
            return found(
                Rule::Assignment,
                format!("assignment {id} is signed by {signer}, which is not the scheduler"),
            );
        }
        if assignment.hash_chain != next.chain {
            let (chain, expected) = (assignment.hash_chain, next.chain);
            return found(Rule::Chain, format!("the hash chain says {chain}, and continues as {expected}"));
        }
        if next.after.is_some_and(|after| assignment.timestamp <= after) {
            return found(Rule::Chain, "its time is not after that of the slot before".to_owned());
        }
        if let Some(message) = &entry.message {
            if !is_signed(message) || message.id != entry.message_id() {
                return found(Rule::Message, format!("message {} is not what its sender signed", message.id));
            }
            let is_for = if slot == Slot(0) {
                message.id == self.process.into()
            } else {
                message.target == Some(self.process.into())
            };
            if !is_for {
                return found(Rule::Message, format!("message {} is for somebody else", message.id));
            }
        }
        let chain = next.chain.after(id);
        state.next = Some(Next { slot: slot.next(), chain, after: Some(assignment.timestamp) });
        state.slots.insert(id, slot);
        state.slots.insert(entry.message_id(), slot);
        state.entries.insert(slot, entry.clone());
        while state.entries.len() > REMEMBERED {
            if let Some((_, old)) = state.entries.pop_first() {
                state.slots.remove(&old.assignment.id());
                state.slots.remove(&old.message_id());
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an item is what was signed.
pub(crate) fn is_signed(item: &Item) -> bool {
    DataItem::restore(item).is_some()
}

fn altered(what: String) -> Error {
    Error::refused(format!("{what} is not what was signed")).with_code(unit::Code::NOT_AS_SIGNED)
}

fn reads_only() -> Error {
    Error::refused("a verification schedules nothing")
}

/// What was checked; from before a resumed verification, what was checked then.
#[async_trait]
impl Scheduler for Checked {
    async fn schedule(&self, _item: DataItem) -> Result<Placed> {
        Err(reads_only())
    }

    async fn assign(&self, _request: AssignRequest) -> Result<Placed> {
        Err(reads_only())
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        let known = {
            let state = self.state();
            state.slots.get(&id).and_then(|slot| state.entries.get(slot)).cloned()
        };
        match known {
            Some(entry) => Ok(entry),
            None => self.archive.find(process, id).await,
        }
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        let SlotRange::Slots { after, to } = range else { return Err(Error::refused("read it by slots")) };
        let first = after.map_or(Slot(0), Slot::next);
        let known: Vec<Scheduled> = {
            let state = self.state();
            let from = state.entries.range(first..).map(|(_, entry)| entry);
            let up_to = from.take_while(|entry| to.is_none_or(|to| entry.assignment.slot <= to));
            up_to.take(limit.saturating_add(1)).cloned().collect()
        };
        // What is not checked yet is not there yet.
        if known.first().is_some_and(|entry| entry.assignment.slot == first) {
            return Ok(Page::cut(known, limit));
        }
        let checked_up_to = self.state().next.map_or(Slot(0), |next| next.slot);
        if first >= checked_up_to {
            return Ok(Page { items: Vec::new(), has_next: false });
        }
        let to = to.map_or(Slot(checked_up_to.0 - 1), |to| to.min(Slot(checked_up_to.0 - 1)));
        self.archive.schedule_page(process, SlotRange::Slots { after, to: Some(to) }, limit).await
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        let newest = self.state().entries.last_key_value().map(|(_, entry)| entry.clone());
        match newest {
            Some(entry) => Ok(entry),
            None => self.archive.latest(process).await,
        }
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        let known = self.state().record.clone();
        match known {
            Some(record) if process == self.process => Ok(record),
            _ => self.archive.process(process).await,
        }
    }

    async fn now(&self) -> Result<Tip> {
        self.weave.tip().await
    }

    async fn address(&self) -> Result<Address> {
        self.state().scheduler.ok_or_else(|| Error::refused("nothing was checked yet"))
    }
}
