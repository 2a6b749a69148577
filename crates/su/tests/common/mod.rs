//! A scheduler and what it stands on.
#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;

use pirn_su::{Options, Ports, SchedulerUnit};
use protocol::{Address, DataItem, ProcessId, Wallet};
use store::{MemoryStore, Store};
use unit::fakes::{FakeClock, FakeWeave};
use unit::suite::{self, Ground};
use unit::{Scheduled, Scheduler as _, SlotRange};

pub struct World {
    pub su: Arc<SchedulerUnit>,
    pub weave: Arc<FakeWeave>,
    pub clock: Arc<FakeClock>,
    pub wallet: Wallet,
}

/// Paces for tests: nothing waits longer than it must.
pub fn options() -> Options {
    Options { settle_interval_ms: 0, settle_retry_ms: 1, settle_retry_max_ms: 2, ..Options::default() }
}

impl World {
    pub async fn memory() -> World {
        World::memory_with(options()).await
    }

    pub async fn memory_with(options: Options) -> World {
        World::on(Arc::new(MemoryStore::new()), options).await
    }

    pub async fn on(store: Arc<dyn Store>, options: Options) -> World {
        World::again(store, FakeWeave::new(), FakeClock::at(1_700_000_000_000), options).await
    }

    /// A scheduler on what another one left.
    pub async fn again(
        store: Arc<dyn Store>,
        weave: Arc<FakeWeave>,
        clock: Arc<FakeClock>,
        options: Options,
    ) -> World {
        let wallet = suite::wallet(0);
        let ports = Ports {
            store,
            weave: weave.clone(),
            clock: clock.clone(),
            events: unit::Events::silent(),
            wallet: wallet.clone(),
        };
        let su = SchedulerUnit::open(ports, options).await.expect("it opens");
        World { su, weave, clock, wallet }
    }

    pub fn ground(self) -> Ground {
        Ground { scheduler: self.su, weave: self.weave, clock: self.clock }
    }

    pub fn address(&self) -> Address {
        self.wallet.address()
    }

    /// A new process; `name` tells them apart.
    pub fn process(&self, name: &str) -> DataItem {
        suite::process_item(&suite::wallet(1), self.address(), &[("Name", name)])
    }

    pub async fn spawn(&self, name: &str) -> ProcessId {
        let item = self.process(name);
        self.su.schedule(item.clone()).await.expect("a process").assignment.process
    }

    pub async fn whole(&self, process: ProcessId) -> Vec<Scheduled> {
        let mut all: Vec<Scheduled> = Vec::new();
        loop {
            let after = all.last().map(|last| last.assignment.slot);
            let range = SlotRange::Slots { after, to: None };
            let page = self.su.schedule_page(process, range, 1000).await.expect("a page");
            all.extend(page.items);
            if !page.has_next {
                return all;
            }
        }
    }
}

pub fn message(process: ProcessId, data: &str) -> DataItem {
    suite::message_item(&suite::wallet(1), process, &[], data)
}
