//! The power goes out at every batch in turn; afterwards everything has happened, and has happened once.

mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pirn_mu::Options;
use protocol::{DataItem, Draft, ProcessId, Timestamp, Wallet, tag};
use serde_json::json;
use store::MemoryStore;
use unit::{Cursor, Error, Evaluated, Messenger as _, Scheduler as _};
use world::{Crashing, World, outcome, send, sends, settle, sign, to, until};

/// Signs with a salt: whatever is signed again is another item.
fn salted() -> Wallet {
    Wallet::from_jwk(include_str!("../../node/accounts/rsa-2.json")).expect("it is a wallet")
}

/// What each process was sent, by name, without what differs from run to run.
fn summary(world: &World, processes: &[(&str, ProcessId)]) -> BTreeMap<String, Vec<String>> {
    let mut all: Vec<(String, ProcessId)> =
        processes.iter().map(|(name, id)| (name.to_string(), *id)).collect();
    let mut summary = BTreeMap::new();
    while let Some((name, process)) = all.pop() {
        let mut inbox = Vec::new();
        for entry in world.scheduler.entries(process).iter().skip(1) {
            inbox.push(match &entry.message {
                Some(item) if item.tags.has(tag::ACTION, "Spawned") => {
                    let child = item.tags.first(tag::PROCESS).unwrap().parse().unwrap();
                    all.push((format!("{name}'s child"), child));
                    "spawned".to_owned()
                }
                Some(item) => item.text().into_owned(),
                None => "assigned".to_owned(),
            });
        }
        // Different senders are not ordered.
        inbox.sort();
        summary.insert(name, inbox);
    }
    summary
}

/// Runs the story, with a crash at the nth batch. None once it has fewer batches.
async fn run(crash_at: usize, reached: bool) -> (BTreeMap<String, Vec<String>>, bool) {
    let mut world = World::new();
    world.wallet = salted();
    let [a, b, c] = [world.process("a").await, world.process("b").await, world.process("c").await];
    let spawn =
        json!({"Data": sends([to(c, 5, "born")]), "Tags": [{"name": "Module", "value": world::MODULE}]});
    let tagged = json!({"Target": b, "Anchor": "0".repeat(32), "Data": "both",
        "Tags": [{"name": "Assignments", "value": [c]}]});
    let first = world.message(a, &sends([to(b, 1, &sends([to(c, 2, "deep")])), to(b, 3, "next")]));
    let second = world.message(
        a,
        &json!({"Messages": [tagged, to(world.stranger.address(), 9, "for a wallet")], "Spawns": [spawn],
            "Assignments": [{"Processes": [b], "Message": first.id}]})
        .to_string(),
    );
    let tags = world.process_item("child", &[]).tags.clone();
    let third =
        Draft { target: Some(c.into()), tags, data: sends([to(b, 7, "from a child")]).into(), anchor: None };
    let third = sign(&world.user, third);
    let items: Vec<DataItem> = vec![first, second, third];

    let store = Crashing::at(crash_at, reached, MemoryStore::new());
    let unit = world.open(store.clone()).await;
    for item in &items {
        // No answer is no promise: the client sends it again below.
        let _ = unit.send(item.clone()).await;
    }
    until(|| store.has_crashed() || unit.gauges().outbox == 0).await;
    let crashed = store.has_crashed();
    drop(unit);

    let unit = world.open(Arc::new(store.survivor())).await;
    for item in &items {
        send(&unit, item).await;
    }
    settle(&unit).await;
    assert_eq!(unit.dead(0, 10).unwrap(), []);
    assert_eq!(world.weave.ids().len(), 1, "one message for a wallet");
    let b_got: Vec<_> = world.inbox(b);
    let place = |text: &str| b_got.iter().position(|got| got.contains(text)).expect("it arrived");
    assert!(place("deep") < place("next") && place("next") < place("both"), "{b_got:?}");
    (summary(&world, &[("a", a), ("b", b), ("c", c)]), crashed)
}

