//! Transactions and chunks: what is accepted, what is refused, what it costs, and what can be read afterwards.

mod common;

use bytes::Bytes;
use common::{bundle_tags, draft, find, item, other_rsa, rich, rsa, tx_tags, weave};
use pirn_weave::EmbeddedWeave;
use protocol::ans104::{self, DataItem};
use protocol::{Height, Id, Transaction, Wallet, merkle};
use unit::{Arweave, BlockAt, Kind, NewChunk, Posted, Query, Weave};

/// Posts a good transaction that was changed before it was signed; what the node says.
async fn verdict(change: impl FnOnce(&mut Transaction)) -> String {
    verdict_after(change, |_| {}).await
}

/// The same, with another change after it was signed.
async fn verdict_after(
    change: impl FnOnce(&mut Transaction),
    after: impl FnOnce(&mut Transaction),
) -> String {
    let weave = weave().await;
    let wallet = rich(&weave).await;
    let mut tx = draft(&weave, "hello").await;
    change(&mut tx);
    let mut tx = tx.sign(&wallet).unwrap();
    after(&mut tx);
    match weave.post_transaction(tx).await {
        Ok(posted) => format!("{posted:?}"),
        Err(error) => format!("{:?}: {}", error.kind, error.what),
    }
}

const BAD: &str = "Invalid: Transaction verification failed.";

#[tokio::test]
async fn a_transaction_is_accepted_only_if_everything_about_it_holds() {
    let winston = |tx: &mut Transaction| {
        tx.target = Bytes::from(vec![7; 32]);
        tx.quantity = 5;
        tx.reward += 1_000_000_000;
    };
    assert_eq!(verdict(|_| {}).await, "Accepted");
    assert_eq!(verdict(winston).await, "Accepted");
    assert_eq!(verdict(|tx| tx.format = 1).await, "Accepted");
    assert_eq!(verdict(|tx| tx.tags = tx_tags(&[("a", &"v".repeat(2047))])).await, "Accepted");
    // Reward and balance.
    assert_eq!(verdict(|tx| tx.reward = 0).await, BAD);
    assert_eq!(verdict(|tx| tx.reward -= 1).await, BAD);
    assert_eq!(
        verdict(|tx| (tx.target, tx.quantity) = (Bytes::from(vec![7; 32]), 10u128.pow(15))).await,
        BAD
    );
    assert_eq!(
        verdict(|tx| (tx.target, tx.quantity) = (Bytes::from(vec![7; 32]), 10u128.pow(35))).await,
        BAD
    );
    // A target that is new costs more than one that is known.
    assert_eq!(verdict(|tx| (tx.target, tx.quantity) = (Bytes::from(vec![7; 32]), 5)).await, BAD);
    assert_eq!(verdict(|tx| (tx.target, tx.quantity) = (Bytes::from(vec![7; 31]), 5)).await, BAD);
    assert_eq!(verdict(|tx| tx.target = Bytes::copy_from_slice(&rsa().address().0.0)).await, BAD);
    // Anchor.
    assert_eq!(
        verdict(|tx| tx.last_tx = Bytes::from(vec![1; 48])).await,
        "Invalid: Invalid anchor (last_tx)."
    );
    assert_eq!(
        verdict(|tx| tx.last_tx = Bytes::from(vec![1; 32])).await,
        "Invalid: Invalid anchor (last_tx)."
    );
    assert_eq!(verdict(|tx| tx.last_tx = Bytes::from(vec![1; 49])).await, BAD);
    // A wallet that never sent anything may leave it empty.
    assert_eq!(verdict(|tx| tx.last_tx = Bytes::new()).await, "Accepted");
    // Tags.
    assert_eq!(verdict(|tx| tx.tags = tx_tags(&[("a", &"v".repeat(2048))])).await, BAD);
    assert_eq!(verdict(|tx| tx.format = 3).await, BAD);
    assert_eq!(verdict(|tx| tx.denomination = 1).await, BAD);
}

