//! Modules: which are taken, what compiling costs only once, and what an evaluation costs.

mod guest;

use guest::{
    LIMITS, METERED, NARROW, WIDE, machine, module, of_bytes, of_text, program, refused, runtime, say, start,
};
use pirn_runtime_wasm::{Options, WasmRuntime};
use runtime::{Limits, Refusal, Runtime as _};

/// What keeps a module from being loaded.
fn why(format: &str, text: &str) -> String {
    match runtime().load(&of_text(format, text)) {
        Ok(_) => "loaded".to_owned(),
        Err(refusal) => refused(&refusal),
    }
}

#[test]
fn all_formats_of_the_reference_are_run_and_no_others() {
    let runtime = runtime();
    for format in [
        "wasm32-unknown-emscripten",
        "wasm32-unknown-emscripten2",
        "wasm32-unknown-emscripten3",
        "wasm32-unknown-emscripten4",
        "wasm32-unknown-emscripten-metering",
        "wasm64-unknown-emscripten-draft_2024_02_15",
        "wasm64-unknown-emscripten-draft_2024_10_16-metering",
    ] {
        assert!(runtime.runs(format), "{format}");
    }
    assert!(!runtime.runs("wasm32-unknown-emscripten5"));
    assert!(matches!(runtime.load(&module("lua")), Err(Refusal::Format { .. })));
}

#[test]
fn what_is_no_module_is_refused() {
    let broken = |bytes: &[u8]| {
        matches!(runtime().load(&of_bytes(NARROW, bytes.to_vec())), Err(Refusal::Module { .. }))
    };
    assert!(broken(b""));
    assert!(broken(b"\0asm\x01\0\0\0"));
    assert!(broken(b"not a module"));
    let whole = module(NARROW).data;
    for cut in [9, 100, whole.len() / 2, whole.len() - 1] {
        assert!(broken(&whole[..cut]), "cut at {cut}");
    }
}

