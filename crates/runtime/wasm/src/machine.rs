//! A process in memory.
//!
//! Its memory is a committed [`Image`] and, over it, the pages written since: nothing is copied for a message.
//! Every so many messages the pages are committed. A message that fails takes the overlay with it; the
//! messages since the commit are then evaluated again, which is cheap because they are few and gives the same
//! memory because evaluation is a function.

use std::sync::Arc;

use protocol::{Digest, Outcome};
use runtime::{
    Changes, Drive, Environment, Input, Later, Limits, Memory, PAGE_BYTES, Pages, Profile, Refusal, Start,
};
use rustix::io::Errno;

use crate::MachineOptions;
use crate::answer::{self, Evaluation};
use crate::image::Image;
use crate::instance::Instance;
use crate::program::{First, Program, refused};
use crate::region::{Committed, Mirror, Run, View};
use crate::written::Written;
use crate::{stack, system};

/// What was tried, where it fails.
const READ: &str = "to read a committed memory";

/// Bytes that are read at once to be hashed.
const HASHED_BYTES: usize = 16 * PAGE_BYTES;

/// Messages until the first commit of a machine that has not failed lately. It copies the image that all fresh machines
/// share, and what was written since has to be copied again when it is written again. Most processes get few messages at
/// a time, and a thousand of them shall not spend more on commits than a few that are busy.
const FIRST_INTERVAL: usize = 64;

/// One process of a module.
pub struct Machine {
    program: Arc<Program>,
    environment: Arc<Environment>,
    limits: Limits,
    drive: Option<Arc<dyn Drive>>,
    state: State,
    /// Of the last evaluation.
    profile: Option<Profile>,
}

enum State {
    /// The module cannot start: every message says so.
    Dead(String),
    Live(Box<Life>),
}

struct Life {
    first: Arc<First>,
    image: Arc<Image>,
    /// Size of the memory at the commit.
    size: u64,
    /// `None` after a failure, until it is needed again.
    instance: Option<Instance>,
    /// The messages since the commit, which succeeded.
    since: Vec<Box<str>>,
    since_bytes: usize,
    since_gas: u64,
    /// A commit failed half way: the image is neither what it was nor what it should be.
    is_broken: bool,
    /// How many messages until the next commit.
    interval: usize,
    /// The pages of its own that stayed at the commit.
    overlay: Vec<Run>,
    /// Of these.
    overlay_bytes: u64,
    kept: Kept,
    /// Of the image, once much stayed.
    mirror: Option<Mirror>,
    image_bytes: u64,
    /// Of the image when the root was asked for last.
    pages: Pages,
    /// What was written to the image since.
    since_root: Written,
    /// What was written to it since it was asked what changed.
    since_asked: Written,
}

impl Machine {
    /// A machine that starts fresh or from a checkpoint.
    pub(crate) fn start(program: Arc<Program>, start: Start) -> Result<Machine, Refusal> {
        let Start { environment, limits, memory, drive } = start;
        let first = match program.first() {
            Ok(first) => first.clone(),
            Err(why) => {
                let state = State::Dead(format!("the module cannot start: {why}"));
                return Ok(Machine { program, environment, limits, drive, state, profile: None });
            }
        };
        if first.size > limits.memory_bytes {
            let state = State::Dead(format!(
                "out of memory: the module starts with {} bytes and the Memory-Limit is {}",
                first.size, limits.memory_bytes
            ));
            return Ok(Machine { program, environment, limits, drive, state, profile: None });
        }
        let (image, size) = match memory {
            None => (first.image.clone(), first.size),
            Some(memory) => {
                if memory.size_bytes > limits.memory_bytes {
                    let why = format!(
                        "it has {} bytes and the Memory-Limit is {}",
                        memory.size_bytes, limits.memory_bytes
                    );
                    return Err(Refusal::Memory { why });
                }
                (Arc::new(restore(&program, &first, &memory)?), memory.size_bytes.max(first.size))
            }
        };
        let life = Life::new(first, image, size);
        Ok(Machine { program, environment, limits, drive, state: State::Live(Box::new(life)), profile: None })
    }

