//! Where the gas goes: the messages of each test, each on the one that it follows from, as a flame graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::Id;
use sandbox::{Fate, Letter, What};
use unit::Code;

use super::trace::name;
use crate::error::{Context as _, Result};

/// Messages in one another that a graph shows.
const DEPTH_MAX: usize = 64;

/// The letters of a test from `mark` on, folded: what each follows from and itself, and what it cost.
pub fn fold(
    title: &str,
    letters: &[Arc<Letter>],
    mark: usize,
    names: &BTreeMap<Id, String>,
) -> Vec<(String, u64)> {
    let mut paths: BTreeMap<usize, (String, usize)> = BTreeMap::new();
    let mut folded = Vec::new();
    for letter in &letters[mark.min(letters.len())..] {
        let under = letter.parent.and_then(|parent| paths.get(&parent));
        let (under, depth) = under.map_or((frame(title), 0), |(path, depth)| (path.clone(), depth + 1));
        let path = match depth < DEPTH_MAX {
            true => format!("{under};{}", frame(&says(letter, names))),
            false => under,
        };
        if let Fate::Evaluated { outcome, .. } = &letter.fate
            && outcome.gas > 0
        {
            folded.push((path.clone(), outcome.gas));
        }
        paths.insert(letter.number, (path, depth));
    }
    folded
}

fn says(letter: &Letter, names: &BTreeMap<Id, String>) -> String {
    let to = letter.to.map_or("nobody".to_owned(), |to| name(to, names));
    match &letter.what {
        What::Tick { cron } => format!("{} cron {cron}", name(letter.from, names)),
        What::Process => format!("{to} boots"),
        What::Assignment { .. } => format!("{to} is assigned"),
        What::Message => format!("{to} {}", letter.tag("Action").unwrap_or("(no Action)")),
    }
}

/// A name as folded stacks have it: the semicolon is theirs.
fn frame(text: &str) -> String {
    text.chars().map(|c| if c == ';' || c.is_control() { ' ' } else { c }).collect()
}

/// The graph.
pub fn svg(folded: &[(String, u64)]) -> Result<String> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (path, gas) in folded {
        *sums.entry(path).or_default() += gas;
    }
    let lines: Vec<String> = sums.iter().map(|(path, gas)| format!("{path} {gas}")).collect();
    let mut options = inferno::flamegraph::Options::default();
    options.title = "Gas of the tests, message by message".to_owned();
    options.count_name = "gas".to_owned();
    options.deterministic = true;
    options.hash = true;
    let mut out = Vec::new();
    inferno::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut out)
        .context(Code::INTERNAL, "could not draw the graph")?;
    String::from_utf8(out).context(Code::INTERNAL, "could not draw the graph")
}
