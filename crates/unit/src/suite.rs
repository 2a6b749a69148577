//! What every implementation of a contract must pass, here or behind a network.
//!
//! A test brings fresh ground for each case and calls the suite:
//!
//! ```ignore
//! unit::suite::scheduler(async || Ground { scheduler, weave, clock }).await;
//! ```

use std::sync::Arc;

use protocol::{Address, DataItem, Draft, HashChain, Id, ProcessId, Slot, Tags, Timestamp, Wallet, tag};

use crate::fakes::{FakeClock, FakeWeave};
use crate::{AssignRequest, Kind, Novelty, Placed, Scheduled, Scheduler, SlotRange, Weave as _};

pub use crate::compute_suite::{ComputeGround, compute};
pub use crate::messenger_suite::{MessengerGround, messenger};
pub use crate::weave_suite::{WeaveGround, weave};

/// A fresh scheduler and what it stands on.
pub struct Ground {
    /// Under test. It has no processes.
    pub scheduler: Arc<dyn Scheduler>,
    /// Its weave.
    pub weave: Arc<FakeWeave>,
    /// Its clock, which stands still unless a case sets it.
    pub clock: Arc<FakeClock>,
}

/// Everything that a [`Scheduler`] promises.
pub async fn scheduler(fresh: impl AsyncFn() -> Ground) {
    the_process_has_slot_0_and_messages_follow(fresh().await).await;
    the_same_item_keeps_its_slot(fresh().await).await;
    timestamps_rise_though_the_clock_goes_back(fresh().await).await;
    what_is_no_message_is_refused(fresh().await).await;
    a_process_must_be_whole_and_ours(fresh().await).await;
    a_page_is_exact_about_what_follows(fresh().await).await;
    an_entry_is_found_in_its_own_schedule(fresh().await).await;
    a_message_is_assigned_to_another_process(fresh().await).await;
    a_transaction_is_assigned_once_it_is_deep_enough(fresh().await).await;
    what_two_messengers_push_has_one_slot(fresh().await).await;
    a_process_boots_from_what_is_on_the_weave(fresh().await).await;
}

/// A signed Process item for the scheduler `scheduler`, with more tags.
pub fn process_item(wallet: &Wallet, scheduler: Address, tags: &[(&str, &str)]) -> DataItem {
    let scheduler = scheduler.to_string();
    let module = Address::of_owner(b"module").to_string();
    let ours = [
        (tag::DATA_PROTOCOL, tag::AO),
        (tag::VARIANT, tag::AO_TN_1),
        (tag::TYPE, "Process"),
        (tag::MODULE, &module),
        (tag::SCHEDULER, &scheduler),
    ];
    sign(wallet, None, tags.iter().copied().chain(ours).collect(), "1984")
}

/// A signed Message item for `process`, with more tags.
pub fn message_item(wallet: &Wallet, process: ProcessId, tags: &[(&str, &str)], data: &str) -> DataItem {
    let ours = [(tag::DATA_PROTOCOL, tag::AO), (tag::VARIANT, tag::AO_TN_1), (tag::TYPE, "Message")];
    sign(wallet, Some(process.into()), tags.iter().copied().chain(ours).collect(), data)
}

/// A wallet that is the same in every run; `n` tells them apart.
pub fn wallet(n: u8) -> Wallet {
    Wallet::ed25519_from_seed([n; 32])
}

fn sign(wallet: &Wallet, target: Option<Id>, tags: Tags, data: &str) -> DataItem {
    let draft = Draft { target, tags, data: bytes::Bytes::copy_from_slice(data.as_bytes()), anchor: None };
    DataItem::sign(wallet, draft).expect("the suite's items are well-formed")
}

impl Ground {
    async fn spawn(&self, tags: &[(&str, &str)]) -> ProcessId {
        let ours = self.scheduler.address().await.expect("the scheduler has an address");
        let item = process_item(&wallet(1), ours, tags);
        self.schedule(&item).await;
        item.id.into()
    }

    async fn schedule(&self, item: &DataItem) -> Placed {
        let scheduled = self.scheduler.schedule(item.clone()).await;
        scheduled.unwrap_or_else(|error| panic!("{} gets a slot: {error}", item.id))
    }

    async fn send(&self, process: ProcessId, data: &str) -> Scheduled {
        self.schedule(&message_item(&wallet(1), process, &[], data)).await.entry
    }

    async fn refuses(&self, item: DataItem, kind: Kind, why: &str) {
        let error = self.scheduler.schedule(item).await.expect_err(why);
        assert_eq!(error.kind, kind, "{why}: {error}");
        assert!(!error.what.is_empty(), "{why}: an error says what");
    }

