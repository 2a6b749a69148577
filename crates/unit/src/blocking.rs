//! Work that takes the processor for long, and where it is done.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Error, Kind, Result};

thread_local! {
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a thread that may block, so that it holds up nobody. It is not cancelled with the future.
///
/// A panic in it is [`Kind::Internal`].
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if HERE.get() {
        // Others get their turn, as they would while a thread works.
        tokio::task::yield_now().await;
        return catch_unwind(AssertUnwindSafe(work))
            .map_err(|_| Error::new(Kind::Internal, "a panic while the processor was needed for long"));
    }
    tokio::task::spawn_blocking(work).await.map_err(|panic| Error::internal(&panic))
}

/// Whether [`blocking`] does its work on this thread.
pub fn blocks_here() -> bool {
    HERE.get()
}

/// From here until the answer is dropped, [`blocking`] does its work on this thread, at its own place in the order of
/// things: a simulated world has one thread, and its order must be the same each time.
#[must_use]
pub fn block_here() -> BlockHere {
    BlockHere { before: HERE.replace(true) }
}

/// While it lives, [`blocking`] works on this thread.
#[derive(Debug)]
pub struct BlockHere {
    before: bool,
}

impl Drop for BlockHere {
    fn drop(&mut self) {
        HERE.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn work_is_done_elsewhere_or_here_and_panics_are_errors() {
        let this = thread::current().id();
        assert_ne!(blocking(|| thread::current().id()).await.unwrap(), this);
        let panics = || resume_unwind(Box::new("no"));
        assert_eq!(blocking::<()>(panics).await.unwrap_err().kind, Kind::Internal);
        {
            let _here = block_here();
            assert_eq!(blocking(|| thread::current().id()).await.unwrap(), this);
            assert_eq!(blocking::<()>(panics).await.unwrap_err().kind, Kind::Internal);
        }
        assert_ne!(blocking(|| thread::current().id()).await.unwrap(), this);
    }
}
