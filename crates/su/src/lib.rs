//! The scheduler unit: gives every message of a process its slot, and settles it on the weave.
//!
//! The walk of a message: [`receive`] says what it is, [`ledger`] has it wait for its turn in its process's line,
//! [`assign`] decides what its assignment says, the ledger signs it, writes it down and shows it, [`settle`] carries
//! both to the weave. [`read`] is everybody's view of what is durable.
//!
//! What it promises: no assignment is seen before it is durable, so no two visible ones share a slot. Slots have no
//! gaps, timestamps strictly increase, each hash chain covers all before it. The same item has one slot in a process,
//! whoever sends it, however often, before and after a crash; so has a pushed message that several messengers push.
//!
//! A scheduler that may have forgotten what it signed holds ([`held`]): it schedules nothing until its operator says so,
//! reads what the weave has ([`restore`]), and adopts what it is shown ([`adopt`]).
//!
//! It implements the scheduler of `ao.TN.1` with AOP-6: the process itself has slot 0.
//!
//! # Deviations from the reference scheduler
//!
//! - What is sent again is answered with its first assignment, not refused; a process that is sent again does not
//!   use up a slot.
//! - A process is accepted only by the scheduler that it names.
//! - A message is found only in the schedule of the process that was asked for.
//! - A fresh process has a latest entry: its slot 0.
//! - Base-layer assignments and `Exclude` work.
//! - An assignment's anchor is its hash chain rather than random bytes.

pub mod assign;
mod entry;
mod error;
mod height;
mod ledger;
mod location;
mod lru;
mod options;
mod read;
mod receive;
mod settle;
mod confirm;
mod held;
mod adopt;
mod restore;
mod recovery;
mod ticks;
pub mod timers;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use protocol::{Address, DataItem, Id, Item, ProcessId, tag};
use store::Store;
use tokio::task::JoinSet;
use unit::{
    Adopted, AssignRequest, Clock, Events, HeldQuery, Novelty, Page, Placed, ProcessRecord, ProcessTimers,
    Query, RecoveryState, Scheduled, Scheduler, SlotRange, TimersQuery, Tip, Weave,
};

use crate::confirm::Confirmer;
use crate::entry::Entry;
use crate::height::{Heights, ask};
use crate::held::Holds;
use crate::ledger::{Ledger, Tools, Wish, lock};
use crate::location::Announcer;
pub use crate::receive::{Admitted, admit};
use crate::restore::Restorer;
use crate::settle::Settler;

pub use error::Error;
pub use options::{Ack, Options};
pub use ticks::Ticks;

/// What a scheduler unit needs from outside.
pub struct Ports {
    /// Keeps the schedules.
    pub store: Arc<dyn Store>,
    /// Where entries are settled, and what can be assigned is found.
    pub weave: Arc<dyn Weave>,
    /// Tells the time of assignments.
    pub clock: Arc<dyn Clock>,
    /// Hears of slots.
    pub events: Arc<Events>,
    /// Signs assignments. Processes name its address as their `Scheduler`.
    pub wallet: protocol::Wallet,
}

/// A scheduler of this node.
///
/// Dropped without [`stop`](SchedulerUnit::stop) it is as if it had crashed: nothing that was shown is lost.
pub struct SchedulerUnit {
    ledger: Arc<Ledger>,
    weave: Arc<dyn Weave>,
    /// Settlement and the weave's height. They end with the unit.
    tasks: Mutex<JoinSet<()>>,
}

