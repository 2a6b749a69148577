//! The network: processes, what was sent, and what a client can do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use protocol::{Address, Draft, Height, Id, Item, ModuleId, Outcome, ProcessId, Slot, Tags, Timestamp, tag};
use su::{Admitted, admit};
use unit::{BlockRef, Code, DryRun, Error, Result};

use crate::faults::Chance;
use crate::process::{Bench, Process};
use crate::{Fate, Faults, Letter, Modules, Options, Probe, Probed, Signer, What};

/// A whole network in one value.
pub struct Sandbox {
    pub(crate) options: Options,
    pub(crate) modules: Modules,
    pub(crate) scheduler: Signer,
    pub(crate) messenger: Signer,
    pub(crate) now: Timestamp,
    pub(crate) blocks: Arc<Vec<BlockRef>>,
    pub(crate) processes: BTreeMap<ProcessId, Process>,
    pub(crate) letters: Vec<Arc<Letter>>,
    /// Numbers of letters on their way.
    pub(crate) waiting: VecDeque<usize>,
    pub(crate) chance: Chance,
    pub(crate) faults: Faults,
    pub(crate) counters: Counters,
    /// Drafts that were given an anchor, so that each is another item.
    drafts: u64,
    pub(crate) probe: Option<Arc<Probe>>,
    pub(crate) probed: Vec<Probed>,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages evaluated, boots included.
    pub messages: u64,
    /// Cron messages evaluated.
    pub ticks: u64,
    /// Gas that all of them cost.
    pub gas: u64,
    /// Letters that faults took.
    pub lost: u64,
    /// Letters that were sent twice.
    pub duplicated: u64,
}

impl Sandbox {
    /// An empty network. Its scheduler and messenger are always the same.
    pub fn new(modules: Modules, options: Options) -> Sandbox {
        Sandbox::of(modules, Signer::named("scheduler"), Signer::named("messenger"), options)
    }

    /// An empty network with units of one's choice.
    pub fn of(modules: Modules, scheduler: Signer, messenger: Signer, options: Options) -> Sandbox {
        let now = Timestamp(options.start_ms);
        let genesis =
            BlockRef { height: Height(options.start_height), timestamp: Timestamp(now.0 / 1000 * 1000) };
        Sandbox {
            options,
            modules,
            scheduler,
            messenger,
            now,
            blocks: Arc::new(vec![genesis]),
            processes: BTreeMap::new(),
            letters: Vec::new(),
            waiting: VecDeque::new(),
            chance: Chance(0),
            faults: Faults::default(),
            counters: Counters::default(),
            drafts: 0,
            probe: None,
            probed: Vec::new(),
        }
    }

    /// A network that is as this one is now, and goes its own way. Copies what was sent by reference, and no memory
    /// of a process.
    #[must_use]
    pub fn fork(&self) -> Sandbox {
        Sandbox {
            options: self.options.clone(),
            modules: self.modules.clone(),
            scheduler: self.scheduler.clone(),
            messenger: self.messenger.clone(),
            now: self.now,
            blocks: self.blocks.clone(),
            processes: self.processes.iter().map(|(id, process)| (*id, process.fork())).collect(),
            letters: self.letters.clone(),
            waiting: self.waiting.clone(),
            chance: self.chance.clone(),
            faults: self.faults,
            counters: self.counters,
            drafts: self.drafts,
            probe: self.probe.clone(),
            probed: Vec::new(),
        }
    }

    /// The modules of its processes.
    pub fn modules(&self) -> &Modules {
        &self.modules
    }

    /// The scheduler's address.
    pub fn scheduler(&self) -> Address {
        self.scheduler.address()
    }

    /// The messenger's address: the `Authority` of processes here.
    pub fn authority(&self) -> Address {
        self.messenger.address()
    }

    /// Chance begins anew.
    pub fn seed(&mut self, seed: u64) {
        self.chance = Chance(seed);
    }

    /// What may go wrong from now on with what processes send one another.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// What may go wrong now.
    pub fn faults(&self) -> Faults {
        self.faults
    }

    /// Looks at each message from now on with that probe.
    pub fn set_probe(&mut self, probe: Option<Probe>) {
        self.probe = probe.map(Arc::new);
    }

    /// The probe that looks, if one does.
    pub fn probe(&self) -> Option<Probe> {
        self.probe.as_deref().cloned()
    }

    /// What the probe has seen since this was asked before.
    pub fn take_probed(&mut self) -> Vec<Probed> {
        std::mem::take(&mut self.probed)
    }

    /// What happened so far, in this one and in those that it is a fork of.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What was sent, in order, with what came of it.
    pub fn letters(&self) -> &[Arc<Letter>] {
        &self.letters
    }

    /// The processes there are.
    pub fn processes(&self) -> impl Iterator<Item = ProcessId> {
        self.processes.keys().copied()
    }

    /// Whether there is such a process.
    pub fn has(&self, process: ProcessId) -> bool {
        self.processes.contains_key(&process)
    }

    /// The newest slot of a process.
    pub fn slot(&self, process: ProcessId) -> Result<Slot> {
        Ok(self.process(process)?.slot())
    }

