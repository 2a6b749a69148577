//! Days of timers in a world with all units: processes tell each other of every tick, change their timers, and spawn others
//! that have some, and whatever can go wrong does.
//!
//! In the end: exactly the ticks that are due by policy; each told to the process that is to hear of it once; and a
//! second node, which knows nothing but the weave and has no clock, has the same states and the same timers. Crons of
//! legacynet are there as well: all of them in their order, each told once, the same for every compute unit.
//!
//! `cargo xtask sim --week SEED` runs a small one, with `--full` a thousand processes for seven days.

pub(crate) mod checks;
pub(crate) mod explain;
mod report;
pub(crate) mod table;
pub(crate) mod timers;
pub(crate) mod trouble;
mod wishes;

use std::sync::Arc;
use std::time::Duration;

use protocol::{DataItem, ProcessId, tag};
use tokio::task::JoinSet;

use self::timers::{Ticking, choose};
use self::trouble::{Hand, Storm};
use crate::mutants::Mutant;
use crate::network::{Network, Setup};
use crate::pace::Pace;
use crate::workload::{Workload, process};
use crate::world::{BEGINNING_MS, Host, World, alone};

pub use self::report::{Changed, Counts, WeekReport};
pub use self::trouble::Said;

/// Virtual time within which everything must be settled once nothing goes wrong any more: a unit may be down for hours
/// still, and a block comes every ten minutes.
const CALM: Duration = Duration::from_secs(24 * 60 * 60);
/// How long everything goes on as it should before the timers end.
const AFTER: Duration = Duration::from_secs(30 * 60);
/// Longer than from one block to the next.
const LAG: Duration = Duration::from_secs(25 * 60);
/// Processes that are spawned at once. Each tells one of an earlier lot.
const LOT: usize = 40;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Week {
    /// Decides everything.
    pub seed: u64,
    /// Processes with a timer.
    pub processes: usize,
    /// For so long.
    pub hours: u64,
    /// How much a call may suffer: all that a seed draws, or little, so that a large world comes to its end.
    pub is_gentle: bool,
    /// A rule to break.
    pub mutant: Option<Mutant>,
    /// Whether to write down what happens.
    pub text: bool,
}

impl Week {
    /// As it is in every run of the suite: a day.
    pub fn small(seed: u64) -> Week {
        Week { seed, processes: 24, hours: 24, is_gentle: false, mutant: None, text: false }
    }

    /// A thousand processes for seven days.
    pub fn full(seed: u64) -> Week {
        Week { seed, processes: 1000, hours: 7 * 24, is_gentle: true, mutant: None, text: false }
    }
}

/// A cron of legacynet and the process that has it.
struct Cron {
    process: ProcessId,
    /// Its intervals, each under its name.
    intervals: &'static [(&'static str, &'static str)],
}

/// Intervals of legacynet, by the name that each has here.
const CRONS: [&[(&str, &str)]; 4] = [
    &[("ten", "10-minutes")],
    &[("seven", "7-minutes"), ("two-hours", "2-hours")],
    &[("hour", "1-hour")],
    &[("blocks", "3-blocks")],
];

/// Who takes part.
struct Cast {
    workload: Arc<Workload>,
    /// Hears of the first processes, and of all crons.
    ear: ProcessId,
    /// No timer has a moment after this, ms since 1970.
    end: u64,
    ticking: Vec<Ticking>,
    /// Those whose timers are changed by message.
    changing: Vec<ProcessId>,
    /// Those that spawn others.
    parents: Vec<ProcessId>,
    crons: Vec<Cron>,
}

/// Runs it to its end, on this thread.
pub fn run_week(plan: Week) -> WeekReport {
    alone(async {
        let world = World::with(plan.seed, plan.text, |faults| {
            // One that pushes what another has pushed signs it, too: that is for the seeds.
            faults.both_messengers = false;
            // In days a crash of every hundredth call leaves time for nothing else: see `trouble`.
            (faults.crash_permille, faults.cuts) = (0, false);
            if plan.is_gentle {
                let less = |permille: &mut u64| *permille = (*permille).min(10);
                less(&mut faults.lost_request_permille);
                less(&mut faults.lost_reply_permille);
                less(&mut faults.twice_permille);
                less(&mut faults.forget_permille);
                (faults.tiny, faults.slow) = (false, None);
            }
        });
        let hand = Arc::new(Hand::default());
        let mut report = WeekReport::default();
        phases(&world, &hand, plan, &mut report).await;
        let (crashes, events) = world.counts();
        WeekReport {
            violations: world.violations(),
            crashes,
            torn_ticks: world.torn_ticks(),
            said: hand.said(),
            events,
            trace: world.trace(),
            text: world.text(),
            took: world.elapsed(),
            ..report
        }
    })
}

