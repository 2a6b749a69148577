//! What happens in a node, for whoever wants to hear of it while it happens.
//!
//! Units tell; nobody waits for who listens. The newest events are kept in a ring, and every listener reads the ring at
//! a pace of its own: one that is slow or away for a while goes on where it was, or hears that it has missed something.

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{Address, Height, Id, Outcome, ProcessId, Slot, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{BlockHash, Clock, Error, Kind, Result};

/// Something that happened, and to which process.
#[derive(Debug, Clone)]
pub struct Event {
    /// Which it is.
    pub id: EventId,
    /// When, by the node's clock.
    pub at: Timestamp,
    /// To which process, if to one.
    pub process: Option<ProcessId>,
    /// What.
    pub what: Happened,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Happened {
    /// A messenger took a signed item, or a request to assign one, from a client.
    Received {
        /// Its id.
        message: Id,
        /// Who signed it; unknown where something is assigned.
        from: Option<Address>,
        /// Its `Action`.
        action: Option<String>,
    },
    /// A scheduler gave it a slot, durably.
    Assigned {
        /// The slot.
        slot: Slot,
        /// Its id.
        message: Id,
        /// The id of the assignment.
        assignment: Id,
        /// The process that sent it, or the wallet that signed it; unknown where the item is elsewhere.
        from: Option<Id>,
        /// Its `Action`.
        action: Option<String>,
    },
    /// A compute unit evaluated it for the first time.
    Evaluated {
        /// The slot.
        slot: Slot,
        /// Its id.
        message: Id,
        /// The process that sent it, or the wallet that signed it.
        from: Id,
        /// Its `Action`.
        action: Option<String>,
        /// What came of it.
        outcome: Told,
    },
    /// A compute unit evaluated a cron message.
    Ticked {
        /// The slot of the entry before it.
        slot: Slot,
        /// When it was due.
        due: Timestamp,
        /// Which cron: `0-10-minutes`.
        cron: String,
        /// What came of it.
        outcome: Told,
    },
    /// A messenger signed what follows from an outcome, and writes it down before it sends any of it.
    Pushed {
        /// The message whose outcome it was; none for cron.
        message: Option<Id>,
        /// What follows, in the order of the outcome: at most [`Events::PUSHED_MAX`] of them.
        sent: Vec<Id>,
        /// How many follow.
        count: usize,
    },
    /// Something that a messenger sent is where it was sent to: a slot, or the weave for what is for a wallet.
    Delivered {
        /// Its id.
        message: Id,
        /// Its slot in the process; none for what is for a wallet.
        slot: Option<Slot>,
    },
    /// A messenger gave something up.
    Failed {
        /// Its id.
        message: Id,
        /// Why.
        why: String,
    },
    /// The weave has a new block.
    Mined {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: BlockHash,
        /// How many transactions are in it.
        transactions: usize,
    },
    /// The newest blocks of the weave are no part of its chain any more. Those in their place follow.
    Reorganised {
        /// The height of the newest block that stays.
        height: Height,
        /// The blocks that are gone, newest first: at most [`Events::PUSHED_MAX`] of them.
        orphaned: Vec<BlockHash>,
    },
}

/// An outcome, unless it is larger than what a ring is for.
#[derive(Debug, Clone)]
pub enum Told {
    /// All of it.
    Whole(Arc<Outcome>),
    /// Only what it cost, and whether it is a failure: see [`Events::OUTCOME_BYTES_MAX`].
    TooLarge {
        /// Units of gas.
        gas: u64,
        /// Whether the process failed.
        failed: bool,
    },
}

/// What sort of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of what happened")]
pub enum EventKind {
    Received,
    Assigned,
    Evaluated,
    Ticked,
    Pushed,
    Delivered,
    Failed,
    Mined,
    Reorganised,
}

impl EventKind {
    /// All of them.
    pub const ALL: [EventKind; 9] = [
        EventKind::Received,
        EventKind::Assigned,
        EventKind::Evaluated,
        EventKind::Ticked,
        EventKind::Pushed,
        EventKind::Delivered,
        EventKind::Failed,
        EventKind::Mined,
        EventKind::Reorganised,
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Received => "received",
            EventKind::Assigned => "assigned",
            EventKind::Evaluated => "evaluated",
            EventKind::Ticked => "ticked",
            EventKind::Pushed => "pushed",
            EventKind::Delivered => "delivered",
            EventKind::Failed => "failed",
            EventKind::Mined => "mined",
            EventKind::Reorganised => "reorganised",
        }
    }
}

impl Happened {
    /// What sort it is.
    pub fn kind(&self) -> EventKind {
        match self {
            Happened::Received { .. } => EventKind::Received,
            Happened::Assigned { .. } => EventKind::Assigned,
            Happened::Evaluated { .. } => EventKind::Evaluated,
            Happened::Ticked { .. } => EventKind::Ticked,
            Happened::Pushed { .. } => EventKind::Pushed,
            Happened::Delivered { .. } => EventKind::Delivered,
            Happened::Failed { .. } => EventKind::Failed,
            Happened::Mined { .. } => EventKind::Mined,
            Happened::Reorganised { .. } => EventKind::Reorganised,
        }
    }

    /// Bytes that it keeps in memory, roughly.
    fn size(&self) -> usize {
        let inner = match self {
            Happened::Received { action, .. } | Happened::Assigned { action, .. } => {
                action.as_ref().map_or(0, String::len)
            }
            // Its action is at most as long as told.
            Happened::Evaluated { outcome: Told::Whole(outcome), .. }
            | Happened::Ticked { outcome: Told::Whole(outcome), .. } => bytes_of(outcome),
            Happened::Pushed { sent, .. } => sent.len() * size_of::<Id>(),
            Happened::Failed { why, .. } => why.len(),
            Happened::Reorganised { orphaned, .. } => orphaned.len() * size_of::<BlockHash>(),
            Happened::Evaluated { .. }
            | Happened::Ticked { .. }
            | Happened::Delivered { .. }
            | Happened::Mined { .. } => 0,
        };
        size_of::<Event>() + inner
    }
}

/// Which event: of which run of a node, and its number there, from 1. `RUN-NUMBER` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// Milliseconds since 1970 when the run began.
    pub run: u64,
    /// How many had happened by then.
    pub number: u64,
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.run, self.number)
    }
}

