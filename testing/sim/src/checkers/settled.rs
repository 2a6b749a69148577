//! Everything that has a slot is on the weave.

use unit::Weave as _;

use super::Remains;
use crate::network::Network;
use crate::workload::Workload;

/// Looks for every message and every assignment.
pub async fn check(remains: &Remains, network: &Network, workload: &Workload) {
    let weave = network.weave(workload.life());
    for (process, entries) in &remains.schedules {
        for entry in entries {
            for id in [entry.message_id(), entry.assignment.id()] {
                if let Err(error) = weave.get(id).await {
                    let slot = entry.assignment.slot;
                    remains
                        .world
                        .violation(format!("{id} of slot {slot} of {process} is not on the weave: {error}"));
                }
            }
        }
    }
}
