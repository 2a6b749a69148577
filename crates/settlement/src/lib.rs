//! Settlement on a network elsewhere: a [`Weave`] that keeps what is uploaded in the node's store and answers, and a
//! task that sees it onto the real one.
//!
//! [`queue`] keeps what is on its way. [`post`] bundles it, signs the transaction with a wallet of its own, writes that
//! down and sends it; or, without a wallet, hands each item to a bundler. [`confirm`] looks after what was posted until
//! it lies deep enough, reads it back, and has lost things posted again.
//!
//! What it promises: what `upload` acknowledged survives a crash and is posted until the network has it. The same item
//! is posted as the same bytes. A transaction is written down before it is sent and sent again as it is; its items go
//! into another one only when it was refused for good and no gateway knows it.
//!
//! Reads ask the network; what has not got there yet is answered from here, so that nobody waits for a block.

mod confirm;
mod error;
mod options;
mod post;
mod queue;
mod record;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Address, DataItem, Height, Id, Wallet};
use serde::Serialize;
use store::Store;
use tokio::task::JoinSet;
use unit::{BlockRef, Clock, Found, GatewayHealth, Kind, Network, Page, Piece, Query, Result, Tip, Weave};

use crate::confirm::{Confirmer, is_taken};
use crate::post::Poster;
use crate::queue::{Queue, lock};

pub use error::Error;
pub use options::Options;
pub use queue::Count;
pub use record::{Standing, Totals};

/// What settlement needs from outside.
pub struct Ports {
    /// Keeps what is on its way.
    pub store: Arc<dyn Store>,
    /// Where it goes.
    pub network: Arc<dyn Network>,
    /// A weave beside, which takes everything as well and is read first: the embedded one of the same node.
    pub beside: Option<Arc<dyn Weave>>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Signs transactions and pays for them. Without, items go to the network's bundler one by one.
    pub wallet: Option<Wallet>,
}

/// A weave whose items settle on another, in their own time.
pub struct Settlement {
    pub(crate) queue: Queue,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) wallet: Option<Wallet>,
    /// What went wrong last; none once something was posted.
    pub(crate) problem: Mutex<Option<String>>,
    beside: Option<Arc<dyn Weave>>,
    dry: Mutex<(u64, u128)>,
    tasks: Mutex<JoinSet<()>>,
}

/// How settlement stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether nothing is posted: `settlement.dry`.
    pub dry: bool,
    /// Items that wait to be posted.
    pub waiting: Count,
    /// Items in transactions that are signed and not taken yet.
    pub signed: Count,
    /// Items that the network took, and that are in no block.
    pub posted: Count,
    /// Items in blocks, not deep enough yet.
    pub seen: Count,
    /// Milliseconds for which the oldest item that the network has not taken has waited.
    pub age_ms: Option<u64>,
    /// What was done so far.
    pub totals: Totals,
    /// What would have been posted, in a dry mode since the start: items.
    pub dry_items: u64,
    /// And what that would have cost, in winston as text.
    pub dry_winston: String,
    /// What went wrong last.
    pub problem: Option<String>,
    /// The wallet that pays.
    pub wallet: Option<Address>,
    /// How the gateways are.
    pub gateways: Vec<GatewayStatus>,
}

/// How a gateway is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GatewayStatus {
    /// Its base URL.
    pub url: String,
    /// Failures in a row.
    pub failures: u32,
    /// The last of them.
    pub error: Option<String>,
}

impl Settlement {
    /// Goes on with what the store has.
    pub async fn open(ports: Ports, options: Options) -> Result<Arc<Settlement>, Error> {
        let settlement = Settlement::still(ports, options)?;
        let poster =
            Poster { settlement: settlement.clone(), failing: BTreeMap::new(), said: Bound::Unbounded };
        let mut tasks = lock(&settlement.tasks);
        tasks.spawn(poster.run());
        tasks.spawn(Confirmer(settlement.clone()).run());
        drop(tasks);
        Ok(settlement)
    }

