//! Traces: one row for each thing that was sent, spawned or assigned, and what went wrong with it.
//!
//! A row has the number of its task, and the newest `traces_max` are kept: a row that is written deletes the one
//! that many numbers before it. A question reads all rows; it is for a person who debugs, not for a machine.

use std::collections::BTreeSet;
use std::ops::Bound;

use protocol::{Id, Timestamp};
use store::{Order, Space, Store};
use unit::{Page, Trace, TraceKind, TraceQuery, TraceRelation};

use crate::codec::{Reader, Writer};
use crate::task::Task;

/// Number of a task → its row.
pub(crate) const TRACE: Space = Space("mu.trace");

/// How many rows one read of the store takes.
const ROWS: usize = 1024;

/// The row of a task.
pub(crate) fn of(task: &Task, error: Option<&str>) -> Trace {
    Trace {
        message: task.work.message(),
        process: Some(task.work.process()),
        wallet: task.chain.wallet,
        parent: task.chain.parent,
        root: task.chain.root,
        timestamp: task.chain.since,
        kind: task.work.kind(),
        relation: TraceRelation::Root,
        error: error.map(str::to_owned),
    }
}

pub(crate) fn encode(trace: &Trace) -> Vec<u8> {
    let kind = match trace.kind {
        TraceKind::Message => 0,
        TraceKind::Spawn => 1,
        TraceKind::Assign => 2,
    };
    let mut out = Writer::default();
    out.byte(kind).id(trace.message).maybe_id(trace.process).maybe_id(trace.wallet).maybe_id(trace.parent);
    out.id(trace.root).number(trace.timestamp.0).maybe_text(trace.error.as_deref()).done()
}

pub(crate) fn decode(bytes: &[u8]) -> Option<Trace> {
    let mut input = Reader(bytes);
    let kind = match input.byte()? {
        0 => TraceKind::Message,
        1 => TraceKind::Spawn,
        2 => TraceKind::Assign,
        _ => return None,
    };
    Some(Trace {
        kind,
        message: input.id()?,
        process: input.maybe_id()?,
        wallet: input.maybe_id()?,
        parent: input.maybe_id()?,
        root: input.id()?,
        timestamp: Timestamp(input.number()?),
        relation: TraceRelation::Root,
        error: input.maybe_text()?,
    })
}

/// Answers a question, newest first.
pub(crate) fn query(store: &dyn Store, query: &TraceQuery) -> Result<Page<Trace>, store::Error> {
    let mut rows = Vec::new();
    let mut below = u64::MAX.to_be_bytes();
    loop {
        let range = (Bound::Unbounded, Bound::Excluded(&below[..]));
        let page = store.scan(TRACE, range, Order::Descending, ROWS)?;
        rows.extend(page.iter().filter_map(|(_, row)| decode(row)));
        match page.last() {
            Some((key, _)) if page.len() == ROWS => below.copy_from_slice(key),
            _ => break,
        }
    }
    let chosen = related(rows, query).into_iter().skip(query.skip).take(query.limit.saturating_add(1));
    Ok(Page::cut(chosen.collect(), query.limit))
}