impl SchedulerUnit {
    /// Opens the schedules that the store has, and goes on with their settlement.
    pub async fn open(ports: Ports, options: Options) -> Result<Arc<SchedulerUnit>, Error> {
        let Ports { store, weave, clock, events, wallet } = ports;
        let heights = Arc::new(Heights::new(weave.clone(), options.weave_timeout_ms));
        let interval = Duration::from_millis(options.height_interval_ms.max(1));
        let (ages, unconfirmed) = (settle::waiting(&*store)?, confirm::waiting(&*store)?);
        let holds = Holds::open(&*store)?;
        let tools =
            Tools { store, wallet, clock, events, heights: heights.clone(), ages, unconfirmed, holds };
        let ledger = Arc::new(Ledger::new(tools, options));
        let mut tasks = JoinSet::new();
        tasks.spawn(heights.run(interval));
        tasks.spawn(ledger.clone().tick());
        tasks.spawn(Settler { ledger: ledger.clone(), weave: weave.clone() }.run());
        tasks.spawn(Restorer { ledger: ledger.clone(), weave: weave.clone() }.run());
        if unconfirmed > 0 || ledger.options.settle_depth() > 0 {
            tasks.spawn(Confirmer { ledger: ledger.clone(), weave: weave.clone() }.run());
        }
        Ok(Arc::new(SchedulerUnit { ledger, weave, tasks: Mutex::new(tasks) }))
    }

    /// Says on the weave that this scheduler is at `url`, unless the newest word there says so already. True if it
    /// was said anew.
    pub async fn announce(&self, url: &str, ttl: Duration) -> Result<bool, Error> {
        self.announcer(url, ttl).once().await
    }

    /// The same, but a weave that cannot be reached is no failure: it is told as soon as it can be, while this unit
    /// runs. Whoever writes to a process that it has gets slots meanwhile.
    pub async fn announce_in_time(&self, url: &str, ttl: Duration) -> Result<(), Error> {
        let announcer = self.announcer(url, ttl);
        let Err(why) = announcer.once().await else { return Ok(()) };
        let error = unit::Error::from(why.clone());
        if !error.kind.is_transient() {
            return Err(why);
        }
        tracing::warn!(%error, url, "cannot say on the weave where this scheduler is, will try again");
        lock(&self.tasks).spawn(announcer.run());
        Ok(())
    }

    fn announcer(&self, url: &str, ttl: Duration) -> Announcer {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        Announcer { ledger: self.ledger.clone(), weave: self.weave.clone(), url: url.to_owned(), ttl_ms }
    }

    /// Asks the weave for its height now: assignments from here on say it.
    pub async fn refresh_height(&self) -> Result<(), Error> {
        self.ledger.heights.refresh().await.map(drop)
    }

    /// How many entries are durable here and not yet on the weave.
    pub fn unsettled(&self) -> u64 {
        *self.ledger.unsettled.borrow()
    }

    /// How many entries the weave has taken, and does not show deep enough yet.
    pub fn unconfirmed(&self) -> u64 {
        self.ledger.unconfirmed.load(Ordering::Acquire)
    }

    /// Milliseconds for which the entry that waits longest for the weave has waited, to the second; None if none
    /// waits.
    pub fn settlement_age_ms(&self) -> Option<u64> {
        let oldest = ledger::lock(&self.ledger.ages).oldest()?;
        Some(self.ledger.clock.now().0.saturating_sub(oldest.0))
    }

    /// Waits until everything that is scheduled is on the weave.
    pub async fn settled(&self) {
        let mut unsettled = self.ledger.unsettled.subscribe();
        unsettled
            .wait_for(|waiting| *waiting == 0)
            .await
            .expect("the ledger has the sender as long as we have it");
    }

    /// Accepts nothing more, and waits, within its bound, until what is under way is durable. What is not on the
    /// weave by then goes there after the next start.
    pub async fn stop(&self) {
        let bound = Duration::from_millis(self.ledger.options.stop_ms);
        if tokio::time::timeout(bound, self.ledger.drain()).await.is_err() {
            tracing::warn!(?bound, "assignments are still on their way to the disk");
        }
        self.ledger.close();
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
    }

    /// Bytes are hashed in place up to here, on other threads beyond.
    const VERIFY_IN_PLACE: usize = 256 << 10;

