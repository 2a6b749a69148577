//! What is known of a body when one of its globals is 0 for ever.
//!
//! Follows constants through the few operators in which Asyncify asks its questions, resolves the branches that
//! depend on them, and takes out what is never executed. What is left costs what it did: a piece of which nothing
//! is left still counts, and what was never executed never counted.

use wasmparser::{BlockType, Operator};

use crate::body::{Body, Piece};

/// Takes out of `body` what cannot happen while the global `zero` is 0.
pub(crate) fn fold(body: &mut Body<'_>, zero: u32) {
    let pieces = std::mem::take(&mut body.pieces);
    let mut folder =
        Folder { zero, done: Vec::with_capacity(pieces.len()), stack: Vec::new(), frames: Vec::new() };
    let mut rest = pieces.into_iter();
    let mut next = rest.next();
    while let Some(piece) = next {
        next = rest.next();
        let decides = matches!(next, Some(Piece { operator: Operator::If { .. }, .. }));
        if folder.take(piece, decides) == Then::Skip {
            let mut depth = 0u32;
            let ended = loop {
                let Some(piece) = next.take() else { break None };
                next = rest.next();
                match &piece.operator {
                    Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => depth += 1,
                    Operator::Else | Operator::End if depth == 0 => break Some(piece),
                    Operator::End => depth -= 1,
                    _ => {}
                }
            };
            if let Some(piece) = ended {
                folder.resume(piece);
            }
        }
    }
    body.pieces = folder.done;
}

/// Whether what comes next is executed.
#[derive(PartialEq, Eq)]
enum Then {
    Goes,
    /// Up to the `else` or `end` of this block.
    Skip,
}

/// What is known of an operand.
#[derive(Clone, Copy)]
enum Operand {
    Unknown,
    /// A constant. `at` is the piece that gives it, or would: if it is not `given`, nobody has needed it yet.
    Known {
        value: i32,
        at: usize,
        given: bool,
    },
}

/// A block that encloses what is being read.
enum Frame {
    Any,
    /// An `if` of which the first part is executed, as a block.
    First,
    /// An `if` of which the second part is executed, as a block of this type and code.
    Second(BlockType, Vec<u8>),
}

struct Folder<'a> {
    zero: u32,
    done: Vec<Piece<'a>>,
    /// The operands on top, as far as anything is known of them.
    stack: Vec<Operand>,
    frames: Vec<Frame>,
}

impl<'a> Folder<'a> {
    /// Takes the next piece. `decides`: an `if` follows, so that of an operand only matters whether it is 0.
    fn take(&mut self, mut piece: Piece<'a>, decides: bool) -> Then {
        match piece.operator.clone() {
            Operator::GlobalGet { global_index } if global_index == self.zero => {
                piece.clear();
                self.know(0, piece);
            }
            Operator::I32Const { value } => {
                self.stack.push(Operand::Known { value, at: self.done.len(), given: true });
                self.done.push(piece);
            }
            Operator::LocalGet { .. } | Operator::GlobalGet { .. } | Operator::I64Const { .. } => {
                self.stack.push(Operand::Unknown);
                self.done.push(piece);
            }
            Operator::I32Eqz => match self.pop() {
                Operand::Known { value, at, .. } => {
                    self.done[at].clear();
                    piece.clear();
                    self.know(i32::from(value == 0), piece);
                }
                Operand::Unknown => self.unknown(piece),
            },
            Operator::I64Eqz => {
                self.pop();
                self.unknown(piece);
            }
            Operator::I32Eq => self.binary(piece, |a, b| i32::from(a == b)),
            Operator::I32Ne => self.binary(piece, |a, b| i32::from(a != b)),
            Operator::I32And => self.binary(piece, |a, b| a & b),
            Operator::I32Or => self.or(piece, decides),
            Operator::I32LtS
            | Operator::I32LtU
            | Operator::I32GtS
            | Operator::I32GtU
            | Operator::I32LeS
            | Operator::I32LeU
            | Operator::I32GeS
            | Operator::I32GeU
            | Operator::I64Eq
            | Operator::I64Ne
            | Operator::I64LtS
            | Operator::I64LtU
            | Operator::I64GtS
            | Operator::I64GtU
            | Operator::I64LeS
            | Operator::I64LeU
            | Operator::I64GeS
            | Operator::I64GeU => {
                let (second, first) = (self.pop(), self.pop());
                self.give(first);
                self.give(second);
                self.unknown(piece);
            }
            Operator::Drop => {
                if let Operand::Known { at, .. } = self.pop() {
                    self.done[at].clear();
                    piece.clear();
                }
                self.done.push(piece);
            }
            Operator::BrIf { .. } => match self.pop() {
                Operand::Known { value: 0, at, .. } => {
                    self.done[at].clear();
                    piece.clear();
                    self.done.push(piece);
                }
                condition => {
                    self.give(condition);
                    self.forget();
                    self.done.push(piece);
                }
            },
            Operator::If { blockty } => {
                let condition = self.pop();
                self.forget();
                let Operand::Known { value, at, .. } = condition else {
                    self.frames.push(Frame::Any);
                    self.done.push(piece);
                    return Then::Goes;
                };
                self.done[at].clear();
                let block = block_of(&piece.code);
                if value == 0 {
                    piece.clear();
                    self.done.push(piece);
                    self.frames.push(Frame::Second(blockty, block));
                    return Then::Skip;
                }
                piece.operator = Operator::Block { blockty };
                (piece.code, piece.unlikely) = (block.into(), None);
                self.frames.push(Frame::First);
                self.done.push(piece);
            }
            Operator::Block { .. } | Operator::Loop { .. } => {
                self.forget();
                self.frames.push(Frame::Any);
                self.done.push(piece);
            }
            Operator::Else => {
                self.forget();
                if matches!(self.frames.last(), Some(Frame::First)) {
                    return Then::Skip;
                }
                self.done.push(piece);
            }
            Operator::End => {
                self.forget();
                self.frames.pop();
                self.done.push(piece);
            }
            _ => {
                self.forget();
                self.done.push(piece);
            }
        }
        Then::Goes
    }

