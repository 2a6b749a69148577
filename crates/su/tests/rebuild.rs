//! A scheduler that lost its disk: it reads what the weave has, adopts what it is shown, and gives no slot a second
//! signature that anybody could see.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{World, message, options};
use pirn_su::{Options, Ports, SchedulerUnit};
use protocol::{DataItem, Id, ProcessId, Slot, Timestamp};
use store::{DiskStore, MemoryStore, Store};
use unit::fakes::{FakeClock, FakeWeave};
use unit::suite::wallet;
use unit::{
    AssignRequest, Code, HeldQuery, Kind, Order, Recovery as _, RecoveryState, Scheduled, Scheduler as _,
    Tail, Weave as _, Why,
};

fn forgetful() -> Options {
    Options { settle_retry_ms: 1, ..options() }
}

/// A scheduler with the same key, on an empty disk.
async fn reborn(weave: &Arc<FakeWeave>, clock: &Arc<FakeClock>) -> World {
    World::again(Arc::new(MemoryStore::new()), weave.clone(), clock.clone(), forgetful()).await
}

async fn state(su: &SchedulerUnit, only: Option<ProcessId>) -> RecoveryState {
    su.recovery(HeldQuery { only, after: None, limit: 1000 }).await.unwrap()
}

/// Waits, without a clock, until all of the weave was read.
async fn restored(su: &SchedulerUnit) -> RecoveryState {
    for _ in 0..100_000 {
        let state = state(su, None).await;
        if state.restoring.rounds > 0 && !state.restoring.running {
            return state;
        }
        tokio::task::yield_now().await;
    }
    panic!("it does not come to its end: {:?}", state(su, None).await);
}

fn signed(order: Order) -> DataItem {
    DataItem::sign(&wallet(0), order.draft()).unwrap()
}

async fn confirm(su: &SchedulerUnit, process: ProcessId, tail: Tail) -> unit::Result<unit::Ordered> {
    let held = state(su, Some(process)).await.held.remove(0);
    let since = held.hold.map_or(Timestamp(0), |hold| hold.since);
    su.order(signed(Order::Confirm { process: Some(process), at: held.tail, since, tail })).await
}

/// The items of an entry, as whoever saw it can show them.
fn items(entry: &Scheduled) -> Vec<DataItem> {
    let message = entry.message.iter().map(|item| DataItem::restore(item).unwrap());
    message.chain([DataItem::restore(&entry.assignment.item).unwrap()]).collect()
}

#[tokio::test]
async fn a_lost_log_is_read_from_the_weave_byte_for_byte() {
    let world = World::memory().await;
    let process = world.spawn("one").await;
    let other = world.spawn("two").await;
    for n in 0..150 {
        world.su.schedule(message(process, &n.to_string())).await.unwrap();
    }
    let pushed = unit::suite::message_item(&wallet(2), process, &[("From-Process", &other.to_string())], "x");
    world.su.schedule(pushed.clone()).await.unwrap();
    // Assigned, rather than sent: only the weave has it.
    let elsewhere = message(other, "for somebody else");
    world.weave.upload(elsewhere.clone()).await.unwrap();
    let exclude = vec!["Data".to_owned()];
    let request = AssignRequest { process, message: elsewhere.id, base_layer: false, exclude };
    world.su.assign(request).await.unwrap();
    world.su.settled().await;
    let (one, two) = (world.whole(process).await, world.whole(other).await);
    world.su.stop().await;

    let World { su, weave, clock, .. } = reborn(&world.weave, &world.clock).await;
    let told = restored(&su).await;
    assert_eq!((told.restoring.slots, told.restoring.problems), (154, vec![]));
    assert_eq!(told.general.map(|hold| hold.why), Some(Why::EmptyDisk));
    let world = World { su, weave, clock, wallet: wallet(0) };
    assert_eq!((world.whole(process).await, world.whole(other).await), (one, two));
    assert_eq!(world.su.unsettled(), 0, "the weave has it");
    // What has a slot keeps it, also what another messenger pushes again.
    let again = unit::suite::message_item(&wallet(3), process, &[("From-Process", &other.to_string())], "x");
    drop(again);
    assert_eq!(world.su.schedule(pushed).await.unwrap().assignment.slot, Slot(151));
}