    async fn whole(&self, process: ProcessId, range: SlotRange, limit: usize) -> Vec<Scheduled> {
        let mut all: Vec<Scheduled> = Vec::new();
        let mut range = range;
        loop {
            let page = self.scheduler.schedule_page(process, range, limit).await.expect("a page");
            assert!(page.items.len() <= limit, "a page has at most its limit");
            assert!(!page.has_next || !page.items.is_empty(), "a page that has a next one is not empty");
            all.extend(page.items);
            let Some(last) = all.last().filter(|_| page.has_next) else { return all };
            range = match range {
                SlotRange::Time { to, .. } => SlotRange::Time { after: Some(last.assignment.timestamp), to },
                SlotRange::Slots { to, .. } => SlotRange::Slots { after: Some(last.assignment.slot), to },
            };
        }
    }
}

const ALL: SlotRange = SlotRange::Slots { after: None, to: None };

/// Checks that a whole schedule is dense, chained, rising, and the process's own.
#[track_caller]
pub fn check_schedule(process: ProcessId, entries: &[Scheduled]) {
    let mut before: Option<&Scheduled> = None;
    for (n, entry) in entries.iter().enumerate() {
        let assignment = &entry.assignment;
        assert_eq!(assignment.slot, Slot(n as u64), "slots have no gaps");
        assert_eq!(assignment.process, process);
        let chain = before.map_or(HashChain::start(process), |before| {
            assert!(assignment.timestamp > before.assignment.timestamp, "timestamps rise at slot {n}");
            assert!(assignment.block_height >= before.assignment.block_height, "heights do not fall");
            before.assignment.hash_chain.after(before.assignment.id())
        });
        assert_eq!(assignment.hash_chain, chain, "the hash chain covers what came before slot {n}");
        assert_eq!(assignment.message.is_none(), n == 0, "only the process itself has no Message tag");
        before = Some(entry);
    }
}

async fn the_process_has_slot_0_and_messages_follow(ground: Ground) {
    let process = ground.spawn(&[]).await;
    let mut ids = vec![Id::from(process)];
    for n in 0..5 {
        ids.push(ground.send(process, &n.to_string()).await.message_id());
    }
    let entries = ground.whole(process, ALL, 100).await;
    check_schedule(process, &entries);
    assert_eq!(entries.iter().map(Scheduled::message_id).collect::<Vec<_>>(), ids);
    let boot = entries[0].message.as_ref().expect("slot 0 has the Process item");
    assert_eq!(boot.id, process.into());

    let record = ground.scheduler.process(process).await.expect("a process has a record");
    assert_eq!(record.item.id, process.into());
    assert_eq!(record.item.tags, boot.tags);
    assert_eq!(record.timestamp, entries[0].assignment.timestamp);
    assert_eq!(record.block_height, entries[0].assignment.block_height);
    let newest = ground.scheduler.latest(process).await.expect("a process has a latest entry");
    assert_eq!(newest.assignment.slot, Slot(5));
    let ours = ground.scheduler.address().await.expect("an address");
    assert!(entries.iter().all(|entry| entry.assignment.item.address() == ours), "the scheduler signs");
    ground.scheduler.now().await.expect("a time");
}

async fn the_same_item_keeps_its_slot(ground: Ground) {
    let ours = ground.scheduler.address().await.expect("an address");
    let process = process_item(&wallet(1), ours, &[]);
    let first = ground.schedule(&process).await;
    let message = message_item(&wallet(1), process.id.into(), &[], "a");
    let second = ground.schedule(&message).await;
    assert_eq!([first.novelty, second.novelty], [Novelty::First; 2], "nobody sent these before");
    ground.send(process.id.into(), "b").await;
    for (item, slot) in [(&process, &first), (&message, &second), (&process, &first)] {
        let again = ground.schedule(item).await;
        assert_eq!(again.assignment.id(), slot.assignment.id(), "sent again it has the same assignment");
        assert_eq!(again.assignment.timestamp, slot.assignment.timestamp);
        assert_eq!(again.novelty, Novelty::Repeat, "and its sender hears that it is an old one");
    }
    check_schedule(process.id.into(), &ground.whole(process.id.into(), ALL, 100).await);
    assert_eq!(ground.whole(process.id.into(), ALL, 100).await.len(), 3);
}

async fn timestamps_rise_though_the_clock_goes_back(ground: Ground) {
    let process = ground.spawn(&[]).await;
    let start = ground.scheduler.latest(process).await.expect("slot 0").assignment.timestamp.0;
    for (n, now) in [start, start + 50, start - 1000, start + 50, 0].into_iter().enumerate() {
        ground.clock.set(now);
        ground.send(process, &n.to_string()).await;
    }
    check_schedule(process, &ground.whole(process, ALL, 100).await);
}

