//! 64-bit memories that are small, addressed with 32 bits.
//!
//! A memory of at most 2 GiB is declared with 32-bit addresses, which the engine need not check: the address space of
//! every 32-bit address is reserved. Whoever used an address now checks that it is below 2 GiB, traps as before if it is
//! not, and goes on with its lower half. The check is for the address without its static offset, so it holds for all
//! fields of a record; and it is left out where the same local was checked on every way that leads here.
//!
//! Nothing else changes: which accesses trap, and as what, what is read and written, and what it counts.

use wasm_encoder::{BlockType, Instruction as I, MemArg, ValType};
use wasmparser::{BinaryReaderError, Operator};

use crate::body::{Body, Piece};
use crate::rewrite;

/// A memory that may grow beyond so many pages of 64 KiB keeps its addresses.
pub(crate) const PAGES_MAX: u64 = ADDRESS_MAX.div_ceil(65536);

/// The largest address that is used.
const ADDRESS_MAX: u64 = i32::MAX as u64;

/// An access that traps, whatever the memory.
const NOWHERE: [I<'static>; 4] = [
    I::I32Const(-1),
    I::I32Load8U(MemArg { offset: u32::MAX as u64, align: 0, memory_index: 0 }),
    I::Drop,
    I::Unreachable,
];

/// Locals of a function whose checks are remembered: the first ones.
const TRACKED: u32 = 512;

/// Narrows the addresses of a body.
pub(crate) fn narrow(body: &mut Body<'_>) -> Result<(), BinaryReaderError> {
    let loops = assigned_in_loops(&body.pieces);
    let mut pieces = std::mem::take(&mut body.pieces);
    let mut narrower = Narrower {
        body,
        own: Vec::new(),
        operands: Vec::new(),
        checked: Some(Checked::default()),
        blocks: Vec::new(),
    };
    let mut loops = loops.into_iter();
    for piece in &mut pieces {
        narrower.take(piece, &mut loops)?;
    }
    body.pieces = pieces;
    Ok(())
}

/// Locals that hold an address which was checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Checked([u64; TRACKED as usize / 64]);

impl Checked {
    fn has(&self, local: u32) -> bool {
        local < TRACKED && self.0[local as usize / 64] & (1 << (local % 64)) != 0
    }

    fn set(&mut self, local: u32, is_in: bool) {
        if local < TRACKED {
            let (word, bit) = (&mut self.0[local as usize / 64], 1 << (local % 64));
            if is_in {
                *word |= bit;
            } else {
                *word &= !bit;
            }
        }
    }

    /// Those that `other` has as well.
    fn meet(&mut self, other: &Checked) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
    }

    fn add(&mut self, other: &Checked) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
    }

    fn remove(&mut self, other: &Checked) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= !other);
    }
}

/// The locals that each loop assigns, in the order in which the loops start.
fn assigned_in_loops(pieces: &[Piece<'_>]) -> Vec<Checked> {
    let mut loops: Vec<Checked> = Vec::new();
    // For each open block, the loop that it is.
    let mut open: Vec<Option<usize>> = Vec::new();
    // The loops among them.
    let mut around: Vec<usize> = Vec::new();
    for piece in pieces {
        match piece.operator {
            Operator::Loop { .. } => {
                open.push(Some(loops.len()));
                around.push(loops.len());
                loops.push(Checked::default());
            }
            Operator::Block { .. } | Operator::If { .. } => open.push(None),
            Operator::End => {
                if let Some(Some(index)) = open.pop() {
                    around.pop();
                    if let Some(outer) = around.last() {
                        let inner = loops[index];
                        loops[*outer].add(&inner);
                    }
                }
            }
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                if let Some(index) = around.last() {
                    loops[*index].set(local_index, true);
                }
            }
            _ => {}
        }
    }
    loops
}

/// Where an operand comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operand {
    Unknown,
    /// The value that this local has.
    Local(u32),
    /// Small enough for any use.
    Small,
}

