//! One step of the queue: what happens to tasks together, or not at all.

use bytes::Bytes;
use protocol::{DataItem, Timestamp};
use store::{Batch, Space};
use unit::Trace;

use crate::dead::{self, Burial};
use crate::task::{Chain, ITEM, RETRY, Retry, TASK, Task, Work};
use crate::trace::{self, TRACE};

/// A key and the value that it gets.
pub(crate) type Mark = ((Space, Bytes), Bytes);

/// What becomes durable together.
#[derive(Default)]
pub(crate) struct Step {
    pub(crate) fresh: Vec<Fresh>,
    pub(crate) notes: Vec<(Trace, Bytes)>,
    pub(crate) finished: Vec<u64>,
    pub(crate) buried: usize,
    /// How many were dead and are no more.
    pub(crate) raised: usize,
    pub(crate) marks: Vec<Mark>,
    pub(crate) batch: Batch,
    pub(crate) now: Timestamp,
}

/// A task that is promised.
pub(crate) struct Fresh {
    pub(crate) work: Work,
    pub(crate) chain: Chain,
    pub(crate) item: Option<DataItem>,
    /// Index in the step of the task that must be delivered before.
    pub(crate) after: Option<usize>,
}

impl Step {
    /// An empty step, at `now`.
    pub(crate) fn at(now: Timestamp) -> Step {
        Step { now, ..Step::default() }
    }

    /// Promises a task. Answers with its index in this step.
    pub(crate) fn promise(
        &mut self,
        work: Work,
        chain: Chain,
        item: Option<DataItem>,
        after: Option<usize>,
    ) -> usize {
        self.fresh.push(Fresh { work, chain, item, after });
        self.fresh.len() - 1
    }

    /// The task is done.
    pub(crate) fn finish(&mut self, task: &Task) {
        self.forget(task);
        if task.failures > 0 {
            self.batch.put(TRACE, Task::key(task.number), trace::encode(&trace::of(task, None)));
        }
    }

    /// The task is as if it had never been promised.
    pub(crate) fn withdraw(&mut self, task: &Task) {
        self.forget(task);
        self.batch.delete(TRACE, Task::key(task.number));
    }

    /// The task will not be carried out.
    pub(crate) fn bury(&mut self, task: &Task, body: Option<Bytes>, why: &str) {
        let row = trace::of(task, Some(why));
        self.batch.put(TRACE, Task::key(task.number), trace::encode(&row));
        let burial = Burial { row: &row, at: self.now, task: Some(task), body };
        dead::put(&mut self.batch, task.number, burial);
        self.buried += 1;
        self.forget(task);
    }

    /// Something that could not even become a task. `row` says of what message, and why.
    pub(crate) fn refuse(&mut self, row: Trace, body: Bytes) {
        self.notes.push((row, body));
    }

    /// The task failed once more, and stays.
    pub(crate) fn fail(&mut self, task: &Task, why: &str) {
        let key = Task::key(task.number);
        let retry = Retry { failures: task.failures, not_found: task.not_found, error: why.to_owned() };
        self.batch.put(RETRY, key.clone(), retry.encode());
        self.batch.put(TRACE, key, trace::encode(&trace::of(task, Some(why))));
    }

    /// Sets a key that [`Queue::mark`] sees at once.
    pub(crate) fn mark(&mut self, space: Space, key: Bytes, value: Bytes) {
        self.batch.put(space, key.clone(), value.clone());
        self.marks.push(((space, key), value));
    }

    /// Sets any other key.
    pub(crate) fn put(&mut self, space: Space, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.batch.put(space, key, value);
    }

    fn forget(&mut self, task: &Task) {
        let key = Task::key(task.number);
        self.batch.delete(TASK, key.clone());
        if matches!(task.work, Work::Send { .. }) {
            self.batch.delete(ITEM, key.clone());
        }
        if task.failures > 0 {
            self.batch.delete(RETRY, key);
        }
        self.finished.push(task.number);
    }
}
