//! Reorganisations: the last blocks are replaced by others, as if the rest of the network had found a longer chain.
//!
//! Numbers do not change: what was in the old blocks has numbers beyond the last one that is in a block, so it waits
//! again. Our own bundles of it go away, and are made anew with the next block. Transactions that would not be accepted
//! now are forgotten, and what was unpacked from them with them: whoever sent them has to send them again, as on
//! Arweave.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use protocol::{Address, Height, Id, Transaction};
use store::{Batch, Order};
use tracing::{debug, warn};
use unit::{BlockHash, BlockHead, Events, Happened, Reorganised};

use crate::Error;
use crate::chain::{self, Contents, Mined};
use crate::core::{ANCHOR_DEPTH, Core, PAGE, Pending, aside, keys_between};
use crate::keys::{
    BUNDLE, BUNDLE_INDEX, CHUNK, END, FIND, OFFSET, PROOF, Place, ROOT, ROOT_USER, Term, UNDO, UNPACK, WALLET,
};
use crate::mine::{read_changes, write_changes};
use crate::record::{Account, Head, Line, Source, What};
use crate::upload::{Terms, is_bundle, unput};
use crate::{post, unpack};

/// What changes, worked out before anything is written.
struct Plan {
    batch: Batch,
    /// The last number that is still in a block.
    mined: u64,
    /// In the place of the orphaned ones, and one more. Nothing is in them.
    blocks: Vec<BlockHead>,
    recent: VecDeque<BlockHash>,
    pending: Pending,
    orphaned: Vec<BlockHash>,
    dropped: Vec<Id>,
    /// Bundles that may have what was dropped with another one.
    unpack: Vec<Id>,
}

/// Puts empty blocks in the place of the last so many, and one more on top. Durable when it returns.
pub(crate) async fn reorganise(core: &Arc<Core>, blocks: u64) -> unit::Result<Reorganised> {
    let _mining = core.mining.lock().await;
    // No transaction is between its checks and its place, and no bundle half unpacked.
    let _chunks = core.chunks.lock().await;
    let unpacking = Arc::clone(&core.unpacking).write_owned().await;
    let (max, height) = (core.options.reorganise_max, core.state().tip.height.0);
    let refused = |what: String, hint: String| Err(unit::Error::invalid(what).with_hint(hint));
    match blocks {
        0 => return refused("a reorganisation replaces one block at least".into(), "give a number".into()),
        _ if blocks > max => {
            let what = format!("{blocks} blocks are more than the {max} that a reorganisation replaces");
            return refused(what, "whoever runs the node sets weave.reorganise_max".into());
        }
        _ if blocks > height => {
            let what = format!("there are {height} blocks on top of the first, which stays");
            return refused(what, "replace fewer blocks".into());
        }
        _ => {}
    }
    core.barrier().await.map_err(Error::from)?;
    let plan = aside(core, move |core| plan(core, height - blocks)).await?;
    let Plan { batch, mined, blocks, recent, pending, orphaned, dropped, unpack } = plan;
    core.store.append(batch).await.map_err(Error::from)?;
    let tip = *blocks.last().expect("a reorganisation makes a block");
    {
        let mut state = core.state();
        (state.mined, state.tip, state.recent, state.pending) = (mined, tip, recent, pending);
    }
    drop(unpacking);
    core.events.tell(None, || Happened::Reorganised {
        height: Height(tip.height.0 - blocks.len() as u64),
        orphaned: orphaned.iter().take(Events::PUSHED_MAX).copied().collect(),
    });
    for &BlockHead { height, hash, .. } in &blocks {
        core.events.tell(None, || Happened::Mined { height, hash, transactions: 0 });
    }
    for id in unpack {
        unpack::now_or_soon(core, id, 0).await?;
    }
    debug!(height = %tip.height, orphaned = orphaned.len(), dropped = dropped.len(), "reorganised");
    core.work.notify_one();
    Ok(Reorganised { tip, orphaned, dropped })
}