/// A block that encloses what is being read.
struct Block {
    kind: Kind,
    /// What was checked when it started.
    entry: Option<Checked>,
    /// What was checked on every way that leads behind it so far. `None`: no way does.
    behind: Option<Checked>,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Block,
    Loop,
    /// An `if` whose `else` has not come.
    If,
}

/// What a local of our own is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Address,
    Value,
    Length,
}

struct Narrower<'b, 'a> {
    body: &'b mut Body<'a>,
    /// Locals of our own, by what they are for.
    own: Vec<(ValType, Use, u32)>,
    /// The operands on top, as far as anything is known of them.
    operands: Vec<Operand>,
    /// `None` where nobody comes.
    checked: Option<Checked>,
    blocks: Vec<Block>,
}

impl Narrower<'_, '_> {
    fn take(
        &mut self,
        piece: &mut Piece<'_>,
        loops: &mut impl Iterator<Item = Checked>,
    ) -> Result<(), BinaryReaderError> {
        use Operator as O;
        if let Some(access) = access(&piece.operator) {
            self.access(piece, access);
            return Ok(());
        }
        match &piece.operator {
            O::LocalGet { local_index } => self.operands.push(Operand::Local(*local_index)),
            O::I64Const { value } if (0..=ADDRESS_MAX as i64).contains(value) => {
                self.operands.push(Operand::Small);
            }
            O::I32Const { .. } | O::I64Const { .. } | O::F32Const { .. } | O::F64Const { .. } => {
                self.operands.push(Operand::Unknown);
            }
            O::GlobalGet { .. } => self.operands.push(Operand::Unknown),
            O::GlobalSet { .. } | O::Drop => {
                self.pop();
            }
            O::LocalSet { local_index } => {
                let from = self.pop();
                self.assign(*local_index, from);
            }
            O::LocalTee { local_index } => {
                let from = self.pop();
                self.assign(*local_index, from);
                self.operands.push(Operand::Local(*local_index));
            }
            O::Select => {
                self.take_three();
                self.operands.push(Operand::Unknown);
            }
            O::MemorySize { .. } => {
                self.operands.push(Operand::Unknown);
                append(piece, &[I::I64ExtendI32U]);
            }
            O::MemoryGrow { .. } => self.grow(piece),
            O::MemoryFill { .. } => self.fill(piece),
            O::MemoryCopy { .. } => self.copy(piece),
            O::MemoryInit { .. } => self.init(piece),
            O::Block { .. } => self.enter(Kind::Block),
            O::Loop { .. } => {
                // Whoever comes round again may have assigned these.
                let assigned = loops.next().unwrap_or_default();
                if let Some(checked) = &mut self.checked {
                    checked.remove(&assigned);
                }
                self.enter(Kind::Loop);
            }
            O::If { .. } => self.enter(Kind::If),
            O::Else => {
                self.operands.clear();
                if let Some(block) = self.blocks.last_mut() {
                    meet(&mut block.behind, self.checked);
                    block.kind = Kind::Block;
                    self.checked = block.entry;
                }
            }
            O::End => {
                self.operands.clear();
                if let Some(block) = self.blocks.pop() {
                    meet(&mut self.checked, block.behind);
                    if block.kind == Kind::If {
                        meet(&mut self.checked, block.entry);
                    }
                }
            }
            O::Br { relative_depth } => {
                self.branch(*relative_depth);
                self.leave();
            }
            O::BrIf { relative_depth } => {
                self.pop();
                self.branch(*relative_depth);
            }
            O::BrTable { targets } => {
                self.branch(targets.default());
                for target in targets.targets() {
                    self.branch(target?);
                }
                self.leave();
            }
            O::Return | O::Unreachable => self.leave(),
            O::Nop => {}
            operator => match arity(operator) {
                Some(n) => {
                    self.operands.truncate(self.operands.len().saturating_sub(n));
                    self.operands.push(Operand::Unknown);
                }
                None => self.operands.clear(),
            },
        }
        Ok(())
    }

