//! Monitoring: who may, and what it does.

mod world;

use std::sync::Arc;

use pirn_mu::{MessengerUnit, Options};
use protocol::{Draft, Json, Outcome, ProcessId, Timestamp, tag};
use serde_json::json;
use store::MemoryStore;
use unit::{
    CronTally, Cursor, Error, Evaluated, Kind, Messenger as _, Monitored, MonitoredQuery, Scheduler as _,
    TickFailure,
};
use world::{World, send, sends, settle, sign, to, until};

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

/// A tick that sends its number; one that fails if the number is divisible by seven.
fn tick(receiver: ProcessId, n: u64) -> Evaluated {
    let cursor = Cursor {
        timestamp: Timestamp(1_700_000_000_000 + n * 10_000),
        ordinate: Some(0),
        cron: Some("0-10-seconds".to_owned()),
        sort: None,
    };
    let mut outcome = world::outcome(&sends([to(receiver, n as usize, &n.to_string())]));
    if n.is_multiple_of(7) {
        outcome = Outcome { error: Some(Json::string("no price")), ..world::outcome("{}") };
    }
    Evaluated { cursor, message: None, outcome: Arc::new(outcome) }
}

async fn one_monitored(unit: &MessengerUnit) -> Monitored {
    let page = unit.monitored(MonitoredQuery { after: None, limit: 10 }).await.unwrap();
    let [one] = <[Monitored; 1]>::try_from(page.items).expect("one is monitored");
    one
}

