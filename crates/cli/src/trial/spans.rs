//! The messages of a test as spans: a trace for each test, and in it the trees of its messages.
//!
//! Tests begin with the same network, so that different ones send the same messages, ids included. What tells their
//! traces apart is the name of the test.

use std::collections::BTreeMap;

use protocol::{Id, ProcessId, Timestamp};
use sandbox::{Fate, Letter, What};
use sha2::{Digest as _, Sha256};

use super::flame::Scene;
use super::trace::name;
use crate::otlp::{Span, span_of};
use crate::render;

/// What holds the messages of a test together.
const TESTS: &str = "pirn test";

/// The letters of a test from its first on.
pub fn of(file: &str, scene: &Scene<'_>) -> Vec<Span> {
    let letters = &scene.letters[scene.mark.min(scene.letters.len())..];
    let digest = hash(&[file.as_bytes(), scene.title.as_bytes()]);
    let trace = *digest.first_chunk().expect("a hash has 32 bytes");
    let times = || letters.iter().flat_map(|letter| [letter.sent, ended(letter)]);
    let test = Span {
        trace,
        id: *digest[16..].first_chunk().expect("a hash has 32 bytes"),
        name: scene.title.to_owned(),
        service: TESTS.to_owned(),
        more: vec![("test.file", file.to_owned())],
        start: times().min().unwrap_or_default(),
        end: times().max().unwrap_or_default(),
        ..Span::default()
    };
    let mut ids: BTreeMap<usize, [u8; 8]> = BTreeMap::new();
    let mut used = std::collections::BTreeSet::from([test.id]);
    let mut spans = vec![test.clone()];
    for letter in letters {
        let own = letter.item.as_ref().map(|item| span_of(item.id));
        // One message may be several letters: for several processes, or once more.
        let other =
            || *hash(&[&digest, &letter.number.to_be_bytes()]).first_chunk().expect("it has 32 bytes");
        let id = own.filter(|id| !used.contains(id)).unwrap_or_else(other);
        used.insert(id);
        ids.insert(letter.number, id);
        let parent = letter.parent.and_then(|parent| ids.get(&parent)).copied().unwrap_or(test.id);
        spans.push(Span { trace, id, parent: Some(parent), ..span(letter, scene.names) });
    }
    spans
}

fn span(letter: &Letter, names: &BTreeMap<Id, String>) -> Span {
    let to = letter.to.map_or("nobody".to_owned(), |to| name(to, names));
    let action = letter.tag("Action").map(str::to_owned);
    let what = match &letter.what {
        What::Tick { cron } => format!("cron {cron}"),
        What::Process => "boot".to_owned(),
        What::Assignment { .. } => "assignment".to_owned(),
        What::Message => action.clone().unwrap_or_else(|| "message".to_owned()),
    };
    let mut span = Span {
        name: what,
        service: to,
        message: letter.item.as_ref().map(|item| item.id),
        action,
        more: vec![("ao.from", name(letter.from, names))],
        start: letter.sent,
        end: ended(letter),
        ..Span::default()
    };
    match &letter.fate {
        Fate::Evaluated { process, slot, outcome, .. } => {
            span.process = Some(*process);
            span.slot = Some(*slot);
            span.gas = Some(outcome.gas);
            span.error = render::error(outcome);
        }
        Fate::Refused(why) => span.error = Some(why.clone()),
        Fate::Lost => span.error = Some("a fault took it".to_owned()),
        Fate::Repeat => span.more.push(("ao.fate", "repeat".to_owned())),
        Fate::Waiting => span.more.push(("ao.fate", "waiting".to_owned())),
        Fate::Mailed => span.more.push(("ao.fate", "mailed".to_owned())),
    }
    span.process = span.process.or_else(|| letter.to.filter(|_| letter.what == What::Process).map(ProcessId));
    span
}

fn ended(letter: &Letter) -> Timestamp {
    match letter.fate {
        Fate::Evaluated { at, .. } => at.max(letter.sent),
        _ => letter.sent,
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}
