//! A week of ticks in a world where the scheduler crashes, its clock jumps both ways, and the messenger is away or
//! slow: exactly the ticks that are due by policy, each taken by the messenger, and the same tables from the log.
//!
//! Processes have intervals from one minute to one day, a cron syntax among them, and every policy. What is expected is
//! worked out apart: at each look, from nothing but the moments, the policy and what the clock had shown before.
//!
//! Here every look is taken by the test, so what it had to bring is certain, and it is broken off at any await. Days
//! with all units, and a thousand processes, are in `testing/sim/tests/week.rs`.
#![expect(clippy::disallowed_macros, reason = "what a week was like is to be read")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::{World, options};
use protocol::{Address, DataItem, Id, ProcessId};
use store::MemoryStore;
use unit::fakes::{FakeClock, FakeWeave};
use unit::{
    AssignRequest, Clock as _, Error, Messenger, Monitored, MonitoredQuery, OutboxEntry, OutboxQuery, Page,
    Receipt, Result, Scheduler as _, TimersQuery, Trace, TraceQuery, suite,
};

/// A whole day since 1970, so that an interval from a process's beginning and the calendar are told apart.
const START: u64 = 1_700_006_400_000 + 12_345;
const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// The kinds of processes: what the timer says, its interval in ms, and how many of a hundred have it.
const MIX: [(&str, &str, u64, usize); 7] = [
    ("Tick-Interval", "1-minute", MINUTE, 2),
    ("Tick-Interval", "5-minutes", 5 * MINUTE, 8),
    ("Tick-Interval", "15-minutes", 15 * MINUTE, 20),
    ("Tick-Cron", "*/30 * * * *", 30 * MINUTE, 20),
    ("Tick-Interval", "1-hour", 60 * MINUTE, 20),
    ("Tick-Interval", "6-hours", 6 * 60 * MINUTE, 15),
    ("Tick-Interval", "1-day", DAY, 15),
];

/// Takes ticks, or is away; what is told twice is one push to it, as to a real one.
#[derive(Default)]
struct Pusher {
    taken: Mutex<BTreeSet<(ProcessId, Id)>>,
    rng: Mutex<fastrand::Rng>,
}

