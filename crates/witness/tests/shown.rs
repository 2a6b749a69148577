//! What peers saw is shown to a scheduler that forgot it, by themselves, and its operator has the last word all the same.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{message, scheduler, whole};
use pirn_witness::{Options, Ports, Witness};
use protocol::{DataItem, ProcessId, Slot, Timestamp};
use store::{MemoryStore, Store};
use su::SchedulerUnit;
use unit::fakes::{FakeClock, FakeWeave, Switch};
use unit::suite::{process_item, wallet};
use unit::{
    Code, Error, HeldQuery, Order, Page, Recovery as _, RecoveryState, Scheduled, Scheduler, SlotRange, Tail,
    Why,
};

/// Looks only when it is told to, or alarmed.
fn patient() -> Options {
    Options { interval_ms: 3_600_000, pause_ms: 1, ..Options::default() }
}

struct World {
    weave: Arc<FakeWeave>,
    su: Arc<SchedulerUnit>,
    switch: Arc<Switch>,
    store: Arc<dyn Store>,
    witness: Arc<Witness>,
    process: ProcessId,
}

fn witness(
    store: &Arc<dyn Store>,
    switch: &Arc<Switch>,
    weave: &Arc<FakeWeave>,
    options: Options,
) -> Arc<Witness> {
    let ports = Ports {
        store: store.clone(),
        scheduler: switch.clone(),
        weave: weave.clone(),
        clock: FakeClock::at(1_700_000_000_000),
        own: vec![Bytes::copy_from_slice(wallet(5).owner())],
    };
    Witness::open(ports, options).unwrap()
}

impl World {
    /// A process that is on the weave, and a witness.
    async fn new(options: Options) -> World {
        let weave = FakeWeave::new();
        let su = scheduler(Arc::new(MemoryStore::new()), &weave).await;
        let switch = Switch::to(su.clone());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let witness = witness(&store, &switch, &weave, options);
        let item = process_item(&wallet(1), wallet(0).address(), &[("Name", "one")]);
        let process = witness.schedule(item).await.unwrap().assignment.process;
        su.settled().await;
        World { weave, su, switch, store, witness, process }
    }

    /// Messages that the weave does not take.
    async fn send(&self, n: usize) {
        self.weave.fail_uploads(u64::MAX);
        for n in 0..n {
            self.witness.schedule(message(self.process, &n.to_string())).await.unwrap();
        }
    }

    /// The scheduler again, with its key alone.
    async fn lose(&mut self) {
        self.su.stop().await;
        self.weave.fail_uploads(0);
        self.su = scheduler(Arc::new(MemoryStore::new()), &self.weave).await;
        while self.state().await.restoring.rounds == 0 || self.state().await.restoring.running {
            tokio::task::yield_now().await;
        }
        self.switch.set(Some(self.su.clone()));
    }

    async fn state(&self) -> RecoveryState {
        self.su.recovery(HeldQuery { only: Some(self.process), after: None, limit: 1 }).await.unwrap()
    }

    async fn tail(&self) -> Option<Slot> {
        self.state().await.held[0].tail
    }

