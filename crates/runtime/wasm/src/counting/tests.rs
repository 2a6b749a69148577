//! Our count against the engine's own.

use std::fmt::Write as _;

use wasmtime::{Config, Engine, Instance, Module, Store, Trap, Val};

use crate::Options;
use crate::format::Format;
use crate::prepare::{OPERATORS, prepare};

const LIMIT: u64 = 1_000_000;

/// Runs `run(argument)` of a module of that format twice: as it is, with the engine's own count, and as we prepare
/// it, with ours. Checks that both end alike and leave the same memory. Answers both counts, and whether it came to
/// an end: where it traps, the engine has counted to somewhere before.
pub(crate) fn run_twice(format: &str, text: &str, argument: i32) -> ([u64; 2], bool) {
    let bytes = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut config = Config::new();
    config.consume_fuel(true).wasm_memory64(true);
    let engine = Engine::new(&config).expect("an engine");
    let mut store = Store::new(&engine, ());
    store.set_fuel(LIMIT).expect("fuel");
    let module = Module::new(&engine, &bytes).expect("a module");
    let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").expect("run");
    let theirs = run.call(&mut store, argument);
    let fuel = LIMIT - store.get_fuel().expect("fuel");
    let their_memory = memory_of(&mut store, &instance);

    let format = Format::named(format).expect("a format");
    let prepared =
        prepare(&bytes, format, false, &Options::default()).expect("a module that can be prepared");
    let engine = Engine::new(&crate::config()).expect("an engine");
    let mut store = Store::new(&engine, ());
    let module = Module::new(&engine, &prepared.bytes).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
    let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
    let over = instance.get_global(&mut store, OPERATORS).expect("a count");
    over.set(&mut store, Val::I64(-(LIMIT as i64))).expect("a global");
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").expect("run");
    let ours = crate::stack::run(|| run.call(&mut store, argument));
    let ours = ours.expect("a stack");
    let ends = theirs.is_ok();
    match (theirs, ours) {
        (Ok(theirs), Ok(ours)) => assert_eq!(ours, theirs, "{text}"),
        (Err(theirs), Err(ours)) => {
            let trap = |error: &wasmtime::Error| error.downcast_ref::<Trap>().copied();
            let theirs = trap(&theirs).map(|trap| match trap {
                Trap::OutOfFuel => Trap::UnreachableCodeReached,
                trap => trap,
            });
            assert_eq!(trap(&ours), theirs, "of {argument}\n{text}");
        }
        (theirs, ours) => panic!("{ours:?} instead of {theirs:?} of {argument}\n{text}"),
    }
    assert!(memory_of(&mut store, &instance) == their_memory, "another memory, of {argument}\n{text}");
    ([fuel, (over.get(&mut store).i64().expect("a number") + LIMIT as i64) as u64], ends)
}

fn memory_of(store: &mut Store<()>, instance: &Instance) -> Option<Vec<u8>> {
    Some(instance.get_memory(&mut *store, "memory")?.data(&store).to_vec())
}

/// The same, of a module with 32-bit addresses.
fn counts(text: &str, argument: i32) -> (u64, u64) {
    let ([theirs, ours], _) = run_twice("wasm32-unknown-emscripten4", text, argument);
    (theirs, ours)
}

/// Checks a body of `run`, which may use its argument `$a`, a local `$n` and a function `$other`.
#[track_caller]
fn check(body: &str) {
    let text = module(body);
    for argument in [0, 1, 2, 3, 5, 100, -1] {
        let (theirs, ours) = counts(&text, argument);
        assert_eq!(ours, theirs, "of {argument}\n{text}");
    }
}

fn module(body: &str) -> String {
    format!(
        r#"(module (memory 1) (table 1 funcref) (elem (i32.const 0) $other)
            (global $state (mut i32) (i32.const 0))
            (func (export "asyncify_start_unwind") (param i32) (global.set $state (i32.const 1)))
            (func (export "asyncify_stop_unwind") (global.set $state (i32.const 0)))
            (func (export "asyncify_start_rewind") (param i32) (global.set $state (i32.const 2)))
            (func (export "asyncify_stop_rewind") (global.set $state (i32.const 0)))
            (type $one (func (param i32) (result i32)))
            (func $other (param i32) (result i32)
                (if (i32.eqz (local.get 0)) (then (return (i32.const 7))))
                (i32.add (local.get 0) (i32.const 1)))
            (func $quiet (param i32) (br_if 0 (local.get 0)) (drop (i32.const 3)))
            (func (export "run") (param $a i32) (result i32) (local $n i32)
                (local.set $n (i32.const 200))
                {body}
                (local.get $a))
            (func (export "handle")))"#
    )
}

