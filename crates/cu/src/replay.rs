//! Replay: takes a process's machine to where somebody waits for it.
//!
//! It finds a machine (a checkpoint, or an empty one), fetches the schedule page by page ahead of the evaluation, and
//! leaves checkpoints on the way.
//!
//! # An assigned message that cannot be had
//!
//! An entry can assign something that this unit's weave does not have (yet). Skipping it or recording a failure would
//! be a verdict that another operator, who has it, does not share; so the line stops before it and answers
//! `Unavailable`, and every request tries again. Slots before it stay answered. The scheduler must not assign what it
//! has not seen, so waiting is right; whatever the weave has, even without data, is evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use protocol::{Height, Outcome, ProcessId, Slot};
use unit::{BlockRef, Error, Kind, Result, Scheduled, SlotRange};

use crate::checkpoint::{Found, Position, Until};
use crate::cron::Moment;
use crate::evaluate::{Bench, Entry, Live, Stop, Work, stopping};
use crate::hands;
use crate::history::End;
use crate::input::Delivery;
use crate::line::{Line, Shared, Tail, grant, lock};
use crate::published::Revived;
use crate::subject::{Subject, refused};
use crate::verify::{self, Verified};

impl Line {
    /// Evaluates what is waited for.
    pub(crate) async fn advance(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        live: &mut Option<Live>,
    ) -> Result<(), Stop> {
        let Some(goal) = lock(&self.state).goal() else { return Ok(()) };
        if live.is_none() {
            shared.held.room(&shared.options).await;
            *live = Some(self.wake(shared, self.past.map_or(Until::Head, Until::Slot)).await?);
        }
        let here = live.as_ref().expect("it was woken");
        let subject = Arc::clone(&here.subject);
        let mut next = here.next_slot();
        let reached = here.position.map(|position| position.height);
        let mut page = Page::default();
        if next <= goal {
            page = self.fetch(shared, &subject, next, goal, reached).await?;
        }
        loop {
            let stop = page.stop.take();
            next = page.entries.last().map_or(next, |entry| entry.scheduled.assignment.slot.next());
            let go_on = stop.is_none() && next <= goal && !page.entries.is_empty();
            let reached = page.entries.last().map(|entry| entry.scheduled.assignment.block_height);
            // The next page is fetched while this one is evaluated.
            let (evaluated, fetched) = futures::join!(self.section(shared, live, page), async {
                if !go_on {
                    return Ok(Page::default());
                }
                self.fetch_after(shared, &subject, next, goal, reached).await
            });
            evaluated?;
            if let Some(error) = stop {
                return Err(error.into());
            }
            if !go_on {
                break;
            }
            page = fetched?;
        }
        if live.as_ref().is_none_or(|live| live.next_slot() <= goal) {
            let what = format!("slot {goal} of process {} is not in its schedule yet", self.process);
            return Err(Error::unavailable(what).into());
        }
        self.tails(shared, live).await
    }

    /// Evaluates ticks up to now for those who wait for them.
    async fn tails(self: &Arc<Self>, shared: &Arc<Shared>, live: &mut Option<Live>) -> Result<(), Stop> {
        let (subject, position, next) = live
            .as_ref()
            .map(|live| (Arc::clone(&live.subject), live.position, live.next_slot()))
            .expect("it was woken");
        // Others came meanwhile, and what they wait for may be after slots that are not evaluated yet.
        let is_due = |tail: &&Tail| tail.slot < next;
        let until = lock(&self.state)
            .tails
            .iter()
            .filter(is_due)
            .map(|tail| tail.until)
            .max_by_key(|it| it.timestamp);
        let Some(until) = until else { return Ok(()) };
        let mut blocks = Vec::new();
        if let (false, Some(position)) = (subject.crons.is_empty(), position) {
            blocks = self.blocks(shared, position.height, Height(until.height)).await?;
        }
        let caught_up = self
            .blocking(shared, live, move |line, shared, live| {
                let max = shared.options.cron_ticks_max;
                let ticked = live.position.and_then(|position| position.ticks);
                if ticked.is_some_and(|ticked| ticked.step >= until.timestamp) {
                    // Somebody has asked up to a later moment before, or time went by without a lag and now has one.
                    return Ok(true);
                }
                live.tick_until(until, &blocks, max, &shared.bench(), |live| line.between(shared, live, None))
            })
            .await?;
        let tails = {
            let mut state = lock(&self.state);
            let (done, later): (Vec<_>, Vec<_>) = std::mem::take(&mut state.tails)
                .into_iter()
                .partition(|tail| is_due(&tail) && tail.until.timestamp <= until.timestamp);
            state.tails = later;
            state.waiting -= done.len();
            done
        };
        for tail in tails {
            let _ = tail.caught_up.send(Ok(caught_up));
        }
        Ok(())
    }

