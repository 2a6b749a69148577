//! Rules that are broken on purpose, to see that the simulation notices: each is a port that does not keep its promise.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{DataItem, Draft, Outcome, tag};
use runtime::{Input, Machine, Memory, Program, Refusal, Runtime, Start};
use store::{Appended, Batch, Error, MemoryStore, Order, Space, Store};
use unit::{Placed, Result, Scheduler};

use crate::layer::{Layered, SchedulerLayer};
use crate::machine::SimRuntime;
use crate::network::{MESSENGERS, wallet};
use crate::world::Host;

/// A rule that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The scheduler shows assignments before they are durable.
    ShowBeforeDurable,
    /// The messenger answers before what it promises is durable.
    AnswerBeforeDurable,
    /// The scheduler forgets which messages have a slot.
    ForgetSlots,
    /// What is sent again is signed again.
    SignAgain,
    /// The messenger does not write down what it has to do.
    LoseTasks,
    /// The messenger does not write down what it signed.
    LoseItems,
    /// The messenger says that another process sent it.
    ForgeSender,
    /// The messenger does not keep the order of tags.
    SortTags,
    /// The scheduler believes the weave that it keeps what it took.
    BelieveTheWeave,
    /// A compute unit answers with a wrong outcome.
    WrongOutcome,
    /// A checkpoint does not have all of the memory.
    ForgetInCheckpoint,
    /// The scheduler forgets its timers when it crashes.
    ForgetTimers,
    /// The scheduler does not write down what a message changes of timers.
    ForgetChanges,
    /// The scheduler does not write down which ticks no messenger has yet.
    ForgetUntold,
}

impl Mutant {
    /// Those that only timers show, and some that they show as well.
    pub const OF_TIME: [Mutant; 6] = [
        Mutant::ForgetTimers,
        Mutant::ForgetChanges,
        Mutant::SortTags,
        Mutant::ForgetUntold,
        Mutant::LoseTasks,
        Mutant::SignAgain,
    ];

    /// All that messages show.
    pub const ALL: [Mutant; 10] = [
        Mutant::ShowBeforeDurable,
        Mutant::AnswerBeforeDurable,
        Mutant::ForgetSlots,
        Mutant::SignAgain,
        Mutant::LoseTasks,
        Mutant::LoseItems,
        Mutant::ForgeSender,
        Mutant::BelieveTheWeave,
        Mutant::WrongOutcome,
        Mutant::ForgetInCheckpoint,
    ];

    /// The store of a host, as this rule has it.
    pub fn store(self, host: Host, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let how = match (self, host) {
            (Mutant::ShowBeforeDurable, Host::Su) | (Mutant::AnswerBeforeDurable, Host::Mu0) => {
                Careless::Early
            }
            (Mutant::ForgetSlots, Host::Su) => Careless::Without("su.message"),
            (Mutant::ForgetTimers, Host::Su) => Careless::Without("su.timers"),
            (Mutant::ForgetChanges, Host::Su) => Careless::WithoutChanges,
            (Mutant::ForgetUntold, Host::Su) => Careless::Without("su.untold"),
            (Mutant::LoseTasks, Host::Mu0) => Careless::Without("mu.task"),
            (Mutant::LoseItems, Host::Mu0) => Careless::Without("mu.item"),
            _ => return store,
        };
        Arc::new(CarelessStore { store, how })
    }

    /// The scheduler that a host asks, as this rule has it.
    pub fn scheduler(self, host: Host, scheduler: Arc<dyn Scheduler>) -> Arc<dyn Scheduler> {
        match (self, host) {
            (Mutant::SignAgain | Mutant::ForgeSender | Mutant::SortTags, Host::Mu0) => {
                Arc::new(Layered(Rewriting { scheduler, mutant: self, sent: AtomicU64::new(0) }))
            }
            _ => scheduler,
        }
    }

    /// The runtime of a compute unit, as this rule has it.
    pub fn runtime(self, host: Host) -> Option<Arc<dyn Runtime>> {
        match (self, host) {
            (Mutant::WrongOutcome, Host::Cu1) | (Mutant::ForgetInCheckpoint, Host::Cu0 | Host::Cu1) => {
                Some(Arc::new(LyingRuntime(self)))
            }
            _ => None,
        }
    }
}

