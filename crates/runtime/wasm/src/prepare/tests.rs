//! Modules that nobody wrote, as they are and as they are prepared: they do the same, and count the same.

use arbitrary::Unstructured;
use wasm_smith::{Config as Shape, MemoryOffsetChoices, Module as Random};
use wasmtime::{Config, Engine, Extern, Instance, Module, Store, Trap, Val, ValType};

use super::{OPERATORS, Prepared, prepare};
use crate::Options;
use crate::counting::tests::Random as Seed;
use crate::format::Format;

const LIMIT: u64 = 100_000;

/// What came of a call: results as bits, or why it trapped; and the count.
type End = (Result<Vec<u128>, Option<Trap>>, u64);

/// Random modules of `width`, from a seed.
fn random(seed: u64, wide: bool) -> Option<Vec<u8>> {
    let mut seed = Seed(seed);
    let bytes: Vec<u8> = (0..1500).map(|_| seed.below(256) as u8).collect();
    let shape = Shape {
        allow_start_export: false,
        exceptions_enabled: false,
        export_everything: true,
        gc_enabled: false,
        max_imports: 0,
        max_memory32_bytes: 20 << 16,
        max_memory64_bytes: 20 << 16,
        memory64_enabled: wide,
        memory_max_size_required: true,
        memory_offset_choices: MemoryOffsetChoices(90, 9, 1),
        min_memories: 1,
        min_funcs: 2,
        relaxed_simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        table_max_size_required: true,
        max_table_elements: 100,
        ..Shape::default()
    };
    let module = Random::new(shape, &mut Unstructured::new(&bytes)).ok()?;
    Some(module.to_bytes())
}

/// Calls every exported function with zeros, then with other numbers. Answers each end, and the memory and globals.
fn run(
    store: &mut Store<()>,
    instance: &Instance,
    count: impl Fn(&mut Store<()>) -> u64,
) -> (Vec<End>, Vec<u8>) {
    let mut ends = Vec::new();
    let exports: Vec<_> = instance.exports(&mut *store).map(|export| export.into_extern()).collect();
    for number in [0u64, 1, 0x8000_0001_0000_0007] {
        for function in exports.iter().filter_map(|export| export.clone().into_func()) {
            let ty = function.ty(&mut *store);
            let arguments: Option<Vec<Val>> = ty.params().map(|ty| value(&ty, number)).collect();
            let Some(arguments) = arguments else { continue };
            let mut results = vec![Val::I32(0); ty.results().len()];
            let before = count(store);
            let end = function.call(&mut *store, &arguments, &mut results);
            let end = match end {
                Ok(()) => Ok(results.iter().map(bits).collect()),
                Err(error) => Err(error.downcast_ref::<Trap>().copied()),
            };
            ends.push((end, count(store) - before));
            let is_deep = matches!(ends.last(), Some((Err(Some(Trap::StackOverflow)), _)));
            if count(store) > LIMIT || is_deep {
                return (ends, Vec::new());
            }
        }
    }
    let mut state = Vec::new();
    for export in exports {
        match export {
            Extern::Memory(memory) => state.extend_from_slice(memory.data(&*store)),
            Extern::Global(global) => state.extend(bits(&global.get(&mut *store)).to_le_bytes()),
            _ => {}
        }
    }
    (ends, state)
}

fn value(ty: &ValType, number: u64) -> Option<Val> {
    Some(match ty {
        ValType::I32 => Val::I32(number as i32),
        ValType::I64 => Val::I64(number as i64),
        ValType::F32 => Val::F32(number as u32),
        ValType::F64 => Val::F64(number),
        ValType::V128 => Val::V128(u128::from(number).into()),
        ValType::Ref(_) => return None,
    })
}

fn bits(value: &Val) -> u128 {
    match value {
        Val::I32(value) => *value as u32 as u128,
        Val::I64(value) => *value as u64 as u128,
        Val::F32(bits) => u128::from(*bits),
        Val::F64(bits) => u128::from(*bits),
        Val::V128(value) => value.as_u128(),
        value => u128::from(value.ref_().is_some_and(|it| it.is_null())),
    }
}

/// As it is, with the engine's own count.
fn theirs(bytes: &[u8]) -> Option<(Vec<End>, Vec<u8>)> {
    let mut config = Config::new();
    config.consume_fuel(true).wasm_memory64(true).cranelift_nan_canonicalization(true);
    let engine = Engine::new(&config).expect("an engine");
    let mut store = Store::new(&engine, ());
    let fuel = LIMIT + 1;
    store.set_fuel(fuel).expect("fuel");
    let module = Module::new(&engine, bytes).expect("a module");
    // Its segments may not fit.
    let instance = Instance::new(&mut store, &module, &[]).ok()?;
    Some(run(&mut store, &instance, |store| fuel - store.get_fuel().expect("fuel")))
}

/// As it is prepared.
fn ours(prepared: &Prepared) -> (Vec<End>, Vec<u8>) {
    let engine = Engine::new(&crate::config()).expect("an engine");
    let mut store = Store::new(&engine, ());
    let module = Module::new(&engine, &prepared.bytes).expect("a module");
    let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
    let memory = instance.exports(&mut store).find_map(|export| export.into_memory()).expect("a memory");
    for (at, bytes) in &prepared.data {
        memory.write(&mut store, *at as usize, bytes).expect("what fitted before");
    }
    let over = instance.get_global(&mut store, OPERATORS).expect("a count");
    over.set(&mut store, Val::I64(-(LIMIT as i64))).expect("a global");
    let count = |store: &mut Store<()>| (over.get(store).i64().expect("a number") + LIMIT as i64) as u64;
    crate::stack::run(|| run(&mut store, &instance, count)).expect("a stack")
}

