//! Held processes: for them nothing is scheduled until the operator says that enough is known.
//!
//! A scheduler that forgot what it signed would sign again what others have seen. So whenever it learns that its log is
//! not the whole truth, it holds: all processes, those that it does not know included, or one. It answers reads, and
//! adopts what it is shown ([`adopt`](crate::adopt)); only its operator knows whether anything more was ever visible.
//!
//! A disk that is empty is not enough to know: a scheduler that begins has one, too. The weave tells them apart, once,
//! before the first slot is given or the scheduler says where it is.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use protocol::{Epoch, Id, ProcessId, Slot, Timestamp, tag};
use store::{Batch, Order, Space, Store};
use tracing::{info, warn};
use unit::{HeldProcess, HeldQuery, Hold, Ordered, Query, Restoring, Tail, Weave, Why};

use crate::Error;
use crate::entry::{ENTRY, pair, split_pair};
use crate::height::ask;
use crate::ledger::{Ledger, lock};

/// Process → its own hold.
const HELD: Space = Space("su.held");
/// Process → since when the general hold is that its operator released it from.
const CLEARED: Space = Space("su.cleared");
/// Process → the epoch of what is scheduled next, where that is not the one of its newest slot.
const EPOCH: Space = Space("su.epoch");
/// (process, slot, assignment) → an entry that was shown, and cannot follow yet. Nobody but this scheduler can have
/// signed it, so there are no more of them than it signed.
pub(crate) const SHOWN: Space = Space("su.shown");
/// (process, slot, assignment) → an entry that contradicts what is known, or counts no more.
pub(crate) const EVIDENCE: Space = Space("su.evidence");
/// What is known of this ledger as a whole.
const RECOVERY: Space = Space("su.recovery");

/// The general hold.
const GENERAL: &[u8] = b"general";
/// The weave was asked, and it knew nothing; or the operator confirmed all that there was.
const WHOLE: &[u8] = b"whole";
/// Since when the newest hold is, general or not.
const NEWEST: &[u8] = b"newest";
/// The epoch in which processes begin that are not known.
const FIRST_EPOCH: &[u8] = b"first-epoch";

/// Slots that are listed as missing, at most.
const MISSING_MAX: usize = 100;
/// Keys of shown entries, or processes, that are looked at at once.
const PAGE: usize = 1000;
/// Shown entries that are in memory at once: each may be as large as an item.
const ENTRIES: usize = 16;

/// What is held, in memory.
pub(crate) struct Holds {
    general: Mutex<Option<Hold>>,
    /// Grows with every change: lines look again then.
    version: AtomicU64,
    /// Whether it is known that this ledger began here.
    has_begun: AtomicBool,
    asking: tokio::sync::Mutex<()>,
    /// What the restorer is to do.
    pub(crate) wanted: Mutex<Wanted>,
    pub(crate) told: tokio::sync::Notify,
    pub(crate) restoring: Mutex<Restoring>,
}

/// What is to be read from the weave.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) all: bool,
    pub(crate) processes: BTreeSet<ProcessId>,
}

impl Holds {
    /// Reads what the store says.
    pub(crate) fn open(store: &dyn Store) -> Result<Holds, store::Error> {
        let general = store.get(RECOVERY, GENERAL)?.as_deref().and_then(decode);
        let has_entries = || {
            let all = (Bound::Unbounded, Bound::Unbounded);
            Ok::<_, store::Error>(!store.scan(ENTRY, all, Order::Ascending, 1)?.is_empty())
        };
        // A log of before there were holds says nothing, and has entries.
        let has_begun = general.is_some() || store.get(RECOVERY, WHOLE)?.is_some() || has_entries()?;
        Ok(Holds {
            wanted: Mutex::new(Wanted { all: general.is_some(), processes: BTreeSet::new() }),
            general: Mutex::new(general),
            version: AtomicU64::new(0),
            has_begun: AtomicBool::new(has_begun),
            asking: tokio::sync::Mutex::default(),
            told: tokio::sync::Notify::new(),
            restoring: Mutex::default(),
        })
    }

