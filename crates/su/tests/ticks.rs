//! Scheduled ticks: each due one has one slot, whatever crashes, and a messenger is told of each.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::{World, message, options};
use pirn_su::timers::Table;
use protocol::{Address, DataItem, Id, ProcessId, Timestamp, tag};
use store::MemoryStore;
use unit::fakes::{FakeClock, FakeWeave};
use unit::suite;
use unit::{
    AssignRequest, Clock as _, Error, Messenger, Monitored, MonitoredQuery, OutboxEntry, OutboxQuery, Page,
    ProcessTimers, Receipt, Result, Scheduler as _, TimersQuery, Trace, TraceQuery,
};

const START: u64 = 1_700_000_000_000;
const MINUTE: u64 = 60_000;

/// A messenger that counts how often it was told of what, and may be away.
#[derive(Default)]
struct Ears {
    heard: Mutex<BTreeMap<(ProcessId, Id), usize>>,
    is_away: AtomicBool,
}

#[async_trait]
impl Messenger for Ears {
    async fn push(&self, process: ProcessId, message: Id, index: Option<usize>) -> Result<()> {
        assert_eq!(index, None);
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Error::unavailable("it is away"));
        }
        *self.heard.lock().unwrap().entry((process, message)).or_default() += 1;
        Ok(())
    }

    async fn send(&self, _: DataItem) -> Result<Receipt> {
        unreachable!()
    }
    async fn assign(&self, _: AssignRequest) -> Result<Receipt> {
        unreachable!()
    }
    async fn monitor(&self, _: DataItem) -> Result<()> {
        unreachable!()
    }
    async fn unmonitor(&self, _: DataItem) -> Result<()> {
        unreachable!()
    }
    async fn monitored(&self, _: MonitoredQuery) -> Result<Page<Monitored>> {
        unreachable!()
    }
    async fn traces(&self, _: TraceQuery) -> Result<Page<Trace>> {
        unreachable!()
    }
    async fn outbox(&self, _: OutboxQuery) -> Result<Page<OutboxEntry>> {
        unreachable!()
    }
    async fn retry(&self, _: u64) -> Result<()> {
        unreachable!()
    }
    async fn address(&self) -> Result<Address> {
        unreachable!()
    }
}

/// No look at what is due but those that a test takes.
fn by_hand() -> pirn_su::Options {
    pirn_su::Options { tick_interval_ms: u64::MAX / 4, tick_retry_ms: 1, ..options() }
}

async fn world(store: &Arc<MemoryStore>, clock: &Arc<FakeClock>) -> World {
    World::again(store.clone(), FakeWeave::new(), clock.clone(), by_hand()).await
}

async fn fresh() -> (Arc<MemoryStore>, Arc<FakeClock>, World) {
    let (store, clock) = (Arc::new(MemoryStore::new()), FakeClock::at(START));
    let world = world(&store, &clock).await;
    (store, clock, world)
}

async fn spawn(world: &World, tags: &[(&str, &str)]) -> ProcessId {
    let item = suite::process_item(&suite::wallet(1), world.address(), tags);
    world.su.schedule(item).await.unwrap().assignment.process
}

/// The moments of the ticks in a schedule, counted from the beginning.
async fn ticks(world: &World, process: ProcessId) -> Vec<u64> {
    let all = world.whole(process).await;
    suite::check_schedule(process, &all);
    let due =
        |item: &protocol::Item| item.tags.first("Tick-Due").map(|due| due.parse::<u64>().unwrap() - START);
    all.iter().filter_map(|entry| entry.message.as_deref().and_then(due)).collect()
}

/// What the store has is what the log says.
async fn check_derived(world: &World, process: ProcessId) {
    let derived: Option<Table> = world.su.derive_timers(process).await.unwrap();
    let before =
        world.su.timers(TimersQuery { process: Some(process), ..TimersQuery::default() }).await.unwrap();
    world.su.rebuild_timers(process).await.unwrap();
    let after =
        world.su.timers(TimersQuery { process: Some(process), ..TimersQuery::default() }).await.unwrap();
    assert_eq!(before.items, after.items);
    assert_eq!(derived.is_some_and(|table| !table.is_blank()), !after.items.is_empty());
}