    /// Evaluates a message that is JSON already.
    pub fn handle_json(&mut self, message: &str) -> Result<Outcome, Refusal> {
        Ok(self.evaluate_json(message)?.outcome)
    }

    /// The same, and how it ended.
    pub fn evaluate_json(&mut self, message: &str) -> Result<Evaluation, Refusal> {
        self.profile = None;
        let life = match &mut self.state {
            State::Dead(why) => return Ok(answer::failed(why)),
            State::Live(life) => life,
        };
        let first = life.first.clone();
        let instance = life.instance(&self.program, self.limits, &self.environment, &self.drive)?;
        let before = instance.size();
        let environment = self.environment.to_json();
        let done = match stack::run(|| instance.evaluate(&first.beginning, message, environment)) {
            Ok(Ok(done)) => done,
            Err(refusal) | Ok(Err(refusal)) => {
                // What was half done goes with the instance.
                life.fail();
                return Err(refusal);
            }
        };
        let mut evaluation = match done.answer {
            Ok(text) => answer::read(&text),
            Err(why) => answer::failed(&why),
        };
        evaluation.outcome.gas = done.gas;
        self.profile = done.profile;
        // What failed is as it was; the instance with it goes.
        let failed = evaluation.outcome.error.is_some();
        evaluation.outcome.memory_bytes = if failed { before } else { instance.size() };
        if failed {
            life.fail();
            return Ok(evaluation);
        }
        if self.program.shape.counts_gas {
            evaluation.outcome.gas_used = done.gas;
        }
        life.since.push(message.into());
        life.since_bytes += message.len();
        life.since_gas = life.since_gas.saturating_add(done.gas);
        let options = &self.program.options;
        let interval_max = life.interval_max(options);
        if life.since.len() >= life.interval.min(interval_max)
            || life.since_bytes >= options.bytes_per_commit
            || life.since_gas >= options.gas_per_commit
        {
            life.commit(options)?;
            life.interval = life.interval.saturating_mul(2).min(interval_max);
        }
        if self.program.shape.has_other_state {
            life.commit(options)?;
            life.instance = None;
            life.give_back();
        }
        Ok(evaluation)
    }
}

impl runtime::Machine for Machine {
    fn handle(&mut self, input: &Input) -> Result<Outcome, Refusal> {
        self.handle_json(&input.to_json())
    }

    fn handle_encoded(&mut self, _input: &Input, text: &str) -> Result<Outcome, Refusal> {
        self.handle_json(text)
    }

    fn fork(&mut self) -> Result<Box<dyn runtime::Machine>, Refusal> {
        let state = match &mut self.state {
            State::Dead(why) => State::Dead(why.clone()),
            State::Live(life) => {
                life.instance(&self.program, self.limits, &self.environment, &self.drive)?;
                life.commit(&self.program.options)?;
                let mut fork = Life::new(life.first.clone(), life.image.clone(), life.size);
                // Its first commit copies the image, and most forks are thrown away before.
                fork.interval = fork.interval_max(&self.program.options);
                State::Live(Box::new(fork))
            }
        };
        let (program, environment) = (self.program.clone(), self.environment.clone());
        let (limits, drive) = (self.limits, self.drive.clone());
        Ok(Box::new(Machine { program, environment, limits, drive, state, profile: None }))
    }

    fn memory(&mut self) -> Result<Memory, Refusal> {
        self.memory_later()?.read()
    }

