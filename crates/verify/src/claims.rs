//! What a compute unit claims, and how that stands to what comes of the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use protocol::{Outcome, ProcessId, Slot, Timestamp};
use serde_json::Value;
use unit::{Compute, Cursor, Evaluated, OutcomeQuery, Result, Scheduled, Sort};

use crate::{Finding, Rule, Stop};

/// Claims that are asked for at the same time.
const AT_ONCE: usize = 16;
/// Outcomes of a page of claims.
const PAGE: usize = 500;
/// Pages of claims about one page of the schedule. Of more crons than these hold nothing is compared.
const PAGES_MAX: usize = 200;

/// Where the outcome of a cron stands: the slot before it, when it was due, and which it is.
type Place = (Slot, Timestamp, String);

/// What a compute unit says of a part of a schedule.
pub(crate) struct Claims {
    /// Of each entry.
    slots: Vec<Result<Arc<Outcome>>>,
    /// Of the crons before them; None if it does not tell which outcomes are of crons.
    crons: Option<BTreeMap<Place, Arc<Outcome>>>,
}

impl Claims {
    /// Asks for what came of the entries of `page`, and of the crons between them and after `before`.
    pub(crate) async fn ask(
        unit: &dyn Compute,
        process: ProcessId,
        before: Option<&Scheduled>,
        page: &[Scheduled],
    ) -> Result<Claims> {
        if let Some(last) = page.last() {
            // It has the others evaluated on the way, as one stream. What is wrong with this answer shows below.
            let _ = unit.result(process, last.message_id()).await;
        }
        let ask = |entry: &Scheduled| unit.result(process, entry.message_id());
        let slots = stream::iter(page).map(ask).buffered(AT_ONCE).collect().await;
        Ok(Claims { slots, crons: crons(unit, process, before, page).await? })
    }

    /// Compares what comes of the entries of a page, and of the crons before them, with what is claimed. Answers with how
    /// many outcomes that were.
    pub(crate) fn compare(&self, page: &[Scheduled], own: &Claims) -> std::result::Result<u64, Stop> {
        for (entry, (claimed, outcome)) in page.iter().zip(self.slots.iter().zip(&own.slots)) {
            let slot = entry.assignment.slot;
            match claimed {
                Ok(claimed) => {
                    let outcome = outcome.as_ref().map_err(|error| Stop::Failed(error.clone()))?;
                    same(slot, &format!("slot {slot}"), outcome, claimed)?;
                }
                Err(error) if error.kind.is_transient() => return Err(Stop::Failed(error.clone())),
                Err(error) => {
                    let what = format!("the compute unit has no outcome of slot {slot}: {}", error.what);
                    return Err(Stop::Found(Finding::new(slot, Rule::Outcome, what)));
                }
            }
        }
        let (Some(expected), Some(claimed)) = (&own.crons, &self.crons) else { return Ok(page.len() as u64) };
        for (place, outcome) in expected {
            let Some(answer) = claimed.get(place) else {
                let what = format!("the compute unit has no outcome of {}", named(place));
                return Err(Stop::Found(Finding::new(place.0, Rule::Outcome, what)));
            };
            same(place.0, &named(place), outcome, answer)?;
        }
        match claimed.keys().find(|place| !expected.contains_key(*place)) {
            Some(place) => {
                let what =
                    format!("the compute unit claims an outcome of {}, which never was due", named(place));
                Err(Stop::Found(Finding::new(place.0, Rule::Outcome, what)))
            }
            None => Ok((page.len() + expected.len()) as u64),
        }
    }
}

/// The outcomes of crons that a compute unit lists between the entry `before` and the last of `page`. Units of the legacy
/// network list them among others, without the message that an outcome is of: None.
async fn crons(
    unit: &dyn Compute,
    process: ProcessId,
    before: Option<&Scheduled>,
    page: &[Scheduled],
) -> Result<Option<BTreeMap<Place, Arc<Outcome>>>> {
    let mut found = BTreeMap::new();
    let Some(last) = page.last() else { return Ok(Some(found)) };
    let mut from = before.map(cursor);
    for _ in 0..PAGES_MAX {
        let (to, sort) = (Some(cursor(last)), Sort::Ascending);
        let part = unit.results(process, OutcomeQuery { from, to, sort, limit: PAGE }).await?;
        for Evaluated { cursor, message, outcome } in &part.items {
            match (cursor.ordinate, cursor.cron.clone()) {
                (Some(slot), Some(cron)) => {
                    found.insert((Slot(slot), cursor.timestamp, cron), Arc::clone(outcome));
                }
                _ if message.is_none() => return Ok(None),
                _ => {}
            }
        }
        let end = part.items.last().map(|one| one.cursor.clone());
        from = match (part.has_next, end) {
            (true, Some(end)) => Some(end),
            _ => return Ok(Some(found)),
        };
    }
    Ok(None)
}

