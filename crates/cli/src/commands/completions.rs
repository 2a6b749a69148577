//! `pirn completions`

use clap::Args;
use clap_complete::Shell;

use unit::Code;

use crate::error::{Context as _, Result};
use crate::ui::Ui;

/// Print what makes a shell complete pirn's commands and options
#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell.
    shell: Shell,
}

impl Completions {
    /// Prints them for `command`, which is the whole of pirn.
    pub fn run(self, mut command: clap::Command, ui: Ui) -> Result {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "pirn", &mut script);
        let script = String::from_utf8(script).context(Code::INTERNAL, "could not write the completions")?;
        ui.answer(&script, &script);
        Ok(())
    }
}
