//! `pirn trace`

mod explain;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::Args;
use protocol::{Id, Outcome, ProcessId, tag};
use serde::Serialize;
use unit::{
    Code, Compute as _, Messenger as _, OutboxQuery, OutcomeQuery, Scheduled, Scheduler as _, Sort,
    Trace as Step, TraceKind, TraceQuery,
};

use super::parse_process;
use crate::error::{Failure, Result};
use crate::network::{Clients, Where};
use crate::otlp::{self, Span, Target};
use crate::render;
use crate::ui::{Ui, plain};

use explain::Why;

/// Tasks of the messenger's outbox among which a step is looked for that has no slot yet.
const OUTBOX_LOOKED_AT: usize = 1000;

/// Show why: what a message was, which handler took it, and what followed from it, as a tree
///
/// A rule and its reason are what the process says of itself: agents that load `lib/because.lua` do for each message.
#[derive(Debug, Args)]
pub struct Trace {
    /// The message: the one that began it, a tick, or any other of the tree.
    #[arg(allow_hyphen_values = true, required_unless_present = "process")]
    message: Option<Id>,
    /// Show instead the newest decisions of a process, ticks of crons too: its id, or its name in the project here.
    #[arg(long, value_name = "PROCESS", value_parser = parse_process, allow_hyphen_values = true, conflicts_with_all = ["message", "otlp"])]
    process: Option<ProcessId>,
    /// Show at most that many steps.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
    /// Show the tree and nothing of the steps.
    #[arg(long)]
    brief: bool,
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
    process: Option<ProcessId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Id>,
    timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What became of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    /// The messages and processes that its outcome sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Vec<Id>>,
    #[serde(flatten)]
    why: Why,
    /// What began the tree, if that is no message.
    #[serde(rename = "begunBy", skip_serializing_if = "Option::is_none")]
    begun_by: Option<BegunBy>,
}

/// The tick of a cron.
#[derive(Serialize)]
struct BegunBy {
    process: ProcessId,
    #[serde(flatten)]
    why: Why,
}

#[derive(Serialize)]
struct Decision {
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Id>,
    timestamp: u64,
    /// How many messages, spawns and assignments its outcome has.
    sends: usize,
    #[serde(flatten)]
    why: Why,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It has its slot.
    Scheduled,
    /// It waits in the messenger's outbox.
    Waiting,
    /// It was given up, or fails.
    Failed,
    /// It has no slot that the scheduler here knows: it is for a wallet, or elsewhere.
    Sent,
}

/// A step, and what scheduler and compute unit know of it.
struct Looked {
    step: Step,
    entry: Option<Scheduled>,
    outcome: Option<Arc<Outcome>>,
}

fn word(kind: TraceKind) -> &'static str {
    match kind {
        TraceKind::Message => "message",
        TraceKind::Spawn => "spawn",
        TraceKind::Assign => "assign",
    }
}

impl Trace {
    /// Asks the messenger for the steps of the cascade, the others for what they are, and draws them.
    pub async fn run(self, ui: Ui) -> Result {
        let clients = self.at.clients()?;
        let message = match (self.process, self.message) {
            (Some(process), _) => return decisions(&clients, process, self.limit, ui).await,
            (None, Some(message)) => message,
            (None, None) => return Err(Failure::usage("a message or --process is needed")),
        };
        let (steps, more) = steps_of(&clients, message, self.limit).await?;
        let looks = !self.brief || self.otlp.is_some();
        let mut looked = Vec::with_capacity(steps.len());
        for step in steps {
            looked.push(if looks {
                Looked::at(&clients, step).await
            } else {
                Looked { step, entry: None, outcome: None }
            });
        }
        let shown = if self.brief { Vec::new() } else { explain_all(&clients, &looked).await };
        let shown: Vec<Shown> = match shown.is_empty() {
            true => looked.iter().map(|one| Shown::brief(&one.step)).collect(),
            false => shown,
        };
        ui.answer(draw(&shown), &shown);
        if more {
            ui.note("there is more: --limit N");
        }
        if let Some(target) = &self.otlp {
            let spans: Vec<Span> = looked.iter().rev().map(span).collect();
            let missing = looked.iter().filter(|one| !one.is_whole()).count();
            otlp::export(target, "pirn trace", &spans).await?;
            if missing > 0 {
                ui.note(format_args!("of {missing} steps the units did not say the slot or the gas"));
            }
        }
        Ok(())
    }
}

