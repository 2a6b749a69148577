//! An append-only history of leaves as RFC 9162 section 2.1 has it: a Merkle tree over SHA-256, proofs that a leaf is
//! in it, and proofs that a longer history continues a shorter one.
//!
//! Whoever keeps a history keeps its complete subtrees; all here is computed from those, a few for each proof.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::id::{Id, NotAnId};

/// 32 bytes of a hash, written as ids are. What it is the hash of is said where it stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(from = "Id", into = "Id")]
pub struct Digest(pub [u8; 32]);

/// A complete subtree: `2^level` leaves, the first of which is leaf `index * 2^level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// 0 is a leaf.
    pub level: u32,
    /// Which of that level.
    pub index: u64,
}

/// The end of a history: what is needed to append to it. As many hashes as its size has one bits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, the largest first.
    roots: Vec<Digest>,
}

/// The hash of a leaf.
pub fn leaf(bytes: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update([0]).chain_update(bytes).finalize().into())
}

/// The hash of two subtrees.
fn node(left: Digest, right: Digest) -> Digest {
    Digest(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// The root of a history without leaves.
fn empty() -> Digest {
    Digest(Sha256::digest([]).into())
}

impl Frontier {
    /// The end of a history of that many leaves. `subtree` answers with the roots of complete subtrees.
    pub fn of<E>(size: u64, subtree: impl Fn(Subtree) -> Result<Digest, E>) -> Result<Frontier, E> {
        let levels = (0..u64::BITS).rev().filter(|level| size >> level & 1 == 1);
        let root = |level| subtree(Subtree { level, index: (size >> level) - 1 });
        Ok(Frontier { size, roots: levels.map(root).collect::<Result<_, E>>()? })
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds the hash of a leaf. Answers with the subtrees of more than one leaf that are complete now.
    pub fn append(&mut self, leaf: Digest) -> Vec<(Subtree, Digest)> {
        let mut complete = Vec::new();
        let mut root = leaf;
        for level in 0..self.size.trailing_ones() {
            let left = self.roots.pop().expect("there is a root for every one bit");
            root = node(left, root);
            complete.push((Subtree { level: level + 1, index: self.size >> (level + 1) }, root));
        }
        self.roots.push(root);
        self.size += 1;
        complete
    }

    /// The root of the history.
    pub fn root(&self) -> Digest {
        let smallest_first = self.roots.iter().rev().copied();
        smallest_first.reduce(|right, left| node(left, right)).unwrap_or_else(empty)
    }
}

/// The root of the first `size` leaves.
pub fn root<E>(size: u64, subtree: impl Fn(Subtree) -> Result<Digest, E>) -> Result<Digest, E> {
    Ok(Frontier::of(size, subtree)?.root())
}

/// What proves that the leaf at `index` is among the first `size`; `index` is less than `size`.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    subtree: impl Fn(Subtree) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range(middle, end, &subtree)?);
            end = middle;
        } else {
            path.push(range(start, middle, &subtree)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// What proves that the first `to` leaves begin with the first `from`; 0 < `from` <= `to`.
pub fn consistency<E>(
    from: u64,
    to: u64,
    subtree: impl Fn(Subtree) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let (mut start, mut end) = (0, to);
    let mut path = Vec::new();
    // `from` is above `start` and not above `end`.
    while from != end {
        let middle = start + split(end - start);
        if from <= middle {
            path.push(range(middle, end, &subtree)?);
            end = middle;
        } else {
            path.push(range(start, middle, &subtree)?);
            start = middle;
        }
    }
    if start > 0 {
        path.push(range(start, end, &subtree)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that the leaf with that hash is at `index` of a history with `size` leaves and that root.
pub fn is_included(leaf: Digest, index: u64, size: u64, path: &[Digest], root: Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = leaf;
    for &other in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(other, hash);
            if at & 1 == 0 {
                let up = at.trailing_zeros();
                (at, last) = (at >> up, last >> up);
            }
        } else {
            hash = node(hash, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == root
}

/// Whether `path` proves that a history of `to` leaves and one root continues one of `from` leaves and another.
pub fn is_consistent(from: (u64, Digest), to: (u64, Digest), path: &[Digest]) -> bool {
    let ((from, from_root), (to, to_root)) = (from, to);
    if from == 0 {
        return path.is_empty() && from_root == empty();
    }
    if from >= to {
        return from == to && path.is_empty() && from_root == to_root;
    }
    let (first, rest) = match path {
        rest if from.is_power_of_two() => (from_root, rest),
        [first, rest @ ..] => (*first, rest),
        [] => return false,
    };
    let up = (from - 1).trailing_ones();
    let (mut at, mut last) = ((from - 1) >> up, (to - 1) >> up);
    let (mut old, mut new) = (first, first);
    for &other in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (old, new) = (node(other, old), node(other, new));
            if at & 1 == 0 {
                let up = at.trailing_zeros();
                (at, last) = (at >> up, last >> up);
            }
        } else {
            new = node(new, other);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old == from_root && new == to_root
}

/// The root of the leaves from `start` to before `end`, which is a subtree of the whole.
fn range<E>(start: u64, end: u64, subtree: &impl Fn(Subtree) -> Result<Digest, E>) -> Result<Digest, E> {
    let size = end - start;
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return subtree(Subtree { level, index: start >> level });
    }
    let middle = start + split(size);
    Ok(node(range(start, middle, subtree)?, range(middle, end, subtree)?))
}

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

impl From<Id> for Digest {
    fn from(id: Id) -> Digest {
        Digest(id.0)
    }
}

impl From<Digest> for Id {
    fn from(digest: Digest) -> Id {
        Id(digest.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Id(self.0).fmt(f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Digest, NotAnId> {
        text.parse::<Id>().map(Digest::from)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use super::*;

    /// The definition of RFC 9162 section 2.1.1, word by word.
    fn plain(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => empty(),
            [one] => *one,
            more => {
                let (left, right) = more.split_at(split(more.len() as u64) as usize);
                node(plain(left), plain(right))
            }
        }
    }

    /// A history of numbered leaves, and its complete subtrees.
    fn history(size: u64) -> (Vec<Digest>, BTreeMap<Subtree, Digest>) {
        let leaves: Vec<Digest> = (0..size).map(|n| leaf(&n.to_be_bytes())).collect();
        let mut subtrees = BTreeMap::new();
        let mut frontier = Frontier::default();
        for (index, hash) in leaves.iter().enumerate() {
            subtrees.insert(Subtree { level: 0, index: index as u64 }, *hash);
            subtrees.extend(frontier.append(*hash));
        }
        (leaves, subtrees)
    }

    #[test]
    fn roots_are_those_of_the_rfc() {
        // The test vectors of Certificate Transparency: eight leaves of these bytes.
        let inputs: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root(), empty());
        for (input, expected) in inputs.iter().zip(roots) {
            frontier.append(leaf(input));
            assert_eq!(crate::hex::to_hex(&frontier.root().0), expected);
        }
    }

    #[test]
    fn every_leaf_is_proved_and_no_other() {
        for size in 1..40 {
            let (leaves, subtrees) = history(size);
            let subtree = |at| Ok::<_, Infallible>(subtrees[&at]);
            let Ok(root) = root(size, subtree);
            assert_eq!(root, plain(&leaves));
            for index in 0..size {
                let Ok(path) = inclusion(index, size, subtree);
                for (other, hash) in leaves.iter().enumerate() {
                    let is_it = other as u64 == index;
                    assert_eq!(is_included(*hash, index, size, &path, root), is_it);
                    assert_eq!(is_included(leaves[index as usize], other as u64, size, &path, root), is_it);
                }
                for at in 0..path.len() {
                    let mut wrong = path.clone();
                    wrong[at].0[7] ^= 1;
                    assert!(!is_included(leaves[index as usize], index, size, &wrong, root));
                }
                let longer = [&path[..], &[root]].concat();
                assert!(!is_included(leaves[index as usize], index, size, &longer, root));
                assert!(!is_included(leaves[index as usize], size, size, &path, root));
            }
        }
    }

    #[test]
    fn a_history_continues_only_its_own_beginnings() {
        let (leaves, subtrees) = history(40);
        let subtree = |at| Ok::<_, Infallible>(subtrees[&at]);
        for to in 1..40 {
            for from in 1..=to {
                let Ok(path) = consistency(from, to, subtree);
                let (before, after) = (plain(&leaves[..from as usize]), plain(&leaves[..to as usize]));
                assert!(is_consistent((from, before), (to, after), &path), "{from} {to}");
                let other = plain(&leaves[1..=from as usize]);
                assert!(!is_consistent((from, other), (to, after), &path));
                assert!(!is_consistent((from, before), (to, other), &path));
                if from < to {
                    assert!(!is_consistent((from + 1, before), (to, after), &path));
                    let longer = [&path[..], &[after]].concat();
                    assert!(!is_consistent((from, before), (to, after), &longer));
                    assert!(!is_consistent((from, before), (to, after), &path[1..]));
                }
            }
        }
        assert!(is_consistent((0, empty()), (5, plain(&leaves[..5])), &[]));
    }

    #[test]
    fn a_history_is_continued_from_its_subtrees() {
        let (leaves, subtrees) = history(40);
        for size in 0..39 {
            let Ok(mut frontier) = Frontier::of(size, |at| Ok::<_, Infallible>(subtrees[&at]));
            frontier.append(leaves[size as usize]);
            let Ok(expected) = Frontier::of(size + 1, |at| Ok::<_, Infallible>(subtrees[&at]));
            assert_eq!(frontier, expected);
        }
    }
}
