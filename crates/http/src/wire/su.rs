//! A scheduler unit's shapes. Keys stand in the order of the wire; nulls are written.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use protocol::id::{base64url, from_base64url};
use protocol::{Address, Assignment, Height, Id, Item, ProcessId, Tags, Timestamp};
use serde::{Deserialize, Serialize};
use unit::{Error, Page, ProcessRecord, Scheduled, Tip};

/// Who signed, both ways of saying it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Owner<'a> {
    /// SHA-256 of the key.
    pub address: Cow<'a, str>,
    /// The public key.
    pub key: String,
}

/// A message, or the process itself at slot 0.
#[derive(Debug, Serialize, Deserialize)]
pub struct MessageShape<'a> {
    id: Id,
    owner: Owner<'a>,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
    tags: Cow<'a, Tags>,
    signature: String,
    anchor: Option<Cow<'a, str>>,
    target: Option<Cow<'a, str>>,
}

/// An assignment.
#[derive(Debug, Serialize, Deserialize)]
pub struct AssignmentShape<'a> {
    id: Id,
    #[serde(borrow)]
    owner: Owner<'a>,
    tags: Cow<'a, Tags>,
    signature: String,
    anchor: Option<Cow<'a, str>>,
    target: Option<Cow<'a, str>>,
}

/// An entry of a schedule: `GET /{message}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Node<'a> {
    /// Null where what was assigned is on the weave.
    #[serde(borrow)]
    pub message: Option<MessageShape<'a>>,
    /// The word of the scheduler.
    #[serde(borrow)]
    pub assignment: AssignmentShape<'a>,
}

/// A part of a schedule: `GET /{process}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct List<'a> {
    /// Whether there is more.
    pub page_info: PageInfo,
    /// In the order of the schedule.
    #[serde(borrow)]
    pub edges: Vec<Edge<'a>>,
}

/// Whether there is more.
#[derive(Debug, Serialize, Deserialize)]
pub struct PageInfo {
    /// Exact here; another scheduler may say so when a page is merely full.
    pub has_next_page: bool,
}

/// An entry and where it stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct Edge<'a> {
    /// The entry.
    #[serde(borrow)]
    pub node: Node<'a>,
    /// Its timestamp, or its slot in lists by slot.
    pub cursor: Cow<'a, str>,
}

/// A process: `GET /processes/{process}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProcessShape<'a> {
    process_id: ProcessId,
    block: Cow<'a, str>,
    #[serde(borrow)]
    owner: Owner<'a>,
    tags: Cow<'a, Tags>,
    timestamp: u64,
    data: Option<Cow<'a, str>>,
    anchor: Option<Cow<'a, str>>,
    signature: String,
    target: Option<Cow<'a, str>>,
}

/// `GET /timestamp`.
#[derive(Debug, Serialize, Deserialize)]
pub struct TipShape {
    block_height: String,
    timestamp: String,
}

/// `GET /`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Root {
    /// The wallet that signs assignments.
    pub address: Address,
    /// Now, as text.
    pub timestamp: String,
}

/// The answer to a write.
#[derive(Debug, Serialize, Deserialize)]
pub struct Written<'a> {
    /// Of the item; for an assignment, of the Assignment item.
    pub id: Id,
    /// Of the assignment.
    pub timestamp: u64,
    /// The assignment itself, for a client that prefers to have it (`Prefer: return=representation`).
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub assignment: Option<AssignmentShape<'a>>,
}

/// How anchors that are no text are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchors {
    /// As null.
    Text,
    /// An assignment's as base64url (`show-anchor`).
    Shown,
}

/// What tells entries apart in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorBy {
    /// The timestamp.
    Time,
    /// The slot.
    Slot,
}

// What servers write.

impl<'a> Owner<'a> {
    fn of(item: &Item) -> Owner<'a> {
        Owner { address: item.address().to_string().into(), key: base64url(&item.owner) }
    }
}