    fn pop(&mut self) -> Operand {
        self.operands.pop().unwrap_or(Operand::Unknown)
    }

    fn take_three(&mut self) {
        self.operands.truncate(self.operands.len().saturating_sub(3));
    }

    /// A local gets another value.
    fn assign(&mut self, local: u32, from: Operand) {
        for operand in &mut self.operands {
            if *operand == Operand::Local(local) {
                *operand = Operand::Unknown;
            }
        }
        let is_checked = self.is_checked(from);
        if let Some(checked) = &mut self.checked {
            checked.set(local, is_checked);
        }
    }

    fn is_checked(&self, operand: Operand) -> bool {
        match operand {
            Operand::Unknown => false,
            Operand::Small => true,
            // Where nobody comes, nothing has to be checked.
            Operand::Local(local) => self.checked.is_none_or(|checked| checked.has(local)),
        }
    }

    fn enter(&mut self, kind: Kind) {
        self.operands.clear();
        self.blocks.push(Block { kind, entry: self.checked, behind: None });
    }

    /// A way leads from here to where a branch to that depth leads.
    fn branch(&mut self, depth: u32) {
        let block = self.blocks.len().checked_sub(1 + depth as usize).and_then(|at| self.blocks.get_mut(at));
        // The head of a loop knows only what holds whoever comes.
        if let Some(block) = block.filter(|block| block.kind != Kind::Loop) {
            meet(&mut block.behind, self.checked);
        }
    }

    /// Nobody comes to what follows.
    fn leave(&mut self) {
        self.operands.clear();
        self.checked = None;
    }

    /// A local of our own.
    fn own(&mut self, ty: ValType, what_for: Use) -> u32 {
        if let Some((.., index)) = self.own.iter().find(|(known, of, _)| (*known, *of) == (ty, what_for)) {
            return *index;
        }
        let index = self.body.add_local(ty);
        self.own.push((ty, what_for, index));
        index
    }

    /// A load or a store.
    fn access(&mut self, piece: &mut Piece<'_>, access: Access) {
        let value = access.value.map(|ty| {
            self.pop();
            self.own(ty, Use::Value)
        });
        let address = self.pop();
        let mut code = Vec::new();
        if access.offset > ADDRESS_MAX {
            rewrite::write(&NOWHERE, &mut code);
            piece.code = code.into();
            if access.gives {
                self.operands.push(Operand::Unknown);
            }
            return;
        }
        if let Some(value) = value {
            rewrite::write(&[I::LocalSet(value)], &mut code);
        }
        if !self.is_checked(address) {
            let own = self.own(ValType::I64, Use::Address);
            rewrite::write(&[I::LocalTee(own), I::LocalGet(own)], &mut code);
            piece.unlikely = Some(write_check(&mut code));
            if let (Operand::Local(local), Some(checked)) = (address, &mut self.checked) {
                checked.set(local, true);
            }
        }
        rewrite::write(&[I::I32WrapI64], &mut code);
        if let Some(value) = value {
            rewrite::write(&[I::LocalGet(value)], &mut code);
        }
        code.extend_from_slice(&piece.code);
        piece.code = code.into();
        if access.gives {
            self.operands.push(Operand::Unknown);
        }
    }

    fn grow(&mut self, piece: &mut Piece<'_>) {
        self.pop();
        self.operands.push(Operand::Unknown);
        let pages = self.own(ValType::I64, Use::Value);
        let mut code = Vec::new();
        let (tee, get) = (I::LocalTee(pages), I::LocalGet(pages));
        let asks = [tee, I::I64Const(i64::from(u32::MAX)), I::I64GtU, I::If(BlockType::Result(ValType::I64))];
        rewrite::write(&asks, &mut code);
        rewrite::write(&[I::I64Const(-1), I::Else, get, I::I32WrapI64], &mut code);
        code.extend_from_slice(&piece.code);
        rewrite::write(&[I::I64ExtendI32S, I::End], &mut code);
        piece.code = code.into();
    }

