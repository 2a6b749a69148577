//! The whole of an Arweave node, gateway and bundler, as `http` serves it. Only the embedded weave implements it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, Height, Id, Timestamp, Transaction, deep_hash};

use crate::{BlockRef, Found, Page, Query, Result, Sort, Uploads, Weave};

/// A weave that is a node of its own: it takes in transactions and chunks, mines, and has wallets.
#[async_trait]
pub trait Arweave: Weave + Uploads {
    /// Takes in a transaction, after all checks that a node makes. The error's `what` begins with the node's words.
    async fn post_transaction(&self, transaction: Transaction) -> Result<Posted>;

    /// Takes in a chunk of a transaction's data. The error's `what` is one of the node's words, `invalid_proof`.
    async fn post_chunk(&self, chunk: NewChunk) -> Result<()>;

    /// A transaction of the base layer, without its data, and its block. A data item is not found here.
    async fn transaction(&self, id: Id) -> Result<(Arc<Transaction>, Option<BlockHead>)>;

    /// The transactions that wait for a block, oldest first.
    async fn pending(&self) -> Result<Vec<Id>>;

    /// Where the data of a transaction that is in a block ends in the weave (its last byte), and how long it is.
    async fn offset(&self, id: Id) -> Result<(u64, u64)>;

    /// The chunk with that byte of the weave.
    async fn chunk(&self, offset: u64) -> Result<Chunk>;

    /// An item or a transaction and its place, without its data.
    async fn entry(&self, id: Id) -> Result<Entry>;

    /// What [`Weave::query`] finds, with everything that is known about it.
    async fn entries(&self, query: Query) -> Result<Page<Entry>>;

    /// A part of the data of an item or a transaction. Not found as long as some of it is missing.
    async fn data(&self, id: Id, range: Range<u64>) -> Result<Bytes>;

    /// A block.
    async fn block(&self, at: BlockAt) -> Result<Arc<Block>>;

    /// Blocks by height, within bounds that include their ends, at most `limit`.
    async fn block_heads(&self, heights: Range<u64>, sort: Sort, limit: usize) -> Result<Vec<BlockHead>>;

    /// A block that new transactions may name in `last_tx`.
    async fn anchor(&self) -> Result<BlockHash>;

    /// What a transaction of that size must offer, in winston; more if its target is not known yet.
    async fn price(&self, bytes: u64, target: Option<Address>) -> Result<u128>;

    /// Winston of a wallet, as of the newest block.
    async fn balance(&self, wallet: Address) -> Result<u128>;

    /// The last transaction of a wallet, as of the newest block.
    async fn last_tx(&self, wallet: Address) -> Result<Option<Id>>;

    /// Gives a wallet winston out of nothing; what it has then.
    async fn mint(&self, wallet: Address, winston: u128) -> Result<u128>;

    /// Makes so many blocks; the newest.
    async fn mine(&self, blocks: u64) -> Result<BlockHead>;

    /// Puts others, in which nothing is, in the place of the last so many blocks, and one more on top of them, as if
    /// the rest of the network had found a longer chain. What was in the old ones waits for a block again.
    async fn reorganise(&self, blocks: u64) -> Result<Reorganised>;

    /// Forgets everything and starts again with a first block.
    async fn reset(&self) -> Result<()>;

    /// What a node says about itself.
    async fn info(&self) -> Result<NodeInfo>;

    /// Where the bytes of a data item lie.
    async fn item_offsets(&self, id: Id) -> Result<ItemOffsets>;

    /// A signed promise that an uploaded item is kept.
    async fn upload_receipt(&self, id: Id) -> Result<UploadReceipt>;
}

/// How a transaction was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It is new.
    Accepted,
    /// It is here already.
    Known,
}

/// A chunk on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChunk {
    /// Of the data that it belongs to.
    pub data_root: [u8; 32],
    /// Of all the data.
    pub data_size: u64,
    /// Proof that the chunk belongs to the root.
    pub data_path: Bytes,
    /// Of one of its bytes, within the data.
    pub offset: u64,
    /// The chunk.
    pub data: Bytes,
}

/// A chunk with its proofs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The chunk.
    pub data: Bytes,
    /// Leads from the transaction's data root to the chunk.
    pub data_path: Bytes,
    /// Leads from the block's root to the transaction.
    pub tx_path: Bytes,
}