    /// Evaluates a page, and tells everybody whose slot is done.
    async fn section(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        live: &mut Option<Live>,
        page: Page,
    ) -> Result<(), Stop> {
        let (mut page, mut done) = (page, 0);
        loop {
            let section = self.blocking(shared, live, move |line, shared, live| {
                let done = line.entries(shared, live, &page, done)?;
                Ok((page, done))
            });
            (page, done) = section.await?;
            if done == page.entries.len() {
                return Ok(());
            }
        }
    }

    /// Evaluates entries of a page from that one on. Answers with how many are done: others are for another thread.
    fn entries(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        live: &mut Live,
        page: &Page,
        mut done: usize,
    ) -> Result<usize, Stop> {
        self.between(shared, live, None);
        for entry in &page.entries[done..] {
            let assignment = &entry.scheduled.assignment;
            let until = Moment { timestamp: assignment.timestamp.0, height: assignment.block_height.0 };
            live.tick_until(until, &page.blocks, u64::MAX, &shared.bench(), |live| {
                self.between(shared, live, None);
            })?;
            let outcome = live.step(entry, &shared.bench())?;
            self.between(shared, live, Some((assignment.slot, &outcome)));
            done += 1;
            if hands::next_message() {
                break;
            }
        }
        Ok(done)
    }

    /// Runs something with the machine on a thread that may block, when it is its turn.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        live: &mut Option<Live>,
        run: impl FnOnce(&Arc<Line>, &Arc<Shared>, &mut Live) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Stop> {
        shared.journal.room().await?;
        let permit = Arc::clone(&shared.gate).acquire_owned().await.map_err(|_| stopping())?;
        let (line, shared) = (Arc::clone(self), Arc::clone(shared));
        let mut taken = live.take().expect("a machine is there before it is used");
        let hands = Arc::clone(&shared);
        let done = hands.hands.run(move || {
            let _permit = permit;
            let result = run(&line, &shared, &mut taken);
            (taken, result)
        });
        // A machine that panicked or refused is gone; the next request starts from a checkpoint.
        let (taken, result) = done.await?;
        if !taken.broken {
            *live = Some(taken);
        }
        result
    }

    /// Between two messages: tells who waits, and sees whether a checkpoint is due.
    fn between(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        live: &mut Live,
        evaluated: Option<(Slot, &Arc<Outcome>)>,
    ) {
        let next = live.next_slot();
        self.next.store(next.0, Ordering::Relaxed);
        let due = {
            let mut state = lock(&self.state);
            match state.wishes.first_key_value() {
                Some((slot, _)) if *slot < next => {
                    let later = state.wishes.split_off(&next);
                    let due = std::mem::replace(&mut state.wishes, later);
                    state.waiting -= due.values().map(Vec::len).sum::<usize>();
                    due
                }
                _ => BTreeMap::new(),
            }
        };
        for (slot, wishes) in due {
            let outcome = evaluated.filter(|(at, _)| *at == slot).map(|(_, outcome)| outcome);
            for wish in wishes {
                grant(wish, slot, live, outcome);
            }
        }
        let Work { messages, gas } = live.unsaved;
        let due = messages >= shared.options.checkpoint_messages || gas >= shared.options.checkpoint_gas;
        self.publish_aside(shared, live);
        if due && self.past.is_none() && !self.saving.swap(true, Ordering::AcqRel) {
            self.save_aside(shared, live);
        }
    }

