;; The program of the suite of machines. `Data` is the first key of every message: its first letter is at 9.
;; PTR is i32 or i64, the width of a pointer; WIDE is the same word for the memory, or nothing.
(module
  (memory (export "memory") WIDE 4 1024)
  (global $sp (mut PTR) (PTR.const 65536))
  (data (PTR.const 1024) "{\"ok\":true,\"response\":{\"Output\":")
  (data (PTR.const 1100) "{\"ok\":true,\"response\":{\"Output\":null}}\00")
  (data (PTR.const 1200) "{\"ok\":true,\"response\":{\"Error\":\"failed\"}}\00")

  (func (export "__wasm_call_ctors"))
  (func (export "emscripten_stack_get_current") (result PTR) (global.get $sp))
  (func (export "emscripten_stack_get_end") (result PTR) (PTR.const 32768))
  (func (export "_emscripten_stack_restore") (param PTR) (global.set $sp (local.get 0)))
  (func (export "_emscripten_stack_alloc") (param PTR) (result PTR)
    (global.set $sp (PTR.and (PTR.sub (global.get $sp) (local.get 0)) (PTR.const -16)))
    (global.get $sp))

  ;; The state: a number at 2048 that all changes went into, and the last of those that went to each of 31 pages.
  (func $change (param $by i64)
    (local $n i64)
    (local.set $n
      (i64.rotl
        (i64.mul (i64.xor (i64.load (PTR.const 2048)) (local.get $by)) (i64.const 0x9e3779b97f4a7c15))
        (i64.const 23)))
    (i64.store (PTR.const 2048) (local.get $n))
    (i64.store
      (PTR.add (PTR.const 131072) (PTR.mul (PTR.const 4096) (NARROWED (i64.rem_u (local.get $n) (i64.const 31)))))
      (local.get $n)))

  ;; Writes a number of ten digits behind the start of the answer, and closes it.
  (func $answer (param $n i64) (result PTR)
    (local $at PTR)
    (local.set $at (PTR.const 1066))
    (i32.store16 (PTR.const 1067) (i32.const 0x7d7d))
    (i32.store8 (PTR.const 1069) (i32.const 0))
    (loop $digits
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $n) (i64.const 10)))))
      (local.set $n (i64.div_u (local.get $n) (i64.const 10)))
      (local.set $at (PTR.sub (local.get $at) (PTR.const 1)))
      (br_if $digits (PTR.gt_u (local.get $at) (PTR.const 1056))))
    ;; The first digit is no zero.
    (i32.store8 (PTR.const 1056) (i32.const 49))
    (PTR.const 1024))

  (func (export "handle") (param $message PTR) (param $environment PTR) (result PTR)
    (local $what i32)
    (local.set $what (i32.load8_u offset=9 (local.get $message)))
    (if (i32.eq (local.get $what) (i32.const 115)) (then (return (call $answer (i64.load (PTR.const 2048))))))
    (call $change (i64.load8_u offset=10 (local.get $message)))
    (if (i32.eq (local.get $what) (i32.const 99)) (then (return (PTR.const 1100))))
    (if (i32.eq (local.get $what) (i32.const 108))
      (then (loop $ever (call $change (i64.const 1)) (br $ever))))
    (if (i32.eq (local.get $what) (i32.const 109)) (then
      (if (PTR.ne (memory.grow (PTR.const 1000)) (PTR.const -1)) (then (return (PTR.const 1100))))))
    (PTR.const 1200)))