fn plan(core: &Core, fork: u64) -> Result<Plan, Error> {
    let block = |height| core.block(Height(height))?.ok_or(Error::Damaged("a block"));
    let (base, height) = (block(fork)?, core.state().tip.height.0);
    let mut plan = Plan {
        batch: Batch::new(),
        mined: base.last_number,
        blocks: Vec::new(),
        recent: VecDeque::new(),
        pending: Pending::default(),
        orphaned: Vec::new(),
        dropped: Vec::new(),
        unpack: Vec::new(),
    };
    let mut accounts = BTreeMap::new();
    let mut nonce = 0;
    for height in (fork + 1..=height).rev() {
        let orphan = block(height)?;
        nonce = orphan.block.nonce.max(nonce);
        plan.orphaned.push(orphan.block.head.hash);
        undo(core, &orphan, &mut accounts, &mut plan.batch)?;
    }
    for (address, account) in &accounts {
        plan.batch.put(WALLET, address.0.as_bytes().to_vec(), account.write());
    }
    let oldest = fork.saturating_sub(ANCHOR_DEPTH as u64);
    for height in oldest..=fork {
        plan.recent.push_back(block(height)?.block.head.hash);
    }
    let mut below = base.block.head;
    for _ in fork..=height {
        let contents = Contents {
            weave_size: base.block.weave_size,
            reward_pool: base.block.reward_pool,
            last_number: base.last_number,
            nonce: nonce + 1,
            ..Contents::default()
        };
        let mined = chain::seal(Some(&below), Height(below.height.0 + 1), core.clock.now(), contents);
        mined.put(&mut plan.batch);
        below = mined.block.head;
        plan.batch.put(UNDO, below.height.0.to_be_bytes().to_vec(), write_changes(&BTreeMap::new()));
        plan.blocks.push(below);
        plan.recent.push_back(below.hash);
    }
    if let Some(settled) = below.height.0.checked_sub(core.options.reorganise_max) {
        plan.batch.delete(UNDO, settled.to_be_bytes().to_vec());
    }
    let surplus = plan.recent.len().saturating_sub(ANCHOR_DEPTH);
    plan.recent.drain(..surplus);
    sort_out(core, &accounts, &mut plan)?;
    Ok(plan)
}

/// Takes back what a block did: the wallets are as before, but for what was given to them out of nothing since.
fn undo(
    core: &Core,
    orphan: &Mined,
    accounts: &mut BTreeMap<Address, Account>,
    batch: &mut Batch,
) -> Result<(), Error> {
    let key = orphan.block.head.height.0.to_be_bytes();
    let changes = core.store.get(UNDO, &key)?.ok_or(Error::NoUndo(orphan.block.head.height))?;
    for (address, change) in read_changes(changes).ok_or(Error::Damaged("what a block changed"))? {
        let account = match accounts.get(&address) {
            Some(account) => *account,
            None => core.account(address)?,
        };
        let balance =
            account.balance.saturating_sub(change.after.balance.saturating_sub(change.before.balance));
        let balance = balance.saturating_add(change.before.balance.saturating_sub(change.after.balance));
        accounts.insert(address, Account { balance, last_tx: change.before.last_tx });
    }
    batch.delete(UNDO, key.to_vec());
    orphan.delete(batch);
    for id in &orphan.block.transactions {
        let head = core.head(*id)?.ok_or(Error::Damaged("a transaction"))?;
        if let Some((end, _)) = core.end(*id)? {
            batch.delete(OFFSET, end.to_be_bytes().to_vec());
            batch.delete(END, id.as_bytes().to_vec());
        }
        if matches!(head.source, Source::Bundle { .. }) {
            unbundle(core, *id, &head, batch)?;
        }
    }
    Ok(())
}

/// Forgets one of our own bundles; what is in it stays.
fn unbundle(core: &Core, id: Id, head: &Head, batch: &mut Batch) -> Result<(), Error> {
    let What::Transaction(tx) = &head.what else { return Err(Error::Damaged("a bundle")) };
    unput(batch, id, head, &Terms::of(tx.address(), None, &tx.tags()));
    batch.delete(BUNDLE, head.place.number.to_be_bytes().to_vec());
    batch.delete(BUNDLE_INDEX, id.as_bytes().to_vec());
    all(core, FIND, &Term::bundle(id).key(Place::FIRST), &Term::bundle(id).key(Place::LAST), |key, _| {
        batch.delete(FIND, key.to_vec());
        Ok(())
    })?;
    let data = head.root().ok_or(Error::Damaged("a bundle"))?;
    if post::users(core, data)?.is_empty() {
        all(core, PROOF, &data.chunk(0), &data.chunk(u64::MAX), |key, _| {
            batch.delete(PROOF, key.to_vec());
            Ok(())
        })?;
    }
    Ok(())
}

