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
pub mod source;
mod spans;
mod trace;
pub mod watch;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex};

use sandbox::Modules;
use serde::Serialize;

use self::coverage::Coverage;
use self::file::{Part, Ran};
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

/// Runs files, several at a time, and shows each as soon as all before it are shown. A file that wants to be run test by
/// test is, each of them as if it were a file, and is one again when it is shown.
pub fn run(
    plan: &Plan,
    files: &[PathBuf],
    jobs: usize,
    mut shown: impl FnMut(&FileReport) + Send,
) -> Vec<FileReport> {
    let work = Mutex::new(Work {
        next: (0..files.len()).map(|file| (file, Part::Whole)).collect(),
        running: 0,
        files: files.iter().map(|_| vec![None]).collect(),
        done: Vec::new(),
        shown: &mut shown,
    });
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            // The Lua of a test calls into the sandbox, which compiles nothing deep; the guest has a stack of its own.
            let worker = std::thread::Builder::new().stack_size(16 << 20);
            let work = || {
                let lock = || work.lock().expect("no worker panics while it has this");
                loop {
                    // Who has nothing to do waits for those who run: what they run may turn out to be several.
                    let mut work = changed
                        .wait_while(lock(), |work| work.next.is_empty() && work.running > 0)
                        .expect("no worker panics while it has this");
                    let Some((file, part)) = work.next.pop_front() else { return };
                    work.running += 1;
                    drop(work);
                    let ran = file::run(plan, &files[file], part);
                    lock().take(file, part, ran);
                    changed.notify_all();
                }
            };
            worker.spawn_scoped(scope, work).expect("a computer that runs this has room for a thread");
        }
    });
    work.into_inner().expect("the workers have ended").done
}

/// What is to be done, and what is done.
struct Work<'a> {
    next: VecDeque<(usize, Part)>,
    /// How many workers run something.
    running: usize,
    /// The parts of each file.
    files: Vec<Vec<Option<FileReport>>>,
    /// The files that are shown.
    done: Vec<FileReport>,
    shown: &'a mut (dyn FnMut(&FileReport) + Send),
}

impl Work<'_> {
    /// Takes in what came of a part.
    fn take(&mut self, file: usize, part: Part, ran: Ran) {
        self.running -= 1;
        match ran {
            Ran::Done(report) => {
                let at = if let Part::One(at) = part { at } else { 0 };
                self.files[file][at] = Some(report);
            }
            Ran::Split(parts) => {
                self.files[file] = vec![None; parts];
                // Before later files, so that what comes first is shown first.
                (0..parts).rev().for_each(|at| self.next.push_front((file, Part::One(at))));
            }
        }
        while let Some(parts) =
            self.files.get_mut(self.done.len()).filter(|parts| parts.iter().all(Option::is_some))
        {
            let parts = std::mem::take(parts).into_iter().flatten();
            let report = parts.reduce(FileReport::join).expect("a file has at least one part");
            (self.shown)(&report);
            self.done.push(report);
        }
    }
}

impl FileReport {
    /// The same file's, with what came of its next part.
    fn join(mut self, next: FileReport) -> FileReport {
        self.tests.extend(next.tests);
        self.coverage.merge(next.coverage);
        self.folded.extend(next.folded);
        self.spans.extend(next.spans);
        self
    }
}
