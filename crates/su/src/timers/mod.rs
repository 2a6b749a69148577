//! The timers of a process. Pure: its log in, the ticks that are due out.
//!
//! A process asks for timers in the tags of its item, and changes them by messages: from itself, pushed by one of its
//! authorities, or from its owner. A tick that was given is in the log as well. So the table of its timers is a
//! function of its log, the same for whoever replays it; what the clock decides is only when the next tick gets its
//! slot, and which moments are missed by then.
//!
//! - Tags: [`spec`]. One timer and its moments: [`timer`]. Cron syntax: [`calendar`].
//! - A tick is a message that the process's own scheduler signed, for the process, with `Tick-Name` and `Tick-Due`.
//!   Whatever else has such tags is no tick.

mod calendar;
mod spec;
mod timer;

use protocol::{Address, Draft, Epoch, Id, Item, ProcessId, Slot, Tags, Timestamp, tag};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use calendar::Calendar;
pub use timer::{Missed, Schedule, Timer};

/// Timers of one process, at most. The bounds here are part of what a log means, so no operator chooses them.
pub const TIMERS_MAX: usize = 32;
/// Bytes of a timer's name.
pub const NAME_BYTES_MAX: usize = 64;
/// Tags that the author of a timer gives its ticks.
pub const TAGS_MAX: usize = 16;
/// Bytes of the name of one.
pub const TAG_NAME_BYTES_MAX: usize = 64;
/// Bytes of its value.
pub const TAG_VALUE_BYTES_MAX: usize = 1024;
/// The shortest interval.
pub const INTERVAL_MS_MIN: u64 = 1000;
/// Missed moments of one timer that are given ticks, at most.
pub const CATCH_UP_MAX: u64 = 100;
/// A tick that comes later than this after its moment counts as missed by [`Missed::Skip`].
pub const LATE_MS_MAX: u64 = 60_000;

/// `Action` of a message that sets timers.
pub const SET: &str = "Tick-Set";
/// `Action` of a message that cancels the timers of its `Tick-Name` tags; `*` is all.
pub const CANCEL: &str = "Tick-Cancel";
/// `Action` of a tick whose timer says no other.
pub const TICK: &str = "Tick";
/// The timer that a tick is of.
pub const NAME: &str = spec::NAME;
/// The moment that a tick is for, ms since 1970.
pub const DUE: &str = "Tick-Due";
/// The how many-th it is since its timer was set, from 1.
pub const NUMBER: &str = "Tick-Number";
/// The moment of the tick before; missing for the first.
pub const PREVIOUS: &str = "Tick-Previous";

/// The timers of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    process: ProcessId,
    /// Who signs its ticks.
    scheduler: Address,
    /// Who may change its timers: itself, and its owner, a wallet or a process.
    owner: Id,
    /// Whose word it is that a process sent a message.
    authorities: Vec<Address>,
    /// In the order in which they were set.
    timers: Vec<Timer>,
    /// The newest wish that was not understood or not allowed.
    refused: Option<Refused>,
}

/// A wish that changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Where it is in the log.
    pub slot: Slot,
    /// What is wrong with it.
    pub why: String,
}

/// A tick that is to be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Of which timer.
    pub name: String,
    /// For which moment.
    pub at: Timestamp,
    /// What the scheduler signs.
    pub draft: Draft,
}

/// Whether a message may concern the timers of the process that it is for; cheap, and true too often.
pub fn may_concern(item: &Item) -> bool {
    let tags = &item.tags;
    matches!(tags.first(tag::ACTION), Some(SET | CANCEL)) || tags.first(DUE).is_some()
}

/// Whether a process asks for timers when it begins.
pub fn asks_for_some(process: &Item) -> bool {
    spec::has_some(&process.tags)
}

impl Table {
    /// The table of a process that begins at `now`, by its item. `None` for one that names another scheduler: a tick
    /// is believed from no other.
    pub fn begin(process: &Item, scheduler: Address, now: Timestamp) -> Option<Table> {
        let named: Address = process.tags.first(tag::SCHEDULER)?.parse().ok()?;
        if named != scheduler {
            return None;
        }
        let authorities = authorities(process);
        let spawner = process.tags.first(tag::FROM_PROCESS).and_then(|id| id.parse().ok());
        let owner = match spawner {
            Some(spawner) if authorities.contains(&process.address()) => spawner,
            _ => process.address().0,
        };
        let mut table = Table {
            process: process.id.into(),
            scheduler,
            owner,
            authorities,
            timers: Vec::new(),
            refused: None,
        };
        if spec::has_some(&process.tags) {
            table.set(&process.tags, Slot(0), now);
        }
        Some(table)
    }

    /// What a message at its slot changes. Whether it changed anything.
    pub fn apply(&mut self, item: &Item, slot: Slot, now: Timestamp) -> bool {
        if item.target != Some(self.process.0) || item.kind() != Some("Message") {
            return false;
        }
        if self.is_tick(item) {
            return self.give(item);
        }
        let before = self.clone();
        match item.tags.first(tag::ACTION) {
            Some(SET | CANCEL) if !self.may_change(item) => {
                // A stranger's wish is no event of the table: whoever likes could fill the disk with them.
                return false;
            }
            Some(SET) => self.set(&item.tags, slot, now),
            Some(CANCEL) => self.cancel(&item.tags, slot),
            _ => return false,
        }
        *self != before
    }

