//! Narrowed modules against the same modules as they are.

use std::fmt::Write as _;

use crate::counting::tests::{Random, damage, run_twice};

const WIDE: &str = "wasm64-unknown-emscripten-draft_2024_02_15";

/// Checks a body of `run`, which may use its argument `$a`, an address `$p`, a counter `$n` and a function `$other`.
#[track_caller]
fn check(body: &str) {
    let text = module(body);
    for argument in [0, 1, 2, 5, 0x1_0000, 0x1_fffd, 0x7fff_ffff, -1, -16] {
        let ([theirs, ours], ends) = run_twice(WIDE, &text, argument);
        assert!(ours == theirs || !ends, "{ours} instead of {theirs}, of {argument}\n{text}");
    }
}

fn module(body: &str) -> String {
    format!(
        r#"(module (memory (export "memory") i64 1 3)
            (func $other (param i64) (result i64) (i64.add (local.get 0) (i64.const 8)))
            (func (export "run") (param $a i32) (result i32) (local $p i64) (local $q i64) (local $n i32)
                (local $f f32) (local $d f64) (local $v v128)
                (local.set $n (i32.const 50))
                (local.set $p (i64.extend_i32_s (local.get $a)))
                {body}
                (i32.add (local.get $a) (i32.wrap_i64 (local.get $p))))
            (func (export "handle")))"#
    )
}

#[test]
fn every_load_and_store_reads_and_writes_where_it_did() {
    check("(i32.store (i64.const 8) (i32.const -2)) (local.set $a (i32.load8_s (i64.const 8)))");
    for load in ["i32.load", "i32.load8_s", "i32.load8_u", "i32.load16_s", "i32.load16_u"] {
        check(&format!(
            "(i64.store (i64.const 5) (i64.const 0x8182838485868788)) (local.set $a ({load} offset=3 (local.get $p)))"
        ));
    }
    for load in [
        "i64.load",
        "i64.load8_s",
        "i64.load8_u",
        "i64.load16_s",
        "i64.load16_u",
        "i64.load32_s",
        "i64.load32_u",
    ] {
        check(&format!(
            "(i64.store (i64.const 5) (i64.const 0x8182838485868788)) (local.set $p ({load} offset=3 (local.get $p)))"
        ));
    }
    for (store, value) in [
        ("i32.store", "(local.get $a)"),
        ("i32.store8", "(local.get $a)"),
        ("i32.store16", "(local.get $a)"),
        ("i64.store", "(local.get $p)"),
        ("i64.store8", "(local.get $p)"),
        ("i64.store16", "(local.get $p)"),
        ("i64.store32", "(local.get $p)"),
        ("f32.store", "(f32.const 1.5)"),
        ("f64.store", "(f64.const 1.5)"),
        ("v128.store", "(v128.const i64x2 1 2)"),
        ("v128.store8_lane 1", "(v128.const i64x2 1 2)"),
        ("v128.store16_lane 1", "(v128.const i64x2 1 2)"),
        ("v128.store32_lane 1", "(v128.const i64x2 1 2)"),
        ("v128.store64_lane 1", "(v128.const i64x2 1 2)"),
    ] {
        let (name, lane) = store.split_once(' ').unwrap_or((store, ""));
        check(&format!("({name} offset=9 {lane} (local.get $p) {value})"));
    }
    check("(local.set $f (f32.load (local.get $p))) (local.set $d (f64.load (local.get $p)))");
    for load in
        ["load", "load8x8_s", "load16x4_u", "load32x2_s", "load8_splat", "load64_splat", "load32_zero"]
    {
        check(&format!(
            "(i64.store (i64.const 5) (i64.const -3)) (v128.store (i64.const 64) (v128.{load} (local.get $p)))"
        ));
    }
    for width in [8, 16, 32, 64] {
        check(&format!(
            "(v128.store (i64.const 64) (v128.load{width}_lane 1 (local.get $p) (v128.const i64x2 7 9)))"
        ));
    }
}

#[test]
fn addresses_beyond_32_bits_trap() {
    for address in
        ["0x100000000", "0x100000008", "0xffffffff00000000", "0x8000000000000000", "0x80000000", "-1"]
    {
        check(&format!("(local.set $a (i32.load (i64.const {address})))"));
        check(&format!("(i64.store (i64.const {address}) (i64.const 1))"));
        check(&format!(
            "(local.set $p (i64.const {address})) (i32.store8 offset=4 (local.get $p) (i32.const 1))"
        ));
    }
    check("(local.set $a (i32.load offset=0x80000000 (local.get $p)))");
    check("(local.set $a (i32.load offset=0x100000000 (local.get $p)))");
    check("(i32.store offset=0xffffffffffffffff (local.get $p) (i32.const 1))");
}

