//! Outcomes and states, whatever way they were arrived at.

use std::sync::Arc;

use futures::future::join_all;
use protocol::{Id, ModuleId, Wallet};
use store::{Blobs, MemoryStore};
use unit::{Compute, Scheduler};

use crate::world::{World, all_results, ask, item, module};

#[tokio::test]
async fn a_message_has_an_outcome_by_its_id_and_by_its_assignment() {
    let world = World::new();
    let cu = world.open().await;
    let process = world.spawn(&[]).await;
    let message = world.send(process, "Add").await;
    assert_eq!(ask(&cu, process, message).await, "2", "the process itself is the first message");
    let assignment = world.scheduler.find(Some(process), message).await.unwrap().assignment.id();
    assert_eq!(ask(&cu, process, assignment).await, "2");
    assert_eq!(ask(&cu, process, process.into()).await, "1");
    assert_eq!(world.handled(), 2);
}

#[tokio::test]
async fn a_restart_answers_from_the_store_without_a_machine() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let message = world.send(process, "Add").await;
    let cu = world.open().await;
    assert_eq!(ask(&cu, process, message).await, "2");
    cu.stop().await;
    let cu = world.open().await;
    let assignment = world.scheduler.find(Some(process), message).await.unwrap().assignment.id();
    assert_eq!(ask(&cu, process, message).await, "2");
    assert_eq!(ask(&cu, process, assignment).await, "2");
    assert_eq!((world.handled(), cu.counters().machines), (2, 0));
}

#[tokio::test]
async fn a_replay_is_what_was_evaluated_live() {
    let mut world = World::new();
    let process = world.spawn(&[]).await;
    let live = world.open().await;
    let mut last = process.into();
    for round in 0..40 {
        last = world.send(process, if round % 7 == 3 { "Fail" } else { "Add" }).await;
        ask(&live, process, last).await;
    }
    world.options.page = 3;
    let replayed = world.open_fresh().await;
    ask(&replayed, process, last).await;
    assert_eq!(all_results(&live, process).await, all_results(&replayed, process).await);
    assert_eq!(live.state(process, None).await, replayed.state(process, None).await);
    assert_eq!(replayed.counters().evaluated, 41);
}

/// One of 10 MiB with something in every 4 KiB, of which a message changes eight places.
#[tokio::test]
async fn a_large_process_leaves_checkpoints_of_what_changed_and_goes_on_from_them() {
    let text = include_str!("../../../../testing/bench/state.wat").replace("PAGES", "160");
    let large = ModuleId(Id([78; 32]));
    let mut world = World::new();
    world.options.checkpoint_messages = 3;
    let engine = runtime_wasm::WasmRuntime::new(runtime_wasm::Options::default()).unwrap();
    world.runtime = Some(Arc::new(engine));
    let limits = [("Memory-Limit", "16-mb"), ("Compute-Limit", "9000000000000")];
    let format = [("Module-Format", "wasm32-unknown-emscripten4")];
    let mut item = module(large, &[limits, [format[0]; 2]].concat());
    item.data = wat::parse_str(text).unwrap().into();
    world.weave.put(item);
    let process = world.spawn_of(large, &[]).await;
    let mut last = process.into();
    let mut changes = 0;
    for round in 0..40 {
        // Some stop where a checkpoint is due, some in between; the next one goes on from there.
        let cu = world.open().await;
        for _ in 0..=round % 7 {
            last = world.send(process, "Touch").await;
            cu.result(process, last).await.unwrap();
        }
        cu.stop().await;
        let names = world.blobs.list("checkpoint/").unwrap();
        changes += names.iter().filter(|name| name.ends_with(".changes")).count();
        assert!(names.len() <= 16 + world.options.checkpoints_kept, "{names:?}");
        let sizes = names.iter().map(|name| (name, world.blobs.get(name).unwrap().unwrap().len()));
        for (name, size) in sizes.filter(|(name, _)| name.ends_with(".changes")) {
            assert!(size < 200_000, "{name} has {size} bytes");
        }
    }
    assert!(changes > 100, "{changes}");
    let cu = world.open().await;
    let state = cu.state(process, None).await.unwrap();
    let known = cu.counters().evaluated;
    assert!(known < 5, "it went on from a checkpoint, and evaluated {known}");
    cu.stop().await;
    let fresh = world.open_fresh().await;
    fresh.result(process, last).await.unwrap();
    assert!(fresh.state(process, None).await.unwrap() == state, "the memory is another one");
}

