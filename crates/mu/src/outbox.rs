//! What an outcome asks to be sent, as drafts to sign. Decides, and does nothing.
//!
//! The elements of an outbox are the module's own JSON and may be anything. What cannot be sent is refused alone,
//! with a reason; the rest of the outcome is sent all the same.

use std::collections::BTreeSet;

use bytes::Bytes;
use protocol::{Draft, Id, Json, Outcome, ProcessId, Tag, Tags, tag};
use serde::Deserialize;
use serde_json::Value;
use unit::{AssignRequest, TraceKind};

/// What an element costs on the disk beside its data and tags: signature, key, and the records around it.
const OVERHEAD: usize = 2048;

/// Who speaks through an outcome.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The process whose outcome it is.
    pub process: ProcessId,
    /// Its `Module` tag; empty if it has none.
    pub module: &'a str,
    /// Its `Scheduler` tag, if it has one.
    pub scheduler: Option<&'a str>,
    /// The message at the head of the chain; none for what cron began.
    pub pushed_for: Option<Id>,
}

/// How much of an outcome is sent.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At most that many elements.
    pub elements: usize,
    /// At most that many bytes of data in one.
    pub item_bytes: usize,
    /// At most that many bytes of data in all.
    pub outcome_bytes: usize,
}

/// One thing to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// A message to sign, and the processes that it is assigned to once it has its slot.
    Message {
        /// What is signed.
        draft: Draft,
        /// Whom it is assigned to besides.
        assignments: Vec<ProcessId>,
    },
    /// A process to sign.
    Spawn {
        /// What is signed.
        draft: Draft,
        /// The tags of its success notice: see [`spawned`].
        notice: Tags,
    },
    /// Something to assign.
    Assign(AssignRequest),
}

/// Which part of an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    All,
    /// All but these of its messages.
    AllBut(BTreeSet<usize>),
    /// One of its messages.
    Message(usize),
}

impl Part {
    fn has_message(&self, index: usize) -> bool {
        match self {
            Part::All => true,
            Part::AllBut(pushed) => !pushed.contains(&index),
            Part::Message(one) => *one == index,
        }
    }
}

/// An element that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What it would have been.
    pub kind: TraceKind,
    /// Which of its kind.
    pub index: usize,
    /// One lowercase phrase.
    pub why: String,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = match self.kind {
            TraceKind::Message => "Messages",
            TraceKind::Spawn => "Spawns",
            TraceKind::Assign => "Assignments",
        };
        write!(f, "{list}[{}] of the outcome is not pushed: {}", self.index, self.why)
    }
}

/// What to send of an outcome, in order: its messages, its spawns, its assignments. Each with its kind and its place
/// among that.
pub fn read(
    sender: Sender<'_>,
    outcome: &Outcome,
    limits: Limits,
    part: &Part,
) -> (Vec<(TraceKind, usize, Element)>, Vec<Refused>) {
    let mut reading = Reading { limits, bytes: 0, elements: Vec::new(), refused: Vec::new() };
    for (index, json) in outcome.messages.iter().enumerate().filter(|(index, _)| part.has_message(*index)) {
        reading.take(TraceKind::Message, index, message(sender, json));
    }
    if matches!(part, Part::Message(_)) {
        return (reading.elements, reading.refused);
    }
    for (index, json) in outcome.spawns.iter().enumerate() {
        reading.take(TraceKind::Spawn, index, spawn(sender, json));
    }
    for (index, json) in outcome.assignments.iter().enumerate() {
        match assignments(json) {
            Ok(requests) => {
                for request in requests {
                    reading.take(TraceKind::Assign, index, Ok(Element::Assign(request)));
                }
            }
            Err(why) => reading.take(TraceKind::Assign, index, Err(why)),
        }
    }
    (reading.elements, reading.refused)
}

/// The message that tells the spawner which process its spawn became.
pub fn spawned(spawner: ProcessId, notice: &Tags, process: ProcessId) -> Draft {
    let mut tags = notice.clone();
    tags.push(tag::DATA_PROTOCOL, tag::AO);
    tags.push(tag::TYPE, "Message");
    tags.push(tag::PROCESS, process);
    tags.push(tag::ACTION, "Spawned");
    tags.push(tag::VARIANT, tag::AO_TN_1);
    Draft { target: Some(spawner.into()), anchor: None, tags, data: Bytes::from_static(b" ") }
}

