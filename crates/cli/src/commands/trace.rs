//! `pirn trace`

use std::collections::BTreeMap;

use clap::Args;
use protocol::Id;
use serde::Serialize;
use unit::{Code, Messenger as _, Trace as Step, TraceKind, TraceQuery};

use crate::error::{Failure, Result};
use crate::network::Where;
use crate::ui::Ui;

/// Show what followed from a message, as a tree
#[derive(Debug, Args)]
pub struct Trace {
    /// The message that began it.
    #[arg(allow_hyphen_values = true)]
    message: Id,
    /// Show at most that many steps.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
struct Shown {
    message: Id,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<protocol::ProcessId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Id>,
    timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn word(kind: TraceKind) -> &'static str {
    match kind {
        TraceKind::Message => "message",
        TraceKind::Spawn => "spawn",
        TraceKind::Assign => "assign",
    }
}

impl Trace {
    /// Asks the messenger for the steps of the cascade and draws them.
    pub async fn run(self, ui: Ui) -> Result {
        let query = TraceQuery { root: Some(self.message), limit: self.limit, ..TraceQuery::default() };
        let page = self.at.clients()?.mu.traces(query).await?;
        if page.items.is_empty() {
            return Err(Failure::new(
                Code::NO_TRACE,
                format!("the messenger unit has no trace of {}", self.message),
            )
            .hint(
                "traces are kept of what went through this messenger; `pirn log PROCESS` shows a schedule",
            ));
        }
        let shown: Vec<Shown> = page
            .items
            .iter()
            .map(|step| Shown {
                message: step.message,
                kind: word(step.kind),
                process: step.process,
                parent: step.parent,
                timestamp: step.timestamp.0,
                error: step.error.clone(),
            })
            .collect();
        ui.answer(draw(&page.items), &shown);
        if page.has_next {
            ui.note("there is more: --limit N");
        }
        Ok(())
    }
}

/// The steps as a tree. A step whose parent is not among them stands at the left.
fn draw(steps: &[Step]) -> String {
    let known: std::collections::BTreeSet<Id> = steps.iter().map(|step| step.message).collect();
    let mut children: BTreeMap<Option<Id>, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        let parent = step.parent.filter(|parent| known.contains(parent) && *parent != step.message);
        children.entry(parent).or_default().push(step);
    }
    let mut lines = Vec::new();
    // A stack rather than recursion: a cascade may be as deep as it likes.
    let push = |stack: &mut Vec<(usize, Id, String)>, parent: Option<Id>, depth: usize| {
        for step in children.get(&parent).into_iter().flatten().rev() {
            let to = step.process.map(|process| format!(" → {process}")).unwrap_or_default();
            let error = step.error.as_ref().map(|error| format!("  error: {error}")).unwrap_or_default();
            stack.push((depth, step.message, format!("{} {}{to}{error}", word(step.kind), step.message)));
        }
    };
    let mut stack = Vec::new();
    push(&mut stack, None, 0);
    let mut drawn = std::collections::BTreeSet::new();
    while let Some((depth, message, line)) = stack.pop() {
        let branch = if depth == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(depth - 1)) };
        lines.push(format!("{branch}{line}"));
        if drawn.insert(message) {
            push(&mut stack, Some(message), depth + 1);
        }
    }
    lines.join("\n")
}
