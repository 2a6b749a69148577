//! The `pirn` binary: a whole ao network, its units, and its tools.

mod bundle;
mod commands;
mod context;
#[cfg(test)]
mod docs;
mod error;
mod evaluate;
mod folders;
mod network;
mod otlp;
mod project;
mod registry;
mod render;
mod repl;
mod trial;
mod ui;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use unit::Code;

use crate::error::{Failure, Result};
use crate::ui::Ui;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A complete ao computer: `pirn dev` is a whole network on this machine
#[derive(Debug, Parser)]
#[command(name = "pirn", version, propagate_version = true, max_term_width = 120)]
struct Cli {
    /// Answer with one JSON object.
    #[arg(long, global = true)]
    json: bool,
    /// The network to speak to, by its name: `pirn context ls` lists them. [env: PIRN_CONTEXT]
    #[arg(long, global = true, value_name = "NAME", value_parser = context::parse_name)]
    context: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(commands::dev::Dev),
    Status(commands::status::Status),
    Stop(commands::stop::Stop),
    Node(commands::node::Node),
    Config(commands::config::Config),
    Context(commands::context::Context),
    Env(commands::env::Env),
    Spawn(commands::spawn::Spawn),
    Send(commands::send::Send),
    Feed(commands::feed::Feed),
    Eval(commands::eval::Eval),
    Dry(commands::dry::Dry),
    Repl(commands::repl::Repl),
    Result(commands::result::Show),
    Log(commands::log::Log),
    Trace(commands::trace::Trace),
    Outbox(commands::outbox::Outbox),
    Cron(commands::cron::Cron),
    Settlement(commands::settlement::Settlement),
    Webhooks(commands::webhooks::Webhooks),
    Attest(commands::attest::Attest),
    Checkpoint(commands::checkpoint::Checkpoint),
    Verify(commands::verify::Verify),
    Bundle(commands::bundle::Bundle),
    Watch(commands::watch::Watch),
    Tx(commands::explore::tx::Tx),
    Item(commands::explore::item::Item),
    Block(commands::explore::block::Block),
    Clock(commands::clock::Clock),
    Mine(commands::mine::Mine),
    Reorganise(commands::reorganise::Reorganise),
    Snapshot(commands::snapshot::Snapshot),
    Backup(commands::backup::Backup),
    Restore(commands::backup::Restore),
    Recover(commands::recover::Recover),
    Test(commands::test::Test),
    Wallet(commands::wallet::Wallet),
    Accounts(commands::accounts::Accounts),
    Fund(commands::fund::Fund),
    New(commands::new::New),
    Up(commands::up::Up),
    Module(commands::module::Module),
    Build(commands::build::Build),
    Explain(commands::explain::Explain),
    Completions(commands::completions::Completions),
}

fn main() -> ExitCode {
    take_small_pages();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misasked(&error),
    };
    let ui = Ui { json: cli.json };
    context::choose(cli.context);
    let ran = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(cli.command, ui)),
        Err(error) => Err(Failure::new(Code::DOES_NOT_START, format!("could not start: {error}"))),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            ui.failed(&failure);
            ExitCode::from(failure.exit)
        }
    }
}

/// What the allocator takes and hardly uses would count as whole pages of 2 MiB: ten processes of aos would hold 490 MB
/// where they hold 310, and be no faster.
#[expect(unsafe_code, reason = "the system is told how this program wants its memory; no memory is touched")]
fn take_small_pages() {
    let (on, none): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: this call takes numbers only. A system that does not know it answers with an error, and nothing changes.
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, on, none, none, none) };
}

/// Help and the version are answers; everything else is a failure with a code, like any other.
fn misasked(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let text = text.trim().strip_prefix("error: ").unwrap_or(text.trim());
    // What clap says after its first paragraph is how to ask.
    let (what, more) = text.split_once("\n\n").unwrap_or((text, ""));
    let hints = more.split("\n\n").map(|hint| hint.trim().trim_start_matches("tip: ").to_owned());
    let failure = Failure { hints: hints.filter(|hint| !hint.is_empty()).collect(), ..Failure::usage(what) };
    Ui { json: std::env::args_os().any(|argument| argument == "--json") }.failed(&failure);
    ExitCode::from(failure.exit)
}

async fn run(command: Command, ui: Ui) -> Result {
    match command {
        Command::Dev(command) => command.run(ui).await,
        Command::Status(command) => command.run(ui).await,
        Command::Stop(command) => command.run(ui).await,
        Command::Node(command) => command.run(ui).await,
        Command::Config(command) => command.run(ui),
        Command::Context(command) => command.run(ui).await,
        Command::Env(command) => command.run(ui).await,
        Command::Spawn(command) => command.run(ui).await,
        Command::Send(command) => command.run(ui).await,
        Command::Feed(command) => command.run(ui).await,
        Command::Eval(command) => command.run(ui).await,
        Command::Dry(command) => command.run(ui).await,
        Command::Repl(command) => command.run(ui).await,
        Command::Result(command) => command.run(ui).await,
        Command::Log(command) => command.run(ui).await,
        Command::Trace(command) => command.run(ui).await,
        Command::Outbox(command) => command.run(ui).await,
        Command::Cron(command) => command.run(ui).await,
        Command::Settlement(command) => command.run(ui).await,
        Command::Webhooks(command) => command.run(ui).await,
        Command::Attest(command) => command.run(ui).await,
        Command::Checkpoint(command) => command.run(ui).await,
        Command::Verify(command) => command.run(ui).await,
        Command::Bundle(command) => command.run(ui).await,
        Command::Watch(command) => command.run(ui).await,
        Command::Tx(command) => command.run(ui).await,
        Command::Item(command) => command.run(ui).await,
        Command::Block(command) => command.run(ui).await,
        Command::Clock(command) => command.run(ui).await,
        Command::Mine(command) => command.run(ui).await,
        Command::Reorganise(command) => command.run(ui).await,
        Command::Snapshot(command) => command.run(ui).await,
        Command::Backup(command) => command.run(ui).await,
        Command::Restore(command) => command.run(ui).await,
        Command::Recover(command) => command.run(ui).await,
        Command::Test(command) => command.run(ui).await,
        Command::Wallet(command) => command.run(ui),
        Command::Accounts(command) => command.run(ui),
        Command::Fund(command) => command.run(ui).await,
        Command::New(command) => command.run(ui),
        Command::Up(command) => command.run(ui).await,
        Command::Module(command) => command.run(ui).await,
        Command::Build(command) => command.run(ui),
        Command::Explain(command) => command.run(ui),
        Command::Completions(command) => command.run(Cli::command(), ui),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_id_in_sixty_four_begins_with_a_hyphen() {
        const ID: &str = "-DmEuBwt0NWT9geeXvjkBD5RqCmADWlCHQaDpdnd4vI";
        for arguments in [
            &["eval", ID, "return 1"] as &[_],
            &["send", ID, "--action", "Ping"],
            &["send", "--action", "Ping", ID],
            &["dry", ID, "--action", "Ping"],
            &["log", ID],
            &["repl", ID],
            &["result", ID],
            &["trace", ID],
            &["spawn", ID],
            &["fund", ID, "1", ID],
        ] {
            let parsed = Cli::try_parse_from([&["pirn"], arguments].concat());
            assert!(parsed.is_ok(), "{arguments:?}: {}", parsed.unwrap_err());
        }
    }
}
