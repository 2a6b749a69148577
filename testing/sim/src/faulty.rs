//! Links between hosts: each contract, as it is when whoever implements it is somewhere else.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use protocol::{Address, Attestation, DataItem, Digest, Height, Id, Outcome, ProcessId, Timestamp};
use unit::{
    AssignRequest, BlockRef, Compute, DryRun, Error, Evaluated, Evaluation, Found, History, Messenger,
    Monitored, MonitoredQuery, OutboxEntry, OutboxQuery, OutcomeQuery, Page, Placed, ProcessRecord, Query,
    Receipt, Result, Scheduled, Scheduler, SlotRange, StateAt, Tip, Trace, TraceQuery, Weave,
};

use crate::world::{Host, Life, World};

/// How long whoever calls waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a unit answers, while its host is up.
pub struct Door<T: ?Sized>(Mutex<Option<(Life, Arc<T>)>>);

impl<T: ?Sized> Door<T> {
    /// Nobody answers yet.
    pub fn new() -> Arc<Door<T>> {
        Arc::new(Door(Mutex::new(None)))
    }

    /// This one answers from now on, as long as it lives.
    pub fn open(&self, life: Life, unit: Arc<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((life, unit));
    }

    /// Whoever answers.
    pub fn unit(&self) -> Option<(Life, Arc<T>)> {
        let there = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        there.filter(|(life, _)| life.goes_on())
    }

    /// Nobody answers any more.
    pub fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// A contract that is implemented somewhere else.
pub struct Faulty<T: ?Sized> {
    /// Where everything happens.
    pub world: Arc<World>,
    /// Who calls.
    pub from: Host,
    /// The run of who calls: a crashed host calls nobody and hears nothing.
    pub life: Life,
    /// Who is called: one of these, by chance.
    pub to: Vec<(Host, Arc<Door<T>>)>,
}

impl<T: ?Sized + Send + Sync + 'static> Faulty<T> {
    /// One call, and what becomes of it.
    async fn carry<R: Send + 'static>(
        &self,
        what: &str,
        about: impl Display + Send + Sync,
        call: impl Fn(Arc<T>) -> BoxFuture<'static, Result<R>> + Send + Sync + 'static,
    ) -> Result<(Host, R)> {
        let world = &self.world;
        if world.strikes(world.faults.crash_permille) || world.meets_doom(self.from) {
            world.crash(self.from);
        }
        self.while_alive(async {}).await;
        let (to, door) = &self.to[world.below(self.to.len() as u64) as usize];
        let to = *to;
        let answer = self.while_alive(self.there_and_back(to, door, call)).await;
        let how = match &answer {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("{:?}", error.kind),
        };
        world.tell(self.from, to, what, &about, &how);
        answer.map(|answer| (to, answer))
    }

    /// Does that as long as who does it lives; after that, nothing, for ever.
    async fn while_alive<R>(&self, act: impl Future<Output = R>) -> R {
        tokio::select! {
            biased;
            () = self.life.over() => futures::future::pending().await,
            done = act => done,
        }
    }

    async fn there_and_back<R: Send + 'static>(
        &self,
        to: Host,
        door: &Door<T>,
        call: impl Fn(Arc<T>) -> BoxFuture<'static, Result<R>> + Send + Sync + 'static,
    ) -> Result<R> {
        let (world, from) = (&self.world, self.from);
        self.travel(to).await;
        if world.is_cut(from, to) || world.strikes(world.faults.lost_request_permille) {
            return silence().await;
        }
        let nobody = || Error::unavailable(format!("{to} cannot be reached"));
        let (life, unit) = door.unit().ok_or_else(nobody)?;
        if world.strikes(world.faults.twice_permille) {
            let again = call(Arc::clone(&unit));
            let (late, life) = (Duration::from_millis(world.below(1000)), life.clone());
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    () = life.over() => {}
                    () = async { tokio::time::sleep(late).await; drop(again.await) } => {}
                }
            });
        }
        // Whoever is called goes on also if nobody waits for the answer.
        let working = tokio::spawn(call(unit));
        let answer = tokio::select! {
            biased;
            () = life.over() => return Err(Error::unavailable(format!("{to} closed the connection"))),
            done = tokio::time::timeout(TIMEOUT, working) => done,
        };
        let Ok(answer) = answer else { return Err(Error::unavailable("no answer in time")) };
        let answer = answer.map_err(|panic| {
            world.violation(format!("{to} panicked: {panic}"));
            nobody()
        })?;
        if world.is_cut(to, from) || world.strikes(world.faults.lost_reply_permille) {
            return silence().await;
        }
        self.travel(to).await;
        answer
    }

    async fn travel(&self, to: Host) {
        let (world, faults) = (&self.world, &self.world.faults);
        let slow = if faults.slow == Some(to) || faults.slow == Some(self.from) { 10 } else { 1 };
        let most = if world.is_storm() { faults.delay_ms * slow } else { 0 };
        tokio::time::sleep(Duration::from_millis(1 + world.below(most))).await;
        if world.is_slow(to) || world.is_slow(self.from) {
            tokio::time::sleep(Duration::from_millis(500 + world.below(6000))).await;
        }
    }
}

async fn silence<R>() -> Result<R> {
    tokio::time::sleep(TIMEOUT).await;
    Err(Error::unavailable("no answer in time"))
}

/// A call of one method, whose arguments are cloned for each time that it arrives.
macro_rules! carry {
    ($self:ident, $about:expr, $method:ident($($argument:ident),*)) => {
        $self.carry(stringify!($method), $about, move |unit| {
            $(let $argument = $argument.clone();)*
            Box::pin(async move { unit.$method($($argument),*).await })
        }).await
    };
}

