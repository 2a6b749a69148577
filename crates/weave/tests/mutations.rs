//! Bundles that were changed, that lie about their lengths, or that are deep: what is found in them is what somebody
//! signed, byte for byte, and everything else is left out.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{bundle_tags, draft, item, manual, over, rsa, tx_tags, wallet};
use pirn_weave::{EmbeddedWeave, Options};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use protocol::{DataItem, Draft, Id, Tag, Tags, Transaction, Wallet, ans104};
use store::MemoryStore;
use unit::{Arweave, Posted, Query, Weave};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn weave(options: Options) -> Arc<EmbeddedWeave> {
    over(Arc::new(MemoryStore::new()), options).await
}

fn bundle_of(seed: u8, bytes: impl Into<Bytes>) -> DataItem {
    item(seed, &bundle_tags(), bytes)
}

/// Everything that is in a bundle, nested or not, as items with their bytes.
async fn unpacked(weave: &EmbeddedWeave, bundle: Id) -> Vec<DataItem> {
    let mut found = Vec::new();
    let mut bundles = vec![bundle];
    while let Some(bundle) = bundles.pop() {
        let query = Query { bundles: vec![bundle], limit: 1000, ..Query::default() };
        for one in weave.query(query).await.unwrap().items {
            let whole = weave.get(one.item.id).await.unwrap().item;
            let item = DataItem::restore(&whole).expect("what is served verifies");
            bundles.push(item.id);
            found.push(item);
        }
    }
    found
}

fn is_one_of(item: &DataItem, honest: &[DataItem]) -> bool {
    honest.iter().any(|one| one.bytes() == item.bytes())
}

