//! Where in the log each key's value stands, and the last bytes of the log, in memory.
//!
//! Nothing here outlives the process: opening rebuilds it from the footers of the sealed segments and the records of
//! the last one.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::segment::{Change, Place};
use crate::{Order, Space, is_empty_range};

/// Keys in order, each with the place of its value.
#[derive(Debug, Default)]
pub(crate) struct Index {
    spaces: BTreeMap<Box<str>, BTreeMap<Box<[u8]>, Place>>,
}

impl Index {
    pub fn apply(&mut self, change: Change<'_>) {
        let keys = match self.spaces.get_mut(change.space) {
            Some(keys) => keys,
            None => self.spaces.entry(change.space.into()).or_default(),
        };
        // Most keys are new: not to look first is one search instead of two, while readers wait.
        match change.place {
            Some(place) => keys.insert(change.key.into(), place),
            None => keys.remove(change.key),
        };
    }

    pub fn get(&self, space: Space, key: &[u8]) -> Option<Place> {
        self.spaces.get(space.0)?.get(key).copied()
    }

    pub fn scan(
        &self,
        space: Space,
        range: (Bound<&[u8]>, Bound<&[u8]>),
        order: Order,
        limit: usize,
    ) -> Vec<(Bytes, Place)> {
        let Some(keys) = self.spaces.get(space.0).filter(|_| !is_empty_range(range)) else {
            return Vec::new();
        };
        let found = keys.range::<[u8], _>(range).map(|(key, place)| (Bytes::copy_from_slice(key), *place));
        match order {
            Order::Ascending => found.take(limit).collect(),
            Order::Descending => found.rev().take(limit).collect(),
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.spaces.values().map(BTreeMap::len).sum()
    }
}

/// The last writes, whole, so that what was just written need not be read back.
#[derive(Debug)]
pub(crate) struct Recent {
    /// By segment and offset.
    writes: BTreeMap<(u32, u32), Bytes>,
    bytes: usize,
    bytes_max: usize,
}

/// A shared slice keeps the whole write in memory for as long as the reader holds it. Copying a small value is cheaper
/// than that.
const COPY_MAX: usize = 4096;

impl Recent {
    pub fn new(bytes_max: usize) -> Recent {
        Recent { writes: BTreeMap::new(), bytes: 0, bytes_max }
    }

    /// Remembers a write, and forgets the oldest ones over the bound.
    pub fn push(&mut self, segment: u32, offset: u32, write: Bytes) {
        self.bytes += write.len();
        self.writes.insert((segment, offset), write);
        while self.bytes > self.bytes_max {
            let Some((_, oldest)) = self.writes.pop_first() else {
                return;
            };
            self.bytes -= oldest.len();
        }
    }

    pub fn get(&self, place: Place) -> Option<Bytes> {
        let (&(segment, start), write) = self.writes.range(..=(place.segment, place.offset)).next_back()?;
        let from = (place.offset - start) as usize;
        let to = from + place.length as usize;
        if segment != place.segment || to > write.len() {
            return None;
        }
        Some(if to - from <= COPY_MAX {
            Bytes::copy_from_slice(&write[from..to])
        } else {
            write.slice(from..to)
        })
    }
}