#[async_trait]
impl Scheduler for Faulty<dyn Scheduler> {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        let (_, placed) = carry!(self, item.id, schedule(item))?;
        self.world.saw_entry(&placed.entry);
        Ok(placed)
    }

    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        let (_, placed) = carry!(self, request.message, assign(request))?;
        self.world.saw_entry(&placed.entry);
        Ok(placed)
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        let (_, entry) = carry!(self, id, find(process, id))?;
        self.world.saw_entry(&entry);
        Ok(entry)
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        let (_, page) = carry!(self, process, schedule_page(process, range, limit))?;
        page.items.iter().for_each(|entry| self.world.saw_entry(entry));
        Ok(page)
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        let (_, entry) = carry!(self, process, latest(process))?;
        self.world.saw_entry(&entry);
        Ok(entry)
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        carry!(self, process, process(process)).map(|(_, record)| record)
    }

    async fn now(&self) -> Result<Tip> {
        carry!(self, "", now()).map(|(_, tip)| tip)
    }

    async fn address(&self) -> Result<Address> {
        carry!(self, "", address()).map(|(_, address)| address)
    }
}

#[async_trait]
impl Compute for Faulty<dyn Compute> {
    async fn result(&self, process: ProcessId, message: Id) -> Result<Arc<Outcome>> {
        let (by, outcome) = carry!(self, message, result(process, message))?;
        self.world.saw_outcome(by, process, message, &outcome);
        Ok(outcome)
    }

    async fn results(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        carry!(self, process, results(process, query)).map(|(_, page)| page)
    }

    async fn cron(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        carry!(self, process, cron(process, query)).map(|(_, page)| page)
    }

    async fn dry_run(&self, process: ProcessId, message: DryRun, at: Option<Id>) -> Result<Outcome> {
        carry!(self, process, dry_run(process, message, at)).map(|(_, outcome)| outcome)
    }

    async fn state(&self, process: ProcessId, to: Option<Timestamp>) -> Result<StateAt> {
        carry!(self, process, state(process, to)).map(|(_, state)| state)
    }

    async fn address(&self) -> Result<Address> {
        carry!(self, "", address()).map(|(_, address)| address)
    }

    async fn attest(&self, process: ProcessId, of: Evaluation, with_state: bool) -> Result<Attestation> {
        carry!(self, process, attest(process, of, with_state)).map(|(_, attestation)| attestation)
    }

    async fn history(&self, process: ProcessId, from: u64, limit: usize) -> Result<History> {
        carry!(self, process, history(process, from, limit)).map(|(_, history)| history)
    }

    async fn consistency(&self, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>> {
        carry!(self, process, consistency(process, from, to)).map(|(_, path)| path)
    }
}

#[async_trait]
impl Messenger for Faulty<dyn Messenger> {
    async fn send(&self, item: DataItem) -> Result<Receipt> {
        carry!(self, item.id, send(item)).map(|(_, receipt)| receipt)
    }

    async fn assign(&self, request: AssignRequest) -> Result<Receipt> {
        carry!(self, request.message, assign(request)).map(|(_, receipt)| receipt)
    }

    async fn monitor(&self, request: DataItem) -> Result<()> {
        carry!(self, request.id, monitor(request)).map(|(_, done)| done)
    }

    async fn unmonitor(&self, request: DataItem) -> Result<()> {
        carry!(self, request.id, unmonitor(request)).map(|(_, done)| done)
    }

    async fn push(&self, process: ProcessId, message: Id, index: Option<usize>) -> Result<()> {
        carry!(self, message, push(process, message, index)).map(|(_, done)| done)
    }

    async fn traces(&self, query: TraceQuery) -> Result<Page<Trace>> {
        carry!(self, "", traces(query)).map(|(_, page)| page)
    }

    async fn monitored(&self, query: MonitoredQuery) -> Result<Page<Monitored>> {
        carry!(self, "", monitored(query)).map(|(_, page)| page)
    }

    async fn outbox(&self, query: OutboxQuery) -> Result<Page<OutboxEntry>> {
        carry!(self, "", outbox(query)).map(|(_, page)| page)
    }

    async fn retry(&self, number: u64) -> Result<()> {
        carry!(self, number, retry(number)).map(|(_, done)| done)
    }

    async fn address(&self) -> Result<Address> {
        carry!(self, "", address()).map(|(_, address)| address)
    }
}

#[async_trait]
impl Weave for Faulty<dyn Weave> {
    async fn upload(&self, item: DataItem) -> Result<()> {
        carry!(self, item.id, upload(item)).map(|(_, done)| done)
    }

    async fn get(&self, id: Id) -> Result<Found> {
        carry!(self, id, get(id)).map(|(_, found)| found)
    }

    async fn confirmations(&self, id: Id) -> Result<Option<u64>> {
        carry!(self, id, confirmations(id)).map(|(_, confirmations)| confirmations)
    }

    async fn query(&self, query: Query) -> Result<Page<Found>> {
        carry!(self, "", query(query)).map(|(_, page)| page)
    }

    async fn tip(&self) -> Result<Tip> {
        carry!(self, "", tip()).map(|(_, tip)| tip)
    }

    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>> {
        carry!(self, "", blocks(from, limit)).map(|(_, blocks)| blocks)
    }

    async fn knows_wallet(&self, address: Address) -> Result<bool> {
        carry!(self, address, knows_wallet(address)).map(|(_, knows)| knows)
    }
}
