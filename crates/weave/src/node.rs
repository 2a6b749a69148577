//! The weave as units and `http` see it.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, DataItem, Height, Id, Item, Transaction};
use store::Order;
use unit::{
    Arweave, Block, BlockAt, BlockHash, BlockHead, BlockRef, Chunk, Entry, Found, ItemOffsets, NewChunk,
    NodeInfo, Page, Piece, Posted, Query, Reorganised, Result, Sort, Tip, UploadReceipt, Weave,
};

use crate::codec::Reader;
use crate::core::{Core, aside, clear, keys_between, keys_from};
use crate::keys::{BLOCK_HASH, END, FIND, OFFSET, Place, Term};
use crate::record::{Account, Head, What};
use crate::{EmbeddedWeave, Error, chain, mine, post, query, reorganise, upload};

/// Bytes of data that are read at once for who reads it piece by piece.
const PIECE_BYTES: u64 = 256 << 10;
/// How many blocks a bundler has for an uploaded item, as its receipt says.
const DEADLINE_BLOCKS: u64 = 200;

#[async_trait]
impl Weave for EmbeddedWeave {
    async fn upload(&self, item: DataItem) -> Result<()> {
        upload::upload(&self.core, item).await
    }

    async fn get(&self, id: Id) -> Result<Found> {
        let found = aside(&self.core, move |core| {
            let Some((real, head)) = core.asked_for(id)? else { return Ok(None) };
            let Some(data) = core.data(real, &head, 0..head.data_size)? else { return Ok(None) };
            let item = Item { id, ..head.item(data).ok_or(Error::Damaged("an item"))? };
            Ok(Some(query::entry(core, id, head, item)?.found))
        });
        found.await?.ok_or_else(|| missing(id))
    }

    async fn confirmations(&self, id: Id) -> Result<Option<u64>> {
        let (_, head) = self.known(id)?;
        let block = self.core.block_of(head.place.number)?;
        let tip = self.core.state().tip.height.0;
        Ok(block.map(|block| tip.saturating_sub(block.height.0)))
    }

    async fn query(&self, query: Query) -> Result<Page<Found>> {
        Ok(self.entries(query).await?.map(|entry| entry.found))
    }

    async fn tip(&self) -> Result<Tip> {
        let tip = self.core.state().tip;
        Ok(Tip { timestamp: tip.timestamp, height: tip.height })
    }

    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>> {
        let heads = self.block_heads(from.0..u64::MAX, Sort::Ascending, limit).await?;
        Ok(heads.into_iter().map(BlockHead::to_ref).collect())
    }

    async fn knows_wallet(&self, address: Address) -> Result<bool> {
        let term = Term::owner(address);
        let (first, last) = (term.key(Place::FIRST), term.key(Place::LAST));
        let signed = self.core.store.scan(FIND, keys_between(&first, &last), Order::Ascending, 1);
        Ok(!signed.map_err(Error::from)?.is_empty() || self.core.account(address)? != Account::default())
    }

    async fn piece(&self, id: Id, at: u64) -> Result<Piece> {
        let total = self.known(id)?.1.data_size;
        let start = at / PIECE_BYTES * PIECE_BYTES;
        if start >= total {
            return Ok(Piece { total, start: total, bytes: Bytes::new() });
        }
        let bytes = self.data(id, start..(start + PIECE_BYTES).min(total)).await?;
        Ok(Piece { total, start, bytes })
    }
}

#[async_trait]
impl Arweave for EmbeddedWeave {
    async fn post_transaction(&self, transaction: Transaction) -> Result<Posted> {
        post::transaction(&self.core, transaction).await
    }

    async fn post_chunk(&self, chunk: NewChunk) -> Result<()> {
        post::chunk(&self.core, chunk).await
    }

    async fn transaction(&self, id: Id) -> Result<(Arc<Transaction>, Option<BlockHead>)> {
        let (_, head) = self.known(id)?;
        let block = self.core.block_of(head.place.number)?;
        match head.what {
            What::Transaction(transaction) => Ok((Arc::from(transaction), block)),
            What::Item(_) => {
                Err(missing(id).with_hint("it is a data item: ask for its data or with GraphQL"))
            }
        }
    }