#[tokio::test]
async fn a_replay_from_a_checkpoint_is_the_replay_from_the_start_duplicates_included() {
    let mut world = World::new();
    world.options.checkpoint_messages = 5;
    let messengers = [Wallet::ed25519_from_seed([2; 32]), Wallet::ed25519_from_seed([3; 32])];
    let [first, second] = messengers.each_ref().map(|wallet| wallet.address().to_string());
    let process = world.spawn(&[("Authority", &first), ("Authority", &format!("x, {second}"))]).await;
    let cu = world.open().await;
    for reference in 0..20 {
        world.push(process, &messengers[0], &reference.to_string()).await;
        world.send(process, "Add").await;
    }
    let middle = world.push(process, &messengers[1], "3").await;
    let duplicate = cu.result(process, middle.message_id()).await.unwrap();
    assert_eq!((&duplicate.messages, duplicate.output.get()), (&Vec::new(), "\"\""));
    let duplicate = cu.result(process, middle.assignment.id()).await.unwrap();
    assert_eq!((&duplicate.messages, duplicate.output.get()), (&Vec::new(), "\"\""));
    cu.stop().await;
    assert!(!world.blobs.list("checkpoint/").unwrap().is_empty());

    let handled = world.handled();
    let cu = world.open().await;
    // Each repeats something from before the checkpoint.
    for reference in [0, 7, 19] {
        world.push(process, &messengers[1], &reference.to_string()).await;
    }
    let stranger = world.push(process, &Wallet::ed25519_from_seed([4; 32]), "5").await;
    assert_eq!(ask(&cu, process, stranger.message_id()).await, "42", "a stranger's message is another one");
    assert_eq!(world.handled() - handled, 1, "the checkpoint was the newest state");
    assert_eq!(cu.counters().duplicates, 3);

    let genesis = world.open_fresh().await;
    ask(&genesis, process, stranger.message_id()).await;
    assert_eq!(genesis.counters().duplicates, 4);
    assert_eq!(cu.state(process, None).await, genesis.state(process, None).await);
    assert_eq!(all_results(&cu, process).await.items.len(), 42);
    assert_eq!(all_results(&cu, process).await, all_results(&genesis, process).await);
}

