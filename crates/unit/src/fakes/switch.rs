//! A scheduler that comes and goes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use protocol::{Address, DataItem, Id, ProcessId};

use super::lock;
use crate::{
    Adopted, AssignRequest, Code, Error, Page, Placed, ProcessRecord, RecoveryState, Result, Scheduled,
    Scheduler, SlotRange, Tip,
};

/// A scheduler that can be another one from one call to the next, or none.
pub struct Switch {
    current: Mutex<Option<Arc<dyn Scheduler>>>,
    /// What is said where there is none.
    pub absent: Mutex<Error>,
    /// How often something was shown to it.
    pub shows: AtomicU64,
}

impl Switch {
    /// That one, for now.
    pub fn to(scheduler: Arc<dyn Scheduler>) -> Arc<Switch> {
        let absent = Mutex::new(Error::unavailable("nobody is there").with_code(Code::UNREACHABLE));
        Arc::new(Switch { current: Mutex::new(Some(scheduler)), absent, shows: AtomicU64::new(0) })
    }

    /// Another one, or none.
    pub fn set(&self, scheduler: Option<Arc<dyn Scheduler>>) {
        *lock(&self.current) = scheduler;
    }

    fn now(&self) -> Result<Arc<dyn Scheduler>> {
        lock(&self.current).clone().ok_or_else(|| lock(&self.absent).clone())
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
