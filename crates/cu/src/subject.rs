//! What is evaluated: a process with its module, compiled, and what both ask for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use protocol::{Address, Assignment, Item, Module, ModuleId, Process, ProcessId, Tags, tag};
use runtime::{Drive, Environment, Limits, Machine, Memory, Program, Refusal, Runtime, Start};
use tokio::sync::OnceCell;
use unit::{Code, Error, Kind, Result, Weave};

use crate::cron::{Crons, Moment};
use crate::drive::{Reader, Rules};
use crate::line::Shared;
use crate::{Options, Ports, input, verify};

/// A process that can be evaluated here.
pub(crate) struct Subject {
    pub(crate) process: ProcessId,
    pub(crate) module: ModuleId,
    pub(crate) program: Arc<dyn Program>,
    /// The Process item: the message that has slot 0.
    pub(crate) item: Arc<Item>,
    /// Time and height of slot 0.
    pub(crate) origin: Moment,
    /// The wallet that signs its schedule.
    pub(crate) scheduler: Address,
    /// Whether what it says is believed as it is.
    pub(crate) is_trusted: bool,
    /// Who may push messages for other processes.
    pub(crate) authorities: Vec<Address>,
    /// As guests see it.
    pub(crate) owner: String,
    pub(crate) crons: Crons,
    pub(crate) environment: Arc<Environment>,
    pub(crate) limits: Limits,
    /// Reads the weave for it, if it has WeaveDrive.
    pub(crate) drive: Option<Arc<dyn Drive>>,
}

impl Subject {
    /// Looks a process up, has its module compiled, and sees whether this operator accepts what they ask for.
    pub(crate) async fn load(process: ProcessId, shared: &Shared) -> Result<Subject> {
        let Shared { ports: Ports { scheduler, weave, .. }, programs, options, .. } = shared;
        let (record, is_trusted) = shared.process(process).await?;
        let mut item = record.item;
        let mut origin = Moment { timestamp: record.timestamp.0, height: record.block_height.0 };
        let refused = |why: String| {
            Error::refused(format!("process {process} cannot be evaluated: {why}"))
                .with_code(Code::MODULE_UNSUPPORTED)
        };
        let Process { module, scheduler: named, .. } =
            Process::try_from(&*item).map_err(|why| refused(why.to_string()))?;
        let scheduler_of = match options.stand_ins.contains(&named) {
            true => scheduler.address().await?,
            false => named,
        };
        if !is_trusted {
            (item, origin) = verify::process(&**scheduler, &**weave, process, item).await?;
        }
        let crons = Crons::parse(&item.tags).map_err(|why| refused(why.to_string()))?;
        let loaded = programs.load(module).await?;
        let limits = limits(process, &item.tags, &loaded.module.tags, options)?;
        for tags in [&item.tags, &loaded.module.tags] {
            let mut asked = tags.all(tag::EXTENSION);
            if let Some(unknown) = asked.find(|asked| !options.extensions.iter().any(|known| known == asked))
            {
                return Err(refused(format!("its Extension {unknown:?} is not supported here")));
            }
        }
        let rules = Rules::of(&item.tags, &loaded.module.tags, scheduler_of);
        let drive = rules.map(|rules| {
            let reader = Reader {
                process,
                rules,
                weave: Arc::clone(weave),
                journal: shared.journal.clone(),
                cache: Arc::clone(&shared.drive_cache),
                retries: (options.retries, options.retry_after_ms),
            };
            Arc::new(reader) as Arc<dyn Drive>
        });
        let authorities = item.tags.all(tag::AUTHORITY).flat_map(|list| list.split(','));
        Ok(Subject {
            process,
            module,
            program: Arc::clone(&loaded.program),
            origin,
            scheduler: scheduler_of,
            authorities: authorities.filter_map(|address| address.trim().parse().ok()).collect(),
            owner: input::owner_text(&item.owner),
            crons,
            environment: Arc::new(input::environment(&item, &loaded.module)),
            limits,
            drive,
            is_trusted,
            item,
        })
    }
}

impl Subject {
    /// A machine with that memory, or a fresh one. Blocks.
    pub(crate) fn start(&self, memory: Option<Memory>) -> std::result::Result<Box<dyn Machine>, Refusal> {
        let (environment, drive) = (Arc::clone(&self.environment), self.drive.clone());
        self.program.start(Start { environment, limits: self.limits, memory, drive })
    }
}

/// Whether the scheduler of a process signed that assignment, as far as the assignment itself says who did.
pub(crate) fn check_signer(process: ProcessId, scheduler: Address, assignment: &Assignment) -> Result<()> {
    let signer = assignment.item.address();
    if signer == scheduler {
        return Ok(());
    }
    let slot = assignment.slot;
    let what = format!("slot {slot} of {process} is assigned by {signer}, which is not its Scheduler");
    Err(Error::refused(what).with_code(Code::BROKEN_SCHEDULE))
}