#[test]
fn paths_of_different_cost_meet_with_their_own_count() {
    check("(if (local.get $a) (then (local.set $a (i32.mul (local.get $a) (i32.const 3)))))");
    check("(if (local.get $a) (then (nop)) (else (local.set $a (i32.const 3)) (drop (local.get $a))))");
    check(
        "(block (br_if 0 (local.get $a)) (drop (i32.const 1)) (br_if 0 (i32.eq (local.get $a) (i32.const 2))) (drop (i32.const 1)))",
    );
    check(
        "(local.set $a (if (result i32) (local.get $a) (then (i32.const 1)) (else (i32.add (local.get $a) (i32.const 1)))))",
    );
    check(
        "(local.set $a (block (result i32) (br_if 0 (i32.const 9) (local.get $a)) (drop) (i32.const 1) (i32.add (local.get $a))))",
    );
}

#[test]
fn tables_of_branches_are_counted() {
    check(
        "(block (block (block (br_table 0 1 2 0 (local.get $a))) (drop (i32.const 1)) (br 1)) (drop (i32.const 1)) (drop (i32.const 1)))",
    );
    check(
        "(block (drop (i32.const 1)) (if (local.get $a) (then (br_table 0 1 (local.get $a))) (else (drop (i32.const 2)))))",
    );
}

#[test]
fn loops_and_early_ends_are_counted() {
    check("(loop (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br_if 0 (local.get $n)))");
    check(
        "(block (loop (br_if 1 (i32.eqz (local.get $n))) (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br 0)))",
    );
    check("(if (local.get $a) (then (return (i32.const 4)))) (drop (i32.const 1))");
    check("(drop (i32.const 1)) (br_if 0 (i32.const 3) (local.get $a)) (drop)");
    check("(if (local.get $a) (then (unreachable)))");
    check("(block (br 0) (drop (i32.const 1))) (block (block (br 1)) (drop (i32.const 1)))");
}

#[test]
fn what_asks_whether_it_is_awake_counts_though_it_is_left_out() {
    let (awake, falling, waking) = (
        "(i32.eqz (global.get $state))",
        "(i32.eq (global.get $state) (i32.const 1))",
        "(i32.eq (global.get $state) (i32.const 2))",
    );
    check(&format!("(if {awake} (then (local.set $a (i32.const 3))))"));
    check(&format!("(if {waking} (then (local.set $a (i32.const 3))) (else (drop (local.get $a)) (nop)))"));
    check(&format!(
        "(if (i32.or {awake} (i32.eq (local.get $a) (i32.const 2))) (then (call $quiet (i32.const 1))))"
    ));
    check(&format!("(if (i32.or (local.get $a) {waking}) (then (call $quiet (i32.const 1))))"));
    check(&format!("(local.set $n (i32.or (local.get $a) {waking})) (local.set $a (local.get $n))"));
    check(&format!("(local.set $a (i32.or (local.get $a) {awake}))"));
    check(&format!(
        "(local.set $a (i32.add {awake} (i32.or {awake} (i32.mul (local.get $a) (i32.const 2)))))"
    ));
    check(&format!("(block (drop (block (result i32) (i32.const 4) (br_if 0 {falling}) (drop) (br 1))))"));
    check(&format!("(block (br_if 0 {awake}) (drop (i32.const 3)))"));
    check(&format!("(if {awake} (then (unreachable)))"));
    check(&format!(
        "(if {awake} (then (if {waking} (then (return (i32.const 1))))) (else (return (i32.const 1))))"
    ));
    check("(local.set $a (if (result i32) (global.get $state) (then (local.get $a)) (else (i32.const 8))))");
    check(
        "(local.set $a (select (local.get $a) (i32.mul (local.get $a) (i32.const 2)) (global.get $state)))",
    );
    check("(drop (global.get $state)) (loop (br_if 0 (global.get $state)))");
}

#[test]
fn calls_and_bulk_operators_are_counted() {
    check("(local.set $a (call $other (local.get $a))) (call $quiet (local.get $a))");
    check("(local.set $a (call_indirect (type $one) (local.get $a) (i32.const 0)))");
    check("(memory.fill (i32.const 0) (i32.const 1) (i32.and (local.get $a) (i32.const 1023)))");
    check("(memory.copy (i32.const 0) (i32.const 1) (i32.and (local.get $a) (i32.const 1023)))");
}

#[test]
fn an_endless_loop_and_an_endless_call_end() {
    let text = module("(loop (br 0))");
    let (theirs, ours) = counts(&text, 0);
    assert!(theirs >= LIMIT && ours > LIMIT, "{theirs} {ours}");
    let text = module("(loop (call $quiet (i32.const 1)) (br 0))");
    assert!(counts(&text, 0).1 > LIMIT);
    let text = module("(i32.const 3) (loop (param i32) (result i32) (br_table 0 1 0 (local.get $a))) (drop)");
    assert!(counts(&text, 0).1 > LIMIT);
    let text = module("(loop (drop (br_if 1 (i32.const 3) (i32.const 0))) (br 0))");
    assert!(counts(&text, 0).1 > LIMIT);
    let text = module("(loop (br_if 0 (call $other (i32.const 1))))");
    assert!(counts(&text, 0).1 > LIMIT);
    let text = r#"(module (memory 1) (func $f (export "run") (param i32) (result i32)
        (i32.add (call $f (local.get 0)) (call $f (local.get 0)))) (func (export "handle")))"#;
    assert!(counts(text, 0).1 > 0);
}

