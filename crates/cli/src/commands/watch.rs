//! `pirn watch`

use std::time::Duration;

use clap::Args;
use pirn_http::client::{EventStream, EventsWanted, Options, Said, Transport};
use pirn_http::wire::event::{EventShape, OutcomeSummary};
use protocol::ProcessId;
use unit::{Code, Compute as _, Cursor, Kind, OutcomeQuery, Sort};

use super::parse_process;
use crate::error::{Failure, Result};
use crate::network::Where;
use crate::ui::{Ui, plain};

/// Show what happens to a process, while it happens
#[derive(Debug, Args)]
pub struct Watch {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process)]
    process: ProcessId,
    /// Only messages with this Action.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only these kinds of events: received, assigned, evaluated, ticked, pushed, delivered, failed. Default: what was
    /// evaluated, and what failed.
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<String>,
    /// Start after this event, as `--json` said its id.
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// End after so many events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    at: Where,
}

/// Between two tries to reach a unit that was there before, and between two looks where it tells no events.
const PAUSE: Duration = Duration::from_secs(1);
/// Outcomes that one look takes.
const PAGE: usize = 100;

impl Watch {
    /// Listens to the compute unit, or asks it again and again if it tells no events.
    pub async fn run(self, ui: Ui) -> Result {
        let mut left = self.count.unwrap_or(u64::MAX);
        let mut wanted = EventsWanted {
            process: Some(self.process),
            kinds: self.kind.clone(),
            action: self.action.clone(),
            after: self.after.clone(),
        };
        if wanted.kinds.is_empty() {
            wanted.kinds = ["evaluated", "ticked", "failed"].map(str::to_owned).to_vec();
        }
        let mut was_there = false;
        let transport = Transport::new(Options::default())?;
        let clients = self.at.clients()?;
        let from = (&transport, clients.cu.url());
        while left > 0 {
            match self.listen(from, &mut wanted, &mut left, ui, &mut was_there).await {
                Ok(()) => {}
                Err(error) if error.kind == Kind::NotFound && !was_there => {
                    ui.note("this unit tells no events: asking for its results every second");
                    return self.poll(left, ui).await;
                }
                Err(error) if was_there && error.kind.is_transient() => {
                    ui.note(format_args!("{}; trying again", error.what));
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Listens until the stream ends or enough was heard.
    async fn listen(
        &self,
        (transport, url): (&Transport, &str),
        wanted: &mut EventsWanted,
        left: &mut u64,
        ui: Ui,
        was_there: &mut bool,
    ) -> unit::Result<()> {
        let mut stream = EventStream::open(transport, url, wanted).await?;
        loop {
            let said = stream.next().await;
            wanted.after = stream.position().map(str::to_owned);
            match said? {
                Some(Said::Open(_)) => {
                    if !std::mem::replace(was_there, true) {
                        ui.note(format_args!("watching {}", self.process));
                    }
                }
                Some(Said::Event(event)) => {
                    ui.answer(line_of(&event), &event);
                    *left -= 1;
                    if *left == 0 {
                        return Ok(());
                    }
                }
                Some(Said::Missed(why)) => ui.note(format_args!("some events were missed: {why}")),
                Some(Said::End(why)) => {
                    ui.note(format_args!("{why}; listening again"));
                    tokio::time::sleep(PAUSE).await;
                    return Ok(());
                }
                None => {
                    return Err(unit::Error::unavailable(format!("{url} ended the stream"))
                        .with_code(Code::UNREACHABLE));
                }
            }
        }
    }

    async fn poll(&self, mut left: u64, ui: Ui) -> Result {
        let listens = |kind: &str| self.kind.is_empty() || self.kind.iter().any(|wanted| wanted == kind);
        if self.action.is_some() || !(listens("evaluated") || listens("ticked")) {
            return Err(Failure::usage("results say no Action, and only what was evaluated")
                .hint("leave --action and --kind out, or watch at a unit that tells events"));
        }
        let cu = self.at.clients()?.cu;
        let newest = OutcomeQuery { sort: Sort::Descending, limit: 1, ..OutcomeQuery::default() };
        let newest = cu.results(self.process, newest).await?;
        let plain = |cursor: &Cursor| Cursor { sort: None, ..cursor.clone() };
        let mut from = newest.items.first().map(|newest| plain(&newest.cursor));
        while left > 0 {
            let query = OutcomeQuery { from: from.clone(), limit: PAGE, ..OutcomeQuery::default() };
            let page = match cu.results(self.process, query).await {
                Ok(page) => page,
                Err(error) if error.kind.is_transient() => {
                    ui.note(format_args!("{}; trying again", error.what));
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for one in page.items.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                let kind = if one.cursor.cron.is_some() { "ticked" } else { "evaluated" };
                if listens(kind) {
                    let event = EventShape {
                        kind: kind.to_owned(),
                        at: one.cursor.timestamp.0,
                        process: Some(self.process.to_string()),
                        slot: one.cursor.ordinate,
                        message: one.message.map(|message| message.to_string()),
                        cron: one.cursor.cron.clone(),
                        outcome: Some(OutcomeSummary::of(&one.outcome)),
                        ..EventShape::default()
                    };
                    ui.answer(line_of(&event), &event);
                    left -= 1;
                }
                from = Some(plain(&one.cursor));
            }
            if !page.has_next {
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }
}

/// An event for a person: what, from whom, and what came of it, the rest below.
fn line_of(event: &EventShape) -> String {
    let slot = event.slot.map(|slot| format!("slot {slot}")).unwrap_or_default();
    let mut head = vec![format!("{slot:<9}"), format!("{:<9}", event.kind)];
    head.extend(event.cron.clone());
    head.extend(event.action.as_deref().map(plain));
    head.extend(event.from.as_ref().map(|from| format!("from {from}")));
    if let (None, None, Some(message)) = (&event.action, &event.from, &event.message) {
        head.push(message.clone());
    }
    head.extend(event.count.map(|count| format!("{count} to send")));
    head.extend(event.why.as_deref().map(plain));
    let mut lines = Vec::new();
    if let Some(outcome) = &event.outcome {
        head.push(format!("gas {}", outcome.gas));
        let texts = [("error: ", &outcome.error), ("", &outcome.output)];
        for (name, text) in texts {
            for line in text.as_deref().map(plain).unwrap_or_default().trim_end().lines() {
                lines.push(format!("    {name}{line}"));
            }
        }
        for sent in &outcome.messages {
            let (action, target) = (sent.action.as_deref().unwrap_or("-"), sent.target.as_deref());
            lines.push(format!("    sends {} to {}", plain(action), plain(target.unwrap_or("nobody"))));
        }
        let more = outcome.message_count.saturating_sub(outcome.messages.len());
        if more > 0 {
            lines.push(format!("    and {more} more"));
        }
        if outcome.spawn_count > 0 {
            lines.push(format!("    spawns {}", outcome.spawn_count));
        }
    }
    lines.insert(0, head.join("  ").trim_end().to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_and_what_came_of_it_is_below() {
        let event = EventShape {
            kind: "evaluated".to_owned(),
            slot: Some(3),
            action: Some("Inc".to_owned()),
            from: Some("ben".to_owned()),
            outcome: Some(OutcomeSummary {
                gas: 5,
                output: Some("6\n7".to_owned()),
                ..OutcomeSummary::default()
            }),
            ..EventShape::default()
        };
        let expected = "slot 3     evaluated  Inc  from ben  gas 5\n    6\n    7";
        assert_eq!(line_of(&event), expected);
    }
}
