//! `pirn build`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use unit::Code;

use crate::bundle::Bundle;
use crate::error::{Context as _, Result};
use crate::ui::Ui;

/// Put a Lua script and the files that it requires into one text, which a process can evaluate
#[derive(Debug, Args)]
pub struct Build {
    /// The file that the script begins with.
    file: PathBuf,
    /// Where to write the text. Default: stdout.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Serialize)]
struct Built {
    files: Vec<String>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    doubts: Vec<String>,
}

impl Build {
    /// Errors of the process name the files and lines that are here.
    pub fn run(self, ui: Ui) -> Result {
        let bundle = Bundle::read_here(&self.file)?;
        let (text, doubts) = (bundle.text(), bundle.doubts());
        doubts.iter().for_each(|doubt| ui.note(format!("warning: {doubt}")));
        let files: Vec<String> = bundle.sources.iter().map(|source| source.name.clone()).collect();
        let bytes = text.len();
        match self.output {
            Some(output) => {
                std::fs::write(&output, &text).context(Code::FILE, output.display())?;
                let said = format!("{} · {} files, {bytes} bytes", output.display(), files.len());
                ui.answer(said, &Built { files, bytes, text: None, doubts });
            }
            None => ui.answer(&text, &Built { files, bytes, text: Some(text.clone()), doubts }),
        }
        Ok(())
    }
}
