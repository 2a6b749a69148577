//! There are as many tokens in the end as there were in the beginning.

use std::sync::Arc;

use protocol::Outcome;

use super::{Remains, shown};
use crate::workload::SUPPLY;

/// Counts them.
pub fn check(remains: &Remains) {
    // A message that failed changed nothing, and shows nothing.
    let held = |outcomes: &Vec<Arc<Outcome>>| {
        outcomes.iter().rev().find_map(|outcome| shown(outcome)).map_or(0, |it| it.held)
    };
    let all: u64 = remains.outcomes.values().map(held).sum();
    if all != SUPPLY {
        remains.world.violation(format!("there are {all} tokens, and there were {SUPPLY}"));
    }
}
