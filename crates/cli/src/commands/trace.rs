//! `pirn trace`

use std::collections::BTreeMap;

use clap::Args;
use protocol::{Id, tag};
use serde::Serialize;
use unit::{Code, Compute as _, Messenger as _, Scheduler as _, Trace as Step, TraceKind, TraceQuery};

use crate::error::{Failure, Result};
use crate::network::{Clients, Where};
use crate::otlp::{self, Span, Target};
use crate::render;
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
    /// Also write the steps as OpenTelemetry spans: to a file of OTLP/JSON, or to a collector, such as
    /// http://127.0.0.1:4318
    #[arg(long, value_name = "FILE|URL")]
    otlp: Option<Target>,
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
        let clients = self.at.clients()?;
        let page = clients.mu.traces(query).await?;
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
        if let Some(target) = &self.otlp {
            let mut spans = Vec::with_capacity(page.items.len());
            let mut missing = 0;
            for step in page.items.iter().rev() {
                let (span, is_whole) = span(&clients, step).await;
                missing += usize::from(!is_whole);
                spans.push(span);
            }
            otlp::export(target, "pirn trace", &spans).await?;
            if missing > 0 {
                ui.note(format_args!("of {missing} steps the units did not say the slot or the gas"));
            }
        }
        Ok(())
    }
}

/// A step as a span, with what the scheduler and the compute unit know of it; and whether they knew all of it.
async fn span(clients: &Clients, step: &Step) -> (Span, bool) {
    let mut span = Span {
        trace: otlp::trace_of(step.root),
        id: otlp::span_of(step.message),
        parent: step.parent.filter(|_| step.message != step.root).map(otlp::span_of),
        name: word(step.kind).to_owned(),
        service: step.process.map_or_else(|| "nobody".to_owned(), |process| process.to_string()),
        message: Some(step.message),
        process: step.process,
        more: step.wallet.iter().map(|wallet| ("ao.wallet", wallet.to_string())).collect(),
        error: step.error.clone(),
        start: step.timestamp,
        end: step.timestamp,
        ..Span::default()
    };
    // What is for a wallet has no slot.
    let Some(process) = step.process else { return (span, true) };
    let scheduled = clients.su.find(Some(process), step.message).await;
    if let Ok(entry) = &scheduled {
        span.slot = Some(entry.assignment.slot);
        span.end = entry.assignment.timestamp;
        let action = entry.message.as_ref().and_then(|message| message.tags.first(tag::ACTION));
        span.action = action.map(str::to_owned);
        span.name = action.unwrap_or(&span.name).to_owned();
    }
    let outcome = clients.cu.result(process, step.message).await;
    if let Ok(outcome) = &outcome {
        // Other people's units do not say ours.
        span.gas = [outcome.gas, outcome.gas_used].into_iter().find(|gas| *gas > 0);
        span.error = span.error.or_else(|| render::error(outcome));
    }
    (span, scheduled.is_ok() && outcome.is_ok())
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
