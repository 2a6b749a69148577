//! The power goes out at every moment: nothing that was shown is lost, nothing is done twice.

mod common;

use std::sync::Arc;

use common::{World, message, options};
use protocol::{DataItem, Id};
use store::{DiskStore, MemoryStore};
use tokio::task::JoinHandle;
use unit::suite::check_schedule;
use unit::{Kind, Novelty, Placed, Scheduled, Scheduler as _};

type Answer = JoinHandle<unit::Result<Placed>>;

/// Asks for a slot, and comes back when the assignment is in the store's queue.
async fn ask(world: &World, store: &MemoryStore, item: &DataItem) -> Answer {
    let before = store.waiting();
    let (su, item) = (world.su.clone(), item.clone());
    let answer = tokio::spawn(async move { su.schedule(item).await });
    while store.waiting() == before {
        tokio::task::yield_now().await;
    }
    answer
}

/// A world whose settlement writes nothing: its weave takes nothing. That the scheduler begins is written down.
async fn stepped() -> (World, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::stepped());
    let world = World::on(store.clone(), options()).await;
    world.weave.fail_uploads(u64::MAX);
    while store.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    store.sync();
    (world, store)
}

#[tokio::test]
async fn an_assignment_is_not_seen_before_it_is_durable() {
    let (world, store) = stepped().await;
    let process = world.process("one");
    let spawned = ask(&world, &store, &process).await;
    let hello = message(process.id.into(), "hello");
    let sent = ask(&world, &store, &hello).await;
    let unseen = [
        world.su.latest(process.id.into()).await.map(drop),
        world.su.process(process.id.into()).await.map(drop),
        world.su.find(None, process.id).await.map(drop),
        world.su.find(Some(process.id.into()), hello.id).await.map(drop),
    ];
    for answer in unseen {
        assert_eq!(answer.unwrap_err().kind, Kind::NotFound);
    }
    assert!(!spawned.is_finished() && !sent.is_finished(), "nobody was told");

    store.sync();
    let (spawned, sent) = (spawned.await.unwrap().unwrap().entry, sent.await.unwrap().unwrap().entry);
    assert_eq!(world.su.find(None, hello.id).await.unwrap(), sent);
    check_schedule(process.id.into(), &[spawned, sent]);
}

