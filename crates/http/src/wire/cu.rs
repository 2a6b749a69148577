//! A compute unit's shapes: outcomes, pages of them, cursors, dry runs.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use protocol::{Address, Height, Id, Json, Outcome, Slot, Tags, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use unit::{Cursor, DryRun, Error, Evaluated, Page, PublishedCheckpoint, Sort};

/// `GET /`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Root {
    /// The wallet of the unit.
    pub address: Address,
    /// Now, as a number.
    pub timestamp: u64,
}

/// An outcome. What the module said is passed on byte for byte.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutcomeShape<'a> {
    #[serde(default)]
    messages: Cow<'a, [Json]>,
    #[serde(default)]
    assignments: Cow<'a, [Json]>,
    #[serde(default)]
    spawns: Cow<'a, [Json]>,
    #[serde(default = "no_output")]
    output: Cow<'a, Json>,
    /// Absent in pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    gas_used: Option<serde_json::Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, Json>>,
    /// Ours, where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    gas: Option<u64>,
    /// Ours, where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    gas_schedule: Option<u32>,
    /// Ours, where it is asked for and known.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
}

fn no_output() -> Cow<'static, Json> {
    Cow::Owned(Json::string(""))
}

/// How much of an outcome is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// As `/result` says it.
    Result,
    /// As a page says it: without gas and error.
    Node,
    /// All there is.
    Full,
}

impl<'a> OutcomeShape<'a> {
    /// The shape of an outcome.
    pub fn of(outcome: &'a Outcome, detail: Detail) -> OutcomeShape<'a> {
        let full = detail == Detail::Full;
        OutcomeShape {
            messages: Cow::Borrowed(&outcome.messages),
            assignments: Cow::Borrowed(&outcome.assignments),
            spawns: Cow::Borrowed(&outcome.spawns),
            output: Cow::Borrowed(&outcome.output),
            gas_used: (detail != Detail::Node).then(|| outcome.gas_used.into()),
            error: outcome.error.as_ref().filter(|_| detail != Detail::Node).map(Cow::Borrowed),
            gas: full.then_some(outcome.gas),
            gas_schedule: full.then_some(outcome.gas_schedule),
            memory_bytes: Some(outcome.memory_bytes).filter(|bytes| full && *bytes > 0),
        }
    }

    /// The outcome. Other units do not say our gas nor the memory; they are 0 then, under schedule 0.
    pub fn read(self) -> Outcome {
        Outcome {
            messages: self.messages.into_owned(),
            assignments: self.assignments.into_owned(),
            spawns: self.spawns.into_owned(),
            output: self.output.into_owned(),
            error: self.error.map(Cow::into_owned),
            gas_used: self.gas_used.and_then(|gas| gas.as_u64()).unwrap_or(0),
            gas: self.gas.unwrap_or(0),
            gas_schedule: self.gas_schedule.unwrap_or(0),
            memory_bytes: self.memory_bytes.unwrap_or(0),
        }
    }
}

/// `GET /results/{process}` and `GET /cron/{process}`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Results<'a> {
    page_info: PageInfo,
    edges: Vec<Edge<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Edge<'a> {
    node: OutcomeShape<'a>,
    cursor: String,
    /// Ours, where it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Id>,
}

impl<'a> Results<'a> {
    /// The shape of a page that was taken in that order.
    pub fn of(page: &'a Page<Evaluated>, sort: Sort, detail: Detail) -> Results<'a> {
        let edge = |one: &'a Evaluated| Edge {
            node: OutcomeShape::of(&one.outcome, detail),
            cursor: encode_cursor(&Cursor {
                sort: Some(one.cursor.sort.unwrap_or(sort)),
                ..one.cursor.clone()
            }),
            message: one.message.filter(|_| detail == Detail::Full),
        };
        Results {
            page_info: PageInfo { has_next_page: page.has_next },
            edges: page.items.iter().map(edge).collect(),
        }
    }

    /// The page.
    pub fn read(self) -> Result<Page<Evaluated>, Error> {
        let one = |edge: Edge<'_>| {
            Ok(Evaluated {
                cursor: decode_cursor(&edge.cursor)?,
                message: edge.message,
                outcome: Arc::new(edge.node.read()),
            })
        };
        let items: Result<_, Error> = self.edges.into_iter().map(one).collect();
        Ok(Page { items: items?, has_next: self.page_info.has_next_page })
    }
}

