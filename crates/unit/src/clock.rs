//! Time, as a unit is told it.

use protocol::Timestamp;

/// Tells the time. Only a node knows the real one; a simulation has its own.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now(&self) -> Timestamp;

    /// Whether it stands until somebody moves it. Then nothing is about to happen by itself, and everything that has
    /// happened can be seen.
    fn is_still(&self) -> bool {
        false
    }
}
