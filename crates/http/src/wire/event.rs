//! An event as `/api/v1/events` says it.

use protocol::{Json, Outcome};
use serde::{Deserialize, Serialize};
use unit::{Event, Happened, Told};

/// Characters of an output or an error that an event says.
const TEXT_MAX: usize = 8192;
/// Messages of an outcome that an event names.
const MESSAGES_MAX: usize = 64;

/// One event. What does not belong to its kind is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventShape {
    /// What to come back with as `Last-Event-ID`.
    pub id: String,
    /// `received`, `assigned`, `evaluated`, `ticked`, `pushed`, `delivered`, `failed`, `mined` or `reorganised`.
    pub kind: String,
    /// When, milliseconds since 1970 by the node's clock.
    pub at: u64,
    /// To which process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// The slot; of a tick, that of the entry before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u64>,
    /// The id of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The id of its assignment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignment: Option<String>,
    /// The process that sent it, or the wallet that signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its `Action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Of a tick: which cron.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// Of a tick: when it was due, milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<u64>,
    /// Of an evaluation or a tick.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeSummary>,
    /// Of a push: what follows, the first of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Vec<String>>,
    /// Of a push: how many follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// Of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of a block; of a reorganisation, of the newest block that stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// Of a block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Of a block: how many are in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transactions: Option<usize>,
    /// Of a reorganisation: the blocks that are gone, newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphaned: Option<Vec<String>>,
}

/// An outcome, in short.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutcomeSummary {
    /// What it cost, units of `Compute-Limit`.
    pub gas: u64,
    /// Why the process failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it printed or returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The prompt that it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What it sends, the first of it.
    pub messages: Vec<SentShape>,
    /// How many messages it sends.
    pub message_count: usize,
    /// How many processes it starts.
    pub spawn_count: usize,
    /// How many messages it assigns to others.
    pub assignment_count: usize,
    /// Whether something was left out or cut: `/result` has all of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// A message that an outcome sends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SentShape {
    /// To whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Its `Action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

impl EventShape {
    /// An event.
    pub fn of(event: &Event) -> EventShape {
        let mut shape = EventShape {
            id: event.id.to_string(),
            kind: event.what.kind().name().to_owned(),
            at: event.at.0,
            process: event.process.map(|process| process.to_string()),
            ..EventShape::default()
        };
        match &event.what {
            Happened::Received { message, from, action } => {
                shape.message = Some(message.to_string());
                shape.from = from.map(|from| from.to_string());
                shape.action = action.clone();
            }
            Happened::Assigned { slot, message, assignment, from, action } => {
                shape.slot = Some(slot.0);
                shape.message = Some(message.to_string());
                shape.assignment = Some(assignment.to_string());
                shape.from = from.map(|from| from.to_string());
                shape.action = action.clone();
            }
            Happened::Evaluated { slot, message, from, action, outcome } => {
                shape.slot = Some(slot.0);
                shape.message = Some(message.to_string());
                shape.from = Some(from.to_string());
                shape.action = action.clone();
                shape.outcome = Some(summary(outcome));
            }
            Happened::Ticked { slot, due, cron, outcome } => {
                shape.slot = Some(slot.0);
                shape.due = Some(due.0);
                shape.cron = Some(cron.clone());
                shape.outcome = Some(summary(outcome));
            }
            Happened::Pushed { message, sent, count } => {
                shape.message = message.map(|message| message.to_string());
                shape.sent = Some(sent.iter().map(ToString::to_string).collect());
                shape.count = Some(*count);
            }
            Happened::Delivered { message, slot } => {
                shape.message = Some(message.to_string());
                shape.slot = slot.map(|slot| slot.0);
            }
            Happened::Failed { message, why } => {
                shape.message = Some(message.to_string());
                shape.why = Some(why.clone());
            }
            Happened::Mined { height, hash, transactions } => {
                shape.height = Some(height.0);
                shape.hash = Some(hash.to_string());
                shape.transactions = Some(*transactions);
            }
            Happened::Reorganised { height, orphaned } => {
                shape.height = Some(height.0);
                shape.orphaned = Some(orphaned.iter().map(ToString::to_string).collect());
            }
        }
        shape
    }
}