/// Looks at all transactions that wait now, oldest first: which would be accepted, and which are forgotten.
fn sort_out(core: &Core, accounts: &BTreeMap<Address, Account>, plan: &mut Plan) -> Result<(), Error> {
    let mut gone: Vec<Head> = Vec::new();
    core.each_pending(plan.mined, u64::MAX, |_, line| {
        if line.item_size.is_some() {
            return Ok(true);
        }
        let head = core.head(line.id)?.ok_or(Error::Damaged("a transaction"))?;
        let What::Transaction(tx) = &head.what else { return Err(Error::Damaged("a transaction")) };
        let address = tx.address();
        let account = match accounts.get(&address) {
            Some(account) => *account,
            None => core.account(address)?,
        };
        let cost = tx.quantity.saturating_add(tx.reward);
        let spent = plan.pending.spent(address).saturating_add(cost);
        if spent <= account.balance && anchor_holds(tx, &account, &plan.recent) {
            plan.pending.add(tx.id, address, cost);
        } else {
            warn!(transaction = %tx.id, "a reorganisation forgets a transaction that is not valid any more");
            plan.dropped.push(tx.id);
            gone.push(head);
        }
        Ok(true)
    })?;
    let mut items = false;
    for head in &gone {
        items |= forget(core, head, &mut plan.batch)?;
    }
    // An item stands where it came first. If that is gone, it may have come again since.
    if let Some(first) = gone.first().filter(|_| items) {
        let term = Term::tag(protocol::tag::BUNDLE_FORMAT, "binary");
        all(core, FIND, &term.key(first.place), &term.key(Place::LAST), |_, id| {
            let id = Id::from_slice(id).ok_or(Error::Damaged("the index"))?;
            let head = core.head(id)?.filter(|head| !plan.dropped.contains(&id) && head.place.within == 0);
            if let Some(head) = head
                && !matches!(head.source, Source::Bundle { .. })
            {
                plan.batch.put(UNPACK, id.as_bytes().to_vec(), Vec::new());
                plan.unpack.push(id);
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn anchor_holds(tx: &Transaction, account: &Account, recent: &VecDeque<BlockHash>) -> bool {
    let last_tx = account.last_tx.as_ref().map_or(&[][..], |id| id.as_bytes());
    tx.last_tx == last_tx || BlockHash::of(&tx.last_tx).is_some_and(|hash| recent.contains(&hash))
}

/// Forgets a transaction, and what was unpacked from it. Whether anything was.
fn forget(core: &Core, head: &Head, batch: &mut Batch) -> Result<bool, Error> {
    let What::Transaction(tx) = &head.what else { return Err(Error::Damaged("a transaction")) };
    unput(batch, tx.id, head, &Terms::of(tx.address(), Id::from_slice(&tx.target), &tx.tags()));
    batch.delete(UNPACK, tx.id.as_bytes().to_vec());
    if let Some(data) = head.root() {
        batch.delete(ROOT_USER, data.user(tx.id).to_vec());
        if post::users(core, data)?.len() <= 1 {
            batch.delete(ROOT, data.key().to_vec());
            for space in [CHUNK, PROOF] {
                all(core, space, &data.chunk(0), &data.chunk(u64::MAX), |key, _| {
                    batch.delete(space, key.to_vec());
                    Ok(())
                })?;
            }
        }
    }
    let mut items = false;
    if is_bundle(&tx.tags()) {
        let first = Place { within: 1, ..head.place }.key();
        let last = Place { within: Place::BUNDLE - 1, ..head.place }.key();
        all(core, crate::keys::ORDER, &first, &last, |_, line| {
            let id = Line::read(line.to_vec().into()).ok_or(Error::Damaged("the order"))?.id;
            let head = core.head(id)?.ok_or(Error::Damaged("an item"))?;
            let item = head.item(bytes::Bytes::new()).ok_or(Error::Damaged("an item"))?;
            unput(batch, id, &head, &Terms::of(item.address(), item.target, &item.tags));
            items = true;
            Ok(())
        })?;
    }
    Ok(items)
}

/// Shows all entries of a space between two keys, both included.
fn all(
    core: &Core,
    space: store::Space,
    from: &[u8],
    to: &[u8],
    mut act: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut from = from.to_vec();
    loop {
        let page = core.store.scan(space, keys_between(&from, to), Order::Ascending, PAGE)?;
        for (key, value) in &page {
            act(key, value)?;
        }
        match page.last() {
            // The next key: the same with a byte more.
            Some((key, _)) if page.len() == PAGE => from = [key, &[0][..]].concat(),
            _ => return Ok(()),
        }
    }
}
