//! Data, wherever it is: in one piece, in chunks, within a bundle, or in the items of one of our own bundles.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use protocol::Id;
use store::Order;
use unit::ItemOffsets;

use crate::Error;
use crate::core::{Core, keys_between};
use crate::keys::{self, BUNDLE_INDEX, CHUNK, DATA, PROOF, ROOT, RootKey};
use crate::record::{Head, Source, What};

/// How many bytes of an item's data are kept under one key: ranges of a large item are read without the rest.
const PIECE: usize = 1 << 20;
/// How many bytes a number in a bundle has.
const NUMBER: usize = 32;
/// How many bytes of a bundle's index an item has.
const ENTRY: usize = 64;

/// The data of an item, as it is kept.
pub(crate) fn pieces(data: &Bytes) -> impl Iterator<Item = Bytes> {
    (0..data.len()).step_by(PIECE).map(|start| data.slice(start..data.len().min(start + PIECE)))
}

/// The key of a piece.
pub(crate) fn piece_key(id: Id, index: u32) -> Vec<u8> {
    [&id.as_bytes()[..], &index.to_be_bytes()].concat()
}

impl Core {
    /// A part of the data of something; `None` if some of it is not here (yet).
    pub(crate) fn data(&self, id: Id, head: &Head, range: Range<u64>) -> Result<Option<Bytes>, Error> {
        if range.end > head.data_size || range.start > range.end {
            return Ok(None);
        }
        let len = range.end - range.start;
        if len > self.options.read_bytes_max {
            return Err(Error::TooLarge { what: id, size: len, max: self.options.read_bytes_max });
        }
        // Half of some data looks like data: it is there when all of it is.
        if let Source::Chunks { root } = head.source
            && !self.is_complete(RootKey { root, size: head.data_size })?
        {
            return Ok(None);
        }
        if len == 0 {
            return Ok(Some(Bytes::new()));
        }
        match head.source {
            Source::Own => self.whole(id, range),
            Source::Within { outer, offset } => {
                let Some(outer_head) = self.head(outer)? else { return Ok(None) };
                if matches!(outer_head.source, Source::Within { .. }) {
                    return Err(Error::Damaged("a bundle"));
                }
                self.data(outer, &outer_head, offset + range.start..offset + range.end)
            }
            Source::Chunks { root } => self.chunked(RootKey { root, size: head.data_size }, range),
            Source::Bundle { .. } => self.assembled(id, range),
        }
    }

    fn whole(&self, id: Id, range: Range<u64>) -> Result<Option<Bytes>, Error> {
        let mut parts = Parts::new(range);
        while let Some(at) = parts.missing() {
            let index = u32::try_from(at / PIECE as u64).map_err(|_| Error::Damaged("an item"))?;
            let Some(piece) = self.store.get(DATA, &piece_key(id, index))? else { return Ok(None) };
            let start = u64::from(index) * PIECE as u64;
            if start + piece.len() as u64 <= at {
                return Ok(None);
            }
            parts.push(start, piece);
        }
        Ok(Some(parts.finish()))
    }

    /// Whether every chunk of some data is here.
    fn is_complete(&self, data: RootKey) -> Result<bool, Error> {
        Ok(data.size == 0 || self.bytes_here(data)? >= data.size)
    }

    /// How many bytes of some data are here.
    pub(crate) fn bytes_here(&self, data: RootKey) -> Result<u64, Error> {
        let here = self.store.get(ROOT, &data.key())?;
        Ok(here.and_then(|bytes| bytes[..].try_into().ok().map(u64::from_be_bytes)).unwrap_or(0))
    }

    fn chunked(&self, data: RootKey, range: Range<u64>) -> Result<Option<Bytes>, Error> {
        let mut parts = Parts::new(range.clone());
        while let Some(at) = parts.missing() {
            let last = data.chunk(u64::MAX);
            let first = data.chunk(at + 1);
            let found = self.store.scan(CHUNK, keys_between(&first, &last), Order::Ascending, 1)?;
            let Some((key, chunk)) = found.into_iter().next() else { return Ok(None) };
            let end = keys::chunk_end(&key).ok_or(Error::Damaged("a chunk"))?;
            let start = end.checked_sub(chunk.len() as u64).ok_or(Error::Damaged("a chunk"))?;
            if start > at {
                return Ok(None);
            }
            parts.push(start, chunk);
        }
        Ok(Some(parts.finish()))
    }

    /// Puts a part of one of our own bundles together.
    fn assembled(&self, id: Id, range: Range<u64>) -> Result<Option<Bytes>, Error> {
        let Some(index) = self.store.get(BUNDLE_INDEX, id.as_bytes())? else { return Ok(None) };
        let mut parts = Parts::new(range.clone());
        parts.push_if_wanted(0, index.len() as u64, || Ok(Some(index.clone())))?;
        let mut start = index.len() as u64;
        for entry in index[NUMBER..].chunks_exact(ENTRY) {
            let size = u64::from_le_bytes(entry[..8].try_into().expect("8 bytes"));
            let item = Id::from_slice(&entry[NUMBER..]).expect("32 bytes");
            let there = parts.push_if_wanted(start, size, || self.item_bytes(item))?;
            if !there {
                return Ok(None);
            }
            start += size;
            if start >= range.end {
                break;
            }
        }
        Ok(Some(parts.finish()))
    }