fn summary(told: &Told) -> OutcomeSummary {
    match told {
        Told::Whole(outcome) => OutcomeSummary::of(outcome),
        Told::TooLarge { gas, failed } => {
            let error = failed.then(|| "see /result".to_owned());
            OutcomeSummary { gas: *gas, error, cut: true, ..OutcomeSummary::default() }
        }
    }
}

impl OutcomeSummary {
    /// An outcome, in short.
    pub fn of(outcome: &Outcome) -> OutcomeSummary {
        let mut cut = outcome.messages.len() > MESSAGES_MAX;
        let mut short = |text: String| match text.char_indices().nth(TEXT_MAX) {
            Some((end, _)) => {
                cut = true;
                text[..end].to_owned()
            }
            None => text,
        };
        let (output, prompt) = shown(&outcome.output);
        let (error, output) = (outcome.error.as_ref().map(text_of).map(&mut short), output.map(&mut short));
        OutcomeSummary {
            gas: outcome.gas,
            error,
            output,
            prompt,
            messages: outcome.messages.iter().take(MESSAGES_MAX).map(sent).collect(),
            message_count: outcome.messages.len(),
            spawn_count: outcome.spawns.len(),
            assignment_count: outcome.assignments.len(),
            cut,
        }
    }
}

/// What an output shows and its prompt, as modules of aos write it; the text of any other.
fn shown(output: &Json) -> (Option<String>, Option<String>) {
    #[derive(Deserialize)]
    struct Output {
        data: Option<serde_json::Value>,
        prompt: Option<String>,
    }
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    let (data, prompt) = match output.to::<Output>() {
        Ok(Output { data, prompt }) => (data, prompt),
        Err(_) => (output.to().ok(), None),
    };
    let shown = match data {
        // aos before 2.0 wraps it once more.
        Some(serde_json::Value::Object(mut inner)) => match inner.remove("output") {
            Some(output) => text(output),
            None => serde_json::Value::Object(inner).to_string(),
        },
        Some(serde_json::Value::Null) | None => String::new(),
        Some(other) => text(other),
    };
    (Some(shown).filter(|shown| !shown.is_empty()), prompt)
}

fn text_of(error: &Json) -> String {
    error.to::<String>().unwrap_or_else(|_| error.get().to_owned())
}

fn sent(message: &Json) -> SentShape {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Message {
        target: Option<String>,
        #[serde(default)]
        tags: Vec<serde_json::Value>,
    }
    let Ok(Message { target, tags }) = message.to::<Message>() else { return SentShape::default() };
    let action = tags.iter().find(|tag| tag["name"] == "Action").and_then(|tag| tag["value"].as_str());
    SentShape { target, action: action.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(output: &str) -> Outcome {
        Outcome { output: Json::parse(output).unwrap(), error: None, ..Outcome::failed("", 5, 1) }
    }

    #[test]
    fn an_output_is_told_as_people_see_it() {
        let check = |json: &str, output: Option<&str>, prompt: Option<&str>| {
            let summary = OutcomeSummary::of(&outcome(json));
            assert_eq!((summary.output.as_deref(), summary.prompt.as_deref()), (output, prompt), "{json}");
        };
        check(r#"{"data":"5","prompt":"aos> "}"#, Some("5"), Some("aos> "));
        check(r#"{"data":{"output":"5"}}"#, Some("5"), None);
        check(r#""text""#, Some("text"), None);
        check("[]", Some("[]"), None);
        check(r#""""#, None, None);
        check("null", None, None);
    }

    #[test]
    fn what_is_long_is_cut_and_said_to_be() {
        let long = "é".repeat(TEXT_MAX + 1);
        let summary = OutcomeSummary::of(&outcome(&format!("\"{long}\"")));
        assert_eq!(summary.output.unwrap().chars().count(), TEXT_MAX);
        assert!(summary.cut);
        let mut many = outcome("\"\"");
        many.messages =
            vec![Json::parse(r#"{"Target":"x","Tags":[{"name":"Action","value":"A"}]}"#).unwrap(); 100];
        let summary = OutcomeSummary::of(&many);
        assert_eq!((summary.messages.len(), summary.message_count, summary.cut), (MESSAGES_MAX, 100, true));
        assert_eq!(summary.messages[0].action.as_deref(), Some("A"));
    }
}