    fn memory_later(&mut self) -> Result<Later<Memory>, Refusal> {
        let life = match &mut self.state {
            State::Dead(_) => return Ok(Memory::default().into()),
            State::Live(life) => life,
        };
        life.instance(&self.program, self.limits, &self.environment, &self.drive)?;
        life.commit(&self.program.options)?;
        let size_bytes = life.size;
        let past = life.image.past(size_bytes).map_err(refused(READ))?;
        Ok(Later::new(past.pages_max(), move || {
            let pages = past.read().map_err(refused(READ))?.into_iter();
            Ok(Memory { size_bytes, pages: pages.filter_map(|(index, page)| Some((index, page?))).collect() })
        }))
    }

    fn track(&mut self) {
        if let State::Live(life) = &mut self.state {
            let _before = life.since_asked.begin();
        }
    }

    fn changes(&mut self) -> Result<Option<Later<Changes>>, Refusal> {
        let life = match &mut self.state {
            State::Dead(_) => return Ok(None),
            State::Live(life) => life,
        };
        life.instance(&self.program, self.limits, &self.environment, &self.drive)?;
        life.commit(&self.program.options)?;
        let size_bytes = life.size;
        Ok(life.since_asked.begin().map(|runs| {
            let runs = runs.into_iter().map(|(start, end)| (start as u64, (end as u64).min(size_bytes)));
            let past = life.image.past_of(runs.collect());
            Later::new(past.pages_max(), move || {
                Ok(Changes { size_bytes, pages: past.read().map_err(refused(READ))? })
            })
        }))
    }

    fn root(&mut self) -> Result<Digest, Refusal> {
        let life = match &mut self.state {
            State::Dead(_) => return Ok(Memory::default().root()),
            State::Live(life) => life,
        };
        life.instance(&self.program, self.limits, &self.environment, &self.drive)?;
        life.commit(&self.program.options)?;
        life.root().map_err(refused(READ))
    }

    fn resident_bytes(&self) -> u64 {
        match &self.state {
            State::Dead(_) => 0,
            State::Live(life) => life.resident_bytes(),
        }
    }

    fn take_profile(&mut self) -> Option<Profile> {
        self.profile.take()
    }
}

impl Life {
    fn new(first: Arc<First>, image: Arc<Image>, size: u64) -> Life {
        Life {
            first,
            image,
            size,
            instance: None,
            since: Vec::new(),
            since_bytes: 0,
            since_gas: 0,
            is_broken: false,
            interval: FIRST_INTERVAL,
            overlay: Vec::new(),
            overlay_bytes: 0,
            kept: Kept::default(),
            mirror: None,
            image_bytes: 0,
            pages: Pages::default(),
            since_root: Written::default(),
            since_asked: Written::default(),
        }
    }

    /// The instance, with the memory after all messages so far.
    fn instance(
        &mut self,
        program: &Program,
        limits: Limits,
        environment: &Environment,
        drive: &Option<Arc<dyn Drive>>,
    ) -> Result<&mut Instance, Refusal> {
        if self.is_broken {
            return Err(system(
                "to go on after a commit that failed: start the process from its checkpoint".into(),
            ));
        }
        if self.instance.is_none() {
            let engine = |error: wasmtime::Error| system(format!("an instance: {error:#}"));
            let mut instance = Instance::new(program, limits, drive.clone()).map_err(engine)?;
            instance.grow_to(self.size).map_err(engine)?;
            instance.view().map(&self.image).map_err(refused("to map a memory"))?;
            for message in &self.since {
                let environment = environment.to_json();
                let again = stack::run(|| instance.evaluate(&self.first.beginning, message, environment))??;
                debug_assert!(again.answer.is_ok(), "an evaluation that succeeded, succeeds again");
            }
            self.instance = Some(instance);
            // Should the next message fail as well, they are not evaluated a third time.
            self.commit(&program.options)?;
        }
        Ok(self.instance.as_mut().expect("there is one now"))
    }

    /// Drops what was written since the commit.
    fn fail(&mut self) {
        self.instance = None;
        self.interval = 1;
        self.give_back();
    }

    /// Nothing of its own stays in the process.
    fn give_back(&mut self) {
        self.overlay = Vec::new();
        self.overlay_bytes = 0;
        self.kept = Kept::default();
    }