/// How many calls ended, trapped, or did neither before they had counted enough: the same ones in both.
#[track_caller]
fn compare(theirs: &[End], ours: &[End], which: &str) -> [usize; 3] {
    let [mut n_ends, mut n_traps, mut n_endless] = [0; 3];
    for (at, (their, our)) in theirs.iter().zip(ours).enumerate() {
        match (their, our) {
            ((Ok(theirs), their_count), (Ok(ours), our_count)) => {
                assert_eq!((ours, our_count), (theirs, their_count), "{which}, call {at}");
                n_ends += 1;
            }
            // Ours has more room for calls, and ends where it has counted enough.
            ((Err(Some(Trap::OutOfFuel | Trap::StackOverflow)), _), _) => n_endless += 1,
            ((Err(theirs), _), (Err(ours), _)) => {
                assert_eq!(ours, theirs, "{which}, call {at}");
                n_traps += 1;
            }
            _ => panic!("{our:?} instead of {their:?}, {which}, call {at}"),
        }
    }
    [n_ends, n_traps, n_endless]
}

#[test]
fn modules_that_nobody_wrote_do_the_same_and_count_the_same() {
    let formats = ["wasm32-unknown-emscripten4", "wasm64-unknown-emscripten-draft_2024_02_15"];
    let [mut n_modules, mut n_ends, mut n_traps, mut n_endless] = [0; 4];
    for seed in 0..400 {
        let wide = seed % 2 == 1;
        let Some(bytes) = random(seed, wide) else { continue };
        let format = Format::named(formats[usize::from(wide)]).expect("a format");
        let Ok(prepared) = prepare(&bytes, format, false, &Options::default()) else { continue };
        let Some((theirs, their_state)) = theirs(&bytes) else { continue };
        let (ours, our_state) = ours(&prepared);
        n_modules += 1;
        let [ends, traps, endless] = compare(&theirs, &ours, &format!("seed {seed}"));
        (n_ends, n_traps, n_endless) = (n_ends + ends, n_traps + traps, n_endless + endless);
        if theirs.len() == ours.len() && !their_state.is_empty() && !our_state.is_empty() {
            assert!(our_state.starts_with(&their_state), "seed {seed}");
        }
    }
    let found = format!("{n_modules} modules, {n_ends} ends, {n_traps} traps, {n_endless} endless");
    assert!(n_modules > 50 && n_ends > 50 && n_traps > 50 && n_endless > 0, "{found}");
}

/// Calls that are left in the code of a module of that text; it does and counts the same as it is.
#[track_caller]
fn calls_left(functions: &str) -> usize {
    let text = format!("(module (memory (export \"memory\") 1 1) {functions})");
    let bytes = wat::parse_str(text).expect("the text of a module");
    let format = Format::named("wasm32-unknown-emscripten4").expect("a format");
    let prepared = prepare(&bytes, format, false, &Options::default()).expect("fit");
    let (theirs, their_state) = theirs(&bytes).expect("its segments fit");
    let (ours, our_state) = ours(&prepared);
    let [n_ends, ..] = compare(&theirs, &ours, functions);
    assert!(n_ends > 0, "{theirs:?}");
    if !our_state.is_empty() {
        assert!(our_state.starts_with(&their_state));
    }
    let mut n_calls = 0;
    for payload in wasmparser::Parser::new(0).parse_all(&prepared.bytes) {
        let Ok(wasmparser::Payload::CodeSectionEntry(body)) = payload else { continue };
        let operators = body.get_operators_reader().expect("operators").into_iter();
        n_calls +=
            operators.filter(|operator| matches!(operator, Ok(wasmparser::Operator::Call { .. }))).count();
    }
    n_calls
}

#[test]
fn what_is_inlined_starts_with_zeros_every_time_and_returns_to_its_caller() {
    let functions = r#"
        (func $count (param i32) (result i64) (local i64 i32)
            (local.set 1 (i64.add (local.get 1) (i64.extend_i32_u (local.get 0))))
            (if (i32.and (local.get 0) (i32.const 1)) (then (return (local.get 1))))
            (loop (local.set 2 (i32.add (local.get 2) (i32.const 1)))
                (local.set 1 (i64.add (local.get 1) (i64.const 3)))
                (br_if 0 (i32.lt_u (local.get 2) (i32.const 4))))
            (drop (br_if 0 (local.get 1) (i32.eq (local.get 0) (i32.const 6))))
            (block (br_table 0 0 (local.get 0)))
            (i64.mul (local.get 1) (i64.const 7)))
        (func $two (param i64 i32) (i64.store (local.get 1) (local.get 0)))
        (func (export "run") (param i32) (result i64) (local i32 i64)
            (loop
                (local.set 2 (i64.add (local.get 2) (call $count (local.get 1))))
                (call $two (call $count (i32.add (local.get 1) (i32.const 1))) (i32.const 8))
                (local.set 2 (i64.xor (local.get 2) (i64.load (i32.const 8))))
                (br_if 0 (i32.lt_u (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (i32.const 9))))
            (local.get 2))"#;
    assert_eq!(calls_left(functions), 0);
}

#[test]
fn what_goes_round_through_calls_stays_a_call() {
    let functions = r#"
        (func $even (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 1))
                (else (call $odd (i32.sub (local.get 0) (i32.const 1))))))
        (func $odd (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
                (else (call $even (i32.sub (local.get 0) (i32.const 1))))))
        (func (export "run") (result i32) (i32.add (call $even (i32.const 10)) (call $odd (i32.const 7))))
        (func $endless (loop (br 0)))
        (func (export "for ever") (call $endless))"#;
    // Two calls of `even` remain, one of them in what was `odd`, which stands where it was called.
    assert_eq!(calls_left(functions), 4);
}
