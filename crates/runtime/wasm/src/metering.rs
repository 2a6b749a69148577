//! Metering: what the `-metering` formats make of a function body.
//!
//! The formats define a price for every operator and cut a body into segments, each up to and including the
//! next branch (`protocol/04b-wasm-host.md` section 4b.5). The reference calls the host at the start of each
//! segment. We count in a global instead, which is the same number at a hundredth of the time: `over` starts
//! at minus the limit, and a segment that takes it above zero traps.

use wasm_encoder::{Encode as _, Instruction};
use wasmparser::{FunctionBody, Operator};

use crate::rewrite::{replace, trap_if_over, write};

/// Price of a constant and a call: what the reference's own statement costs, added to every segment that
/// costs anything.
const OVERHEAD: u64 = 91;

/// No segment has more operators than this that cost nothing: otherwise a body could be long and free.
const FREE_OPERATORS_MAX: usize = 4096;

/// Why a body is not metered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unmetered {
    /// The price list ends where WebAssembly 1.0 does.
    #[error("an operator without a price: {0}")]
    Unpriced(String),
    /// See `FREE_OPERATORS_MAX`.
    #[error("more than {FREE_OPERATORS_MAX} operators in a row that cost nothing")]
    Free,
    /// No body at all.
    #[error(transparent)]
    Malformed(#[from] wasmparser::BinaryReaderError),
}

/// Writes `body` to `out`, with each segment's price counted in the global `over`.
pub(crate) fn meter_body(body: &FunctionBody<'_>, over: u32, out: &mut Vec<u8>) -> Result<(), Unmetered> {
    let bytes = body.as_bytes();
    let first = body.range().start;
    let mut operators = body.get_operators_reader()?.into_iter_with_offsets().peekable();
    let mut start = match operators.peek() {
        Some(Ok((_, offset))) => offset - first,
        _ => bytes.len(),
    };
    out.extend_from_slice(&bytes[..start]);
    let (mut cost, mut free) = (0, 0);
    while let Some(operator) = operators.next() {
        let (operator, _) = operator?;
        let end = match operators.peek() {
            Some(Ok((_, offset))) => offset - first,
            Some(Err(_)) => continue,
            None => bytes.len(),
        };
        let price = price(&operator).ok_or_else(|| Unmetered::Unpriced(format!("{operator:?}")))?;
        cost += price;
        free = if price == 0 { free + 1 } else { 0 };
        if free > FREE_OPERATORS_MAX {
            return Err(Unmetered::Free);
        }
        if ends_segment(&operator) {
            count(cost, over, out);
            out.extend_from_slice(&bytes[start..end]);
            (start, cost) = (end, 0);
        }
    }
    Ok(())
}

/// Writes a body that already calls `usegas` with the price on the stack: the call becomes the count itself.
pub(crate) fn inline_body(
    body: &FunctionBody<'_>,
    usegas: u32,
    over: u32,
    out: &mut Vec<u8>,
) -> Result<(), Unmetered> {
    let calls = |operator: &Operator<'_>| matches!(operator, Operator::Call { function_index } if *function_index == usegas);
    let mut counts = vec![Instruction::I64ExtendI32S];
    counts.extend(add(over));
    Ok(replace(body, calls, &counts, out)?)
}

fn count(cost: u64, over: u32, out: &mut Vec<u8>) {
    if cost != 0 {
        Instruction::I64Const((cost + OVERHEAD) as i64).encode(out);
        write(&add(over), out);
    }
}

/// Adds what is on the stack to `over`, and traps if that is too much.
fn add(over: u32) -> Vec<Instruction<'static>> {
    let mut all = vec![Instruction::GlobalGet(over), Instruction::I64Add, Instruction::GlobalSet(over)];
    all.extend(trap_if_over(over));
    all
}

fn ends_segment(operator: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::MemoryGrow { .. }
            | O::End
            | O::Br { .. }
            | O::BrTable { .. }
            | O::BrIf { .. }
            | O::If { .. }
            | O::Else
            | O::Return
            | O::Loop { .. }
    )
}

