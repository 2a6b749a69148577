//! What all parts of the weave share: the store, the newest block, and what waits for one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::{Address, Height, Id, Timestamp, Wallet};
use store::{Appended, Batch, Order, Store};
use tokio::sync::{Mutex as AsyncMutex, Notify, RwLock, watch};
use unit::{BlockHash, BlockHead, Clock, Events};

use crate::chain::{self, Mined};
use crate::keys::{self, BLOCK, BUNDLE, CUT, HEAD, ORDER, Place, WALLET};
use crate::record::{Account, Head, Line, What};
use crate::{Error, Mining, Options, Ports};

/// How many blocks back an anchor may lie.
pub(crate) const ANCHOR_DEPTH: usize = 50;
/// How many entries of the store are read at once.
pub(crate) const PAGE: usize = 512;

pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: Arc<Events>,
    pub(crate) options: Options,
    /// When blocks are made.
    pub(crate) mode: watch::Sender<Mining>,
    /// Signs bundles and receipts.
    pub(crate) wallet: Wallet,
    state: Mutex<State>,
    /// Whoever changes wallets or makes a block holds this until it is durable.
    pub(crate) mining: AsyncMutex<()>,
    /// Whoever counts the chunks of some data holds this until it is durable.
    pub(crate) chunks: AsyncMutex<()>,
    /// Whoever changes what is known of uploads in parts holds this until it is durable.
    pub(crate) uploads: AsyncMutex<()>,
    /// Whoever unpacks a bundle reads this; whoever makes bundles go away writes it.
    pub(crate) unpacking: Arc<RwLock<()>>,
    /// Something waits for a block.
    pub(crate) work: Notify,
}

/// What is not in the store, or not only.
pub(crate) struct State {
    /// The number that the next thing gets.
    pub(crate) next: u64,
    /// The last number that is in a block.
    pub(crate) mined: u64,
    pub(crate) tip: BlockHead,
    /// The hashes that an anchor may name, oldest first.
    pub(crate) recent: VecDeque<BlockHash>,
    /// What is on its way into the store.
    pub(crate) flight: Flight,
    pub(crate) pending: Pending,
}

impl Core {
    /// Reads where an earlier life ended. Without one, `None` in place of the newest block's height.
    pub(crate) fn load(ports: Ports, options: Options, wallet: Wallet) -> Result<Core, Error> {
        let Ports { store, clock, events } = ports;
        let genesis = chain::genesis(clock.now());
        let state = State {
            next: 1,
            mined: 0,
            tip: genesis.block.head,
            recent: VecDeque::new(),
            flight: Flight::default(),
            pending: Pending::default(),
        };
        let core = Core {
            store,
            clock,
            events,
            mode: watch::Sender::new(options.mining),
            options,
            wallet,
            state: Mutex::new(state),
            mining: AsyncMutex::new(()),
            chunks: AsyncMutex::new(()),
            uploads: AsyncMutex::new(()),
            unpacking: Arc::default(),
            work: Notify::new(),
        };
        core.reload(&genesis)?;
        Ok(core)
    }

