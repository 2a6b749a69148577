//! The real time.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::Timestamp;

/// The computer's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemClock;

impl unit::Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one clock that knows the real time")]
    fn now(&self) -> Timestamp {
        // A clock before 1970 is as good as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_millis() as u64)
    }
}
