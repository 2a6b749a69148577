//! What every compute unit must pass, here or behind a network.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::{Address, Id, Outcome, ProcessId, Timestamp};

use crate::{Compute, Cursor, DryRun, Evaluated, Kind, OutcomeQuery, Sort};

/// A fresh compute unit and who gives it something to evaluate.
///
/// Its processes count: the boot and every message add one and show how many there were. A message with the action
/// `Fail` fails and adds nothing. A dry run shows what a message would show.
#[async_trait]
pub trait ComputeGround: Send + Sync {
    /// Under test. It has evaluated nothing.
    fn compute(&self) -> Arc<dyn Compute>;

    /// A process that was never there before.
    async fn spawn(&self) -> ProcessId;

    /// Has a message with that action scheduled for the process.
    async fn send(&self, process: ProcessId, action: &str) -> Id;
}

/// Everything that a [`Compute`] promises.
pub async fn compute<G: ComputeGround>(fresh: impl AsyncFn() -> G) {
    the_order_of_questions_changes_no_answer(fresh().await).await;
    what_is_not_there_is_not_found(fresh().await).await;
    a_failure_is_an_outcome_and_changes_nothing(fresh().await).await;
    pages_join(fresh().await).await;
    bounds_choose(fresh().await).await;
    a_dry_run_changes_nothing(fresh().await).await;
    a_state_is_that_of_the_last_evaluation(fresh().await).await;
    a_process_without_crons_has_none(fresh().await).await;
}

/// What an outcome shows: text, or the text of its output.
fn shown(outcome: &Outcome) -> String {
    assert_eq!(outcome.error, None);
    outcome.output.to::<String>().unwrap_or_else(|_| outcome.output.get().to_owned())
}

fn nobody() -> Id {
    Address::of_owner(b"nobody").0
}

fn dry_run() -> DryRun {
    DryRun {
        id: None,
        signature: None,
        data: None,
        owner: "W".to_owned(),
        target: None,
        anchor: None,
        forwarded_by: None,
        tags: [("Action", "Add")].into_iter().collect(),
        timestamp: None,
        block_height: None,
    }
}

async fn result(ground: &impl ComputeGround, process: ProcessId, message: Id) -> Outcome {
    let outcome = ground.compute().result(process, message).await;
    (*outcome.unwrap_or_else(|error| panic!("{message} has come to something: {error}"))).clone()
}

async fn all(ground: &impl ComputeGround, process: ProcessId, query: OutcomeQuery) -> Vec<Evaluated> {
    let mut query = query;
    let mut all: Vec<Evaluated> = Vec::new();
    loop {
        let page = ground.compute().results(process, query.clone()).await.expect("a page");
        assert!(page.items.len() <= query.limit, "a page has at most its limit");
        assert!(!page.has_next || !page.items.is_empty(), "a page that has a next one is not empty");
        all.extend(page.items);
        let Some(last) = all.last().filter(|_| page.has_next) else { return all };
        query.from = Some(last.cursor.clone());
    }
}

/// Where an outcome stands, without what a wire adds.
fn place(evaluated: &Evaluated) -> (Timestamp, Option<u64>) {
    (evaluated.cursor.timestamp, evaluated.cursor.ordinate)
}

async fn the_order_of_questions_changes_no_answer(ground: impl ComputeGround) {
    let (one, two) = (ground.spawn().await, ground.spawn().await);
    let mut sent = Vec::new();
    for process in [one, two, one, one, two] {
        sent.push((process, ground.send(process, "Add").await));
    }
    let expected = ["2", "2", "3", "4", "3"];
    // The newest first, then all, twice.
    for at in [4, 3, 0, 1, 2, 3, 4, 0, 1, 2, 3, 4] {
        let (process, message) = sent[at];
        assert_eq!(shown(&result(&ground, process, message).await), expected[at], "message {at}");
    }
    assert_eq!(shown(&result(&ground, one, one.into()).await), "1", "the process is its own first message");
}

async fn what_is_not_there_is_not_found(ground: impl ComputeGround) {
    let (one, two) = (ground.spawn().await, ground.spawn().await);
    let message = ground.send(one, "Add").await;
    let compute = ground.compute();
    for (process, message, why) in [
        (one, nobody(), "a message that nobody sent"),
        (two, message, "a message of another process"),
        (nobody().into(), message, "a process that nobody spawned"),
    ] {
        let error = compute.result(process, message).await.expect_err(why);
        assert_eq!(error.kind, Kind::NotFound, "{why}: {error}");
        assert!(!error.what.is_empty(), "{why}: an error says what");
    }
    assert_eq!(shown(&result(&ground, one, message).await), "2", "and the next question is answered");
}

async fn a_failure_is_an_outcome_and_changes_nothing(ground: impl ComputeGround) {
    let process = ground.spawn().await;
    let failing = ground.send(process, "Fail").await;
    let after = ground.send(process, "Add").await;
    let outcome = result(&ground, process, failing).await;
    assert!(outcome.error.is_some(), "it says what went wrong");
    assert!(outcome.messages.is_empty() && outcome.spawns.is_empty() && outcome.assignments.is_empty());
    assert_eq!(shown(&result(&ground, process, after).await), "2", "what failed did not happen");
    assert_eq!(result(&ground, process, failing).await, outcome, "and stays what it was");
}