    pub(crate) fn general(&self) -> Option<Hold> {
        *lock(&self.general)
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Asks the restorer for a process, or for all.
    pub(crate) fn want(&self, process: Option<ProcessId>) {
        let mut wanted = lock(&self.wanted);
        match process {
            Some(process) if wanted.processes.len() < PAGE => drop(wanted.processes.insert(process)),
            _ => wanted.all = true,
        }
        drop(wanted);
        self.told.notify_one();
    }

    fn set(&self, general: Option<Hold>) {
        *lock(&self.general) = general;
        self.version.fetch_add(1, Ordering::AcqRel);
    }
}

impl Ledger {
    /// Learns, once, whether a ledger without entries is new or lost: from the weave.
    pub(crate) async fn begin(&self, weave: &dyn Weave) -> Result<(), Error> {
        if self.holds.has_begun() {
            return Ok(());
        }
        let _asking = self.holds.asking.lock().await;
        if self.holds.has_begun() {
            return Ok(());
        }
        let ms = self.options.weave_timeout_ms;
        for kind in ["Assignment", "Scheduler-Location"] {
            let query = Query {
                owners: vec![self.address],
                limit: 1,
                ..Query::tagged([(tag::DATA_PROTOCOL, tag::AO), (tag::TYPE, kind)])
            };
            if !ask(ms, weave.query(query)).await?.items.is_empty() {
                self.hold_all(Why::EmptyDisk).await?;
                self.holds.has_begun.store(true, Ordering::Release);
                warn!(
                    scheduler = %self.address,
                    "this scheduler's log is empty, and the weave knows what it signed: nothing is scheduled until its \
                     operator says so (`pirn recover`)"
                );
                return Ok(());
            }
        }
        let mut batch = Batch::new();
        batch.put(RECOVERY, WHOLE, Bytes::new());
        self.store.append(batch).await?;
        self.holds.has_begun.store(true, Ordering::Release);
        Ok(())
    }

    /// Holds every process, those that are not known included; also those that were confirmed before.
    pub(crate) async fn hold_all(&self, why: Why) -> Result<Hold, Error> {
        let hold = Hold { why, since: self.next_since()? };
        let mut batch = newest(hold);
        batch.put(RECOVERY, GENERAL, encode(hold));
        batch.delete(RECOVERY, WHOLE);
        // In memory first: whoever asks while it is written is told so.
        self.holds.set(Some(hold));
        self.store.append(batch).await?;
        self.holds.has_begun.store(true, Ordering::Release);
        self.holds.want(None);
        Ok(hold)
    }

    /// Holds one process.
    pub(crate) async fn hold_one(&self, process: ProcessId, why: Why) -> Result<Hold, Error> {
        let hold = Hold { why, since: self.next_since()? };
        let mut batch = newest(hold);
        batch.put(HELD, process.0.0.to_vec(), encode(hold));
        self.store.append(batch).await?;
        self.holds.set(self.holds.general());
        Ok(hold)
    }

    /// What keeps a process from getting slots.
    pub(crate) fn hold_of(&self, process: ProcessId) -> Result<Option<Hold>, Error> {
        if let Some(own) = self.store.get(HELD, &process.0.0)?.as_deref().and_then(decode) {
            return Ok(Some(own));
        }
        let Some(general) = self.holds.general() else { return Ok(None) };
        let cleared = self.store.get(CLEARED, &process.0.0)?;
        let is_cleared = cleared.as_deref() == Some(&general.since.0.to_be_bytes()[..]);
        Ok((!is_cleared).then_some(general))
    }

    /// The epoch of what a process schedules next, where that was decided; the one of its newest slot is `newest`.
    pub(crate) fn epoch_after(&self, process: ProcessId, newest: Option<Epoch>) -> Result<Epoch, Error> {
        let number = |bytes: Option<Bytes>| {
            let bytes = bytes.as_deref().and_then(|bytes| bytes.try_into().ok());
            Epoch(bytes.map_or(0, u64::from_be_bytes))
        };
        let decided = number(self.store.get(EPOCH, &process.0.0)?);
        match newest {
            Some(newest) => Ok(newest.max(decided)),
            None => Ok(decided.max(number(self.store.get(RECOVERY, FIRST_EPOCH)?))),
        }
    }

