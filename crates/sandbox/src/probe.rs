//! Looks at how a process does something, without it noticing.
//!
//! Each message is evaluated a second time on a fork that was prepared by a script of the probe's; the fork is thrown
//! away, and what it shows is kept. So what is measured cannot change what is measured.

use protocol::{Json, ProcessId, Tags, tag};
use runtime::{Input, Machine};

/// Prepares forks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Lua that is evaluated in the fork, as its owner, before the message. It may hook and wrap what it likes.
    pub script: String,
}

/// What a fork showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// Whose fork.
    pub process: ProcessId,
    /// The `Output` of the message in it.
    pub output: Json,
}

impl Probe {
    /// None where the module is none of Lua, or the fork was refused.
    pub(crate) fn look(
        &self,
        machine: &mut Box<dyn Machine>,
        process: ProcessId,
        owner: &str,
        input: &Input,
    ) -> Option<Probed> {
        let mut fork = machine.fork().ok()?;
        let eval = Input {
            id: Some("probe".to_owned()),
            data: Some(Json::string(&self.script)),
            owner: Some(owner.to_owned()),
            from: Some(owner.to_owned()),
            target: Some(process.to_string()),
            tags: Tags::from_iter([(tag::ACTION, "Eval")]),
            timestamp: input.timestamp,
            block_height: input.block_height,
            ..Input::default()
        };
        fork.handle(&eval).ok().filter(|outcome| outcome.error.is_none())?;
        let outcome = fork.handle(input).ok()?;
        Some(Probed { process, output: outcome.output })
    }
}
