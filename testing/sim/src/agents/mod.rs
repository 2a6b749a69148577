//! A day of the agents of `processes/agents` in a world with all units, in which whatever can go wrong does: calls are
//! lost, come late, twice or in another order, units crash in the middle of something or stay down for hours, clocks
//! jump.
//!
//! In the end no token is lost, each agent has what it thinks that it has and kept to its budget, it had exactly the
//! ticks that were due, and its whole life is verified from the weave alone.
//!
//! `cargo xtask sim --agents SEED` runs one.

mod acts;
mod cast;
mod checks;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use runtime::Runtime;

use self::cast::{Cast, Compiled};
use crate::mutants::Mutant;
use crate::network::{Network, Setup};
use crate::pace::Pace;
use crate::week::trouble::{Hand, Said, Storm};
use crate::world::{BEGINNING_MS, World, alone};

/// Virtual time within which everything must be settled once nothing goes wrong any more: a block comes every ten
/// minutes.
const CALM: Duration = Duration::from_secs(24 * 60 * 60);
/// Virtual time that everything may take.
const ALL: Duration = Duration::from_secs(2 * 24 * 60 * 60 + 12 * 60 * 60);
/// How long everything goes on as it should before the timers end.
const AFTER: Duration = Duration::from_secs(60 * 60);

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Day {
    /// Decides everything.
    pub seed: u64,
    /// For so long.
    pub hours: u64,
    /// A rule of the units to break.
    pub mutant: Option<Mutant>,
    /// Whether to write down what happens.
    pub text: bool,
}

impl Day {
    /// A whole day.
    pub fn of(seed: u64) -> Day {
        Day { seed, hours: 24, mutant: None, text: false }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct DayReport {
    /// The rules that were broken; none if all is well.
    pub violations: Vec<String>,
    /// What agents did, by what it is.
    pub deeds: BTreeMap<&'static str, u64>,
    /// What those with a budget spent.
    pub spent: BTreeMap<&'static str, u64>,
    /// What the market's feeders said.
    pub resolved: Option<String>,
    /// Ticks of each agent with a timer.
    pub ticks: BTreeMap<&'static str, u64>,
    /// Messages with a slot.
    pub slots: u64,
    /// Slots that were verified, against each of two compute units.
    pub verified: u64,
    /// Outcomes that were compared.
    pub compared: u64,
    /// How often a unit crashed.
    pub crashes: u64,
    /// The units had the smallest bounds that work.
    pub is_tiny: bool,
    /// What else went wrong.
    pub said: Said,
    /// Calls and other things that happened.
    pub events: u64,
    /// A hash of all of them.
    pub trace: String,
    /// What happened, if it was to be written down.
    pub text: Option<String>,
    /// Virtual time that it took.
    pub took: Duration,
}

impl fmt::Display for DayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |all: &BTreeMap<&str, u64>| {
            all.iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
        };
        let resolved = self.resolved.as_deref().unwrap_or("nothing");
        writeln!(f, "{}; spent: {}; the market says {resolved}", list(&self.deeds), list(&self.spent))?;
        writeln!(f, "ticks: {}", list(&self.ticks))?;
        writeln!(f, "{} crashes, {}", self.crashes, self.said)?;
        let (slots, hours) = (self.slots, self.took.as_secs() / 3600);
        write!(
            f,
            "{slots} slots, {} verified and {} outcomes compared; {} events, {hours} h, trace {}",
            self.verified, self.compared, self.events, self.trace
        )
    }
}

/// Runs it to its end, on this thread.
pub fn run_day(plan: Day) -> DayReport {
    alone(async {
        let world = World::with(plan.seed, plan.text, |faults| {
            // In a day a crash of every hundredth call leaves time for nothing else: see `trouble`.
            (faults.crash_permille, faults.cuts) = (0, false);
        });
        let hand = Arc::new(Hand::default());
        let mut report = DayReport::default();
        if tokio::time::timeout(ALL, phases(&world, &hand, plan, &mut report)).await.is_err() {
            world.violation("the day does not end: somebody waits for what does not happen");
        }
        let (crashes, events) = world.counts();
        DayReport {
            violations: world.violations(),
            crashes,
            is_tiny: world.faults.tiny,
            said: hand.said(),
            events,
            trace: world.trace(),
            text: world.text(),
            took: world.elapsed(),
            ..report
        }
    })
}

async fn phases(world: &Arc<World>, hand: &Arc<Hand>, plan: Day, report: &mut DayReport) {
    let compiled: Arc<dyn Runtime> = match Compiled::new() {
        Ok(compiled) => Arc::new(compiled),
        Err(refusal) => return world.violation(format!("modules cannot be run: {refusal}")),
    };
    let setup = Setup { pace: Pace::Days, mutant: plan.mutant, runtimes: vec![compiled], ..Setup::default() };
    let network = Network::new(Arc::clone(world), setup);
    hand.set(world, 0);
    let turning = tokio::spawn(Arc::clone(hand).turn(Arc::clone(&network)));
    if let Err(error) = network.run().await {
        return world.violation(format!("the network does not start: {error}"));
    }
    let day = Duration::from_secs(plan.hours * 3600);
    let end = BEGINNING_MS + (day + AFTER).as_millis() as u64;
    let cast = Cast::begin(&network, end).await;
    acts::configure(&cast, BEGINNING_MS).await;
    let storm = Storm::begin(&network, hand);
    let (steps, mut price) = ((day.as_secs() / acts::STEP.as_secs()), 1000);
    for n in 0..steps {
        tokio::time::sleep((acts::STEP * n as u32).saturating_sub(world.elapsed())).await;
        acts::step(&cast, world, n, steps, &mut price).await;
    }
    tokio::time::sleep(day.saturating_sub(world.elapsed())).await;
    storm.end().await;
    tokio::time::sleep(2 * AFTER).await;
    acts::end(&cast).await;
    cast.workload.end_crons().await;
    if let Err(left) = network.settle(CALM).await {
        return world.violation(left);
    }
    hand.stop();
    if turning.await.is_err() {
        return world.violation("the scheduler's clock is turned no more");
    }
    if let Err(error) = checks::all(&network, &cast, hand, report).await {
        world.violation(format!("what is left cannot be read: {error}"));
    }
}
