//! The schedules: one line for each process, in which every message waits for its turn, gets its slot, and is shown
//! when that is durable.
//!
//! A line is held only while an assignment is made and handed to the store, not while the disk works: the next
//! assignment needs the id of the one before, not its durability, and the store makes batches durable in order. So
//! one flush covers all that came in meanwhile, of all processes.

pub(crate) mod ticks;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::Shared;
use protocol::{
    Address, Assignment, DataItem, Draft, Epoch, Height, Id, Item, ProcessId, SignatureType, Wallet, message,
    tag,
};
use store::{Appended, Batch, Store};
use tokio::sync::{Notify, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tracing::error;
use unit::{Clock, Events, Happened, Hold, Novelty, told_text};

use crate::adopt::Seen;
use crate::assign::{Head, assign};
use crate::entry::{DUPLICATE, Entry, MESSAGE, duplicate_key, message_key, pair, read_slot};
use crate::height::Heights;
use crate::held::Holds;
use crate::ledger::ticks::{Kept, UNTOLD};
pub(crate) use crate::ledger::ticks::{Teller, Ticking};
use crate::lru::Lru;
use crate::settle::Ages;
use crate::{Error, Options};

/// What wants a slot.
pub(crate) struct Wish {
    /// In whose schedule.
    pub(crate) process: ProcessId,
    /// What gets the slot; the process's own id starts the schedule.
    pub(crate) message: Id,
    /// Its bytes, where they were delivered with the wish.
    pub(crate) delivered: Option<DataItem>,
    /// What it says, to recognise it when another messenger pushes it.
    pub(crate) item: Option<Arc<Item>>,
    /// Fields that the assignment leaves out.
    pub(crate) exclude: Vec<String>,
}

/// The schedules of all processes of one scheduler.
pub(crate) struct Ledger {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) wallet: Wallet,
    pub(crate) address: Address,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: Arc<Events>,
    pub(crate) heights: Arc<Heights>,
    pub(crate) options: Options,
    /// Entries that were shown lately.
    pub(crate) recent: Mutex<Lru<(ProcessId, protocol::Slot), Arc<Entry>>>,
    /// How many entries are here, or on their way to the disk, and not yet on the weave.
    pub(crate) unsettled: watch::Sender<u64>,
    /// How many entries the weave has taken and that are still looked after.
    pub(crate) unconfirmed: AtomicU64,
    /// When those that are unsettled were scheduled.
    pub(crate) ages: Mutex<Ages>,
    /// Told when there is something to settle.
    pub(crate) settle: Notify,
    /// For which processes nothing is scheduled.
    pub(crate) holds: Holds,
    /// What is seen of ticks.
    pub(crate) ticking: Ticking,
    lines: Mutex<Lru<ProcessId, Arc<Line>>>,
    in_flight: Arc<Semaphore>,
    signers: Semaphore,
    poisoned: AtomicBool,
}

/// What the schedules need from outside.
pub(crate) struct Tools {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) wallet: Wallet,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: Arc<Events>,
    pub(crate) heights: Arc<Heights>,
    /// What the store has that waits for the weave.
    pub(crate) ages: Ages,
    /// How much it has that is looked after there.
    pub(crate) unconfirmed: u64,
    /// What it says of processes that are held.
    pub(crate) holds: Holds,
}

/// The end of one schedule, where it grows.
#[derive(Default)]
struct Line {
    /// First come, first served: tokio's lock is fair.
    end: Arc<tokio::sync::Mutex<End>>,
    /// How many hold the lock or wait for it.
    waiting: AtomicUsize,
    /// Assigned, and on their way to the disk. Only whoever holds the end adds.
    in_flight: Mutex<OnTheirWay>,
}

/// What the next assignment must know.
#[derive(Default)]
struct End {
    loaded: bool,
    /// None before slot 0.
    head: Option<Head>,
    /// Of what is scheduled next.
    epoch: Epoch,
    /// What keeps it from getting slots, as it was when the holds had that version.
    hold: Option<(u64, Option<Hold>)>,
    /// Who may push for other processes here; read when the first pushed message comes.
    authorities: Option<Vec<Address>>,
    /// The timers of the process, if it ever had any.
    timers: Option<Kept>,
}

impl End {
    /// Timers give nothing for what was before the epoch.
    fn pass(&mut self) {
        if let Some(kept) = &mut self.timers {
            kept.table.pass(self.epoch);
        }
    }
}

#[derive(Default)]
struct OnTheirWay {
    by_message: BTreeMap<Id, InFlight>,
    /// The message that goes first among those with the same key.
    by_duplicate: BTreeMap<Id, Id>,
}

#[derive(Clone)]
struct InFlight {
    entry: Arc<Entry>,
    durable: Shared<Appended>,
}

