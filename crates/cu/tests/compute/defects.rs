//! What the incumbent gets wrong, each by the number it has in the record of its behaviour.

use std::sync::Arc;

use unit::{Compute, Kind, OutcomeQuery};

use crate::world::{World, ask, dry, item, output};

#[tokio::test]
async fn defect_2_an_outcome_belongs_to_a_message_in_a_process() {
    let world = World::new();
    let (first, second) = (world.spawn(&[]).await, world.spawn(&[("Name", "second")]).await);
    let cu = world.open().await;
    let only_first = world.send(first, "Add").await;
    let in_both = world.send(first, "Add").await;
    world.weave.put(item(in_both, &[], ""));
    world.assign(second, in_both, &[]).await;
    assert_eq!(ask(&cu, first, in_both).await, "3");
    assert_eq!(ask(&cu, second, in_both).await, "2");
    assert_eq!(ask(&cu, first, in_both).await, "3");
    assert_eq!(ask(&cu, first, only_first).await, "2");
    let error = cu.result(second, only_first).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound);
}

#[tokio::test]
async fn defect_3_a_dry_run_is_of_the_process_it_asks_for_and_of_now() {
    let world = World::new();
    let (first, second) = (world.spawn(&[]).await, world.spawn(&[("Name", "second")]).await);
    let cu = world.open().await;
    world.send(second, "Add").await;
    assert_eq!(output(&cu.dry_run(first, dry("Add"), None).await.unwrap()), "2");
    assert_eq!(output(&cu.dry_run(second, dry("Add"), None).await.unwrap()), "3");
    world.send(second, "Add").await;
    assert_eq!(output(&cu.dry_run(second, dry("Add"), None).await.unwrap()), "4");
}

#[tokio::test]
async fn defect_4_errors_are_listed_and_pages_are_full() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    for action in ["Fail", "Add", "Fail", "Add"] {
        let message = world.send(process, action).await;
        ask(&cu, process, message).await;
    }
    let query = OutcomeQuery { limit: 3, ..OutcomeQuery::default() };
    let page = cu.results(process, query).await.unwrap();
    let seen: Vec<String> = page.items.iter().map(|one| output(&one.outcome)).collect();
    assert_eq!(seen, ["1", "error \"boom\"", "2"]);
    assert!(page.has_next);
    assert!(page.items[1].outcome.messages.is_empty(), "a failure sends nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_6_an_endless_loop_stops_no_other_process() {
    let world = World::new();
    let (looping, other) = (world.spawn(&[]).await, world.spawn(&[("Name", "other")]).await);
    let message = world.send(looping, "Loop").await;
    let cu = world.open().await;
    let endless = {
        let cu = Arc::clone(&cu);
        tokio::spawn(async move { ask(&cu, looping, message).await })
    };
    let lab = Arc::clone(&world.lab);
    tokio::task::spawn_blocking(move || lab.wait_for_loop()).await.unwrap();
    for round in 2..10 {
        let message = world.send(other, "Add").await;
        assert_eq!(ask(&cu, other, message).await, round.to_string());
    }
    assert_eq!(ask(&cu, looping, looping.into()).await, "1", "what came before the loop has its outcome");
    assert!(!endless.is_finished());
    world.lab.release();
    assert_eq!(endless.await.unwrap(), "looped");
}

#[tokio::test]
async fn defect_10_a_process_without_messages_can_be_dry_run() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    assert_eq!(output(&cu.dry_run(process, dry("Add"), None).await.unwrap()), "2");
}

#[tokio::test]
async fn defect_13_limits_are_given_to_the_runtime_that_enforces_them() {
    let world = World::new();
    let cu = world.open().await;
    let of_module = world.spawn(&[]).await;
    let message = world.send(of_module, "Limits").await;
    assert_eq!(ask(&cu, of_module, message).await, "1048576 1000");
    let own = world.spawn(&[("Memory-Limit", "2-kb"), ("Compute-Limit", "7")]).await;
    let message = world.send(own, "Limits").await;
    assert_eq!(ask(&cu, own, message).await, "2048 7");
}

#[tokio::test(start_paused = true)]
async fn defect_14_what_is_unknown_is_refused_at_once() {
    let mut world = World::new();
    world.options = cu::Options::default();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    let before = tokio::time::Instant::now();
    let nothing = protocol::Id([66; 32]);
    for error in [
        cu.result(process, nothing).await.unwrap_err(),
        cu.result(nothing.into(), nothing).await.unwrap_err(),
        cu.dry_run(nothing.into(), dry("Add"), None).await.unwrap_err(),
        cu.dry_run(process, dry("Add"), Some(nothing)).await.unwrap_err(),
        cu.cron(nothing.into(), OutcomeQuery::default()).await.unwrap_err(),
        cu.state(nothing.into(), None).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, Kind::NotFound, "{error}");
    }
    assert_eq!(before.elapsed(), std::time::Duration::ZERO, "nothing was waited for");
}
