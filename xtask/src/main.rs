//! `cargo xtask`: the repository's chores.

use std::process::ExitCode;

use anyhow::Context as _;
use xtask::lua::Built;

const HELP: &str = "\
cargo xtask test    everything that must pass before a change lands
cargo xtask tidy    only what a reader would trip over: floors, file sizes, dead links
cargo xtask bench   how fast it is, beside the peers and beside an earlier run; --help has its options
cargo xtask sim     seeds of the simulated world: --seed N [--trace], or --seeds FROM TO;
                    --week N [--full] for days of timers, --agents N for a day of agents
cargo xtask lua     whether the Lua module is what its sources make; with --update, make it so";

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let passed = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => xtask::test::run()?,
        ["tidy"] => tidy()?,
        ["bench", ..] => xtask::bench::run(&arguments[1..])?,
        ["sim", ..] => sim(&arguments[1..])?,
        ["lua"] => lua(false)?,
        ["lua", "--update"] => lua(true)?,
        _ => {
            eprintln!("{HELP}");
            return Ok(ExitCode::from(2));
        }
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tidy() -> anyhow::Result<bool> {
    let mut problems = xtask::floors::problems(&xtask::floors::packages()?);
    problems.extend(xtask::tidy::problems(&xtask::tidy::Tree::read(xtask::root())?));
    for problem in &problems {
        println!("{problem}");
    }
    Ok(problems.is_empty())
}

fn sim(arguments: &[String]) -> anyhow::Result<bool> {
    let mut command = std::process::Command::new(env!("CARGO"));
    command.current_dir(xtask::root()).args([
        "run",
        "--quiet",
        "--package",
        "pirn-sim",
        "--bin",
        "sim",
        "--",
    ]);
    let status = command.args(arguments).status().context("could not run the simulation")?;
    Ok(status.success())
}

fn lua(update: bool) -> anyhow::Result<bool> {
    Ok(match xtask::lua::run(update)? {
        Built::Same => {
            println!("the committed module is what its sources make");
            true
        }
        Built::Written => {
            println!("the module has changed: commit crates/runtime/lua/pirn-lua.wasm");
            true
        }
        Built::Different => {
            println!("the committed module is not what its sources make (hint: cargo xtask lua --update)");
            false
        }
    })
}
