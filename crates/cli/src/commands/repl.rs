//! `pirn repl`

use std::path::PathBuf;

use clap::Args;
use protocol::ProcessId;

use super::parse_process;
use crate::error::Result;
use crate::network::{Signer, Where};
use crate::ui::Ui;

/// Talk to a process line by line: its prompt, its names on Tab, its messages as they come
///
/// On a terminal: history over sessions, Tab, Ctrl-R, unfinished lines go on, and what the process prints for others
/// appears above the line. `.help` lists the commands; they have the names of aos.
/// From a pipe: one script after the other, as if typed, the answers on stdout; the first that fails ends it with 1.
#[derive(Debug, Args)]
pub struct Repl {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: ProcessId,
    /// Evaluate a file first; may be repeated.
    #[arg(long, value_name = "FILE")]
    load: Vec<PathBuf>,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

impl Repl {
    /// Runs until the input ends. Exits with 1 if a script from a pipe fails.
    pub async fn run(self, ui: Ui) -> Result {
        let wallet = self.signer.wallet()?;
        crate::repl::run(self.at.clients()?, wallet, self.process, &self.load, ui).await
    }
}