#[tokio::test]
async fn a_transaction_that_was_changed_after_signing_is_refused() {
    let nothing = |_: &mut Transaction| {};
    let flip = |bytes: &Bytes| {
        let mut bytes = bytes.to_vec();
        bytes[100] ^= 1;
        Bytes::from(bytes)
    };
    assert_eq!(verdict_after(nothing, |tx| tx.reward += 1).await, BAD);
    assert_eq!(verdict_after(nothing, |tx| tx.signature = flip(&tx.signature)).await, BAD);
    let resigned = |tx: &mut Transaction| {
        tx.signature = flip(&tx.signature);
        tx.id = Id::of_signature(&tx.signature);
    };
    assert_eq!(verdict_after(nothing, resigned).await, BAD);
    assert_eq!(verdict_after(nothing, |tx| tx.owner = flip(&tx.owner)).await, BAD);
    assert_eq!(verdict_after(nothing, |tx| tx.id = Id([9; 32])).await, BAD);
    let split = "Invalid: The attached data is split in an unknown way.";
    assert_eq!(verdict_after(nothing, |tx| tx.data = Bytes::from_static(b"hellO")).await, split);
    assert_eq!(verdict_after(nothing, |tx| tx.data = Bytes::from_static(b"hello!")).await, split);
}

#[tokio::test]
async fn a_duplicate_is_known() {
    let weave = weave().await;
    let tx = draft(&weave, "hello").await.sign(&rich(&weave).await).unwrap();
    assert_eq!(weave.post_transaction(tx.clone()).await.unwrap(), Posted::Accepted);
    assert_eq!(weave.post_transaction(tx.clone()).await.unwrap(), Posted::Known);
    weave.mine(1).await.unwrap();
    assert_eq!(weave.post_transaction(tx).await.unwrap(), Posted::Known);
}

#[tokio::test]
async fn a_wallet_pays_once_it_is_in_a_block_and_cannot_spend_twice_before() {
    let weave = weave().await;
    let wallet = rsa();
    let target = other_rsa().address();
    weave.mint(wallet.address(), 1_000_000_000_000).await.unwrap();
    weave.mint(target, 1).await.unwrap();
    let pay = |quantity| {
        let (weave, wallet) = (weave.clone(), wallet.clone());
        async move {
            let mut tx = draft(&weave, "").await;
            tx.target = Bytes::copy_from_slice(&target.0.0);
            tx.quantity = quantity;
            tx.sign(&wallet).unwrap()
        }
    };
    let price = weave.price(0, Some(target)).await.unwrap();
    let first = pay(600_000_000_000).await;
    weave.post_transaction(first.clone()).await.unwrap();
    assert_eq!(weave.balance(target).await.unwrap(), 1, "not before a block");
    let second = weave.post_transaction(pay(600_000_000_000).await).await.unwrap_err();
    assert!(second.hint.unwrap().contains("what waits for a block"));
    weave.mine(1).await.unwrap();
    assert_eq!(weave.balance(target).await.unwrap(), 600_000_000_001);
    assert_eq!(weave.balance(wallet.address()).await.unwrap(), 400_000_000_000 - price);
    assert_eq!(weave.last_tx(wallet.address()).await.unwrap(), Some(first.id));
    assert_eq!(weave.block(BlockAt::Current).await.unwrap().reward_pool, price);
}

#[tokio::test]
async fn balances_are_exact_beyond_what_a_float_holds() {
    let weave = weave().await;
    let address = rsa().address();
    weave.mint(address, (1 << 53) + 1).await.unwrap();
    assert_eq!(weave.mint(address, 10u128.pow(20)).await.unwrap(), 10u128.pow(20) + (1 << 53) + 1);
}

