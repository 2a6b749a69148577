//! Items: uploaded, found, read, in blocks.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{ascending, bundle_tags, find, item, manual, over, wallet, weave};
use pirn_weave::Options;
use protocol::Height;
use protocol::ans104::{self, DataItem};
use store::MemoryStore;
use unit::{Arweave, BlockAt, Kind, Query, Sort, Weave};

#[tokio::test]
async fn an_uploaded_item_is_found_at_once_and_gets_a_block() {
    let weave = weave().await;
    let item = item(1, &[("Type", "Message")], "hello");
    weave.upload(item.clone()).await.unwrap();
    let found = weave.get(item.id).await.unwrap();
    assert_eq!((&found.item.data[..], found.block, found.base_layer), (&b"hello"[..], None, false));
    assert_eq!(weave.confirmations(item.id).await.unwrap(), None);
    assert_eq!(find(&weave, Query::tagged([("Type", "Message")])).await, ["hello"]);

    weave.mine(3).await.unwrap();
    let found = weave.get(item.id).await.unwrap();
    assert_eq!(found.block.unwrap().height, Height(1));
    assert_eq!(weave.confirmations(item.id).await.unwrap(), Some(2));
    assert_eq!(weave.tip().await.unwrap().height, Height(3));
}

#[tokio::test]
async fn the_same_item_twice_is_there_once() {
    let weave = weave().await;
    let item = item(1, &[("A", "1")], "once");
    let (a, b) = tokio::join!(weave.upload(item.clone()), weave.upload(item.clone()));
    a.unwrap();
    b.unwrap();
    weave.upload(item).await.unwrap();
    assert_eq!(find(&weave, ascending(Query::default())).await, ["once"]);
}

