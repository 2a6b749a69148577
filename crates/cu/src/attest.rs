//! Signed outcomes: an evaluation of a process, its place in the history, and this unit's word for both.

use std::sync::Arc;

use protocol::{Attestation, Digest, ProcessId, Slot};
use tokio::sync::Semaphore;
use unit::{Code, Error, Evaluation, History, Result};

use crate::history::End;
use crate::line::Shared;
use crate::subject::refused;

/// Signs an evaluation that is done.
pub(crate) async fn attest(
    shared: &Arc<Shared>,
    past: &Semaphore,
    process: ProcessId,
    of: Evaluation,
    with_state: bool,
) -> Result<Attestation> {
    let histories = shared.results.histories();
    let end = histories.end(process)?;
    let (size, root) = (end.frontier.size(), end.frontier.root());
    let index = match of {
        Evaluation::Leaf(index) => Some(index).filter(|index| *index < size),
        Evaluation::Message(message) => {
            let slot = shared.find(process, message).await?.assignment.slot;
            histories.index_of(process, slot, size)?
        }
    };
    let index = index.ok_or_else(|| match shared.results.began_after(process) {
        Ok(Some(slot)) => no_history(process, slot),
        Ok(None) => none(process, of, size),
        Err(error) => error,
    })?;
    let leaf = histories.leaf(process, index)?;
    let state_root = match with_state && leaf.state_root.is_none() {
        false => None,
        true if leaf.cron.is_some() => {
            return Err(Error::invalid(format!("evaluation {index} of {process} is a cron's"))
                .with_hint("state roots can be had of the evaluations of slots"));
        }
        true => Some(state_root(shared, past, process, leaf.slot).await?),
    };
    let path = histories.inclusion(process, index, size)?;
    let wallet = shared.ports.wallet.clone();
    let sign = move || Attestation::sign(&wallet, leaf, (index, size, root), path, state_root);
    unit::blocking(sign).await?.map_err(|error| Error::internal(&error))
}

/// Leaves from an index on.
pub(crate) fn history(shared: &Shared, process: ProcessId, from: u64, limit: usize) -> Result<History> {
    let histories = shared.results.histories();
    let End { frontier, .. } = histories.end(process)?;
    let left = frontier.size().saturating_sub(from);
    let limit = limit.min(shared.options.results_max).min(usize::try_from(left).unwrap_or(usize::MAX));
    let leaves = histories.page(process, from, limit)?;
    Ok(History { size: frontier.size(), root: frontier.root(), leaves })
}

/// What proves that the history only grew between two sizes of it.
pub(crate) fn consistency(shared: &Shared, process: ProcessId, from: u64, to: u64) -> Result<Vec<Digest>> {
    let histories = shared.results.histories();
    let size = histories.end(process)?.frontier.size();
    if from == 0 || from > to || to > size {
        return Err(Error::invalid(format!(
            "the history of {process} has {size} leaves, so none from {from} to {to}"
        ))
        .with_hint("0 < from <= to <= size"));
    }
    histories.consistency(process, from, to)
}

/// The root of the state right after a slot.
async fn state_root(
    shared: &Arc<Shared>,
    past: &Semaphore,
    process: ProcessId,
    slot: Slot,
) -> Result<Digest> {
    let mut forked = shared.fork_at(process, slot, past).await?;
    let permit = Arc::clone(&shared.gate).acquire_owned().await.map_err(|_| crate::evaluate::stopping())?;
    let root = unit::blocking(move || {
        let _permit = permit;
        forked.machine.root()
    });
    root.await?.map_err(|refusal| refused(&refusal))
}

/// What a checkpoint does not have.
fn no_history(process: ProcessId, slot: Slot) -> Error {
    let what = format!(
        "this unit started {process} from a checkpoint after slot {slot}, so it has no history of it to attest from"
    );
    let hint = "ask a unit that evaluated it from its beginning, or let this one: cu.checkpoints.start = false and an \
                empty state folder";
    Error::not_found(what).with_code(Code::NOT_EVALUATED).with_hint(hint)
}

fn none(process: ProcessId, of: Evaluation, size: u64) -> Error {
    let what = match of {
        Evaluation::Message(id) => format!("message {id} of process {process} is not evaluated here"),
        Evaluation::Leaf(index) => format!("process {process} has no evaluation {index}: there are {size}"),
    };
    Error::not_found(what).with_code(Code::NOT_EVALUATED).with_hint("ask for its result first")
}
