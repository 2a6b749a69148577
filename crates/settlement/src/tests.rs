//! Settlement on a weave of our own as the real network, through faults, with a clock that is moved by hand.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use protocol::{Draft, Tags, Transaction};
use store::MemoryStore;
use unit::fakes::FakeClock;
use unit::{Arweave, NewChunk, Posted, Whereabouts};

use super::*;

/// A network that does to what it is handed what it is told to.
struct Real {
    weave: Arc<weave::EmbeddedWeave>,
    /// The next answers to whatever is posted; then it does what it should.
    faults: Mutex<Vec<Fault>>,
    /// Transactions and items that it took, with how often, forgotten ones included.
    took: Mutex<Vec<Id>>,
    /// Blocks were replaced: nothing is in any.
    reorganised: AtomicBool,
    /// Whether items within bundles can be read.
    unpacks: AtomicBool,
    /// Whether anything can be read.
    reads: AtomicBool,
}

#[derive(Clone)]
enum Fault {
    Fail(unit::Error),
    /// It says yes, and forgets it.
    Forget,
    /// It takes it, and the answer is lost.
    Lost,
}

impl Real {
    async fn new(clock: Arc<FakeClock>) -> Arc<Real> {
        let ports =
            weave::Ports { store: Arc::new(MemoryStore::new()), clock, events: unit::Events::silent() };
        let options = weave::Options { mining: weave::Mining::Manual, ..weave::Options::default() };
        let weave = weave::EmbeddedWeave::open(ports, options).await.unwrap();
        Arc::new(Real {
            weave,
            faults: Mutex::default(),
            took: Mutex::default(),
            reorganised: AtomicBool::new(false),
            unpacks: AtomicBool::new(true),
            reads: AtomicBool::new(true),
        })
    }

    fn fault(&self, fault: Fault) {
        lock(&self.faults).push(fault);
    }

    fn readable(&self) -> Result<()> {
        match self.reads.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(unit::Error::not_found("its data is not here")),
        }
    }

    fn next(&self) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        (!faults.is_empty()).then(|| faults.remove(0))
    }

    async fn take<T>(&self, id: Option<Id>, yes: T, does: impl Future<Output = Result<T>>) -> Result<T> {
        let fault = self.next();
        if !matches!(fault, Some(Fault::Fail(_))) {
            lock(&self.took).extend(id);
        }
        match fault {
            None => does.await,
            Some(Fault::Fail(error)) => Err(error),
            Some(Fault::Forget) => Ok(yes),
            Some(Fault::Lost) => {
                does.await?;
                Err(unit::Error::unavailable("the answer was lost"))
            }
        }
    }
}