/// The limits of a process: its own, or else its module's, if this operator accepts them.
pub fn limits(process: ProcessId, own: &Tags, module: &Tags, options: &Options) -> Result<Limits> {
    let read = |name: &str, max: u64, parse: fn(&str) -> Option<u64>| {
        let Some(text) = own.first(name).or_else(|| module.first(name)) else {
            return Err(Error::refused(format!(
                "{name} for process \"{process}\" is set by neither it nor its module"
            ))
            .with_code(Code::MODULE_UNSUPPORTED));
        };
        let limit = parse(text).filter(|limit| *limit <= max);
        limit.ok_or_else(|| {
            Error::new(Kind::TooLarge, format!("{name} for process \"{process}\" exceeds supported limit"))
                .with_hint(format!("it is {text:?}; at most {max} is accepted here"))
        })
    };
    Ok(Limits {
        memory_bytes: read(tag::MEMORY_LIMIT, options.memory_limit_max, |text| {
            runtime::parse_memory_limit(text).ok()
        })?,
        compute: read(tag::COMPUTE_LIMIT, options.compute_limit_max, |text| text.trim().parse().ok())?,
    })
}

/// Modules, compiled once however many processes ask at once.
pub(crate) struct Programs {
    weave: Arc<dyn Weave>,
    runtimes: Vec<Arc<dyn Runtime>>,
    max: usize,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    modules: BTreeMap<ModuleId, (u64, Arc<OnceCell<Loaded>>)>,
    /// Counts uses, to know which is the least recent.
    uses: u64,
}

/// A module that was compiled. Its data is not kept.
#[derive(Clone)]
pub(crate) struct Loaded {
    module: Arc<Module>,
    program: Arc<dyn Program>,
}

impl Programs {
    pub(crate) fn new(weave: Arc<dyn Weave>, runtimes: Vec<Arc<dyn Runtime>>, max: usize) -> Programs {
        Programs { weave, runtimes, max: max.max(1), known: Mutex::default() }
    }

    async fn load(&self, id: ModuleId) -> Result<Loaded> {
        let cell = self.known.lock().unwrap_or_else(PoisonError::into_inner).cell(id, self.max);
        cell.get_or_try_init(|| self.compile(id)).await.cloned()
    }

    async fn compile(&self, id: ModuleId) -> Result<Loaded> {
        let found = self.weave.get(id.into()).await.map_err(|error| match error.kind {
            Kind::NotFound => Error::not_found(format!("module {id} is not on the weave"))
                .with_code(Code::MODULE_MISSING)
                .with_hint("publish it: `pirn module publish FILE`, or on a development network `pirn dev --module FILE=ID`"),
            _ => error,
        })?;
        let module = Module {
            id,
            owner: found.item.address(),
            tags: found.item.tags.clone(),
            data: found.item.data.clone(),
        };
        let unsupported = |name: &str| {
            Error::refused(format!("{name} for module \"{id}\" is not supported"))
                .with_code(Code::MODULE_UNSUPPORTED)
        };
        for encoding in [tag::INPUT_ENCODING, tag::OUTPUT_ENCODING] {
            module.tags.first(encoding).ok_or_else(|| unsupported(encoding))?;
        }
        let format = module.tags.first(tag::MODULE_FORMAT).unwrap_or_default();
        let runtime = self.runtimes.iter().find(|runtime| runtime.runs(format)).cloned();
        let runtime = runtime.ok_or_else(|| unsupported(tag::MODULE_FORMAT))?;
        let compiled = unit::blocking(move || {
            let program = runtime.load(&module)?;
            Ok((program, Module { data: Bytes::new(), ..module }))
        });
        let (program, module) = compiled.await?.map_err(|refusal| refused(&refusal))?;
        Ok(Loaded { module: Arc::new(module), program })
    }
}

impl Known {
    fn cell(&mut self, id: ModuleId, max: usize) -> Arc<OnceCell<Loaded>> {
        self.uses += 1;
        let uses = self.uses;
        let cell = Arc::clone({
            let entry = self.modules.entry(id).or_default();
            entry.0 = uses;
            &entry.1
        });
        while self.modules.len() > max {
            let oldest = self.modules.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id);
            self.modules.remove(&oldest.expect("more than none is there"));
        }
        cell
    }
}

/// A refusal, as the contract says it.
pub(crate) fn refused(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::System { .. } | Refusal::Weave { .. } => Error::unavailable(refusal.to_string()),
        _ => Error::refused(refusal.to_string()).with_code(Code::MODULE_UNSUPPORTED),
    }
}
