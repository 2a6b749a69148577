//! What every messenger unit must pass, here or behind a network.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::{DataItem, Draft, Id, ProcessId, Slot, Wallet, tag};
use serde_json::{Value, json};

use crate::fakes::FakeScheduler;
use crate::suite::{message_item, process_item, wallet};
use crate::{AssignRequest, Kind, Messenger, Novelty, Scheduler as _, TraceQuery, TraceRelation};

/// A fresh messenger unit and what it stands on. What comes of a message is the JSON of an outcome in its data; what is
/// none does nothing.
#[async_trait]
pub trait MessengerGround: Send + Sync {
    /// Under test. It was sent nothing.
    fn messenger(&self) -> Arc<dyn Messenger>;

    /// Its scheduler, to see what has a slot.
    fn scheduler(&self) -> Arc<FakeScheduler>;

    /// Resolves when nothing is under way.
    async fn settle(&self);
}

/// Everything that a [`Messenger`] promises.
pub async fn messenger<G: MessengerGround>(fresh: impl AsyncFn() -> G) {
    what_is_sent_has_a_slot_as_it_is(fresh().await).await;
    what_is_sent_again_is_a_repeat(fresh().await).await;
    what_is_no_message_is_refused(fresh().await).await;
    what_follows_arrives_once_and_in_order(fresh().await).await;
    a_push_that_is_asked_for_again_has_no_effect(fresh().await).await;
    what_is_assigned_has_a_slot_there(fresh().await).await;
    only_the_owner_has_a_process_monitored(fresh().await).await;
    a_tree_of_messages_is_traced(fresh().await).await;
}

async fn spawn(ground: &impl MessengerGround, name: &str) -> ProcessId {
    let scheduler = ground.scheduler().address().await.expect("an address");
    let item = process_item(&wallet(1), scheduler, &[("Name", name)]);
    ground.messenger().send(item.clone()).await.expect("a process is taken in");
    item.id.into()
}

/// The texts of what a process was sent after its boot, in the order of its slots.
fn inbox(ground: &impl MessengerGround, process: ProcessId) -> Vec<String> {
    let entries = ground.scheduler().entries(process);
    let text = |entry: &crate::Scheduled| match &entry.message {
        Some(item) => item.text().into_owned(),
        None => format!("assigned {}", entry.message_id()),
    };
    entries.iter().skip(1).map(text).collect()
}

fn element(target: ProcessId, n: usize, data: &str) -> Value {
    json!({ "Target": target, "Anchor": format!("{n:032}"), "Tags": [], "Data": data })
}

fn sends(messages: Vec<Value>) -> String {
    json!({ "Messages": messages }).to_string()
}

async fn what_is_sent_has_a_slot_as_it_is(ground: impl MessengerGround) {
    let process = spawn(&ground, "a").await;
    let item = message_item(&wallet(2), process, &[("Action", "Hi")], "hello");
    let receipt = ground.messenger().send(item.clone()).await.expect("a message is taken in");
    assert_eq!((receipt.id, receipt.novelty), (item.id, Novelty::First));
    // When the messenger has answered, the slot is there.
    let placed = ground.scheduler().find(Some(process), item.id).await.expect("it has a slot");
    assert_eq!(placed.assignment.slot, Slot(1));
    assert_eq!(placed.message.as_deref(), Some(item.item()), "nobody's signed item is altered");
}

async fn what_is_sent_again_is_a_repeat(ground: impl MessengerGround) {
    let (a, b) = (spawn(&ground, "a").await, spawn(&ground, "b").await);
    let item = message_item(&wallet(2), a, &[], &sends(vec![element(b, 1, "once")]));
    for novelty in [Novelty::First, Novelty::Repeat, Novelty::Repeat] {
        let receipt = ground.messenger().send(item.clone()).await.expect("it is taken in");
        assert_eq!((receipt.id, receipt.novelty), (item.id, novelty));
        ground.settle().await;
    }
    assert_eq!((inbox(&ground, a).len(), inbox(&ground, b)), (1, vec!["once".to_owned()]));
}

async fn what_is_no_message_is_refused(ground: impl MessengerGround) {
    let process = spawn(&ground, "a").await;
    let mut forged = message_item(&wallet(2), process, &[], "x").bytes().to_vec();
    *forged.last_mut().expect("it has bytes") ^= 1;
    let forged = DataItem::parse(forged.into()).expect("only its signature is wrong");
    let error = ground.messenger().send(forged).await.expect_err("a signature over other bytes");
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    let plain = Draft { data: "plain".into(), ..Draft::default() };
    let plain = DataItem::sign(&wallet(2), plain).expect("a small draft can be signed");
    let error = ground.messenger().send(plain).await.expect_err("no message of ao");
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    ground.settle().await;
    assert!(inbox(&ground, process).is_empty());
}

