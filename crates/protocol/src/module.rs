//! A module: a program that processes run, published on the weave.

use bytes::Bytes;

use crate::id::{Address, ModuleId};
use crate::tag::Tags;

/// A module as the weave has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The id of its item or transaction.
    pub id: ModuleId,
    /// Who published it.
    pub owner: Address,
    /// Its tags; `Module-Format`, limits and encodings among them.
    pub tags: Tags,
    /// The program.
    pub data: Bytes,
}