#[tokio::test]
async fn nothing_is_scheduled_before_the_operator_says_so() {
    let world = World::memory().await;
    let process = world.spawn("one").await;
    world.su.schedule(message(process, "1")).await.unwrap();
    world.su.settled().await;
    world.su.stop().await;

    let again = reborn(&world.weave, &world.clock).await;
    restored(&again.su).await;
    let held = again.su.schedule(message(process, "2")).await.unwrap_err();
    assert_eq!((held.kind, held.code), (Kind::Unavailable, Code::HELD), "{held}");
    // Nobody knows whether a process that is not on the weave is new.
    let held = again.su.schedule(again.process("another")).await.unwrap_err();
    assert_eq!(held.code, Code::HELD, "{held}");
    // A stranger's word does not count, nor one for another tail or hold.
    let general = state(&again.su, None).await.general.unwrap();
    let order = |at, since| Order::Confirm { process: Some(process), at, since, tail: Tail::Whole };
    let good = order(Some(Slot(1)), general.since);
    let stranger = DataItem::sign(&wallet(1), good.draft()).unwrap();
    assert_eq!(again.su.order(stranger).await.unwrap_err().kind, Kind::Forbidden);
    for wrong in [order(Some(Slot(2)), general.since), order(None, Timestamp(general.since.0 - 1))] {
        let refused = again.su.order(signed(wrong)).await.unwrap_err();
        assert_eq!(refused.code, Code::NOT_THE_TAIL, "{refused}");
    }
    again.su.order(signed(good)).await.unwrap();
    let placed = again.su.schedule(message(process, "2")).await.unwrap();
    assert_eq!((placed.assignment.slot, placed.assignment.epoch.0), (Slot(2), 0));
    // The same order again is for nothing that is held.
    assert_eq!(again.su.order(signed(good)).await.unwrap_err().code, Code::NOT_THE_TAIL);
    // All others are held still, until they are released as well.
    assert_eq!(again.su.schedule(again.process("another")).await.unwrap_err().code, Code::HELD);
    let all = Order::Confirm { process: None, at: None, since: general.since, tail: Tail::Whole };
    again.su.order(signed(all)).await.unwrap();
    again.su.schedule(again.process("another")).await.unwrap();
    assert_eq!(again.su.held(100), (0, false));
}

#[tokio::test]
async fn a_scheduler_that_begins_is_not_held() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let world = World::on(store.clone(), forgetful()).await;
    world.su.announce("http://127.0.0.1:1", std::time::Duration::from_secs(1)).await.unwrap();
    let process = world.spawn("one").await;
    world.su.settled().await;
    world.su.stop().await;
    // Nor is one that goes on with its own log.
    let again = World::again(store, world.weave.clone(), world.clock.clone(), forgetful()).await;
    again.su.schedule(message(process, "1")).await.unwrap();
    again.su.stop().await;
    // One that only ever said where it is, and lost its disk, may have signed more than the weave has.
    let weave = FakeWeave::new();
    let first =
        World::again(Arc::new(MemoryStore::new()), weave.clone(), world.clock.clone(), forgetful()).await;
    first.su.announce("http://127.0.0.1:1", std::time::Duration::from_secs(1)).await.unwrap();
    first.su.stop().await;
    let again = reborn(&weave, &world.clock).await;
    assert_eq!(again.su.schedule(again.process("x")).await.unwrap_err().code, Code::HELD);
}