#[tokio::test]
async fn a_forged_item_is_refused() {
    let weave = weave().await;
    let mut bytes = item(1, &[], "honest payload").bytes().to_vec();
    *bytes.last_mut().unwrap() = b'D';
    let forged = DataItem::parse(Bytes::from(bytes)).unwrap();
    assert_eq!(weave.upload(forged.clone()).await.unwrap_err().kind, Kind::Invalid);
    assert_eq!(weave.get(forged.id).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn an_item_larger_than_allowed_is_refused() {
    let options = Options { item_bytes_max: 300, ..manual() };
    let weave = over(Arc::new(MemoryStore::new()), options).await;
    let error = weave.upload(item(1, &[], vec![0; 300])).await.unwrap_err();
    assert_eq!(error.kind, Kind::TooLarge);
    weave.upload(item(1, &[], "small")).await.unwrap();
}

#[tokio::test]
async fn items_are_bundled_into_a_transaction_whose_data_is_the_bundle() {
    let weave = weave().await;
    let items: Vec<DataItem> = (0..5).map(|i| item(1, &[], format!("item {i}"))).collect();
    for item in &items {
        weave.upload(item.clone()).await.unwrap();
    }
    weave.mine(1).await.unwrap();
    let block = weave.block(BlockAt::Current).await.unwrap();
    let [id] = block.transactions[..] else { panic!("one bundle") };
    let (tx, head) = weave.transaction(id).await.unwrap();
    tx.verify().unwrap();
    assert_eq!(head.unwrap(), block.head);
    let data = weave.data(id, 0..tx.data_size).await.unwrap();
    assert_eq!(data, ans104::bundle(&items));
    assert_eq!(protocol::merkle::data_root(&data)[..], tx.data_root[..]);
    assert_eq!(weave.data(id, 40..500).await.unwrap(), data.slice(40..500));
    for item in &items {
        assert_eq!(weave.entry(item.id).await.unwrap().bundle, Some(id));
    }
    let within = Query { bundles: vec![id], ..ascending(Query::default()) };
    assert_eq!(find(&weave, within).await, ["item 0", "item 1", "item 2", "item 3", "item 4"]);
}

#[tokio::test]
async fn items_that_do_not_fit_one_bundle_or_block_go_into_the_next() {
    let options = Options { bundle_items_max: 2, block_entries_max: 5, ..manual() };
    let weave = over(Arc::new(MemoryStore::new()), options).await;
    for i in 0..7 {
        weave.upload(item(1, &[], format!("item {i}"))).await.unwrap();
    }
    weave.mine(1).await.unwrap();
    assert_eq!(weave.block(BlockAt::Current).await.unwrap().transactions.len(), 3);
    weave.mine(1).await.unwrap();
    assert_eq!(weave.block(BlockAt::Current).await.unwrap().transactions.len(), 1);
    assert_eq!(weave.info().await.unwrap().queue_length, 0);
    let mut heights = Vec::new();
    for entry in weave.entries(ascending(Query::default())).await.unwrap().items {
        heights.push((entry.block.unwrap().height.0, entry.found.base_layer));
    }
    let (i, b) = (false, true);
    let expected = [(1, i), (1, i), (1, b), (1, i), (1, i), (1, b), (1, i), (1, b), (2, i), (2, i), (2, b)];
    assert_eq!(heights, expected);
}

#[tokio::test]
async fn an_uploaded_bundle_is_unpacked_and_its_forged_items_are_left_out() {
    let weave = weave().await;
    let honest = item(2, &[("Unit", "honest")], "honest");
    let forged = {
        let mut bytes = item(3, &[("Unit", "forged")], "payload").bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        DataItem::parse(Bytes::from(bytes)).unwrap()
    };
    let inner = item(4, &bundle_tags(), ans104::bundle(&[honest.clone(), forged.clone()]));
    let outer = item(5, &bundle_tags(), ans104::bundle(&[inner.clone(), item(6, &[], "beside")]));
    weave.upload(outer.clone()).await.unwrap();
    assert_eq!(weave.get(honest.id).await.unwrap().item.data, "honest");
    assert_eq!(weave.get(forged.id).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(find(&weave, Query::tagged([("Unit", "forged")])).await, [""; 0]);
    weave.mine(1).await.unwrap();
    let entry = weave.entry(honest.id).await.unwrap();
    assert_eq!(entry.bundle, Some(inner.id));
    assert_eq!(entry.block.unwrap().height, Height(1));
    assert_eq!(weave.entry(inner.id).await.unwrap().bundle, Some(outer.id));
}

#[tokio::test]
async fn bundles_within_bundles_are_opened_only_so_deep() {
    let options = Options { unpack_depth_max: 2, ..manual() };
    let weave = over(Arc::new(MemoryStore::new()), options).await;
    let mut ids = Vec::new();
    let mut next = item(1, &[], "innermost");
    for _ in 0..4 {
        ids.push(next.id);
        next = item(1, &bundle_tags(), ans104::bundle(&[next]));
    }
    weave.upload(next).await.unwrap();
    let mut there = Vec::new();
    for id in ids {
        there.push(weave.get(id).await.is_ok());
    }
    assert_eq!(there, [false, true, true, true]);
}

#[tokio::test]
async fn garbage_that_calls_itself_a_bundle_is_kept_as_data() {
    let weave = weave().await;
    for garbage in [&b""[..], b"short", &[0xff; 200], &[1; 32]] {
        let item = item(1, &bundle_tags(), garbage.to_vec());
        weave.upload(item.clone()).await.unwrap();
        assert_eq!(weave.get(item.id).await.unwrap().item.data, garbage);
    }
}

#[tokio::test]
async fn everything_is_as_it_was_after_a_crash() {
    let store = Arc::new(MemoryStore::new());
    let first = over(store.clone(), manual()).await;
    let (a, b) = (item(1, &[("K", "a")], "a"), item(1, &[("K", "b")], "b"));
    first.upload(a.clone()).await.unwrap();
    first.mine(2).await.unwrap();
    first.upload(b.clone()).await.unwrap();
    let info = first.info().await.unwrap();
    let survivor = Arc::new(store.crash());
    let second = over(survivor, manual()).await;
    assert_eq!(second.info().await.unwrap(), info);
    assert_eq!(second.get(b.id).await.unwrap().block, None);
    second.mine(1).await.unwrap();
    assert_eq!(second.confirmations(a.id).await.unwrap(), Some(2));
    assert_eq!(second.confirmations(b.id).await.unwrap(), Some(0));
}

#[tokio::test]
async fn an_upload_is_acknowledged_only_when_it_is_durable() {
    let store = Arc::new(MemoryStore::stepped());
    let opening = over(store.clone(), manual());
    let syncing = async {
        while store.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        store.sync();
    };
    let (weave, ()) = tokio::join!(opening, syncing);
    let item = item(1, &[], "slow");
    let mut upload = Box::pin(weave.upload(item.clone()));
    let mut again = Box::pin(weave.upload(item.clone()));
    assert!(futures_poll(&mut upload).is_none());
    assert!(futures_poll(&mut again).is_none(), "the second is told no sooner than the first");
    store.sync();
    upload.await.unwrap();
    again.await.unwrap();
}

#[tokio::test]
async fn a_bundle_that_a_crash_left_packed_is_unpacked_afterwards() {
    let inner = item(2, &[("Unit", "inner")], "inner");
    let outer = item(1, &bundle_tags(), ans104::bundle(std::slice::from_ref(&inner)));
    let stepped = Arc::new(MemoryStore::stepped());
    let syncing = async {
        while stepped.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        stepped.sync();
    };
    let (weave, ()) = tokio::join!(over(stepped.clone(), manual()), syncing);
    let mut upload = Box::pin(weave.upload(outer.clone()));
    assert!(futures_poll(&mut upload).is_none());
    stepped.sync_next();
    // The bundle is durable; the power goes out before what is in it is.
    let survivor = Arc::new(stepped.crash());
    drop(upload);
    let weave = over(survivor.clone(), manual()).await;
    while weave.get(inner.id).await.is_err() {
        survivor.sync();
        tokio::task::yield_now().await;
    }
    assert_eq!(weave.entry(inner.id).await.unwrap().bundle, Some(outer.id));
}

/// Polls once.
fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_block_comes_by_itself_soon_after_an_upload() {
    let weave = over(Arc::new(MemoryStore::new()), Options::default()).await;
    let item = item(1, &[], "soon");
    weave.upload(item.clone()).await.unwrap();
    while weave.confirmations(item.id).await.unwrap().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(weave.tip().await.unwrap().height, Height(1));
}

#[tokio::test]
async fn blocks_chain_and_their_times_never_go_back() {
    let weave = weave().await;
    weave.mine(5).await.unwrap();
    let heads = weave.block_heads(0..100, Sort::Ascending, 100).await.unwrap();
    assert_eq!(heads.len(), 6);
    for pair in heads.windows(2) {
        assert_eq!(pair[1].previous, Some(pair[0].hash));
        assert!(pair[1].timestamp >= pair[0].timestamp);
        assert_eq!(weave.block(BlockAt::Hash(pair[0].hash)).await.unwrap().head, pair[0]);
    }
    assert_eq!(heads[0].previous, None);
    assert_eq!(weave.blocks(Height(4), 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_same_weave_has_the_same_ids() {
    let mut hashes = Vec::new();
    for _ in 0..2 {
        let weave = weave().await;
        weave.upload(item(1, &[("A", "b")], "same")).await.unwrap();
        hashes.push(weave.mine(1).await.unwrap().hash);
    }
    assert_eq!(hashes[0], hashes[1]);
}

#[tokio::test]
async fn a_reset_leaves_a_first_block_and_nothing_else() {
    let weave = weave().await;
    let item = item(1, &[], "gone");
    weave.upload(item.clone()).await.unwrap();
    weave.mine(3).await.unwrap();
    weave.reset().await.unwrap();
    assert_eq!(weave.tip().await.unwrap().height, Height(0));
    assert_eq!(weave.get(item.id).await.unwrap_err().kind, Kind::NotFound);
    weave.upload(item).await.unwrap();
    weave.mine(1).await.unwrap();
    assert_eq!(
        find(&weave, ascending(Query { owners: vec![wallet(1).address()], ..Query::default() })).await,
        ["gone"]
    );
}

#[tokio::test]
async fn a_receipt_is_signed_and_always_the_same() {
    let weave = weave().await;
    let item = item(1, &[], "kept");
    weave.upload(item.clone()).await.unwrap();
    let receipt = weave.upload_receipt(item.id).await.unwrap();
    weave.mine(1).await.unwrap();
    assert_eq!(weave.upload_receipt(item.id).await.unwrap(), receipt);
    let signed = protocol::deep_hash::List::of(5)
        .blob("Bundlr")
        .blob("1.0.0")
        .blob(item.id.to_string())
        .blob(receipt.deadline_height.to_string())
        .blob(receipt.timestamp.to_string())
        .finish();
    let kind = protocol::SignatureType::Arweave;
    assert_eq!(protocol::crypto::verify(kind, &receipt.public, &signed, &receipt.signature), Ok(()));
}

#[tokio::test]
async fn a_wallet_is_known_when_it_signed_or_has_winston() {
    let weave = weave().await;
    let (signer, holder) = (wallet(1).address(), wallet(2).address());
    assert!(!weave.knows_wallet(signer).await.unwrap());
    weave.upload(item(1, &[], "x")).await.unwrap();
    weave.mint(holder, 1).await.unwrap();
    assert!(weave.knows_wallet(signer).await.unwrap());
    assert!(weave.knows_wallet(holder).await.unwrap());
    assert!(!weave.knows_wallet(wallet(3).address()).await.unwrap());
}