    /// Sets the state to what the store says, or to a first block if it says nothing.
    pub(crate) fn reload(&self, genesis: &Mined) -> Result<(), Error> {
        if self.last_block()?.is_none() {
            self.store.append(chain::first(genesis, self.wallet.address())).wait()?;
        }
        let tip = self.last_block()?.ok_or(Error::Damaged("the newest block"))?;
        let oldest = tip.block.head.height.0.saturating_sub(ANCHOR_DEPTH as u64 - 1);
        let mut recent = VecDeque::new();
        for height in oldest..=tip.block.head.height.0 {
            recent.push_back(self.block(Height(height))?.ok_or(Error::Damaged("a block"))?.block.head.hash);
        }
        let newest = self.store.scan(ORDER, keys_all(), Order::Descending, 1)?;
        let newest = newest.first().and_then(|(key, _)| Place::read(key)).map_or(0, |place| place.number);
        let mut pending = Pending::default();
        self.each_pending(tip.last_number, u64::MAX, |_, line| {
            if line.item_size.is_none()
                && let Some(Head { what: What::Transaction(tx), .. }) = self.head(line.id)?
            {
                pending.add(tx.id, tx.address(), tx.quantity + tx.reward);
            }
            Ok(true)
        })?;
        *self.state() = State {
            next: newest.max(tip.last_number) + 1,
            mined: tip.last_number,
            tip: tip.block.head,
            recent,
            flight: Flight::default(),
            pending,
        };
        Ok(())
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_work(&self) -> bool {
        let state = self.state();
        state.next > state.mined + 1
    }

    pub(crate) fn head(&self, id: Id) -> Result<Option<Head>, Error> {
        let Some(bytes) = self.store.get(HEAD, id.as_bytes())? else { return Ok(None) };
        Head::read(bytes).map(Some).ok_or(Error::Damaged("an item"))
    }

    pub(crate) fn account(&self, address: Address) -> Result<Account, Error> {
        let Some(bytes) = self.store.get(WALLET, address.0.as_bytes())? else {
            return Ok(Account::default());
        };
        Account::read(bytes).ok_or(Error::Damaged("a wallet"))
    }

    pub(crate) fn block(&self, height: Height) -> Result<Option<Mined>, Error> {
        let Some(bytes) = self.store.get(BLOCK, &height.0.to_be_bytes())? else { return Ok(None) };
        Mined::read(bytes).map(Some).ok_or(Error::Damaged("a block"))
    }

    fn last_block(&self) -> Result<Option<Mined>, Error> {
        let last = self.store.scan(BLOCK, keys_all(), Order::Descending, 1)?;
        let Some((_, bytes)) = last.into_iter().next() else { return Ok(None) };
        Mined::read(bytes).map(Some).ok_or(Error::Damaged("the newest block"))
    }

    /// The block that has what got this number.
    pub(crate) fn block_of(&self, number: u64) -> Result<Option<BlockHead>, Error> {
        let mut from = [0; 16];
        from[..8].copy_from_slice(&number.to_be_bytes());
        let cut = self.store.scan(CUT, keys_from(&from), Order::Ascending, 1)?;
        let Some((_, bytes)) = cut.into_iter().next() else { return Ok(None) };
        chain::read_head(bytes).map(Some).ok_or(Error::Damaged("a block"))
    }

    /// The last number in the block of that height, or in the newest below it.
    pub(crate) fn last_number(&self, height: Height) -> Result<u64, Error> {
        let tip = self.state().tip.height;
        let block = self.block(height.min(tip))?.ok_or(Error::Damaged("a block"))?;
        Ok(block.last_number)
    }

    /// The bundle that an item is in.
    pub(crate) fn bundle_of(&self, head: &Head) -> Result<Option<Id>, Error> {
        if head.parent.is_some() || head.is_transaction() {
            return Ok(head.parent);
        }
        let from = head.place.number.to_be_bytes();
        let bundle = self.store.scan(BUNDLE, keys_from(&from), Order::Ascending, 1)?;
        Ok(bundle.first().and_then(|(_, id)| Id::from_slice(id)))
    }

    /// Shows everything that came in by itself after the number `after`, up to `to`, until told to stop.
    pub(crate) fn each_pending(
        &self,
        after: u64,
        to: u64,
        mut act: impl FnMut(Place, Line) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let mut from = Place::of(after.saturating_add(1)).key();
        let last = Place { number: to, within: u32::MAX }.key();
        loop {
            let range = (std::ops::Bound::Included(&from[..]), std::ops::Bound::Included(&last[..]));
            let page = self.store.scan(ORDER, range, Order::Ascending, PAGE)?;
            let more = page.len() == PAGE;
            for (key, value) in page {
                let place = Place::read(&key).ok_or(Error::Damaged("the order"))?;
                let line = Line::read(value).ok_or(Error::Damaged("the order"))?;
                if place.within == 0 && !act(place, line)? {
                    return Ok(());
                }
                match place.next() {
                    Some(next) => from = next.key(),
                    None => return Ok(()),
                }
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// Resolves when everything that was taken in so far is durable.
    pub(crate) fn barrier(&self) -> Appended {
        self.store.append(Batch::new())
    }

    /// Waits until what has that ticket is durable. If it never will be, it may be sent again.
    pub(crate) async fn land(&self, ticket: u64, appended: Appended) -> Result<(), Error> {
        let written = appended.await;
        let mut state = self.state();
        match &written {
            Ok(()) => state.flight.landed(ticket),
            Err(_) => state.flight.failed(ticket),
        }
        Ok(written?)
    }

    /// Milliseconds, as the clock says, and the newest height.
    pub(crate) fn now(&self) -> (Timestamp, Height) {
        (self.clock.now(), self.state().tip.height)
    }
}

/// Does something that reads much, or computes long, where it holds up nobody.
pub(crate) async fn aside<T: Send + 'static>(
    core: &Arc<Core>,
    act: impl FnOnce(&Core) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let core = Arc::clone(core);
    unit::blocking(move || act(&core)).await.map_err(|_| Error::Stopping)?
}

/// All keys of a space.
pub(crate) fn keys_all<'a>() -> (std::ops::Bound<&'a [u8]>, std::ops::Bound<&'a [u8]>) {
    (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded)
}

/// The keys of a space from this one on.
pub(crate) fn keys_from(from: &[u8]) -> (std::ops::Bound<&[u8]>, std::ops::Bound<&[u8]>) {
    (std::ops::Bound::Included(from), std::ops::Bound::Unbounded)
}

/// The keys between two, both included.
pub(crate) fn keys_between<'a>(
    from: &'a [u8],
    to: &'a [u8],
) -> (std::ops::Bound<&'a [u8]>, std::ops::Bound<&'a [u8]>) {
    (std::ops::Bound::Included(from), std::ops::Bound::Included(to))
}

/// What was appended and may not be durable yet. The store makes batches durable in their order, so when one ticket
/// is, all before it are: whoever gave up waiting is swept out by whoever comes after.
#[derive(Default)]
pub(crate) struct Flight {
    ids: BTreeSet<Id>,
    order: VecDeque<(u64, Id)>,
    tickets: u64,
}

impl Flight {
    pub(crate) fn has(&self, id: Id) -> bool {
        self.ids.contains(&id)
    }

