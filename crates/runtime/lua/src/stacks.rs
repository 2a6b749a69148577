//! Which Lua functions run, read from the memory of a process: for profiles.
//!
//! The layouts are those of Lua 5.3.6 (`lstate.h`, `lobject.h`) where pointers have 32 bits and numbers 64. Nothing here
//! trusts the memory: what points nowhere is not followed, and what goes round ends.

use std::sync::Arc;

use protocol::Module;
use runtime::{Function, Running};

/// Where the variable `state` of `c/machine.c` is. `tests/stacks.rs` finds it, and says so if it moves.
pub const STATE: u64 = 16_970_732;

/// Reads the stack of [`MODULE`](crate::MODULE).
#[derive(Debug, Clone, Copy)]
pub struct Stacks;

/// Calls in one another that are read; a stack that is deeper cannot be right.
const CALLS_MAX: usize = 1_000_000;

/// Coroutines that wait for one another: Lua has at most 200 calls of C.
const COROUTINES_MAX: usize = 250;

/// Bytes of a name.
const NAME_MAX: u64 = 4096;

/// What a chunk's own text is called is cut after that.
const TEXT_MAX: usize = 80;

/// Bytes of a value with its type.
const VALUE: u64 = 16;

/// Set in [`Running`] for functions of C, which are numbers and no addresses.
const BUILTIN: u128 = 1 << 127;

// Types of values, as Lua numbers them in memory. Bit 6 says that it is collected.
const TABLE: u8 = 5 | 64;
const THREAD: u8 = 8 | 64;
const LUA_FUNCTION: u8 = 6 | 64;
const C_FUNCTION: u8 = 22;
const C_CLOSURE: u8 = 38 | 64;

impl runtime::Stacks for Stacks {
    fn reads(&self, module: &Module) -> bool {
        module.data == crate::MODULE
    }

    fn read(&self, memory: &[u8], stack: &mut Vec<Running>) -> bool {
        let memory = Memory(memory);
        // Before the first message has made one, there is none, and nothing of Lua's runs.
        let Some(main) = memory.main() else { return true };
        walk(memory, main, stack).is_some()
    }

    fn name(&self, memory: &[u8], function: Running) -> Function {
        let memory = Memory(memory);
        if function.0 & BUILTIN != 0 {
            return Function::Builtin(memory.builtin(u64::from(function.0 as u32)).map(Into::into));
        }
        let (prototype, source) = (u64::from(function.0 as u32), u64::from((function.0 >> 32) as u32));
        let text = memory.text(source).unwrap_or_else(|| "=?".into());
        let source: Arc<str> = match text.starts_with(['@', '=']) {
            true => text.into(),
            false => text.chars().take(TEXT_MAX).collect::<String>().into(),
        };
        Function::Script { source, line: memory.word(prototype + 36).unwrap_or(0) as u32 }
    }
}

/// Puts the functions of a state, and of the coroutines that it waits for, into `stack`.
fn walk(memory: Memory<'_>, main: u64, stack: &mut Vec<Running>) -> Option<()> {
    let mut threads = vec![main];
    let mut next = Some(main);
    while let Some(thread) = next {
        let first = stack.len();
        let (base, size) = (memory.word(thread + 32)?, memory.word(thread + 96)?);
        let mut call = memory.word(thread + 20)?;
        let top = call;
        while call != 0 {
            let function = memory.word(call)?;
            // While the stack is moved, calls point to where it was.
            if !(base..base + size * VALUE).contains(&function) || stack.len() > CALLS_MAX {
                return None;
            }
            stack.extend(memory.function(function)?);
            call = memory.word(call + 8)?;
        }
        stack[first..].reverse();
        next = memory.resumed(top).filter(|it| !threads.contains(it) && threads.len() < COROUTINES_MAX);
        threads.extend(next);
    }
    // The call that the machine itself makes is not worth a name.
    if !stack.is_empty() {
        stack.remove(0);
    }
    Some(())
}

/// The memory of a process.
#[derive(Clone, Copy)]
struct Memory<'a>(&'a [u8]);