impl Ledger {
    pub(crate) fn new(tools: Tools, options: Options) -> Ledger {
        let Tools { store, wallet, clock, events, heights, ages, unconfirmed, holds } = tools;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let signers = if options.signers == 0 { cores() } else { options.signers };
        Ledger {
            store,
            address: wallet.address(),
            wallet,
            clock,
            events,
            heights,
            recent: Mutex::new(Lru::new(options.recent_bytes_max)),
            unsettled: watch::Sender::new(ages.len()),
            unconfirmed: AtomicU64::new(unconfirmed),
            ages: Mutex::new(ages),
            settle: Notify::new(),
            holds,
            ticking: Ticking::default(),
            lines: Mutex::new(Lru::new(options.lines_max)),
            in_flight: Arc::new(Semaphore::new(options.in_flight_max)),
            signers: Semaphore::new(signers),
            poisoned: AtomicBool::new(false),
            options,
        }
    }

    /// Gives `wish` its slot, or finds the one that it has. Answers when that is durable.
    pub(crate) async fn place(self: &Arc<Self>, wish: Wish) -> Result<(Arc<Entry>, Novelty), Error> {
        let process = wish.process;
        // Nobody knows a height for a process that begins. A schedule that goes on has one, also after a restart.
        let known = match wish.message == process.into() {
            true => Some(self.heights.get().await?),
            false => self.heights.known(),
        };
        let line = self.line(process);
        let turn = Turn::take(&line, process, self.options.waiting_max)?;
        let mut end = line.end.lock().await;
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned);
        }
        self.load(process, &mut end)?;
        if end.head.is_none() && wish.message != process.into() {
            return Err(Error::UnknownProcess { process });
        }
        let duplicate = self.duplicate_of(process, wish.item.as_deref(), &line, &mut end)?;
        if let Some(first) = line.find(wish.message, duplicate) {
            drop((end, turn));
            first.durable.await.map_err(|_| Error::Poisoned)?;
            return Ok((first.entry, Novelty::Repeat));
        }
        if let Some(first) = self.find_first(&wish, duplicate)? {
            return Ok((first, Novelty::Repeat));
        }

        if let Some(hold) = self.hold_at(process, &mut end)? {
            return Err(Error::Held { process, hold });
        }
        // From here on it gets a new slot.
        let shown = self.give(&line, &mut end, wish, duplicate, known).await?;
        drop((end, turn));
        Ok((shown.await.map_err(|_| Error::Stopping)??, Novelty::First))
    }

    /// Gives `wish` the next slot. What is returned ends when that is durable, and goes on if nobody waits.
    async fn give(
        self: &Arc<Self>,
        line: &Arc<Line>,
        end: &mut End,
        wish: Wish,
        duplicate: Option<Id>,
        known: Option<Height>,
    ) -> Result<JoinHandle<Result<Arc<Entry>, Error>>, Error> {
        let Wish { process, message, delivered, item, exclude } = wish;
        // Whoever gives up while it is signed leaves the line as it was.
        let permit = self.in_flight.clone().acquire_owned().await.map_err(|_| Error::Stopping)?;
        let height = known.or(end.head.map(|head| head.block_height)).unwrap_or_default();
        let plan = assign(process, end.head.as_ref(), message, exclude, self.clock.now(), height);
        let plan = plan.in_epoch(end.epoch);
        let signed = self.sign(plan.draft()).await?;
        let head = plan.head(&signed);
        let assignment = plan.signed(signed.item().clone());
        let entry = Arc::new(Entry::new(delivered, signed, assignment));
        let mut batch = entry.batch(duplicate);
        let timers = self.timers_after(line, end, item.as_deref(), &entry, &mut batch)?;

        // And from here on nothing waits until the batch is in the store's queue and the line knows it.
        // Counted first: settlement may see the entry before anyone here is told that it is durable.
        lock(&self.ages).add(entry.scheduled.assignment.timestamp);
        self.unsettled.send_modify(|waiting| *waiting += 1);
        let durable = self.store.append(batch).shared();
        end.head = Some(head);
        end.timers = timers.or(end.timers.take());
        line.put(message, duplicate, InFlight { entry: entry.clone(), durable: durable.clone() });
        Ok(tokio::spawn(self.clone().show(line.clone(), duplicate, entry, durable, permit)))
    }

    /// Waits until nothing is on its way to the disk. Nothing new gets there meanwhile.
    pub(crate) async fn drain(&self) {
        let all = u32::try_from(self.options.in_flight_max).unwrap_or(u32::MAX);
        // An error says that it is closed already.
        if let Ok(all) = self.in_flight.acquire_many(all).await {
            self.close();
            drop(all);
        }
    }

    /// Accepts nothing more.
    pub(crate) fn close(&self) {
        self.in_flight.close();
    }

    /// Makes an entry visible once it is durable. Its own task: a client that hangs up does not stop it.
    async fn show(
        self: Arc<Self>,
        line: Arc<Line>,
        duplicate: Option<Id>,
        entry: Arc<Entry>,
        durable: Shared<Appended>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Arc<Entry>, Error> {
        if let Err(why) = durable.await {
            // The line in memory is ahead of the disk now. Only a restart brings them together again.
            if !self.poisoned.swap(true, Ordering::AcqRel) {
                error!(error = %unit::Error::internal(&why), "could not write assignments; nothing more is scheduled");
            }
            return Err(Error::Poisoned);
        }
        let place = (entry.process(), entry.slot());
        lock(&self.recent).put(place, entry.clone(), entry.size(), |_| true);
        self.events.tell(Some(entry.process()), || told(&entry));
        line.remove(entry.scheduled.message_id(), duplicate);
        self.settle.notify_one();
        drop(permit);
        Ok(entry)
    }

    fn line(&self, process: ProcessId) -> Arc<Line> {
        let mut lines = lock(&self.lines);
        if let Some(line) = lines.get(&process) {
            return line.clone();
        }
        let line = Arc::new(Line::default());
        // Whoever uses a line has it, what is in flight included, so one that nobody has is the same when it is
        // read again from the store.
        lines.put(process, line.clone(), 1, |line| Arc::strong_count(line) == 1);
        line
    }

    /// Reads the end of a schedule from the store, the first time. Nothing can be in flight then.
    fn load(&self, process: ProcessId, end: &mut End) -> Result<(), Error> {
        if !end.loaded {
            let newest = self.newest(process)?;
            end.head = newest.as_ref().map(|entry| Head::from(&*entry.scheduled.assignment));
            end.epoch = self.epoch_after(process, newest.map(|entry| entry.scheduled.assignment.epoch))?;
            end.timers = self.kept(process)?;
            end.pass();
            end.loaded = true;
        }
        Ok(())
    }

    /// What keeps a process from getting slots. Looked up again only if something changed.
    fn hold_at(&self, process: ProcessId, end: &mut End) -> Result<Option<Hold>, Error> {
        let version = self.holds.version();
        match end.hold {
            Some((of, hold)) if of == version => Ok(hold),
            _ => {
                let hold = self.hold_of(process)?;
                end.hold = Some((version, hold));
                Ok(hold)
            }
        }
    }

    /// The end of a schedule, with nothing of it in flight: whoever has it may change what the schedule is.
    pub(crate) async fn end_of(&self, process: ProcessId) -> Result<EndGuard, Error> {
        let line = self.line(process);
        let turn = Turn::take(&line, process, self.options.waiting_max)?;
        let mut end = line.end.clone().lock_owned().await;
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned);
        }
        let in_flight: Vec<_> =
            lock(&line.in_flight).by_message.values().map(|it| it.durable.clone()).collect();
        for durable in in_flight {
            durable.await.map_err(|_| Error::Poisoned)?;
        }
        self.load(process, &mut end)?;
        drop(turn);
        Ok(EndGuard { end, line })
    }

    /// The same of what was shown.
    pub(crate) fn duplicate_seen(&self, seen: &Seen, end: &mut EndGuard) -> Result<Option<Id>, Error> {
        let process = seen.assignment.process;
        let EndGuard { end, line } = end;
        if seen.assignment.message.is_none() {
            end.authorities = seen.message.as_ref().map(|boot| authorities(boot));
            return Ok(None);
        }
        self.duplicate_of(process, seen.item.as_deref(), line, end)
    }

    /// The timers of a process after what was shown: a messenger was told of its ticks when they were given.
    pub(crate) fn timers_seen(
        &self,
        item: Option<&Item>,
        end: &mut EndGuard,
        entry: &Entry,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let EndGuard { end, line } = end;
        if let Some(timers) = self.timers_after(line, end, item, entry, batch)? {
            batch.delete(UNTOLD, pair(entry.process().0, entry.slot().0));
            end.timers = Some(timers);
        }
        Ok(())
    }

    /// What a pushed message has in common with itself when another messenger pushes it.
    fn duplicate_of(
        &self,
        process: ProcessId,
        item: Option<&Item>,
        line: &Line,
        end: &mut End,
    ) -> Result<Option<Id>, Error> {
        let Some(item) = item.filter(|item| message::Message(item).is_pushed()) else {
            return Ok(None);
        };
        if item.id == process.into() {
            return Ok(None);
        }
        if end.authorities.is_none() {
            let boot = self.boot_of(line, process)?;
            end.authorities = Some(boot.message.as_ref().map_or_else(Vec::new, |boot| authorities(boot)));
        }
        let authorities = end.authorities.as_deref().unwrap_or_default();
        Ok(Some(message::duplicate_key(item, authorities)))
    }

    /// Slot 0. It may itself be on its way to the disk: then the line has it.
    fn boot_of(&self, line: &Line, process: ProcessId) -> Result<Arc<Entry>, Error> {
        match line.find(process.into(), None) {
            Some(boot) => Ok(boot.entry),
            None => self.entry(process, protocol::Slot(0))?.ok_or(Error::UnknownProcess { process }),
        }
    }

    /// The slot that the message, or a duplicate of it, has already and durably.
    fn find_first(&self, wish: &Wish, duplicate: Option<Id>) -> Result<Option<Arc<Entry>>, Error> {
        let mut place = self.store.get(MESSAGE, &message_key(wish.message, wish.process))?;
        if let (None, Some(duplicate)) = (&place, duplicate) {
            place = self.store.get(DUPLICATE, &duplicate_key(wish.process, duplicate))?;
        }
        match place.as_deref().and_then(read_slot) {
            Some(slot) => self.entry(wish.process, slot),
            None => Ok(None),
        }
    }

    async fn sign(&self, draft: Draft) -> Result<DataItem, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::Sign { why: error.to_string() };
        if self.wallet.signature_type() != SignatureType::Arweave {
            return DataItem::sign(&self.wallet, draft).map_err(|error| failed(&error));
        }
        // RSA takes milliseconds: not on a thread that serves others, and not on more threads than cores.
        let _signer = self.signers.acquire().await.map_err(|_| Error::Stopping)?;
        let wallet = self.wallet.clone();
        let signed = unit::blocking(move || DataItem::sign(&wallet, draft)).await;
        signed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

