//! What follows from a message arrives: all of it, once, in order.

mod world;

use std::sync::Arc;
use std::time::Duration;

use pirn_mu::Options;
use protocol::{Draft, Id, tag};
use serde_json::json;
use store::MemoryStore;
use unit::{AssignRequest, Error, Kind, Messenger as _, Novelty, Scheduler as _, TraceQuery, TraceRelation};
use world::{World, sends, settle, sign, to, until};

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new())
}

#[tokio::test(start_paused = true)]
async fn a_message_is_followed_to_the_end_of_its_chain() {
    let world = World::new();
    let [a, b, c] = [world.process("a").await, world.process("b").await, world.process("c").await];
    let unit = world.open(memory()).await;
    let item = world.message(a, &sends([to(b, 1, &sends([to(c, 2, "end")]))]));
    assert_eq!(unit.send(item.clone()).await.unwrap().id, item.id);
    settle(&unit).await;

    assert_eq!(world.inbox(c), ["end"]);
    let last = world.item(c, 1);
    assert_eq!(last.address(), world.wallet.address());
    assert_eq!(last.tags.first(tag::FROM_PROCESS), Some(b.to_string().as_str()));
    assert_eq!(last.tags.first(tag::FROM_MODULE), Some(world::MODULE));
    assert_eq!(last.tags.first(tag::PUSHED_FOR), Some(item.id.to_string().as_str()));
    assert_eq!(*world.item(a, 1), *item.item(), "the bytes of the client are not altered");
}

#[tokio::test(start_paused = true)]
async fn what_one_process_sends_to_another_arrives_in_order() {
    let world = World::new();
    let [a, b, c] = [world.process("a").await, world.process("b").await, world.process("c").await];
    let unit = world.open(memory()).await;
    let twenty = |from: usize| {
        let says = (from..from + 20).flat_map(|n| [to(b, n, &n.to_string()), to(c, n, &n.to_string())]);
        world.message(a, &sends(says.collect::<Vec<_>>()))
    };
    let numbers = |range: std::ops::Range<usize>| range.map(|n| n.to_string()).collect::<Vec<_>>();
    unit.send(twenty(0)).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(b), numbers(0..20));
    assert_eq!(world.inbox(c), numbers(0..20));
    // Also across messages.
    for from in [20, 40, 60] {
        unit.send(twenty(from)).await.unwrap();
    }
    settle(&unit).await;
    assert_eq!(world.inbox(b), numbers(0..80));
}