    /// The owner of a process, as it sees it: an address, or a process.
    pub fn owner(&self, process: ProcessId) -> Result<String> {
        Ok(self.process(process)?.owner().to_owned())
    }

    /// The whole memory of a process.
    pub fn memory(&self, process: ProcessId) -> Result<runtime::Memory> {
        self.process(process)?.memory()
    }

    /// Starts a process of `module`: the tags are put before those that every process here has. Evaluates its boot;
    /// what that sends waits for [`run`](Sandbox::run). An error of the boot is in its letter.
    pub fn spawn(&mut self, by: &Signer, module: ModuleId, own: Tags, data: Bytes) -> Result<ProcessId> {
        let mut tags = ao(own, "Process");
        tags.push(tag::MODULE, module);
        tags.push(tag::SCHEDULER, self.scheduler());
        if tags.first(tag::AUTHORITY).is_none() {
            tags.push(tag::AUTHORITY, self.authority());
        }
        let anchor = Some(self.unseen_anchor());
        let item = by.sign(Draft { target: None, anchor, tags, data })?;
        let number = self.post_item(item.clone())?;
        self.deliver(number)?;
        match &self.letters[number].fate {
            Fate::Refused(why) => Err(Error::refused(why.clone()).with_code(Code::MODULE_UNSUPPORTED)),
            _ => Ok(ProcessId(item.id)),
        }
    }

    /// Sends a message and has it evaluated at once. What that sends waits for [`run`](Sandbox::run). The number of
    /// its letter.
    pub fn send(&mut self, by: &Signer, to: Id, own: Tags, data: Bytes) -> Result<usize> {
        let number = self.post(by, to, own, data)?;
        self.deliver(number)?;
        Ok(number)
    }

    /// Sends a message, which waits for [`run`](Sandbox::run) like those of processes. The number of its letter.
    pub fn post(&mut self, by: &Signer, to: Id, own: Tags, data: Bytes) -> Result<usize> {
        let anchor = Some(self.unseen_anchor());
        let item = by.sign(Draft { target: Some(to), anchor, tags: ao(own, "Message"), data })?;
        self.post_item(item)
    }

    /// The same with an item that is signed already.
    pub fn post_item(&mut self, item: Arc<Item>) -> Result<usize> {
        let admitted = admit(&item, self.scheduler(), &Default::default()).map_err(Error::from)?;
        let (what, to) = match admitted {
            Admitted::Process { .. } => (What::Process, Some(item.id)),
            Admitted::Message { process } => (What::Message, Some(process.0)),
        };
        let from = item.address().0;
        let pushed_for = Some(item.id);
        self.write(Letter {
            number: 0,
            what,
            from,
            of_process: false,
            to,
            item: Some(item),
            parent: None,
            sent: self.now,
            fate: Fate::Waiting,
            pushed_for,
            due: self.now,
        })
    }

    /// What a message would do now. Changes nothing.
    pub fn dry(&self, process: ProcessId, message: DryRun) -> Result<Outcome> {
        self.process(process)?.dry(message)
    }

    pub(crate) fn process(&self, process: ProcessId) -> Result<&Process> {
        self.processes.get(&process).ok_or_else(|| {
            Error::not_found(format!("there is no process {process} in this sandbox"))
                .with_code(Code::UNKNOWN_PROCESS)
                .with_hint("spawn it first")
        })
    }

    /// Adds a letter, on its way unless its fate says otherwise.
    pub(crate) fn write(&mut self, letter: Letter) -> Result<usize> {
        let number = self.letters.len();
        if number >= self.options.letters_max {
            return Err(Error::refused(format!(
                "{number} messages were sent in this sandbox, and no more are remembered"
            ))
            .with_hint("look for processes that answer one another without end"));
        }
        if matches!(letter.fate, Fate::Waiting) {
            self.waiting.push_back(number);
        }
        self.letters.push(Arc::new(Letter { number, ..letter }));
        Ok(number)
    }

    pub(crate) fn decide(&mut self, number: usize, fate: Fate) {
        Arc::make_mut(&mut self.letters[number]).fate = fate;
    }

    /// The parts that an evaluation needs, apart from the processes.
    pub(crate) fn bench(&mut self) -> (&mut BTreeMap<ProcessId, Process>, Bench<'_>) {
        let bench =
            Bench { scheduler: &self.scheduler, probe: self.probe.as_deref(), probed: &mut self.probed };
        (&mut self.processes, bench)
    }

    /// The same where people sign: no text, as those of wallets and clients are, so that processes do not see it.
    fn unseen_anchor(&mut self) -> [u8; 32] {
        let mut anchor = self.anchor();
        anchor[0] = 0xff;
        anchor
    }

    /// 32 digits that no other draft here has.
    pub(crate) fn anchor(&mut self) -> [u8; 32] {
        self.drafts += 1;
        let text = format!("{:032}", self.drafts);
        text.as_bytes().try_into().expect("it is padded to 32 digits")
    }
}

/// The tags that make an item an ao item of that type, after the sender's own, as aoconnect puts them.
fn ao(mut tags: Tags, kind: &str) -> Tags {
    tags.push(tag::DATA_PROTOCOL, tag::AO);
    tags.push(tag::VARIANT, tag::AO_TN_1);
    tags.push(tag::TYPE, kind);
    tags
}
