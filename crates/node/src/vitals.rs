//! How a node is: gauges of its units for `/metrics`, and what `/readyz` looks at.

use std::sync::Arc;

use pirn_http::wire::info::Check;

use crate::metrics;
use crate::roles::Units;

/// Entries that may wait for the weave before a node says that it is not ready.
const UNSETTLED_MAX: u64 = 100_000;
/// Slots that somebody may wait for before a node says that it is not ready.
const SLOTS_BEHIND_MAX: u64 = 100_000;
/// Tasks that may be tried again and again before a node says that it is not ready. A few always are: whoever sends
/// to a process whose scheduler is gone has such a one.
const RETRYING_MAX: usize = 10_000;

/// The units to ask.
#[derive(Clone)]
pub(crate) struct Vitals {
    su: Option<Arc<su::SchedulerUnit>>,
    cu: Option<Arc<cu::ComputeUnit>>,
    mu: Option<Arc<mu::MessengerUnit>>,
}

impl Vitals {
    pub fn of(units: &Units) -> Vitals {
        Vitals { su: units.su.clone(), cu: units.cu.clone(), mu: units.mu.clone() }
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> String {
        let say = |name: &'static str, value: u64| ::metrics::gauge!(name).set(value as f64);
        if let Some(unit) = &self.su {
            say("pirn_su_unsettled", unit.unsettled());
        }
        if let Some(unit) = &self.cu {
            let counters = unit.counters();
            say("pirn_cu_evaluated", counters.evaluated);
            say("pirn_cu_replayed", counters.replayed);
            say("pirn_cu_ticks", counters.ticks);
            say("pirn_cu_duplicates", counters.duplicates);
            say("pirn_cu_machines", counters.machines);
            say("pirn_cu_machines_bytes", counters.machines_bytes);
            say("pirn_cu_slots_behind", counters.slots_behind);
        }
        if let Some(unit) = &self.mu {
            let gauges = unit.gauges();
            say("pirn_mu_outbox", gauges.outbox as u64);
            say("pirn_mu_loaded", gauges.loaded as u64);
            say("pirn_mu_retrying", gauges.retrying as u64);
            say("pirn_mu_dead", gauges.dead as u64);
            say("pirn_mu_monitored", gauges.monitored as u64);
        }
        metrics::render()
    }

    /// What readiness depends on.
    pub fn checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut look =
            |name: &str, ok: bool, reason: String| checks.push(Check { name: name.to_owned(), ok, reason });
        if let Some(unit) = &self.su {
            let waiting = unit.unsettled();
            look("settlement", waiting < UNSETTLED_MAX, format!("{waiting} entries wait for the weave"));
        }
        if let Some(unit) = &self.cu {
            let behind = unit.counters().slots_behind;
            look("evaluation", behind < SLOTS_BEHIND_MAX, format!("{behind} slots are waited for"));
        }
        if let Some(unit) = &self.mu {
            let gauges = unit.gauges();
            let reason =
                format!("{} tasks, {} of them failed and are tried again", gauges.outbox, gauges.retrying);
            look("outbox", gauges.retrying < RETRYING_MAX, reason);
        }
        checks
    }
}