    async fn pending(&self) -> Result<Vec<Id>> {
        let (after, to) = {
            let state = self.core.state();
            (state.mined, state.next)
        };
        let pending = aside(&self.core, move |core| {
            let mut ids = Vec::new();
            core.each_pending(after, to, |_, line| {
                if line.item_size.is_none() {
                    ids.push(line.id);
                }
                Ok(ids.len() < core.options.pending_transactions_max)
            })?;
            Ok(ids)
        });
        Ok(pending.await?)
    }

    async fn offset(&self, id: Id) -> Result<(u64, u64)> {
        let (_, head) = self.known(id)?;
        let (end, _) = self.core.end(id)?.ok_or_else(|| missing(id).with_hint("it is in no block yet"))?;
        Ok((end, head.data_size))
    }

    async fn chunk(&self, offset: u64) -> Result<Chunk> {
        let chunk = aside(&self.core, move |core| core.chunk_at(offset));
        let none = || unit::Error::not_found(format!("no chunk has the byte {offset} of the weave"));
        chunk.await?.ok_or_else(none)
    }

    async fn entry(&self, id: Id) -> Result<Entry> {
        let (_, head) = self.known(id)?;
        let item = Item { id, ..head.item(Bytes::new()).ok_or(Error::Damaged("an item"))? };
        Ok(query::entry(&self.core, id, head, item)?)
    }

    async fn entries(&self, query: Query) -> Result<Page<Entry>> {
        aside(&self.core, move |core| Ok(query::run(core, &core.with_stand_ins(&query)?))).await?
    }

    async fn data(&self, id: Id, range: Range<u64>) -> Result<Bytes> {
        let (real, head) = self.known(id)?;
        let data = aside(&self.core, move |core| core.data(real, &head, range)).await?;
        data.ok_or_else(|| unit::Error::not_found(format!("some of the data of {id} is not here")))
    }

    async fn block(&self, at: BlockAt) -> Result<Arc<Block>> {
        let none = || unit::Error::not_found(format!("there is no block {at:?}"));
        let height = match at {
            BlockAt::Current => self.core.state().tip.height,
            BlockAt::Height(height) => height,
            BlockAt::Hash(hash) => {
                let height = self.core.store.get(BLOCK_HASH, &hash.0).map_err(Error::from)?;
                let height = height.and_then(|bytes| bytes[..].try_into().ok().map(u64::from_be_bytes));
                Height(height.ok_or_else(none)?)
            }
        };
        Ok(Arc::new(self.core.block(height)?.ok_or_else(none)?.block))
    }

    async fn block_heads(&self, heights: Range<u64>, sort: Sort, limit: usize) -> Result<Vec<BlockHead>> {
        let tip = self.core.state().tip.height.0;
        let heights = heights.start..heights.end.min(tip + 1);
        aside(&self.core, move |core| {
            let head = |height| Ok(core.block(Height(height))?.ok_or(Error::Damaged("a block"))?.block.head);
            match sort {
                Sort::Ascending => heights.take(limit).map(head).collect(),
                Sort::Descending => heights.rev().take(limit).map(head).collect(),
            }
        })
        .await
        .map_err(unit::Error::from)
    }

    async fn anchor(&self) -> Result<BlockHash> {
        Ok(self.core.anchor())
    }

    async fn price(&self, bytes: u64, target: Option<Address>) -> Result<u128> {
        Ok(self.core.price(bytes, target)?)
    }

    async fn balance(&self, wallet: Address) -> Result<u128> {
        Ok(self.core.account(wallet)?.balance)
    }

    async fn last_tx(&self, wallet: Address) -> Result<Option<Id>> {
        Ok(self.core.account(wallet)?.last_tx)
    }

    async fn mint(&self, wallet: Address, winston: u128) -> Result<u128> {
        Ok(mine::mint(&self.core, wallet, winston).await?)
    }

    async fn mine(&self, blocks: u64) -> Result<BlockHead> {
        let max = self.core.options.mine_max;
        if blocks > max {
            return Err(unit::Error::invalid(format!(
                "{blocks} blocks are more than the {max} that one call makes"
            )));
        }
        Ok(mine::mine(&self.core, blocks).await?)
    }

