//! Attestations: histories that every compute unit has alike, and statements that hold.

use std::ops::Bound::Unbounded;

use cu::ComputeUnit;
use protocol::attestation::outcome_digest;
use protocol::history::is_consistent;
use protocol::{Attestation, Id, Leaf, ProcessId, Slot, Wallet};
use runtime::Memory;
use store::{Batch, Order, Space, Store as _};
use unit::{Code, Compute, Evaluation, History, Kind, Scheduler as _, SlotRange};

use crate::world::{World, all_results, ask, unit_wallet};

async fn history(cu: &ComputeUnit, process: ProcessId) -> History {
    cu.history(process, 0, 10_000).await.unwrap()
}

/// What leaves stand for, in a line each.
fn lines(leaves: &[Leaf]) -> Vec<String> {
    let cron = |leaf: &Leaf| leaf.cron.as_ref().map(|due| format!(" {} {}", due.timestamp.0, due.name));
    leaves.iter().map(|leaf| format!("{}{}", leaf.slot, cron(leaf).unwrap_or_default())).collect()
}

#[tokio::test]
async fn two_units_over_one_log_have_equal_histories_whenever_they_evaluate() {
    let mut world = World::new();
    world.options.checkpoint_messages = 50;
    let process = world.spawn(&[("Cron-Interval", "10-seconds"), ("Cron-Tag-Action", "Add")]).await;
    let live = world.open().await;
    let mut last = Id::from(process);
    let pusher = Wallet::ed25519_from_seed([5; 32]);
    for n in 0..300u64 {
        world.clock.set(1_000_000 + n * 700);
        last = match n % 30 {
            7 => world.send(process, "Fail").await,
            // The same content again and again: all but the first are skipped.
            11 => world.push(process, &pusher, "1").await.message_id(),
            _ => world.send(process, "Add").await,
        };
        if n % 13 == 0 {
            ask(&live, process, last).await;
        }
    }
    ask(&live, process, last).await;
    let here = history(&live, process).await;
    let cold = world.open_fresh().await;
    ask(&cold, process, last).await;
    assert_eq!(history(&cold, process).await, here);

    let latest = world.scheduler.latest(process).await.unwrap().assignment.slot;
    let ticks = all_results(&live, process).await.items.iter().filter(|one| one.message.is_none()).count();
    assert!(ticks > 10, "{ticks}");
    assert_eq!(here.size, latest.0 + 1 + ticks as u64, "a leaf for each slot, and for each tick");
    let with_root: Vec<u64> =
        here.leaves.iter().filter(|leaf| leaf.state_root.is_some()).map(|leaf| leaf.slot.0).collect();
    assert_eq!(with_root, [255]);
}

#[tokio::test]
async fn a_leaf_says_what_came_of_its_slot() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    let messages = [world.send(process, "Add").await, world.send(process, "Fail").await];
    for message in messages {
        let attestation = cu.attest(process, Evaluation::Message(message), false).await.unwrap();
        let entry = world.scheduler.find(Some(process), message).await.unwrap();
        let outcome = cu.result(process, message).await.unwrap();
        let leaf = &attestation.leaf;
        assert_eq!(leaf.process, process);
        assert_eq!(leaf.slot, entry.assignment.slot);
        assert_eq!(leaf.assignment, entry.assignment.id());
        assert_eq!(leaf.outcome, outcome_digest(&outcome));
        assert_eq!((leaf.gas, leaf.gas_schedule), (outcome.gas, outcome.gas_schedule));
        assert_eq!(attestation.signer(), unit_wallet().address());
        let read = Attestation::read(attestation.statement.clone(), attestation.path.clone()).unwrap();
        assert_eq!(read, attestation);
        let by_place = cu.attest(process, Evaluation::Leaf(attestation.index), false).await.unwrap();
        assert_eq!(by_place.leaf, attestation.leaf);
    }
}

#[tokio::test]
async fn a_history_only_grows() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    let mut sizes = Vec::new();
    for _ in 0..40 {
        let message = world.send(process, "Add").await;
        let attestation = cu.attest(process, Evaluation::Message(message), false).await.unwrap();
        sizes.push((attestation.size, attestation.root));
    }
    let newest = *sizes.last().unwrap();
    for older in sizes {
        let path = cu.consistency(process, older.0, newest.0).await.unwrap();
        assert!(is_consistent(older, newest, &path), "{older:?}");
    }
    for (from, to) in [(0, 3), (4, 3), (3, newest.0 + 1)] {
        let error = cu.consistency(process, from, to).await.unwrap_err();
        assert_eq!(error.kind, Kind::Invalid, "{error}");
    }
}

