//! One running instance of a module, and the call of `handle`.

use std::sync::Arc;

use wasmtime::{AsContextMut, Global, Store, StoreContextMut, Trap, UpdateDeadline, Val};

use runtime::{Drive, GAS_PER_OPERATOR, Limits, Profile, Refusal};

use crate::exports::{Callee, Exports};
use crate::format::Main;
use crate::host::{Host, Moment, Sleep, Stop, c_string};
use crate::prepare::START;
use crate::profile::{End, Watch};
use crate::program::Program;
use crate::region::View;

/// Operators that a module may spend before its first message.
const OPERATORS_AT_START: u64 = 2_000_000_000;

/// An instance. Its memory is whatever was mapped into it; everything else is the same before every message.
pub(crate) struct Instance {
    store: Store<Host>,
    instance: wasmtime::Instance,
    exports: Arc<Exports>,
    globals: Vec<Global>,
    limits: Limits,
}

/// Bytes of an answer. What says more is no outcome that could be stored.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Bytes of the guest's stack that its input leaves free.
const STACK_SPARE: u64 = 1024;

/// What the reference calls the program, where one needs a name.
const PROGRAM_NAME: &str = "./this.program";

/// What every message starts with, besides the memory.
#[derive(Debug, Clone)]
pub(crate) struct Beginning {
    globals: Vec<Val>,
    /// Where the guest's stack ends, in its memory; 0 if it does not say.
    stack_end: u64,
}

/// What a call of `handle` came to.
pub(crate) struct Evaluated {
    /// The text of the answer, or why there is none.
    pub answer: Result<Vec<u8>, String>,
    /// Gas, as far as the module's format counts it.
    pub gas: u64,
    /// Where it went, if somebody looked.
    pub profile: Option<Profile>,
}

impl Instance {
    /// An instance with an empty memory of the module's initial size.
    pub fn new(
        program: &Program,
        limits: Limits,
        drive: Option<Arc<dyn Drive>>,
    ) -> wasmtime::Result<Instance> {
        let format = program.format;
        let host = Host {
            format,
            pointers: program.shape.pointers(),
            memory_max: limits.memory_bytes,
            gas_max: limits.compute,
            exports: None,
            is_awake: program.shape.is_awake,
            drive,
            moment: Moment::new(),
            watch: program.watching.clone().flatten().map(|stacks| Box::new(Watch::new(stacks))),
        };
        let mut store = Store::new(program.pre.module().engine(), host);
        store.limiter(|host| host);
        if program.watching.is_some() {
            let every_time = if store.data().watch.is_some() { 0 } else { u64::MAX >> 1 };
            store.set_epoch_deadline(every_time);
            store.epoch_deadline_callback(move |mut store| {
                look(&mut store, limits);
                Ok(UpdateDeadline::Continue(every_time))
            });
        }
        let instance = program.pre.instantiate(&mut store)?;
        let exports = Exports::of(&instance, &mut store, &format, program.shape.pointers());
        let exports =
            Arc::new(exports.ok_or_else(|| wasmtime::Error::msg("it does not export memory and handle"))?);
        store.data_mut().exports = Some(exports.clone());
        let globals = program.shape.globals.iter().filter_map(|name| instance.get_global(&mut store, name));
        let globals = globals.collect();
        Ok(Instance { store, instance, exports, globals, limits })
    }

    /// Does what an instance does before its first message: data, constructors, `main`.
    pub fn begin(&mut self, data: &[(u64, Vec<u8>)]) -> wasmtime::Result<Beginning> {
        for (at, bytes) in data {
            let memory = self.exports.memory.data_mut(&mut self.store);
            crate::host::slice(memory, *at, bytes.len() as u64)?.copy_from_slice(bytes);
        }
        self.refill(OPERATORS_AT_START, OPERATORS_AT_START * GAS_PER_OPERATOR)?;
        let format = self.store.data().format;
        self.call(START)?;
        self.call("emscripten_stack_init")?;
        let stack_end = self.mark_stack_end()?;
        self.call(format.exported("__wasm_call_ctors"))?;
        match format.main {
            Main::Never => {}
            Main::Bare => self.run_main(&[])?,
            Main::Named => {
                // The vector of arguments, and what it points to, stay on the stack.
                let exports = self.exports.clone();
                let Some(stack) = &exports.stack else { return self.ready(stack_end) };
                let vector = stack.alloc.call(&mut self.store, &[8])?;
                let name = stack.alloc.call(&mut self.store, &[PROGRAM_NAME.len() as u64 + 1])?;
                self.put(&exports, name, PROGRAM_NAME)?;
                let memory = exports.memory.data_mut(&mut self.store);
                let words = [(name as u32).to_le_bytes(), [0; 4]].concat();
                crate::host::slice(memory, vector, 8)?.copy_from_slice(&words);
                self.run_main(&[1, vector])?;
            }
        }
        self.ready(stack_end)
    }

