//! The only writer: stdout is the answer and nothing else; stderr is everything else.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::error::Failure;
use crate::render::Paint;

/// How a person, or a program, wants to be told.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    /// One JSON object as the answer instead of text.
    pub json: bool,
}

impl Ui {
    /// The answer of a command: `text` for people, `value` for programs.
    pub fn answer(&self, text: impl Display, value: &impl Serialize) {
        let mut out = std::io::stdout().lock();
        // Nobody listens any more, which is no failure of ours.
        let _ = match self.json {
            true => writeln!(out, "{}", serde_json::to_string(value).expect("answers are JSON")),
            false => writeln!(out, "{text}"),
        };
        let _ = out.flush();
    }

    /// Something on the side, for people.
    pub fn note(&self, text: impl Display) {
        if !self.json {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// From now on what units have to say goes to stderr: as text to a person, as JSON to a program. `PIRN_LOG` says
    /// how much, as in `PIRN_LOG=info,pirn_su=debug`; warnings by default.
    pub fn log(&self) {
        let filter = EnvFilter::try_from_env("PIRN_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
        let (filter, handle) = reload::Layer::new(filter);
        let _ = FILTER.set(handle);
        let registry = tracing_subscriber::registry().with(filter);
        let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        // Whoever has set another one before is a test.
        let _ = match std::io::stderr().is_terminal() {
            true => registry.with(log.with_ansi(colourful())).try_init(),
            false => registry.with(log.json()).try_init(),
        };
    }

    /// What went wrong, its causes, and what to do: text for people, one JSON object for programs.
    pub fn failed(&self, failure: &Failure) {
        let mut err = std::io::stderr().lock();
        let (red, dim, off) = match colourful() {
            true => ("\u{1b}[1;31m", "\u{1b}[36m", "\u{1b}[0m"),
            false => ("", "", ""),
        };
        if self.json {
            let mut shown = serde_json::json!({
                "error": failure.what, "code": failure.code.to_string(), "hints": failure.next()
            });
            if let Some(frame) = &failure.frame {
                shown["frame"] = frame.as_str().into();
            }
            let _ = writeln!(err, "{shown}");
            return;
        }
        let _ = writeln!(err, "{red}error[{}]:{off} {}", failure.code, failure.what);
        if let Some(frame) = &failure.frame {
            let _ = writeln!(err, "{frame}");
        }
        for hint in failure.next() {
            let _ = writeln!(err, "{dim}hint:{off} {hint}");
        }
    }
}

/// How much units say.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Has units say much, or only warnings again. True if it is much now.
pub fn toggle_log() -> bool {
    let Some(filter) = FILTER.get() else { return false };
    let much =
        filter.with_current(|filter| filter.max_level_hint() < Some(LevelFilter::INFO)).unwrap_or(false);
    let _ = filter.reload(EnvFilter::new(if much { "info" } else { "warn" }));
    much
}

/// Whether stderr is a terminal that may be coloured.
fn colourful() -> bool {
    std::io::stderr().is_terminal() && colours_allowed()
}

/// How answers are painted: stdout may be coloured if it is a terminal.
pub fn paint() -> Paint {
    Paint { colours: std::io::stdout().is_terminal() && colours_allowed() }
}

/// `NO_COLOR` is honoured.
#[expect(clippy::disallowed_methods, reason = "NO_COLOR is a convention of the terminal")]
fn colours_allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Columns of text, as wide as their widest cell; the last is not padded.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(i, (cell, width))| match i + 1 == row.len() {
            true => cell.clone(),
            false => format!("{cell:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A moment, milliseconds since 1970, as people write it: `2026-11-25T16:08:12.345Z`.
pub fn moment(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis);
    moment.map_or_else(|| format!("{ms} ms"), |moment| moment.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Milliseconds for people: `9 min 59 s`.
pub fn span(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (size, name) in units {
        if left >= size {
            parts.push(format!("{} {name}", left / size));
            left %= size;
        }
    }
    // Two of them are as much as anybody reads.
    parts.truncate(2);
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// Text without terminal colours: processes colour what they print.
pub fn plain(text: &str) -> String {
    crate::render::safe(text, Paint { colours: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_two_units() {
        for (ms, told) in
            [(0, "0 s"), (1, "1 s"), (59_999, "1 min"), (599_000, "9 min 59 s"), (90_061_000, "1 d 1 h")]
        {
            assert_eq!(span(ms), told, "{ms}");
        }
    }

    #[test]
    fn moments_are_dates_as_far_as_there_are_dates() {
        assert_eq!(moment(1_795_626_897_745), "2026-11-25T17:14:57.745Z");
        assert_eq!(moment(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(moment(u64::MAX), format!("{} ms", u64::MAX));
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a", "bb", "c"], ["aaa", "b", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "a    bb  c\naaa  b");
    }
}
