//! What the incumbent's scheduler gets wrong (docs/reference-defects.md), and how it is right.

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use common::{World, message, options};
use pirn_su::{Ports, SchedulerUnit};
use protocol::{Address, DataItem, Height, Id, Slot, tag};
use store::MemoryStore;
use unit::suite::{check_schedule, message_item, process_item, wallet};
use unit::{
    AssignRequest, BlockRef, Error, Found, Kind, Novelty, Page, Query, Scheduler as _, SlotRange, Tip, Weave,
};

#[tokio::test]
async fn defect_1_a_process_posted_twice_keeps_its_slot_and_its_chain() {
    let world = World::memory().await;
    let item = world.process("one");
    let first = world.su.schedule(item.clone()).await.unwrap();
    let again = world.su.schedule(item.clone()).await.unwrap();
    assert_eq!(first.entry, again.entry);
    assert_eq!([first.novelty, again.novelty], [Novelty::First, Novelty::Repeat]);
    let next = world.su.schedule(message(item.id.into(), "hello")).await.unwrap();
    assert_eq!(next.assignment.slot, Slot(1));
    check_schedule(item.id.into(), &[first.entry, next.entry]);
}

#[tokio::test]
async fn defect_7_a_page_of_nothing_is_refused_and_what_is_assigned_twice_is_listed_once() {
    let world = World::memory().await;
    let (one, two) = (world.spawn("one").await, world.spawn("two").await);
    let all = SlotRange::Slots { after: None, to: None };
    let error = world.su.schedule_page(one, all, 0).await.unwrap_err();
    assert_eq!((error.kind, error.hint.is_some()), (Kind::Invalid, true));
    let sent = world.su.schedule(message(one, "hello")).await.unwrap();
    let request =
        AssignRequest { process: two, message: sent.message_id(), base_layer: false, exclude: vec![] };
    let first = world.su.assign(request.clone()).await.unwrap();
    assert_eq!(world.su.assign(request).await.unwrap().entry, first.entry);
    assert_eq!(world.whole(two).await.len(), 2);
}

#[tokio::test]
async fn defect_8_a_message_is_not_found_in_a_schedule_it_is_not_in() {
    let world = World::memory().await;
    let (one, two) = (world.spawn("one").await, world.spawn("two").await);
    let sent = world.su.schedule(message(one, "hello")).await.unwrap().entry;
    assert_eq!(world.su.find(Some(two), sent.message_id()).await.unwrap_err().kind, Kind::NotFound);
    world.clock.advance(5);
    let request =
        AssignRequest { process: two, message: sent.message_id(), base_layer: false, exclude: vec![] };
    let assigned = world.su.assign(request).await.unwrap().entry;
    assert_eq!(world.su.find(Some(two), sent.message_id()).await.unwrap(), assigned);
    assert_eq!(world.su.find(Some(one), sent.message_id()).await.unwrap(), sent);
    assert_eq!(world.su.find(None, sent.message_id()).await.unwrap(), sent, "without a process: the oldest");
    assert_eq!(world.su.find(None, assigned.assignment.id()).await.unwrap(), assigned);
}

#[tokio::test]
async fn defect_9_a_process_of_another_scheduler_is_refused_and_an_unknown_one_is_named() {
    let world = World::memory().await;
    let other = process_item(&wallet(1), wallet(9).address(), &[]);
    let error = world.su.schedule(other.clone()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.hint.unwrap().contains(&world.address().to_string()), "it says whom to name");
    let error = world.su.schedule(message(other.id.into(), "hello")).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
    assert!(error.what.contains(&other.id.to_string()), "{error}");
}

#[tokio::test]
async fn defect_10_a_fresh_process_has_a_latest_entry() {
    let world = World::memory().await;
    let process = world.spawn("one").await;
    let latest = world.su.latest(process).await.unwrap();
    assert_eq!((latest.assignment.slot, latest.message_id()), (Slot(0), process.into()));
}

#[tokio::test]
async fn a_base_layer_transaction_is_assigned_once_it_is_deep_enough() {
    let world = World::memory().await;
    let process = world.spawn("one").await;
    let transfer = message_item(&wallet(3), process, &[], "a transfer");
    let request = AssignRequest { process, message: transfer.id, base_layer: true, exclude: vec![] };
    world.weave.put_base_layer(transfer.item().clone(), 19);
    let error = world.su.assign(request.clone()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.what.contains("19 of 20"), "{error}");
    world.weave.mine();
    let assigned = world.su.assign(request).await.unwrap();
    assert_eq!((assigned.assignment.slot, &assigned.message), (Slot(1), &None));
}

#[tokio::test]
async fn exclude_becomes_one_tag_for_each_field() {
    let world = World::memory().await;
    let process = world.spawn("one").await;
    let item = message_item(&wallet(2), Address::of_owner(b"elsewhere").0.into(), &[], "there");
    world.weave.upload(item.clone()).await.unwrap();
    let request = |fields: &[&str]| AssignRequest {
        process,
        message: item.id,
        base_layer: false,
        exclude: fields.iter().map(|&field| field.to_owned()).collect(),
    };
    let error = world.su.assign(request(&["Data", ""])).await.unwrap_err();
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    let assigned = world.su.assign(request(&["Data", "Anchor"])).await.unwrap();
    let tags: Vec<_> = assigned.assignment.item.tags.all(tag::EXCLUDE).collect();
    assert_eq!(tags, ["Data", "Anchor"]);
}

