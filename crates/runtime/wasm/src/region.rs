//! The address space of a linear memory: reserved at once, mapped over an [`Image`] with one mapping, and
//! asked which of its pages were written.
//!
//! This module, and no other, talks to the operating system about memory.
#![expect(unsafe_code, reason = "mapping memory is what this module is for; each block says why it is sound")]

use std::ffi::c_void;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::OnceLock;

use runtime::PAGE_BYTES;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

use crate::image::Image;

/// No memory is larger than this, whatever its module declares.
pub(crate) const CAPACITY_MAX: u64 = 16 << 30;
/// Address space of every memory that does not need more. With the guard behind it no access of a 32-bit
/// guest needs a check.
pub(crate) const RESERVATION: u64 = 4 << 30;

/// Gives memories to the engine.
pub(crate) struct Creator;

/// Address space that a memory of this type gets, bytes.
pub(crate) fn capacity_of(minimum: u64, maximum: Option<u64>) -> u64 {
    maximum.unwrap_or(0).min(CAPACITY_MAX).max(minimum).max(RESERVATION)
}

/// The address space of one memory. Readable up to `size`, nothing beyond.
struct Region {
    base: NonNull<u8>,
    size: usize,
    capacity: usize,
    total: usize,
}

// SAFETY: the pointer is to memory that this value alone owns, like a `Box<[u8]>`.
unsafe impl Send for Region {}
// SAFETY: through a shared reference nothing but numbers can be read.
unsafe impl Sync for Region {}

// SAFETY: a region is zero-filled, never moves, reserves what was asked for and is unmapped when it is dropped.
unsafe impl MemoryCreator for Creator {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let capacity = capacity_of(minimum as u64, maximum.map(|bytes| bytes as u64)) as usize;
        let capacity = capacity.max(reserved.unwrap_or(0));
        let total = capacity.checked_add(guard).ok_or("more address space than there is")?;
        // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                total,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        };
        let base = base.map_err(|error| format!("{total} bytes of address space: {error}"))?;
        let base = NonNull::new(base.cast()).ok_or("a mapping at address zero")?;
        let mut region = Region { base, size: 0, capacity, total };
        region.grow_to(minimum).map_err(|error| error.to_string())?;
        Ok(Box::new(region))
    }
}

// SAFETY: `as_ptr` is valid for `byte_size` bytes and never changes; growing keeps it.
unsafe impl LinearMemory for Region {
    fn byte_size(&self) -> usize {
        self.size
    }

    fn byte_capacity(&self) -> usize {
        self.capacity
    }

    fn grow_to(&mut self, size: usize) -> wasmtime::Result<()> {
        if size > self.capacity {
            return Err(wasmtime::Error::msg("beyond the reservation"));
        }
        open(self.base.as_ptr(), size)?;
        self.size = size;
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.base.as_ptr()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the range is ours, and nobody can reach it after this.
        let done = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.total) };
        debug_assert!(done.is_ok());
    }
}

/// Makes the first `size` bytes at `base` readable and writable.
fn open(base: *mut u8, size: usize) -> Result<(), Errno> {
    if size == 0 {
        return Ok(());
    }
    // SAFETY: the range lies in a region of ours; giving access breaks nobody's assumption.
    unsafe { rustix::mm::mprotect(base.cast(), size, MprotectFlags::READ | MprotectFlags::WRITE) }
}

/// Whole pages that lie together: where they start and where they end, bytes.
pub(crate) type Run = (usize, usize);

/// A view of the memory of an instance that is not executing: where it is and how much of it there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    base: *mut u8,
    size: usize,
}

impl View {
    /// The memory of an instance. It must be one that [`Creator`] made.
    pub fn of(memory: &wasmtime::Memory, store: impl wasmtime::AsContext) -> View {
        View { base: memory.data_ptr(&store), size: memory.data_size(&store) }
    }

    /// Replaces everything by the content of `image`, privately: writes stay here.
    pub fn map(self, image: &Image) -> Result<(), Errno> {
        // SAFETY: `base` starts a region whose capacity is at least that of the image (both come from
        // `capacity_of` of one memory type). The instance is not executing and no slice of its memory is
        // alive, since whoever has a view has the store.
        unsafe {
            rustix::mm::mmap(
                self.base.cast(),
                image.capacity() as usize,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE,
                image.file(),
                0,
            )?;
        }
        open(self.base, self.size)
    }

    /// Drops everything that was written since the image was mapped: its content is there again.
    pub fn forget(self) -> Result<(), Errno> {
        // SAFETY: as for `map`; the range is accessible memory of the region.
        unsafe { rustix::mm::madvise(self.base.cast(), self.size, Advice::LinuxDontNeed) }
    }

