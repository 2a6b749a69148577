//! The suite that every scheduler must pass, with the unit itself.

mod common;

use common::{World, options};

#[tokio::test]
async fn the_unit_is_a_scheduler() {
    unit::suite::scheduler(async || World::memory().await.ground()).await;
}

#[tokio::test]
async fn the_unit_is_a_scheduler_with_tiny_bounds() {
    let tiny = pirn_su::Options {
        waiting_max: 1,
        in_flight_max: 1,
        lines_max: 1,
        recent_bytes_max: 0,
        page_max: 2,
        page_bytes_max: 1,
        exclude_max: 2,
        settle_window: 1,
        settle_concurrency: 1,
        ..options()
    };
    unit::suite::scheduler(async || World::memory_with(tiny.clone()).await.ground()).await;
}
