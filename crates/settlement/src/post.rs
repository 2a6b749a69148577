//! What waits is bundled, signed, written down and posted; or goes to a bundler, item by item.
//!
//! A transaction is signed once. What was written down is sent, and sent again, as it is, until the network has it;
//! only when every gateway refuses it for good and nobody knows it do its items go into another.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use protocol::{Timestamp, Transaction, Wallet, ans104, merkle, tag};
use tracing::{info, warn};
use unit::{Network, NewChunk, Whereabouts};

use crate::queue::{Queue, lock};
use crate::record::{Header, Lot, Parcel, SIGNED, Standing};
use crate::{Error, Options, Settlement};

/// Posts what waits.
pub(crate) struct Poster {
    pub(crate) settlement: Arc<Settlement>,
    /// Lots and parcels that failed: how often, and until when they are left alone.
    pub(crate) failing: BTreeMap<u64, Failing>,
    /// In a dry mode, the number up to which was said what it would cost.
    pub(crate) said: Bound<Vec<u8>>,
}

/// Something that could not be posted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failing {
    times: u32,
    until: Timestamp,
}

/// Whether what waits is worth a bundle now.
pub(crate) fn is_due(items: u64, bytes: u64, age_ms: u64, options: &Options) -> bool {
    items > 0
        && (items >= options.bundle_items_max as u64
            || bytes >= options.bundle_bytes_max
            || age_ms >= options.bundle_age_ms)
}

/// How long to leave alone what failed so often.
pub(crate) fn pause_ms(times: u32, options: &Options) -> u64 {
    let doubled = options.retry_ms.max(1).saturating_mul(1 << times.saturating_sub(1).min(20));
    doubled.min(options.retry_max_ms.max(1))
}

impl Poster {
    /// Posts until the store fails.
    pub(crate) async fn run(mut self) {
        let interval = Duration::from_millis(self.settlement.queue.options.interval_ms.max(1));
        loop {
            if let Err(error) = self.round().await {
                if matches!(error, Error::Store(_)) {
                    tracing::error!(%error, "cannot read or write what waits for the network; it goes on after a restart");
                    return;
                }
                self.settlement.say(&error);
            }
            tokio::time::sleep(interval).await;
        }
    }

    /// Sends everything that is to be sent once.
    pub(crate) async fn round(&mut self) -> Result<(), Error> {
        if self.settlement.queue.options.dry {
            return self.say_what_it_would_cost().await;
        }
        self.send_signed().await?;
        match self.settlement.wallet.clone() {
            Some(wallet) => self.bundle(&wallet).await,
            None => self.upload().await,
        }
    }

    fn queue(&self) -> &Queue {
        &self.settlement.queue
    }

    fn rests(&self, at: u64) -> bool {
        self.failing.get(&at).is_some_and(|failing| self.queue().clock.now() < failing.until)
    }

    fn failed(&mut self, at: u64, retry_after: Duration) {
        let now = self.queue().clock.now().0;
        let times = self.failing.get(&at).map_or(0, |failing| failing.times).saturating_add(1);
        let pause = pause_ms(times, &self.queue().options).max(retry_after.as_millis() as u64);
        self.failing.insert(at, Failing { times, until: Timestamp(now + pause) });
    }

