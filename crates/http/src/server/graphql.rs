//! GraphQL: Arweave's schema, answered by a real engine.
//!
//! Lists of alternatives hold if one does, different arguments must all hold. An empty list asks nothing; what cannot
//! be an id matches nothing. Cursors are opaque and stay valid while the weave grows.

use std::sync::Arc;

use async_graphql::{
    Context, EmptyMutation, EmptySubscription, Enum, ID, InputObject, Object, Schema, SimpleObject,
};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use protocol::id::{base64url, from_base64url};
use protocol::{Address, Height, Id, tag};
use serde::{Deserialize, Serialize};
use unit::{
    Arweave, BlockAt, BlockHash, BlockHead, Entry, Error, Kind, Query as Wanted, Sort, WordFilter, Words,
};

use super::{Context as Surroundings, Failure, Params, json, read_body};

/// How much a query may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Bytes of a request.
    pub request_bytes_max: usize,
    /// Fields within fields. What editors ask about the schema goes 15 deep.
    pub depth_max: usize,
    /// Fields together; a list of transactions or blocks counts fifty.
    pub complexity_max: usize,
    /// Entries of a page: what gateways give.
    pub page_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { request_bytes_max: 1 << 20, depth_max: 20, complexity_max: 1000, page_max: 1000 }
    }
}

type Gateway = Schema<Query, EmptyMutation, EmptySubscription>;

struct Server {
    schema: Gateway,
    limits: super::Options,
}

/// The route of a gateway's GraphQL.
pub(super) fn routes(weave: Arc<dyn Arweave>, options: Options, context: Surroundings) -> Router {
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription)
        .limit_depth(options.depth_max)
        .limit_complexity(options.complexity_max)
        .data(weave)
        .data(PageMax(options.page_max))
        .finish();
    let limits = super::Options { body_bytes_max: options.request_bytes_max, ..context.options };
    Router::new().route("/graphql", get(by_url).post(by_body)).with_state(Arc::new(Server { schema, limits }))
}

async fn by_body(State(server): State<Arc<Server>>, body: Body) -> Result<Response, Failure> {
    let body = read_body(body, &server.limits).await?;
    let request: async_graphql::Request = serde_json::from_slice(&body).map_err(|error| {
        Error::invalid(format!("the body is no GraphQL request: {error}"))
            .with_hint("post {\"query\": \"...\", \"variables\": {...}}")
    })?;
    Ok(answer(&server, request).await)
}

async fn by_url(State(server): State<Arc<Server>>, params: Params) -> Result<Response, Failure> {
    let query = params.get("query").ok_or_else(|| {
        Error::invalid("the parameter query is missing")
            .with_hint("post a query to /graphql, or add ?query={...}")
    })?;
    let mut request = async_graphql::Request::new(query);
    if let Some(variables) = params.get("variables") {
        let variables: serde_json::Value = serde_json::from_str(variables)
            .map_err(|error| Error::invalid(format!("the parameter variables is no JSON: {error}")))?;
        request = request.variables(async_graphql::Variables::from_json(variables));
    }
    if let Some(name) = params.get("operationName") {
        request = request.operation_name(name);
    }
    Ok(answer(&server, request).await)
}

async fn answer(server: &Server, request: async_graphql::Request) -> Response {
    let response = server.schema.execute(request).await;
    // What fails before anything is resolved is a wrong request; what fails later is part of an answer.
    let is_wrong = !response.errors.is_empty() && response.errors.iter().all(|error| error.path.is_empty());
    json(if is_wrong { StatusCode::BAD_REQUEST } else { StatusCode::OK }, &response)
}

struct PageMax(usize);

/// What can be asked.
pub(crate) struct Query;

#[Object]
impl Query {
    /// A transaction or data item.
    async fn transaction(&self, asked: &Context<'_>, id: ID) -> async_graphql::Result<Option<Transaction>> {
        let Ok(id) = id.parse() else { return Ok(None) };
        optional(weave(asked)?.entry(id).await.map(Transaction))
    }

