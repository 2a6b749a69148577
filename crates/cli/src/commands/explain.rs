//! `pirn explain`

use clap::Args;
use serde::Serialize;
use unit::{Code, Explanation};

use crate::error::{Failure, Result};
use crate::ui::{Ui, table};

/// Say what an error code means and what to do about it; without a code, list them all
#[derive(Debug, Args)]
pub struct Explain {
    /// The code, as an error says it: P0007.
    code: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    code: String,
    title: &'static str,
    meaning: &'static str,
    causes: &'static [&'static str],
    remedies: &'static [&'static str],
}

impl From<&Explanation> for Shown {
    fn from(known: &Explanation) -> Shown {
        let Explanation { code, title, meaning, causes, remedies } = *known;
        Shown { code: code.to_string(), title, meaning, causes, remedies }
    }
}

impl Explain {
    /// Looks it up.
    pub fn run(self, ui: Ui) -> Result {
        let Some(asked) = self.code else {
            let all = Explanation::all();
            let row = |known: &Explanation| vec![known.code.to_string(), known.title.to_owned()];
            let shown: Vec<Shown> = all.iter().map(Shown::from).collect();
            ui.answer(table(&all.iter().map(row).collect::<Vec<_>>()), &shown);
            return Ok(());
        };
        let code: Code = asked.parse().map_err(|error| unknown(&asked, error))?;
        let known = code.explain();
        ui.answer(text(known), &Shown::from(known));
        Ok(())
    }
}

fn unknown(asked: &str, error: unit::NotACode) -> Failure {
    let codes: Vec<String> = Explanation::all().iter().map(|known| known.code.to_string()).collect();
    let failure = Failure { exit: 2, ..Failure::new(Code::UNKNOWN_CODE, error) };
    match node::nearest(&asked.to_uppercase(), &codes) {
        Some(near) => failure.hint(format!("did you mean {near}? `pirn explain` lists them all")),
        None => failure.hint("`pirn explain` lists them all"),
    }
}

fn text(known: &Explanation) -> String {
    let list = |lines: &[&str]| lines.iter().map(|line| format!("  - {line}\n")).collect::<String>();
    format!(
        "{}: {}\n\n{}\n\nUsually:\n{}\nWhat to do:\n{}",
        known.code,
        known.title,
        known.meaning,
        list(known.causes),
        list(known.remedies).trim_end()
    )
}
