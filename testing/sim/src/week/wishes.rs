//! Timers that change while everything goes on: processes set, change and cancel theirs by message, owners do it for them,
//! strangers try to, and processes spawn others that have timers from their beginning.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use protocol::{ProcessId, tag};

use super::table::{Author, Log, said_of_timers};
use super::timers::{HOUR, KINDS, Policy};
use super::{Changed, Week, WeekReport};
use crate::liars::STRANGER;
use crate::machine::{Ask, Named};
use crate::network::{Network, wallet};
use crate::workload::{Workload, said};
use crate::world::{BEGINNING_MS, World};

/// On the average a process changes its timers so often.
const EVERY: Duration = Duration::from_secs(75 * 60);
/// Where the numbers of these messages begin.
const NUMBERS: u64 = 1_000_000;
/// Which child a child is, in its own tags.
const CHILD: &str = "Child";

/// What was asked for.
#[derive(Debug, Default)]
pub struct Asked {
    /// What was said of the timers of each process, and by whom.
    wishes: BTreeMap<ProcessId, Vec<(Author, Named)>>,
    /// The tags of each child that a process was asked to spawn.
    children: BTreeMap<ProcessId, Vec<Named>>,
}

/// How many processes change their timers.
pub fn changing(plan: &Week) -> usize {
    (plan.processes / 25).max(3)
}

/// How many spawn others.
pub fn parents(plan: &Week) -> usize {
    (plan.processes / 100).max(1)
}

/// Tags of a timer that is looked at often enough to matter, with a policy.
pub fn some_timer(world: &World, name: &str, end: u64) -> Named {
    let kind = KINDS[1 + world.below(4) as usize];
    let policy = Policy::ALL[world.below(3) as usize];
    let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![
        tag(kind.tag, kind.text),
        tag("Tick-Name", name),
        tag("Tick-Missed", policy.text()),
        tag("Tick-End", &end.to_string()),
    ]
}

/// What somebody says of the timers of a process.
fn some_wish(world: &World, end: u64) -> Named {
    let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut tags = vec![tag(tag::ACTION, "Tick-Set")];
    match world.below(12) {
        0..=3 => tags.extend(some_timer(world, "it", end)),
        4 | 5 => {
            tags.extend(some_timer(world, "too", end));
            tags.push(tag("Tick-Budget", &(1 + world.below(9)).to_string()));
        }
        6 => {
            let start = BEGINNING_MS + world.elapsed().as_millis() as u64 + world.below(2 * HOUR);
            tags.extend(some_timer(world, "too", end));
            tags.push(tag("Tick-Start", &start.to_string()));
        }
        7 | 8 => ["it", "too"].iter().for_each(|name| tags.extend(some_timer(world, name, end))),
        9 => return vec![tag(tag::ACTION, "Tick-Cancel"), tag("Tick-Name", "too")],
        10 => return vec![tag(tag::ACTION, "Tick-Cancel"), tag("Tick-Name", "*")],
        // What belongs to a timer stands before it: nobody understands that.
        _ => {
            tags.push(tag("Tick-Name", "it"));
            tags.extend(some_timer(world, "too", end));
        }
    }
    tags
}

