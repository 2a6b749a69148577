//! A process: the item that starts it, and what its tags ask for.

use crate::id::{Address, ModuleId, ProcessId};
use crate::item::Item;
use crate::tag;

/// A Process item, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The item's id.
    pub id: ProcessId,
    /// What it runs.
    pub module: ModuleId,
    /// The wallet of its scheduler unit.
    pub scheduler: Address,
    /// Wallets that may speak for other processes: its `Authority` tags, repeated or with commas. What is no
    /// address is left out: the tag is the process's own affair.
    pub authorities: Vec<Address>,
}

/// Why an item is no process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAProcess {
    /// `Type` is something else.
    #[error("its Type is {0:?}, not Process")]
    Type(String),
    /// A tag is absent.
    #[error("it has no {0} tag")]
    Missing(&'static str),
    /// A tag is there but names nothing.
    #[error("its {name} tag {value:?} is not an id of 43 base64url characters")]
    Malformed {
        /// Which tag.
        name: &'static str,
        /// What it says.
        value: String,
    },
}

impl TryFrom<&Item> for Process {
    type Error = NotAProcess;

    fn try_from(item: &Item) -> Result<Process, NotAProcess> {
        match item.kind() {
            Some("Process") => {}
            other => return Err(NotAProcess::Type(other.unwrap_or_default().to_owned())),
        }
        let id_of = |name: &'static str| {
            let value = item.tags.first(name).ok_or(NotAProcess::Missing(name))?;
            value.parse().map_err(|_| NotAProcess::Malformed { name, value: value.to_owned() })
        };
        Ok(Process {
            id: item.id.into(),
            module: ModuleId(id_of(tag::MODULE)?),
            scheduler: Address(id_of(tag::SCHEDULER)?),
            authorities: item
                .tags
                .all(tag::AUTHORITY)
                .flat_map(|value| value.split(','))
                .filter_map(|address| address.trim().parse().ok())
                .collect(),
        })
    }
}
