//! A schedule settles on the weave that a node brings along, in the store that both share.

mod common;

use std::sync::Arc;

use common::{message, options};
use pirn_su::{Ports, SchedulerUnit};
use store::MemoryStore;
use unit::fakes::{FakeClock, FakeWeave};
use unit::suite::{process_item, wallet};
use unit::{Scheduler as _, SlotRange, Weave as _};

#[tokio::test]
async fn a_schedule_settles_on_the_embedded_weave() {
    let store = Arc::new(MemoryStore::new());
    let clock = FakeClock::at(1_700_000_000_000);
    let ports = weave::Ports { store: store.clone(), clock: clock.clone(), events: unit::Events::silent() };
    let weave = weave::EmbeddedWeave::open(ports, weave::Options::default()).await.unwrap();
    let ports =
        Ports { store, weave: weave.clone(), clock, events: unit::Events::silent(), wallet: wallet(0) };
    let su = SchedulerUnit::open(ports, options()).await.unwrap();

    let process = process_item(&wallet(1), wallet(0).address(), &[]);
    su.schedule(process.clone()).await.unwrap();
    for n in 0..10 {
        su.schedule(message(process.id.into(), &n.to_string())).await.unwrap();
    }
    su.settled().await;

    let all = SlotRange::Slots { after: None, to: None };
    for entry in su.schedule_page(process.id.into(), all, 100).await.unwrap().items {
        let message = weave.get(entry.message_id()).await.unwrap();
        assert_eq!(Some(message.item), entry.message);
        let assignment = weave.get(entry.assignment.id()).await.unwrap();
        assert_eq!(*assignment.item, entry.assignment.item);
    }
    su.stop().await;
    weave.stop().await;
}

#[tokio::test(start_paused = true)]
async fn how_long_the_oldest_entry_waits_is_told_also_after_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let (weave, clock) = (FakeWeave::new(), FakeClock::at(1_700_000_000_000));
    weave.fail_uploads(u64::MAX);
    let ports = || Ports {
        store: store.clone(),
        weave: weave.clone(),
        clock: clock.clone(),
        events: unit::Events::silent(),
        wallet: wallet(0),
    };
    let su = SchedulerUnit::open(ports(), options()).await.unwrap();
    assert_eq!(su.settlement_age_ms(), None);
    let process = process_item(&wallet(1), wallet(0).address(), &[]);
    su.schedule(process.clone()).await.unwrap();
    clock.advance(60_000);
    su.schedule(message(process.id.into(), "late")).await.unwrap();
    assert_eq!((su.unsettled(), su.settlement_age_ms()), (2, Some(60_000)));
    su.stop().await;

    let su = SchedulerUnit::open(ports(), options()).await.unwrap();
    assert_eq!((su.unsettled(), su.settlement_age_ms()), (2, Some(60_000)));
    weave.fail_uploads(0);
    su.settled().await;
    assert_eq!(su.settlement_age_ms(), None);
}
