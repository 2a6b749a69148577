//! Cron between messages, and after the last.

use cu::ComputeUnit;
use protocol::ProcessId;
use unit::{Compute, Cursor, OutcomeQuery};

use crate::world::{World, all_results, ask, output};

/// One second after slot 0 is at 1 001 000 ms, and blocks are two minutes long.
const CRON: &[(&str, &str)] =
    &[("Cron-Interval", "10-seconds"), ("Cron-Tag-Action", "Add"), ("Cron-Interval", "1-block")];

async fn cron(
    cu: &ComputeUnit,
    process: ProcessId,
    from: Option<Cursor>,
    limit: usize,
) -> (Vec<String>, bool) {
    let page = cu.cron(process, OutcomeQuery { from, limit, ..OutcomeQuery::default() }).await.unwrap();
    let line = |one: &unit::Evaluated| {
        let Cursor { timestamp, ordinate, cron, .. } = &one.cursor;
        format!("{} {} {} {}", timestamp.0, ordinate.unwrap(), cron.as_deref().unwrap(), output(&one.outcome))
    };
    (page.items.iter().map(line).collect(), page.has_next)
}

#[tokio::test]
async fn ticks_up_to_now_are_evaluated_when_somebody_asks() {
    let world = World::new();
    let process = world.spawn(CRON).await;
    let cu = world.open().await;
    assert_eq!(cron(&cu, process, None, 10).await, (vec![], false));
    world.clock.set(1_021_500);
    let expected = ["1010000 0 0-10-seconds 2", "1020000 0 0-10-seconds 3"].map(str::to_owned).to_vec();
    assert_eq!(cron(&cu, process, None, 10).await, (expected.clone(), false));
    assert_eq!(cron(&cu, process, None, 10).await, (expected.clone(), false));
    assert_eq!(cron(&cu, process, None, 1).await, (expected[..1].to_vec(), true));
    assert_eq!(world.handled(), 3, "each tick once");
    let from = Cursor {
        timestamp: protocol::Timestamp(1_010_000),
        ordinate: Some(0),
        cron: Some("0-10-seconds".into()),
        sort: None,
    };
    assert_eq!(cron(&cu, process, Some(from), 10).await, (expected[1..].to_vec(), false));
    assert_eq!(all_results(&cu, process).await.items.len(), 3, "they are among the results");
}

#[tokio::test]
async fn who_asks_when_makes_no_difference() {
    let mut world = World::new();
    let process = world.spawn(CRON).await;
    let live = world.open().await;
    let mut last = process.into();
    for round in 1..12u64 {
        world.clock.set(1_000_000 + round * 33_333);
        // A block is two minutes; the scheduler sees it a little later.
        let height = (1_000_000 + round * 33_333) / 120_000;
        world.weave.set_height(height.max(8));
        world.scheduler.set_height(height.max(8));
        cron(&live, process, None, 10).await;
        if round % 3 == 0 {
            last = world.send(process, "Add").await;
        }
    }
    ask(&live, process, last).await;
    let ticks = live.counters().ticks;
    assert!(ticks > 20);
    for page in [1, 2, 100] {
        world.options.page = page;
        let late = world.open_fresh().await;
        ask(&late, process, last).await;
        cron(&live, process, None, 10).await;
        cron(&late, process, None, 10).await;
        assert_eq!(all_results(&live, process).await, all_results(&late, process).await);
        assert_eq!(live.state(process, None).await, late.state(process, None).await);
    }
}

#[tokio::test]
async fn ticks_that_the_schedule_contradicts_are_evaluated_again() {
    for checkpoint in [1, 1000] {
        let mut world = World::new();
        world.options.cron_lag_ms = 0;
        world.options.checkpoint_messages = checkpoint;
        let process = world.spawn(CRON).await;
        let hasty = world.open().await;
        world.clock.set(1_035_000);
        assert_eq!(cron(&hasty, process, None, 10).await.0.len(), 3);
        // A clock that goes back: the message comes before the third tick.
        world.clock.set(1_025_000);
        let message = world.send(process, "Add").await;
        assert_eq!(ask(&hasty, process, message).await, "4");
        world.clock.set(1_036_000);
        let (ticks, _) = cron(&hasty, process, None, 10).await;
        assert_eq!(ticks[1..], ["1020000 0 0-10-seconds 3", "1030000 1 0-10-seconds 5"].map(str::to_owned));
        let late = world.open_fresh().await;
        cron(&late, process, None, 10).await;
        assert_eq!(all_results(&hasty, process).await, all_results(&late, process).await);
        assert_eq!(hasty.state(process, None).await, late.state(process, None).await);
    }
}

