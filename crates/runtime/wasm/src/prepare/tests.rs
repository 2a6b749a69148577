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
        for (at, (their, our)) in theirs.iter().zip(&ours).enumerate() {
            match (their, our) {
                ((Ok(theirs), their_count), (Ok(ours), our_count)) => {
                    assert_eq!((ours, our_count), (theirs, their_count), "seed {seed}, call {at}");
                    n_ends += 1;
                }
                // Ours has more room for calls, and ends where it has counted enough.
                ((Err(Some(Trap::OutOfFuel | Trap::StackOverflow)), _), _) => n_endless += 1,
                ((Err(theirs), _), (Err(ours), _)) => {
                    assert_eq!(ours, theirs, "seed {seed}, call {at}");
                    n_traps += 1;
                }
                _ => panic!("{our:?} instead of {their:?}, seed {seed}, call {at}"),
            }
        }
        if theirs.len() == ours.len() && !their_state.is_empty() && !our_state.is_empty() {
            assert!(our_state.starts_with(&their_state), "seed {seed}");
        }
    }
    let found = format!("{n_modules} modules, {n_ends} ends, {n_traps} traps, {n_endless} endless");
    assert!(n_modules > 50 && n_ends > 50 && n_traps > 50 && n_endless > 0, "{found}");
}
