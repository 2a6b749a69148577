//! The committed memory of a process: a file without a name, which machines map copy-on-write.

use std::os::fd::OwnedFd;

use runtime::PAGE_BYTES;
use rustix::fs::{MemfdFlags, SeekFrom, ftruncate, memfd_create, seek};
use rustix::io::{Errno, pread, pwrite};

const COPY_BYTES: usize = 1 << 20;

/// Lets this program have as many open files as the system allows it: each process in memory has an image, which is
/// one, and the usual soft limit is a thousand.
pub(crate) fn allow_many() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Not to be allowed is no failure: it shows when there are too many.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Sparse bytes, as long as the address space of the memory they are for. What was never written is zero.
#[derive(Debug)]
pub(crate) struct Image {
    file: OwnedFd,
    capacity: u64,
}

impl Image {
    /// All zeros.
    pub fn new(capacity: u64) -> Result<Image, Errno> {
        let file = memfd_create("pirn-process", MemfdFlags::CLOEXEC)?;
        ftruncate(&file, capacity)?;
        Ok(Image { file, capacity })
    }

    /// The same bytes again, for somebody who goes another way from here.
    pub fn copy(&self) -> Result<Image, Errno> {
        let copy = Image::new(self.capacity)?;
        let mut buffer = vec![0; COPY_BYTES];
        for (start, end) in self.written()? {
            let mut at = start;
            while at < end {
                let part = &mut buffer[..COPY_BYTES.min((end - at) as usize)];
                self.read(at, part)?;
                copy.write(at, part)?;
                at += part.len() as u64;
            }
        }
        Ok(copy)
    }

    /// Puts `bytes` at `at`.
    pub fn write(&self, mut at: u64, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let n = pwrite(&self.file, bytes, at)?;
            at += n as u64;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Fills `buffer` from `at` on.
    pub fn read(&self, mut at: u64, mut buffer: &mut [u8]) -> Result<(), Errno> {
        while !buffer.is_empty() {
            let n = pread(&self.file, &mut *buffer, at)?;
            if n == 0 {
                return Err(Errno::INVAL);
            }
            at += n as u64;
            buffer = &mut buffer[n..];
        }
        Ok(())
    }

    /// The runs of pages that hold something, ascending: start and end, bytes.
    pub fn written(&self) -> Result<Vec<(u64, u64)>, Errno> {
        let mut runs = Vec::new();
        let mut at = 0;
        loop {
            let start = match seek(&self.file, SeekFrom::Data(at)) {
                Ok(start) => start,
                Err(Errno::NXIO) => return Ok(runs),
                Err(error) => return Err(error),
            };
            at = seek(&self.file, SeekFrom::Hole(start))?;
            let page = PAGE_BYTES as u64;
            runs.push((start / page * page, at.div_ceil(page) * page));
        }
    }

    /// The bytes that it occupies.
    pub fn resident_bytes(&self) -> u64 {
        rustix::fs::fstat(&self.file).map_or(0, |stat| stat.st_blocks as u64 * 512)
    }

    /// The file, to be mapped.
    pub fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Bytes of address space.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }
}