async fn crash_everywhere(reached: bool) {
    let (undisturbed, _) = run(usize::MAX, reached).await;
    let got = |name: &str| undisturbed[name].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(got("c"), ["assigned", "assigned", "born", "deep"]);
    assert_eq!(undisturbed["b"].len(), 5);
    assert_eq!(undisturbed["a"].len(), 3);
    assert_eq!(got("a's child"), [""; 0]);
    for crash_at in 1.. {
        let (after_crash, crashed) = run(crash_at, reached).await;
        assert_eq!(after_crash, undisturbed, "a crash at batch {crash_at}, reached: {reached}");
        if !crashed {
            assert!(crash_at > 15, "the story has more batches than {crash_at}");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_had_no_slot_when_the_power_went_out_holds_nobody_up() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    // The second batch would withdraw what the first promised.
    let store = Crashing::at(2, false, MemoryStore::new());
    let unit = world.open(store.clone()).await;
    let lost = world.message(a, &sends([to(b, 1, "lost")]));
    world.scheduler.fail_next(Error::unavailable("it never heard of it"));
    unit.send(lost.clone()).await.unwrap_err();
    drop(unit);

    let unit = world.open(Arc::new(store.survivor())).await;
    assert_eq!(unit.gauges().outbox, 1, "it may have got its slot");
    unit.send(world.message(a, &sends([to(b, 2, "second")]))).await.unwrap();
    let begun = tokio::time::Instant::now();
    until(|| world.inbox(b) == ["second"]).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(unit.gauges().outbox, 1, "it is still looked for");
    // Its last try comes, late.
    world.scheduler.schedule(lost).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["second", "lost"]);
    assert_eq!(unit.gauges().dead, 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_and_nothing_is_done_twice_when_a_batch_is_lost() {
    crash_everywhere(false).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_and_nothing_is_done_twice_when_the_last_batch_was_kept() {
    crash_everywhere(true).await;
}

/// Ticks of one process; each sends its number.
fn tick(to_process: ProcessId, n: u64) -> Evaluated {
    let cursor = Cursor {
        timestamp: Timestamp(1_700_000_000_000 + n * 1000),
        ordinate: Some(0),
        cron: Some("0-1-second".to_owned()),
        sort: None,
    };
    let says = if n % 3 == 2 { "{}".to_owned() } else { sends([to(to_process, n as usize, &n.to_string())]) };
    Evaluated { cursor, message: None, outcome: Arc::new(outcome(&says)) }
}

#[tokio::test(start_paused = true)]
async fn every_tick_is_pushed_once_whenever_the_power_goes_out() {
    for reached in [false, true] {
        for crash_at in 1.. {
            let mut world = World::new();
            world.wallet = salted();
            let b = world.process("b").await;
            let cron = world.process_item("cron", &[("Cron-Interval", "1-second")]);
            let process: ProcessId = cron.id.into();
            unit::Scheduler::schedule(&*world.scheduler, cron).await.unwrap();
            // What was before the process was monitored is not pushed.
            world.compute.put_evaluated(process, tick(b, 0));
            world.compute.put_cron(process, tick(b, 0));
            let options = Options { cron_page: 2, ..Options::default() };

            let store = Crashing::at(crash_at, reached, MemoryStore::new());
            let unit = world.open_with(store.clone(), options.clone()).await;
            let request = world.request(&world.user, process);
            let monitored = unit.monitor(request.clone()).await;
            if monitored.is_ok() {
                // The start is decided before the next ticks come.
                until(|| store.has_crashed() || world::progress_is_written(&*store, process)).await;
            }
            (1..=5).for_each(|n| world.compute.put_cron(process, tick(b, n)));
            until(|| store.has_crashed() || world.inbox(b).len() == 3 && unit.gauges().outbox == 0).await;
            let crashed = store.has_crashed();
            drop(unit);

            let unit = world.open_with(Arc::new(store.survivor()), options).await;
            let _ = unit.monitor(request).await;
            (6..=8).for_each(|n| world.compute.put_cron(process, tick(b, n)));
            until(|| world.inbox(b).len() == 5).await;
            settle(&unit).await;
            assert_eq!(world.inbox(b), ["1", "3", "4", "6", "7"].map(str::to_owned), "crash at {crash_at}");
            let pushed = world.item(b, 1);
            assert_eq!(pushed.tags.first(tag::PUSHED_FOR), None);
            if !crashed {
                assert!(crash_at > 5);
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_its_bytes_are_durable() {
    let mut world = World::new();
    world.wallet = salted();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let store = Arc::new(MemoryStore::stepped());
    let unit = world.open(store.clone()).await;
    let sending = tokio::spawn({
        let (unit, item) = (unit.clone(), world.message(a, &sends([to(b, 1, "once")])));
        async move { unit.send(item).await }
    });
    until(|| store.waiting() == 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!sending.is_finished(), "what is not durable is not acknowledged");
    store.sync();
    sending.await.unwrap().unwrap();

    until(|| store.waiting() == 1).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(world.inbox(b).len(), 0, "its bytes are signed, and not durable");
    let store = Arc::new(store.crash());
    drop(unit);
    let unit = world.open(store.clone()).await;
    until(|| {
        store.sync();
        unit.gauges().outbox == 0
    })
    .await;
    assert_eq!(world.inbox(b), ["once"]);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_nobody_was_told_is_taken_leaves_nothing() {
    let world = World::new();
    let a = world.process("a").await;
    let store = Crashing::at(1, true, MemoryStore::new());
    let unit = world.open(store.clone()).await;
    world.scheduler.fail_next(Error::unavailable("it is down"));
    let item = world.message(a, "{}");
    unit.send(item.clone()).await.unwrap_err();
    drop(unit);
    let unit = world.open(Arc::new(store.survivor())).await;
    assert_eq!(unit.gauges().outbox, 1, "it was written down before the scheduler was asked");
    settle(&unit).await;
    assert_eq!((world.inbox(a).len(), unit.gauges().dead), (0, 0));
    send(&unit, &item).await;
    settle(&unit).await;
    assert_eq!(world.inbox(a).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_is_served_all_the_same() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let store = Arc::new(MemoryStore::stepped());
    let unit = world.open(store.clone()).await;
    let sending = tokio::spawn({
        let (unit, item) = (unit.clone(), world.message(a, &sends([to(b, 1, "once")])));
        async move { unit.send(item).await }
    });
    until(|| store.waiting() == 1).await;
    sending.abort();
    until(|| {
        store.sync();
        unit.gauges().outbox == 0
    })
    .await;
    assert_eq!(world.inbox(b), ["once"]);
}