    /// To be called in the order of the appends.
    pub(crate) fn start(&mut self, ids: impl IntoIterator<Item = Id>) -> u64 {
        self.tickets += 1;
        for id in ids {
            self.ids.insert(id);
            self.order.push_back((self.tickets, id));
        }
        self.tickets
    }

    pub(crate) fn landed(&mut self, ticket: u64) {
        while let Some((_, id)) = self.order.pop_front_if(|(first, _)| *first <= ticket) {
            self.ids.remove(&id);
        }
    }

    pub(crate) fn failed(&mut self, ticket: u64) {
        let ids = &mut self.ids;
        self.order.retain(|(other, id)| *other != ticket || !ids.remove(id));
    }
}

/// Transactions that wait for a block, and what they will cost their wallets.
#[derive(Default)]
pub(crate) struct Pending {
    transactions: BTreeMap<Id, (Address, u128)>,
    spent: BTreeMap<Address, u128>,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.transactions.len()
    }

    pub(crate) fn has(&self, id: Id) -> bool {
        self.transactions.contains_key(&id)
    }

    pub(crate) fn spent(&self, address: Address) -> u128 {
        self.spent.get(&address).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, id: Id, address: Address, cost: u128) {
        if self.transactions.insert(id, (address, cost)).is_none() {
            *self.spent.entry(address).or_default() += cost;
        }
    }

    pub(crate) fn remove(&mut self, id: Id) {
        let Some((address, cost)) = self.transactions.remove(&id) else { return };
        if let Some(spent) = self.spent.get_mut(&address) {
            *spent -= cost;
            if *spent == 0 {
                self.spent.remove(&address);
            }
        }
    }
}

/// Deletes everything.
pub(crate) fn clear(core: &Core) -> Result<(), Error> {
    for space in keys::ALL {
        loop {
            let page = core.store.scan(space, keys_all(), Order::Ascending, PAGE)?;
            if page.is_empty() {
                break;
            }
            let mut batch = Batch::new();
            for (key, _) in page {
                batch.delete(space, key);
            }
            core.store.append(batch).wait()?;
        }
    }
    Ok(())
}
