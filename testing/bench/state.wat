;; A process that is all state: PAGES pages of 64 KiB. Its first message writes to each 4 KiB of them, every later one
;; to eight places; each answers with the number of messages before it and itself, the Process message not counted.
(module
  ;; Never called: by it the format of the module is told, wasm32-unknown-emscripten4.
  (import "env" "__asyncjs__weavedrive_open" (func (param i32 i32) (result i32)))
  (memory (export "memory") PAGES PAGES)
  (global $sp (mut i32) (i32.const 65536))
  (data (i32.const 1024) "{\"ok\":true,\"response\":{\"Output\":")

  (func (export "__wasm_call_ctors"))
  (func (export "emscripten_stack_get_current") (result i32) (global.get $sp))
  (func (export "emscripten_stack_get_end") (result i32) (i32.const 32768))
  (func (export "_emscripten_stack_restore") (param i32) (global.set $sp (local.get 0)))
  (func (export "_emscripten_stack_alloc") (param i32) (result i32)
    (global.set $sp (i32.and (i32.sub (global.get $sp) (local.get 0)) (i32.const -16)))
    (global.get $sp))
  (func (export "setThrew") (param i32 i32))

  ;; Writes a number behind the start of the answer, and closes it.
  (func $answer (param $n i64) (result i32)
    (local $at i32) (local $divisor i64)
    (local.set $at (i32.const 1056))
    (local.set $divisor (i64.const 1000000000000))
    (loop $digits
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48)
          (i32.wrap_i64 (i64.rem_u (i64.div_u (local.get $n) (local.get $divisor)) (i64.const 10)))))
      (if (i64.ge_u (local.get $n) (local.get $divisor))
        (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
      (local.set $divisor (i64.div_u (local.get $divisor) (i64.const 10)))
      (br_if $digits (i64.ne (local.get $divisor) (i64.const 0))))
    (if (i64.eqz (local.get $n))
      (then (local.set $at (i32.add (local.get $at) (i32.const 1)))))
    (i32.store16 (local.get $at) (i32.const 0x7d7d))
    (i32.store8 (i32.add (local.get $at) (i32.const 2)) (i32.const 0))
    (i32.const 1024))

  (func (export "handle") (param i32 i32) (result i32)
    (local $n i64) (local $at i32) (local $i i32) (local $pages i32)
    (local.set $n (i64.load (i32.const 2048)))
    (i64.store (i32.const 2048) (i64.add (local.get $n) (i64.const 1)))
    ;; The message after the Process message: every page gets bytes of its own.
    (if (i64.eq (local.get $n) (i64.const 1))
      (then
        (local.set $at (i32.const 65536))
        (local.set $i (i32.sub (i32.mul (memory.size) (i32.const 16)) (i32.const 16)))
        (loop $fill
          (i64.store (local.get $at) (i64.mul (i64.extend_i32_u (local.get $at)) (i64.const 0x9e3779b97f4a7c15)))
          (local.set $at (i32.add (local.get $at) (i32.const 4096)))
          (local.set $i (i32.sub (local.get $i) (i32.const 1)))
          (br_if $fill (local.get $i)))))
    (local.set $pages (i32.sub (memory.size) (i32.const 1)))
    (local.set $i (i32.const 8))
    (loop $touch
      (i64.store offset=65544
        (i32.mul (i32.const 65536)
          (i32.rem_u (i32.mul (i32.add (i32.wrap_i64 (local.get $n)) (local.get $i)) (i32.const 7919)) (local.get $pages)))
        (local.get $n))
      (local.set $i (i32.sub (local.get $i) (i32.const 1)))
      (br_if $touch (local.get $i)))
    (call $answer (local.get $n))))
