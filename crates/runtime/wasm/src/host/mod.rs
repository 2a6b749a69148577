//! What a guest sees of the world: the functions it imports.
//!
//! There is no world but the weave, if the operator gives it ([`runtime::Drive`]). The clock counts calls, files live in memory until the message is done, nobody types,
//! nobody listens, nothing is executed. Names and behaviour: `protocol/04b-wasm-host.md`.

mod asyncify;
mod calls;
mod clock;
mod drive;
mod errno;
mod files;
mod heap;
mod jump;

use std::sync::Arc;

use wasmtime::{Caller, ExternType, Linker, Memory, ResourceLimiter, Val, ValType};

use crate::exports::Exports;
use crate::format::{Format, Width};
use crate::profile::Watch;

pub(crate) use asyncify::Sleep;
use drive::Drives;
use files::Files;

/// Arguments that an imported function may have.
const ARGUMENTS_MAX: usize = 16;

/// What belongs to one instance, on our side. Nothing here outlives a message.
pub(crate) struct Host {
    /// The format of the module.
    pub format: Format,
    /// Width of a pointer in this module.
    pub pointers: Width,
    /// `Memory-Limit`: memory does not grow beyond.
    pub memory_max: u64,
    /// `Compute-Limit`, for modules that count gas themselves.
    pub gas_max: u64,
    /// What the instance offers; `None` while it is being instantiated.
    pub exports: Option<Arc<Exports>>,
    /// The guest could put its stack aside, but must not: see [`crate::awake`].
    pub is_awake: bool,
    /// Reads the weave for it.
    pub drive: Option<Arc<dyn runtime::Drive>>,
    /// State of this message.
    pub moment: Moment,
    /// Looks at what it does, if somebody asks for a profile.
    pub watch: Option<Box<Watch>>,
}

/// The host's state during one message. Every message starts with a new one: whatever lasts is in the memory.
pub(crate) struct Moment {
    clock: u64,
    temp_ret: i64,
    files: Files,
    /// Whether the guest is winding its stack up or down.
    pub sleep: Sleep,
    /// What it has to do with the weave.
    pub drives: Drives,
}

impl Moment {
    /// The state that every message starts with.
    pub fn new() -> Moment {
        let (files, drives) = (Files::default(), Drives::default());
        Moment { clock: clock::FIRST, temp_ret: 0, files, sleep: Sleep::Awake, drives }
    }
}

impl ResourceLimiter for Host {
    fn memory_growing(&mut self, _now: usize, wanted: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(wanted as u64 <= self.memory_max)
    }

    fn table_growing(&mut self, _now: usize, wanted: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(wanted <= TABLE_ELEMENTS_MAX)
    }
}

/// Elements of a guest's tables.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 1 << 20;

/// Why a guest stops, when it does not trap. All but the jump end the evaluation.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Stop {
    /// `longjmp`: caught by the nearest `invoke_*`.
    #[error("longjmp without a place to land")]
    Jump,
    /// `exit`.
    #[error("the module called exit({0})")]
    Exit(i32),
    /// `abort`, or a failed assertion.
    #[error("the module aborted: {0}")]
    Abort(String),
    /// An import that nobody provides.
    #[error("the module called {0}, which this host does not provide")]
    Missing(String),
    /// The operator declines to go on.
    #[error("{0}")]
    Refused(String),
    /// A pointer that points nowhere.
    #[error("the module passed a pointer out of its memory")]
    Pointer,
}

/// One call from the guest.
pub(crate) struct Call<'a, 'b> {
    /// The instance.
    pub caller: &'a mut Caller<'b, Host>,
    arguments: [i64; ARGUMENTS_MAX],
    n_arguments: usize,
}

/// How an import is answered.
type Answer = fn(&mut Call<'_, '_>) -> wasmtime::Result<i64>;

