//! The clock, which goes only when it is told to; blocks, timers and crons go with it.

use std::sync::Arc;

use protocol::{Height, ProcessId, Timestamp};
use unit::{BlockRef, Error, Result};

use crate::process::Did;
use crate::{Fate, Letter, Sandbox, What};

impl Sandbox {
    /// What the clock says.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The height of the newest block.
    pub fn height(&self) -> Height {
        let reached = self.blocks.partition_point(|block| block.timestamp <= self.now);
        self.blocks[reached.saturating_sub(1)].height
    }

    /// Lets time pass, up to a second (crons tick once in a second, with the milliseconds of the message before). Blocks are
    /// mined, timers and crons tick, and what is due meanwhile is delivered, each at its time. How many ticks there were.
    pub fn advance(&mut self, ms: u64) -> Result<u64> {
        let until = self.now.0.checked_add(ms).ok_or_else(|| Error::invalid("the clock would overflow"))?;
        let before = self.counters.ticks;
        self.advance_to(Timestamp(until))?;
        Ok(self.counters.ticks - before)
    }

    /// Mines blocks now.
    pub fn mine(&mut self, blocks: u64) -> Result<Height> {
        let second = Timestamp(self.now.0 / 1000 * 1000);
        let reached = self.blocks.partition_point(|block| block.timestamp <= self.now);
        let height = self.blocks[reached.saturating_sub(1)].height.0;
        self.room(blocks)?;
        let list = Arc::make_mut(&mut self.blocks);
        // Blocks that were foreseen come later now.
        list.truncate(reached);
        list.extend((1..=blocks).map(|n| BlockRef { height: Height(height + n), timestamp: second }));
        Ok(self.height())
    }

    /// Moves the clock to when the next timer or cron of a process is due, and lets it tick. None if it has none, or none
    /// within a hundred years.
    pub fn tick(&mut self, process: ProcessId) -> Result<Option<Timestamp>> {
        const YEARS: u64 = 100 * 31_557_600_000;
        // Blocks are foreseen for a while only: where a process waits for one, it comes in that time or not at all.
        self.foresee(self.now.0.saturating_add(self.options.block_ms.saturating_mul(1000)))?;
        let until = self.now.0.saturating_add(YEARS);
        let process = self.process(process)?;
        let due =
            process.next_tick(&self.blocks, until).into_iter().chain(process.next_timer(self.now)).min();
        let Some(due) = due.filter(|due| due.0 < until) else { return Ok(None) };
        self.advance_to(due.max(self.now))?;
        Ok(Some(due))
    }

    pub(crate) fn advance_to(&mut self, until: Timestamp) -> Result<()> {
        self.foresee(until.0)?;
        let mut done = 0;
        loop {
            let timer = self.first_timer(until);
            let tick = self.first_tick(until);
            let due = self.next_due().filter(|due| *due <= until);
            let at = |it: Option<(Timestamp, ProcessId)>| it.map(|(at, _)| at);
            let Some(next) = at(timer).into_iter().chain(at(tick)).chain(due).min() else { break };
            done += 1;
            self.count(done)?;
            self.now = self.now.max(next);
            if let Some((_, process)) = timer.filter(|(at, _)| *at == next) {
                self.give_tick(process)?;
                continue;
            }
            match tick.filter(|(at, _)| *at == next) {
                Some((_, process)) => self.tick_once(process, until)?,
                None => {
                    if let Some(number) = self.pick() {
                        self.deliver(number)?;
                    }
                }
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// Whose timer is due first, and when.
    fn first_timer(&self, until: Timestamp) -> Option<(Timestamp, ProcessId)> {
        let due = |(id, process): (&ProcessId, &crate::process::Process)| {
            Some((process.next_timer(self.now)?, *id))
        };
        self.processes.iter().filter_map(due).min().filter(|(at, _)| *at <= until)
    }

    /// Has the scheduler give a process the tick that is due, as its unit would: signed, and with a slot.
    fn give_tick(&mut self, id: ProcessId) -> Result<()> {
        let Some(due) = self.process(id)?.due(self.now) else { return Ok(()) };
        let item = self.scheduler.sign(due.draft)?;
        self.counters.ticks += 1;
        let number = self.write(Letter {
            number: 0,
            what: What::Message,
            from: self.scheduler().0,
            of_process: true,
            to: Some(id.0),
            pushed_for: Some(item.id),
            item: Some(item),
            parent: None,
            sent: self.now,
            fate: Fate::Waiting,
            due: self.now,
        })?;
        self.deliver(number)
    }

    /// Which process ticks first, and when, up to the end of that second.
    fn first_tick(&self, until: Timestamp) -> Option<(Timestamp, ProcessId)> {
        let until = end_of_second(until);
        let due = self
            .processes
            .iter()
            .filter_map(|(id, process)| Some((process.next_tick(&self.blocks, until)?, *id)));
        due.min()
    }

    fn tick_once(&mut self, id: ProcessId, until: Timestamp) -> Result<()> {
        let blocks = self.blocks.clone();
        let (processes, mut bench) = self.bench();
        let process = processes.get_mut(&id).expect("it was found among them");
        let ticks = process.tick(&blocks, end_of_second(until), &mut bench)?;
        for (tick, slot, did) in ticks {
            let Did { outcome, profile } = did;
            self.counters.ticks += 1;
            self.counters.gas = self.counters.gas.saturating_add(outcome.gas);
            let outcome = Arc::new(outcome);
            let due = Timestamp(tick.timestamp.0.max(self.now.0) + self.options.cron_look_ms);
            let number = self.write(Letter {
                number: 0,
                what: What::Tick { cron: tick.cron },
                from: id.0,
                of_process: true,
                to: Some(id.0),
                item: None,
                parent: None,
                sent: tick.timestamp,
                fate: Fate::Evaluated {
                    process: id,
                    slot,
                    at: tick.timestamp,
                    outcome: outcome.clone(),
                    profile: profile.map(Arc::new),
                },
                pushed_for: None,
                due: tick.timestamp,
            })?;
            self.push(id, number, None, due, &outcome)?;
        }
        Ok(())
    }

    /// Mines blocks ahead of the clock, up to that time.
    fn foresee(&mut self, until: u64) -> Result<()> {
        let last = *self.blocks.last().expect("there is a first block");
        let missing = until.saturating_sub(last.timestamp.0) / self.options.block_ms.max(1);
        if missing == 0 {
            return Ok(());
        }
        self.room(missing)?;
        let block_ms = self.options.block_ms;
        let next = |n: u64| BlockRef {
            height: Height(last.height.0 + n),
            timestamp: Timestamp((last.timestamp.0 + n * block_ms) / 1000 * 1000),
        };
        Arc::make_mut(&mut self.blocks).extend((1..=missing).map(next));
        Ok(())
    }

    fn room(&self, blocks: u64) -> Result<()> {
        let max = self.options.blocks_max;
        if blocks <= (max - self.blocks.len().min(max)) as u64 {
            return Ok(());
        }
        Err(Error::refused(format!("a sandbox remembers at most {max} blocks"))
            .with_hint("let less time pass, or mine fewer blocks"))
    }
}

/// The first millisecond after a second.
fn end_of_second(at: Timestamp) -> u64 {
    (at.0 / 1000).saturating_add(1).saturating_mul(1000)
}