#[tokio::test(start_paused = true)]
async fn the_order_holds_when_memory_is_short() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let options = Options { loaded_max: 3, loaded_bytes_max: 2000, ahead_max: 2, ..Options::default() };
    let unit = world.open_with(memory(), options).await;
    for from in [0, 30, 60] {
        let says = (from..from + 30).map(|n| to(b, n, &n.to_string()));
        unit.send(world.message(a, &sends(says))).await.unwrap();
    }
    settle(&unit).await;
    assert_eq!(world.inbox(b), (0..90).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(unit.gauges().loaded, 0);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_sent_again_is_taken_again_and_pushed_once() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let unit = world.open(memory()).await;
    let item = world.message(a, &sends([to(b, 1, "once")]));
    let sent = futures::future::join_all((0..5).map(|_| unit.send(item.clone()))).await;
    assert!(sent.iter().all(|receipt| receipt.as_ref().unwrap().id == item.id), "{sent:?}");
    let new = sent.iter().filter(|receipt| receipt.as_ref().unwrap().novelty == Novelty::First);
    assert_eq!(new.count(), 1, "{sent:?}");
    settle(&unit).await;
    assert_eq!(unit.send(item.clone()).await.unwrap().novelty, Novelty::Repeat);
    unit.push(a, item.id, None).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(a).len(), 1);
    assert_eq!(world.inbox(b), ["once"]);
    let traces =
        unit.traces(TraceQuery { process: Some(a), limit: 10, ..TraceQuery::default() }).await.unwrap();
    assert_eq!(traces.items.len(), 1, "{traces:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_the_scheduler_makes_no_second_message() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let unit = world.open(memory()).await;
    let item = world.message(a, &sends([to(b, 1, "once")]));
    world.faulty.lose_answers(1);
    assert_eq!(unit.send(item.clone()).await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(unit.gauges().outbox, 1, "withdrawing it is not durable yet");
    unit.send(item).await.unwrap();
    world.faulty.lose_answers(3);
    settle(&unit).await;
    assert_eq!(world.inbox(a).len(), 1);
    assert_eq!(world.inbox(b), ["once"]);
    assert_eq!(unit.gauges().dead, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_answer_said_is_asked_for_and_pushed_in_its_order() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let unit = world.open(memory()).await;
    let first = world.message(a, &sends([to(b, 1, "first")]));
    world.faulty.lose_answers(1);
    assert_eq!(unit.send(first.clone()).await.unwrap_err().kind, Kind::Unavailable);
    // Its client never asks again.
    let begun = tokio::time::Instant::now();
    unit.send(world.message(a, &sends([to(b, 2, "second")]))).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["first", "second"]);
    assert!(begun.elapsed() < Duration::from_secs(1), "nobody waited for the client");
    assert_eq!(unit.send(first).await.unwrap().novelty, Novelty::Repeat);
    settle(&unit).await;
    assert_eq!((world.inbox(a).len(), world.inbox(b).len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_never_got_its_slot_holds_nobody_up() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let unit = world.open(memory()).await;
    let lost = world.message(a, &sends([to(b, 1, "lost")]));
    world.scheduler.fail_next(Error::unavailable("it never heard of it"));
    assert_eq!(unit.send(lost.clone()).await.unwrap_err().kind, Kind::Unavailable);
    let begun = tokio::time::Instant::now();
    unit.send(world.message(a, &sends([to(b, 2, "second")]))).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["second"]);
    assert!(begun.elapsed() < Duration::from_secs(1), "what is not there is not waited for");
    unit.send(lost).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["second", "lost"]);
}

#[tokio::test(start_paused = true)]
async fn a_compute_unit_that_is_down_is_waited_for() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let unit = world.open(memory()).await;
    (0..40).for_each(|_| world.compute.fail_next(Error::unavailable("it is down")));
    unit.send(world.message(a, &sends([to(b, 1, "late")]))).await.unwrap();
    until(|| unit.gauges().retrying == 1).await;
    let [pending] = &unit.pending(0, 10).unwrap()[..] else { panic!("one task is pending") };
    assert_eq!(pending.trace.error.as_deref(), Some("it is down"));
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["late"]);
    assert_eq!(unit.gauges().retrying, 0);
    let traces =
        unit.traces(TraceQuery { process: Some(a), limit: 1, ..TraceQuery::default() }).await.unwrap();
    assert_eq!(traces.items[0].error, None, "what went well in the end is not shown as failed");
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_was_away_and_does_not_know_something_yet_is_asked_again() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let store = memory();
    let unit = world.open(store.clone()).await;
    let max = Options::default().not_found_max as usize;
    (0..max * 2).for_each(|_| world.compute.fail_next(Error::unavailable("it is down")));
    (1..max).for_each(|_| world.compute.fail_next(Error::not_found("it has only just come back")));
    unit.send(world.message(a, &sends([to(b, 1, "late")]))).await.unwrap();
    until(|| unit.gauges().retrying == 1).await;
    // What was counted is remembered.
    unit.stop().await;
    let unit = world.open(store).await;
    settle(&unit).await;
    assert_eq!((world.inbox(b), unit.gauges().dead), (vec!["late".to_owned()], 0));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_carried_out_is_kept_with_its_reason() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let options = Options { item_bytes_max: 5000, ..Options::default() };
    let unit = world.open_with(memory(), options).await;
    let refused = Error::new(Kind::Refused, "module format is not supported");
    world.compute.fail_next(refused);
    let item = world.message(a, "{}");
    unit.send(item.clone()).await.unwrap();
    settle(&unit).await;
    let large = "d".repeat(3000);
    let bad = [json!({"Target": b, "Tags": []}), to(b, 1, "good"), to(b, 2, &large)];
    unit.send(world.message(a, &sends(bad))).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["good", &large], "a bad element is skipped alone");

    let dead = unit.dead(0, 10).unwrap();
    let reasons: Vec<_> = dead.iter().map(|dead| dead.trace.error.as_deref().unwrap()).collect();
    let no_anchor = "Messages[0] of the outcome is not pushed: it has no Anchor";
    assert_eq!(reasons, ["module format is not supported", no_anchor]);
    assert_eq!(dead[0].trace.message, item.id);
    assert_eq!(unit.gauges().dead, 2);
    // The module may be supported tomorrow.
    unit.push(a, item.id, None).await.unwrap();
    settle(&unit).await;
    assert_eq!(unit.gauges().dead, 2);
}

