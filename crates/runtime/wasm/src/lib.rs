//! The runtime of WebAssembly modules: everything that aos was ever built as.
//!
//! Runs the Emscripten formats of `protocol/04-cu.md` section 4.11 with the inputs, byte for byte, that the
//! reference gives them, and without its copies of the memory. Nothing a module does reaches this computer:
//! see [`host`].
//!
//! In reading order: a [`format`] says how an era of modules is called; [`prepare`] rewrites a module: [`metering`]
//! prices it, or each [`body`] loses what is [`known`] of a module that is kept [`awake`], small functions are put where
//! they are called ([`inline`]), addresses are made [`narrow`], and [`counting`] counts what
//! its operators cost, with [`rewrite`] for what they share;
//! a [`program`] is it compiled, which a [`cache`] remembers; an [`instance`] calls it; a [`machine`] is a process,
//! whose memory is an [`image`] mapped into a [`region`], and which runs on a [`stack`] of its own; a [`profile`] looks at it
//! meanwhile, if somebody asks.
//!
//! # Deviations
//!
//! - Every message starts with the same globals, clock and files. In the reference they depend on how long
//!   the unit has kept its instance.
//! - A module that counts no gas itself is never put to sleep: the reference answers WeaveDrive later, and lets the
//!   module put its stack aside in memory that it then frees. Here that memory is allocated and freed as well, so
//!   that addresses are the same, but what the reference leaves in it is not there.
//! - A checkpoint is restored to its own size. The reference may round it up, so that a process's memory
//!   would depend on its unit's restarts.
//! - Not-a-number is always the positive, quiet one. In the reference its sign is that of the unit's processor:
//!   `print(0/0)` says `-nan` on x86 and `nan` on ARM; here it says `nan`.
//! - An input that does not fit the module's stack is an error. In the reference it overwrites the module's
//!   data.

mod answer;
mod awake;
mod body;
mod cache;
mod calls;
mod counting;
mod exports;
mod format;
mod host;
mod image;
mod inline;
mod instance;
mod known;
mod machine;
mod metering;
mod narrow;
mod prepare;
mod profile;
mod program;
mod region;
mod rewrite;
mod stack;
mod written;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use protocol::Module;
use runtime::{Refusal, Stacks, Start};
use wasmtime::{Config, Engine, OptLevel};

use crate::cache::{Cache, Compiled};
use crate::format::Format;
use crate::program::Program;

pub use answer::{Ended, Evaluation};
pub use machine::Machine;

/// Options of the runtime. None changes an outcome.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Folder for compiled modules, so that a restart does not compile again. None: compile every time.
    pub cache: Option<PathBuf>,
    /// Modules above this are refused, bytes: compiling takes a second per few megabytes.
    pub module_bytes_max: u64,
    /// Functions of more operators than this are refused: preparing one takes a hundred bytes for each. The largest
    /// known has 0.3 million.
    pub function_operators_max: u64,
    /// Modules of more operators than this are refused. The largest known has two million.
    pub operators_max: u64,
    /// See [`MachineOptions`].
    pub machine: MachineOptions,
}

/// Options of each machine: how often its memory is committed. A failing message costs the evaluation of the
/// messages since the last commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MachineOptions {
    /// Commit after this many messages: the longest repetition after a failure, unless much is kept in the process.
    pub messages_per_commit: usize,
    /// A commit writes every page that is kept in the process. Where that is more than so many for each message, there
    /// are more messages to a commit, up to four times as many.
    pub pages_per_message: usize,
    /// Commit when the messages since the last one are this many bytes together.
    pub bytes_per_commit: usize,
    /// Commit when the messages since the last one used this much gas together: about a second.
    pub gas_per_commit: u64,
    /// Pages of the last commit are kept in the process up to this many bytes, because they will be written
    /// again soon; beyond, they are given back.
    pub overlay_bytes_max: u64,
    /// From so many bytes on, what stays is compared with what was committed before it is written again. Of a few pages
    /// most are other ones each time.
    pub compared_bytes_min: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            cache: None,
            module_bytes_max: 64 << 20,
            function_operators_max: 500_000,
            operators_max: 8_000_000,
            machine: MachineOptions::default(),
        }
    }
}

impl Default for MachineOptions {
    fn default() -> MachineOptions {
        MachineOptions {
            messages_per_commit: 256,
            pages_per_message: 32,
            bytes_per_commit: 4 << 20,
            gas_per_commit: 100_000_000_000,
            overlay_bytes_max: 128 << 20,
            compared_bytes_min: 2 << 20,
        }
    }
}

/// Runs WebAssembly modules.
pub struct WasmRuntime {
    engine: Engine,
    options: Options,
    /// See [`WasmRuntime::with_sleep`].
    sleeps: bool,
    /// See [`WasmRuntime::with_stacks`].
    stacks: Option<Arc<dyn Stacks>>,
}

impl WasmRuntime {
    /// A runtime with these options.
    pub fn new(options: Options) -> Result<WasmRuntime, Refusal> {
        let engine = engine(&config())?;
        image::allow_many();
        Ok(WasmRuntime { engine, options, sleeps: false, stacks: None })
    }

