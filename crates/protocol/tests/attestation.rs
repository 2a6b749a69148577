//! Attestations: what is signed, what is proved, and what is refused.

use bytes::Bytes;
use proptest::prelude::*;
use protocol::attestation::{Due, has_state_root, outcome_digest};
use protocol::{
    Attestation, DataItem, Digest, Draft, Epoch, Id, Json, Leaf, Outcome, Slot, Tags, Timestamp, Wallet, tag,
};

fn wallet() -> Wallet {
    Wallet::ed25519_from_seed([7; 32])
}

fn leaf() -> Leaf {
    Leaf {
        process: Id([1; 32]).into(),
        epoch: Epoch(0),
        slot: Slot(5),
        cron: None,
        assignment: Id([2; 32]),
        outcome: Digest([3; 32]),
        gas: 1_234_500,
        gas_schedule: 1,
        state_root: None,
    }
}

fn alone(leaf: Leaf) -> Attestation {
    let root = leaf.digest();
    Attestation::sign(&wallet(), leaf, (0, 1, root), Vec::new(), None).unwrap()
}

#[test]
fn the_bytes_of_a_leaf_never_change() {
    let whole = Leaf {
        cron: Some(Due { timestamp: Timestamp(9), name: "0-10-minutes".into() }),
        state_root: Some(Digest([4; 32])),
        ..leaf()
    };
    let expected = [
        "01",
        &"01".repeat(32),
        "0000000000000000",
        "0000000000000005",
        &"02".repeat(32),
        &"03".repeat(32),
        "000000000012d644",
        "00000001",
        "01",
        &"04".repeat(32),
        "01",
        "0000000000000009",
        "000c",
        "302d31302d6d696e75746573",
    ]
    .concat();
    let hex: String = whole.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
    for leaf in [whole, leaf()] {
        let bytes = leaf.encode();
        assert_eq!(Leaf::decode(&bytes), Some(leaf));
        for cut in 0..bytes.len() {
            assert_eq!(Leaf::decode(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Leaf::decode(&[&bytes[..], &[0]].concat()), None);
    }
}

#[test]
fn one_slot_in_256_has_a_state_root() {
    let with: Vec<u64> = (0..1000).filter(|slot| has_state_root(Slot(*slot))).collect();
    assert_eq!(with, [255, 511, 767]);
}

#[test]
fn an_outcome_that_says_something_else_has_another_digest() {
    let json = |text: &str| Json::parse(text).unwrap();
    let base = Outcome {
        messages: vec![json("1"), json("23")],
        output: json("{\"a\": 1}"),
        error: None,
        ..Outcome::failed("", 0, 1)
    };
    let others = [
        Outcome { messages: vec![json("12"), json("3")], ..base.clone() },
        Outcome { messages: vec![json("1")], assignments: vec![json("23")], ..base.clone() },
        Outcome { messages: Vec::new(), spawns: vec![json("1"), json("23")], ..base.clone() },
        Outcome { output: json("{\"a\":1}"), ..base.clone() },
        Outcome { error: Some(json("\"\"")), ..base.clone() },
        Outcome { gas_used: 1, ..base.clone() },
    ];
    for other in &others {
        assert_ne!(outcome_digest(other), outcome_digest(&base), "{other:?}");
    }
    // What the leaf says itself, or nobody agrees on.
    let same = Outcome { gas: 9, gas_schedule: 2, memory_bytes: 7, ..base.clone() };
    assert_eq!(outcome_digest(&same), outcome_digest(&base));
    // Computed from the description.
    let expected = "x84dx8dX1VC_b5X49J7slRzuJfbVdKwMbpwoVAsrz3k";
    assert_eq!(outcome_digest(&base).to_string(), expected);
}

#[test]
fn only_what_is_signed_and_proved_is_an_attestation() {
    let good = alone(leaf());
    assert_eq!(Attestation::read(good.statement.clone(), Vec::new()).as_ref(), Ok(&good));
    let why = |statement: DataItem, path: Vec<Digest>| Attestation::read(statement, path).unwrap_err().0;
    assert_eq!(
        why(good.statement.clone(), vec![Digest([0; 32])]),
        "the path does not prove that its leaf is where it says"
    );
    let mut bytes = good.statement.bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    assert!(why(DataItem::parse(bytes.into()).unwrap(), Vec::new()).contains("sign"));

    let with = |change: &dyn Fn(&mut Tags, &mut Bytes)| {
        let (mut tags, mut data) = (good.statement.tags.clone(), good.statement.data.clone());
        change(&mut tags, &mut data);
        DataItem::sign(&wallet(), Draft { tags, data, ..Draft::default() }).unwrap()
    };
    let set = |name: &'static str, value: &str| {
        let value = value.to_owned();
        with(&move |tags, _| {
            tags.0.iter_mut().filter(|tag| tag.name == name).for_each(|tag| tag.value = value.clone())
        })
    };
    for (statement, expected) in [
        (set(tag::TYPE, "Attestation"), "its Type is another"),
        (set(tag::NONCE, "6"), "its tags name another process or slot than its leaf"),
        (set(tag::PROCESS, &Id([9; 32]).to_string()), "its tags name another process or slot than its leaf"),
        (set(tag::LEAF_INDEX, "x"), "its Leaf-Index tag is malformed"),
        (set(tag::TREE_SIZE, "2"), "the path does not prove that its leaf is where it says"),
        (
            set(tag::TREE_ROOT, &Id([9; 32]).to_string()),
            "the path does not prove that its leaf is where it says",
        ),
        (with(&|tags, _| tags.0.retain(|tag| tag.name != tag::TREE_ROOT)), "it has no Tree-Root tag"),
        (with(&|_, data| *data = data.slice(1..)), "its data is no leaf"),
    ] {
        assert_eq!(why(statement, Vec::new()), expected);
    }
}

proptest! {
    #[test]
    fn no_bytes_are_more_than_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Some(leaf) = Leaf::decode(&bytes) {
            prop_assert_eq!(leaf.encode(), bytes);
        }
    }
}
