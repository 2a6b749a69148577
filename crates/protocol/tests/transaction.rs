//! Transactions of the base layer against arweave-js's own, and what nodes refuse.

mod vectors;

use bytes::Bytes;
use protocol::transaction::{Invalid, WrongWallet};
use protocol::{Id, Tags, Transaction, Wallet, merkle};
use serde::Deserialize;
use vectors::{B64, load};

#[derive(Deserialize)]
struct Case {
    tx: Json,
    signature_data: B64,
    verify: bool,
}

#[derive(Deserialize)]
struct Json {
    format: u8,
    id: Id,
    last_tx: B64,
    owner: B64,
    tags: Vec<JsonTag>,
    target: B64,
    quantity: String,
    data: B64,
    data_size: String,
    data_root: B64,
    reward: String,
    signature: B64,
}

#[derive(Deserialize)]
struct JsonTag {
    name: B64,
    value: B64,
}

fn transaction(json: Json) -> Transaction {
    Transaction {
        format: json.format,
        id: json.id,
        last_tx: json.last_tx.0.into(),
        owner: json.owner.0.into(),
        tags: json.tags.into_iter().map(|tag| (tag.name.0.into(), tag.value.0.into())).collect(),
        target: json.target.0.into(),
        quantity: json.quantity.parse().unwrap(),
        data_size: json.data_size.parse().unwrap(),
        data_root: json.data_root.0.into(),
        data: json.data.0.into(),
        reward: json.reward.parse().unwrap(),
        denomination: 0,
        signature: json.signature.0.into(),
    }
}

#[test]
fn a_transaction_signed_by_arweave_js_verifies_and_a_changed_one_does_not() {
    let cases: Vec<Case> = load("arweave/tx-v2.json");
    assert!(cases.len() >= 2);
    for case in cases {
        let tx = transaction(case.tx);
        assert_eq!(tx.signing_bytes(), case.signature_data.0);
        assert_eq!(tx.verify().is_ok(), case.verify);
        assert_eq!(tx.check(), Ok(()));
        assert!(Transaction { reward: tx.reward + 1, ..tx.clone() }.verify().is_err());
        assert!(Transaction { id: Id([0; 32]), ..tx }.verify().is_err());
    }
}

