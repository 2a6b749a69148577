//! What is changed in any byte after it was signed is refused, or means exactly the same.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use protocol::{DataItem, Draft, Id, Tag, Tags, Transaction, Wallet, ans104, merkle};

/// A key of each sort that items are signed with.
fn wallets() -> Vec<Wallet> {
    vec![
        Wallet::ed25519_from_seed([7; 32]),
        Wallet::secp256k1_from_secret([7; 32]).unwrap(),
        Wallet::from_jwk(include_str!("../../node/accounts/rsa-0.json")).unwrap(),
    ]
}

prop_compose! {
    fn any_item()(
        wallet in 0usize..3,
        target in proptest::option::of(any::<[u8; 32]>()),
        anchor in proptest::option::of(any::<[u8; 32]>()),
        tags in prop_oneof![
            vec((".{0,20}", ".{0,30}"), 0..6),
            // As many as there may be, and all that may be empty is.
            Just(vec![(String::new(), String::new()); 128]),
        ],
        data in vec(any::<u8>(), 0..200),
    ) -> DataItem {
        let tags = Tags(tags.into_iter().map(|(name, value)| Tag { name, value }).collect());
        let draft = Draft { target: target.map(Id), anchor, tags, data: data.into() };
        DataItem::sign(&wallets()[wallet], draft).unwrap()
    }
}

