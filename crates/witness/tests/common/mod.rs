//! A scheduler that is lost, and comes back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use protocol::{Address, DataItem, Id, ProcessId};
use store::Store;
use su::SchedulerUnit;
use unit::fakes::{FakeClock, FakeWeave};
use unit::suite::{message_item, wallet};
use unit::{
    Adopted, AssignRequest, Code, Error, Page, Placed, ProcessRecord, RecoveryState, Result, Scheduled,
    Scheduler, SlotRange, Tip,
};

/// A scheduler that can be another one from one call to the next, or none.
pub struct Switch {
    current: Mutex<Option<Arc<dyn Scheduler>>>,
    pub shows: AtomicU64,
}

impl Switch {
    pub fn to(scheduler: Arc<dyn Scheduler>) -> Arc<Switch> {
        Arc::new(Switch { current: Mutex::new(Some(scheduler)), shows: AtomicU64::new(0) })
    }

    pub fn set(&self, scheduler: Option<Arc<dyn Scheduler>>) {
        *self.current.lock().unwrap() = scheduler;
    }

    fn now(&self) -> Result<Arc<dyn Scheduler>> {
        self.current
            .lock()
            .unwrap()
            .clone()
            .ok_or_else(|| Error::unavailable("nobody is there").with_code(Code::UNREACHABLE))
    }
}

#[async_trait]
impl Scheduler for Switch {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        self.now()?.schedule(item).await
    }

    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        self.now()?.assign(request).await
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        self.now()?.find(process, id).await
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        self.now()?.schedule_page(process, range, limit).await
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        self.now()?.latest(process).await
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        self.now()?.process(process).await
    }

    async fn standing_of(&self, process: ProcessId) -> Result<RecoveryState> {
        self.now()?.standing_of(process).await
    }

    async fn show(&self, process: ProcessId, shown: Vec<DataItem>) -> Result<Adopted> {
        self.shows.fetch_add(1, Ordering::SeqCst);
        self.now()?.show(process, shown).await
    }

    async fn now(&self) -> Result<Tip> {
        self.now()?.now().await
    }

    async fn address(&self) -> Result<Address> {
        self.now()?.address().await
    }
}

/// A scheduler with that log.
pub async fn scheduler(store: Arc<dyn Store>, weave: &Arc<FakeWeave>) -> Arc<SchedulerUnit> {
    let clock = FakeClock::advancing(1_700_000_000_000, 1);
    let events = unit::Events::silent();
    let ports = su::Ports { store, weave: weave.clone(), clock, events, wallet: wallet(0) };
    let options = su::Options {
        settle_interval_ms: 0,
        settle_retry_ms: 1,
        settle_retry_max_ms: 2,
        ..su::Options::default()
    };
    SchedulerUnit::open(ports, options).await.unwrap()
}

pub fn message(process: ProcessId, data: &str) -> DataItem {
    message_item(&wallet(1), process, &[], data)
}

pub async fn whole(scheduler: &dyn Scheduler, process: ProcessId) -> Vec<Scheduled> {
    let all = SlotRange::Slots { after: None, to: None };
    scheduler.schedule_page(process, all, 1000).await.unwrap().items
}
