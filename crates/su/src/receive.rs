//! What an item must be before it gets a slot. Looks at the item alone; the order of the checks is the order in which
//! a client is told.

use protocol::{Address, DataItem, Item, Process, ProcessId, tag};

use crate::Error;

/// What an item is to a scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It starts a process.
    Process {
        /// Its id.
        process: ProcessId,
        /// What it evaluates first, where that is something on the weave.
        on_boot: Option<String>,
    },
    /// It is a message for a process, which may or may not be known here.
    Message {
        /// Its target.
        process: ProcessId,
    },
}

/// Says what `item` is to the scheduler whose wallet is `ours`, or why it gets no slot. Size and signature are
/// checked already.
pub(crate) fn admit(item: &Item, ours: Address) -> Result<Admitted, Error> {
    let id = item.id;
    if let Some(link) = item.tags.iter().find(|tag| is_link(&tag.name) || is_link(&tag.value)) {
        return Err(Error::LinkTag { id, name: link.name.clone() });
    }
    if item.tags.first(tag::DATA_PROTOCOL).is_none() {
        return Err(Error::NoDataProtocol { id });
    }
    match item.kind() {
        Some("Process") => admit_process(item, ours),
        Some("Message") => match item.target {
            Some(target) => Ok(Admitted::Message { process: target.into() }),
            None => Err(Error::NoTarget { id }),
        },
        other => Err(Error::Type { id, kind: other.unwrap_or_default().to_owned() }),
    }
}

/// Refuses what is larger than the operator accepts, before any of it is hashed.
pub(crate) fn check_size(item: &DataItem, max: usize) -> Result<(), Error> {
    let size = item.bytes().len();
    if size > max { Err(Error::ItemTooLarge { id: item.id, size, max }) } else { Ok(()) }
}

/// Fields that an assignment leaves out: they become tags, so they obey the bounds of tags.
pub(crate) fn check_exclude(id: protocol::Id, exclude: &[String], max: usize) -> Result<(), Error> {
    const FIELD_BYTES_MAX: usize = 64;
    if exclude.len() > max {
        return Err(Error::Exclude { id, why: "exclude names too many fields" });
    }
    if exclude.iter().any(|field| field.is_empty() || field.len() > FIELD_BYTES_MAX) {
        return Err(Error::Exclude { id, why: "exclude has a field name that is empty or too long" });
    }
    Ok(())
}

fn admit_process(item: &Item, ours: Address) -> Result<Admitted, Error> {
    let process = Process::try_from(item).map_err(|why| Error::NotAProcess { id: item.id, why })?;
    if process.scheduler != ours {
        return Err(Error::OtherScheduler { process: process.id, named: process.scheduler, ours });
    }
    let on_boot = item.tags.first(tag::ON_BOOT).filter(|&value| value != "Data").map(str::to_owned);
    Ok(Admitted::Process { process: process.id, on_boot })
}

/// HyperBEAM reads such names as references; an item that has one means different things there and here.
fn is_link(text: &str) -> bool {
    text.ends_with("+link")
}
