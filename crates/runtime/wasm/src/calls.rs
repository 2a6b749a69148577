//! Who calls whom: which functions must look at the count themselves so that nothing runs for ever, and whose count
//! their callers need not have written down.
//!
//! What runs for ever goes round: in a loop, which looks at its head, or through calls. A function *looks* when it
//! starts if calls can come back to it, if it calls somebody who is not known (a table's function, the host), or if
//! what it does until somebody looks is more than [`UNSEEN_MAX`]. A function is *quiet* if it need not look and ends in
//! one of two ways, by returning or by a trap: nobody can leave it by throwing.

use wasmparser::{BinaryReaderError, FunctionBody, Operator};

/// Operators that a function may do, with all it calls, without anybody looking at the count.
const UNSEEN_MAX: u64 = 1 << 16;
/// What a loop that calls nobody may do before it looks.
pub(crate) const TURNS_MAX: i64 = 4096;

/// The calls of a module.
#[derive(Default)]
pub(crate) struct Calls {
    n_imported: u32,
    functions: Vec<Function>,
    order: Vec<u32>,
}

#[derive(Default)]
struct Function {
    /// The functions of its own module that it calls, as often as it does.
    callees: Vec<u32>,
    /// It calls the host, or whatever stands in a table.
    calls_anybody: bool,
    /// Operators until somebody looks: its own, and later those of whom it calls.
    unseen: u64,
    looks: bool,
    quiet: bool,
}

impl Calls {
    /// No calls yet, of a module with so many imported functions.
    pub fn new(n_imported: u32) -> Calls {
        Calls { n_imported, ..Calls::default() }
    }

    /// Takes the body of the next function.
    pub fn add(&mut self, body: &FunctionBody<'_>) -> Result<(), BinaryReaderError> {
        let mut function = Function::default();
        for operator in body.get_operators_reader()? {
            function.unseen += 1;
            match operator? {
                Operator::Call { function_index } => match function_index.checked_sub(self.n_imported) {
                    Some(callee) => function.callees.push(callee),
                    None => function.calls_anybody = true,
                },
                Operator::CallIndirect { .. } => function.calls_anybody = true,
                Operator::Loop { .. } => function.unseen += TURNS_MAX as u64,
                _ => {}
            }
        }
        self.functions.push(function);
        Ok(())
    }

    /// Decides, when all functions are there.
    pub fn decide(&mut self) {
        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Seen {
            Not,
            Open,
            Done,
        }
        let mut seen = vec![Seen::Not; self.functions.len()];
        // Depth first, without recursion: a function, and how many of its calls were followed.
        let mut path: Vec<(usize, usize)> = Vec::new();
        for start in 0..self.functions.len() {
            if seen[start] == Seen::Not {
                seen[start] = Seen::Open;
                path.push((start, 0));
            }
            while let Some((at, followed)) = path.last_mut() {
                let at = *at;
                let callee = self.functions[at].callees.get(*followed).map(|callee| *callee as usize);
                *followed += 1;
                match callee {
                    Some(callee) => match seen.get(callee) {
                        Some(Seen::Not) => {
                            seen[callee] = Seen::Open;
                            path.push((callee, 0));
                        }
                        // Calls come back to it.
                        Some(Seen::Open) => self.functions[callee].looks = true,
                        Some(Seen::Done) | None => {}
                    },
                    None => {
                        path.pop();
                        seen[at] = Seen::Done;
                        self.conclude(at);
                        self.order.push(at as u32);
                    }
                }
            }
        }
    }

    /// Decides about a function whose callees are decided, but for those to which calls come back.
    fn conclude(&mut self, at: usize) {
        let function = &self.functions[at];
        let mut unseen = function.unseen;
        let mut quiet = !function.calls_anybody;
        for callee in &function.callees {
            let callee = self.functions.get(*callee as usize);
            quiet &= callee.is_some_and(|callee| callee.quiet);
            unseen = unseen
                .saturating_add(callee.map_or(0, |callee| if callee.looks { 0 } else { callee.unseen }));
        }
        let function = &mut self.functions[at];
        function.unseen = unseen;
        function.looks |= function.calls_anybody || unseen > UNSEEN_MAX;
        function.quiet = quiet && !function.looks;
    }

    /// The numbers of its own functions: whom a function calls comes before it, unless calls come back to it.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Whether its own function of that number has to look at the count when it starts.
    pub fn looks(&self, function: u32) -> bool {
        self.functions.get(function as usize).is_none_or(|function| function.looks)
    }

    /// Whether nobody looks at the count, or throws, while this function runs; imported ones are counted first.
    pub fn is_quiet(&self, function: u32) -> bool {
        let own = function.checked_sub(self.n_imported).and_then(|own| self.functions.get(own as usize));
        own.is_some_and(|function| function.quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(text: &str) -> Calls {
        let bytes = wat::parse_str(text).expect("the text of a module");
        let mut calls = Calls::new(1);
        for payload in wasmparser::Parser::new(0).parse_all(&bytes) {
            if let Ok(wasmparser::Payload::CodeSectionEntry(body)) = payload {
                calls.add(&body).expect("a body");
            }
        }
        calls.decide();
        calls
    }

    /// `looks`, then `quiet`, of each function.
    #[track_caller]
    fn check(functions: &str, expected: &[(bool, bool)]) {
        let calls =
            calls(&format!("(module (import \"env\" \"host\" (func)) (table 1 funcref) {functions})"));
        let n = calls.functions.len() as u32;
        let found: Vec<_> = (0..n).map(|at| (calls.looks(at), calls.is_quiet(at + 1))).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn who_calls_only_the_quiet_is_quiet() {
        check("(func call 2 call 3) (func call 3) (func)", &[(false, true); 3]);
        check("(func call 2) (func call 0)", &[(false, false), (true, false)]);
        check("(func call 2) (func i32.const 0 call_indirect)", &[(false, false), (true, false)]);
    }

    #[test]
    fn every_way_round_is_looked_at() {
        check("(func call 1)", &[(true, false)]);
        check("(func call 2) (func call 3) (func call 1)", &[(true, false), (false, false), (false, false)]);
        check("(func call 2) (func call 3) (func call 2)", &[(false, false), (true, false), (false, false)]);
    }

    #[test]
    fn a_tree_of_calls_is_looked_at_before_it_is_large() {
        let mut functions = String::new();
        for next in 2..40 {
            functions += &format!("(func call {next} call {next})");
        }
        functions += "(func)";
        let calls = calls(&format!("(module (import \"env\" \"host\" (func)) {functions})"));
        let looking: Vec<u32> = (0..39).filter(|at| calls.looks(*at)).collect();
        assert!((2..10).contains(&looking.len()), "{looking:?}");
    }
}
