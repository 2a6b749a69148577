//! The contracts in memory, for the tests of whoever uses one. Not for a node: nothing here survives anything.
//!
//! Each fake keeps the promises of its contract as far as a test can see them, and can be told to fail.

mod switch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{
    Address, Assignment, Attestation, DataItem, Digest, Draft, Epoch, HashChain, Height, Id, Item, Outcome,
    ProcessId, Slot, Timestamp, Wallet,
};

use crate::{
    AssignRequest, BlockRef, Clock, Compute, Cursor, DryRun, Error, Evaluated, Evaluation, Found, History,
    Novelty, OutcomeQuery, Page, Placed, ProcessRecord, Query, Result, Scheduled, Scheduler, SlotRange, Sort,
    StateAt, Tip, Weave,
};

/// A panic in one test's thread must not hide behind a poisoned lock in another.
pub use switch::Switch;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A clock that is set by hand.
#[derive(Debug)]
pub struct FakeClock {
    now: AtomicU64,
    step: AtomicU64,
}

impl FakeClock {
    /// A clock that shows `ms` until it is set.
    pub fn at(ms: u64) -> Arc<FakeClock> {
        FakeClock::advancing(ms, 0)
    }

    /// A clock that goes on by `step` after each look at it.
    pub fn advancing(ms: u64, step: u64) -> Arc<FakeClock> {
        Arc::new(FakeClock { now: AtomicU64::new(ms), step: AtomicU64::new(step) })
    }

    /// Shows `ms` from now on; earlier than now is allowed.
    pub fn set(&self, ms: u64) {
        self.now.store(ms, Ordering::SeqCst);
    }

    /// Goes on by `ms`.
    pub fn advance(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.fetch_add(self.step.load(Ordering::SeqCst), Ordering::SeqCst))
    }
}

/// A weave in a map. An uploaded item is verified, readable at once, and in a block after [`FakeWeave::mine`].
#[derive(Default)]
pub struct FakeWeave {
    state: Mutex<WeaveState>,
}

#[derive(Default)]
struct WeaveState {
    items: BTreeMap<Id, Found>,
    /// Ids in the order they came.
    order: Vec<Id>,
    wallets: BTreeSet<Address>,
    height: u64,
    failing_uploads: u64,
}

/// A block of the fake weave lasts that long.
const BLOCK_MS: u64 = 120_000;

impl FakeWeave {
    /// An empty weave at height 0.
    pub fn new() -> Arc<FakeWeave> {
        Arc::new(FakeWeave::default())
    }

    /// Adds an item without looking at its signature, in no block yet.
    pub fn put(&self, item: Item) {
        self.insert(Found { item: Arc::new(item), base_layer: false, block: None, cursor: String::new() });
    }

    /// Adds a base-layer transaction that is `confirmations` blocks deep; the height grows if need be.
    pub fn put_base_layer(&self, item: Item, confirmations: u64) {
        let height = {
            let mut state = lock(&self.state);
            state.height = state.height.max(confirmations);
            state.height
        };
        let block = (confirmations > 0).then(|| block_at(height - confirmations));
        self.insert(Found { item: Arc::new(item), base_layer: true, block, cursor: String::new() });
    }

    /// Puts an item in the block at a height.
    pub fn put_at(&self, item: Item, height: u64) {
        let (item, block) = (Arc::new(item), Some(block_at(height)));
        self.insert(Found { item, base_layer: false, block, cursor: String::new() });
    }

    /// Makes an address known as a wallet.
    pub fn put_wallet(&self, address: Address) {
        lock(&self.state).wallets.insert(address);
    }

    /// A new block takes in what waits for one.
    pub fn mine(&self) -> Height {
        let mut state = lock(&self.state);
        let block = block_at(state.height);
        for found in state.items.values_mut() {
            found.block.get_or_insert(block);
        }
        state.height += 1;
        Height(state.height)
    }

    /// Sets the height of the newest block.
    pub fn set_height(&self, height: u64) {
        lock(&self.state).height = height;
    }

    /// The next `n` uploads fail as if the weave could not be reached.
    pub fn fail_uploads(&self, n: u64) {
        lock(&self.state).failing_uploads = n;
    }

    /// It loses something that it took.
    pub fn forget(&self, id: Id) {
        let mut state = lock(&self.state);
        state.items.remove(&id);
        state.order.retain(|other| *other != id);
    }

    /// Ids in the order they came, each once.
    pub fn ids(&self) -> Vec<Id> {
        lock(&self.state).order.clone()
    }

    /// Whether it has that item.
    pub fn has(&self, id: Id) -> bool {
        lock(&self.state).items.contains_key(&id)
    }

