//! A weave in this program for who reads it as a gateway shows it: with the headers of transactions and blocks as JSON.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, DataItem, Height, Id};
use unit::{Arweave, BlockAt, BlockRef, Error, Found, Kind, Page, Piece, Query, Result, Tip, Weave};

use crate::wire::block::BlockShape;
use crate::wire::transaction::{TransactionShape, header_json};

/// The same weave, with what only HTTP knows how to write.
pub struct Library(pub Arc<dyn Arweave>);

#[async_trait]
impl Weave for Library {
    async fn upload(&self, item: DataItem) -> Result<()> {
        self.0.upload(item).await
    }

    async fn get(&self, id: Id) -> Result<Found> {
        self.0.get(id).await
    }

    async fn confirmations(&self, id: Id) -> Result<Option<u64>> {
        self.0.confirmations(id).await
    }

    async fn query(&self, query: Query) -> Result<Page<Found>> {
        self.0.query(query).await
    }

    async fn tip(&self) -> Result<Tip> {
        self.0.tip().await
    }

    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>> {
        self.0.blocks(from, limit).await
    }

    async fn knows_wallet(&self, address: Address) -> Result<bool> {
        self.0.knows_wallet(address).await
    }

    async fn piece(&self, id: Id, at: u64) -> Result<Piece> {
        self.0.piece(id, at).await
    }

    async fn transaction_json(&self, id: Id) -> Result<Bytes> {
        let (transaction, _) = self.0.transaction(id).await?;
        let mut shape = TransactionShape::from(&*transaction);
        if transaction.format == 1 {
            let size = self.0.entry(id).await?.data_size;
            shape.data.0 = self.0.data(id, 0..size).await?;
        }
        header_json(&shape, transaction.address())
    }

    async fn block_json(&self, height: Height) -> Result<Bytes> {
        let block = self.0.block(BlockAt::Height(height)).await.map_err(|error| match error.kind {
            // It is asked for because a message says that it is there.
            Kind::NotFound => Error { kind: Kind::Unavailable, ..error },
            _ => error,
        })?;
        let text = serde_json::to_vec(&BlockShape::from(&*block)).map_err(|error| Error::internal(&error))?;
        Ok(text.into())
    }
}
