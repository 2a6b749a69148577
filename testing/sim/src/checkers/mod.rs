//! The rules, each in its file, and what they look at.

mod conservation;
mod delivery;
mod outcomes;
pub(crate) mod schedule;
mod settled;

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::{Outcome, ProcessId};
use unit::{Compute, Result, Scheduled};

use crate::machine::Shown;
use crate::network::Network;
use crate::workload::Workload;
use crate::world::World;

/// What is left of a world.
pub struct Remains {
    /// Where it happened.
    pub world: Arc<World>,
    /// The schedule of each process, whole.
    pub schedules: BTreeMap<ProcessId, Vec<Scheduled>>,
    /// The outcome of each of its slots, by somebody who knows only the weave.
    pub outcomes: BTreeMap<ProcessId, Vec<Arc<Outcome>>>,
}

/// Looks at everything. Answers with the number of slots.
pub async fn all(network: &Network, workload: &Workload) -> u64 {
    let world = &network.world;
    let remains = match gather(network, workload).await {
        Ok(remains) => remains,
        Err(error) => {
            world.violation(format!("what is left cannot be read: {error}"));
            return 0;
        }
    };
    schedule::check(&remains, workload);
    outcomes::check(&remains, network, workload).await;
    delivery::check(&remains, network, workload);
    conservation::check(&remains);
    settled::check(&remains, network, workload).await;
    remains.schedules.values().map(|entries| entries.len() as u64).sum()
}

async fn gather(network: &Network, workload: &Workload) -> Result<Remains> {
    let world = Arc::clone(&network.world);
    let schedules = network.schedules(workload.life()).await?;
    // The flood.
    let compute = network.flood().await?;
    let mut outcomes = BTreeMap::new();
    for (&process, entries) in schedules.iter().filter(|(process, _)| **process != workload.mute) {
        let mut list = Vec::new();
        for entry in entries {
            list.push(compute.result(process, entry.assignment.id()).await?);
        }
        outcomes.insert(process, list);
    }
    Ok(Remains { world, schedules, outcomes })
}

/// What an outcome shows; None if it failed.
pub fn shown(outcome: &Outcome) -> Option<Shown> {
    let output: serde_json::Value = outcome.output.to().ok()?;
    serde_json::from_value(output["data"].clone()).ok()
}