/// What a cursor says inside.
#[derive(Serialize, Deserialize)]
struct CursorShape<'a> {
    timestamp: u64,
    ordinate: Option<Ordinate<'a>>,
    #[serde(default)]
    cron: Option<Cow<'a, str>>,
    #[serde(default)]
    sort: Option<Cow<'a, str>>,
}

/// Text on the wire; a number is understood.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Ordinate<'a> {
    Text(Cow<'a, str>),
    Number(u64),
}

/// A cursor as clients hand it back: base64 of JSON.
pub fn encode_cursor(cursor: &Cursor) -> String {
    let shape = CursorShape {
        timestamp: cursor.timestamp.0,
        ordinate: cursor.ordinate.map(|ordinate| Ordinate::Text(ordinate.to_string().into())),
        cron: cursor.cron.as_deref().map(Cow::from),
        sort: cursor.sort.map(|sort| sort_name(sort).into()),
    };
    STANDARD.encode(serde_json::to_vec(&shape).expect("a cursor is JSON"))
}

/// The place that a client means: a cursor, or a bare timestamp in ms.
///
/// A `+` of base64 that nobody escaped arrives as a space. Padding may be missing.
pub fn decode_cursor(text: &str) -> Result<Cursor, Error> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    if let Ok(timestamp) = text.parse() {
        return Ok(Cursor { timestamp: Timestamp(timestamp), ordinate: None, cron: None, sort: None });
    }
    let refused = || {
        let start: String = text.chars().take(64).collect();
        Error::invalid(format!("{start:?} is neither a cursor nor a timestamp in milliseconds"))
            .with_hint("use the cursor of an edge of an earlier page")
    };
    let plain: String = text
        .chars()
        .map(|c| {
            if c == ' ' || c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    let json = LENIENT.decode(plain).map_err(|_| refused())?;
    let shape: CursorShape<'_> = serde_json::from_slice(&json).map_err(|_| refused())?;
    let ordinate = match shape.ordinate {
        None => None,
        Some(Ordinate::Number(number)) => Some(number),
        Some(Ordinate::Text(text)) => Some(text.parse().map_err(|_| refused())?),
    };
    Ok(Cursor {
        timestamp: Timestamp(shape.timestamp),
        ordinate,
        cron: shape.cron.map(Cow::into_owned),
        sort: shape.sort.map(|sort| read_sort(&sort)).transpose()?,
    })
}

/// The name of an order.
pub fn sort_name(sort: Sort) -> &'static str {
    match sort {
        Sort::Ascending => "ASC",
        Sort::Descending => "DESC",
    }
}

/// The order of that name.
pub fn read_sort(text: &str) -> Result<Sort, Error> {
    match text {
        "ASC" | "asc" => Ok(Sort::Ascending),
        "DESC" | "desc" => Ok(Sort::Descending),
        _ => Err(Error::invalid(format!("the sort {text:?} is neither ASC nor DESC"))),
    }
}

/// The body of `POST /dry-run`, before it is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DryRunFields<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    signature: Option<&'a RawValue>,
    // Null is a value here; absent is none.
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    owner: Option<&'a RawValue>,
    #[serde(borrow, default)]
    target: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    anchor: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "Forwarded-By")]
    forwarded_by: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tags: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "Block-Height")]
    block_height: Option<&'a RawValue>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads the body of a dry run. The error names every field that is wrong, not only the first.
pub fn read_dry_run(body: &[u8]) -> Result<DryRun, Error> {
    let fields: DryRunFields<'_> = serde_json::from_slice(body).map_err(|error| {
        Error::invalid(format!("the body is no JSON object: {error}"))
            .with_hint("send a message as JSON, with Owner and Tags at least")
    })?;
    let mut wrong = Vec::new();
    let id = text("Id", fields.id, &mut wrong);
    let signature = text("Signature", fields.signature, &mut wrong);
    let owner = match fields.owner {
        None => {
            wrong.push("'Owner' is missing".to_owned());
            None
        }
        given => text("Owner", given, &mut wrong),
    };
    let target = text("Target", fields.target, &mut wrong);
    let anchor = fields.anchor.and_then(|raw| match raw.get() {
        "null" => Some(None),
        _ => text("Anchor", Some(raw), &mut wrong).map(Some),
    });
    let forwarded_by = text("Forwarded-By", fields.forwarded_by, &mut wrong);
    let tags = tags(fields.tags, &mut wrong);
    let timestamp = number("Timestamp", fields.timestamp, &mut wrong);
    let block_height = number("Block-Height", fields.block_height, &mut wrong);
    let (Some(owner), Some(tags), true) = (owner, tags, wrong.is_empty()) else {
        return Err(Error::invalid(wrong.join("; ")));
    };
    let data = fields.data.map(|raw| Json::from(raw.to_owned()));
    Ok(DryRun { id, signature, data, owner, target, anchor, forwarded_by, tags, timestamp, block_height })
}

