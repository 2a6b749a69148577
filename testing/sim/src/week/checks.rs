//! What must hold after days of timers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::{Height, Outcome, ProcessId};
use unit::{
    Compute, Cursor, HeldQuery, OutcomeQuery, Recovery as _, Result, Scheduled, Scheduler as _, Sort,
    TimerState, TimersQuery, Weave as _,
};

use super::explain::explain;
use super::table::{Log, Timer};
use super::trouble::Hand;
use super::wishes::{self, Asked};
use super::{Cast, Counts, WeekReport};
use crate::checkers::{Remains, schedule};
use crate::machine::{Moments, State, heard_of};
use crate::network::Network;
use crate::world::World;

/// Outcomes of cron that are asked for at once.
const PAGE: usize = 500;

/// Everything.
pub(super) async fn all(
    network: &Network,
    cast: &Cast,
    asked: &Asked,
    hand: &Hand,
    report: &mut WeekReport,
) -> Result<()> {
    let world = &network.world;
    let schedules = network.schedules(cast.workload.life()).await?;
    let remains = Remains { world: Arc::clone(world), schedules, outcomes: BTreeMap::new() };
    schedule::check(&remains, &cast.workload);
    let schedules = remains.schedules;
    report.slots = schedules.values().map(|entries| entries.len() as u64).sum();
    for dead in network.dead() {
        world.violation(format!("the messenger gave up {:?}", dead.trace));
    }
    let logs = ticks(world, cast, hand, &schedules, report);
    wishes::check(world, asked, &logs, report);
    let second = network.flood().await?;
    let states = states(network, cast, &schedules, &second).await?;
    let mut expected = told(world, &logs, &states);
    crons(network, cast, &schedules, &second, &states, &mut expected, report).await?;
    let mut heard: BTreeMap<ProcessId, Moments> = BTreeMap::new();
    for (process, state) in &states {
        let mut moments = state.heard.clone();
        // Who crashed may say it later.
        moments.values_mut().for_each(|list| list.sort_unstable());
        if !moments.is_empty() {
            heard.insert(*process, moments);
        }
    }
    for (listener, moments) in &expected {
        for (from, list) in moments {
            let heard = heard.get(listener).and_then(|moments| moments.get(from));
            if heard != Some(list) {
                let n = heard.map_or(0, Vec::len);
                world.violation(format!("{listener} heard {n} times of {from}, not {} times", list.len()));
            }
        }
    }
    if heard.values().map(BTreeMap::len).sum::<usize>() != expected.values().map(BTreeMap::len).sum::<usize>()
    {
        world.violation("somebody heard of what nobody said");
    }
    successor(network, &logs, &schedules).await
}

/// The logs of all processes that have timers, had some, or had a chance to: their ticks are those that are due by policy.
fn ticks(
    world: &World,
    cast: &Cast,
    hand: &Hand,
    schedules: &BTreeMap<ProcessId, Vec<Scheduled>>,
    report: &mut WeekReport,
) -> BTreeMap<ProcessId, Log> {
    let looks = hand.looks();
    let mut logs = BTreeMap::new();
    for (process, entries) in schedules {
        let Some(log) = Log::read(*process, entries) else {
            world.violation(format!("the log of {process} does not begin with a process"));
            continue;
        };
        if let Err(why) = explain(&log, &looks) {
            let first = log.steps.first().map(|step| &step.table.0);
            world.violation(format!("the ticks of {process} ({first:?}) are not those due: {why}"));
        }
        logs.insert(*process, log);
    }
    for one in &cast.ticking {
        let Some((log, set)) = logs.get(&one.process).and_then(|log| Some((log, log.steps.first()?.at)))
        else {
            world.violation(format!("{} has no log", one.process));
            continue;
        };
        let ticks = log.moments().values().map(|list| list.len() as u64).sum();
        let counts = Counts { processes: 1, moments: one.kind.moments(set, cast.end), ticks };
        report.mix.entry(format!("{}: {}", one.kind.tag, one.kind.text)).or_default().add(counts);
        report.policies.entry(one.policy.text().to_owned()).or_default().add(counts);
    }
    logs
}

/// What each process remembers: the same for both compute units and one that knows only the weave.
async fn states(
    network: &Network,
    cast: &Cast,
    schedules: &BTreeMap<ProcessId, Vec<Scheduled>>,
    second: &cu::ComputeUnit,
) -> Result<BTreeMap<ProcessId, State>> {
    let units = [0, 1].map(|which| network.compute(cast.workload.life(), which));
    let mut states = BTreeMap::new();
    let with_crons: Vec<ProcessId> = cast.crons.iter().map(|cron| cron.process).collect();
    for process in schedules.keys().filter(|process| !with_crons.contains(process)) {
        let state = second.state(*process, None).await?.memory;
        for (which, unit) in units.iter().enumerate() {
            if unit.state(*process, None).await?.memory != state {
                network.world.violation(format!("compute unit {which} has another state of {process}"));
            }
        }
        match serde_json::from_slice(&state) {
            Ok(state) => drop(states.insert(*process, state)),
            Err(error) => network.world.violation(format!("the state of {process} is none: {error}")),
        }
    }
    Ok(states)
}

