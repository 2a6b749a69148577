//! `pirn test`

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use runtime_wasm::WasmRuntime;
use sandbox::Modules;
use serde::Serialize;
use unit::Code;

use crate::error::{Context as _, Failure, Result};
use crate::otlp::{self, Span, Target};
use crate::project::Project;
use crate::trial::coverage::{Coverage, FileCoverage, lcov};
use crate::trial::report::{Style, Totals, coverage_table};
use crate::trial::watch::Watch;
use crate::trial::{self, FileReport, Plan, file, find, flame, gas, html, junit};
use crate::ui::Ui;

/// Run tests in Lua, each on a network of its own
///
/// Test files end in _test.lua or _spec.lua. They say `describe`, `it` and `assert` as busted has them, and play with
/// processes through `t`: t.spawn, t.send, t.expect, t.state, t.clock.advance. Nothing of it needs a node: a test runs on
/// a network in memory, with the module that processes really run, and a clock that goes when it is told to.
#[derive(Debug, Args)]
pub struct Test {
    /// Test files, or folders to look for them; this folder by default.
    paths: Vec<PathBuf>,
    /// Only tests whose name, with those of the blocks around it, has this in it.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Run again whenever a file changes.
    #[arg(long)]
    watch: bool,
    /// How many files, and tests of files that say `t.parallel()`, run at the same time; as many as there are processors
    /// by default.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// What chance begins with, where a test asks for some: a number, or `random`.
    #[arg(long, value_name = "N", default_value = "0", value_parser = seed)]
    seed: u64,
    /// Write a report that build servers read.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Count which lines and handlers were run; with =lcov:FILE or =html:FILE, also write that there.
    #[arg(long, value_name = "lcov:FILE|html:FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    coverage: Option<String>,
    /// Draw what each message cost, on the one that it follows from, and in it each Lua function: an SVG, or the stacks
    /// as text if the file ends in .folded.
    #[arg(long, value_name = "FILE")]
    flamegraph: Option<PathBuf>,
    /// Write the messages as OpenTelemetry spans, each under the one that it follows from: to a file of OTLP/JSON, or to a
    /// collector, such as http://127.0.0.1:4318
    #[arg(long, value_name = "FILE|URL")]
    otlp: Option<Target>,
    /// Keep what each test costs in a file, and show what has changed since it was written.
    #[arg(long, value_name = "FILE")]
    gas_snapshot: Option<PathBuf>,
    /// Only compare with the file of --gas-snapshot: fail if a test costs more or less by more than so many percent, or is
    /// not in it.
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true, default_missing_value = "0", requires = "gas_snapshot", value_parser = percent)]
    gas_check: Option<u64>,
    /// The module of processes that name none: a .wasm file. Pirn's own Lua by default.
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
}

/// Where, and in which form, coverage is written.
enum Page {
    Lcov(PathBuf),
    Html(PathBuf),
}

impl Page {
    fn parse(text: &str) -> Result<Page> {
        match text.split_once(':') {
            Some(("lcov", path)) => Ok(Page::Lcov(path.into())),
            Some(("html", path)) => Ok(Page::Html(path.into())),
            _ => Err(Failure::usage(format!("--coverage={text} is none that is known"))
                .hint("--coverage=lcov:FILE or --coverage=html:FILE")),
        }
    }
}

fn seed(text: &str) -> Result<u64, String> {
    if text == "random" {
        let bytes = super::anchor();
        let start: [u8; 8] = bytes[..8].try_into().expect("an anchor has 32 bytes");
        // Short enough to type.
        return Ok(u64::from_le_bytes(start) % 1_000_000_000);
    }
    text.parse().map_err(|_| "expected a number, or random".to_owned())
}

/// Hundredths of a percent.
fn percent(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches('%').parse::<f64>().ok().filter(|number| (0.0..=1e6).contains(number));
    number
        .map(|number| (number * 100.0).round() as u64)
        .ok_or_else(|| "expected a percentage, such as 2 or 0.5".to_owned())
}