#[tokio::test]
async fn messages_of_one_millisecond_are_not_lost_at_the_border_of_a_page() {
    let world = World::memory().await;
    let process = world.spawn("one").await;
    for n in 0..10 {
        world.su.schedule(message(process, &n.to_string())).await.unwrap();
    }
    let mut after = None;
    let mut slots = Vec::new();
    loop {
        let page = world.su.schedule_page(process, SlotRange::Time { after, to: None }, 3).await.unwrap();
        slots.extend(page.items.iter().map(|entry| entry.assignment.slot.0));
        after = page.items.last().map(|entry| entry.assignment.timestamp);
        if !page.has_next {
            break;
        }
    }
    assert_eq!(slots, (0..=10).collect::<Vec<u64>>());
}

#[tokio::test]
async fn a_weave_that_is_away_delays_settlement_and_no_slot() {
    let world = World::memory().await;
    world.weave.fail_uploads(50);
    let process = world.spawn("one").await;
    for n in 0..10 {
        world.su.schedule(message(process, &n.to_string())).await.unwrap();
    }
    world.su.settled().await;
    assert_eq!(world.weave.ids().len(), 22);
}

#[tokio::test]
async fn an_item_over_the_bound_is_refused() {
    let world = World::memory_with(pirn_su::Options { item_bytes_max: 1000, ..options() }).await;
    let process = world.spawn("one").await;
    let error = world.su.schedule(message(process, &"x".repeat(1000))).await.unwrap_err();
    assert_eq!(error.kind, Kind::TooLarge, "{error}");
}

#[tokio::test]
async fn the_location_is_announced_when_it_is_new() {
    let world = World::memory().await;
    let ttl = std::time::Duration::from_secs(3600);
    let mut said = Vec::new();
    for url in
        ["http://127.0.0.1:4003", "http://127.0.0.1:4003", "http://[::1]:4003", "http://127.0.0.1:4003"]
    {
        world.clock.advance(1);
        said.push(world.su.announce(url, ttl).await.unwrap());
    }
    assert_eq!(said, [true, false, true, true]);
    let newest = world.weave.get(*world.weave.ids().last().unwrap()).await.unwrap().item;
    assert_eq!(newest.address(), world.address());
    let tags: Vec<_> = newest.tags.iter().map(|tag| (&*tag.name, &*tag.value)).collect();
    assert_eq!(
        tags,
        [
            ("Data-Protocol", "ao"),
            ("Variant", "ao.TN.1"),
            ("Type", "Scheduler-Location"),
            ("Url", "http://127.0.0.1:4003"),
            ("Time-To-Live", "3600000"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_weave_that_is_away_hears_later_where_the_scheduler_is() {
    let world = World::memory().await;
    world.weave.fail_uploads(5);
    let (url, ttl) = ("http://127.0.0.1:4003", std::time::Duration::from_secs(3600));
    world.su.announce_in_time(url, ttl).await.unwrap();
    assert_eq!(world.weave.ids().len(), 0);
    let heard = async {
        while world.weave.ids().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(ttl, heard)
        .await
        .expect("it is said within an hour of a clock that nobody waits for");
    assert!(!world.su.announce(url, ttl).await.unwrap(), "it is there");
    assert_eq!(world.weave.ids().len(), 1);
}

/// A weave that nobody reaches.
struct Away;

#[async_trait]
impl Weave for Away {
    async fn upload(&self, _: DataItem) -> unit::Result<()> {
        Err(away())
    }
    async fn get(&self, _: Id) -> unit::Result<Found> {
        Err(away())
    }
    async fn confirmations(&self, _: Id) -> unit::Result<Option<u64>> {
        Err(away())
    }
    async fn query(&self, _: Query) -> unit::Result<Page<Found>> {
        Err(away())
    }
    async fn tip(&self) -> unit::Result<Tip> {
        Err(away())
    }
    async fn blocks(&self, _: Height, _: usize) -> unit::Result<Vec<BlockRef>> {
        Err(away())
    }
    async fn knows_wallet(&self, _: Address) -> unit::Result<bool> {
        Err(away())
    }
}

fn away() -> Error {
    Error::unavailable("the weave is away")
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_starts_while_the_weave_is_away_goes_on_with_its_schedules() {
    let store = Arc::new(MemoryStore::new());
    let world = World::on(store.clone(), options()).await;
    world.weave.set_height(7);
    world.su.refresh_height().await.unwrap();
    let process = world.spawn("one").await;
    let other = world.process("two");
    world.su.stop().await;

    let (clock, events, wallet) = (world.clock.clone(), unit::Events::silent(), wallet(0));
    let ports = Ports { store, weave: Arc::new(Away), clock, events, wallet };
    let su = SchedulerUnit::open(ports, options()).await.unwrap();
    su.announce_in_time("http://127.0.0.1:4003", std::time::Duration::from_secs(3600)).await.unwrap();
    let placed = su.schedule(message(process, "hello")).await.unwrap();
    assert_eq!((placed.assignment.slot, placed.assignment.block_height), (Slot(1), Height(7)));
    assert_eq!(su.schedule(other).await.unwrap_err().kind, Kind::Unavailable, "it would say a wrong height");
}
