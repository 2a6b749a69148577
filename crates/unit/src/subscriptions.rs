//! The contract of what tells applications of a process's outgoing messages: streams with resume, and webhooks.
//!
//! Outgoing messages are numbered by the history of their process (`docs/attestations.md`): a [`Place`] names the
//! evaluation and the message in its outbox. Every compute unit that evaluates the same log has the same places, so a
//! place can be resumed from after any time, and at another node.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use protocol::{Id, ProcessId, Slot, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Error, Page, Result};

/// Where a message stands among all that its process sends. `LEAF-INDEX` on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which evaluation: its index in the process's history.
    pub leaf: u64,
    /// Which message of its outbox, from 0.
    pub index: u64,
}

impl Place {
    /// The place right after it in its outbox.
    pub fn next(self) -> Place {
        Place { index: self.index.saturating_add(1), ..self }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.leaf, self.index)
    }
}

/// From where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what is evaluated from now on.
    Now,
    /// With that place. `LEAF` on the wire; `start` is the first.
    At(Place),
    /// With what comes after that place: `LEAF-INDEX`, what a stream gives as the id of each message.
    After(Place),
    /// With what that slot sends: `slot:N`.
    Slot(Slot),
}

impl FromStr for Start {
    type Err = Error;

    fn from_str(text: &str) -> Result<Start> {
        let number = |text: &str| text.parse::<u64>().ok();
        let read = match text {
            "now" => Some(Start::Now),
            "start" => Some(Start::At(Place::default())),
            _ => match (text.strip_prefix("slot:"), text.split_once('-')) {
                (Some(slot), _) => number(slot).map(|slot| Start::Slot(Slot(slot))),
                (None, Some((leaf, index))) => {
                    number(leaf).zip(number(index)).map(|(leaf, index)| Start::After(Place { leaf, index }))
                }
                (None, None) => number(text).map(|leaf| Start::At(Place { leaf, index: 0 })),
            },
        };
        read.ok_or_else(|| {
            let shown: String = text.chars().take(64).collect();
            Error::invalid(format!("{shown:?} is no place among what a process sends"))
                .with_hint("a place is now, start, slot:N, or the id that a stream gave: LEAF-INDEX")
        })
    }
}

/// Which of the messages that a process sends. What is empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// With one of these as `Action`.
    pub actions: Vec<String>,
    /// To one of these.
    pub recipients: Vec<String>,
    /// With each of these tags, whose value is one of those listed; of an empty list, any.
    pub tags: BTreeMap<String, Vec<String>>,
}

impl Filter {
    /// Values that a filter names.
    pub const VALUES_MAX: usize = 64;
    /// Bytes of one.
    pub const VALUE_BYTES_MAX: usize = 1024;

    /// Refuses one that is larger than what is compared with every message.
    pub fn check(&self) -> Result<()> {
        let values = || {
            let tags = self.tags.iter().flat_map(|(name, values)| std::iter::once(name).chain(values));
            self.actions.iter().chain(&self.recipients).chain(tags)
        };
        let max = Filter::VALUE_BYTES_MAX;
        if values().count() > Filter::VALUES_MAX || values().any(|value| value.len() > max) {
            return Err(Error::invalid(format!(
                "a filter names at most {} values of at most {max} bytes",
                Filter::VALUES_MAX
            ))
            .with_hint("ask for more, and choose among what comes"));
        }
        Ok(())
    }

    /// Whether it asks for that message.
    pub fn wants(&self, message: &Outgoing) -> bool {
        let among = |wanted: &[String], said: Option<&str>| {
            wanted.is_empty() || said.is_some_and(|said| wanted.iter().any(|wanted| wanted == said))
        };
        let has = |(name, values): (&String, &Vec<String>)| {
            let mut said = message.tags.iter().filter(|tag| tag.name == *name);
            said.any(|tag| values.is_empty() || values.contains(&tag.value))
        };
        among(&self.actions, message.action.as_deref())
            && among(&self.recipients, message.target.as_deref())
            && self.tags.iter().all(has)
    }
}