#[tokio::test]
async fn what_others_saw_is_adopted_in_any_order() {
    let world = World::memory().await;
    let process = world.spawn("one").await;
    world.su.settled().await;
    world.weave.fail_uploads(u64::MAX);
    for n in 0..4 {
        world.su.schedule(message(process, &n.to_string())).await.unwrap();
    }
    let whole = world.whole(process).await;
    world.su.stop().await;
    world.weave.fail_uploads(0);

    let again = reborn(&world.weave, &world.clock).await;
    restored(&again.su).await;
    assert_eq!(again.whole(process).await.len(), 1);
    // Slot 3 cannot follow yet, and says that more is missing: the tail cannot be confirmed.
    let adopted = again.su.adopt(items(&whole[3])).await.unwrap();
    assert_eq!((adopted.adopted, adopted.kept), (0, 1));
    let held = state(&again.su, Some(process)).await.held.remove(0);
    assert_eq!((held.tail, held.shown, held.missing), (Some(Slot(0)), Some(Slot(3)), vec![Slot(1), Slot(2)]));
    assert_eq!(confirm(&again.su, process, Tail::Whole).await.unwrap_err().code, Code::NOT_THE_TAIL);
    // An assignment without its message waits as well.
    let adopted = again.su.adopt(items(&whole[1]).split_off(1)).await.unwrap();
    assert_eq!((adopted.adopted, adopted.kept), (0, 1));
    let shown = [items(&whole[2]), items(&whole[1])].concat();
    let adopted = again.su.adopt(shown.clone()).await.unwrap();
    assert_eq!(adopted.adopted, 3, "{adopted:?}");
    assert_eq!(again.su.adopt(shown).await.unwrap().known, 2);
    assert_eq!(again.whole(process).await, whole[..4]);
    // What only others had is carried to the weave.
    again.su.settled().await;
    assert!(again.weave.has(whole[3].assignment.id()));
    // What strangers sign is passed over.
    let stranger = DataItem::sign(&wallet(2), protocol::Draft::default()).unwrap();
    assert_eq!(again.su.adopt(vec![stranger]).await.unwrap().passed_over, 1);
}

