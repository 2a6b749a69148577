//! `pirn test`: tests in Lua, each on a network of its own.
//!
//! [`find`] says which files there are, [`file`] runs one in a Lua of this program (not of a process), whose side of the
//! network is [`host`] and the scripts beside it; [`report`], [`junit`], [`coverage`], [`html`], [`flame`] (with [`functions`]), [`spans`] and [`gas`] tell
//! what came of it, and [`watch`] begins again when something changes. The network itself is [`sandbox::Sandbox`].

pub mod coverage;
pub mod file;
pub mod find;
pub mod flame;
mod functions;
pub mod gas;
mod host;
pub mod html;
pub mod junit;
mod lines;
pub mod report;
mod source;
mod spans;
mod trace;
pub mod watch;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sandbox::Modules;
use serde::Serialize;

use self::coverage::Coverage;
use crate::otlp::Span;
use crate::project::Project;

/// What every file of a run has in common.
pub struct Plan {
    /// The modules of all networks.
    pub modules: Modules,
    /// The module of processes that name none.
    pub module: protocol::ModuleId,
    /// Where paths of sources begin.
    pub base: PathBuf,
    /// The project around that folder, whose processes tests can spawn by their names.
    pub project: Option<Project>,
    /// Only tests whose full name has this in it.
    pub filter: Option<String>,
    /// What chance begins with.
    pub seed: u64,
    /// Whether lines and handlers are counted.
    pub coverage: bool,
    /// Whether it is kept which message cost what.
    pub flame: bool,
    /// Whether messages are kept as spans.
    pub spans: bool,
}

/// What came of a file.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// Its path, from the folder where the run began.
    pub file: String,
    /// Its tests, in their order.
    pub tests: Vec<TestReport>,
    /// What its processes ran.
    #[serde(skip)]
    pub coverage: Coverage,
    /// What its messages cost, folded; none if nobody asked.
    #[serde(skip)]
    pub folded: Vec<(String, u64)>,
    /// Its messages as spans; none if nobody asked.
    #[serde(skip)]
    pub spans: Vec<Span>,
}

/// What came of a test.
#[derive(Debug, Clone, Serialize)]
pub struct TestReport {
    /// Its name, after those of the blocks around it.
    pub title: Vec<String>,
    /// Where it is.
    pub line: Option<u64>,
    /// How it ended.
    pub status: Status,
    /// Milliseconds. Not the same in two runs, so not among what programs are told.
    #[serde(skip)]
    pub ms: f64,
    /// Messages that were evaluated.
    pub messages: u64,
    /// Cron messages that were.
    pub ticks: u64,
    /// What both cost.
    pub gas: u64,
    /// Letters that were lost to faults.
    #[serde(skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What it printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub printed: Vec<String>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It holds.
    Passed,
    /// An assertion does not hold.
    Failed,
    /// It ended otherwise than it should.
    Error,
    /// It is not there yet.
    Pending,
}

/// Why a test failed.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// What does not hold, or the error.
    pub message: String,
    /// The file and line of the test, as in `test/a_test.lua:12`.
    pub at: Option<String>,
    /// What was expected, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What there was instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
    /// The line that it is about, with its neighbours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// The messages of the test, a line each.
    pub trace: Vec<String>,
}

/// Runs files, several at a time, and shows each as soon as all before it are shown.
pub fn run(
    plan: &Plan,
    files: &[PathBuf],
    jobs: usize,
    mut shown: impl FnMut(&FileReport) + Send,
) -> Vec<FileReport> {
    let next = AtomicUsize::new(0);
    let done: Mutex<(Vec<Option<FileReport>>, usize)> = Mutex::new((vec![None; files.len()], 0));
    let show: Mutex<&mut (dyn FnMut(&FileReport) + Send)> = Mutex::new(&mut shown);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, files.len().max(1)) {
            // The Lua of a test calls into the sandbox, which compiles nothing deep; the guest has a stack of its own.
            let worker = std::thread::Builder::new().stack_size(16 << 20);
            let work = || {
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = file::run(plan, path);
                    let mut done = done.lock().expect("no worker panics while it has this");
                    let at = files.iter().position(|other| other == path).expect("it is one of them");
                    done.0[at] = Some(report);
                    let mut show = show.lock().expect("no worker panics while it has this");
                    while let Some(Some(report)) = done.0.get(done.1) {
                        show(report);
                        done.1 += 1;
                    }
                }
            };
            worker.spawn_scoped(scope, work).expect("a computer that runs this has room for a thread");
        }
    });
    let (reports, _) = done.into_inner().expect("the workers have ended");
    reports.into_iter().flatten().collect()
}