/// An item or a transaction, with everything that is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it says, without its data.
    pub found: Found,
    /// Bytes of its data.
    pub data_size: u64,
    /// Winston to be transferred; 0 for items.
    pub quantity: u128,
    /// Winston for the network; 0 for items.
    pub reward: u128,
    /// The bundle that has it, if it is an item in one.
    pub bundle: Option<Id>,
    /// The block that has it.
    pub block: Option<BlockHead>,
}

/// Names a block: SHA-384 over its header.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash(pub [u8; 48]);

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&protocol::id::base64url(self.0))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl BlockHash {
    /// A hash from exactly 48 bytes, or `None`.
    pub fn of(bytes: &[u8]) -> Option<BlockHash> {
        bytes.try_into().ok().map(BlockHash)
    }

    /// Reads 64 base64url characters, or `None`.
    pub fn parse(text: &str) -> Option<BlockHash> {
        protocol::id::from_base64url(text)?.try_into().ok().map(BlockHash)
    }
}

/// What a block is, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHead {
    /// Its hash.
    pub hash: BlockHash,
    /// The block before it; none before the first.
    pub previous: Option<BlockHash>,
    /// Its height.
    pub height: Height,
    /// Its time, in whole seconds, as ms.
    pub timestamp: Timestamp,
}

impl BlockHead {
    /// Shorter still.
    pub fn to_ref(self) -> BlockRef {
        BlockRef { height: self.height, timestamp: self.timestamp }
    }
}

/// A block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// In short.
    pub head: BlockHead,
    /// The transactions in it.
    pub transactions: Vec<Id>,
    /// Root over the data roots of its transactions; none without data.
    pub tx_root: Option<[u8; 32]>,
    /// Bytes of data in the weave up to and including this block.
    pub weave_size: u64,
    /// Bytes of data in this block.
    pub block_size: u64,
    /// Winston that all transactions so far have paid to the network.
    pub reward_pool: u128,
    /// How often the chain below it was reorganised: what makes a block another one that has the same in it.
    pub nonce: u64,
}

/// What a reorganisation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reorganised {
    /// The newest block now, one higher than the newest before.
    pub tip: BlockHead,
    /// The blocks that are no part of the chain any more, newest first.
    pub orphaned: Vec<BlockHash>,
    /// Transactions that were forgotten: their anchor is no block any more, or their wallet cannot pay any more.
    pub dropped: Vec<Id>,
}

/// Which block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockAt {
    /// The newest.
    Current,
    /// By height.
    Height(Height),
    /// By hash.
    Hash(BlockHash),
}

/// What a node says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// The network's name.
    pub network: String,
    /// The newest block.
    pub tip: BlockHead,
    /// How many transactions wait for a block.
    pub queue_length: u64,
    /// The wallet that signs bundles and receipts.
    pub address: Address,
    /// The most bytes that an uploaded item may have.
    pub item_bytes_max: u64,
}

/// Where the bytes of a data item lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemOffsets {
    /// Bytes of the whole item.
    pub size: u64,
    /// Where in the item its data begins.
    pub data_start: u64,
    /// The transaction that has it, nested or not, and where in that one's data the item begins; none while it waits
    /// to be bundled.
    pub root: Option<(Id, u64)>,
}

/// A signed promise that an uploaded item is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadReceipt {
    /// The item.
    pub id: Id,
    /// When it was received.
    pub timestamp: Timestamp,
    /// The height by which it is in a block.
    pub deadline_height: Height,
    /// The key that signed the receipt: an RSA modulus.
    pub public: Bytes,
    /// RSA-PSS without salt over the deep hash of `Bundlr`, the version, the id, the deadline and the time.
    pub signature: Bytes,
}

impl UploadReceipt {
    /// What is signed of a receipt of that version: 48 bytes. Bundlers elsewhere sign the same.
    pub fn message(version: &str, id: Id, deadline_height: Height, timestamp: Timestamp) -> [u8; 48] {
        let signed = deep_hash::List::of(5)
            .blob("Bundlr")
            .blob(version)
            .blob(id.to_string())
            .blob(deadline_height.to_string())
            .blob(timestamp.to_string());
        signed.finish()
    }
}