async fn what_is_no_message_is_refused(ground: Ground) {
    let process = ground.spawn(&[]).await;
    let me = &wallet(1);
    let valid = message_item(me, process, &[], "x");
    let mut broken = valid.bytes().to_vec();
    *broken.last_mut().expect("an item has bytes") ^= 1;
    let broken = DataItem::parse(broken.into()).expect("only the signature is wrong");
    ground.refuses(broken, Kind::Invalid, "a signature over other bytes").await;

    let target = Some(process.into());
    let tagged = |tags: &[(&str, &str)], target| sign(me, target, tags.iter().copied().collect(), "x");
    let protocol = (tag::DATA_PROTOCOL, tag::AO);
    let message = (tag::TYPE, "Message");
    for (item, why) in [
        (tagged(&[message], target), "no Data-Protocol"),
        (tagged(&[protocol], target), "no Type"),
        (tagged(&[protocol, (tag::TYPE, "Module")], target), "a module has no slot"),
        (tagged(&[protocol, message], None), "no target"),
        (tagged(&[protocol, message, ("a+link", "b")], target), "a link for a name"),
        (tagged(&[protocol, message, ("a", "b+link")], target), "a link for a value"),
    ] {
        ground.refuses(item, Kind::Invalid, why).await;
    }
    let stranger = ProcessId(Address::of_owner(b"nobody").0);
    ground.refuses(message_item(me, stranger, &[], "x"), Kind::NotFound, "an unknown process").await;
    let lower_case = tagged(&[protocol, ("type", "Message")], target);
    assert_eq!(
        ground.schedule(&lower_case).await.assignment.slot,
        Slot(1),
        "`type` is a Type, and no refusal took a slot"
    );
}

async fn a_process_must_be_whole_and_ours(ground: Ground) {
    let ours = ground.scheduler.address().await.expect("an address");
    let other = process_item(&wallet(1), wallet(99).address(), &[]);
    ground.refuses(other.clone(), Kind::Refused, "a process of another scheduler").await;
    let unknown = ground.scheduler.latest(other.id.into()).await.expect_err("it was refused");
    assert_eq!(unknown.kind, Kind::NotFound);

    let ours = ours.to_string();
    let module = Address::of_owner(b"module").to_string();
    let head = [(tag::DATA_PROTOCOL, tag::AO), (tag::TYPE, "Process")];
    for (tags, why) in [
        (vec![(tag::MODULE, &*module)], "no Scheduler"),
        (vec![(tag::SCHEDULER, &*ours)], "no Module"),
        (vec![(tag::SCHEDULER, &*ours), (tag::MODULE, "a module")], "a Module that names nothing"),
    ] {
        let item = sign(&wallet(1), None, head.into_iter().chain(tags).collect(), "x");
        ground.refuses(item, Kind::Invalid, why).await;
    }
}

async fn a_page_is_exact_about_what_follows(ground: Ground) {
    let process = ground.spawn(&[]).await;
    for n in 1..=6 {
        ground.clock.advance(n * 10);
        ground.send(process, &n.to_string()).await;
    }
    let all = ground.whole(process, ALL, 100).await;
    let time = |slot: usize| all[slot].assignment.timestamp;
    let slots =
        |after: Option<u64>, to: Option<u64>| SlotRange::Slots { after: after.map(Slot), to: to.map(Slot) };
    let times = |after, to| SlotRange::Time { after, to };
    let later = |slot| Timestamp(time(slot).0 + 1);
    for (range, expect) in [
        (slots(None, None), 0..7),
        (slots(Some(0), None), 1..7),
        (slots(Some(2), Some(4)), 3..5),
        (slots(None, Some(0)), 0..1),
        (slots(None, Some(99)), 0..7),
        (slots(Some(6), None), 7..7),
        (slots(Some(99), None), 7..7),
        (slots(Some(4), Some(2)), 7..7),
        (times(None, None), 0..7),
        (times(Some(time(0)), None), 1..7),
        (times(Some(time(2)), Some(time(4))), 3..5),
        (times(Some(later(2)), Some(later(4))), 3..5),
        (times(Some(Timestamp(time(2).0 - 1)), Some(Timestamp(time(4).0 - 1))), 2..4),
        (times(None, Some(time(0))), 0..1),
        (times(None, Some(Timestamp(time(0).0 - 1))), 7..7),
        (times(Some(time(6)), None), 7..7),
        (times(Some(time(5)), Some(time(5))), 7..7),
        (times(Some(time(5)), Some(time(6))), 6..7),
    ] {
        let wanted: Vec<Id> = all[expect].iter().map(|entry| entry.assignment.id()).collect();
        for limit in [1, 2, 3, 7, 8, 1000] {
            let got = ground.whole(process, range, limit).await;
            let got: Vec<Id> = got.iter().map(|entry| entry.assignment.id()).collect();
            assert_eq!(got, wanted, "{range:?} by {limit}");
        }
    }
    let empty = ground.scheduler.schedule_page(process, ALL, 0).await.expect_err("a page of nothing");
    assert_eq!(empty.kind, Kind::Invalid);
    let stranger = ProcessId(Address::of_owner(b"nobody").0);
    let unknown = ground.scheduler.schedule_page(stranger, ALL, 10).await.expect_err("nobody's schedule");
    assert_eq!(unknown.kind, Kind::NotFound);
}

