;; A module that does what the first letter of its message says, and answers with a number.
;; PTR is i32 or i64, the width of a pointer; WIDE is the same word for the memory, or nothing.
(module
  (import "env" "INVOKE" (func $invoke (param PTR PTR PTR)))
  (import "env" "_emscripten_throw_longjmp" (func $throw))
  (import "env" "emscripten_date_now" (func $now (result f64)))
  (import "env" "emscripten_resize_heap" (func $resize (param PTR) (result i32)))
  (import "env" "_abort_js" (func $abort))
  (import "env" "exit" (func $exit (param i32)))
  (import "env" "_emscripten_system" (func $system (param PTR) (result i32)))
  (import "env" "__asyncjs__weavedrive_open" (func $weavedrive (param PTR PTR) (result i32)))
  (import "env" "nobody_provides_this" (func $nobody (param i32) (result f32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param PTR PTR) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 PTR PTR PTR) (result i32)))

  (memory (export "memory") WIDE 2 64)
  (table (export "__indirect_function_table") 4 funcref)
  (elem (i32.const 1) $jumping $landing)
  (global $sp (mut PTR) (PTR.const 65536))
  (global $leak (mut i32) (i32.const 0))
  (global $threw (mut i32) (i32.const 0))

  (data (PTR.const 1024) "{\"ok\":true,\"response\":{\"Output\":")
  (data (PTR.const 1100) "{\"ok\":false,\"response\":\"no\"}\00")
  (data (PTR.const 1200) "{\"ok\":true,\"response\":{\"Error\":\"bad\"}}\00")
  (data (PTR.const 1300) "{\"ok\":true,\"response\":{\"Messages\":[{\"b\":1,\"a\":\"\\u0041\"}],\"Output\":\"x\"}}\00")

  ;; The state: a counter at 2048. The number of constructors that ran: at 2056.
  (func (export "__wasm_call_ctors")
    (i32.store (PTR.const 2056) (i32.add (i32.load (PTR.const 2056)) (i32.const 1))))
  (func $count (result i64)
    (i64.store (PTR.const 2048) (i64.add (i64.load (PTR.const 2048)) (i64.const 1)))
    (i64.load (PTR.const 2048)))

  (func (export "emscripten_stack_get_current") (result PTR) (global.get $sp))
  (func (export "emscripten_stack_get_end") (result PTR) (PTR.const 32768))
  (func (export "_emscripten_stack_restore") (param PTR) (global.set $sp (local.get 0)))
  (func (export "_emscripten_stack_alloc") (param PTR) (result PTR)
    (global.set $sp (PTR.and (PTR.sub (global.get $sp) (local.get 0)) (PTR.const -16)))
    (global.get $sp))
  (func (export "setThrew") (param PTR i32) (global.set $threw (i32.const 1)))

  (func $extend (param PTR) (result i64) EXTEND)
  (func $wrap (param i64) (result PTR) WRAP)
  (func $jumping (param PTR PTR)
    (global.set $sp (PTR.const 40000))
    (call $throw))
  (func $landing (param PTR PTR)
    (call $invoke (PTR.const 1) (PTR.const 0) (PTR.const 0)))
  (func $deep (param i32) (result i32)
    (i32.add (i32.const 1) (call $deep (i32.add (local.get 0) (i32.const 1)))))

  ;; Writes a number behind the start of the answer, and closes it.
  (func $answer (param $n i64) (result PTR)
    (local $at PTR) (local $divisor i64)
    (local.set $at (PTR.const 1056))
    (local.set $divisor (i64.const 1000000000000))
    (loop $digits
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48)
          (i32.wrap_i64 (i64.rem_u (i64.div_u (local.get $n) (local.get $divisor)) (i64.const 10)))))
      ;; A leading zero is written over.
      (if (i64.ge_u (local.get $n) (local.get $divisor))
        (then (local.set $at (PTR.add (local.get $at) (PTR.const 1)))))
      (local.set $divisor (i64.div_u (local.get $divisor) (i64.const 10)))
      (br_if $digits (i64.ne (local.get $divisor) (i64.const 0))))
    (if (i64.eqz (local.get $n))
      (then (local.set $at (PTR.add (local.get $at) (PTR.const 1)))))
    (i32.store16 (local.get $at) (i32.const 0x7d7d))
    (i32.store8 (PTR.add (local.get $at) (PTR.const 2)) (i32.const 0))
    (PTR.const 1024))

  (func (export "handle") (param $message PTR) (param $environment PTR) (result PTR)
    (local $what i32) (local $n i64)
    (local.set $what (i32.load8_u (local.get $message)))
    (local.set $n (call $count))
    (global.set $leak (i32.add (global.get $leak) (i32.const 1)))
    (block $other
      ;; c: how often it was called and had success.
      (if (i32.eq (local.get $what) (i32.const 99)) (then (return (call $answer (local.get $n)))))
      ;; n, e, m: an answer that says no, one that says error, one with a message.
      (if (i32.eq (local.get $what) (i32.const 110)) (then (return (PTR.const 1100))))
      (if (i32.eq (local.get $what) (i32.const 101)) (then (return (PTR.const 1200))))
      (if (i32.eq (local.get $what) (i32.const 109)) (then (return (PTR.const 1300))))
      ;; u: unreachable. l: loops for ever. d: calls itself for ever. z: divides by zero. p: a bad pointer.
      (if (i32.eq (local.get $what) (i32.const 117)) (then (unreachable)))
      (if (i32.eq (local.get $what) (i32.const 108)) (then (loop $ever (br $ever))))
      (if (i32.eq (local.get $what) (i32.const 100)) (then (drop (call $deep (i32.const 0)))))
      (if (i32.eq (local.get $what) (i32.const 122))
        (then (return (call $answer (i64.div_u (i64.const 1) (i64.extend_i32_u (global.get $threw)))))))
      (if (i32.eq (local.get $what) (i32.const 112)) (then (return (PTR.const -2))))
      ;; a, x, q: aborts, exits, calls what is not there.
      (if (i32.eq (local.get $what) (i32.const 97)) (then (call $abort)))
      (if (i32.eq (local.get $what) (i32.const 120)) (then (call $exit (i32.const 3))))
      (if (i32.eq (local.get $what) (i32.const 113)) (then (drop (call $nobody (i32.const 3)))))
      ;; G: a page more, directly. H: the heap by resize to 200000 bytes. S: pages.
      (if (i32.eq (local.get $what) (i32.const 71))
        (then (return (call $answer (i64.and (i64.const 0xffffffff) (call $extend (memory.grow (PTR.const 1))))))))
      (if (i32.eq (local.get $what) (i32.const 72))
        (then (return (call $answer (i64.extend_i32_u (call $resize (PTR.const 200000)))))))
      (if (i32.eq (local.get $what) (i32.const 83)) (then (return (call $answer (call $extend (memory.size))))))
      ;; g: what a global says that no message may find changed. k: constructors that ran. t: the time.
      (if (i32.eq (local.get $what) (i32.const 103))
        (then (return (call $answer (i64.extend_i32_u (global.get $leak))))))
      (if (i32.eq (local.get $what) (i32.const 107))
        (then (return (call $answer (i64.load32_u (PTR.const 2056))))))
      (if (i32.eq (local.get $what) (i32.const 116))
        (then (drop (call $now)) (return (call $answer (i64.trunc_f64_u (call $now))))))
      ;; j: a jump over a frame, caught; answers 1 if the stack pointer is back and setThrew was called.
      (if (i32.eq (local.get $what) (i32.const 106))
        (then
          (local.set $message (global.get $sp))
          (call $invoke (PTR.const 2) (PTR.const 0) (PTR.const 0))
          (return (call $answer (i64.extend_i32_u
            (i32.and (global.get $threw) (PTR.eq (global.get $sp) (local.get $message))))))))
      ;; y: what the host refuses: a command, WeaveDrive, an environment. Answers the sum, 0 - 52 + 1000.
      (if (i32.eq (local.get $what) (i32.const 121))
        (then
          (drop (call $environ (PTR.const 3000) (PTR.const 3008)))
          (return (call $answer (i64.add (i64.const 1000) (i64.extend_i32_s
            (i32.add (i32.add (call $system (PTR.const 1024)) (call $weavedrive (PTR.const 1024) (PTR.const 0)))
              (i32.load (PTR.const 3000)))))))))
      ;; w: writes to a page for each message that there was, from 100000 on.
      (if (i32.eq (local.get $what) (i32.const 119))
        (then
          (i64.store (PTR.add (PTR.const 69632) (PTR.mul (PTR.const 4096) (PTR.and (PTR.const 7) (call $wrap (local.get $n)))))
            (local.get $n))
          (return (call $answer (local.get $n))))))
    (call $answer (i64.const 404))))
