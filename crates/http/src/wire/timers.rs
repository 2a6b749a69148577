//! The shape of the timers of processes.

use protocol::{ProcessId, Slot, Timestamp};
use serde::{Deserialize, Serialize};
use unit::{Page, ProcessTimers, TimerState};

/// `GET /api/v1/timers` of a scheduler unit.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TimersShape {
    processes: Vec<ProcessShape>,
    has_next: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProcessShape {
    process: ProcessId,
    timers: Vec<TimerShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<RefusedShape>,
}

/// Times are milliseconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TimerShape {
    name: String,
    schedule: String,
    missed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u64>,
    given: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_left: Option<u64>,
    late_ms: u64,
}

/// The newest wish that changed no timer.
#[derive(Debug, Serialize, Deserialize)]
struct RefusedShape {
    slot: u64,
    why: String,
}

impl From<Page<ProcessTimers>> for TimersShape {
    fn from(page: Page<ProcessTimers>) -> TimersShape {
        let timer = |timer: TimerState| TimerShape {
            name: timer.name,
            schedule: timer.schedule,
            missed: timer.missed,
            next: timer.next.map(|at| at.0),
            last: timer.last.map(|at| at.0),
            given: timer.given,
            budget_left: timer.budget_left,
            late_ms: timer.late_ms,
        };
        let one = |one: ProcessTimers| ProcessShape {
            process: one.process,
            timers: one.timers.into_iter().map(timer).collect(),
            refused: one.refused.map(|(slot, why)| RefusedShape { slot: slot.0, why }),
        };
        let Page { items, has_next } = page.map(one);
        TimersShape { processes: items, has_next }
    }
}

impl TimersShape {
    /// The page.
    pub fn read(self) -> Page<ProcessTimers> {
        let timer = |timer: TimerShape| TimerState {
            name: timer.name,
            schedule: timer.schedule,
            missed: timer.missed,
            next: timer.next.map(Timestamp),
            last: timer.last.map(Timestamp),
            given: timer.given,
            budget_left: timer.budget_left,
            late_ms: timer.late_ms,
        };
        let one = |one: ProcessShape| ProcessTimers {
            process: one.process,
            timers: one.timers.into_iter().map(timer).collect(),
            refused: one.refused.map(|refused| (Slot(refused.slot), refused.why)),
        };
        Page { items: self.processes, has_next: self.has_next }.map(one)
    }
}