fn rsa(n: usize) -> Wallet {
    let file = format!("{}/../node/accounts/rsa-{n}.json", env!("CARGO_MANIFEST_DIR"));
    Wallet::from_jwk(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn secp256k1() -> Wallet {
    Wallet::secp256k1_from_secret([7; 32]).unwrap()
}

fn unsigned() -> Transaction {
    Transaction {
        last_tx: Bytes::from_static(&[6; 48]),
        tags: vec![(Bytes::from_static(b"App"), Bytes::from_static(b"\xff"))],
        target: Bytes::from_static(&[5; 32]),
        quantity: 7,
        reward: 5,
        data: Bytes::from_static(b"hello"),
        ..Transaction::default()
    }
}

#[test]
fn both_formats_and_both_kinds_of_key_verify_after_signing() {
    for (format, wallet) in [(1, rsa(0)), (2, rsa(0)), (2, secp256k1())] {
        let tx = Transaction { format, ..unsigned() }.sign(&wallet).unwrap();
        assert_eq!(tx.check(), Ok(()));
        assert_eq!(tx.data_size, 5);
        let unsalted = tx.clone().sign_unsalted(&wallet).unwrap();
        assert_eq!(unsalted.check(), Ok(()));
        assert_eq!(unsalted.id, tx.clone().sign_unsalted(&wallet).unwrap().id);
        let item = tx.item(tx.data.clone());
        assert_eq!(item.address(), tx.address());
        assert_eq!(item.target, Some(Id([5; 32])));
        assert_eq!(item.tags, [("App", "\u{fffd}")].into_iter().collect::<Tags>());
        assert_eq!(item.data, "hello");
        // An ECDSA signature over something else is by somebody else.
        let changed = Transaction { quantity: 1, ..tx.clone() };
        assert!(changed.check().is_err() || changed.address() != tx.address());
        let nothing = Transaction { signature: Bytes::new(), id: Id::of_signature(&[]), ..tx };
        assert!(matches!(nothing.check(), Err(Invalid::Signature(_))));
    }
}

#[test]
fn the_key_of_an_ecdsa_transaction_is_in_its_signature() {
    let tx = unsigned().sign(&secp256k1()).unwrap();
    assert!(tx.owner.is_empty());
    let owner = secp256k1().owner().to_vec();
    let compressed = [&[2 + (owner[64] & 1)], &owner[1..33]].concat();
    assert_eq!(tx.public_key(), compressed);
}

#[test]
fn an_ed25519_wallet_signs_no_transaction() {
    assert_eq!(unsigned().sign(&Wallet::ed25519_from_seed([1; 32])), Err(WrongWallet));
}

/// What is said of a signed transaction that was changed before it was signed.
#[track_caller]
fn check(change: impl FnOnce(&mut Transaction), verdict: Result<(), Invalid>) {
    let wallet = rsa(0);
    let mut tx = unsigned();
    tx.data_size = 5;
    tx.data_root = merkle::data_root(&tx.data).to_vec().into();
    tx.owner = wallet.owner().to_vec().into();
    change(&mut tx);
    tx.signature = wallet.sign(&tx.signing_bytes()).into();
    tx.id = Id::of_signature(&tx.signature);
    assert_eq!(tx.check(), verdict);
}

#[test]
fn what_nodes_refuse_is_refused() {
    check(|_| {}, Ok(()));
    check(|tx| tx.denomination = 1, Ok(()));
    check(|tx| tx.format = 3, Err(Invalid::Format));
    check(|tx| tx.format = 1, Err(Invalid::Format));
    check(|tx| tx.last_tx = vec![0; 49].into(), Err(Invalid::TooLarge("last_tx")));
    check(|tx| tx.target = vec![0; 33].into(), Err(Invalid::TooLarge("target")));
    check(|tx| tx.target = vec![0; 31].into(), Err(Invalid::NoTarget));
    check(|tx| (tx.target, tx.quantity) = (vec![0; 31].into(), 0), Ok(()));
    check(|tx| tx.target = rsa(0).address().0.0.to_vec().into(), Err(Invalid::PaysItself));
    check(|tx| tx.quantity = 10u128.pow(30), Err(Invalid::TooLarge("quantity")));
    check(|tx| tx.quantity = 10u128.pow(30) - 1, Ok(()));
    let tag = |len: usize| (Bytes::from_static(b"App"), Bytes::from(vec![b'a'; len]));
    check(|tx| tx.tags = vec![tag(2045)], Ok(()));
    check(|tx| tx.tags = vec![tag(2046)], Err(Invalid::TooLarge("tags together (more than 2048 bytes)")));
    check(|tx| tx.tags = vec![Default::default(); 2049], Err(Invalid::TooLarge("number of tags")));
    check(
        |tx| tx.owner = rsa(1).owner().to_vec().into(),
        Err(Invalid::Signature("the RSA signature does not match")),
    );
    check(|tx| tx.owner = vec![0; 512].into(), Err(Invalid::Signature("the owner is no RSA modulus")));
}

#[test]
fn data_within_a_transaction_is_what_the_transaction_says() {
    check(|tx| tx.data = Bytes::new(), Ok(()));
    check(|tx| tx.data_size = 0, Err(Invalid::DataRoot));
    check(|tx| tx.data_root = Bytes::new(), Err(Invalid::DataRoot));
    check(|tx| (tx.data_size, tx.data_root) = (0, Bytes::new()), Err(Invalid::DataSize));
    check(|tx| (tx.data, tx.data_size, tx.data_root) = (Bytes::new(), 0, Bytes::new()), Ok(()));
    check(|tx| tx.data_size = 6, Err(Invalid::DataSize));
    check(|tx| tx.data = Bytes::from_static(b"hallo"), Err(Invalid::Data));
    let of_size = |size: u64| {
        move |tx: &mut Transaction| {
            tx.data = vec![1; size as usize].into();
            tx.data_size = size;
            tx.data_root = merkle::data_root(&tx.data).to_vec().into();
        }
    };
    let max = merkle::CHUNK_MAX;
    check(of_size(max), Ok(()));
    check(of_size(max + merkle::CHUNK_MIN), Ok(()));
    check(of_size(2 * max), Ok(()));
    // Clients balance the last two chunks, nodes do not: such data is uploaded in chunks.
    check(of_size(max + 1), Err(Invalid::Data));
}

#[test]
fn an_id_of_something_else_is_refused() {
    let tx = unsigned().sign(&rsa(0)).unwrap();
    assert_eq!(Transaction { id: Id([0; 32]), ..tx }.check(), Err(Invalid::Id));
}
