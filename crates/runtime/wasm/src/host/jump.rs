//! `setjmp` and `longjmp`: every call that may be jumped out of goes through the host, which catches the jump.
//!
//! Lua does this for each `pcall`. A trap and spent gas are no jumps and pass through.

use std::sync::Arc;

use wasmtime::{Caller, Func, FuncType, Linker, Ref, Val, ValType};

use super::{Host, Stop};
use crate::exports::{Callee, Exports};

/// Provides `invoke_<signature>`: calls the function whose table index is the first argument with the others.
pub(super) fn link_invoke(
    linker: &mut Linker<Host>,
    module: &str,
    name: &str,
    signature: &str,
    ty: FuncType,
) -> wasmtime::Result<()> {
    let is_common = matches!(signature, "vii" | "vjj");
    let all32 = ty.params().len() == 3 && ty.params().all(|ty| ty.is_i32()) && ty.results().len() == 0;
    if is_common && all32 {
        // The same as below, by the quick way: programs in Lua do it all the time.
        let call = move |mut caller: Caller<'_, Host>, call: i32, one: i32, two: i32| {
            let exports = ready(&caller)?;
            let arguments = [call, one, two].map(|number| u64::from(number as u32));
            catch(&mut caller, &exports, |caller| match &exports.dyn_call {
                Some(dyn_call) => dyn_call.call(caller, &arguments).map(drop),
                None => {
                    let arguments = [call, one, two].map(Val::I32);
                    invoke(caller, &exports, "vii", &arguments, &mut [])
                }
            })?;
            Ok(())
        };
        linker.func_wrap(module, name, call)?;
        return Ok(());
    }
    let signature = signature.to_owned();
    let result = ty.result(0);
    linker.func_new(module, name, ty, move |mut caller, arguments, results| {
        let exports = ready(&caller)?;
        let is_done = catch(&mut caller, &exports, |caller| match &exports.dyn_call {
            Some(dyn_call) if is_common => invoke_common(caller, dyn_call, arguments),
            _ => invoke(caller, &exports, &signature, arguments, results),
        })?;
        if let (false, Some(slot), Some(ty)) = (is_done, results.first_mut(), &result) {
            *slot = Val::default_for_ty(ty).unwrap_or(Val::I32(0));
        }
        Ok(())
    })?;
    Ok(())
}

fn ready(caller: &Caller<'_, Host>) -> wasmtime::Result<Arc<Exports>> {
    caller.data().exports.clone().ok_or_else(|| Stop::Abort("it is not ready".into()).into())
}

/// Calls; false if the call was jumped out of, and then the guest's stack is where it was.
fn catch(
    caller: &mut Caller<'_, Host>,
    exports: &Exports,
    call: impl FnOnce(&mut Caller<'_, Host>) -> wasmtime::Result<()>,
) -> wasmtime::Result<bool> {
    let save = exports.stack.as_ref().map(|stack| &stack.save);
    let stack_pointer = save.map(|save| save.call(&mut *caller, &[])).transpose()?;
    let Err(error) = call(caller) else { return Ok(true) };
    if !matches!(error.downcast_ref(), Some(Stop::Jump)) {
        return Err(error);
    }
    if let (Some(stack), Some(pointer)) = (&exports.stack, stack_pointer) {
        stack.restore.call(&mut *caller, &[pointer])?;
    }
    if let Some(set_threw) = &exports.set_threw {
        set_threw.call(&mut *caller, &[1, 0])?;
    }
    Ok(false)
}

/// The call of Lua's `pcall`, through the function that the module exports for it.
fn invoke_common(
    caller: &mut Caller<'_, Host>,
    dyn_call: &Callee,
    arguments: &[Val],
) -> wasmtime::Result<()> {
    let mut numbers = [0; 3];
    for (number, argument) in numbers.iter_mut().zip(arguments) {
        *number = super::to_i64(argument) as u64;
    }
    dyn_call.call(caller, &numbers)?;
    Ok(())
}

/// Any other: through the module's `dynCall_*`, or the table.
fn invoke(
    caller: &mut Caller<'_, Host>,
    exports: &Exports,
    signature: &str,
    arguments: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let dyn_call = caller.get_export(&format!("dynCall_{signature}")).and_then(|export| export.into_func());
    if let Some(func) = dyn_call {
        let arguments = fit(&func, caller, arguments);
        return func.call(caller, &arguments, results);
    }
    let index = super::to_i64(arguments.first().ok_or(Stop::Pointer)?) as u64;
    let element = exports.table.and_then(|table| table.get(&mut *caller, index));
    let Some(Ref::Func(Some(func))) = element else {
        return Err(wasmtime::Trap::IndirectCallToNull.into());
    };
    let arguments = fit(&func, caller, &arguments[1..]);
    let ty = func.ty(&*caller);
    if ty.params().len() != arguments.len() || ty.results().len() != results.len() {
        return Err(wasmtime::Trap::BadSignature.into());
    }
    func.call(caller, &arguments, results)
}

/// A table index is 32 bits wide even where pointers are not.
fn fit(func: &Func, caller: &Caller<'_, Host>, arguments: &[Val]) -> Vec<Val> {
    let ty = func.ty(caller);
    let fit = |(argument, ty): (&Val, ValType)| match (argument, ty) {
        (Val::I64(value), ValType::I32) => Val::I32(*value as i32),
        (argument, _) => *argument,
    };
    arguments.iter().zip(ty.params()).map(fit).collect()
}
