//! A weave in a file: one bundle of data items, as `pirn bundle` writes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::ans104::{Entry, bundle_index, parse_entry};
use protocol::{Address, DataItem, Height, Id, Item, Timestamp};
use unit::{BlockRef, Error, Found, Kind, Page, Query, Result, Sort, Tip, Weave};

/// The items of a bundle. What the bundle lacks is asked of another weave, if there is one.
pub struct BundleFile {
    items: BTreeMap<Id, Held>,
    /// Ids in the order of the bundle.
    order: Vec<Id>,
    beyond: Option<Arc<dyn Weave>>,
}

/// What the bundle has under an id.
enum Held {
    Item(Arc<Item>),
    /// Bytes that are not what was signed, and why.
    Altered(String),
}

impl BundleFile {
    /// Reads a bundle. An item that is not what was signed is no error before somebody asks for it.
    pub fn read(bytes: Bytes, beyond: Option<Arc<dyn Weave>>) -> Result<BundleFile> {
        let index = bundle_index(&bytes).map_err(|error| Error::invalid(error.to_string()))?;
        let mut items = BTreeMap::new();
        let mut order = Vec::with_capacity(index.len());
        for entry in index {
            let id = entry.id;
            order.push(id);
            items.insert(id, hold(&bytes, entry));
        }
        Ok(BundleFile { items, order, beyond })
    }

    fn found(id: Id, held: &Held) -> Result<Found> {
        match held {
            Held::Item(item) => {
                Ok(Found { item: Arc::clone(item), base_layer: false, block: None, cursor: id.to_string() })
            }
            Held::Altered(why) => {
                let what = format!("what the bundle has as {id} is not what was signed: {why}");
                Err(Error::refused(what).with_code(unit::Code::NOT_AS_SIGNED))
            }
        }
    }
}

fn hold(bytes: &Bytes, entry: Entry) -> Held {
    let verified = parse_entry(bytes, entry).and_then(|item| item.verify().map(|()| item));
    match verified {
        Ok(item) => Held::Item(item.shared()),
        Err(error) => Held::Altered(error.to_string()),
    }
}

fn reads_only() -> Error {
    Error::refused("a bundle in a file takes nothing in")
}

#[async_trait]
impl Weave for BundleFile {
    async fn upload(&self, _item: DataItem) -> Result<()> {
        Err(reads_only())
    }

    async fn get(&self, id: Id) -> Result<Found> {
        match (self.items.get(&id), &self.beyond) {
            (Some(held), _) => BundleFile::found(id, held),
            (None, Some(beyond)) => beyond.get(id).await,
            (None, None) => Err(Error::not_found(format!("{id} is not in the bundle"))),
        }
    }

    async fn confirmations(&self, _id: Id) -> Result<Option<u64>> {
        Ok(None)
    }

    async fn query(&self, query: Query) -> Result<Page<Found>> {
        let mut found = Vec::new();
        let mut order: Vec<&Id> = self.order.iter().collect();
        if query.sort == Sort::Descending {
            order.reverse();
        }
        if let Some(after) = &query.after {
            let place = order.iter().position(|id| id.to_string() == *after);
            order.drain(..place.map_or(order.len(), |place| place + 1));
        }
        for id in order {
            // What was altered has no tags that anybody could believe.
            if let Some(held @ Held::Item(item)) = self.items.get(id)
                && query.matches(item)
            {
                found.push(BundleFile::found(*id, held)?);
                if found.len() > query.limit {
                    break;
                }
            }
        }
        Ok(Page::cut(found, query.limit))
    }

    async fn tip(&self) -> Result<Tip> {
        match &self.beyond {
            Some(beyond) => beyond.tip().await,
            None => Ok(Tip { timestamp: Timestamp(0), height: Height(0) }),
        }
    }

    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>> {
        match &self.beyond {
            Some(beyond) => beyond.blocks(from, limit).await,
            None => Err(Error::new(Kind::NotFound, "a bundle in a file has no blocks")),
        }
    }

    async fn knows_wallet(&self, _address: Address) -> Result<bool> {
        Err(reads_only())
    }
}