    /// The number of an epoch that begins now: the time, so that it is no epoch's that was forgotten.
    fn epoch_beyond(&self, epoch: Epoch) -> u64 {
        self.clock.now().0.max(epoch.0 + 1)
    }

    /// How a process stands.
    pub(crate) fn standing(&self, process: ProcessId) -> Result<HeldProcess, Error> {
        let newest = self.newest(process)?;
        let tail = newest.as_ref().map(|entry| entry.slot());
        let mut next = tail.map_or(0, |tail| tail.0 + 1);
        let (mut shown, mut missing) = (None, Vec::new());
        for slot in self.shown(process)? {
            let gap = (next..slot.0).map(Slot);
            missing.extend(gap.take(MISSING_MAX - missing.len().min(MISSING_MAX)));
            next = slot.0 + 1;
            shown = Some(slot);
        }
        Ok(HeldProcess {
            process,
            hold: self.hold_of(process)?,
            tail,
            assignment: newest.as_ref().map(|entry| entry.assignment.id),
            epoch: self.epoch_after(process, newest.as_ref().map(|it| it.scheduled.assignment.epoch))?.0,
            shown,
            missing,
        })
    }

    /// Slots of a process that were shown and wait, ascending; at most a page.
    fn shown(&self, process: ProcessId) -> Result<Vec<Slot>, Error> {
        let (mut slots, mut after) = (Vec::new(), None);
        loop {
            let some = self.shown_entries(process, after.as_ref())?;
            slots.extend(some.iter().filter_map(|(key, _)| Some(Slot(split_pair(key.get(..40)?)?.1))));
            match some.last() {
                Some((last, _)) if slots.len() < PAGE => after = Some(last.clone()),
                _ => return Ok(slots),
            }
        }
    }

    /// What was shown for a slot, and waits: its key and its bytes.
    pub(crate) fn shown_in(&self, process: ProcessId, slot: Slot) -> Result<Option<(Bytes, Bytes)>, Error> {
        let (first, last) =
            (pair(process.0, slot.0), [&pair(process.0, slot.0)[..], &[u8::MAX; 33]].concat());
        let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        Ok(self.store.scan(SHOWN, range, Order::Ascending, 1)?.pop())
    }

    /// The processes that are known here, or of which something was shown, or that are held by themselves, after one;
    /// in the order of their ids.
    pub(crate) fn known_after(&self, after: Option<ProcessId>) -> Result<Option<ProcessId>, Error> {
        self.next_of(&[ENTRY, SHOWN, HELD], after)
    }

    /// The first process after one that these spaces have rows of.
    fn next_of(&self, spaces: &[Space], after: Option<ProcessId>) -> Result<Option<ProcessId>, Error> {
        let last = after.map(|after| [&after.0.0[..], &[u8::MAX; 41]].concat());
        let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut next: Option<Id> = None;
        for &space in spaces {
            let found = self.store.scan(space, (from, Bound::Unbounded), Order::Ascending, 1)?;
            let id = found.first().and_then(|(key, _)| Id::from_slice(key.get(..32)?));
            next = next.into_iter().chain(id).min();
        }
        Ok(next.map(ProcessId))
    }

    /// The processes that are held, and whether there are more.
    pub(crate) async fn held(&self, query: HeldQuery) -> Result<(Vec<HeldProcess>, bool), Error> {
        if let Some(process) = query.only {
            return Ok((vec![self.standing(process)?], false));
        }
        // Without a general hold, only those that are held by themselves are looked at.
        let spaces: &[Space] = if self.holds.general().is_some() { &[ENTRY, SHOWN, HELD] } else { &[HELD] };
        let (mut held, mut after) = (Vec::new(), query.after);
        while let Some(process) = self.next_of(spaces, after)? {
            after = Some(process);
            if self.hold_of(process)?.is_some() {
                if held.len() >= query.limit {
                    return Ok((held, true));
                }
                held.push(self.standing(process)?);
            }
            tokio::task::yield_now().await;
        }
        Ok((held, false))
    }

