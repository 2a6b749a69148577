//! What will not be carried out, and why: kept for whoever operates the unit.

use std::ops::Bound;

use bytes::Bytes;
use protocol::Timestamp;
use store::{Batch, Order, Space, Store};
use unit::Trace;

use crate::codec::{Reader, Writer};
use crate::task::Task;
use crate::trace;

/// Number of a task → what it was, and why it is dead.
pub(crate) const DEAD: Space = Space("mu.dead");
/// Number of a task → the item's bytes, or the beginning of an element that is no item.
const BODY: Space = Space("mu.dead.body");

/// Something that will not be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Orders them; what to continue a list from.
    pub number: u64,
    /// What it was; its `error` says why it is dead.
    pub trace: Trace,
    /// When it was given up.
    pub at: Timestamp,
    /// The item's bytes, or the beginning of an outbox element that could not become an item.
    pub body: Option<Bytes>,
}

pub(crate) fn put(batch: &mut Batch, number: u64, row: &Trace, at: Timestamp, body: Option<Bytes>) {
    let key = Task::key(number);
    batch.put(DEAD, key.clone(), Writer::default().number(at.0).bytes(&trace::encode(row)).done());
    if let Some(body) = body {
        batch.put(BODY, key, body);
    }
}

/// Those after a number, oldest first.
pub(crate) fn list(store: &dyn Store, after: u64, limit: usize) -> Result<Vec<Dead>, store::Error> {
    let from = after.to_be_bytes();
    let page = store.scan(DEAD, (Bound::Excluded(&from), Bound::Unbounded), Order::Ascending, limit)?;
    let mut dead = Vec::with_capacity(page.len());
    for (key, row) in &page {
        let mut input = Reader(row);
        let (Some(number), Some(at)) = (Task::number_in(key), input.number()) else { continue };
        let Some(trace) = input.bytes().and_then(trace::decode) else { continue };
        dead.push(Dead { number, trace, at: Timestamp(at), body: store.get(BODY, key)? });
    }
    Ok(dead)
}

/// Drops the oldest, for there are more than may be. Answers with how many.
pub(crate) fn drop_oldest(store: &dyn Store, batch: &mut Batch, n: usize) -> usize {
    let oldest =
        store.scan(DEAD, (Bound::Unbounded, Bound::Unbounded), Order::Ascending, n).unwrap_or_default();
    for (key, _) in &oldest {
        batch.delete(DEAD, key.clone());
        batch.delete(BODY, key.clone());
    }
    if !oldest.is_empty() {
        tracing::warn!(n = oldest.len(), "the list of the dead is full: its oldest entries are dropped");
    }
    oldest.len()
}