impl<'a> MessageShape<'a> {
    fn of(item: &'a Item) -> MessageShape<'a> {
        MessageShape {
            id: item.id,
            owner: Owner::of(item),
            data: Some(item.text()),
            tags: Cow::Borrowed(&item.tags),
            signature: base64url(&item.signature),
            anchor: item.anchor_text().map(Cow::from),
            target: item.target.map(|target| target.to_string().into()),
        }
    }
}

impl<'a> AssignmentShape<'a> {
    /// The shape of an assignment.
    pub fn of(assignment: &'a Assignment, anchors: Anchors) -> AssignmentShape<'a> {
        let item = &assignment.item;
        let shown =
            || (anchors == Anchors::Shown && !item.anchor.is_empty()).then(|| base64url(&item.anchor).into());
        AssignmentShape {
            id: item.id,
            owner: Owner::of(item),
            tags: Cow::Borrowed(&item.tags),
            signature: base64url(&item.signature),
            anchor: item.anchor_text().map(Cow::from).or_else(shown),
            target: Some(item.target.map(|target| target.to_string()).unwrap_or_default().into()),
        }
    }
}

impl<'a> Node<'a> {
    /// The shape of an entry.
    pub fn of(entry: &'a Scheduled, anchors: Anchors) -> Node<'a> {
        Node {
            message: entry.message.as_deref().map(MessageShape::of),
            assignment: AssignmentShape::of(&entry.assignment, anchors),
        }
    }
}

impl<'a> List<'a> {
    /// The shape of a page.
    pub fn of(page: &'a Page<Scheduled>, by: CursorBy, anchors: Anchors) -> List<'a> {
        let edge = |entry: &'a Scheduled| Edge {
            node: Node::of(entry, anchors),
            cursor: match by {
                CursorBy::Time => entry.assignment.timestamp.to_string().into(),
                CursorBy::Slot => entry.assignment.slot.to_string().into(),
            },
        };
        List {
            page_info: PageInfo { has_next_page: page.has_next },
            edges: page.items.iter().map(edge).collect(),
        }
    }
}

impl<'a> ProcessShape<'a> {
    /// The shape of a process.
    pub fn of(record: &'a ProcessRecord) -> ProcessShape<'a> {
        let item = &record.item;
        ProcessShape {
            process_id: item.id.into(),
            block: record.block_height.padded().into(),
            owner: Owner::of(item),
            tags: Cow::Borrowed(&item.tags),
            timestamp: record.timestamp.0,
            data: std::str::from_utf8(&item.data).ok().map(Cow::from),
            anchor: item.anchor_text().map(Cow::from),
            signature: base64url(&item.signature),
            target: item.target.map(|target| target.to_string().into()),
        }
    }
}

impl From<Tip> for TipShape {
    fn from(tip: Tip) -> TipShape {
        TipShape { block_height: tip.height.padded(), timestamp: tip.timestamp.to_string() }
    }
}

// What clients read.

/// The parts of an item as the wire says them.
struct Parts<'a> {
    id: Id,
    owner: &'a Owner<'a>,
    data: Option<&'a str>,
    tags: Tags,
    signature: &'a str,
    anchor: Option<&'a str>,
    target: Option<&'a str>,
}

impl Parts<'_> {
    fn read(self) -> Result<Item, Error> {
        let of = |name: &str| Error::internal(&Unreadable(format!("{name} of {}", self.id)));
        let owner = from_base64url(&self.owner.key).ok_or_else(|| of("the owner"))?;
        let target = match self.target {
            None | Some("") => None,
            Some(text) => Some(text.parse().map_err(|_| of("the target"))?),
        };
        Ok(Item {
            id: self.id,
            signature_type: super::signature_type(&owner),
            signature: from_base64url(self.signature).ok_or_else(|| of("the signature"))?.into(),
            owner: owner.into(),
            target,
            anchor: self.anchor.map(anchor_bytes).unwrap_or_default(),
            tags: self.tags,
            data: self.data.map(|text| Bytes::copy_from_slice(text.as_bytes())).unwrap_or_default(),
        })
    }
}

/// The bytes of an anchor: 32 as they are, or as 43 characters of base64url (`show-anchor`).
fn anchor_bytes(text: &str) -> Bytes {
    match text.parse::<Id>() {
        Ok(id) => Bytes::copy_from_slice(&id.0),
        Err(_) => Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// A scheduler said something that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the scheduler unit's answer cannot be read: {0}")]
pub(crate) struct Unreadable(pub String);

impl MessageShape<'_> {
    fn read(self) -> Result<Item, Error> {
        Parts {
            id: self.id,
            owner: &self.owner,
            data: self.data.as_deref(),
            tags: self.tags.into_owned(),
            signature: &self.signature,
            anchor: self.anchor.as_deref(),
            target: self.target.as_deref(),
        }
        .read()
    }
}

impl AssignmentShape<'_> {
    /// The assignment.
    pub fn read(self) -> Result<Assignment, Error> {
        let item = Parts {
            id: self.id,
            owner: &self.owner,
            data: None,
            tags: self.tags.into_owned(),
            signature: &self.signature,
            anchor: self.anchor.as_deref(),
            target: self.target.as_deref(),
        };
        Assignment::try_from(item.read()?).map_err(|error| Error::internal(&error))
    }
}

impl Node<'_> {
    /// The entry.
    pub fn read(self) -> Result<Scheduled, Error> {
        Ok(Scheduled {
            message: self.message.map(MessageShape::read).transpose()?.map(Arc::new),
            assignment: Arc::new(self.assignment.read()?),
        })
    }
}

impl List<'_> {
    /// The page.
    pub fn read(self) -> Result<Page<Scheduled>, Error> {
        let items: Result<_, _> = self.edges.into_iter().map(|edge| edge.node.read()).collect();
        Ok(Page { items: items?, has_next: self.page_info.has_next_page })
    }
}

impl ProcessShape<'_> {
    /// The record.
    pub fn read(self) -> Result<ProcessRecord, Error> {
        let item = Parts {
            id: self.process_id.into(),
            owner: &self.owner,
            data: self.data.as_deref(),
            tags: self.tags.into_owned(),
            signature: &self.signature,
            anchor: self.anchor.as_deref(),
            target: self.target.as_deref(),
        };
        Ok(ProcessRecord {
            item: Arc::new(item.read()?),
            timestamp: Timestamp(self.timestamp),
            block_height: Height(number(&self.block)?),
        })
    }
}

impl TipShape {
    /// The tip.
    pub fn read(self) -> Result<Tip, Error> {
        Ok(Tip {
            timestamp: Timestamp(number(&self.timestamp)?),
            height: Height(number(&self.block_height)?),
        })
    }
}

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::internal(&Unreadable(format!("{text:?} is no number"))))
}
