//! What items say, read as processes, messages, modules, locations and checkpoints.

mod vectors;

use bytes::Bytes;
use protocol::message::duplicate_key;
use protocol::{
    Address, Checkpoint, DataItem, Draft, Epoch, HashChain, Height, Id, Module, Process, SchedulerLocation,
    Slot, Tags, Timestamp, Wallet,
};

fn wallet(seed: u8) -> Wallet {
    Wallet::ed25519_from_seed([seed; 32])
}

fn item(signer: u8, tags: &[(&str, &str)], data: &'static str) -> DataItem {
    let draft = Draft {
        target: Some(Id([9; 32])),
        anchor: Some(*b"00000000000000000000000000000007"),
        tags: tags.iter().copied().collect(),
        data: Bytes::from_static(data.as_bytes()),
    };
    DataItem::sign(&wallet(signer), draft).unwrap()
}

/// Whether two messages are one for a process that trusts the wallets 1 and 2.
#[track_caller]
fn check_duplicates(a: DataItem, b: DataItem, same: bool) {
    let authorities = [wallet(1).address(), wallet(2).address()];
    assert_eq!(duplicate_key(&a, &authorities) == duplicate_key(&b, &authorities), same);
}

const PUSHED: &[(&str, &str)] = &[("From-Process", "p"), ("Pushed-For", "m"), ("Action", "Credit")];

#[test]
fn two_trusted_messengers_that_push_one_message_push_it_once() {
    check_duplicates(item(1, PUSHED, "5"), item(2, PUSHED, "5"), true);
}

#[test]
fn the_order_of_tags_and_the_first_message_of_the_chain_make_no_difference() {
    let other = [("Action", "Credit"), ("From-Process", "p"), ("Pushed-For", "another")];
    check_duplicates(item(1, PUSHED, "5"), item(2, &other, "5"), true);
    check_duplicates(item(1, PUSHED, "5"), item(2, &other[..2], "5"), true);
}

#[test]
fn what_says_something_else_is_another_message() {
    check_duplicates(item(1, PUSHED, "5"), item(1, PUSHED, "6"), false);
    check_duplicates(item(1, PUSHED, "5"), item(1, &[PUSHED, &[("a", "b")]].concat(), "5"), false);
    check_duplicates(item(1, &[("a", "b"), ("c", "d")], ""), item(1, &[("a", "d"), ("c", "b")], ""), false);
    let mut draft = Draft { anchor: Some([1; 32]), ..Draft::default() };
    let a = DataItem::sign(&wallet(1), draft.clone()).unwrap();
    draft.anchor = Some([2; 32]);
    check_duplicates(a, DataItem::sign(&wallet(1), draft).unwrap(), false);
}

#[test]
fn a_stranger_who_guesses_a_message_does_not_take_its_place() {
    check_duplicates(item(1, PUSHED, "5"), item(3, PUSHED, "5"), false);
    check_duplicates(item(3, PUSHED, "5"), item(4, PUSHED, "5"), false);
    check_duplicates(item(3, PUSHED, "5"), item(3, PUSHED, "5"), true);
}

#[test]
fn a_process_says_whom_it_trusts() {
    let [a, b, c] = [1, 2, 3].map(|seed| wallet(seed).address());
    let id = Id([4; 32]).to_string();
    let lists = [format!("{a}, {b}"), "nobody".to_owned(), format!(",{c},{id}x")];
    let tags = [
        ("Type", "Process"),
        ("Module", &id),
        ("Authority", &lists[0]),
        ("Scheduler", &id),
        ("Authority", &lists[1]),
        ("Authority", &lists[2]),
    ];
    let process = Process::try_from(item(1, &tags, "").item()).unwrap();
    assert_eq!(process.authorities, [a, b, c]);
    assert_eq!(process.scheduler, Address(Id([4; 32])));
}

#[test]
fn a_module_is_an_ao_item_of_that_type() {
    let tags = [("Data-Protocol", "ao"), ("Type", "Module"), ("Module-Format", "wasm64-test")];
    let module = Module::try_from(item(1, &tags, "wasm").item()).unwrap();
    assert_eq!(module.format(), Some("wasm64-test"));
    assert_eq!(module.data, "wasm");
    assert_eq!(module.owner, wallet(1).address());
    assert!(Module::try_from(item(1, &tags[1..], "").item()).is_err(), "not of this protocol");
    assert!(Module::try_from(item(1, &tags[..1], "").item()).is_err(), "not of that type");
}

#[test]
fn a_scheduler_location_is_read_as_it_was_published() {
    let location = SchedulerLocation { url: "http://127.0.0.1:4003".to_owned(), time_to_live_ms: 3_600_000 };
    let publish = |tags: Tags| {
        let draft = Draft { tags, ..Draft::default() };
        SchedulerLocation::try_from(DataItem::sign(&wallet(1), draft).unwrap().item())
    };
    assert_eq!(publish(location.tags()), Ok(location.clone()));
    let tags = location.tags();
    let lower = tags.iter().map(|tag| match tag.name.as_str() {
        name @ ("Url" | "Time-To-Live") => (name.to_lowercase(), tag.value.clone()),
        name => (name.to_owned(), tag.value.clone()),
    });
    assert_eq!(publish(lower.collect()), Ok(location.clone()));
    let soon = location.tags().iter().filter(|tag| tag.name != "Time-To-Live").cloned().collect();
    assert_eq!(publish(Tags(soon)).unwrap_err().name, "Time-To-Live");
}

#[test]
fn a_checkpoint_is_read_as_it_was_published() {
    let full = Checkpoint {
        process: Id([1; 32]).into(),
        module: Id([2; 32]).into(),
        slot: Slot(7),
        timestamp: Timestamp(1_700_000_000_000),
        block_height: Height(1_500_000),
        sha256: [0xab; 32],
        unit: "unit 1".to_owned(),
        ordinate: "7".to_owned(),
        assignment: Some(Id([3; 32])),
        hash_chain: Some(HashChain([4; 32])),
        epoch: Some(Epoch(0)),
        cron: Some("0-10-minutes".to_owned()),
    };
    let bare = Checkpoint { assignment: None, hash_chain: None, epoch: None, cron: None, ..full.clone() };
    for checkpoint in [full, bare] {
        let draft = Draft { tags: checkpoint.tags(), ..Draft::default() };
        let item = DataItem::sign(&wallet(1), draft).unwrap();
        assert_eq!(Checkpoint::try_from(item.item()), Ok(checkpoint.clone()));
        for name in ["Process", "Nonce", "SHA-256", "Type"] {
            let mut item = item.item().clone();
            item.tags.0.iter_mut().find(|tag| tag.name == name).unwrap().value = "?".to_owned();
            assert_eq!(Checkpoint::try_from(&item).unwrap_err().name, name);
        }
    }
}

#[test]
fn hash_chains_are_the_recorded_ones() {
    let id = |letter: &str| (letter.repeat(42) + "M").parse::<Id>().unwrap();
    let start = HashChain::start(id("P").into());
    assert_eq!(start.to_string(), "ij9oTsz6bNvcieZIwxOVx7jrosJS6yfpEcG1HdienjY");
    let next = HashChain(id("P").0).after(id("Q"));
    assert_eq!(next.to_string(), "8YSKaizdNa3GTvhy622sZrmNCzb7OgRnGgx2x-XbSjM");
}