async fn phases(world: &Arc<World>, hand: &Arc<Hand>, plan: Week, report: &mut WeekReport) {
    let network =
        Network::new(Arc::clone(world), Setup { pace: Pace::Days, mutant: plan.mutant, ..Setup::default() });
    hand.set(world, 0);
    let turning = tokio::spawn(Arc::clone(hand).turn(Arc::clone(&network)));
    if let Err(error) = network.run().await {
        return world.violation(format!("the network does not start: {error}"));
    }
    let cast = begin(&network, plan).await;
    let storm = Storm::begin(&network, hand);
    let who = (cast.changing.clone(), cast.parents.clone());
    let wishing = wishes::ask(Arc::clone(&network), Arc::clone(&cast.workload), who, plan, cast.end);
    let wishing = tokio::spawn(wishing);
    tokio::time::sleep(Duration::from_secs(plan.hours * 3600).saturating_sub(world.elapsed())).await;
    storm.end().await;
    let Ok(asked) = wishing.await else { return world.violation("nobody asks for timers any more") };
    tokio::time::sleep(2 * AFTER).await;
    cast.workload.end_crons().await;
    if let Err(left) = network.settle(CALM).await {
        return world.violation(left);
    }
    // For whoever knows only the weave it is no later than its newest block.
    tokio::time::sleep(LAG).await;
    hand.stop();
    if turning.await.is_err() {
        return world.violation("the scheduler's clock is turned no more");
    }
    if let Err(error) = checks::all(&network, &cast, &asked, hand, report).await {
        world.violation(format!("what is left cannot be read: {error}"));
    }
}

/// Spawns everybody.
async fn begin(network: &Arc<Network>, plan: Week) -> Cast {
    let mut workload = Workload::on(network).await;
    let ear = workload.spawn(10_000, &[]).await;
    let mut ticking: Vec<Ticking> = Vec::new();
    let mut items: Vec<DataItem> = Vec::new();
    let end = BEGINNING_MS + plan.hours * 3_600_000 + AFTER.as_millis() as u64;
    for n in 0..plan.processes {
        let (kind, policy) = choose(n, plan.processes, plan.seed);
        let listener = n.checked_sub(LOT).map_or(ear, |earlier| ticking[earlier].process);
        let (heard_by, ends) = (listener.to_string(), end.to_string());
        let tags = [
            ("Listener", heard_by.as_str()),
            ("Exact", "yes"),
            (kind.tag, kind.text),
            ("Tick-Name", "it"),
            ("Tick-Missed", policy.text()),
            ("Tick-End", ends.as_str()),
        ];
        let item = process(&workload.owner, n as u64, &tags);
        ticking.push(Ticking { process: item.id.into(), kind, policy });
        items.push(item);
    }
    let (mut changing, mut parents) = (Vec::new(), Vec::new());
    for n in 0..wishes::changing(&plan) + wishes::parents(&plan) {
        let heard_by = ear.to_string();
        let mut tags = vec![("Listener", heard_by.as_str()), ("Exact", "yes")];
        let timer = wishes::some_timer(&network.world, "it", end);
        let which = if n < wishes::changing(&plan) { &mut changing } else { &mut parents };
        if n < wishes::changing(&plan) {
            tags.extend(timer.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        }
        which.push(workload.spawn(30_000 + n as u64, &tags).await);
    }
    let mut crons = Vec::new();
    for (n, intervals) in CRONS.into_iter().enumerate() {
        let heard_by = ear.to_string();
        let mut tags = vec![("Listener", heard_by.as_str()), ("Exact", "yes")];
        for (name, interval) in intervals {
            tags.extend([(tag::CRON_INTERVAL, *interval), ("Cron-Tag-Timer", *name)]);
        }
        let process = workload.spawn(20_000 + n as u64, &tags).await;
        workload.ask_monitor(0, process, true).await;
        workload.crons.push(process);
        crons.push(Cron { process, intervals });
    }
    let workload = Arc::new(workload);
    for lot in items.chunks(LOT) {
        let mut spawning = JoinSet::new();
        for item in lot {
            let (workload, item) = (Arc::clone(&workload), item.clone());
            spawning.spawn(async move {
                let process = item.id.into();
                workload.send(item, process).await;
            });
        }
        while spawning.join_next().await.is_some() {}
    }
    network.world.tell(Host::Client, Host::Client, "has spawned", &plan.processes, &"");
    Cast { workload, ear, end, ticking, changing, parents, crons }
}
