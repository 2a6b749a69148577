//! The suite that every compute unit must pass: with the unit itself, with the fake, and with each behind HTTP.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pirn_http::client::{self, Transport};
use pirn_http::server::{self, Context};
use protocol::{Height, Id, Json, Outcome, ProcessId, Timestamp};
use tokio::net::TcpListener;
use unit::fakes::{FakeClock, FakeCompute};
use unit::suite::ComputeGround;
use unit::{Compute, Cursor, Error, Evaluated, StateAt};

use crate::world::World;

/// The same compute unit at the other end of a loopback socket.
async fn far(compute: Arc<dyn Compute>) -> Arc<dyn Compute> {
    let context = Context::new(FakeClock::at(1_700_000_000_000));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = server::serve(listener, server::cu::router(compute, context.clone()), &context);
    // Dropped, it would stop; it ends with the test.
    std::mem::forget(serving);
    Arc::new(client::Compute::new(&url, Transport::new(client::Options::default()).unwrap()))
}

/// The unit, with the processes of these tests, which count.
struct Real {
    world: World,
    compute: Arc<dyn Compute>,
    spawned: AtomicU64,
}

async fn real(is_far: bool) -> Real {
    let world = World::new();
    let compute = world.open().await as Arc<dyn Compute>;
    let compute = if is_far { far(compute).await } else { compute };
    Real { world, compute, spawned: AtomicU64::new(0) }
}

#[async_trait]
impl ComputeGround for Real {
    fn compute(&self) -> Arc<dyn Compute> {
        Arc::clone(&self.compute)
    }

    async fn spawn(&self) -> ProcessId {
        let name = self.spawned.fetch_add(1, Ordering::Relaxed).to_string();
        self.world.spawn(&[("Name", &name)]).await
    }

    async fn send(&self, process: ProcessId, action: &str) -> Id {
        self.world.send(process, action).await
    }
}

/// What came of each message of each process, and how many there were by then.
type Counts = BTreeMap<ProcessId, Vec<(Id, u64)>>;

/// The fake, told what such processes do.
struct Fake {
    fake: Arc<FakeCompute>,
    compute: Arc<dyn Compute>,
    counts: Arc<Mutex<Counts>>,
    ids: AtomicU64,
}

async fn fake(is_far: bool) -> Fake {
    let counts: Arc<Mutex<Counts>> = Arc::default();
    let known = Arc::clone(&counts);
    // Nobody put an outcome there: it is a dry run, or nothing.
    let fake = FakeCompute::new(move |process, id| {
        let counts = known.lock().unwrap();
        let messages = counts.get(&process).map(Vec::as_slice).unwrap_or_default();
        let at = match id == process.into() {
            true => messages.last(),
            false => messages.iter().find(|(message, _)| *message == id),
        };
        let (_, count) = at.ok_or_else(|| Error::not_found(format!("{id} is not in {process}")))?;
        Ok(shows(count + 1))
    });
    let compute = fake.clone() as Arc<dyn Compute>;
    let compute = if is_far { far(compute).await } else { compute };
    Fake { fake, compute, counts, ids: AtomicU64::new(0) }
}

fn shows(count: u64) -> Outcome {
    Outcome { output: Json::string(&count.to_string()), ..FakeCompute::empty() }
}

impl Fake {
    fn add(&self, process: ProcessId, message: Id, action: &str) {
        let mut counts = self.counts.lock().unwrap();
        let messages = counts.entry(process).or_default();
        let slot = messages.len() as u64;
        let before = messages.last().map_or(0, |(_, count)| *count);
        let (count, outcome) = match action {
            "Fail" => (before, Outcome::failed("boom", 1, 1)),
            _ => (before + 1, shows(before + 1)),
        };
        messages.push((message, count));
        let timestamp = Timestamp(1_700_000_000_000 + slot);
        let cursor = Cursor { timestamp, ordinate: Some(slot), cron: None, sort: None };
        let evaluated = Evaluated { cursor, message: Some(message), outcome: Arc::new(outcome.clone()) };
        let memory = count.to_be_bytes().to_vec().into();
        let state = StateAt { memory, timestamp, ordinate: slot, block_height: Height(9) };
        self.fake.put(process, message, Ok(outcome));
        self.fake.put_evaluated(process, evaluated);
        self.fake.put_state(process, state);
    }

    fn id(&self) -> Id {
        Id([self.ids.fetch_add(1, Ordering::Relaxed) as u8 + 1; 32])
    }
}

#[async_trait]
impl ComputeGround for Fake {
    fn compute(&self) -> Arc<dyn Compute> {
        Arc::clone(&self.compute)
    }

    async fn spawn(&self) -> ProcessId {
        let process = self.id();
        self.add(process.into(), process, "Boot");
        process.into()
    }

    async fn send(&self, process: ProcessId, action: &str) -> Id {
        let message = self.id();
        self.add(process, message, action);
        message
    }
}

#[tokio::test]
async fn the_unit_passes() {
    unit::suite::compute(async || real(false).await).await;
}

#[tokio::test]
async fn the_unit_behind_http_passes() {
    unit::suite::compute(async || real(true).await).await;
}

#[tokio::test]
async fn the_fake_passes() {
    unit::suite::compute(async || fake(false).await).await;
}

#[tokio::test]
async fn the_fake_behind_http_passes() {
    unit::suite::compute(async || fake(true).await).await;
}
