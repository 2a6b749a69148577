//! The pages of a memory as bytes, compressed, and as the difference to those of another.

use std::cmp::Ordering;
use std::iter::Peekable;

use bytes::Bytes;
use runtime::{Memory, PAGE_BYTES};

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
    let mut block = Vec::with_capacity(BLOCK_BYTES_MAX.min(memory.pages.len() * RECORD_BYTES));
    let mut put = |how: u64, number: u64, content: &[u8], difference: Option<&[u8]>| {
        block.extend((number | how << HOW).to_le_bytes());
        match difference {
            None => block.extend_from_slice(content),
            Some(before) => block.extend(content.iter().zip(before).map(|(now, before)| now ^ before)),
        }
        if block.len() >= BLOCK_BYTES {
            compress(&block, out);
            block.clear();
        }
    };
    for side in both(memory, base) {
        match side {
            Side::Gone(number) => put(ZERO, number, &[], None),
            Side::New(number, page) => put(PLAIN, number, page, None),
            Side::Both(_, page, before) if page == before => {}
            Side::Both(number, page, before) => {
                let different = page.iter().zip(before).filter(|(now, before)| now != before).count();
                match different <= DIFFERENT_MAX {
                    true => put(DIFFERENCE, number, page, Some(before)),
                    false => put(PLAIN, number, page, None),
                }
            }
        }
    }
    if !block.is_empty() {
        compress(&block, out);
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
    let mut changed = Memory { size_bytes, pages: Vec::new() };
    let mut zero = Vec::new();
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
                zero.push(number);
                continue;
            }
            let page = plain.get(at..at + PAGE_BYTES).ok_or(SHORT)?;
            changed.pages.push((
                number,
                match how {
                    PLAIN => plain.slice(at..at + PAGE_BYTES),
                    DIFFERENCE => {
                        let before = base.and_then(|base| page_of(base, number));
                        let before = before.ok_or("it is the difference to a page that is not there")?;
                        page.iter().zip(before).map(|(now, before)| now ^ before).collect()
                    }
                    _ => return Err("a page is written in no known way"),
                },
            ));
            at += PAGE_BYTES;
        }
    }
    let Some(base) = base else { return Ok(changed) };
    let mut memory = Memory { size_bytes, pages: Vec::with_capacity(base.pages.len() + changed.pages.len()) };
    for side in both(&changed, Some(base)) {
        match side {
            Side::New(number, page) | Side::Both(number, page, _) => {
                memory.pages.push((number, page.clone()))
            }
            Side::Gone(number) if zero.binary_search(&number).is_ok() => {}
            Side::Gone(number) => {
                let page = page_of(base, number).ok_or("a page is missing")?;
                memory.pages.push((number, page.clone()));
            }
        }
    }
    Ok(memory)
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