    /// Machines of the modules that `stacks` can read have a profile of each evaluation, which takes several times as
    /// long. It changes no outcome, and no memory.
    pub fn with_stacks(mut self, stacks: Arc<dyn Stacks>) -> Result<WasmRuntime, Refusal> {
        self.engine = engine(config().epoch_interruption(true))?;
        self.stacks = Some(stacks);
        Ok(self)
    }

    /// Modules that can put their stack aside do so whenever the reference would make them. It takes a third more
    /// time, changes no outcome, and leaves in their memory, byte for byte, what the reference leaves. For comparing;
    /// the state root of a node's process is of memories without.
    #[must_use]
    pub fn with_sleep(mut self) -> WasmRuntime {
        self.sleeps = true;
        self
    }

    /// Compiles a module, or finds it compiled: what [`runtime::Runtime::load`] does, with the type that knows
    /// JSON.
    pub fn program(&self, module: &Module) -> Result<WasmProgram, Refusal> {
        let name = module.tags.first(protocol::tag::MODULE_FORMAT).unwrap_or_default();
        let Some(format) = Format::named(name) else {
            return Err(Refusal::Format { format: name.chars().take(100).collect() });
        };
        let compiled = self.compiled(module, format)?;
        let watching = self.stacks.as_ref().map(|stacks| stacks.reads(module).then(|| stacks.clone()));
        let mut program = Program::link(module, format, compiled, self.options.machine)?;
        program.watching = watching;
        Ok(WasmProgram(Arc::new(program)))
    }

    fn compiled(&self, module: &Module, format: Format) -> Result<Compiled, Refusal> {
        let unfit = |why: String| Refusal::Module { module: module.id, why };
        if module.data.len() as u64 > self.options.module_bytes_max {
            return Err(unfit(format!("it has more than {} bytes", self.options.module_bytes_max)));
        }
        let engine = &self.engine;
        let cache = self.options.cache.as_deref().map(|folder| Cache::new(folder, self.sleeps));
        if let Some(compiled) = cache.as_ref().and_then(|cache| cache.get(engine, format, &module.data)) {
            return Ok(compiled);
        }
        let prepared = prepare::prepare(&module.data, format, self.sleeps, &self.options)
            .map_err(|error| unfit(error.to_string()))?;
        let code =
            wasmtime::Module::new(engine, &prepared.bytes).map_err(|error| unfit(format!("{error:#}")))?;
        let compiled = Compiled { module: code, data: prepared.data, shape: prepared.shape };
        if let Some(cache) = cache {
            cache.put(engine, format, &module.data, &compiled);
        }
        Ok(compiled)
    }
}

impl runtime::Runtime for WasmRuntime {
    fn runs(&self, format: &str) -> bool {
        Format::named(format).is_some()
    }

    fn load(&self, module: &Module) -> Result<Arc<dyn runtime::Program>, Refusal> {
        Ok(Arc::new(self.program(module)?))
    }
}

/// A compiled module. Cheap to clone.
#[derive(Clone)]
pub struct WasmProgram(Arc<Program>);

impl WasmProgram {
    /// A machine of this program: fresh, or with the memory of a checkpoint.
    pub fn machine(&self, start: Start) -> Result<Machine, Refusal> {
        Machine::start(self.0.clone(), start)
    }
}

impl runtime::Program for WasmProgram {
    fn start(&self, start: Start) -> Result<Box<dyn runtime::Machine>, Refusal> {
        Ok(Box::new(self.machine(start)?))
    }
}

fn engine(config: &Config) -> Result<Engine, Refusal> {
    Engine::new(config).map_err(|error| system(format!("a WebAssembly engine: {error:#}")))
}

/// The engine: everything that could differ between two computers is off.
fn config() -> Config {
    let mut config = Config::new();
    config
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .wasm_memory64(true)
        .wasm_multi_memory(false)
        .wasm_relaxed_simd(false)
        .wasm_branch_hinting(true)
        .table_lazy_init(false)
        .wasm_backtrace_max_frames(None::<NonZeroUsize>)
        .memory_init_cow(false)
        .memory_may_move(false)
        .memory_reservation(region::RESERVATION)
        .max_wasm_stack(stack::GUEST_BYTES)
        .async_stack_size(stack::GUEST_BYTES)
        .with_host_memory(Arc::new(region::Creator));
    without_speculation_guards(&mut config);
    config
}

/// Bounds are checked all the same, but not against what the processor does ahead of the check: that is for guests
/// who can measure time, and ours cannot. A tenth of the time of 64-bit modules.
#[expect(unsafe_code, reason = "the engine calls every choice of a Cranelift setting unsafe")]
fn without_speculation_guards(config: &mut Config) {
    for setting in ["enable_heap_access_spectre_mitigation", "enable_table_access_spectre_mitigation"] {
        // SAFETY: the settings exist, and both of their values give code that checks its bounds.
        unsafe { config.cranelift_flag_set(setting, "false") };
    }
}

fn system(what: String) -> Refusal {
    Refusal::System { what }
}
