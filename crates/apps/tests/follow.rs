//! Whoever follows a process hears all of it once, in the order of evaluation, from wherever they begin.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use pirn_apps::{Apps, Options, Ports};
use protocol::attestation::{Due, Leaf};
use protocol::{
    Address, Attestation, DataItem, Digest, Draft, Epoch, Id, Json, Outcome, ProcessId, Slot, Tags,
    Timestamp, Wallet, tag,
};
use store::MemoryStore;
use unit::fakes::{FakeClock, FakeCompute, FakeScheduler};
use unit::{
    Answered, Compute, Courier, Cursor, DryRun, Evaluated, Evaluation, Events, Filter, Followed, Follower,
    Happened, History, HookState, HookWish, OutcomeQuery, Page, Parcel, Result, Scheduler as _, Start,
    StateAt, Subscriptions, Told,
};

/// A compute unit with a history: the fake, and leaves beside it.
struct Recorder {
    outcomes: Arc<FakeCompute>,
    leaves: Mutex<Vec<Leaf>>,
    /// How long it takes to say outcomes.
    takes_ms: AtomicU64,
}

#[async_trait]
impl Compute for Recorder {
    async fn result(&self, process: ProcessId, message: Id) -> Result<Arc<Outcome>> {
        self.outcomes.result(process, message).await
    }

    async fn results(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        let ms = self.takes_ms.load(std::sync::atomic::Ordering::Relaxed);
        if ms > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
        }
        self.outcomes.results(process, query).await
    }

    async fn cron(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        self.outcomes.cron(process, query).await
    }

    async fn dry_run(&self, process: ProcessId, message: DryRun, at: Option<Id>) -> Result<Outcome> {
        self.outcomes.dry_run(process, message, at).await
    }

    async fn state(&self, process: ProcessId, to: Option<Timestamp>) -> Result<StateAt> {
        self.outcomes.state(process, to).await
    }

    async fn address(&self) -> Result<Address> {
        self.outcomes.address().await
    }

    async fn attest(&self, process: ProcessId, of: Evaluation, with_state: bool) -> Result<Attestation> {
        self.outcomes.attest(process, of, with_state).await
    }

    async fn history(&self, _: ProcessId, from: u64, limit: usize) -> Result<History> {
        let leaves = self.leaves.lock().unwrap();
        let some = leaves.iter().skip(from as usize).take(limit).cloned().collect();
        Ok(History { size: leaves.len() as u64, root: Digest([0; 32]), leaves: some })
    }

    async fn consistency(&self, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>> {
        self.outcomes.consistency(process, from, to).await
    }
}

/// A receiver that takes everything but what it is told not to.
#[derive(Default)]
struct Receiver {
    refuses: Mutex<Vec<String>>,
    taken: Mutex<Vec<String>>,
}

#[async_trait]
impl Courier for Receiver {
    fn check(&self, _: &str) -> Result<()> {
        Ok(())
    }

    async fn post(&self, parcel: Parcel) -> Result<Answered> {
        let said: serde_json::Value = serde_json::from_str(&parcel.body).unwrap();
        let data = said["data"]["data"].as_str().unwrap().to_owned();
        let refused = self.refuses.lock().unwrap().contains(&data);
        if !refused {
            self.taken.lock().unwrap().push(data);
        }
        Ok(Answered { status: if refused { 500 } else { 200 }, retry_after: None })
    }
}

struct World {
    compute: Arc<Recorder>,
    scheduler: Arc<FakeScheduler>,
    store: Arc<MemoryStore>,
    clock: Arc<FakeClock>,
    events: Arc<Events>,
    receiver: Arc<Receiver>,
    process: ProcessId,
    apps: Arc<Apps>,
}

const START: u64 = 1_700_000_000_000;

impl World {
    async fn new(options: Options) -> World {
        let clock = FakeClock::at(START);
        let wallet = Wallet::ed25519_from_seed([9; 32]);
        let scheduler = FakeScheduler::new(wallet.clone(), clock.clone());
        let tags = Tags::from_iter([
            (tag::DATA_PROTOCOL, "ao".to_owned()),
            (tag::TYPE, "Process".to_owned()),
            (tag::MODULE, Address::of_owner(b"module").to_string()),
            (tag::SCHEDULER, wallet.address().to_string()),
        ]);
        let item = DataItem::sign(&wallet, Draft { tags, ..Draft::default() }).unwrap();
        let process = ProcessId(item.id);
        scheduler.schedule(item).await.unwrap();
        let compute = Arc::new(Recorder {
            outcomes: FakeCompute::silent(),
            leaves: Mutex::default(),
            takes_ms: AtomicU64::new(0),
        });
        let events = Events::new(1, clock.clone(), unit::EventsOptions::default());
        let (store, receiver) = (Arc::new(MemoryStore::new()), Arc::new(Receiver::default()));
        let ports = ports(&compute, &scheduler, &store, &clock, &events, &receiver);
        let apps = Apps::open(ports, options).unwrap();
        World { compute, scheduler, store, clock, events, receiver, process, apps }
    }

