//! What fails waits on the disk when memory is scarce: whoever never answers holds up nobody but himself.
//!
//! Tasks wait in groups, because their order counts: a lane of deliveries, or the pushes of a process. What comes for a
//! group that waits, waits with it. When its time has come a group is read from the disk again, like after a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::ProcessId;

use crate::deliver::Lane;
use crate::task::Task;
use crate::{Unit, lock};

/// Tasks whose order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// From one sender to one receiver.
    Lane(Lane),
    /// The outcomes of one process.
    Pushes(ProcessId),
}

/// The groups that wait, and the numbers of their tasks.
#[derive(Default)]
pub(crate) struct Parked(Mutex<BTreeMap<Group, Vec<u64>>>);

impl Unit {
    /// Whether what fails now should wait on the disk.
    pub(crate) fn should_park(&self) -> bool {
        self.queue.is_crowded()
    }

    /// Has tasks of a group wait on the disk. Whoever has others of it in memory parks them after this: what comes in
    /// between is still added there, or waits already.
    pub(crate) fn park(self: &Arc<Self>, group: Group, numbers: &[u64], wait: Duration) {
        let numbers = self.queue.park(numbers);
        let mut parked = lock(&self.parked.0);
        let is_new = !parked.contains_key(&group);
        parked.entry(group).or_default().extend(numbers);
        drop(parked);
        if is_new {
            self.spawn(|unit| async move {
                if unit.life.wait(wait).await {
                    let numbers = lock(&unit.parked.0).remove(&group);
                    unit.queue.unpark(numbers.unwrap_or_default());
                }
            });
        }
    }

    /// Has a task wait with its group, if that waits; else does with it what is to be done, before the group can begin to
    /// wait. Answers with what came of that.
    pub(crate) fn unless_parked<R>(
        &self,
        group: Group,
        task: Task,
        add: impl FnOnce(Task) -> R,
    ) -> Option<R> {
        let mut parked = lock(&self.parked.0);
        match parked.get_mut(&group) {
            Some(numbers) => {
                numbers.extend(self.queue.park(&[task.number]));
                None
            }
            None => Some(add(task)),
        }
    }
}
