//! Commits, against a memory that is a plain array: whatever is written where, however often, and whatever fails.

#[expect(dead_code, reason = "shared with the other tests")]
mod guest;

use guest::{NARROW, of_text, start};
use pirn_runtime_wasm::{Machine, MachineOptions, Options, WasmProgram, WasmRuntime};
use runtime::{Limits, Machine as _, Memory, PAGE_BYTES, Pages};

/// Does what its message says: `w`, or `g` for one that grows the memory first, or `u` for one that ends with a trap;
/// then four characters for each write, the page in three digits from `0` to `o` and the byte.
const WRITER: &str = r#"
(module
  (import "env" "__asyncjs__weavedrive_open" (func (param i32 i32) (result i32)))
  (memory (export "memory") 64 512)
  (global $sp (mut i32) (i32.const 65536))
  (data (i32.const 1024) "{\"ok\":true,\"response\":{\"Output\":1}}\00")
  (func (export "__wasm_call_ctors"))
  (func (export "emscripten_stack_get_current") (result i32) (global.get $sp))
  (func (export "emscripten_stack_get_end") (result i32) (i32.const 32768))
  (func (export "_emscripten_stack_restore") (param i32) (global.set $sp (local.get 0)))
  (func (export "_emscripten_stack_alloc") (param i32) (result i32)
    (global.set $sp (i32.and (i32.sub (global.get $sp) (local.get 0)) (i32.const -16)))
    (global.get $sp))
  (func (export "setThrew") (param i32 i32))
  (func $digit (param i32) (result i32) (i32.sub (i32.load8_u (local.get 0)) (i32.const 48)))
  (func (export "handle") (param $at i32) (param i32) (result i32)
    (local $kind i32)
    (local.set $kind (i32.load8_u (local.get $at)))
    (if (i32.eq (local.get $kind) (i32.const 103)) (then (drop (memory.grow (i32.const 1)))))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (block $done (loop $next
      (br_if $done (i32.eqz (i32.load8_u (local.get $at))))
      (i32.store8 offset=65543
        (i32.mul (i32.const 4096)
          (i32.add (call $digit (i32.add (local.get $at) (i32.const 2)))
            (i32.mul (i32.const 64) (i32.add (call $digit (i32.add (local.get $at) (i32.const 1)))
              (i32.mul (i32.const 64) (call $digit (local.get $at)))))))
        (i32.load8_u offset=3 (local.get $at)))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br $next)))
    (if (i32.eq (local.get $kind) (i32.const 117)) (then (unreachable)))
    (i32.const 1024)))
"#;

const LIMITS: Limits = Limits { memory_bytes: 32 << 20, compute: 10_000_000_000 };
/// Bytes below the pages that are written: the guest's stack and its data.
const BEFORE: usize = 65536;

fn program(machine: MachineOptions) -> WasmProgram {
    let runtime = WasmRuntime::new(Options { machine, ..Options::default() }).unwrap();
    runtime.program(&of_text(NARROW, WRITER)).unwrap()
}

/// Numbers that are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

/// A machine, and what its memory is.
struct Both {
    machine: Machine,
    model: Vec<u8>,
    has_failed: bool,
}

impl Both {
    /// One message of that many writes: half of them to a few pages, the others anywhere.
    fn say(&mut self, dice: &mut Dice, writes: usize) {
        // Failures come one by one, and several in a row.
        let kind = match dice.below(if self.has_failed { 2 } else { 40 }) {
            0 => 'u',
            1 if !self.has_failed && self.model.len() + BEFORE < LIMITS.memory_bytes as usize => 'g',
            _ => 'w',
        };
        let mut after = self.model.clone();
        after.resize(after.len() + if kind == 'g' { 65536 } else { 0 }, 0);
        let mut message = String::from(kind);
        for _ in 0..writes {
            let pages = after.len() / PAGE_BYTES;
            let page = if dice.below(2) == 0 { dice.below(6) * 7 } else { dice.below(pages) };
            let byte = b'0' + dice.below(9) as u8;
            after[page * PAGE_BYTES + 7] = byte;
            let digits = [page / 4096, page / 64 % 64, page % 64].map(|digit| (digit as u8 + b'0') as char);
            message.extend(digits);
            message.push(byte as char);
        }
        let outcome = self.machine.handle_json(&message).unwrap();
        self.has_failed = kind == 'u';
        assert_eq!(outcome.error.is_some(), self.has_failed, "{outcome:?}");
        if kind != 'u' {
            self.model = after;
        }
    }

