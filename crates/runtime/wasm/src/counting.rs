//! Counting: what becomes of a function body in the formats that are not metered.
//!
//! Every operator costs one, but those that only shape the code (`block`, `loop`, `else`, `end`, `nop`, `drop`,
//! `return`, `unreachable`) cost nothing; entering a function costs one; bulk operators cost one more per byte
//! or element. A count is exact wherever anybody can see it: before every call, and at the end.
//!
//! The count of the whole instance is a global, `over`, which starts at minus the limit. It lies in memory, so
//! it is touched only where a function is left or another one called. Between, the cost of a path is known
//! when the module is prepared, and pending. Where paths meet, the first to come decides what is pending there, and
//! the others add their difference to a local. Who may run for ever, a loop or a function that calls, looks
//! whether `over` is above zero, and traps.

use wasm_encoder::{BlockType, Instruction, ValType};
use wasmparser::{BinaryReaderError, Operator};

use crate::body::{Body, Piece};
use crate::calls::{Calls, TURNS_MAX};
use crate::rewrite;

/// No bulk operator is charged for more than this: one that says more does not fit any memory, and traps.
const BULK_MAX: i64 = 1 << 40;

/// What has to be known to count in a body.
pub(crate) struct Counter<'a> {
    /// Who calls whom.
    pub calls: &'a Calls,
    /// Number of the function among its module's own.
    pub function: u32,
    /// Results of the function.
    pub results: usize,
    /// Index of the global that counts.
    pub over: u32,
    /// Memory is addressed with 64 bits.
    pub wide: bool,
}