#[tokio::test]
async fn crons_after_the_newest_slot_are_attested_once_the_next_is_there() {
    let world = World::new();
    let process = world.spawn(&[("Cron-Interval", "10-seconds"), ("Cron-Tag-Action", "Add")]).await;
    let cu = world.open().await;
    world.clock.set(1_021_500);
    cu.cron(process, unit::OutcomeQuery { limit: 10, ..Default::default() }).await.unwrap();
    assert_eq!(lines(&history(&cu, process).await.leaves), ["0"]);
    let message = world.send(process, "Add").await;
    ask(&cu, process, message).await;
    let expected = ["0", "0 1010000 0-10-seconds", "0 1020000 0-10-seconds", "1"];
    assert_eq!(lines(&history(&cu, process).await.leaves), expected);
    let error = cu.attest(process, Evaluation::Leaf(1), true).await.unwrap_err();
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    cu.attest(process, Evaluation::Leaf(1), false).await.unwrap();
}

#[tokio::test]
async fn the_root_of_the_state_after_any_slot_is_to_be_had() {
    let mut world = World::new();
    world.options.checkpoint_messages = 10;
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    let mut messages = Vec::new();
    for _ in 0..60 {
        messages.push(world.send(process, "Add").await);
    }
    for at in [59, 3, 31] {
        let attestation = cu.attest(process, Evaluation::Message(messages[at]), true).await.unwrap();
        let then = world.scheduler.find(Some(process), messages[at]).await.unwrap().assignment.timestamp;
        let memory = cu.state(process, Some(then)).await.unwrap().memory;
        assert_eq!(attestation.state_root, Some(Memory::from_dense(&memory).root()), "after message {at}");
        let read = Attestation::read(attestation.statement.clone(), attestation.path.clone()).unwrap();
        assert_eq!(read.state_root, attestation.state_root, "it is signed");
    }
}

#[tokio::test]
async fn a_history_goes_on_after_a_restart() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let mut message = Id::from(process);
    for _ in 0..7 {
        let cu = world.open().await;
        for _ in 0..5 {
            message = world.send(process, "Add").await;
            ask(&cu, process, message).await;
        }
        cu.stop().await;
    }
    let mut world = world;
    let grown = history(&*world.open().await, process).await;
    assert_eq!(grown.size, 36);
    let fresh = world.open_fresh().await;
    ask(&fresh, process, message).await;
    assert_eq!(history(&fresh, process).await, grown);
}

#[tokio::test]
async fn outcomes_of_a_version_without_histories_are_evaluated_once_more() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    for _ in 0..9 {
        let message = world.send(process, "Add").await;
        ask(&cu, process, message).await;
    }
    let before = history(&cu, process).await;
    cu.stop().await;
    drop(cu);
    for space in [Space("cu.leaf"), Space("cu.subtree")] {
        let rows = world.store.scan(space, (Unbounded, Unbounded), Order::Ascending, 1000).unwrap();
        let mut batch = Batch::new();
        for (key, _) in rows {
            batch.delete(space, key);
        }
        world.store.append(batch).wait().unwrap();
    }
    let cu = world.open().await;
    assert_eq!(history(&cu, process).await.size, 0);
    let message = world.send(process, "Add").await;
    assert_eq!(ask(&cu, process, message).await, "11");
    let after = history(&cu, process).await;
    assert_eq!(after.size, 11);
    assert_eq!(after.leaves[..10], before.leaves[..]);
}

#[tokio::test]
async fn what_was_not_evaluated_is_not_attested() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    let error = cu.attest(process, Evaluation::Leaf(0), false).await.unwrap_err();
    assert_eq!((error.kind, error.code), (Kind::NotFound, Code::NOT_EVALUATED), "{error}");
    let error = cu.attest(process, Evaluation::Message(Id([3; 32])), false).await.unwrap_err();
    assert_eq!(error.kind, Kind::NotFound, "{error}");
}

/// A unit that says two things of one evaluation has signed that it lied.
#[tokio::test]
async fn two_statements_that_differ_prove_a_lie() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    let message = world.send(process, "Add").await;
    let honest = cu.attest(process, Evaluation::Message(message), false).await.unwrap();
    let later = {
        let message = world.send(process, "Add").await;
        ask(&cu, process, message).await;
        cu.attest(process, Evaluation::Leaf(honest.index), false).await.unwrap()
    };
    assert!(later.size > honest.size && !later.contradicts(&honest), "the history may grow");
    let lie = |wallet: &Wallet| {
        let leaf = Leaf { outcome: honest.root, ..honest.leaf.clone() };
        let place = (0, 1, leaf.digest());
        Attestation::sign(wallet, leaf, place, Vec::new(), None).unwrap()
    };
    assert!(lie(&unit_wallet()).contradicts(&honest));
    assert!(!lie(&Wallet::ed25519_from_seed([77; 32])).contradicts(&honest), "somebody else's word");
    let range = SlotRange::Slots { after: None, to: Some(Slot(0)) };
    let boot = world.scheduler.schedule_page(process, range, 1).await.unwrap().items.remove(0);
    let other = cu.attest(process, Evaluation::Message(boot.message_id()), false).await.unwrap();
    assert!(!other.contradicts(&honest), "another slot");
}