/// The price list. `None` for what the formats do not know.
fn price(operator: &Operator<'_>) -> Option<u64> {
    use Operator as O;
    Some(match operator {
        O::I32Const { .. } | O::I64Const { .. } | O::F32Const { .. } | O::F64Const { .. } => 1,
        O::Block { .. } | O::Loop { .. } | O::If { .. } | O::Nop | O::Unreachable => 1,
        O::LocalGet { .. } | O::LocalSet { .. } | O::LocalTee { .. } => 120,
        O::GlobalGet { .. } | O::GlobalSet { .. } | O::Drop | O::Select | O::BrTable { .. } => 120,
        O::I32Load { .. } | O::I64Load { .. } | O::F32Load { .. } | O::F64Load { .. } => 120,
        O::I32Load8S { .. } | O::I32Load8U { .. } | O::I32Load16S { .. } | O::I32Load16U { .. } => 120,
        O::I64Load8S { .. } | O::I64Load8U { .. } | O::I64Load16S { .. } | O::I64Load16U { .. } => 120,
        O::I64Load32S { .. } | O::I64Load32U { .. } => 120,
        O::I32Store { .. } | O::I64Store { .. } | O::F32Store { .. } | O::F64Store { .. } => 120,
        O::I32Store8 { .. } | O::I32Store16 { .. } | O::I64Store8 { .. } => 120,
        O::I64Store16 { .. } | O::I64Store32 { .. } => 120,
        O::I32Add | O::I32Sub | O::I32Mul | O::I32And | O::I32Or | O::I32Xor => 45,
        O::I64Add | O::I64Sub | O::I64Mul | O::I64And | O::I64Or | O::I64Xor => 45,
        O::F32Add | O::F32Sub | O::F32Mul | O::F64Add | O::F64Sub | O::F64Mul => 45,
        O::I32Eqz | O::I32Eq | O::I32Ne | O::I64Eqz | O::I64Eq | O::I64Ne => 45,
        O::F32Eq | O::F32Ne | O::F64Eq | O::F64Ne => 45,
        O::I32LtS | O::I32LtU | O::I32GtS | O::I32GtU | O::I32LeS | O::I32LeU | O::I32GeS | O::I32GeU => 45,
        O::I64LtS | O::I64LtU | O::I64GtS | O::I64GtU | O::I64LeS | O::I64LeU | O::I64GeS | O::I64GeU => 45,
        O::I32Clz | O::I32Ctz | O::I32Popcnt | O::I64Clz | O::I64Ctz | O::I64Popcnt => 45,
        O::I32Shl | O::I32ShrS | O::I32ShrU | O::I64Shl | O::I64ShrS | O::I64ShrU => 67,
        O::I32Rotl | O::I32Rotr | O::I64Rotl | O::I64Rotr => 90,
        O::Br { .. } | O::BrIf { .. } | O::Return | O::Call { .. } | O::Else => 90,
        O::I32DivS | O::I32DivU | O::I32RemS | O::I32RemU => 36_000,
        O::I64DivS | O::I64DivU | O::I64RemS | O::I64RemU => 36_000,
        O::CallIndirect { .. } | O::MemoryGrow { .. } => 10_000,
        O::MemorySize { .. } => 100,
        O::End => 0,
        // What is left of WebAssembly 1.0, and sign extension: free, as in the reference's list.
        O::F32Lt | O::F32Gt | O::F32Le | O::F32Ge | O::F64Lt | O::F64Gt | O::F64Le | O::F64Ge => 0,
        O::F32Abs | O::F32Neg | O::F32Ceil | O::F32Floor | O::F32Trunc | O::F32Nearest | O::F32Sqrt => 0,
        O::F64Abs | O::F64Neg | O::F64Ceil | O::F64Floor | O::F64Trunc | O::F64Nearest | O::F64Sqrt => 0,
        O::F32Div | O::F32Min | O::F32Max | O::F32Copysign => 0,
        O::F64Div | O::F64Min | O::F64Max | O::F64Copysign => 0,
        O::I32WrapI64 | O::I32TruncF32S | O::I32TruncF32U | O::I32TruncF64S | O::I32TruncF64U => 0,
        O::I64ExtendI32S | O::I64ExtendI32U => 0,
        O::I64TruncF32S | O::I64TruncF32U | O::I64TruncF64S | O::I64TruncF64U => 0,
        O::F32ConvertI32S | O::F32ConvertI32U | O::F32ConvertI64S | O::F32ConvertI64U | O::F32DemoteF64 => 0,
        O::F64ConvertI32S | O::F64ConvertI32U | O::F64ConvertI64S | O::F64ConvertI64U | O::F64PromoteF32 => 0,
        O::I32ReinterpretF32 | O::I64ReinterpretF64 | O::F32ReinterpretI32 | O::F64ReinterpretI64 => 0,
        O::I32Extend8S | O::I32Extend16S | O::I64Extend8S | O::I64Extend16S | O::I64Extend32S => 0,
        _ => return None,
    })
}
