//! `pirn eval`

use clap::Args;
use protocol::{ProcessId, Tag, tag};
use unit::Compute as _;

use super::send::send;
use super::{Shown, check, output_of, parse_process, text_of};
use crate::bundle::Bundle;
use crate::error::Result;
use crate::network::{Signer, Where};
use crate::ui::Ui;

/// Evaluate code in a process that you own, and print what it returns
#[derive(Debug, Args)]
pub struct Eval {
    /// The process: its id, or its name in the project here.
    #[arg(value_parser = parse_process)]
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
        let tags = [Tag::new(tag::ACTION, "Eval")];
        let script = match self.code.strip_prefix('@') {
            Some(file) => Some(Bundle::read_here(file.as_ref())?),
            None => None,
        };
        let doubts = script.as_ref().map(Bundle::doubts).unwrap_or_default();
        doubts.iter().for_each(|doubt| ui.note(format!("warning: {doubt}")));
        let text = match &script {
            Some(script) => script.text(),
            None => text_of(&self.code)?,
        };
        let message = send(&clients, &self.signer.wallet()?, self.process, &tags, &text).await?;
        let outcome = clients.cu.result(self.process, message.0).await?;
        if outcome.error.is_none() || ui.json {
            ui.answer(output_of(&outcome), &Shown::of(&outcome));
        }
        check(&outcome).map_err(|failure| match &script {
            Some(script) => script.explain(failure),
            None => failure,
        })
    }
}
