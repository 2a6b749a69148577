//! Gives what this unit signed to whom it is for: processes by their scheduler, wallets by the weave.
//!
//! What one sender has for one receiver goes in a lane, one after the other. Lanes do not wait for one another.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::{DataItem, Id, ProcessId, Slot, tag};
use tokio::sync::{Semaphore, SemaphorePermit};
use unit::{Error, Happened, Kind, Result, Scheduled, told_text};

use crate::doubts::Asker;
use crate::parked::Group;
use crate::retry::{Verdict, verdict};
use crate::step::Step;
use crate::task::{Task, Work};
use crate::{Unit, internal, lock};

/// Sender and receiver.
pub(crate) type Lane = (Option<ProcessId>, ProcessId);

/// Tasks that wait for their delivery. As many as are loaded.
#[derive(Default)]
pub(crate) struct Deliveries(Mutex<BTreeMap<Lane, VecDeque<Task>>>);

impl Deliveries {
    /// Adds a task to its lane. True if the lane is new: it needs somebody to work it off.
    fn add(&self, task: Task) -> bool {
        let mut lanes = lock(&self.0);
        let lane = lanes.entry(lane_of(&task));
        let is_new = matches!(lane, std::collections::btree_map::Entry::Vacant(_));
        lane.or_default().push_back(task);
        is_new
    }

    /// Whether tasks of the same lane are under way.
    pub(crate) fn is_busy(&self, task: &Task) -> bool {
        lock(&self.0).contains_key(&lane_of(task))
    }

    /// The numbers of what waits in a lane, which is closed.
    fn close(&self, lane: Lane) -> Vec<u64> {
        let tasks = lock(&self.0).remove(&lane);
        tasks.into_iter().flatten().map(|task| task.number).collect()
    }

    /// The next task of a lane. None closes it.
    fn next(&self, lane: Lane) -> Option<Task> {
        let mut lanes = lock(&self.0);
        let next = lanes.get_mut(&lane).and_then(VecDeque::pop_front);
        if next.is_none() {
            lanes.remove(&lane);
        }
        next
    }
}

fn lane_of(task: &Task) -> Lane {
    (task.chain.sender, task.work.process())
}

/// Where a task went.
enum Delivered {
    /// It has a slot. The outcome is asked for by this id.
    Scheduled(Scheduled, Id),
    /// It is for a wallet: nothing follows.
    Uploaded,
}

impl Unit {
    /// Takes a task that is durable.
    pub(crate) fn route(self: &Arc<Self>, task: Task) {
        let lane = lane_of(&task);
        let is_new = self.unless_parked(Group::Lane(lane), task, |task| self.deliveries.add(task));
        if is_new == Some(true) {
            self.spawn(|unit| async move {
                while !unit.life.is_stopping()
                    && let Some(task) = unit.deliveries.next(lane)
                {
                    unit.deliver(task).await;
                }
            });
        }
    }

    /// Delivers a task, however often that must be tried; then its push begins.
    async fn deliver(self: &Arc<Self>, mut task: Task) {
        let (delivered, _under_way) = loop {
            let Some(permit) = self.permit(&self.delivery_permits).await else { return };
            let under_way = self.doubts.begin(task.work.process());
            let tried = self.try_deliver(&task).await;
            drop(permit);
            self.answered(&under_way, task.work.message(), Asker::Unit, tried.as_ref().err());
            match tried {
                Ok(delivered) => break (delivered, under_way),
                Err(error) => {
                    drop(under_way);
                    match self.failed(&mut task, &error) {
                        Verdict::Again(wait) if is_without_slot(&task, &error) => {
                            return self.deliver_alone(task, wait);
                        }
                        Verdict::Again(wait) if self.should_park() => return self.park_lane(&task, wait),
                        Verdict::Again(wait) if self.life.wait(wait).await => {}
                        Verdict::Again(_) => return,
                        // A crash came between this record and the slot: nobody was told that there is one.
                        Verdict::GiveUp if is_without_slot(&task, &error) => return self.withdraw(task),
                        Verdict::GiveUp => return self.give_up(task, &error),
                    }
                }
            }
        };
        task.item = None;
        for waited in self.queue.delivered(task.number) {
            self.route(waited);
        }
        match delivered {
            Delivered::Scheduled(scheduled, ask) => {
                // What a client sent had its slot before.
                if !matches!(task.work, Work::Push { .. }) {
                    self.tell_delivered(&task, Some(scheduled.assignment.slot));
                }
                self.push_soon(task, &scheduled, ask)
            }
            Delivered::Uploaded => {
                self.tell_delivered(&task, None);
                let mut step = Step::at(self.now());
                step.finish(&task);
                self.queue.commit(step);
            }
        }
    }

    /// Looks again later whether a message has its slot, and lets what is behind it go on: a slot that it does not have
    /// yet comes after all that there are.
    fn deliver_alone(self: &Arc<Self>, task: Task, wait: Duration) {
        self.spawn(|unit| async move {
            if unit.life.wait(wait).await {
                unit.deliver(task).await;
            }
        });
    }

