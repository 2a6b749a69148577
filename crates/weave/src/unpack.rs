//! Bundles that were posted: what is in them becomes an item like any other, if its signature holds.

use std::collections::BTreeSet;
use std::ops::{Bound, Range};
use std::sync::Arc;

use bytes::Bytes;
use protocol::Id;
use protocol::ans104::DataItem;
use store::{Batch, Order};
use tracing::{debug, warn};

use crate::Error;
use crate::core::{Core, PAGE, aside};
use crate::data::Window;
use crate::keys::{Place, UNPACK};
use crate::record::{Head, Source, What};
use crate::upload::{Terms, is_bundle, put};

const NUMBER: u64 = 32;
const ENTRY: u64 = 64;

/// Unpacks a bundle before going on, or a large one afterwards. The store remembers that it is to be done.
pub(crate) async fn now_or_soon(core: &Arc<Core>, id: Id, size: u64) -> Result<(), Error> {
    let unpacking = Arc::clone(&core.unpacking).read_owned().await;
    if size <= core.options.unpack_before_answer_bytes_max {
        return aside(core, move |core| unpack(core, id)).await;
    }
    let core = Arc::clone(core);
    tokio::spawn(async move {
        let _unpacking = unpacking;
        if let Err(error) = aside(&core, move |core| unpack(core, id)).await {
            warn!(bundle = %id, %error, "could not unpack a bundle; will try again after a restart");
        }
    });
    Ok(())
}

/// Makes items of what is in a bundle whose data is all here. Twice is once.
pub(crate) fn unpack(core: &Core, id: Id) -> Result<(), Error> {
    let Some(head) = core.head(id)? else { return Ok(()) };
    let mut work = Work { core, outer: id, head: &head, count: 0, found: Vec::new(), kept: 0, refused: 0 };
    if !work.bundle(id, 0..head.data_size, 0)? {
        return Ok(());
    }
    work.keep(true)?;
    let Work { kept, refused, .. } = work;
    if refused > 0 {
        warn!(bundle = %id, kept, refused, "some items of a bundle are not valid and were left out");
    } else {
        debug!(bundle = %id, kept, "unpacked a bundle");
    }
    Ok(())
}

/// Unpacks what was left undone when the node stopped. What waits for chunks waits on.
pub(crate) async fn resume(core: Arc<Core>) {
    let mut from = [0; 32];
    loop {
        let page = aside(&core, move |core| {
            Ok(core.store.scan(UNPACK, (Bound::Excluded(&from), Bound::Unbounded), Order::Ascending, PAGE)?)
        });
        let page = page.await.unwrap_or_default();
        let Some(last) = page.iter().filter_map(|(key, _)| Id::from_slice(key)).next_back() else { return };
        for id in page.iter().filter_map(|(key, _)| Id::from_slice(key)) {
            let _unpacking = core.unpacking.read().await;
            if let Err(error) = aside(&core, move |core| unpack(core, id)).await {
                warn!(bundle = %id, %error, "could not unpack a bundle; will try again after a restart");
            }
        }
        from = last.0;
    }
}

struct Work<'a> {
    core: &'a Core,
    /// What came in from outside and has all the data.
    outer: Id,
    head: &'a Head,
    /// Items seen so far, nested ones right after the bundle that has them. An item's place is its count, so that a
    /// second run gives the same places.
    count: u32,
    /// Valid, and still to be written down.
    found: Vec<(Id, Head, Terms)>,
    kept: u64,
    refused: u64,
}

/// How many items are written down at once.
const BATCH: usize = 256;

