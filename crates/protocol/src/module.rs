//! A module: a program that processes run, published on the weave.

use bytes::Bytes;

use crate::id::{Address, Id, ModuleId};
use crate::item::Item;
use crate::tag::{self, Tags};

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

/// Why an item is no module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAModule {
    /// It belongs to other protocols.
    #[error("{0} is no module: none of its Data-Protocol tags is ao")]
    Protocol(Id),
    /// `Type` is something else.
    #[error("{id} is no module: its Type is {kind:?}")]
    Type {
        /// Which item.
        id: Id,
        /// What it says.
        kind: String,
    },
}

impl Module {
    /// What its data is: `wasm64-unknown-emscripten-draft_2024_02_15` and the like.
    pub fn format(&self) -> Option<&str> {
        self.tags.first(tag::MODULE_FORMAT)
    }
}

impl TryFrom<&Item> for Module {
    type Error = NotAModule;

    fn try_from(item: &Item) -> Result<Module, NotAModule> {
        if !item.is_ao() {
            return Err(NotAModule::Protocol(item.id));
        }
        match item.kind() {
            Some("Module") => {}
            other => {
                return Err(NotAModule::Type { id: item.id, kind: other.unwrap_or_default().to_owned() });
            }
        }
        Ok(Module {
            id: item.id.into(),
            owner: item.address(),
            tags: item.tags.clone(),
            data: item.data.clone(),
        })
    }
}
