//! Dead letters: listed with their reason, and delivered after all if somebody says so, once.

mod world;

use std::sync::Arc;
use std::time::Duration;

use pirn_mu::Options;
use serde_json::json;
use store::MemoryStore;
use unit::{Code, Error, Kind, Messenger as _, OutboxEntry, OutboxQuery};
use world::{Crashing, World, sends, settle, to, until};

fn refused() -> Error {
    Error::new(Kind::Refused, "not today")
}

fn reasons(dead: &[OutboxEntry]) -> Vec<&str> {
    dead.iter().map(|entry| entry.trace.error.as_deref().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_delivered_once_however_often_it_is_retried() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let store = Arc::new(MemoryStore::new());
    let unit = world.open(store.clone()).await;
    world.compute.fail_next(refused());
    unit.send(world.message(a, &sends([to(b, 1, "late")]))).await.unwrap();
    settle(&unit).await;
    assert!(world.inbox(b).is_empty());
    // It is there after a restart too.
    drop(unit);
    let unit = world.open(store).await;
    let page = unit.outbox(OutboxQuery { dead: true, after: 0, limit: 10 }).await.unwrap();
    assert_eq!(reasons(&page.items), ["not today"]);
    let letter = page.items[0].dead.as_ref().unwrap();
    assert!(letter.can_retry && !page.has_next);
    let number = page.items[0].number;

    tokio::time::sleep(Duration::from_secs(3600)).await;
    world.clock.advance(3_600_000);
    world.compute.fail_next(Error::unavailable("it is down"));
    let both = futures::join!(unit.retry(number), unit.retry(number));
    assert!(both.0.is_ok());
    let [again] = &unit.pending(0, 10).unwrap()[..] else { panic!("it is promised") };
    let since = again.trace.timestamp.0;
    assert!(
        since > page.items[0].trace.timestamp.0 + 3_500_000,
        "it waits since it was retried, not {since}"
    );
    assert_eq!(both.1.unwrap_err().kind, Kind::NotFound);
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["late"]);
    assert_eq!((unit.gauges().dead, unit.dead(0, 10).unwrap()), (0, vec![]));
    assert_eq!(unit.retry(number).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn what_is_retried_has_the_bytes_that_were_signed() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let options = Options { failures_max: Some(2), ..Options::default() };
    let unit = world.open_with(Arc::new(MemoryStore::new()), options).await;
    let (boot, once) = (world.item(a, 0).id, "once ".repeat(1000));
    world.compute.put(a, boot, Ok(world::outcome(&sends([to(b, 1, &once)]))));
    // The message to b gets its slot, but no answer says so.
    world.faulty.lose_answers(2);
    unit.push(a, boot, None).await.unwrap();
    settle(&unit).await;
    assert_eq!((world.inbox(b).len(), unit.gauges().dead), (1, 1));
    for entry in unit.dead(0, 10).unwrap() {
        let shown = entry.dead.as_ref().and_then(|letter| letter.body.as_ref()).map(|body| body.len());
        assert_eq!(shown, Some(1024), "a list does not show a whole item");
        unit.retry(entry.number).await.unwrap();
    }
    settle(&unit).await;
    assert_eq!(world.inbox(b), [once]);
}

#[tokio::test(start_paused = true)]
async fn what_never_was_a_message_cannot_be_retried() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let unit = world.open(Arc::new(MemoryStore::new())).await;
    unit.send(world.message(a, &sends([json!({"Target": b, "Tags": []})]))).await.unwrap();
    settle(&unit).await;
    let [letter] = &unit.dead(0, 10).unwrap()[..] else { panic!("one is dead") };
    assert!(!letter.dead.as_ref().unwrap().can_retry);
    let error = unit.retry(letter.number).await.unwrap_err();
    assert_eq!((error.kind, error.code), (Kind::Refused, Code::NO_RETRY), "{error}");
    assert_eq!(unit.gauges().dead, 1, "it is still there");
}

/// A crash at every batch of a retry: before it is durable the letter is still dead, after it is promised.
#[tokio::test(start_paused = true)]
async fn a_crash_while_it_is_retried_loses_nothing() {
    for crash_at in 1..6 {
        for reached in [false, true] {
            let world = World::new();
            let [a, b] = [world.process("a").await, world.process("b").await];
            let first = Arc::new(MemoryStore::new());
            let unit = world.open(first.clone()).await;
            world.compute.fail_next(refused());
            unit.send(world.message(a, &sends([to(b, 1, "late")]))).await.unwrap();
            settle(&unit).await;
            let number = unit.dead(0, 10).unwrap()[0].number;
            unit.stop().await;
            drop(unit);

            let store = Crashing::at(crash_at, reached, first.crash());
            let unit = world.open(store.clone()).await;
            let _ = unit.retry(number).await;
            until(|| store.has_crashed() || unit.gauges().outbox == 0).await;
            drop(unit);
            let unit = world.open(Arc::new(store.survivor())).await;
            settle(&unit).await;
            for entry in unit.dead(0, 10).unwrap() {
                unit.retry(entry.number).await.unwrap();
            }
            settle(&unit).await;
            assert_eq!(world.inbox(b), ["late"], "a crash at batch {crash_at}, reached: {reached}");
            assert_eq!(unit.gauges().dead, 0);
        }
    }
}
