//! What an instance offers: its exports, found once.

use wasmtime::{AsContext, AsContextMut, Func, Global, Instance, Memory, Table, TypedFunc, Val, ValType};

use crate::format::{Format, Width};
use crate::prepare::{GAS, OPERATORS};

/// The exports that a host needs. All but the memory and `handle` may be missing.
#[derive(Clone)]
pub(crate) struct Exports {
    pub memory: Memory,
    pub handle: Callee,
    pub table: Option<Table>,
    pub stack: Option<Stack>,
    pub set_threw: Option<Callee>,
    pub malloc: Option<Callee>,
    pub free: Option<Callee>,
    pub errno: Option<Callee>,
    pub dyn_call: Option<Callee>,
    pub asyncify: Option<Asyncify>,
    pub gas: Option<Global>,
    pub operators: Option<Global>,
}

/// The guest's own stack, in its memory.
#[derive(Clone)]
pub(crate) struct Stack {
    pub save: Callee,
    pub restore: Callee,
    pub alloc: Callee,
    /// Where it ends, if the module says.
    pub end: Option<Callee>,
}

/// The four functions of a module whose stack can be put aside.
#[derive(Clone)]
pub(crate) struct Asyncify {
    pub start_unwind: Callee,
    pub stop_unwind: Callee,
    pub start_rewind: Callee,
    pub stop_rewind: Callee,
}

impl Exports {
    /// Finds them. `None` without a memory or without `handle`.
    pub fn of(
        instance: &Instance,
        mut store: impl AsContextMut,
        format: &Format,
        width: Width,
    ) -> Option<Exports> {
        let mut find = |name: &str| {
            let func = instance.get_func(&mut store, format.exported(name))?;
            Callee::of(func, &mut store)
        };
        let handle = find("handle")?;
        let stack = |find: &mut dyn FnMut(&str) -> Option<Callee>| {
            let one =
                |find: &mut dyn FnMut(&str) -> Option<Callee>, old, new| find(old).or_else(|| find(new));
            Some(Stack {
                save: one(find, "stackSave", "emscripten_stack_get_current")?,
                restore: one(find, "stackRestore", "_emscripten_stack_restore")?,
                alloc: one(find, "stackAlloc", "_emscripten_stack_alloc")?,
                end: find("emscripten_stack_get_end"),
            })
        };
        let stack = stack(&mut find);
        let asyncify = |find: &mut dyn FnMut(&str) -> Option<Callee>| {
            Some(Asyncify {
                start_unwind: find("asyncify_start_unwind")?,
                stop_unwind: find("asyncify_stop_unwind")?,
                start_rewind: find("asyncify_start_rewind")?,
                stop_rewind: find("asyncify_stop_rewind")?,
            })
        };
        let asyncify = asyncify(&mut find);
        let dyn_call = find(match width {
            Width::W32 => "dynCall_vii",
            Width::W64 => "dynCall_vjj",
        });
        let (set_threw, malloc, free) = (find("setThrew"), find("malloc"), find("free"));
        let errno = find("__errno_location");
        Some(Exports {
            memory: instance.get_memory(&mut store, format.exported("memory"))?,
            table: instance.get_table(&mut store, format.exported("__indirect_function_table")),
            gas: instance.get_global(&mut store, GAS),
            operators: instance.get_global(&mut store, OPERATORS),
            handle,
            stack,
            set_threw,
            malloc,
            free,
            errno,
            dyn_call,
            asyncify,
        })
    }
}

/// A guest function of numbers, called with numbers.
#[derive(Clone)]
pub(crate) struct Callee {
    func: Func,
    params: Vec<ValType>,
    n_results: usize,
    /// The quick way, for those that are called often.
    typed: Option<Typed>,
}

/// Functions whose types are known when this program is compiled.
#[derive(Clone)]
enum Typed {
    Get32(TypedFunc<(), i32>),
    Get64(TypedFunc<(), i64>),
    Set32(TypedFunc<i32, ()>),
    Set64(TypedFunc<i64, ()>),
    Two32(TypedFunc<(i32, i32), ()>),
    Three32(TypedFunc<(i32, i32, i32), ()>),
    Three64(TypedFunc<(i32, i64, i64), ()>),
}

impl Typed {
    fn of(func: &Func, store: &impl AsContext) -> Option<Typed> {
        let get32 = || func.typed(store).ok().map(Typed::Get32);
        let get64 = || func.typed(store).ok().map(Typed::Get64);
        let set32 = || func.typed(store).ok().map(Typed::Set32);
        let set64 = || func.typed(store).ok().map(Typed::Set64);
        let two32 = || func.typed(store).ok().map(Typed::Two32);
        let three32 = || func.typed(store).ok().map(Typed::Three32);
        let three64 = || func.typed(store).ok().map(Typed::Three64);
        get32().or_else(get64).or_else(set32).or_else(set64).or_else(two32).or_else(three32).or_else(three64)
    }

    fn call(&self, store: impl AsContextMut, [one, two, three]: [u64; 3]) -> wasmtime::Result<u64> {
        match self {
            Typed::Get32(func) => return func.call(store, ()).map(|value| u64::from(value as u32)),
            Typed::Get64(func) => return func.call(store, ()).map(|value| value as u64),
            Typed::Set32(func) => func.call(store, one as i32),
            Typed::Set64(func) => func.call(store, one as i64),
            Typed::Two32(func) => func.call(store, (one as i32, two as i32)),
            Typed::Three32(func) => func.call(store, (one as i32, two as i32, three as i32)),
            Typed::Three64(func) => func.call(store, (one as i32, two as i64, three as i64)),
        }?;
        Ok(0)
    }
}

impl Callee {
    /// `None` if it has anything but integers.
    pub fn of(func: Func, store: impl AsContextMut) -> Option<Callee> {
        let ty = func.ty(&store);
        let whole = |ty: &ValType| matches!(ty, ValType::I32 | ValType::I64);
        let params: Vec<ValType> = ty.params().collect();
        let fits = params.iter().all(whole) && ty.results().len() <= 1 && ty.results().all(|ty| whole(&ty));
        let typed = Typed::of(&func, &store);
        fits.then(|| Callee { func, params, n_results: ty.results().len(), typed })
    }

    /// Calls it. Missing arguments are 0, and so is a missing result.
    pub fn call(&self, mut store: impl AsContextMut, arguments: &[u64]) -> wasmtime::Result<u64> {
        let argument = |index: usize| arguments.get(index).copied().unwrap_or(0);
        if let Some(typed) = &self.typed {
            return typed.call(store, [argument(0), argument(1), argument(2)]);
        }
        let mut values = [const { Val::I32(0) }; 8];
        let n = self.params.len();
        if n > values.len() {
            return Err(wasmtime::Error::msg("a function with too many arguments"));
        }
        for (index, (value, ty)) in values.iter_mut().zip(&self.params).enumerate() {
            *value = match ty {
                ValType::I64 => Val::I64(argument(index) as i64),
                _ => Val::I32(argument(index) as i32),
            };
        }
        let mut results = [Val::I32(0)];
        self.func.call(&mut store, &values[..n], &mut results[..self.n_results])?;
        Ok(match results[0] {
            Val::I64(value) => value as u64,
            Val::I32(value) => u64::from(value as u32),
            _ => 0,
        })
    }
}
