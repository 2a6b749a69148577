//! The world that everybody in a simulation shares: chance, time, what goes wrong, and what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{Assignment, Id, ProcessId, Slot, Timestamp};
use tokio::sync::Notify;
use tokio::time::Instant;
use unit::{Clock, Scheduled, block_here};

use crate::faults::Faults;
use crate::liars::Liar;

/// When a simulated world begins, ms since 1970.
pub const BEGINNING_MS: u64 = 1_700_000_000_000;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// Those who send messages. They never crash.
    Client,
    /// The embedded weave.
    Weave,
    /// The scheduler unit.
    Su,
    /// A compute unit.
    Cu0,
    /// Another.
    Cu1,
    /// A messenger unit.
    Mu0,
    /// Another.
    Mu1,
}

impl Host {
    /// Those that can crash.
    pub const UNITS: [Host; 6] = [Host::Weave, Host::Su, Host::Cu0, Host::Cu1, Host::Mu0, Host::Mu1];
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Host::Client => "client",
            Host::Weave => "weave",
            Host::Su => "su",
            Host::Cu0 => "cu0",
            Host::Cu1 => "cu1",
            Host::Mu0 => "mu0",
            Host::Mu1 => "mu1",
        })
    }
}

/// One run of one host, from start to crash.
#[derive(Debug, Clone, Default)]
pub struct Life(Arc<(AtomicBool, Notify)>);

impl Life {
    /// One that begins.
    pub fn begin() -> Life {
        Life::default()
    }

    /// Ends it, here and now.
    pub fn end(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        self.0.1.notify_waiters();
    }

    /// Whether it goes on.
    pub fn goes_on(&self) -> bool {
        !self.0.0.load(Ordering::SeqCst)
    }

    /// Waits until it ends. Those who wait are woken in the order in which they began to (a `watch` wakes them in an
    /// order of its own).
    pub async fn over(&self) {
        let mut ended = std::pin::pin!(self.0.1.notified());
        ended.as_mut().enable();
        if self.goes_on() {
            ended.await;
        }
    }
}

/// What everybody shares.
pub struct World {
    /// What is drawn from.
    pub seed: u64,
    /// What goes wrong, and how much.
    pub faults: Faults,
    began: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    rng: fastrand::Rng,
    is_storm: bool,
    lives: BTreeMap<Host, Life>,
    /// What does not arrive until then: (from, to).
    cut: BTreeMap<(Host, Host), Instant>,
    /// After so many more calls and writes of a host it crashes.
    doomed: BTreeMap<Host, u64>,
    /// How long it stays down when it is down the next time.
    rests: BTreeMap<Host, Duration>,
    /// Those that are about to end in good order.
    stopping: BTreeSet<Host>,
    /// Until then, whatever comes to it or from it takes seconds.
    slow: BTreeMap<Host, Instant>,
    dials: BTreeMap<Host, Dial>,
    births: BTreeMap<Host, u64>,
    /// Crashes of the scheduler that left ticks with a slot that no messenger had.
    torn_ticks: u64,
    seen: Seen,
    violations: BTreeSet<String>,
    trace: blake3::Hasher,
    text: Option<String>,
    crashes: u64,
    calls: u64,
}

/// What was shown to anybody.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// The assignment of each slot, as it was shown first.
    pub slots: BTreeMap<(ProcessId, Slot), Arc<Assignment>>,
    /// Others of the same slots.
    equivocations: BTreeMap<Id, (Arc<Assignment>, Arc<Assignment>)>,
    /// The outcome of each message, as a hash.
    outcomes: BTreeMap<(ProcessId, Id), (Host, blake3::Hash)>,
}

impl World {
    /// A world that is the same for the same seed. With `text`, what happens is written down to be read.
    pub fn new(seed: u64, text: bool, liar: Option<Liar>) -> Arc<World> {
        World::with(seed, text, |faults| {
            // Who drops messages is found out by somebody who does not.
            faults.both_messengers |= liar == Some(Liar::Drops);
        })
    }