    /// Makes the memory as it is now the committed one.
    fn commit(&mut self, options: &MachineOptions) -> Result<(), Refusal> {
        let Some(instance) = &self.instance else { return Ok(()) };
        if self.since.is_empty() {
            return Ok(());
        }
        let (view, size) = (instance.view(), instance.size());
        if let Err(error) = self.write(view, options) {
            self.is_broken = true;
            self.instance = None;
            return Err(system(format!("to commit a memory: {error}")));
        }
        self.size = size;
        self.image_bytes = self.image.resident_bytes();
        self.since.clear();
        self.since_bytes = 0;
        self.since_gas = 0;
        Ok(())
    }

    /// Writes what is private to an image of our own.
    fn write(&mut self, view: View, options: &MachineOptions) -> Result<(), Errno> {
        if Arc::strong_count(&self.image) > 1 {
            // Forks, or all fresh machines, read that image, and would see what we write.
            let copy = self.image.copy()?;
            let Committed { written, .. } = view.commit(&copy, None)?;
            self.note(&written);
            view.map(&copy)?;
            (self.image, self.mirror) = (Arc::new(copy), None);
            self.give_back();
            return Ok(());
        }
        let is_much = self.overlay_bytes >= options.compared_bytes_min;
        if is_much && self.mirror.is_none() {
            // Where there is no address space for it, all is written.
            self.mirror = Mirror::of(&self.image).ok();
        }
        let before = self.mirror.as_ref().filter(|_| is_much).map(|mirror| (mirror, &*self.overlay));
        let Committed { private, written } = view.commit(&self.image, before)?;
        self.note(&written);
        let bytes: usize = private.iter().map(|(start, end)| end - start).sum();
        if self.kept.is_worth(bytes / PAGE_BYTES) && bytes as u64 <= options.overlay_bytes_max {
            (self.overlay, self.overlay_bytes) = (private, bytes as u64);
        } else {
            view.forget()?;
            self.give_back();
        }
        Ok(())
    }

    fn note(&mut self, written: &[Run]) {
        self.since_root.note(written);
        self.since_asked.note(written);
    }

    /// The root of the committed memory, from what changed since it was asked for last.
    fn root(&mut self) -> Result<Digest, Errno> {
        let since = self.since_root.begin();
        // What stayed is read where it is. All of a large memory would be mapped by that, and looked at by each scan.
        let here = self.instance.as_ref().filter(|_| since.is_some() && !self.overlay.is_empty());
        let runs = match since {
            Some(runs) => runs,
            None => {
                let written = self.image.written()?.into_iter();
                let runs = written.map(|(start, end)| (start as usize, end.min(self.size) as usize));
                runs.filter(|(start, end)| start < end).collect()
            }
        };
        // Should reading fail, the next time is a first time.
        let since = std::mem::take(&mut self.since_root);
        let mut pages = std::mem::take(&mut self.pages);
        let mut set = |at: usize, bytes: &[u8]| {
            for (page, n) in bytes.chunks_exact(PAGE_BYTES).zip(at / PAGE_BYTES..) {
                pages.set(n as u64, page);
            }
        };
        match here {
            Some(instance) => instance.view().read(&runs, set),
            None => {
                let mut buffer = vec![0; HASHED_BYTES];
                for (start, end) in runs {
                    for at in (start..end).step_by(HASHED_BYTES) {
                        let some = &mut buffer[..HASHED_BYTES.min(end - at)];
                        self.image.read(at as u64, some)?;
                        set(at, some);
                    }
                }
            }
        }
        (self.pages, self.since_root) = (pages, since);
        Ok(self.pages.root(self.size))
    }

    /// How many messages there are to a commit, if nothing fails.
    fn interval_max(&self, options: &MachineOptions) -> usize {
        let pages = self.overlay_bytes as usize / PAGE_BYTES;
        let least = options.messages_per_commit.max(1);
        (pages / options.pages_per_message.max(1)).clamp(least, least.saturating_mul(4))
    }

