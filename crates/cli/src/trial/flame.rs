//! Where the gas goes: the messages of each test, each on the one that it follows from, and in each the Lua functions of
//! its process, as a flame graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::Id;
use sandbox::{Fate, Letter, What};
use unit::Code;

use super::functions;
use super::source::Source;
use super::trace::name;
use crate::error::{Context as _, Result};

/// Messages in one another that a graph shows.
const DEPTH_MAX: usize = 64;

/// What a test is, and what names things in it.
pub struct Scene<'a> {
    /// Its name.
    pub title: &'a str,
    /// What was sent.
    pub letters: &'a [Arc<Letter>],
    /// The first of its letters.
    pub mark: usize,
    /// What people call whoever has an id.
    pub names: &'a BTreeMap<Id, String>,
    /// The files that processes were given.
    pub sources: &'a [Source],
}

/// The letters of a test, folded: what each follows from and itself, the functions that ran for it, and what they cost.
/// Where it is not known which functions ran, a letter costs something itself.
pub fn fold(scene: &Scene<'_>) -> Vec<(String, u64)> {
    let Scene { title, letters, mark, names, sources } = *scene;
    let mut paths: BTreeMap<usize, (String, usize)> = BTreeMap::new();
    let mut folded = Vec::new();
    for letter in &letters[mark.min(letters.len())..] {
        let under = letter.parent.and_then(|parent| paths.get(&parent));
        let (under, depth) = under.map_or((frame(title), 0), |(path, depth)| (path.clone(), depth + 1));
        let path = match depth < DEPTH_MAX {
            true => format!("{under};{}", frame(&says(letter, names))),
            false => under,
        };
        if let Fate::Evaluated { outcome, profile, .. } = &letter.fate {
            match profile {
                Some(profile) => {
                    for (functions, gas) in functions::stacks(profile, sources) {
                        let functions =
                            functions.iter().map(|name| frame(name)).collect::<Vec<_>>().join(";");
                        folded.push((format!("{path};{functions}"), gas));
                    }
                }
                None if outcome.gas > 0 => folded.push((path.clone(), outcome.gas)),
                None => {}
            }
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

/// The stacks as lines, each with its gas: what other programs that draw graphs read.
pub fn text(folded: &[(String, u64)]) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (path, gas) in folded {
        *sums.entry(path).or_default() += gas;
    }
    sums.iter().map(|(path, gas)| format!("{path} {gas}\n")).collect()
}

/// The graph.
pub fn svg(folded: &[(String, u64)]) -> Result<String> {
    let mut options = inferno::flamegraph::Options::default();
    options.title = "Gas of the tests: messages, and functions in them".to_owned();
    options.count_name = "gas".to_owned();
    options.deterministic = true;
    options.hash = true;
    let mut out = Vec::new();
    inferno::flamegraph::from_lines(&mut options, text(folded).lines(), &mut out)
        .context(Code::INTERNAL, "could not draw the graph")?;
    String::from_utf8(out).context(Code::INTERNAL, "could not draw the graph")
}
