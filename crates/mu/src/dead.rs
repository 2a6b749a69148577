//! Dead letters: what was given up, and why. Kept for whoever operates the unit, to be tried again.

use std::ops::Bound;

use bytes::Bytes;
use protocol::{DataItem, Timestamp};
use store::{Batch, Order, Space, Store};
use unit::{Code, DeadLetter, Error, OutboxEntry, Result, Trace};

use crate::codec::{Reader, Writer};
use crate::step::Step;
use crate::task::{Chain, Task, Work};
use crate::{Unit, internal, trace};

/// Number of a task → what it was, and why it is dead.
pub(crate) const DEAD: Space = Space("mu.dead");
/// Number of a task → the item's bytes, or the beginning of an element that is no item.
const BODY: Space = Space("mu.dead.body");
/// Bytes of a body that a list shows.
const BODY_SHOWN: usize = 1024;
/// Number of a task → the task, without its item. Elements that could not become a task have none.
const WORK: Space = Space("mu.dead.task");

/// Something that is given up.
pub(crate) struct Burial<'a> {
    /// What it was; its `error` says why it is dead.
    pub(crate) row: &'a Trace,
    pub(crate) at: Timestamp,
    /// To try it again.
    pub(crate) task: Option<&'a Task>,
    /// The item's bytes, or the beginning of what could not become one.
    pub(crate) body: Option<Bytes>,
}

pub(crate) fn put(batch: &mut Batch, number: u64, burial: Burial<'_>) {
    let Burial { row, at, task, body } = burial;
    let key = Task::key(number);
    let failures = task.map_or(0, |task| task.failures);
    let mut value = Writer::default();
    value.number(at.0).bytes(&trace::encode(row)).number(failures.into());
    batch.put(DEAD, key.clone(), value.done());
    if let Some(task) = task {
        batch.put(WORK, key.clone(), task.encode());
    }
    if let Some(body) = body {
        batch.put(BODY, key, body);
    }
}

/// Those after a number, oldest first.
pub(crate) fn list(
    store: &dyn Store,
    after: u64,
    limit: usize,
) -> std::result::Result<Vec<OutboxEntry>, store::Error> {
    let from = after.to_be_bytes();
    let page = store.scan(DEAD, (Bound::Excluded(&from), Bound::Unbounded), Order::Ascending, limit)?;
    let mut dead = Vec::with_capacity(page.len());
    for (key, row) in &page {
        let mut input = Reader(row);
        let (Some(number), Some(at)) = (Task::number_in(key), input.number()) else { continue };
        let Some(trace) = input.bytes().and_then(trace::decode) else { continue };
        let failures = input.number().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        let (body, can_retry) = (store.get(BODY, key)?, store.get(WORK, key)?.is_some());
        // A page of whole items could be anything long.
        let body = body.map(|body| Bytes::copy_from_slice(&body[..body.len().min(BODY_SHOWN)]));
        let letter = DeadLetter { at: Timestamp(at), can_retry, body };
        dead.push(OutboxEntry { number, trace, failures, dead: Some(letter) });
    }
    Ok(dead)
}

/// Drops the oldest, for there are more than may be. Answers with how many.
pub(crate) fn drop_oldest(store: &dyn Store, batch: &mut Batch, n: usize) -> usize {
    let oldest =
        store.scan(DEAD, (Bound::Unbounded, Bound::Unbounded), Order::Ascending, n).unwrap_or_default();
    for (key, _) in &oldest {
        forget(batch, key.clone());
    }
    if !oldest.is_empty() {
        tracing::warn!(n = oldest.len(), "the list of dead letters is full: its oldest entries are dropped");
    }
    oldest.len()
}

fn forget(batch: &mut Batch, key: Bytes) {
    for space in [DEAD, BODY, WORK] {
        batch.delete(space, key.clone());
    }
}

impl Unit {
    /// Promises again what was given up.
    pub(crate) async fn retry(&self, number: u64) -> Result<()> {
        // Until the letter is gone from the disk nobody else may take it up.
        let _one_at_a_time = self.retries.lock().await;
        let (store, key) = (&self.ports.store, Task::key(number));
        if store.get(DEAD, &key).map_err(internal)?.is_none() {
            return Err(Error::not_found(format!("there is no dead letter {number}"))
                .with_hint("`pirn outbox --dead` lists them; what was retried has left the list"));
        }
        let task = store.get(WORK, &key).map_err(internal)?;
        let Some(Task { work, chain, .. }) = task.and_then(|row| Task::decode(number, &row)) else {
            let what = format!("dead letter {number} is an element of an outbox that was never a message");
            return Err(Error::refused(what)
                .with_code(Code::NO_RETRY)
                .with_hint("the process has to send it otherwise; its reason says what is wrong with it"));
        };
        let item = match &work {
            Work::Send { .. } => {
                let bytes = store.get(BODY, &key).map_err(internal)?;
                // Its signature was made, or checked, before the bytes were written down.
                let item = bytes.and_then(|bytes| DataItem::parse_trusted(bytes).ok());
                Some(item.ok_or_else(|| {
                    Error::refused(format!("the bytes of dead letter {number} are not on the disk any more"))
                        .with_code(Code::NO_RETRY)
                })?)
            }
            Work::Assign(_) | Work::Push { .. } => None,
        };
        let mut step = Step::at(self.now());
        // It waits from now on.
        let chain = Chain { since: step.now, ..chain };
        step.promise(work, chain, item, None);
        step.raised += 1;
        forget(&mut step.batch, key);
        self.queue.commit(step);
        self.queue.flush().await.map_err(internal)
    }
}