/// Has somebody monitor a process, and stop when that is written down.
async fn monitored_and_stopped(
    world: &World,
    store: &Arc<MemoryStore>,
    options: &Options,
    process: ProcessId,
) {
    let unit = world.open_with(store.clone(), options.clone()).await;
    unit.monitor(world.request(&world.user, process)).await.unwrap();
    until(|| world::progress_is_written(&**store, process)).await;
    unit.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_cron_that_nobody_looked_at_is_caught_up_within_a_bound_and_that_is_told() {
    let world = World::new();
    let (process, receiver) = (cron_process(&world).await, world.process("receiver").await);
    let options = Options { cron_catch_up_ms: 60_000, cron_page: 4, ..Options::default() };
    let store = Arc::new(MemoryStore::new());
    monitored_and_stopped(&world, &store, &options, process).await;

    // It stands still for 200 seconds, of which the last 60 are caught up.
    (1..=20).for_each(|n| world.compute.put_cron(process, tick(receiver, n)));
    world.clock.set(1_700_000_200_001);
    let unit = world.open_with(store.clone(), options.clone()).await;
    until(|| world.inbox(receiver).len() == 6 && unit.gauges().outbox == 0).await;
    assert_eq!(world.inbox(receiver), ["15", "16", "17", "18", "19", "20"].map(str::to_owned));
    let told = one_monitored(&unit).await;
    assert_eq!(told.pushed.unwrap().timestamp.0, 1_700_000_200_000);
    let CronTally { ticks, failed, failure, caught_up, left_out, catch_up } = told.tally;
    assert_eq!((ticks, failed, caught_up, left_out), (20, 2, 5, 14));
    assert_eq!(
        failure.unwrap(),
        TickFailure {
            timestamp: Timestamp(1_700_000_140_000),
            cron: "0-10-seconds".to_owned(),
            error: "no price".to_owned(),
        }
    );
    let catch_up = catch_up.unwrap();
    assert_eq!((catch_up.pushed, catch_up.left_out), (5, 14));
    assert_eq!((catch_up.from.0, catch_up.to.0), (1_700_000_010_000, 1_700_000_190_000));
    let gauges = unit.gauges();
    assert_eq!((gauges.cron_ticks, gauges.cron_failed), (20, 2));
    assert_eq!((gauges.cron_caught_up, gauges.cron_left_out), (5, 14));

    // It survives a restart, and what comes in time is counted as that.
    unit.stop().await;
    let unit = world.open_with(store, options).await;
    world.compute.put_cron(process, tick(receiver, 22));
    until(|| world.inbox(receiver).len() == 7 && unit.gauges().outbox == 0).await;
    let told = one_monitored(&unit).await.tally;
    assert_eq!((told.ticks, told.caught_up, told.catch_up), (21, 5, Some(catch_up)));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_a_process_spawns_with_crons_is_monitored_from_its_beginning() {
    let world = World::new();
    let (spawner, receiver) = (world.process("spawner").await, world.process("receiver").await);
    let store = Arc::new(MemoryStore::new());
    let options = Options { monitored_children_max: 1, ..Options::default() };
    let unit = world.open_with(store.clone(), options.clone()).await;
    let spawn = |n: usize, every: &str| {
        let cron = json!({"name": "Cron-Interval", "value": every});
        let module = json!({"name": "Module", "value": world::MODULE});
        let tags = if every.is_empty() { vec![module] } else { vec![module, cron] };
        json!({"Data": "{}", "Anchor": format!("{n:032}"), "Tags": tags})
    };
    // One without crons, one with, and one that is too many.
    for (n, every) in ["", "10-seconds", "1-minute"].into_iter().enumerate() {
        let says = json!({"Spawns": [spawn(n, every)]}).to_string();
        send(&unit, &world.message(spawner, &says)).await;
        settle(&unit).await;
    }
    let told = one_monitored(&unit).await;
    assert_eq!(told.spawner, Some(spawner));
    assert_eq!(unit.gauges().cron_children_refused, 1);
    let child = told.process;
    assert_eq!(
        world.scheduler.process(child).await.unwrap().item.tags.first("Cron-Interval"),
        Some("10-seconds")
    );
    // What it did before anybody looked is pushed, too.
    world.compute.put_evaluated(child, tick(receiver, 1));
    (1..=2).for_each(|n| world.compute.put_cron(child, tick(receiver, n)));
    until(|| world.inbox(receiver).len() == 2).await;
    unit.stop().await;

    let unit = world.open_with(store.clone(), options.clone()).await;
    world.compute.put_cron(child, tick(receiver, 3));
    until(|| world.inbox(receiver).len() == 3).await;
    // It is its spawner's owner's.
    check(unit.unmonitor(world.request(&world.stranger, child)).await, Kind::Forbidden, "does not own");
    unit.unmonitor(world.request(&world.user, child)).await.unwrap();
    unit.stop().await;
    assert_eq!(world.open_with(store, options).await.gauges().monitored, 0);
}

#[tokio::test(start_paused = true)]
async fn the_tick_of_a_block_that_becomes_known_late_is_pushed_once() {
    let world = World::new();
    let receiver = world.process("receiver").await;
    let item = world.process_item("both", &[("Cron-Interval", "10-seconds"), ("Cron-Interval", "2-blocks")]);
    let process: ProcessId = item.id.into();
    world.scheduler.schedule(item).await.unwrap();
    let of_block = |n: u64, seconds: u64| {
        let mut tick = tick(receiver, n);
        tick.cursor.timestamp = Timestamp(1_700_000_000_000 + seconds * 1000);
        tick.cursor.cron = Some("0-2-blocks".to_owned());
        tick
    };
    // What was before it was monitored is not pushed, however it is looked back.
    let before = of_block(101, 5);
    world.compute.put_evaluated(process, before.clone());
    world.compute.put_evaluated(process, tick(receiver, 1));
    world.compute.put_cron(process, before);
    world.compute.put_cron(process, tick(receiver, 1));
    let store = Arc::new(MemoryStore::new());
    let unit = world.open(store.clone()).await;
    unit.monitor(world.request(&world.user, process)).await.unwrap();
    until(|| world::progress_is_written(&*store, process)).await;
    world.compute.put_cron(process, tick(receiver, 3));
    until(|| world.inbox(receiver).len() == 1).await;
    // Of a time that is passed already; one of them sends nothing.
    world.compute.put_cron(process, of_block(102, 12));
    world.compute.put_cron(process, of_block(105, 14));
    world.clock.advance(11_000);
    until(|| world.inbox(receiver).len() == 2).await;
    assert_eq!(one_monitored(&unit).await.tally.ticks, 3);
    unit.stop().await;

    let unit = world.open(store).await;
    for _ in 0..3 {
        world.clock.advance(11_000);
        tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
    }
    world.compute.put_cron(process, tick(receiver, 8));
    until(|| world.inbox(receiver).len() == 3 && unit.gauges().outbox == 0).await;
    assert_eq!(world.inbox(receiver), ["3", "102", "8"].map(str::to_owned));
    assert_eq!(one_monitored(&unit).await.tally.ticks, 4);
}

#[tokio::test(start_paused = true)]
async fn the_tick_of_a_block_that_is_left_out_counts_once_however_often_it_is_looked_back() {
    let world = World::new();
    let (receiver, store) = (world.process("receiver").await, Arc::new(MemoryStore::new()));
    let item = world.process_item("both", &[("Cron-Interval", "10-seconds"), ("Cron-Interval", "2-blocks")]);
    let process: ProcessId = item.id.into();
    world.scheduler.schedule(item).await.unwrap();
    let options = Options { cron_catch_up_ms: 60_000, ..Options::default() };
    monitored_and_stopped(&world, &store, &options, process).await;

    // It stands still for 200 seconds. Then ticks of blocks of its first minute become known, one of which sends nothing.
    (1..=20).for_each(|n| world.compute.put_cron(process, tick(receiver, n)));
    world.clock.set(1_700_000_200_001);
    let unit = world.open_with(store.clone(), options.clone()).await;
    until(|| world.inbox(receiver).len() == 6 && unit.gauges().outbox == 0).await;
    for (n, seconds) in [(102, 12), (105, 14)] {
        let mut tick = tick(receiver, n);
        tick.cursor.timestamp = Timestamp(1_700_000_000_000 + seconds * 1000);
        tick.cursor.cron = Some("0-2-blocks".to_owned());
        world.compute.put_cron(process, tick);
    }
    let look_back = async |unit: &MessengerUnit| {
        for _ in 0..4 {
            world.clock.advance(11_000);
            tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
        }
        let CronTally { ticks, left_out, .. } = one_monitored(unit).await.tally;
        (ticks, left_out)
    };
    assert_eq!(look_back(&unit).await, (22, 16));
    assert_eq!((unit.gauges().cron_ticks, unit.gauges().cron_left_out), (22, 16));
    unit.stop().await;

    let unit = world.open_with(store, options).await;
    assert_eq!(look_back(&unit).await, (22, 16), "a restart remembers");
    assert_eq!((world.inbox(receiver).len(), unit.gauges().cron_left_out), (6, 0));
}
