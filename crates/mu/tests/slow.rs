//! Processes that do not answer hold up nobody else's pushes.

mod world;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use pirn_mu::{MessengerUnit, Options, Ports};
use protocol::{Address, Attestation, Digest, Id, Outcome, ProcessId, Timestamp};
use store::MemoryStore;
use tokio::sync::watch;
use unit::{
    Compute, DryRun, Evaluated, Evaluation, History, Messenger as _, OutcomeQuery, Page, Result, StateAt,
};
use world::{World, sends, settle, to, until};

/// A compute unit that does not say what came of some processes until it is told to.
struct Stuck {
    inner: Arc<dyn Compute>,
    processes: Mutex<Vec<ProcessId>>,
    freed: watch::Sender<bool>,
}

#[async_trait]
impl Compute for Stuck {
    async fn result(&self, process: ProcessId, message: Id) -> Result<Arc<Outcome>> {
        if self.processes.lock().unwrap().contains(&process) {
            self.freed.subscribe().wait_for(|freed| *freed).await.unwrap();
        }
        self.inner.result(process, message).await
    }
    async fn results(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        self.inner.results(process, query).await
    }
    async fn cron(&self, process: ProcessId, query: OutcomeQuery) -> Result<Page<Evaluated>> {
        self.inner.cron(process, query).await
    }
    async fn dry_run(&self, process: ProcessId, message: DryRun, at: Option<Id>) -> Result<Outcome> {
        self.inner.dry_run(process, message, at).await
    }
    async fn state(&self, process: ProcessId, to: Option<Timestamp>) -> Result<StateAt> {
        self.inner.state(process, to).await
    }
    async fn address(&self) -> Result<Address> {
        self.inner.address().await
    }
    async fn attest(&self, process: ProcessId, of: Evaluation, with_state: bool) -> Result<Attestation> {
        self.inner.attest(process, of, with_state).await
    }
    async fn history(&self, process: ProcessId, from: u64, limit: usize) -> Result<History> {
        self.inner.history(process, from, limit).await
    }
    async fn consistency(&self, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>> {
        self.inner.consistency(process, from, to).await
    }
}

const STUCK: usize = 40;

/// A messenger with two places for pushes, forty processes that do not answer, each with three messages that send one
/// to `c`, and one message to the good process `a`, sent last.
async fn check(slow_pushes_max: usize) {
    let world = World::new();
    let [a, b, c] = [world.process("a").await, world.process("b").await, world.process("c").await];
    let stuck = Arc::new(Stuck {
        inner: world.compute.clone(),
        processes: Mutex::default(),
        freed: watch::Sender::new(false),
    });
    let options = Options { pushes_max: 2, slow_pushes_max, ..Options::default() };
    let ports = Ports { compute: stuck.clone(), ..world.ports(Arc::new(MemoryStore::new())) };
    let unit = MessengerUnit::open(ports, options).await.unwrap();
    for n in 0..STUCK {
        let process = world.process(&format!("stuck {n}")).await;
        stuck.processes.lock().unwrap().push(process);
        for m in 0..3 {
            unit.send(world.message(process, &sends([to(c, n, &format!("{n} {m}"))]))).await.unwrap();
        }
    }
    unit.send(world.message(a, &sends([to(b, 1, "arrived")]))).await.unwrap();
    until(|| world.inbox(b) == ["arrived"]).await;
    assert!(world.inbox(c).is_empty(), "the others still wait");
    finish(&world, &unit, &stuck, c).await;
}

async fn finish(world: &World, unit: &MessengerUnit, stuck: &Stuck, c: ProcessId) {
    stuck.freed.send_replace(true);
    settle(unit).await;
    let arrived = world.inbox(c);
    assert_eq!(arrived.len(), STUCK * 3, "nothing is lost");
    for n in 0..STUCK {
        let of_one: Vec<_> = arrived.iter().filter(|text| text.starts_with(&format!("{n} "))).collect();
        assert_eq!(
            of_one,
            [&format!("{n} 0"), &format!("{n} 1"), &format!("{n} 2")],
            "and the order is kept"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn processes_that_never_answer_hold_up_no_other() {
    check(4096).await;
}

#[tokio::test(start_paused = true)]
async fn more_slow_processes_than_are_waited_for_hold_up_no_other_either() {
    check(5).await;
}
