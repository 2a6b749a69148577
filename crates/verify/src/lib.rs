//! Checks a process from a weave alone: that everything in its log is what was signed, that the log is whole, and that
//! what a compute unit says of it is what comes of it.
//!
//! Nobody is believed. The schedule is read from the weave ([`archive`]), every signature is verified, the slots and
//! the hash chain are followed, the process is evaluated again, and each outcome is compared with what a compute unit
//! claims. The first thing that does not hold ends it, and is told in full.

mod checked;
mod claims;

use std::sync::Arc;

use protocol::{Address, HashChain, Id, ModuleId, ProcessId, Slot, Timestamp, Wallet, tag};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use store::{Blobs, Store};
use unit::{Clock, Compute, Error, Events, Kind, Result, Scheduled, Weave};

use crate::checked::Checked;
use crate::claims::Claims;

/// Under which name it is noted how far a process was verified.
const PROGRESS: &str = "verified.json";

/// What a verification needs.
pub struct Ports {
    /// Where the log is. What it answers is believed only as far as it is signed.
    pub weave: Arc<dyn Weave>,
    /// Whose outcomes are compared; nobody's if there is none.
    pub claims: Option<Arc<dyn Compute>>,
    /// Keeps outcomes, to go on from.
    pub store: Arc<dyn Store>,
    /// Keeps checkpoints, and how far the process was verified.
    pub blobs: Arc<dyn Blobs>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Run modules.
    pub runtimes: Vec<Arc<dyn runtime::Runtime>>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Slots that hold.
    pub slots: u64,
    /// Slots in all.
    pub of: u64,
}

/// What came of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Which process.
    pub process: ProcessId,
    /// The module that it runs.
    pub module: Option<ModuleId>,
    /// Who signed its schedule.
    pub scheduler: Option<Address>,
    /// Slots that hold, from slot 0 on.
    pub slots: u64,
    /// Of those, how many an earlier verification had checked.
    pub resumed: u64,
    /// Outcomes that were compared with what the compute unit claims, this time.
    pub compared: u64,
    /// SHA-256 of the memory after the last slot, hexadecimal; none if something does not hold.
    pub memory: Option<String>,
    /// The first thing that does not hold.
    pub finding: Option<Finding>,
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In which slot.
    pub slot: Slot,
    /// What sort of thing.
    pub rule: Rule,
    /// What is wrong, in a sentence.
    pub what: String,
    /// What comes of the log; only of an outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// What is claimed; only of an outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<Value>,
}

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The process and its module are there, and are what their owners signed.
    Process,
    /// There is an assignment for each slot, one, signed by the scheduler.
    Assignment,
    /// The hash chain continues, and time goes on.
    Chain,
    /// There is a message in each slot, for this process, and it is what its sender signed.
    Message,
    /// The compute unit says what comes of it.
    Outcome,
}

impl Finding {
    fn new(slot: Slot, rule: Rule, what: impl Into<String>) -> Finding {
        Finding { slot, rule, what: what.into(), expected: None, claimed: None }
    }
}

/// How far a process was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    process: ProcessId,
    slot: Slot,
    assignment: Id,
    chain: Id,
    timestamp: Timestamp,
}

/// Why it does not go on.
enum Stop {
    /// Something does not hold.
    Found(Finding),
    /// It cannot be said whether it does.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Failed(error)
    }
}

/// What is not there, or not what was signed, does not hold; that somebody cannot be asked says nothing.
fn finding(slot: Slot, rule: Rule, error: Error) -> Stop {
    let is_altered = error.code == unit::Code::NOT_AS_SIGNED;
    match error.kind {
        Kind::NotFound | Kind::Invalid | Kind::Refused => Stop::Found(Finding::new(slot, rule, error.what)),
        _ if is_altered => Stop::Found(Finding::new(slot, rule, error.what)),
        _ => Stop::Failed(error),
    }
}

/// Verifies a process, from where an earlier verification ended. `tell` hears how far it is.
///
/// The answer is an error only if it cannot be said whether the process holds: the weave or the compute unit cannot be
/// asked, or this computer cannot run the module.
pub async fn verify(ports: Ports, process: ProcessId, tell: &(dyn Fn(Progress) + Sync)) -> Result<Report> {
    let mut report = Report {
        process,
        module: None,
        scheduler: None,
        slots: 0,
        resumed: 0,
        compared: 0,
        memory: None,
        finding: None,
    };
    match walk(&ports, process, &mut report, tell).await {
        Ok(()) => Ok(report),
        Err(Stop::Found(finding)) => Ok(Report { finding: Some(finding), ..report }),
        Err(Stop::Failed(error)) => Err(error),
    }
}