impl FromStr for EventId {
    type Err = Error;

    fn from_str(text: &str) -> Result<EventId> {
        let parts =
            text.split_once('-').and_then(|(run, number)| Some((run.parse().ok()?, number.parse().ok()?)));
        let Some((run, number)) = parts else {
            let shown: String = text.chars().take(64).collect();
            return Err(Error::invalid(format!("{shown:?} is not the id of an event"))
                .with_hint("give the id as the stream said it, or none to hear what comes"));
        };
        Ok(EventId { run, number })
    }
}

/// The bounds of what is kept of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsOptions {
    /// Events that are kept for whoever comes back. 0: none are told.
    pub kept_max: usize,
    /// Bytes of them.
    pub kept_bytes_max: usize,
    /// Who may listen at the same time.
    pub listeners_max: usize,
}

impl Default for EventsOptions {
    fn default() -> EventsOptions {
        EventsOptions { kept_max: 8192, kept_bytes_max: 8 << 20, listeners_max: 256 }
    }
}

/// The events of one run of a node: what units tell, and what listeners hear.
pub struct Events {
    run: u64,
    options: EventsOptions,
    clock: Option<Arc<dyn Clock>>,
    ring: Mutex<Ring>,
    /// Changes when there is something new, or nothing more.
    news: watch::Sender<()>,
    listeners: AtomicUsize,
}

#[derive(Default)]
struct Ring {
    kept: VecDeque<Arc<Event>>,
    bytes: usize,
    /// The number of the newest.
    newest: u64,
    /// Why there is nothing more.
    ended: Option<String>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("run", &self.run).finish_non_exhaustive()
    }
}

impl Events {
    /// Events of one run, which are kept within `options`. `run` is unlike that of every other run.
    pub fn new(run: u64, clock: Arc<dyn Clock>, options: EventsOptions) -> Arc<Events> {
        let clock = (options.kept_max > 0).then_some(clock);
        Arc::new(Events {
            run,
            options,
            clock,
            ring: Mutex::default(),
            news: watch::Sender::new(()),
            listeners: AtomicUsize::new(0),
        })
    }

    /// For units that nobody hears.
    pub fn silent() -> Arc<Events> {
        Arc::new(Events {
            run: 0,
            options: EventsOptions { kept_max: 0, ..EventsOptions::default() },
            clock: None,
            ring: Mutex::default(),
            news: watch::Sender::new(()),
            listeners: AtomicUsize::new(0),
        })
    }

    /// Bytes of the largest outcome that is told as a whole.
    pub const OUTCOME_BYTES_MAX: usize = 256 << 10;
    /// Ids that one [`Happened::Pushed`] names.
    pub const PUSHED_MAX: usize = 64;
    /// Bytes of an action or a reason that are told.
    pub const TEXT_BYTES_MAX: usize = 1024;
    /// Events that a listener takes at once.
    const PAGE: usize = 64;