    /// The next slot says these.
    async fn say(&self, texts: &[&str]) -> Slot {
        self.clock.advance(1000);
        let tags = Tags::from_iter([(tag::DATA_PROTOCOL, "ao"), (tag::TYPE, "Message")]);
        let data = Bytes::copy_from_slice(&self.clock_bytes());
        let draft = Draft { target: Some(self.process.into()), tags, data, ..Draft::default() };
        let item = DataItem::sign(&Wallet::ed25519_from_seed([1; 32]), draft).unwrap();
        let placed = self.scheduler.schedule(item).await.unwrap();
        let (slot, at) = (placed.assignment.slot, placed.assignment.timestamp);
        let cursor = Cursor { timestamp: at, ordinate: Some(slot.0), cron: None, sort: None };
        self.confirm(slot);
        self.record(cursor, Some(placed.message_id()), texts);
        self.leaf(slot, None);
        self.tell(slot, placed.message_id());
        slot
    }

    fn clock_bytes(&self) -> [u8; 8] {
        use unit::Clock as _;
        self.clock.now().0.to_be_bytes()
    }

    /// A cron ticks after a slot, at a time that may be before it: that of a block.
    fn tick(&self, slot: Slot, at: u64, text: &str) {
        let cursor = Cursor {
            timestamp: Timestamp(at),
            ordinate: Some(slot.0),
            cron: Some("0-1-second".to_owned()),
            sort: None,
        };
        self.record(cursor, None, &[text]);
        self.tell(slot, Id([0; 32]));
    }

    /// The ticks before a slot become leaves.
    fn confirm(&self, slot: Slot) {
        let Some(before) = slot.0.checked_sub(1).map(Slot) else { return };
        let all = futures_now(
            self.compute
                .outcomes
                .results(self.process, OutcomeQuery { limit: 1000, ..OutcomeQuery::default() }),
        );
        for tick in all.items.iter().filter(|one| one.cursor.ordinate == Some(before.0)) {
            if let Some(name) = tick.cursor.cron.clone() {
                self.leaf(before, Some(Due { timestamp: tick.cursor.timestamp, name }));
            }
        }
    }

    fn record(&self, cursor: Cursor, message: Option<Id>, texts: &[&str]) {
        let message_of = |text: &&str| {
            let said = serde_json::json!({
                "Target": "x", "Data": text, "Anchor": "0",
                "Tags": [{"name": "Action", "value": "Noted"}, {"name": "Size", "value": text.len()}],
            });
            Json::parse(&said.to_string()).unwrap()
        };
        let outcome = Outcome { messages: texts.iter().map(message_of).collect(), ..FakeCompute::empty() };
        let evaluated = Evaluated { cursor, message, outcome: Arc::new(outcome) };
        self.compute.outcomes.put_evaluated(self.process, evaluated);
    }

    fn leaf(&self, slot: Slot, cron: Option<Due>) {
        self.compute.leaves.lock().unwrap().push(Leaf {
            process: self.process,
            epoch: Epoch(0),
            slot,
            cron,
            assignment: Id([0; 32]),
            outcome: Digest([0; 32]),
            gas: 0,
            gas_schedule: 1,
            state_root: None,
        });
    }

    fn tell(&self, slot: Slot, message: Id) {
        let outcome = Told::TooLarge { gas: 0, failed: false };
        self.events.tell(Some(self.process), || Happened::Evaluated {
            slot,
            message,
            from: message,
            action: None,
            outcome,
        });
    }

    async fn follow(&self, from: &str) -> Box<dyn Follower> {
        self.apps.follow(self.process, from.parse().unwrap(), Filter::default()).await.unwrap()
    }
}

fn ports(
    compute: &Arc<Recorder>,
    scheduler: &Arc<FakeScheduler>,
    store: &Arc<MemoryStore>,
    clock: &Arc<FakeClock>,
    events: &Arc<Events>,
    receiver: &Arc<Receiver>,
) -> Ports {
    let fresh = Mutex::new(0);
    Ports {
        store: store.clone(),
        compute: compute.clone(),
        scheduler: scheduler.clone(),
        clock: clock.clone(),
        wall: clock.clone(),
        events: events.clone(),
        is_told: true,
        courier: receiver.clone(),
        fresh: Arc::new(move || {
            let mut n = fresh.lock().unwrap();
            *n += 1;
            [*n; 32]
        }),
    }
}