fn named((_, timestamp, cron): &Place) -> String {
    format!("cron {cron} of {timestamp}")
}

/// Right after the evaluation of an entry.
fn cursor(entry: &Scheduled) -> Cursor {
    let (timestamp, slot) = (entry.assignment.timestamp, entry.assignment.slot);
    Cursor { timestamp, ordinate: Some(slot.0), cron: None, sort: Some(Sort::Ascending) }
}

/// Whether both say the same.
fn same(slot: Slot, of: &str, outcome: &Outcome, claimed: &Outcome) -> std::result::Result<(), Stop> {
    let (expected, claimed) = (shown(outcome), shown(claimed));
    if expected == claimed {
        return Ok(());
    }
    let names = ["Messages", "Spawns", "Assignments", "Output", "Error"];
    let differ: Vec<&str> = names.into_iter().filter(|name| expected[name] != claimed[name]).collect();
    let what = format!("the compute unit claims another outcome of {of}: {}", differ.join(", "));
    let finding = Finding::new(slot, Rule::Outcome, what);
    Err(Stop::Found(Finding { expected: Some(expected), claimed: Some(claimed), ..finding }))
}

/// What every compute unit must say alike. What an evaluation costs is each one's own to count.
fn shown(outcome: &Outcome) -> Value {
    let list = |list: &[protocol::Json]| -> Vec<Value> { list.iter().map(value).collect() };
    serde_json::json!({
        "Messages": list(&outcome.messages), "Spawns": list(&outcome.spawns),
        "Assignments": list(&outcome.assignments), "Output": value(&outcome.output),
        "Error": outcome.error.as_ref().map(value),
    })
}

fn value(json: &protocol::Json) -> Value {
    serde_json::from_str(json.get()).unwrap_or_else(|_| Value::String(json.get().to_owned()))
}

#[cfg(test)]
mod tests {
    use protocol::Json;

    use super::*;

    /// The outcomes of these crons after slot 4, each with what it shows.
    fn claims(crons: &[(u64, &str)]) -> Claims {
        let outcome = |shown: &str| Outcome { output: Json::string(shown), ..cu::empty_outcome() };
        let cron = |(due, shown): &(u64, &str)| {
            ((Slot(4), Timestamp(*due), "0-10-minutes".to_owned()), Arc::new(outcome(shown)))
        };
        Claims { slots: Vec::new(), crons: Some(crons.iter().map(cron).collect()) }
    }

    fn found(own: &Claims, claimed: &Claims) -> String {
        match claimed.compare(&[], own) {
            Ok(compared) => format!("{compared} compared"),
            Err(Stop::Found(finding)) => format!("slot {}: {}", finding.slot, finding.what),
            Err(Stop::Failed(error)) => error.to_string(),
        }
    }

    #[test]
    fn a_wrong_outcome_of_a_cron_is_found() {
        let own = claims(&[(600, "1"), (1200, "2")]);
        assert_eq!(found(&own, &claims(&[(600, "1"), (1200, "2")])), "2 compared");
        assert_eq!(
            found(&own, &claims(&[(600, "1"), (1200, "3")])),
            "slot 4: the compute unit claims another outcome of cron 0-10-minutes of 1200: Output"
        );
        assert_eq!(
            found(&own, &claims(&[(1200, "2")])),
            "slot 4: the compute unit has no outcome of cron 0-10-minutes of 600"
        );
        assert_eq!(
            found(&own, &claims(&[(600, "1"), (1200, "2"), (1800, "3")])),
            "slot 4: the compute unit claims an outcome of cron 0-10-minutes of 1800, which never was due"
        );
        // Lists of the legacy network do not tell.
        assert_eq!(found(&own, &Claims { slots: Vec::new(), crons: None }), "0 compared");
    }
}