    /// Whether what is told is kept at all.
    pub fn are_kept(&self) -> bool {
        self.clock.is_some()
    }

    /// Tells something. `what` is only asked if it is kept. Never waits for a listener.
    pub fn tell(&self, process: Option<ProcessId>, what: impl FnOnce() -> Happened) {
        let Some(clock) = &self.clock else { return };
        let (at, what) = (clock.now(), what());
        {
            let mut ring = self.ring();
            ring.newest += 1;
            let id = EventId { run: self.run, number: ring.newest };
            ring.bytes += what.size();
            ring.kept.push_back(Arc::new(Event { id, at, process, what }));
            while ring.kept.len() > self.options.kept_max || ring.bytes > self.options.kept_bytes_max {
                let Some(oldest) = ring.kept.pop_front() else { break };
                ring.bytes -= oldest.what.size();
            }
        }
        if self.news.receiver_count() > 0 {
            self.news.send_replace(());
        }
    }

    /// There is nothing more, and `why`. Listeners hear what there was, and then that.
    pub fn end(&self, why: &str) {
        self.ring().ended.get_or_insert_with(|| why.to_owned());
        self.news.send_replace(());
    }

    /// Listens to what comes after an event, or from now on. `Busy` if too many listen.
    pub fn listen(self: &Arc<Self>, after: Option<EventId>) -> Result<Listener> {
        if !self.are_kept() {
            return Err(Error::not_found("this node tells no events").with_hint("poll /results instead"));
        }
        let before = self.listeners.fetch_add(1, Ordering::Relaxed);
        let news = self.news.subscribe();
        let mut listener = Listener { events: Arc::clone(self), news, next: 0, missed: None };
        let max = self.options.listeners_max;
        if before >= max {
            let error = Error::new(
                Kind::Busy { retry_after: Duration::from_secs(10) },
                format!("{max} listen to this node's events, and that is the most"),
            );
            return Err(error.with_hint("poll /results instead, or listen at another node"));
        }
        let ring = self.ring();
        let oldest = ring.newest + 1 - ring.kept.len() as u64;
        match after {
            None => listener.next = ring.newest + 1,
            Some(EventId { run, number }) if run == self.run && number <= ring.newest => {
                listener.next = number + 1;
            }
            Some(after) => {
                listener.missed = Some(Missed { after, resumed: EventId { run: self.run, number: oldest } });
                listener.next = oldest;
            }
        }
        drop(ring);
        Ok(listener)
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.listeners.load(Ordering::Relaxed)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who hears events. Goes away by being dropped.
#[derive(Debug)]
pub struct Listener {
    events: Arc<Events>,
    news: watch::Receiver<()>,
    /// The number of the next event to hear.
    next: u64,
    missed: Option<Missed>,
}

/// What a listener hears.
#[derive(Debug, Clone)]
pub enum Heard {
    /// What happened, in order; not empty.
    Events(Vec<Arc<Event>>),
    /// Some events are no longer kept.
    Missed(Missed),
    /// There is nothing more, and why.
    End(String),
}

/// Events are gone that a listener has not heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The last that it heard.
    pub after: EventId,
    /// Where it goes on.
    pub resumed: EventId,
}

impl Listener {
    /// The newest event that is not heard any more: what comes is after that.
    pub fn position(&self) -> EventId {
        EventId { run: self.events.run, number: self.next.saturating_sub(1) }
    }

    /// What happens next. Waits for it. After [`Heard::End`] it is that again.
    pub async fn next(&mut self) -> Heard {
        loop {
            // Seen before the look: what comes after it changes this once more.
            self.news.borrow_and_update();
            if let Some(heard) = self.look() {
                return heard;
            }
            // The sender is in `events`, so this ends only with news.
            let _ = self.news.changed().await;
        }
    }

