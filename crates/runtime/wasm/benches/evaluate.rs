//! What a message, an error and a fork cost on top of the module's own work.

#[path = "../tests/guest/mod.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod guest;

use criterion::{Criterion, criterion_group, criterion_main};
use guest::{NARROW, WIDE, machine, program};
use runtime::Machine as _;

fn evaluate(criterion: &mut Criterion) {
    for (width, format) in [("32", NARROW), ("64", WIDE)] {
        let program = program(format);
        let mut one = machine(&program);
        criterion.bench_function(&format!("message/{width}"), |bench| {
            bench.iter(|| one.handle_json("c").expect("an outcome"));
        });
        criterion.bench_function(&format!("error/{width}"), |bench| {
            bench.iter(|| one.handle_json("u").expect("an outcome"));
        });
        criterion.bench_function(&format!("fork and message/{width}"), |bench| {
            bench
                .iter(|| one.fork().expect("a fork").handle(&runtime::Input::default()).expect("an outcome"));
        });
        criterion.bench_function(&format!("message and checkpoint/{width}"), |bench| {
            bench.iter(|| {
                one.handle_json("w").expect("an outcome");
                one.memory().expect("a memory")
            });
        });
    }
}

criterion_group!(benches, evaluate);
criterion_main!(benches);
