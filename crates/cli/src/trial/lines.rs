//! Which lines of a Lua file do something: read from what its compiler makes of it.

use std::collections::BTreeSet;

/// Functions in one another at most.
const DEPTH_MAX: usize = 200;

/// The lines with instructions, from the bytecode of Lua 5.3 with its line numbers (`string.dump` without stripping). The
/// return that the compiler puts at the end of every function is left out. None if the bytes are none.
pub fn active(bytecode: &[u8]) -> Option<BTreeSet<u64>> {
    let mut reader = Reader { bytes: bytecode, lines: BTreeSet::new() };
    // Signature, version, format, data, sizes of int, size_t, instruction, integer and number, an integer, a number.
    let head = reader.take(4 + 1 + 1 + 6 + 5 + 8 + 8)?;
    if !head.starts_with(b"\x1bLua\x53\0") || head[12..17] != [4, 8, 4, 8, 8] {
        return None;
    }
    reader.take(1)?;
    reader.function(0)?;
    Some(reader.lines)
}

struct Reader<'a> {
    bytes: &'a [u8],
    lines: BTreeSet<u64>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(n)?;
        self.bytes = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn int(&mut self) -> Option<usize> {
        let bytes = self.take(4)?.try_into().ok()?;
        usize::try_from(i32::from_le_bytes(bytes)).ok()
    }

    fn string(&mut self) -> Option<()> {
        let size = match self.byte()? {
            0 => return Some(()),
            0xff => usize::try_from(u64::from_le_bytes(self.take(8)?.try_into().ok()?)).ok()?,
            size => usize::from(size),
        };
        self.take(size.checked_sub(1)?).map(drop)
    }

    fn function(&mut self, depth: usize) -> Option<()> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.string()?;
        self.take(4 + 4 + 3)?;
        let code = self.int()?;
        self.take(code.checked_mul(4)?)?;
        for _ in 0..self.int()? {
            match self.byte()? {
                0 => {}
                1 => drop(self.take(1)?),
                3 | 0x13 => drop(self.take(8)?),
                4 | 0x14 => self.string()?,
                _ => return None,
            }
        }
        let upvalues = self.int()?;
        self.take(upvalues.checked_mul(2)?)?;
        for _ in 0..self.int()? {
            self.function(depth + 1)?;
        }
        let count = self.int()?;
        for at in 0..count {
            let line = self.int()? as u64;
            if at + 1 < count {
                self.lines.insert(line);
            }
        }
        for _ in 0..self.int()? {
            self.string()?;
            self.take(8)?;
        }
        for _ in 0..self.int()? {
            self.string()?;
        }
        Some(())
    }
}
