//! `pirn cron`

use bytes::Bytes;
use clap::{Args, Subcommand};
use cu::cron::Crons;
use pirn_http::wire::monitored::TallyShape;
use protocol::{DataItem, Draft, ProcessId, Tags, Timestamp, tag};
use serde::Serialize;
use unit::{
    Code, Messenger as _, Monitored, MonitoredQuery, Page, ProcessTimers, Scheduler as _, TimerState,
    TimersQuery,
};

use super::parse_process;
use crate::error::{Context as _, Result};
use crate::network::{Clients, Signer, Where};
use crate::ui::{Ui, moment, span, table};

/// Show the processes whose cron a messenger runs: when each is due, was pushed last, and what fails
#[derive(Debug, Args)]
pub struct Cron {
    #[command(subcommand)]
    action: Option<Action>,
    /// Continue after this process.
    #[arg(long, value_name = "PROCESS", value_parser = parse_process, allow_hyphen_values = true)]
    after: Option<ProcessId>,
    /// Show at most that many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    at: Where,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Have the messenger run the cron of a process. Only its owner may
    Monitor(Change),
    /// Have it no longer run. Only its owner may
    Unmonitor(Change),
}

#[derive(Debug, Args)]
struct Change {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: ProcessId,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    process: ProcessId,
    monitored: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    /// What the network's clock shows, milliseconds since 1970.
    now: Timestamp,
    processes: Vec<One>,
    has_next: bool,
    /// Timers of processes, in the order of their ids.
    timers: Vec<OneTimer>,
    timers_have_next: bool,
    /// Why the scheduler tells of no timers.
    #[serde(skip_serializing_if = "Option::is_none")]
    timers_error: Option<String>,
}

/// A timer, whose ticks the scheduler gives. Times are milliseconds since 1970.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OneTimer {
    process: ProcessId,
    name: String,
    schedule: String,
    missed: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Timestamp>,
    given: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_left: Option<u64>,
    /// For how long something has been due.
    late_ms: u64,
    /// Why the newest wish of its process changed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One {
    process: ProcessId,
    /// Its `Cron-Interval` tags.
    intervals: Vec<String>,
    /// The end of the second in which a cron that counts time is due next; milliseconds since 1970, as all of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
    /// The time of the newest outcome that is pushed, and the cron that it is of, if it is of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pushed: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    /// When the messenger looked last.
    looked_at: Timestamp,
    /// What fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The process that spawned it, if that is why its cron is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    spawner: Option<ProcessId>,
    /// Milliseconds since the messenger looked last.
    lag_ms: u64,
    /// Ticks since it is monitored, failed ones, caught up ones.
    #[serde(flatten)]
    tally: TallyShape,
}

impl Cron {
    /// Lists, or has a process monitored or no longer.
    pub async fn run(self, ui: Ui) -> Result {
        match self.action {
            Some(Action::Monitor(change)) => return change.run(ui, true).await,
            Some(Action::Unmonitor(change)) => return change.run(ui, false).await,
            None => {}
        }
        let clients = self.at.clients()?;
        let page = clients.mu.monitored(MonitoredQuery { after: self.after, limit: self.limit }).await?;
        let now = clients.su.now().await?.timestamp;
        let mut processes = Vec::new();
        for monitored in page.items {
            processes.push(one(&clients, monitored, now).await);
        }
        // A scheduler of another make knows no timers: the crons are shown all the same.
        let asked = TimersQuery { process: None, after: self.after, limit: self.limit };
        let (told, timers_error) = match clients.su.timers(asked).await {
            Ok(page) => (page, None),
            Err(error) => (Page { items: Vec::new(), has_next: false }, Some(error.to_string())),
        };
        let (timers, timers_have_next) =
            (told.items.into_iter().flat_map(timers_of).collect(), told.has_next);
        let has_next = page.has_next;
        let list = List { now, processes, has_next, timers, timers_have_next, timers_error };
        let mut shown =
            if list.processes.is_empty() { "no process is monitored".to_owned() } else { list.shown() };
        if !list.timers.is_empty() {
            shown = format!("{shown}\n\n{}", list.timers_shown());
        }
        ui.answer(shown, &list);
        if let Some(last) = list.timers.last().filter(|_| list.timers_have_next) {
            ui.note(format!("there are more timers: --after {}", last.process));
        }
        match list.processes.last() {
            None => ui.note("`pirn cron monitor PROCESS` has the messenger run the cron of a process"),
            Some(last) if list.has_next => ui.note(format!("there is more: --after {}", last.process)),
            Some(_) => {}
        }
        Ok(())
    }
}

impl Change {
    async fn run(self, ui: Ui, monitored: bool) -> Result {
        let Change { process, signer, at } = self;
        // Without tags: a message is public, and no request.
        let draft = Draft {
            target: Some(process.0),
            anchor: Some(super::anchor()),
            tags: Tags::default(),
            data: Bytes::from_static(b" "),
        };
        let request = DataItem::sign(&signer.wallet()?, draft).context(Code::WALLET, "could not sign")?;
        let clients = at.clients()?;
        let said = if monitored {
            clients.mu.monitor(request).await?;
            "is monitored: what its cron sends from now on is pushed"
        } else {
            clients.mu.unmonitor(request).await?;
            "is monitored no longer"
        };
        ui.answer(format!("{process} {said}"), &Changed { process, monitored });
        Ok(())
    }
}

