//! Several gateways of one network, of which one will do: who fails rests, and what was read and checked is kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use protocol::{Address, DataItem, Height, Id, Transaction};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use unit::{
    BlockRef, Error, Found, GatewayHealth, Kind, Network, NewChunk, Page, Piece, Posted, Query, Result, Tip,
    Weave, Whereabouts,
};

use super::Gateway;

/// How gateways are taken turns at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaysOptions {
    /// Milliseconds that a gateway may take for one answer, before another is asked.
    pub timeout_ms: u64,
    /// Milliseconds that a gateway is asked last, after a failure; doubled with each.
    pub rest_ms: u64,
    /// Milliseconds of such a rest at most, also where a gateway asks for a longer one (`Retry-After`).
    pub rest_ms_max: u64,
    /// Bytes of items and transactions that were read, checked, and are kept in memory.
    pub cache_bytes_max: usize,
}

impl Default for GatewaysOptions {
    fn default() -> GatewaysOptions {
        GatewaysOptions { timeout_ms: 60_000, rest_ms: 1_000, rest_ms_max: 60_000, cache_bytes_max: 64 << 20 }
    }
}

/// The gateways of one network, in the order in which they are preferred.
pub struct Gateways {
    gateways: Vec<(Gateway, Mutex<Health>)>,
    options: GatewaysOptions,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    error: Option<String>,
    rests_until: Option<Instant>,
    /// It asked to be left alone.
    is_asked: bool,
}

impl Gateways {
    /// These gateways; at least one.
    pub fn new(gateways: Vec<Gateway>, options: GatewaysOptions) -> Gateways {
        let cache = Mutex::new(Cache { bytes_max: options.cache_bytes_max, ..Cache::default() });
        let gateways = gateways.into_iter().map(|gateway| (gateway, Mutex::default())).collect();
        Gateways { gateways, options, cache }
    }

    /// Those that are well, in order of preference; then those that rest, the shortest first.
    fn order(&self) -> Vec<usize> {
        let rest = |i: &usize| lock(&self.gateways[*i].1).rests_until.filter(|until| *until > Instant::now());
        let mut order: Vec<usize> = (0..self.gateways.len()).collect();
        order.sort_by_key(rest);
        order
    }

    /// Asks one gateway.
    async fn ask<'a, T>(
        &'a self,
        at: usize,
        ask: &(dyn Fn(&'a Gateway) -> BoxFuture<'a, Result<T>> + Sync),
    ) -> Result<T> {
        let (gateway, health) = &self.gateways[at];
        if let Some(left) = asked_to_rest(&lock(health)) {
            let what = format!("{} asked to be left alone", gateway.url());
            return Err(Error::new(Kind::Busy { retry_after: left }, what));
        }
        let within = Duration::from_millis(self.options.timeout_ms);
        let answer = tokio::time::timeout(within, ask(gateway)).await.unwrap_or_else(|_| {
            Err(Error::unavailable(format!("{} did not answer within {within:?}", gateway.url())))
        });
        let mut health = lock(health);
        match &answer {
            Err(error) if error.kind.is_transient() => {
                health.failures = health.failures.saturating_add(1);
                health.error = Some(error.what.clone());
                let doubled = self.options.rest_ms.saturating_mul(1 << (health.failures - 1).min(16));
                let (asked, is_asked) = match error.kind {
                    Kind::Busy { retry_after } => (retry_after.as_millis() as u64, true),
                    _ => (0, false),
                };
                let rest = doubled.max(asked).min(self.options.rest_ms_max);
                health.rests_until = Some(Instant::now() + Duration::from_millis(rest));
                health.is_asked = is_asked;
            }
            _ => *health = Health::default(),
        }
        answer
    }

    /// Asks one after the other until one answers. What one does not have, another may.
    async fn any<'a, T>(&'a self, ask: impl Fn(&'a Gateway) -> BoxFuture<'a, Result<T>> + Sync) -> Result<T> {
        let mut worst: Option<Error> = None;
        for at in self.order() {
            let was_well = lock(&self.gateways[at].1).failures < 2;
            match self.ask(at, &ask).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    // One that is away for long does not make everything unknown that it may have; one that
                    // only failed now may have it.
                    let counts = !error.kind.is_transient() || was_well;
                    let transient = worst.as_ref().is_some_and(|worst| worst.kind.is_transient());
                    if worst.is_none() || (counts && !transient) {
                        worst = Some(error);
                    }
                }
            }
        }
        Err(worst.unwrap_or_else(|| Error::unavailable("there is no gateway")))
    }
}

