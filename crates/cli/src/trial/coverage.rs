//! Which lines and handlers of the processes' own files the tests have run.
//!
//! A probe counts them on a fork of each message's machine, so that processes do not notice: their outcomes, gas included,
//! are the same with and without.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sandbox::Probed;
use serde::Serialize;

use super::lines::active;
use super::source::Source;

/// What the probe evaluates: from then on lines of files are counted, and instead of its result the process shows how often.
/// That is shown for failures as well, which would take the counts with them.
pub const SCRIPT: &str = include_str!("coverage.lua");

/// What was counted.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// By file and line, how often it was run.
    lines: BTreeMap<String, BTreeMap<u64, u64>>,
    /// By file, line and name, how often the handler was run.
    handlers: BTreeMap<String, BTreeMap<(u64, String), u64>>,
    /// The files that processes were given.
    pub sources: Vec<Source>,
}

/// What was run of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileCoverage {
    /// Its path.
    pub file: String,
    /// The lines that do something, with how often they were run.
    pub lines: BTreeMap<u64, u64>,
    /// The handlers that it adds: line, name, how often they were run.
    pub handlers: Vec<(u64, String, u64)>,
}

impl Coverage {
    /// Adds what a probe has seen.
    pub fn add(&mut self, probed: &Probed) {
        let shown = probed.output.to::<serde_json::Value>().unwrap_or_default();
        for line in shown["data"].as_str().unwrap_or_default().lines() {
            let mut words = line.splitn(5, '\t');
            let (Some(kind), Some(count), Some(line), Some(file)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            let (Ok(count), Ok(line)) = (count.parse::<u64>(), line.parse::<u64>()) else { continue };
            let known = match (kind, words.next()) {
                ("L", _) => self.lines.entry(file.to_owned()).or_default().entry(line).or_default(),
                ("H", Some(name)) => self
                    .handlers
                    .entry(file.to_owned())
                    .or_default()
                    .entry((line, name.to_owned()))
                    .or_default(),
                _ => continue,
            };
            *known = known.saturating_add(count);
        }
    }

    /// Adds what another file's tests have run.
    pub fn merge(&mut self, other: Coverage) {
        for (file, lines) in other.lines {
            let own = self.lines.entry(file).or_default();
            lines.into_iter().for_each(|(line, count)| *own.entry(line).or_default() += count);
        }
        for (file, handlers) in other.handlers {
            let own = self.handlers.entry(file).or_default();
            handlers.into_iter().for_each(|(handler, count)| *own.entry(handler).or_default() += count);
        }
        for source in other.sources {
            if self.sources.iter().all(|known| known.name != source.name) {
                self.sources.push(source);
            }
        }
    }

    /// File by file, in the order of their names.
    pub fn files(&self) -> Vec<FileCoverage> {
        let mut files: Vec<FileCoverage> =
            self.sources.iter().filter_map(|source| self.file(source)).collect();
        files.sort_by(|a, b| a.file.cmp(&b.file));
        files
    }

    fn file(&self, source: &Source) -> Option<FileCoverage> {
        let run = self.lines.get(&source.name);
        let lua = mlua::Lua::new();
        let compiled = lua.load(source.text.as_str()).into_function().ok()?;
        let lines = active(&compiled.dump(false))?;
        let count = |line: &u64| run.and_then(|run| run.get(line)).copied().unwrap_or(0);
        let handlers = self.handlers.get(&source.name).into_iter().flatten();
        Some(FileCoverage {
            file: source.name.clone(),
            lines: lines.iter().map(|line| (*line, count(line))).collect(),
            handlers: handlers.map(|((line, name), count)| (*line, name.clone(), *count)).collect(),
        })
    }
}

impl FileCoverage {
    /// Lines that were run, and lines.
    pub fn lines_run(&self) -> (usize, usize) {
        (self.lines.values().filter(|count| **count > 0).count(), self.lines.len())
    }

    /// Handlers that were run, and handlers.
    pub fn handlers_run(&self) -> (usize, usize) {
        (self.handlers.iter().filter(|(_, _, count)| *count > 0).count(), self.handlers.len())
    }

    /// The lines that were not run, as people write them: `3, 7-9`.
    pub fn missing(&self) -> String {
        let missing: BTreeSet<u64> =
            self.lines.iter().filter(|(_, count)| **count == 0).map(|(line, _)| *line).collect();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for line in missing {
            match ranges.last_mut() {
                // Only lines that do something count: what lies between two that do nothing else is one range.
                Some((_, end)) if self.lines.range(*end + 1..line).next().is_none() => *end = line,
                _ => ranges.push((line, line)),
            }
        }
        let text = |(start, end): &(u64, u64)| match start == end {
            true => start.to_string(),
            false => format!("{start}-{end}"),
        };
        ranges.iter().map(text).collect::<Vec<_>>().join(", ")
    }
}

/// Files that were run, as `lcov` and its many readers have it. Handlers are its functions.
pub fn lcov(files: &[FileCoverage]) -> String {
    let mut out = String::new();
    for file in files {
        let ((lines, all_lines), (handlers, all_handlers)) = (file.lines_run(), file.handlers_run());
        let _ = write!(out, "TN:\nSF:{}\n", file.file);
        for (line, name, _) in &file.handlers {
            let _ = writeln!(out, "FN:{line},{name}");
        }
        for (_, name, count) in &file.handlers {
            let _ = writeln!(out, "FNDA:{count},{name}");
        }
        let _ = write!(out, "FNF:{all_handlers}\nFNH:{handlers}\n");
        for (line, count) in &file.lines {
            let _ = writeln!(out, "DA:{line},{count}");
        }
        let _ = write!(out, "LF:{all_lines}\nLH:{lines}\nend_of_record\n");
    }
    out
}
