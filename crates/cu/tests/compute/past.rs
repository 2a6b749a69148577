//! Dry runs, states of then, and pages of outcomes.

use protocol::Timestamp;
use unit::{Compute, Cursor, OutcomeQuery, Sort};

use crate::world::{World, all_results, ask, dry, output};

#[tokio::test]
async fn a_dry_run_leaves_no_trace() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let message = world.send(process, "Add").await;
    let cu = world.open().await;
    assert_eq!(
        output(&cu.dry_run(process, dry("Add"), None).await.unwrap()),
        "3",
        "it sees the newest message"
    );
    let (before, results) = (cu.state(process, None).await, all_results(&cu, process).await);
    for _ in 0..3 {
        assert_eq!(output(&cu.dry_run(process, dry("Add"), None).await.unwrap()), "3");
        assert_eq!(output(&cu.dry_run(process, dry("Fail"), None).await.unwrap()), "error \"boom\"");
    }
    assert_eq!(cu.state(process, None).await, before);
    assert_eq!(all_results(&cu, process).await, results);
    assert_eq!(ask(&cu, process, message).await, "2");
}

#[tokio::test]
async fn a_dry_run_is_given_time_and_height_of_the_last_evaluation() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    let seen = output(&cu.dry_run(process, dry("Echo"), None).await.unwrap());
    let expected = format!(
        r#"{{"Owner":"W","Target":"{process}","From":"W","Tags":[{{"name":"Action","value":"Echo"}}],"Timestamp":1000000,"Block-Height":5,"Cron":false,"Read-Only":true}}"#
    );
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_dry_run_after_an_earlier_message_sees_the_process_of_then() {
    let mut world = World::new();
    world.options.checkpoint_messages = 4;
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    let mut messages = Vec::new();
    for _ in 0..12 {
        messages.push(world.send(process, "Add").await);
    }
    // Not evaluated yet, the newest, and then two of the past.
    for at in [5, 11, 0, 8] {
        let seen = cu.dry_run(process, dry("Add"), Some(messages[at])).await.unwrap();
        assert_eq!(output(&seen), (at + 3).to_string());
    }
    assert_eq!(ask(&cu, process, messages[11]).await, "13");
    assert_eq!(cu.counters().evaluated, 13);
}

#[tokio::test]
async fn the_state_of_then_is_that_after_the_last_message_not_later() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    let mut states = Vec::new();
    for _ in 0..6 {
        states.push(cu.state(process, None).await.unwrap());
        world.send(process, "Add").await;
    }
    for state in &states {
        assert_eq!(cu.state(process, Some(state.timestamp)).await.as_ref(), Ok(state));
        assert_eq!(state.block_height.0, 5);
    }
    let later = cu.state(process, Some(Timestamp(u64::MAX))).await.unwrap();
    assert_eq!(later.ordinate, 6);
    assert!(cu.state(process, Some(Timestamp(5))).await.is_err());
}

fn query(from: Option<Cursor>, sort: Sort) -> OutcomeQuery {
    OutcomeQuery { from, sort, limit: 2, to: None }
}

#[tokio::test]
async fn pages_go_both_ways_and_the_sort_in_a_cursor_wins() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    for _ in 0..4 {
        let message = world.send(process, "Add").await;
        ask(&cu, process, message).await;
    }
    let page = async |query| {
        let page = cu.results(process, query).await.unwrap();
        let slots: Vec<u64> = page.items.iter().map(|one| one.cursor.ordinate.unwrap()).collect();
        (slots, page.has_next, page.items.last().map(|one| one.cursor.clone()))
    };
    let (first, more, cursor) = page(query(None, Sort::Ascending)).await;
    assert_eq!((first, more), (vec![0, 1], true));
    let (second, more, cursor) = page(query(cursor, Sort::Ascending)).await;
    assert_eq!((second, more), (vec![2, 3], true));
    let (third, more, _) = page(query(cursor.clone(), Sort::Ascending)).await;
    assert_eq!((third, more), (vec![4], false));
    // The cursor was taken ascending: descending is not what the client goes on with.
    let (third, ..) = page(query(cursor, Sort::Descending)).await;
    assert_eq!(third, vec![4]);

    let (newest, more, cursor) = page(OutcomeQuery { limit: 1, ..query(None, Sort::Descending) }).await;
    assert_eq!((newest, more), (vec![4], true));
    let (nothing, more, _) = page(query(cursor, Sort::Ascending)).await;
    assert_eq!((nothing, more), (vec![], false), "`from` is the lower bound even when descending");
    for _ in 0..3 {
        let message = world.send(process, "Add").await;
        ask(&cu, process, message).await;
    }
    let from = Cursor {
        timestamp: Timestamp(1_000_004),
        ordinate: Some(4),
        cron: None,
        sort: Some(Sort::Descending),
    };
    let (newer, more, _) = page(query(Some(from), Sort::Ascending)).await;
    assert_eq!((newer, more), (vec![7, 6], true));

    // A bare timestamp: after everything of that millisecond, or up to and including it.
    let bare = |timestamp| Cursor { timestamp: Timestamp(timestamp), ordinate: None, cron: None, sort: None };
    let (after, ..) = page(query(Some(bare(1_000_002)), Sort::Ascending)).await;
    assert_eq!(after, vec![3, 4]);
    let (up_to, ..) = page(OutcomeQuery { to: Some(bare(1_000_002)), ..query(None, Sort::Descending) }).await;
    assert_eq!(up_to, vec![2, 1]);
}