    /// Transactions and data items for which all arguments hold.
    #[expect(clippy::too_many_arguments, reason = "they are Arweave's")]
    #[graphql(complexity = "50 + child_complexity")]
    async fn transactions(
        &self,
        asked: &Context<'_>,
        #[graphql(desc = "One of these.")] ids: Option<Vec<ID>>,
        #[graphql(desc = "Signed by one of these addresses.")] owners: Option<Vec<String>>,
        #[graphql(desc = "For one of these.")] recipients: Option<Vec<String>>,
        #[graphql(desc = "All of these hold.")] tags: Option<Vec<TagFilter>>,
        #[graphql(desc = "In one of these bundles.")] bundled_in: Option<Vec<ID>>,
        #[graphql(desc = "In a block of such a height; leaves out what is in no block yet.")] block: Option<
            BlockFilter,
        >,
        #[graphql(desc = "At most so many.", default = 10)] first: Option<i32>,
        #[graphql(desc = "After the edge with this cursor.")] after: Option<String>,
        #[graphql(desc = "By height.", default_with = "Some(SortOrder::HeightDesc)")] sort: Option<SortOrder>,
    ) -> async_graphql::Result<TransactionConnection> {
        let limit = limit(asked, first)?;
        let (block_min, block_max) = block.unwrap_or_default().heights()?;
        let (Some(ids), Some(owners), Some(recipients), Some(bundles)) =
            (read_ids(ids), read_ids(owners), read_ids(recipients), read_ids(bundled_in))
        else {
            return Ok(TransactionConnection {
                page_info: PageInfo { has_next_page: false },
                edges: Vec::new(),
            });
        };
        let (mut exact, mut patterns, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for filter in tags.unwrap_or_default() {
            match filter.compare.unwrap_or(TagMatch::Exact) {
                TagMatch::Exact => exact.push(filter.read()),
                TagMatch::Wildcard => patterns.push(filter.read()),
                TagMatch::FuzzyAnd => words.push(filter.read_words(Words::All)),
                TagMatch::FuzzyOr => words.push(filter.read_words(Words::Any)),
            }
        }
        let wanted = Wanted {
            ids,
            owners: owners.into_iter().map(Address).collect(),
            recipients,
            tags: exact,
            patterns,
            words,
            bundles,
            block_min,
            block_max,
            after: after.filter(|after| !after.is_empty()),
            sort: sort.unwrap_or(SortOrder::HeightDesc).into(),
            limit,
        };
        let page = weave(asked)?.entries(wanted).await.map_err(failed)?;
        let edge =
            |entry: Entry| TransactionEdge { cursor: entry.found.cursor.clone(), node: Transaction(entry) };
        Ok(TransactionConnection {
            page_info: PageInfo { has_next_page: page.has_next },
            edges: page.items.into_iter().map(edge).collect(),
        })
    }

    /// A block.
    async fn block(&self, asked: &Context<'_>, id: Option<String>) -> async_graphql::Result<Option<Block>> {
        let Some(hash) = id.and_then(|id| BlockHash::parse(&id)) else { return Ok(None) };
        optional(weave(asked)?.block(BlockAt::Hash(hash)).await.map(|block| Block(block.head)))
    }

    /// Blocks for which all arguments hold.
    #[graphql(complexity = "50 + child_complexity")]
    async fn blocks(
        &self,
        asked: &Context<'_>,
        #[graphql(desc = "One of these.")] ids: Option<Vec<ID>>,
        #[graphql(desc = "Of such a height.")] height: Option<BlockFilter>,
        #[graphql(desc = "At most so many.", default = 10)] first: Option<i32>,
        #[graphql(desc = "After the edge with this cursor.")] after: Option<String>,
        #[graphql(desc = "By height.", default_with = "Some(SortOrder::HeightDesc)")] sort: Option<SortOrder>,
    ) -> async_graphql::Result<BlockConnection> {
        let limit = limit(asked, first)?;
        let sort = Sort::from(sort.unwrap_or(SortOrder::HeightDesc));
        let (min, max) = height.unwrap_or_default().heights()?;
        let mut heights = min.unwrap_or(Height(0)).0..max.map_or(u64::MAX, |max| max.0.saturating_add(1));
        if let Some(after) = after.filter(|after| !after.is_empty()) {
            let after = read_block_cursor(&after).ok_or_else(|| failed(Error::invalid("invalid cursor")))?;
            match sort {
                Sort::Ascending => heights.start = heights.start.max(after.saturating_add(1)),
                Sort::Descending => heights.end = heights.end.min(after),
            }
        }
        let weave = weave(asked)?;
        let mut heads = match ids.filter(|ids| !ids.is_empty()) {
            Some(ids) => by_hash(&**weave, &ids, heights, sort).await?,
            None => weave.block_heads(heights, sort, limit + 1).await.map_err(failed)?,
        };
        let has_next_page = heads.len() > limit;
        heads.truncate(limit);
        let edge = |head: BlockHead| BlockEdge { cursor: block_cursor(head.height), node: Block(head) };
        Ok(BlockConnection {
            page_info: PageInfo { has_next_page },
            edges: heads.into_iter().map(edge).collect(),
        })
    }
}

fn weave<'a>(asked: &Context<'a>) -> async_graphql::Result<&'a Arc<dyn Arweave>> {
    asked.data::<Arc<dyn Arweave>>()
}

/// A refusal as GraphQL has it.
fn failed(error: Error) -> async_graphql::Error {
    use async_graphql::ErrorExtensions as _;
    let code = error.code.to_string();
    async_graphql::Error::new(error.to_string()).extend_with(|_, more| more.set("code", code))
}

