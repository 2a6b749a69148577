//! What the log costs: `cargo bench -p pirn-store`. Numbers are worth what the disk below is worth.

use std::hint::black_box;
use std::ops::Bound::{Included, Unbounded};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pirn_store::{Batch, DiskStore, Options, Order, Space, Store};

const SPACE: Space = Space("bench.entry");
const WRITERS: u64 = 64;

fn open(folder: &Path, recent_bytes_max: usize) -> DiskStore {
    DiskStore::open(folder, Options { recent_bytes_max, ..Options::default() }).expect("a new folder opens")
}

/// Keys that do not come in order, as ids do not.
fn key(n: u64) -> Vec<u8> {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [mixed.to_be_bytes(), n.to_be_bytes(), mixed.to_le_bytes(), [0; 8]].concat()
}

fn fill(store: &DiskStore, keys: std::ops::Range<u64>, value: usize) {
    let mut last = None;
    for n in keys {
        let mut batch = Batch::new();
        batch.put(SPACE, key(n), vec![n as u8; value]);
        last = Some(store.append(batch));
    }
    last.expect("there is at least one key").wait().expect("the disk writes");
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    group.sample_size(10);

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder is writable");
    let store = open(folder.path(), Options::default().recent_bytes_max);
    let mut next = 0;
    group.throughput(Throughput::Elements(1));
    group.bench_function("append 2 KB durably, 64 writers", |bencher| {
        bencher.iter_custom(|batches| {
            let each = batches.div_ceil(WRITERS);
            let start = next;
            next += each * WRITERS;
            let work = || {
                thread::scope(|scope| {
                    for writer in 0..WRITERS {
                        let from = start + writer * each;
                        let store = &store;
                        scope.spawn(move || (from..from + each).for_each(|n| fill(store, n..n + 1, 2048)));
                    }
                });
            };
            timed(work).mul_f64(batches as f64 / (each * WRITERS) as f64)
        });
    });
    group.bench_function("append 2 KB durably, 1 writer", |bencher| {
        bencher.iter(|| {
            fill(&store, next..next + 1, 2048);
            next += 1;
        });
    });
    drop(store);

    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder is writable");
    for (name, recent) in [("recent", 1 << 30), ("page cache", 0)] {
        let store = open(folder.path(), recent);
        fill(&store, 0..100_000, 2048);
        let mut n = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("get 2 KB, {name}"), |bencher| {
            bencher.iter(|| {
                n = (n + 7919) % 100_000;
                black_box(store.get(SPACE, &key(n)).expect("the disk reads").expect("the key is there"))
            });
        });
        group.throughput(Throughput::Elements(100));
        group.bench_function(format!("scan 100 of 2 KB, {name}"), |bencher| {
            bencher.iter(|| {
                n = (n + 7919) % 100_000;
                let start = key(n);
                black_box(store.scan(SPACE, (Included(&start), Unbounded), Order::Ascending, 100))
                    .expect("the disk reads")
            });
        });
    }
    group.finish();
}

fn reopen(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reopen");
    group.sample_size(10);
    for (name, keys, value) in
        [("empty", 1, 1), ("100k of 2 KB", 100_000, 2048), ("1M of 100 B", 1_000_000, 100)]
    {
        let folder =
            tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder is writable");
        fill(&open(folder.path(), 0), 0..keys, value);
        group.bench_function(name, |bencher| bencher.iter(|| open(folder.path(), 0).len()));
    }
    group.finish();
}

criterion_group!(benches, log, reopen);
criterion_main!(benches);
