//! The native stack that guests run on: each thread that evaluates has one, large enough for whatever a guest may
//! use, so that it does not matter whose thread it is.
//!
//! A guest that recurses too deeply is stopped by the engine long before the end of this stack; how deep is too
//! deep is then the same everywhere. Lua, for one, must reach its own limit of 200 nested calls of C first.
#![expect(
    unsafe_code,
    reason = "changing stacks is what this module is for; each block says why it is sound"
)]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use runtime::{PAGE_BYTES, Refusal};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use crate::system;

/// Bytes of native stack that a guest may use.
pub(crate) const GUEST_BYTES: usize = 4 << 20;
/// What host functions, and the engine itself, may use beyond.
const HOST_BYTES: usize = 1 << 20;
const TOTAL_BYTES: usize = PAGE_BYTES + HOST_BYTES + GUEST_BYTES;

thread_local! {
    /// The stack of this thread, while nobody runs on it.
    static IDLE: Cell<Option<Stack>> = const { Cell::new(None) };
}

/// Does `work` on a guest's stack. A panic in it is ours, and is no outcome.
pub(crate) fn run<T>(work: impl FnOnce() -> T) -> Result<T, Refusal> {
    let stack = match IDLE.take() {
        Some(stack) => stack,
        None => Stack::new().map_err(|error| system(format!("memory for a stack: {error}")))?,
    };
    let (base, size) = stack.usable();
    // SAFETY: the range is readable and writable, ours alone until `stack` is put back, and the closure does not
    // unwind out of it.
    let done = unsafe { psm::on_stack(base, size, || catch_unwind(AssertUnwindSafe(work))) };
    IDLE.set(Some(stack));
    done.map_err(|_| system("to go on after a panic of its WebAssembly host".to_owned()))
}

/// Memory for a stack, with a page below it that nobody may touch.
struct Stack {
    base: NonNull<u8>,
}

impl Stack {
    fn new() -> Result<Stack, Errno> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nobody's memory.
        let base = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                TOTAL_BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        let stack = Stack { base: NonNull::new(base.cast()).ok_or(Errno::NOMEM)? };
        // SAFETY: the page is the first of the mapping, which nobody uses yet.
        unsafe { rustix::mm::mprotect(base, PAGE_BYTES, MprotectFlags::empty())? };
        Ok(stack)
    }

    fn usable(&self) -> (*mut u8, usize) {
        // SAFETY: the mapping is longer than a page.
        (unsafe { self.base.as_ptr().add(PAGE_BYTES) }, TOTAL_BYTES - PAGE_BYTES)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nobody runs on it: who does has taken it out of its cell.
        let done = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), TOTAL_BYTES) };
        debug_assert!(done.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deep(n: usize) -> usize {
        let page = std::hint::black_box([n as u8; 1024]);
        if n == 0 { 0 } else { deep(n - 1) + 1 + usize::from(page[n % 1024] != n as u8) }
    }

    #[test]
    fn work_has_the_whole_stack_on_the_smallest_thread_and_its_panics_are_refusals() {
        let small = std::thread::Builder::new().stack_size(64 << 10);
        let done = small.spawn(|| {
            assert_eq!(run(|| deep(3000)).unwrap(), 3000);
            assert_eq!(run(|| run(|| deep(10)).unwrap()).unwrap(), 10, "one inside another");
            let panics = run(|| assert_eq!(deep(2), 3));
            assert!(panics.unwrap_err().to_string().contains("panic"));
            assert_eq!(run(|| 5).unwrap(), 5);
        });
        done.unwrap().join().unwrap();
    }
}