    fn fill(&mut self, piece: &mut Piece<'_>) {
        let to = self.own(ValType::I64, Use::Address);
        let (value, length) = (self.own(ValType::I32, Use::Value), self.own(ValType::I64, Use::Length));
        let takes = [I::LocalSet(length), I::LocalSet(value), I::LocalTee(to), I::LocalGet(length), I::I64Or];
        let gives = [I::LocalGet(to), I::I32WrapI64, I::LocalGet(value), I::LocalGet(length), I::I32WrapI64];
        self.bulk(piece, &takes, &gives);
    }

    fn copy(&mut self, piece: &mut Piece<'_>) {
        let to = self.own(ValType::I64, Use::Address);
        let (from, length) = (self.own(ValType::I64, Use::Value), self.own(ValType::I64, Use::Length));
        let takes = [
            I::LocalSet(length),
            I::LocalSet(from),
            I::LocalTee(to),
            I::LocalGet(from),
            I::I64Or,
            I::LocalGet(length),
            I::I64Or,
        ];
        let gives = [
            I::LocalGet(to),
            I::I32WrapI64,
            I::LocalGet(from),
            I::I32WrapI64,
            I::LocalGet(length),
            I::I32WrapI64,
        ];
        self.bulk(piece, &takes, &gives);
    }

    fn init(&mut self, piece: &mut Piece<'_>) {
        let to = self.own(ValType::I64, Use::Address);
        let (from, length) = (self.own(ValType::I32, Use::Value), self.own(ValType::I32, Use::Length));
        let takes = [I::LocalSet(length), I::LocalSet(from), I::LocalTee(to)];
        let gives = [I::LocalGet(to), I::I32WrapI64, I::LocalGet(from), I::LocalGet(length)];
        self.bulk(piece, &takes, &gives);
    }

    /// Three operands are taken, leaving one that is too large if any of them is; and are given again.
    fn bulk(&mut self, piece: &mut Piece<'_>, takes: &[I<'_>], gives: &[I<'_>]) {
        self.take_three();
        let mut code = Vec::new();
        rewrite::write(takes, &mut code);
        piece.unlikely = Some(write_check(&mut code));
        rewrite::write(gives, &mut code);
        code.extend_from_slice(&piece.code);
        piece.code = code.into();
    }
}

/// What holds on both ways. `None`: nobody comes that way.
fn meet(one: &mut Option<Checked>, other: Option<Checked>) {
    match (one, other) {
        (Some(one), Some(other)) => one.meet(&other),
        (one @ None, other) => *one = other,
        (Some(_), None) => {}
    }
}

/// Adds to the code of a piece.
fn append(piece: &mut Piece<'_>, instructions: &[I<'_>]) {
    let mut code = piece.code.to_vec();
    rewrite::write(instructions, &mut code);
    piece.code = code.into();
}

/// Takes an address, and traps as any access of it would if it is too large. Answers where its `if` stands.
fn write_check(code: &mut Vec<u8>) -> u32 {
    rewrite::write(&[I::I64Const(ADDRESS_MAX as i64), I::I64GtU], code);
    let at = code.len() as u32;
    rewrite::write(&[I::If(BlockType::Empty)], code);
    rewrite::write(&NOWHERE, code);
    rewrite::write(&[I::End], code);
    at
}

/// An operator that uses an address.
struct Access {
    /// What is added to the address.
    offset: u64,
    /// What lies on it.
    value: Option<ValType>,
    /// It gives something.
    gives: bool,
}

