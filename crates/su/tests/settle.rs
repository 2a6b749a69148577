//! A schedule settles on the weave that a node brings along, in the store that both share.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{World, message, options};
use pirn_su::{Ack, Options, Ports, SchedulerUnit};
use store::MemoryStore;
use unit::fakes::{FakeClock, FakeWeave};
use unit::suite::{process_item, wallet};
use unit::{Kind, Novelty, Scheduler as _, SlotRange, Weave as _};

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

fn careful() -> Options {
    Options { settle_depth: Some(2), confirm_interval_ms: 10, settle_patience_ms: 1000, ..options() }
}

/// Waits, without a clock, until something holds.
async fn until(holds: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("it never holds");
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_looked_after_until_it_lies_deep_enough() {
    let world = World::memory_with(careful()).await;
    let process = world.spawn("a").await;
    world.su.schedule(message(process, "hi")).await.unwrap();
    world.su.settled().await;
    assert_eq!(world.su.unconfirmed(), 2);
    world.weave.mine();
    world.su.refresh_height().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(world.su.unconfirmed(), 2, "one block is not enough");
    world.weave.mine();
    world.su.refresh_height().await.unwrap();
    until(|| world.su.unconfirmed() == 0).await;
    assert_eq!(world.su.unsettled(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_weave_took_and_lost_is_sent_again_also_after_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let world = World::on(store.clone(), careful()).await;
    let process = world.spawn("a").await;
    let lost = message(process, "lost");
    let assignment = world.su.schedule(lost.clone()).await.unwrap().assignment.id();
    world.su.settled().await;
    world.weave.mine();
    for id in [lost.id, assignment] {
        world.weave.forget(id);
    }
    world.su.stop().await;
    let World { weave, clock, .. } = world;
    let world = World::again(store, weave, clock, careful()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((world.su.unconfirmed(), world.weave.has(lost.id)), (2, false), "it may only be late");
    world.clock.advance(1000);
    until(|| world.weave.has(lost.id) && world.weave.has(assignment)).await;
    for _ in 0..3 {
        world.weave.mine();
        world.su.refresh_height().await.unwrap();
    }
    until(|| world.su.unconfirmed() == 0 && world.su.unsettled() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn where_an_acknowledgement_means_the_weave_nobody_is_told_before_it_has_both_items() {
    let world = World::memory_with(Options { ack: Ack::Settled, ack_timeout_ms: 1000, ..options() }).await;
    let process = world.spawn("a").await;
    assert!(world.weave.has(process.into()));
    world.weave.fail_uploads(u64::MAX);
    let late = message(process, "late");
    let error = world.su.schedule(late.clone()).await.unwrap_err();
    assert_eq!((error.kind, world.weave.has(late.id)), (Kind::Unavailable, false), "{error}");
    world.weave.fail_uploads(0);
    let placed = world.su.schedule(late.clone()).await.unwrap();
    assert_eq!((placed.novelty, placed.entry.assignment.slot.0), (Novelty::Repeat, 1));
    assert!(world.weave.has(late.id) && world.weave.has(placed.entry.assignment.id()));
}