    fn insert(&self, found: Found) {
        let mut state = lock(&self.state);
        let id = found.item.id;
        if state.items.insert(id, found).is_none() {
            state.order.push(id);
        }
    }
}

fn block_at(height: u64) -> BlockRef {
    BlockRef { height: Height(height), timestamp: Timestamp(height * BLOCK_MS) }
}

#[async_trait]
impl Weave for FakeWeave {
    async fn upload(&self, item: DataItem) -> Result<()> {
        {
            let mut state = lock(&self.state);
            if state.failing_uploads > 0 {
                state.failing_uploads -= 1;
                return Err(Error::unavailable("the weave was told to fail this upload"));
            }
            if state.items.contains_key(&item.id) {
                return Ok(());
            }
        }
        item.verify().map_err(|error| Error::invalid(error.to_string()))?;
        self.insert(Found {
            item: Arc::new(item.item().clone()),
            base_layer: false,
            block: None,
            cursor: String::new(),
        });
        Ok(())
    }

    async fn get(&self, id: Id) -> Result<Found> {
        let found = lock(&self.state).items.get(&id).cloned();
        found.ok_or_else(|| Error::not_found(format!("{id} is not on the weave")))
    }

    async fn confirmations(&self, id: Id) -> Result<Option<u64>> {
        let block = self.get(id).await?.block;
        let height = lock(&self.state).height;
        Ok(block.map(|block| height.saturating_sub(block.height.0)))
    }

    async fn query(&self, query: Query) -> Result<Page<Found>> {
        let state = lock(&self.state);
        let mut found: Vec<Found> = state.order.iter().map(|id| state.items[id].clone()).collect();
        if query.sort == Sort::Descending {
            found.reverse();
        }
        if let Some(after) = &query.after {
            let place = found.iter().position(|found| found.item.id.to_string() == *after);
            found.drain(..place.map_or(found.len(), |place| place + 1));
        }
        found.retain(|found| query.matches(&found.item));
        for found in &mut found {
            found.cursor = found.item.id.to_string();
            found.item = Arc::new(Item { data: Bytes::new(), ..(*found.item).clone() });
        }
        Ok(Page::cut(found, query.limit))
    }

    async fn tip(&self) -> Result<Tip> {
        let block = block_at(lock(&self.state).height);
        Ok(Tip { timestamp: block.timestamp, height: block.height })
    }

    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>> {
        let height = lock(&self.state).height;
        Ok((from.0..=height).take(limit).map(block_at).collect())
    }

    async fn knows_wallet(&self, address: Address) -> Result<bool> {
        let state = lock(&self.state);
        let signed = state.items.values().any(|found| found.item.address() == address);
        Ok(signed || state.wallets.contains(&address))
    }
}

/// A scheduler in a map. It takes any item that is a Process or targets a process it has.
pub struct FakeScheduler {
    wallet: Wallet,
    clock: Arc<dyn Clock>,
    state: Mutex<SchedulerState>,
}

#[derive(Default)]
struct SchedulerState {
    schedules: BTreeMap<ProcessId, Vec<Scheduled>>,
    /// In the order they were assigned.
    by_message: BTreeMap<Id, Vec<(ProcessId, usize)>>,
    height: Height,
    failing: Vec<Error>,
}

impl FakeScheduler {
    /// A scheduler without processes that signs with `wallet`.
    pub fn new(wallet: Wallet, clock: Arc<dyn Clock>) -> Arc<FakeScheduler> {
        Arc::new(FakeScheduler { wallet, clock, state: Mutex::default() })
    }

    /// The height that assignments say from now on.
    pub fn set_height(&self, height: u64) {
        lock(&self.state).height = Height(height);
    }

    /// The next call of `schedule` or `assign` fails with this; several are used in order.
    pub fn fail_next(&self, error: Error) {
        lock(&self.state).failing.push(error);
    }

    /// Every entry of a schedule, in order.
    pub fn entries(&self, process: ProcessId) -> Vec<Scheduled> {
        lock(&self.state).schedules.get(&process).cloned().unwrap_or_default()
    }

