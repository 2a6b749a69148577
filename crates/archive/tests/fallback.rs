//! A scheduler that is gone: its schedules are what the weave has of them, until it is there again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pirn_archive::{Fallback, Options};
use protocol::{DataItem, ProcessId, Slot};
use store::{MemoryStore, Store};
use su::SchedulerUnit;
use unit::fakes::{FakeClock, FakeWeave, Switch};
use unit::suite::{message_item, process_item, wallet};
use unit::{Code, Error, Kind, Scheduled, Scheduler, SlotRange};

/// A scheduler with that log.
async fn scheduler(store: Arc<dyn Store>, weave: &Arc<FakeWeave>) -> Arc<SchedulerUnit> {
    let clock = FakeClock::advancing(1_700_000_000_000, 1);
    let events = unit::Events::silent();
    let ports = su::Ports { store, weave: weave.clone(), clock, events, wallet: wallet(0) };
    let options = su::Options {
        settle_interval_ms: 0,
        settle_retry_ms: 1,
        settle_retry_max_ms: 2,
        ..su::Options::default()
    };
    SchedulerUnit::open(ports, options).await.unwrap()
}

fn message(process: ProcessId, data: &str) -> DataItem {
    message_item(&wallet(1), process, &[], data)
}

async fn whole(scheduler: &dyn Scheduler, process: ProcessId) -> Vec<Scheduled> {
    let all = SlotRange::Slots { after: None, to: None };
    scheduler.schedule_page(process, all, 1000).await.unwrap().items
}

struct World {
    weave: Arc<FakeWeave>,
    su: Arc<SchedulerUnit>,
    switch: Arc<Switch>,
    process: ProcessId,
}

impl World {
    /// A process with three messages, all on the weave.
    async fn new() -> World {
        let weave = FakeWeave::new();
        let su = scheduler(Arc::new(MemoryStore::new()), &weave).await;
        let item = process_item(&wallet(1), wallet(0).address(), &[]);
        let process = su.schedule(item).await.unwrap().assignment.process;
        for n in 0..3 {
            su.schedule(message(process, &n.to_string())).await.unwrap();
        }
        su.settled().await;
        World { switch: Switch::to(su.clone()), weave, su, process }
    }

    fn fallback(&self, own: Option<Arc<dyn Scheduler>>) -> Fallback {
        Fallback::new(self.switch.clone(), own, self.weave.clone(), Options::default())
    }
}