#[tokio::test]
async fn an_anchor_may_be_the_wallets_last_transaction_or_one_of_fifty_blocks() {
    let weave = weave().await;
    let wallet = rich(&weave).await;
    let first = draft(&weave, "a").await.sign(&wallet).unwrap();
    weave.post_transaction(first.clone()).await.unwrap();
    let after = |last_tx: Bytes| {
        let (weave, wallet) = (weave.clone(), wallet.clone());
        async move {
            let tx = Transaction { last_tx, ..draft(&weave, "b").await };
            weave.post_transaction(tx.sign(&wallet).unwrap()).await
        }
    };
    let id = Bytes::copy_from_slice(first.id.as_bytes());
    let pending = after(id.clone()).await.unwrap_err();
    assert_eq!(pending.what, "Invalid anchor (last_tx from mempool).");
    weave.mine(1).await.unwrap();
    after(id.clone()).await.unwrap();
    let anchor = Bytes::copy_from_slice(&weave.anchor().await.unwrap().0);
    weave.mine(40).await.unwrap();
    after(anchor.clone()).await.unwrap();
    weave.mine(20).await.unwrap();
    assert_eq!(after(anchor).await.unwrap_err().what, "Invalid anchor (last_tx).");
}

#[tokio::test]
async fn only_format_2_goes_without_an_owner() {
    let weave = weave().await;
    let wallet = Wallet::secp256k1_from_secret([3; 32]).unwrap();
    weave.mint(wallet.address(), 1_000_000_000_000).await.unwrap();
    let tx = Transaction { format: 1, ..draft(&weave, "data").await }.sign(&wallet).unwrap();
    let error = weave.post_transaction(tx).await.unwrap_err();
    assert!(error.what.starts_with("Invalid signature type."), "{error}");
}

#[tokio::test]
async fn a_transaction_signed_by_a_secp256k1_wallet_pays_from_that_wallet() {
    let weave = weave().await;
    let wallet = Wallet::secp256k1_from_secret([3; 32]).unwrap();
    let tx = draft(&weave, "hello").await.sign(&wallet).unwrap();
    weave.mint(tx.address(), 10u128.pow(12)).await.unwrap();
    weave.post_transaction(tx.clone()).await.unwrap();
    weave.mine(1).await.unwrap();
    assert_eq!(weave.balance(tx.address()).await.unwrap(), 10u128.pow(12) - tx.reward);
    assert_eq!(weave.get(tx.id).await.unwrap().item.data, "hello");
}

/// Posts a transaction without its data; the transaction and all the data's chunks.
async fn announce(weave: &EmbeddedWeave, tags: &[(&str, &str)], data: Bytes) -> (Transaction, Vec<NewChunk>) {
    let tx = Transaction { tags: tx_tags(tags), ..draft(weave, data.clone()).await }
        .sign(&rich(weave).await)
        .unwrap();
    let ranges = merkle::cut(data.len() as u64);
    let tree = merkle::tree(&merkle::leaves(&data, &ranges));
    let chunks = ranges.into_iter().zip(tree.proofs).filter(|(range, _)| !range.is_empty());
    let chunks = chunks.map(|(range, proof)| NewChunk {
        data_root: tree.root,
        data_size: data.len() as u64,
        data_path: proof.into(),
        offset: range.end - 1,
        data: data.slice(range.start as usize..range.end as usize),
    });
    let chunks = chunks.collect();
    let tx = Transaction { data: Bytes::new(), ..tx };
    weave.post_transaction(tx.clone()).await.unwrap();
    (tx, chunks)
}