    fn check(&mut self) -> Memory {
        let memory = self.machine.memory().unwrap();
        check(&memory, &self.model);
        memory
    }
}

#[track_caller]
fn check(memory: &Memory, model: &[u8]) {
    assert_eq!(memory.size_bytes as usize, BEFORE + model.len());
    assert!(memory.to_dense()[BEFORE..] == *model, "it is not what was written");
}

#[test]
fn a_memory_is_what_was_written_to_it_whenever_it_is_committed() {
    let usual = MachineOptions::default();
    let options = [
        usual,
        MachineOptions { compared_bytes_min: 0, ..usual },
        MachineOptions { messages_per_commit: 1, compared_bytes_min: 0, ..usual },
        MachineOptions { messages_per_commit: 5, pages_per_message: 1, ..usual },
        MachineOptions { overlay_bytes_max: 0, ..usual },
        MachineOptions { overlay_bytes_max: 100 * PAGE_BYTES as u64, bytes_per_commit: 300, ..usual },
    ];
    for (n, options) in options.into_iter().enumerate() {
        let program = program(options);
        let mut dice = Dice(n as u64);
        let machine = program.machine(start(LIMITS, None)).unwrap();
        let model = vec![0; (64 << 16) - BEFORE];
        let mut both = Both { machine, model, has_failed: false };
        // What a checkpoint and the changes after it come to, and the root over pages that changed.
        let mut kept = both.check();
        both.machine.track();
        for round in 0..12 {
            let messages = 1 + dice.below(150);
            let (mut later, mut beside) = (Vec::new(), Vec::new());
            for n in 0..messages {
                let writes = 1 + dice.below(12);
                both.say(&mut dice, writes);
                // What it was is read after others wrote, and while they do.
                if n % 16 == 3 {
                    later.push((both.machine.memory_later().unwrap(), both.model.clone()));
                    let now = both.machine.memory_later().unwrap();
                    beside.push((std::thread::spawn(move || now.read().unwrap()), both.model.clone()));
                }
            }
            for (then, model) in later {
                let pages = then.pages_max();
                let memory = then.read().unwrap();
                assert!(memory.pages.len() <= pages);
                check(&memory, &model);
            }
            for (read, model) in beside {
                check(&read.join().unwrap(), &model);
            }
            match round % 4 {
                0 => drop(both.check()),
                1 => {
                    // A copy stays what it was, and goes another way.
                    let mut still = both.machine.fork().unwrap();
                    let then = both.check();
                    let machine = program.machine(start(LIMITS, Some(then.clone()))).unwrap();
                    let mut other = Both { machine, model: both.model.clone(), has_failed: false };
                    for _ in 0..80 {
                        both.say(&mut dice, 3);
                        other.say(&mut dice, 3);
                    }
                    other.check();
                    both.check();
                    assert!(still.memory().unwrap() == then, "a fork saw what was written after it");
                }
                2 => {
                    let changes = both.machine.changes().unwrap().expect("they are counted").read().unwrap();
                    kept = changes.apply(&kept);
                    assert!(kept == both.check(), "a checkpoint and what changed are not the memory");
                }
                _ => {
                    let root = both.machine.root().unwrap();
                    let memory = both.check();
                    let mut pages = Pages::default();
                    for (index, page) in &memory.pages {
                        pages.set(*index, page);
                    }
                    assert_eq!(root, pages.root(memory.size_bytes));
                    // A machine goes on from there as well as the one that made it.
                    both.machine = program.machine(start(LIMITS, Some(memory))).unwrap();
                    kept = both.check();
                    both.machine.track();
                }
            }
        }
    }
}