async fn pages_join(ground: impl ComputeGround) {
    let process = ground.spawn().await;
    let mut sent = vec![Id::from(process)];
    for _ in 0..6 {
        sent.push(ground.send(process, "Add").await);
    }
    result(&ground, process, sent[6]).await;
    for limit in [1, 2, 3, 7, 8, 100] {
        let query = OutcomeQuery { limit, ..OutcomeQuery::default() };
        let found = all(&ground, process, query).await;
        let counts: Vec<String> = found.iter().map(|one| shown(&one.outcome)).collect();
        assert_eq!(counts, ["1", "2", "3", "4", "5", "6", "7"], "by {limit}");
        assert!(found.is_sorted_by(|a, b| place(a) < place(b)), "cursors rise with the schedule");
        let ordinates: Vec<_> = found.iter().map(|one| one.cursor.ordinate).collect();
        assert_eq!(ordinates, (0..7).map(Some).collect::<Vec<_>>(), "an ordinate is a slot");
        // The newest first; a bound is a lower one also then.
        let query = OutcomeQuery { sort: Sort::Descending, limit, ..OutcomeQuery::default() };
        let page = ground.compute().results(process, query).await.expect("a page");
        let newest: Vec<String> = page.items.iter().map(|one| shown(&one.outcome)).collect();
        assert_eq!(newest, ["7", "6", "5", "4", "3", "2", "1"][..limit.min(7)], "by {limit}");
        assert_eq!(page.has_next, limit < 7, "by {limit}");
    }
}

async fn bounds_choose(ground: impl ComputeGround) {
    let process = ground.spawn().await;
    let mut last = process.into();
    for _ in 0..4 {
        last = ground.send(process, "Add").await;
    }
    result(&ground, process, last).await;
    let whole = all(&ground, process, OutcomeQuery { limit: 100, ..OutcomeQuery::default() }).await;
    let cursor = |at: usize| Some(Cursor { sort: None, ..whole[at].cursor.clone() });
    for (from, to, expected) in [
        (None, None, 0..5),
        (cursor(1), None, 2..5),
        (None, cursor(2), 0..3),
        (cursor(0), cursor(3), 1..4),
        (cursor(3), cursor(3), 5..5),
        (cursor(4), None, 5..5),
    ] {
        let query = OutcomeQuery { from, to, limit: 2, ..OutcomeQuery::default() };
        let found: Vec<_> = all(&ground, process, query.clone()).await.iter().map(place).collect();
        let wanted: Vec<_> = whole[expected].iter().map(place).collect();
        assert_eq!(found, wanted, "{query:?}");
    }
}

async fn a_dry_run_changes_nothing(ground: impl ComputeGround) {
    let process = ground.spawn().await;
    let first = ground.send(process, "Add").await;
    let second = ground.send(process, "Add").await;
    assert_eq!(shown(&result(&ground, process, second).await), "3");
    let compute = ground.compute();
    for _ in 0..2 {
        let outcome = compute.dry_run(process, dry_run(), None).await.expect("a dry run");
        assert_eq!(shown(&outcome), "4", "it starts from the newest state");
        let outcome = compute.dry_run(process, dry_run(), Some(first)).await.expect("a dry run");
        assert_eq!(shown(&outcome), "3", "or from the state after a message");
    }
    let third = ground.send(process, "Add").await;
    assert_eq!(shown(&result(&ground, process, third).await), "4", "nobody saw the dry runs");
    let error = compute.dry_run(nobody().into(), dry_run(), None).await.expect_err("nobody's process");
    assert_eq!(error.kind, Kind::NotFound, "{error}");
}

async fn a_state_is_that_of_the_last_evaluation(ground: impl ComputeGround) {
    let process = ground.spawn().await;
    let compute = ground.compute();
    let mut before = None;
    for slot in 1..4 {
        let message = ground.send(process, "Add").await;
        result(&ground, process, message).await;
        let state = compute.state(process, None).await.expect("a state");
        assert_eq!(state.ordinate, slot, "it says which slot it is of");
        assert_eq!(compute.state(process, None).await.as_ref(), Ok(&state), "and to look changes nothing");
        assert_ne!(Some(&state.memory), before.as_ref(), "a message changed it");
        before = Some(state.memory);
    }
    let error = compute.state(nobody().into(), None).await.expect_err("nobody's process");
    assert_eq!(error.kind, Kind::NotFound, "{error}");
}

async fn a_process_without_crons_has_none(ground: impl ComputeGround) {
    let process = ground.spawn().await;
    let message = ground.send(process, "Add").await;
    result(&ground, process, message).await;
    let query = OutcomeQuery { limit: 10, ..OutcomeQuery::default() };
    let page = ground.compute().cron(process, query).await.expect("a page");
    assert!(page.items.is_empty() && !page.has_next);
    let address = ground.compute().address().await.expect("it has an address");
    assert_eq!(ground.compute().address().await, Ok(address));
}