fn noise(len: usize) -> Bytes {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[tokio::test]
async fn data_in_chunks_is_whole_when_the_last_is_there_in_any_order() {
    for size in [700_000, 786_432, 262_145] {
        let weave = weave().await;
        let data = noise(size);
        let (tx, mut chunks) = announce(&weave, &[], data.clone()).await;
        weave.mine(1).await.unwrap();
        chunks.reverse();
        for chunk in chunks {
            assert_eq!(weave.get(tx.id).await.unwrap_err().kind, Kind::NotFound, "{size} bytes");
            assert_eq!(weave.data(tx.id, 0..0).await.unwrap_err().kind, Kind::NotFound, "{size} bytes");
            weave.post_chunk(chunk.clone()).await.unwrap();
            weave.post_chunk(chunk).await.unwrap();
        }
        assert!(weave.get(tx.id).await.unwrap().item.data == data, "{size} bytes");
        assert_eq!(weave.data(tx.id, 262_000..262_145).await.unwrap(), data.slice(262_000..262_145));
    }
}

#[tokio::test]
async fn identical_chunks_are_all_kept() {
    let weave = weave().await;
    let zeros = Bytes::from(vec![0; 786_432]);
    let (tx, chunks) = announce(&weave, &[], zeros.clone()).await;
    for chunk in chunks {
        weave.post_chunk(chunk).await.unwrap();
    }
    assert!(weave.get(tx.id).await.unwrap().item.data == zeros);
}

#[tokio::test]
async fn a_chunk_with_wrong_bytes_root_proof_or_place_is_refused() {
    let weave = weave().await;
    let (_, chunks) = announce(&weave, &[], noise(700_000)).await;
    let good = chunks[1].clone();
    let refused = |chunk: NewChunk| {
        let weave = weave.clone();
        async move { weave.post_chunk(chunk).await.unwrap_err().what }
    };
    let bytes = NewChunk { data: chunks[0].data.clone(), ..good.clone() };
    assert_eq!(refused(bytes).await, "invalid_proof");
    assert_eq!(refused(NewChunk { data_root: [3; 32], ..good.clone() }).await, "invalid_proof");
    assert_eq!(refused(NewChunk { offset: 10, ..good.clone() }).await, "invalid_proof");
    assert_eq!(refused(NewChunk { offset: u64::MAX, ..good.clone() }).await, "invalid_proof");
    assert_eq!(refused(NewChunk { data_path: Bytes::new(), ..good.clone() }).await, "invalid_proof");
    assert_eq!(refused(NewChunk { data: noise(262_145), ..good.clone() }).await, "chunk_too_big");
    assert_eq!(refused(NewChunk { data_path: noise(262_145), ..good.clone() }).await, "data_path_too_big");
    // A chunk that is good, of data that nobody announced.
    let other = noise(300_000);
    let ranges = merkle::cut(300_000);
    let tree = merkle::tree(&merkle::leaves(&other, &ranges));
    let unknown = NewChunk {
        data_root: tree.root,
        data_size: 300_000,
        data_path: tree.proofs[0].clone().into(),
        offset: 0,
        data: other.slice(ranges[0].start as usize..ranges[0].end as usize),
    };
    assert_eq!(refused(unknown).await, "data_root_not_found");
    weave.post_chunk(good).await.unwrap();
}

#[tokio::test]
async fn every_byte_of_the_weave_finds_its_chunk_with_both_proofs() {
    let weave = weave().await;
    let wallet = rich(&weave).await;
    let small = draft(&weave, "seventeen bytes!!").await.sign(&wallet).unwrap();
    weave.post_transaction(small.clone()).await.unwrap();
    let data = noise(700_000);
    let (tx, chunks) = announce(&weave, &[], data.clone()).await;
    for chunk in chunks {
        weave.post_chunk(chunk).await.unwrap();
    }
    for i in 0..3 {
        weave.upload(item(1, &[], format!("item {i}"))).await.unwrap();
    }
    assert_eq!(weave.offset(small.id).await.unwrap_err().kind, Kind::NotFound, "not before a block");
    weave.mine(1).await.unwrap();
    assert_eq!(weave.offset(small.id).await.unwrap(), (17, 17));
    assert_eq!(weave.offset(tx.id).await.unwrap(), (700_017, 700_000));

    let block = weave.block(BlockAt::Current).await.unwrap();
    assert_eq!(block.transactions.len(), 3);
    let end = block.weave_size;
    // Leaves of a block's tree are whole transactions.
    let mut leaves = Vec::new();
    let mut ranges = Vec::new();
    for id in &block.transactions {
        let (end, size) = weave.offset(*id).await.unwrap();
        let hash = weave.transaction(*id).await.unwrap().0.data_root[..].try_into().unwrap();
        leaves.push(merkle::Leaf { hash, end });
        ranges.push(end - size..end);
    }
    let tree = merkle::tree(&leaves);
    assert_eq!(block.tx_root, Some(tree.root));
    for offset in [1, 17, 18, 19, 262_161, 262_162, 700_016, 700_017, 700_018, end] {
        let chunk = weave.chunk(offset).await.unwrap();
        let at = offset - 1;
        let index = ranges.iter().position(|range| range.contains(&at)).unwrap();
        let (range, leaf) = (&ranges[index], leaves[index]);
        assert_eq!(chunk.tx_path[..], tree.proofs[index], "{offset}");
        let (size, at) = (range.end - range.start, at - range.start);
        merkle::check_chunk(&leaf.hash, size, at, &chunk.data_path, &chunk.data).unwrap();
    }
    for offset in [0, end + 1, u64::MAX] {
        assert_eq!(weave.chunk(offset).await.unwrap_err().kind, Kind::NotFound, "{offset}");
    }
}

#[tokio::test]
async fn a_posted_bundle_is_unpacked_whether_its_data_came_along_or_in_chunks() {
    for in_chunks in [false, true] {
        let weave = weave().await;
        let honest = item(2, &[("Unit", "honest")], "honest");
        let mut forged = item(3, &[("Unit", "forged")], "honest payload").bytes().to_vec();
        *forged.last_mut().unwrap() = b'D';
        let forged = DataItem::parse(forged.into()).unwrap();
        let large = item(2, &[("Unit", "large")], noise(if in_chunks { 400_000 } else { 10 }));
        let data = ans104::bundle(&[honest.clone(), forged.clone(), large.clone()]);
        let id = if in_chunks {
            let (tx, chunks) = announce(&weave, &bundle_tags(), data).await;
            weave.mine(1).await.unwrap();
            for chunk in chunks {
                assert_eq!(weave.get(honest.id).await.unwrap_err().kind, Kind::NotFound);
                weave.post_chunk(chunk).await.unwrap();
            }
            tx.id
        } else {
            let tx = Transaction { tags: tx_tags(&bundle_tags()), ..draft(&weave, data).await };
            let tx = tx.sign(&rich(&weave).await).unwrap();
            weave.post_transaction(tx.clone()).await.unwrap();
            weave.mine(1).await.unwrap();
            tx.id
        };
        let entry = weave.entry(honest.id).await.unwrap();
        assert_eq!((entry.bundle, entry.block.unwrap().height), (Some(id), Height(1)));
        assert!(weave.get(large.id).await.unwrap().item.data == large.data);
        assert_eq!(weave.get(forged.id).await.unwrap_err().kind, Kind::NotFound);
        assert_eq!(find(&weave, Query::tagged([("Unit", "forged")])).await, [""; 0]);
        assert_eq!(find(&weave, Query::tagged([("Unit", "honest")])).await, ["honest"]);
        // What came within a bundle is not bundled again.
        weave.mine(1).await.unwrap();
        assert!(weave.block(BlockAt::Current).await.unwrap().transactions.is_empty());
    }
}

#[tokio::test]
async fn transactions_without_data_and_with_empty_data_are_readable() {
    let weave = weave().await;
    let tx = draft(&weave, "").await.sign(&rich(&weave).await).unwrap();
    weave.post_transaction(tx.clone()).await.unwrap();
    weave.mine(1).await.unwrap();
    assert_eq!(weave.get(tx.id).await.unwrap().item.data, "");
    assert_eq!(weave.pending().await.unwrap(), [Id([0; 32]); 0]);
}
