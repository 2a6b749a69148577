//! `cargo xtask bench`: the load programs of `testing/bench`, each against a network of its own, and what the peers did
//! under the same ones.
//!
//! A program that fails, or sees an answer that is wrong, is a failure with a name and gives no figure.

mod conditions;
mod network;
mod peers;
mod plan;
mod program;
mod report;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::node::Node;
use network::{Network, Scratch};
use plan::{How, Measurement};
use program::{Programs, Row};
use report::{Baseline, Report, Series};

/// What `cargo xtask bench` understands.
pub const HELP: &str = "\
cargo xtask bench [--runs N] [--only a,b] [--quick|--full] [--json FILE] [--against FILE] [--binary FILE]
  --runs N         how often each is measured; min, median and max are shown [default: 3, with --quick 1]
  --only a,b       only these; names and groups of names (`growth`) are below
  --quick, --full  smaller numbers, in three minutes; or also what takes long
  --json FILE      write everything, with the conditions, to a file
  --against FILE   compare with such a file of another time
  --binary FILE    measure this pirn; without it, one is built as `cargo run --release` does";

/// An end of a network that takes longer is told.
const STOP_SHORT: Duration = Duration::from_secs(3);

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Quick,
    Normal,
    Full,
}

impl Size {
    /// Its name in programs and in JSON.
    fn name(self) -> &'static str {
        match self {
            Size::Quick => "quick",
            Size::Normal => "normal",
            Size::Full => "full",
        }
    }
}

/// What was asked for.
#[derive(Debug)]
struct Options {
    runs: usize,
    size: Size,
    only: Vec<String>,
    json: Option<PathBuf>,
    against: Option<PathBuf>,
    binary: Option<PathBuf>,
}

impl Options {
    fn read(arguments: &[String]) -> anyhow::Result<Options> {
        let mut options = Options {
            runs: 0,
            size: Size::Normal,
            only: Vec::new(),
            json: None,
            against: None,
            binary: None,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value =
                || arguments.next().with_context(|| format!("{argument} needs a value\n{}", help()));
            match argument.as_str() {
                "--quick" => options.size = Size::Quick,
                "--full" => options.size = Size::Full,
                "--runs" => options.runs = value()?.parse().context("--runs needs a number")?,
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--json" => options.json = Some(value()?.into()),
                "--against" => options.against = Some(value()?.into()),
                "--binary" => options.binary = Some(value()?.into()),
                _ => bail!("{argument} is not an option\n{}", help()),
            }
        }
        if options.runs == 0 {
            options.runs = if options.size == Size::Quick { 1 } else { 3 };
        }
        Ok(options)
    }
}

/// [`HELP`], and what can be measured.
fn help() -> String {
    let mut help = HELP.to_owned();
    for measurement in plan::MEASUREMENTS {
        help += &format!("\n  {:<14} {:<8} {}", measurement.name, measurement.group, measurement.what);
    }
    help
}

/// Measures what the arguments say; true if nothing failed.
pub fn run(arguments: &[String]) -> anyhow::Result<bool> {
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{}", help());
        return Ok(true);
    }
    let options = Options::read(arguments)?;
    let chosen = plan::choose(&options.only)?;
    // Before an hour is spent on what it would be compared with.
    let baseline = options.against.as_deref().map(Baseline::read).transpose()?;

    let target = crate::test::target_folder()?;
    let pirn = match &options.binary {
        Some(binary) => std::path::absolute(binary).context("could not resolve --binary")?,
        None => build(&target)?,
    };
    ensure!(pirn.is_file(), "{} is no file", pirn.display());
    let node = Node::find_or_install(&target.join("tools/node"))?;
    let programs = Programs::install(node, options.size.name())?;
    if chosen.iter().any(|measurement| measurement.group == plan::WEAVE) {
        programs.also("conformance/arlocal")?;
    }

    let conditions = conditions::Conditions::now(&pirn, programs.node_version(), &options);
    eprintln!("{conditions}");
    let mut report = Report::new(conditions);
    for measurement in chosen {
        measure(measurement, options.runs, &pirn, &programs, &mut report);
        if measurement.name == plan::LOADER {
            let loader = report.series.iter().find(|series| series.name == plan::LOADER);
            report.scale =
                loader.and_then(|loader| peers::Scale::of(loader.median(), programs.node_version()));
        }
    }

    print!("{}", report.table(baseline.as_ref()));
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report.json())?;
        std::fs::write(file, text + "\n").with_context(|| format!("could not write {}", file.display()))?;
    }
    Ok(report.failures.is_empty())
}