    fn look(&mut self) -> Option<Heard> {
        if let Some(missed) = self.missed.take() {
            return Some(Heard::Missed(missed));
        }
        let ring = self.events.ring();
        let oldest = ring.newest + 1 - ring.kept.len() as u64;
        if self.next < oldest {
            let after = EventId { run: self.events.run, number: self.next.saturating_sub(1) };
            self.next = oldest;
            return Some(Heard::Missed(Missed { after, resumed: EventId { number: oldest, ..after } }));
        }
        let from = (self.next - oldest) as usize;
        let events: Vec<_> = ring.kept.iter().skip(from).take(Events::PAGE).cloned().collect();
        if events.is_empty() {
            return ring.ended.clone().map(Heard::End);
        }
        self.next += events.len() as u64;
        Some(Heard::Events(events))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.events.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Told {
    /// An outcome as it is told.
    pub fn of(outcome: &Arc<Outcome>) -> Told {
        if bytes_of(outcome) <= Events::OUTCOME_BYTES_MAX {
            return Told::Whole(Arc::clone(outcome));
        }
        Told::TooLarge { gas: outcome.gas, failed: outcome.error.is_some() }
    }
}

fn bytes_of(outcome: &Outcome) -> usize {
    let outbox = [&outcome.messages, &outcome.assignments, &outcome.spawns].into_iter().flatten();
    outbox.chain([&outcome.output]).chain(&outcome.error).map(|json| json.get().len()).sum()
}

/// The beginning of a text, as much as is told of it.
pub fn told_text(text: &str) -> String {
    let max = Events::TEXT_BYTES_MAX.min(text.len());
    let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp(12)
        }
    }

    fn events(kept_max: usize) -> Arc<Events> {
        let options = EventsOptions { kept_max, listeners_max: 2, ..EventsOptions::default() };
        Events::new(7, Arc::new(Noon), options)
    }

    fn tell(events: &Events, n: u8) {
        events.tell(None, || Happened::Failed { message: Id([n; 32]), why: String::new() });
    }

    /// The numbers of what a listener hears now.
    async fn hear(listener: &mut Listener) -> Vec<u64> {
        match listener.next().await {
            Heard::Events(events) => events.iter().map(|event| event.id.number).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_listener_hears_what_comes_and_one_that_returns_what_came_since() {
        let events = events(10);
        tell(&events, 1);
        let mut listener = events.listen(None).unwrap();
        tell(&events, 2);
        tell(&events, 3);
        assert_eq!(hear(&mut listener).await, [2, 3]);
        let last = listener.position();
        assert_eq!(last.to_string(), "7-3");
        drop(listener);
        tell(&events, 4);
        let mut listener = events.listen(Some("7-3".parse().unwrap())).unwrap();
        assert_eq!(hear(&mut listener).await, [4]);
        let waits = tokio::spawn(async move { hear(&mut listener).await });
        tell(&events, 5);
        assert_eq!(waits.await.unwrap(), [5]);
    }

    #[tokio::test]
    async fn whoever_was_away_too_long_hears_that() {
        let events = events(2);
        let mut slow = events.listen(None).unwrap();
        (1..=5).for_each(|n| tell(&events, n));
        let Heard::Missed(missed) = slow.next().await else { panic!("it missed three") };
        assert_eq!((missed.after.number, missed.resumed.number), (0, 4));
        assert_eq!(hear(&mut slow).await, [4, 5]);
        for other in ["6-3", "7-9"] {
            let mut of_another_run = events.listen(Some(other.parse().unwrap())).unwrap();
            assert!(matches!(of_another_run.next().await, Heard::Missed(_)), "{other}");
            assert_eq!(hear(&mut of_another_run).await, [4, 5]);
        }
    }

    #[tokio::test]
    async fn listeners_are_bounded_and_hear_the_end() {
        let events = events(2);
        let (mut first, second) = (events.listen(None).unwrap(), events.listen(None).unwrap());
        assert!(matches!(events.listen(None).unwrap_err().kind, Kind::Busy { .. }));
        assert_eq!(events.listeners(), 2);
        drop(second);
        events.listen(None).unwrap();
        tell(&events, 1);
        events.end("the node stops");
        assert_eq!(hear(&mut first).await, [1]);
        let Heard::End(why) = first.next().await else { panic!("it ended") };
        assert_eq!(why, "the node stops");
    }

    #[test]
    fn silent_events_are_not_even_made() {
        let events = Events::silent();
        events.tell(None, || panic!("nobody hears it"));
        assert_eq!(events.listen(None).unwrap_err().kind, Kind::NotFound);
    }

    #[test]
    fn bytes_are_bounded() {
        let options = EventsOptions { kept_bytes_max: 10_000, ..EventsOptions::default() };
        let events = Events::new(7, Arc::new(Noon), options);
        for _ in 0..100 {
            events.tell(None, || Happened::Failed { message: Id([1; 32]), why: "x".repeat(1000) });
        }
        let ring = events.ring();
        assert!(ring.bytes <= 10_000 && !ring.kept.is_empty(), "{}", ring.bytes);
    }
}