/// A message that a process sends, as the process said it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Its [`Place`], as text: what to resume after.
    pub id: String,
    /// Who sends it.
    pub process: ProcessId,
    /// What was evaluated; of a cron, the slot before it.
    pub slot: u64,
    /// Which cron, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// When that was scheduled, or due: milliseconds since 1970.
    pub at: u64,
    /// The message that was evaluated; none for a cron.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Id>,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Its `Action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// All tags, in the order in which the process named them.
    pub tags: Vec<SaidTag>,
    /// Its data: text, or whatever the module put there.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub data: serde_json::Value,
    /// Its anchor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,
    /// Whether the data or some of the tags are left out because of their size: `/result` has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Outgoing {
    /// Its place.
    pub fn place(&self) -> Place {
        match self.id.parse() {
            Ok(Start::After(place)) => place,
            _ => Place::default(),
        }
    }
}

/// A tag, as a process said it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidTag {
    /// Its name.
    pub name: String,
    /// Its value; what was a number or a truth is its text.
    pub value: String,
}

/// A message and its JSON, which is written once for all who read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// What it is.
    pub what: Outgoing,
    /// The same as JSON.
    pub json: String,
}

/// What a follower is told.
#[derive(Debug, Clone)]
pub enum Followed {
    /// What matches, in order; not empty.
    Messages(Vec<Arc<Said>>),
    /// Nothing that matches, but the position moved. Also said now and then where nothing happens at all.
    Nothing,
    /// What the follower resumed from is beyond the end: the network was put back, or the place is of another process.
    /// It goes on with what comes.
    Ahead {
        /// Where it goes on.
        resumed: Place,
    },
    /// There is nothing more, and why.
    End(String),
}

/// Reads on and on. Goes away by being dropped; whoever is slow costs others nothing.
#[async_trait]
pub trait Follower: Send {
    /// What comes next. Dropping the future loses nothing.
    async fn next(&mut self) -> Followed;

    /// Where it would begin if it were opened again.
    fn position(&self) -> Place;
}

/// A webhook, as whoever makes it asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookWish {
    /// Whose messages.
    pub process: ProcessId,
    /// Where they are posted to.
    pub url: String,
    /// Which of them.
    #[serde(default)]
    pub filter: Filter,
    /// `whsec_` and base64 of 24 to 64 bytes. Default: one that the node makes, and says once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// `now` (the default), `start`, `slot:N` or a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When it ends, milliseconds since 1970 by the node's clock. Default: the longest that the node keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// Messages after which it ends, those given up included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u64>,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Its id.
    pub id: String,
    /// Whose messages.
    pub process: ProcessId,
    /// Where they are posted to.
    pub url: String,
    /// Which of them.
    pub filter: Filter,
    /// Only in the answer to its making.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// When it was made, milliseconds since 1970.
    pub created: u64,
    /// When it ends.
    pub expires: u64,
    /// Messages after which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u64>,
    /// `active`, `paused` or `ended`.
    pub state: HookState,
    /// Why it is not active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Where it goes on, `LEAF-INDEX`: everything before is delivered or given up.
    pub next: String,
    /// Messages that the receiver took.
    pub delivered: u64,
    /// Messages that were given up.
    pub given_up: u64,
    /// Given up and no longer kept as a dead letter.
    pub forgotten: u64,
    /// How the newest failure went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Whether a webhook delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookState {
    /// It does.
    Active,
    /// Too much failed in a row. A replay makes it go on; nothing is lost.
    Paused,
    /// Its time or budget is over, or the receiver said that it is gone.
    Ended,
}

/// A message that a webhook gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadDelivery {
    /// Which: its place.
    pub place: String,
    /// The `webhook-id` under which it was posted, and is again.
    pub webhook_id: String,
    /// When it was given up, milliseconds since 1970.
    pub at: u64,
    /// How often it was tried.
    pub tries: u32,
    /// How the last try went.
    pub error: String,
}

/// Tells applications what processes send.
#[async_trait]
pub trait Subscriptions: Send + Sync {
    /// What a process sent, from a place on: at most `limit` messages, and where to go on.
    async fn outgoing(
        &self,
        process: ProcessId,
        from: Start,
        filter: Filter,
        limit: usize,
    ) -> Result<(Page<Arc<Said>>, Place)>;

    /// Follows what a process sends. `Busy` if too many do.
    async fn follow(&self, process: ProcessId, from: Start, filter: Filter) -> Result<Box<dyn Follower>>;

    /// Makes a webhook, durably. The same `key` with the same wish is the same webhook; with another, `Conflict`.
    async fn create_hook(&self, wish: HookWish, key: Option<String>) -> Result<(Hook, crate::Novelty)>;