#[tokio::test]
async fn who_sends_it_again_meanwhile_waits_for_the_same_assignment() {
    let (world, store) = stepped().await;
    let process = world.process("one");
    let first = ask(&world, &store, &process).await;
    let again = tokio::spawn({
        let (su, process) = (world.su.clone(), process.clone());
        async move { su.schedule(process).await }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.waiting(), 1, "it was assigned once");
    assert!(!again.is_finished(), "and not shown before it is durable");
    store.sync();
    let (first, again) = (first.await.unwrap().unwrap(), again.await.unwrap().unwrap());
    assert_eq!(first.entry, again.entry);
    assert_eq!([first.novelty, again.novelty], [Novelty::First, Novelty::Repeat]);
}

#[tokio::test]
async fn a_client_that_hangs_up_changes_nothing() {
    let (world, store) = stepped().await;
    let process = world.process("one");
    ask(&world, &store, &process).await.abort();
    store.sync();
    while world.su.latest(process.id.into()).await.is_err() {
        tokio::task::yield_now().await;
    }
    let again = world.su.schedule(process.clone()).await.unwrap();
    assert_eq!(again.assignment.slot, protocol::Slot(0));
}

#[tokio::test]
async fn a_crash_at_any_moment_loses_nothing_that_was_shown() {
    const MESSAGES: usize = 6;
    // Synced up to here when the power goes out, and so many more had reached the disk without anyone being told.
    for synced in 0..=MESSAGES {
        for reached in 0..=MESSAGES - synced {
            let (world, store) = stepped().await;
            let process = world.process("one");
            let items: Vec<DataItem> = std::iter::once(process.clone())
                .chain((1..MESSAGES).map(|n| message(process.id.into(), &n.to_string())))
                .collect();
            let mut answers = Vec::new();
            for item in &items {
                answers.push(ask(&world, &store, item).await);
            }
            for _ in 0..synced {
                assert!(store.sync_next());
            }
            let mut shown: Vec<Scheduled> = Vec::new();
            for answer in answers.drain(..synced) {
                shown.push(answer.await.unwrap().unwrap().entry);
            }
            let survivor = store.crash_after(reached);
            for answer in answers {
                assert!(answer.await.unwrap().is_err(), "nobody was shown what may be lost");
            }
            drop(world);

            survivor.sync();
            let survivor = Arc::new(survivor);
            let world = World::on(survivor.clone(), options()).await;
            world.weave.fail_uploads(u64::MAX);
            let mut again = Vec::new();
            for item in &items {
                let (su, item) = (world.su.clone(), item.clone());
                let answer = tokio::spawn(async move { su.schedule(item).await });
                while !answer.is_finished() {
                    survivor.sync();
                    tokio::task::yield_now().await;
                }
                again.push(answer.await.unwrap().unwrap().entry);
            }
            assert_eq!(again[..synced], shown, "what was shown before is shown again");
            let entries = world.whole(process.id.into()).await;
            assert_eq!(entries, again, "each item once, in the order they came");
            check_schedule(process.id.into(), &entries);
        }
    }
}

#[tokio::test]
async fn after_a_failed_write_nothing_more_is_scheduled() {
    let (world, store) = stepped().await;
    let process = world.process("one");
    let spawned = ask(&world, &store, &process).await;
    store.sync();
    spawned.await.unwrap().unwrap();
    let lost = ask(&world, &store, &message(process.id.into(), "lost")).await;
    drop(store.crash());
    let error = lost.await.unwrap().unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    let error = world.su.schedule(message(process.id.into(), "after")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    assert!(error.hint.is_some());
}

#[tokio::test]
async fn what_was_not_settled_is_settled_after_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let world = World::on(store.clone(), options()).await;
    world.weave.fail_uploads(u64::MAX);
    let process = world.spawn("one").await;
    let mut ids: Vec<Id> = vec![process.into()];
    for n in 0..20 {
        ids.push(world.su.schedule(message(process, &n.to_string())).await.unwrap().message_id());
    }
    assert_eq!(world.su.unsettled(), 21);
    assert!(world.weave.ids().is_empty());
    let World { weave, clock, su, .. } = world;
    drop(su);
    weave.fail_uploads(3);
    let world = World::again(store, weave, clock, options()).await;
    world.su.settled().await;
    for entry in world.whole(process).await {
        assert!(world.weave.has(entry.message_id()) && world.weave.has(entry.assignment.id()));
    }
    assert!(ids.iter().all(|id| world.weave.has(*id)));
    assert_eq!(world.weave.ids().len(), 42);
}

#[tokio::test]
async fn a_schedule_goes_on_after_a_restart_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Arc::new(DiskStore::open(folder.path(), store::Options::default()).unwrap());
    let from = protocol::Address::of_owner(b"sender").to_string();
    let (first, process, pushed, entries) = {
        let world = World::on(open(), options()).await;
        let process = world.spawn("one").await;
        let first = world.su.schedule(message(process, "a")).await.unwrap();
        let tags = [(protocol::tag::FROM_PROCESS, &*from)];
        let pushed = unit::suite::message_item(&unit::suite::wallet(0), process, &tags, "b");
        world.su.schedule(pushed.clone()).await.unwrap();
        let entries = world.whole(process).await;
        world.su.stop().await;
        (first, process, pushed, entries)
    };
    // The last request's task lets go of the store a moment after its answer.
    let store = loop {
        match DiskStore::open(folder.path(), store::Options::default()) {
            Ok(store) => break Arc::new(store),
            Err(store::Error::InUse { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    let world =
        World::again(store, unit::fakes::FakeWeave::new(), unit::fakes::FakeClock::at(5), options()).await;
    assert_eq!(world.whole(process).await, entries, "byte for byte");
    assert_eq!(world.su.schedule(message(process, "a")).await.unwrap().entry, first.entry);
    assert_eq!(world.su.schedule(pushed).await.unwrap().entry, entries[2]);
    let next = world.su.schedule(message(process, "c")).await.unwrap();
    assert_eq!(next.assignment.timestamp.0, entries[2].assignment.timestamp.0 + 1, "though the clock says 5");
    check_schedule(process, &world.whole(process).await);
}