async fn told(ears: &Ears, n: usize) {
    while ears.heard.lock().unwrap().len() < n {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_tick_is_a_message_of_the_scheduler_in_the_log() {
    let (_, clock, world) = fresh().await;
    let process =
        spawn(&world, &[("Tick-Interval", "1-minute"), ("Tick-Name", "sweep"), ("Tick-Tag-X", "1")]).await;
    assert_eq!(world.su.give_ticks().await.unwrap(), 0);
    assert_eq!(world.su.next_tick().unwrap(), Some(Timestamp(START + MINUTE)));
    clock.advance(MINUTE);
    assert_eq!(world.su.give_ticks().await.unwrap(), 1);
    assert_eq!(world.su.give_ticks().await.unwrap(), 0);
    let entry = world.su.latest(process).await.unwrap();
    let item = entry.message.unwrap();
    assert_eq!((item.address(), item.target), (world.address(), Some(process.0)));
    let said: Vec<_> = item.tags.iter().map(|tag| format!("{}={}", tag.name, tag.value)).collect();
    let due = format!("Tick-Due={}", START + MINUTE);
    assert_eq!(
        said,
        [
            "Data-Protocol=ao",
            "Variant=ao.TN.1",
            "Type=Message",
            "Action=Tick",
            "Tick-Name=sweep",
            &due,
            "Tick-Number=1",
            "X=1"
        ]
    );
    assert_eq!(ticks(&world, process).await, [MINUTE]);
    check_derived(&world, process).await;
}

#[tokio::test]
async fn the_ticker_does_so_by_itself() {
    let (store, clock) = (Arc::new(MemoryStore::new()), FakeClock::at(START));
    let paces = pirn_su::Options { tick_interval_ms: 1, ..options() };
    let world = World::again(store, FakeWeave::new(), clock.clone(), paces).await;
    let process = spawn(&world, &[("Tick-Cron", "* * * * *")]).await;
    clock.advance(2 * MINUTE);
    while world.su.latest(process).await.unwrap().assignment.slot.0 < 1 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn looks_at_once_give_it_once() {
    let (_, clock, world) = fresh().await;
    let process = spawn(&world, &[("Tick-Interval", "1-minute"), ("Tick-Missed", "all-5")]).await;
    clock.advance(3 * MINUTE);
    let looks = (0..8).map(|_| world.su.give_ticks());
    let given: u64 = futures::future::join_all(looks).await.into_iter().map(|given| given.unwrap()).sum();
    assert_eq!((given, ticks(&world, process).await), (3, vec![MINUTE, 2 * MINUTE, 3 * MINUTE]));
}

#[tokio::test]
async fn a_restart_goes_on_and_a_clock_that_goes_back_repeats_nothing() {
    let (store, clock, first) = fresh().await;
    let process = spawn(&first, &[("Tick-Interval", "1-minute"), ("Tick-Missed", "all-9")]).await;
    clock.advance(2 * MINUTE);
    first.su.give_ticks().await.unwrap();
    drop(first);
    let earlier = FakeClock::at(START);
    let second = world(&store, &earlier).await;
    assert_eq!(second.su.give_ticks().await.unwrap(), 0);
    earlier.advance(2 * MINUTE);
    assert_eq!(second.su.give_ticks().await.unwrap(), 0);
    earlier.advance(2 * MINUTE);
    assert_eq!(second.su.give_ticks().await.unwrap(), 2);
    assert_eq!(ticks(&second, process).await, [1, 2, 3, 4].map(|n| n * MINUTE));
    check_derived(&second, process).await;
}

#[tokio::test]
async fn a_moment_that_was_skipped_stays_so_over_a_restart_until_the_process_changes_a_timer() {
    for is_changed in [false, true] {
        let (store, clock, first) = fresh().await;
        let process = spawn(&first, &[("Tick-Interval", "5-minutes"), ("Tick-Missed", "skip")]).await;
        // Two minutes late, by a clock that is wrong.
        clock.advance(7 * MINUTE);
        assert_eq!(first.su.give_ticks().await.unwrap(), 0);
        drop(first);
        let right = FakeClock::at(START + 4 * MINUTE);
        let second = world(&store, &right).await;
        if is_changed {
            let tags = [("Action", "Tick-Set"), ("Tick-Interval", "1-day"), ("Tick-Name", "too")];
            let wish = suite::message_item(&suite::wallet(1), process, &tags, "");
            second.su.schedule(wish).await.unwrap();
        }
        right.advance(MINUTE);
        assert_eq!(second.su.give_ticks().await.unwrap(), u64::from(is_changed));
        right.advance(5 * MINUTE);
        assert_eq!(second.su.give_ticks().await.unwrap(), 1);
        let given = ticks(&second, process).await;
        assert_eq!(given, if is_changed { vec![5 * MINUTE, 10 * MINUTE] } else { vec![10 * MINUTE] });
    }
}

#[tokio::test]
async fn a_crash_before_it_is_durable_gives_it_again_and_after_it_never() {
    for is_durable in [false, true] {
        let store = Arc::new(MemoryStore::stepped());
        let clock = FakeClock::at(START);
        let before = World::again(store.clone(), FakeWeave::new(), clock.clone(), by_hand()).await;
        before.weave.fail_uploads(u64::MAX);
        // It writes down that it begins.
        while store.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        store.sync();
        let item = suite::process_item(&suite::wallet(1), before.address(), &[("Tick-Interval", "1-minute")]);
        let (su, asked) = (
            before.su.clone(),
            tokio::spawn({
                let (su, item) = (before.su.clone(), item.clone());
                async move { su.schedule(item).await }
            }),
        );
        while store.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        store.sync();
        let process = asked.await.unwrap().unwrap().assignment.process;
        clock.advance(MINUTE);
        let waiting = store.waiting();
        let look = tokio::spawn(async move { su.give_ticks().await });
        while store.waiting() == waiting {
            tokio::task::yield_now().await;
        }
        if is_durable {
            store.sync();
            assert_eq!(look.await.unwrap().unwrap(), 1);
        } else {
            look.abort();
        }
        drop(before);
        let left = Arc::new(store.crash());
        let after = World::again(left.clone(), FakeWeave::new(), clock, by_hand()).await;
        after.weave.fail_uploads(u64::MAX);
        let su = after.su.clone();
        let look = tokio::spawn(async move { su.give_ticks().await });
        while !look.is_finished() {
            left.sync();
            tokio::task::yield_now().await;
        }
        assert_eq!(look.await.unwrap().unwrap(), u64::from(!is_durable));
        assert_eq!(ticks(&after, process).await, [MINUTE]);
    }
}

#[tokio::test]
async fn a_messenger_is_told_of_each_once_and_of_those_first_that_nobody_took() {
    let (store, clock, first) = fresh().await;
    for n in 0..3 {
        spawn(&first, &[("Tick-Interval", "1-minute"), ("Name", &n.to_string())]).await;
    }
    clock.advance(MINUTE);
    assert_eq!(first.su.give_ticks().await.unwrap(), 3);
    let seen = first.su.ticks();
    assert_eq!((seen.given, seen.told, seen.untold, seen.has_messenger), (3, 0, 3, false));
    drop(first);

    let second = world(&store, &clock).await;
    let ears = Arc::new(Ears::default());
    ears.is_away.store(true, Ordering::SeqCst);
    second.su.push_ticks_through(ears.clone());
    while second.su.ticks().error.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(second.su.ticks().untold, 3);
    ears.is_away.store(false, Ordering::SeqCst);
    told(&ears, 3).await;
    clock.advance(MINUTE);
    second.su.give_ticks().await.unwrap();
    told(&ears, 6).await;
    while second.su.ticks_untold() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(ears.heard.lock().unwrap().values().all(|times| *times == 1));
    second.su.stop().await;
    drop(second);
    let third = world(&store, &clock).await;
    assert_eq!(third.su.ticks().untold, 0, "what was taken is told to nobody again");
}

#[tokio::test]
async fn timers_are_set_changed_and_cancelled_by_message() {
    let (_, clock, world) = fresh().await;
    let process = spawn(&world, &[]).await;
    let send = |by: u8, tags: Vec<(&'static str, &'static str)>| {
        let item = suite::message_item(&suite::wallet(by), process, &tags, "");
        world.su.schedule(item)
    };
    let set = vec![("Action", "Tick-Set"), ("Tick-Interval", "1-minute"), ("Tick-Name", "x")];
    send(7, set.clone()).await.unwrap();
    clock.advance(MINUTE);
    assert_eq!(world.su.give_ticks().await.unwrap(), 0, "a stranger sets nothing");
    send(1, set).await.unwrap();
    clock.advance(MINUTE);
    assert_eq!(world.su.give_ticks().await.unwrap(), 1);
    send(1, vec![("Action", "Tick-Set"), ("Tick-Interval", "2-minutes"), ("Tick-Name", "x")]).await.unwrap();
    clock.advance(MINUTE);
    assert_eq!(world.su.give_ticks().await.unwrap(), 0);
    // It is counted from the timestamp of the message, which is a millisecond after the tick before it.
    clock.advance(MINUTE + 1);
    assert_eq!(world.su.give_ticks().await.unwrap(), 1);
    check_derived(&world, process).await;
    send(1, vec![("Action", "Tick-Cancel"), ("Tick-Name", "*")]).await.unwrap();
    clock.advance(10 * MINUTE);
    assert_eq!(world.su.give_ticks().await.unwrap(), 0);
    send(1, vec![("Action", "Tick-Set"), ("Tick-Interval", "never")]).await.unwrap();
    let told =
        world.su.timers(TimersQuery { process: Some(process), ..TimersQuery::default() }).await.unwrap();
    let ProcessTimers { timers, refused, .. } = told.items[0].clone();
    assert!(timers.is_empty() && refused.is_some_and(|(_, why)| why.contains("never")));
    assert_eq!(world.su.next_tick().unwrap(), None);
    check_derived(&world, process).await;
}

#[tokio::test]
async fn what_looks_like_a_tick_takes_no_ticks_place() {
    let (_, clock, world) = fresh().await;
    let process = spawn(&world, &[("Tick-Interval", "1-minute"), ("Tick-Name", "x")]).await;
    clock.advance(MINUTE);
    let due = (START + MINUTE).to_string();
    let tags = [("Action", "Tick"), ("Tick-Name", "x"), ("Tick-Due", due.as_str())];
    world.su.schedule(suite::message_item(&suite::wallet(1), process, &tags, "")).await.unwrap();
    world.su.schedule(message(process, "hello")).await.unwrap();
    assert_eq!(world.su.ticks().untold, 0);
    assert_eq!(world.su.give_ticks().await.unwrap(), 1);
    // Sent again by whoever read it, it keeps its slot.
    let tick = world.su.latest(process).await.unwrap();
    let bytes = tick.message.as_ref().unwrap().tags.first(tag::ACTION).map(str::to_owned);
    assert_eq!(bytes.as_deref(), Some("Tick"));
    assert_eq!(world.su.give_ticks().await.unwrap(), 0);
    assert_eq!(clock.now(), Timestamp(START + MINUTE));
}

#[tokio::test]
async fn timers_are_listed_page_by_page() {
    let (_, _, world) = fresh().await;
    let mut all = Vec::new();
    for n in 0..5 {
        all.push(
            spawn(&world, &[("Tick-Cron", "@daily"), ("Tick-Budget", "3"), ("Name", &n.to_string())]).await,
        );
    }
    all.sort();
    let mut seen = Vec::new();
    loop {
        let query = TimersQuery { after: seen.last().copied(), limit: 2, ..TimersQuery::default() };
        let page = world.su.timers(query).await.unwrap();
        for shown in page.items {
            assert_eq!((shown.timers[0].budget_left, shown.timers[0].schedule.as_str()), (Some(3), "@daily"));
            seen.push(shown.process);
        }
        if !page.has_next {
            break;
        }
    }
    assert_eq!(seen, all);
}
