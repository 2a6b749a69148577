//! What was sent in a test, for people: one line per letter, each under the one that it follows from.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::Id;
use sandbox::{Fate, Letter, What};

/// Lines at most; what is beyond is counted.
const LINES_MAX: usize = 40;

/// The lines of the letters from `mark` on.
pub fn lines(letters: &[Arc<Letter>], mark: usize, names: &BTreeMap<Id, String>) -> Vec<String> {
    let shown = &letters[mark.min(letters.len())..];
    let mut depths: BTreeMap<usize, usize> = BTreeMap::new();
    let mut children: BTreeMap<Option<usize>, Vec<&Arc<Letter>>> = BTreeMap::new();
    for letter in shown {
        children.entry(letter.parent.filter(|parent| *parent >= mark)).or_default().push(letter);
    }
    let mut stack: Vec<&Arc<Letter>> = children.get(&None).into_iter().flatten().rev().copied().collect();
    let mut lines = Vec::new();
    while let Some(letter) = stack.pop() {
        let depth = letter.parent.and_then(|parent| depths.get(&parent)).map_or(0, |depth| depth + 1);
        depths.insert(letter.number, depth);
        if lines.len() < LINES_MAX {
            lines.push(format!("{}{}", "  ".repeat(depth.min(20)), line(letter, names)));
        }
        stack.extend(children.get(&Some(letter.number)).into_iter().flatten().rev());
    }
    if shown.len() > LINES_MAX {
        lines.push(format!("… and {} more", shown.len() - LINES_MAX));
    }
    lines
}

/// What people call whoever has that id.
pub fn name(id: Id, names: &BTreeMap<Id, String>) -> String {
    names.get(&id).cloned().unwrap_or_else(|| {
        let text = id.to_string();
        format!("{}…{}", &text[..4], &text[text.len() - 2..])
    })
}

fn line(letter: &Letter, names: &BTreeMap<Id, String>) -> String {
    let action = match &letter.what {
        What::Tick { cron } => return format!("cron {cron} ▶ {}{}", name(letter.from, names), fate(letter)),
        What::Process => "spawns".to_owned(),
        What::Assignment { .. } => "assigns".to_owned(),
        What::Message => letter.tag("Action").unwrap_or("(no Action)").to_owned(),
    };
    let to = letter.to.map_or("nobody".to_owned(), |to| name(to, names));
    format!("{} ──{action}──▶ {to}{}{}", name(letter.from, names), data(letter), fate(letter))
}

fn data(letter: &Letter) -> String {
    let is_code = letter.what != What::Message || letter.tag("Action") == Some("Eval");
    let Some(item) = letter.item.as_ref().filter(|_| !is_code) else { return String::new() };
    let text = item.text();
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    let short: String = text.chars().take(48).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("  {short}{}", if text.chars().count() > 48 { "…" } else { "" })
}

fn fate(letter: &Letter) -> String {
    match &letter.fate {
        Fate::Waiting => "  still on its way".to_owned(),
        Fate::Mailed => String::new(),
        Fate::Lost => "  lost".to_owned(),
        Fate::Repeat => "  a repeat, skipped".to_owned(),
        Fate::Refused(why) => format!("  refused: {why}"),
        Fate::Evaluated { slot, outcome, .. } => {
            let failed = outcome.error.as_ref().map(|error| {
                let text = error.to::<String>().unwrap_or_else(|_| error.get().to_owned());
                let text = crate::ui::plain(&text);
                let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
                format!("  failed: {}", last.trim())
            });
            format!("  slot {slot}{}", failed.unwrap_or_default())
        }
    }
}
