//! A schedule: what happened to one process, in which order. Slots start at 0 and have no gaps, and each
//! assignment's hash chain covers all before it.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::id::{Id, ProcessId};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<u64> for $name {
            fn from(n: u64) -> Self {
                $name(n)
            }
        }
    };
}

number! {
    /// A place in a schedule. `Nonce` on the wire.
    Slot
}
number! {
    /// Always 0 in `ao.TN.1`.
    Epoch
}
number! {
    /// Milliseconds since 1970. Strictly increasing within one schedule.
    Timestamp
}
number! {
    /// A block's height on the weave.
    Height
}

impl Slot {
    /// The slot after this one.
    pub fn next(self) -> Slot {
        Slot(self.0 + 1)
    }
}

impl Height {
    /// As in `Block-Height` tags: 12 digits.
    pub fn padded(self) -> String {
        format!("{:012}", self.0)
    }
}

/// Covers everything before a slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashChain(pub [u8; 32]);

impl HashChain {
    /// The chain at slot 0: SHA-256 of the process id.
    pub fn start(process: ProcessId) -> HashChain {
        HashChain(Sha256::digest(process.0.0).into())
    }

    /// The chain at the slot after `assignment`, whose own chain this is.
    pub fn after(self, assignment: Id) -> HashChain {
        HashChain(Sha256::new().chain_update(assignment.0).chain_update(self.0).finalize().into())
    }
}

impl fmt::Display for HashChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Id(self.0).fmt(f)
    }
}

impl fmt::Debug for HashChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
