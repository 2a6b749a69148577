//! Reorganisations: what was in blocks waits again, what is not valid any more is gone, and nothing is there twice.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{ascending, bundle_tags, draft, find, item, manual, other_rsa, over, rich, tx_tags, weave};
use pirn_weave::{EmbeddedWeave, Options, Ports};
use protocol::{Height, Transaction, ans104};
use store::MemoryStore;
use unit::{Arweave, BlockAt, Events, EventsOptions, Happened, Heard, Kind, Posted, Query, Weave};

/// The chain as one can read it: every block's hash is that of its height, and chains to the one below.
async fn check_chain(weave: &EmbeddedWeave) {
    let tip = weave.tip().await.unwrap().height.0;
    let mut previous = None;
    for height in 0..=tip {
        let block = weave.block(BlockAt::Height(Height(height))).await.unwrap();
        assert_eq!((block.head.height.0, block.head.previous), (height, previous));
        assert_eq!(weave.block(BlockAt::Hash(block.head.hash)).await.unwrap(), block);
        for id in &block.transactions {
            assert_eq!(weave.transaction(*id).await.unwrap().1, Some(block.head));
        }
        previous = Some(block.head.hash);
    }
}

#[tokio::test]
async fn whoever_listens_hears_which_blocks_are_gone() {
    let clock = unit::fakes::FakeClock::advancing(1_700_000_000_000, 1);
    let events = Events::new(1, clock.clone(), EventsOptions::default());
    let ports = Ports { store: Arc::new(MemoryStore::new()), clock, events: events.clone() };
    let weave = EmbeddedWeave::open(ports, manual()).await.unwrap();
    weave.mine(5).await.unwrap();
    let mut listener = events.listen(None).unwrap();
    let done = weave.reorganise(2).await.unwrap();
    let Heard::Events(heard) = listener.next().await else { panic!("nothing is heard") };
    let Happened::Reorganised { height, orphaned } = &heard[0].what else { panic!("{:?}", heard[0]) };
    assert_eq!((*height, orphaned), (Height(3), &done.orphaned));
    let mined = heard[1..].iter().map(|event| match event.what {
        Happened::Mined { height, .. } => height.0,
        _ => panic!("{event:?}"),
    });
    assert_eq!(mined.collect::<Vec<_>>(), [4, 5, 6]);
}

