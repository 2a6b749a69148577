//! What is on its way arrives, is evaluated, and what that sends is on its way.

use std::sync::Arc;

use cu::input::Delivery;
use mu::outbox::{self, Element, Part, Sender};
use protocol::{Draft, Id, Item, ModuleId, Outcome, ProcessId, Timestamp, tag};
use unit::{Error, Result};

use crate::process::{Did, Done, Entered, Process};
use crate::{Fate, Letter, Sandbox, What};

impl Sandbox {
    /// Delivers what is on its way, and what follows from it, until nothing is. Where only delayed letters are left,
    /// the clock goes on to when they are due. How many were delivered.
    pub fn run(&mut self) -> Result<usize> {
        let mut delivered = 0;
        loop {
            while let Some(number) = self.pick() {
                delivered += 1;
                self.count(delivered)?;
                self.deliver(number)?;
            }
            let Some(due) = self.next_due() else { return Ok(delivered) };
            self.advance_to(due)?;
        }
    }

    /// Delivers the next letter. False if none is due.
    pub fn step(&mut self) -> Result<bool> {
        let Some(number) = self.pick() else { return Ok(false) };
        self.deliver(number)?;
        Ok(true)
    }

    /// Letters that are on their way.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn count(&self, done: usize) -> Result<()> {
        let max = self.options.deliveries_max;
        if done <= max {
            return Ok(());
        }
        Err(Error::refused(format!("after {max} deliveries more is still on its way")).with_hint(
            "two processes that answer one another never end: deliver step by step, or drop messages",
        ))
    }

    /// When the first of the delayed letters is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.iter().map(|number| self.letters[*number].due).min()
    }

    /// The letter that comes next, if one is due.
    pub(crate) fn pick(&mut self) -> Option<usize> {
        let is_due = |number: &usize| self.letters[*number].due <= self.now;
        let at = match self.faults.reorder {
            true => {
                let due: Vec<usize> =
                    (0..self.waiting.len()).filter(|at| is_due(&self.waiting[*at])).collect();
                *due.get(self.chance.below(due.len() as u64) as usize)?
            }
            false => {
                let due = self.waiting.iter().enumerate().filter(|(_, number)| is_due(number));
                due.min_by_key(|(_, number)| (self.letters[**number].due, **number))?.0
            }
        };
        self.waiting.remove(at)
    }

    /// Delivers one letter now, whether it is due or not.
    pub(crate) fn deliver(&mut self, number: usize) -> Result<()> {
        self.waiting.retain(|waiting| *waiting != number);
        let letter = self.letters[number].clone();
        let Some(item) = letter.item.clone() else { return Ok(()) };
        let (to, done) = match (&letter.what, letter.to) {
            (What::Process, _) => (ProcessId(item.id), self.start(item)),
            (What::Message, Some(to)) if self.has(ProcessId(to)) => {
                (ProcessId(to), self.take(ProcessId(to), &item, Delivery::Delivered, Vec::new()))
            }
            (What::Assignment { exclude }, Some(to)) if self.has(ProcessId(to)) => {
                (ProcessId(to), self.take(ProcessId(to), &item, Delivery::Assigned, exclude.clone()))
            }
            (What::Assignment { .. }, _) => {
                self.decide(number, Fate::Refused("it is assigned to what is no process here".to_owned()));
                return Ok(());
            }
            _ => {
                self.decide(number, Fate::Mailed);
                return Ok(());
            }
        };
        match done {
            Ok(Some(entered)) => self.evaluated(number, to, entered),
            Ok(None) => {
                self.decide(number, Fate::Repeat);
                Ok(())
            }
            // What the units decline is no failure of the network.
            Err(error) => {
                self.decide(number, Fate::Refused(error.to_string()));
                Ok(())
            }
        }
    }

    fn start(&mut self, item: Arc<Item>) -> Result<Done> {
        let process = ProcessId(item.id);
        if self.has(process) {
            return Ok(None);
        }
        if self.processes.len() >= self.options.processes_max {
            return Err(Error::refused(format!(
                "a sandbox has at most {} processes",
                self.options.processes_max
            )));
        }
        let module = item.tags.first(tag::MODULE).unwrap_or_default();
        let module =
            module.parse::<ModuleId>().map_err(|error| Error::invalid(format!("its Module {error}")))?;
        let loaded = self.modules.get(module)?;
        let (now, height) = (self.now, self.height());
        let (_, mut bench) = self.bench();
        let (started, done) = Process::start(item, loaded, now, height, &mut bench)?;
        self.processes.insert(process, started);
        Ok(done)
    }

    fn take(
        &mut self,
        process: ProcessId,
        item: &Arc<Item>,
        delivery: Delivery,
        exclude: Vec<String>,
    ) -> Result<Done> {
        let (now, height) = (self.now, self.height());
        let (processes, mut bench) = self.bench();
        let process = processes.get_mut(&process).expect("whoever delivers has looked");
        process.take(item, delivery, exclude, now, height, &mut bench)
    }

    fn evaluated(&mut self, number: usize, process: ProcessId, entered: Entered) -> Result<()> {
        let Entered { slot, at, did: Did { outcome, profile } } = entered;
        self.counters.messages += 1;
        self.counters.gas = self.counters.gas.saturating_add(outcome.gas);
        let outcome = Arc::new(outcome);
        let profile = profile.map(Arc::new);
        self.decide(number, Fate::Evaluated { process, slot, at, outcome: outcome.clone(), profile });
        let pushed_for = self.letters[number].pushed_for;
        self.push(process, number, pushed_for, self.now, &outcome)
    }

    /// Puts what an outcome sends on its way, as a messenger unit would.
    pub(crate) fn push(
        &mut self,
        process: ProcessId,
        parent: usize,
        pushed_for: Option<Id>,
        due: Timestamp,
        outcome: &Outcome,
    ) -> Result<()> {
        if outcome.error.is_some() {
            return Ok(());
        }
        let item = self.process(process)?.facts.item.clone();
        let sender = Sender {
            process,
            module: item.tags.first(tag::MODULE).unwrap_or_default(),
            scheduler: item.tags.first(tag::SCHEDULER),
            pushed_for,
        };
        let options = mu::Options::default();
        let limits = outbox::Limits {
            elements: options.elements_max,
            item_bytes: options.item_bytes_max,
            outcome_bytes: options.outcome_bytes_max,
        };
        let (elements, refused) = outbox::read(sender, outcome, limits, &Part::All);
        let new = |what, to| Letter {
            number: 0,
            what,
            from: process.0,
            of_process: true,
            to,
            item: None,
            parent: Some(parent),
            sent: self.now,
            fate: Fate::Waiting,
            pushed_for,
            due,
        };
        let mut letters = Vec::new();
        for (_, _, element) in elements {
            match element {
                Element::Message { draft, assignments } => {
                    let letter = new(What::Message, draft.target);
                    let item = match self.messenger.sign(draft) {
                        Ok(item) => item,
                        Err(error) => {
                            letters.push(Letter { fate: Fate::Refused(error.to_string()), ..letter });
                            continue;
                        }
                    };
                    letters.push(Letter { item: Some(item.clone()), ..letter });
                    for to in assignments {
                        let what = What::Assignment { exclude: Vec::new() };
                        letters.push(Letter { item: Some(item.clone()), ..new(what, Some(to.0)) });
                    }
                }
                Element::Spawn { draft, notice } => match self.messenger.sign(draft) {
                    Ok(item) => {
                        let notice = outbox::spawned(process, &notice, ProcessId(item.id));
                        let told = self.messenger.sign(notice)?;
                        letters
                            .push(Letter { item: Some(item.clone()), ..new(What::Process, Some(item.id)) });
                        letters.push(Letter { item: Some(told), ..new(What::Message, Some(process.0)) });
                    }
                    Err(error) => {
                        let fate = Fate::Refused(error.to_string());
                        letters.push(Letter { fate, ..new(What::Process, None) });
                    }
                },
                Element::Assign(request) => {
                    let what = What::Assignment { exclude: request.exclude };
                    let letter = new(what, Some(request.process.0));
                    let item = self.letters.iter().rev().filter_map(|letter| letter.item.as_ref());
                    let item = item.into_iter().find(|item| item.id == request.message).cloned();
                    let fate = match &item {
                        Some(_) => Fate::Waiting,
                        None => {
                            Fate::Refused(format!("there is no message {} in this sandbox", request.message))
                        }
                    };
                    letters.push(Letter { item, fate, ..letter });
                }
            }
        }
        for refused in refused {
            letters.push(Letter { fate: Fate::Refused(refused.to_string()), ..new(What::Message, None) });
        }
        letters.into_iter().try_for_each(|letter| self.send_with_faults(letter))
    }

    /// Puts a letter on its way, if nothing goes wrong with it.
    fn send_with_faults(&mut self, mut letter: Letter) -> Result<()> {
        let faults = self.faults;
        let is_between = letter.to.is_some_and(|to| self.has(ProcessId(to)));
        if !is_between || letter.what != What::Message || !matches!(letter.fate, Fate::Waiting) {
            return self.write(letter).map(drop);
        }
        if self.chance.per_mille(faults.drop_per_mille) {
            self.counters.lost += 1;
            letter.fate = Fate::Lost;
            return self.write(letter).map(drop);
        }
        if faults.delay_ms_max > 0 {
            letter.due = Timestamp(letter.due.0 + self.chance.below(faults.delay_ms_max + 1));
        }
        if self.chance.per_mille(faults.duplicate_per_mille) {
            self.counters.duplicated += 1;
            let again = self.again(&letter)?;
            self.write(again)?;
        }
        self.write(letter).map(drop)
    }

    /// The same message once more, from a sender that tries again.
    fn again(&mut self, letter: &Letter) -> Result<Letter> {
        let item = letter.item.as_ref().expect("what is on its way between processes is an item");
        let draft = Draft {
            target: item.target,
            anchor: Some(self.anchor()),
            tags: item.tags.clone(),
            data: item.data.clone(),
        };
        Ok(Letter { item: Some(self.messenger.sign(draft)?), ..letter.clone() })
    }
}
