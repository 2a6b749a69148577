//! The state root: one hash for a whole memory, which costs as much as what changed.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Digest;

use crate::PAGE_BYTES;

/// Children of a node.
const WIDTH: u64 = 16;
/// Levels above the pages: 16^6 pages of 4 KiB are 64 GiB.
const LEVELS: u8 = 6;

// Whoever hashes something else cannot come upon these hashes.
const PAGE: &str = "ao state root 1: page";
const NODE: &str = "ao state root 1: node";
const STATE: &str = "ao state root 1: state";

/// The pages of a memory, as hashes: a tree with 16 children to a node over the pages of 4 KiB, BLAKE3 in key
/// derivation mode with a context of its own for pages, nodes and the state.
///
/// A page of nothing but zeros has no hash, nor has a node without any below it; among the children of a node these are
/// 32 zero bytes. The root is the hash of the size of the memory in bytes (8 bytes, the lowest first) and of the
/// topmost node.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    hashes: BTreeMap<(u8, u64), [u8; 32]>,
    /// Nodes of the first level whose pages changed.
    stale: BTreeSet<u64>,
}

impl Pages {
    /// Says what a page holds now: exactly [`PAGE_BYTES`] bytes.
    pub fn set(&mut self, index: u64, page: &[u8]) {
        debug_assert_eq!(page.len(), PAGE_BYTES);
        let is_zero = page.iter().all(|&byte| byte == 0);
        let hash = (!is_zero).then(|| blake3::derive_key(PAGE, page));
        if self.put((0, index), hash) {
            self.stale.insert(index / WIDTH);
        }
    }

    /// The root of a memory of that many bytes. No page beyond may hold anything.
    pub fn root(&mut self, size_bytes: u64) -> Digest {
        let mut stale = std::mem::take(&mut self.stale);
        for level in 1..=LEVELS {
            let mut above = BTreeSet::new();
            for index in stale {
                let hash = self.node(level, index);
                if self.put((level, index), hash) {
                    above.insert(index / WIDTH);
                }
            }
            stale = above;
        }
        let top = self.hashes.get(&(LEVELS, 0)).copied().unwrap_or_default();
        Digest(blake3::derive_key(STATE, &[&size_bytes.to_le_bytes(), &top[..]].concat()))
    }

    /// The hash of a node from those below it.
    fn node(&self, level: u8, index: u64) -> Option<[u8; 32]> {
        let first = (level - 1, index * WIDTH);
        let mut children = [0; 32 * WIDTH as usize];
        let mut is_empty = true;
        for ((_, child), hash) in self.hashes.range(first..(first.0, first.1 + WIDTH)) {
            let at = (child - first.1) as usize * 32;
            children[at..at + 32].copy_from_slice(hash);
            is_empty = false;
        }
        (!is_empty).then(|| blake3::derive_key(NODE, &children))
    }

    /// Sets a hash. Whether it is another than before.
    fn put(&mut self, at: (u8, u64), hash: Option<[u8; 32]>) -> bool {
        let before = match hash {
            Some(hash) => self.hashes.insert(at, hash),
            None => self.hashes.remove(&at),
        };
        before != hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Memory;

    fn page(byte: u8) -> Vec<u8> {
        vec![byte; PAGE_BYTES]
    }

    #[test]
    fn a_root_depends_on_what_the_memory_holds_and_on_nothing_else() {
        let mut pages = Pages::default();
        let size = 40 * PAGE_BYTES as u64;
        let empty = pages.root(size);
        let mut dense = vec![0; size as usize];
        // Written, written again, written back, roots asked for in between.
        for (step, (index, byte)) in
            [(3, 1), (3, 2), (17, 9), (39, 4), (3, 1), (39, 0), (0, 7)].iter().enumerate()
        {
            pages.set(*index, &page(*byte));
            dense[*index as usize * PAGE_BYTES..][..PAGE_BYTES].fill(*byte);
            if step % 2 == 0 {
                assert_eq!(pages.root(size), Memory::from_dense(&dense).root());
            }
        }
        assert_eq!(pages.root(size), Memory::from_dense(&dense).root());
        assert_ne!(pages.root(size), pages.root(size + PAGE_BYTES as u64), "the size is part of it");
        for index in [0, 3, 17] {
            pages.set(index, &page(0));
        }
        assert_eq!(pages.root(size), empty);
    }

    #[test]
    fn a_page_elsewhere_is_another_state() {
        let of = |index| {
            let mut pages = Pages::default();
            pages.set(index, &page(1));
            pages.root(1 << 36)
        };
        let places = [0, 1, 15, 16, 255, 256, 4096, 65536, 1 << 20, (1 << 24) - 1];
        let roots: BTreeSet<Digest> = places.into_iter().map(of).collect();
        assert_eq!(roots.len(), places.len());
    }

    /// Computed by hand from the description, so that it cannot change by accident.
    #[test]
    fn a_root_is_what_the_description_says() {
        let mut hash = blake3::derive_key("ao state root 1: page", &page(5));
        // Page 18: child 2 of node 1, which is child 1 of node 0, and so on.
        for child in [2, 1, 0, 0, 0, 0] {
            let mut children = [0; 512];
            children[child * 32..][..32].copy_from_slice(&hash);
            hash = blake3::derive_key("ao state root 1: node", &children);
        }
        let mut state = 131_072_u64.to_le_bytes().to_vec();
        state.extend(hash);
        let expected = Digest(blake3::derive_key("ao state root 1: state", &state));
        let mut pages = Pages::default();
        pages.set(18, &page(5));
        assert_eq!(pages.root(131_072), expected);
    }
}