#[test]
fn a_module_cannot_reach_what_is_ours() {
    assert!(why(NARROW, r#"(module (memory (export "memory") 1) (memory 1))"#).contains("refused"));
    assert!(why(NARROW, r#"(module (import "env" "memory" (memory 1)))"#).contains("imports its memory"));
    assert!(why(NARROW, r#"(module (import "a" "b" (global i32)) (memory 1))"#).contains("imports a global"));
    let named = r#"(module (memory 1) (global (export "pirn:gas") (mut i64) (i64.const 0)))"#;
    assert!(why(NARROW, named).contains("begins with pirn:"));
    // The count of a metered module would be global 0, were it valid to name it.
    let naming = r#"(module (memory 1) (func (global.set 0 (i64.const -9000000))))"#;
    let bytes = wat::parse_str(naming).unwrap();
    assert!(matches!(runtime().load(&of_bytes(METERED[0], bytes)), Err(Refusal::Module { .. })));
}

#[test]
fn a_module_without_handle_answers_that_it_cannot_start() {
    let program = runtime().program(&of_text(NARROW, r#"(module (memory (export "memory") 1))"#)).unwrap();
    let said = say(&mut program.machine(start(LIMITS, None)).unwrap(), "c");
    assert_eq!(said, r#"error "the module cannot start: it does not export memory and handle""#);
    let looping = r#"(module (memory (export "memory") 1)
        (func (export "handle") (param i32 i32) (result i32) (i32.const 0))
        (func (export "__wasm_call_ctors") (loop (br 0))))"#;
    for format in [NARROW, METERED[0]] {
        let program = runtime().program(&of_text(format, looping)).unwrap();
        let said = say(&mut program.machine(start(LIMITS, None)).unwrap(), "c");
        assert!(said.starts_with(r#"error "the module cannot start"#), "{said}");
    }
}

#[test]
fn a_start_function_and_data_come_before_the_first_message_and_once() {
    let text = r#"(module (memory (export "memory") 1)
        (data (i32.const 16) "{\22ok\22:true,\22response\22:{\22Output\22:0}}\00")
        (start $start)
        (func $start (i32.store8 (i32.const 48) (i32.add (i32.load8_u (i32.const 48)) (i32.const 1))))
        (global $sp (mut i32) (i32.const 60000))
        (func (export "stackSave") (result i32) (global.get $sp))
        (func (export "stackRestore") (param i32) (global.set $sp (local.get 0)))
        (func (export "stackAlloc") (param i32) (result i32)
          (global.set $sp (i32.sub (global.get $sp) (local.get 0))) (global.get $sp))
        (func (export "handle") (param i32 i32) (result i32) (i32.const 16)))"#;
    let program = runtime().program(&of_text(NARROW, text)).unwrap();
    for _ in 0..3 {
        assert_eq!(say(&mut program.machine(start(LIMITS, None)).unwrap(), "cc"), "1\n1");
    }
}

#[test]
fn a_table_says_the_same_to_every_message() {
    let text = r#"(module (memory (export "memory") 1) (table 2 funcref) (elem func $free)
        (data (i32.const 16) "{\22ok\22:true,\22response\22:{\22Output\22:0}}\00")
        (func (export "malloc") (param i32) (result i32) (i32.const 4096))
        (func $free (export "free") (param i32))
        (func (export "handle") (param i32 i32) (result i32)
          (i32.store8 (i32.const 48) (i32.add (i32.const 48) (i32.eqz (ref.is_null (table.get 0 (i32.const 1))))))
          (table.set 0 (i32.const 1) (ref.func $free))
          (i32.const 16)))"#;
    let program = runtime().program(&of_text(NARROW, text)).unwrap();
    assert_eq!(say(&mut program.machine(start(LIMITS, None)).unwrap(), "xxx"), "0\n0\n0");
}

/// A module whose `handle` is that body, with three locals, and answers with an empty outcome.
fn priced(body: &str) -> u64 {
    let text = format!(
        r#"(module (memory (export "memory") 1)
        (data (i32.const 16) "{{\22ok\22:true}}\00")
        (func (export "malloc") (param i32) (result i32) (i32.const 4096))
        (func (export "free") (param i32))
        (func (export "handle") (param i32 i32) (result i32) (local i32 i32 i32) {body}))"#
    );
    let program = runtime().program(&of_text(METERED[0], &text)).unwrap();
    let outcome = program.machine(start(LIMITS, None)).unwrap().handle_json("x").unwrap();
    assert_eq!(outcome.error, None, "{body}");
    assert_eq!(outcome.gas, outcome.gas_used);
    // Two strings are allocated, which is a constant each, and freed, which is nothing at all.
    outcome.gas - 2 * (1 + 91)
}

#[test]
fn a_segment_costs_its_operators_and_the_count() {
    // The vector of the protocol document is 257: 120 + 1 + 45 + 0 + 91. Here a constant goes before it.
    assert_eq!(
        priced("(drop (i32.add (local.get 2) (i32.const 1))) (i32.const 16)"),
        120 + 1 + 45 + 120 + 1 + 91
    );
    assert_eq!(priced("(i32.add (local.get 2) (i32.const 16))"), 257);
    assert_eq!(priced("(i32.const 16)"), 92);
    // if and else end segments of their own: const const if | else not taken | end | const.
    assert_eq!(
        priced("(if (i32.const 0) (then (nop)) (else (nop))) (i32.const 16)"),
        (1 + 1 + 91) + (1 + 91) + 92
    );
    assert_eq!(priced("(block (br 0)) (i32.const 16)"), (1 + 90 + 91) + 92);
    assert_eq!(
        priced("(drop (i32.div_u (i32.const 4) (i32.const 2))) (i32.const 16)"),
        36_000 + 2 + 120 + 92
    );
    assert_eq!(priced("(drop (memory.grow (i32.const 0))) (i32.const 16)"), (1 + 10_000 + 91) + 120 + 92);
    assert_eq!(priced("(drop (f64.lt (f64.const 1) (f64.const 2))) (i32.const 16)"), 2 + 120 + 92);
}

#[test]
fn metering_refuses_what_has_no_price() {
    let bulk = r#"(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 1))))"#;
    assert!(why(METERED[0], bulk).contains("without a price"));
    let baked = r#"(module (import "metering" "usegas" (func (param i32))) (memory 1))"#;
    assert!(why(METERED[0], baked).contains("metered already"));
    let free = format!("(module (memory 1) (func (result f64) (f64.const 1) {}))", "f64.sqrt ".repeat(5000));
    assert!(why(METERED[0], &free).contains("cost nothing"));
    assert_eq!(why(NARROW, bulk), "loaded");
}

#[test]
fn a_module_that_was_metered_when_it_was_built_is_held_to_its_own_count() {
    let text = r#"(module (import "metering" "usegas" (func $usegas (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 16) "{\22ok\22:true}\00")
        (func (export "malloc") (param i32) (result i32) (i32.const 4096))
        (func (export "free") (param i32))
        (func (export "handle") (param i32 i32) (result i32) (call $usegas (i32.const 1234567)) (i32.const 16)))"#;
    let program = runtime().program(&of_text("wasm32-unknown-emscripten2", text));
    let program = program.unwrap();
    let outcome = |compute| {
        let limits = Limits { compute, ..LIMITS };
        program.machine(start(limits, None)).unwrap().handle_json("x").unwrap()
    };
    assert_eq!((outcome(1_234_567).gas_used, outcome(1_234_567).error), (1_234_567, None));
    let out = outcome(1_234_566);
    assert_eq!(out.error.unwrap().get(), r#""out of gas: the evaluation used its Compute-Limit of 1234566""#);
}

#[test]
fn an_evaluation_costs_the_same_every_time_and_a_hundred_units_per_operator() {
    for (format, wire) in [(NARROW, false), (WIDE, false), (METERED[0], true), (METERED[1], true)] {
        let program = program(format);
        let gas = |letter: &str| {
            let outcome = machine(&program).handle_json(letter).unwrap();
            assert_eq!(outcome.gas_used, if wire { outcome.gas } else { 0 });
            outcome.gas
        };
        assert_eq!(gas("c"), gas("c"), "{format}");
        assert!(gas("c") > 0 && (wire || gas("c") % 100 == 0), "{format}");
        // What it costs is what it needs.
        let with = |compute| {
            let limits = Limits { compute, ..LIMITS };
            program.machine(start(limits, None)).unwrap().handle_json("c").unwrap().error
        };
        assert_eq!(with(gas("c")), None, "{format}");
        assert!(with(gas("c") - 1).is_some(), "{format}");
    }
}

#[test]
fn a_compiled_module_is_kept_and_a_damaged_one_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let load = || {
        let options = Options { cache: Some(folder.path().join("modules")), ..Options::default() };
        let program = WasmRuntime::new(options).unwrap().program(&module(WIDE)).unwrap();
        say(&mut program.machine(start(LIMITS, None)).unwrap(), "cjk")
    };
    let said = load();
    let files = || {
        let files = std::fs::read_dir(folder.path().join("modules")).unwrap();
        files.map(|file| file.unwrap().path()).collect::<Vec<_>>()
    };
    assert_eq!(files().len(), 1);
    let path = files().remove(0);
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(load(), said);
    for at in [0, 20, 50, 100, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert_eq!(load(), said, "byte {at}");
        assert_eq!(std::fs::read(&path).unwrap().len(), whole.len(), "it was written again");
    }
    for length in [0, 71, 72, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(load(), said, "cut to {length}");
    }
}

#[test]
fn a_module_of_too_many_operators_is_refused_and_the_bound_is_named() {
    let options = Options { function_operators_max: 100, operators_max: 150, ..Options::default() };
    let runtime = WasmRuntime::new(options).unwrap();
    let why = |bodies: &[String]| {
        let functions: String = bodies.iter().map(|body| format!("(func {body})")).collect();
        match runtime.load(&of_text(NARROW, &format!("(module (memory 1) {functions})"))) {
            Ok(_) => "loaded".to_owned(),
            Err(refusal) => refusal.to_string(),
        }
    };
    // One more is the end of the function.
    let nops = |n: usize| "nop ".repeat(n);
    let too_large = "its function 1, not counting imported ones, has more than 100 operators (whoever runs the node sets wasm.function_operators_max)";
    let said = why(&[nops(1), nops(100)]);
    assert!(said.contains(too_large), "{said}");
    // A jump table says in one operator what others say in many.
    let table = format!("(br_table {} (i32.const 0))", "0 ".repeat(99));
    let said = why(&[nops(1), table]);
    assert!(said.contains(too_large), "{said}");
    let said = why(&[nops(99), nops(99)]);
    assert!(
        said.contains("it has more than 150 operators (whoever runs the node sets wasm.operators_max)"),
        "{said}"
    );
    let said = why(&[nops(99), nops(40)]);
    assert!(!said.contains("operators"), "{said}");
}