    /// How many processes are held, counted up to a bound.
    pub(crate) fn count_held(&self, max: u64) -> Result<u64, Error> {
        let own = (Bound::Unbounded, Bound::Unbounded);
        if self.holds.general().is_none() {
            let limit = usize::try_from(max).unwrap_or(usize::MAX);
            return Ok(self.store.scan(HELD, own, Order::Ascending, limit)?.len() as u64);
        }
        let (mut n, mut after) = (0, None);
        while n < max
            && let Some(process) = self.known_after(after)?
        {
            n += u64::from(self.hold_of(process)?.is_some());
            after = Some(process);
        }
        Ok(n)
    }

    /// Releases one process.
    pub(crate) async fn confirm(
        self: &Arc<Self>,
        process: ProcessId,
        at: Option<Slot>,
        since: Timestamp,
        said: Tail,
    ) -> Result<Ordered, Error> {
        let mut end = self.end_of(process).await?;
        let wrong = |why: String| Error::NotTheTail { process: Some(process), why };
        let hold = self.hold_of(process)?.ok_or_else(|| wrong("it is not held".into()))?;
        if hold.since != since {
            let why = format!("it is held since {}, and the order is for a hold since {since}", hold.since);
            return Err(wrong(why));
        }
        let head = end.head();
        let tail = head.map(|head| head.slot);
        if let (Some(at), tail) = (at, tail)
            && tail != Some(at)
        {
            let known = tail.map_or("none of its slots".to_owned(), |tail| format!("slot {tail}"));
            return Err(wrong(format!("the order is for the tail {at}, and {known} is what is known here")));
        }
        let mut batch = Batch::new();
        let shown = self.shown_entries(process, None)?;
        match (said, hold.why) {
            (Tail::Whole, Why::Contradiction) => {
                return Err(wrong(
                    "two assignments contradict each other: only a new epoch can follow".into(),
                ));
            }
            (Tail::Whole, _) if !shown.is_empty() => {
                let HeldProcess { shown, missing, .. } = self.standing(process)?;
                let missing: Vec<String> = missing.iter().take(5).map(Slot::to_string).collect();
                let shown = shown.map_or(String::new(), |slot| slot.to_string());
                let lacks = match missing.is_empty() {
                    true => "the message of a slot up to it is missing".to_owned(),
                    false => format!("slots before it are missing: {}, …", missing.join(", ")),
                };
                return Err(wrong(format!("slot {shown} was shown, and {lacks}")));
            }
            (Tail::Whole, _) => {}
            (Tail::Ended, _) => {
                // First: whoever is interrupted in what follows has decided already, and is still held.
                let mut decided = Batch::new();
                let epoch = self.epoch_beyond(end.epoch()).to_be_bytes();
                decided.put(EPOCH, process.0.0.to_vec(), epoch.to_vec());
                self.store.append(decided).await?;
                end.forget();
                let mut shown = shown;
                while !shown.is_empty() {
                    let mut given_up = Batch::new();
                    for (key, entry) in shown {
                        given_up.put(EVIDENCE, key.clone(), entry);
                        given_up.delete(SHOWN, key);
                    }
                    self.store.append(given_up).await?;
                    shown = self.shown_entries(process, None)?;
                }
            }
        }
        batch.delete(HELD, process.0.0.to_vec());
        if let Some(general) = self.holds.general() {
            batch.put(CLEARED, process.0.0.to_vec(), general.since.0.to_be_bytes().to_vec());
        }
        self.store.append(batch).await?;
        end.forget();
        self.holds.set(self.holds.general());
        info!(%process, ?tail, ?said, "the operator lets the process go on");
        Ok(Ordered { released: 1, restoring: false })
    }

