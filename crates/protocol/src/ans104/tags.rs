//! Tags as Avro: one array of records of two strings.
//!
//! An array comes in blocks: a count, that many records, and so on until a count of 0. A negative count is
//! followed by the block's size in bytes. Numbers are zig-zag varints; strings are a length and bytes.
//! No tags at all are written as no bytes at all.

use super::Error;
use crate::tag::{Tag, Tags};

/// How many tags an item may have.
pub const MAX_TAGS: usize = 128;
/// How many bytes a tag's name may have.
pub const MAX_NAME: usize = 1024;
/// How many bytes a tag's value may have.
pub const MAX_VALUE: usize = 3072;
/// How many bytes all tags of an item may have, encoded.
pub const MAX_BYTES: usize = 4096;

/// Reads encoded tags that fill `bytes`.
///
/// Text that is not UTF-8 gets replacement characters: what was signed are the bytes.
pub fn decode(bytes: &[u8]) -> Result<Tags, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(malformed("more than 4096 bytes of tags", MAX_BYTES));
    }
    let mut reader = Reader { bytes, at: 0 };
    let mut tags = Vec::new();
    while !bytes.is_empty() {
        let count = reader.number()?;
        if count == 0 {
            break;
        }
        // A block that tells its size must have it.
        let end = if count < 0 { Some((reader.number()?, reader.at)) } else { None };
        if count.unsigned_abs() > (MAX_TAGS - tags.len()) as u64 {
            return Err(malformed("more than 128 tags", reader.at));
        }
        for _ in 0..count.unsigned_abs() {
            let name = reader.string(MAX_NAME, "a tag's name has more than 1024 bytes")?;
            let value = reader.string(MAX_VALUE, "a tag's value has more than 3072 bytes")?;
            tags.push(Tag { name, value });
        }
        if let Some((size, start)) = end
            && i64::try_from(reader.at - start) != Ok(size)
        {
            return Err(malformed("a block of tags has another size than it says", reader.at));
        }
    }
    if reader.at != bytes.len() {
        return Err(malformed("bytes after the last tag", reader.at));
    }
    Ok(Tags(tags))
}

/// Writes tags, as one block.
pub fn encode(tags: &Tags) -> Result<Vec<u8>, Error> {
    let tags = &tags.0;
    if tags.is_empty() {
        return Ok(Vec::new());
    }
    if tags.len() > MAX_TAGS {
        return Err(Error::Draft("it has more than 128 tags"));
    }
    let mut bytes =
        Vec::with_capacity(16 + tags.iter().map(|tag| tag.name.len() + tag.value.len() + 4).sum::<usize>());
    put_number(&mut bytes, tags.len());
    for tag in tags {
        if tag.name.len() > MAX_NAME {
            return Err(Error::Draft("a tag's name has more than 1024 bytes"));
        }
        if tag.value.len() > MAX_VALUE {
            return Err(Error::Draft("a tag's value has more than 3072 bytes"));
        }
        for text in [&tag.name, &tag.value] {
            put_number(&mut bytes, text.len());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes.push(0);
    if bytes.len() > MAX_BYTES {
        return Err(Error::Draft("its tags have more than 4096 bytes"));
    }
    Ok(bytes)
}

fn malformed(what: &'static str, at: usize) -> Error {
    Error::Malformed { what, at }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// A zig-zag varint.
    fn number(&mut self) -> Result<i64, Error> {
        let mut raw = 0u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else {
                return Err(malformed("the tags are cut short", self.at));
            };
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                break;
            }
            self.at += 1;
            raw |= low << shift;
            if byte & 0x80 == 0 {
                return Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
            }
        }
        Err(malformed("a number in the tags has more than 64 bits", self.at))
    }

    fn string(&mut self, max: usize, too_long: &'static str) -> Result<String, Error> {
        let start = self.at;
        let len =
            usize::try_from(self.number()?).map_err(|_| malformed("a tag has a negative length", start))?;
        if len > max {
            return Err(malformed(too_long, start));
        }
        let rest = &self.bytes[self.at..];
        let bytes = rest.get(..len).ok_or(malformed("the tags are cut short", self.bytes.len()))?;
        self.at += len;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }
}

fn put_number(bytes: &mut Vec<u8>, n: usize) {
    let mut raw = (n as u64) << 1;
    while raw > 0x7f {
        bytes.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    bytes.push(raw as u8);
}