#[derive(Serialize)]
struct Answer<'a> {
    seed: u64,
    #[serde(flatten)]
    totals: Totals,
    files: &'a [FileReport],
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<&'a [FileCoverage]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gas_changes: Option<&'a [gas::Change]>,
}

impl Test {
    /// Runs the tests; with --watch, for ever.
    pub async fn run(self, ui: Ui) -> Result {
        let ran = tokio::task::spawn_blocking(move || self.run_blocking(ui));
        ran.await.map_err(|panic| Failure::new(Code::INTERNAL, panic))?
    }

    fn run_blocking(&self, ui: Ui) -> Result {
        let base = std::env::current_dir().context(Code::FILE, "could not tell the current folder")?;
        let page = match self.coverage.as_deref() {
            None | Some("") => None,
            Some(text) => Some(Page::parse(text)?),
        };
        let options = runtime_wasm::Options { cache: cache(), ..runtime_wasm::Options::default() };
        let mut runtime = WasmRuntime::new(options).context(Code::DOES_NOT_START, "could not start")?;
        if self.flamegraph.is_some() {
            let stacks = Arc::new(runtime_lua::Stacks);
            runtime = runtime.with_stacks(stacks).context(Code::DOES_NOT_START, "could not start")?;
        }
        let modules = Modules::new(runtime)?;
        let module = match &self.module {
            Some(path) => file::publish(&modules, path)?,
            None => modules.lua(),
        };
        let plan = Plan {
            modules,
            module,
            base: base.clone(),
            project: Project::find(&base)?,
            filter: self.filter.clone(),
            seed: self.seed,
            coverage: self.coverage.is_some(),
            flame: self.flamegraph.is_some(),
            spans: self.otlp.is_some(),
        };
        if !self.watch {
            return self.once(&plan, page.as_ref(), ui);
        }
        let watch = Watch::new(&base)?;
        loop {
            if let Err(failure) = self.once(&plan, page.as_ref(), ui) {
                ui.failed(&failure);
            }
            ui.note("watching for changes · Ctrl-C ends");
            let Some(path) = watch.next() else { return Ok(()) };
            ui.note(format_args!("\n{} changed", path.strip_prefix(&base).unwrap_or(&path).display()));
        }
    }

