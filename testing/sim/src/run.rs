//! One seed: storm, calm, flood.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::checkers;
use crate::faults::Faults;
use crate::liars::{self, Liar};
use crate::mutants::Mutant;
use crate::network::{Network, Setup};
use crate::workload::Workload;
use crate::world::{World, alone};

/// Virtual time after a storm within which everything must be settled.
const CALM: Duration = Duration::from_secs(60 * 60);
/// Virtual time that a whole seed may take.
const ALL: Duration = Duration::from_secs(24 * 60 * 60);

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// How many messages clients send.
    pub messages: u64,
    /// A rule to break.
    pub mutant: Option<Mutant>,
    /// Somebody who lies.
    pub liar: Option<Liar>,
    /// Whether an honest messenger is asked to push what others should have.
    pub is_helped: bool,
    /// Whether to write down what happens.
    pub text: bool,
}

impl Plan {
    /// A seed as the suite runs it.
    pub fn of(seed: u64) -> Plan {
        Plan { seed, messages: 24, mutant: None, liar: None, is_helped: true, text: false }
    }
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// The rules that were broken; none if all is well.
    pub violations: Vec<String>,
    /// What proves that somebody lied.
    pub evidence: Vec<String>,
    /// A hash of everything that happened.
    pub trace: String,
    /// What happened, if it was to be written down.
    pub text: Option<String>,
    /// How often somebody crashed.
    pub crashes: u64,
    /// How much happened.
    pub events: u64,
    /// Messages with a slot.
    pub scheduled: u64,
    /// What could go wrong.
    pub faults: Faults,
    /// Virtual time that it took.
    pub took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { trace, crashes, events, scheduled, took, .. } = self;
        write!(
            f,
            "{scheduled} slots, {events} events, {crashes} crashes, {} s, trace {trace}",
            took.as_secs()
        )
    }
}

/// Runs a seed to its end, on this thread.
pub fn run(plan: Plan) -> Report {
    alone(async {
        let world = World::new(plan.seed, plan.text, plan.liar);
        let (scheduled, evidence) = match tokio::time::timeout(ALL, phases(&world, plan)).await {
            Ok(scheduled) => scheduled,
            Err(_) => {
                world.violation("the seed does not end");
                (0, Vec::new())
            }
        };
        let (crashes, events) = world.counts();
        Report {
            violations: world.violations(),
            evidence,
            trace: world.trace(),
            text: world.text(),
            crashes,
            events,
            scheduled,
            faults: world.faults.clone(),
            took: world.elapsed(),
        }
    })
}

async fn phases(world: &Arc<World>, plan: Plan) -> (u64, Vec<String>) {
    let nothing = (0, Vec::new());
    let network =
        Network::new(Arc::clone(world), Setup { mutant: plan.mutant, liar: plan.liar, ..Setup::default() });
    if let Err(error) = network.run().await {
        world.violation(format!("the network does not start: {error}"));
        return nothing;
    }
    let weather = tokio::spawn(crate::faults::weather(Arc::clone(world)));
    let reorganising = tokio::spawn(Arc::clone(&network).reorganise());
    let workload = Arc::new(Workload::begin(&network).await);
    workload.run(plan.messages).await;
    weather.abort();
    reorganising.abort();
    world.calm();
    workload.end_crons().await;
    let mut settled = settle(&network, &workload).await;
    if let (Some(Liar::Drops), true, None) = (plan.liar, plan.is_helped, &settled) {
        workload.push_everything().await;
        settled = settle(&network, &workload).await;
    }
    if let Some(why) = settled {
        world.violation(format!("an hour after the storm not everything is settled: {why}"));
        return nothing;
    }
    let scheduled = checkers::all(&network, &workload).await;
    let evidence = match plan.liar {
        Some(liar) => liars::evidence(&network, &workload, liar).await,
        None => Vec::new(),
    };
    (scheduled, evidence)
}

/// Waits until nothing is left to be done; answers with what is.
async fn settle(network: &Network, workload: &Workload) -> Option<String> {
    let until = tokio::time::Instant::now() + CALM;
    let mut calm_for = 0;
    loop {
        let left = network.unsettled(&[workload.mute]);
        // What was just done may have something follow that is not promised yet.
        calm_for = if left.is_none() { calm_for + 1 } else { 0 };
        if calm_for == 3 {
            return None;
        }
        if tokio::time::Instant::now() > until {
            return left.or(Some("it never stays so".to_owned()));
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