async fn an_entry_is_found_in_its_own_schedule(ground: Ground) {
    let one = ground.spawn(&[("Name", "one")]).await;
    let two = ground.spawn(&[("Name", "two")]).await;
    let sent = ground.send(one, "hello").await;
    for (id, slot) in [(sent.message_id(), 1), (sent.assignment.id(), 1), (one.into(), 0)] {
        let found = ground.scheduler.find(Some(one), id).await.expect("it has a slot");
        assert_eq!(found.assignment.slot, Slot(slot));
        assert_eq!(found.assignment.process, one);
    }
    let found = ground.scheduler.find(Some(one), sent.message_id()).await.expect("it has a slot");
    let message = found.message.expect("it was delivered");
    assert_eq!(message.id, sent.message_id());
    assert_eq!(message.text(), "hello");
    let nobody = Address::of_owner(b"nobody").0;
    for id in [sent.message_id(), sent.assignment.id(), one.into(), nobody] {
        let error = ground.scheduler.find(Some(two), id).await.expect_err("the other process never got it");
        assert_eq!(error.kind, Kind::NotFound, "{error}");
    }
    let latest = ground.scheduler.latest(two).await.expect("a fresh process has a latest entry");
    assert_eq!(latest.assignment.slot, Slot(0));
    for error in [
        ground.scheduler.latest(nobody.into()).await.expect_err("nobody has no entries"),
        ground.scheduler.process(nobody.into()).await.expect_err("nobody is no process"),
    ] {
        assert_eq!(error.kind, Kind::NotFound, "{error}");
    }
}

async fn a_message_is_assigned_to_another_process(ground: Ground) {
    let one = ground.spawn(&[("Name", "one")]).await;
    let two = ground.spawn(&[("Name", "two")]).await;
    let sent = ground.send(one, "hello").await;
    let on_weave = message_item(&wallet(2), ProcessId(Address::of_owner(b"elsewhere").0), &[], "there");
    ground.weave.upload(on_weave.clone()).await.expect("the weave takes it");
    let request = |process, message, exclude: &[&str]| AssignRequest {
        process,
        message,
        base_layer: false,
        exclude: exclude.iter().map(|&field| field.to_owned()).collect(),
    };
    let assigned = ground.scheduler.assign(request(two, sent.message_id(), &["Data", "Tags"])).await;
    let assigned = assigned.expect("what this scheduler has can be assigned");
    assert_eq!(assigned.assignment.slot, Slot(1));
    assert_eq!(assigned.assignment.process, two);
    assert_eq!(assigned.assignment.message, Some(sent.message_id()));
    assert_eq!(assigned.assignment.exclude, ["Data", "Tags"]);
    assert_eq!(assigned.message, None, "it was not delivered with the wish");

    let again = ground.scheduler.assign(request(two, sent.message_id(), &[])).await.expect("again");
    assert_eq!(again.assignment.id(), assigned.assignment.id(), "assigned twice it has one slot");
    assert_eq!([assigned.novelty, again.novelty], [Novelty::First, Novelty::Repeat]);
    let there = ground.scheduler.assign(request(two, on_weave.id, &[])).await;
    assert_eq!(there.expect("what is on the weave can be assigned").assignment.slot, Slot(2));
    let same = ground.scheduler.assign(request(one, sent.message_id(), &[])).await.expect("where it is");
    assert_eq!(same.assignment.id(), sent.assignment.id(), "assigned to where it is it keeps its slot");

    let nobody = Address::of_owner(b"nobody").0;
    for (request, why) in [
        (request(nobody.into(), on_weave.id, &[]), "an unknown process"),
        (request(two, nobody, &[]), "an unknown message"),
    ] {
        assert_eq!(ground.scheduler.assign(request).await.expect_err(why).kind, Kind::NotFound, "{why}");
    }
    let found = ground.scheduler.find(Some(two), sent.message_id()).await.expect("it is in two schedules");
    assert_eq!(found.assignment.process, two);
    check_schedule(two, &ground.whole(two, ALL, 100).await);
}