impl Work<'_> {
    /// The bundle that lies there in the outer data. False if some of it is missing.
    fn bundle(&mut self, parent: Id, range: Range<u64>, depth: usize) -> Result<bool, Error> {
        let mut index = Window::over(self.core, self.outer, self.head);
        let mut data = Window::over(self.core, self.outer, self.head);
        if range.end - range.start < NUMBER {
            return Ok(self.refuse(parent, "it is too short for a bundle"));
        }
        let first = range.start + NUMBER;
        let Some(count) = index.read(range.start..first)? else { return Ok(false) };
        let index_size = number(&count).and_then(|count| count.checked_mul(ENTRY));
        let Some(index_size) = index_size.filter(|size| *size <= range.end - first) else {
            return Ok(self.refuse(parent, "its index is longer than the bundle"));
        };
        let mut at = first + index_size;
        for entry in (first..first + index_size).step_by(ENTRY as usize) {
            let Some(entry) = index.read(entry..entry + ENTRY)? else { return Ok(false) };
            let Some(size) = number(&entry).filter(|size| *size <= range.end - at) else {
                return Ok(self.refuse(parent, "an item is longer than the bundle"));
            };
            if self.count >= self.core.options.unpack_items_max {
                return Ok(self.refuse(parent, "it has more items than are looked at"));
            }
            self.count += 1;
            let id = Id::from_slice(&entry[NUMBER as usize..]).expect("32 bytes");
            if !self.item(&mut data, parent, id, at..at + size, depth)? {
                return Ok(false);
            }
            at += size;
        }
        Ok(true)
    }

    /// The item that lies there, and what is in it. False if some of it is missing.
    fn item(
        &mut self,
        data: &mut Window<'_>,
        parent: Id,
        id: Id,
        range: Range<u64>,
        depth: usize,
    ) -> Result<bool, Error> {
        if range.end - range.start > self.core.options.item_bytes_max {
            return Ok(self.refuse(id, "it is larger than what is accepted"));
        }
        let Some(bytes) = data.read(range.clone())? else { return Ok(false) };
        let Ok(item) = DataItem::parse(bytes) else {
            return Ok(self.refuse(id, "it cannot be read"));
        };
        if item.id != id {
            return Ok(self.refuse(id, "it has another id than the bundle says"));
        }
        if let Err(error) = item.verify() {
            debug!(%error, "an item of a bundle is forged");
            return Ok(self.refuse(id, "its signature is not valid"));
        }
        let prefix = Head::prefix(&item);
        // A bundle is kept for longer than its window: what is kept of it must not hold on to the whole.
        let prefix = Bytes::copy_from_slice(&prefix);
        let offset = range.start + prefix.len() as u64;
        let head = Head {
            place: Place { number: self.head.place.number, within: self.count },
            received: self.head.received,
            received_at: self.head.received_at,
            data_size: item.data.len() as u64,
            source: Source::Within { outer: self.outer, offset },
            parent: Some(parent),
            what: What::Item(prefix),
        };
        self.found.push((id, head, Terms::of(item.address(), item.target, &item.tags)));
        if self.found.len() >= BATCH {
            self.keep(false)?;
        }
        if is_bundle(&item.tags) && depth < self.core.options.unpack_depth_max {
            return self.bundle(id, offset..range.end, depth + 1);
        }
        Ok(true)
    }

    /// Notes that something is left out.
    fn refuse(&mut self, id: Id, why: &str) -> bool {
        debug!(bundle = %self.outer, %id, why, "left something of a bundle out");
        self.refused += 1;
        true
    }

    /// Writes down what was found and is not known yet; who came first stays where it is.
    fn keep(&mut self, last: bool) -> Result<(), Error> {
        let mut batch = Batch::new();
        let mut ids = BTreeSet::new();
        let (ticket, appended) = {
            let mut state = self.core.state();
            for (id, head, terms) in self.found.drain(..) {
                if !state.flight.has(id) && self.core.head(id)?.is_none() && ids.insert(id) {
                    put(&mut batch, id, &head, &terms);
                }
            }
            if last {
                batch.delete(UNPACK, self.outer.as_bytes().to_vec());
            }
            self.kept += ids.len() as u64;
            (state.flight.start(ids), self.core.store.append(batch))
        };
        let written = appended.wait();
        let mut state = self.core.state();
        match &written {
            Ok(()) => state.flight.landed(ticket),
            Err(_) => state.flight.failed(ticket),
        }
        Ok(written?)
    }
}

/// A 256-bit number that must fit into 64.
fn number(bytes: &[u8]) -> Option<u64> {
    let (low, high) = bytes.get(..NUMBER as usize)?.split_at(8);
    high.iter().all(|byte| *byte == 0).then(|| low.try_into().ok().map(u64::from_le_bytes))?
}
