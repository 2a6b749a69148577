//! Monitoring: who may, and what it does.

mod world;

use std::sync::Arc;

use protocol::{Draft, ProcessId, tag};
use store::MemoryStore;
use unit::{Error, Kind, Messenger as _, MonitoredQuery, Scheduler as _};
use world::{World, settle, sign};

async fn cron_process(world: &World) -> ProcessId {
    let item = world.process_item("cron", &[("Cron-Interval", "1-second")]);
    world.scheduler.schedule(item.clone()).await.unwrap();
    item.id.into()
}

#[track_caller]
fn check(answer: Result<(), Error>, kind: Kind, what: &str) {
    let error = answer.expect_err("it is declined");
    assert!(error.kind == kind && error.what.contains(what), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn only_its_owner_may_have_a_process_monitored_or_not() {
    let world = World::new();
    let process = cron_process(&world).await;
    let store = Arc::new(MemoryStore::new());
    let unit = world.open(store.clone()).await;
    let (owner, stranger) = (world.request(&world.user, process), world.request(&world.stranger, process));
    check(unit.monitor(stranger.clone()).await, Kind::Forbidden, "does not own process");
    check(unit.unmonitor(owner.clone()).await, Kind::NotFound, "Process monitor not found");
    unit.monitor(owner.clone()).await.unwrap();
    check(unit.monitor(owner.clone()).await, Kind::Conflict, "Process already being monitored");
    check(unit.unmonitor(stranger.clone()).await, Kind::Forbidden, "does not own process");
    assert_eq!(unit.gauges().monitored, 1);
    unit.stop().await;

    let unit = world.open(store.clone()).await;
    assert_eq!(unit.gauges().monitored, 1, "a restart remembers");
    unit.unmonitor(owner).await.unwrap();
    unit.stop().await;
    assert_eq!(world.open(store).await.gauges().monitored, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_must_name_a_process_and_be_signed_for_that_purpose() {
    let world = World::new();
    let process = cron_process(&world).await;
    let unit = world.open(Arc::new(MemoryStore::new())).await;
    // Anybody can read the owner's messages and send one of them here.
    check(unit.monitor(world.message(process, "{}")).await, Kind::Invalid, "no monitor request");
    let nowhere = sign(&world.user, Draft { data: " ".into(), ..Draft::default() });
    check(unit.monitor(nowhere).await, Kind::Invalid, "does not say which process");
    let unknown = world.request(&world.user, protocol::Id([9; 32]).into());
    check(unit.monitor(unknown).await, Kind::NotFound, "is not known");
    let mut forged = world.request(&world.user, process).bytes().to_vec();
    forged[10] ^= 1;
    let forged = protocol::DataItem::parse(forged.into()).unwrap();
    check(unit.monitor(forged).await, Kind::Invalid, "signature");
}

#[tokio::test(start_paused = true)]
async fn a_process_without_cron_is_monitored_and_nothing_comes_of_it() {
    let world = World::new();
    let process = world.process("quiet").await;
    let unit = world.open(Arc::new(MemoryStore::new())).await;
    unit.monitor(world.request(&world.user, process)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(unit.gauges().monitored, 1);
    settle(&unit).await;
}

#[tokio::test(start_paused = true)]
async fn a_spawned_process_belongs_to_whom_its_spawner_belongs_to() {
    let world = World::new();
    let spawner = world.process("spawner").await;
    let mut tags = world.process_item("child", &[("Cron-Interval", "1-second")]).tags.clone();
    tags.push(tag::FROM_PROCESS, spawner);
    let child = sign(&world.wallet, Draft { tags: tags.clone(), data: "{}".into(), ..Draft::default() });
    // Somebody else cannot make a process of his the user's, nor the user's his.
    let forged = sign(&world.stranger, Draft { tags, data: "{}".into(), ..Draft::default() });
    for item in [&child, &forged] {
        world.scheduler.schedule(item.clone()).await.unwrap();
    }
    let unit = world.open(Arc::new(MemoryStore::new())).await;
    check(unit.monitor(world.request(&world.stranger, child.id.into())).await, Kind::Forbidden, "own");
    unit.monitor(world.request(&world.user, child.id.into())).await.unwrap();
    check(unit.monitor(world.request(&world.user, forged.id.into())).await, Kind::Forbidden, "own");
    unit.monitor(world.request(&world.stranger, forged.id.into())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_look_at_a_cron_that_does_not_come_is_late() {
    let world = World::new();
    let process = cron_process(&world).await;
    let unit = world.open(Arc::new(MemoryStore::new())).await;
    unit.monitor(world.request(&world.user, process)).await.unwrap();
    assert!(unit.gauges().cron_late_ms < 1_000);
    // The ticker lives by another clock here, which stands still while nobody waits.
    world.clock.advance(100_000);
    assert!(unit.gauges().cron_late_ms >= 99_000);
    // The next beat comes, and with it a look.
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert!(unit.gauges().cron_late_ms < 1_000);

    let all = MonitoredQuery { after: None, limit: 10 };
    let list = unit.monitored(all).await.unwrap();
    let [one] = &list.items[..] else { panic!("{list:?}") };
    assert_eq!((one.process, &one.error, list.has_next), (process, &None, false));
    assert!(unit.monitored(MonitoredQuery { after: Some(process), ..all }).await.unwrap().items.is_empty());

    // A look that does not end is late too, though the ticker beats.
    let before = world.compute.asked().len();
    unit.stop().await;
    world.clock.advance(50_000);
    tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    assert!(unit.gauges().cron_late_ms >= 49_000, "nobody looks any more");
    assert_eq!(world.compute.asked().len(), before);
}
