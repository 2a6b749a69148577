//! What every rewriting of function bodies does.

use wasm_encoder::{BlockType, Encode as _, Instruction};
use wasmparser::{BinaryReaderError, FunctionBody, Operator};

/// Writes `body` to `out`, with `by` in the place of every operator that is `it`.
pub(crate) fn replace(
    body: &FunctionBody<'_>,
    it: impl Fn(&Operator<'_>) -> bool,
    by: &[Instruction<'_>],
    out: &mut Vec<u8>,
) -> Result<(), BinaryReaderError> {
    let bytes = body.as_bytes();
    let first = body.range().start;
    let mut copied = 0;
    let mut operators = body.get_operators_reader()?.into_iter_with_offsets().peekable();
    while let Some(operator) = operators.next() {
        let (operator, offset) = operator?;
        if !it(&operator) {
            continue;
        }
        out.extend_from_slice(&bytes[copied..offset - first]);
        write(by, out);
        copied = match operators.peek() {
            Some(Ok((_, offset))) => offset - first,
            _ => bytes.len(),
        };
    }
    out.extend_from_slice(&bytes[copied..]);
    Ok(())
}

/// Writes instructions to `out`.
pub(crate) fn write(instructions: &[Instruction<'_>], out: &mut Vec<u8>) {
    for instruction in instructions {
        instruction.encode(out);
    }
}

/// Traps if the global `over` is above zero.
pub(crate) fn trap_if_over(over: u32) -> [Instruction<'static>; 6] {
    [
        Instruction::GlobalGet(over),
        Instruction::I64Const(0),
        Instruction::I64GtS,
        Instruction::If(BlockType::Empty),
        Instruction::Unreachable,
        Instruction::End,
    ]
}