#[async_trait]
impl Messenger for Pusher {
    async fn push(&self, process: ProcessId, message: Id, _: Option<usize>) -> Result<()> {
        let luck = self.rng.lock().unwrap().u8(..100);
        if luck < 20 {
            return Err(Error::unavailable("it is away"));
        }
        if luck < 40 {
            tokio::task::yield_now().await;
        }
        self.taken.lock().unwrap().insert((process, message));
        // It has it, and its answer is lost.
        if luck > 97 { Err(Error::unavailable("the connection was lost")) } else { Ok(()) }
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

/// What is expected of one process.
struct Expected {
    /// Its moments are `first + n * every`.
    first: u64,
    every: u64,
    missed: &'static str,
    given: Vec<u64>,
    /// A moment that was seen to have passed, and is skipped; also if the clock goes back before it.
    passed: Option<u64>,
}

impl Expected {
    /// A look at `now`: the ticks that it must bring.
    fn look(&mut self, now: u64) {
        let last = self.given.last().copied().max(self.passed);
        let next = last.map_or(self.first, |last| last + self.every);
        let due: Vec<u64> = (0..).map(|n| next + n * self.every).take_while(|at| *at <= now).collect();
        match self.missed {
            "skip" => match due.last() {
                Some(at) if now - at <= MINUTE => self.given.push(*at),
                late => self.passed = late.copied().or(self.passed),
            },
            "once" => self.given.extend(due.last()),
            // all-100, of which the newest hundred.
            _ => self.given.extend(&due[due.len().saturating_sub(100)..]),
        }
    }
}

async fn open(store: &Arc<MemoryStore>, clock: &Arc<FakeClock>, pusher: &Arc<Pusher>) -> World {
    let paces = pirn_su::Options { tick_interval_ms: u64::MAX / 4, tick_retry_ms: 1, ..options() };
    let world = World::again(store.clone(), FakeWeave::new(), clock.clone(), paces).await;
    world.su.push_ticks_through(pusher.clone());
    world
}

/// A week of `n` processes; `step` is the pause between two looks in ms.
async fn week(seed: u64, n: usize) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut store, clock, pusher) =
        (Arc::new(MemoryStore::new()), FakeClock::at(START), Arc::new(Pusher::default()));
    *pusher.rng.lock().unwrap() = fastrand::Rng::with_seed(seed);
    let mut world = open(&store, &clock, &pusher).await;
    let mut expected = BTreeMap::new();
    let kinds = MIX.iter().flat_map(|kind| std::iter::repeat_n(kind, kind.3)).collect::<Vec<_>>();
    for number in 0..n {
        let (tag, text, every, _) = *kinds[(number * 37) % kinds.len()];
        let missed = ["skip", "once", "all-100"][number % 3];
        let name = number.to_string();
        let tags = [("Name", name.as_str()), (tag, text), ("Tick-Missed", missed)];
        let item = suite::process_item(&suite::wallet(1), world.address(), &tags);
        let process = world.su.schedule(item).await.unwrap().assignment.process;
        let first = if tag == "Tick-Cron" { (START / every + 1) * every } else { START + every };
        expected.insert(process, Expected { first, every, missed, given: Vec::new(), passed: None });
    }
    let (mut crashes, mut jumps) = (0, 0);
    let mut real = START;
    while real < START + 7 * DAY {
        real += 30_000;
        // The clock goes with the time, but for jumps of up to three hours either way, which somebody corrects.
        let wrong = match rng.u32(..1000) {
            0 => rng.u64(..3 * 60 * MINUTE) as i64,
            1 | 2 => -(rng.u64(..3 * 60 * MINUTE) as i64),
            _ => 0,
        };
        jumps += usize::from(wrong != 0);
        clock.set(real.saturating_add_signed(wrong));
        match rng.u32(..2000) {
            // Down for up to eight hours.
            0 => {
                real += rng.u64(..8 * 60 * MINUTE);
                continue;
            }
            // In the middle of a look: what was written stays, and the look after the start does the rest.
            1..=3 => {
                crashes += 1;
                {
                    let su = world.su.clone();
                    let look = tokio::spawn(async move { su.give_ticks().await });
                    for _ in 0..rng.usize(..50) {
                        tokio::task::yield_now().await;
                    }
                    look.abort();
                }
                drop(world);
                store = Arc::new(store.crash());
                world = open(&store, &clock, &pusher).await;
            }
            _ => {}
        }
        world.su.give_ticks().await.unwrap();
        let now = clock.now().0;
        expected.values_mut().for_each(|one| one.look(now));
    }
    while world.su.ticks_untold() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let taken = pusher.taken.lock().unwrap().clone();
    let mut all = BTreeSet::new();
    let (mut due, mut by_kind) = (0, BTreeMap::<&str, usize>::new());
    for (process, one) in &expected {
        let entries = world.whole(*process).await;
        let dues: Vec<u64> = entries
            .iter()
            .filter_map(|entry| {
                let item = entry.message.as_deref()?;
                let at = item.tags.first("Tick-Due")?;
                all.insert((*process, item.id));
                Some(at.parse().unwrap())
            })
            .collect();
        assert_eq!(dues, one.given, "{process}, every {} ms, {}", one.every, one.missed);
        due += dues.len();
        *by_kind.entry(one.missed).or_default() += dues.len();
        // Whoever has the log has the table.
        let query = TimersQuery { process: Some(*process), ..TimersQuery::default() };
        let kept = world.su.timers(query).await.unwrap().items;
        world.su.rebuild_timers(*process).await.unwrap();
        assert_eq!(world.su.timers(query).await.unwrap().items, kept);
    }
    assert_eq!(taken, all, "the messenger took each tick, and nothing else");
    println!("{n} processes, 7 days: {due} ticks {by_kind:?}, {crashes} crashes, {jumps} jumps of the clock");
    assert!(crashes > 3 && jumps > 10, "the world was as bad as it was meant to be");
}

#[tokio::test]
async fn a_week_brings_exactly_the_ticks_that_are_due() {
    for seed in [1, 2] {
        week(seed, 25).await;
    }
}