    fn append(
        &self,
        process: ProcessId,
        id: Id,
        item: Option<Arc<Item>>,
        exclude: &[String],
    ) -> Result<Placed> {
        let mut state = lock(&self.state);
        if !state.failing.is_empty() {
            return Err(state.failing.remove(0));
        }
        let places = state.by_message.get(&id).into_iter().flatten();
        if let Some(&(_, place)) = places.into_iter().find(|(assigned, _)| *assigned == process) {
            let entry = state.schedules[&process][place].clone();
            return Ok(Placed { entry, novelty: Novelty::Repeat });
        }
        let is_boot = Id::from(process) == id;
        let height = state.height;
        let last = state.schedules.get(&process).and_then(|entries| entries.last());
        let (slot, chain, now) = match last {
            None if !is_boot => return Err(unknown(process)),
            None => (Slot(0), HashChain::start(process), self.clock.now()),
            Some(Scheduled { assignment, .. }) => (
                assignment.slot.next(),
                assignment.hash_chain.after(assignment.id()),
                self.clock.now().max(Timestamp(assignment.timestamp.0 + 1)),
            ),
        };
        let message = (!is_boot).then_some(id);
        let tags = Assignment::tags(process, Epoch(0), slot, chain, height, now, message, exclude);
        let draft = Draft { anchor: Some(chain.0), tags, ..Draft::default() };
        let signed = DataItem::sign(&self.wallet, draft).map_err(|error| Error::internal(&error))?;
        let assignment =
            Assignment::try_from(signed.item().clone()).map_err(|error| Error::internal(&error))?;
        let scheduled = Scheduled { message: item, assignment: Arc::new(assignment) };
        let place = slot.0 as usize;
        state.schedules.entry(process).or_default().push(scheduled.clone());
        state.by_message.entry(id).or_default().push((process, place));
        Ok(Placed { entry: scheduled, novelty: Novelty::First })
    }
}

fn unknown(process: ProcessId) -> Error {
    Error::not_found(format!("process {process} is not known to this scheduler"))
}

#[async_trait]
impl Scheduler for FakeScheduler {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        item.verify().map_err(|error| Error::invalid(error.to_string()))?;
        let process = match (item.kind(), item.target) {
            (Some("Process"), _) => item.id.into(),
            (_, Some(target)) => target.into(),
            (_, None) => return Err(Error::invalid(format!("message {} has no target", item.id))),
        };
        self.append(process, item.id, Some(Arc::new(item.item().clone())), &[])
    }

    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        self.append(request.process, request.message, None, &request.exclude)
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        let state = lock(&self.state);
        let asked = |other: ProcessId| process.is_none_or(|process| process == other);
        let places = state.by_message.get(&id).into_iter().flatten();
        if let Some((process, place)) = places.into_iter().find(|(process, _)| asked(*process)) {
            return Ok(state.schedules[process][*place].clone());
        }
        let mut entries = state.schedules.values().flatten();
        let by_assignment =
            entries.find(|entry| entry.assignment.id() == id && asked(entry.assignment.process));
        by_assignment.cloned().ok_or_else(|| Error::not_found(format!("{id} has no slot here")))
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        let state = lock(&self.state);
        let entries = state.schedules.get(&process).ok_or_else(|| unknown(process))?;
        // They lie in the order of their slots. As a page of a real one, it costs what is on it.
        let first = match range {
            SlotRange::Slots { after: Some(after), .. } => {
                entries.partition_point(|entry| entry.assignment.slot <= after)
            }
            _ => 0,
        };
        let within = |entry: &&Scheduled| match range {
            SlotRange::Time { after, to } => {
                let at = entry.assignment.timestamp;
                after.is_none_or(|after| at > after) && to.is_none_or(|to| at <= to)
            }
            SlotRange::Slots { to, .. } => to.is_none_or(|to| entry.assignment.slot <= to),
        };
        let found = entries[first..].iter().filter(within).take(limit.saturating_add(1));
        Ok(Page::cut(found.cloned().collect(), limit))
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        self.entries(process).pop().ok_or_else(|| unknown(process))
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        let boot = self.entries(process).into_iter().next().ok_or_else(|| unknown(process))?;
        Ok(ProcessRecord {
            item: boot.message.ok_or_else(|| unknown(process))?,
            timestamp: boot.assignment.timestamp,
            block_height: boot.assignment.block_height,
        })
    }

    async fn now(&self) -> Result<Tip> {
        Ok(Tip { timestamp: self.clock.now(), height: lock(&self.state).height })
    }

    async fn address(&self) -> Result<Address> {
        Ok(self.wallet.address())
    }
}

/// What a scripted compute does when it is asked for an outcome that nobody put.
type Script = dyn Fn(ProcessId, Id) -> Result<Outcome> + Send + Sync;

/// A compute that says what it was told to say.
pub struct FakeCompute {
    script: Box<Script>,
    address: Address,
    state: Mutex<ComputeState>,
}

#[derive(Default)]
struct ComputeState {
    outcomes: BTreeMap<(ProcessId, Id), Result<Outcome>>,
    results: BTreeMap<ProcessId, Vec<Evaluated>>,
    cron: BTreeMap<ProcessId, Vec<Evaluated>>,
    memory: BTreeMap<ProcessId, StateAt>,
    failing: Vec<Error>,
    asked: Vec<(ProcessId, Id)>,
}

