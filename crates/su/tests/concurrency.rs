//! Many tasks at once: slots stay dense, and an item has one however often it is sent.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::{World, message, options};
use protocol::{Id, Wallet};
use store::{DiskStore, MemoryStore, Store};
use unit::suite::check_schedule;
use unit::{Novelty, Scheduler as _};

/// Sends `messages` messages to each of `processes` processes, each `times` times, all at once.
async fn storm(
    store: Arc<dyn Store>,
    options: pirn_su::Options,
    processes: usize,
    messages: usize,
    times: usize,
) {
    let world = World::on(store, options).await;
    let spawned: Vec<_> = (0..processes).map(|n| world.process(&n.to_string())).collect();
    let mut tasks = tokio::task::JoinSet::new();
    // The process itself is among what is sent more than once.
    for item in &spawned {
        for _ in 0..times {
            let (su, item) = (world.su.clone(), item.clone());
            tasks.spawn(async move { (item.id, su.schedule(item.clone()).await.expect("a process")) });
        }
    }
    let mut new = 0;
    let mut slots: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
    while let Some(done) = tasks.join_next().await {
        let (id, scheduled) = done.unwrap();
        slots.entry(id).or_default().insert(scheduled.assignment.id());
        new += usize::from(scheduled.novelty == Novelty::First);
    }
    for _ in 0..times {
        for n in 0..messages {
            for process in &spawned {
                let (su, item) = (world.su.clone(), message(process.id.into(), &n.to_string()));
                tasks.spawn(async move { (item.id, su.schedule(item).await.expect("a message")) });
            }
        }
    }
    while let Some(done) = tasks.join_next().await {
        let (id, scheduled) = done.unwrap();
        slots.entry(id).or_default().insert(scheduled.assignment.id());
        new += usize::from(scheduled.novelty == Novelty::First);
    }
    assert_eq!(slots.len(), processes * (messages + 1));
    assert_eq!(new, slots.len(), "one sender of each item hears that it is new");
    assert!(slots.values().all(|assignments| assignments.len() == 1), "each item has one assignment");
    for process in &spawned {
        let entries = world.whole(process.id.into()).await;
        assert_eq!(entries.len(), messages + 1);
        check_schedule(process.id.into(), &entries);
        for entry in &entries {
            assert!(
                slots[&entry.message_id()].contains(&entry.assignment.id()),
                "what was answered is what is there"
            );
        }
    }
    world.su.settled().await;
    assert_eq!(world.weave.ids().len(), 2 * slots.len(), "messages and assignments, each once");
    world.su.stop().await;
    let refused = world.su.schedule(spawned[0].clone()).await;
    assert!(refused.is_ok(), "what has a slot keeps it, even now");
    let refused = world.su.schedule(message(spawned[0].id.into(), "late")).await.unwrap_err();
    assert_eq!(refused.kind, unit::Kind::Unavailable, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everyone_gets_one_slot_in_memory() {
    storm(Arc::new(MemoryStore::new()), options(), 8, 50, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everyone_gets_one_slot_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = DiskStore::open(folder.path(), store::Options::default()).unwrap();
    storm(Arc::new(store), options(), 8, 50, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everyone_gets_one_slot_with_tiny_bounds() {
    let tiny = pirn_su::Options {
        in_flight_max: 3,
        lines_max: 2,
        recent_bytes_max: 10_000,
        page_max: 7,
        page_bytes_max: 5000,
        settle_window: 2,
        settle_concurrency: 2,
        ..options()
    };
    storm(Arc::new(MemoryStore::new()), tiny, 5, 30, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_rsa_wallet_signs_for_several_processes_at_once() {
    let jwk = include_str!("../../../testing/vectors/arweave/http/test-wallet.json");
    let wallet = Wallet::from_jwk(jwk).unwrap();
    let (store, weave) = (Arc::new(MemoryStore::new()), unit::fakes::FakeWeave::new());
    let clock = unit::fakes::FakeClock::at(1000);
    let ports =
        pirn_su::Ports { store, weave, clock, events: unit::Events::silent(), wallet: wallet.clone() };
    let su = pirn_su::SchedulerUnit::open(ports, options()).await.unwrap();
    let item = |n: usize| {
        unit::suite::process_item(&unit::suite::wallet(1), wallet.address(), &[("Name", &n.to_string())])
    };
    let processes: Vec<_> = (0..3).map(item).collect();
    let schedule = async |item: protocol::DataItem| su.schedule(item).await.unwrap();
    futures::future::join_all(processes.iter().cloned().map(schedule)).await;
    let messages =
        processes.iter().flat_map(|process| (0..5).map(|n| message(process.id.into(), &n.to_string())));
    futures::future::join_all(messages.map(schedule)).await;
    for process in &processes {
        let range = unit::SlotRange::Slots { after: None, to: None };
        let page = su.schedule_page(process.id.into(), range, 100).await.unwrap();
        assert_eq!(page.items.len(), 6);
        check_schedule(process.id.into(), &page.items);
        assert!(page.items.iter().all(|entry| entry.assignment.item.address() == wallet.address()));
    }
}

#[tokio::test]
async fn who_comes_when_too_many_wait_is_told_to_come_back() {
    let store = Arc::new(MemoryStore::stepped());
    let bounds = pirn_su::Options { waiting_max: 1, in_flight_max: 1, ..options() };
    let world = World::on(store.clone(), bounds).await;
    world.weave.fail_uploads(u64::MAX);
    // It writes down first that it begins.
    while store.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    store.sync();
    let process = world.process("one");
    let ask = |item: &protocol::DataItem| {
        let (su, item) = (world.su.clone(), item.clone());
        tokio::spawn(async move { su.schedule(item).await })
    };
    // The first is on its way to a disk that does not come, the second has the turn, the third comes too late.
    let first = ask(&process);
    while store.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let (second, third) = (ask(&message(process.id.into(), "2")), ask(&message(process.id.into(), "3")));
    let busy = third.await.unwrap().unwrap_err();
    assert!(matches!(busy.kind, unit::Kind::Busy { .. }), "{busy}");
    while !second.is_finished() {
        store.sync();
        tokio::task::yield_now().await;
    }
    let shown = [first.await.unwrap().unwrap().entry, second.await.unwrap().unwrap().entry];
    assert_eq!(world.whole(process.id.into()).await, shown, "who was told so has no slot");
}
