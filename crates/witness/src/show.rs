//! Shows schedulers what they forgot.
//!
//! In turn, and sooner where something was said that does not fit: each scheduler is asked how one of its processes
//! stands. If it holds all of them, they are looked at one after the other. What follows the tail that it knows is shown, in
//! the order of its slots, once for each hold.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::{Address, DataItem, Epoch, ProcessId, Slot};
use tokio::time::Instant;
use tracing::{error, info, warn};
use unit::{Code, Error, HeldProcess, Query, Result};

use crate::kept::{self, Mark};
use crate::{Shared, lock};

/// Turns that a scheduler is left alone which recovers no logs.
const DEAF_TURNS: u32 = 20;
/// Entries whose items one query asks the weave for: fifty of each kind make a page of any gateway.
const LOOKED_AT: usize = 50;
/// Queries about what the weave has, in one turn.
const LOOKS: usize = 32;

/// Looks at the schedulers, for as long as it is polled.
pub(crate) async fn watch(shared: Arc<Shared>) {
    let mut watch = Watch::new(shared);
    let interval = watch.shared.options.interval_ms.max(1);
    let shortest = watch.shared.options.pause_ms.clamp(1, interval);
    let mut pause = shortest;
    let mut turn = Instant::now() + Duration::from_millis(interval);
    loop {
        // Turns come first: one who holds for ever alarms for ever, and what the weave has must go all the same.
        let is_turn = tokio::select! {
            biased;
            () = tokio::time::sleep_until(turn) => true,
            () = watch.shared.alarm.notified() => false,
        };
        let did = watch.look().await;
        if is_turn {
            watch.release().await;
            turn = Instant::now() + Duration::from_millis(interval);
        }
        pause = if did { shortest } else { (pause * 2).min(interval) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// Who looks, and where it is.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    /// The process of each scheduler that was looked at last.
    turns: BTreeMap<Address, ProcessId>,
    /// Schedulers that recover no logs, and for how many turns that is believed.
    deaf: BTreeMap<Address, u32>,
    /// Up to where it was seen what the weave has.
    released: Option<(ProcessId, Slot)>,
}

impl Watch {
    pub(crate) fn new(shared: Arc<Shared>) -> Watch {
        Watch { shared, turns: BTreeMap::new(), deaf: BTreeMap::new(), released: None }
    }

    /// Looks at each scheduler once. Whether anything was shown.
    pub(crate) async fn look(&mut self) -> bool {
        // What is shown is read from the store.
        self.shared.flush().await;
        let doubted = std::mem::take(&mut *lock(&self.shared.doubted));
        let by_signer = lock(&self.shared.kept).by_signer();
        self.turns.retain(|signer, _| by_signer.contains_key(signer));
        self.deaf.retain(|signer, left| {
            *left = left.saturating_sub(1);
            *left > 0 && by_signer.contains_key(signer)
        });
        let mut did = false;
        for (signer, processes) in by_signer {
            if self.deaf.contains_key(&signer) {
                continue;
            }
            let first = doubted.iter().filter(|process| processes.binary_search(process).is_ok()).copied();
            match self.look_at(signer, &processes, first.collect()).await {
                Ok(shown) => did |= shown,
                Err(why) if why.kind.is_transient() => {
                    tracing::debug!(%signer, %why, "a scheduler cannot be shown what is kept of it, will try again");
                }
                Err(why) => {
                    tracing::debug!(%signer, %why, "a scheduler does not take what is kept of it");
                    self.deaf.insert(signer, DEAF_TURNS);
                }
            }
        }
        did
    }

    /// Looks at those processes of a scheduler that are doubted, and at the next one; at all of them if it holds them.
    async fn look_at(
        &mut self,
        signer: Address,
        all: &[ProcessId],
        first: VecDeque<ProcessId>,
    ) -> Result<bool> {
        let last = self.turns.get(&signer).copied();
        let from = last.map_or(0, |last| all.partition_point(|process| *process <= last));
        let mut in_turn = all.iter().cycle().skip(from).take(all.len()).copied();
        let mut processes = first;
        let turn = in_turn.next();
        processes.extend(turn);
        let (mut did, mut left, mut holds_all) = (false, self.shared.options.processes_max.max(1), false);
        if let Some(turn) = turn {
            self.turns.insert(signer, turn);
        }
        while let Some(process) = processes.pop_front()
            && left > 0
        {
            left -= 1;
            let state = self.shared.ports.scheduler.standing_of(process).await?;
            let general = state.general.map(|hold| hold.since);
            if let Some(held) = state.held.into_iter().find(|held| held.process == process) {
                did |= self.show(held).await?;
            }
            if general.is_some() && !holds_all {
                holds_all = true;
                let kept = lock(&self.shared.kept);
                processes.extend(
                    in_turn.by_ref().filter(|other| !kept.was_shown_since(*other, general)).take(left),
                );
            }
            if holds_all {
                self.turns.insert(signer, process);
            }
        }
        Ok(did)
    }

    /// Shows what is kept of a process and its scheduler does not have. Whether there was anything.
    async fn show(&self, held: HeldProcess) -> Result<bool> {
        let process = held.process;
        let since = held.hold.map(|hold| hold.since);
        let marks = {
            let kept = lock(&self.shared.kept);
            if kept.was_shown_since(process, since) {
                return Ok(false);
            }
            missing(&held, kept.from(process, held.tail.unwrap_or(Slot(0))), kept.contradicted(process))
        };
        if marks.is_empty() {
            lock(&self.shared.kept).tell(process, since);
            return Ok(false);
        }
        info!(%process, entries = marks.len(), "its scheduler does not have what it signed: it is shown that");
        let (mut rest, mut is_whole) = (VecDeque::from(marks), true);
        while !rest.is_empty() {
            let (mut shown, mut bytes, mut n) = (Vec::new(), 0, 0);
            while let Some((slot, mark)) = rest.front().copied()
                && (n == 0
                    || (n < self.shared.options.shown_max && bytes < self.shared.options.shown_bytes_max))
            {
                rest.pop_front();
                let Some(items) = self.read(process, slot, mark).await? else {
                    is_whole = false;
                    continue;
                };
                bytes += items.iter().map(|item| item.bytes().len()).sum::<usize>();
                n += usize::from(!items.is_empty());
                shown.extend(items);
            }
            if shown.is_empty() {
                continue;
            }
            match self.shared.ports.scheduler.show(process, shown).await {
                Ok(adopted) => {
                    self.shared.shown.fetch_add(adopted.adopted + adopted.kept, Ordering::Relaxed);
                    info!(%process, ?adopted, "its scheduler was shown what it had signed");
                }
                Err(why) if why.code == Code::CONTRADICTION => {
                    self.shared.contradictions.fetch_add(1, Ordering::Relaxed);
                    error!(%process, %why, "its scheduler signed two assignments for one slot");
                    break;
                }
                Err(why) => return Err(why),
            }
        }
        if is_whole {
            lock(&self.shared.kept).tell(process, since);
        }
        Ok(true)
    }

    /// An entry as it can be shown, unless it is on its way to the disk; nothing of it if it is not what it was taken for,
    /// and then it is kept no more.
    async fn read(&self, process: ProcessId, slot: Slot, mark: Mark) -> Result<Option<Vec<DataItem>>> {
        let store = self.shared.ports.store.clone();
        let read = unit::blocking(move || kept::read(&*store, process, slot)).await?;
        let items = match read.map_err(|error| crate::of_store(&error))? {
            None => return Ok(None),
            Some(items) => items,
        };
        if items.first().is_none_or(|signed| signed.id != mark.assignment) {
            warn!(%process, %slot, "what was kept is not what a scheduler signed, and is forgotten");
            lock(&self.shared.kept).drop_entry(process, slot, &mark);
            self.shared.work.notify_one();
            return Ok(Some(Vec::new()));
        }
        Ok(Some(items))
    }

    /// Forgets what the weave has deep enough; as much as it can be asked for in one turn, then what comes after.
    async fn release(&mut self) {
        for _ in 0..LOOKS {
            let marks = lock(&self.shared.kept).after(self.released, LOOKED_AT);
            let Some((process, slot, _)) = marks.last() else {
                self.released = None;
                return;
            };
            self.released = Some((*process, *slot));
            match self.deep(&marks).await {
                Ok(deep) => {
                    let mut kept = lock(&self.shared.kept);
                    for ((process, slot, mark), is_deep) in marks.iter().zip(deep) {
                        if is_deep {
                            kept.drop_entry(*process, *slot, mark);
                        }
                    }
                    self.shared.work.notify_one();
                }
                Err(why) => {
                    tracing::debug!(%why, "the weave does not say what it has");
                    return;
                }
            }
        }
    }

    /// Which of these the weave has deep enough, message and all.
    async fn deep(&self, marks: &[(ProcessId, Slot, Mark)]) -> Result<Vec<bool>, Error> {
        let weave = &self.shared.ports.weave;
        let ids: Vec<_> =
            marks.iter().flat_map(|(_, _, mark)| [mark.assignment].into_iter().chain(mark.message)).collect();
        let (tip, limit) = (weave.tip().await?.height, ids.len());
        let found = weave.query(Query { ids, limit, ..Query::default() }).await?.items;
        let depth = self.shared.options.depth;
        let deep = found
            .iter()
            .filter(|it| it.block.is_some_and(|at| tip.0 + 1 >= at.height.0.saturating_add(depth)));
        let deep: std::collections::BTreeSet<_> = deep.map(|found| found.item.id).collect();
        let has =
            |mark: &Mark| deep.contains(&mark.assignment) && mark.message.is_none_or(|id| deep.contains(&id));
        Ok(marks.iter().map(|(_, _, mark)| has(mark)).collect())
    }
}

/// What a scheduler does not have of that which is kept from its tail on: whatever comes later, and what it has
/// otherwise. An epoch that was ended counts no more.
fn missing(
    held: &HeldProcess,
    kept: Vec<(Slot, Mark)>,
    contradicted: Option<(Slot, Mark)>,
) -> Vec<(Slot, Mark)> {
    let is_missing = |slot: Slot, mark: &Mark| match held.tail {
        Some(tail) if slot == tail => Some(mark.assignment) != held.assignment,
        _ => true,
    };
    let is_current = |mark: &Mark| mark.epoch >= Epoch(held.epoch);
    let before = contradicted.filter(|(slot, _)| held.tail.is_some_and(|tail| *slot < tail));
    let after = kept.into_iter().filter(|(slot, mark)| is_missing(*slot, mark));
    before.into_iter().chain(after).filter(|(_, mark)| is_current(mark)).collect()
}