impl Memory<'_> {
    // Addresses have 32 bits, and are added to in 64.
    fn byte(self, at: u64) -> Option<u8> {
        self.0.get(at as usize).copied()
    }

    fn word(self, at: u64) -> Option<u64> {
        let bytes = self.0.get(at as usize..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes).into())
    }

    /// The main coroutine.
    fn main(self) -> Option<u64> {
        let main = self.word(STATE).filter(|main| *main != 0)?;
        self.is_main(main).then_some(main)
    }

    /// Whether a main coroutine is there: its own state says so.
    fn is_main(self, at: u64) -> bool {
        let global = || Some(self.word(at + 16)? + 124);
        self.byte(at + 4) == Some(THREAD & 15) && global().and_then(|at_main| self.word(at_main)) == Some(at)
    }

    /// The function in that place of a stack. Nothing where a coroutine begins, as nothing is called there.
    fn function(self, at: u64) -> Option<Option<Running>> {
        let value = self.word(at)?;
        Some(match self.byte(at + 8)? {
            LUA_FUNCTION => {
                let prototype = self.word(value + 12)?;
                let source = self.word(prototype + 72)?;
                Some(Running(u128::from(source) << 32 | u128::from(prototype)))
            }
            C_FUNCTION => Some(Running(BUILTIN | u128::from(value))),
            C_CLOSURE => Some(Running(BUILTIN | u128::from(self.word(value + 12)?))),
            _ => None,
        })
    }

    /// The coroutine that a call waits for: `coroutine.resume` has it as its first argument, what `coroutine.wrap` made
    /// has it with it. It runs if it has no error, does not yield, and is in a call.
    fn resumed(self, call: u64) -> Option<u64> {
        let function = self.word(call)?;
        let place = match self.byte(function + 8)? {
            C_FUNCTION => function + VALUE,
            C_CLOSURE => self.word(function)? + 16,
            _ => return None,
        };
        let thread = self.word(place).filter(|_| self.byte(place + 8) == Some(THREAD))?;
        let is_called = self.word(thread + 20)? != thread + 52;
        (self.byte(thread + 8)? == 0 && is_called).then_some(thread)
    }

    /// What a string says.
    fn text(self, at: u64) -> Option<String> {
        let length = match self.byte(at + 4)? & 63 {
            4 => u64::from(self.byte(at + 7)?),
            20 => self.word(at + 12)?,
            _ => return None,
        };
        let start = at as usize + 16;
        let bytes = self.0.get(start..start + length.min(NAME_MAX) as usize)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// What the libraries call a function of C: `string.format`, `pairs`.
    fn builtin(self, function: u64) -> Option<String> {
        let global = self.word(self.main()? + 16)?;
        let registry = self.word(global + 40)?;
        let loaded = self.pairs(registry).find(|(name, _)| name == "_LOADED")?.1;
        let mut best: Option<String> = None;
        for (library, place) in self.pairs(self.word(loaded)?) {
            if self.byte(place + 8) != Some(TABLE) {
                continue;
            }
            for (name, place) in self.pairs(self.word(place)?) {
                if self.byte(place + 8) == Some(C_FUNCTION) && self.word(place) == Some(function) {
                    let name = if library == "_G" { name } else { format!("{library}.{name}") };
                    // Where it has several, the order of a table does not decide.
                    if best.as_ref().is_none_or(|best| (name.len(), &name) < (best.len(), best)) {
                        best = Some(name);
                    }
                }
            }
        }
        best
    }

    /// The keys of a table that are strings, and where their values are.
    fn pairs(self, table: u64) -> impl Iterator<Item = (String, u64)> {
        let size = self.byte(table + 7).filter(|size| *size < 24);
        let nodes = self.word(table + 16).unwrap_or(0);
        let count = size.map_or(0, |size| 1_u64 << size);
        (0..count).filter_map(move |at| {
            let node = nodes + at * 32;
            let key = self.word(node + 16)?;
            let is_text = matches!(self.byte(node + 24)? & 63, 4 | 20);
            Some((self.text(key).filter(|_| is_text)?, node))
        })
    }
}
