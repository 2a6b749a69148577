//! One process along its schedule.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use cu::cron::{Crons, Moment, Progress, Tick, Walk};
use cu::input::{self, Delivery};
use protocol::message::duplicate_key;
use protocol::{
    Address, Assignment, HashChain, Height, Id, Item, Message, Outcome, ProcessId, Slot, Timestamp, tag,
};
use runtime::{Environment, Input, Limits, Machine, Profile, Start};
use su::assign::{Head, assign};
use su::timers::{Due, Table, may_concern};
use unit::{BlockRef, Code, DryRun, Error, Result};

use crate::modules::Loaded;
use crate::{Probe, Probed, Signer};

/// What never changes of a process.
pub(crate) struct Facts {
    pub(crate) process: ProcessId,
    pub(crate) item: Arc<Item>,
    authorities: Vec<Address>,
    owner: String,
    crons: Crons,
    origin: Moment,
}

/// A process in memory, and how far it is.
pub(crate) struct Process {
    pub(crate) facts: Arc<Facts>,
    /// Of several forks until one of them goes on: that one then takes a fork of the machine.
    machine: Arc<Mutex<Box<dyn Machine>>>,
    head: Head,
    /// Time and height of the last evaluation.
    last: (Timestamp, Height),
    /// How far its crons are after the head.
    ticks: Option<Progress>,
    /// Its timers; none if its scheduler is another.
    timers: Option<Table>,
    /// What has a slot: ids, and what pushed messages have in common.
    seen: Arc<BTreeSet<Id>>,
}

/// What is evaluated with.
pub(crate) struct Bench<'a> {
    pub(crate) scheduler: &'a Signer,
    pub(crate) probe: Option<&'a Probe>,
    pub(crate) probed: &'a mut Vec<Probed>,
}

/// What came of an entry of the schedule.
pub(crate) struct Entered {
    pub(crate) slot: Slot,
    pub(crate) at: Timestamp,
    pub(crate) did: Did,
}

/// None for a repeat.
pub(crate) type Done = Option<Entered>;

/// What came of an evaluation, and where its gas went, if the modules' runtime looks at that.
pub(crate) struct Did {
    pub(crate) outcome: Outcome,
    pub(crate) profile: Option<Profile>,
}

impl Process {
    /// Gives a process its slot 0 and evaluates it.
    pub(crate) fn start(
        item: Arc<Item>,
        loaded: Loaded,
        now: Timestamp,
        height: Height,
        bench: &mut Bench<'_>,
    ) -> Result<(Process, Done)> {
        let process = ProcessId(item.id);
        let refused = |why: String| {
            Error::refused(format!("process {process} cannot be evaluated: {why}"))
                .with_code(Code::MODULE_UNSUPPORTED)
        };
        let read = protocol::Process::try_from(&*item).map_err(|why| refused(why.to_string()))?;
        let crons = Crons::parse(&item.tags).map_err(|why| refused(why.to_string()))?;
        let limits: Limits = cu::limits(process, &item.tags, &loaded.module.tags, &cu::Options::default())?;
        let environment: Arc<Environment> = Arc::new(input::environment(&item, &loaded.module));
        let machine = loaded
            .program
            .start(Start { environment, limits, memory: None, drive: None })
            .map_err(refusal)?;
        let plan = assign(process, None, item.id, Vec::new(), now, height);
        let signed = bench.scheduler.sign(plan.draft())?;
        let assignment = plan.signed((*signed).clone());
        let facts = Facts {
            process,
            authorities: read.authorities,
            owner: input::owner_text(&item.owner),
            crons,
            origin: Moment { timestamp: now.0, height: height.0 },
            item: item.clone(),
        };
        let mut this = Process {
            facts: Arc::new(facts),
            machine: Arc::new(Mutex::new(machine)),
            head: Head::from(&assignment),
            last: (now, height),
            ticks: None,
            timers: Table::begin(&item, bench.scheduler.address(), now),
            seen: Arc::new(BTreeSet::from([item.id])),
        };
        let done = this.entry(&item, &assignment, Delivery::Delivered, bench)?;
        Ok((this, Some(done)))
    }

    /// A copy that goes its own way. Copies no memory: whoever goes on first takes a fork.
    pub(crate) fn fork(&self) -> Process {
        Process {
            facts: self.facts.clone(),
            machine: self.machine.clone(),
            head: self.head,
            last: self.last,
            ticks: self.ticks,
            timers: self.timers.clone(),
            seen: self.seen.clone(),
        }
    }

    /// The timestamp that the next message gets.
    fn next_timestamp(&self, now: Timestamp) -> Timestamp {
        // After a tick of this very millisecond, the schedule would contradict it.
        let floor = self.ticks.map_or(0, |ticks| ticks.step + 1);
        Timestamp(now.0.max(self.head.timestamp.0 + 1).max(floor))
    }