#[tokio::test]
async fn ticks_of_before_a_restart_do_not_outlive_what_contradicts_them() {
    for stops_well in [false, true] {
        let mut world = World::new();
        world.options.cron_lag_ms = 0;
        let process = world.spawn(CRON).await;
        let hasty = world.open().await;
        world.clock.set(1_035_000);
        assert_eq!(cron(&hasty, process, None, 10).await.0.len(), 3);
        if stops_well {
            hasty.stop().await;
        }
        world.clock.set(1_025_000);
        let message = world.send(process, "Add").await;
        let restarted = world.open().await;
        assert_eq!(ask(&restarted, process, message).await, "4");
        let late = world.open_fresh().await;
        ask(&late, process, message).await;
        assert_eq!(all_results(&restarted, process).await, all_results(&late, process).await);
        assert_eq!(all_results(&late, process).await.items.len(), 4);
    }
}

#[tokio::test]
async fn a_long_tail_is_evaluated_in_parts() {
    let mut world = World::new();
    world.options.cron_ticks_max = 4;
    let process = world.spawn(&[("Cron-Interval", "1-second")]).await;
    let cu = world.open().await;
    world.clock.set(1_011_500);
    for expected in [(4, true), (8, true), (10, false), (10, false)] {
        let (ticks, more) = cron(&cu, process, None, 100).await;
        assert_eq!((ticks.len(), more), expected);
    }
}

#[tokio::test]
async fn ticks_survive_a_restart_and_go_on_from_there() {
    let world = World::new();
    let process = world.spawn(CRON).await;
    let cu = world.open().await;
    world.clock.set(1_021_500);
    assert_eq!(cron(&cu, process, None, 10).await.0.len(), 2);
    cu.stop().await;
    let cu = world.open().await;
    world.clock.set(1_031_500);
    let (ticks, _) = cron(&cu, process, None, 10).await;
    assert_eq!(ticks.last().map(String::as_str), Some("1030000 0 0-10-seconds 4"));
    assert_eq!(world.handled(), 4, "the checkpoint stood after the second tick");
}

#[tokio::test]
async fn a_process_without_cron_has_no_cron_outcomes() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    world.clock.set(2_000_000);
    assert_eq!(cron(&cu, process, None, 10).await, (vec![], false));
    assert_eq!(world.handled(), 0);
}

#[tokio::test]
async fn crons_that_need_a_block_the_weave_does_not_have_wait_for_it() {
    let world = World::new();
    let process = world.spawn(CRON).await;
    let cu = world.open().await;
    world.scheduler.set_height(7);
    world.clock.set(1_021_500);
    let message = world.send(process, "Add").await;
    assert!(ask(&cu, process, message).await.starts_with("Unavailable: block 6 is not known yet"));
    world.weave.set_height(7);
    assert_eq!(ask(&cu, process, message).await, "6");
}

#[tokio::test]
async fn a_scheduler_that_is_cut_off_from_the_weave_has_no_ticks_beyond_a_block_that_it_does_not_know() {
    let mut world = World::new();
    world.options.cron_lag_ms = 0;
    world.weave.set_height(8);
    world.scheduler.set_height(8);
    let process = world.spawn(&[("Cron-Interval", "10-seconds"), ("Cron-Tag-Action", "Add")]).await;
    let cu = world.open().await;
    world.clock.set(1_101_500);
    // Block 9 is of 1 080 000.
    world.weave.set_height(9);
    let ticks = |(ticks, _): (Vec<String>, bool)| ticks.len();
    assert_eq!(ticks(cron(&cu, process, None, 100).await), 7, "up to 1 070 000");
    world.scheduler.set_height(9);
    let message = world.send(process, "Add").await;
    assert_eq!(ask(&cu, process, message).await, "12", "boot, ten ticks, this");
    let all = cron(&cu, process, None, 100).await.0;
    assert_eq!(all.len(), 10, "{all:?}");
    let late = world.open_fresh().await;
    ask(&late, process, message).await;
    assert_eq!(all_results(&cu, process).await, all_results(&late, process).await);
}

#[tokio::test]
async fn a_scheduler_that_says_a_lower_height_than_before_takes_a_block_back() {
    for page in [1, 100] {
        let mut world = World::new();
        world.options.cron_lag_ms = 0;
        world.options.page = page;
        world.weave.set_height(9);
        world.scheduler.set_height(8);
        let process = world.spawn(&[("Cron-Interval", "10-seconds"), ("Cron-Tag-Action", "Echo")]).await;
        let cu = world.open().await;
        // Block 9, of 1 080 000, counts for the ticks after it.
        world.clock.set(1_100_500);
        world.scheduler.set_height(9);
        cron(&cu, process, None, 100).await;
        // The next slot does not know it, the one after does.
        world.scheduler.set_height(8);
        let first = world.send(process, "Add").await;
        ask(&cu, process, first).await;
        world.clock.set(1_131_000);
        world.scheduler.set_height(9);
        let second = world.send(process, "Add").await;
        ask(&cu, process, second).await;
        let late = world.open_fresh().await;
        ask(&late, process, second).await;
        assert_eq!(all_results(&cu, process).await, all_results(&late, process).await);
        assert_eq!(cu.history(process, 0, 100).await, late.history(process, 0, 100).await);
    }
}
