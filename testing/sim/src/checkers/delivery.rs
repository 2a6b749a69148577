//! Each element of each outbox has exactly one effect, in the order in which it was said; and nothing has an effect
//! that nobody said.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Address, Id, Json, ProcessId, tag};
use serde_json::Value;

use super::Remains;
use crate::faults::Faults;
use crate::network::{Network, messenger_addresses};
use crate::workload::Workload;

/// Checks every message between processes.
pub fn check(remains: &Remains, network: &Network, workload: &Workload) {
    let world = &remains.world;
    let mut arrived: BTreeMap<(ProcessId, u64), Vec<(Address, String)>> = BTreeMap::new();
    let mut in_order: BTreeMap<(ProcessId, ProcessId), Vec<u64>> = BTreeMap::new();
    for (receiver, entries) in &remains.schedules {
        for entry in entries {
            let slot = entry.assignment.slot;
            let Some(item) = &entry.message else {
                continue;
            };
            // Notices of spawns are the messenger's own words.
            if !messenger_addresses().contains(&item.address()) || item.tags.has(tag::ACTION, "Spawned") {
                continue;
            }
            let sender =
                item.tags.first(tag::FROM_PROCESS).and_then(|process| process.parse::<ProcessId>().ok());
            let reference = item.tags.first("Reference").and_then(|number| number.parse::<u64>().ok());
            let (Some(sender), Some(reference)) = (sender, reference) else {
                world.violation(format!("slot {slot} of {receiver} is from nobody"));
                continue;
            };
            let place = format!("slot {slot} of {receiver} ({})", item.id);
            arrived.entry((sender, reference)).or_default().push((item.address(), place));
            in_order.entry((sender, *receiver)).or_default().push(reference);
        }
    }
    let mut said: BTreeMap<(ProcessId, u64), (usize, usize)> = BTreeMap::new();
    for (sender, outcomes) in &remains.outcomes {
        for (slot, outcome) in outcomes.iter().enumerate() {
            let elements = outcome.messages.iter().map(|it| (it, 1));
            // A spawn is one process for each messenger that pushes it: its id is that of a signature.
            let spawns_max = if world.faults.both_messengers { 2 } else { 1 };
            for (element, most) in elements.chain(outcome.spawns.iter().map(|it| (it, spawns_max))) {
                let Some(reference) = reference(element) else { continue };
                said.insert((*sender, reference), (slot, most));
                // A process that never answers has a slot for it all the same.
                let slots = arrived.get(&(*sender, reference)).map(Vec::as_slice).unwrap_or_default();
                let by: BTreeSet<Address> = slots.iter().map(|(by, _)| *by).collect();
                if !(1..=most).contains(&slots.len()) || (most > 1 && by.len() != slots.len()) {
                    let what = format!("{reference} of slot {slot} of {sender} has the slots {slots:?}");
                    world.violation(what);
                }
            }
            for element in &outcome.assignments {
                let element: Value = serde_json::from_str(element.get()).unwrap_or_default();
                let message = element["Message"].as_str().and_then(|id| id.parse::<Id>().ok());
                let process = element["Processes"][0].as_str().and_then(|id| id.parse::<ProcessId>().ok());
                let (Some(message), Some(process)) = (message, process) else { continue };
                // Whoever it was delivered to has it already.
                let entries = remains.schedules.get(&process).into_iter().flatten();
                let has = entries.filter(|entry| entry.message_id() == message).count();
                if has != 1 {
                    world.violation(format!("{message}, to be assigned to {process}, has {has} slots there"));
                }
            }
        }
    }
    for (sender, reference) in arrived.keys() {
        // What time set off is in no slot's outcome.
        if !said.contains_key(&(*sender, *reference)) && !workload.crons.contains(sender) {
            world.violation(format!("{sender} never said its {reference}, and it arrived"));
        }
    }
    // A messenger that crashed does not know which answers it lost, and one without room reads its tasks again in the
    // order in which it took them, and two do not know of each other; then the order holds within an outcome.
    let Faults { crash_permille, tiny, both_messengers, .. } = world.faults;
    let is_strict = crash_permille == 0 && !tiny && !both_messengers;
    for ((sender, receiver), references) in &in_order {
        for pair in references.windows(2) {
            let slots = [said.get(&(*sender, pair[0])), said.get(&(*sender, pair[1]))];
            let [Some((one, _)), Some((other, _))] = slots else { continue };
            if pair[0] > pair[1] && (is_strict || one == other) {
                let what = format!("{receiver} has {} of {sender} after {}", pair[1], pair[0]);
                let of = |slot: usize| {
                    let entry = remains.schedules.get(sender).and_then(|entries| entries.get(slot));
                    entry.map(|entry| format!("slot {slot} ({})", entry.message_id())).unwrap_or_default()
                };
                world.violation(format!("{what}, of {} and {}", of(*other), of(*one)));
            }
        }
    }
    // What time set off while nobody looked is not sent; what is, is sent once.
    for ((sender, reference), slots) in &arrived {
        let most = said.get(&(*sender, *reference)).map_or(1, |(_, most)| *most);
        if slots.len() > most {
            world.violation(format!("{reference} of {sender} has the slots {slots:?}"));
        }
    }
    for dead in network.dead() {
        world.violation(format!("the messenger gave up {:?}", dead.trace));
    }
}

fn reference(element: &Json) -> Option<u64> {
    let element: Value = serde_json::from_str(element.get()).ok()?;
    let tags = element["Tags"].as_array()?;
    let tag = tags.iter().find(|each| each["name"] == "Reference")?;
    tag["value"].as_str()?.parse().ok()
}