#[tokio::test(start_paused = true)]
async fn data_that_is_too_large_is_dead_and_the_rest_arrives() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let options = Options { item_bytes_max: 1000, ..Options::default() };
    let unit = world.open_with(memory(), options).await;
    let (large, boot) = ("d".repeat(1001), world.item(a, 0).id);
    world.compute.put(a, boot, Ok(world::outcome(&sends([to(b, 1, &large), to(b, 2, "small")]))));
    unit.push(a, boot, None).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["small"]);
    let [dead] = &unit.dead(0, 10).unwrap()[..] else { panic!("one is dead") };
    assert!(dead.trace.error.as_ref().unwrap().contains("1001 bytes"), "{dead:?}");
    let too_large = unit.send(world.message(a, &large)).await.unwrap_err();
    assert_eq!(too_large.kind, Kind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn one_message_of_an_outcome_is_pushed_alone_and_never_again() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let unit = world.open(memory()).await;
    let item = world.message(a, &sends((0..3).map(|n| to(b, n, &n.to_string()))));
    world.scheduler.schedule(item.clone()).await.unwrap();
    unit.push(a, item.id, Some(1)).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["1"]);
    unit.push(a, item.id, Some(1)).await.unwrap();
    unit.push(a, item.id, None).await.unwrap();
    unit.push(a, item.id, Some(2)).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["1", "0", "2"]);
    assert_eq!(unit.push(a, item.id, Some(3)).await.unwrap_err().kind, Kind::Invalid);
    assert_eq!(unit.push(b, item.id, None).await.unwrap_err().kind, Kind::NotFound);
    assert_eq!(unit.push(a, Id([9; 32]), None).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test(start_paused = true)]
async fn a_spawned_process_boots_and_its_spawner_hears_of_it() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let unit = world.open(memory()).await;
    let boot = sends([to(b, 1, "born")]);
    let tags = json!([{"name": "Module", "value": world::MODULE}, {"name": "Reference", "value": "4"}]);
    let says = json!({"Spawns": [{"Data": boot, "Anchor": "x", "Tags": tags}]}).to_string();
    let item = world.message(a, &says);
    unit.send(item.clone()).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["born"]);
    let notice = world.item(a, 2);
    assert_eq!(notice.tags.first(tag::ACTION), Some("Spawned"));
    assert_eq!(notice.tags.first(tag::REFERENCE), Some("4"));
    let child = notice.tags.first(tag::PROCESS).unwrap().parse().unwrap();
    assert_eq!(world.item(child, 0).tags.first(tag::FROM_PROCESS), Some(a.to_string().as_str()));
    assert_eq!(world.item(b, 1).tags.first(tag::FROM_PROCESS), Some(child.to_string().as_str()));
    assert_eq!(world.item(b, 1).tags.first(tag::PUSHED_FOR), Some(item.id.to_string().as_str()));
}

#[tokio::test(start_paused = true)]
async fn assignments_are_made_and_pushed() {
    let world = World::new();
    let [a, b, c] = [world.process("a").await, world.process("b").await, world.process("c").await];
    let unit = world.open(memory()).await;
    // By an outcome, and by the tag of a message that must have its own slot first.
    let tagged = json!({"Target": b, "Anchor": "0".repeat(32), "Data": "both",
        "Tags": [{"name": "Assignments", "value": [c]}]});
    let first = world.message(a, "{}");
    let says = json!({"Messages": [tagged], "Assignments": [{"Processes": [b], "Message": first.id}]});
    unit.send(first.clone()).await.unwrap();
    unit.send(world.message(a, &says.to_string())).await.unwrap();
    settle(&unit).await;
    let both = world.item(b, 1).id;
    assert_eq!(world.inbox(c), [format!("assigned {both}")]);
    assert_eq!(world.inbox(b), ["both".to_owned(), format!("assigned {}", first.id)]);

    // By a client, who is told the id of the assignment.
    let request =
        AssignRequest { process: c, message: first.id, base_layer: false, exclude: vec!["Data".into()] };
    let receipt = unit.assign(request).await.unwrap();
    settle(&unit).await;
    let entry = world.scheduler.entries(c).pop().unwrap();
    assert_eq!(
        (receipt.id, &entry.assignment.exclude[..]),
        (entry.assignment.id(), &["Data".to_owned()][..])
    );
    assert!(world.compute.asked().contains(&(c, receipt.id)), "outcomes of assignments go by their own id");
}

