//! How many ticks a second a scheduler gives: due, signed, durable. And what a look costs when nothing is due, beside
//! how many timers.
//!
//! The clock stands until the bench moves it on by a minute: then every process has one tick that is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt as _;
use pirn_su::{Options, Ports, SchedulerUnit};
use protocol::{Timestamp, Wallet};
use store::DiskStore;
use unit::fakes::FakeWeave;
use unit::suite::{process_item, wallet};
use unit::{Clock, Scheduler as _};

const BEGINNING_MS: u64 = 1_700_000_000_000;
const MINUTE_MS: u64 = 60_000;
/// Ticks of one measurement.
const TICKS: usize = 4000;
/// Processes that are spawned at once.
const WIDTH: usize = 64;

/// A clock that goes on when it is told to, and says that it goes on by itself: one that stands has its ticks given
/// one after the other.
struct Told(AtomicU64);

impl Clock for Told {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// A scheduler with so many processes, each with a timer.
struct World {
    su: Arc<SchedulerUnit>,
    clock: Arc<Told>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(wallet: &Wallet, processes: usize, interval: &str) -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(DiskStore::open(folder.path(), store::Options::default()).expect("a store"));
        let clock = Arc::new(Told(AtomicU64::new(BEGINNING_MS)));
        let ports = Ports {
            store,
            weave: FakeWeave::new(),
            clock: clock.clone(),
            events: unit::Events::silent(),
            wallet: wallet.clone(),
        };
        // The bench looks, and nobody else.
        let options = Options { tick_interval_ms: u64::MAX / 4, ..Options::default() };
        let su = SchedulerUnit::open(ports, options).await.expect("it opens");
        futures::stream::iter(0..processes)
            .for_each_concurrent(WIDTH, |n| {
                let (su, address) = (su.clone(), wallet.address());
                async move {
                    let tags = [("Name", n.to_string()), ("Tick-Interval", interval.to_owned())];
                    let tags = tags.each_ref().map(|(name, value)| (*name, value.as_str()));
                    let item = process_item(&unit::suite::wallet(1), address, &tags);
                    su.schedule(item).await.expect("a process");
                }
            })
            .await;
        World { su, clock, _folder: folder }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// So many ticks, of so many processes in turn.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn give(wallet: &Wallet, processes: usize, ticks: usize) -> Duration {
    runtime().block_on(async {
        let world = World::new(wallet, processes, "1-minute").await;
        let start = Instant::now();
        let mut given = 0;
        while given < ticks as u64 {
            world.clock.0.fetch_add(MINUTE_MS, Ordering::Relaxed);
            given += world.su.give_ticks().await.expect("ticks");
        }
        let took = start.elapsed();
        assert_eq!(given, ticks as u64, "each process has one tick a minute");
        world.su.stop().await;
        took
    })
}

fn ticks(criterion: &mut Criterion) {
    let jwk = include_str!("../../../testing/vectors/arweave/http/test-wallet.json");
    let rsa = Wallet::from_jwk(jwk).expect("a wallet");
    let mut group = criterion.benchmark_group("ticks");
    group.sample_size(10);
    for (name, wallet, ticks) in [("ed25519", wallet(0), TICKS), ("rsa", rsa, TICKS / 10)] {
        for processes in [1, 8, 400] {
            group.throughput(Throughput::Elements(ticks as u64));
            group.bench_function(BenchmarkId::new(name, processes), |bencher| {
                bencher.iter_custom(|times| {
                    (0..times).map(|_| give(&wallet, processes, ticks)).sum::<Duration>()
                });
            });
        }
    }
    group.finish();
}

fn looks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a look with nothing due");
    let runtime = runtime();
    for timers in [100, 10_000] {
        let world = runtime.block_on(World::new(&wallet(0), timers, "1-day"));
        group.bench_function(BenchmarkId::from_parameter(timers), |bencher| {
            bencher.iter(|| runtime.block_on(world.su.give_ticks()).expect("a look"));
        });
        runtime.block_on(world.su.stop());
    }
    group.finish();
}

criterion_group!(benches, ticks, looks);
criterion_main!(benches);
