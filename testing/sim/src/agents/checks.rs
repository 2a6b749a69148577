//! What must hold after a day of agents.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::ProcessId;
use store::{MemoryBlobs, MemoryStore};
use unit::{Compute as _, Result};

use super::DayReport;
use super::acts::{DCA, WATCHER};
use super::cast::{AGENTS, Begins, Cast, SUPPLY, TOKENS};
use crate::network::Network;
use crate::week::checks::outcomes;
use crate::week::explain::explain;
use crate::week::table::Log;
use crate::week::trouble::Hand;
use crate::world::{Host, SimClock};

/// How often two units are compared that tick meanwhile.
const TRIES: usize = 3;

/// Everything.
pub(super) async fn all(network: &Network, cast: &Cast, hand: &Hand, report: &mut DayReport) -> Result<()> {
    for dead in network.dead() {
        network.world.violation(format!("the messenger gave up {:?}", dead.trace));
    }
    value(network, cast).await;
    deeds(network, cast, report).await;
    ticks(network, cast, hand, report).await?;
    for (name, process) in cast.all() {
        verified(network, cast, name, process, report).await?;
    }
    Ok(())
}

/// What each account has of a token.
async fn balances(cast: &Cast, token: &str) -> BTreeMap<String, u64> {
    let all: BTreeMap<String, String> = cast.read(token, "Balances").await;
    all.into_iter().map(|(account, of)| (account, of.parse().unwrap_or(u64::MAX / 16))).collect()
}

/// No token is lost, and each agent has what it thinks that it has.
async fn value(network: &Network, cast: &Cast) {
    let world = &network.world;
    for token in TOKENS {
        let balances = balances(cast, token).await;
        let sum: u64 = balances.values().sum();
        if sum != SUPPLY {
            world.violation(format!("there are {sum} of {token}, not {SUPPLY}"));
        }
        for (name, ..) in AGENTS {
            let held = format!("Till.held['{}'] or '0'", cast.of(token));
            let held: String = cast.read(name, &held).await;
            let has = balances.get(&cast.of(name).to_string()).copied().unwrap_or_default();
            if held != has.to_string() {
                world.violation(format!("{name} thinks that it has {held} of {token}, and has {has}"));
            }
        }
        // What its balance alone says of a budget: everything else that a till counts may be wrong.
        for (name, [budget, given]) in [("dca", DCA), ("watcher", WATCHER)] {
            let has = balances.get(&cast.of(name).to_string()).copied().unwrap_or_default();
            if token == "coin" && has + budget < given {
                world.violation(format!("{name} was given {given}, may spend {budget}, and has {has}"));
            }
        }
        let sets: String = cast.read("prediction", "Sets").await;
        let has = balances.get(&cast.of("prediction").to_string()).copied().unwrap_or_default();
        if token == "coin" && sets != has.to_string() {
            world.violation(format!("the market has {has} for {sets} sets"));
        }
    }
    for (name, ..) in AGENTS {
        let waiting: u64 = cast.read(name, "Till.count").await;
        if waiting > 0 {
            world.violation(format!("{name} waits for {waiting} payments"));
        }
    }
}

/// They did what they are for, within their budgets.
async fn deeds(network: &Network, cast: &Cast, report: &mut DayReport) {
    for (name, [budget, _]) in [("dca", DCA), ("watcher", WATCHER)] {
        let spent: String = cast.read(name, "Spent").await;
        let spent = spent.parse().unwrap_or(u64::MAX);
        if spent > budget {
            network.world.violation(format!("{name} spent {spent}, more than its {budget}"));
        }
        report.spent.insert(name, spent);
    }
    for (name, what, expression) in [
        ("dca", "purchases", "#Purchases"),
        ("market-maker", "fills", "Fills"),
        ("rfq", "quotes taken", "Filled"),
        ("watcher", "liquidations", "Done"),
        ("order-book", "trades", "#Trades"),
        (
            "notifier",
            "subscribers",
            "(function() local n = 0 for _ in pairs(Subscribers) do n = n + 1 end return n end)()",
        ),
    ] {
        report.deeds.insert(what, cast.read(name, expression).await);
    }
    report.resolved = cast.read("prediction", "Resolved").await;
}

/// The ticks of each timer are those that its scheduler's clock made due.
async fn ticks(network: &Network, cast: &Cast, hand: &Hand, report: &mut DayReport) -> Result<()> {
    let (schedules, looks) = (network.schedules(cast.workload.life()).await?, hand.looks());
    report.slots = schedules.values().map(|entries| entries.len() as u64).sum();
    for (name, ..) in AGENTS.into_iter().filter(|(_, _, begins)| *begins == Begins::Timer) {
        let process = cast.of(name);
        let entries = schedules.get(&process).map(Vec::as_slice).unwrap_or_default();
        let Some(log) = Log::read(process, entries) else {
            network.world.violation(format!("{name} has no log"));
            continue;
        };
        if let Err(why) = explain(&log, &looks) {
            network.world.violation(format!("the ticks of {name} are not those due: {why}"));
        }
        report.ticks.insert(name, log.moments().values().map(|moments| moments.len() as u64).sum());
    }
    Ok(())
}

/// The whole life of a process, from the weave alone, against what each compute unit says. What `pirn verify` does.
async fn verified(
    network: &Network,
    cast: &Cast,
    name: &str,
    process: ProcessId,
    report: &mut DayReport,
) -> Result<()> {
    for which in [0, 1] {
        let ports = verify::Ports {
            weave: Arc::new(network.weave(cast.workload.life())),
            claims: Some(Arc::new(network.compute(cast.workload.life(), which))),
            store: Arc::new(MemoryStore::new()),
            blobs: Arc::new(MemoryBlobs::new()),
            clock: Arc::new(SimClock { world: Arc::clone(&network.world), host: Host::Client, skew_ms: 0 }),
            runtimes: network.runtimes(),
        };
        let told = verify::verify(ports, process, &|_| {}).await?;
        if let Some(finding) = &told.finding {
            network.world.violation(format!("{name} does not hold: slot {}: {}", finding.slot, finding.what));
        }
        report.verified += told.slots;
        report.compared += told.compared;
    }
    let units = [0, 1].map(|which| network.compute(cast.workload.life(), which));
    for _ in 0..TRIES {
        // Who was asked for crons later has had more of them.
        let one = outcomes(&units[0], process, u64::MAX).await?;
        let other = outcomes(&units[1], process, u64::MAX).await?;
        if one != other {
            tokio::time::sleep(Duration::from_secs(60)).await;
            continue;
        }
        let [one, other] = [units[0].state(process, None).await?, units[1].state(process, None).await?];
        if one.memory != other.memory {
            network.world.violation(format!("the compute units have different memories of {name}"));
        }
        return Ok(());
    }
    network.world.violation(format!("the compute units have different outcomes of the cron of {name}"));
    Ok(())
}
