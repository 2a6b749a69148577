//! Counting: what becomes of a function body in the formats that are not metered.
//!
//! Every operator costs one, but those that only shape the code (`block`, `loop`, `else`, `end`, `nop`, `drop`,
//! `return`, `unreachable`) cost nothing; entering a function costs one; bulk operators cost one more per byte
//! or element. A count is exact wherever anybody can see it: before every call, and at the end.
//!
//! The count of the whole instance is a global, `over`, which starts at minus the limit. It lies in memory, so
//! it is touched only where a function is left or another one called. Between, a path's cost is known when
//! the module is prepared; where paths meet, it goes into a local. Who may run for ever, a loop or a
//! function that calls, looks whether `over` is above zero, and traps.

use wasm_encoder::{BlockType, Encode as _, Instruction, ValType};
use wasmparser::{BinaryReaderError, FunctionBody, Operator};

/// A loop looks at the global when it has counted this many operators by itself.
const UNSEEN_MAX: i64 = 4096;

/// No bulk operator is charged for more than this: one that says more does not fit any memory, and traps.
const BULK_MAX: i64 = 1 << 40;

/// What has to be known of a module to count in its bodies.
pub(crate) struct Counter {
    /// Index of the global that counts.
    pub over: u32,
    /// Memory is addressed with 64 bits.
    pub wide: bool,
}

impl Counter {
    /// Writes the body of a function with `n_params` parameters to `out`.
    pub fn count_body(
        &self,
        body: &FunctionBody<'_>,
        n_params: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), BinaryReaderError> {
        let mut groups = Vec::new();
        let mut n_locals = n_params;
        let mut locals = body.get_locals_reader()?;
        let locals_start = locals.original_position();
        for _ in 0..locals.get_count() {
            let (n, _) = locals.read()?;
            // A valid body has at most 50,000.
            n_locals = n_locals.saturating_add(n);
        }
        let bytes = body.as_bytes();
        let first = body.range().start;
        let end = locals.original_position();
        groups.extend_from_slice(&bytes[locals_start - first..end - first]);

        (locals.get_count() + 3).encode(out);
        out.extend_from_slice(&groups);
        for ty in [ValType::I64, ValType::I32, ValType::I64] {
            1u32.encode(out);
            ty.encode(out);
        }
        let text = Text { bytes, first };
        let writer =
            Writer { out, over: self.over, unseen: n_locals, pending: 1, is_live: false, ever: false };
        self.rewrite(body, &text, writer)
    }

    fn rewrite(
        &self,
        body: &FunctionBody<'_>,
        text: &Text<'_>,
        mut writer: Writer<'_>,
    ) -> Result<(), BinaryReaderError> {
        for operator in body.get_operators_reader()? {
            if matches!(operator?, Operator::Call { .. } | Operator::CallIndirect { .. }) {
                writer.check();
                break;
            }
        }
        // Which of the blocks that enclose this operator are loops.
        let mut blocks: Vec<bool> = Vec::new();
        // How deep in blocks that nobody reaches. `None` where somebody does.
        let mut dead: Option<u32> = None;
        let mut operators = body.get_operators_reader()?.into_iter_with_offsets().peekable();
        while let Some(operator) = operators.next() {
            let (operator, start) = operator?;
            let end = match operators.peek() {
                Some(Ok((_, offset))) => *offset,
                Some(Err(_)) => continue,
                None => text.first + text.bytes.len(),
            };
            let verbatim = &text.bytes[start - text.first..end - text.first];
            if let Some(depth) = &mut dead {
                match operator {
                    Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => *depth += 1,
                    Operator::Else if *depth == 0 => {
                        dead = None;
                        writer.meet();
                    }
                    Operator::End if *depth == 0 => {
                        dead = None;
                        blocks.pop();
                        writer.meet();
                    }
                    Operator::End => *depth -= 1,
                    _ => {}
                }
                writer.out.extend_from_slice(verbatim);
                continue;
            }
            writer.pending += cost(&operator);
            let leaves = |depth: u32| depth as usize >= blocks.len();
            match &operator {
                Operator::Loop { .. } | Operator::If { .. } | Operator::Else => writer.commit(),
                Operator::End if blocks.is_empty() => writer.flush(),
                Operator::End if blocks.last() == Some(&false) => writer.commit(),
                Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
                    if leaves(*relative_depth) {
                        writer.flush();
                    } else {
                        writer.commit();
                    }
                }
                Operator::BrTable { targets } => {
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
            writer.out.extend_from_slice(verbatim);
            match operator {
                Operator::Block { .. } | Operator::If { .. } => blocks.push(false),
                Operator::Loop { .. } => {
                    blocks.push(true);
                    writer.turn();
                }
                Operator::Else => writer.meet(),
                Operator::End => {
                    if blocks.pop() == Some(false) {
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

fn cost(operator: &Operator<'_>) -> u64 {
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

/// A body as it was.
struct Text<'a> {
    bytes: &'a [u8],
    first: usize,
}

/// A body as it becomes.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    over: u32,
    /// The local that counts. Behind it, two for the length of a bulk operator.
    unseen: u32,
    /// Counted while preparing, and nowhere else yet.
    pending: u64,
    /// The local may be something else than 0 here.
    is_live: bool,
    /// The local was added to, somewhere before.
    ever: bool,
}

impl Writer<'_> {
    fn write(&mut self, instructions: &[Instruction<'_>]) {
        for instruction in instructions {
            instruction.encode(self.out);
        }
    }

    /// What is pending goes into the local: paths meet or part here.
    fn commit(&mut self) {
        if self.pending == 0 {
            return;
        }
        let (local, pending) = (self.unseen, self.pending as i64);
        self.write(&[
            Instruction::LocalGet(local),
            Instruction::I64Const(pending),
            Instruction::I64Add,
            Instruction::LocalSet(local),
        ]);
        (self.pending, self.is_live, self.ever) = (0, true, true);
    }

    /// Everything goes into the global: somebody may look at it.
    fn flush(&mut self) {
        let (over, local, pending) = (self.over, self.unseen, self.pending as i64);
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

    /// The head of a loop, just entered.
    fn turn(&mut self) {
        let local = self.unseen;
        self.write(&[
            Instruction::LocalGet(local),
            Instruction::I64Const(UNSEEN_MAX),
            Instruction::I64GtU,
            Instruction::If(BlockType::Empty),
        ]);
        self.is_live = true;
        self.flush();
        self.check();
        self.write(&[Instruction::End]);
        (self.is_live, self.ever) = (true, true);
    }

    /// Traps if the global is above zero.
    fn check(&mut self) {
        let over = self.over;
        self.write(&[
            Instruction::GlobalGet(over),
            Instruction::I64Const(0),
            Instruction::I64GtS,
            Instruction::If(BlockType::Empty),
            Instruction::Unreachable,
            Instruction::End,
        ]);
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