enum Careless {
    Early,
    Without(&'static str),
    /// Timers of a process that has some are written down with its ticks alone.
    WithoutChanges,
}

struct CarelessStore {
    store: Arc<dyn Store>,
    how: Careless,
}

impl Store for CarelessStore {
    fn append(&self, mut batch: Batch) -> Appended {
        match self.how {
            Careless::Early => {
                let really = self.store.append(batch);
                drop(really);
                MemoryStore::new().append(Batch::new())
            }
            Careless::Without(name) => {
                batch.changes.retain(|(space, _, value)| space.0 != name || value.is_none());
                self.store.append(batch)
            }
            Careless::WithoutChanges => {
                let is_of_timers = |space: &Space| matches!(space.0, "su.timers" | "su.due");
                let is_tick = batch.changes.iter().any(|(space, _, _)| space.0 == "su.untold");
                let is_entry = batch.changes.iter().any(|(space, _, _)| !is_of_timers(space));
                let has_some = |(space, key, _): &(Space, Bytes, Option<Bytes>)| {
                    space.0 == "su.timers" && self.store.get(*space, key).is_ok_and(|row| row.is_some())
                };
                if is_entry && !is_tick && batch.changes.iter().any(has_some) {
                    batch.changes.retain(|(space, _, _)| !is_of_timers(space));
                }
                self.store.append(batch)
            }
        }
    }

    fn get(&self, space: Space, key: &[u8]) -> std::result::Result<Option<Bytes>, Error> {
        self.store.get(space, key)
    }

    fn scan(
        &self,
        space: Space,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        order: Order,
        limit: usize,
    ) -> std::result::Result<Vec<(Bytes, Bytes)>, Error> {
        self.store.scan(space, range, order, limit)
    }
}

/// Signs what the messenger unit sends once more, and otherwise.
struct Rewriting {
    scheduler: Arc<dyn Scheduler>,
    mutant: Mutant,
    sent: AtomicU64,
}

impl Rewriting {
    fn rewrite(&self, item: DataItem) -> DataItem {
        if item.address() != wallet(MESSENGERS[0]).address() || item.kind() != Some("Message") {
            return item;
        }
        let n = self.sent.fetch_add(1, Ordering::Relaxed);
        let mut tags = item.tags.clone();
        match self.mutant {
            Mutant::ForgeSender if n % 5 == 4 => {
                let target = item.target.map(|target| target.to_string()).unwrap_or_default();
                for each in tags.0.iter_mut().filter(|each| each.name == tag::FROM_PROCESS) {
                    each.value.clone_from(&target);
                }
            }
            Mutant::ForgeSender => return item,
            Mutant::SortTags => tags.0.sort_by(|one, other| one.name.cmp(&other.name)),
            _ => tags.push("Attempt", n),
        }
        let draft = Draft {
            target: item.target,
            anchor: item.anchor.as_ref().try_into().ok(),
            tags,
            data: item.data.clone(),
        };
        DataItem::sign(&wallet(MESSENGERS[0]), draft).unwrap_or(item)
    }
}

#[async_trait]
impl SchedulerLayer for Rewriting {
    fn inner(&self) -> &Arc<dyn Scheduler> {
        &self.scheduler
    }

    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        self.scheduler.schedule(self.rewrite(item)).await
    }
}

/// Machines that are right most of the time.
struct LyingRuntime(Mutant);

impl Runtime for LyingRuntime {
    fn runs(&self, format: &str) -> bool {
        SimRuntime.runs(format)
    }

    fn load(&self, module: &protocol::Module) -> std::result::Result<Arc<dyn Program>, Refusal> {
        Ok(Arc::new(LyingProgram(SimRuntime.load(module)?, self.0)))
    }
}

struct LyingProgram(Arc<dyn Program>, Mutant);

impl Program for LyingProgram {
    fn start(&self, start: Start) -> std::result::Result<Box<dyn Machine>, Refusal> {
        Ok(Box::new(Liar { machine: self.0.start(start)?, mutant: self.1, n: 0 }))
    }
}

struct Liar {
    machine: Box<dyn Machine>,
    mutant: Mutant,
    n: u64,
}

impl Machine for Liar {
    fn handle(&mut self, input: &Input) -> std::result::Result<Outcome, Refusal> {
        let mut outcome = self.machine.handle(input)?;
        self.n += 1;
        if self.mutant == Mutant::WrongOutcome && self.n.is_multiple_of(4) {
            outcome.gas += 1;
        }
        Ok(outcome)
    }

    fn fork(&mut self) -> std::result::Result<Box<dyn Machine>, Refusal> {
        self.machine.fork()
    }

    fn memory(&mut self) -> std::result::Result<Memory, Refusal> {
        let memory = self.machine.memory()?;
        if self.mutant != Mutant::ForgetInCheckpoint {
            return Ok(memory);
        }
        // As if nothing had been sent so far.
        let mut state: serde_json::Value = serde_json::from_slice(&memory.to_dense()).unwrap_or_default();
        state["history"] = "".into();
        Ok(Memory::from_dense(state.to_string().as_bytes()))
    }

    fn resident_bytes(&self) -> u64 {
        self.machine.resident_bytes()
    }
}
