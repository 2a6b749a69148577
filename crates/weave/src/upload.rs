//! Items on their way in: verified, numbered, written down with their index, and then acknowledged.

use std::sync::Arc;

use protocol::{Address, DataItem, Id, Tags, tag};
use store::{Appended, Batch};
use tracing::debug;
use unit::Kind;

use crate::core::Core;
use crate::keys::{DATA, FIND, HEAD, ORDER, Place, Term, UNPACK};
use crate::record::{Head, Line, Source, What};
use crate::{Error, data, unpack};

/// Takes an item in. When this returns, it survives a crash and can be found.
pub(crate) async fn upload(core: &Arc<Core>, item: DataItem) -> unit::Result<()> {
    let (size, max) = (item.bytes().len() as u64, core.options.item_bytes_max);
    if size > max {
        let what = format!("item {} has {size} bytes; at most {max} are accepted", item.id);
        return Err(unit::Error::new(Kind::TooLarge, what));
    }
    item.verify()
        .map_err(|error| unit::Error::invalid(error.to_string()).with_code(unit::Code::SIGNATURE))?;
    let is_bundle = is_bundle(&item.tags);
    let Some((ticket, appended)) = start(core, &item, is_bundle)? else {
        return Ok(known(core, item.id).await?);
    };
    core.land(ticket, appended).await?;
    debug!(item = %item.id, "kept an item");
    core.work.notify_one();
    if is_bundle {
        unpack::now_or_soon(core, item.id, size).await?;
    }
    Ok(())
}

/// Something that was sent before may be here and not be durable: whoever sends it again is told no sooner than the
/// first, and that it failed if it did.
pub(crate) async fn known(core: &Core, id: Id) -> Result<(), Error> {
    core.barrier().await?;
    match core.head(id)? {
        Some(_) => Ok(()),
        None => Err(Error::Lost(id)),
    }
}

/// How many pieces of data are written down at once.
const PIECES: usize = 16;

/// Gives an item its number and has it written down; `None` if it is known.
fn start(core: &Core, item: &DataItem, is_bundle: bool) -> Result<Option<(u64, Appended)>, Error> {
    let id = item.id.as_bytes().to_vec();
    let terms = Terms::of(item.address(), item.target, &item.tags);
    let data_size = item.data.len() as u64;
    let what = What::Item(Head::prefix(item));
    let (received, received_at) = core.now();
    let mut state = core.state();
    if state.flight.has(item.id) || core.head(item.id)?.is_some() {
        return Ok(None);
    }
    let place = Place::of(state.next);
    let head = Head { place, received, received_at, data_size, source: Source::Own, parent: None, what };
    let mut batch = Batch::new();
    for (index, piece) in data::pieces(&item.data).enumerate() {
        batch.put(DATA, data::piece_key(item.id, index as u32), piece);
        if index % PIECES == PIECES - 1 {
            // Need not be waited for: batches become durable in order, and until the last one nobody sees this.
            drop(core.store.append(std::mem::take(&mut batch)));
        }
    }
    put(&mut batch, item.id, &head, &terms);
    if is_bundle {
        batch.put(UNPACK, id, Vec::new());
    }
    state.next += 1;
    let ticket = state.flight.start([item.id]);
    Ok(Some((ticket, core.store.append(batch))))
}

/// Writes down an item or a transaction, its place, and how to find it.
pub(crate) fn put(batch: &mut Batch, id: Id, head: &Head, terms: &Terms) {
    let line = Line { id, item_size: head.item_size() };
    batch.put(HEAD, id.as_bytes().to_vec(), head.write());
    batch.put(ORDER, head.place.key().to_vec(), line.write());
    for term in &terms.0 {
        batch.put(FIND, term.key(head.place).to_vec(), id.as_bytes().to_vec());
    }
    if let Some(bundle) = head.parent {
        batch.put(FIND, Term::bundle(bundle).key(head.place).to_vec(), id.as_bytes().to_vec());
    }
}

/// Takes back what [`put`] wrote.
pub(crate) fn unput(batch: &mut Batch, id: Id, head: &Head, terms: &Terms) {
    batch.delete(HEAD, id.as_bytes().to_vec());
    batch.delete(ORDER, head.place.key().to_vec());
    let bundle = head.parent.map(Term::bundle);
    for term in terms.0.iter().chain(&bundle) {
        batch.delete(FIND, term.key(head.place).to_vec());
    }
}

/// What something can be found by.
pub(crate) struct Terms(Vec<Term>);

impl Terms {
    pub(crate) fn of(owner: Address, target: Option<Id>, tags: &Tags) -> Terms {
        let mut terms: Vec<Term> = tags.iter().map(|tag| Term::tag(&tag.name, &tag.value)).collect();
        terms.push(Term::owner(owner));
        terms.extend(target.map(Term::recipient));
        terms.sort_unstable();
        terms.dedup();
        Terms(terms)
    }
}

/// Whether the tags say that the data is a bundle that we can read.
pub(crate) fn is_bundle(tags: &Tags) -> bool {
    tags.first(tag::BUNDLE_FORMAT) == Some("binary") && tags.first(tag::BUNDLE_VERSION) == Some("2.0.0")
}