/// The steps of the tree that a message is in, newest first, and whether there are more.
async fn steps_of(clients: &Clients, message: Id, limit: usize) -> Result<(Vec<Step>, bool)> {
    let tree = |root| TraceQuery { root: Some(root), limit, ..TraceQuery::default() };
    let mut page = clients.mu.traces(tree(message)).await?;
    if page.items.is_empty() {
        // It did not begin it: what did?
        for kind in [TraceKind::Message, TraceKind::Spawn, TraceKind::Assign] {
            let (id, kind) = (Some(message.to_string()), Some(kind));
            let own = TraceQuery { id, kind, limit: 1000, ..TraceQuery::default() };
            let found = clients.mu.traces(own).await?.items.into_iter().find(|step| step.message == message);
            if let Some(step) = found {
                page = clients.mu.traces(tree(step.root)).await?;
                break;
            }
        }
    }
    if page.items.is_empty() {
        let what = format!("the messenger unit has no trace of {message}");
        return Err(Failure::new(Code::NO_TRACE, what).hint(
            "traces are kept of what went through this messenger; `pirn log PROCESS` shows a schedule, \
             `pirn trace --process PROCESS` what a process decided",
        ));
    }
    Ok((page.items, page.has_next))
}

/// The newest decisions of a process, also those of which nothing followed.
async fn decisions(clients: &Clients, process: ProcessId, limit: usize, ui: Ui) -> Result {
    let query = OutcomeQuery { sort: Sort::Descending, limit, ..OutcomeQuery::default() };
    let page = clients.cu.results(process, query).await?;
    let mut shown = Vec::with_capacity(page.items.len());
    for one in &page.items {
        let mut why = explain::of_evaluated(one);
        if let Some(message) = one.message
            && let Ok(Scheduled { message: Some(item), .. }) = clients.su.find(Some(process), message).await
        {
            why.input(&item);
        }
        let outcome = &one.outcome;
        let sends = outcome.messages.len() + outcome.spawns.len() + outcome.assignments.len();
        shown.push(Decision { message: one.message, timestamp: one.cursor.timestamp.0, sends, why });
    }
    let mut lines = Vec::new();
    for Decision { message, sends, why, .. } in &shown {
        lines.push(message.map_or_else(|| "tick".to_owned(), |message| format!("message {message}")));
        lines.extend(why.shown().into_iter().map(|line| format!("   {line}")));
        lines.push(format!("   sends   {sends}"));
    }
    ui.answer(lines.join("\n"), &shown);
    if page.has_next {
        ui.note("there is more: --limit N");
    }
    Ok(())
}

impl Looked {
    async fn at(clients: &Clients, step: Step) -> Looked {
        // What is for a wallet has no slot.
        let Some(process) = step.process else { return Looked { step, entry: None, outcome: None } };
        let entry = clients.su.find(Some(process), step.message).await.ok();
        // A unit that knows no such process would be asked for nothing.
        let outcome = match &entry {
            Some(_) => clients.cu.result(process, step.message).await.ok(),
            None => None,
        };
        Looked { step, entry, outcome }
    }

    fn is_whole(&self) -> bool {
        self.step.process.is_none() || self.entry.is_some() && self.outcome.is_some()
    }

    fn why(&self) -> Why {
        let mut why = Why::default();
        if let Some(entry) = &self.entry {
            why.slot = Some(entry.assignment.slot);
            if let Some(item) = &entry.message {
                why.input(item);
            }
        }
        if let Some(outcome) = &self.outcome {
            why.outcome(outcome);
        }
        why
    }
}

impl Shown {
    fn brief(step: &Step) -> Shown {
        Shown {
            message: step.message,
            kind: word(step.kind),
            process: step.process,
            parent: step.parent,
            timestamp: step.timestamp.0,
            error: step.error.clone(),
            state: None,
            outputs: None,
            why: Why::default(),
            begun_by: None,
        }
    }
}

