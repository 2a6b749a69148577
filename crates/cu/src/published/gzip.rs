//! The data of a checkpoint on the weave: gzip of the whole linear memory and nothing else, as the incumbent's compute
//! unit has it. Pure.
//!
//! Everything else that a machine of ours has between two messages is that of a new instance, so it need not be there.

use std::io::{self, Read, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use runtime::{Memory, PAGE_BYTES};
use sha2::{Digest as _, Sha256};

/// The whole linear memory as gzip, at most `max` bytes of it, and the SHA-256 of the memory. `None` if
/// it would be more.
pub(crate) fn squeeze(memory: &Memory, max: usize) -> Option<(Bytes, [u8; 32])> {
    let mut sha = Sha256::new();
    // Level 9 is the incumbent's, and takes five times as long for the last percent: the bytes are nobody's business.
    let mut gzip = GzEncoder::new(Capped { bytes: Vec::new(), max }, Compression::default());
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        sha.update(bytes);
        gzip.write_all(bytes).ok()
    };
    let pages = memory.pages.iter().map(|(index, page)| (index * PAGE_BYTES as u64, &page[..]));
    for (start, page) in pages.chain([(memory.size_bytes, &[][..])]) {
        while at < start {
            let length = (start - at).min(ZEROS.len() as u64);
            put(&ZEROS[..length as usize])?;
            at += length;
        }
        let page = &page[..page.len().min((memory.size_bytes - start) as usize)];
        put(page)?;
        at += page.len() as u64;
    }
    let Capped { bytes, .. } = gzip.finish().ok()?;
    Some((Bytes::from(bytes), sha.finalize().into()))
}

/// The memory that was compressed, at most `max` bytes of it, and its SHA-256. Never holds more than
/// what is not zero in those `max` bytes, whatever the gzip says of itself.
pub(crate) fn unsqueeze(gzip: &[u8], max: u64) -> Result<(Memory, [u8; 32]), String> {
    let mut plain = MultiGzDecoder::new(gzip).take(max.saturating_add(1));
    let mut sha = Sha256::new();
    let mut memory = Memory::default();
    let mut page = vec![0; PAGE_BYTES];
    loop {
        let read = fill(&mut plain, &mut page).map_err(|error| format!("its gzip is damaged: {error}"))?;
        if read == 0 {
            return Ok((memory, sha.finalize().into()));
        }
        sha.update(&page[..read]);
        let index = memory.size_bytes / PAGE_BYTES as u64;
        memory.size_bytes += read as u64;
        if memory.size_bytes > max {
            return Err(format!("its memory is more than the {max} bytes that the process may have"));
        }
        page[read..].fill(0);
        if page.iter().any(|&byte| byte != 0) {
            memory.pages.push((index, Bytes::copy_from_slice(&page)));
        }
    }
}

/// Reads until the page is full or there is no more.
fn fill(from: &mut impl Read, page: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < page.len() {
        match from.read(&mut page[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Takes so many bytes and no more.
struct Capped {
    bytes: Vec<u8>,
    max: usize,
}

impl io::Write for Capped {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > self.max {
            return Err(io::Error::other("it is larger than allowed"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let mut dense = vec![0; 70 * PAGE_BYTES + 5];
        for at in [0, 3 * PAGE_BYTES + 7, 68 * PAGE_BYTES, 70 * PAGE_BYTES + 4] {
            dense[at] = 9;
        }
        Memory::from_dense(&dense)
    }

    #[test]
    fn a_memory_comes_back_and_its_digest_is_that_of_all_its_bytes() {
        for memory in [memory(), Memory { size_bytes: 131_072, pages: Vec::new() }] {
            let (gzip, sha) = squeeze(&memory, 1 << 20).unwrap();
            assert_eq!(sha[..], Sha256::digest(memory.to_dense())[..]);
            let mut dense = Vec::new();
            MultiGzDecoder::new(&gzip[..]).read_to_end(&mut dense).unwrap();
            assert_eq!(dense, memory.to_dense());
            assert_eq!(unsqueeze(&gzip, memory.size_bytes), Ok((memory, sha)));
        }
    }

    #[test]
    fn no_more_is_written_or_read_than_is_allowed() {
        let memory = memory();
        let (gzip, _) = squeeze(&memory, 1 << 20).unwrap();
        assert!(squeeze(&memory, gzip.len()).is_some());
        assert!(squeeze(&memory, gzip.len() - 1).is_none());
        assert!(unsqueeze(&gzip, memory.size_bytes - 1).is_err());
        // A bomb: a gibibyte in a megabyte. No page of it is kept.
        let bomb = squeeze(&Memory { size_bytes: 1 << 28, pages: Vec::new() }, 1 << 22).unwrap().0;
        assert!(unsqueeze(&bomb, 1 << 20).unwrap_err().contains("more than the 1048576 bytes"));
        // Members behind one another are one stream.
        let twice = [&gzip[..], &gzip[..]].concat();
        assert!(unsqueeze(&twice, memory.size_bytes).is_err());
        assert_eq!(unsqueeze(&twice, 1 << 20).unwrap().0.size_bytes, 2 * memory.size_bytes);
    }

    #[test]
    fn a_flipped_or_missing_byte_is_another_memory_or_none() {
        let (gzip, sha) = squeeze(&memory(), 1 << 20).unwrap();
        for at in 0..gzip.len() {
            let mut bad = gzip.to_vec();
            bad[at] ^= 1;
            let same =
                unsqueeze(&bad, 1 << 20).is_ok_and(|(found, digest)| digest == sha && found != memory());
            assert!(!same, "byte {at}");
            assert!(unsqueeze(&gzip[..at], 1 << 20).map_or(true, |(_, digest)| digest != sha), "cut at {at}");
        }
    }
}