    /// Gives a message its slot and evaluates it. None for what has one already.
    pub(crate) fn take(
        &mut self,
        item: &Arc<Item>,
        delivery: Delivery,
        exclude: Vec<String>,
        now: Timestamp,
        height: Height,
        bench: &mut Bench<'_>,
    ) -> Result<Done> {
        let is_pushed = delivery == Delivery::Delivered && Message(item).is_pushed();
        let key = is_pushed.then(|| duplicate_key(item, &self.facts.authorities));
        if self.seen.contains(&item.id) || key.is_some_and(|key| self.seen.contains(&key)) {
            return Ok(None);
        }
        let seen = Arc::make_mut(&mut self.seen);
        seen.extend([item.id].into_iter().chain(key));
        let now = self.next_timestamp(now);
        let plan = assign(self.facts.process, Some(&self.head), item.id, exclude, now, height);
        let signed = bench.scheduler.sign(plan.draft())?;
        let assignment = plan.signed((*signed).clone());
        self.head = Head::from(&assignment);
        self.ticks = None;
        if let Some(timers) = self.timers.as_mut().filter(|_| may_concern(item)) {
            timers.apply(item, assignment.slot, assignment.timestamp);
        }
        self.entry(item, &assignment, delivery, bench).map(Some)
    }

    fn entry(
        &mut self,
        item: &Item,
        assignment: &Assignment,
        delivery: Delivery,
        bench: &mut Bench<'_>,
    ) -> Result<Entered> {
        debug_assert!(assignment.slot.0 > 0 || assignment.hash_chain == HashChain::start(self.facts.process));
        self.last = (assignment.timestamp, assignment.block_height);
        let input = input::scheduled(item, assignment, delivery);
        let did = self.handle(&input, bench)?;
        Ok(Entered { slot: assignment.slot, at: assignment.timestamp, did })
    }

    /// When one of its timers is due next, or `now` if one is.
    pub(crate) fn next_timer(&self, now: Timestamp) -> Option<Timestamp> {
        self.timers.as_ref()?.next(now)
    }

    /// The tick that its scheduler owes it first.
    pub(crate) fn due(&self, now: Timestamp) -> Option<Due> {
        self.timers.as_ref()?.due(now)
    }

    /// When its next cron is due, before `until` (exclusive), and with the blocks up to then.
    pub(crate) fn next_tick(&self, blocks: &[BlockRef], until: u64) -> Option<Timestamp> {
        self.walk(blocks, until)?.next_step().map(|(progress, _)| Timestamp(progress.step))
    }

    /// Evaluates the ticks of the next second in which something ticks, before `until`.
    pub(crate) fn tick(
        &mut self,
        blocks: &[BlockRef],
        until: u64,
        bench: &mut Bench<'_>,
    ) -> Result<Vec<(Tick, Slot, Did)>> {
        let Some((progress, ticks)) = self.walk(blocks, until).and_then(|mut walk| walk.next_step()) else {
            return Ok(Vec::new());
        };
        self.ticks = Some(progress);
        let mut done = Vec::with_capacity(ticks.len());
        for tick in ticks {
            let input = input::cron(self.facts.process, &self.facts.owner, &tick);
            let did = self.handle(&input, bench)?;
            self.last = (tick.timestamp, tick.height);
            done.push((tick, self.head.slot, did));
        }
        Ok(done)
    }

    /// `blocks` are all there are, in order.
    fn walk<'a>(&'a self, blocks: &'a [BlockRef], until: u64) -> Option<Walk<'a>> {
        let facts = &*self.facts;
        if facts.crons.is_empty() {
            return None;
        }
        let left = Moment { timestamp: self.head.timestamp.0, height: self.head.block_height.0 };
        let above = blocks.partition_point(|block| block.height.0 <= left.height);
        let end = blocks.partition_point(|block| block.timestamp.0 < until).max(above);
        Walk::resume(&facts.crons, facts.origin, left, self.ticks, &blocks[above..end], until).ok()
    }

    /// What a message would do. Changes nothing.
    pub(crate) fn dry(&self, message: DryRun) -> Result<Outcome> {
        let (timestamp, height) = self.last;
        let input = input::dry_run(self.facts.process, message, timestamp.0, height.0);
        let mut fork = self.forked()?;
        fork.handle(&input).map(cu::settled).map_err(refusal)
    }

    /// The owner, as the process sees it.
    pub(crate) fn owner(&self) -> &str {
        self.facts.item.tags.first(tag::FROM_PROCESS).unwrap_or(&self.facts.owner)
    }

    pub(crate) fn slot(&self) -> Slot {
        self.head.slot
    }

    /// The whole memory, for whoever compares.
    pub(crate) fn memory(&self) -> Result<runtime::Memory> {
        self.forked()?.memory().map_err(refusal)
    }

    fn handle(&mut self, input: &Input, bench: &mut Bench<'_>) -> Result<Did> {
        let facts = self.facts.clone();
        let owner = self.owner().to_owned();
        let machine = self.own()?;
        if let Some(probe) = bench.probe {
            bench.probed.extend(probe.look(machine, facts.process, &owner, input));
        }
        let outcome = machine.handle(input).map(cu::settled).map_err(refusal)?;
        Ok(Did { outcome, profile: machine.take_profile() })
    }

    /// The machine, made this one's own.
    fn own(&mut self) -> Result<&mut Box<dyn Machine>> {
        if Arc::get_mut(&mut self.machine).is_none() {
            self.machine = Arc::new(Mutex::new(self.forked()?));
        }
        let own = Arc::get_mut(&mut self.machine).expect("nobody else has what was made just now");
        Ok(own.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    fn forked(&self) -> Result<Box<dyn Machine>> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner).fork().map_err(refusal)
    }
}

fn refusal(refusal: runtime::Refusal) -> Error {
    Error::refused(refusal.to_string()).with_code(Code::MODULE_UNSUPPORTED)
}