async fn explain_all(clients: &Clients, looked: &[Looked]) -> Vec<Shown> {
    let query = OutboxQuery { dead: false, after: 0, limit: OUTBOX_LOOKED_AT };
    // Where that cannot be seen, nothing waits as far as is known.
    let waiting = clients.mu.outbox(query).await.map_or_else(|_| Vec::new(), |page| page.items);
    let waiting: BTreeSet<Id> = waiting.iter().map(|entry| entry.trace.message).collect();
    let mut outputs: BTreeMap<Id, Vec<Id>> = BTreeMap::new();
    for Looked { step, .. } in looked.iter().rev() {
        if let Some(parent) = step.parent.filter(|parent| *parent != step.message) {
            outputs.entry(parent).or_default().push(step.message);
        }
    }
    let mut shown = Vec::with_capacity(looked.len());
    for one in looked {
        let step = &one.step;
        let state = match &one.entry {
            Some(_) => State::Scheduled,
            None if step.error.is_some() => State::Failed,
            None if waiting.contains(&step.message) => State::Waiting,
            None => State::Sent,
        };
        let begun_by = match one.entry.as_ref().and_then(|entry| entry.message.as_ref()) {
            Some(item) => explain::cron_behind(clients, step, item).await,
            None => None,
        };
        shown.push(Shown {
            state: Some(state),
            outputs: Some(outputs.remove(&step.message).unwrap_or_default()),
            why: one.why(),
            begun_by: begun_by.map(|(process, why)| BegunBy { process, why }),
            ..Shown::brief(step)
        });
    }
    shown
}

/// A step as a span, with what the scheduler and the compute unit know of it.
fn span(looked: &Looked) -> Span {
    let Looked { step, entry, outcome } = looked;
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
    if let Some(entry) = entry {
        span.slot = Some(entry.assignment.slot);
        span.end = entry.assignment.timestamp;
        let action = entry.message.as_ref().and_then(|message| message.tags.first(tag::ACTION));
        span.action = action.map(str::to_owned);
        span.name = action.unwrap_or(&span.name).to_owned();
    }
    if let Some(outcome) = outcome {
        // Other people's units do not say ours.
        span.gas = [outcome.gas, outcome.gas_used].into_iter().find(|gas| *gas > 0);
        span.error = span.error.or_else(|| render::error(outcome));
    }
    span
}

/// The steps as a tree. A step whose parent is not among them stands at the left.
fn draw(steps: &[Shown]) -> String {
    let known: BTreeSet<Id> = steps.iter().map(|step| step.message).collect();
    let mut children: BTreeMap<Option<Id>, Vec<&Shown>> = BTreeMap::new();
    for step in steps {
        let parent = step.parent.filter(|parent| known.contains(parent) && *parent != step.message);
        children.entry(parent).or_default().push(step);
    }
    let mut lines = Vec::new();
    // A stack rather than recursion: a cascade may be as deep as it likes.
    let below = |parent: Option<Id>, depth: usize| -> Vec<(usize, &Shown)> {
        let below = children.get(&parent).into_iter().flatten();
        below.rev().map(|step| (depth, *step)).collect()
    };
    let mut stack = below(None, 0);
    let mut drawn = BTreeSet::new();
    while let Some((depth, step)) = stack.pop() {
        let branch = if depth == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(depth - 1)) };
        let margin = "   ".repeat(depth + 1);
        if let Some(BegunBy { process, why }) = &step.begun_by {
            lines.push(format!("{branch}tick of {process}"));
            lines.extend(why.shown().into_iter().map(|line| format!("{margin}{line}")));
        }
        let to = step.process.map(|process| format!(" → {process}")).unwrap_or_default();
        let error = step.error.as_ref().map(|error| format!("  error: {}", plain(error))).unwrap_or_default();
        let state = match step.state {
            Some(State::Waiting) => "  waits to be sent",
            Some(State::Sent) => "  sent: it has no slot here",
            _ => "",
        };
        lines.push(format!("{branch}{} {}{to}{state}{error}", step.kind, step.message));
        lines.extend(step.why.shown().into_iter().map(|line| format!("{margin}{line}")));
        if drawn.insert(step.message) {
            stack.extend(below(Some(step.message), depth + 1));
        }
    }
    lines.join("\n")
}
