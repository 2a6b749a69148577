//! Mining: what waits goes into a block. Nobody computes for it; the block is merely made, and made once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::merkle::{self, Leaf};
use protocol::{Address, Height, Id, Transaction};
use store::Batch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};
use unit::{BlockHead, Happened};

use crate::bundle::{Cargo, Load, bundle};
use crate::chain::{self, Contents, Mined};
use crate::codec::{Reader, Writer};
use crate::core::{ANCHOR_DEPTH, Core, aside};
use crate::keys::{END, OFFSET, Place, UNDO, WALLET};
use crate::record::{Account, Head, What};
use crate::{Error, Mining};

/// Makes blocks for as long as the node runs, in the way that is set.
pub(crate) async fn run(core: Arc<Core>) {
    let mut mode = core.mode.subscribe();
    loop {
        let now = *mode.borrow_and_update();
        tokio::select! {
            biased;
            changed = mode.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = run_as(&core, now) => {}
        }
    }
}

/// Makes blocks in one way, for ever.
async fn run_as(core: &Arc<Core>, mode: Mining) {
    match mode {
        Mining::Manual => std::future::pending().await,
        Mining::Interval(ms) => {
            let mut ticks = interval(Duration::from_millis(ms.max(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                // Whoever moves a clock that stands makes the blocks that are due himself.
                if !core.clock.is_still() {
                    mine_and_report(core).await;
                }
            }
        }
        Mining::Auto => loop {
            if !core.has_work() {
                core.work.notified().await;
            }
            sleep(Duration::from_millis(core.options.auto_delay_ms)).await;
            if core.has_work() {
                mine_and_report(core).await;
            }
        },
    }
}

async fn mine_and_report(core: &Arc<Core>) {
    if let Err(error) = mine(core, 1).await {
        warn!(%error, "could not make a block, will try again");
        sleep(Duration::from_secs(1)).await;
    }
}

/// Makes so many blocks, one after the other.
pub(crate) async fn mine(core: &Arc<Core>, blocks: u64) -> Result<BlockHead, Error> {
    let _mining = core.mining.lock().await;
    for _ in 0..blocks {
        // What is taken in must be readable.
        let (after, to) = {
            let state = core.state();
            (state.mined, state.next - 1)
        };
        core.barrier().await?;
        let (batch, mined) = aside(core, move |core| build(core, after, to)).await?;
        core.store.append(batch).await?;
        let mut state = core.state();
        let head = mined.block.head;
        state.mined = mined.last_number;
        state.tip = head;
        state.recent.push_back(head.hash);
        if state.recent.len() > ANCHOR_DEPTH {
            state.recent.pop_front();
        }
        mined.block.transactions.iter().for_each(|id| state.pending.remove(*id));
        drop(state);
        let transactions = mined.block.transactions.len();
        core.events.tell(None, || Happened::Mined { height: head.height, hash: head.hash, transactions });
        debug!(height = %head.height, transactions, "made a block");
    }
    Ok(core.state().tip)
}

/// Puts the next block together: what came in after one number, up to another.
fn build(core: &Core, after: u64, to: u64) -> Result<(Batch, Mined), Error> {
    let tip = core.state().tip;
    let previous = core.block(tip.height)?.ok_or(Error::Damaged("the newest block"))?;
    let mut batch = Batch::new();
    let (mut heads, last_number) = gather(core, after, to, &mut batch)?;
    heads.sort_by_key(|head| head.place);
    let mut contents = Contents {
        weave_size: previous.block.weave_size,
        reward_pool: previous.block.reward_pool,
        last_number,
        nonce: previous.block.nonce,
        ..Contents::default()
    };
    let mut accounts = Accounts { core, changed: BTreeMap::new() };
    let mut leaves = Vec::new();
    let mut with_data = Vec::new();
    for head in &heads {
        let What::Transaction(tx) = &head.what else { continue };
        contents.transactions.push(tx.id);
        contents.reward_pool = contents.reward_pool.saturating_add(tx.reward);
        accounts.apply(tx)?;
        if let Some(root) = head.root().filter(|root| root.size > 0) {
            contents.block_size += root.size;
            contents.weave_size += root.size;
            leaves.push(Leaf { hash: root.root, end: contents.block_size });
            with_data.push((tx.id, contents.weave_size));
        }
    }
    let tree = merkle::tree(&leaves);
    contents.tx_root = (!leaves.is_empty()).then_some(tree.root);
    for ((id, end), tx_path) in with_data.into_iter().zip(tree.proofs) {
        batch.put(OFFSET, end.to_be_bytes().to_vec(), id.as_bytes().to_vec());
        batch.put(END, id.as_bytes().to_vec(), Writer::default().u64(end).raw(&tx_path).finish());
    }
    let height = Height(tip.height.0 + 1);
    accounts.put(height, &mut batch);
    let mined = chain::seal(Some(&tip), height, core.clock.now(), contents);
    mined.put(&mut batch);
    Ok((batch, mined))
}

/// The transactions of the next block: those that wait, and bundles of the items that wait.
fn gather(core: &Core, after: u64, to: u64, batch: &mut Batch) -> Result<(Vec<Head>, u64), Error> {
    let options = &core.options;
    let mut heads = Vec::new();
    let mut load = Load::default();
    // A number whose write failed belongs to nothing: without a bound in the way, the block covers all numbers.
    let mut last_number = to;
    let mut count = 0;
    let fits = |count, place: Place, last_number: &mut u64| {
        let fits = count < options.block_entries_max;
        if !fits {
            *last_number = place.number;
        }
        fits
    };
    core.each_pending(after, to, |place, line| {
        let Some(size) = line.item_size else {
            heads.push(core.head(line.id)?.ok_or(Error::Damaged("a transaction"))?);
            count += 1;
            return Ok(fits(count, place, &mut last_number));
        };
        let is_full =
            load.items.len() >= options.bundle_items_max || load.bytes + size > options.bundle_bytes_max;
        if is_full && !load.items.is_empty() {
            heads.push(bundle(core, &std::mem::take(&mut load), batch)?);
        }
        load.items.push(Cargo { place, id: line.id, size });
        load.bytes += size;
        count += 1;
        Ok(fits(count, place, &mut last_number))
    })?;
    if !load.items.is_empty() {
        heads.push(bundle(core, &load, batch)?);
    }
    Ok((heads, last_number))
}

/// Wallets that a block changes.
struct Accounts<'a> {
    core: &'a Core,
    changed: BTreeMap<Address, Change>,
}

/// What a block changes in a wallet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) before: Account,
    pub(crate) after: Account,
}