    /// As of the last commit: what was written since is not counted, as counting costs a walk.
    fn resident_bytes(&self) -> u64 {
        self.overlay_bytes + self.image_bytes + self.since_bytes as u64
    }
}

/// Whether the pages that were written stay in the process.
///
/// One that stays is written to the image at each commit, or compared with it if there are many, for nobody says whether
/// it was written since the one before; one that is given back costs a fault and a copy if it is written again. Which of them will be, nobody knows. So they
/// stay until what was written in vain, at most, comes to what giving back may cost: then either choice costs at most
/// twice the better one. Where each message writes elsewhere in a large memory, few stay; where all write the same
/// pages, all stay.
#[derive(Default)]
struct Kept {
    /// Pages that were written between giving back and the first commit after: what may have to come back.
    first: usize,
    /// Pages beyond these that commits have written again, altogether.
    vain: usize,
    /// Pages at the last commit.
    last: usize,
}

/// How many pages a commit writes in the time that one fault, the copy and giving it back take (0.8 to 1 us and 3.5 us
/// where it was measured; what is written is hashed as well, now and then). With 4, 8 or 16 nothing was faster.
const PAGES_PER_FAULT: usize = 2;

impl Kept {
    /// A commit wrote so many pages. Whether they are worth keeping.
    fn is_worth(&mut self, pages: usize) -> bool {
        if self.first == 0 {
            self.first = pages;
        }
        self.vain += self.last.saturating_sub(self.first);
        self.last = pages;
        self.vain <= PAGES_PER_FAULT * self.first
    }
}

/// An image of a checkpoint. Beyond it the memory is that of a new instance.
fn restore(program: &Program, first: &First, memory: &Memory) -> Result<Image, Refusal> {
    let bad = |why: &str| Refusal::Memory { why: why.to_owned() };
    let page = PAGE_BYTES as u64;
    if !memory.size_bytes.is_multiple_of(65536) || memory.size_bytes > program.capacity() {
        return Err(bad("its size is none that a memory of this module can have"));
    }
    let image = Image::new(program.capacity()).map_err(refused("memory for a checkpoint"))?;
    let write = |at, bytes: &[u8]| image.write(at, bytes).map_err(refused("to write a checkpoint"));
    let mut buffer = vec![0; PAGE_BYTES];
    for (start, end) in first.image.written().map_err(refused("to read a first memory"))? {
        for at in (start..end).step_by(PAGE_BYTES).filter(|at| *at >= memory.size_bytes) {
            first.image.read(at, &mut buffer).map_err(refused("to read a first memory"))?;
            write(at, &buffer)?;
        }
    }
    let mut next = 0;
    for (index, bytes) in &memory.pages {
        if *index < next || bytes.len() != PAGE_BYTES || index.saturating_add(1) > memory.size_bytes / page {
            return Err(bad("its pages are out of order, out of range or not whole"));
        }
        write(index * page, bytes)?;
        next = index + 1;
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commits, of a hundred, after which pages are given back, where a hundred pages are written by each message
    /// between two commits and `elsewhere` more that are others each time.
    fn given_back(elsewhere: usize) -> Vec<usize> {
        let (mut kept, mut pages, mut given) = (Kept::default(), 100, Vec::new());
        for commit in 1..=100 {
            pages += elsewhere;
            if !kept.is_worth(pages) {
                (kept, pages) = (Kept::default(), 100);
                given.push(commit);
            }
        }
        given
    }

    #[test]
    fn what_is_written_each_time_stays_and_what_is_not_goes_when_it_has_cost_as_much() {
        assert_eq!(given_back(0), [0; 0]);
        assert_eq!(given_back(2)[..2], [16, 32]);
        assert_eq!(given_back(64)[..2], [5, 10]);
        assert_eq!(given_back(10_000)[..3], [4, 8, 12]);
    }
}
