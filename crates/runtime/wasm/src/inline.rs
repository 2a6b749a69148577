//! Small functions stand where they are called.
//!
//! A call costs the processor more than most functions of Lua do, and its count has to be written down before it. What is
//! inlined costs what it cost: the call and the entry are counted where it begins.
//!
//! Only functions that need not look at the count are inlined, so every way round still has somebody who looks
//! (`calls.rs`), and no function is inlined in itself.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use wasm_encoder::{BlockType, Encode as _, Instruction, ValType};
use wasmparser::{Operator, ValType as Read};

use crate::body::{Body, Piece};

/// A function with more operators than this stays where it is. What was inlined in it counts.
const SMALL: usize = 250;
/// Nor is one that is longer as it comes, bytes.
pub(crate) const BYTES_MAX: usize = 65536;
/// A body may become longer by so many operators, or by its own length up to the other bound.
const GROWTH: RangeInclusive<usize> = 400..=100_000;
/// Parameters and locals of a function that is inlined, at most.
const LOCALS_MAX: usize = 32;

/// What a function takes and gives, if numbers are all of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signature {
    /// Types of the parameters.
    pub params: Vec<ValType>,
    /// Types of the results.
    pub results: Vec<ValType>,
}

impl Signature {
    /// That of a type. `None`: something else than numbers is in it.
    pub fn of(ty: &wasmparser::FuncType) -> Option<Signature> {
        let all = |types: &[Read]| types.iter().map(|ty| number(*ty)).collect::<Option<Vec<_>>>();
        Some(Signature { params: all(ty.params())?, results: all(ty.results())? })
    }
}

/// A type of numbers.
pub(crate) fn number(ty: Read) -> Option<ValType> {
    Some(match ty {
        Read::I32 => ValType::I32,
        Read::I64 => ValType::I64,
        Read::F32 => ValType::F32,
        Read::F64 => ValType::F64,
        Read::V128 | Read::Ref(_) => return None,
    })
}

/// A function that stands where it is called.
struct Small<'a> {
    /// Types of its parameters, then of its locals.
    locals: Vec<ValType>,
    n_params: usize,
    result: Option<ValType>,
    pieces: Vec<Piece<'a>>,
}

/// The small functions of a module, by their index.
pub(crate) struct Inliner<'a> {
    small: BTreeMap<u32, Small<'a>>,
    /// Operators by which all bodies together may still become longer.
    room: Cell<usize>,
}

impl<'a> Inliner<'a> {
    /// Nothing is inlined yet, in a module of so many operators. It may become twice as long, or longer if it is short.
    pub fn new(n_operators: u64) -> Inliner<'a> {
        const SHORT: u64 = 10_000;
        let n_operators = n_operators.max(SHORT);
        Inliner {
            small: BTreeMap::new(),
            room: Cell::new(usize::try_from(n_operators).unwrap_or(usize::MAX)),
        }
    }

    /// Takes a function of that index, if it is small. Those that it calls come first.
    pub fn add(&mut self, index: u32, signature: &Signature, mut body: Body<'a>) {
        if length(&body.pieces) > SMALL || signature.results.len() > 1 {
            return;
        }
        self.inline(&mut body);
        squeeze(&mut body.pieces);
        let Some(locals) = body.locals() else { return };
        // A float that is not set is rare.
        let is_simple = locals.iter().all(|ty| matches!(ty, ValType::I32 | ValType::I64));
        let n_locals = signature.params.len() + locals.len();
        if !is_simple || n_locals > LOCALS_MAX || body.pieces.len() > SMALL {
            return;
        }
        let locals = signature.params.iter().copied().chain(locals).collect();
        let small = Small {
            locals,
            n_params: signature.params.len(),
            result: signature.results.first().copied(),
            pieces: body.pieces,
        };
        self.small.insert(index, small);
    }

    /// Puts small functions where `body` calls them.
    pub fn inline(&self, body: &mut Body<'a>) {
        let calls = |piece: &Piece<'a>| match &piece.operator {
            Operator::Call { function_index } => self.small.get(function_index),
            _ => None,
        };
        if !body.pieces.iter().any(|piece| calls(piece).is_some()) {
            return;
        }
        let pieces = std::mem::take(&mut body.pieces);
        let most = length(&pieces).clamp(*GROWTH.start(), *GROWTH.end());
        let room = most.min(self.room.get());
        let mut left = room;
        let mut locals = Locals::default();
        for piece in pieces {
            match calls(&piece).filter(|small| small.pieces.len() <= left) {
                Some(small) => {
                    left -= small.pieces.len();
                    let places = locals.take(body, &small.locals);
                    small.write(piece.cost, &places, &mut body.pieces);
                }
                None => body.pieces.push(piece),
            }
        }
        self.room.set(self.room.get() - (room - left));
    }
}

