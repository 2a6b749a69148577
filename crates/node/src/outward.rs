//! The weave of a node: the embedded one, and the network that it settles on, if there is one.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use pirn_http::client::{Gateway, GatewayOptions, Gateways, Transport};
use protocol::{Address, DataItem, Height, Id, Transaction, Wallet};
use serde::{Deserialize, Deserializer, Serialize};
use settlement::Settlement;
use unit::{
    Arweave, Block, BlockAt, BlockHash, BlockHead, BlockRef, Chunk, Entry, Found, ItemOffsets, NewChunk,
    NodeInfo, Page, Posted, Query, Reorganised, Result, Sort, Tip, UploadReceipt, UploadStage, UploadState,
    Uploads, Weave,
};
use weave::EmbeddedWeave;

use crate::roles::Common;
use crate::{Config, Error, Role, keys};

/// The weave of a node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Base URLs of gateways of the network on which this node settles, the preferred one first; one may be written
    /// without brackets. Empty: nothing leaves this node, or goes to `remote.gateway` at once.
    #[serde(deserialize_with = "one_or_many")]
    pub gateway: Vec<String>,
    /// URL of the GraphQL of the first of them, where that is another.
    pub graphql: Option<String>,
    /// Base URL of a bundler of that network, which takes items of any kind of key. Used where there is no
    /// `settlement_wallet`.
    pub uploader: Option<String>,
    /// A file with the JWK of a wallet of that network, RSA or secp256k1. It signs and pays for bundles.
    pub settlement_wallet: Option<PathBuf>,
    /// The embedded weave.
    #[serde(flatten)]
    pub embedded: weave::Options,
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::One(url) => vec![url],
        Either::Many(urls) => urls,
    })
}

impl Options {
    /// What single values cannot say: what is wrong, and what to do.
    pub(crate) fn check(&self) -> std::result::Result<(), (&'static str, &'static str)> {
        let pays = self.uploader.is_some() || self.settlement_wallet.is_some();
        match (self.gateway.is_empty(), pays) {
            (true, true) => Err((
                "there is a bundler or a wallet to settle with, and no network",
                "name its gateways: weave.gateway",
            )),
            (false, false) => Err((
                "there is a network to settle on, and nobody who pays",
                "name a wallet that can pay (weave.settlement_wallet), or a bundler (weave.uploader)",
            )),
            _ => Ok(()),
        }
    }
}

/// Settlement on the network that the configuration names; none if it names none.
pub(crate) async fn open(
    config: &Config,
    common: &Common,
    beside: Option<Arc<EmbeddedWeave>>,
) -> std::result::Result<Option<Arc<Settlement>>, Error> {
    let options = &config.weave;
    if options.gateway.is_empty() {
        return Ok(None);
    }
    let gateways = gateways(options, &common.transport);
    let wallet: Option<Wallet> = options.settlement_wallet.as_deref().map(keys::read).transpose()?;
    let ports = settlement::Ports {
        store: common.store.clone(),
        network: Arc::new(Gateways::new(gateways, config.gateways.clone())),
        beside: beside.map(|weave| weave as Arc<dyn Weave>),
        clock: common.clock.clone(),
        wallet,
    };
    let opened = Settlement::open(ports, config.settlement.clone()).await;
    opened.map(Some).map_err(|error| Error::part("settlement")(error.into()))
}

fn gateways(options: &Options, transport: &Transport) -> Vec<Gateway> {
    let gateway = |(i, url): (usize, &String)| {
        let of = GatewayOptions {
            gateway: url.clone(),
            graphql: options.graphql.clone().filter(|_| i == 0),
            uploader: options.uploader.clone().unwrap_or_else(|| url.clone()),
            ..GatewayOptions::default()
        };
        Gateway::new(of, transport.clone())
    };
    options.gateway.iter().enumerate().map(gateway).collect()
}

/// The embedded weave as it is served, where what it takes in settles elsewhere as well.
///
/// Transactions do not: they are paid for with the money of the embedded weave.
pub(crate) struct Outward {
    pub(crate) weave: Arc<EmbeddedWeave>,
    pub(crate) settlement: Arc<Settlement>,
}

/// What is served of the weave.
pub(crate) fn served(
    weave: &Option<Arc<EmbeddedWeave>>,
    settlement: &Option<Arc<Settlement>>,
) -> Option<Arc<dyn Arweave>> {
    let weave = weave.clone()?;
    Some(match settlement.clone() {
        Some(settlement) => Arc::new(Outward { weave, settlement }),
        None => weave,
    })
}

