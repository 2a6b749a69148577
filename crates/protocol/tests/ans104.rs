//! Data items against the recorded vectors, byte for byte.

mod vectors;

use bytes::Bytes;
use protocol::ans104::{self, DataItem};
use protocol::{Draft, Id, SignatureType, Wallet, deep_hash};
use serde::Deserialize;
use vectors::{B64, load, read};

#[derive(Deserialize)]
struct Case {
    name: String,
    raw: B64,
    id: Id,
    expected_ours: bool,
    #[serde(flatten)]
    says: Option<Says>,
}

/// What valid vectors tell about themselves.
#[derive(Deserialize)]
struct Says {
    signature_type: u16,
    owner: B64,
    owner_address: Id,
    target: String,
    anchor: B64,
    tags: protocol::Tags,
    raw_tags: B64,
    data_sha256: String,
    signature_data: B64,
}

#[test]
fn every_recorded_item_gets_our_verdict() {
    let cases: Vec<Case> = load("arweave/ans104-items.json");
    assert!(cases.len() >= 18);
    for case in cases {
        let read = DataItem::parse(Bytes::from(case.raw.0.clone()));
        let verdict = read.as_ref().map_err(Clone::clone).and_then(DataItem::verify);
        assert_eq!(verdict.is_ok(), case.expected_ours, "{}: {verdict:?}", case.name);
        let Ok(item) = read else { continue };
        assert_eq!(item.id, case.id, "{}", case.name);
        assert_eq!(item.bytes()[..], case.raw.0, "{}", case.name);
    }
}

#[test]
fn every_recorded_item_is_read_as_it_says() {
    let cases: Vec<Case> = load("arweave/ans104-items.json");
    let cases = cases.into_iter().filter_map(|case| Some((case.name, case.raw, case.says?)));
    let mut seen = 0;
    for (name, raw, says) in cases {
        let item = DataItem::parse(Bytes::from(raw.0)).unwrap();
        assert_eq!(item.signature_type.number(), says.signature_type, "{name}");
        assert_eq!(item.owner[..], says.owner.0, "{name}");
        assert_eq!(item.address().0, says.owner_address, "{name}");
        assert_eq!(item.target.map(|id| id.to_string()).unwrap_or_default(), says.target, "{name}");
        assert_eq!(item.anchor[..], says.anchor.0, "{name}");
        assert_eq!(item.tags, says.tags, "{name}");
        assert_eq!(ans104::tags::encode(&item.tags).unwrap(), says.raw_tags.0, "{name}");
        assert_eq!(vectors::sha256_hex(&item.data), says.data_sha256, "{name}");
        assert_eq!(item.signing_hash()[..], says.signature_data.0, "{name}");
        seen += 1;
    }
    assert!(seen >= 14, "only {seen} vectors were read");
}

#[test]
fn the_protocols_example_item_has_its_bytes_and_ids() {
    let tags = [("Data-Protocol", "ao"), ("Variant", "ao.TN.1"), ("Type", "Message"), ("Action", "Eval")];
    let tags = ans104::tags::encode(&tags.into_iter().collect()).unwrap();
    let mut raw = vec![1, 0];
    raw.extend([3; 512]);
    raw.extend([1; 512]);
    raw.push(1);
    raw.extend([2; 32]);
    raw.push(1);
    raw.extend(b"00000000000000000000000000000001");
    raw.extend(4u64.to_le_bytes());
    raw.extend(60u64.to_le_bytes());
    raw.extend(&tags);
    raw.extend(b"1 + 1");
    assert_eq!(raw.len(), 1173);
    assert_eq!(vectors::sha256_hex(&raw), "2cf3228eaee19d0f6082d57fbaab06aa95bcb0fe8a4def7d181ecdc8b1d69c78");
    let item = DataItem::parse(raw.into()).unwrap();
    assert_eq!(item.id.to_string(), "ZXEHgAbp6y8byTcuT1ZPs75skooeih-CN-TTcoeGQNA");
    assert_eq!(item.address().to_string(), "bK841TeYTiYVJ7jK71-ZD7kUFaHbkXGYghp57SiZeXM");
    assert_eq!(item.target.unwrap().to_string(), "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI");
    assert_eq!(
        vectors::hex(&item.signing_hash()),
        "380c634830a7107f91fb68891dfa65498fa123db5040e4bd9a9b6d5abaa4a0326bbae06f56a191ec865ffab864029216"
    );
    assert!(item.verify().is_err(), "nobody signed it");
}

#[test]
fn deep_hashes_are_the_recorded_ones() {
    #[derive(Deserialize)]
    struct Case {
        input: serde_json::Value,
        sha384: B64,
    }
    fn hash(value: &serde_json::Value) -> deep_hash::Hash {
        match value {
            serde_json::Value::Array(items) => items
                .iter()
                .fold(deep_hash::List::of(items.len()), |list, item| list.element(&hash(item)))
                .finish(),
            serde_json::Value::String(text) => deep_hash::blob(&read(text.strip_prefix("b64:").unwrap())),
            other => panic!("not a vector: {other}"),
        }
    }
    for case in load::<Vec<Case>>("arweave/deephash.json") {
        assert_eq!(hash(&case.input)[..], case.sha384.0, "{}", case.input);
    }
}