/// Provides everything that `module` imports.
pub(crate) fn link(
    linker: &mut Linker<Host>,
    module: &wasmtime::Module,
    format: &Format,
) -> wasmtime::Result<()> {
    for import in module.imports() {
        let ExternType::Func(ty) = import.ty() else {
            return Err(wasmtime::Error::msg(format!("it imports {}, which is no function", import.name())));
        };
        let (from, name) = (import.module().to_owned(), import.name().to_owned());
        let readable = format.readable(&from, &name).to_owned();
        if ty.params().len() > ARGUMENTS_MAX {
            return Err(wasmtime::Error::msg(format!("{readable} has more than {ARGUMENTS_MAX} arguments")));
        }
        // A module may import the same thing twice.
        linker.allow_shadowing(true);
        if let Some(signature) = readable.strip_prefix("invoke_") {
            jump::link_invoke(linker, &from, &name, signature, ty)?;
            continue;
        }
        let without_files = format.minified.then(|| calls::answer_of_none(&readable)).flatten();
        let answer = without_files.or_else(|| answer(&from, &readable));
        let result = ty.result(0);
        linker.func_new(&from, &name, ty, move |mut caller, arguments, results| {
            let Some(answer) = answer else {
                return Err(Stop::Missing(readable.clone()).into());
            };
            let mut call =
                Call { caller: &mut caller, arguments: [0; ARGUMENTS_MAX], n_arguments: arguments.len() };
            for (to, from) in call.arguments.iter_mut().zip(arguments) {
                *to = to_i64(from);
            }
            let value = answer(&mut call)?;
            if let (Some(slot), Some(ty)) = (results.first_mut(), &result) {
                *slot = from_i64(value, ty);
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Who answers to that name. Names of all formats; what differs between them shows in the arguments.
fn answer(module: &str, name: &str) -> Option<Answer> {
    if module == "metering" {
        return (name == "usegas").then_some(heap::use_gas as Answer);
    }
    Some(match name {
        "emscripten_date_now" | "_emscripten_date_now" => clock::date_now,
        "emscripten_get_now" => clock::get_now,
        "_emscripten_get_now_is_monotonic" => |_| Ok(1),
        "_tzset_js" => clock::set_zone,
        "_mktime_js" => clock::make_time,
        "_gmtime_js" => clock::split_utc,
        "_localtime_js" => clock::split_local,
        "strftime" | "strftime_l" => clock::format_time,
        "emscripten_resize_heap" => heap::resize,
        "emscripten_get_heap_max" => heap::max,
        "emscripten_memcpy_big" | "_emscripten_memcpy_js" => heap::copy,
        "metering_gasUsed" => heap::gas_used,
        "abort" | "_abort_js" => |_| Err(Stop::Abort("no reason given".into()).into()),
        "exit" => |call| Err(Stop::Exit(call.i32(0)).into()),
        "__assert_fail" => heap::assert_fail,
        "__cxa_throw" => |_| Err(Stop::Abort("an exception that it does not catch".into()).into()),
        "emscripten_err" => |_| Ok(0),
        "system" | "_emscripten_system" => heap::system,
        "getTempRet0" => |call| Ok(call.moment().temp_ret),
        "setTempRet0" => |call| {
            call.moment().temp_ret = call.int(0);
            Ok(0)
        },
        "_emscripten_throw_longjmp" => |_| Err(Stop::Jump.into()),
        "environ_get" => heap::environ,
        "environ_sizes_get" => heap::environ_sizes,
        _ => return drive::answer(name).or_else(|| calls::answer(name)),
    })
}

impl Call<'_, '_> {
    /// An argument.
    pub fn int(&self, index: usize) -> i64 {
        self.arguments[index]
    }

    /// An argument, cut to 32 bits.
    pub fn i32(&self, index: usize) -> i32 {
        self.arguments[index] as i32
    }

    /// An argument that is a pointer or a size.
    pub fn pointer(&self, index: usize) -> u64 {
        match self.width() {
            Width::W32 => u64::from(self.arguments[index] as u32),
            Width::W64 => self.arguments[index] as u64,
        }
    }

    /// How many arguments there are.
    pub fn n_arguments(&self) -> usize {
        self.n_arguments
    }

    /// Width of a pointer.
    pub fn width(&self) -> Width {
        self.caller.data().pointers
    }

    /// The format of the module.
    pub fn format(&self) -> &Format {
        &self.caller.data().format
    }

    /// What the instance offers.
    pub fn exports(&self) -> wasmtime::Result<&Arc<Exports>> {
        self.caller.data().exports.as_ref().ok_or_else(|| Stop::Abort("it is not ready".into()).into())
    }

    /// The state of this message.
    pub fn moment(&mut self) -> &mut Moment {
        &mut self.caller.data_mut().moment
    }

    /// The linear memory.
    pub fn memory(&self) -> wasmtime::Result<Memory> {
        Ok(self.exports()?.memory)
    }

    /// `n` bytes at `at`.
    pub fn bytes(&mut self, at: u64, n: u64) -> wasmtime::Result<&mut [u8]> {
        let memory = self.memory()?;
        slice(memory.data_mut(&mut *self.caller), at, n)
    }

    /// The linear memory, and the state of this message beside it.
    pub fn memory_and_moment(&mut self) -> wasmtime::Result<(&mut [u8], &mut Moment)> {
        let memory = self.memory()?;
        let (bytes, host) = memory.data_and_store_mut(&mut *self.caller);
        Ok((bytes, &mut host.moment))
    }

    /// Puts bytes at `at`.
    pub fn put(&mut self, at: u64, bytes: &[u8]) -> wasmtime::Result<()> {
        self.bytes(at, bytes.len() as u64)?.copy_from_slice(bytes);
        Ok(())
    }

    /// Puts an `int` at `at`.
    pub fn put_i32(&mut self, at: u64, value: i32) -> wasmtime::Result<()> {
        self.put(at, &value.to_le_bytes())
    }

    /// Puts a `long`, a pointer or a size at `at`.
    pub fn put_word(&mut self, at: u64, value: u64) -> wasmtime::Result<()> {
        match self.width() {
            Width::W32 => self.put(at, &(value as u32).to_le_bytes()),
            Width::W64 => self.put(at, &value.to_le_bytes()),
        }
    }

    /// The `int` at `at`.
    pub fn get_i32(&mut self, at: u64) -> wasmtime::Result<i32> {
        let bytes = self.bytes(at, 4)?;
        Ok(i32::from_le_bytes((&*bytes).try_into().expect("four bytes")))
    }

    /// The `long`, pointer or size at `at`.
    pub fn get_word(&mut self, at: u64) -> wasmtime::Result<u64> {
        Ok(match self.width() {
            Width::W32 => u64::from(self.get_i32(at)? as u32),
            Width::W64 => u64::from_le_bytes((&*self.bytes(at, 8)?).try_into().expect("eight bytes")),
        })
    }

    /// The NUL-terminated string at `at`.
    pub fn string(&mut self, at: u64) -> wasmtime::Result<String> {
        let memory = self.memory()?;
        let text = c_string(memory.data(&*self.caller), at)?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

/// `n` bytes at `at` of a memory.
pub(crate) fn slice(memory: &mut [u8], at: u64, n: u64) -> wasmtime::Result<&mut [u8]> {
    let end = at.checked_add(n).ok_or(Stop::Pointer)?;
    memory.get_mut(at as usize..end as usize).ok_or_else(|| Stop::Pointer.into())
}

/// The NUL-terminated bytes at `at` of a memory.
pub(crate) fn c_string(memory: &[u8], at: u64) -> wasmtime::Result<&[u8]> {
    let rest = memory.get(at as usize..).ok_or(Stop::Pointer)?;
    let text = std::ffi::CStr::from_bytes_until_nul(rest).map_err(|_| Stop::Pointer)?;
    Ok(text.to_bytes())
}

fn to_i64(value: &Val) -> i64 {
    match value {
        Val::I32(value) => i64::from(*value),
        Val::I64(value) => *value,
        Val::F64(bits) => f64::from_bits(*bits) as i64,
        _ => 0,
    }
}

fn from_i64(value: i64, ty: &ValType) -> Val {
    match ty {
        ValType::I64 => Val::I64(value),
        ValType::F64 => Val::from(value as f64),
        ValType::F32 => Val::from(value as f32),
        _ => Val::I32(value as i32),
    }
}