fn text(name: &str, raw: Option<&RawValue>, wrong: &mut Vec<String>) -> Option<String> {
    let raw = raw?;
    let read = serde_json::from_str(raw.get()).ok();
    if read.is_none() {
        wrong.push(format!("'{name}' must be text, not {}", kind_of(raw)));
    }
    read
}

/// A number, or text that is one.
fn number(name: &str, raw: Option<&RawValue>, wrong: &mut Vec<String>) -> Option<u64> {
    let raw = raw?;
    let read = raw.get().trim_matches('"').parse().ok();
    if read.is_none() {
        wrong.push(format!("'{name}' must be a whole number, not {}", kind_of(raw)));
    }
    read
}

fn tags(raw: Option<&RawValue>, wrong: &mut Vec<String>) -> Option<Tags> {
    let Some(raw) = raw else {
        wrong.push("'Tags' is missing".to_owned());
        return None;
    };
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        wrong.push(format!("'Tags' must be a list of {{name, value}}, not {}", kind_of(raw)));
        return None;
    };
    let mut tags = Tags::default();
    for (index, raw) in list.into_iter().enumerate() {
        match serde_json::from_str(raw.get()) {
            Ok(tag) => tags.0.push(tag),
            Err(_) => wrong.push(format!("'Tags[{index}]' must have a name and a value, both text")),
        }
    }
    Some(tags)
}

/// What sort of JSON it is, in a word.
fn kind_of(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'"') => "text",
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "a truth value",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The body of a dry run, as a client writes it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DryRunShape<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    owner: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    anchor: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Json>,
    tags: &'a Tags,
    #[serde(rename = "Forwarded-By", skip_serializing_if = "Option::is_none")]
    forwarded_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
    #[serde(rename = "Block-Height", skip_serializing_if = "Option::is_none")]
    block_height: Option<u64>,
}

impl<'a> From<&'a DryRun> for DryRunShape<'a> {
    fn from(run: &'a DryRun) -> DryRunShape<'a> {
        DryRunShape {
            id: run.id.as_deref(),
            signature: run.signature.as_deref(),
            target: run.target.as_deref(),
            owner: &run.owner,
            anchor: run.anchor.as_ref().map(Option::as_deref),
            data: run.data.as_ref(),
            tags: &run.tags,
            forwarded_by: run.forwarded_by.as_deref(),
            timestamp: run.timestamp,
            block_height: run.block_height,
        }
    }
}
/// `POST /api/v1/processes/{process}/checkpoints`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointShape {
    id: Id,
    slot: u64,
    timestamp: u64,
    block_height: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    size_bytes: u64,
    sha256: String,
    is_new: bool,
}

impl From<&PublishedCheckpoint> for CheckpointShape {
    fn from(published: &PublishedCheckpoint) -> CheckpointShape {
        CheckpointShape {
            id: published.id,
            slot: published.slot.0,
            timestamp: published.timestamp.0,
            block_height: published.block_height.0,
            cron: published.cron.clone(),
            size_bytes: published.size_bytes,
            sha256: protocol::hex::to_hex(&published.sha256),
            is_new: published.is_new,
        }
    }
}

impl CheckpointShape {
    /// What was published.
    pub fn read(self) -> Result<PublishedCheckpoint, Error> {
        let sha256 = protocol::hex::from_hex(&self.sha256);
        Ok(PublishedCheckpoint {
            id: self.id,
            slot: Slot(self.slot),
            timestamp: Timestamp(self.timestamp),
            block_height: Height(self.block_height),
            cron: self.cron,
            size_bytes: self.size_bytes,
            sha256: sha256
                .ok_or_else(|| Error::invalid(format!("{:?} is no digest of a checkpoint", self.sha256)))?,
            is_new: self.is_new,
        })
    }
}
