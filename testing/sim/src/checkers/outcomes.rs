//! Both compute units, and one that knows only the weave, come to the same outcomes.

use unit::Compute as _;

use super::Remains;
use crate::network::Network;
use crate::workload::Workload;

/// Asks both units for every outcome.
pub async fn check(remains: &Remains, network: &Network, workload: &Workload) {
    let world = &remains.world;
    for which in 0..2 {
        let compute = network.compute(workload.life(), which);
        for (process, outcomes) in &remains.outcomes {
            for (entry, outcome) in remains.schedules[process].iter().zip(outcomes) {
                let slot = entry.assignment.slot;
                match compute.result(*process, entry.assignment.id()).await {
                    Ok(said) if said == *outcome => {}
                    Ok(said) => {
                        let what = format!("{said:?} instead of {outcome:?}");
                        world.violation(format!(
                            "compute unit {which} says in slot {slot} of {process} {what}"
                        ));
                    }
                    Err(error) => {
                        let what = format!("compute unit {which} does not say slot {slot} of {process}");
                        world.violation(format!("{what}: {error}"));
                    }
                }
            }
        }
    }
}