    async fn verify(&self, item: &DataItem) -> Result<(), Error> {
        if item.bytes().len() <= Self::VERIFY_IN_PLACE {
            return Ok(item.verify()?);
        }
        let item = item.clone();
        let verified = unit::blocking(move || item.verify()).await;
        Ok(verified.map_err(|_| Error::Stopping)??)
    }

    async fn schedule_item(&self, item: DataItem) -> Result<(Arc<Entry>, Novelty), Error> {
        receive::check_size(&item, self.ledger.options.item_bytes_max)?;
        self.verify(&item).await?;
        let process = match receive::admit(&item, self.ledger.address, &self.ledger.options.stand_ins)? {
            Admitted::Message { process } => process,
            Admitted::Process { process, on_boot } => {
                // What was accepted once is not judged again: what it boots from may be gone by now.
                if let Some(first) = self.ledger.find_in(process, item.id)? {
                    return Ok((first, Novelty::Repeat));
                }
                if let Some(on_boot) = on_boot {
                    self.check_on_boot(process, on_boot).await?;
                }
                process
            }
        };
        let message = item.id;
        let read = Some(item.shared());
        let wish = Wish { process, message, delivered: Some(item), item: read, exclude: Vec::new() };
        self.place(wish).await
    }

    /// Gives a wish its slot, once it is known whether there were slots before.
    async fn place(&self, wish: Wish) -> Result<(Arc<Entry>, Novelty), Error> {
        self.ledger.begin(&*self.weave).await?;
        match self.ledger.place(wish).await {
            Err(error) => Err(self.explain(error).await),
            placed => placed,
        }
    }

    async fn check_on_boot(&self, process: ProcessId, value: String) -> Result<(), Error> {
        let Ok(id) = value.parse::<Id>() else { return Err(Error::OnBoot { process, value }) };
        if self.ledger.find_delivered(id)?.is_some() {
            return Ok(());
        }
        match self.on_weave(id).await? {
            Some(_) => Ok(()),
            None => Err(Error::OnBoot { process, value }),
        }
    }

    async fn assign_existing(&self, request: AssignRequest) -> Result<(Arc<Entry>, Novelty), Error> {
        let AssignRequest { process, message, base_layer, exclude } = request;
        receive::check_exclude(message, &exclude, self.ledger.options.exclude_max)?;
        let boot = match self.ledger.boot(process) {
            Err(error) => return Err(self.explain(error).await),
            Ok(boot) => boot,
        };
        if let Some(first) = self.ledger.find_in(process, message)? {
            return Ok((first, Novelty::Repeat));
        }
        let item = if base_layer {
            self.check_base_layer(process, &boot, message).await?;
            // Nothing on the base layer was pushed, so it needs no looking at.
            None
        } else if let Some(entry) = self.ledger.find_delivered(message)? {
            entry.message.as_ref().map(DataItem::shared)
        } else {
            let found = self.on_weave(message).await?;
            Some(found.ok_or(Error::NothingToAssign { id: message, process })?)
        };
        self.place(Wish { process, message, delivered: None, item, exclude }).await
    }

    /// Waits for the weave, if an acknowledgement is to mean that.
    async fn acknowledge(&self, entry: &Entry) -> Result<(), Error> {
        let options = &self.ledger.options;
        if options.ack == Ack::Durable {
            return Ok(());
        }
        let taken = async {
            // Settlement does the same in its own time; twice is once.
            for item in entry.message.iter().chain([&entry.assignment]) {
                self.weave.upload(item.clone()).await?;
            }
            for item in entry.message.iter().chain([&entry.assignment]) {
                self.weave.taken(item.id).await?;
            }
            Ok(())
        };
        let late = |why: Option<unit::Error>| Error::NotTaken {
            id: entry.scheduled.message_id(),
            process: entry.process(),
            slot: entry.slot(),
            why: why
                .map_or_else(|| format!("it did not within {} ms", options.ack_timeout_ms), |why| why.what),
        };
        match tokio::time::timeout(Duration::from_millis(options.ack_timeout_ms), taken).await {
            Ok(taken) => taken.map_err(|why| late(Some(why))),
            Err(_) => Err(late(None)),
        }
    }

