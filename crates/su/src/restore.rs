//! Reads from the weave what this scheduler settled there, and adopts it: for a log that was lost, or brought back from
//! a backup. What is there already is not read again, so it goes on where it was interrupted.
//!
//! Every assignment and every message is verified before it is adopted. A few at a time are in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use protocol::{Assignment, DataItem, Id, ProcessId, Slot, tag};
use tracing::{info, warn};
use unit::{Adopted, Problem, Query, Sort, TagFilter, Weave};

use crate::adopt::{Seen, Source};
use crate::entry::Entry;
use crate::height::ask;
use crate::held::Wanted;
use crate::ledger::{Ledger, lock};
use crate::{Error, receive};

/// Slots that one query asks for.
const WINDOW: u64 = 64;
/// Entries that are fetched, verified and adopted at once: each may be as large as an item.
const AT_ONCE: usize = 16;
/// Processes of one page of those that the weave knows.
const PROCESSES: usize = 100;
/// Problems that are kept to be told.
const PROBLEMS_MAX: usize = 100;

/// Reads schedules from the weave, when it is told to.
#[derive(Clone)]
pub(crate) struct Restorer {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) weave: Arc<dyn Weave>,
}

impl Restorer {
    /// Does what is wanted, until the store fails.
    pub(crate) async fn run(self) {
        let options = &self.ledger.options;
        let (first, longest) = (options.settle_retry_ms.max(1), options.settle_retry_max_ms.max(1));
        let mut pause = first;
        loop {
            let answer = match self.ledger.begin(&*self.weave).await {
                Ok(()) => self.round().await,
                Err(why) => Err(why),
            };
            lock(&self.ledger.holds.restoring).running = false;
            match answer {
                Ok(()) => {
                    pause = first;
                    self.ledger.holds.told.notified().await;
                }
                Err(Error::Store(_) | Error::Poisoned) => return,
                Err(why) => {
                    let why = unit::Error::from(why);
                    if pause == first {
                        warn!(error = %why, "cannot read from the weave what this scheduler signed, will try again");
                    }
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    /// Everything that is wanted, once. What fails because the weave is away is wanted again.
    async fn round(&self) -> Result<(), Error> {
        let holds = &self.ledger.holds;
        let Wanted { all, processes } = std::mem::take(&mut *lock(&holds.wanted));
        if !all && processes.is_empty() {
            return Ok(());
        }
        lock(&holds.restoring).running = true;
        for process in processes {
            if let Err(why) = self.one(process).await {
                holds.want(Some(process));
                return Err(why);
            }
        }
        if all && let Err(why) = self.all().await {
            lock(&holds.wanted).all = true;
            return Err(why);
        }
        let mut restoring = lock(&holds.restoring);
        restoring.rounds += u64::from(all);
        info!(slots = restoring.slots, processes = restoring.processes, "read what the weave knows");
        Ok(())
    }

    /// Every process that has a slot 0 on the weave.
    async fn all(&self) -> Result<(), Error> {
        lock(&self.ledger.holds.restoring).problems.clear();
        let mut after = None;
        loop {
            let mut query = self.assignments_with(&[(tag::NONCE, vec!["0".to_owned()])]);
            (query.after, query.limit) = (after, PROCESSES);
            let page = self.ask(self.weave.query(query)).await?;
            for found in &page.items {
                let process = found.item.tags.first(tag::PROCESS).and_then(|process| process.parse().ok());
                if let Some(process) = process {
                    self.one(process).await?;
                }
            }
            after = page.items.last().map(|last| last.cursor.clone());
            if !page.has_next || after.is_none() {
                return Ok(());
            }
        }
    }

    /// One process. What is wrong with it is told, and no error; the weave being away is one.
    async fn one(&self, process: ProcessId) -> Result<(), Error> {
        let done = self.restore(process).await;
        lock(&self.ledger.holds.restoring).processes += 1;
        let what = match done {
            Ok(None) => return Ok(()),
            Ok(Some(what)) => what,
            Err(
                why @ (Error::Store(_) | Error::Poisoned | Error::WeaveTimeout { .. } | Error::Busy { .. }),
            ) => {
                return Err(why);
            }
            Err(Error::Weave(why)) if why.kind.is_transient() => return Err(Error::Weave(why)),
            Err(why) => unit::Error::from(why).to_string(),
        };
        warn!(%process, what, "not everything of a process could be read from the weave");
        let mut restoring = lock(&self.ledger.holds.restoring);
        restoring.problems.push(Problem { process: Some(process), what });
        let over = restoring.problems.len().saturating_sub(PROBLEMS_MAX);
        restoring.problems.drain(..over);
        Ok(())
    }

    /// Adopts what the weave has after what is known. Answers with what is missing, if something is.
    async fn restore(&self, process: ProcessId) -> Result<Option<String>, Error> {
        loop {
            let next = self.next(process)?;
            let nonces = (next..next.saturating_add(WINDOW)).map(|slot| slot.to_string()).collect();
            let mut query = self.assignments_of(process, vec![(tag::NONCE, nonces)]);
            query.limit = 4 * WINDOW as usize;
            let found = self.ask(self.weave.query(query)).await?.items;
            let ids: Vec<Id> = found.iter().map(|found| found.item.id).collect();
            let assignments: Vec<_> = stream::iter(found)
                .map(|found| self.assignment(process, found.item.id, found.item))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            let mut assignments: Vec<(DataItem, Assignment)> = assignments.into_iter().flatten().collect();
            assignments.sort_by_key(|(_, assignment)| (assignment.slot, assignment.epoch));
            // Of two epochs, what the later one has counts; the earlier one ended before it.
            let mut latest = BTreeMap::new();
            for (_, assignment) in &assignments {
                let epoch = latest.entry(assignment.slot).or_insert(assignment.epoch);
                *epoch = (*epoch).max(assignment.epoch);
            }
            let mut epoch = protocol::Epoch(0);
            assignments.retain(|(_, assignment)| {
                epoch = epoch.max(latest[&assignment.slot]);
                assignment.epoch >= epoch
            });
            while !assignments.is_empty() {
                let some: Vec<_> = assignments.drain(..assignments.len().min(AT_ONCE)).collect();
                let seen = stream::iter(some).map(|(signed, assignment)| self.seen(signed, assignment));
                let seen: Vec<Seen> = seen.buffered(AT_ONCE).try_collect().await?;
                let adopted = self.ledger.adopt(process, seen, Source::Weave).await?;
                lock(&self.ledger.holds.restoring).slots += adopted.adopted;
            }
            self.follow(process).await?;
            if self.next(process)? == next {
                return self.beyond(process, next, ids.is_empty()).await;
            }
        }
    }

    /// Adopts what was shown earlier and can follow now.
    pub(crate) async fn follow(&self, process: ProcessId) -> Result<Adopted, Error> {
        let mut all = Adopted::default();
        loop {
            let next = Slot(self.next(process)?);
            let Some((_, bytes)) = self.ledger.shown_in(process, next)? else { return Ok(all) };
            let entry = Entry::decode(process, next, &bytes)?;
            let assignment = (*entry.scheduled.assignment).clone();
            let given = entry.message.into_iter().map(|message| (message.id, message)).collect();
            let seen = self.resolve(entry.assignment, assignment, &given, Source::Peer).await?;
            if seen.lacks_message {
                return Ok(all);
            }
            let adopted = self.ledger.adopt(process, vec![seen], Source::Peer).await?;
            all.adopted += adopted.adopted;
            all.void += adopted.void;
            if adopted.adopted == 0 {
                return Ok(all);
            }
        }
    }

    /// How far the weave shows that the schedule once was, where it cannot be followed to there.
    async fn beyond(&self, process: ProcessId, next: u64, has_none: bool) -> Result<Option<String>, Error> {
        let mut query = self.assignments_of(process, Vec::new());
        (query.sort, query.limit) = (Sort::Descending, 2 * WINDOW as usize);
        let found = self.ask(self.weave.query(query)).await?.items;
        let slot = |tags: &protocol::Tags| tags.first(tag::NONCE).and_then(|slot| slot.parse::<u64>().ok());
        let highest = found.into_iter().max_by_key(|found| slot(&found.item.tags));
        let Some(highest) = highest.filter(|it| slot(&it.item.tags).is_some_and(|slot| slot >= next)) else {
            return Ok(None);
        };
        let Some((signed, assignment)) =
            self.assignment(process, highest.item.id, highest.item.clone()).await?
        else {
            return Ok(None);
        };
        if assignment.epoch < protocol::Epoch(self.ledger.standing(process)?.epoch) {
            return Ok(None);
        }
        let last = assignment.slot;
        let seen = self.seen(signed, assignment).await?;
        self.ledger.adopt(process, vec![seen], Source::Weave).await?;
        let lacks = match has_none || last.0 > next {
            true => format!("slot {next} of {process} is not on the weave, and slot {last} is"),
            false => format!("the message of slot {next} of {process} is not on the weave"),
        };
        Ok(Some(lacks))
    }

    /// An assignment as it was signed. What queries answer is without data, and assignments have none.
    async fn assignment(
        &self,
        process: ProcessId,
        id: Id,
        shown: Arc<protocol::Item>,
    ) -> Result<Option<(DataItem, Assignment)>, Error> {
        let signed = match verified(shown).await? {
            Some(signed) => signed,
            None => match self.fetch(id).await? {
                Some(signed) => signed,
                None => return Ok(None),
            },
        };
        if signed.address() != self.ledger.address {
            return Ok(None);
        }
        let assignment = Assignment::try_from(signed.item().clone()).ok();
        Ok(assignment.filter(|it| it.process == process).map(|assignment| (signed, assignment)))
    }

    async fn seen(&self, signed: DataItem, assignment: Assignment) -> Result<Seen, Error> {
        self.resolve(signed, assignment, &BTreeMap::new(), Source::Weave).await
    }

    /// Finds what an assignment assigns: among what was given, in the log, or on the weave.
    pub(crate) async fn resolve(
        &self,
        signed: DataItem,
        assignment: Assignment,
        given: &BTreeMap<Id, DataItem>,
        source: Source,
    ) -> Result<Seen, Error> {
        let process = assignment.process;
        let id = assignment.message.unwrap_or_else(|| process.into());
        let found = if let Some(item) = given.get(&id) {
            Some(item.clone())
        } else if let Some(item) = self.ledger.find_delivered(id)?.and_then(|entry| entry.message.clone()) {
            Some(item)
        } else {
            match self.fetch(id).await {
                Ok(found) => found,
                // Whoever shows it is told that the message is missing; it may be shown as well.
                Err(Error::Weave(_) | Error::WeaveTimeout { .. }) if source == Source::Peer => None,
                Err(why) => return Err(why),
            }
        };
        let base_layer = match &found {
            Some(_) => false,
            None => self.is_base_layer(id, source).await?,
        };
        // What starts a process must be one of ours.
        let found = found.filter(|item| {
            let is_first = id == process.into();
            let ours = || receive::admit(item.item(), self.ledger.address, &self.ledger.options.stand_ins);
            !is_first || matches!(ours(), Ok(receive::Admitted::Process { .. }))
        });
        let lacks_message = found.is_none() && !base_layer;
        let item = found.as_ref().map(DataItem::shared);
        // A message that is for this process came with the wish for its slot; all else was on the weave already.
        let is_delivered = |item: &DataItem| {
            id == process.into() || (item.target == Some(process.0) && assignment.exclude.is_empty())
        };
        let message = found.filter(is_delivered);
        Ok(Seen { signed, assignment, message, item, lacks_message })
    }

    /// An item as it was signed, if the weave has it.
    async fn fetch(&self, id: Id) -> Result<Option<DataItem>, Error> {
        match self.ask(self.weave.get(id)).await {
            Ok(found) if found.base_layer => Ok(None),
            Ok(found) => verified(found.item).await,
            Err(Error::Weave(why)) if why.kind == unit::Kind::NotFound => Ok(None),
            Err(why) => Err(why),
        }
    }

    async fn is_base_layer(&self, id: Id, source: Source) -> Result<bool, Error> {
        let query = Query { ids: vec![id], limit: 1, ..Query::default() };
        match self.ask(self.weave.query(query)).await {
            Ok(found) => Ok(found.items.first().is_some_and(|found| found.base_layer)),
            Err(Error::Weave(_) | Error::WeaveTimeout { .. }) if source == Source::Peer => Ok(false),
            Err(why) => Err(why),
        }
    }

    fn next(&self, process: ProcessId) -> Result<u64, Error> {
        Ok(self.ledger.newest(process)?.map_or(0, |entry| entry.slot().0 + 1))
    }

    fn assignments_of(&self, process: ProcessId, tags: Vec<(&str, Vec<String>)>) -> Query {
        let tags: Vec<_> = tags.into_iter().chain([(tag::PROCESS, vec![process.to_string()])]).collect();
        self.assignments_with(&tags)
    }

    fn assignments_with(&self, tags: &[(&str, Vec<String>)]) -> Query {
        let mut query = Query {
            owners: vec![self.ledger.address],
            ..Query::tagged([(tag::TYPE, "Assignment"), (tag::DATA_PROTOCOL, tag::AO)])
        };
        let filters = tags.iter().map(|(name, values)| TagFilter {
            name: (*name).to_owned(),
            values: values.clone(),
            negated: false,
        });
        query.tags.extend(filters);
        query
    }

    async fn ask<T>(&self, question: impl Future<Output = unit::Result<T>>) -> Result<T, Error> {
        ask(self.ledger.options.weave_timeout_ms, question).await
    }
}

/// An item as it was signed, off the threads that serve others.
async fn verified(item: Arc<protocol::Item>) -> Result<Option<DataItem>, Error> {
    unit::blocking(move || DataItem::restore(&item)).await.map_err(|_| Error::Stopping)
}