    async fn confirm(&self, tail: Tail) {
        let held = self.state().await.held.remove(0);
        let since = held.hold.map_or(Timestamp(0), |hold| hold.since);
        let order = Order::Confirm { process: Some(self.process), at: held.tail, since, tail };
        self.su.order(DataItem::sign(&wallet(0), order.draft()).unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_scheduler_that_lost_its_log_is_shown_what_a_peer_saw_and_goes_on_when_its_operator_says_so() {
    let mut world = World::new(patient()).await;
    world.send(4).await;
    let before = whole(&*world.su, world.process).await;
    world.lose().await;
    assert_eq!(world.tail().await, Some(Slot(0)));

    world.witness.look().await;
    assert_eq!(whole(&*world.su, world.process).await, before);
    assert_eq!(world.witness.counters().shown, 4);
    let held = world.witness.schedule(message(world.process, "more")).await.unwrap_err();
    assert_eq!(held.code, Code::HELD, "{held}");
    // Nothing is shown twice, however often it is looked at.
    let shows = world.switch.shows.load(Ordering::SeqCst);
    world.witness.look().await;
    world.witness.look().await;
    assert_eq!(world.switch.shows.load(Ordering::SeqCst), shows);

    world.confirm(Tail::Whole).await;
    let next = world.witness.schedule(message(world.process, "more")).await.unwrap();
    assert_eq!(next.assignment.slot, Slot(5));
    world.witness.look().await;
    assert_eq!(world.switch.shows.load(Ordering::SeqCst), shows);
}

#[tokio::test]
async fn a_scheduler_that_does_not_answer_is_shown_it_later() {
    let mut world = World::new(patient()).await;
    world.send(2).await;
    world.lose().await;
    world.switch.set(None);
    world.witness.look().await;
    assert_eq!((world.tail().await, world.witness.counters().shown), (Some(Slot(0)), 0));
    world.switch.set(Some(world.su.clone()));
    world.witness.look().await;
    assert_eq!((world.tail().await, world.witness.counters().shown), (Some(Slot(2)), 2));
}

#[tokio::test]
async fn an_answer_that_it_holds_is_enough() {
    let mut world = World::new(patient()).await;
    world.send(3).await;
    world.lose().await;
    // Nobody tells it to look.
    while world.tail().await != Some(Slot(3)) {
        let answer = world.witness.schedule(message(world.process, "more")).await;
        assert_eq!(answer.unwrap_err().code, Code::HELD);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_shorter_schedule_is_enough_and_a_scheduler_that_takes_itself_for_new_holds() {
    let mut world = World::new(patient()).await;
    world.send(2).await;
    // Not even the weave knows it.
    world.weave = FakeWeave::new();
    world.su.stop().await;
    world.su = scheduler(Arc::new(MemoryStore::new()), &world.weave).await;
    world.switch.set(Some(world.su.clone()));
    while world.tail().await != Some(Slot(2)) {
        assert!(world.witness.process(world.process).await.is_err() || world.tail().await.is_some());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(world.state().await.general.map(|hold| hold.why), Some(Why::Shown));
}

#[tokio::test]
async fn a_slot_that_got_a_second_signature_is_shown_and_halts_its_process() {
    let mut world = World::new(patient()).await;
    world.send(1).await;
    world.lose().await;
    // The operator is wrong, and faster.
    world.confirm(Tail::Whole).await;
    world.su.schedule(message(world.process, "another")).await.unwrap();
    world.su.schedule(message(world.process, "and more")).await.unwrap();
    let all = SlotRange::Slots { after: None, to: None };
    world.witness.schedule_page(world.process, all, 10).await.unwrap();
    while world.state().await.held[0].hold.is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(world.state().await.held[0].hold.map(|hold| hold.why), Some(Why::Contradiction));
    world.witness.look().await;
    assert_eq!(world.witness.counters().contradictions, 1);
}

#[tokio::test]
async fn what_was_given_up_is_not_shown_again() {
    let mut world = World::new(patient()).await;
    world.send(2).await;
    world.lose().await;
    world.confirm(Tail::Ended).await;
    world.witness.look().await;
    assert_eq!(world.switch.shows.load(Ordering::SeqCst), 0);
    let next = world.witness.schedule(message(world.process, "new")).await.unwrap();
    assert_eq!(next.assignment.slot, Slot(1));
    world.witness.look().await;
    assert_eq!((world.switch.shows.load(Ordering::SeqCst), world.witness.counters().contradictions), (0, 0));
}

#[tokio::test]
async fn what_is_kept_survives_a_restart_and_goes_when_the_weave_has_it_deep() {
    let mut world = World::new(patient()).await;
    world.send(3).await;
    world.witness.stop().await;
    let eager = Options { interval_ms: 1, pause_ms: 1, depth: 3, ..Options::default() };
    world.witness = witness(&world.store, &world.switch, &world.weave, eager.clone());
    assert_eq!(world.witness.counters().kept, 4);
    world.lose().await;
    while world.tail().await != Some(Slot(3)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.su.settled().await;
    world.weave.mine();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(world.witness.counters().kept, 4, "one block may be replaced");
    world.weave.mine();
    while world.witness.counters().kept > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.witness.stop().await;
    assert_eq!(witness(&world.store, &world.switch, &world.weave, eager).counters().kept_bytes, 0);
}

#[tokio::test]
async fn who_alarms_it_for_ever_does_not_keep_it_from_forgetting_what_the_weave_has() {
    /// Alarms after which it must have forgotten: dozens of turns.
    const ALARMS_MAX: u64 = 3000;
    let mut world = World::new(Options { interval_ms: 20, pause_ms: 1, depth: 2, ..patient() }).await;
    world.send(3).await;
    world.lose().await;
    // Each answer that it holds is an alarm, and it holds until its operator says otherwise.
    let alarms = Arc::new(AtomicU64::new(0));
    let (witness, told, more) = (world.witness.clone(), alarms.clone(), message(world.process, "more"));
    let alarming = tokio::spawn(async move {
        loop {
            assert_eq!(witness.schedule(more.clone()).await.unwrap_err().code, Code::HELD);
            told.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    while world.tail().await != Some(Slot(3)) || alarms.load(Ordering::SeqCst) < 50 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.su.settled().await;
    for _ in 0..3 {
        world.weave.mine();
    }
    let before = alarms.load(Ordering::SeqCst);
    while world.witness.counters().kept > 0 && alarms.load(Ordering::SeqCst) < before + ALARMS_MAX {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(world.witness.counters().kept, 0);
    assert!(!alarming.is_finished(), "it alarms yet");
    alarming.abort();
}

#[tokio::test]
async fn no_more_is_kept_than_is_allowed_and_the_newest_stay() {
    let mut world = World::new(Options { entries_max: 2, ..patient() }).await;
    world.send(4).await;
    let counters = world.witness.counters();
    assert_eq!((counters.kept, counters.missed), (2, 3));
    world.lose().await;
    world.witness.look().await;
    let held = world.state().await.held.remove(0);
    assert_eq!((held.tail, held.shown, held.missing), (Some(Slot(0)), Some(Slot(4)), vec![Slot(1), Slot(2)]));
}

#[tokio::test]
async fn a_large_message_is_not_kept_and_its_assignment_is() {
    let mut world = World::new(Options { message_bytes_max: 1000, ..patient() }).await;
    world.weave.fail_uploads(u64::MAX);
    world.witness.schedule(message(world.process, &"x".repeat(2000))).await.unwrap();
    assert!(world.witness.counters().kept_bytes < 3000);
    world.lose().await;
    world.witness.look().await;
    let held = world.state().await.held.remove(0);
    assert_eq!((held.tail, held.shown), (Some(Slot(0)), Some(Slot(1))), "it says how far it was");
}

#[tokio::test]
async fn what_the_scheduler_of_this_node_signed_is_not_kept_a_second_time() {
    let (weave, store): (_, Arc<dyn Store>) = (FakeWeave::new(), Arc::new(MemoryStore::new()));
    let su = scheduler(Arc::new(MemoryStore::new()), &weave).await;
    let clock = FakeClock::at(1_700_000_000_000);
    let own = vec![Bytes::copy_from_slice(wallet(0).owner())];
    let ports = Ports { store, scheduler: su, weave, clock, own };
    let witness = Witness::open(ports, patient()).unwrap();
    witness.schedule(process_item(&wallet(1), wallet(0).address(), &[])).await.unwrap();
    assert_eq!(witness.counters().kept, 0);
}

#[tokio::test]
async fn what_no_scheduler_signed_is_forgotten_rather_than_shown() {
    let world = World::new(patient()).await;
    struct Liar(Arc<SchedulerUnit>);
    #[async_trait::async_trait]
    impl Scheduler for Liar {
        async fn schedule(&self, item: DataItem) -> unit::Result<unit::Placed> {
            self.0.schedule(item).await
        }
        async fn assign(&self, request: unit::AssignRequest) -> unit::Result<unit::Placed> {
            self.0.assign(request).await
        }
        async fn find(&self, process: Option<ProcessId>, id: protocol::Id) -> unit::Result<Scheduled> {
            self.0.find(process, id).await
        }
        async fn schedule_page(
            &self,
            process: ProcessId,
            range: SlotRange,
            limit: usize,
        ) -> unit::Result<Page<Scheduled>> {
            let mut page = self.0.schedule_page(process, range, limit).await?;
            for entry in &mut page.items {
                let lie = Arc::make_mut(&mut entry.assignment);
                lie.slot = Slot(lie.slot.0 + 7);
                lie.item.tags.push("Lie", "1");
            }
            Ok(page)
        }
        async fn latest(&self, _process: ProcessId) -> unit::Result<Scheduled> {
            Err(Error::unavailable("it is busy with lies"))
        }
        async fn process(&self, process: ProcessId) -> unit::Result<unit::ProcessRecord> {
            self.0.process(process).await
        }
        async fn standing_of(&self, process: ProcessId) -> unit::Result<RecoveryState> {
            self.0.standing_of(process).await
        }
        async fn show(&self, process: ProcessId, shown: Vec<DataItem>) -> unit::Result<unit::Adopted> {
            self.0.show(process, shown).await
        }
        async fn now(&self) -> unit::Result<unit::Tip> {
            self.0.now().await
        }
        async fn address(&self) -> unit::Result<protocol::Address> {
            self.0.address().await
        }
    }
    world.switch.set(Some(Arc::new(Liar(world.su.clone()))));
    let all = SlotRange::Slots { after: None, to: None };
    world.witness.schedule_page(world.process, all, 10).await.unwrap();
    assert_eq!(world.witness.counters().kept, 2);
    world.witness.look().await;
    assert_eq!((world.witness.counters().kept, world.switch.shows.load(Ordering::SeqCst)), (1, 0));
    assert_eq!(world.state().await.held[0].hold, None);
}