impl Counter<'_> {
    /// Writes the body to `out`. Answers where in it stand the `if`s that hardly ever hold.
    pub fn count_body(&self, mut body: Body<'_>, out: &mut Vec<u8>) -> Result<Vec<u32>, BinaryReaderError> {
        let unseen = body.add_local(ValType::I64);
        body.add_local(ValType::I32);
        body.add_local(ValType::I64);
        body.write_locals(out);
        let mut writer = Writer {
            out,
            unlikely: Vec::new(),
            over: self.over,
            unseen,
            pending: 1,
            is_live: false,
            ever: false,
        };
        self.rewrite(&body.pieces, &mut writer)?;
        Ok(writer.unlikely)
    }

    fn rewrite(&self, pieces: &[Piece<'_>], writer: &mut Writer<'_>) -> Result<(), BinaryReaderError> {
        if self.calls.looks(self.function) {
            writer.check();
        }
        let mut plans = self.survey(pieces)?.into_iter();
        let mut blocks: Vec<Block> = Vec::new();
        // How deep in blocks that nobody reaches. `None` where somebody does.
        let mut dead: Option<u32> = None;
        for piece in pieces {
            let operator = &piece.operator;
            let plan = match operator {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => plans.next(),
                _ => None,
            };
            if let Some(depth) = &mut dead {
                match operator {
                    Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => *depth += 1,
                    Operator::Else if *depth == 0 => {
                        dead = None;
                        writer.pending = blocks.last().map_or(0, |block| block.entry);
                        writer.meet();
                    }
                    Operator::End if *depth == 0 => {
                        // Who branched here has set what they agree on. If nobody has, nobody goes on.
                        if let Some(Block { meeting: Some(pending), is_loop: false, .. }) = blocks.pop() {
                            dead = None;
                            writer.pending = pending;
                            writer.meet();
                        }
                    }
                    Operator::End => *depth -= 1,
                    _ => {}
                }
                writer.put(piece);
                continue;
            }
            writer.pending += piece.cost;
            let mut replaced = false;
            match operator {
                Operator::Loop { .. } => writer.commit(),
                Operator::If { .. } if plan.is_some_and(|plan| plan.in_table) => writer.commit(),
                Operator::Else => {
                    if let Some(block) = blocks.last_mut() {
                        writer.arrive(block);
                    }
                }
                Operator::End => match blocks.last_mut() {
                    None => writer.flush(),
                    Some(block) if block.is_loop || block.meeting.is_none() => {}
                    Some(block) => writer.arrive(block),
                },
                Operator::Br { relative_depth } => match target(&mut blocks, *relative_depth) {
                    None => writer.flush(),
                    Some(block) => writer.arrive(block),
                },
                Operator::BrIf { relative_depth } => {
                    let block = target(&mut blocks, *relative_depth);
                    replaced = writer.may_leave(block, *relative_depth, self.results);
                }
                Operator::BrTable { targets } => {
                    let leaves = |depth: u32| depth as usize >= blocks.len();
                    let mut any = leaves(targets.default());
                    for target in targets.targets() {
                        any |= leaves(target?);
                    }
                    if any {
                        writer.flush();
                    } else {
                        writer.commit();
                    }
                }
                Operator::Call { function_index } if self.calls.is_quiet(*function_index) => {}
                Operator::Return
                | Operator::Unreachable
                | Operator::Call { .. }
                | Operator::CallIndirect { .. } => writer.flush(),
                Operator::MemoryCopy { .. } | Operator::MemoryFill { .. } => writer.charge(self.wide),
                Operator::MemoryInit { .. }
                | Operator::TableCopy { .. }
                | Operator::TableFill { .. }
                | Operator::TableInit { .. }
                | Operator::TableGrow { .. } => writer.charge(false),
                _ => {}
            }
            if !replaced {
                writer.put(piece);
            }
            match operator {
                Operator::Block { blockty } | Operator::If { blockty } | Operator::Loop { blockty } => {
                    let plan = plan.unwrap_or_default();
                    let is_loop = matches!(operator, Operator::Loop { .. });
                    let bypassed = matches!(operator, Operator::If { .. }) && !plan.has_else;
                    let entry = writer.pending;
                    let meeting = match () {
                        () if is_loop || plan.in_table => Some(0),
                        () if bypassed => Some(entry),
                        () => None,
                    };
                    let is_bare = matches!(blockty, wasmparser::BlockType::Empty);
                    blocks.push(Block { is_loop, is_bare, entry, meeting });
                    if is_loop {
                        writer.turn(plan.flushes);
                    }
                }
                Operator::Else => {
                    writer.pending = blocks.last().map_or(0, |block| block.entry);
                    writer.meet();
                }
                Operator::End => {
                    // Only one path goes on from a block that nobody left before its end.
                    let ended = blocks.pop();
                    if ended.is_some_and(|block| !block.is_loop && block.meeting.is_some()) {
                        writer.meet();
                    }
                }
                Operator::Br { .. } | Operator::BrTable { .. } | Operator::Return | Operator::Unreachable => {
                    dead = Some(0)
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A block that encloses what is being written.
struct Block {
    is_loop: bool,
    /// It takes and gives nothing.
    is_bare: bool,
    /// What was pending at its start.
    entry: i64,
    /// What must be pending on every path that goes on behind it, or at the head of a loop. `None`: whoever comes
    /// first decides.
    meeting: Option<i64>,
}

/// The block that a branch ends, or the loop that it repeats. `None`: the function.
fn target(blocks: &mut [Block], depth: u32) -> Option<&mut Block> {
    let index = blocks.len().checked_sub(1 + depth as usize)?;
    blocks.get_mut(index)
}

/// What is known of a block before it is rewritten.
#[derive(Default, Clone, Copy)]
struct Plan {
    has_else: bool,
    /// A `br_table` leads to its end or head.
    in_table: bool,
    /// Something in it puts what is counted into the global, and may go on.
    flushes: bool,
}

impl Counter<'_> {
    /// The blocks of a body, in the order in which they start.
    fn survey(&self, pieces: &[Piece<'_>]) -> Result<Vec<Plan>, BinaryReaderError> {
        let mut blocks: Vec<Plan> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        for piece in pieces {
            match &piece.operator {
                Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                    open.push(blocks.len());
                    blocks.push(Plan::default());
                }
                Operator::Else => {
                    if let Some(index) = open.last() {
                        blocks[*index].has_else = true;
                    }
                }
                Operator::End => {
                    let ended = open.pop().is_some_and(|index| blocks[index].flushes);
                    if let Some(outer) = open.last() {
                        blocks[*outer].flushes |= ended;
                    }
                }
                Operator::BrTable { targets } => {
                    for depth in targets.targets().chain([Ok(targets.default())]) {
                        match open.len().checked_sub(1 + depth? as usize) {
                            Some(at) => blocks[open[at]].in_table = true,
                            // It may leave the function.
                            None => open.last().into_iter().for_each(|at| blocks[*at].flushes = true),
                        }
                    }
                }
                Operator::BrIf { relative_depth } if *relative_depth as usize >= open.len() => {
                    open.last().into_iter().for_each(|at| blocks[*at].flushes = true);
                }
                // What is quiet counts as well, and says nothing.
                Operator::Call { .. }
                | Operator::CallIndirect { .. }
                | Operator::MemoryCopy { .. }
                | Operator::MemoryFill { .. }
                | Operator::MemoryInit { .. }
                | Operator::TableCopy { .. }
                | Operator::TableFill { .. }
                | Operator::TableInit { .. }
                | Operator::TableGrow { .. } => {
                    if let Some(index) = open.last() {
                        blocks[*index].flushes = true;
                    }
                }
                _ => {}
            }
        }
        Ok(blocks)
    }
}

/// A body as it becomes.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    /// Where in `out` stand the `if`s that hardly ever hold.
    unlikely: Vec<u32>,
    over: u32,
    /// The local that counts. Behind it, two for the length of a bulk operator.
    unseen: u32,
    /// Counted while preparing, and nowhere else yet.
    pending: i64,
    /// The local may be something else than 0 here.
    is_live: bool,
    /// The local was added to, somewhere before.
    ever: bool,
}

impl Writer<'_> {
    /// The code of a piece.
    fn put(&mut self, piece: &Piece<'_>) {
        let start = self.out.len() as u32;
        self.unlikely.extend(piece.unlikely.map(|at| start + at));
        self.out.extend_from_slice(&piece.code);
    }

    /// The start of an `if` that hardly ever holds.
    fn write_unlikely_if(&mut self) {
        self.unlikely.push(self.out.len() as u32);
        self.write(&[Instruction::If(BlockType::Empty)]);
    }

    fn write(&mut self, instructions: &[Instruction<'_>]) {
        rewrite::write(instructions, self.out);
    }

    /// Adds to the local.
    fn add(&mut self, n: i64) {
        if n == 0 {
            return;
        }
        let local = self.unseen;
        self.write(&[
            Instruction::LocalGet(local),
            Instruction::I64Const(n),
            Instruction::I64Add,
            Instruction::LocalSet(local),
        ]);
        (self.is_live, self.ever) = (true, true);
    }

    /// What is pending goes into the local.
    fn commit(&mut self) {
        self.add(self.pending);
        self.pending = 0;
    }

    /// This path goes on where the block says, with what is pending there.
    fn arrive(&mut self, block: &mut Block) {
        let meeting = *block.meeting.get_or_insert(self.pending);
        self.add(self.pending - meeting);
        self.pending = meeting;
    }

    /// This path may go on where the block says, or leave the function, with the condition on the stack. Answers
    /// whether the branch is written already.
    fn may_leave(&mut self, block: Option<&mut Block>, depth: u32, n_results: usize) -> bool {
        let outside = (self.is_live, self.pending);
        match block {
            // Going round is what loops do: it is not the exception.
            Some(block) if block.is_loop || !block.is_bare => {
                self.arrive(block);
                false
            }
            Some(block) => {
                let meeting = *block.meeting.get_or_insert(self.pending);
                if meeting == self.pending {
                    return false;
                }
                self.write(&[Instruction::If(BlockType::Empty)]);
                self.add(self.pending - meeting);
                self.write(&[Instruction::Br(depth + 1), Instruction::End]);
                (self.is_live, self.pending) = outside;
                true
            }
            None if n_results > 0 => {
                self.flush();
                false
            }
            None => {
                self.write(&[Instruction::If(BlockType::Empty)]);
                self.flush();
                self.write(&[Instruction::Return, Instruction::End]);
                (self.is_live, self.pending) = outside;
                true
            }
        }
    }

    /// Everything goes into the global: somebody may look at it.
    fn flush(&mut self) {
        let (over, local, pending) = (self.over, self.unseen, self.pending);
        if self.is_live {
            self.write(&[Instruction::GlobalGet(over), Instruction::LocalGet(local), Instruction::I64Add]);
            if pending != 0 {
                self.write(&[Instruction::I64Const(pending), Instruction::I64Add]);
            }
            self.write(&[
                Instruction::GlobalSet(over),
                Instruction::I64Const(0),
                Instruction::LocalSet(local),
            ]);
        } else if pending != 0 {
            self.write(&[
                Instruction::GlobalGet(over),
                Instruction::I64Const(pending),
                Instruction::I64Add,
                Instruction::GlobalSet(over),
            ]);
        }
        (self.pending, self.is_live) = (0, false);
    }

    /// Other paths may come in here.
    fn meet(&mut self) {
        self.is_live = self.ever;
    }

    /// The head of a loop, just entered. What is counted in the loop is in the local, and if it `flushes`, in the global as
    /// well.
    fn turn(&mut self, flushes: bool) {
        let (over, local) = (self.over, self.unseen);
        if flushes {
            let sum = [Instruction::GlobalGet(over), Instruction::LocalGet(local), Instruction::I64Add];
            self.write(&sum);
            self.write(&[Instruction::I64Const(0), Instruction::I64GtS]);
        } else {
            self.write(&[
                Instruction::LocalGet(local),
                Instruction::I64Const(TURNS_MAX),
                Instruction::I64GtS,
            ]);
        }
        self.write_unlikely_if();
        self.is_live = true;
        self.flush();
        self.check();
        self.write(&[Instruction::End]);
        (self.is_live, self.ever) = (true, true);
    }

    /// Traps if the global is above zero.
    fn check(&mut self) {
        self.write(&[Instruction::GlobalGet(self.over), Instruction::I64Const(0), Instruction::I64GtS]);
        self.write_unlikely_if();
        self.write(&[Instruction::Unreachable, Instruction::End]);
    }

    /// Counts as much as the top of the stack says.
    fn charge(&mut self, wide: bool) {
        self.flush();
        let (over, narrow_length, length) = (self.over, self.unseen + 1, self.unseen + 2);
        if wide {
            self.write(&[Instruction::LocalTee(length)]);
        } else {
            self.write(&[
                Instruction::LocalTee(narrow_length),
                Instruction::LocalGet(narrow_length),
                Instruction::I64ExtendI32U,
                Instruction::LocalSet(length),
            ]);
        }
        self.write(&[
            Instruction::GlobalGet(over),
            Instruction::LocalGet(length),
            Instruction::I64Const(BULK_MAX),
            Instruction::LocalGet(length),
            Instruction::I64Const(BULK_MAX),
            Instruction::I64LtU,
            Instruction::Select,
            Instruction::I64Add,
            Instruction::GlobalSet(over),
        ]);
        self.check();
    }
}

#[cfg(test)]
pub(crate) mod tests;