/// How many operators are left.
fn length(pieces: &[Piece<'_>]) -> usize {
    pieces.iter().filter(|piece| !piece.code.is_empty()).count()
}

/// Takes out pieces of which nothing is left; the next one costs more for it.
fn squeeze(pieces: &mut Vec<Piece<'_>>) {
    let mut cost = 0;
    pieces.retain_mut(|piece| {
        if piece.code.is_empty() {
            cost += piece.cost;
            return false;
        }
        piece.cost += std::mem::take(&mut cost);
        true
    });
}

impl<'a> Small<'a> {
    /// Its pieces, after a call of that cost, with its locals in these places.
    fn write(&self, cost: i64, places: &[u32], out: &mut Vec<Piece<'a>>) {
        // Entering a function costs one.
        let mut entry = cost + 1;
        let mut write = |operator, instruction: &[Instruction<'_>]| {
            let mut piece = Piece::free(operator, instruction);
            piece.cost = std::mem::take(&mut entry);
            out.push(piece);
        };
        let (params, locals) = places.split_at(self.n_params.min(places.len()));
        for at in params.iter().rev() {
            write(Operator::LocalSet { local_index: *at }, &[Instruction::LocalSet(*at)]);
        }
        for (at, ty) in locals.iter().zip(&self.locals[self.n_params..]) {
            match ty {
                ValType::I64 => write(Operator::I64Const { value: 0 }, &[Instruction::I64Const(0)]),
                _ => write(Operator::I32Const { value: 0 }, &[Instruction::I32Const(0)]),
            }
            write(Operator::LocalSet { local_index: *at }, &[Instruction::LocalSet(*at)]);
        }
        let (read, ty) = match self.result {
            None => (wasmparser::BlockType::Empty, BlockType::Empty),
            Some(ty) => (wasmparser::BlockType::Type(read(ty)), BlockType::Result(ty)),
        };
        write(Operator::Block { blockty: read }, &[Instruction::Block(ty)]);
        let mut depth = 0u32;
        for piece in &self.pieces {
            let mut piece = piece.clone();
            match &mut piece.operator {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => depth += 1,
                Operator::End => depth = depth.saturating_sub(1),
                Operator::LocalGet { local_index } => {
                    *local_index = places[*local_index as usize];
                    piece.code = code(&Instruction::LocalGet(*local_index));
                }
                Operator::LocalSet { local_index } => {
                    *local_index = places[*local_index as usize];
                    piece.code = code(&Instruction::LocalSet(*local_index));
                }
                Operator::LocalTee { local_index } => {
                    *local_index = places[*local_index as usize];
                    piece.code = code(&Instruction::LocalTee(*local_index));
                }
                Operator::Return => {
                    piece.operator = Operator::Br { relative_depth: depth };
                    piece.code = code(&Instruction::Br(depth));
                }
                _ => {}
            }
            out.push(piece);
        }
    }
}

fn code(instruction: &Instruction<'_>) -> Cow<'static, [u8]> {
    let mut code = Vec::new();
    instruction.encode(&mut code);
    code.into()
}

fn read(ty: ValType) -> Read {
    match ty {
        ValType::I64 => Read::I64,
        ValType::F32 => Read::F32,
        ValType::F64 => Read::F64,
        _ => Read::I32,
    }
}

/// Locals of a body for what is inlined in it, one after the other.
#[derive(Default)]
struct Locals(Vec<(ValType, Vec<u32>)>);

impl Locals {
    /// As many of each type as are needed, each once.
    fn take(&mut self, body: &mut Body<'_>, types: &[ValType]) -> Vec<u32> {
        let mut taken: Vec<(ValType, usize)> = Vec::new();
        let mut places = Vec::with_capacity(types.len());
        for ty in types {
            let nth = match taken.iter_mut().find(|(found, _)| found == ty) {
                Some((_, n)) => {
                    *n += 1;
                    *n - 1
                }
                None => {
                    taken.push((*ty, 1));
                    0
                }
            };
            let of_type = match self.0.iter().position(|(found, _)| found == ty) {
                Some(at) => &mut self.0[at].1,
                None => {
                    self.0.push((*ty, Vec::new()));
                    let last = self.0.len() - 1;
                    &mut self.0[last].1
                }
            };
            while of_type.len() <= nth {
                of_type.push(body.add_local(*ty));
            }
            places.push(of_type[nth]);
        }
        places
    }
}