    /// No moment up to the beginning of an epoch is given a tick: what was given before it may be forgotten, and its effects are
    /// not.
    pub fn pass(&mut self, epoch: Epoch) {
        self.timers.iter_mut().for_each(|timer| timer.pass(epoch.0));
    }

    /// The tick that comes first of those that are due.
    pub fn due(&self, now: Timestamp) -> Option<Due> {
        let due = self.timers.iter().filter_map(|timer| Some((timer.due(now.0)?, timer)));
        let (at, timer) = due.min_by(|(a, one), (b, other)| (a, &one.name).cmp(&(b, &other.name)))?;
        Some(Due { name: timer.name.clone(), at: Timestamp(at), draft: self.draft(timer, at) })
    }

    /// When it is to be looked at: the moment of something that is due now, or of the next.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        self.timers.iter().filter_map(|timer| timer.next(now.0)).min().map(Timestamp)
    }

    /// The timers, in the order in which they were set.
    pub fn timers(&self) -> &[Timer] {
        &self.timers
    }

    /// The newest wish that changed nothing, and why.
    pub fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }

    /// Whether no timer was ever set here, nor wished for in vain.
    pub fn is_blank(&self) -> bool {
        self.timers.is_empty() && self.refused.is_none()
    }

    /// How many moments of a timer pass without a tick when that of `due` is given; counted up to a thousand.
    pub fn missed_before(&self, name: &str, due: Timestamp) -> u64 {
        let timer = self.timers.iter().find(|timer| timer.name == name);
        timer.map_or(0, |timer| timer.missed_before(due.0))
    }

    /// Whether an item is a tick of this process: what its scheduler signed for it, and did not push for another.
    pub fn is_tick(&self, item: &Item) -> bool {
        item.target == Some(self.process.0)
            && item.tags.first(DUE).is_some()
            && item.tags.first(NAME).is_some()
            && item.tags.first(tag::FROM_PROCESS).is_none()
            && item.address() == self.scheduler
    }

    fn give(&mut self, item: &Item) -> bool {
        let (name, due) = (item.tags.first(NAME), item.tags.first(DUE).and_then(|due| due.parse().ok()));
        let timer = self.timers.iter_mut().find(|timer| Some(timer.name.as_str()) == name);
        match (timer, due) {
            (Some(timer), Some(due)) => timer.give(due),
            _ => false,
        }
    }

    fn may_change(&self, item: &Item) -> bool {
        let signer = item.address();
        let sender = match item.tags.first(tag::FROM_PROCESS) {
            Some(process) if self.authorities.contains(&signer) => process.parse().ok(),
            Some(_) => None,
            None => Some(signer.0),
        };
        sender.is_some_and(|sender: Id| sender == self.process.0 || sender == self.owner)
    }

    fn set(&mut self, tags: &Tags, slot: Slot, now: Timestamp) {
        let wish = spec::read(tags, now).and_then(|timers| match timers.is_empty() {
            true => Err("it has neither a Tick-Interval nor a Tick-Cron".to_owned()),
            false => Ok(timers),
        });
        let mut timers = self.timers.clone();
        let wish = wish.and_then(|wished| {
            for mut timer in wished {
                match timers.iter_mut().find(|known| known.name == timer.name) {
                    Some(known) => {
                        timer.last = known.last;
                        *known = timer;
                    }
                    None => timers.push(timer),
                }
            }
            // Those that are over make room.
            while timers.len() > TIMERS_MAX {
                let over = timers.iter().position(Timer::is_over);
                timers.remove(over.ok_or_else(|| format!("a process has at most {TIMERS_MAX} timers"))?);
            }
            Ok(())
        });
        match wish {
            Ok(()) => self.timers = timers,
            Err(why) => self.refused = Some(Refused { slot, why }),
        }
    }

    fn cancel(&mut self, tags: &Tags, slot: Slot) {
        let names: Vec<&str> = tags.all(NAME).collect();
        if names.is_empty() {
            let why = "it does not say which timers: a Tick-Name for each, or * for all".to_owned();
            self.refused = Some(Refused { slot, why });
        }
        self.timers.retain(|timer| !names.iter().any(|name| *name == "*" || *name == timer.name));
    }

    fn draft(&self, timer: &Timer, due: u64) -> Draft {
        let mut tags = Tags::from_iter([
            (tag::DATA_PROTOCOL, tag::AO),
            (tag::VARIANT, tag::AO_TN_1),
            (tag::TYPE, "Message"),
        ]);
        if timer.tags.first(tag::ACTION).is_none() {
            tags.push(tag::ACTION, TICK);
        }
        tags.push(NAME, &timer.name);
        tags.push(DUE, due);
        tags.push(NUMBER, timer.given.saturating_add(1));
        if let Some(last) = timer.last {
            tags.push(PREVIOUS, last);
        }
        tags.0.extend(timer.tags.iter().cloned());
        // One anchor for one moment: ticks of equal tags are different items.
        let anchor = Sha256::new()
            .chain_update(b"pirn tick")
            .chain_update(self.process.0.0)
            .chain_update(due.to_be_bytes())
            .chain_update(timer.name.as_bytes())
            .finalize();
        Draft { target: Some(self.process.0), anchor: Some(anchor.into()), tags, ..Draft::default() }
    }
}

/// The wallets that a process believes when they speak for other processes.
fn authorities(process: &Item) -> Vec<Address> {
    let named = process.tags.all(tag::AUTHORITY).flat_map(|value| value.split(','));
    named.filter_map(|address| address.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests;
