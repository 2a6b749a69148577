//! An outcome: what an evaluation says. `result` on the wire.

use crate::json::Json;

/// What came of one evaluation. The guest's own failure is an outcome with an `error`, stored and answered
/// like any other; an errored outcome's outbox is empty and its memory is that of before.
///
/// The elements of the outbox are the module's own JSON, verbatim: the units pass them on unvalidated, and
/// the messenger unit decides element by element what it can push.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    /// Messages to send.
    pub messages: Vec<Json>,
    /// Messages to assign to other processes.
    pub assignments: Vec<Json>,
    /// Processes to start.
    pub spawns: Vec<Json>,
    /// What the module shows; any JSON.
    pub output: Json,
    /// The guest's failure; usually a string.
    pub error: Option<Json>,
    /// As the wire says it: 0 where the reference says 0 (formats without metering).
    pub gas_used: u64,
    /// What the evaluation cost under the gas schedule below, in units of `Compute-Limit`.
    pub gas: u64,
    /// Version of the gas schedule that counted `gas`.
    pub gas_schedule: u32,
    /// Bytes of memory that the process has after it, whole pages of 64 KiB. 0 where it is not known.
    #[serde(default)]
    pub memory_bytes: u64,
}

impl Outcome {
    /// An outcome that says only that it failed, and why.
    pub fn failed(error: &str, gas: u64, gas_schedule: u32) -> Outcome {
        Outcome {
            messages: Vec::new(),
            assignments: Vec::new(),
            spawns: Vec::new(),
            output: Json::string(""),
            error: Some(Json::string(error)),
            gas_used: 0,
            gas,
            gas_schedule,
            memory_bytes: 0,
        }
    }
}