/// Each process knows its ticks, in their order. Answers what its listener must have heard.
fn told(
    world: &World,
    logs: &BTreeMap<ProcessId, Log>,
    states: &BTreeMap<ProcessId, State>,
) -> BTreeMap<ProcessId, Moments> {
    let mut expected: BTreeMap<ProcessId, Moments> = BTreeMap::new();
    for (process, log) in logs {
        let moments = log.moments();
        if states.get(process).is_some_and(|state| state.ticks != moments) {
            world.violation(format!("{process} was not told of exactly its ticks"));
        }
        let listener = log.tags.first("Listener").and_then(|listener| listener.parse().ok());
        for (timer, list) in moments {
            let Some(listener) = listener else {
                world.violation(format!("{process} has nobody to tell of {timer}"));
                continue;
            };
            let name = heard_of(&process.to_string(), &timer);
            expected.entry(listener).or_default().insert(name, list);
        }
    }
    expected
}

/// Crons of legacynet: each of their seconds up to the last that was pushed, in order, each heard of once, and the same
/// outcomes of all units.
async fn crons(
    network: &Network,
    cast: &Cast,
    schedules: &BTreeMap<ProcessId, Vec<Scheduled>>,
    second: &cu::ComputeUnit,
    states: &BTreeMap<ProcessId, State>,
    expected: &mut BTreeMap<ProcessId, Moments>,
    report: &mut WeekReport,
) -> Result<()> {
    let world = &network.world;
    let heard = states.get(&cast.ear).map(|state| state.heard.clone()).unwrap_or_default();
    for cron in &cast.crons {
        let Some(first) = schedules.get(&cron.process).and_then(|entries| entries.first()) else { continue };
        let set = first.assignment.timestamp.0;
        let name_of = |timer: &str| heard_of(&cron.process.to_string(), timer);
        let last =
            cron.intervals.iter().filter_map(|(name, _)| heard.get(&name_of(name))?.iter().max()).max();
        let Some(last) = last.copied() else {
            world.violation(format!("nobody heard of the crons of {}", cron.process));
            continue;
        };
        let all = outcomes(second, cron.process, last / 1000 * 1000 + 999).await?;
        for which in [0, 1] {
            let unit = network.compute(cast.workload.life(), which);
            if outcomes(&unit, cron.process, last / 1000 * 1000 + 999).await? != all {
                let process = cron.process;
                world.violation(format!("compute unit {which} has other outcomes of crons of {process}"));
            }
        }
        if all.windows(2).any(|pair| pair[0].0.timestamp > pair[1].0.timestamp) {
            world.violation(format!("crons of {} are not in the order of time", cron.process));
        }
        for (timer, interval) in cron.intervals {
            let of_timer = |(at, _): &&(Cursor, Arc<Outcome>)| {
                at.cron
                    .as_deref()
                    .is_some_and(|cron| cron.split_once('-').is_some_and(|it| it.1 == *interval))
            };
            let mut moments: Vec<u64> = all.iter().filter(of_timer).map(|(at, _)| at.timestamp.0).collect();
            if let Some(every) = seconds(interval) {
                let due: Vec<u64> =
                    (1..).map(|n| set + n * every * 1000).take_while(|at| *at <= last).collect();
                if moments != due {
                    let (process, n, of) = (cron.process, moments.len(), due.len());
                    let but = due.iter().find(|at| !moments.contains(at)).or(moments.last());
                    world.violation(format!(
                        "{interval} of {process} ticked {n} times, not {of} times: {but:?}"
                    ));
                }
            }
            if let Some(every) = interval.strip_suffix("-blocks").and_then(|n| n.parse().ok()) {
                // Several blocks may have one time, and are listed a millisecond apart; whoever ticks is told the time.
                moments.iter_mut().for_each(|at| *at = *at / 1000 * 1000);
                let mut due = blocks(network, cast, first.assignment.block_height, every).await?;
                // Of those that have the time of the last that was pushed, some may not be.
                let pushed = heard
                    .get(&name_of(timer))
                    .map_or(0, |heard| heard.iter().filter(|at| **at == last).count());
                for list in [&mut moments, &mut due] {
                    let before = list.partition_point(|at| *at < last);
                    list.retain(|at| *at <= last);
                    list.truncate(before + pushed);
                }
                if moments != due {
                    let (process, n, of) = (cron.process, moments.len(), due.len());
                    world.violation(format!("{interval} of {process} ticked {n} times, not {of} times"));
                }
            }
            report.crons.insert((*interval).to_owned(), moments.len() as u64);
            expected.entry(cast.ear).or_default().insert(name_of(timer), moments);
        }
    }
    Ok(())
}

