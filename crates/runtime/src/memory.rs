//! The state of a machine, outside of it.

use bytes::Bytes;
use protocol::Digest;

use crate::Pages;

/// Bytes of one page of a [`Memory`].
pub const PAGE_BYTES: usize = 4096;

/// A machine's whole state: linear memory with its zero pages left out. A machine without linear memory keeps
/// its own encoding in the pages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// Size of the linear memory, bytes.
    pub size_bytes: u64,
    /// Pages that are not all zero: index (in pages) and exactly [`PAGE_BYTES`] bytes, ascending.
    pub pages: Vec<(u64, Bytes)>,
}

/// What a machine's state has become since a moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Size of the linear memory, bytes.
    pub size_bytes: u64,
    /// Pages that were written, whether or not they are different now: index and exactly [`PAGE_BYTES`] bytes, `None`
    /// for nothing but zeros; ascending.
    pub pages: Vec<(u64, Option<Bytes>)>,
}

impl Changes {
    /// What `memory` has become with them. The pages of both are taken to be ascending.
    pub fn apply(self, memory: &Memory) -> Memory {
        let mut before = memory.pages.iter().peekable();
        let mut pages = Vec::with_capacity(memory.pages.len() + self.pages.len());
        for (index, page) in self.pages {
            while let Some(other) = before.next_if(|(at, _)| *at < index) {
                pages.push(other.clone());
            }
            let _replaced = before.next_if(|(at, _)| *at == index);
            pages.extend(page.map(|page| (index, page)));
        }
        pages.extend(before.cloned());
        Memory { size_bytes: self.size_bytes, pages }
    }
}

impl Memory {
    /// The whole linear memory, zero pages included: what `/state` answers.
    pub fn to_dense(&self) -> Vec<u8> {
        let mut dense = vec![0; self.size_bytes as usize];
        for (index, page) in &self.pages {
            let at = *index as usize * PAGE_BYTES;
            let end = (at + PAGE_BYTES).min(dense.len());
            dense[at..end].copy_from_slice(&page[..end - at]);
        }
        dense
    }

    /// The root of this state.
    pub fn root(&self) -> Digest {
        let mut pages = Pages::default();
        for (index, page) in &self.pages {
            pages.set(*index, page);
        }
        pages.root(self.size_bytes)
    }

    /// A linear memory with its zero pages left out.
    pub fn from_dense(dense: &[u8]) -> Memory {
        let mut pages = Vec::new();
        for (index, page) in dense.chunks(PAGE_BYTES).enumerate() {
            if page.iter().any(|&byte| byte != 0) {
                let mut whole = vec![0; PAGE_BYTES];
                whole[..page.len()].copy_from_slice(page);
                pages.push((index as u64, Bytes::from(whole)));
            }
        }
        Memory { size_bytes: dense.len() as u64, pages }
    }
}