#[test]
fn bulk_operators_and_growth_are_what_they_were() {
    check("(memory.fill (local.get $p) (i32.const 7) (i64.const 20))");
    check(
        "(memory.fill (i64.const 3) (local.get $a) (i64.const 20)) (memory.copy (local.get $p) (i64.const 2) (i64.const 9))",
    );
    check("(memory.copy (i64.const 2) (local.get $p) (i64.const 9))");
    check("(memory.fill (i64.const 0x100000000) (i32.const 7) (i64.const 0))");
    check("(memory.copy (i64.const 0) (i64.const 0x100000000) (i64.const 0))");
    check(
        "(local.set $p (memory.grow (i64.const 1))) (local.set $q (memory.size)) (i64.store (i64.const 0) (local.get $q)) (i64.store (i64.const 65536) (local.get $p))",
    );
    check("(local.set $p (memory.grow (i64.const 3)))");
    check("(local.set $p (memory.grow (i64.const 0x100000000)))");
    check("(local.set $p (memory.grow (i64.const -1)))");
}

#[test]
fn a_check_holds_only_for_the_value_that_was_checked() {
    let beyond = "(local.set $p (i64.add (local.get $p) (i64.const 0x100000000)))";
    let load = "(local.set $a (i32.load (local.get $p)))";
    check(&format!("{load} {beyond} {load}"));
    check(&format!(
        "(if (local.get $a) (then {load})) {beyond} (if (i32.eqz (local.get $a)) (then {load})) {load}"
    ));
    check(&format!("(block (br_if 0 (local.get $a)) {load}) {load}"));
    check(&format!("(loop {load} {beyond} (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"));
    check(&format!("(block (block (br_table 0 1 (local.get $a))) {load} {beyond}) {load}"));
    check(
        "(i32.store (local.get $p) (i32.load (local.tee $p (i64.add (local.get $p) (i64.const 0x100000000)))))",
    );
    check(
        "(i64.store (local.get $p) (local.tee $p (i64.const 0x100000000))) (drop (i64.load (local.get $p)))",
    );
    check(&format!(
        "{load} (local.set $q (local.get $p)) (local.set $a (i32.load (local.get $q))) (local.set $q (call $other (local.get $q))) (local.set $a (i32.load (local.get $q)))"
    ));
}

fn address(random: &mut Random) -> String {
    match random.below(6) {
        0 => "(local.get $p)".to_owned(),
        1 => "(local.get $q)".to_owned(),
        2 => format!("(i64.const {})", random.below(70_000)),
        3 => format!("(local.tee $q (i64.add (local.get $p) (i64.const {})))", random.below(9)),
        4 => "(local.tee $p (i64.and (local.get $p) (i64.const 0x1_0000_ffff)))".to_owned(),
        _ => "(call $other (local.get $p))".to_owned(),
    }
}

fn body(random: &mut Random, depth: u64, size: u64) -> String {
    let mut text = String::new();
    for _ in 0..=random.below(4) {
        let offset = random.below(40);
        let statement = match random.below(if size == 0 { 7 } else { 12 }) {
            0 | 1 => format!("(local.set $a (i32.load offset={offset} {}))", address(random)),
            2 => format!("(i64.store offset={offset} {} (i64.extend_i32_u (local.get $a)))", address(random)),
            3 => {
                format!("(i32.store8 offset={offset} {} (i32.load8_u {}))", address(random), address(random))
            }
            4 => "(local.set $p (i64.shl (i64.const 1) (i64.extend_i32_u (local.get $a))))".to_owned(),
            5 => format!("(local.set $p (i64.extend_i32_u (i32.and (local.get $a) (i32.const {}))))", 0xffff),
            6 if depth > 0 => format!("(br_if 0 {})", random.condition()),
            6 => format!("(if {} (then (return (i32.const 5))))", random.condition()),
            7 => format!("(block {})", body(random, depth + 1, size - 1)),
            8 => format!("(if {} (then {}))", random.condition(), body(random, depth + 1, size - 1)),
            9 => format!(
                "(if {} (then {}) (else {}))",
                random.condition(),
                body(random, depth + 1, size - 1),
                body(random, depth + 1, size - 1)
            ),
            10 => format!(
                "(block (block (br_table 0 1 0 {}) ) {})",
                random.condition(),
                body(random, depth + 1, size - 1)
            ),
            _ => format!(
                "(block (loop (br_if 1 (i32.le_s (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 0))) \
                 (block {}) (br_if 0 {})))",
                body(random, depth + 3, size - 1),
                random.condition()
            ),
        };
        writeln!(text, "{statement}").expect("a string takes it");
    }
    text
}

#[test]
fn random_bodies_do_the_same_and_count_the_same() {
    let mut ended = [0, 0];
    for seed in 0..300 {
        let text = module(&body(&mut Random(seed), 0, 4));
        for argument in [0, 1, 300, 65_500] {
            let ([theirs, ours], ends) = run_twice(WIDE, &text, argument);
            assert!(
                ours == theirs || !ends,
                "{ours} instead of {theirs}, of {argument}, seed {seed}\n{text}"
            );
            ended[usize::from(ends)] += 1;
        }
    }
    assert!(ended.into_iter().all(|n| n > 100), "traps, ends: {ended:?}");
}

#[test]
fn a_damaged_module_is_refused_or_still_a_module() {
    damage(WIDE, &module(&body(&mut Random(5), 0, 3)));
}