    /// All the bytes of a data item.
    pub(crate) fn item_bytes(&self, id: Id) -> Result<Option<Bytes>, Error> {
        let Some(head) = self.head(id)? else { return Ok(None) };
        let What::Item(prefix) = &head.what else { return Ok(None) };
        let Some(data) = self.data(id, &head, 0..head.data_size)? else { return Ok(None) };
        let mut bytes = BytesMut::with_capacity(prefix.len() + data.len());
        bytes.extend_from_slice(prefix);
        bytes.extend_from_slice(&data);
        Ok(Some(bytes.freeze()))
    }

    /// Where the bytes of a data item lie; `None` for a transaction.
    pub(crate) fn item_offsets(&self, id: Id) -> Result<Option<ItemOffsets>, Error> {
        let Some(head) = self.head(id)? else { return Ok(None) };
        let (What::Item(prefix), Some(size)) = (&head.what, head.item_size()) else { return Ok(None) };
        let data_start = prefix.len() as u64;
        let root = match head.source {
            Source::Within { outer, offset } => {
                let start = offset.checked_sub(data_start).ok_or(Error::Damaged("an item"))?;
                match self.item_offsets(outer)? {
                    // What came in from outside was an item itself.
                    Some(outer) => outer.root.map(|(root, at)| (root, at + outer.data_start + start)),
                    None => Some((outer, start)),
                }
            }
            _ => match self.bundle_of(&head)? {
                Some(bundle) => self.start_within(bundle, id)?.map(|start| (bundle, start)),
                None => None,
            },
        };
        Ok(Some(ItemOffsets { size, data_start, root }))
    }

    /// Where in one of our own bundles an item begins.
    fn start_within(&self, bundle: Id, id: Id) -> Result<Option<u64>, Error> {
        let Some(index) = self.store.get(BUNDLE_INDEX, bundle.as_bytes())? else { return Ok(None) };
        let mut start = index.len() as u64;
        for entry in index[NUMBER..].chunks_exact(ENTRY) {
            if entry[NUMBER..] == id.0 {
                return Ok(Some(start));
            }
            start += u64::from_le_bytes(entry[..8].try_into().expect("8 bytes"));
        }
        Ok(None)
    }

    /// The proof of the chunk with that byte of some data, and where the chunk ends.
    pub(crate) fn proof(&self, data: RootKey, offset: u64) -> Result<Option<(u64, Bytes)>, Error> {
        let (first, last) = (data.chunk(offset + 1), data.chunk(u64::MAX));
        let found = self.store.scan(PROOF, keys_between(&first, &last), Order::Ascending, 1)?;
        let Some((key, proof)) = found.into_iter().next() else { return Ok(None) };
        let end = keys::chunk_end(&key).ok_or(Error::Damaged("a proof"))?;
        Ok(Some((end, proof)))
    }
}

/// Collects a range from pieces that come in order. A single piece is not copied.
struct Parts {
    range: Range<u64>,
    at: u64,
    pieces: Vec<Bytes>,
}

impl Parts {
    fn new(range: Range<u64>) -> Parts {
        Parts { at: range.start, range, pieces: Vec::new() }
    }

    /// The first byte that is still missing.
    fn missing(&self) -> Option<u64> {
        (self.at < self.range.end).then_some(self.at)
    }

    /// Takes what is wanted of a piece that begins at `start`, at or before the first missing byte.
    fn push(&mut self, start: u64, piece: Bytes) {
        let from = (self.at - start) as usize;
        let to = ((self.range.end - start) as usize).min(piece.len());
        if from < to {
            self.at = start + to as u64;
            self.pieces.push(piece.slice(from..to));
        }
    }

    /// The same, but gets the piece only if some of it is wanted. False if it is and there is none.
    fn push_if_wanted(
        &mut self,
        start: u64,
        size: u64,
        piece: impl FnOnce() -> Result<Option<Bytes>, Error>,
    ) -> Result<bool, Error> {
        let wanted = self.missing().is_some_and(|at| start <= at && at < start + size);
        if wanted {
            match piece()? {
                Some(piece) if piece.len() as u64 == size => self.push(start, piece),
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    fn finish(mut self) -> Bytes {
        if self.pieces.len() == 1 {
            return self.pieces.remove(0);
        }
        let mut bytes = BytesMut::with_capacity((self.range.end - self.range.start) as usize);
        self.pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
        bytes.freeze()
    }
}

/// Reads data piece by piece, many bytes at a time, for whoever goes through all of it.
pub(crate) struct Window<'a> {
    core: &'a Core,
    id: Id,
    head: &'a Head,
    start: u64,
    bytes: Bytes,
}

/// How many bytes a window reads ahead.
const WINDOW: u64 = 1 << 20;

impl<'a> Window<'a> {
    pub(crate) fn over(core: &'a Core, id: Id, head: &'a Head) -> Window<'a> {
        Window { core, id, head, start: 0, bytes: Bytes::new() }
    }

    /// A part of the data, or `None` if it is not (all) there.
    pub(crate) fn read(&mut self, range: Range<u64>) -> Result<Option<Bytes>, Error> {
        let end = self.start + self.bytes.len() as u64;
        if range.start < self.start || range.end > end {
            let ahead =
                (range.start.saturating_add(WINDOW)).clamp(range.end, self.head.data_size.max(range.end));
            let Some(bytes) = self.core.data(self.id, self.head, range.start..ahead)? else {
                return Ok(None);
            };
            (self.start, self.bytes) = (range.start, bytes);
        }
        let range = (range.start - self.start) as usize..(range.end - self.start) as usize;
        Ok((range.end <= self.bytes.len()).then(|| self.bytes.slice(range)))
    }
}
