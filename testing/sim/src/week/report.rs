//! What is told of such days.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Said;

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct WeekReport {
    /// The rules that were broken; none if all is well.
    pub violations: Vec<String>,
    /// Processes of each kind of timer, moments that these had, and ticks that they were given.
    pub mix: BTreeMap<String, Counts>,
    /// The same by policy.
    pub policies: BTreeMap<String, Counts>,
    /// Processes whose timers were changed by message, and processes that processes spawned with timers.
    pub changed: Changed,
    /// Crons of legacynet: ticks that were told of, by cron.
    pub crons: BTreeMap<String, u64>,
    /// Messages with a slot.
    pub slots: u64,
    /// How often a unit crashed.
    pub crashes: u64,
    /// How often the scheduler crashed with ticks that had their slots and no messenger.
    pub torn_ticks: u64,
    /// What else went wrong.
    pub said: Said,
    /// Calls and other things that happened.
    pub events: u64,
    /// A hash of all of them.
    pub trace: String,
    /// What happened, if it was to be written down.
    pub text: Option<String>,
    /// Virtual time that it took.
    pub took: Duration,
}

/// How many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes.
    pub processes: u64,
    /// Moments at which one was due.
    pub moments: u64,
    /// Ticks.
    pub ticks: u64,
}

/// What became of timers while everything went on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Processes whose timers were changed.
    pub processes: u64,
    /// Messages by which they changed their own.
    pub itself: u64,
    /// Messages of their owner.
    pub owner: u64,
    /// Messages of somebody whose word counts for nothing.
    pub stranger: u64,
    /// Ticks that these processes were given.
    pub ticks: u64,
    /// Processes that processes spawned.
    pub children: u64,
    /// Ticks of those.
    pub children_ticks: u64,
}

impl fmt::Display for WeekReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |counts: &Counts| {
            let Counts { processes, moments, ticks } = counts;
            format!("{processes} processes, {moments} moments, {ticks} ticks")
        };
        let mut lines = self.mix.iter().chain(&self.policies);
        lines.try_for_each(|(name, counts)| writeln!(f, "{name}: {}", of(counts)))?;
        let mut all = Counts::default();
        self.policies.values().for_each(|counts| all.add(*counts));
        writeln!(f, "all: {}", of(&all))?;
        self.crons.iter().try_for_each(|(name, n)| writeln!(f, "legacynet, {name}: {n} ticks"))?;
        let Changed { processes, itself, owner, stranger, ticks, children, children_ticks } = self.changed;
        writeln!(
            f,
            "changed by message: {processes} processes, {itself} messages of theirs, {owner} of their owner, \
             {stranger} of a stranger, {ticks} ticks\nspawned by processes: {children} processes, {children_ticks} ticks"
        )?;
        writeln!(
            f,
            "{} crashes, {} of the scheduler between a tick's slot and its messenger, {}",
            self.crashes, self.torn_ticks, self.said
        )?;
        let hours = self.took.as_secs() / 3600;
        write!(
            f,
            "{} slots, each evaluated by three compute units; {} events, {hours} h, trace {}",
            self.slots, self.events, self.trace
        )
    }
}

impl Counts {
    pub(super) fn add(&mut self, other: Counts) {
        self.processes += other.processes;
        self.moments += other.moments;
        self.ticks += other.ticks;
    }
}
