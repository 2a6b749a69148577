//! A scheduler that does all as another one does, but for what it says itself.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::{Address, DataItem, Id, ProcessId};
use unit::{AssignRequest, Page, Placed, ProcessRecord, Result, Scheduled, Scheduler, SlotRange, Tip};

/// What lies between somebody who asks and a scheduler.
#[async_trait]
pub trait SchedulerLayer: Send + Sync {
    /// Who does what is not done here.
    fn inner(&self) -> &Arc<dyn Scheduler>;

    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        self.inner().schedule(item).await
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        self.inner().find(process, id).await
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        self.inner().schedule_page(process, range, limit).await
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        self.inner().latest(process).await
    }
}

/// A layer as a scheduler.
pub struct Layered<L>(pub L);

#[async_trait]
impl<L: SchedulerLayer> Scheduler for Layered<L> {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        self.0.schedule(item).await
    }

    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        self.0.inner().assign(request).await
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        self.0.find(process, id).await
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        self.0.schedule_page(process, range, limit).await
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        self.0.latest(process).await
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        self.0.inner().process(process).await
    }

    async fn now(&self) -> Result<Tip> {
        self.0.inner().now().await
    }

    async fn address(&self) -> Result<Address> {
        self.0.inner().address().await
    }
}