#[async_trait]
impl Weave for Real {
    async fn upload(&self, item: DataItem) -> Result<()> {
        self.take(Some(item.id), (), self.weave.upload(item)).await
    }
    async fn get(&self, id: Id) -> Result<Found> {
        self.readable()?;
        if !self.unpacks.load(Ordering::SeqCst) && self.weave.transaction(id).await.is_err() {
            return Err(unit::Error::not_found("bundles are not unpacked here"));
        }
        self.weave.get(id).await
    }
    async fn confirmations(&self, id: Id) -> Result<Option<u64>> {
        self.weave.confirmations(id).await
    }
    async fn query(&self, query: Query) -> Result<Page<Found>> {
        let mut page = self.weave.query(query).await?;
        if self.reorganised.load(Ordering::SeqCst) {
            page.items.iter_mut().for_each(|found| found.block = None);
        }
        Ok(page)
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
impl Network for Real {
    async fn post_transaction(&self, tx: &Transaction) -> Result<Posted> {
        self.take(Some(tx.id), Posted::Accepted, self.weave.post_transaction(tx.clone())).await
    }
    async fn post_chunk(&self, chunk: NewChunk) -> Result<()> {
        self.take(None, (), self.weave.post_chunk(chunk)).await
    }
    async fn whereabouts(&self, id: Id) -> Result<Whereabouts> {
        match self.weave.transaction(id).await {
            Ok(_) if self.reorganised.load(Ordering::SeqCst) => Ok(Whereabouts::Pending),
            Ok((_, None)) => Ok(Whereabouts::Pending),
            Ok((_, Some(block))) => {
                let tip = self.weave.tip().await?.height.0;
                Ok(Whereabouts::InBlock { confirmations: tip.saturating_sub(block.height.0) })
            }
            Err(_) => Ok(Whereabouts::Unknown),
        }
    }
    async fn anchor(&self) -> Result<Bytes> {
        Ok(self.weave.anchor().await?.0.to_vec().into())
    }
    async fn price(&self, bytes: u64) -> Result<u128> {
        self.weave.price(bytes, None).await
    }
    async fn balance(&self, wallet: Address) -> Result<u128> {
        self.weave.balance(wallet).await
    }
    async fn data(&self, id: Id) -> Result<Bytes> {
        self.readable()?;
        Ok(self.weave.get(id).await?.item.data.clone())
    }
    fn gateways(&self) -> Vec<GatewayHealth> {
        Vec::new()
    }
}

/// Settlement, its network and its clock. It goes on when it is told to.
struct World {
    real: Arc<Real>,
    clock: Arc<FakeClock>,
    store: Arc<MemoryStore>,
    options: Options,
    wallet: Option<Wallet>,
    settlement: Arc<Settlement>,
    poster: Poster,
    items: Vec<DataItem>,
}

fn small() -> Options {
    Options {
        bundle_items_max: 4,
        bundle_age_ms: 1000,
        retry_ms: 100,
        retry_max_ms: 1000,
        depth: 3,
        patience_ms: 10_000,
        read_patience_ms: 10_000,
        ..Options::default()
    }
}

/// Each test signs a few transactions: the key is one of the public accounts.
fn payer() -> Wallet {
    Wallet::from_jwk(include_str!("../../node/accounts/rsa-9.json")).unwrap()
}

impl World {
    async fn new(options: Options, wallet: Option<Wallet>) -> World {
        let clock = FakeClock::at(1_700_000_000_000);
        let real = Real::new(clock.clone()).await;
        if let Some(wallet) = &wallet {
            real.weave.mint(wallet.address(), 1_000_000_000_000_000).await.unwrap();
            real.weave.mine(1).await.unwrap();
        }
        let store = Arc::new(MemoryStore::new());
        let (settlement, poster) = World::open(&store, &real, &clock, &options, &wallet);
        World { real, clock, store, options, wallet, settlement, poster, items: Vec::new() }
    }

    fn open(
        store: &Arc<MemoryStore>,
        real: &Arc<Real>,
        clock: &Arc<FakeClock>,
        options: &Options,
        wallet: &Option<Wallet>,
    ) -> (Arc<Settlement>, Poster) {
        let ports = Ports {
            store: store.clone(),
            network: real.clone(),
            beside: None,
            clock: clock.clone(),
            wallet: wallet.clone(),
        };
        let settlement = Settlement::still(ports, options.clone()).unwrap();
        let poster =
            Poster { settlement: settlement.clone(), failing: BTreeMap::new(), said: Bound::Unbounded };
        (settlement, poster)
    }

    /// The node is killed, and starts again on the same disk.
    fn restart(&mut self) {
        (self.settlement, self.poster) =
            World::open(&self.store, &self.real, &self.clock, &self.options, &self.wallet);
    }

    async fn upload(&mut self, n: usize, bytes: usize) {
        for _ in 0..n {
            let index = self.items.len();
            let mut data = vec![index as u8; bytes];
            data.extend(index.to_be_bytes());
            let tags = Tags::from_iter([("Type", "Assignment".to_owned())]);
            let draft = Draft { data: data.into(), tags, ..Draft::default() };
            let item = DataItem::sign(&unit::suite::wallet(1), draft).unwrap();
            self.settlement.upload(item.clone()).await.unwrap();
            self.items.push(item);
        }
    }

    /// One round of posting, a second later.
    async fn post(&mut self) {
        self.clock.advance(1000);
        self.poster.round().await.unwrap();
    }

    async fn confirm(&mut self) {
        self.clock.advance(1000);
        Confirmer(self.settlement.clone()).round().await.unwrap();
    }

    /// Goes on until all is settled, and sees that all is there.
    async fn finish(&mut self) {
        for _ in 0..60 {
            self.post().await;
            self.real.weave.mine(1).await.unwrap();
            self.confirm().await;
            if self.settlement.status().totals.settled == self.items.len() as u64 {
                break;
            }
        }
        let status = self.settlement.status();
        assert_eq!(status.totals.settled, self.items.len() as u64, "{status:?}");
        assert_eq!((status.waiting, status.signed, status.posted, status.seen), Default::default());
        for item in &self.items {
            let found = self.real.weave.get(item.id).await.unwrap();
            assert_eq!(*found.item, *item.item());
            assert_eq!(self.settlement.standing(item.id).unwrap(), Some(Standing::Settled));
            let all = Query { ids: vec![item.id], limit: 10, ..Query::default() };
            assert_eq!(self.real.weave.query(all).await.unwrap().items.len(), 1);
        }
        // Whoever opens it later counts the same.
        self.restart();
        let again = self.settlement.status();
        assert_eq!(
            (again.waiting, again.posted, again.totals),
            (status.waiting, status.posted, status.totals)
        );
    }

    fn took(&self) -> Vec<Id> {
        lock(&self.real.took).clone()
    }
}

fn away() -> Fault {
    Fault::Fail(unit::Error::unavailable("503"))
}

#[tokio::test]
async fn items_are_bundled_by_number_and_by_age() {
    let mut world = World::new(small(), Some(payer())).await;
    world.upload(5, 100).await;
    world.poster.round().await.unwrap();
    let status = world.settlement.status();
    assert_eq!((status.posted.items, status.waiting.items), (4, 1), "a full bundle goes at once");
    assert_eq!((status.posted.entries, status.waiting.entries), (4, 1));
    world.post().await;
    assert_eq!(world.settlement.status().waiting.items, 0, "an old one goes as well");
    world.finish().await;
    let totals = world.settlement.status().totals;
    assert_eq!((totals.transactions, totals.reposted, totals.refused), (2, 0, 0));
    assert!(totals.winston > 0);
}

#[tokio::test]
async fn what_was_taken_in_is_readable_before_it_is_anywhere_and_twice_is_once() {
    let mut world = World::new(small(), Some(payer())).await;
    world.upload(1, 10).await;
    let item = world.items[0].clone();
    world.settlement.upload(item.clone()).await.unwrap();
    assert_eq!(world.settlement.status().waiting.items, 1);
    assert_eq!(*world.settlement.get(item.id).await.unwrap().item, *item.item());
    world.finish().await;
    world.settlement.upload(item.clone()).await.unwrap();
    assert_eq!(world.settlement.status().waiting.items, 0, "also when it is settled");
    assert_eq!(*world.settlement.get(item.id).await.unwrap().item, *item.item());
}

#[tokio::test]
async fn a_large_bundle_goes_in_chunks_through_failures_of_each() {
    let mut world = World::new(small(), Some(payer())).await;
    world.upload(4, 300_000).await;
    let busy = unit::Error::new(Kind::Busy { retry_after: std::time::Duration::from_secs(3) }, "429");
    for fault in [away(), Fault::Fail(busy), Fault::Lost, Fault::Lost, away()] {
        world.real.fault(fault);
    }
    world.finish().await;
    let mut took = world.took();
    took.dedup();
    assert_eq!(took.len(), 1, "one transaction, whatever happened");
    assert_eq!(world.settlement.status().totals.transactions, 1);
}

#[tokio::test]
async fn nothing_is_signed_twice_after_a_crash() {
    let mut world = World::new(small(), Some(payer())).await;
    world.upload(4, 100).await;
    world.real.fault(Fault::Lost);
    world.post().await;
    assert_eq!(world.settlement.status().signed.items, 4);
    world.restart();
    assert_eq!(world.settlement.status().signed.items, 4);
    world.finish().await;
    let mut took = world.took();
    took.dedup();
    assert_eq!(took.len(), 1);
}

#[tokio::test]
async fn what_was_accepted_and_forgotten_is_posted_again_as_it_was() {
    let mut world = World::new(small(), Some(payer())).await;
    world.upload(4, 100).await;
    world.real.fault(Fault::Forget);
    world.finish().await;
    let took = world.took();
    assert_eq!((took.len(), took[0]), (2, took[1]));
    let totals = world.settlement.status().totals;
    assert_eq!((totals.transactions, totals.reposted), (1, 1));
}

#[tokio::test]
async fn a_transaction_that_is_refused_for_good_makes_way_for_another() {
    let mut world = World::new(small(), Some(payer())).await;
    world.upload(4, 100).await;
    world.real.fault(Fault::Fail(unit::Error::invalid("Invalid anchor (last_tx).")));
    world.finish().await;
    let totals = world.settlement.status().totals;
    assert_eq!((totals.transactions, totals.refused), (1, 1));
}

#[tokio::test]
async fn a_block_that_is_replaced_is_noticed() {
    let mut world = World::new(small(), Some(payer())).await;
    world.upload(4, 100).await;
    world.post().await;
    world.real.weave.mine(1).await.unwrap();
    world.confirm().await;
    assert_eq!(world.settlement.status().seen.items, 4);
    world.real.reorganised.store(true, Ordering::SeqCst);
    world.confirm().await;
    let status = world.settlement.status();
    assert_eq!((status.seen.items, status.posted.items, status.totals.reorganised), (0, 4, 1));
    world.clock.advance(10_000);
    world.confirm().await;
    assert_eq!(world.settlement.status().signed.items, 4, "it is posted again");
    world.post().await;
    world.real.reorganised.store(false, Ordering::SeqCst);
    world.finish().await;
}

#[tokio::test]
async fn a_gateway_that_unpacks_nothing_shows_the_whole_bundle() {
    let mut world = World::new(small(), Some(payer())).await;
    world.real.unpacks.store(false, Ordering::SeqCst);
    world.upload(4, 100).await;
    world.finish().await;
}

#[tokio::test]
async fn what_is_refused_the_second_time_because_it_is_there_counts_once() {
    let mut world = World::new(small(), Some(payer())).await;
    world.upload(4, 100).await;
    world.post().await;
    world.real.weave.mine(4).await.unwrap();
    world.real.reads.store(false, Ordering::SeqCst);
    world.confirm().await;
    assert_eq!(world.settlement.status().seen.items, 4, "it lies deep, and cannot be read");
    world.clock.advance(10_000);
    world.confirm().await;
    assert_eq!(world.settlement.status().signed.items, 4, "its data is sent again");
    world.real.fault(Fault::Fail(unit::Error::invalid("404")));
    world.post().await;
    let status = world.settlement.status();
    assert_eq!((status.posted.items, status.signed.items, status.seen.items), (4, 0, 0));
    assert_eq!(status.totals.transactions, 1);
    world.confirm().await;
    assert_eq!(world.settlement.status().seen.items, 4, "it is not given up at once");
    world.real.reads.store(true, Ordering::SeqCst);
    world.finish().await;
}

#[tokio::test]
async fn without_a_wallet_items_go_to_the_bundler_one_by_one() {
    let mut world = World::new(small(), None).await;
    world.upload(10, 100).await;
    for fault in [away(), Fault::Forget, Fault::Lost, Fault::Fail(unit::Error::invalid("402"))] {
        world.real.fault(fault);
    }
    world.post().await;
    world.restart();
    world.finish().await;
    assert_eq!(world.settlement.status().totals.reposted, 1);
}

#[tokio::test]
async fn a_dry_mode_says_what_it_would_cost_and_posts_nothing() {
    let mut world = World::new(Options { dry: true, ..small() }, Some(payer())).await;
    world.upload(5, 100).await;
    world.post().await;
    world.post().await;
    let status = world.settlement.status();
    assert_eq!((status.waiting.items, status.dry_items), (5, 5));
    assert_ne!(status.dry_winston, "0");
    assert_eq!(world.took(), []);
}

#[tokio::test]
async fn whoever_waits_for_the_network_is_told_when_it_has_taken_something() {
    let mut world = World::new(small(), Some(payer())).await;
    world.upload(1, 100).await;
    let (settlement, id) = (world.settlement.clone(), world.items[0].id);
    let waiting = tokio::spawn(async move { settlement.taken(id).await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    world.post().await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_queue_that_is_full_says_so_and_loses_nothing() {
    let mut world = World::new(Options { queue_bytes_max: 1300, ..small() }, Some(payer())).await;
    world.upload(2, 100).await;
    let draft = Draft { data: vec![7; 900].into(), ..Draft::default() };
    let large = DataItem::sign(&unit::suite::wallet(2), draft).unwrap();
    let error = world.settlement.upload(large.clone()).await.unwrap_err();
    assert!(matches!(error.kind, Kind::Busy { .. }), "{error}");
    world.post().await;
    world.settlement.upload(large.clone()).await.unwrap();
    world.items.push(large);
    world.finish().await;
}

#[tokio::test]
async fn an_ed25519_key_cannot_pay() {
    let clock = FakeClock::at(1);
    let ports = Ports {
        store: Arc::new(MemoryStore::new()),
        network: Real::new(clock.clone()).await,
        beside: None,
        clock,
        wallet: Some(unit::suite::wallet(1)),
    };
    assert!(matches!(Settlement::still(ports, small()), Err(Error::Wallet)));
}