fn wallets() -> [Wallet; 3] {
    let key: serde_json::Value = load("arweave/http/test-wallet.json");
    [
        Wallet::from_jwk(&key.to_string()).unwrap(),
        Wallet::ed25519_from_seed([7; 32]),
        Wallet::secp256k1_from_secret([7; 32]).unwrap(),
    ]
}

fn draft() -> Draft {
    Draft {
        target: Some(Id([9; 32])),
        anchor: Some([8; 32]),
        tags: [("Data-Protocol", "ao"), ("名前", ""), ("Type", "Message")].into_iter().collect(),
        data: Bytes::from_static(b"1 + 1"),
    }
}

#[test]
fn what_every_kind_of_wallet_signs_is_read_and_verified() {
    for wallet in wallets() {
        for draft in [draft(), Draft::default()] {
            let item = DataItem::sign(&wallet, draft.clone()).unwrap();
            let again = DataItem::parse(item.bytes().clone()).unwrap();
            again.verify().unwrap();
            assert_eq!(again.item(), item.item());
            assert_eq!(again.target, draft.target);
            assert_eq!(again.anchor[..], draft.anchor.map(Vec::from).unwrap_or_default());
            assert_eq!(again.tags, draft.tags);
            assert_eq!(again.data, draft.data);
            assert_eq!(again.address(), wallet.address());
            assert_eq!(Wallet::from_jwk(&wallet.to_jwk()).unwrap().owner(), wallet.owner());
        }
    }
}

#[test]
fn a_changed_byte_of_a_signed_item_is_noticed() {
    for wallet in wallets() {
        let item = DataItem::sign(&wallet, draft()).unwrap();
        for at in 0..item.bytes().len() {
            let mut bytes = item.bytes().to_vec();
            bytes[at] ^= 1;
            let verdict = DataItem::parse(bytes.into()).and_then(|item| item.verify());
            assert!(verdict.is_err(), "{:?}: byte {at}", wallet.signature_type());
        }
    }
}

#[test]
fn a_bundle_gives_its_items_back() {
    let items: Vec<DataItem> =
        wallets().iter().map(|wallet| DataItem::sign(wallet, draft()).unwrap()).collect();
    for items in [&items[..], &items[1..], &[]] {
        let bundle = ans104::bundle(items);
        assert_eq!(ans104::parse_bundle(bundle.clone()).unwrap(), items);
        assert_eq!(vectors::hex(&bundle[..32])[..2], format!("{:02x}", items.len()));
    }
}

#[test]
fn a_bundle_that_misnames_an_item_is_refused() {
    let item = DataItem::sign(&wallets()[1], draft()).unwrap();
    let mut bundle = ans104::bundle(&[item]).to_vec();
    bundle[64] ^= 1;
    assert!(ans104::parse_bundle(bundle.into()).is_err());
}

#[test]
fn signatures_that_others_accept_and_we_refuse() {
    // Aptos's set of keys: two real ones, the other places empty.
    let message = [5; 48];
    let signers = [1u8, 2].map(|seed| Wallet::ed25519_from_seed([seed; 32]));
    let owner = |threshold: u8| {
        let mut owner = signers.iter().flat_map(|signer| signer.owner().to_vec()).collect::<Vec<_>>();
        owner.resize(1024, 0);
        owner.push(threshold);
        owner
    };
    let signature = |bitmap: [u8; 4]| {
        let mut signature = signers.iter().flat_map(|signer| signer.sign(&message)).collect::<Vec<_>>();
        signature.resize(2048, 0);
        signature.extend(bitmap);
        signature
    };
    let verdict = |threshold, bitmap: [u8; 4]| {
        protocol::crypto::verify(SignatureType::MultiAptos, &owner(threshold), &message, &signature(bitmap))
            .is_ok()
    };
    assert!(verdict(2, [0xc0, 0, 0, 0]));
    assert!(verdict(1, [0x80, 0, 0, 0]));
    assert!(verdict(1, [0x40, 0, 0, 0]));
    assert!(!verdict(2, [0x80, 0, 0, 0]), "one of two is not two");
    assert!(!verdict(0, [0, 0, 0, 0]), "nobody signed");
    assert!(!verdict(1, [0xe0, 0, 0, 0]), "an empty place signed");
    assert!(!verdict(1, [0, 0, 0, 1]), "only an empty place signed");
}

#[test]
fn an_item_is_restored_from_its_words_and_from_no_others() {
    let cases: Vec<Case> = load("arweave/ans104-items.json");
    let mut restored = 0;
    for case in cases.into_iter().filter(|case| case.expected_ours) {
        let item = DataItem::parse(Bytes::from(case.raw.0)).unwrap();
        assert_eq!(DataItem::restore(item.item()).as_ref(), Some(&item), "{}", case.name);
        let other = protocol::Item { data: Bytes::from_static(b"other"), ..item.item().clone() };
        assert_eq!(DataItem::restore(&other), None, "{}", case.name);
        restored += 1;
    }
    assert!(restored >= 9);
}