    /// The same, without anything that goes on by itself.
    fn still(ports: Ports, options: Options) -> Result<Arc<Settlement>, Error> {
        let Ports { store, network, beside, clock, wallet } = ports;
        if wallet.as_ref().is_some_and(|wallet| !can_pay(wallet)) {
            return Err(Error::Wallet);
        }
        let queue = Queue::open(store, clock, options)?;
        Ok(Arc::new(Settlement {
            queue,
            network,
            wallet,
            problem: Mutex::default(),
            beside,
            dry: Mutex::default(),
            tasks: Mutex::default(),
        }))
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let counts = self.queue.counts();
        let of = |standing| counts.of(standing);
        let age = counts.oldest().map(|oldest| self.queue.clock.now().0.saturating_sub(oldest.0));
        let (dry_items, dry_winston) = *lock(&self.dry);
        let gateway = |GatewayHealth { url, failures, error }| GatewayStatus { url, failures, error };
        Status {
            dry: self.queue.options.dry,
            waiting: of(Standing::Waiting),
            signed: of(Standing::Signed),
            posted: of(Standing::Posted),
            seen: of(Standing::Seen),
            age_ms: age,
            totals: self.queue.totals(),
            dry_items,
            dry_winston: dry_winston.to_string(),
            problem: lock(&self.problem).clone(),
            wallet: self.wallet.as_ref().map(Wallet::address),
            gateways: self.network.gateways().into_iter().map(gateway).collect(),
        }
    }

    /// How an item stands that was taken in here.
    pub fn standing(&self, id: Id) -> Result<Option<Standing>, Error> {
        self.queue.standing(id)
    }

    /// Stops posting. What was acknowledged is durable already, and goes out after the next start.
    pub async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.shutdown().await;
    }

    fn dry_runs(&self, items: u64, winston: u128) {
        let mut dry = lock(&self.dry);
        *dry = (dry.0 + items, dry.1.saturating_add(winston));
    }

    /// What is kept here of an item that is not settled.
    fn kept(&self, id: Id) -> Result<Option<Found>> {
        let item = self.queue.item(id)?;
        Ok(item.map(|item| Found {
            item: item.shared(),
            base_layer: false,
            block: None,
            cursor: String::new(),
        }))
    }
}

fn can_pay(wallet: &Wallet) -> bool {
    use protocol::SignatureType::{Arweave, Ethereum};
    matches!(wallet.signature_type(), Arweave | Ethereum)
}

#[async_trait]
impl Weave for Settlement {
    async fn upload(&self, item: DataItem) -> Result<()> {
        let checked = item.clone();
        unit::blocking(move || checked.verify())
            .await?
            .map_err(|error| unit::Error::invalid(error.to_string()).with_code(unit::Code::SIGNATURE))?;
        if let Some(beside) = &self.beside {
            beside.upload(item.clone()).await?;
        }
        Ok(self.queue.take(&item).await?)
    }

    async fn taken(&self, id: Id) -> Result<()> {
        let mut changed = self.queue.changed.subscribe();
        while !is_taken(self.queue.standing(id)?) {
            // It ends with what has the sender: with us.
            if changed.changed().await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn get(&self, id: Id) -> Result<Found> {
        if let Some(found) = self.kept(id)? {
            return Ok(found);
        }
        if let Some(beside) = &self.beside {
            match beside.get(id).await {
                Err(error) if error.kind == Kind::NotFound => {}
                answer => return answer,
            }
        }
        self.network.get(id).await
    }

    async fn confirmations(&self, id: Id) -> Result<Option<u64>> {
        match self.network.confirmations(id).await {
            Err(error) if error.kind == Kind::NotFound && self.queue.standing(id)?.is_some() => Ok(None),
            answer => answer,
        }
    }

    async fn query(&self, query: Query) -> Result<Page<Found>> {
        let is_first = query.after.is_none();
        let found = self.network.query(query.clone()).await;
        // What nobody there knows may be here still.
        match (&self.beside, &found) {
            (Some(beside), Ok(page)) if page.items.is_empty() && is_first => beside.query(query).await,
            _ => found,
        }
    }

    async fn tip(&self) -> Result<Tip> {
        self.network.tip().await
    }

    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>> {
        self.network.blocks(from, limit).await
    }

    async fn knows_wallet(&self, address: Address) -> Result<bool> {
        if let Some(beside) = &self.beside
            && beside.knows_wallet(address).await?
        {
            return Ok(true);
        }
        self.network.knows_wallet(address).await
    }

    async fn piece(&self, id: Id, at: u64) -> Result<Piece> {
        if let Some(found) = self.kept(id)? {
            let bytes = found.item.data.clone();
            return Ok(Piece { total: bytes.len() as u64, start: 0, bytes });
        }
        if let Some(beside) = &self.beside {
            match beside.piece(id, at).await {
                Err(error) if error.kind == Kind::NotFound => {}
                answer => return answer,
            }
        }
        self.network.piece(id, at).await
    }

    async fn transaction_json(&self, id: Id) -> Result<Bytes> {
        self.network.transaction_json(id).await
    }

    async fn block_json(&self, height: Height) -> Result<Bytes> {
        self.network.block_json(height).await
    }
}

#[cfg(test)]
mod tests;
