//! Blocks: what is in one, and how its hash covers all before it.

use bytes::Bytes;
use protocol::{Address, Height, Id, Timestamp, deep_hash};
use store::Batch;
use unit::{Block, BlockHash, BlockHead};

use crate::codec::{Reader, Writer};
use crate::keys::{BLOCK, BLOCK_HASH, CUT, WALLET};
use crate::record::Account;

/// What the weave's own wallet has at the beginning, in winston: enough for the fees of a million years of bundles.
const ENDOWMENT: u128 = 1_000_000_000_000_000_000_000;

/// A block, and the last number in it.
#[derive(Debug, Clone)]
pub(crate) struct Mined {
    pub(crate) block: Block,
    pub(crate) last_number: u64,
}

/// The block at height 0, in which nothing is.
pub(crate) fn genesis(now: Timestamp) -> Mined {
    seal(None, Height(0), now, Contents::default())
}

/// What goes into a block.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) transactions: Vec<Id>,
    pub(crate) tx_root: Option<[u8; 32]>,
    pub(crate) weave_size: u64,
    pub(crate) block_size: u64,
    pub(crate) reward_pool: u128,
    pub(crate) last_number: u64,
    pub(crate) nonce: u64,
}

/// Makes a block of contents: its hash is SHA-384 (deep hash) over everything in its header. The nonce is part of it
/// once the chain was reorganised.
pub(crate) fn seal(
    previous: Option<&BlockHead>,
    height: Height,
    now: Timestamp,
    contents: Contents,
) -> Mined {
    // Whole seconds, as on Arweave, and never back.
    let timestamp =
        Timestamp(now.0 / 1000 * 1000).max(previous.map_or(Timestamp(0), |block| block.timestamp));
    let previous = previous.map(|block| block.hash);
    let ids = contents.transactions.iter();
    let ids = ids.fold(deep_hash::List::of(contents.transactions.len()), |list, id| list.blob(id.as_bytes()));
    let header = deep_hash::List::of(8 + usize::from(contents.nonce > 0))
        .blob(previous.map_or(Vec::new(), |hash| hash.0.to_vec()))
        .blob(height.to_string())
        .blob((timestamp.0 / 1000).to_string())
        .list(ids)
        .blob(contents.tx_root.map_or(Vec::new(), |root| root.to_vec()))
        .blob(contents.weave_size.to_string())
        .blob(contents.block_size.to_string())
        .blob(contents.reward_pool.to_string());
    let header = if contents.nonce > 0 { header.blob(contents.nonce.to_string()) } else { header };
    let hash = header.finish();
    let head = BlockHead { hash: BlockHash(hash), previous, height, timestamp };
    let Contents { transactions, tx_root, weave_size, block_size, reward_pool, last_number, nonce } =
        contents;
    let block = Block { head, transactions, tx_root, weave_size, block_size, reward_pool, nonce };
    Mined { block, last_number }
}

/// The beginning of a weave: its first block, and an endowment for whoever pays for bundles.
pub(crate) fn first(genesis: &Mined, bundler: Address) -> Batch {
    let mut batch = Batch::new();
    let account = Account { balance: ENDOWMENT, last_tx: None };
    batch.put(WALLET, bundler.0.as_bytes().to_vec(), account.write());
    genesis.put(&mut batch);
    batch
}

impl Mined {
    /// Writes the block down, and where to find it.
    pub(crate) fn put(&self, batch: &mut Batch) {
        let head = &self.block.head;
        let height = head.height.0.to_be_bytes();
        batch.put(BLOCK, height.to_vec(), self.write());
        batch.put(BLOCK_HASH, head.hash.0.to_vec(), height.to_vec());
        batch.put(CUT, [self.last_number.to_be_bytes(), height].concat(), write_head(head).finish());
    }

    /// Forgets the block, and where to find it.
    pub(crate) fn delete(&self, batch: &mut Batch) {
        let head = &self.block.head;
        let height = head.height.0.to_be_bytes();
        batch.delete(BLOCK, height.to_vec());
        batch.delete(BLOCK_HASH, head.hash.0.to_vec());
        batch.delete(CUT, [self.last_number.to_be_bytes(), height].concat());
    }

    fn write(&self) -> Bytes {
        let Block { head, transactions, tx_root, weave_size, block_size, reward_pool, nonce } = &self.block;
        let writer = write_head(head).option(tx_root.as_ref().map(|root| &root[..]));
        let writer = writer.u64(*weave_size).u64(*block_size).u128(*reward_pool).u64(self.last_number);
        let writer = writer.u32(u32::try_from(transactions.len()).expect("a block has a bound"));
        transactions.iter().fold(writer, |writer, id| writer.raw(id.as_bytes())).u64(*nonce).finish()
    }

    pub(crate) fn read(bytes: Bytes) -> Option<Mined> {
        let mut reader = Reader::new(bytes);
        let head = head_of(&mut reader)?;
        let tx_root = reader.option()?;
        let (weave_size, block_size) = (reader.u64()?, reader.u64()?);
        let (reward_pool, last_number) = (reader.u128()?, reader.u64()?);
        let mut transactions = Vec::new();
        for _ in 0..reader.u32()? {
            transactions.push(Id(reader.array()?));
        }
        // Older records have none.
        let nonce = if reader.is_empty() { 0 } else { reader.u64()? };
        let block = Block { head, transactions, tx_root, weave_size, block_size, reward_pool, nonce };
        Some(Mined { block, last_number })
    }
}

fn write_head(head: &BlockHead) -> Writer {
    let writer = Writer::default().raw(&head.hash.0);
    writer.option(head.previous.as_ref().map(|hash| &hash.0[..])).u64(head.height.0).u64(head.timestamp.0)
}

fn head_of(reader: &mut Reader) -> Option<BlockHead> {
    Some(BlockHead {
        hash: BlockHash(reader.array()?),
        previous: reader.option()?.map(BlockHash),
        height: Height(reader.u64()?),
        timestamp: Timestamp(reader.u64()?),
    })
}

/// A block in short, as the table of cuts has it.
pub(crate) fn read_head(bytes: Bytes) -> Option<BlockHead> {
    head_of(&mut Reader::new(bytes))
}
