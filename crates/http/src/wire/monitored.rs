//! The shape of the processes whose cron a messenger runs.

use protocol::{ProcessId, Timestamp};
use serde::{Deserialize, Serialize};
use unit::{CatchUp, CronTally, Cursor, Monitored, Page, TickFailure};

/// `GET /api/v1/monitored`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MonitoredShape {
    processes: Vec<OneShape>,
    has_next: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OneShape {
    process: ProcessId,
    /// Milliseconds since 1970.
    looked_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<PushedShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spawner: Option<ProcessId>,
    // Units of before there was this say nothing of it.
    #[serde(flatten)]
    tally: TallyShape,
}

/// What came of its ticks since it is monitored.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TallyShape {
    /// Those whose outcomes were seen.
    pub ticks: u64,
    /// Those of them whose outcome is an error.
    pub failed: u64,
    /// The newest of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureShape>,
    /// Those that were pushed late, because nobody had looked.
    pub caught_up: u64,
    /// Those that were not pushed, because that was too long ago.
    pub left_out: u64,
    /// The newest time that nobody had looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUpShape>,
}

/// A tick whose outcome is an error.
#[derive(Debug, Serialize, Deserialize)]
pub struct FailureShape {
    /// When it was due, milliseconds since 1970.
    pub timestamp: u64,
    /// Of which cron: `0-10-minutes`.
    pub cron: String,
    /// The beginning of what the process says.
    pub error: String,
}

/// What was due while nobody looked. Times are milliseconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CatchUpShape {
    /// When somebody looked again.
    pub at: u64,
    /// When the first of its ticks was due.
    pub from: u64,
    /// When the last of them was due.
    pub to: u64,
    /// How many of them were pushed.
    pub pushed: u64,
    /// How many were not.
    pub left_out: u64,
}

/// An outcome: of the tick of a cron at a time, or of a message of the schedule.
#[derive(Debug, Serialize, Deserialize)]
struct PushedShape {
    /// Milliseconds since 1970.
    timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordinate: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
}

impl From<Page<Monitored>> for MonitoredShape {
    fn from(page: Page<Monitored>) -> MonitoredShape {
        let one = |one: Monitored| OneShape {
            process: one.process,
            looked_at: one.looked_at.0,
            pushed: one.pushed.map(|Cursor { timestamp, ordinate, cron, .. }| PushedShape {
                timestamp: timestamp.0,
                ordinate,
                cron,
            }),
            error: one.error,
            spawner: one.spawner,
            tally: one.tally.into(),
        };
        let Page { items, has_next } = page.map(one);
        MonitoredShape { processes: items, has_next }
    }
}

impl MonitoredShape {
    /// The page.
    pub fn read(self) -> Page<Monitored> {
        let one = |one: OneShape| Monitored {
            process: one.process,
            looked_at: Timestamp(one.looked_at),
            pushed: one.pushed.map(|PushedShape { timestamp, ordinate, cron }| Cursor {
                timestamp: Timestamp(timestamp),
                ordinate,
                cron,
                sort: None,
            }),
            error: one.error,
            spawner: one.spawner,
            tally: one.tally.read(),
        };
        Page { items: self.processes, has_next: self.has_next }.map(one)
    }
}

impl From<CronTally> for TallyShape {
    fn from(tally: CronTally) -> TallyShape {
        let CronTally { ticks, failed, failure, caught_up, left_out, catch_up } = tally;
        TallyShape {
            ticks,
            failed,
            failure: failure.map(|TickFailure { timestamp, cron, error }| FailureShape {
                timestamp: timestamp.0,
                cron,
                error,
            }),
            caught_up,
            left_out,
            catch_up: catch_up.map(|CatchUp { at, from, to, pushed, left_out }| CatchUpShape {
                at: at.0,
                from: from.0,
                to: to.0,
                pushed,
                left_out,
            }),
        }
    }
}

impl TallyShape {
    fn read(self) -> CronTally {
        let TallyShape { ticks, failed, failure, caught_up, left_out, catch_up } = self;
        CronTally {
            ticks,
            failed,
            failure: failure.map(|FailureShape { timestamp, cron, error }| TickFailure {
                timestamp: Timestamp(timestamp),
                cron,
                error,
            }),
            caught_up,
            left_out,
            catch_up: catch_up.map(|CatchUpShape { at, from, to, pushed, left_out }| CatchUp {
                at: Timestamp(at),
                from: Timestamp(from),
                to: Timestamp(to),
                pushed,
                left_out,
            }),
        }
    }
}
