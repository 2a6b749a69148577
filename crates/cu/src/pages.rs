//! The pages of a memory as bytes, compressed, and as the difference to those of another.

use std::cmp::Ordering;
use std::iter::Peekable;

use bytes::Bytes;
use runtime::{Changes, Memory, PAGE_BYTES};

pub(crate) const SHORT: &str = "it is cut short";

/// Bytes that are compressed together, roughly: 1 MiB, so that one block needs little memory besides.
const BLOCK_BYTES: usize = 1 << 20;
/// The longest block: the last record may be beyond.
const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + RECORD_BYTES;
const RECORD_BYTES: usize = 8 + PAGE_BYTES;
/// A page of which more bytes than this differ is written as it is.
const DIFFERENT_MAX: usize = PAGE_BYTES / 2;

/// How a page is written, in the two highest bits of its number.
const PLAIN: u64 = 0;
/// As the exclusive or with that of the base: mostly zeros.
const DIFFERENCE: u64 = 1;
/// It is nothing but zeros, and is not in the base. Nothing follows.
const ZERO: u64 = 2;
const HOW: u32 = 62;

/// Appends the pages that are not those of `base`, as blocks `length u32 | LZ4 of records`; a record is
/// `number and how u64 | content`. Numbers have the lowest byte first.
pub(crate) fn encode(memory: &Memory, base: Option<&Memory>, out: &mut Vec<u8>) {
    let mut blocks = Blocks { block: Vec::new(), out };
    for side in both(memory, base) {
        match side {
            Side::Gone(number) => blocks.put(ZERO, number, &[]),
            Side::New(number, page) => blocks.put(PLAIN, number, page),
            Side::Both(_, page, before) if page == before => {}
            Side::Both(number, page, before) => {
                let different = page.iter().zip(before).filter(|(now, before)| now != before).count();
                if different > DIFFERENT_MAX {
                    blocks.put(PLAIN, number, page);
                    continue;
                }
                let difference: Vec<u8> = page.iter().zip(before).map(|(now, before)| now ^ before).collect();
                blocks.put(DIFFERENCE, number, &difference);
            }
        }
    }
    blocks.end();
}

/// Appends changes in the same way.
pub(crate) fn encode_changes(changes: &Changes, out: &mut Vec<u8>) {
    let mut blocks = Blocks { block: Vec::new(), out };
    for (number, page) in &changes.pages {
        match page {
            Some(page) => blocks.put(PLAIN, *number, page),
            None => blocks.put(ZERO, *number, &[]),
        }
    }
    blocks.end();
}

/// Records on their way to `out`.
struct Blocks<'a> {
    block: Vec<u8>,
    out: &'a mut Vec<u8>,
}

impl Blocks<'_> {
    fn put(&mut self, how: u64, number: u64, content: &[u8]) {
        self.block.extend((number | how << HOW).to_le_bytes());
        self.block.extend_from_slice(content);
        if self.block.len() >= BLOCK_BYTES {
            compress(&self.block, self.out);
            self.block.clear();
        }
    }

    fn end(self) {
        if !self.block.is_empty() {
            compress(&self.block, self.out);
        }
    }
}

fn compress(block: &[u8], out: &mut Vec<u8>) {
    let block = lz4_flex::compress(block);
    out.extend((block.len() as u32).to_le_bytes());
    out.extend(block);
}

/// The memory that was encoded with that base.
pub(crate) fn decode(
    mut bytes: &[u8],
    size_bytes: u64,
    base: Option<&Memory>,
) -> Result<Memory, &'static str> {
    let mut changes = Changes { size_bytes, pages: Vec::new() };
    while !bytes.is_empty() {
        let (block, after) = split_prefixed(bytes).ok_or(SHORT)?;
        bytes = after;
        let plain = lz4_flex::decompress(block, BLOCK_BYTES_MAX).map_err(|_| "a block is damaged")?;
        let plain = Bytes::from(plain);
        let mut at = 0;
        while at < plain.len() {
            let number = plain.get(at..at + 8).ok_or(SHORT)?;
            let number = u64::from_le_bytes(number.try_into().expect("it is eight bytes"));
            let (how, number) = (number >> HOW, number & ((1 << HOW) - 1));
            at += 8;
            if how == ZERO {
                changes.pages.push((number, None));
                continue;
            }
            let page = plain.get(at..at + PAGE_BYTES).ok_or(SHORT)?;
            let page = match how {
                PLAIN => plain.slice(at..at + PAGE_BYTES),
                DIFFERENCE => {
                    let before = base.and_then(|base| page_of(base, number));
                    let before = before.ok_or("it is the difference to a page that is not there")?;
                    page.iter().zip(before).map(|(now, before)| now ^ before).collect()
                }
                _ => return Err("a page is written in no known way"),
            };
            changes.pages.push((number, Some(page)));
            at += PAGE_BYTES;
        }
    }
    Ok(match base {
        Some(base) => changes.apply(base),
        None => changes.apply(&Memory::default()),
    })
}

fn page_of(memory: &Memory, number: u64) -> Option<&Bytes> {
    let at = memory.pages.binary_search_by_key(&number, |(number, _)| *number).ok()?;
    Some(&memory.pages[at].1)
}

/// A page of two memories.
enum Side<'a> {
    New(u64, &'a Bytes),
    Both(u64, &'a Bytes, &'a Bytes),
    /// Of the base only.
    Gone(u64),
}

/// The pages of both, ascending.
fn both<'a>(memory: &'a Memory, base: Option<&'a Memory>) -> impl Iterator<Item = Side<'a>> {
    let pages = |memory: &'a Memory| memory.pages.iter().map(|(number, page)| (*number, page)).peekable();
    let mut left = pages(memory);
    let mut right = base.map(pages);
    std::iter::from_fn(move || {
        let number = |side: &mut Peekable<_>| side.peek().map(|(number, _): &(u64, &Bytes)| *number);
        let order = match (number(&mut left), right.as_mut().and_then(number)) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => left.cmp(&right),
        };
        let mut base = || right.as_mut().and_then(Iterator::next);
        match order {
            Ordering::Less => left.next().map(|(number, page)| Side::New(number, page)),
            Ordering::Greater => base().map(|(number, _)| Side::Gone(number)),
            Ordering::Equal => {
                left.next().zip(base()).map(|((number, page), (_, before))| Side::Both(number, page, before))
            }
        }
    })
}

/// What follows a length, and the rest.
pub(crate) fn split_prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    rest.split_at_checked(u32::from_le_bytes(length.try_into().ok()?) as usize)
}