    /// Shows runs of it that lie in it: where each starts, and its bytes.
    pub fn read(self, runs: &[Run], mut show: impl FnMut(usize, &[u8])) {
        for (start, end) in runs {
            assert!(start <= end && *end <= self.size, "a run of this memory");
            // SAFETY: the run lies in accessible memory of an instance that is not executing.
            show(*start, unsafe { std::slice::from_raw_parts(self.base.add(*start), end - start) });
        }
    }

    /// Writes to `image` the pages of our own that are other than there. Those that `before` has are compared with it
    /// first: they were written by the commit before, and most of them not again since.
    pub fn commit(self, image: &Image, before: Option<(&Mirror, &[Run])>) -> Result<Committed, Errno> {
        let private = self.private_runs()?;
        let mut written: Vec<Run> = Vec::new();
        let mut known = before.map_or(&[][..], |(_, runs)| runs);
        self.read(&private, |start, run| {
            for (at, page) in (start..).step_by(PAGE_BYTES).zip(run.chunks_exact(PAGE_BYTES)) {
                while let Some((_, rest)) = known.split_first().filter(|(first, _)| first.1 <= at) {
                    known = rest;
                }
                let was_written = known.first().is_some_and(|first| first.0 <= at);
                let is_same = was_written && before.is_some_and(|(mirror, _)| mirror.has(at, page));
                if !is_same {
                    push_run(&mut written, at, at + PAGE_BYTES);
                }
            }
        });
        let mut done = Ok(());
        self.read(&written, |start, run| {
            if done.is_ok() {
                done = image.write(start as u64, run);
            }
        });
        done.map(|()| Committed { private, written })
    }

    /// The pages of our own.
    fn private_runs(self) -> Result<Vec<Run>, Errno> {
        match scan(self.base as u64, self.size as u64) {
            Err(Errno::NOTTY | Errno::INVAL) => read_pagemap(self.base as u64, self.size as u64),
            runs => runs,
        }
    }
}

/// What a commit found and did.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The pages that the instance has of its own.
    pub private: Vec<Run>,
    /// Those of them that were written to the image.
    pub written: Vec<Run>,
}

/// An image, to be read where it is.
pub(crate) struct Mirror {
    base: NonNull<u8>,
    size: usize,
}

// SAFETY: the mapping is this value's alone, and nothing is ever written through it.
unsafe impl Send for Mirror {}

impl Mirror {
    pub fn of(image: &Image) -> Result<Mirror, Errno> {
        let size = image.capacity() as usize;
        // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
        let base = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), size, ProtFlags::READ, MapFlags::SHARED, image.file(), 0)
        }?;
        NonNull::new(base.cast()).map(|base| Mirror { base, size }).ok_or(Errno::NOMEM)
    }

    /// Whether the image has this there. It must have been written there before: a hole would be filled.
    fn has(&self, at: usize, page: &[u8]) -> bool {
        assert!(at + page.len() <= self.size, "a page of this image");
        // SAFETY: the range lies in the mapping, whose file is as long and never gets shorter. Whoever has the machine
        // has its image alone, and does not write to it while it commits.
        page == unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(at), page.len()) }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // SAFETY: the range is ours, and nobody can reach it after this.
        let done = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.size) };
        debug_assert!(done.is_ok());
    }
}

/// The kernel's table of our pages.
fn pagemap() -> Result<&'static OwnedFd, Errno> {
    static PAGEMAP: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(file) = PAGEMAP.get() {
        return Ok(file);
    }
    let file = rustix::fs::open("/proc/self/pagemap", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok(PAGEMAP.get_or_init(|| file))
}

const IS_FILE: u64 = 1 << 2;
const IS_PRESENT: u64 = 1 << 3;
const IS_SWAPPED: u64 = 1 << 4;
const REGIONS: usize = 256;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

/// `struct pm_scan_arg` of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct ScanArguments {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    n_regions: u64,
    pages_max: u64,
    category_inverted: u64,
    category_mask: u64,
    category_any_of: u64,
    return_mask: u64,
}

/// The `PAGEMAP_SCAN` call (Linux 6.7).
struct Scan<'a>(&'a mut ScanArguments);

// SAFETY: the kernel reads and writes one `pm_scan_arg` at the pointer, and the regions it points to, which
// outlive the call.
unsafe impl Ioctl for Scan<'_> {
    type Output = usize;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        rustix::ioctl::opcode::read_write::<ScanArguments>(b'f', 16)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        std::ptr::from_mut(self.0).cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> Result<usize, Errno> {
        Ok(out as usize)
    }
}