    #[expect(clippy::disallowed_methods, reason = "people are told how long it took")]
    fn once(&self, plan: &Plan, page: Option<&Page>, ui: Ui) -> Result {
        let files = find::find(&plan.base, &self.paths)?;
        if files.is_empty() {
            return Err(Failure { exit: 2, ..Failure::new(Code::NOT_FOUND, "there are no tests here") }
                .hint("name files or folders; test files end in _test.lua"));
        }
        let style = Style { colours: !ui.json && colourful(), seed: self.seed };
        let jobs = self.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let begun = Instant::now();
        let mut reports = trial::run(plan, &files, jobs, |report| {
            if !ui.json && !report.tests.is_empty() {
                say(style.file(report).trim_end());
            }
        });
        let ms = begun.elapsed().as_secs_f64() * 1000.0;
        let totals = Totals::of(&reports);
        let covered = self.coverage.is_some().then(|| {
            let mut all = Coverage::default();
            reports.iter_mut().for_each(|report| all.merge(std::mem::take(&mut report.coverage)));
            let files = all.files();
            (files, all.sources)
        });
        if let Some(path) = &self.junit {
            let xml = junit::xml(&reports).context(Code::INTERNAL, "could not write the report")?;
            write(path, &xml)?;
        }
        if let (Some(page), Some((files, sources))) = (page, &covered) {
            match page {
                Page::Lcov(path) => write(path, &lcov(files))?,
                Page::Html(path) => write(path, &html::page(files, sources))?,
            }
        }
        let covered = covered.map(|(files, _)| files);
        if let Some(path) = &self.flamegraph {
            let folded: Vec<(String, u64)> =
                reports.iter_mut().flat_map(|report| std::mem::take(&mut report.folded)).collect();
            if folded.is_empty() {
                ui.note("nothing was evaluated, so there is no graph");
            } else {
                let is_text = path.extension().is_some_and(|extension| extension == "folded");
                write(path, &if is_text { flame::text(&folded) } else { flame::svg(&folded)? })?;
            }
        }
        // A collector may be away; what came of the tests is said all the same.
        let exported = self.otlp.as_ref().map_or(Ok(()), |target| {
            let spans: Vec<Span> =
                reports.iter_mut().flat_map(|report| std::mem::take(&mut report.spans)).collect();
            tokio::runtime::Handle::current().block_on(otlp::export(target, "pirn test", &spans))
        });
        let changed = self.gas_snapshot.as_deref().map(|path| self.gas(path, &reports)).transpose()?;
        if ui.json {
            let answer = Answer {
                seed: self.seed,
                totals,
                files: &reports,
                coverage: covered.as_deref(),
                gas_changes: changed.as_deref(),
            };
            ui.answer("", &answer);
        } else {
            if let Some(files) = covered.as_deref().filter(|files| !files.is_empty()) {
                say(&format!("\n{}", coverage_table(files)));
            }
            if let Some(changes) = changed.as_deref().filter(|changes| !changes.is_empty()) {
                say(&format!("\n{}", gas::table(changes)));
            }
            if totals.all() > 0 {
                say(&format!("\n{}", style.end(totals, ms, covered.as_deref())));
            }
        }
        if totals.all() == 0 {
            let filter = self.filter.as_deref().unwrap_or_default();
            return Err(Failure {
                exit: 2,
                ..Failure::new(Code::NOT_FOUND, format!("no test has {filter:?} in its name"))
            }
            .hint("--filter looks at the names of a test and of the blocks around it"));
        }
        if totals.bad() > 0 {
            exported.unwrap_or_else(|failure| ui.failed(&failure));
            let what = format!("{} of {} tests failed", totals.bad(), totals.all());
            return Err(Failure::new(Code::TESTS_FAILED, what)
                .hint(format!("what chance began with was {}: --seed {0} runs the same again", self.seed)));
        }
        exported?;
        let far = changed.map_or(0, |changes| changes.len());
        if self.gas_check.is_some() && far > 0 {
            let what =
                format!("{far} of {} tests cost another amount of gas than the file says", totals.all());
            return Err(Failure::new(Code::TESTS_FAILED, what)
                .hint("if that is as it should be: run again without --gas-check, which writes the file"));
        }
        Ok(())
    }

    /// What has changed since the file was written; writes it, unless it is only to be compared.
    fn gas(&self, path: &Path, reports: &[FileReport]) -> Result<Vec<gas::Change>> {
        let (mut before, now) = (gas::read(path)?, gas::of(reports));
        let changes = gas::changes(&before, &now, self.gas_check.unwrap_or(0));
        let is_first = before.is_empty();
        if self.gas_check.is_none() {
            // What was not run is as it was.
            let all = self.filter.is_none() && self.paths.is_empty();
            if all {
                before.clear();
            }
            before.extend(now);
            write(path, &gas::text(&before))?;
            if is_first {
                return Ok(Vec::new());
            }
        }
        Ok(changes)
    }
}

/// A part of the answer, as soon as it is there.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more, which is no failure of ours.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn write(path: &Path, text: &str) -> Result {
    std::fs::write(path, text).context(Code::FILE, format!("could not write {}", path.display()))
}

/// Whether stdout is a terminal that may be coloured.
#[expect(clippy::disallowed_methods, reason = "NO_COLOR is a convention of the terminal")]
fn colourful() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Where compiled modules are kept from run to run: the user's own cache folder.
#[expect(clippy::disallowed_methods, reason = "where a user's caches are, the environment says")]
fn cache() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(folder.join("pirn").join("modules"))
}
