//! The shape of the processes whose cron a messenger runs.

use protocol::{ProcessId, Timestamp};
use serde::{Deserialize, Serialize};
use unit::{Cursor, Monitored, Page};

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
        };
        Page { items: self.processes, has_next: self.has_next }.map(one)
    }
}