/// What is not there is null.
fn optional<T>(found: unit::Result<T>) -> async_graphql::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn limit(asked: &Context<'_>, first: Option<i32>) -> async_graphql::Result<usize> {
    let max = asked.data::<PageMax>()?.0;
    let first = usize::try_from(first.unwrap_or(10));
    first.map(|first| first.min(max)).map_err(|_| failed(Error::invalid("first must not be negative")))
}

/// The ids in a list; none for no list, and `None` for a list in which nothing is one.
fn read_ids<T: AsRef<str>>(texts: Option<Vec<T>>) -> Option<Vec<Id>> {
    let texts = texts.unwrap_or_default();
    let ids: Vec<Id> = texts.iter().filter_map(|text| text.as_ref().parse().ok()).collect();
    (texts.is_empty() || !ids.is_empty()).then_some(ids)
}

async fn by_hash(
    weave: &dyn Arweave,
    ids: &[ID],
    heights: std::ops::Range<u64>,
    sort: Sort,
) -> async_graphql::Result<Vec<BlockHead>> {
    let mut heads = Vec::new();
    for hash in ids.iter().filter_map(|id| BlockHash::parse(id)) {
        heads.extend(optional(weave.block(BlockAt::Hash(hash)).await)?.map(|block| block.head));
    }
    heads.retain(|head| heights.contains(&head.height.0));
    heads.sort_by_key(|head| head.height);
    heads.dedup();
    if sort == Sort::Descending {
        heads.reverse();
    }
    Ok(heads)
}

fn block_cursor(height: Height) -> String {
    base64url(height.0.to_be_bytes())
}

fn read_block_cursor(text: &str) -> Option<u64> {
    from_base64url(text)?.try_into().ok().map(u64::from_be_bytes)
}

/// Which end a list starts from. What is in no block yet counts as newest.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SortOrder {
    /// Oldest first.
    HeightAsc,
    /// Newest first.
    HeightDesc,
}

impl From<SortOrder> for Sort {
    fn from(order: SortOrder) -> Sort {
        match order {
            SortOrder::HeightAsc => Sort::Ascending,
            SortOrder::HeightDesc => Sort::Descending,
        }
    }
}

/// A tag that must be there, or must not.
#[derive(InputObject)]
pub(crate) struct TagFilter {
    /// Exactly this name.
    name: String,
    /// One of these values.
    values: Vec<String>,
    /// Whether it must be there.
    #[graphql(default_with = "Some(TagOperator::Eq)")]
    op: Option<TagOperator>,
    /// How values are compared.
    #[graphql(default_with = "Some(TagMatch::Exact)", name = "match")]
    compare: Option<TagMatch>,
}

/// Whether a tag must be there.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagOperator {
    /// There is such a tag.
    Eq,
    /// There is no such tag.
    Neq,
}

/// How tag values are compared, as one public gateway has it. Words are what is between anything but letters and digits,
/// whether capital or not; they may have slips: none up to two letters, one up to five, else two.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagMatch {
    /// Byte for byte.
    Exact,
    /// With `*` for anything.
    Wildcard,
    /// All words of all values, in one tag, roughly.
    FuzzyAnd,
    /// One of the words of the values, roughly.
    FuzzyOr,
}

impl TagFilter {
    fn is_negated(&self) -> bool {
        self.op == Some(TagOperator::Neq)
    }

    fn read(self) -> unit::TagFilter {
        let negated = self.is_negated();
        unit::TagFilter { name: self.name, values: self.values, negated }
    }

    fn read_words(self, which: Words) -> WordFilter {
        let negated = self.is_negated();
        WordFilter::new(self.name, &self.values, which, negated)
    }
}

/// A range of heights; its ends are in it.
#[derive(InputObject, Default)]
pub(crate) struct BlockFilter {
    /// The lowest.
    min: Option<i64>,
    /// The highest.
    max: Option<i64>,
}

impl BlockFilter {
    fn heights(&self) -> async_graphql::Result<(Option<Height>, Option<Height>)> {
        let height = |height: Option<i64>| {
            let height = height.map(|height| u64::try_from(height).map(Height)).transpose();
            height.map_err(|_| failed(Error::invalid("a height must not be negative")))
        };
        Ok((height(self.min)?, height(self.max)?))
    }
}

/// Where a page ends.
#[derive(SimpleObject)]
pub(crate) struct PageInfo {
    has_next_page: bool,
}

/// A page, or one place in it.
#[derive(SimpleObject)]
pub(crate) struct TransactionConnection {
    page_info: PageInfo,
    edges: Vec<TransactionEdge>,
}

