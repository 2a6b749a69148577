//! A scheduler that is lost, and comes back.

use std::sync::Arc;

use protocol::{DataItem, ProcessId};
use store::Store;
use su::SchedulerUnit;
use unit::fakes::{FakeClock, FakeWeave};
use unit::suite::{message_item, wallet};
use unit::{Scheduled, Scheduler, SlotRange};

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
