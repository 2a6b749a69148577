//! WeaveDrive: what a machine asks for when its guest opens a path of the weave (`protocol/04b-wasm-host.md`
//! section 4b.8).
//!
//! A runtime knows no weave. Whoever has one implements [`Drive`], and promises that the same evaluation is answered the
//! same, whenever it is repeated: what cannot be answered for certain is a [`Refusal`], never an answer.

use std::fmt;

use bytes::Bytes;
use protocol::Id;

use crate::Refusal;

/// The most bytes that one evaluation reads from the weave. A rule of the evaluation and no option, so that all operators
/// agree.
pub const DRIVE_BYTES_MAX: u64 = 1 << 30;

/// How often one evaluation may open something of the weave. A rule of the evaluation, too.
pub const DRIVE_OPENS_MAX: u64 = 1024;

/// Operators that an open counts as, in formats that are not metered by the module itself.
pub const DRIVE_OPEN_OPERATORS: u64 = 100_000;

/// Bytes of the weave that count as one operator, in those formats.
pub const DRIVE_BYTES_PER_OPERATOR: u64 = 4;

/// Reads the weave for the machines of one process.
pub trait Drive: fmt::Debug + Send + Sync {
    /// Opens a path, `/data/<id>`, `/tx/<id>` or `/block/<height>`, for the evaluation of `message`, which is `JSON-1`.
    fn open(&self, message: &str, path: &str) -> Result<Opened, Unopened>;

    /// Bytes `at` and after of what [`Opened::Data`] named; at least one and at most `max`. `at` is before its end.
    fn read(&self, id: Id, at: u64, max: usize) -> Result<Bytes, Refusal>;
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// Nothing that this process may read: the guest is told that there is no such file.
    NotAvailable,
    /// The data of a transaction or an item, read piece by piece.
    Data {
        /// Whose.
        id: Id,
        /// How many bytes.
        size: u64,
    },
    /// A header: the whole text.
    Text(Bytes),
}

/// Why there is no answer to an open.
#[derive(Debug)]
pub enum Unopened {
    /// The process asks for what no operator gives: its evaluation fails.
    Failed(String),
    /// Not here, or not now.
    Refused(Refusal),
}