    fn ready(&mut self, stack_end: u64) -> wasmtime::Result<Beginning> {
        let globals = self.globals.iter().map(|global| global.get(&mut self.store)).collect();
        Ok(Beginning { globals, stack_end })
    }

    /// Calls `main`, if there is one. It may end by calling `exit`.
    fn run_main(&mut self, arguments: &[u64]) -> wasmtime::Result<()> {
        let name = self.store.data().format.exported("main");
        let Some(main) = self.callee(name) else { return Ok(()) };
        match main.call(&mut self.store, arguments) {
            Err(error) if !matches!(error.downcast_ref(), Some(Stop::Exit(_))) => Err(error),
            _ => self.call("fflush"),
        }
    }

    /// Calls an export with zeros, if there is one of that name.
    fn call(&mut self, name: &str) -> wasmtime::Result<()> {
        self.callee(name).map_or(Ok(()), |callee| callee.call(&mut self.store, &[]).map(drop))
    }

    fn callee(&mut self, name: &str) -> Option<Callee> {
        let func = self.instance.get_func(&mut self.store, name)?;
        Callee::of(func, &mut self.store)
    }

    /// The two words at the end of the stack, and the one at address 0, by which the readable formats of the
    /// reference notice that something ran over them. Nobody here looks, but they are part of the memory.
    /// Answers where the stack ends.
    fn mark_stack_end(&mut self) -> wasmtime::Result<u64> {
        let end = self.exports.stack.as_ref().and_then(|stack| stack.end.clone());
        let Some(end) = end.filter(|_| !self.store.data().format.minified) else { return Ok(0) };
        let end = end.call(&mut self.store, &[])?;
        let mark = if end == 0 { 4 } else { end };
        let memory = self.exports.memory.data_mut(&mut self.store);
        for (at, word) in [(mark, 0x0213_5467_u32), (mark + 4, 0x89BA_CDFE), (0, 0x6373_6D65)] {
            crate::host::slice(memory, at, 4)?.copy_from_slice(&word.to_le_bytes());
        }
        Ok(end)
    }

    /// The memory, for those who map it.
    pub fn view(&self) -> View {
        View::of(&self.exports.memory, &self.store)
    }

    /// Size of the memory, bytes.
    pub fn size(&self) -> u64 {
        self.exports.memory.data_size(&self.store) as u64
    }

    /// Grows the memory to at least `size` bytes.
    pub fn grow_to(&mut self, size: u64) -> wasmtime::Result<()> {
        let missing = size.saturating_sub(self.size());
        if missing > 0 {
            self.exports.memory.grow(&mut self.store, missing.div_ceil(65536))?;
        }
        Ok(())
    }

    /// Evaluates a message. A refusal says that the operator declined in the middle of it.
    pub fn evaluate(
        &mut self,
        from: &Beginning,
        message: &str,
        environment: &str,
    ) -> Result<Evaluated, Refusal> {
        let compute = self.limits.compute;
        let ready = self.prepare(&from.globals, operators_max(&self.exports, compute), compute);
        if self.store.data().drive.is_some() {
            self.store.data_mut().moment.drives.message = message.into();
        }
        let done = ready.and_then(|()| self.handle(from, message, environment));
        let (gas, is_out) = spent(&mut self.store, &self.exports, self.limits);
        let gas = if is_out { compute } else { gas };
        let how = if is_out || done.is_err() { End::Stopped } else { End::Returned };
        let profile = self.store.data_mut().watch.as_mut().map(|watch| watch.end(how, gas));
        if let Some(refusal) = self.store.data_mut().moment.drives.refusal.take() {
            return Err(refusal);
        }
        if is_out {
            let why = format!("out of gas: the evaluation used its Compute-Limit of {compute}");
            return Ok(Evaluated { answer: Err(why), gas, profile });
        }
        let answer = done.map_err(|error| match error.downcast_ref::<Trap>() {
            Some(Trap::StackOverflow) => "stack overflow: the module called itself too deeply".to_owned(),
            Some(trap) => format!("the module trapped: {trap}"),
            None => error.to_string(),
        });
        Ok(Evaluated { answer, gas, profile })
    }

    fn prepare(&mut self, globals: &[Val], operators: u64, gas: u64) -> wasmtime::Result<()> {
        self.store.data_mut().moment = Moment::new();
        if let Some(watch) = &mut self.store.data_mut().watch {
            watch.begin();
        }
        for (global, value) in self.globals.iter().zip(globals) {
            global.set(&mut self.store, *value)?;
        }
        self.refill(operators, gas)
    }

    fn refill(&mut self, operators: u64, gas: u64) -> wasmtime::Result<()> {
        if let Some(global) = self.exports.operators {
            global.set(&mut self.store, Val::I64(0i64.saturating_sub_unsigned(operators)))?;
        }
        if let Some(global) = self.exports.gas {
            self.store.data_mut().gas_max = gas;
            global.set(&mut self.store, Val::I64(0i64.saturating_sub_unsigned(gas)))?;
        }
        Ok(())
    }

