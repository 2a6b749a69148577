//! A function body on its way from a module to the compiler: its operators, what each costs, and what stands in
//! their place by now.

use std::borrow::Cow;

use wasm_encoder::{Encode as _, Instruction, ValType};
use wasmparser::{BinaryReader, BinaryReaderError, FunctionBody, Operator};

use crate::inline::number;

/// A function body.
pub(crate) struct Body<'a> {
    /// The declarations of its locals, as they were.
    groups: &'a [u8],
    n_groups: u32,
    n_locals: u32,
    /// Locals of our own, behind its own.
    added: Vec<ValType>,
    /// Its operators, in order.
    pub pieces: Vec<Piece<'a>>,
}

/// An operator, or what stands in its place.
#[derive(Debug, Clone)]
pub(crate) struct Piece<'a> {
    /// What it does. `Nop` if nothing is left of it.
    pub operator: Operator<'a>,
    /// Its code.
    pub code: Cow<'a, [u8]>,
    /// Where in the code stands an `if` that hardly ever holds.
    pub unlikely: Option<u32>,
    /// How many operators it counts for.
    pub cost: i64,
}

impl<'a> Body<'a> {
    /// Reads the body of a function of so many parameters.
    pub fn read(body: &FunctionBody<'a>, n_params: u32) -> Result<Body<'a>, BinaryReaderError> {
        let mut locals = body.get_locals_reader()?;
        let (n_groups, start) = (locals.get_count(), locals.original_position());
        let mut n_locals = n_params;
        for _ in 0..n_groups {
            let (n, _) = locals.read()?;
            // A valid body has at most 50,000.
            n_locals = n_locals.saturating_add(n);
        }
        let (bytes, first) = (body.as_bytes(), body.range().start);
        let groups = &bytes[start - first..locals.original_position() - first];
        let mut pieces = Vec::new();
        let mut operators = body.get_operators_reader()?.into_iter_with_offsets().peekable();
        while let Some(operator) = operators.next() {
            let (operator, start) = operator?;
            let end = match operators.peek() {
                Some(Ok((_, offset))) => *offset - first,
                Some(Err(_)) => continue,
                None => bytes.len(),
            };
            let cost = cost(&operator);
            let code = Cow::Borrowed(&bytes[start - first..end]);
            pieces.push(Piece { operator, code, unlikely: None, cost });
        }
        Ok(Body { groups, n_groups, n_locals, added: Vec::new(), pieces })
    }

    /// Adds a local. Answers its index.
    pub fn add_local(&mut self, ty: ValType) -> u32 {
        let index = self.n_locals.saturating_add(self.added.len() as u32);
        self.added.push(ty);
        index
    }

    /// Types of its locals behind the parameters. `None`: not all are numbers, or they are many.
    pub fn locals(&self) -> Option<Vec<ValType>> {
        const MAX: usize = 1000;
        let mut reader = BinaryReader::new(self.groups, 0);
        let mut locals = Vec::new();
        for _ in 0..self.n_groups {
            let n = reader.read_var_u32().ok()? as usize;
            let ty = number(reader.read().ok()?)?;
            if locals.len() + n > MAX {
                return None;
            }
            locals.resize(locals.len() + n, ty);
        }
        locals.extend_from_slice(&self.added);
        Some(locals)
    }

    /// Writes the declarations of the locals.
    pub fn write_locals(&self, out: &mut Vec<u8>) {
        self.n_groups.saturating_add(self.added.len() as u32).encode(out);
        out.extend_from_slice(self.groups);
        for ty in &self.added {
            1u32.encode(out);
            ty.encode(out);
        }
    }
}

impl Piece<'_> {
    /// An operator of our own, which costs nothing.
    pub fn free(operator: Operator<'static>, instructions: &[Instruction<'_>]) -> Piece<'static> {
        let mut piece = Piece { operator: Operator::Nop, code: Cow::Borrowed(&[]), unlikely: None, cost: 0 };
        piece.put(operator, instructions);
        piece
    }

    /// Nothing is left of it but what it costs.
    pub fn clear(&mut self) {
        (self.operator, self.unlikely) = (Operator::Nop, None);
        self.code = Cow::Borrowed(&[]);
    }

    /// These instructions stand in its place; to whoever reads on, it is `operator`.
    pub fn put(&mut self, operator: Operator<'static>, instructions: &[Instruction<'_>]) {
        let mut code = Vec::new();
        for instruction in instructions {
            instruction.encode(&mut code);
        }
        (self.operator, self.code) = (operator, Cow::Owned(code));
    }
}

/// What an operator costs, but for the length of what bulk operators do: nothing if it only shapes the code.
fn cost(operator: &Operator<'_>) -> i64 {
    match operator {
        Operator::Nop
        | Operator::Drop
        | Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::Unreachable
        | Operator::Return
        | Operator::Else
        | Operator::End => 0,
        _ => 1,
    }
}
