//! The `pirn` binary: a whole ao network, its units, and its tools.

mod commands;
mod error;
mod network;
mod ui;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::{Failure, Result};
use crate::ui::Ui;

/// A complete ao computer: `pirn dev` is a whole network on this machine
#[derive(Debug, Parser)]
#[command(name = "pirn", version, propagate_version = true, max_term_width = 120)]
struct Cli {
    /// Answer with one JSON object.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(commands::dev::Dev),
    Node(commands::node::Node),
    Config(commands::config::Config),
    Env(commands::env::Env),
    Spawn(commands::spawn::Spawn),
    Send(commands::send::Send),
    Eval(commands::eval::Eval),
    Dry(commands::dry::Dry),
    Result(commands::result::Show),
    Log(commands::log::Log),
    Trace(commands::trace::Trace),
    Wallet(commands::wallet::Wallet),
    Accounts(commands::accounts::Accounts),
    Fund(commands::fund::Fund),
    Module(commands::module::Module),
    Completions(commands::completions::Completions),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui { json: cli.json };
    let ran = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(cli.command, ui)),
        Err(error) => Err(Failure::new(format!("could not start: {error}"))),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            ui.failed(&failure);
            ExitCode::from(failure.code)
        }
    }
}

async fn run(command: Command, ui: Ui) -> Result {
    match command {
        Command::Dev(command) => command.run(ui).await,
        Command::Node(command) => command.run(ui).await,
        Command::Config(command) => command.run(ui),
        Command::Env(command) => command.run(ui).await,
        Command::Spawn(command) => command.run(ui).await,
        Command::Send(command) => command.run(ui).await,
        Command::Eval(command) => command.run(ui).await,
        Command::Dry(command) => command.run(ui).await,
        Command::Result(command) => command.run(ui).await,
        Command::Log(command) => command.run(ui).await,
        Command::Trace(command) => command.run(ui).await,
        Command::Wallet(command) => command.run(ui),
        Command::Accounts(command) => command.run(ui),
        Command::Fund(command) => command.run(ui).await,
        Command::Module(command) => command.run(ui).await,
        Command::Completions(command) => command.run(Cli::command(), ui),
    }
}