    /// The same, with what goes wrong changed.
    pub fn with(seed: u64, text: bool, change: impl FnOnce(&mut Faults)) -> Arc<World> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut faults = Faults::draw(&mut rng);
        change(&mut faults);
        let inner = Inner {
            rng,
            is_storm: true,
            lives: BTreeMap::new(),
            cut: BTreeMap::new(),
            doomed: BTreeMap::new(),
            rests: BTreeMap::new(),
            stopping: BTreeSet::new(),
            slow: BTreeMap::new(),
            dials: BTreeMap::new(),
            births: BTreeMap::new(),
            torn_ticks: 0,
            seen: Seen::default(),
            violations: BTreeSet::new(),
            trace: blake3::Hasher::new(),
            text: text.then(String::new),
            crashes: 0,
            calls: 0,
        };
        Arc::new(World { seed, faults, began: Instant::now(), inner: Mutex::new(inner) })
    }

    /// A number below `n`; 0 if that is 0.
    pub fn below(&self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.inner().rng.u64(..n) }
    }

    /// Whether something happens that happens so often in a thousand, and only in a storm.
    pub fn strikes(&self, permille: u64) -> bool {
        let mut inner = self.inner();
        inner.is_storm && inner.rng.u64(..1000) < permille
    }

    /// Whether things go wrong.
    pub fn is_storm(&self) -> bool {
        self.inner().is_storm
    }

    /// From here on nothing goes wrong any more.
    pub fn calm(&self) {
        let mut inner = self.inner();
        inner.is_storm = false;
        inner.cut.clear();
        inner.doomed.clear();
        inner.rests.clear();
        inner.slow.clear();
        // One that somebody turns again and again is his.
        inner.dials.retain(|_, dial| matches!(dial, Dial::At(_)));
        drop(inner);
        self.tell(Host::Client, Host::Client, "calm", &"", &"");
    }

    /// Time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// A host begins anew.
    pub fn born(&self, host: Host) -> Life {
        let life = Life::begin();
        let mut inner = self.inner();
        inner.lives.insert(host, life.clone());
        *inner.births.entry(host).or_default() += 1;
        drop(inner);
        self.tell(host, host, "starts", &"", &"");
        life
    }

    /// A host crashes, here and now.
    pub fn crash(&self, host: Host) {
        let mut inner = self.inner();
        let Some(life) = inner.lives.get(&host).filter(|life| life.goes_on()).cloned() else { return };
        inner.crashes += 1;
        drop(inner);
        self.tell(host, host, "crashes", &"", &"");
        life.end();
    }

    /// The run of a host, unless it is over, or about to end already; it is about to end from now on.
    pub fn begin_stop(&self, host: Host) -> Option<Life> {
        let mut inner = self.inner();
        let life = inner.lives.get(&host).filter(|life| life.goes_on()).cloned()?;
        if !inner.stopping.insert(host) {
            return None;
        }
        drop(inner);
        self.tell(host, host, "is told to stop", &"", &"");
        Some(life)
    }

    /// A host is about to end no more: it has ended.
    pub fn end_stop(&self, host: Host) {
        self.inner().stopping.remove(&host);
    }

    /// Whether a host is about to end in good order.
    pub fn is_stopping(&self, host: Host) -> bool {
        self.inner().stopping.contains(&host)
    }

    /// A host crashes after it called or wrote so many times more: in the middle of something.
    pub fn doom(&self, host: Host, after: u64) {
        self.inner().doomed.insert(host, after);
    }

    /// A host calls or writes: whether that is when it crashes.
    pub fn meets_doom(&self, host: Host) -> bool {
        let mut inner = self.inner();
        match inner.doomed.get_mut(&host) {
            None => return false,
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return false;
            }
        }
        inner.doomed.remove(&host);
        true
    }

    /// The next time that a host is down it stays so for that long.
    pub fn rest(&self, host: Host, time: Duration) {
        self.inner().rests.insert(host, time);
    }

    /// How long a host that is down now stays so.
    pub fn rests(&self, host: Host) -> Duration {
        let told = self.inner().rests.remove(&host);
        told.unwrap_or_else(|| Duration::from_millis(1 + self.below(20_000)))
    }

    /// A host is slow for a while.
    pub fn slow_down(&self, host: Host, time: Duration) {
        self.tell(host, host, "is slow", &"", &format!("{time:?}"));
        self.inner().slow.insert(host, Instant::now() + time);
    }

    /// Whether a host is slow.
    pub fn is_slow(&self, host: Host) -> bool {
        self.inner().slow.get(&host).is_some_and(|until| Instant::now() < *until)
    }

    /// Sets the clock of a host; without a dial it shows the time.
    pub fn turn(&self, host: Host, dial: Option<Dial>) {
        let mut inner = self.inner();
        match dial {
            Some(dial) => drop(inner.dials.insert(host, dial)),
            None => drop(inner.dials.remove(&host)),
        }
    }

    /// The scheduler crashed, and no messenger had so many of its ticks.
    pub fn note_untold(&self, ticks: u64) {
        self.inner().torn_ticks += u64::from(ticks > 0);
    }

    /// How often the scheduler crashed between a slot of a tick and its messenger.
    pub fn torn_ticks(&self) -> u64 {
        self.inner().torn_ticks
    }

    /// How often a host began so far, and whether it is up.
    pub fn life_of(&self, host: Host) -> (u64, bool) {
        let inner = self.inner();
        let births = inner.births.get(&host).copied().unwrap_or_default();
        (births, inner.lives.get(&host).is_some_and(Life::goes_on))
    }

    /// What `from` says to `to` does not arrive for a while.
    pub fn cut(&self, from: Host, to: Host, time: Duration) {
        self.tell(from, to, "is cut off", &"", &format!("{time:?}"));
        self.inner().cut.insert((from, to), Instant::now() + time);
    }

    /// Whether what `from` says to `to` does not arrive.
    pub fn is_cut(&self, from: Host, to: Host) -> bool {
        self.inner().cut.get(&(from, to)).is_some_and(|until| Instant::now() < *until)
    }

    /// A rule was broken.
    pub fn violation(&self, what: impl Into<String>) {
        self.inner().violations.insert(what.into());
    }

    /// The rules that were broken so far.
    pub fn violations(&self) -> Vec<String> {
        self.inner().violations.iter().cloned().collect()
    }

    /// An entry of a schedule was shown to somebody.
    pub fn saw_entry(&self, entry: &Scheduled) {
        let (process, slot) = (entry.assignment.process, entry.assignment.slot);
        let shown = Arc::clone(&entry.assignment);
        let mut inner = self.inner();
        let first = Arc::clone(inner.seen.slots.entry((process, slot)).or_insert_with(|| Arc::clone(&shown)));
        let (one, other) = (first.id(), shown.id());
        if one != other {
            inner.seen.equivocations.insert(other, (first, shown));
            drop(inner);
            self.violation(format!("slot {slot} of {process} was shown as {one}, and later as {other}"));
        }
    }

    /// An outcome was shown to somebody.
    pub fn saw_outcome(&self, by: Host, process: ProcessId, message: Id, outcome: &protocol::Outcome) {
        let json = serde_json::to_vec(outcome).expect("an outcome is always JSON");
        let hash = blake3::hash(&json);
        let (who, first) = *self.inner().seen.outcomes.entry((process, message)).or_insert((by, hash));
        if first != hash {
            self.violation(format!("{who} and {by} gave different outcomes of {message} in {process}"));
        }
    }

    /// What was shown to anybody so far.
    pub fn seen(&self) -> Seen {
        self.inner().seen.clone()
    }

    /// Pairs of different assignments of one slot that somebody was shown.
    pub fn equivocations(&self) -> Vec<(Arc<Assignment>, Arc<Assignment>)> {
        self.inner().seen.equivocations.values().cloned().collect()
    }

    /// Something happened.
    pub fn tell(&self, from: Host, to: Host, what: &str, about: &dyn fmt::Display, how: &dyn fmt::Display) {
        let at = self.elapsed().as_millis();
        let line = format!("{at:>8} {from:>6} > {to:<6} {what} {about} {how}\n");
        let mut inner = self.inner();
        inner.calls += 1;
        inner.trace.update(line.as_bytes());
        if let Some(text) = &mut inner.text {
            let _ = text.write_str(&line);
        }
    }

    /// A hash of everything that happened.
    pub fn trace(&self) -> String {
        self.inner().trace.finalize().to_hex()[..16].to_owned()
    }

    /// What happened, to be read.
    pub fn text(&self) -> Option<String> {
        self.inner().text.clone()
    }

    /// How often somebody crashed, and how often anything happened.
    pub fn counts(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.crashes, inner.calls)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a simulation to its end, on this thread: nothing waits for anything but its own time.
pub(crate) fn alone<R>(simulation: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without input and output needs nothing from the system");
    let _here = block_here();
    runtime.block_on(simulation)
}

/// What the clock of a host shows instead of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dial {
    /// So much more, or less, ms.
    Off(i64),
    /// That, ms since 1970, until it is turned.
    At(u64),
}

/// The clock of a host.
pub struct SimClock {
    /// Whose time it is.
    pub world: Arc<World>,
    /// Whose clock it is.
    pub host: Host,
    /// How far it is ahead, ms.
    pub skew_ms: u64,
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let right = BEGINNING_MS + self.skew_ms + self.world.elapsed().as_millis() as u64;
        Timestamp(match self.world.inner().dials.get(&self.host) {
            None => right,
            Some(Dial::Off(ms)) => right.saturating_add_signed(*ms),
            Some(Dial::At(ms)) => *ms,
        })
    }
}

/// The clock of whoever needs none: it stands at the beginning of time.
pub struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn is_still(&self) -> bool {
        true
    }
}
