//! What this operator or the protocol declines.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::{Address, Assignment, Draft, HashChain, Id, ModuleId, ProcessId, Slot, Tags};
use unit::Scheduled;

use crate::lies::Lying;
use crate::world::{MODULE, World, ask, module};

#[tokio::test]
async fn limits_must_be_there_and_within_what_is_accepted() {
    let world = World::new();
    let cu = world.open().await;
    let bare = ModuleId(Id([78; 32]));
    world.weave.put(module(bare, &[("Memory-Limit", ""), ("Compute-Limit", "")]));
    let both = |memory, compute| vec![("Memory-Limit", memory), ("Compute-Limit", compute)];
    for (tags, expected) in [
        (both("1-gb", "9000000000000"), "1"),
        (both("1.5-gb", "1"), "TooLarge: Memory-Limit for process \"P\" exceeds supported limit"),
        (both("lots", "1"), "TooLarge: Memory-Limit for process \"P\" exceeds supported limit"),
        (both("1-gb", "9000000000001"), "TooLarge: Compute-Limit for process \"P\" exceeds supported limit"),
        (both("1-gb", "-1"), "TooLarge: Compute-Limit for process \"P\" exceeds supported limit"),
        (
            vec![("Memory-Limit", "1-gb")],
            "Refused: Compute-Limit for process \"P\" is set by neither it nor its module",
        ),
        (
            vec![("Compute-Limit", "1")],
            "Refused: Memory-Limit for process \"P\" is set by neither it nor its module",
        ),
    ] {
        let process = world.spawn_of(bare, &tags).await;
        let answer = ask(&cu, process, process.into()).await.replace(&process.to_string(), "P");
        assert_eq!(answer.split(" (hint").next().unwrap(), expected, "{tags:?}");
    }
}

#[tokio::test]
async fn modules_must_be_of_a_format_that_somebody_here_runs() {
    let world = World::new();
    let cu = world.open().await;
    for (at, tag, expected) in [
        (80, ("Module-Format", "wasm128"), "Refused: Module-Format for module \"M\" is not supported"),
        (81, ("Module-Format", ""), "Refused: Module-Format for module \"M\" is not supported"),
        (82, ("Input-Encoding", ""), "Refused: Input-Encoding for module \"M\" is not supported"),
        (83, ("Output-Encoding", ""), "Refused: Output-Encoding for module \"M\" is not supported"),
        (84, ("Extension", "WeaveDrive"), "1"),
        (
            85,
            ("Extension", "Teleport"),
            "Refused: process P cannot be evaluated: its Extension \"Teleport\" is not supported here",
        ),
    ] {
        let id = ModuleId(Id([at; 32]));
        world.weave.put(module(id, &[tag]));
        let process = world.spawn_of(id, &[]).await;
        let answer = ask(&cu, process, process.into()).await;
        let answer = answer.replace(&process.to_string(), "P").replace(&id.to_string(), "M");
        assert_eq!(answer, expected, "{tag:?}");
    }
    let nowhere = world.spawn_of(ModuleId(Id([99; 32])), &[]).await;
    assert!(ask(&cu, nowhere, nowhere.into()).await.starts_with("NotFound: module"));
}

#[tokio::test]
async fn a_cron_tag_before_any_interval_is_refused() {
    let world = World::new();
    let cu = world.open().await;
    let process = world.spawn(&[("Cron-Tag-Action", "Tick"), ("Cron-Interval", "1-minute")]).await;
    assert!(ask(&cu, process, process.into()).await.ends_with("stands before any Cron-Interval"));
}

type Bend = fn(&mut Assignment);

#[tokio::test]
async fn a_schedule_that_does_not_hang_together_is_refused() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let first = world.send(process, "Add").await;
    let second = world.send(process, "Add").await;
    let cases: [(Bend, &str); 4] = [
        (|a| a.hash_chain = HashChain([0; 32]), "Refused: HashChain invalid on message"),
        (|a| a.slot = Slot(3), "Refused: the scheduler answered with slot 3"),
        (|a| a.item.owner = "another".into(), "Refused: slot 2 of"),
        (|a| a.message = Some(Id([5; 32])), "Refused: slot 2 of"),
    ];
    for (bend, expected) in cases {
        let bend = move |entry: &mut Scheduled| bend(Arc::make_mut(&mut entry.assignment));
        let bent = Arc::new(Lying::about(&world, Slot(2), bend));
        let cu = World { options: world.options.clone(), ..World::new() };
        let cu = World { scheduler: Arc::clone(&world.scheduler), ..cu }.open_with(bent).await;
        assert_eq!(ask(&cu, process, first).await, "2");
        let answer = ask(&cu, process, second).await;
        assert!(answer.starts_with(expected), "{answer}");
    }
}

#[tokio::test]
async fn another_signer_than_the_named_scheduler_is_believed_only_where_it_stands_in() {
    let mut world = World::new();
    let named = Address(Id([3; 32]));
    let mut tags: Tags = [("Data-Protocol", "ao"), ("Type", "Process")].into_iter().collect();
    tags.push("Module", MODULE);
    tags.push("Scheduler", named);
    let draft = Draft { tags, ..Draft::default() };
    let process: ProcessId = world.schedule(&world.user, draft).await.message_id().into();
    let cu = world.open_fresh().await;
    let answer = ask(&cu, process, process.into()).await;
    assert!(answer.starts_with("Refused: ") && answer.contains("which is not its Scheduler"), "{answer}");

    world.options.stand_ins = BTreeSet::from([named]);
    let cu = world.open_fresh().await;
    assert_eq!(ask(&cu, process, process.into()).await, "1");
}