#[tokio::test(start_paused = true)]
async fn while_nobody_answers_the_weave_does_with_the_same() {
    let world = World::new().await;
    let fallback = world.fallback(None);
    let before = whole(&fallback, world.process).await;
    assert_eq!((fallback.entries(), fallback.processes()), (0, 0));

    world.switch.set(None);
    assert_eq!(whole(&fallback, world.process).await, before);
    assert_eq!(fallback.latest(world.process).await.unwrap(), before[3]);
    let found = fallback.find(Some(world.process), before[2].message_id()).await.unwrap();
    assert_eq!(found, before[2]);
    assert_eq!(
        fallback.process(world.process).await.unwrap(),
        world.su.process(world.process).await.unwrap()
    );
    assert_eq!((fallback.entries(), fallback.processes()), (6, 1));
    // It gives no slot, and says no time.
    let refused = fallback.schedule(message(world.process, "more")).await.unwrap_err();
    assert_eq!(refused.code, Code::UNREACHABLE);
    assert!(fallback.now().await.is_err());

    world.switch.set(Some(world.su.clone()));
    fallback.schedule(message(world.process, "more")).await.unwrap();
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    assert_eq!(whole(&fallback, world.process).await.len(), 5);
    assert_eq!(fallback.processes(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_weave_does_not_have_is_the_schedulers_to_say() {
    let world = World::new().await;
    world.weave.fail_uploads(u64::MAX);
    let fresh = world.su.schedule(message(world.process, "fresh")).await.unwrap();
    let fallback = world.fallback(None);
    world.switch.set(None);
    for _ in 0..5 {
        let refused = fallback.find(Some(world.process), fresh.message_id()).await.unwrap_err();
        assert_eq!((refused.kind, refused.code), (Kind::Unavailable, Code::UNREACHABLE), "{refused}");
        assert_eq!(fallback.latest(world.process).await.unwrap().assignment.slot, Slot(3));
    }
    // It is back, and asked at once for what nobody else has, and for what must not be late.
    world.switch.set(Some(world.su.clone()));
    let (_, newest) = fallback.latest_after_now(world.process).await.unwrap();
    assert_eq!(newest, fresh.entry);
    let found = fallback.find(Some(world.process), fresh.message_id()).await.unwrap();
    assert_eq!(found, fresh.entry);
    assert_eq!(fallback.latest(world.process).await.unwrap(), found);
}

#[tokio::test(start_paused = true)]
async fn a_page_that_the_weave_has_only_in_part_does_not_end_the_schedule() {
    let world = World::new().await;
    world.weave.fail_uploads(u64::MAX);
    world.su.schedule(message(world.process, "fresh")).await.unwrap();
    // Its item is on the weave, its assignment is not yet.
    let item = process_item(&wallet(1), wallet(0).address(), &[("Name", "young")]);
    let young = world.su.schedule(item.clone()).await.unwrap().assignment.process;
    world.weave.fail_uploads(0);
    unit::Weave::upload(&*world.weave, item).await.unwrap();
    world.weave.fail_uploads(u64::MAX);
    let up_to = |after, to| SlotRange::Slots { after, to: Some(Slot(to)) };

    let fallback = world.fallback(None);
    world.switch.set(None);
    for _ in 0..5 {
        let page = fallback.schedule_page(world.process, up_to(None, 4), 100).await.unwrap();
        assert_eq!((page.items.len(), page.has_next), (4, true));
        let page = fallback.schedule_page(world.process, up_to(None, 3), 100).await.unwrap();
        assert_eq!((page.items.len(), page.has_next), (4, false));
        for (process, after) in [(world.process, Some(Slot(3))), (young, None)] {
            let refused = fallback.schedule_page(process, up_to(after, 4), 100).await.unwrap_err();
            assert_eq!((refused.kind, refused.code), (Kind::Unavailable, Code::UNREACHABLE), "{refused}");
        }
    }
    world.switch.set(Some(world.su.clone()));
    let page = fallback.schedule_page(young, up_to(None, 0), 1).await.unwrap();
    assert_eq!((page.items.len(), page.has_next), (1, false));
    let page = fallback.schedule_page(world.process, up_to(Some(Slot(3)), 4), 100).await.unwrap();
    assert_eq!((page.items.len(), page.has_next), (1, false));
}

#[tokio::test]
async fn what_a_scheduler_says_counts_also_that_there_is_nothing() {
    let world = World::new().await;
    let fallback = world.fallback(None);
    let empty = scheduler(Arc::new(MemoryStore::new()), &FakeWeave::new()).await;
    world.switch.set(Some(empty));
    let refused = fallback.latest(world.process).await.unwrap_err();
    assert_eq!((refused.kind, fallback.entries()), (Kind::NotFound, 0), "{refused}");
}

#[tokio::test]
async fn what_runs_here_is_never_read_from_the_weave() {
    let world = World::new().await;
    let fallback = world.fallback(Some(world.su.clone()));
    world.switch.set(None);
    assert_eq!(fallback.latest(world.process).await.unwrap_err().code, Code::UNREACHABLE);
    assert_eq!(fallback.entries(), 0);
    assert_eq!(world.switch.shows.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_location_that_leads_nowhere_is_no_answer_and_a_refusal_is_one() {
    let world = World::new().await;
    world.switch.set(None);
    for (absent, is_answer) in [
        (Error::not_found("it has not said where it is").with_code(Code::SCHEDULER_NOWHERE), false),
        (Error::not_found("there is a web server now").with_code(Code::STRANGE_ANSWER), false),
        (Error::unavailable("it has its own troubles"), false),
        (Error::new(Kind::Forbidden, "not for you"), true),
        (Error::new(Kind::Busy { retry_after: std::time::Duration::ZERO }, "later"), true),
    ] {
        *world.switch.absent.lock().unwrap() = absent.clone();
        let fallback = world.fallback(None);
        let said = fallback.latest(world.process).await;
        match is_answer {
            true => assert_eq!(said, Err(absent)),
            false => assert_eq!(said.unwrap().assignment.slot, Slot(3), "{absent}"),
        }
    }
}