    /// An item or transaction as the weave has it, if it has it.
    async fn on_weave(&self, id: Id) -> Result<Option<Arc<Item>>, Error> {
        match ask(self.ledger.options.weave_timeout_ms, self.weave.get(id)).await {
            Ok(found) => Ok(Some(found.item)),
            Err(Error::Weave(error)) if error.kind == unit::Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A base-layer transaction is assigned only when it is so deep that it will stay.
    async fn check_base_layer(&self, process: ProcessId, boot: &Entry, id: Id) -> Result<(), Error> {
        let options = &self.ledger.options;
        let query = Query { ids: vec![id], limit: 1, ..Query::default() };
        let found = ask(options.weave_timeout_ms, self.weave.query(query)).await?;
        let found = found.items.first().ok_or(Error::NothingToAssign { id, process })?;
        if !found.base_layer {
            return Err(Error::NotBaseLayer { id, process });
        }
        let asked_for =
            boot.message.as_ref().and_then(|item| item.tags.first(tag::SETTLEMENT_DEPTH)?.parse().ok());
        let needed = asked_for.unwrap_or(options.settlement_depth);
        let deep = ask(options.weave_timeout_ms, self.weave.confirmations(id)).await?;
        match deep.unwrap_or(0) {
            confirmations if confirmations < needed => {
                Err(Error::NotSettled { id, process, confirmations, needed })
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Scheduler for SchedulerUnit {
    async fn schedule(&self, item: DataItem) -> unit::Result<Placed> {
        let (entry, novelty) = self.schedule_item(item).await?;
        self.acknowledge(&entry).await?;
        Ok(Placed { entry: entry.scheduled.clone(), novelty })
    }

    async fn assign(&self, request: AssignRequest) -> unit::Result<Placed> {
        let (entry, novelty) = self.assign_existing(request).await?;
        self.acknowledge(&entry).await?;
        Ok(Placed { entry: entry.scheduled.clone(), novelty })
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> unit::Result<Scheduled> {
        let found = match process {
            Some(process) => self.ledger.find_in(process, id)?.ok_or(Error::NotScheduled { id, process }),
            None => self.ledger.find_anywhere(id)?.ok_or(Error::NotScheduledAnywhere { id }),
        };
        Ok(found?.scheduled.clone())
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> unit::Result<Page<Scheduled>> {
        Ok(self.ledger.page(process, range, limit).await?)
    }

    async fn latest(&self, process: ProcessId) -> unit::Result<Scheduled> {
        let newest = self.ledger.newest(process)?.ok_or(Error::UnknownProcess { process })?;
        Ok(newest.scheduled.clone())
    }

    async fn process(&self, process: ProcessId) -> unit::Result<ProcessRecord> {
        let Scheduled { message, assignment } = self.ledger.boot(process)?.scheduled.clone();
        let item = message.ok_or(Error::UnknownProcess { process })?;
        Ok(ProcessRecord { item, timestamp: assignment.timestamp, block_height: assignment.block_height })
    }

    async fn timers(&self, query: TimersQuery) -> unit::Result<Page<ProcessTimers>> {
        Ok(SchedulerUnit::timers(self, &query)?)
    }

    async fn standing_of(&self, process: ProcessId) -> unit::Result<RecoveryState> {
        let query = HeldQuery { only: Some(process), after: None, limit: 1 };
        unit::Recovery::recovery(self, query).await
    }

    async fn show(&self, _process: ProcessId, shown: Vec<DataItem>) -> unit::Result<Adopted> {
        unit::Recovery::adopt(self, shown).await
    }

    async fn now(&self) -> unit::Result<Tip> {
        Ok(Tip { timestamp: self.ledger.clock.now(), height: self.ledger.heights.get().await? })
    }

    async fn address(&self) -> unit::Result<Address> {
        Ok(self.ledger.address)
    }
}