impl Accounts<'_> {
    fn apply(&mut self, tx: &Transaction) -> Result<(), Error> {
        let sender = self.of(tx.address())?;
        // Whoever was let in could pay; only the weave's own wallet may run dry, and then pays what it has.
        sender.balance = sender.balance.saturating_sub(tx.quantity + tx.reward);
        sender.last_tx = Some(tx.id);
        if let Some(target) = Id::from_slice(&tx.target).filter(|_| tx.quantity > 0) {
            let receiver = self.of(Address(target))?;
            receiver.balance = receiver.balance.saturating_add(tx.quantity);
        }
        Ok(())
    }

    fn of(&mut self, address: Address) -> Result<&mut Account, Error> {
        if !self.changed.contains_key(&address) {
            let account = self.core.account(address)?;
            self.changed.insert(address, Change { before: account, after: account });
        }
        Ok(&mut self.changed.get_mut(&address).expect("inserted above").after)
    }

    fn put(self, height: Height, batch: &mut Batch) {
        for (address, change) in &self.changed {
            batch.put(WALLET, address.0.as_bytes().to_vec(), change.after.write());
        }
        batch.put(UNDO, height.0.to_be_bytes().to_vec(), write_changes(&self.changed));
        if let Some(settled) = height.0.checked_sub(self.core.options.reorganise_max) {
            batch.delete(UNDO, settled.to_be_bytes().to_vec());
        }
    }
}

pub(crate) fn write_changes(changes: &BTreeMap<Address, Change>) -> Bytes {
    let writer = Writer::default();
    let write = |writer: Writer, (address, change): (&Address, &Change)| {
        let writer = writer.raw(address.0.as_bytes());
        writer.bytes(&change.before.write()).bytes(&change.after.write())
    };
    changes.iter().fold(writer, write).finish()
}

pub(crate) fn read_changes(bytes: Bytes) -> Option<Vec<(Address, Change)>> {
    let mut reader = Reader::new(bytes);
    let mut changes = Vec::new();
    while !reader.is_empty() {
        let address = Address(Id(reader.array()?));
        let before = Account::read(reader.bytes()?)?;
        changes.push((address, Change { before, after: Account::read(reader.bytes()?)? }));
    }
    Some(changes)
}

/// Gives a wallet winston out of nothing; what it has then.
pub(crate) async fn mint(core: &Core, address: Address, winston: u128) -> Result<u128, Error> {
    let _mining = core.mining.lock().await;
    let mut account = core.account(address)?;
    account.balance = account.balance.saturating_add(winston);
    let mut batch = Batch::new();
    batch.put(WALLET, address.0.as_bytes().to_vec(), account.write());
    core.store.append(batch).await?;
    Ok(account.balance)
}