impl Line {
    /// What is in flight under that message id, or for the same pushed message.
    fn find(&self, message: Id, duplicate: Option<Id>) -> Option<InFlight> {
        let in_flight = lock(&self.in_flight);
        let first = duplicate.and_then(|duplicate| in_flight.by_duplicate.get(&duplicate));
        in_flight.by_message.get(first.unwrap_or(&message)).cloned()
    }

    fn put(&self, message: Id, duplicate: Option<Id>, entry: InFlight) {
        let mut in_flight = lock(&self.in_flight);
        in_flight.by_message.insert(message, entry);
        if let Some(duplicate) = duplicate {
            in_flight.by_duplicate.insert(duplicate, message);
        }
    }

    fn remove(&self, message: Id, duplicate: Option<Id>) {
        let mut in_flight = lock(&self.in_flight);
        in_flight.by_message.remove(&message);
        if let Some(duplicate) = duplicate {
            in_flight.by_duplicate.remove(&duplicate);
        }
    }
}

/// The end of a schedule, held.
pub(crate) struct EndGuard {
    end: OwnedMutexGuard<End>,
    /// As long as somebody has it, it is the only one of its process.
    line: Arc<Line>,
}

impl EndGuard {
    pub(crate) fn head(&self) -> Option<Head> {
        self.end.head
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.end.epoch
    }