async fn a_transaction_is_assigned_once_it_is_deep_enough(ground: Ground) {
    let eager = ground.spawn(&[(tag::SETTLEMENT_DEPTH, "2")]).await;
    let usual = ground.spawn(&[]).await;
    let transaction = sign(&wallet(3), None, Tags::default(), "a transfer");
    ground.weave.put_base_layer(transaction.item().clone(), 1);
    let request = |process, message| AssignRequest { process, message, base_layer: true, exclude: vec![] };
    let early = ground.scheduler.assign(request(eager, transaction.id)).await.expect_err("one block deep");
    assert_eq!(early.kind, Kind::Refused, "{early}");
    ground.weave.mine();
    let deep = ground.scheduler.assign(request(eager, transaction.id)).await.expect("as deep as it asks for");
    assert_eq!(deep.assignment.slot, Slot(1));
    let early =
        ground.scheduler.assign(request(usual, transaction.id)).await.expect_err("2 of 20 blocks deep");
    assert_eq!(early.kind, Kind::Refused, "{early}");
    for _ in 0..18 {
        ground.weave.mine();
    }
    ground.scheduler.assign(request(usual, transaction.id)).await.expect("20 blocks deep");

    let item = message_item(&wallet(1), eager, &[], "an item");
    ground.weave.upload(item.clone()).await.expect("the weave takes it");
    let wrong = ground.scheduler.assign(request(eager, item.id)).await.expect_err("it is a data item");
    assert_eq!(wrong.kind, Kind::Refused, "{wrong}");
    let nobody = Address::of_owner(b"nobody").0;
    let missing = ground.scheduler.assign(request(eager, nobody)).await.expect_err("it is nowhere");
    assert_eq!(missing.kind, Kind::NotFound, "{missing}");
}

async fn what_two_messengers_push_has_one_slot(ground: Ground) {
    let (one, two, stranger) = (wallet(11), wallet(12), wallet(13));
    let trusted = format!("{},{}", one.address(), two.address());
    let process = ground.spawn(&[(tag::AUTHORITY, &trusted)]).await;
    let from = Address::of_owner(b"sender").to_string();
    let pushed = |wallet: &Wallet, pushed_for: &str, data: &str| {
        let tags = [(tag::FROM_PROCESS, &*from), (tag::PUSHED_FOR, pushed_for)];
        message_item(wallet, process, &tags, data)
    };
    let first = ground.schedule(&pushed(&one, "root", "1")).await;
    let again = ground.schedule(&pushed(&two, "another root", "1")).await;
    assert_eq!(again.assignment.id(), first.assignment.id(), "the same message by another messenger");
    assert_eq!(again.novelty, Novelty::Repeat, "it made nothing new");
    let forged = ground.schedule(&pushed(&stranger, "root", "1")).await;
    assert_eq!(forged.assignment.slot, Slot(2), "a stranger's does not stand for it");
    let other = ground.schedule(&pushed(&two, "root", "2")).await;
    assert_eq!(other.assignment.slot, Slot(3), "another message");
    let repeat = [ground.send(process, "hello").await, {
        ground.schedule(&message_item(&wallet(2), process, &[], "hello")).await.entry
    }];
    assert_eq!(
        repeat.map(|entry| entry.assignment.slot),
        [Slot(4), Slot(5)],
        "what nobody pushed is never a duplicate"
    );
}

async fn a_process_boots_from_what_is_on_the_weave(ground: Ground) {
    let ours = ground.scheduler.address().await.expect("an address");
    let boot = sign(&wallet(1), None, Tags::default(), "return 1");
    let id = boot.id.to_string();
    let process = process_item(&wallet(1), ours, &[(tag::ON_BOOT, &id)]);
    ground.refuses(process.clone(), Kind::Invalid, "what it boots from is nowhere").await;
    ground.refuses(process_item(&wallet(1), ours, &[(tag::ON_BOOT, "x")]), Kind::Invalid, "no id").await;
    ground.weave.upload(boot).await.expect("the weave takes it");
    assert_eq!(ground.schedule(&process).await.assignment.slot, Slot(0));
    ground.schedule(&process_item(&wallet(1), ours, &[(tag::ON_BOOT, "Data")])).await;
}