#[tokio::test]
async fn the_timers_of_a_lost_log_go_on_and_no_moment_gets_a_second_tick() {
    const MINUTE: u64 = 60_000;
    let by_hand = || Options { tick_interval_ms: 3_600_000, ..forgetful() };
    let world = World::on(Arc::new(MemoryStore::new()), by_hand()).await;
    let tags = [("Tick-Interval", "1-minute"), ("Tick-Missed", "all-100")];
    let item = unit::suite::process_item(&wallet(1), world.address(), &tags);
    let process = world.su.schedule(item).await.unwrap().assignment.process;
    world.clock.advance(3 * MINUTE);
    assert_eq!(world.su.give_ticks().await.unwrap(), 3);
    world.su.settled().await;
    // The fourth is seen by somebody, and not by the weave.
    world.weave.fail_uploads(u64::MAX);
    world.clock.advance(MINUTE);
    assert_eq!(world.su.give_ticks().await.unwrap(), 1);
    let fourth = world.whole(process).await.remove(4);
    world.su.stop().await;

    let begin = async || {
        world.weave.fail_uploads(0);
        let store = Arc::new(MemoryStore::new());
        let again = World::again(store, world.weave.clone(), world.clock.clone(), by_hand()).await;
        restored(&again.su).await;
        world.weave.fail_uploads(u64::MAX);
        assert_eq!(again.whole(process).await.len(), 4);
        assert_eq!(again.su.give_ticks().await.unwrap(), 0, "it is held");
        again
    };
    // Given up: what was due by then is not given again, whoever saw it or not.
    let again = begin().await;
    world.clock.advance(2 * MINUTE);
    confirm(&again.su, process, Tail::Ended).await.unwrap();
    assert_eq!(again.su.give_ticks().await.unwrap(), 0);
    world.clock.advance(MINUTE);
    assert_eq!(again.su.give_ticks().await.unwrap(), 1);
    assert_eq!(again.su.ticks_untold(), 0, "there is no messenger");
    let derived = again.su.derive_timers(process).await.unwrap().unwrap();
    assert_eq!(derived.timers()[0].given, 4);
    again.su.stop().await;
    // Shown: it is one of those that were given, and the later ones follow.
    let again = begin().await;
    assert_eq!(again.su.adopt(items(&fourth)).await.unwrap().adopted, 1);
    assert_eq!(again.su.give_ticks().await.unwrap(), 0, "it is held still");
    confirm(&again.su, process, Tail::Whole).await.unwrap();
    assert_eq!(again.su.give_ticks().await.unwrap(), 3);
    let due = |entry: &Scheduled| entry.message.as_ref().unwrap().tags.first("Tick-Due").map(str::to_owned);
    let dues: Vec<String> = again.whole(process).await.iter().filter_map(due).collect();
    let start = dues[0].parse::<u64>().unwrap();
    assert_eq!(dues, (0..7).map(|n| (start + n * MINUTE).to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_backup_that_is_brought_back_repeats_no_tick() {
    const MINUTE: u64 = 60_000;
    let by_hand = || Options { tick_interval_ms: 3_600_000, ..forgetful() };
    let folder = tempfile::tempdir().unwrap();
    let open =
        |name: &str| Arc::new(DiskStore::open(folder.path().join(name), store::Options::default()).unwrap());
    let store = open("state");
    let world = World::on(store.clone(), by_hand()).await;
    let mut processes = Vec::new();
    for missed in ["skip", "once", "all-100"] {
        let tags = [("Tick-Interval", "1-minute"), ("Tick-Missed", missed)];
        let item = unit::suite::process_item(&wallet(1), world.address(), &tags);
        processes.push(world.su.schedule(item).await.unwrap().assignment.process);
    }
    let minutes = async |n: u64| {
        for _ in 0..n {
            world.clock.advance(MINUTE);
            assert_eq!(world.su.give_ticks().await.unwrap(), 3);
        }
    };
    minutes(2).await;
    world.su.settled().await;
    store.copy_to(folder.path().join("backup")).unwrap();
    // Of what comes after the backup, the weave has the first, and somebody was shown the second.
    minutes(1).await;
    world.su.settled().await;
    world.weave.fail_uploads(u64::MAX);
    minutes(1).await;
    let mut seen = Vec::new();
    for process in &processes {
        seen.push(world.whole(*process).await);
    }
    world.su.stop().await;

    world.weave.fail_uploads(0);
    let again = World::again(open("backup"), world.weave.clone(), world.clock.clone(), by_hand()).await;
    again.su.hold_all(Why::Backup).await.unwrap();
    assert_eq!(again.su.give_ticks().await.unwrap(), 0, "it is held");
    restored(&again.su).await;
    assert_eq!(again.su.give_ticks().await.unwrap(), 0, "it is held still");
    for (process, whole) in processes.iter().zip(&seen) {
        assert_eq!(again.su.adopt(items(&whole[4])).await.unwrap().adopted, 1);
        confirm(&again.su, *process, Tail::Whole).await.unwrap();
    }
    assert_eq!(again.su.give_ticks().await.unwrap(), 0, "all moments so far have their ticks");
    world.clock.advance(MINUTE);
    assert_eq!(again.su.give_ticks().await.unwrap(), 3);
    for (process, whole) in processes.iter().zip(&seen) {
        let now = again.whole(*process).await;
        assert_eq!(now[..5], whole[..], "what was seen is what it was");
        let due = |entry: &Scheduled| entry.message.as_ref()?.tags.first("Tick-Due")?.parse::<u64>().ok();
        let dues: Vec<u64> = now.iter().filter_map(due).collect();
        assert_eq!(dues, (0..5).map(|n| dues[0] + n * MINUTE).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_slot_that_was_given_twice_halts_the_process() {
    let world = World::memory().await;
    let process = world.spawn("one").await;
    world.su.settled().await;
    world.weave.fail_uploads(u64::MAX);
    let lost = world.su.schedule(message(process, "lost")).await.unwrap().entry;
    world.su.stop().await;
    world.weave.fail_uploads(0);

    let again = reborn(&world.weave, &world.clock).await;
    restored(&again.su).await;
    // The operator is wrong.
    confirm(&again.su, process, Tail::Whole).await.unwrap();
    again.su.schedule(message(process, "other")).await.unwrap();
    let refused = again.su.adopt(items(&lost)).await.unwrap_err();
    assert_eq!((refused.kind, refused.code), (Kind::Conflict, Code::CONTRADICTION), "{refused}");
    assert_eq!(again.su.schedule(message(process, "more")).await.unwrap_err().code, Code::HELD);
    assert_eq!(confirm(&again.su, process, Tail::Whole).await.unwrap_err().code, Code::NOT_THE_TAIL);
    confirm(&again.su, process, Tail::Ended).await.unwrap();
    let placed = again.su.schedule(message(process, "more")).await.unwrap();
    assert_eq!(placed.assignment.slot, Slot(2));
    assert!(placed.assignment.epoch.0 > 0);
}

#[tokio::test]
async fn what_was_given_up_counts_no_more() {
    let world = World::memory().await;
    let process = world.spawn("one").await;
    world.su.settled().await;
    world.weave.fail_uploads(u64::MAX);
    let lost = world.su.schedule(message(process, "lost")).await.unwrap().entry;
    world.su.stop().await;
    world.weave.fail_uploads(0);

    let again = reborn(&world.weave, &world.clock).await;
    restored(&again.su).await;
    confirm(&again.su, process, Tail::Ended).await.unwrap();
    let other = again.su.schedule(message(process, "other")).await.unwrap().entry;
    assert_eq!(other.assignment.slot, Slot(1));
    assert!(other.assignment.epoch.0 > 0);
    assert_eq!(again.su.adopt(items(&lost)).await.unwrap().void, 1);
    let next = again.su.schedule(message(process, "lost")).await.unwrap();
    assert_eq!(next.assignment.slot, Slot(2));
    assert!(next.assignment.epoch.0 > 0);
    // And it stays so when all is lost again, although the weave has both by then.
    items(&lost).into_iter().for_each(|item| again.weave.put(item.item().clone()));
    again.su.settled().await;
    let whole = again.whole(process).await;
    again.su.stop().await;
    let third = reborn(&world.weave, &world.clock).await;
    let told = restored(&third.su).await;
    assert_eq!((third.whole(process).await, told.restoring.problems), (whole, vec![]));
}

#[tokio::test]
async fn a_backup_is_behind_what_was_seen() {
    // The same store, as it was.
    let world = World::memory().await;
    let process = world.spawn("one").await;
    world.su.settled().await;
    let behind: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let copy = World::again(behind.clone(), world.weave.clone(), world.clock.clone(), forgetful()).await;
    restored(&copy.su).await;
    let general = state(&copy.su, None).await.general.unwrap();
    let all = Order::Confirm { process: None, at: None, since: general.since, tail: Tail::Whole };
    copy.su.order(signed(all)).await.unwrap();
    copy.su.stop().await;
    world.su.schedule(message(process, "later")).await.unwrap();
    world.su.settled().await;
    let whole = world.whole(process).await;
    world.su.stop().await;

    let again = World::again(behind, world.weave.clone(), world.clock.clone(), forgetful()).await;
    again.su.hold_all(Why::Backup).await.unwrap();
    assert_eq!(again.su.schedule(message(process, "x")).await.unwrap_err().code, Code::HELD);
    restored(&again.su).await;
    assert_eq!(again.whole(process).await, whole, "the weave knew more than the backup");
}

#[tokio::test]
async fn a_gap_on_the_weave_is_named() {
    let world = World::memory().await;
    let process = world.spawn("one").await;
    for n in 0..5 {
        world.su.schedule(message(process, &n.to_string())).await.unwrap();
    }
    world.su.settled().await;
    let whole = world.whole(process).await;
    world.su.stop().await;
    world.weave.forget(whole[3].message_id());

    let again = reborn(&world.weave, &world.clock).await;
    let told = restored(&again.su).await;
    let [problem] = &told.restoring.problems[..] else { panic!("{told:?}") };
    assert!(problem.what.contains("slot 3"), "{problem:?}");
    let held = state(&again.su, Some(process)).await.held.remove(0);
    assert_eq!((held.tail, held.shown), (Some(Slot(2)), Some(Slot(5))));
    assert_eq!(confirm(&again.su, process, Tail::Whole).await.unwrap_err().code, Code::NOT_THE_TAIL);
    // Whoever sent the message has it.
    again.su.adopt(items(&whole[3])).await.unwrap();
    assert_eq!(again.whole(process).await, whole);
    confirm(&again.su, process, Tail::Whole).await.unwrap();
}

#[tokio::test]
async fn a_fork_on_the_weave_is_named_and_halts() {
    let world = World::memory().await;
    let process = world.spawn("one").await;
    world.su.settled().await;
    // Two nodes run with one key from here on.
    let twin = FakeWeave::new();
    for id in world.weave.ids() {
        twin.put((*world.weave.get(id).await.unwrap().item).clone());
    }
    let copy = reborn(&twin, &world.clock).await;
    restored(&copy.su).await;
    confirm(&copy.su, process, Tail::Whole).await.unwrap();
    world.su.schedule(message(process, "here")).await.unwrap();
    let there = copy.su.schedule(message(process, "there")).await.unwrap().entry;
    world.su.settled().await;
    world.su.stop().await;
    items(&there).into_iter().for_each(|item| world.weave.put(item.item().clone()));

    let again = reborn(&world.weave, &world.clock).await;
    let told = restored(&again.su).await;
    assert!(told.restoring.problems[0].what.contains("contradicts"), "{told:?}");
    assert_eq!(confirm(&again.su, process, Tail::Whole).await.unwrap_err().code, Code::NOT_THE_TAIL);
}

/// A small generator, so that a seed says all.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % below
    }
}

/// What anybody ever saw: each slot of each epoch, once.
#[derive(Default)]
struct Visible(BTreeMap<(ProcessId, u64, u64), Id>);

impl Visible {
    #[track_caller]
    fn see(&mut self, entry: &Scheduled) {
        let assignment = &entry.assignment;
        let place = (assignment.process, assignment.epoch.0, assignment.slot.0);
        let first = *self.0.entry(place).or_insert(assignment.id());
        assert_eq!(first, assignment.id(), "two visible signatures at {place:?}");
    }
}

/// Work, a loss at any point, recovery from what the weave and others have, work again; several times.
async fn lives(seed: u64) {
    let mut dice = Dice(seed);
    let clock = FakeClock::advancing(1_700_000_000_000, 7);
    let mut weave = FakeWeave::new();
    let mut seen = Visible::default();
    // What clients and compute units kept of what they saw.
    let mut kept: Vec<Scheduled> = Vec::new();
    let mut processes: Vec<ProcessId> = Vec::new();
    let mut n = 0;
    for life in 0..4 {
        let ports = Ports {
            store: Arc::new(MemoryStore::new()),
            weave: weave.clone(),
            clock: clock.clone(),
            events: unit::Events::silent(),
            wallet: wallet(0),
        };
        let su = SchedulerUnit::open(ports, forgetful()).await.unwrap();
        if life > 0 {
            let first = unit::suite::process_item(&wallet(1), wallet(0).address(), &[("Name", "new?")]);
            assert_eq!(su.schedule(first).await.unwrap_err().code, Code::HELD);
            restored(&su).await;
            // Some show what they have, in any order.
            let mut shown: Vec<&Scheduled> = kept.iter().filter(|_| dice.roll(3) > 0).collect();
            for at in (1..shown.len()).rev() {
                shown.swap(at, dice.roll(at as u64 + 1) as usize);
            }
            for entry in shown {
                // An epoch that ended, and whose end is forgotten, can contradict the one after it.
                if let Err(error) = su.adopt(items(entry)).await {
                    assert_eq!(error.code, Code::CONTRADICTION, "{error}");
                }
            }
            for process in &processes {
                let refused = su.schedule(message(*process, &format!("held {n}"))).await.unwrap_err();
                // One of which the weave has nothing at all is not known.
                assert!([Code::HELD, Code::UNKNOWN_PROCESS].contains(&refused.code), "{refused}");
            }
            // The operator knows what was visible, or gives it up.
            for process in &processes {
                let held = state(&su, Some(*process)).await.held.remove(0);
                let of = |epoch: Option<u64>| {
                    let visible =
                        seen.0.keys().filter(|(of, at, _)| of == process && epoch.is_none_or(|e| e == *at));
                    visible.map(|(_, _, slot)| *slot).max()
                };
                let newest = seen.0.keys().filter(|(of, ..)| of == process).map(|(_, epoch, _)| *epoch).max();
                let is_sane = held.hold.is_some_and(|hold| hold.why != Why::Contradiction);
                let is_whole = is_sane
                    && held.tail.map(|tail| tail.0) == of(newest)
                    && held.epoch == newest.unwrap_or(0);
                let tail = if is_whole && dice.roll(4) > 0 { Tail::Whole } else { Tail::Ended };
                // What was shown says otherwise, if it is of an epoch whose end is forgotten.
                if confirm(&su, *process, tail).await.is_err() {
                    confirm(&su, *process, Tail::Ended).await.unwrap();
                }
            }
            let since = state(&su, None).await.general.unwrap().since;
            let all = Order::Confirm { process: None, at: None, since, tail: Tail::Ended };
            su.order(signed(all)).await.unwrap();
            // Whoever saw a slot that is there sees the same one.
            for process in &processes {
                let range = unit::SlotRange::Slots { after: None, to: None };
                if let Ok(page) = su.schedule_page(*process, range, 1000).await {
                    page.items.iter().for_each(|entry| seen.see(entry));
                }
            }
        }
        // The weave takes some of it, and stops taking anything at some point.
        let settles = dice.roll(12);
        for step in 0..12 {
            if step == settles {
                if dice.roll(2) == 0 {
                    su.settled().await;
                }
                weave.fail_uploads(u64::MAX);
            }
            n += 1;
            let item = match processes.is_empty() || dice.roll(6) == 0 {
                true => {
                    unit::suite::process_item(&wallet(1), wallet(0).address(), &[("Name", &n.to_string())])
                }
                false => message(processes[dice.roll(processes.len() as u64) as usize], &n.to_string()),
            };
            match su.schedule(item.clone()).await {
                Ok(placed) => {
                    seen.see(&placed.entry);
                    if dice.roll(2) == 0 {
                        kept.push(placed.entry.clone());
                    }
                    if item.kind() == Some("Process") {
                        processes.push(item.id.into());
                    }
                }
                // A process all of which is lost.
                Err(error) => assert_eq!(error.code, Code::UNKNOWN_PROCESS, "{error}"),
            }
        }
        su.stop().await;
        // The next one finds what the weave has, in which some of it may be missing.
        let next = FakeWeave::new();
        for id in weave.ids() {
            if dice.roll(20) > 0 {
                next.put((*weave.get(id).await.unwrap().item).clone());
            }
        }
        weave = next;
        if !weave.ids().iter().any(|_| true) {
            // Nothing at all is known of it: then it is new, which is what it cannot know (docs/recovery.md).
            return;
        }
        let mut signed = false;
        for id in weave.ids() {
            signed |= weave.get(id).await.unwrap().item.address() == wallet(0).address();
        }
        if !signed {
            return;
        }
    }
}

#[tokio::test]
async fn no_slot_ever_gets_two_visible_signatures() {
    for seed in 0..200 {
        let life = tokio::spawn(lives(seed));
        life.await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}