fn access(operator: &Operator<'_>) -> Option<Access> {
    use Operator as O;
    let (memarg, value, gives) = match operator {
        O::I32Load { memarg }
        | O::I64Load { memarg }
        | O::F32Load { memarg }
        | O::F64Load { memarg }
        | O::I32Load8S { memarg }
        | O::I32Load8U { memarg }
        | O::I32Load16S { memarg }
        | O::I32Load16U { memarg }
        | O::I64Load8S { memarg }
        | O::I64Load8U { memarg }
        | O::I64Load16S { memarg }
        | O::I64Load16U { memarg }
        | O::I64Load32S { memarg }
        | O::I64Load32U { memarg }
        | O::V128Load { memarg }
        | O::V128Load8x8S { memarg }
        | O::V128Load8x8U { memarg }
        | O::V128Load16x4S { memarg }
        | O::V128Load16x4U { memarg }
        | O::V128Load32x2S { memarg }
        | O::V128Load32x2U { memarg }
        | O::V128Load8Splat { memarg }
        | O::V128Load16Splat { memarg }
        | O::V128Load32Splat { memarg }
        | O::V128Load64Splat { memarg }
        | O::V128Load32Zero { memarg }
        | O::V128Load64Zero { memarg } => (memarg, None, true),
        O::I32Store { memarg } | O::I32Store8 { memarg } | O::I32Store16 { memarg } => {
            (memarg, Some(ValType::I32), false)
        }
        O::I64Store { memarg }
        | O::I64Store8 { memarg }
        | O::I64Store16 { memarg }
        | O::I64Store32 { memarg } => (memarg, Some(ValType::I64), false),
        O::F32Store { memarg } => (memarg, Some(ValType::F32), false),
        O::F64Store { memarg } => (memarg, Some(ValType::F64), false),
        O::V128Store { memarg }
        | O::V128Store8Lane { memarg, .. }
        | O::V128Store16Lane { memarg, .. }
        | O::V128Store32Lane { memarg, .. }
        | O::V128Store64Lane { memarg, .. } => (memarg, Some(ValType::V128), false),
        O::V128Load8Lane { memarg, .. }
        | O::V128Load16Lane { memarg, .. }
        | O::V128Load32Lane { memarg, .. }
        | O::V128Load64Lane { memarg, .. } => (memarg, Some(ValType::V128), true),
        _ => return None,
    };
    Some(Access { offset: memarg.offset, value, gives })
}

/// How many operands an operator takes that gives one. `None`: unknown.
fn arity(operator: &Operator<'_>) -> Option<usize> {
    use Operator as O;
    Some(match operator {
        O::I32Eqz | O::I64Eqz | O::I32Clz | O::I32Ctz | O::I64Clz | O::I64Ctz => 1,
        O::I32WrapI64 | O::I64ExtendI32S | O::I64ExtendI32U => 1,
        O::I32Extend8S | O::I32Extend16S | O::I64Extend8S | O::I64Extend16S | O::I64Extend32S => 1,
        O::F64ConvertI32S | O::F64ConvertI32U | O::F64ConvertI64S | O::F64ConvertI64U => 1,
        O::I64ReinterpretF64 | O::F64ReinterpretI64 | O::F64Neg | O::F64Abs | O::F64Floor => 1,
        O::I32Add | O::I32Sub | O::I32Mul | O::I32And | O::I32Or | O::I32Xor => 2,
        O::I32Shl | O::I32ShrS | O::I32ShrU | O::I32DivS | O::I32DivU | O::I32RemS | O::I32RemU => 2,
        O::I64Add | O::I64Sub | O::I64Mul | O::I64And | O::I64Or | O::I64Xor => 2,
        O::I64Shl | O::I64ShrS | O::I64ShrU | O::I64DivS | O::I64DivU | O::I64RemS | O::I64RemU => 2,
        O::I32Eq | O::I32Ne | O::I32LtS | O::I32LtU | O::I32GtS | O::I32GtU => 2,
        O::I32LeS | O::I32LeU | O::I32GeS | O::I32GeU => 2,
        O::I64Eq | O::I64Ne | O::I64LtS | O::I64LtU | O::I64GtS | O::I64GtU => 2,
        O::I64LeS | O::I64LeU | O::I64GeS | O::I64GeU => 2,
        O::F64Add | O::F64Sub | O::F64Mul | O::F64Div => 2,
        O::F64Eq | O::F64Ne | O::F64Lt | O::F64Gt | O::F64Le | O::F64Ge => 2,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