    /// Has a task wait on the disk, and what is behind it.
    fn park_lane(self: &Arc<Self>, task: &Task, wait: Duration) {
        let lane = lane_of(task);
        self.park(Group::Lane(lane), &[task.number], wait);
        let behind = self.deliveries.close(lane);
        self.park(Group::Lane(lane), &behind, wait);
    }

    fn tell_delivered(&self, task: &Task, slot: Option<Slot>) {
        let message = task.work.message();
        self.ports.events.tell(Some(task.work.process()), || Happened::Delivered { message, slot });
    }

    async fn try_deliver(&self, task: &Task) -> Result<Delivered> {
        let scheduler = &self.ports.scheduler;
        match &task.work {
            Work::Send { target, .. } => {
                let item = self.item_of(task)?;
                match (self.schedule(&item).await, target) {
                    (Ok(scheduled), _) => {
                        let message = scheduled.message_id();
                        let is_spawn = target.is_none() && item.tags.first(tag::CRON_INTERVAL).is_some();
                        if let (true, Some(spawner)) = (is_spawn, task.chain.sender) {
                            self.monitor_child(message.into(), spawner).await?;
                        }
                        Ok(Delivered::Scheduled(scheduled.entry, message))
                    }
                    (Err(error), Some(target)) if matches!(error.kind, Kind::NotFound | Kind::Invalid) => {
                        self.deliver_to_wallet(item, *target, error).await
                    }
                    (Err(error), _) => Err(error),
                }
            }
            Work::Assign(request) => {
                let scheduled = scheduler.assign(request.clone()).await?;
                let id = scheduled.assignment.id();
                Ok(Delivered::Scheduled(scheduled.entry, id))
            }
            Work::Push { process, message, .. } => {
                let scheduled = self.find(*process, *message).await?;
                Ok(Delivered::Scheduled(scheduled, *message))
            }
        }
    }

    /// What is no process is a wallet: processes write to wallets nobody has seen yet. That is asked each time; a
    /// process that nobody knew a moment ago may be there now.
    async fn deliver_to_wallet(&self, item: DataItem, target: Id, error: Error) -> Result<Delivered> {
        if !self.is_unknown_process(target.into()).await? {
            return Err(error);
        }
        match self.ports.weave.get(target).await {
            Ok(found) if found.item.kind() == Some("Process") => {
                return Err(Error::not_found(format!(
                    "process {target} has no scheduler that is known here"
                )));
            }
            Ok(_) => {}
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.ports.weave.upload(item).await?;
        Ok(Delivered::Uploaded)
    }

    fn item_of(&self, task: &Task) -> Result<DataItem> {
        if let Some(item) = &task.item {
            return Ok(item.clone());
        }
        let bytes = self.queue.item(task).map_err(internal)?;
        let bytes = bytes.ok_or_else(|| Error::refused("its bytes are not on the disk any more"))?;
        DataItem::parse(bytes).map_err(|error| Error::refused(error.to_string()))
    }

    /// Room to do one more thing at the same time; none any more if the unit stops.
    pub(crate) async fn permit<'a>(&self, permits: &'a Semaphore) -> Option<SemaphorePermit<'a>> {
        tokio::select! {
            biased;
            () = self.life.stopping() => None,
            permit = permits.acquire() => permit.ok(),
        }
    }

    /// Writes down that a task failed once more. Says what to do about it.
    pub(crate) fn failed(&self, task: &mut Task, error: &Error) -> Verdict {
        task.failures = task.failures.saturating_add(1);
        task.not_found = task.not_found.saturating_add(u32::from(error.kind == Kind::NotFound));
        let verdict = verdict(error, task, &self.options);
        if let Verdict::Again(wait) = verdict {
            let message = task.work.message();
            tracing::debug!(%message, failures = task.failures, ?wait, %error, "will try again");
            self.queue.is_failing(task.number, true);
            let mut step = Step::at(self.now());
            step.fail(task, &error.to_string());
            self.queue.commit(step);
        }
        verdict
    }

    /// Ends a task that cannot be carried out, and those that waited for it.
    pub(crate) fn give_up(&self, task: Task, error: &Error) {
        let mut step = Step::at(self.now());
        let why = error.to_string();
        tracing::warn!(message = %task.work.message(), why, "given up");
        self.tell_failed(&task, &why);
        step.bury(&task, self.queue.item(&task).ok().flatten(), &why);
        for waited in self.queue.delivered(task.number) {
            let why = format!("what it waited for was given up: {error}");
            self.tell_failed(&waited, &why);
            step.bury(&waited, self.queue.item(&waited).ok().flatten(), &why);
        }
        self.queue.commit(step);
    }

    fn tell_failed(&self, task: &Task, why: &str) {
        let (message, process) = (task.work.message(), task.work.process());
        self.ports.events.tell(Some(process), || Happened::Failed { message, why: told_text(why) });
    }

    /// Ends a task as if it had never been promised, and those that waited for it.
    fn withdraw(&self, task: Task) {
        let mut step = Step::at(self.now());
        step.withdraw(&task);
        self.queue.delivered(task.number).iter().for_each(|waited| step.withdraw(waited));
        self.queue.commit(step);
    }
}

fn is_without_slot(task: &Task, error: &Error) -> bool {
    matches!(task.work, Work::Push { .. }) && error.kind == Kind::NotFound
}