    /// Releases all processes, those that are not known included. One that contradicts itself stays held, unless its
    /// epoch is ended as well.
    pub(crate) async fn confirm_all(
        self: &Arc<Self>,
        since: Timestamp,
        said: Tail,
    ) -> Result<Ordered, Error> {
        let wrong = |why: String| Error::NotTheTail { process: None, why };
        let general =
            self.holds.general().ok_or_else(|| wrong("there is no hold of all processes".into()))?;
        if general.since != since {
            let why =
                format!("all are held since {}, and the order is for a hold since {since}", general.since);
            return Err(wrong(why));
        }
        // First look at all, then change anything.
        let (mut after, mut highest) = (None, Epoch(0));
        while let Some(process) = self.known_after(after)? {
            after = Some(process);
            let newest = self.newest(process)?.map(|entry| entry.scheduled.assignment.epoch);
            highest = highest.max(self.epoch_after(process, newest)?);
            let is_held = self.hold_of(process)?.is_some_and(|hold| hold.why != Why::Contradiction);
            if said == Tail::Whole && is_held && !self.shown(process)?.is_empty() {
                let why = format!("slots of {process} were shown, and some before them are missing");
                return Err(wrong(why));
            }
            tokio::task::yield_now().await;
        }
        if said == Tail::Ended {
            let mut batch = Batch::new();
            batch.put(RECOVERY, FIRST_EPOCH, self.epoch_beyond(highest).to_be_bytes().to_vec());
            self.store.append(batch).await?;
        }
        let (mut after, mut released) = (None, 0);
        while let Some(process) = self.known_after(after)? {
            after = Some(process);
            let Some(hold) = self.hold_of(process)? else { continue };
            match (said, hold.why) {
                (Tail::Whole, Why::Contradiction) => continue,
                // One by one only where there is something to change: the rest is released with the general hold.
                (Tail::Whole, _) if hold == general => {}
                _ => {
                    self.confirm(process, None, hold.since, said).await?;
                }
            }
            released += 1;
            tokio::task::yield_now().await;
        }
        let mut batch = Batch::new();
        batch.delete(RECOVERY, GENERAL);
        batch.put(RECOVERY, WHOLE, Bytes::new());
        self.store.append(batch).await?;
        self.holds.set(None);
        info!(released, ?said, "the operator lets all processes go on");
        Ok(Ordered { released, restoring: false })
    }

    /// Entries of a process that were shown and wait, after a key: at most so many that they fit into memory.
    fn shown_entries(&self, process: ProcessId, after: Option<&Bytes>) -> Result<Vec<(Bytes, Bytes)>, Error> {
        let (first, last) = (pair(process.0, 0), [&process.0.0[..], &[u8::MAX; 41]].concat());
        let from = after.map_or(Bound::Included(&first[..]), |after| Bound::Excluded(&after[..]));
        Ok(self.store.scan(SHOWN, (from, Bound::Included(&last[..])), Order::Ascending, ENTRIES)?)
    }

    /// Since when a hold is that begins now: later than any before.
    fn next_since(&self) -> Result<Timestamp, Error> {
        let newest = self.store.get(RECOVERY, NEWEST)?;
        let newest = newest.as_deref().and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        Ok(Timestamp(self.clock.now().0.max(newest + 1)))
    }
}

/// The key of a shown entry, or of evidence.
pub(crate) fn shown_key(process: ProcessId, slot: Slot, assignment: Id) -> Bytes {
    Bytes::from([&pair(process.0, slot.0)[..], &assignment.0[..]].concat())
}

fn newest(hold: Hold) -> Batch {
    let mut batch = Batch::new();
    batch.put(RECOVERY, NEWEST, hold.since.0.to_be_bytes().to_vec());
    batch
}

fn encode(hold: Hold) -> Vec<u8> {
    let why = match hold.why {
        Why::EmptyDisk => 1,
        Why::Backup => 2,
        Why::Shown => 3,
        Why::Contradiction => 4,
    };
    [&[why][..], &hold.since.0.to_be_bytes()].concat()
}

/// What is written may be of a later version: a hold all the same.
fn decode(bytes: &[u8]) -> Option<Hold> {
    let (why, since) = bytes.split_first()?;
    let why = match why {
        1 => Why::EmptyDisk,
        2 => Why::Backup,
        3 => Why::Shown,
        _ => Why::Contradiction,
    };
    Some(Hold { why, since: Timestamp(since.try_into().map_or(0, u64::from_be_bytes)) })
}