    /// The webhooks with a larger id than `after`.
    async fn hooks(&self, after: Option<String>, limit: usize) -> Result<Page<Hook>>;

    /// One of them.
    async fn hook(&self, id: &str) -> Result<Hook>;

    /// Forgets one, with its dead letters.
    async fn remove_hook(&self, id: &str) -> Result<()>;

    /// Delivers again from a place on, under the same `webhook-id`s; makes a paused one go on.
    async fn replay_hook(&self, id: &str, from: Start) -> Result<Hook>;

    /// What one gave up, oldest first, after a place.
    async fn dead_deliveries(
        &self,
        id: &str,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page<DeadDelivery>>;

    /// Posts one of those again, once, and forgets it if the receiver takes it.
    async fn retry_delivery(&self, id: &str, place: Place) -> Result<()>;
}

/// What is posted to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// Where to.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
}

/// What the receiver answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The status of HTTP.
    pub status: u16,
    /// Seconds until it wants to be asked again, if it says.
    pub retry_after: Option<u64>,
}

/// Posts to addresses that strangers name. Follows no redirects and reads no answers.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Refuses what is never posted to, as far as the text of the URL says so.
    fn check(&self, url: &str) -> Result<()>;

    /// Posts, within its bounds.
    async fn post(&self, parcel: Parcel) -> Result<Answered>;
}

impl Said {
    /// The message with its JSON.
    pub fn of(what: Outgoing) -> Arc<Said> {
        let json = serde_json::to_string(&what).expect("texts and numbers are JSON");
        Arc::new(Said { what, json })
    }

    /// When it was scheduled or due.
    pub fn at(&self) -> Timestamp {
        Timestamp(self.what.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_read_or_refused() {
        let at = |leaf, index| Place { leaf, index };
        for (text, start) in [
            ("now", Start::Now),
            ("start", Start::At(at(0, 0))),
            ("slot:7", Start::Slot(Slot(7))),
            ("12-3", Start::After(at(12, 3))),
            ("12", Start::At(at(12, 0))),
        ] {
            assert_eq!(text.parse::<Start>().unwrap(), start, "{text}");
        }
        for text in ["", "-", "1-", "slot:", "slot:-1", "x", "1-2-3", "99999999999999999999"] {
            assert!(text.parse::<Start>().is_err(), "{text}");
        }
    }

    fn message(tags: &[(&str, &str)]) -> Outgoing {
        let tag = |(name, value): &(&str, &str)| SaidTag { name: (*name).into(), value: (*value).into() };
        Outgoing {
            id: "1-0".into(),
            process: ProcessId(Id([1; 32])),
            slot: 1,
            cron: None,
            at: 0,
            message: None,
            target: Some("bob".into()),
            action: tags.iter().find(|(name, _)| *name == "Action").map(|(_, value)| (*value).to_owned()),
            tags: tags.iter().map(tag).collect(),
            data: serde_json::Value::Null,
            anchor: None,
            cut: false,
        }
    }

    #[test]
    fn a_filter_wants_what_has_all_that_it_names() {
        let said = message(&[("Action", "Notice"), ("Colour", "red"), ("Colour", "blue")]);
        let filter = |json: &str| serde_json::from_str::<Filter>(json).unwrap();
        for (json, wanted) in [
            ("{}", true),
            (r#"{"actions": ["Other", "Notice"]}"#, true),
            (r#"{"actions": ["Other"]}"#, false),
            (r#"{"recipients": ["bob"]}"#, true),
            (r#"{"recipients": ["eve"]}"#, false),
            (r#"{"tags": {"Colour": ["blue"]}}"#, true),
            (r#"{"tags": {"Colour": []}}"#, true),
            (r#"{"tags": {"Colour": ["green"]}}"#, false),
            (r#"{"tags": {"Size": []}}"#, false),
            (r#"{"actions": ["Notice"], "tags": {"Colour": ["red"], "Size": ["1"]}}"#, false),
        ] {
            assert_eq!(filter(json).wants(&said), wanted, "{json}");
        }
        assert!(filter("{}").check().is_ok());
        let many = Filter { actions: vec!["x".into(); 65], ..Filter::default() };
        assert!(many.check().is_err());
        let long = Filter { actions: vec!["x".repeat(1025)], ..Filter::default() };
        assert!(long.check().is_err());
    }
}
