//! The data root: Arweave's Merkle tree over the chunks of some data, and the proofs that a chunk belongs to it.
//!
//! * a leaf: `H(H(hash of the chunk) ‖ H(end))`;
//! * a branch: `H(H(left) ‖ H(right) ‖ H(split))`, where `split` is the end of what is left;
//! * a node without a partner goes up as it is.
//!
//! `H` is SHA-256, and a number is 32 bytes, big-endian. A proof is the way down: `left ‖ right ‖ split` for each
//! branch, then `hash of the chunk ‖ end`.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

/// No chunk has more bytes.
pub const CHUNK_MAX: u64 = 256 * 1024;
/// The last two chunks share what is left, rather than that the last had fewer bytes than this.
pub const CHUNK_MIN: u64 = 32 * 1024;
/// No proof has more bytes: 64 branches are enough for any number of chunks.
pub const PROOF_MAX: usize = 64 * BRANCH + LEAF;

const HASH: usize = 32;
const NOTE: usize = 32;
const BRANCH: usize = 2 * HASH + NOTE;
const LEAF: usize = HASH + NOTE;

/// A root, or the hash of a chunk.
pub type Hash = [u8; 32];

/// What a leaf stands for: something with a hash, up to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// SHA-256 of the chunk; in a block's tree the data root of a transaction.
    pub hash: Hash,
    /// The offset after its last byte.
    pub end: u64,
}

/// A root and the proof of each leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The root.
    pub root: Hash,
    /// In the order of the leaves.
    pub proofs: Vec<Vec<u8>>,
}

/// What a valid proof says: a chunk of that hash lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// SHA-256 of the chunk.
    pub hash: Hash,
    /// Where it lies in the data.
    pub range: Range<u64>,
}

impl Proven {
    /// Whether these are the bytes that lie there.
    pub fn is_of(&self, chunk: &[u8]) -> bool {
        chunk.len() as u64 == self.range.end - self.range.start && self.hash[..] == Sha256::digest(chunk)[..]
    }

    /// Whether it lies where nodes want the chunks of `size` bytes: it is full and begins at a multiple of 256 KiB, or
    /// it is one of the last two, which begin at such a multiple and have less than 512 KiB together.
    pub fn is_strict(&self, size: u64) -> bool {
        let Range { start, end } = self.range;
        let base = start - start % CHUNK_MAX;
        if start == base && end - start == CHUNK_MAX {
            return true;
        }
        let last = end == size;
        let second_last = start == base && size - end <= CHUNK_MAX;
        size - base < 2 * CHUNK_MAX && (last || second_last)
    }
}

/// Why a chunk is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadChunk {
    /// The proof is malformed, or of something else.
    #[error("the proof does not lead from the data root to the chunk at that offset")]
    Proof,
    /// The bytes are not those that the proof is about.
    #[error("the chunk is not the one that the proof is about")]
    Bytes,
    /// Keeping it would cost more than it is worth.
    #[error("the proof is larger than the chunk, which is not the last")]
    Costly,
    /// Nodes would not find it again.
    #[error("the chunk does not lie where nodes want chunks: every 256 KiB, except the last two")]
    Place,
}

/// How clients cut `size` bytes into chunks: all of the largest size, the last two balanced. When nothing is left
/// for the last, it is there all the same, with no bytes: it counts in the root.
pub fn cut(size: u64) -> Vec<Range<u64>> {
    let mut chunks = Vec::new();
    let mut start = 0;
    while size - start >= CHUNK_MAX {
        let after = size - start - CHUNK_MAX;
        let len = if after > 0 && after < CHUNK_MIN { (size - start).div_ceil(2) } else { CHUNK_MAX };
        chunks.push(start..start + len);
        start += len;
    }
    chunks.push(start..size);
    chunks
}

/// How a node cuts data that came within a transaction: all of the largest size, and what is left, be it nothing.
pub fn cut_evenly(size: u64) -> Vec<Range<u64>> {
    (0..=size / CHUNK_MAX).map(|i| i * CHUNK_MAX..((i + 1) * CHUNK_MAX).min(size)).collect()
}

/// The leaves of `data`, cut into `chunks`.
pub fn leaves(data: &[u8], chunks: &[Range<u64>]) -> Vec<Leaf> {
    let leaf = |chunk: &Range<u64>| {
        let bytes = &data[chunk.start as usize..chunk.end as usize];
        Leaf { hash: Sha256::digest(bytes).into(), end: chunk.end }
    };
    chunks.iter().map(leaf).collect()
}

/// The data root of `data`, as clients compute it.
pub fn data_root(data: &[u8]) -> Hash {
    tree(&leaves(data, &cut(data.len() as u64))).root
}