#[tokio::test]
async fn items_wait_again_and_are_mined_again() {
    let store = Arc::new(MemoryStore::new());
    let weave = over(store.clone(), manual()).await;
    weave.mine(3).await.unwrap();
    let (a, b) = (item(1, &[("A", "1")], "a"), item(2, &[("A", "1")], "b"));
    weave.upload(a.clone()).await.unwrap();
    let orphan = weave.mine(1).await.unwrap();
    let bundle = weave.entry(a.id).await.unwrap().bundle.unwrap();
    weave.upload(b.clone()).await.unwrap();
    weave.mine(1).await.unwrap();

    let done = weave.reorganise(2).await.unwrap();
    assert_eq!((done.tip.height, done.orphaned.len(), done.dropped.len()), (Height(6), 2, 0));
    check_chain(&weave).await;
    for id in [a.id, b.id] {
        assert_eq!(weave.confirmations(id).await.unwrap(), None);
        assert_eq!(weave.entry(id).await.unwrap().bundle, None);
    }
    assert_eq!(weave.transaction(bundle).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(weave.block(BlockAt::Hash(orphan.hash)).await.unwrap_err().kind, Kind::NotFound);
    let in_bundle = Query { bundles: vec![bundle], limit: 10, ..Query::default() };
    assert!(weave.query(in_bundle).await.unwrap().items.is_empty());

    // The same after a restart.
    drop(weave);
    let weave = over(store, manual()).await;
    weave.mine(1).await.unwrap();
    check_chain(&weave).await;
    let again = weave.entry(a.id).await.unwrap();
    assert_eq!(again.block.unwrap().height, Height(7));
    assert_eq!(weave.entry(b.id).await.unwrap().bundle, again.bundle);
    assert_eq!(find(&weave, ascending(Query::tagged([("A", "1")]))).await, ["a", "b"]);
    let in_bundle = Query { bundles: vec![again.bundle.unwrap()], limit: 10, ..Query::default() };
    assert_eq!(weave.query(in_bundle).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn anchors_of_orphaned_blocks_are_no_anchors_any_more() {
    let weave = weave().await;
    let wallet = rich(&weave).await;
    let orphan = weave.mine(1).await.unwrap();
    let tx = Transaction { last_tx: Bytes::copy_from_slice(&orphan.hash.0), ..draft(&weave, "x").await };
    let tx = tx.sign(&wallet).unwrap();
    weave.reorganise(1).await.unwrap();
    assert!(weave.anchor().await.is_ok_and(|anchor| anchor != orphan.hash));
    assert_eq!(weave.post_transaction(tx).await.unwrap_err().what, "Invalid anchor (last_tx).");
}

#[tokio::test]
async fn a_transaction_is_mined_again_if_it_is_still_valid_and_forgotten_if_not() {
    let weave = weave().await;
    let (wallet, other) = (rich(&weave).await, other_rsa());
    weave.mint(other.address(), 1_000_000_000_000_000).await.unwrap();
    weave.mine(1).await.unwrap();
    let bundled = item(3, &[("In", "bundle")], "bundled");
    let bytes = ans104::bundle(std::slice::from_ref(&bundled));
    let bundle = Transaction { tags: tx_tags(&bundle_tags()), ..draft(&weave, bytes).await };
    let stays = bundle.sign(&wallet).unwrap();
    let balance = weave.balance(wallet.address()).await.unwrap();
    weave.post_transaction(stays.clone()).await.unwrap();
    let orphan = weave.mine(1).await.unwrap();
    let named = Transaction { last_tx: Bytes::copy_from_slice(&orphan.hash.0), ..draft(&weave, "y").await };
    let goes = named.sign(&other).unwrap();
    weave.post_transaction(goes.clone()).await.unwrap();
    weave.mine(1).await.unwrap();
    assert!(weave.balance(wallet.address()).await.unwrap() < balance);

    let done = weave.reorganise(2).await.unwrap();
    assert_eq!(done.dropped, [goes.id]);
    check_chain(&weave).await;
    assert_eq!(weave.balance(wallet.address()).await.unwrap(), balance);
    assert_eq!(weave.last_tx(wallet.address()).await.unwrap(), None);
    assert_eq!(weave.pending().await.unwrap(), [stays.id]);
    assert_eq!(weave.transaction(goes.id).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(weave.entry(goes.id).await.unwrap_err().kind, Kind::NotFound);
    // It is not known any more, so it can be sent again, and is refused for what it names.
    assert_eq!(weave.post_transaction(goes).await.unwrap_err().what, "Invalid anchor (last_tx).");
    assert_eq!(weave.post_transaction(stays.clone()).await.unwrap(), Posted::Known);
    weave.mine(1).await.unwrap();
    check_chain(&weave).await;
    assert_eq!(weave.confirmations(stays.id).await.unwrap(), Some(0));
    assert_eq!(weave.confirmations(bundled.id).await.unwrap(), Some(0));
    assert_eq!(find(&weave, Query::tagged([("In", "bundle")])).await, ["bundled"]);
    let (end, size) = weave.offset(stays.id).await.unwrap();
    assert_eq!(weave.chunk(end).await.unwrap().data.len() as u64, size);
}

#[tokio::test]
async fn an_item_of_a_forgotten_bundle_is_found_in_the_other_bundle_that_has_it() {
    let weave = weave().await;
    let (wallet, other) = (rich(&weave).await, other_rsa());
    weave.mint(other.address(), 1_000_000_000_000_000).await.unwrap();
    let shared = item(3, &[("In", "both")], "shared");
    let lone = item(4, &[("In", "one")], "lone");
    let tags = tx_tags(&bundle_tags());
    let old = draft(&weave, ans104::bundle(std::slice::from_ref(&shared))).await;
    let orphan = weave.mine(1).await.unwrap();
    let first = draft(&weave, ans104::bundle(&[shared.clone(), lone.clone()])).await;
    let first = Transaction { tags: tags.clone(), last_tx: Bytes::copy_from_slice(&orphan.hash.0), ..first };
    let first = first.sign(&other).unwrap();
    let second = Transaction { tags, ..old }.sign(&wallet).unwrap();
    weave.post_transaction(first.clone()).await.unwrap();
    weave.post_transaction(second.clone()).await.unwrap();
    assert_eq!(weave.entry(shared.id).await.unwrap().bundle, Some(first.id));

    assert_eq!(weave.reorganise(1).await.unwrap().dropped, [first.id]);
    assert_eq!(weave.entry(shared.id).await.unwrap().bundle, Some(second.id));
    assert_eq!(find(&weave, Query::tagged([("In", "both")])).await, ["shared"]);
    assert_eq!(weave.entry(lone.id).await.unwrap_err().kind, Kind::NotFound);
    assert!(find(&weave, Query::tagged([("In", "one")])).await.is_empty());
}

#[tokio::test]
async fn a_chain_can_be_reorganised_again_and_again_and_no_hash_comes_back() {
    let weave = weave().await;
    let mut hashes = std::collections::BTreeSet::new();
    for n in 0..6 {
        weave.upload(item(n, &[], vec![n; 10])).await.unwrap();
        hashes.insert(weave.mine(1).await.unwrap().hash);
        let done = weave.reorganise(1).await.unwrap();
        assert!(hashes.insert(done.tip.hash));
        check_chain(&weave).await;
    }
    weave.mine(1).await.unwrap();
    let block = weave.block(BlockAt::Current).await.unwrap();
    assert_eq!(block.transactions.len(), 1, "all items are in one bundle");
}

#[tokio::test]
async fn only_blocks_that_are_there_and_not_too_many_can_be_replaced() {
    let weave = weave().await;
    weave.mine(60).await.unwrap();
    for blocks in [0, 51, 61, u64::MAX] {
        let refused = weave.reorganise(blocks).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Invalid, "{blocks}: {refused}");
    }
    assert_eq!(weave.reorganise(50).await.unwrap().tip.height, Height(61));
    check_chain(&weave).await;
}

#[tokio::test]
async fn blocks_of_which_nothing_is_kept_are_not_replaced() {
    let store = Arc::new(MemoryStore::new());
    let before = over(store.clone(), Options { reorganise_max: 2, ..manual() }).await;
    before.mine(5).await.unwrap();
    drop(before);
    let weave = over(store, manual()).await;
    let refused = weave.reorganise(3).await.unwrap_err();
    assert!(refused.kind == Kind::Invalid && refused.what.starts_with("block 3 cannot"), "{refused}");
    check_chain(&weave).await;
    assert_eq!(weave.reorganise(2).await.unwrap().tip.height, Height(6));
    check_chain(&weave).await;
}