/// Random bodies, from a seed.
pub(crate) struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % n
    }

    /// Something about the state, with or without something else.
    fn question(&mut self) -> String {
        let asked = match self.below(4) {
            0 => "(global.get $state)".to_owned(),
            1 => "(i32.eqz (global.get $state))".to_owned(),
            n => format!("(i32.eq (global.get $state) (i32.const {}))", n - 1),
        };
        match self.below(4) {
            0 => asked,
            1 => format!("(i32.or {asked} {})", self.condition()),
            2 => format!("(i32.or {} {asked})", self.condition()),
            _ => format!("(i32.or (i32.eqz (local.get $a)) {asked})"),
        }
    }

    pub fn condition(&mut self) -> String {
        let (bit, n) = (self.below(8), self.below(3));
        format!(
            "(i32.and (i32.shr_u (i32.add (local.get $a) (local.get $n)) (i32.const {bit})) (i32.const {}))",
            n + 1
        )
    }

    /// Statements inside of `depth` blocks. Of what goes round, every turn takes one from `$n`.
    fn body(&mut self, depth: u64, size: u64) -> String {
        let mut text = String::new();
        for _ in 0..=self.below(4) {
            let inner = |random: &mut Random| random.body(depth + 1, size - 1);
            let statement = match self.below(if size == 0 { 7 } else { 12 }) {
                0 | 1 => format!("(local.set $a (i32.add (local.get $a) (i32.const {})))", self.below(9)),
                2 if depth > 0 => format!("(br_if 0 {})", self.condition()),
                2 | 3 => format!("(if {} (then (return (i32.const 5))))", self.condition()),
                4 => "(local.set $a (call $other (local.get $a)))".to_owned(),
                5 => "(call $quiet (local.get $a))".to_owned(),
                6 => format!("(local.set $n (i32.sub (local.get $n) {}))", self.question()),
                7 if self.below(2) == 0 => format!("(if {} (then {}))", self.question(), inner(self)),
                7 => format!("(if {} (then {}) (else {}))", self.question(), inner(self), inner(self)),
                8 => format!("(block (br_if 0 {}) {})", self.question(), inner(self)),
                9 => format!("(block {})", inner(self)),
                10 if self.below(2) == 0 => format!("(if {} (then {}))", self.condition(), inner(self)),
                10 => format!("(if {} (then {}) (else {}))", self.condition(), inner(self), inner(self)),
                _ if self.below(2) == 0 => format!(
                    "(block (block (block (br_table 0 {} 2 {})) {}) {})",
                    self.below(3),
                    self.condition(),
                    self.body(depth + 2, size - 1),
                    inner(self)
                ),
                _ => format!(
                    "(block (loop (br_if 1 (i32.le_s (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 0))) \
                     (block {}) (br_if 0 {})))",
                    self.body(depth + 3, size - 1),
                    self.condition()
                ),
            };
            writeln!(text, "{statement}").expect("a string takes it");
        }
        text
    }
}

#[test]
fn random_bodies_count_as_the_engine_counts() {
    for seed in 0..200 {
        let body = Random(seed).body(0, 4);
        let text = module(&body);
        for argument in [0, 7, 1234] {
            let (theirs, ours) = counts(&text, argument);
            assert_eq!(ours, theirs, "seed {seed}, of {argument}\n{text}");
        }
    }
}

#[test]
fn a_damaged_module_is_refused_or_still_a_module() {
    damage("wasm32-unknown-emscripten4", &module(&Random(3).body(0, 4)));
}

/// Flips bits in every byte of a module.
pub(crate) fn damage(format: &str, text: &str) {
    let bytes = wat::parse_str(text).expect("a module");
    let format = Format::named(format).expect("a format");
    let mut config = Config::new();
    config.wasm_memory64(true);
    let engine = Engine::new(&config).expect("an engine");
    let (mut n_refused, mut n_taken) = (0, 0);
    for at in 0..bytes.len() {
        for flip in [0x01, 0x10, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            match prepare(&damaged, format, false, &Options::default()) {
                Ok(prepared) => {
                    Module::validate(&engine, &prepared.bytes)
                        .unwrap_or_else(|error| panic!("byte {at} ^ {flip:#x}: {error:#}"));
                    n_taken += 1;
                }
                Err(_) => n_refused += 1,
            }
        }
    }
    assert!(n_refused > 0 && n_taken > 0, "{n_refused} refused, {n_taken} taken");
}

#[test]
fn a_function_without_room_for_our_locals_is_refused_by_the_engine() {
    let locals = "i32 ".repeat(49_999);
    let text = format!("(module (memory 1) (func (export \"handle\") (local {locals})))");
    let bytes = wat::parse_str(text).expect("a module");
    let format = Format::named("wasm32-unknown-emscripten4").expect("a format");
    let prepared = prepare(&bytes, format, false, &Options::default()).expect("a module");
    let error = Module::validate(&Engine::default(), &prepared.bytes).expect_err("too many locals");
    assert!(error.to_string().contains("locals"), "{error}");
}
