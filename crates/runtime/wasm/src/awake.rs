//! Modules that could put their stack aside, kept awake.
//!
//! Such a module asks a global, before and after nearly every call, whether it is falling asleep or waking up
//! (Binaryen's Asyncify: 0 awake, 1 falling asleep, 2 waking up). Only four exported functions set it, and only
//! a host that cannot answer at once calls them. Ours can: so the global is 0 for ever, and what follows from that
//! is known before anything is compiled: [`crate::known`] leaves it out. A third of the time of aos.
//!
//! Counts of operators stay what they are: they are of the operators that the module says are executed.

use wasmparser::{
    BinaryReaderError, ElementItems, ExternalKind, FunctionBody, Operator, Parser, Payload, TypeRef,
};

/// The functions that set the state, and what they set it to.
const SETTERS: [(&str, i32); 4] = [
    ("asyncify_start_unwind", 1),
    ("asyncify_stop_unwind", 0),
    ("asyncify_start_rewind", 2),
    ("asyncify_stop_rewind", 0),
];

/// The global that holds the state, if it is certain that nothing but a host can change it.
pub(crate) fn state_of(module: &[u8]) -> Result<Option<u32>, BinaryReaderError> {
    let mut n_imported = (0u32, 0u32);
    let mut setters = [None; SETTERS.len()];
    let mut zeros = Vec::new();
    let mut exported = Vec::new();
    let mut named = Vec::new();
    let mut bodies = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(reader) => {
                for import in reader.into_imports() {
                    match import?.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => n_imported.0 += 1,
                        TypeRef::Global(_) => n_imported.1 += 1,
                        _ => {}
                    }
                }
            }
            Payload::GlobalSection(reader) => {
                for global in reader {
                    let mut start = global?.init_expr.get_operators_reader();
                    zeros.push(matches!(start.read()?, Operator::I32Const { value: 0 }));
                }
            }
            Payload::ExportSection(reader) => {
                for export in reader {
                    let export = export?;
                    match export.kind {
                        ExternalKind::Global => exported.push(export.index),
                        ExternalKind::Func => {
                            if let Some(at) = SETTERS.iter().position(|(name, _)| *name == export.name) {
                                setters[at] = Some(export.index);
                            }
                        }
                        _ => {}
                    }
                }
            }
            Payload::StartSection { func, .. } => named.push(func),
            Payload::ElementSection(reader) => {
                for element in reader {
                    if let ElementItems::Functions(functions) = element?.items {
                        for function in functions {
                            named.push(function?);
                        }
                    } else {
                        // Expressions: not made by the tools that make such modules.
                        return Ok(None);
                    }
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body),
            _ => {}
        }
    }

    let mut state = None;
    for ((_, value), setter) in SETTERS.iter().zip(setters) {
        let Some(body) = setter.and_then(|index| bodies.get(index.checked_sub(n_imported.0)? as usize))
        else {
            return Ok(None);
        };
        let set = sets(body, *value)?;
        if set.is_none() || state.is_some_and(|state| Some(state) != set) {
            return Ok(None);
        }
        state = set;
    }
    let Some(state) = state else { return Ok(None) };
    let starts_awake = state.checked_sub(n_imported.1).and_then(|index| zeros.get(index as usize)).copied();
    if starts_awake != Some(true) || exported.contains(&state) {
        return Ok(None);
    }
    let is_setter = |function: u32| setters.contains(&Some(function));
    if named.into_iter().any(is_setter) {
        return Ok(None);
    }
    for (index, body) in (n_imported.0..).zip(&bodies) {
        for operator in body.get_operators_reader()? {
            let may_change = match operator? {
                Operator::GlobalSet { global_index } => global_index == state && !is_setter(index),
                Operator::Call { function_index } | Operator::RefFunc { function_index } => {
                    is_setter(function_index)
                }
                _ => false,
            };
            if may_change {
                return Ok(None);
            }
        }
    }
    Ok(Some(state))
}

/// The global that a setter sets first, if it sets it to `value`.
fn sets(body: &FunctionBody<'_>, value: i32) -> Result<Option<u32>, BinaryReaderError> {
    let mut operators = body.get_operators_reader()?;
    Ok(match (operators.read()?, operators.read()) {
        (Operator::I32Const { value: first }, Ok(Operator::GlobalSet { global_index })) if first == value => {
            Some(global_index)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module as Binaryen makes it, with `more` in it.
    fn module(more: &str) -> Vec<u8> {
        let text = format!(
            r#"(module
                (import "env" "host" (func $host))
                (global $other (mut i32) (i32.const 0))
                (global $state (mut i32) (i32.const 0))
                (func $start_unwind (export "asyncify_start_unwind") (param i32)
                    (global.set $state (i32.const 1)) (global.set $other (local.get 0)))
                (func (export "asyncify_stop_unwind") (global.set $state (i32.const 0)))
                (func (export "asyncify_start_rewind") (param i32)
                    (global.set $state (i32.const 2)) (global.set $other (local.get 0)))
                (func (export "asyncify_stop_rewind") (global.set $state (i32.const 0)))
                {more})"#
        );
        wat::parse_str(text).expect("the text of a module")
    }

    #[track_caller]
    fn check(module: &[u8], expected: Option<u32>) {
        assert_eq!(state_of(module).expect("a module"), expected);
    }

    #[test]
    fn the_state_is_found_where_only_a_host_can_change_it() {
        check(&module(""), Some(1));
        check(&module("(func (drop (global.get $state)) (global.set $other (i32.const 1)))"), Some(1));
    }

    #[test]
    fn a_module_that_could_change_its_state_is_left_alone() {
        check(&module("(func (global.set $state (i32.const 1)))"), None);
        check(&module("(func (call $start_unwind (i32.const 0)))"), None);
        check(&module("(func (drop (ref.func $start_unwind))) (elem declare func $start_unwind)"), None);
        check(&module("(table 1 funcref) (elem (i32.const 0) $start_unwind)"), None);
        check(&module(r#"(export "state" (global $state))"#), None);
    }

    #[test]
    fn a_module_without_sleep_has_no_state() {
        check(&wat::parse_str("(module (global (mut i32) (i32.const 0)) (func))").expect("a module"), None);
        check(&wat::parse_str("(module)").expect("a module"), None);
    }
}