/// Reads an item as whoever receives it does.
fn accepted(bytes: Vec<u8>) -> Option<DataItem> {
    DataItem::parse(bytes.into()).ok().filter(|item| item.verify().is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_item_with_a_changed_byte_is_refused(item in any_item(), changes in vec((any::<Index>(), 1u8..), 24)) {
        for (at, change) in changes {
            let mut bytes = item.bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            // There is one way to write what was signed, so nothing else can mean the same.
            prop_assert!(accepted(bytes).is_none(), "byte {}", at);
        }
    }

    #[test]
    fn an_item_that_is_cut_or_goes_on_is_refused(item in any_item(), cut in any::<Index>(), more in vec(any::<u8>(), 1..9)) {
        let bytes = item.bytes();
        prop_assert!(accepted(bytes[..cut.index(bytes.len())].to_vec()).is_none());
        prop_assert!(accepted([bytes, &more[..]].concat()).is_none());
    }

    #[test]
    fn an_item_whose_lengths_lie_is_refused(item in any_item(), lie in any::<u64>(), which in 0usize..2) {
        let mut bytes = item.bytes().to_vec();
        let fixed = 2 + item.signature.len() + item.owner.len();
        let optional = 2 + if item.target.is_some() { 32 } else { 0 } + item.anchor.len();
        let at = fixed + optional + 8 * which;
        let honest = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        prop_assume!(lie != honest);
        bytes[at..at + 8].copy_from_slice(&lie.to_le_bytes());
        prop_assert!(accepted(bytes).is_none());
    }

    #[test]
    fn a_bundle_with_a_changed_byte_has_no_item_that_was_not_in_it(
        items in vec(any_item(), 1..4),
        changes in vec((any::<Index>(), 1u8..), 16),
    ) {
        let whole = ans104::bundle(&items);
        for (at, change) in changes {
            let mut bytes = whole.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            let bytes = Bytes::from(bytes);
            for entry in ans104::bundle_index(&bytes).unwrap_or_default() {
                let Ok(item) = ans104::parse_entry(&bytes, entry) else { continue };
                prop_assert!(item.verify().is_err() || items.contains(&item), "byte {}", at);
            }
        }
    }

    #[test]
    fn a_bundle_whose_sizes_lie_has_no_item_that_was_not_in_it(
        items in vec(any_item(), 1..4),
        which in any::<Index>(),
        lie in prop_oneof![any::<u64>(), Just(u64::MAX), 0u64..4000],
        high in prop_oneof![Just(0u8), any::<u8>()],
    ) {
        let mut bytes = ans104::bundle(&items).to_vec();
        // The number of items, or the size of one.
        let at = match which.index(items.len() + 1) { 0 => 0, n => 32 + 64 * (n - 1) };
        bytes[at..at + 8].copy_from_slice(&lie.to_le_bytes());
        bytes[at + 31] = high;
        let bytes = Bytes::from(bytes);
        for entry in ans104::bundle_index(&bytes).unwrap_or_default() {
            let Ok(item) = ans104::parse_entry(&bytes, entry) else { continue };
            prop_assert!(item.verify().is_err() || items.contains(&item));
        }
    }

    #[test]
    fn a_transaction_with_a_changed_byte_is_refused(
        tx in any_transaction(),
        changes in vec((0usize..10, any::<Index>(), 1u8..), 24),
    ) {
        prop_assert_eq!(tx.check(), Ok(()));
        for (field, at, change) in changes {
            let mut changed = tx.clone();
            if !alter(&mut changed, field, at, change) {
                continue;
            }
            // A secp256k1 signature tells its key, so over other words it is that of a wallet that nobody has: what it
            // would cost is not there.
            let is_nobodys = tx.owner.is_empty() && changed.address() != tx.address();
            prop_assert!(changed.check().is_err() || is_nobodys, "field {} of {:?}", field, changed);
        }
    }

    #[test]
    fn a_chunk_with_a_changed_byte_or_proof_is_refused(
        size in 1u64..900_000,
        at in any::<Index>(),
        place in any::<Index>(),
        change in 1u8..,
    ) {
        let data: Vec<u8> = (0..size).map(|n| (n * n / 13) as u8).collect();
        let chunks = merkle::cut(size);
        let leaves = merkle::leaves(&data, &chunks);
        let tree = merkle::tree(&leaves);
        let which = at.index(chunks.iter().filter(|chunk| !chunk.is_empty()).count());
        let range = chunks[which].clone();
        let chunk = data[range.start as usize..range.end as usize].to_vec();
        let proof = tree.proofs[which].clone();
        let check = |root: &[u8; 32], size, proof: &[u8], chunk: &[u8]| {
            merkle::check_chunk(root, size, range.start, proof, chunk)
        };
        prop_assert!(check(&tree.root, size, &proof, &chunk).is_ok());
        let mut bad = chunk.clone();
        bad[place.index(chunk.len())] ^= change;
        prop_assert!(check(&tree.root, size, &proof, &bad).is_err());
        let mut bad = proof.clone();
        bad[place.index(proof.len())] ^= change;
        prop_assert!(check(&tree.root, size, &bad, &chunk).is_err());
        let mut bad = tree.root;
        bad[place.index(32)] ^= change;
        prop_assert!(check(&bad, size, &proof, &chunk).is_err());
        prop_assert!(check(&tree.root, size, &proof[..place.index(proof.len())], &chunk).is_err());
        // Of a size that the root does not tell, only the last chunk can show it.
        for lie in [0, range.start, u64::MAX] {
            if let Ok(proven) = check(&tree.root, lie, &proof, &chunk) {
                prop_assert_eq!(proven.range, range.clone());
            }
        }
    }
}

prop_compose! {
    fn any_transaction()(
        curve in any::<bool>(),
        first in any::<bool>(),
        target in proptest::option::of(any::<[u8; 32]>()),
        quantity in 0u128..10u128.pow(18),
        reward in 1u128..10u128.pow(18),
        last_tx in prop_oneof![Just(Vec::new()), vec(any::<u8>(), 32), vec(any::<u8>(), 48)],
        tags in prop_oneof![
            vec((vec(any::<u8>(), 0..20), vec(any::<u8>(), 0..30)), 0..6),
            Just(vec![(vec![b'a'], Vec::new()); 128]),
        ],
        data in vec(any::<u8>(), 0..200),
    ) -> Transaction {
        let wallets = wallets();
        let tx = Transaction {
            format: if first && !curve { 1 } else { 2 },
            quantity: if target.is_some() { quantity } else { 0 },
            target: target.map(|target| Bytes::copy_from_slice(&target)).unwrap_or_default(),
            reward,
            last_tx: last_tx.into(),
            tags: tags.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            data: data.into(),
            ..Transaction::default()
        };
        tx.sign(&wallets[if curve { 1 } else { 2 }]).unwrap()
    }
}

/// Changes a byte of a field. False if there is none to change.
fn alter(tx: &mut Transaction, field: usize, at: Index, change: u8) -> bool {
    let byte = |bytes: &mut Bytes| {
        if bytes.is_empty() {
            return false;
        }
        let mut changed = bytes.to_vec();
        let at = at.index(changed.len());
        changed[at] ^= change;
        *bytes = changed.into();
        true
    };
    match field {
        0 => byte(&mut tx.owner),
        1 => byte(&mut tx.target),
        2 => byte(&mut tx.last_tx),
        3 => byte(&mut tx.data_root),
        4 => byte(&mut tx.data),
        5 => byte(&mut tx.signature),
        6 => {
            tx.id.0[at.index(32)] ^= change;
            true
        }
        7 => {
            tx.quantity ^= u128::from(change) << (8 * at.index(16));
            true
        }
        8 => {
            tx.reward ^= u128::from(change) << (8 * at.index(16));
            true
        }
        _ => {
            let count = tx.tags.len();
            if count == 0 {
                return false;
            }
            let (name, value) = &mut tx.tags[at.index(count)];
            if change.is_multiple_of(2) { byte(name) } else { byte(value) }
        }
    }
}
