//! A messenger unit's shapes.

use protocol::{Address, Id, ProcessId, Timestamp};
use serde::{Deserialize, Serialize};
use unit::{Error, Page, Trace, TraceKind, TraceRelation};

/// The answer to a write, 202.
#[derive(Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// A sentence that nobody reads.
    #[serde(default)]
    pub message: String,
    /// Of the item; for an assignment, of the Assignment item. Clients keep it.
    pub id: Id,
}

/// `GET /?debug`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traces {
    page_info: PageInfo,
    edges: Vec<Edge>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Edge {
    node: Node,
    cursor: String,
}

/// One step. `ip` is always null here: nobody's address is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    relation: String,
    id: String,
    message_id: Id,
    process_id: Option<ProcessId>,
    wallet: Option<String>,
    ip: Option<String>,
    parent_id: Option<Id>,
    timestamp: u64,
    #[serde(rename = "type")]
    kind: String,
    root_id: Option<Id>,
    error: Option<String>,
}

impl From<Page<Trace>> for Traces {
    fn from(page: Page<Trace>) -> Traces {
        let edge = |trace: Trace| {
            let row = match trace.process {
                Some(process) => format!("{}-{process}", trace.message),
                None => trace.message.to_string(),
            };
            let node = Node {
                relation: match trace.relation {
                    TraceRelation::Root => "root",
                    TraceRelation::Ancestor => "ancestor",
                    TraceRelation::Descendant => "descendant",
                }
                .to_owned(),
                id: row.clone(),
                message_id: trace.message,
                process_id: trace.process,
                wallet: trace.wallet.map(|wallet| wallet.to_string()),
                ip: None,
                parent_id: trace.parent,
                timestamp: trace.timestamp.0,
                kind: kind_name(trace.kind).to_owned(),
                root_id: Some(trace.root),
                error: trace.error,
            };
            Edge { node, cursor: row }
        };
        Traces {
            page_info: PageInfo { has_next_page: page.has_next },
            edges: page.items.into_iter().map(edge).collect(),
        }
    }
}

/// The name of a kind of step.
pub fn kind_name(kind: TraceKind) -> &'static str {
    match kind {
        TraceKind::Message => "MESSAGE",
        TraceKind::Spawn => "SPAWN",
        TraceKind::Assign => "ASSIGN",
    }
}

impl Traces {
    /// The page.
    pub fn read(self) -> Result<Page<Trace>, Error> {
        let trace = |edge: Edge| {
            let node = edge.node;
            Trace {
                message: node.message_id,
                process: node.process_id,
                // The reference says the public key here; that is no address.
                wallet: node.wallet.and_then(|wallet| wallet.parse::<Address>().ok()),
                parent: node.parent_id,
                root: node.root_id.unwrap_or(node.message_id),
                timestamp: Timestamp(node.timestamp),
                kind: match node.kind.as_str() {
                    "SPAWN" => TraceKind::Spawn,
                    "ASSIGN" => TraceKind::Assign,
                    _ => TraceKind::Message,
                },
                relation: match node.relation.as_str() {
                    "ancestor" => TraceRelation::Ancestor,
                    "descendant" => TraceRelation::Descendant,
                    _ => TraceRelation::Root,
                },
                error: node.error,
            }
        };
        Ok(Page {
            items: self.edges.into_iter().map(trace).collect(),
            has_next: self.page_info.has_next_page,
        })
    }
}
