//! GraphQL as a client of a gateway asks and reads it.

use protocol::{Id, Item, Tags, Timestamp, id::from_base64url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unit::{BlockRef, Error, Found, Query, Result, Sort};

use super::signature_type;
use super::transaction::Number;

/// A request.
#[derive(Debug, Serialize)]
pub struct Request {
    query: &'static str,
    variables: Value,
}

/// An answer.
#[derive(Debug, Deserialize)]
pub struct Response<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Vec<Failure>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    message: String,
}

impl<T> Response<T> {
    /// What was asked for, unless anything is wrong with it.
    pub fn read(self) -> Result<T> {
        match (self.data, self.errors.into_iter().next()) {
            (Some(data), None) => Ok(data),
            (_, Some(failure)) => {
                Err(Error::invalid(format!("the gateway refused a query: {}", failure.message)))
            }
            (None, None) => Err(Error::unavailable("the gateway answered a query with nothing")),
        }
    }
}

/// Asks for transactions and items. What an empty list would mean differs between gateways: it is left out.
pub fn transactions(query: &Query) -> Request {
    let mut variables = json!({ "first": query.limit, "sort": sort(query.sort) });
    let mut put = |name: &str, value: Value, is_set: bool| {
        if is_set {
            variables[name] = value;
        }
    };
    put("ids", json!(query.ids), !query.ids.is_empty());
    put("owners", json!(query.owners), !query.owners.is_empty());
    put("recipients", json!(query.recipients), !query.recipients.is_empty());
    put("bundles", json!(query.bundles), !query.bundles.is_empty());
    put("after", json!(query.after), query.after.is_some());
    let tag = |tag: &unit::TagFilter| json!({ "name": tag.name, "values": tag.values, "op": if tag.negated { "NEQ" } else { "EQ" } });
    // Not every gateway knows `match`.
    let pattern = |pattern: &unit::TagFilter| {
        let mut pattern = tag(pattern);
        pattern["match"] = json!("WILDCARD");
        pattern
    };
    let words = |filter: &unit::WordFilter| {
        let compare = match filter.which() {
            unit::Words::All => "FUZZY_AND",
            unit::Words::Any => "FUZZY_OR",
        };
        let (words, op) =
            (filter.words().collect::<Vec<_>>(), if filter.is_negated() { "NEQ" } else { "EQ" });
        json!({ "name": filter.name(), "values": words, "op": op, "match": compare })
    };
    let tags = query.tags.iter().map(tag).chain(query.patterns.iter().map(pattern));
    let tags: Vec<Value> = tags.chain(query.words.iter().map(words)).collect();
    put("tags", json!(tags), !tags.is_empty());
    let heights = json!({ "min": query.block_min, "max": query.block_max });
    put("block", heights, query.block_min.is_some() || query.block_max.is_some());
    Request { query: TRANSACTIONS, variables }
}

const TRANSACTIONS: &str = "query ($ids: [ID!], $owners: [String!], $recipients: [String!], $tags: [TagFilter!], \
    $bundles: [ID!], $block: BlockFilter, $first: Int, $after: String, $sort: SortOrder) { \
    transactions(ids: $ids, owners: $owners, recipients: $recipients, tags: $tags, bundledIn: $bundles, \
    block: $block, first: $first, after: $after, sort: $sort) { pageInfo { hasNextPage } edges { cursor node { \
    id anchor signature recipient owner { key } fee { winston } tags { name value } block { timestamp height } } } } }";

/// Asks for blocks from a height on.
pub fn blocks(from: u64, limit: usize) -> Request {
    let variables = json!({ "height": { "min": from }, "first": limit, "sort": "HEIGHT_ASC" });
    Request { query: BLOCKS, variables }
}

/// Asks for the newest block.
pub fn newest_block() -> Request {
    Request { query: BLOCKS, variables: json!({ "first": 1, "sort": "HEIGHT_DESC" }) }
}

const BLOCKS: &str = "query ($height: BlockFilter, $first: Int, $sort: SortOrder) { \
    blocks(height: $height, first: $first, sort: $sort) { edges { node { timestamp height } } } }";

fn sort(sort: Sort) -> &'static str {
    match sort {
        Sort::Ascending => "HEIGHT_ASC",
        Sort::Descending => "HEIGHT_DESC",
    }
}

/// The answer to [`transactions`].
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct Transactions {
    pub transactions: Connection<TransactionShape>,
}

/// The answer to [`blocks`].
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct Blocks {
    pub blocks: Connection<BlockShape>,
}

/// A page.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct Connection<T> {
    #[serde(default)]
    pub page_info: PageInfo,
    pub edges: Vec<Edge<T>>,
}

/// Whether there is more.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct PageInfo {
    pub has_next_page: bool,
}

/// One place in a page.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct Edge<T> {
    #[serde(default)]
    pub cursor: String,
    pub node: T,
}

/// A transaction or data item.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct TransactionShape {
    pub id: Id,
    #[serde(default)]
    pub anchor: Option<String>,
    pub signature: Option<String>,
    #[serde(default)]
    pub recipient: Option<String>,
    pub owner: OwnerShape,
    pub fee: AmountShape,
    pub tags: Tags,
    #[serde(default)]
    pub block: Option<BlockShape>,
}

/// Who signed.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct OwnerShape {
    pub key: String,
}

/// An amount.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct AmountShape {
    pub winston: Number,
}

/// A block in short.
#[derive(Debug, Clone, Copy, Deserialize)]
#[expect(missing_docs, reason = "the names are the wire's")]
pub struct BlockShape {
    pub timestamp: u64,
    pub height: u64,
}

impl BlockShape {
    /// The block that it is.
    pub fn read(self) -> BlockRef {
        BlockRef { height: self.height.into(), timestamp: Timestamp(self.timestamp * 1000) }
    }
}

impl TransactionShape {
    /// What it says, without its data. Every gateway tells enough to see that the id belongs to the signature; only
    /// the data shows whether the rest does.
    pub fn read(self, cursor: String) -> Result<Found> {
        let odd = |what: &str| {
            Error::unavailable(format!("the gateway tells {what} of {} that cannot be", self.id))
        };
        let bytes = |text: &str, what| from_base64url(text).ok_or_else(|| odd(what));
        let owner = bytes(&self.owner.key, "an owner")?;
        let signature = bytes(self.signature.as_deref().unwrap_or_default(), "a signature")?;
        if !signature.is_empty() && Id::of_signature(&signature) != self.id {
            return Err(odd("a signature"));
        }
        let target = match self.recipient.as_deref() {
            None | Some("") => None,
            Some(text) => Some(text.parse().map_err(|_| odd("a recipient"))?),
        };
        let item = Item {
            id: self.id,
            signature_type: signature_type(&owner),
            signature: signature.into(),
            owner: owner.into(),
            target,
            anchor: anchor(self.anchor.as_deref().unwrap_or_default()).into(),
            tags: self.tags,
            data: Default::default(),
        };
        Ok(Found {
            item: item.into(),
            // Everything on the base layer has paid for it, and no data item has.
            base_layer: self.fee.winston.0 > 0,
            block: self.block.map(BlockShape::read),
            cursor,
        })
    }
}

/// An anchor's bytes. Some gateways write those of a data item as base64url, some as the text that they often are;
/// the length tells which: 32 bytes are 43 characters, 48 bytes are 64.
fn anchor(text: &str) -> Vec<u8> {
    match text.len() {
        43 | 64 => from_base64url(text).unwrap_or_else(|| text.into()),
        _ => text.into(),
    }
}