fn scan(base: u64, size: u64) -> Result<Vec<Run>, Errno> {
    let mut regions = [PageRegion::default(); REGIONS];
    let mut runs: Vec<Run> = Vec::new();
    let mut at = base;
    while at < base + size {
        let mut arguments = ScanArguments {
            size: size_of::<ScanArguments>() as u64,
            start: at,
            end: base + size,
            regions: regions.as_mut_ptr() as u64,
            n_regions: REGIONS as u64,
            category_inverted: IS_FILE,
            category_mask: IS_FILE,
            category_any_of: IS_PRESENT | IS_SWAPPED,
            return_mask: IS_FILE,
            ..ScanArguments::default()
        };
        // SAFETY: see `Scan`.
        let found = unsafe { rustix::ioctl::ioctl(pagemap()?, Scan(&mut arguments)) }?;
        for region in &regions[..found.min(REGIONS)] {
            push_run(&mut runs, (region.start - base) as usize, (region.end - base) as usize);
        }
        if arguments.walk_end <= at {
            return Err(Errno::INVAL);
        }
        at = arguments.walk_end;
    }
    Ok(runs)
}

/// The same from the table itself, for older kernels: bit 63 present, 62 swapped, 61 of a file.
fn read_pagemap(base: u64, size: u64) -> Result<Vec<Run>, Errno> {
    const ENTRIES: usize = 8192;
    let mut entries = vec![0u8; ENTRIES * 8];
    let mut runs = Vec::new();
    let (first, n) = (base / PAGE_BYTES as u64, size as usize / PAGE_BYTES);
    let mut page = 0;
    while page < n {
        let want = ENTRIES.min(n - page) * 8;
        let got = rustix::io::pread(pagemap()?, &mut entries[..want], (first + page as u64) * 8)?;
        if got < 8 {
            return Err(Errno::IO);
        }
        for entry in entries[..got / 8 * 8].chunks_exact(8) {
            let entry = u64::from_le_bytes(entry.try_into().expect("chunks of eight"));
            if entry >> 62 != 0 && entry >> 61 & 1 == 0 {
                push_run(&mut runs, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
            }
            page += 1;
        }
    }
    Ok(runs)
}

fn push_run(runs: &mut Vec<Run>, start: usize, end: usize) {
    match runs.last_mut() {
        Some(last) if last.1 == start => last.1 = end,
        _ => runs.push((start, end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_asking_find_the_pages_that_were_written() {
        let image = Image::new(1 << 20).unwrap();
        image.write(0, &[7; 16 * PAGE_BYTES]).unwrap();
        let memory =
            Creator.new_memory(MemoryType::new(16, Some(16)), 1 << 20, Some(1 << 20), None, 65536).unwrap();
        // The capacity is that of a reservation; a longer image is what a machine would have.
        let image_of_all = Image::new(memory.byte_capacity() as u64).unwrap();
        image_of_all.write(0, &[7; 16 * PAGE_BYTES]).unwrap();
        let view = View { base: memory.as_ptr(), size: memory.byte_size() };
        view.map(&image_of_all).unwrap();
        assert_eq!(view.private_runs(), Ok(vec![]));
        let pages = [0, 1, 2, 9, 15, 16, 255];
        for page in pages {
            // SAFETY: the page lies in the memory, and nobody else has it.
            unsafe { view.base.add(page * PAGE_BYTES + 5).write_volatile(1) };
        }
        let (base, size) = (view.base as u64, view.size as u64);
        let runs = |pages: &[(usize, usize)]| {
            pages.iter().map(|(start, end)| (start * PAGE_BYTES, end * PAGE_BYTES)).collect::<Vec<_>>()
        };
        let expected = runs(&[(0, 3), (9, 10), (15, 17), (255, 256)]);
        assert_eq!(read_pagemap(base, size), Ok(expected.clone()));
        match scan(base, size) {
            // The kernel is older than the call.
            Err(Errno::NOTTY | Errno::INVAL) => {}
            found => assert_eq!(found, Ok(expected.clone())),
        }
        let committed =
            |written: &Vec<Run>| Ok(Committed { private: expected.clone(), written: written.clone() });
        assert_eq!(view.commit(&image, None), committed(&expected));
        // What the image has by now is not written again, unless it is not known to have been.
        // SAFETY: as above.
        unsafe { view.base.add(PAGE_BYTES + 5).write_volatile(2) };
        let mirror = Mirror::of(&image).unwrap();
        let again = view.commit(&image, Some((&mirror, &expected[..2])));
        assert_eq!(again, committed(&runs(&[(1, 2), (15, 17), (255, 256)])));
        view.forget().unwrap();
        assert_eq!(view.private_runs(), Ok(vec![]));
        let mut page = [0; 6];
        image.read(9 * PAGE_BYTES as u64, &mut page).unwrap();
        assert_eq!(page, [7, 7, 7, 7, 7, 1]);
    }
}