    /// A machine from the newest checkpoint that will do, or an empty one.
    async fn wake(&self, shared: &Arc<Shared>, until: Until) -> Result<Live> {
        let known = lock(&self.state).subject.clone();
        let subject = match known {
            Some(subject) => subject,
            None => {
                let load = || Subject::load(self.process, shared);
                let subject = Arc::new(shared.patiently(load).await?);
                lock(&self.state).subject = Some(Arc::clone(&subject));
                subject
            }
        };
        let is_past = self.past.is_some();
        let (unit, of) = (Arc::clone(shared), Arc::clone(&subject));
        let kept = unit::blocking(move || {
            let known = Known::of(&unit, of.process, is_past)?;
            let until = match known.is_whole {
                true => Some(until),
                false => known.recorded.map(Until::Slot),
            };
            let newest = |until| unit.checkpoints.newest(of.process, of.module, until);
            let Some(Found { position, memory, link }) = until.and_then(newest) else {
                return Ok::<_, Error>((None, known.is_whole));
            };
            match of.start(Some(memory)) {
                Ok(mut machine) => {
                    if link.is_some() {
                        machine.track();
                    }
                    Ok((Some((position, machine, link)), known.is_whole))
                }
                Err(refusal) => {
                    tracing::warn!(process = %of.process, %refusal, "a checkpoint is not restored");
                    Ok((None, known.is_whole))
                }
            }
        });
        let (mut found, is_whole) = kept.await??;
        let mut unsaved = Work::default();
        if found.is_some() {
            shared.held.wakes();
        } else if is_whole && !is_past {
            let revived = self.revive(shared, &subject, until).await?;
            found = revived.map(|Revived { position, machine }| (position, machine, None));
            // Worth a checkpoint of our own.
            unsaved.messages = u64::from(found.is_some());
        }
        let link = found.as_mut().and_then(|(_, _, link)| link.take());
        lock(&self.series).starts(link);
        let shared = Arc::clone(shared);
        let woken = unit::blocking(move || {
            let Known { recorded, began_after, history, .. } = Known::of(&shared, subject.process, is_past)?;
            let (position, machine) = match found {
                Some((position, machine, _)) => (Some(position), machine),
                None => (None, subject.start(None).map_err(|refusal| refused(&refusal))?),
            };
            if let (Some(newest), false) = (recorded, is_past) {
                // Ticks after the newest slot may have been right only until the last stop: whatever this machine
                // has not evaluated itself, it will, and then as the schedule says by then.
                let here = position.filter(|position| position.slot == newest);
                let done = here.and_then(|position| position.ticks).map(|ticks| ticks.step);
                shared.results.forget_ticks(subject.process, newest, done)?;
            }
            Ok(Live {
                subject,
                machine,
                position,
                recorded,
                began_after,
                history,
                unsaved,
                unpublished: Work::default(),
                cron: None,
                broken: false,
            })
        });
        woken.await?
    }

    /// The schedule contradicts ticks that were evaluated: forgets them and goes back to before.
    pub(crate) async fn roll_back(&self, shared: &Arc<Shared>, live: Option<Live>) -> Option<Live> {
        let Live { position, recorded, .. } = live?;
        let Position { slot, .. } = position?;
        let process = self.process;
        tracing::warn!(%process, %slot, "cron was ahead of the schedule; its ticks are evaluated again");
        // If later slots are recorded, so are the right ticks before them, and only a checkpoint was wrong.
        let outcomes = match recorded {
            Some(recorded) if recorded > slot => Ok(()),
            _ => shared.results.forget_ticks(process, slot, None),
        };
        let (checkpoints, results) = (shared.checkpoints.clone(), outcomes);
        let forgotten = unit::blocking(move || {
            results?;
            checkpoints.forget_ticks(process, slot).map_err(|error| Error::internal(&error))
        });
        let woken = match forgotten.await.and_then(|done| done) {
            Ok(()) => self.wake(shared, Until::Slot(slot)).await,
            Err(error) => Err(error),
        };
        woken.inspect_err(|error| self.fail(error)).ok()
    }

    async fn fetch(
        &self,
        shared: &Shared,
        subject: &Subject,
        next: Slot,
        goal: Slot,
        reached: Option<Height>,
    ) -> Result<Page> {
        let hint = lock(&self.state).hint.take().filter(|hint| hint.assignment.slot == next && next == goal);
        match hint {
            Some(hint) => self.prepare(shared, subject, vec![hint], reached).await,
            None => self.fetch_after(shared, subject, next, goal, reached).await,
        }
    }

    /// The page of the schedule that starts with `next`, and what it needs from the weave.
    async fn fetch_after(
        &self,
        shared: &Shared,
        subject: &Subject,
        next: Slot,
        goal: Slot,
        reached: Option<Height>,
    ) -> Result<Page> {
        let range = SlotRange::Slots { after: next.0.checked_sub(1).map(Slot), to: Some(goal) };
        let scheduler = &shared.ports.scheduler;
        let page =
            shared.patiently(|| scheduler.schedule_page(self.process, range, shared.options.page)).await?;
        self.prepare(shared, subject, page.items, reached).await
    }

    async fn prepare(
        &self,
        shared: &Shared,
        subject: &Subject,
        entries: Vec<Scheduled>,
        reached: Option<Height>,
    ) -> Result<Page> {
        let mut page = Page::default();
        let heights = || entries.iter().map(|entry| entry.assignment.block_height);
        // Before slot 0 nothing ticks. A scheduler that was cut off from the weave may say a lower height than before.
        if let (false, Some(left), Some(right)) =
            (subject.crons.is_empty(), reached.into_iter().chain(heights()).min(), heights().max())
        {
            page.blocks = self.blocks(shared, left, right).await?;
        }
        (page.entries, page.stop) = self.entries_of(shared, subject, entries).await?;
        // One alone has its turn at once.
        if page.entries.len() > 1 {
            let mut entries = std::mem::take(&mut page.entries);
            let encoded = unit::blocking(move || {
                entries.iter_mut().for_each(Entry::encode);
                entries
            });
            page.entries = encoded.await?;
        }
        Ok(page)
    }

