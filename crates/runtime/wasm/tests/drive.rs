//! Files of the weave: what a guest gets of them, what that costs, and that a refusal is no outcome.

#[expect(dead_code, reason = "only what makes modules and machines is used here")]
mod guest;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use guest::{LIMITS, NARROW, of_text, runtime, start};
use protocol::Id;
use runtime::{Drive, Opened, Refusal, Start, Unopened};

/// Opens the path that the message is, reads eight bytes at a time into its answer until nothing comes, and closes.
const GUEST: &str = r#"(module
  (import "env" "__asyncjs__weavedrive_open" (func $open (param i32 i32) (result i32)))
  (import "env" "__asyncjs__weavedrive_read" (func $read (param i32 i32 i32) (result i32)))
  (import "env" "__asyncjs__weavedrive_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 2 64)
  (global $sp (mut i32) (i32.const 65536))
  (data (i32.const 1024) "{\"ok\":true,\"response\":{\"Output\":\"")
  (func (export "emscripten_stack_get_current") (result i32) (global.get $sp))
  (func (export "_emscripten_stack_restore") (param i32) (global.set $sp (local.get 0)))
  (func (export "_emscripten_stack_alloc") (param i32) (result i32)
    (global.set $sp (i32.and (i32.sub (global.get $sp) (local.get 0)) (i32.const -16)))
    (global.get $sp))
  (func (export "handle") (param $message i32) (param i32) (result i32)
    (local $fd i32) (local $at i32) (local $n i32)
    (local.set $at (i32.const 1057))
    (local.set $fd (call $open (local.get $message) (i32.const 0)))
    (if (local.get $fd)
      (then
        (loop $more
          (local.set $n (call $read (local.get $fd) (local.get $at) (i32.const 8)))
          (local.set $at (i32.add (local.get $at) (local.get $n)))
          (br_if $more (local.get $n)))
        (drop (call $close (local.get $fd))))
      (else (i32.store8 (local.get $at) (i32.const 45)) (local.set $at (i32.add (local.get $at) (i32.const 1)))))
    (i64.store (local.get $at) (i64.const 0x7d7d22))
    (i32.const 1024)))"#;

/// A weave of little: data, a header, and what cannot be had at times.
#[derive(Debug, Default)]
struct Little {
    is_down: AtomicBool,
}

const TEXT: &[u8] = b"twenty bytes of data";

impl Drive for Little {
    fn open(&self, message: &str, path: &str) -> Result<Opened, Unopened> {
        assert_eq!(message, path, "the guest opens what its message is");
        match path {
            "/data" => Ok(Opened::Data { id: Id([1; 32]), size: TEXT.len() as u64 }),
            "/tx" => Ok(Opened::Text(Bytes::from_static(b"a header"))),
            "/library" => Err(Unopened::Failed("nobody knows".to_owned())),
            _ => Ok(Opened::NotAvailable),
        }
    }

    fn read(&self, _: Id, at: u64, max: usize) -> Result<Bytes, Refusal> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(Refusal::Weave { what: "down".to_owned() });
        }
        // Less than is asked for, as pieces end where they do.
        let end = (at as usize + max.min(3)).min(TEXT.len());
        Ok(Bytes::from_static(&TEXT[at as usize..end]))
    }
}

fn machine(drive: Option<Arc<dyn Drive>>) -> pirn_runtime_wasm::Machine {
    let program = runtime().program(&of_text(NARROW, GUEST)).unwrap();
    program.machine(Start { drive, ..start(LIMITS, None) }).unwrap()
}

#[track_caller]
fn check(drive: Option<Arc<dyn Drive>>, path: &str, expected: &str) {
    let outcome = machine(drive).handle_json(path).unwrap();
    let said = outcome.error.as_ref().unwrap_or(&outcome.output);
    assert_eq!(said.get(), expected, "{path}");
}

#[test]
fn what_is_there_is_read_to_its_end_and_nothing_else_is() {
    let drive = || Some(Arc::new(Little::default()) as Arc<dyn Drive>);
    check(drive(), "/data", "\"twenty bytes of data\"");
    check(drive(), "/tx", "\"a header\"");
    check(drive(), "/other", "\"-\"");
    check(drive(), "/library", "\"the module aborted: nobody knows\"");
    check(None, "/data", "\"-\"");
}

#[test]
fn a_refusal_is_no_outcome_and_the_same_message_is_evaluated_later() {
    let little = Arc::new(Little::default());
    let mut machine = machine(Some(little.clone()));
    let before = machine.handle_json("/data").unwrap();
    little.is_down.store(true, Ordering::SeqCst);
    assert!(matches!(machine.handle_json("/data"), Err(Refusal::Weave { .. })));
    little.is_down.store(false, Ordering::SeqCst);
    let after = machine.handle_json("/data").unwrap();
    assert_eq!((before.output, before.gas), (after.output, after.gas));
}

#[test]
fn opening_and_reading_cost_what_they_say() {
    let gas = |drive, path| machine(drive).handle_json(path).unwrap().gas;
    let little = || Some(Arc::new(Little::default()) as Arc<dyn Drive>);
    let none = gas(None, "/other");
    // An open is charged whether or not there is something.
    let open = runtime::DRIVE_OPEN_OPERATORS * runtime::GAS_PER_OPERATOR;
    assert_eq!(gas(little(), "/other") - none, open);
    let header = gas(little(), "/tx");
    assert!(header > open + none, "{header}");
}