    async fn reorganise(&self, blocks: u64) -> Result<Reorganised> {
        reorganise::reorganise(&self.core, blocks).await
    }

    async fn reset(&self) -> Result<()> {
        let _mining = self.core.mining.lock().await;
        let _chunks = self.core.chunks.lock().await;
        aside(&self.core, |core| {
            clear(core)?;
            core.reload(&chain::genesis(core.clock.now()))
        })
        .await
        .map_err(unit::Error::from)
    }

    async fn info(&self) -> Result<NodeInfo> {
        let state = self.core.state();
        Ok(NodeInfo {
            network: self.core.options.network.clone(),
            tip: state.tip,
            queue_length: state.next - 1 - state.mined,
            address: self.core.wallet.address(),
            item_bytes_max: self.core.options.item_bytes_max,
        })
    }

    async fn item_offsets(&self, id: Id) -> Result<ItemOffsets> {
        let (real, _) = self.known(id)?;
        let none = || missing(id).with_hint("it is a transaction, not a data item");
        aside(&self.core, move |core| core.item_offsets(real)).await?.ok_or_else(none)
    }

    async fn upload_receipt(&self, id: Id) -> Result<UploadReceipt> {
        let (_, head) = self.known(id)?;
        let timestamp = head.received;
        let deadline_height = Height(head.received_at.0 + DEADLINE_BLOCKS);
        let signature = aside(&self.core, move |core| {
            let message = UploadReceipt::message(RECEIPT_VERSION, id, deadline_height, timestamp);
            Ok(core.wallet.sign_unsalted(&message))
        });
        let public = Bytes::copy_from_slice(self.core.wallet.owner());
        Ok(UploadReceipt { id, timestamp, deadline_height, public, signature: signature.await?.into() })
    }
}

/// The version of receipts that is signed.
const RECEIPT_VERSION: &str = "1.0.0";

impl EmbeddedWeave {
    fn known(&self, id: Id) -> Result<(Id, Head)> {
        self.core.asked_for(id)?.ok_or_else(|| missing(id))
    }
}

fn missing(id: Id) -> unit::Error {
    unit::Error::not_found(format!("{id} is not on the weave"))
}

impl Core {
    /// A block that is deep enough to stay.
    pub(crate) fn anchor(&self) -> BlockHash {
        const DEPTH: usize = 5;
        let state = self.state();
        let index = state.recent.len().saturating_sub(1 + DEPTH);
        state.recent.get(index).copied().unwrap_or(state.tip.hash)
    }

    /// Where the data of a transaction in a block ends, and the proof that it is in the block.
    pub(crate) fn end(&self, id: Id) -> Result<Option<(u64, Bytes)>, Error> {
        let Some(bytes) = self.store.get(END, id.as_bytes())? else { return Ok(None) };
        let mut reader = Reader::new(bytes);
        let end = reader.u64().ok_or(Error::Damaged("an offset"))?;
        Ok(Some((end, reader.rest())))
    }

    /// The chunk with that byte of the weave; the first byte is 1.
    fn chunk_at(&self, offset: u64) -> Result<Option<Chunk>, Error> {
        let found = self.store.scan(OFFSET, keys_from(&offset.to_be_bytes()), Order::Ascending, 1)?;
        let Some(id) = found.first().and_then(|(_, id)| Id::from_slice(id)).filter(|_| offset > 0) else {
            return Ok(None);
        };
        let (Some(head), Some((end, tx_path))) = (self.head(id)?, self.end(id)?) else { return Ok(None) };
        let start = end.checked_sub(head.data_size).ok_or(Error::Damaged("an offset"))?;
        let Some(root) = head.root() else { return Ok(None) };
        let Some(at) = (offset - 1).checked_sub(start) else { return Ok(None) };
        let Some((_, data_path)) = self.proof(root, at)? else { return Ok(None) };
        let Some(proven) = protocol::merkle::prove(&root.root, root.size, at, &data_path) else {
            return Ok(None);
        };
        let Some(data) = self.data(id, &head, proven.range)? else { return Ok(None) };
        Ok(Some(Chunk { data, data_path, tx_path }))
    }
}
