//! Dry runs and states: looks at a copy of a machine that is thrown away after.
//!
//! The machine itself is held up for the moment of copying it. Nothing is remembered of a dry run, so the next one
//! sees what has happened in between.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{Id, Outcome, ProcessId, Slot, Timestamp};
use tokio::sync::Semaphore;
use unit::{DryRun, Error, Result, StateAt};

use crate::evaluate::{last_of, settled};
use crate::input;
use crate::line::{Forked, Shared};
use crate::subject::refused;

/// What a message would do now, or after the message `at`.
pub(crate) async fn dry_run(
    shared: &Arc<Shared>,
    past: &Semaphore,
    process: ProcessId,
    message: DryRun,
    at: Option<Id>,
) -> Result<Outcome> {
    let forked = match at {
        None => fork_head(shared, process).await?,
        Some(id) => {
            let slot = shared.find(process, id).await?.assignment.slot;
            shared.fork_at(process, slot, past).await?
        }
    };
    let Forked { mut machine, position, subject, .. } = forked;
    aside(shared, move || {
        let (timestamp, height) = last_of(position.as_ref(), &subject);
        let input = input::dry_run(process, message, timestamp.0, height.0);
        machine.handle(&input).map(settled).map_err(|refusal| refused(&refusal))
    })
    .await
}

/// The memory of a process now, or as of the newest evaluation not after `to`.
pub(crate) async fn state(
    shared: &Arc<Shared>,
    past: &Semaphore,
    process: ProcessId,
    to: Option<Timestamp>,
) -> Result<StateAt> {
    let forked = match to {
        None => fork_head(shared, process).await?,
        Some(to) => {
            let latest = shared.patiently(|| shared.ports.scheduler.latest(process)).await?;
            if latest.assignment.timestamp <= to {
                shared.fork(process, latest.assignment.slot).await?
            } else {
                let slot = slot_at(shared, process, latest.assignment.slot, to).await?;
                shared.fork_at(process, slot, past).await?
            }
        }
    };
    let Forked { mut machine, position, subject, .. } = forked;
    aside(shared, move || {
        let memory = machine.memory().map_err(|refusal| refused(&refusal))?;
        let (timestamp, block_height) = last_of(position.as_ref(), &subject);
        let ordinate = position.map_or(0, |position| position.slot.0);
        Ok(StateAt { memory: Bytes::from(memory.to_dense()), timestamp, ordinate, block_height })
    })
    .await
}

async fn fork_head(shared: &Arc<Shared>, process: ProcessId) -> Result<Forked> {
    let latest = shared.patiently(|| shared.ports.scheduler.latest(process)).await?;
    shared.fork(process, latest.assignment.slot).await
}

/// The newest slot with a timestamp not after `to`, which lies before that of `last`.
async fn slot_at(shared: &Shared, process: ProcessId, last: Slot, to: Timestamp) -> Result<Slot> {
    // Timestamps increase with slots: the slot before `low` is not after `to`, the slot `high` is.
    let (mut low, mut high) = (0, last.0);
    while low < high {
        let middle = low + (high - low) / 2;
        match shared.listed(process, Slot(middle)).await?.assignment.timestamp <= to {
            true => low = middle + 1,
            false => high = middle,
        }
    }
    low.checked_sub(1)
        .map(Slot)
        .ok_or_else(|| Error::not_found(format!("process {process} began after {to}")))
}

/// Runs something that may take long, when it is its turn.
async fn aside<T: Send + 'static>(
    shared: &Shared,
    run: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let permit = Arc::clone(&shared.gate).acquire_owned().await.map_err(|_| crate::evaluate::stopping())?;
    let done = shared.hands.run(move || {
        let _permit = permit;
        run()
    });
    done.await?
}