async fn what_follows_arrives_once_and_in_order(ground: impl MessengerGround) {
    let (a, b, c) = (spawn(&ground, "a").await, spawn(&ground, "b").await, spawn(&ground, "c").await);
    let mut elements: Vec<_> = (0..10).map(|n| element(b, n, &n.to_string())).collect();
    elements.push(element(b, 10, &sends(vec![element(c, 1, "end")])));
    let item = message_item(&wallet(2), a, &[], &sends(elements));
    ground.messenger().send(item.clone()).await.expect("it is taken in");
    ground.settle().await;
    let numbers: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(inbox(&ground, b)[..10], numbers);
    assert_eq!(inbox(&ground, c), ["end"]);
    let end = ground.scheduler().entries(c)[1].message.clone().expect("it was delivered");
    assert_eq!(
        end.address(),
        ground.messenger().address().await.expect("an address"),
        "it signs what it pushes"
    );
    assert_eq!(end.tags.first(tag::FROM_PROCESS), Some(b.to_string().as_str()));
    assert_eq!(end.tags.first(tag::PUSHED_FOR), Some(item.id.to_string().as_str()));
}

async fn a_push_that_is_asked_for_again_has_no_effect(ground: impl MessengerGround) {
    let (a, b) = (spawn(&ground, "a").await, spawn(&ground, "b").await);
    let item = message_item(&wallet(2), a, &[], &sends(vec![element(b, 1, "0"), element(b, 2, "1")]));
    ground.messenger().send(item.clone()).await.expect("it is taken in");
    ground.settle().await;
    for index in [None, Some(0), Some(1)] {
        ground.messenger().push(a, item.id, index).await.expect("anyone may ask");
        ground.settle().await;
    }
    assert_eq!(inbox(&ground, b), ["0", "1"]);
}

async fn what_is_assigned_has_a_slot_there(ground: impl MessengerGround) {
    let (a, b) = (spawn(&ground, "a").await, spawn(&ground, "b").await);
    let item = message_item(&wallet(2), a, &[], "for a");
    ground.messenger().send(item.clone()).await.expect("it is taken in");
    let request = AssignRequest { process: b, message: item.id, base_layer: false, exclude: Vec::new() };
    let mut ids = Vec::new();
    for novelty in [Novelty::First, Novelty::Repeat] {
        let receipt = ground.messenger().assign(request.clone()).await.expect("it is assigned");
        assert_eq!(receipt.novelty, novelty);
        ids.push(receipt.id);
        ground.settle().await;
    }
    assert_eq!(inbox(&ground, b), [format!("assigned {}", item.id)]);
    let assignment = ground.scheduler().entries(b)[1].assignment.id();
    assert_eq!(ids, [assignment; 2], "its receipt is the id of the Assignment item");
}

/// A request to monitor or unmonitor.
fn request(wallet: &Wallet, process: ProcessId) -> DataItem {
    let draft = Draft { target: Some(process.into()), data: " ".into(), ..Draft::default() };
    DataItem::sign(wallet, draft).expect("a small draft can be signed")
}

async fn only_the_owner_has_a_process_monitored(ground: impl MessengerGround) {
    let process = spawn(&ground, "a").await;
    let (owner, stranger) = (request(&wallet(1), process), request(&wallet(2), process));
    let messenger = ground.messenger();
    for error in [
        messenger.monitor(stranger.clone()).await.expect_err("a stranger may not"),
        messenger.unmonitor(stranger).await.expect_err("a stranger may not"),
    ] {
        assert_eq!(error.kind, Kind::Forbidden, "{error}");
    }
    messenger.monitor(owner.clone()).await.expect("the owner may");
    messenger.unmonitor(owner).await.expect("the owner may");
}

async fn a_tree_of_messages_is_traced(ground: impl MessengerGround) {
    let (a, b) = (spawn(&ground, "a").await, spawn(&ground, "b").await);
    let item = message_item(&wallet(2), a, &[], &sends(vec![element(b, 1, "0"), element(b, 2, "1")]));
    ground.messenger().send(item.clone()).await.expect("it is taken in");
    ground.settle().await;
    let query = TraceQuery { root: Some(item.id), limit: 10, ..TraceQuery::default() };
    let page = ground.messenger().traces(query).await.expect("a page");
    assert!(!page.has_next);
    assert_eq!(page.items.len(), 3, "{:?}", page.items);
    let mut led: Vec<Id> = Vec::new();
    for trace in &page.items {
        assert_eq!((trace.root, trace.error.as_deref()), (item.id, None));
        assert_eq!(trace.relation == TraceRelation::Root, trace.message == item.id);
        led.extend(trace.parent);
    }
    assert_eq!(led, [item.id; 2], "both followed from it");
}
