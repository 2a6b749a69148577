//! What the log of a process says of its timers: worked out apart from the scheduler, from the tags that it has there.

use protocol::{Id, Item, ProcessId, Tags, tag};
use unit::Scheduled;

use super::timers::{KINDS, Kind, MINUTE, Policy};
use crate::machine::Moments;
use crate::network::{messenger_addresses, scheduler_address};

/// One timer, and how far it is. Milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What becomes of missed moments.
    pub policy: Policy,
    /// When it was set: it begins after that.
    pub set: u64,
    start: Option<u64>,
    end: u64,
    budget: Option<u64>,
    /// Ticks since it was set.
    pub given: u64,
    /// The moment of the newest, also of before it was set again.
    pub last: Option<u64>,
}

/// The timers of a process, in the order in which they were set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table(pub Vec<Timer>);

/// What an entry of a log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The tick of a timer, for a moment.
    Tick(String, u64),
    /// The process begins, or it or its owner said something of its timers.
    Change,
    /// Anything else.
    Other,
}

/// An entry of a log, and the timers after it.
#[derive(Debug, Clone)]
pub struct Step {
    /// The time that its assignment says.
    pub at: u64,
    /// What it is.
    pub what: What,
    /// Whether it changed the timers, or what was said of them last.
    pub has_changed: bool,
    /// As they are then.
    pub table: Table,
}

/// The log of a process.
#[derive(Debug, Clone)]
pub struct Log {
    /// Who spawned it, if a process did.
    pub spawner: Option<Id>,
    /// Its tags.
    pub tags: Tags,
    /// All entries.
    pub steps: Vec<Step>,
    /// What anybody said of its timers, by whom, as [`said_of_timers`] has it.
    pub wishes: Vec<(Author, Vec<(String, String)>)>,
}

/// Who said something of the timers of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Author {
    /// Itself, through a messenger that it trusts.
    Itself,
    /// Who spawned it.
    Owner,
    /// Somebody else, whose word counts for nothing.
    Stranger,
}

/// Those tags that say something of timers.
pub fn said_of_timers<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    let is = |name: &str| name == tag::ACTION || name.starts_with("Tick-");
    tags.into_iter().filter(|(name, _)| is(name)).map(|(name, value)| (name.into(), value.into())).collect()
}

impl Timer {
    fn after(&self) -> u64 {
        self.set.max(self.last.unwrap_or(0))
    }

    /// Its first moment after one.
    fn next_after(&self, ms: u64) -> u64 {
        let Kind { every, of_calendar, .. } = self.kind;
        let first = match (of_calendar, self.start) {
            (None, start) => start.unwrap_or(self.set + every),
            (Some(_), start) => self.kind.first(start.map_or(self.set, |it| it.saturating_sub(1))),
        };
        if first > ms { first } else { first + ((ms - first) / every + 1) * every }
    }

    fn is_spent(&self) -> bool {
        self.budget.is_some_and(|budget| self.given >= budget)
    }

    /// The moments that have passed and are to be given a tick, by the policy.
    fn due(&self, now: u64) -> Option<u64> {
        let first = self.next_after(self.after());
        let until = now.min(self.end);
        if self.is_spent() || first > until {
            return None;
        }
        let newest = until - (until - first) % self.kind.every;
        match self.policy {
            Policy::Skip => (now - newest <= MINUTE).then_some(newest),
            Policy::Once => Some(newest),
            Policy::All => Some(first.max(newest.saturating_sub(99 * self.kind.every))),
        }
    }

    fn next(&self, now: u64) -> Option<u64> {
        let next = || self.next_after(self.after().max(now));
        let is_over = self.is_spent();
        self.due(now).or_else(|| Some(next()).filter(|at| !is_over && *at <= self.end))
    }
}

impl Table {
    /// The tick that has to come first of those that are due.
    pub fn due(&self, now: u64) -> Option<(&str, u64)> {
        let due = self.0.iter().filter_map(|timer| Some((timer.due(now)?, timer.name.as_str())));
        due.min().map(|(at, name)| (name, at))
    }

    /// When something is due next: now, or at the next moment of any. Never is [`u64::MAX`].
    pub fn next(&self, now: u64) -> u64 {
        self.0.iter().filter_map(|timer| timer.next(now)).min().unwrap_or(u64::MAX)
    }

    fn give(&mut self, name: &str, due: u64) -> bool {
        match self.0.iter_mut().find(|timer| timer.name == name && due > timer.after()) {
            None => false,
            Some(timer) => {
                timer.last = Some(due);
                timer.given += 1;
                true
            }
        }
    }

    /// What tags set, all or none of it.
    fn set(&mut self, tags: &Tags, now: u64) {
        for mut timer in read(tags, now).unwrap_or_default() {
            match self.0.iter_mut().find(|known| known.name == timer.name) {
                Some(known) => {
                    timer.last = known.last;
                    *known = timer;
                }
                None => self.0.push(timer),
            }
        }
    }
}

