//! Lua files that processes are given.

use std::path::{Path, PathBuf};

use crate::bundle::{Bundle, Options};
use crate::error::Result;
use crate::render::Place;

/// A file, as errors and coverage call it, and what it says.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its path from the folder where the run began.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// Where a path that a test names is: from the folder where the run began, or from the test's own, or from the one above.
pub fn locate(path: &str, base: &Path, test: &Path) -> Option<PathBuf> {
    let own = test.parent().unwrap_or(base);
    let folders = [base, own, own.parent().unwrap_or(own)];
    folders.iter().map(|folder| folder.join(path)).find(|path| path.is_file())
}

/// The text that a process evaluates for a file and what it requires, and the files in it.
pub fn bundle(path: &Path, base: &Path) -> Result<(String, Vec<Source>)> {
    let bundle = Bundle::read(path, base, &Options::default())?;
    let text = bundle.text();
    let source = |source: crate::bundle::Source| Source { name: source.name, text: source.text };
    Ok((text, bundle.sources.into_iter().map(source).collect()))
}

/// A line of a file.
pub fn place(source: &Source, line: usize) -> Place {
    Place { file: Some(source.name.clone()), line, text: source.text.clone() }
}

/// A text as Lua writes it.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            // Three digits, so that one that follows is not read as part of it.
            '\0' => out.push_str("\\000"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