fn asked_to_rest(health: &Health) -> Option<Duration> {
    let until = health.rests_until.filter(|_| health.is_asked)?;
    until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

#[async_trait]
impl Weave for Gateways {
    async fn upload(&self, item: DataItem) -> Result<()> {
        self.any(move |gateway| Box::pin(Weave::upload(gateway, item.clone()))).await
    }

    async fn get(&self, id: Id) -> Result<Found> {
        if let Some(found) = lock(&self.cache).get(id) {
            return Ok(found);
        }
        let found = self.any(|gateway| gateway.get(id)).await?;
        if found.block.is_some() {
            lock(&self.cache).put(id, found.clone());
        }
        Ok(found)
    }

    async fn confirmations(&self, id: Id) -> Result<Option<u64>> {
        self.any(|gateway| gateway.confirmations(id)).await
    }

    async fn query(&self, query: Query) -> Result<Page<Found>> {
        // A cursor means something to the gateway only that gave it.
        let place = query.after.as_deref().and_then(|after| after.split_once('.'));
        if let Some((at, after)) = place
            && let Some(at) = at.parse().ok().filter(|at| *at < self.gateways.len())
        {
            let query = Query { after: Some(after.to_owned()), ..query.clone() };
            let page = self.ask(at, &|gateway: &Gateway| gateway.query(query.clone())).await?;
            return Ok(placed(at, page));
        }
        let query = &query;
        let page = self
            .any(|gateway| {
                let at = self.gateways.iter().position(|(other, _)| std::ptr::eq(other, gateway));
                Box::pin(async move { Ok((at.unwrap_or_default(), gateway.query(query.clone()).await?)) })
            })
            .await?;
        Ok(placed(page.0, page.1))
    }

    async fn tip(&self) -> Result<Tip> {
        self.any(|gateway| gateway.tip()).await
    }

    async fn blocks(&self, from: Height, limit: usize) -> Result<Vec<BlockRef>> {
        self.any(|gateway| gateway.blocks(from, limit)).await
    }

    async fn knows_wallet(&self, address: Address) -> Result<bool> {
        self.any(|gateway| gateway.knows_wallet(address)).await
    }

    async fn piece(&self, id: Id, at: u64) -> Result<Piece> {
        self.any(|gateway| gateway.piece(id, at)).await
    }

    async fn transaction_json(&self, id: Id) -> Result<Bytes> {
        self.any(|gateway| gateway.transaction_json(id)).await
    }

    async fn block_json(&self, height: Height) -> Result<Bytes> {
        self.any(|gateway| gateway.block_json(height)).await
    }
}

fn placed(at: usize, mut page: Page<Found>) -> Page<Found> {
    for found in &mut page.items {
        found.cursor = format!("{at}.{}", found.cursor);
    }
    page
}

#[async_trait]
impl Network for Gateways {
    async fn post_transaction(&self, transaction: &Transaction) -> Result<Posted> {
        self.any(|gateway| gateway.post_transaction(transaction)).await
    }

    async fn post_chunk(&self, chunk: NewChunk) -> Result<()> {
        self.any(move |gateway| gateway.post_chunk(chunk.clone())).await
    }

    async fn whereabouts(&self, transaction: Id) -> Result<Whereabouts> {
        let mut best = None;
        let mut failed = None;
        for at in self.order() {
            let was_well = lock(&self.gateways[at].1).failures < 2;
            match self.ask(at, &|gateway: &Gateway| gateway.whereabouts(transaction)).await {
                Ok(place @ Whereabouts::InBlock { .. }) => return Ok(place),
                Ok(Whereabouts::Pending) => best = Some(Whereabouts::Pending),
                Ok(Whereabouts::Unknown) => {
                    best.get_or_insert(Whereabouts::Unknown);
                }
                Err(error) if was_well => failed = Some(error),
                Err(error) => {
                    failed = if best.is_none() { Some(error) } else { failed };
                }
            }
        }
        match (best, failed) {
            (Some(Whereabouts::Pending), _) => Ok(Whereabouts::Pending),
            (_, Some(error)) => Err(error),
            (best, None) => best.ok_or_else(|| Error::unavailable("there is no gateway")),
        }
    }

    async fn anchor(&self) -> Result<Bytes> {
        self.any(|gateway| gateway.anchor()).await
    }

    async fn price(&self, bytes: u64) -> Result<u128> {
        self.any(|gateway| gateway.price(bytes)).await
    }

    async fn balance(&self, wallet: Address) -> Result<u128> {
        self.any(|gateway| gateway.balance(wallet)).await
    }

    async fn data(&self, transaction: Id) -> Result<Bytes> {
        self.any(|gateway| gateway.data(transaction)).await
    }

    fn gateways(&self) -> Vec<GatewayHealth> {
        let health = |(gateway, health): &(Gateway, Mutex<Health>)| {
            let health = lock(health);
            GatewayHealth {
                url: gateway.url().to_owned(),
                failures: health.failures,
                error: health.error.clone(),
            }
        };
        self.gateways.iter().map(health).collect()
    }
}

/// What was read, up to a number of bytes; the least recently used goes first.
#[derive(Default)]
struct Cache {
    found: BTreeMap<Id, (u64, Found)>,
    used: BTreeMap<u64, Id>,
    clock: u64,
    bytes: usize,
    bytes_max: usize,
}

impl Cache {
    fn get(&mut self, id: Id) -> Option<Found> {
        let (used, found) = self.found.get_mut(&id)?;
        self.clock += 1;
        self.used.remove(used);
        self.used.insert(self.clock, id);
        *used = self.clock;
        Some(found.clone())
    }

    fn put(&mut self, id: Id, found: Found) {
        let size = size(&found);
        if size > self.bytes_max || self.found.contains_key(&id) {
            return;
        }
        while self.bytes + size > self.bytes_max {
            let Some((_, old)) = self.used.pop_first() else { break };
            self.bytes -= self.found.remove(&old).map_or(0, |(_, found)| self::size(&found));
        }
        self.clock += 1;
        self.bytes += size;
        self.used.insert(self.clock, id);
        self.found.insert(id, (self.clock, found));
    }
}

/// About what it takes in memory.
fn size(found: &Found) -> usize {
    let tags: usize = found.item.tags.iter().map(|tag| tag.name.len() + tag.value.len()).sum();
    1500 + tags + found.item.data.len()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