#[tokio::test]
async fn a_damaged_checkpoint_costs_a_replay_and_nothing_else() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    let message = world.send(process, "Add").await;
    ask(&cu, process, message).await;
    cu.stop().await;
    let names = world.blobs.list("checkpoint/").unwrap();
    assert_eq!(names.len(), 1);
    let mut bytes = world.blobs.get(&names[0]).unwrap().unwrap().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    world.blobs.put(&names[0], &bytes).unwrap();
    let cu = world.open().await;
    let message = world.send(process, "Add").await;
    assert_eq!(ask(&cu, process, message).await, "3");
    assert_eq!((cu.counters().replayed, cu.counters().evaluated), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_one_process_share_one_evaluation() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let mut messages = Vec::new();
    for _ in 0..50 {
        messages.push(world.send(process, "Add").await);
    }
    let cu = world.open().await;
    let asked = messages.iter().chain(&messages).rev().map(|message| ask(&cu, process, *message));
    let answers = join_all(asked).await;
    assert_eq!(answers[0], "51");
    assert_eq!(answers[99], "2");
    assert_eq!(world.handled(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_is_compiled_once_however_many_ask() {
    let world = World::new();
    let mut processes = Vec::new();
    for n in 0..20 {
        processes.push(world.spawn(&[("Name", &n.to_string())]).await);
    }
    let cu = world.open().await;
    let answers = join_all(processes.iter().map(|process| ask(&cu, *process, (*process).into()))).await;
    assert_eq!(answers, ["1"; 20]);
    assert_eq!(world.lab.loaded.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assigned_item_is_fetched_from_the_weave() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    world.weave.put(item(Id([1; 32]), &[("Action", "Echo"), ("Secret", "s")], "some data"));
    // Without data: what the incumbent never gets over (permaweb/ao issue 884).
    world.weave.put(item(Id([2; 32]), &[("Action", "Echo")], ""));
    world.assign(process, Id([1; 32]), &["Data"]).await;
    world.assign(process, Id([2; 32]), &[]).await;
    let cu = world.open().await;
    let first = ask(&cu, process, Id([1; 32])).await;
    assert!(!first.contains("some data") && first.contains("Secret"), "{first}");
    let second = ask(&cu, process, Id([2; 32])).await;
    assert!(second.contains(r#""Data":"""#) && second.contains(r#""Target":"""#), "{second}");
}

#[tokio::test]
async fn an_assigned_item_that_is_not_on_the_weave_yet_is_waited_for() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let before = world.send(process, "Add").await;
    world.assign(process, Id([1; 32]), &[]).await;
    let after = world.send(process, "Add").await;
    let cu = world.open().await;
    let answer = ask(&cu, process, after).await;
    assert!(answer.starts_with("Unavailable: slot 2 of process") && answer.contains("hint"), "{answer}");
    assert_eq!(ask(&cu, process, before).await, "2", "what comes before has its outcome");
    world.weave.put(item(Id([1; 32]), &[], ""));
    assert_eq!(ask(&cu, process, after).await, "4");
    assert_eq!(world.handled(), 4, "nothing was evaluated twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_that_are_not_used_make_room_and_come_back() {
    let mut world = World::new();
    world.options.machines_max = 2;
    let cu = world.open().await;
    let mut processes = Vec::new();
    for n in 0..6 {
        processes.push(world.spawn(&[("Name", &n.to_string())]).await);
    }
    for round in 2..5 {
        for process in &processes {
            let message = world.send(*process, "Add").await;
            assert_eq!(ask(&cu, *process, message).await, round.to_string());
        }
    }
    while cu.counters().machines > 2 {
        tokio::task::yield_now().await;
    }
    cu.stop().await;
    assert_eq!(cu.counters().machines, 0);
    assert_eq!(cu.counters().evaluated, 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_there_before_it_is_durable_and_the_same_after_a_crash() {
    let mut world = World::new();
    world.store = Arc::new(MemoryStore::stepped());
    let process = world.spawn(&[]).await;
    let message = world.send(process, "Add").await;
    let cu = world.open().await;
    assert_eq!(ask(&cu, process, message).await, "2");
    assert_eq!(all_results(&cu, process).await.items.len(), 2);
    world.store = Arc::new(world.store.crash());
    let cu = world.open().await;
    assert!(all_results(&cu, process).await.items.is_empty());
    assert_eq!(ask(&cu, process, message).await, "2");
}

#[tokio::test]
async fn a_machine_that_breaks_is_replaced() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let first = world.send(process, "Add").await;
    let breaking = world.send(process, "Panic").await;
    let cu = world.open().await;
    assert_eq!(ask(&cu, process, first).await, "2");
    assert!(ask(&cu, process, breaking).await.starts_with("Internal"));
    assert!(ask(&cu, process, breaking).await.starts_with("Internal"));
    assert_eq!(ask(&cu, process, first).await, "2");
    let other = world.spawn(&[("Name", "other")]).await;
    assert_eq!(ask(&cu, other, other.into()).await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_on_while_stopping() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    cu.stop().await;
    assert!(ask(&cu, process, process.into()).await.starts_with("Unavailable"));
}

#[tokio::test]
async fn a_module_that_is_none_is_refused() {
    let world = World::new();
    let other = ModuleId(Id([78; 32]));
    world.weave.put(protocol::Item { data: "not a program".into(), ..module(other, &[]) });
    let process = world.spawn_of(other, &[]).await;
    let cu = world.open().await;
    let answer = ask(&cu, process, process.into()).await;
    assert_eq!(answer, format!("Refused: module {other} cannot be loaded: it is no program"));
}
