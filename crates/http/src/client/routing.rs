//! The scheduler of every process: our own where it has the process, else the one that the process names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use protocol::{Address, DataItem, Id, Process, ProcessId, Timestamp, tag};
use unit::{
    Adopted, AssignRequest, Clock, Error, Kind, Page, Placed, ProcessRecord, ProcessTimers, Query,
    RecoveryState, Result, Scheduled, SlotRange, Sort, TimersQuery, Tip, Weave,
};

use super::{Scheduler, Transport};

/// Locations that are remembered at once.
const REMEMBERED_MAX: usize = 10_000;
/// Milliseconds that a location holds at most, whatever its Time-To-Live says: one hour.
const TIME_TO_LIVE_MAX: u64 = 60 * 60 * 1000;

/// A scheduler that finds the right scheduler.
pub struct RoutingScheduler {
    own: Arc<dyn unit::Scheduler>,
    weave: Arc<dyn Weave>,
    clock: Arc<dyn Clock>,
    transport: Transport,
    /// Schedulers that `own` stands in for.
    stand_ins: BTreeSet<Address>,
    /// Processes of other schedulers, and until when that is believed.
    elsewhere: Mutex<BTreeMap<ProcessId, (Timestamp, Scheduler)>>,
}

impl RoutingScheduler {
    /// Asks `own` first, then whom the weave names.
    pub fn new(
        own: Arc<dyn unit::Scheduler>,
        weave: Arc<dyn Weave>,
        clock: Arc<dyn Clock>,
        transport: Transport,
    ) -> RoutingScheduler {
        let stand_ins = BTreeSet::new();
        RoutingScheduler { own, weave, clock, transport, stand_ins, elsewhere: Mutex::default() }
    }

    /// The same, where `own` stands in for those schedulers.
    pub fn standing_in(self, stand_ins: BTreeSet<Address>) -> RoutingScheduler {
        RoutingScheduler { stand_ins, ..self }
    }

    async fn is_own(&self, scheduler: Address) -> Result<bool> {
        Ok(self.stand_ins.contains(&scheduler) || scheduler == self.own.address().await?)
    }

    /// The scheduler of a process that `own` does not know. None: `own`'s word is the last.
    async fn elsewhere(&self, process: ProcessId) -> Result<Option<Scheduler>> {
        let now = self.clock.now();
        if let Some((until, scheduler)) = self.remembered().get(&process)
            && *until > now
        {
            return Ok(Some(scheduler.clone()));
        }
        let found = match self.weave.get(process.into()).await {
            Ok(found) => found,
            Err(error) if error.kind == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(item) = Process::try_from(&*found.item) else { return Ok(None) };
        if self.is_own(item.scheduler).await? {
            return Ok(None);
        }
        let (scheduler, time_to_live) = self.locate(item.scheduler).await?;
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered
            .insert(process, (Timestamp(now.0 + time_to_live.min(TIME_TO_LIVE_MAX)), scheduler.clone()));
        Ok(Some(scheduler))
    }

    /// The scheduler of a process, if it is not `own`. `own` may have forgotten it, which the weave may know.
    async fn forgotten_elsewhere(&self, process: ProcessId) -> Result<Option<Scheduler>> {
        match self.own.process(process).await {
            Err(error) if error.kind == Kind::NotFound => self.elsewhere(process).await,
            answer => answer.map(|_| None),
        }
    }

    /// Where the newest Scheduler-Location of that wallet says it is, and how long that holds.
    async fn locate(&self, address: Address) -> Result<(Scheduler, u64)> {
        let query = Query {
            owners: vec![address],
            sort: Sort::Descending,
            limit: 1,
            ..Query::tagged([(tag::DATA_PROTOCOL, tag::AO), (tag::TYPE, "Scheduler-Location")])
        };
        let page = self.weave.query(query).await?;
        let location = page.items.first().and_then(|found| {
            let url = found.item.tags.first(tag::URL)?.to_owned();
            let time_to_live = found.item.tags.first(tag::TIME_TO_LIVE)?.parse().ok()?;
            Some((Scheduler::new(&url, self.transport.clone()), time_to_live))
        });
        location.ok_or_else(|| {
            Error::not_found(format!("the scheduler {address} has not said where it is"))
                .with_code(unit::Code::SCHEDULER_NOWHERE)
                .with_hint("its operator must publish a Scheduler-Location with Url and Time-To-Live")
        })
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, BTreeMap<ProcessId, (Timestamp, Scheduler)>> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks our own scheduler, and where that knows nothing of the process, whoever does.
macro_rules! route {
    ($self:ident, $process:expr, $verb:ident ( $($argument:expr),* )) => {
        match $self.own.$verb($($argument.clone()),*).await {
            Err(error) if error.kind == Kind::NotFound => match $self.elsewhere($process).await? {
                Some(scheduler) => unit::Scheduler::$verb(&scheduler, $($argument),*).await,
                None => Err(error),
            },
            answer => answer,
        }
    };
}

#[async_trait]
impl unit::Scheduler for RoutingScheduler {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        if let Ok(process) = Process::try_from(item.item()) {
            if self.is_own(process.scheduler).await? {
                return self.own.schedule(item).await;
            }
            let (scheduler, _) = self.locate(process.scheduler).await?;
            return unit::Scheduler::schedule(&scheduler, item).await;
        }
        match item.target.map(ProcessId) {
            Some(process) => route!(self, process, schedule(item)),
            None => self.own.schedule(item).await,
        }
    }

    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        let process = request.process;
        // NotFound may also be said of what is to be assigned.
        match self.own.process(process).await {
            Err(error) if error.kind == Kind::NotFound => match self.elsewhere(process).await? {
                Some(scheduler) => unit::Scheduler::assign(&scheduler, request).await,
                None => self.own.assign(request).await,
            },
            _ => self.own.assign(request).await,
        }
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        match process {
            Some(of) => route!(self, of, find(process, id)),
            None => self.own.find(None, id).await,
        }
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        route!(self, process, schedule_page(process, range, limit))
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        route!(self, process, latest(process))
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        route!(self, process, process(process))
    }

    async fn timers(&self, query: TimersQuery) -> Result<Page<ProcessTimers>> {
        match query.process {
            Some(process) => route!(self, process, timers(query)),
            None => self.own.timers(query).await,
        }
    }

    async fn standing_of(&self, process: ProcessId) -> Result<RecoveryState> {
        match self.forgotten_elsewhere(process).await? {
            Some(scheduler) => unit::Scheduler::standing_of(&scheduler, process).await,
            None => self.own.standing_of(process).await,
        }
    }

    async fn show(&self, process: ProcessId, shown: Vec<DataItem>) -> Result<Adopted> {
        match self.forgotten_elsewhere(process).await? {
            Some(scheduler) => unit::Scheduler::show(&scheduler, process, shown).await,
            None => self.own.show(process, shown).await,
        }
    }

    async fn now(&self) -> Result<Tip> {
        self.own.now().await
    }

    async fn address(&self) -> Result<Address> {
        self.own.address().await
    }
}