/// The answer of a fake, which never waits.
fn futures_now<T>(answer: impl Future<Output = Result<T>>) -> T {
    let mut answer = std::pin::pin!(answer);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match answer.as_mut().poll(&mut context) {
        std::task::Poll::Ready(answer) => answer.unwrap(),
        std::task::Poll::Pending => panic!("a fake waits for nothing"),
    }
}

/// So many of what comes next: the ids and the texts.
async fn hear(follower: &mut dyn Follower, count: usize) -> Vec<(String, String)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        match follower.next().await {
            Followed::Messages(said) => heard.extend(
                said.iter().map(|said| (said.what.id.clone(), said.what.data.as_str().unwrap().to_owned())),
            ),
            Followed::Nothing => {}
            other => panic!("{other:?}"),
        }
    }
    heard
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn live_and_resumed_are_the_same() {
    let world = World::new(Options::default()).await;
    world.say(&["boot"]).await;
    let mut live = world.follow("now").await;
    world.say(&["a", "b"]).await;
    world.say(&[]).await;
    world.say(&["c"]).await;
    let all = pairs(&[("1-0", "a"), ("1-1", "b"), ("3-0", "c")]);
    assert_eq!(hear(&mut *live, 3).await, all);
    let mut resumed = world.follow("1-0").await;
    assert_eq!(hear(&mut *resumed, 2).await, all[1..]);
    world.say(&["d"]).await;
    let next = pairs(&[("4-0", "d")]);
    assert_eq!((hear(&mut *live, 1).await, hear(&mut *resumed, 1).await), (next.clone(), next));
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_is_listed_before_its_slot_is_heard_after_it() {
    let world = World::new(Options::default()).await;
    world.say(&["boot"]).await;
    let mut live = world.follow("start").await;
    let slot = world.say(&["slot"]).await;
    assert_eq!(hear(&mut *live, 2).await, pairs(&[("0-0", "boot"), ("1-0", "slot")]));
    // Not confirmed by a later slot yet, and sent all the same.
    world.tick(slot, START + 3000, "tick");
    assert_eq!(hear(&mut *live, 1).await, pairs(&[("2-0", "tick")]));
    // Its block is older than the slot: it stands before it among the outcomes.
    world.tick(slot, START + 1, "early");
    world.say(&["later"]).await;
    let (page, _) =
        world.apps.outgoing(world.process, Start::Slot(Slot(0)), Filter::default(), 10).await.unwrap();
    let mut texts: Vec<_> = page.items.iter().map(|said| said.what.data.as_str().unwrap()).collect();
    assert_eq!(texts.pop(), Some("later"));
    texts.sort_unstable();
    assert_eq!(texts, ["boot", "early", "slot", "tick"]);
}

#[tokio::test(start_paused = true)]
async fn ticks_after_the_newest_slot_are_heard_however_many_they_are() {
    let world = World::new(Options { kept_bytes_max: 600, ..Options::default() }).await;
    let slot = world.say(&["boot"]).await;
    let mut live = world.follow("start").await;
    let texts: Vec<String> =
        std::iter::once("boot".to_owned()).chain((0..700).map(|n| n.to_string())).collect();
    for (n, text) in texts[1..].iter().enumerate() {
        world.tick(slot, START + 10_000 + 1000 * n as u64, text);
    }
    let heard: Vec<_> = hear(&mut *live, 701).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(heard, texts);
    // Whoever comes later begins after all of them.
    let mut late = world.follow("now").await;
    world.tick(slot, START + 1_000_000, "last");
    assert_eq!(hear(&mut *late, 1).await, pairs(&[("701-0", "last")]));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_takes_long_is_read_all_the_same() {
    let world = World::new(Options::default()).await;
    world.say(&["boot"]).await;
    world.say(&["a"]).await;
    // Longer than a webhook waits between two looks at the time.
    world.compute.takes_ms.store(3000, std::sync::atomic::Ordering::Relaxed);
    world.apps.create_hook(wish(world.process), None).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(*world.receiver.taken.lock().unwrap(), ["boot", "a"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_slow_reads_the_record_and_misses_nothing() {
    let world = World::new(Options { kept_bytes_max: 600, ..Options::default() }).await;
    world.say(&["boot"]).await;
    let (mut slow, mut quick) = (world.follow("now").await, world.follow("now").await);
    let texts: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    for text in &texts {
        world.say(&[text]).await;
    }
    for follower in [&mut quick, &mut slow] {
        let heard: Vec<_> = hear(&mut **follower, 200).await.into_iter().map(|(_, text)| text).collect();
        assert_eq!(heard, texts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_beyond_the_end_is_said_to_be() {
    let world = World::new(Options { streams_max: 1, ..Options::default() }).await;
    world.say(&["boot"]).await;
    let mut ahead = world.follow("7-0").await;
    assert!(matches!(ahead.next().await, Followed::Ahead { resumed } if resumed.to_string() == "1-0"));
    world.say(&["a"]).await;
    assert_eq!(hear(&mut *ahead, 1).await, pairs(&[("1-0", "a")]));
    let second = world.apps.follow(world.process, Start::Now, Filter::default()).await;
    assert!(matches!(second.err().unwrap().kind, unit::Kind::Busy { .. }));
    world.apps.stop("the node stops");
    loop {
        match ahead.next().await {
            Followed::Nothing => {}
            Followed::End(why) => break assert_eq!(why, "the node stops"),
            other => panic!("{other:?}"),
        }
    }
}

fn wish(process: ProcessId) -> HookWish {
    HookWish {
        process,
        url: "https://example.com".to_owned(),
        filter: Filter::default(),
        secret: None,
        from: Some("start".to_owned()),
        expires: None,
        budget: None,
    }
}

/// Lets whatever is under way go on, without waiting for real.
async fn settle() {
    for _ in 0..50 {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_goes_on_after_a_restart_and_keeps_dead_letters() {
    let world = World::new(Options { tries_max: 2, ..Options::default() }).await;
    world.say(&["boot"]).await;
    world.say(&["a", "bad", "b"]).await;
    world.receiver.refuses.lock().unwrap().push("bad".to_owned());
    let (hook, _) = world.apps.create_hook(wish(world.process), None).await.unwrap();
    settle().await;
    assert_eq!(*world.receiver.taken.lock().unwrap(), ["boot", "a", "b"]);
    let dead = world.apps.dead_deliveries(&hook.id, None, 10).await.unwrap().items;
    assert_eq!((dead.len(), dead[0].place.as_str(), dead[0].tries), (1, "1-1", 2));
    world.apps.stop("a restart");

    let again =
        ports(&world.compute, &world.scheduler, &world.store, &world.clock, &world.events, &world.receiver);
    let apps = Apps::open(again, Options { tries_max: 2, ..Options::default() }).unwrap();
    world.say(&["c"]).await;
    settle().await;
    assert_eq!(*world.receiver.taken.lock().unwrap(), ["boot", "a", "b", "c"]);
    world.receiver.refuses.lock().unwrap().clear();
    apps.retry_delivery(&hook.id, "1-1".parse::<Start>().map(place).unwrap()).await.unwrap();
    assert_eq!(world.receiver.taken.lock().unwrap().last().unwrap(), "bad");
    let hook = apps.hook(&hook.id).await.unwrap();
    assert_eq!((hook.delivered, hook.given_up, hook.secret), (5, 0, None));
}

fn place(start: Start) -> unit::Place {
    match start {
        Start::After(place) => place,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_ends_with_its_budget_or_its_time() {
    let world = World::new(Options::default()).await;
    world.say(&["a", "b", "c"]).await;
    let budget = HookWish { budget: Some(2), ..wish(world.process) };
    let (budget, _) = world.apps.create_hook(budget, None).await.unwrap();
    let timed =
        HookWish { expires: Some(START + 60_000), from: Some("now".to_owned()), ..wish(world.process) };
    let (timed, _) = world.apps.create_hook(timed, None).await.unwrap();
    settle().await;
    assert_eq!(*world.receiver.taken.lock().unwrap(), ["a", "b"]);
    assert_eq!(world.apps.hook(&budget.id).await.unwrap().state, HookState::Ended);
    assert_eq!(world.apps.hook(&timed.id).await.unwrap().state, HookState::Active);
    world.clock.advance(60_000);
    settle().await;
    assert_eq!(world.apps.hook(&timed.id).await.unwrap().state, HookState::Ended);
    assert!(world.apps.replay_hook(&timed.id, Start::Slot(Slot(0))).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn one_key_makes_one_webhook() {
    let world = World::new(Options { hooks_max: 1, ..Options::default() }).await;
    world.say(&["a"]).await;
    let key = Some("key".to_owned());
    let (first, _) = world.apps.create_hook(wish(world.process), key.clone()).await.unwrap();
    let (second, novelty) = world.apps.create_hook(wish(world.process), key.clone()).await.unwrap();
    assert_eq!((second.id, second.secret, novelty), (first.id.clone(), first.secret, unit::Novelty::Repeat));
    let other = HookWish { budget: Some(1), ..wish(world.process) };
    assert_eq!(world.apps.create_hook(other.clone(), key).await.unwrap_err().kind, unit::Kind::Conflict);
    assert!(matches!(world.apps.create_hook(other, None).await.unwrap_err().kind, unit::Kind::Busy { .. }));
    world.apps.remove_hook(&first.id).await.unwrap();
    assert_eq!(world.apps.hook(&first.id).await.unwrap_err().kind, unit::Kind::NotFound);
}
