//! How many messages a second get their slot, durably, within one process of this computer.
//!
//! Messages are signed beforehand. `verified` says whether their signatures were checked before the clock runs, as
//! they are when the messenger unit of the same node has seen them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pirn_su::{Options, Ports, SchedulerUnit};
use protocol::{DataItem, ProcessId, Timestamp, Wallet};
use store::DiskStore;
use unit::fakes::FakeWeave;
use unit::suite::{message_item, process_item, wallet};
use unit::{Clock, Scheduler as _};

/// Messages of one measurement.
const MESSAGES: usize = 4000;
/// Requests that wait at once.
const CLIENTS: usize = 256;

struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "a bench measures this computer")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |since| since.as_millis() as u64))
    }
}

#[derive(Clone, Copy)]
enum Signatures {
    Verified,
    Unverified,
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn run(wallet: &Wallet, processes: usize, messages: usize, signatures: Signatures) -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(DiskStore::open(folder.path(), store::Options::default()).expect("a store"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let weave = FakeWeave::new();
        let ports = Ports {
            store,
            weave,
            clock: Arc::new(WallClock),
            events: unit::Events::silent(),
            wallet: wallet.clone(),
        };
        let su = SchedulerUnit::open(ports, Options::default()).await.expect("it opens");
        let spawned: Vec<ProcessId> = (0..processes)
            .map(|n| process_item(&unit::suite::wallet(1), wallet.address(), &[("Name", &n.to_string())]))
            .map(|item| (item.id.into(), item))
            .map(|(id, item)| {
                futures::executor::block_on(su.schedule(item)).expect("a process");
                id
            })
            .collect();
        let items: Vec<DataItem> =
            (0..messages).map(|n| item(spawned[n % processes], n, signatures)).collect();
        let items = Arc::new(items);
        let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let start = Instant::now();
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let (su, items, next) = (su.clone(), items.clone(), next.clone());
            clients.spawn(async move {
                while let Some(item) = items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    su.schedule(item.clone()).await.expect("a slot");
                }
            });
        }
        clients.join_all().await;
        let took = start.elapsed();
        su.stop().await;
        took
    })
}

fn item(process: ProcessId, n: usize, signatures: Signatures) -> DataItem {
    let signed = message_item(&wallet(2), process, &[("Action", "Eval")], &format!("return {n}"));
    match signatures {
        Signatures::Verified => signed,
        Signatures::Unverified => {
            DataItem::parse(Bytes::copy_from_slice(signed.bytes())).expect("it was just signed")
        }
    }
}

fn assign(criterion: &mut Criterion) {
    let jwk = include_str!("../../../testing/vectors/arweave/http/test-wallet.json");
    let rsa = Wallet::from_jwk(jwk).expect("a wallet");
    let cases = [
        ("ed25519, verified", wallet(0), MESSAGES, Signatures::Verified),
        ("ed25519, unverified", wallet(0), MESSAGES, Signatures::Unverified),
        ("rsa, verified", rsa, MESSAGES / 10, Signatures::Verified),
    ];
    let mut group = criterion.benchmark_group("assign");
    group.sample_size(10);
    for (name, wallet, messages, signatures) in cases {
        for processes in [1, 8] {
            group.throughput(Throughput::Elements(messages as u64));
            group.bench_function(BenchmarkId::new(name, processes), |bencher| {
                bencher.iter_custom(|times| {
                    (0..times).map(|_| run(&wallet, processes, messages, signatures)).sum::<Duration>()
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, assign);
criterion_main!(benches);