    fn handle(&mut self, from: &Beginning, message: &str, environment: &str) -> wasmtime::Result<Vec<u8>> {
        let exports = self.exports.clone();
        let Some(stack) = &exports.stack else { return self.handle_on_heap(&exports, message, environment) };
        let base = stack.save.call(&mut self.store, &[])?;
        let rooms = [message, environment].map(|text| self.room_for(text));
        // What does not fit would overwrite the guest's own data.
        if base.saturating_sub(from.stack_end) < rooms[0] + rooms[1] + STACK_SPARE {
            let why = format!("its stack has no room for {} bytes of input", rooms[0] + rooms[1]);
            return Err(Stop::Abort(why).into());
        }
        let mut arguments = [0; 2];
        for ((at, text), room) in arguments.iter_mut().zip([message, environment]).zip(rooms) {
            *at = stack.alloc.call(&mut self.store, &[room])?;
            self.put(&exports, *at, text)?;
        }
        let mut answer = exports.handle.call(&mut self.store, &arguments)?;
        while let (Some(asyncify), Sleep::FallingAsleep(at)) =
            (&exports.asyncify, self.store.data().moment.sleep)
        {
            asyncify.stop_unwind.call(&mut self.store, &[])?;
            self.store.data_mut().moment.sleep = Sleep::WakingUp(at);
            asyncify.start_rewind.call(&mut self.store, &[at])?;
            answer = exports.handle.call(&mut self.store, &arguments)?;
        }
        let text = self.answer_at(&exports, answer)?;
        stack.restore.call(&mut self.store, &[base])?;
        Ok(text)
    }

    fn answer_at(&self, exports: &Exports, at: u64) -> wasmtime::Result<Vec<u8>> {
        let text = c_string(exports.memory.data(&self.store), at)?;
        if text.len() > ANSWER_BYTES_MAX {
            return Err(Stop::Abort(format!("its answer has more than {ANSWER_BYTES_MAX} bytes")).into());
        }
        Ok(text.to_vec())
    }

    /// Bytes that a string gets on the guest's stack.
    fn room_for(&self, text: &str) -> u64 {
        if self.store.data().format.quadruple_strings {
            text.chars().map(|c| 4 * c.len_utf16() as u64).sum::<u64>() + 1
        } else {
            text.len() as u64 + 1
        }
    }

    /// For modules that do not offer their stack: the strings are allocated, and freed again.
    fn handle_on_heap(
        &mut self,
        exports: &Exports,
        message: &str,
        environment: &str,
    ) -> wasmtime::Result<Vec<u8>> {
        let (Some(malloc), Some(free)) = (&exports.malloc, &exports.free) else {
            return Err(Stop::Missing("a way to pass strings: stackAlloc, or malloc and free".into()).into());
        };
        let mut arguments = [0; 2];
        for (at, text) in arguments.iter_mut().zip([message, environment]) {
            *at = malloc.call(&mut self.store, &[text.len() as u64 + 1])?;
            self.put(exports, *at, text)?;
        }
        let answer = exports.handle.call(&mut self.store, &arguments)?;
        let text = self.answer_at(exports, answer)?;
        for at in arguments {
            free.call(&mut self.store, &[at])?;
        }
        Ok(text)
    }

    fn put(&mut self, exports: &Exports, at: u64, text: &str) -> wasmtime::Result<()> {
        let room = crate::host::slice(exports.memory.data_mut(&mut self.store), at, text.len() as u64 + 1)?;
        room[..text.len()].copy_from_slice(text.as_bytes());
        room[text.len()] = 0;
        Ok(())
    }
}

/// Operators of one evaluation. A module that counts gas itself is stopped by that count; they are a bound behind it.
fn operators_max(exports: &Exports, compute: u64) -> u64 {
    if exports.gas.is_some() { compute } else { compute / GAS_PER_OPERATOR }
}

/// Gas used so far, and whether that is more than there was.
fn spent(mut store: impl AsContextMut, exports: &Exports, limits: Limits) -> (u64, bool) {
    let mut count = |global: Option<Global>, limit| {
        let over = global.and_then(|global| global.get(&mut store).i64()).unwrap_or(i64::MIN);
        (over.saturating_add_unsigned(limit).max(0) as u64, over > 0)
    };
    let (operators, too_many) = count(exports.operators, operators_max(exports, limits.compute));
    let (gas, too_much) = count(exports.gas, limits.compute);
    let gas = if exports.gas.is_some() { gas } else { operators.saturating_mul(GAS_PER_OPERATOR) };
    (gas, too_many || too_much)
}

/// Looks at the guest, which asks whether its time is up.
fn look(store: &mut StoreContextMut<'_, Host>, limits: Limits) {
    let Some(exports) = store.data().exports.clone() else { return };
    let Some(mut watch) = store.data_mut().watch.take() else { return };
    let (gas, _) = spent(&mut *store, &exports, limits);
    watch.look(exports.memory.data(&*store), gas.min(limits.compute));
    store.data_mut().watch = Some(watch);
}