fn timers_of(told: ProcessTimers) -> Vec<OneTimer> {
    let ProcessTimers { process, timers, refused } = told;
    let refused = refused.map(|(slot, why)| format!("slot {slot}: {why}"));
    let one = |timer: TimerState| OneTimer {
        process,
        name: timer.name,
        schedule: timer.schedule,
        missed: timer.missed,
        next: timer.next,
        last: timer.last,
        given: timer.given,
        budget_left: timer.budget_left,
        late_ms: timer.late_ms,
        refused: refused.clone(),
    };
    timers.into_iter().map(one).collect()
}

/// What there is to say of one. A process that the scheduler does not tell of is listed all the same.
async fn one(clients: &Clients, monitored: Monitored, now: Timestamp) -> One {
    let Monitored { process, looked_at, pushed, mut error, spawner, tally } = monitored;
    let (mut intervals, mut next) = (Vec::new(), None);
    match clients.su.process(process).await {
        Ok(record) => {
            intervals.extend(record.item.tags.all(tag::CRON_INTERVAL).map(str::to_owned));
            match Crons::parse(&record.item.tags) {
                Ok(crons) => next = crons.next_due(record.timestamp, now),
                Err(why) => error = error.or_else(|| Some(why.to_string())),
            }
        }
        Err(why) => error = error.or_else(|| Some(why.to_string())),
    }
    let (pushed, cron) = pushed.map(|cursor| (cursor.timestamp, cursor.cron)).unzip();
    let (cron, lag_ms, tally) = (cron.flatten(), now.0.saturating_sub(looked_at.0), tally.into());
    One { process, intervals, next, pushed, cron, looked_at, error, spawner, lag_ms, tally }
}

impl List {
    fn timers_shown(&self) -> String {
        let heads = ["process", "timer", "every", "next", "last", "given", "left", "late"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for one in &self.timers {
            let next = one.next.map_or_else(
                || "never".to_owned(),
                |next| format!("in {}", span(next.0.saturating_sub(self.now.0))),
            );
            rows.push(vec![
                one.process.to_string(),
                one.name.clone(),
                one.schedule.clone(),
                next,
                one.last.map_or_else(|| "none yet".to_owned(), |last| moment(last.0)),
                one.given.to_string(),
                one.budget_left.map_or_else(|| "any".to_owned(), |left| left.to_string()),
                if one.late_ms == 0 { "no".to_owned() } else { span(one.late_ms) },
            ]);
        }
        let mut lines: Vec<String> = table(&rows).lines().map(str::to_owned).collect();
        let mut said = None;
        for one in self.timers.iter().filter(|one| one.refused.is_some()) {
            if said != Some(one.process) {
                lines.push(format!(
                    "{} refused: {}",
                    one.process,
                    one.refused.as_deref().unwrap_or_default()
                ));
            }
            said = Some(one.process);
        }
        lines.join("\n")
    }

    fn shown(&self) -> String {
        let heads = ["process", "every", "next", "pushed up to", "looked", "ticks", "failed"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for one in &self.processes {
            let every =
                if one.intervals.is_empty() { "no cron".to_owned() } else { one.intervals.join(", ") };
            let next = match one.next {
                Some(next) => format!("in {}", span(next.0.saturating_sub(self.now.0))),
                None if one.intervals.is_empty() => "never".to_owned(),
                None => "with its block".to_owned(),
            };
            let pushed = match (one.pushed, &one.cron) {
                (None, _) => "nothing yet".to_owned(),
                (Some(at), None) => moment(at.0),
                (Some(at), Some(cron)) => format!("{} ({cron})", moment(at.0)),
            };
            let looked = format!("{} ago", span(one.lag_ms));
            let (ticks, failed) = (one.tally.ticks.to_string(), one.tally.failed.to_string());
            rows.push(vec![one.process.to_string(), every, next, pushed, looked, ticks, failed]);
        }
        let mut lines: Vec<String> = table(&rows).lines().map(str::to_owned).collect();
        for One { process, spawner, error, tally, .. } in &self.processes {
            lines.extend(spawner.map(|spawner| format!("{process} was spawned by {spawner}")));
            lines.extend(error.as_ref().map(|error| format!("{process} fails: {error}")));
            lines.extend(tally.failure.as_ref().map(|failure| {
                let (cron, at) = (&failure.cron, moment(failure.timestamp));
                let error = failure.error.lines().next().unwrap_or_default();
                format!("{process} failed at the tick {cron} of {at}: {error}")
            }));
            lines.extend(tally.catch_up.as_ref().map(|it| {
                let (from, to, at) = (moment(it.from), moment(it.to), moment(it.at));
                let (pushed, left_out) = (it.pushed, it.left_out);
                format!(
                    "{process} was not looked at until {at}: {pushed} ticks caught up, {left_out} left out, due from {from} to {to}"
                )
            }));
        }
        lines.join("\n")
    }
}