/// Asks for all that, one after the other, for as long as the trouble lasts.
pub async fn ask(
    network: Arc<Network>,
    workload: Arc<Workload>,
    (changing, parents): (Vec<ProcessId>, Vec<ProcessId>),
    plan: Week,
    end: u64,
) -> Asked {
    let world = &network.world;
    let mut asked = Asked::default();
    let pause = EVERY.as_secs() / changing.len() as u64;
    let children_max = (plan.processes as u64 / 4).clamp(4, 100);
    let mut children = 0;
    for n in NUMBERS.. {
        tokio::time::sleep(Duration::from_secs(1 + world.below(2 * pause))).await;
        if world.elapsed() >= Duration::from_secs(plan.hours * 3600) || !world.is_storm() {
            break;
        }
        let some = |list: &[ProcessId]| list[world.below(list.len() as u64) as usize];
        if children < children_max && world.below(5) == 0 {
            let (parent, tag) = (some(&parents), |name: &str, value: String| (name.to_owned(), value));
            let mut tags = vec![
                tag(CHILD, children.to_string()),
                tag("Listener", parent.to_string()),
                tag("Exact", "yes".to_owned()),
            ];
            tags.extend(some_timer(world, "it", end));
            if world.below(3) == 0 {
                tags.extend(some_timer(world, "too", end));
            }
            children += 1;
            asked.children.entry(parent).or_default().push(tags.clone());
            workload.ask(n, parent, &Ask::Bear(tags)).await;
            continue;
        }
        let (process, tags) = (some(&changing), some_wish(world, end));
        let author = match world.below(8) {
            0..=4 => Author::Itself,
            5 | 6 => Author::Owner,
            _ => Author::Stranger,
        };
        asked.wishes.entry(process).or_default().push((author, tags.clone()));
        match author {
            Author::Itself => workload.ask(n, process, &Ask::Timer(tags)).await,
            Author::Owner => workload.send(said(&workload.owner, n, process, &tags), process).await,
            Author::Stranger => workload.send(said(&wallet(STRANGER), n, process, &tags), process).await,
        }
    }
    asked
}

/// Each wish is in the log of its process once, as it was said, and each child was spawned once, with the tags that it was
/// to have.
pub fn check(world: &World, asked: &Asked, logs: &BTreeMap<ProcessId, Log>, report: &mut WeekReport) {
    let ticks = |log: &Log| log.moments().values().map(|list| list.len() as u64).sum::<u64>();
    for (process, log) in logs {
        let mut wanted: Vec<_> = asked.wishes.get(process).cloned().unwrap_or_default();
        let mut there = log.wishes.clone();
        let changed = &mut report.changed;
        if !wanted.is_empty() {
            let by = |author: Author| wanted.iter().filter(|wish| wish.0 == author).count() as u64;
            changed.processes += 1;
            changed.itself += by(Author::Itself);
            changed.owner += by(Author::Owner);
            changed.stranger += by(Author::Stranger);
            changed.ticks += ticks(log);
        }
        wanted.sort();
        there.sort();
        if wanted != there {
            let (n, of) = (there.len(), wanted.len());
            world.violation(format!("{of} wishes for the timers of {process}: not as they were said ({n})"));
        }
        if log.spawner.is_some() {
            let Changed { children, children_ticks, .. } = &mut report.changed;
            *children += 1;
            *children_ticks += ticks(log);
        }
    }
    let of_child = |tags: &[(String, String)]| {
        let number = tags.iter().find(|(name, _)| name == CHILD).map(|(_, value)| value.clone());
        (number, said_of_timers(tags.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
    };
    let mut there: BTreeMap<ProcessId, Vec<_>> = BTreeMap::new();
    for log in logs.values() {
        if let Some(parent) = log.spawner {
            let tags: Named = log.tags.iter().map(|tag| (tag.name.clone(), tag.value.clone())).collect();
            there.entry(parent.into()).or_default().push(of_child(&tags));
        }
    }
    let mut wanted: BTreeMap<ProcessId, Vec<_>> = BTreeMap::new();
    for (parent, children) in &asked.children {
        wanted.insert(*parent, children.iter().map(|tags| of_child(tags)).collect());
    }
    there.values_mut().for_each(|list| list.sort());
    wanted.values_mut().for_each(|list| list.sort());
    if there != wanted {
        let count = |all: &BTreeMap<ProcessId, Vec<_>>| all.values().map(Vec::len).sum::<usize>();
        let (n, of) = (count(&there), count(&wanted));
        world.violation(format!("{n} processes were spawned by processes, not the {of} that were asked for"));
    }
}