    /// Verifies entries and gets what they assign: as many as can be had, and why there are no more.
    pub(crate) async fn entries_of(
        &self,
        shared: &Shared,
        subject: &Subject,
        entries: Vec<Scheduled>,
    ) -> Result<(Vec<Entry>, Option<Error>)> {
        let verified = match subject.is_trusted {
            true => entries.into_iter().map(|scheduled| Ok(Verified::trusted(scheduled))).collect(),
            false => {
                let process = self.process;
                let verified = unit::blocking(move || verify::entries(process, entries));
                verified.await?
            }
        };
        let mut hydrated = stream::iter(verified)
            .map(|verified| self.hydrate(shared, subject, verified))
            .buffered(shared.options.page.clamp(1, 16));
        let mut ready = Vec::new();
        loop {
            match hydrated.try_next().await {
                Ok(Some(entry)) => ready.push(entry),
                Ok(None) => return Ok((ready, None)),
                // What comes before it can be evaluated all the same.
                Err(error) => return Ok((ready, Some(error))),
            }
        }
    }

    async fn hydrate(&self, shared: &Shared, subject: &Subject, verified: Result<Verified>) -> Result<Entry> {
        let Verified { scheduled, is_doubtful } = verified?;
        let slot = scheduled.assignment.slot;
        let boot = slot == Slot(0);
        if let (true, Some(shown)) = (is_doubtful, &scheduled.message) {
            let weave = &*shared.ports.weave;
            let item = shared.patiently(|| verify::compare(weave, self.process, slot, shown)).await?;
            return Ok(Entry { scheduled, item, delivery: Delivery::Delivered, encoded: None });
        }
        if let Some(item) = scheduled.message.clone().or_else(|| boot.then(|| Arc::clone(&subject.item))) {
            return Ok(Entry { scheduled, item, delivery: Delivery::Delivered, encoded: None });
        }
        let id = scheduled.message_id();
        let item = match shared.patiently(|| shared.ports.weave.get(id)).await {
            Ok(found) => found.item,
            // What was sent to another process of the same scheduler a moment ago is not on the weave yet.
            Err(error) if error.kind == Kind::NotFound => match shared.ports.scheduler.find(None, id).await {
                Ok(Scheduled { message: Some(item), .. }) if item.id == id => item,
                _ => {
                    let slot = scheduled.assignment.slot;
                    let of = self.process;
                    let what = format!("slot {slot} of process {of} assigns {id}, which cannot be found");
                    let hint = "evaluation goes on as soon as the weave has it";
                    return Err(Error::unavailable(what).with_hint(hint));
                }
            },
            Err(error) => return Err(error),
        };
        Ok(Entry { scheduled, item, delivery: Delivery::Assigned, encoded: None })
    }

    /// The blocks above a height, up to another.
    pub(crate) async fn blocks(&self, shared: &Shared, left: Height, right: Height) -> Result<Vec<BlockRef>> {
        const PAGE: usize = 1000;
        let mut blocks: Vec<BlockRef> = Vec::new();
        let mut from = Height(left.0 + 1);
        while from <= right {
            let more = shared.patiently(|| shared.ports.weave.blocks(from, PAGE)).await?;
            let Some(last) = more.last().map(|block| block.height).filter(|last| *last >= from) else {
                let what =
                    format!("block {from} is not known yet, and the crons of {} need it", self.process);
                return Err(Error::unavailable(what));
            };
            from = Height(last.0 + 1);
            blocks.extend(more.into_iter().filter(|block| block.height <= right));
        }
        Ok(blocks)
    }
}

impl Shared {
    fn bench(&self) -> Bench<'_> {
        Bench {
            results: &self.results,
            counted: &self.counted,
            events: &self.ports.events,
            stopping: &self.stopping,
        }
    }
}

/// What is recorded of a process already.
struct Known {
    /// The newest slot up to which outcomes are only repeated.
    recorded: Option<Slot>,
    /// The slot of the checkpoint that it was started from, if it was not evaluated from its beginning.
    began_after: Option<Slot>,
    history: End,
    /// Versions before histories recorded outcomes only: those are evaluated once more.
    is_whole: bool,
}

impl Known {
    fn of(shared: &Shared, process: ProcessId, is_past: bool) -> Result<Known> {
        let head = shared.results.head(process)?;
        let began_after = shared.results.began_after(process)?;
        let history = shared.results.histories().end(process)?;
        let is_whole = is_past || began_after.is_some() || history.slot >= head;
        let recorded = if is_whole { head } else { history.slot };
        Ok(Known { recorded, began_after, history, is_whole })
    }
}

/// A part of a schedule, ready to be evaluated.
#[derive(Default)]
struct Page {
    entries: Vec<Entry>,
    /// For the crons between them.
    blocks: Vec<BlockRef>,
    /// Why there are no more entries than these.
    stop: Option<Error>,
}
