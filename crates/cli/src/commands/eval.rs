//! `pirn eval`

use clap::Args;
use protocol::ProcessId;

use super::{Shown, output_of, parse_process, text_of};
use crate::bundle::Bundle;
use crate::error::Result;
use crate::evaluate::{Script, carry, sign};
use crate::network::{Signer, Where};
use crate::render::{self, Origin, Typed};
use crate::ui::Ui;

/// Evaluate code in a process that you own, and print what it returns
#[derive(Debug, Args)]
pub struct Eval {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process, allow_hyphen_values = true)]
    process: ProcessId,
    /// The code: text, - for stdin, or @FILE: a Lua file and what it requires.
    code: String,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

impl Eval {
    /// Sends an Eval message and waits for its outcome. Exits with 1 if the code fails.
    pub async fn run(self, ui: Ui) -> Result {
        let clients = self.at.clients()?;
        let (text, origin): (String, Box<dyn Origin>) = match self.code.strip_prefix('@') {
            Some(file) => {
                let files = Bundle::read_here(file.as_ref())?;
                files.doubts().iter().for_each(|doubt| ui.note(format!("warning: {doubt}")));
                (files.text(), Box::new(files))
            }
            None => {
                let text = text_of(&self.code)?;
                (text.clone(), Box::new(Typed(text)))
            }
        };
        let item = sign(&self.signer.wallet()?, self.process, Script { text: &text, file: None })?;
        let done = carry(&clients, self.process, item).await?;
        let failure = render::failure(&done.outcome, &*origin);
        if failure.is_none() || ui.json {
            ui.answer(output_of(&done.outcome), &Shown::of(&done.outcome));
        }
        failure.map_or(Ok(()), Err)
    }
}