    /// Sends the transactions that are signed and not taken yet.
    async fn send_signed(&mut self) -> Result<(), Error> {
        let mut from = Bound::Unbounded;
        while let Some(page) = self.queue().parcels(SIGNED, &mut from)? {
            for (at, parcel) in page {
                if self.rests(at) {
                    continue;
                }
                self.send(at, parcel).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, at: u64, mut parcel: Parcel) -> Result<(), Error> {
        let Some(header) = &parcel.transaction else { return Ok(()) };
        let (id, network) = (header.id(), self.settlement.network.clone());
        let tx = header.transaction()?;
        let data = ans104::bundle(&self.queue().items(&parcel.lots)?);
        match post(&*network, &tx, &data, &self.queue().options).await {
            Ok(()) => {
                self.failing.remove(&at);
                self.taken(at, &mut parcel).await?;
                info!(transaction = %id, items = parcel.lots.len(), "posted a bundle");
            }
            Err(error) if error.kind.is_transient() => {
                self.settlement.say(&Error::Network(error.clone()));
                self.failed(at, retry_after(&error));
            }
            Err(error) => {
                self.settlement.say(&Error::Network(error.clone()));
                // A refusal may be of the second time, or of one gateway among others.
                match network.whereabouts(id).await {
                    Ok(Whereabouts::Unknown) => {
                        warn!(transaction = %id, %error, "a bundle was refused; its items go into another");
                        self.queue().refused(at, &parcel).await?;
                        self.failing.remove(&at);
                        // The next bundle may be refused for the same reason.
                        self.failed(REFUSED, retry_after(&error));
                    }
                    Ok(_) => self.taken(at, &mut parcel).await?,
                    Err(_) => self.failed(at, retry_after(&error)),
                }
            }
        }
        Ok(())
    }

    /// The network has a parcel, whether it said so or not; for how long and how deep is looked at from now on.
    async fn taken(&self, at: u64, parcel: &mut Parcel) -> Result<(), Error> {
        let is_first = parcel.posted == Timestamp(0);
        (parcel.posted, parcel.seen, parcel.deep) = (self.queue().clock.now(), false, None);
        self.queue().posted(at, parcel, is_first).await
    }

    /// Makes bundles of what waits, as long as they are due.
    async fn bundle(&mut self, wallet: &Wallet) -> Result<(), Error> {
        while !self.rests(REFUSED) && self.is_due() {
            let (numbers, lots) = self.next_bundle(&mut Bound::Unbounded)?;
            if lots.is_empty() {
                return Ok(());
            }
            let data = ans104::bundle(&self.queue().items(&lots)?);
            let (network, percent) =
                (&self.settlement.network, self.queue().options.reward_margin_percent.into());
            let price = network.price(data.len() as u64).await?;
            let draft = Transaction {
                last_tx: network.anchor().await?,
                reward: price.saturating_add(price.saturating_mul(percent) / 100),
                tags: [(tag::BUNDLE_FORMAT, "binary"), (tag::BUNDLE_VERSION, "2.0.0")]
                    .map(|(name, value)| (Bytes::from(name), Bytes::from(value)))
                    .to_vec(),
                data,
                ..Transaction::default()
            };
            let signer = wallet.clone();
            let signed = unit::blocking(move || draft.sign(&signer)).await?;
            let tx = signed.map_err(|_| Error::Wallet)?;
            let parcel = Parcel {
                transaction: Some(Header::of(&tx)),
                lots,
                posted: Timestamp(0),
                seen: false,
                deep: None,
            };
            // Written down before it is sent: nobody signs another one for these items after a crash.
            let at = self.queue().sign(&numbers, &parcel).await?;
            self.send(at, parcel).await?;
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        let counts = self.queue().counts();
        let waiting = counts.of(Standing::Waiting);
        // While a transaction does not get through, only full bundles follow it: many small ones would cost more.
        let oldest = counts.oldest().filter(|_| counts.of(Standing::Signed).items == 0);
        let age_ms = oldest.map_or(0, |oldest| self.queue().clock.now().0.saturating_sub(oldest.0));
        is_due(waiting.items, waiting.bytes, age_ms, &self.queue().options)
    }

    fn next_bundle(&self, from: &mut Bound<Vec<u8>>) -> Result<(Vec<u64>, Vec<Lot>), Error> {
        let options = &self.queue().options;
        let (mut numbers, mut lots, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(page) = self.queue().waiting(from)? {
            for (number, lot) in page {
                let is_full = lots.len() >= options.bundle_items_max.max(1)
                    || (!lots.is_empty() && bytes + lot.size > options.bundle_bytes_max);
                if is_full {
                    return Ok((numbers, lots));
                }
                *from = Bound::Excluded(crate::record::key(number));
                bytes += lot.size;
                numbers.push(number);
                lots.push(lot);
            }
        }
        Ok((numbers, lots))
    }

    /// Hands what waits to the bundler.
    async fn upload(&mut self) -> Result<(), Error> {
        let mut from = Bound::Unbounded;
        while let Some(page) = self.queue().waiting(&mut from)? {
            let due: Vec<(u64, Lot)> = page.into_iter().filter(|(at, _)| !self.rests(*at)).collect();
            let (settlement, n) = (self.settlement.clone(), due.len());
            let attempts = due.into_iter().map(|(at, lot)| {
                let settlement = settlement.clone();
                async move { (at, upload(&settlement, at, lot).await) }
            });
            let attempts = stream::iter(attempts).buffer_unordered(self.queue().options.concurrency.max(1));
            let mut failed = 0;
            for (at, outcome) in attempts.collect::<Vec<_>>().await {
                match outcome {
                    Ok(()) => drop(self.failing.remove(&at)),
                    Err(Error::Network(error)) => {
                        failed += 1;
                        self.failed(at, retry_after(&error));
                        self.settlement.say(&Error::Network(error));
                    }
                    Err(error) => return Err(error),
                }
            }
            // The bundler is away: the rest is left alone.
            if n > 0 && failed == n {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn say_what_it_would_cost(&mut self) -> Result<(), Error> {
        if !self.is_due() {
            return Ok(());
        }
        loop {
            let mut said = self.said.clone();
            let (_, lots) = self.next_bundle(&mut said)?;
            if lots.is_empty() {
                return Ok(());
            }
            let bytes: u64 = lots.iter().map(|lot| lot.size + 64).sum::<u64>() + 32;
            let winston = self.settlement.network.price(bytes).await?;
            info!(items = lots.len(), bytes, %winston, "dry: this bundle would be posted");
            self.settlement.dry_runs(lots.len() as u64, winston);
            self.said = said;
        }
    }
}

/// Where the pause after a refused bundle is kept: no number is as high.
const REFUSED: u64 = u64::MAX;

async fn upload(settlement: &Settlement, at: u64, lot: Lot) -> Result<(), Error> {
    let Some(item) = settlement.queue.item(lot.id)? else {
        return Err(Error::Damaged { what: format!("item {}", lot.id) });
    };
    settlement.network.upload(item).await?;
    let posted = settlement.queue.clock.now();
    let parcel = Parcel { transaction: None, lots: vec![lot], posted, seen: false, deep: None };
    settlement.queue.uploaded(at, &parcel).await
}

/// Posts a transaction, and its data in chunks unless it is small.
async fn post(network: &dyn Network, tx: &Transaction, data: &Bytes, options: &Options) -> unit::Result<()> {
    let inline = data.len() as u64 <= options.inline_bytes_max.min(merkle::CHUNK_MAX);
    if inline {
        let whole = Transaction { data: data.clone(), ..tx.clone() };
        return network.post_transaction(&whole).await.map(drop);
    }
    network.post_transaction(tx).await?;
    post_chunks(network, tx, data, options.concurrency).await
}

/// Posts all chunks of a transaction's data.
pub(crate) async fn post_chunks(
    network: &dyn Network,
    tx: &Transaction,
    data: &Bytes,
    concurrency: usize,
) -> unit::Result<()> {
    let pieces = merkle::cut(data.len() as u64);
    let tree = merkle::tree(&merkle::leaves(data, &pieces));
    let Ok(data_root) = <[u8; 32]>::try_from(&tx.data_root[..]) else {
        return Err(unit::Error::invalid(format!("transaction {} has no data root", tx.id)));
    };
    let chunks = pieces.into_iter().zip(tree.proofs).filter(|(range, _)| !range.is_empty());
    let sent = chunks.map(|(range, proof)| {
        let chunk = NewChunk {
            data_root,
            data_size: tx.data_size,
            data_path: proof.into(),
            offset: range.end - 1,
            data: data.slice(range.start as usize..range.end as usize),
        };
        network.post_chunk(chunk)
    });
    let mut sent = stream::iter(sent).buffer_unordered(concurrency.max(1));
    while let Some(outcome) = sent.next().await {
        outcome?;
    }
    Ok(())
}

fn retry_after(error: &unit::Error) -> Duration {
    match error.kind {
        unit::Kind::Busy { retry_after } => retry_after,
        _ => Duration::ZERO,
    }
}

impl Settlement {
    /// Remembers what went wrong last, and says it in the log, once for the same.
    pub(crate) fn say(&self, error: &Error) {
        let text = error.to_string();
        let mut last = lock(&self.problem);
        if last.as_ref() != Some(&text) {
            warn!(error = %text, "cannot post everything, will try again");
        }
        *last = Some(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_due_when_it_is_full_or_old() {
        let options =
            Options { bundle_items_max: 3, bundle_bytes_max: 100, bundle_age_ms: 10, ..Options::default() };
        for (items, bytes, age_ms, due) in
            [(0, 0, 99, false), (1, 1, 9, false), (3, 1, 0, true), (1, 100, 0, true), (1, 1, 10, true)]
        {
            assert_eq!(is_due(items, bytes, age_ms, &options), due, "{items} {bytes} {age_ms}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let options = Options { retry_ms: 10, retry_max_ms: 35, ..Options::default() };
        assert_eq!([1, 2, 3, 99].map(|times| pause_ms(times, &options)), [10, 20, 35, 35]);
    }
}