#[tokio::test(start_paused = true)]
async fn a_process_boots_when_it_is_sent_and_is_assigned_to_its_target() {
    let world = World::new();
    let a = world.process("a").await;
    let unit = world.open(memory()).await;
    let tags = world.process_item("child", &[]).tags.clone();
    let draft = Draft { target: Some(a.into()), tags, data: sends([to(a, 1, "born")]).into(), anchor: None };
    let child = sign(&world.user, draft);
    unit.send(child.clone()).await.unwrap();
    settle(&unit).await;
    let mut inbox = world.inbox(a);
    inbox.sort();
    assert_eq!(inbox, [format!("assigned {}", child.id), "born".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn a_message_for_a_wallet_goes_to_the_weave() {
    let world = World::new();
    let a = world.process("a").await;
    let unit = world.open(memory()).await;
    let wallet = world.stranger.address();
    unit.send(world.message(a, &sends([to(wallet, 1, "money")]))).await.unwrap();
    settle(&unit).await;
    let [pushed] = world.weave.ids()[..] else { panic!("one item is on the weave") };
    assert!(unit.pending(0, 1).unwrap().is_empty() && unit.dead(0, 1).unwrap().is_empty());

    let direct = world.message(wallet, "hello");
    let unknown = unit.send(direct.clone()).await.unwrap_err();
    assert_eq!(unknown.kind, Kind::NotFound, "nobody knows that wallet");
    world.weave.put_wallet(wallet);
    unit.send(direct.clone()).await.unwrap();
    assert_eq!(world.weave.ids(), [pushed, direct.id]);
    settle(&unit).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_declined() {
    let world = World::new();
    let a = world.process("a").await;
    let unit = world.open(memory()).await;
    let item = |tags: &[(&str, &str)], target: Option<Id>| {
        let tags = tags.iter().copied().collect();
        sign(&world.user, Draft { target, tags, data: " ".into(), anchor: None })
    };
    let target = Some(a.into());
    let ao = ("Data-Protocol", "ao");
    for (bad, why) in [
        (item(&[("Type", "Message")], target), "Tag 'Data-Protocol': must contain 'ao'"),
        (item(&[ao], target), "Tag 'Type': must be either 'Process' or 'Message'"),
        (item(&[ao, ("Type", "Foo")], target), "Tag 'Type': must be either 'Process' or 'Message'"),
        (item(&[ao, ("Type", "Message")], None), "has no target"),
    ] {
        let error = unit.send(bad).await.unwrap_err();
        assert!(error.kind == Kind::Invalid && error.what.contains(why), "{error:?}");
    }
    let mut forged = world.message(a, "{}").bytes().to_vec();
    forged[10] ^= 1;
    let forged = protocol::DataItem::parse(forged.into()).unwrap();
    assert_eq!(unit.send(forged).await.unwrap_err().kind, Kind::Invalid);
    assert_eq!(world.inbox(a).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_cascade_ends_where_the_operator_says() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let unit = world.open_with(memory(), Options { depth_max: Some(2), ..Options::default() }).await;
    let deep = sends([to(b, 1, &sends([to(a, 2, &sends([to(b, 3, "too deep")]))]))]);
    unit.send(world.message(a, &deep)).await.unwrap();
    settle(&unit).await;
    assert_eq!(world.inbox(b).len(), 1);
    assert_eq!(world.inbox(a).len(), 2);
    let [dead] = &unit.dead(0, 10).unwrap()[..] else { panic!("one is dead") };
    assert_eq!(
        dead.trace.error.as_deref(),
        Some("nothing of its outcome is pushed: it is 2 outcomes from the root")
    );
}

#[tokio::test(start_paused = true)]
async fn a_tree_of_messages_can_be_traced() {
    let world = World::new();
    let [a, b, c] = [world.process("a").await, world.process("b").await, world.process("c").await];
    let unit = world.open(memory()).await;
    let item = world.message(a, &sends([to(b, 1, &sends([to(c, 2, "end")])), json!({"Target": c})]));
    unit.send(item.clone()).await.unwrap();
    settle(&unit).await;
    let query = TraceQuery { root: Some(item.id), limit: 10, ..TraceQuery::default() };
    let rows = unit.traces(query).await.unwrap().items;
    let (middle, last) = (world.item(b, 1).id, world.item(c, 1).id);
    let shown: Vec<_> = rows.iter().map(|row| (row.message, row.parent, row.error.is_some())).collect();
    assert_eq!(
        shown,
        [
            (last, Some(middle), false),
            (item.id, Some(item.id), true),
            (middle, Some(item.id), false),
            (item.id, None, false),
        ]
    );
    assert!(rows.iter().all(|row| row.wallet == Some(world.user_address())));

    let query = TraceQuery { id: Some(middle.to_string()), limit: 10, ..TraceQuery::default() };
    let rows = unit.traces(query).await.unwrap().items;
    assert_eq!(rows[0].relation, TraceRelation::Descendant);
    assert_eq!(rows.last().unwrap().relation, TraceRelation::Ancestor);
}

#[tokio::test(start_paused = true)]
async fn traces_are_bounded() {
    let world = World::new();
    let a = world.process("a").await;
    let unit = world.open_with(memory(), Options { traces_max: 5, ..Options::default() }).await;
    for n in 0..20 {
        unit.send(world.message(a, &n.to_string())).await.unwrap();
    }
    settle(&unit).await;
    let query = TraceQuery { process: Some(a), limit: 100, ..TraceQuery::default() };
    let rows = unit.traces(query).await.unwrap();
    assert_eq!((rows.items.len(), rows.has_next), (5, false));
    let query = TraceQuery { process: Some(a), limit: 2, skip: 1, ..TraceQuery::default() };
    let rows = unit.traces(query).await.unwrap();
    assert_eq!((rows.items.len(), rows.has_next), (2, true));
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_stops_takes_nothing_more_and_leaves_the_rest_to_the_next() {
    let world = World::new();
    let [a, b] = [world.process("a").await, world.process("b").await];
    let store = memory();
    let unit = world.open(store.clone()).await;
    (0..50).for_each(|_| world.compute.fail_next(Error::unavailable("it is down")));
    unit.send(world.message(a, &sends([to(b, 1, "later")]))).await.unwrap();
    unit.stop().await;
    assert_eq!(unit.send(world.message(a, "{}")).await.unwrap_err().kind, Kind::Unavailable);
    assert_eq!(world.inbox(b).len(), 0);

    let unit = world.open(store).await;
    assert_eq!(unit.gauges().outbox, 1);
    settle(&unit).await;
    assert_eq!(world.inbox(b), ["later"]);
}

/// Threads, real time and a real disk: eight processes write to each other in a ring, each round twenty messages. What
/// finds no room waits on the disk, and what comes later must not overtake it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_processes_keep_their_order_on_many_threads() {
    for loaded_max in [8, 30, 100, 1000] {
        keep_order(loaded_max).await;
    }
}

async fn keep_order(loaded_max: usize) {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store::DiskStore::open(folder.path(), store::Options::default()).unwrap());
    let mut ring = Vec::new();
    for name in 0..8 {
        ring.push(world.process(&name.to_string()).await);
    }
    let unit = world.open_with(store, Options { loaded_max, ..Options::default() }).await;
    for from in (0..100).step_by(20) {
        let round = (0..8).map(|at| {
            let next = ring[(at + 1) % 8];
            let says = (from..from + 20).map(|n| to(next, n, &n.to_string()));
            unit.send(world.message(ring[at], &sends(says)))
        });
        futures::future::try_join_all(round).await.unwrap();
    }
    settle(&unit).await;
    for process in ring {
        let numbers: Vec<usize> = world.inbox(process).iter().filter_map(|text| text.parse().ok()).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>(), "with room for {loaded_max}");
    }
    unit.stop().await;
}
