//! `.handlers`: what a process does with messages, and how that went.
//!
//! A process does not count what its handlers do: numbers in its memory would be another memory, for everybody, at a cost
//! for every message. So the figures are of the newest outcomes, which every compute unit keeps, and which handler a
//! message went to is asked in a dry run, by walking the process's own list over the messages as they were. That is right
//! as long as handlers and what they look at are as they were; the note under the table says so. It needs nothing of the
//! process but `Handlers.list`, so it is the same with one of aos. A process has no clock: the cost is gas.

use std::collections::BTreeMap;

use cu::cron::{Crons, Tick};
use cu::input::{self, Delivery};
use protocol::Slot;
use unit::{Compute as _, Evaluated, OutcomeQuery, Scheduled, Scheduler as _, SlotRange, Sort};

use super::session::Shared;
use crate::error::Result;
use crate::render::{self, grouped};

use crate::trial::source::quoted;

const SCRIPT: &str = include_str!("handlers.lua");

/// Outcomes that are looked at.
const LOOKED_AT: usize = 100;

/// Bytes of messages that are shown to the handlers again: a dry run has bounds.
const MESSAGES_MAX: usize = 256 << 10;

/// Characters of an error.
const ERROR_MAX: usize = 60;

/// The heads of the columns.
pub const HEAD: [&str; 6] = ["handler", "matches", "runs left", "calls", "mean gas", "last error"];

impl Shared {
    /// For each handler, in order, what [`HEAD`] says; and of what the figures are.
    pub async fn handlers(&self) -> Result<(Vec<Vec<String>>, String)> {
        let (messages, outcomes, note) = match self.newest().await {
            Ok((messages, outcomes)) => {
                let note = format!(
                    "calls, gas and errors are of the newest {} messages, by what the handlers match now",
                    outcomes.len()
                );
                (messages, outcomes, note)
            }
            // A process can be looked at without its history.
            Err(failure) => {
                (Vec::new(), Vec::new(), format!("its messages could not be looked at: {}", failure.what))
            }
        };
        let list = format!("[{}]", messages.join(","));
        let script =
            format!("return (function(...) {SCRIPT}\nend)(require('json').decode({}))", quoted(&list));
        let rows = self.ask(&script).await?.into_iter().map(|row| row_of(row, &outcomes)).collect();
        Ok((rows, note))
    }

    /// The newest messages that were evaluated, as the process saw them, and what came of them. The newest first.
    async fn newest(&self) -> Result<(Vec<String>, Vec<Evaluated>)> {
        let query = OutcomeQuery { sort: Sort::Descending, limit: LOOKED_AT, ..OutcomeQuery::default() };
        let newest = self.clients.cu.results(self.process, query).await?.items;
        let slots =
            || newest.iter().filter(|one| one.cursor.cron.is_none()).filter_map(|one| one.cursor.ordinate);
        let entries = match (slots().min(), slots().max()) {
            (Some(first), Some(last)) => self.entries(first, last).await?,
            _ => BTreeMap::new(),
        };
        let record = self.clients.su.process(self.process).await?;
        let owner = input::owner_text(&record.item.owner);
        let crons = Crons::parse(&record.item.tags).ok();
        let (mut messages, mut outcomes, mut bytes) = (Vec::new(), Vec::new(), 0);
        for one in newest {
            let message = match (&one.cursor.cron, one.cursor.ordinate) {
                (Some(cron), _) => crons.as_ref().and_then(|crons| crons.tags(cron)).map(|tags| {
                    let height = entries.values().next().map(|entry| entry.assignment.block_height);
                    let tick = Tick {
                        timestamp: one.cursor.timestamp,
                        listed: one.cursor.timestamp,
                        height: height.unwrap_or_default(),
                        cron: cron.clone(),
                        tags: tags.clone(),
                    };
                    input::cron(self.process, &owner, &tick).to_json()
                }),
                (None, Some(slot)) => entries.get(&slot).and_then(|entry| {
                    let item = entry.message.as_ref()?;
                    Some(input::scheduled(item, &entry.assignment, Delivery::Delivered).to_json())
                }),
                (None, None) => None,
            };
            // What is assigned from the weave is not fetched again.
            let Some(message) = message else { continue };
            bytes += message.len();
            if bytes > MESSAGES_MAX {
                break;
            }
            messages.push(message);
            outcomes.push(one);
        }
        Ok((messages, outcomes))
    }

    /// The entries of the schedule from one slot to another, both included.
    async fn entries(&self, first: u64, last: u64) -> Result<BTreeMap<u64, Scheduled>> {
        let mut entries = BTreeMap::new();
        let mut after = first.checked_sub(1).map(Slot);
        loop {
            let range = SlotRange::Slots { after, to: Some(Slot(last)) };
            let page = self.clients.su.schedule_page(self.process, range, LOOKED_AT).await?;
            let Some(end) = page.items.last().map(|entry| entry.assignment.slot) else { return Ok(entries) };
            entries.extend(page.items.into_iter().map(|entry| (entry.assignment.slot.0, entry)));
            // Between the newest outcomes there are no gaps that could make this long.
            if !page.has_next || entries.len() > LOOKED_AT {
                return Ok(entries);
            }
            after = Some(end);
        }
    }
}

/// Name, pattern and runs left as they are, and the figures of the messages whose numbers come last.
fn row_of(mut row: Vec<String>, outcomes: &[Evaluated]) -> Vec<String> {
    row.resize(4, String::new());
    let numbers = row.pop().unwrap_or_default();
    let own: Vec<&Evaluated> = numbers
        .split(',')
        .filter_map(|number| number.parse::<usize>().ok())
        .filter_map(|number| outcomes.get(number.checked_sub(1)?))
        .collect();
    // Other people's units do not say ours, or none.
    let gas = |one: &&Evaluated| Some(one.outcome.gas.max(one.outcome.gas_used)).filter(|gas| *gas > 0);
    let costs: Vec<u64> = own.iter().filter_map(gas).collect();
    let mean = costs.iter().sum::<u64>().checked_div(costs.len() as u64);
    let failed = own.iter().find_map(|one| render::error(&one.outcome));
    let last = failed.as_deref().and_then(|text| text.lines().rev().find(|line| !line.trim().is_empty()));
    row.push(own.len().to_string());
    row.push(mean.map(grouped).unwrap_or_default());
    row.push(last.unwrap_or_default().trim().chars().take(ERROR_MAX).collect());
    row
}