#[async_trait]
impl Weave for Outward {
    async fn upload(&self, item: DataItem) -> Result<()> {
        self.settlement.upload(item).await
    }
    async fn taken(&self, id: Id) -> Result<()> {
        self.settlement.taken(id).await
    }
    async fn get(&self, id: Id) -> Result<Found> {
        self.weave.get(id).await
    }
    async fn confirmations(&self, id: Id) -> Result<Option<u64>> {
        self.weave.confirmations(id).await
    }
    async fn query(&self, query: Query) -> Result<Page<Found>> {
        self.weave.query(query).await
    }
    async fn tip(&self) -> Result<Tip> {
        self.weave.tip().await
    }
    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>> {
        self.weave.blocks(from, limit).await
    }
    async fn knows_wallet(&self, address: Address) -> Result<bool> {
        self.weave.knows_wallet(address).await
    }
}

#[async_trait]
impl Uploads for Outward {
    async fn open_upload(&self, part_bytes: u64) -> Result<UploadState> {
        self.weave.open_upload(part_bytes).await
    }
    async fn upload_state(&self, upload: Id) -> Result<UploadState> {
        self.weave.upload_state(upload).await
    }
    async fn put_part(&self, upload: Id, offset: u64, part: Bytes) -> Result<()> {
        self.weave.put_part(upload, offset, part).await
    }
    async fn assemble_upload(&self, upload: Id) -> Result<Bytes> {
        self.weave.assemble_upload(upload).await
    }
    async fn end_upload(&self, upload: Id, stage: UploadStage) -> Result<()> {
        self.weave.end_upload(upload, stage).await
    }
}

#[async_trait]
impl Arweave for Outward {
    async fn post_transaction(&self, transaction: Transaction) -> Result<Posted> {
        self.weave.post_transaction(transaction).await
    }
    async fn post_chunk(&self, chunk: NewChunk) -> Result<()> {
        self.weave.post_chunk(chunk).await
    }
    async fn transaction(&self, id: Id) -> Result<(Arc<Transaction>, Option<BlockHead>)> {
        self.weave.transaction(id).await
    }
    async fn pending(&self) -> Result<Vec<Id>> {
        self.weave.pending().await
    }
    async fn offset(&self, id: Id) -> Result<(u64, u64)> {
        self.weave.offset(id).await
    }
    async fn chunk(&self, offset: u64) -> Result<Chunk> {
        self.weave.chunk(offset).await
    }
    async fn entry(&self, id: Id) -> Result<Entry> {
        self.weave.entry(id).await
    }
    async fn entries(&self, query: Query) -> Result<Page<Entry>> {
        self.weave.entries(query).await
    }
    async fn data(&self, id: Id, range: Range<u64>) -> Result<Bytes> {
        self.weave.data(id, range).await
    }
    async fn block(&self, at: BlockAt) -> Result<Arc<Block>> {
        self.weave.block(at).await
    }
    async fn block_heads(&self, heights: Range<u64>, sort: Sort, limit: usize) -> Result<Vec<BlockHead>> {
        self.weave.block_heads(heights, sort, limit).await
    }
    async fn anchor(&self) -> Result<BlockHash> {
        self.weave.anchor().await
    }
    async fn price(&self, bytes: u64, target: Option<Address>) -> Result<u128> {
        self.weave.price(bytes, target).await
    }
    async fn balance(&self, wallet: Address) -> Result<u128> {
        self.weave.balance(wallet).await
    }
    async fn last_tx(&self, wallet: Address) -> Result<Option<Id>> {
        self.weave.last_tx(wallet).await
    }
    async fn mint(&self, wallet: Address, winston: u128) -> Result<u128> {
        self.weave.mint(wallet, winston).await
    }
    async fn mine(&self, blocks: u64) -> Result<BlockHead> {
        self.weave.mine(blocks).await
    }
    async fn reset(&self) -> Result<()> {
        self.weave.reset().await
    }
    async fn info(&self) -> Result<NodeInfo> {
        self.weave.info().await
    }
    async fn reorganise(&self, blocks: u64) -> Result<Reorganised> {
        self.weave.reorganise(blocks).await
    }
    async fn item_offsets(&self, id: Id) -> Result<ItemOffsets> {
        self.weave.item_offsets(id).await
    }
    async fn upload_receipt(&self, id: Id) -> Result<UploadReceipt> {
        self.weave.upload_receipt(id).await
    }
}

/// Whether this node has a weave to speak of.
pub(crate) fn has_weave(config: &Config) -> bool {
    config.has(Role::Gateway) || config.remote.gateway.is_some() || !config.weave.gateway.is_empty()
}
