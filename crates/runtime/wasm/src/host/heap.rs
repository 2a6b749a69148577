//! Memory, gas, and the rest of the host that is about neither time nor files.

use super::{Call, Stop};
use crate::format::Width;

const WASM_PAGE: f64 = 65536.0;
/// Emscripten grows by a fifth, but by no more than this beyond what is needed.
const OVERGROWTH_MAX: f64 = 100_663_296.0;
/// `ENOSYS` as WASI numbers it.
const ENOSYS: i32 = 52;

/// `emscripten_resize_heap`: 1 if the memory has grown. How much is part of the state, so the arithmetic is
/// that of Emscripten, in doubles.
pub(super) fn resize(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let wanted = call.pointer(0);
    let memory = call.memory()?;
    let cap = call.format().heap_max;
    if wanted > cap {
        return Ok(0);
    }
    let (wanted, old) = (wanted as f64, memory.data_size(&*call.caller) as f64);
    for cut_down in [1.0, 2.0, 4.0] {
        let overgrown = (old * (1.0 + 0.2 / cut_down)).min(wanted + OVERGROWTH_MAX);
        let size = wanted.max(overgrown);
        let size = (size + (WASM_PAGE - size % WASM_PAGE) % WASM_PAGE).min(cap as f64);
        let pages = ((size - old + WASM_PAGE - 1.0) / WASM_PAGE) as u64;
        if memory.grow(&mut *call.caller, pages).is_ok() {
            return Ok(1);
        }
    }
    Ok(0)
}

/// `emscripten_get_heap_max`.
pub(super) fn max(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    Ok(call.format().heap_max as i64)
}

/// `memcpy` of much, and the same for ranges that overlap.
pub(super) fn copy(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let (to, from, n) = (call.pointer(0), call.pointer(1), call.pointer(2));
    let memory = call.memory()?;
    let bytes = memory.data_mut(&mut *call.caller);
    super::slice(bytes, to, n)?;
    super::slice(bytes, from, n)?;
    bytes.copy_within(from as usize..(from + n) as usize, to as usize);
    Ok(to as i64)
}

/// `metering.usegas`, where a module calls it other than directly.
pub(super) fn use_gas(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let Some(gas) = call.exports()?.gas else { return Ok(0) };
    let over = gas.get(&mut *call.caller).i64().unwrap_or(0).saturating_add(call.int(0));
    gas.set(&mut *call.caller, over.into())?;
    if over > 0 {
        return Err(wasmtime::Trap::UnreachableCodeReached.into());
    }
    Ok(0)
}

/// `metering_gasUsed`: what this message has used so far.
pub(super) fn gas_used(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let Some(gas) = call.exports()?.gas else { return Ok(0) };
    let over = gas.get(&mut *call.caller).i64().unwrap_or(0);
    Ok(over.saturating_add_unsigned(call.caller.data().gas_max))
}

/// A failed `assert`.
pub(super) fn assert_fail(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let condition = call.string(call.pointer(0))?;
    let shown: String = condition.chars().take(200).collect();
    Err(Stop::Abort(format!("assertion failed: {shown}")).into())
}

/// `system`: there is no shell, and nothing is ever executed.
pub(super) fn system(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    if call.pointer(0) == 0 {
        return Ok(i64::from(call.format().claims_shell));
    }
    // Older glue sets errno itself.
    let Some(errno) = call.exports()?.errno.clone().filter(|_| call.format().quadruple_strings) else {
        return Ok(i64::from(-ENOSYS));
    };
    let at = errno.call(&mut *call.caller, &[])?;
    call.put_i32(at, ENOSYS)?;
    Ok(-1)
}

const VARIABLES: [&str; 7] = [
    "USER=web_user",
    "LOGNAME=web_user",
    "PATH=/",
    "PWD=/",
    "HOME=/home/web_user",
    "LANG=C.UTF-8",
    concat!("_=", "./this.program"),
];

fn variables(call: &Call<'_, '_>) -> &'static [&'static str] {
    if call.format().has_environment { &VARIABLES } else { &[] }
}

/// `environ_sizes_get`.
pub(super) fn environ_sizes(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let variables = variables(call);
    let bytes = variables.iter().map(|variable| variable.len() as u64 + 1).sum();
    call.put_word(call.pointer(0), variables.len() as u64)?;
    call.put_word(call.pointer(1), bytes)?;
    Ok(0)
}

/// `environ_get`.
pub(super) fn environ(call: &mut Call<'_, '_>) -> wasmtime::Result<i64> {
    let (mut slot, mut at) = (call.pointer(0), call.pointer(1));
    let word = match call.width() {
        Width::W32 => 4,
        Width::W64 => 8,
    };
    for variable in variables(call) {
        call.put_word(slot, at)?;
        call.put(at, variable.as_bytes())?;
        call.put(at + variable.len() as u64, &[0])?;
        slot += word;
        at += variable.len() as u64 + 1;
    }
    Ok(0)
}