/// The tree over `leaves`; all zero without leaves.
pub fn tree(leaves: &[Leaf]) -> Tree {
    let mut proofs = vec![Vec::new(); leaves.len()];
    let mut level: Vec<Node> = leaves.iter().enumerate().map(|(i, leaf)| Node::leaf(leaf, i)).collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => Node::branch(left, right, &mut proofs),
                one => one[0].clone(),
            })
            .collect();
    }
    // Branches were noted from the bottom up, and a proof is read from the top down.
    for (proof, leaf) in proofs.iter_mut().zip(leaves) {
        let upwards = std::mem::take(proof);
        proof.reserve_exact(upwards.len() + LEAF);
        upwards.rchunks_exact(BRANCH).for_each(|branch| proof.extend_from_slice(branch));
        proof.extend_from_slice(&leaf.hash);
        proof.extend_from_slice(&note(leaf.end));
    }
    Tree { root: level.first().map_or([0; HASH], |top| top.id), proofs }
}

#[derive(Clone)]
struct Node {
    id: Hash,
    end: u64,
    /// Which leaves are below it.
    below: Range<usize>,
}

impl Node {
    fn leaf(leaf: &Leaf, index: usize) -> Node {
        Node { id: leaf_id(&leaf.hash, &note(leaf.end)), end: leaf.end, below: index..index + 1 }
    }

    fn branch(left: &Node, right: &Node, proofs: &mut [Vec<u8>]) -> Node {
        let split = note(left.end);
        let below = left.below.start..right.below.end;
        for proof in &mut proofs[below.clone()] {
            proof.extend_from_slice(&left.id);
            proof.extend_from_slice(&right.id);
            proof.extend_from_slice(&split);
        }
        Node { id: branch_id(&left.id, &right.id, &split), end: right.end, below }
    }
}

/// Checks that `proof` leads from `root` to the chunk with the byte `offset` of data of `size` bytes.
///
/// Understands rebased subtrees (32 zero bytes before a branch), in which offsets start again at the split.
pub fn prove(root: &Hash, size: u64, offset: u64, proof: &[u8]) -> Option<Proven> {
    if proof.len() > PROOF_MAX + 64 * HASH || offset >= size {
        return None;
    }
    let mut walk = Walk { id: *root, left: 0, right: size, base: 0, offset };
    let mut rest = proof;
    while rest.len() > LEAF {
        rest = walk.down(rest)?;
    }
    let (hash, end) = rest.split_at_checked(HASH)?;
    let hash: Hash = hash.try_into().ok()?;
    if leaf_id(&hash, end) != walk.id {
        return None;
    }
    let end = number(end)?.checked_add(walk.base)?.clamp(walk.left, walk.right);
    let range = walk.left..end;
    (range.contains(&offset) && walk.right - walk.left <= CHUNK_MAX).then_some(Proven { hash, range })
}

/// Checks a chunk that somebody uploads: its proof, its bytes, its place, and that keeping the proof is worth it.
pub fn check_chunk(
    root: &Hash,
    size: u64,
    offset: u64,
    proof: &[u8],
    chunk: &[u8],
) -> Result<Proven, BadChunk> {
    let proven = prove(root, size, offset, proof).ok_or(BadChunk::Proof)?;
    if !proven.is_of(chunk) {
        return Err(BadChunk::Bytes);
    }
    if proof.len() > chunk.len() && proven.range.end != size {
        return Err(BadChunk::Costly);
    }
    if !proven.is_strict(size) {
        return Err(BadChunk::Place);
    }
    Ok(proven)
}

/// Where the walk down a proof is.
struct Walk {
    id: Hash,
    left: u64,
    right: u64,
    base: u64,
    offset: u64,
}

impl Walk {
    /// One branch down; what is left of the proof.
    fn down<'a>(&mut self, proof: &'a [u8]) -> Option<&'a [u8]> {
        let rebased = proof.starts_with(&[0; HASH]) && proof.len() >= HASH + BRANCH + LEAF;
        let branch = if rebased { &proof[HASH..] } else { proof };
        let (branch, rest) = branch.split_at_checked(BRANCH)?;
        let (children, split) = branch.split_at(2 * HASH);
        let (left, right) = children.split_at(HASH);
        if branch_id(left, right, split) != self.id {
            return None;
        }
        let split = number(split)?.checked_add(self.base)?;
        let goes_left = self.offset < split;
        self.id = (if goes_left { left } else { right }).try_into().ok()?;
        if goes_left {
            self.right = self.right.min(split);
        } else {
            self.left = self.left.max(split);
        }
        if rebased {
            self.base = self.left;
        }
        Some(rest)
    }
}

fn leaf_id(hash: &[u8], note: &[u8]) -> Hash {
    Sha256::new().chain_update(Sha256::digest(hash)).chain_update(Sha256::digest(note)).finalize().into()
}

fn branch_id(left: &[u8], right: &[u8], note: &[u8]) -> Hash {
    let hash = Sha256::new().chain_update(Sha256::digest(left)).chain_update(Sha256::digest(right));
    hash.chain_update(Sha256::digest(note)).finalize().into()
}

fn note(number: u64) -> [u8; NOTE] {
    let mut bytes = [0; NOTE];
    bytes[NOTE - 8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn number(note: &[u8]) -> Option<u64> {
    let (high, low) = note.split_at_checked(NOTE - 8)?;
    high.iter().all(|byte| *byte == 0).then(|| low.try_into().ok().map(u64::from_be_bytes))?
}