    /// The schedule has one more entry.
    pub(crate) fn follow(&mut self, assignment: &Assignment) {
        self.end.head = Some(Head::from(assignment));
        self.end.epoch = self.end.epoch.max(assignment.epoch);
        self.end.pass();
    }

    /// What is known of the end is read again.
    pub(crate) fn forget(&mut self) {
        self.end.loaded = false;
    }
}

/// A place among those who wait for a line. Given back when dropped.
struct Turn<'a>(&'a AtomicUsize);

impl Turn<'_> {
    fn take(line: &Line, process: ProcessId, max: usize) -> Result<Turn<'_>, Error> {
        let waiting = line.waiting.fetch_add(1, Ordering::Relaxed);
        let turn = Turn(&line.waiting);
        if waiting >= max { Err(Error::Busy { process, waiting }) } else { Ok(turn) }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An entry as listeners hear of it.
fn told(entry: &Entry) -> Happened {
    let item = entry.message.as_ref();
    let sender = |item: &DataItem| item.tags.first(tag::FROM_PROCESS).and_then(|sender| sender.parse().ok());
    Happened::Assigned {
        slot: entry.slot(),
        message: entry.scheduled.message_id(),
        assignment: entry.scheduled.assignment.id(),
        from: item.map(|item| sender(item).unwrap_or(item.address().0)),
        action: item.and_then(|item| item.tags.first(tag::ACTION)).map(told_text),
    }
}

/// The wallets that a process believes when they speak for other processes: its `Authority` tags, each one address
/// or several with commas between.
fn authorities(process: &Item) -> Vec<Address> {
    let named = process.tags.all(tag::AUTHORITY).flat_map(|value| value.split(','));
    named.filter_map(|address| address.trim().parse().ok()).collect()
}

/// Nothing panics while it holds one of these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
