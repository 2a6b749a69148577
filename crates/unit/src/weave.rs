//! The contract of the weave, as units use it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, DataItem, Height, Id, Item, Timestamp};

use crate::{Error, Page, Result, Sort};

mod words;

pub use words::{WordFilter, Words};

/// Remembers forever.
#[async_trait]
pub trait Weave: Send + Sync {
    /// Accepts an item for permanent storage. Verifies it. Twice is once.
    async fn upload(&self, item: DataItem) -> Result<()>;

    /// Waits until an item that was uploaded has been taken by whoever makes it permanent. At once where `upload` waits
    /// for that already.
    async fn taken(&self, id: Id) -> Result<()> {
        let _ = id;
        Ok(())
    }

    /// An item or a transaction, with its data.
    async fn get(&self, id: Id) -> Result<Found>;

    /// How many blocks deep it is; `None` while it waits for a block.
    async fn confirmations(&self, id: Id) -> Result<Option<u64>>;

    /// Items and transactions that match, without their data.
    async fn query(&self, query: Query) -> Result<Page<Found>>;

    /// The newest block.
    async fn tip(&self) -> Result<Tip>;

    /// Blocks from a height on, ascending, at most `limit`.
    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>>;

    /// Whether some wallet of that address is known: it signed something or has a balance.
    async fn knows_wallet(&self, address: Address) -> Result<bool>;

    /// The part of the data of an item or a transaction that has the byte `at`, or nothing at its end; checked like all
    /// that is read, and no more than has to be fetched for that.
    async fn piece(&self, id: Id, at: u64) -> Result<Piece> {
        let _ = at;
        let bytes = self.get(id).await?.item.data.clone();
        Ok(Piece { total: bytes.len() as u64, start: 0, bytes })
    }

    /// The header of a transaction in a block, as JSON of a gateway, in one order of its keys and with `ownerAddress`.
    async fn transaction_json(&self, id: Id) -> Result<Bytes> {
        Err(Error::unavailable(format!("this weave does not tell the header of {id}")))
    }

    /// A block as JSON, as the gateway tells it.
    async fn block_json(&self, height: Height) -> Result<Bytes> {
        Err(Error::unavailable(format!("this weave does not tell the block at height {height}")))
    }
}

/// A part of some data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of all the data.
    pub total: u64,
    /// Where the part begins.
    pub start: u64,
    /// The part.
    pub bytes: Bytes,
}

/// Something on the weave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it says.
    pub item: Arc<Item>,
    /// Whether it is a transaction of the base layer rather than a data item.
    pub base_layer: bool,
    /// The block that has it; `None` while it waits for one.
    pub block: Option<BlockRef>,
    /// Where it stands among all, for [`Query::after`]. Empty where it did not come from a query.
    pub cursor: String,
}

/// Which items. Lists are alternatives within and all must hold between; an empty list asks nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// One of these.
    pub ids: Vec<Id>,
    /// Signed by one of these.
    pub owners: Vec<Address>,
    /// For one of these.
    pub recipients: Vec<Id>,
    /// Every one of these.
    pub tags: Vec<TagFilter>,
    /// Every one of these as well, in whose values `*` stands for any characters, or none.
    pub patterns: Vec<TagFilter>,
    /// Every one of these as well: words that are in a value, roughly.
    pub words: Vec<WordFilter>,
    /// In one of these bundles.
    pub bundles: Vec<Id>,
    /// In a block of at least this height.
    pub block_min: Option<Height>,
    /// In a block of at most this height.
    pub block_max: Option<Height>,
    /// After the item with this cursor, as an earlier page gave it.
    pub after: Option<String>,
    /// By height.
    pub sort: Sort,
    /// At most that many.
    pub limit: usize,
}

/// A tag that must be there, or must not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagFilter {
    /// Exactly this name.
    pub name: String,
    /// One of these values.
    pub values: Vec<String>,
    /// `NEQ`: no such pair.
    pub negated: bool,
}

impl TagFilter {
    /// Whether it holds for an item, where `*` in its values stands for any characters, or none.
    pub fn holds_as_patterns(&self, item: &Item) -> bool {
        let mut values = item.tags.all(&self.name);
        let there = values.any(|value| self.values.iter().any(|pattern| is_like(value, pattern)));
        there != self.negated
    }
}

/// Whether a text is a pattern, in which `*` stands for any characters, or none. Takes as many steps as the text has
/// bytes for each `*` at most: what is between two of them is found where it comes first.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(end) = text.len().checked_sub(tail.len()).filter(|_| text.ends_with(tail)) else { return false };
    text = &text[..end];
    for part in middle.split('*') {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    true
}

impl Query {
    /// Whether an item is what is asked for, as far as the item itself says it: not its block, nor the bundle it is in.
    pub fn matches(&self, item: &Item) -> bool {
        let one_of = |list: &[Id], id: Option<Id>| list.is_empty() || id.is_some_and(|id| list.contains(&id));
        let tag_holds = |filter: &TagFilter| {
            let there = item.tags.all(&filter.name).any(|value| filter.values.iter().any(|v| v == value));
            there != filter.negated
        };
        one_of(&self.ids, Some(item.id))
            && one_of(&self.recipients, item.target)
            && (self.owners.is_empty() || self.owners.contains(&item.address()))
            && self.tags.iter().all(tag_holds)
            && self.patterns.iter().all(|filter| filter.holds_as_patterns(item))
            && self.words.iter().all(|filter| filter.holds(item))
    }

    /// A query by tags that must all be there.
    pub fn tagged<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Query {
        let filter = |(name, value): (&str, &str)| TagFilter {
            name: name.to_owned(),
            values: vec![value.to_owned()],
            negated: false,
        };
        Query { tags: tags.into_iter().map(filter).collect(), limit: 100, ..Query::default() }
    }
}

/// A time and a height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Milliseconds.
    pub timestamp: Timestamp,
    /// Of the newest block.
    pub height: Height,
}

/// A block, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRef {
    /// Its height.
    pub height: Height,
    /// Its time, in whole seconds, as ms.
    pub timestamp: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_or_none() {
        for (pattern, like, unlike) in [
            ("a", &["a"][..], &["", "aa", "A"][..]),
            ("*", &["", "a", "*"], &[]),
            ("a*", &["a", "ab"], &["ba", ""]),
            ("*a", &["a", "ba"], &["ab"]),
            ("a*a", &["aa", "aba"], &["a", "ab"]),
            ("a*b*c", &["abc", "a b c", "axbybzc"], &["ac", "acb", "abcd"]),
            ("*é*é*", &["éé", "1é2é3"], &["é"]),
            ("a**b", &["ab", "a*b"], &["a"]),
            ("**", &["", "x"], &[]),
        ] {
            like.iter().for_each(|text| assert!(is_like(text, pattern), "{text} {pattern}"));
            unlike.iter().for_each(|text| assert!(!is_like(text, pattern), "{text} {pattern}"));
        }
    }
}
