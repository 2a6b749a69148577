//! One file per command; its doc comments are its help.

pub mod accounts;
pub mod backup;
pub mod attest;
pub mod build;
pub mod bundle;
pub mod checkpoint;
pub mod clock;
pub mod completions;
pub mod config;
pub mod context;
pub mod cron;
pub mod dev;
pub mod dry;
pub mod env;
pub mod eval;
pub mod explain;
pub mod explore;
pub mod feed;
pub mod fund;
pub mod log;
pub mod mine;
pub mod module;
pub mod new;
pub mod node;
pub mod outbox;
pub mod recover;
pub mod reorganise;
pub mod repl;
pub mod result;
pub mod send;
pub mod settlement;
pub mod snapshot;
pub mod spawn;
pub mod status;
pub mod stop;
pub mod test;
pub mod trace;
pub mod up;
pub mod verify;
pub mod wallet;
pub mod watch;
pub mod webhooks;

use std::io::Read as _;

use protocol::{Outcome, ProcessId, Tag, Tags, Wallet};
use serde::Serialize;

use unit::Code;

use crate::error::{Context as _, Failure, Result};
use crate::project::Project;
use crate::render;

/// Reads `NAME=VALUE`.
pub fn parse_tag(text: &str) -> Result<Tag, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Tag::new(name, value)),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Reads the id of a process, or its name in the project that the command runs in: the one that `pirn up` spawned on the
/// network that it was last used on.
pub fn parse_process(text: &str) -> Result<ProcessId, String> {
    let problem = match text.parse::<ProcessId>() {
        Ok(process) => return Ok(process),
        Err(problem) => problem.to_string(),
    };
    let here = std::env::current_dir().map_err(|error| error.to_string())?;
    match Project::find(&here).map_err(|failure| failure.what)? {
        Some(project) if project.processes.contains_key(text) => {
            let known = project.notes().latest(text).map(|note| note.process);
            known.ok_or_else(|| format!("{text} is not spawned yet: `pirn up {text}`"))
        }
        Some(_) => Err(format!("{problem}, and the project here has no process of that name")),
        None => Err(problem),
    }
}

/// Text as given, `-` from stdin, or `@FILE` from a file.
pub fn text_of(given: &str) -> Result<String> {
    if given == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context(Code::FILE, "could not read stdin")?;
        return Ok(text);
    }
    match given.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).context(Code::FILE, format!("could not read {path}")),
        None => Ok(given.to_owned()),
    }
}

/// 32 random bytes: what is sent twice on purpose is two messages.
pub fn anchor() -> [u8; 32] {
    // A fresh key's address is as random as anything, and needs no source of randomness of our own.
    Wallet::generate_ed25519().address().0.0
}

/// The tags that make an item an ao item of that type, after the user's own, as aoconnect puts them.
pub fn ao_tags(own: &[Tag], kind: &str) -> Tags {
    let mut tags = Tags(own.to_vec());
    tags.push(protocol::tag::DATA_PROTOCOL, protocol::tag::AO);
    tags.push(protocol::tag::VARIANT, protocol::tag::AO_TN_1);
    tags.push(protocol::tag::TYPE, kind);
    tags
}

/// An outcome as programs get it: the fields of the wire, and what the wire leaves out.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Shown<'a> {
    messages: &'a [protocol::Json],
    assignments: &'a [protocol::Json],
    spawns: &'a [protocol::Json],
    output: &'a protocol::Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: &'a Option<protocol::Json>,
    gas_used: u64,
}

impl<'a> Shown<'a> {
    /// What `outcome` says.
    pub fn of(outcome: &'a Outcome) -> Shown<'a> {
        Shown {
            messages: &outcome.messages,
            assignments: &outcome.assignments,
            spawns: &outcome.spawns,
            output: &outcome.output,
            error: &outcome.error,
            gas_used: outcome.gas_used,
        }
    }
}

/// What a person wants to see of an outcome: what the process printed or returned, coloured if stdout may be.
pub fn output_of(outcome: &Outcome) -> String {
    render::output(outcome, crate::ui::paint())
}

/// The failure of an outcome, if it is one.
pub fn check(outcome: &Outcome) -> Result {
    let Some(error) = &outcome.error else { return Ok(()) };
    let text = error.to::<String>().unwrap_or_else(|_| error.get().to_owned());
    Err(Failure::new(Code::PROCESS_FAILED, format!("the process failed: {}", crate::ui::plain(text.trim())))
        .hint("its state is as it was before"))
}

/// One line per thing that an outcome sends.
pub fn outbox_of(outcome: &Outcome) -> Vec<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Sent {
        target: Option<String>,
        #[serde(default)]
        tags: Vec<serde_json::Value>,
    }
    let action = |tags: &[serde_json::Value]| {
        let tag = tags.iter().find(|tag| tag["name"] == "Action")?;
        tag["value"].as_str().map(str::to_owned)
    };
    let mut lines = Vec::new();
    for message in &outcome.messages {
        let Ok(sent) = message.to::<Sent>() else { continue };
        let (action, target) = (action(&sent.tags).unwrap_or_default(), sent.target.unwrap_or_default());
        lines.push(format!("sends    {action} to {target}"));
    }
    lines.extend(outcome.spawns.iter().map(|_| "spawns   a process".to_owned()));
    lines.extend(outcome.assignments.iter().map(|assignment| format!("assigns  {}", assignment.get())));
    lines
}
