//! Why a process did what it did with a message: the input, the rule that took it, and what it said of that.

use protocol::{Item, Outcome, ProcessId, Slot, Tag, tag};
use serde::Serialize;
use unit::{Compute as _, Evaluated, OutcomeQuery, Sort, Trace as Step};

use crate::network::Clients;
use crate::render;
use crate::ui::moment;

/// Bytes of data that are shown.
const DATA_MAX: usize = 256;
/// Outcomes among which the tick is looked for that sent a message.
const TICKS_LOOKED_AT: usize = 1000;
/// What the library of agents begins its line with (`processes/agents/lib/because.lua`).
const BECAUSE: &str = "because ";
/// Tags that all messages have, or that are shown otherwise.
const PLAIN: [&str; 8] = [
    tag::DATA_PROTOCOL,
    tag::VARIANT,
    tag::TYPE,
    tag::ACTION,
    tag::FROM_PROCESS,
    "From-Module",
    tag::PUSHED_FOR,
    tag::REFERENCE,
];

/// What there is to say of a decision. Empty where the units do not know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Why {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<Slot>,
    /// The cron that ticked: `0-10-minutes`. It has no message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Which process or wallet it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// The beginning of its data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The handler that took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The process's own reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The process's own error. Then it sent nothing, and its state is as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

impl Why {
    /// Takes in the message that was handled.
    pub fn input(&mut self, item: &Item) {
        let first = |name| item.tags.first(name).map(str::to_owned);
        self.action = first(tag::ACTION).or_else(|| first(tag::TYPE));
        self.from = Some(first(tag::FROM_PROCESS).unwrap_or_else(|| item.address().to_string()));
        self.tags = item.tags.iter().filter(|tag| !PLAIN.contains(&tag.name.as_str())).cloned().collect();
        let text = item.text();
        let end = (0..=DATA_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        self.data = Some(text[..end].to_owned()).filter(|data| !data.trim().is_empty());
    }

    /// Takes in what came of it.
    pub fn outcome(&mut self, outcome: &Outcome) {
        self.failed = render::error(outcome);
        let told = match &self.failed {
            Some(error) => error.lines().find_map(handler_of).map(|rule| (rule.to_owned(), None)),
            None => because(&render::output(outcome, render::Paint { colours: false })),
        };
        if let Some((rule, reason)) = told {
            (self.rule, self.reason) = (Some(rule), reason);
        }
    }

    /// Lines for a person.
    pub fn shown(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let plain = |text: &str| {
            let text = render::safe(text, render::Paint { colours: false });
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        if let Some(action) = self.action.as_ref().or(self.cron.as_ref()) {
            let slot = self.slot.map(|slot| format!(", slot {slot}")).unwrap_or_default();
            let from = self.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
            let tags = self.tags.iter().map(|tag| format!(" {}={}", tag.name, tag.value)).collect::<String>();
            lines.push(plain(&format!("input   {action}{from}{slot}{tags}")));
        }
        lines.extend(self.data.as_ref().map(|data| plain(&format!("data    {data}"))));
        lines.extend(self.rule.as_ref().map(|rule| plain(&format!("rule    {rule}"))));
        lines.extend(self.reason.as_ref().map(|reason| plain(&format!("reason  {reason}"))));
        lines.extend(self.failed.as_ref().map(|failed| plain(&format!("failed  {failed}"))));
        lines
    }
}

/// Rule and reason of what an agent prints last.
fn because(output: &str) -> Option<(String, Option<String>)> {
    let told = output.lines().next_back()?.strip_prefix(BECAUSE)?;
    Some(match told.split_once(": ") {
        Some((rule, reason)) => (rule.to_owned(), Some(reason.to_owned())),
        None => (told.to_owned(), None),
    })
}

/// The handler that an error report of the boot library names.
fn handler_of(line: &str) -> Option<&str> {
    line.strip_prefix("Error in handler ")?.split_once(", message with Action").map(|(name, _)| name)
}

/// The tick of a cron that sent what a tree begins with, since that is no message: which, and why.
pub async fn cron_behind(clients: &Clients, step: &Step, item: &Item) -> Option<(ProcessId, Why)> {
    if step.parent.is_some() || item.tags.first(tag::PUSHED_FOR).is_some() {
        return None;
    }
    let process = item.tags.first(tag::FROM_PROCESS)?.parse().ok()?;
    let query = OutcomeQuery { sort: Sort::Descending, limit: TICKS_LOOKED_AT, ..OutcomeQuery::default() };
    let newest = clients.cu.results(process, query).await.ok()?;
    let reference = item.tags.first(tag::REFERENCE)?;
    let sent = |one: &&Evaluated| {
        one.cursor.cron.is_some() && one.outcome.messages.iter().any(|message| is_of(message, reference))
    };
    newest.items.iter().find(sent).map(|one| (process, of_evaluated(one)))
}

fn is_of(message: &protocol::Json, reference: &str) -> bool {
    let message = message.to::<serde_json::Value>().unwrap_or_default();
    let tags = message["Tags"].as_array();
    tags.is_some_and(|tags| tags.iter().any(|tag| tag["name"] == tag::REFERENCE && tag["value"] == reference))
}

/// What an outcome by itself says.
pub fn of_evaluated(one: &Evaluated) -> Why {
    let at = moment(one.cursor.timestamp.0);
    let mut why = Why::default();
    match &one.cursor.cron {
        Some(cron) => why.cron = Some(format!("cron {cron} of {at}")),
        None => why.slot = one.cursor.ordinate.map(Slot),
    }
    why.outcome(&one.outcome);
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_an_output_says_why() {
        let some = |rule: &str, reason: Option<&str>| Some((rule.to_owned(), reason.map(str::to_owned)));
        assert_eq!(because("because dca.tick: it waits: 3"), some("dca.tick", Some("it waits: 3")));
        assert_eq!(because("x\nbecause dca.status"), some("dca.status", None));
        assert_eq!(because("because of a stranger\nit is so"), None);
        assert_eq!(because(""), None);
        let report = "Error in handler buy.now, message with Action = Buy";
        assert_eq!(handler_of(report), Some("buy.now"));
        assert_eq!(handler_of("error: nil"), None);
    }
}
