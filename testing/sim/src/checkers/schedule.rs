//! Slots are without gaps, each is signed and continues the chain, and what was acknowledged has one.

use std::collections::BTreeMap;

use protocol::{DataItem, HashChain, Id, Slot};

use super::Remains;
use crate::network::scheduler_address;
use crate::workload::Workload;

/// Checks every schedule.
pub fn check(remains: &Remains, workload: &Workload) {
    let world = &remains.world;
    for (process, entries) in &remains.schedules {
        let mut chain = HashChain::start(*process);
        let mut slots: BTreeMap<Id, Slot> = BTreeMap::new();
        let mut last = None;
        for (n, entry) in entries.iter().enumerate() {
            let assignment = &entry.assignment;
            let slot = assignment.slot;
            if slot.0 != n as u64 {
                world.violation(format!("{process} has slot {slot} where slot {n} should be"));
                break;
            }
            if assignment.hash_chain != chain {
                world.violation(format!("slot {slot} of {process} does not continue the hash chain"));
            }
            let signed = DataItem::restore(&assignment.item).is_some_and(|item| item.verify().is_ok());
            if !signed || assignment.item.address() != scheduler_address() {
                world.violation(format!("slot {slot} of {process} is not signed by its scheduler"));
            }
            if last.is_some_and(|last| assignment.timestamp <= last) {
                world.violation(format!("time does not go on in slot {slot} of {process}"));
            }
            last = Some(assignment.timestamp);
            if let Some(other) = slots.insert(entry.message_id(), slot) {
                let message = entry.message_id();
                world.violation(format!("{message} has two slots of {process}: {other} and {slot}"));
            }
            chain = chain.after(assignment.id());
        }
    }
    let acknowledged = workload.acknowledged.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (process, message) in acknowledged.iter() {
        let entries = remains.schedules.get(process);
        if !entries.is_some_and(|entries| entries.iter().any(|entry| entry.message_id() == *message)) {
            world.violation(format!("{message} for {process} was acknowledged and has no slot"));
        }
    }
}