async fn walk(
    ports: &Ports,
    process: ProcessId,
    report: &mut Report,
    tell: &(dyn Fn(Progress) + Sync),
) -> std::result::Result<(), Stop> {
    let first = Slot(0);
    let checked = Arc::new(Checked::new(Arc::clone(&ports.weave), process));
    let (item, scheduler) = checked.begin().await.map_err(|error| finding(first, Rule::Process, error))?;
    let module = item.tags.first(tag::MODULE).and_then(|module| module.parse::<ModuleId>().ok());
    (report.module, report.scheduler) = (module, Some(scheduler));
    if let Some(module) = module {
        let found = ports.weave.get(module.into()).await;
        let found = found.map_err(|error| finding(first, Rule::Process, error))?;
        // Whoever has transactions verified them when it read them: an item does not say all that they sign.
        if !found.base_layer && !checked::is_signed(&found.item) {
            let what = format!("module {module} is not what its publisher signed");
            return Err(Stop::Found(Finding::new(first, Rule::Process, what)));
        }
    }
    let newest = checked.newest().await.map_err(|error| finding(first, Rule::Assignment, error))?;

    let compute = open(ports, &checked).await?;
    let position = resume(ports, process, newest);
    if let Some(position) = position {
        report.slots = position.slot.0 + 1;
        report.resumed = report.slots;
        checked.resume(
            position.slot,
            HashChain(position.chain.0).after(position.assignment),
            position.timestamp,
        );
    }
    let mut before: Option<Scheduled> = None;
    let after = async |slot: Option<Slot>| match newest {
        Some(newest) if slot.is_some_and(|slot| slot >= newest) => Ok(Vec::new()),
        _ => checked.page(slot, newest).await,
    };
    let mut page = after(position.map(|position| position.slot)).await?;
    while let Some(last) = page.last() {
        let here = last.assignment.slot;
        // The next page is read and checked, and claims are asked for, while this one is evaluated.
        let evaluated = evaluate(&compute, process, before.as_ref(), &page);
        let claimed = async {
            match ports.claims.as_deref() {
                Some(unit) => Claims::ask(unit, process, before.as_ref(), &page).await.map(Some),
                None => Ok(None),
            }
        };
        let (own, claimed, next) = futures::join!(evaluated, claimed, after(Some(here)));
        let own = own?;
        if let Some(claimed) = claimed? {
            report.compared += claimed.compare(&page, &own).inspect_err(|stop| {
                if let Stop::Found(finding) = stop {
                    report.slots = finding.slot.0;
                }
            })?;
        }
        report.slots = here.0 + 1;
        tell(Progress { slots: report.slots, of: newest.map_or(report.slots, |newest| newest.0 + 1) });
        note(ports, process, last)?;
        before = page.pop();
        page = next?;
    }
    let memory = compute.state(process, None).await?.memory;
    report.memory = Some(Sha256::digest(&memory).iter().map(|byte| format!("{byte:02x}")).collect());
    compute.stop().await;
    Ok(())
}

/// What comes of the entries of a page, and of the crons before them.
async fn evaluate(
    compute: &cu::ComputeUnit,
    process: ProcessId,
    before: Option<&Scheduled>,
    page: &[Scheduled],
) -> Result<Claims> {
    if let Some(last) = page.last() {
        compute.result(process, last.assignment.id()).await?;
    }
    Claims::ask(compute, process, before, page).await
}

/// A compute unit of our own, which believes what was checked, and nobody else.
async fn open(ports: &Ports, checked: &Arc<Checked>) -> Result<Arc<cu::ComputeUnit>> {
    let all = cu::Options::default();
    let options = cu::Options { memory_limit_max: u64::MAX, compute_limit_max: u64::MAX, ..all };
    let ports = cu::Ports {
        store: Arc::clone(&ports.store),
        blobs: Arc::clone(&ports.blobs),
        scheduler: Arc::clone(checked) as Arc<dyn unit::Scheduler>,
        own_scheduler: Some(Arc::clone(checked) as Arc<dyn unit::Scheduler>),
        weave: Arc::clone(&ports.weave),
        clock: Arc::clone(&ports.clock),
        events: Events::silent(),
        // Nobody asks it for an attestation.
        wallet: Wallet::ed25519_from_seed([0; 32]),
        runtimes: ports.runtimes.clone(),
    };
    cu::ComputeUnit::open(ports, options).await
}

/// Where an earlier verification of the same log ended.
fn resume(ports: &Ports, process: ProcessId, newest: Option<Slot>) -> Option<Position> {
    let noted = ports.blobs.get(PROGRESS).ok()??;
    let position: Position = serde_json::from_slice(&noted).ok()?;
    let is_there = newest.is_none_or(|newest| position.slot <= newest);
    (position.process == process && is_there).then_some(position)
}

fn note(ports: &Ports, process: ProcessId, last: &Scheduled) -> Result<()> {
    let assignment = &last.assignment;
    let position = Position {
        process,
        slot: assignment.slot,
        assignment: assignment.id(),
        chain: Id(assignment.hash_chain.0),
        timestamp: assignment.timestamp,
    };
    let noted = serde_json::to_vec(&position).map_err(|error| Error::internal(&error))?;
    ports.blobs.put(PROGRESS, &noted).map_err(|error| Error::internal(&error))
}
