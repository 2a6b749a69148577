//! Whatever comes in: decoders answer and never panic, and what was written is read again.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use protocol::ans104::{self, DataItem, tags};
use protocol::{Draft, Id, SignatureType, Tag, Tags, Transaction, Wallet, crypto, merkle};

fn wallet() -> Wallet {
    Wallet::ed25519_from_seed([7; 32])
}

prop_compose! {
    fn any_tag()(name in ".{0,40}", value in ".{0,60}") -> Tag {
        Tag { name, value }
    }
}

prop_compose! {
    fn any_draft()(
        target in any::<Option<[u8; 32]>>(),
        anchor in any::<Option<[u8; 32]>>(),
        tags in vec(any_tag(), 0..12),
        data in vec(any::<u8>(), 0..300),
    ) -> Draft {
        Draft { target: target.map(Id), anchor, tags: Tags(tags), data: data.into() }
    }
}

/// Bytes that are nearly right: some were changed, and some at the end are missing.
fn nearly(mut bytes: Vec<u8>, changes: &[(Index, u8)], keep: Index) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    if changes.len().is_multiple_of(2) {
        bytes.truncate(keep.index(bytes.len()) + 1);
    }
    bytes
}

proptest! {
    #[test]
    fn a_signed_draft_is_read_as_it_was_written(draft in any_draft()) {
        let item = DataItem::sign(&wallet(), draft.clone()).unwrap();
        let read = DataItem::parse(item.bytes().clone()).unwrap();
        prop_assert_eq!(read.verify(), Ok(()));
        prop_assert_eq!(read.item(), item.item());
        prop_assert_eq!(read.target, draft.target);
        prop_assert_eq!(&read.anchor[..], draft.anchor.as_ref().map_or(&[][..], |anchor| anchor));
        prop_assert_eq!(&read.tags, &draft.tags);
        prop_assert_eq!(&read.data, &draft.data);
    }

    #[test]
    fn tags_are_read_as_they_were_written(tags in vec(any_tag(), 0..140).prop_map(Tags)) {
        match tags::encode(&tags) {
            Ok(bytes) => {
                prop_assert!(bytes.len() <= tags::MAX_BYTES && tags.0.len() <= tags::MAX_TAGS);
                prop_assert_eq!(tags::decode(&bytes), Ok(tags));
            }
            Err(_) => {
                let size: usize = tags.iter().map(|tag| tag.name.len() + tag.value.len() + 4).sum();
                prop_assert!(tags.0.len() > tags::MAX_TAGS || size + 3 > tags::MAX_BYTES);
            }
        }
    }

    #[test]
    fn a_bundle_is_read_as_it_was_written(drafts in vec(any_draft(), 0..5)) {
        let items: Vec<_> = drafts.into_iter().map(|draft| DataItem::sign(&wallet(), draft).unwrap()).collect();
        let bytes = ans104::bundle(&items);
        let read = ans104::parse_bundle(bytes.clone()).unwrap();
        prop_assert_eq!(ans104::bundle(&read), bytes);
        prop_assert_eq!(read, items);
    }

    #[test]
    fn any_bytes_are_an_item_or_not(kind in 0u16..9, bytes in vec(any::<u8>(), 0..3000)) {
        let bytes = Bytes::from([&kind.to_le_bytes()[..], &bytes].concat());
        if let Ok(item) = DataItem::parse(bytes.clone()) {
            prop_assert_eq!(item.bytes(), &bytes);
            let _ = item.verify();
        }
    }

    #[test]
    fn a_nearly_right_item_is_refused(
        draft in any_draft(),
        changes in vec(any::<(Index, u8)>(), 0..4),
        keep in any::<Index>(),
    ) {
        let item = DataItem::sign(&wallet(), draft).unwrap();
        let bytes = nearly(item.bytes().to_vec(), &changes, keep);
        let verdict = DataItem::parse(bytes.clone().into()).and_then(|item| item.verify());
        prop_assert_eq!(verdict.is_ok(), item.bytes()[..] == bytes);
    }

    #[test]
    fn any_bytes_are_tags_or_not(bytes in vec(any::<u8>(), 0..200)) {
        let _ = tags::decode(&bytes);
    }

    #[test]
    fn a_nearly_right_bundle_is_one_or_not(
        drafts in vec(any_draft(), 0..4),
        changes in vec(any::<(Index, u8)>(), 0..4),
        keep in any::<Index>(),
    ) {
        let items: Vec<_> = drafts.into_iter().map(|draft| DataItem::sign(&wallet(), draft).unwrap()).collect();
        let bytes = Bytes::from(nearly(ans104::bundle(&items).to_vec(), &changes, keep));
        if let Ok(items) = ans104::parse_bundle(bytes.clone()) {
            prop_assert_eq!(ans104::bundle(&items), bytes);
        }
    }

    #[test]
    fn any_signature_by_any_key_has_a_verdict(
        kind in 1u16..8,
        message in vec(any::<u8>(), 0..60),
        owner in vec(any::<u8>(), 1025),
        signature in vec(any::<u8>(), 2052),
        cut in any::<bool>(),
    ) {
        let kind = SignatureType::from_number(kind).unwrap();
        let cut = usize::from(cut);
        let (owner, signature) = (&owner[..kind.owner_len() - cut], &signature[..kind.signature_len() - cut]);
        prop_assert!(crypto::verify(kind, owner, &message, signature).is_err());
    }

    #[test]
    fn any_proof_has_a_verdict(
        size in any::<u64>(),
        offset in any::<u64>(),
        proof in vec(any::<u8>(), 0..600),
        rebased in any::<bool>(),
    ) {
        let proof = if rebased { [&[0; 32], &proof[..]].concat() } else { proof };
        prop_assert_eq!(merkle::prove(&[7; 32], size, offset, &proof), None);
    }

    #[test]
    fn every_chunk_of_any_data_is_proven(size in 0u64..2_000_000) {
        let cut = merkle::cut(size);
        let tree = merkle::tree(&merkle::leaves(&vec![0; size as usize], &cut));
        let mut end = 0;
        for (range, proof) in cut.iter().zip(&tree.proofs) {
            prop_assert_eq!(range.start, end);
            end = range.end;
            if let Some(last) = range.clone().last() {
                let proven = merkle::prove(&tree.root, size, last, proof).unwrap();
                prop_assert_eq!(&proven.range, range);
                prop_assert!(proven.is_strict(size));
            }
        }
        prop_assert_eq!(end, size);
    }

    #[test]
    fn any_transaction_has_a_verdict(
        (format, target, owner, root) in (0u8..4, vec(any::<u8>(), 0..34), vec(any::<u8>(), 0..514), vec(any::<u8>(), 0..34)),
        (quantity, reward, data_size, denomination) in any::<(u128, u128, u64, u64)>(),
        (data, signature, tag) in (vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..70), vec(any::<u8>(), 0..2050)),
    ) {
        let tx = Transaction {
            id: Id::of_signature(&signature),
            format,
            target: target.into(),
            owner: owner.into(),
            data_root: root.into(),
            quantity: quantity >> 28,
            reward: reward >> 28,
            data_size,
            denomination,
            data: data.into(),
            signature: signature.into(),
            tags: vec![(Bytes::new(), tag.into())],
            ..Transaction::default()
        };
        let _ = tx.check();
        let _ = tx.item(tx.data.clone());
    }

    #[test]
    fn any_text_is_a_wallet_or_not(text in ".{0,80}", kty in "(RSA|OKP|EC)", d in "[A-Za-z0-9_-]{0,45}") {
        let _ = Wallet::from_jwk(&text);
        let crv = if kty == "EC" { "secp256k1" } else { "Ed25519" };
        let jwk = format!(
            r#"{{"kty":"{kty}","crv":"{crv}","d":"{d}","n":"{d}","e":"AQAB","p":"{d}","q":"","dp":"{d}","dq":"AQ","qi":"AA"}}"#
        );
        let _ = Wallet::from_jwk(&jwk);
    }

    #[test]
    fn any_text_is_an_id_or_not(text in ".{0,50}") {
        if let Ok(id) = text.parse::<Id>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}