    /// Takes the `else` or `end` of the part that was skipped.
    fn resume(&mut self, mut piece: Piece<'a>) {
        match (self.frames.pop(), &piece.operator) {
            // There is a second part: it is a block.
            (Some(Frame::Second(blockty, block)), Operator::Else) => {
                piece.operator = Operator::Block { blockty };
                piece.code = block.into();
                self.frames.push(Frame::Any);
                self.done.push(piece);
            }
            // There is none, and so there is no block.
            (Some(Frame::Second(..)), _) => {}
            // The first part was executed, and its block ends here.
            _ => self.done.push(piece),
        }
    }

    fn pop(&mut self) -> Operand {
        self.stack.pop().unwrap_or(Operand::Unknown)
    }

    /// The operand is used by somebody who does not know it.
    fn give(&mut self, operand: Operand) {
        if let Operand::Known { value, at, given: false } = operand {
            self.done[at].put(Operator::I32Const { value }, &[wasm_encoder::Instruction::I32Const(value)]);
        }
    }

    /// Anything may happen to the operands.
    fn forget(&mut self) {
        for operand in std::mem::take(&mut self.stack) {
            self.give(operand);
        }
    }

    /// The piece, of which nothing is left, gives a constant.
    fn know(&mut self, value: i32, piece: Piece<'a>) {
        self.stack.push(Operand::Known { value, at: self.done.len(), given: false });
        self.done.push(piece);
    }

    /// The piece gives something.
    fn unknown(&mut self, piece: Piece<'a>) {
        self.stack.push(Operand::Unknown);
        self.done.push(piece);
    }

    fn binary(&mut self, mut piece: Piece<'a>, of: impl Fn(i32, i32) -> i32) {
        let (second, first) = (self.pop(), self.pop());
        if let (Operand::Known { value: a, at: first, .. }, Operand::Known { value: b, at: second, .. }) =
            (first, second)
        {
            self.done[first].clear();
            self.done[second].clear();
            piece.clear();
            self.know(of(a, b), piece);
            return;
        }
        self.give(first);
        self.give(second);
        self.unknown(piece);
    }

    fn or(&mut self, mut piece: Piece<'a>, decides: bool) {
        let (second, first) = (self.pop(), self.pop());
        match (first, second) {
            (Operand::Known { value: 0, at, .. }, Operand::Unknown)
            | (Operand::Unknown, Operand::Known { value: 0, at, .. }) => {
                self.done[at].clear();
                piece.clear();
                self.unknown(piece);
            }
            (Operand::Known { value, at, .. }, Operand::Unknown)
            | (Operand::Unknown, Operand::Known { value, at, .. })
                if decides =>
            {
                self.done[at].clear();
                let mut constant = piece.clone();
                constant.cost = 0;
                constant.clear();
                piece.put(Operator::Drop, &[wasm_encoder::Instruction::Drop]);
                self.done.push(piece);
                self.know(value, constant);
            }
            _ => {
                self.stack.push(first);
                self.stack.push(second);
                self.binary(piece, |a, b| a | b);
            }
        }
    }
}

/// The code of a `block` of the type of this `if`.
fn block_of(code: &[u8]) -> Vec<u8> {
    const BLOCK: u8 = 0x02;
    std::iter::once(BLOCK).chain(code.iter().skip(1).copied()).collect()
}