impl FakeCompute {
    /// A compute that answers with what `script` says, where nothing was put.
    pub fn new(
        script: impl Fn(ProcessId, Id) -> Result<Outcome> + Send + Sync + 'static,
    ) -> Arc<FakeCompute> {
        let address = Address::of_owner(b"fake compute");
        Arc::new(FakeCompute { script: Box::new(script), address, state: Mutex::default() })
    }

    /// A compute whose outcomes are empty, where nothing was put.
    pub fn silent() -> Arc<FakeCompute> {
        FakeCompute::new(|_, _| Ok(FakeCompute::empty()))
    }

    /// An outcome in which nothing happened.
    pub fn empty() -> Outcome {
        Outcome { error: None, ..Outcome::failed("", 0, 1) }
    }

    /// What `result` says about a message from now on.
    pub fn put(&self, process: ProcessId, message: Id, outcome: Result<Outcome>) {
        lock(&self.state).outcomes.insert((process, message), outcome);
    }

    /// Adds to what `results` lists.
    pub fn put_evaluated(&self, process: ProcessId, evaluated: Evaluated) {
        lock(&self.state).results.entry(process).or_default().push(evaluated);
    }

    /// Adds to what `cron` lists.
    pub fn put_cron(&self, process: ProcessId, evaluated: Evaluated) {
        lock(&self.state).cron.entry(process).or_default().push(evaluated);
    }

    /// What `state` says.
    pub fn put_state(&self, process: ProcessId, state: StateAt) {
        lock(&self.state).memory.insert(process, state);
    }

    /// The next call of `result` fails with this; several are used in order.
    pub fn fail_next(&self, error: Error) {
        lock(&self.state).failing.push(error);
    }

    /// What `result` was asked for, in order, failures included.
    pub fn asked(&self) -> Vec<(ProcessId, Id)> {
        lock(&self.state).asked.clone()
    }
}

/// Where a cursor stands: by timestamp, then ordinate, then cron.
fn place(cursor: &Cursor) -> (Timestamp, Option<u64>, Option<&str>) {
    (cursor.timestamp, cursor.ordinate, cursor.cron.as_deref())
}

fn select(all: &[Evaluated], query: &OutcomeQuery) -> Page<Evaluated> {
    let mut chosen = all.to_vec();
    chosen.sort_by(|a, b| place(&a.cursor).cmp(&place(&b.cursor)));
    chosen.retain(|one| {
        query.from.as_ref().is_none_or(|from| place(&one.cursor) > place(from))
            && query.to.as_ref().is_none_or(|to| place(&one.cursor) <= place(to))
    });
    if query.sort == Sort::Descending {
        chosen.reverse();
    }
    Page::cut(chosen, query.limit)
}

#[async_trait]
impl Compute for FakeCompute {
    async fn result(&self, process: ProcessId, message: Id) -> Result<Arc<Outcome>> {
        let put = {
            let mut state = lock(&self.state);
            state.asked.push((process, message));
            if !state.failing.is_empty() {
                return Err(state.failing.remove(0));
            }
            state.outcomes.get(&(process, message)).cloned()
        };
        put.unwrap_or_else(|| (self.script)(process, message)).map(Arc::new)
    }

    async fn results(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        let state = lock(&self.state);
        Ok(select(state.results.get(&process).map(Vec::as_slice).unwrap_or_default(), &query))
    }

    async fn cron(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        let state = lock(&self.state);
        let query = OutcomeQuery { sort: Sort::Ascending, ..query };
        Ok(select(state.cron.get(&process).map(Vec::as_slice).unwrap_or_default(), &query))
    }

    async fn dry_run(&self, process: ProcessId, _message: DryRun, at: Option<Id>) -> Result<Outcome> {
        (self.script)(process, at.unwrap_or(process.into()))
    }

    async fn state(&self, process: ProcessId, _to: Option<Timestamp>) -> Result<StateAt> {
        let state = lock(&self.state).memory.get(&process).cloned();
        state.ok_or_else(|| Error::not_found(format!("process {process} has no memory here")))
    }

    async fn address(&self) -> Result<Address> {
        Ok(self.address)
    }

    async fn attest(&self, process: ProcessId, of: Evaluation, with_state: bool) -> Result<Attestation> {
        let _ = (process, of, with_state);
        Err(crate::no_attestations())
    }

    async fn history(&self, process: ProcessId, from: u64, limit: usize) -> Result<History> {
        let _ = (process, from, limit);
        Err(crate::no_attestations())
    }

    async fn consistency(&self, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>> {
        let _ = (process, from, to);
        Err(crate::no_attestations())
    }
}