/// The rows that were asked for, and their relatives where one message was asked for.
fn related(rows: Vec<Trace>, query: &TraceQuery) -> Vec<Trace> {
    let TraceQuery { process, kind, id, root, wallet, .. } = query;
    // A tree has rows of every kind; a list has those of one.
    let kind = kind.or(if root.is_some() { None } else { Some(TraceKind::Message) });
    let asked = |row: &Trace| {
        process.is_none_or(|process| row.process == Some(process))
            && kind.is_none_or(|kind| row.kind == kind)
            && id.as_ref().is_none_or(|part| row.message.to_string().contains(part))
            && root.is_none_or(|root| row.root == root)
            && wallet.as_ref().is_none_or(|part| row.wallet.is_some_and(|at| at.to_string().contains(part)))
    };
    if let Some(root) = root {
        let relation = |row: &Trace| match row.message == *root {
            true => TraceRelation::Root,
            false => TraceRelation::Descendant,
        };
        let tree = rows.into_iter().filter(|row| asked(row));
        return tree.map(|row| Trace { relation: relation(&row), ..row }).collect();
    }
    if id.is_none() {
        return rows.into_iter().filter(|row| asked(row)).collect();
    }
    let found: BTreeSet<Id> = rows.iter().filter(|row| asked(row)).map(|row| row.message).collect();
    let ancestors = ancestors(&rows, &found);
    let descendants = descendants(&rows, &found);
    let relate = |row: Trace| {
        let relation = match row.message {
            message if found.contains(&message) => TraceRelation::Root,
            message if ancestors.contains(&message) => TraceRelation::Ancestor,
            message if descendants.contains(&message) => TraceRelation::Descendant,
            _ => return None,
        };
        Some(Trace { relation, ..row })
    };
    rows.into_iter().filter_map(relate).collect()
}

/// Messages that led to one of `found`. Rows are newest first, so one walk sees every child before its parent.
fn ancestors(rows: &[Trace], found: &BTreeSet<Id>) -> BTreeSet<Id> {
    let mut ancestors = BTreeSet::new();
    for row in rows {
        if found.contains(&row.message) || ancestors.contains(&row.message) {
            ancestors.extend(row.parent);
        }
    }
    ancestors
}

/// Messages that followed from one of `found`.
fn descendants(rows: &[Trace], found: &BTreeSet<Id>) -> BTreeSet<Id> {
    let mut descendants = BTreeSet::new();
    for row in rows.iter().rev() {
        if row.parent.is_some_and(|parent| found.contains(&parent) || descendants.contains(&parent)) {
            descendants.insert(row.message);
        }
    }
    descendants
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name<parent` rows of one tree rooted at `a`, oldest first; answers as `name relation`.
    #[track_caller]
    fn check(rows: &[&str], query: TraceQuery, expect: &[&str]) {
        let id = |name: char| Id([name as u8; 32]);
        let row = |text: &&str| {
            let mut names = text.chars();
            let message = id(names.next().unwrap());
            let parent = names.next().and(names.next()).map(id);
            let trace = Trace {
                message,
                process: Some(id('P').into()),
                wallet: None,
                parent,
                root: id('a'),
                timestamp: Timestamp(1),
                kind: TraceKind::Message,
                relation: TraceRelation::Root,
                error: None,
            };
            assert_eq!(decode(&encode(&trace)), Some(trace.clone()));
            trace
        };
        let rows: Vec<Trace> = rows.iter().rev().map(row).collect();
        let answer = related(rows, &query);
        let answer: Vec<String> =
            answer.iter().map(|row| format!("{} {:?}", row.message.0[0] as char, row.relation)).collect();
        assert_eq!(answer, expect);
    }

    #[test]
    fn a_message_is_shown_with_what_led_to_it_and_what_followed() {
        let rows = ["a", "b<a", "c<b", "d<b", "e<a", "f<d"];
        let query = TraceQuery { id: Some(Id([b'd'; 32]).to_string()), ..TraceQuery::default() };
        check(&rows, query, &["f Descendant", "d Root", "b Ancestor", "a Ancestor"]);
    }

    #[test]
    fn a_tree_is_shown_from_its_root() {
        let query = TraceQuery { root: Some(Id([b'a'; 32])), ..TraceQuery::default() };
        check(&["a", "b<a", "c<b"], query, &["c Descendant", "b Descendant", "a Root"]);
    }

    #[test]
    fn a_process_is_shown_with_all_its_messages() {
        let query = TraceQuery { process: Some(Id([b'P'; 32]).into()), ..TraceQuery::default() };
        check(&["a", "b<a"], query, &["b Root", "a Root"]);
        check(&["a"], TraceQuery { process: Some(Id([b'Q'; 32]).into()), ..TraceQuery::default() }, &[]);
    }
}