struct Reading {
    limits: Limits,
    bytes: usize,
    elements: Vec<(TraceKind, usize, Element)>,
    refused: Vec<Refused>,
}

impl Reading {
    fn take(&mut self, kind: TraceKind, index: usize, element: Result<Element, String>) {
        match element.and_then(|element| self.within_limits(element)) {
            Ok(element) => self.elements.push((kind, index, element)),
            Err(why) => self.refused.push(Refused { kind, index, why }),
        }
    }

    fn within_limits(&mut self, element: Element) -> Result<Element, String> {
        let (data, tags) = match &element {
            Element::Message { draft, .. } => (draft.data.len(), &draft.tags.0[..]),
            Element::Spawn { draft, .. } => (draft.data.len(), &draft.tags.0[..]),
            Element::Assign(_) => (0, &[][..]),
        };
        let Limits { elements, item_bytes, outcome_bytes } = self.limits;
        if self.elements.len() >= elements {
            return Err(format!("at most {elements} elements of one outcome are pushed"));
        }
        if data > item_bytes {
            return Err(format!("its data has {data} bytes, at most {item_bytes} are pushed"));
        }
        self.bytes +=
            data + OVERHEAD + tags.iter().map(|tag| tag.name.len() + tag.value.len()).sum::<usize>();
        if self.bytes > outcome_bytes {
            return Err(format!("at most {outcome_bytes} bytes of one outcome are pushed"));
        }
        Ok(element)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
struct MessageJson {
    target: Option<Value>,
    data: Option<Value>,
    anchor: Option<Value>,
    tags: Option<Vec<TagJson>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
struct SpawnJson {
    data: Option<Value>,
    tags: Option<Vec<TagJson>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", expecting = "an object")]
struct AssignJson {
    processes: Option<Value>,
    message: Option<Value>,
    base_layer: Option<Value>,
    exclude: Option<Value>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with name and value")]
struct TagJson {
    name: String,
    #[serde(default)]
    value: Value,
}

/// The module's tags, then the messenger's. The module may not speak for another process, nor for the messenger.
fn message(sender: Sender<'_>, json: &Json) -> Result<Element, String> {
    let json: MessageJson = json.to().map_err(|error| format!("it is not a message: {error}"))?;
    let target = id(json.target.as_ref(), "Target")?;
    let anchor = anchor(json.anchor.as_ref())?;
    let mut assignments = Vec::new();
    let mut tags = Tags::default();
    for TagJson { name, value } in json.tags.ok_or("it has no Tags")? {
        match name.as_str() {
            tag::ASSIGNMENTS => assignments.extend(processes(&value, tag::ASSIGNMENTS)?),
            tag::DATA_PROTOCOL | tag::TYPE | tag::FROM_PROCESS | tag::FROM_MODULE | tag::PUSHED_FOR => {}
            tag::VARIANT if tags.first(tag::VARIANT).is_some() => {}
            tag::VARIANT => tags.push(tag::VARIANT, tag::AO_TN_1),
            _ => tags.push(name.as_str(), text_of(&name, value)?),
        }
    }
    if tags.first(tag::VARIANT).is_none() {
        tags.push(tag::VARIANT, tag::AO_TN_1);
    }
    tags.push(tag::DATA_PROTOCOL, tag::AO);
    tags.push(tag::TYPE, "Message");
    tags.push(tag::FROM_PROCESS, sender.process);
    tags.push(tag::FROM_MODULE, sender.module);
    if let Some(head) = sender.pushed_for {
        tags.push(tag::PUSHED_FOR, head);
    }
    let draft = Draft { target: Some(target), anchor: Some(anchor), tags, data: data(json.data) };
    Ok(Element::Message { draft, assignments })
}

fn spawn(sender: Sender<'_>, json: &Json) -> Result<Element, String> {
    let json: SpawnJson = json.to().map_err(|error| format!("it is not a spawn: {error}"))?;
    let mut tags = Tags::default();
    // What the notice repeats: the module's own tags, the true sender among them.
    let mut notice = Tags::default();
    for TagJson { name, value } in json.tags.ok_or("it has no Tags")? {
        let value = text_of(&name, value)?;
        match name.as_str() {
            tag::DATA_PROTOCOL | tag::TYPE | tag::VARIANT | tag::PUSHED_FOR => {}
            tag::FROM_PROCESS if notice.first(tag::FROM_PROCESS).is_some() => {}
            tag::FROM_PROCESS => notice.push(tag::FROM_PROCESS, sender.process),
            tag::FROM_MODULE => {
                tags.push(tag::FROM_MODULE, sender.module);
                notice.push(tag::FROM_MODULE, sender.module);
            }
            _ => {
                tags.0.push(Tag { name: name.clone(), value: value.clone() });
                notice.0.push(Tag { name, value });
            }
        }
    }
    let module = tags.first(tag::MODULE).ok_or("it has no Module tag")?;
    module.parse::<Id>().map_err(|error| format!("its Module tag {error}"))?;
    let has_scheduler = tags.first(tag::SCHEDULER).is_some();
    tags.push(tag::VARIANT, tag::AO_TN_1);
    tags.push(tag::DATA_PROTOCOL, tag::AO);
    tags.push(tag::TYPE, "Process");
    tags.push(tag::FROM_PROCESS, sender.process);
    if let Some(head) = sender.pushed_for {
        tags.push(tag::PUSHED_FOR, head);
    }
    if let (false, Some(scheduler)) = (has_scheduler, sender.scheduler) {
        tags.push(tag::SCHEDULER, scheduler);
    }
    let draft = Draft { target: None, anchor: None, tags, data: data(json.data) };
    Ok(Element::Spawn { draft, notice })
}

fn assignments(json: &Json) -> Result<Vec<AssignRequest>, String> {
    let json: AssignJson = json.to().map_err(|error| format!("it is not an assignment: {error}"))?;
    let message = id(json.message.as_ref(), "Message")?;
    let processes = processes(&json.processes.ok_or("it has no Processes")?, "Processes")?;
    let base_layer = match json.base_layer {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => text != "false",
        Some(_) => true,
    };
    let exclude = match json.exclude {
        None | Some(Value::Null | Value::Bool(_)) => Vec::new(),
        Some(value) => words(&value).ok_or("its Exclude is not a list of names")?,
    };
    let to = |process| AssignRequest { process, message, base_layer, exclude: exclude.clone() };
    Ok(processes.into_iter().map(to).collect())
}

fn id(value: Option<&Value>, name: &str) -> Result<Id, String> {
    match value {
        None | Some(Value::Null) => Err(format!("it has no {name}")),
        Some(Value::String(text)) => text.parse().map_err(|error| format!("its {name} {error}")),
        Some(_) => Err(format!("its {name} is not text")),
    }
}

/// Content that is the same in two messages makes them one (see [`protocol::message::duplicate_key`]), so a message
/// without an anchor of its own cannot be told from one that was sent before.
fn anchor(value: Option<&Value>) -> Result<[u8; 32], String> {
    let text = match value {
        None | Some(Value::Null) => return Err("it has no Anchor".to_owned()),
        Some(Value::String(text)) => text,
        Some(_) => return Err("its Anchor is not text".to_owned()),
    };
    let bytes = text.as_bytes().try_into();
    bytes.map_err(|_| format!("its Anchor has {} bytes, not 32", text.len()))
}

fn processes(value: &Value, name: &str) -> Result<Vec<ProcessId>, String> {
    let words = words(value).ok_or_else(|| format!("its {name} is not a list of process ids"))?;
    words.iter().map(|word| word.parse().map_err(|error| format!("its {name}: {error}"))).collect()
}

/// A list of words: an array of text, the JSON text of one, or words between commas.
fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => values.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
        Value::String(text) if text.trim_start().starts_with('[') => serde_json::from_str(text).ok(),
        Value::String(text) => {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            Some(words.map(str::to_owned).collect())
        }
        _ => None,
    }
}

/// Numbers and booleans are as good as their text: Lua programmers write `Quantity = 5`.
fn text_of(name: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Number(number) => Ok(number_text(&number)),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("the value of its tag {name:?} is neither text nor number nor boolean"))
        }
    }
}

/// A number as JavaScript writes it: no fraction where there is none.
fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        // Whole numbers up to 2^53 are exact.
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => format!("{float:.0}"),
        _ => number.to_string(),
    }
}

fn data(value: Option<Value>) -> Bytes {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(Value::Number(number)) => number_text(&number),
        Some(other) => other.to_string(),
    };
    if text.is_empty() { Bytes::from_static(b" ") } else { Bytes::from(text) }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