/// The timers that tags ask for, or none if anything of it is not understood. Of the tags and values, those that the
/// week has.
fn read(tags: &Tags, now: u64) -> Option<Vec<Timer>> {
    let mut timers: Vec<Timer> = Vec::new();
    for tag in tags.iter().filter(|tag| tag.name.starts_with("Tick-")) {
        let (name, value) = (tag.name.as_str(), tag.value.as_str());
        if matches!(name, "Tick-Interval" | "Tick-Cron") {
            let kind = *KINDS.iter().find(|kind| kind.tag == name && kind.text == value)?;
            let (policy, end, name) = (Policy::Once, u64::MAX, format!("timer-{}", timers.len() + 1));
            let (start, budget, given, last) = (None, None, 0, None);
            timers.push(Timer { name, kind, policy, set: now, start, end, budget, given, last });
            continue;
        }
        let timer = timers.last_mut()?;
        match name {
            "Tick-Name" => timer.name = value.to_owned(),
            "Tick-Missed" => timer.policy = Policy::of(value)?,
            "Tick-Start" => timer.start = Some(value.parse().ok()?),
            "Tick-End" => timer.end = value.parse().ok()?,
            "Tick-Budget" => timer.budget = Some(value.parse().ok()?),
            _ => {}
        }
    }
    Some(timers)
}

impl Step {
    /// Whether the process has any then.
    pub fn has_timers(&self) -> bool {
        !self.table.0.is_empty()
    }
}

impl Log {
    /// Reads it; None of what is no log of a process.
    pub fn read(process: ProcessId, entries: &[Scheduled]) -> Option<Log> {
        let boot = entries.first()?.message.as_ref()?;
        let is_pushed = |item: &Item| messenger_addresses().contains(&item.address());
        let sender = |item: &Item| match item.tags.first(tag::FROM_PROCESS) {
            Some(from) if is_pushed(item) => from.parse::<Id>().ok(),
            Some(_) => None,
            None => Some(item.address().0),
        };
        let owner = sender(boot)?;
        let spawner = boot.tags.first(tag::FROM_PROCESS).map(|_| owner);
        let mut log = Log { spawner, tags: boot.tags.clone(), steps: Vec::new(), wishes: Vec::new() };
        let mut table = Table::default();
        for (n, entry) in entries.iter().enumerate() {
            let at = entry.assignment.timestamp.0;
            let mut step = Step { at, what: What::Other, has_changed: false, table: Table::default() };
            if let Some(item) = entry.message.as_deref() {
                let action = item.tags.first(tag::ACTION);
                if n == 0 {
                    table.set(&item.tags, at);
                    (step.what, step.has_changed) = (What::Change, true);
                } else if let Some((name, due)) = tick(item) {
                    step.has_changed = table.give(&name, due);
                    step.what = What::Tick(name, due);
                } else if let Some(action) = action.filter(|it| matches!(*it, "Tick-Set" | "Tick-Cancel")) {
                    let author = match sender(item) {
                        Some(from) if from == process.0 => Author::Itself,
                        Some(from) if from == owner => Author::Owner,
                        _ => Author::Stranger,
                    };
                    let tags = item.tags.iter().map(|tag| (tag.name.as_str(), tag.value.as_str()));
                    log.wishes.push((author, said_of_timers(tags)));
                    if author != Author::Stranger {
                        step.what = What::Change;
                        let before = table.0.len();
                        if action == "Tick-Set" {
                            table.set(&item.tags, at);
                        } else {
                            let names: Vec<&str> = item.tags.all("Tick-Name").collect();
                            table.0.retain(|timer| !names.contains(&"*") && !names.contains(&&*timer.name));
                        }
                        step.has_changed = action == "Tick-Set" || table.0.len() != before;
                    }
                }
            }
            step.table = table.clone();
            log.steps.push(step);
        }
        Some(log)
    }

    /// The timers in the end.
    pub fn last(&self) -> &[Timer] {
        self.steps.last().map_or(&[], |step| &step.table.0)
    }

    /// The moments of all ticks, by timer.
    pub fn moments(&self) -> Moments {
        let mut moments = Moments::new();
        for step in &self.steps {
            if let What::Tick(name, due) = &step.what {
                moments.entry(name.clone()).or_default().push(*due);
            }
        }
        moments
    }
}

/// Which timer's tick an item is, and for which moment: its scheduler signed it, and pushed it for nobody.
fn tick(item: &Item) -> Option<(String, u64)> {
    if item.address() != scheduler_address() || item.tags.first(tag::FROM_PROCESS).is_some() {
        return None;
    }
    Some((item.tags.first("Tick-Name")?.to_owned(), item.tags.first("Tick-Due")?.parse().ok()?))
}

#[cfg(test)]
impl Log {
    /// One in which that happened, at those times.
    pub(super) fn of(happened: &[(u64, Happened<'_>)]) -> Log {
        let mut log = Log { spawner: None, tags: Tags::default(), steps: Vec::new(), wishes: Vec::new() };
        let mut table = Table::default();
        for (at, what) in happened {
            let (mut has_changed, mut is) = (true, What::Change);
            match what {
                Happened::Set(tags) => table.set(&tags.iter().copied().collect(), *at),
                Happened::Cancel => table.0.clear(),
                Happened::Tick(name, due) => {
                    has_changed = table.give(name, *due);
                    is = What::Tick((*name).to_owned(), *due);
                }
            }
            log.steps.push(Step { at: *at, what: is, has_changed, table: table.clone() });
        }
        log
    }
}

/// What happens in the log of a test.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(super) enum Happened<'a> {
    Set(&'a [(&'a str, &'a str)]),
    Cancel,
    Tick(&'a str, u64),
}