/// The times of all blocks so many apart, after a height.
async fn blocks(network: &Network, cast: &Cast, after: Height, every: u64) -> Result<Vec<u64>> {
    let weave = network.weave(cast.workload.life());
    let (mut from, mut times) = (Height(after.0 + 1), Vec::new());
    loop {
        let page = weave.blocks(from, PAGE).await?;
        let Some(last) = page.last() else { return Ok(times) };
        from = Height(last.height.0 + 1);
        let is_due = |height: Height| (height.0 - after.0).is_multiple_of(every);
        times.extend(page.iter().filter(|block| is_due(block.height)).map(|block| block.timestamp.0));
    }
}

/// Seconds of an interval that counts them.
fn seconds(interval: &str) -> Option<u64> {
    let (n, unit) = interval.split_once('-')?;
    let unit = match unit {
        "minutes" => 60,
        "hour" | "hours" => 3600,
        _ => return None,
    };
    Some(n.parse::<u64>().ok()? * unit)
}

/// What came of the crons of a process up to a moment, and where each stands.
pub(crate) async fn outcomes(
    unit: &dyn Compute,
    process: ProcessId,
    last: u64,
) -> Result<Vec<(Cursor, Arc<Outcome>)>> {
    let mut all: Vec<(Cursor, Arc<Outcome>)> = Vec::new();
    loop {
        let from = all.last().map(|(cursor, _)| Cursor { sort: None, ..cursor.clone() });
        let query = OutcomeQuery { from, to: None, sort: Sort::Ascending, limit: PAGE };
        let page = unit.cron(process, query).await?;
        let is_enough = page.items.last().is_none_or(|newest| newest.cursor.timestamp.0 > last);
        all.extend(page.items.into_iter().map(|one| (one.cursor, one.outcome)));
        if is_enough || !page.has_next {
            all.retain(|(at, _)| at.timestamp.0 <= last);
            return Ok(all);
        }
    }
}

/// A scheduler unit with the same key, the weave, and no clock has the same logs and the same timers; and the one that
/// gave the ticks has what its logs say.
async fn successor(
    network: &Network,
    logs: &BTreeMap<ProcessId, Log>,
    schedules: &BTreeMap<ProcessId, Vec<Scheduled>>,
) -> Result<()> {
    let world = &network.world;
    let Some(first) = network.scheduler_unit() else {
        world.violation("there is no scheduler");
        return Ok(());
    };
    let second = network.successor().await?;
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        let query = HeldQuery { only: None, after: None, limit: 1 };
        let restoring = second.recovery(query).await?.restoring;
        if restoring.rounds > 0 && !restoring.running {
            break;
        }
    }
    for (&process, log) in logs.iter().filter(|(_, log)| log.steps.iter().any(|step| step.has_timers())) {
        let newest = schedules.get(&process).and_then(|entries| entries.last());
        let known = second.latest(process).await?.assignment;
        if newest.is_none_or(|newest| newest.assignment.id() != known.id()) {
            world.violation(format!("the log of {process} ends with slot {} on the second node", known.slot));
        }
        let kept = timers(&first, process).await?;
        first.rebuild_timers(process).await?;
        let [derived, others] = [timers(&first, process).await?, timers(&second, process).await?];
        if kept != derived || kept.len() != log.last().len() || !log.last().iter().zip(&kept).all(is_same) {
            let by_log = log.last();
            world.violation(format!(
                "the timers of {process} are {kept:?}, by its log {derived:?}, or {by_log:?}"
            ));
        }
        if kept.iter().map(without_time).ne(others.iter().map(without_time)) {
            world.violation(format!("the timers of {process} are {kept:?}, on the second node {others:?}"));
        }
    }
    second.stop().await;
    Ok(())
}

async fn timers(su: &su::SchedulerUnit, process: ProcessId) -> Result<Vec<TimerState>> {
    let query = TimersQuery { process: Some(process), ..TimersQuery::default() };
    Ok(su.timers(query).await?.items.into_iter().flat_map(|one| one.timers).collect())
}

/// Whether the scheduler has a timer as the log has it.
fn is_same((timer, kept): (&Timer, &TimerState)) -> bool {
    let of_kept = (&*kept.name, &*kept.schedule, &*kept.missed, kept.last.map(|at| at.0), kept.given);
    of_kept == (&*timer.name, timer.kind.text, timer.policy.text(), timer.last, timer.given)
}

/// What a timer is without regard to what time it is.
fn without_time(timer: &TimerState) -> TimerState {
    TimerState { next: None, late_ms: 0, ..timer.clone() }
}