prop_compose! {
    fn any_items()(parts in vec((1u8..250, ".{0,10}", ".{0,10}", vec(any::<u8>(), 0..60)), 1..5)) -> Vec<DataItem> {
        let sign = |(seed, name, value, data): (u8, String, String, Vec<u8>)| {
            let tags = Tags(vec![Tag { name, value }]);
            DataItem::sign(&wallet(seed), Draft { tags, data: data.into(), ..Draft::default() }).unwrap()
        };
        parts.into_iter().map(sign).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_in_a_changed_bundle_was_signed_as_it_is(
        items in any_items(),
        changes in vec((any::<Index>(), 1u8..), 1..4),
        nested in any::<bool>(),
        cut in proptest::option::of(any::<Index>()),
    ) {
        let mut bytes = ans104::bundle(&items).to_vec();
        for (at, change) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= change;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        let inner = bundle_of(251, bytes);
        let outer = if nested { bundle_of(252, ans104::bundle(std::slice::from_ref(&inner))) } else { inner.clone() };
        runtime().block_on(async {
            let weave = weave(manual()).await;
            weave.upload(outer.clone()).await.unwrap();
            weave.mine(1).await.unwrap();
            for found in unpacked(&weave, outer.id).await {
                prop_assert!(is_one_of(&found, &items) || found.bytes() == inner.bytes());
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_bundle_that_lies_about_its_lengths_ends_nothing(
        items in any_items(),
        which in any::<Index>(),
        lie in prop_oneof![any::<u64>(), Just(u64::MAX), Just(u64::MAX / 64), Just(0), 0u64..500],
        high in prop_oneof![Just([0u8; 24]), Just([0xff; 24])],
    ) {
        let mut bytes = ans104::bundle(&items).to_vec();
        let at = match which.index(items.len() + 1) { 0 => 0, n => 32 + 64 * (n - 1) };
        bytes[at..at + 8].copy_from_slice(&lie.to_le_bytes());
        bytes[at + 8..at + 32].copy_from_slice(&high);
        let outer = bundle_of(251, bytes);
        runtime().block_on(async {
            let weave = weave(manual()).await;
            weave.upload(outer.clone()).await.unwrap();
            for found in unpacked(&weave, outer.id).await {
                prop_assert!(is_one_of(&found, &items));
            }
            Ok(())
        })?;
    }

    #[test]
    fn an_uploaded_item_with_a_changed_byte_is_refused_and_found_nowhere(
        items in any_items(),
        at in any::<Index>(),
        change in 1u8..,
    ) {
        let mut bytes = items[0].bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        let Ok(changed) = DataItem::parse(bytes.into()) else { return Ok(()) };
        runtime().block_on(async {
            let weave = weave(manual()).await;
            prop_assert!(weave.upload(changed.clone()).await.is_err());
            prop_assert!(weave.get(changed.id).await.is_err());
            let all = Query { limit: 10, ..Query::default() };
            prop_assert!(weave.query(all).await.unwrap().items.is_empty());
            Ok(())
        })?;
    }

    #[test]
    fn a_posted_transaction_with_a_changed_byte_is_refused_and_found_nowhere(
        has_curve in any::<bool>(),
        data in vec(any::<u8>(), 1..300),
        field in 0usize..5,
        at in any::<Index>(),
        change in 1u8..,
    ) {
        runtime().block_on(async {
            let weave = weave(manual()).await;
            let wallet = if has_curve { Wallet::secp256k1_from_secret([3; 32]).unwrap() } else { rsa() };
            let tx = Transaction { tags: tx_tags(&[("A", "b"), ("Empty", "")]), ..draft(&weave, data).await };
            let tx = tx.sign(&wallet).unwrap();
            weave.mint(tx.address(), 10u128.pow(15)).await.unwrap();
            weave.mine(1).await.unwrap();
            let mut changed = tx.clone();
            let bytes = match field {
                0 => &mut changed.last_tx,
                1 => &mut changed.signature,
                2 => &mut changed.data_root,
                3 => &mut changed.data,
                _ => &mut changed.owner,
            };
            if bytes.is_empty() {
                return Ok(());
            }
            let mut altered = bytes.to_vec();
            altered[at.index(bytes.len())] ^= change;
            *bytes = altered.into();
            prop_assert!(weave.post_transaction(changed.clone()).await.is_err());
            changed.id = Id::of_signature(&changed.signature);
            prop_assert!(weave.post_transaction(changed.clone()).await.is_err());
            prop_assert!(weave.pending().await.unwrap().is_empty());
            prop_assert_eq!(weave.post_transaction(tx.clone()).await.unwrap(), Posted::Accepted);
            prop_assert_eq!(weave.pending().await.unwrap(), [tx.id]);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn bundles_in_bundles_are_looked_into_as_deep_as_the_bound_says() {
    let weave = weave(Options { unpack_depth_max: 5, ..manual() }).await;
    let mut nest = item(1, &[], "innermost");
    let mut levels = vec![nest.id];
    for level in 0..200_u8 {
        nest = bundle_of(level, ans104::bundle(std::slice::from_ref(&nest)));
        levels.push(nest.id);
    }
    weave.upload(nest.clone()).await.unwrap();
    assert_eq!(unpacked(&weave, nest.id).await.len(), 6);
    let known = levels.iter().rev().take(7);
    for id in known {
        weave.get(*id).await.unwrap();
    }
    assert!(weave.get(levels[0]).await.is_err());
}

#[tokio::test]
async fn as_many_items_are_looked_at_as_the_bound_says() {
    let weave = weave(Options { unpack_items_max: 10, ..manual() }).await;
    let items: Vec<_> = (0..30).map(|n| item(n, &[], vec![n])).collect();
    let bundle = bundle_of(200, ans104::bundle(&items));
    weave.upload(bundle.clone()).await.unwrap();
    assert_eq!(unpacked(&weave, bundle.id).await.len(), 10);
}

#[tokio::test]
async fn tags_that_are_many_or_empty_are_found_as_they_are() {
    let weave = weave(manual()).await;
    let many: Vec<(String, String)> = (0..128).map(|n| (format!("n{n}"), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let (many, empty) = (item(1, &many, "many"), item(2, &[("", ""), ("", "")], "empty"));
    let bundle = bundle_of(3, ans104::bundle(&[many.clone(), empty.clone()]));
    weave.upload(bundle.clone()).await.unwrap();
    assert_eq!(unpacked(&weave, bundle.id).await.len(), 2);
    for (name, id) in [("n0", many.id), ("n127", many.id), ("", empty.id)] {
        let found = weave.query(Query::tagged([(name, "")])).await.unwrap().items;
        assert_eq!(found.iter().map(|found| found.item.id).collect::<Vec<_>>(), [id]);
    }
}