/// Runs one measurement so many times; its rows count only if it had no failure.
fn measure(measurement: &Measurement, runs: usize, pirn: &Path, programs: &Programs, report: &mut Report) {
    let mut series: Vec<Series> = Vec::new();
    for run in 1..=runs {
        let began = Instant::now();
        eprint!("{} {run}/{runs}", measurement.name);
        match once(measurement, pirn, programs) {
            Ok(rows) => report::collect(&mut series, rows),
            Err(error) => {
                eprintln!(" failed: {error:#}");
                report.failures.push(format!("{}: {error:#}", measurement.name));
                return;
            }
        }
        eprintln!(" {:.1} s", began.elapsed().as_secs_f64());
    }
    report.series.append(&mut series);
}

fn once(measurement: &Measurement, pirn: &Path, programs: &Programs) -> anyhow::Result<Vec<Row>> {
    match measurement.how {
        How::Alone(file) => Ok(programs.run(file, &[], None)?.rows),
        How::Network { program, arguments, modules } => {
            let scratch = Scratch::new()?;
            let modules = programs.modules(modules, scratch.path())?;
            let network = Network::dev(pirn, &scratch.path().join("state"), &modules)?;
            let rows = programs.run(program, arguments, Some(network.facts()))?.rows;
            let began = Instant::now();
            network.stop()?;
            if began.elapsed() > STOP_SHORT {
                eprint!(" (its end took {:.1} s)", began.elapsed().as_secs_f64());
            }
            Ok(rows)
        }
        How::Start => start(pirn),
        How::Replay { name, module } => replay(pirn, programs, name, module),
    }
}

/// Exec until every unit has answered; a folder of its own each time.
fn start(pirn: &Path) -> anyhow::Result<Vec<Row>> {
    const TIMES: usize = 5;
    let mut took = Vec::new();
    for _ in 0..TIMES {
        let scratch = Scratch::new()?;
        let began = Instant::now();
        let network = Network::dev(pirn, &scratch.path().join("state"), &[])?;
        network.answers()?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        network.stop()?;
    }
    Ok(vec![Row::new("start until every unit answers", "ms", report::median(&took))])
}

/// A compute unit with an empty disk beside a network that has a log; then the network itself, stopped and started.
fn replay(pirn: &Path, programs: &Programs, name: &str, module: &str) -> anyhow::Result<Vec<Row>> {
    let scratch = Scratch::new()?;
    let published: &[&str] = if module == plan::LUA { &[] } else { &[module] };
    let modules = programs.modules(published, scratch.path())?;
    let state = scratch.path().join("state");
    let network = Network::dev(pirn, &state, &modules)?;
    let filled = programs.run("fill.mjs", &[module], Some(network.facts()))?;
    let what = filled.facts.context("fill.mjs did not say what it filled")?;

    let empty = Network::compute(pirn, &scratch.path().join("empty"), &network)?;
    let mut facts = network.facts().clone();
    facts["urls"]["cu"] = empty.facts()["urls"]["cu"].clone();
    facts["facts"] = what.clone();
    let mut rows = programs.run("replay.mjs", &[name], Some(&facts))?.rows;
    empty.stop()?;

    network.stop()?;
    let began = Instant::now();
    let network = Network::dev(pirn, &state, &[])?;
    let mut facts = network.facts().clone();
    facts["facts"] = what;
    let started = began.elapsed().as_secs_f64() * 1000.0;
    let again = programs.run("restart.mjs", &[name], Some(&facts))?.rows;
    network.stop()?;
    rows.extend(again.into_iter().map(|row| Row { value: row.value + started, ..row }));
    Ok(rows)
}

/// Builds what `cargo run --release` runs, and says where it is.
fn build(target: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--package", "pirn-cli", "--bin", "pirn"]);
    let status = command.current_dir(crate::root()).status().context("could not run cargo")?;
    ensure!(status.success(), "could not build the release binary: {status}");
    Ok(target.join("release/pirn"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &str) -> anyhow::Result<Options> {
        Options::read(&arguments.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_in_any_order() {
        let options = read("--json a.json --quick --only su,e2e --only start").unwrap();
        assert_eq!((options.runs, options.size), (1, Size::Quick));
        assert_eq!(options.only, ["su", "e2e", "start"]);
        assert_eq!(options.json, Some("a.json".into()));
        assert_eq!(read("").unwrap().runs, 3);
        assert_eq!(read("--runs 5 --quick").unwrap().runs, 5);
    }

    #[test]
    fn what_is_no_option_is_said() {
        for (arguments, what) in
            [("--fast", "--fast is not an option"), ("--json", "--json needs"), ("--runs x", "--runs needs")]
        {
            assert!(read(arguments).unwrap_err().to_string().starts_with(what), "{arguments}");
        }
    }
}