/// A page, or one place in it.
#[derive(SimpleObject)]
pub(crate) struct TransactionEdge {
    /// What `after` takes.
    cursor: String,
    /// What stands there.
    node: Transaction,
}

/// A page, or one place in it.
#[derive(SimpleObject)]
pub(crate) struct BlockConnection {
    page_info: PageInfo,
    edges: Vec<BlockEdge>,
}

/// A page, or one place in it.
#[derive(SimpleObject)]
pub(crate) struct BlockEdge {
    /// What `after` takes.
    cursor: String,
    /// What stands there.
    node: Block,
}

/// A transaction or a data item.
pub(crate) struct Transaction(Entry);

#[Object]
impl Transaction {
    async fn id(&self) -> ID {
        ID(self.0.found.item.id.to_string())
    }

    /// `last_tx` of a transaction, or the anchor of a data item: the bytes that were signed, in base64url.
    async fn anchor(&self) -> String {
        base64url(&self.0.found.item.anchor)
    }

    async fn signature(&self) -> String {
        base64url(&self.0.found.item.signature)
    }

    /// How it is signed, by the numbers of data items; null where a transaction of the base layer is signed by a
    /// secp256k1 key.
    async fn signature_type(&self) -> Option<i32> {
        let item = &self.0.found.item;
        let is_known = !self.0.found.base_layer || item.owner.len() == item.signature_type.owner_len();
        is_known.then(|| item.signature_type.number().into())
    }

    async fn recipient(&self) -> String {
        self.0.found.item.target.map(|target| target.to_string()).unwrap_or_default()
    }

    async fn owner(&self) -> Owner {
        let item = &self.0.found.item;
        Owner { address: item.address().to_string(), key: base64url(&item.owner) }
    }

    async fn fee(&self) -> Amount {
        Amount::of(self.0.reward)
    }

    async fn quantity(&self) -> Amount {
        Amount::of(self.0.quantity)
    }

    async fn data(&self) -> MetaData {
        let kind = self.0.found.item.tags.first(tag::CONTENT_TYPE).unwrap_or_default().to_owned();
        MetaData { size: self.0.data_size.to_string(), kind: Some(kind) }
    }

    async fn tags(&self) -> Vec<Tag> {
        let tag = |tag: &protocol::Tag| Tag { name: tag.name.clone(), value: tag.value.clone() };
        self.0.found.item.tags.iter().map(tag).collect()
    }

    /// Null while it waits for one.
    async fn block(&self) -> Option<Block> {
        self.0.block.map(Block)
    }

    /// The same as bundledIn, by its older name.
    async fn parent(&self) -> Option<Parent> {
        self.0.bundle.map(|id| Parent { id: ID(id.to_string()) })
    }

    /// The bundle that has it, if it is a data item in one.
    async fn bundled_in(&self) -> Option<Bundle> {
        self.0.bundle.map(|id| Bundle { id: ID(id.to_string()) })
    }
}

/// The bundle of a data item.
#[derive(SimpleObject)]
pub(crate) struct Parent {
    id: ID,
}

/// The bundle of a data item.
#[derive(SimpleObject)]
pub(crate) struct Bundle {
    /// Its id.
    id: ID,
}

/// A block.
pub(crate) struct Block(BlockHead);

#[Object]
impl Block {
    /// Its hash.
    async fn id(&self) -> ID {
        ID(self.0.hash.to_string())
    }

    /// Seconds since 1970.
    async fn timestamp(&self) -> u64 {
        self.0.timestamp.0 / 1000
    }

    /// How many blocks are below it.
    async fn height(&self) -> u64 {
        self.0.height.0
    }

    /// The block before it; empty for the first.
    async fn previous(&self) -> ID {
        ID(self.0.previous.map(|hash| hash.to_string()).unwrap_or_default())
    }
}

/// About the data.
#[derive(SimpleObject)]
pub(crate) struct MetaData {
    /// In bytes.
    size: String,
    /// The first `Content-Type` tag; empty without one.
    #[graphql(name = "type")]
    kind: Option<String>,
}

/// An amount of money.
#[derive(SimpleObject)]
pub(crate) struct Amount {
    /// The smallest units.
    winston: String,
    /// A million million of them, with 12 decimals.
    ar: String,
}

impl Amount {
    fn of(winston: u128) -> Amount {
        const AR: u128 = 1_000_000_000_000;
        Amount { winston: winston.to_string(), ar: format!("{}.{:012}", winston / AR, winston % AR) }
    }
}

/// Who signed.
#[derive(SimpleObject)]
pub(crate) struct Owner {
    /// SHA-256 of the key.
    address: String,
    /// The public key.
    key: String,
}

/// A tag.
#[derive(SimpleObject)]
pub(crate) struct Tag {
    /// Its name.
    name: String,
    /// Its value.
    value: String,
}
