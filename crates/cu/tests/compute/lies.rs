//! A scheduler of another node is believed what it and the senders signed, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{
    Assignment, DataItem, Draft, HashChain, Height, Id, Item, ProcessId, Slot, Tag, Timestamp, Wallet,
};
use unit::fakes::FakeScheduler;
use unit::{AssignRequest, Page, Placed, ProcessRecord, Result, Scheduled, Scheduler, SlotRange, Tip};

use crate::world::{World, ask, scheduler_wallet};

/// A scheduler that shows an entry or a process otherwise than it is.
pub struct Lying {
    inner: Arc<FakeScheduler>,
    slot: Slot,
    bend: Box<dyn Fn(&mut Scheduled) + Send + Sync>,
    bend_record: fn(&mut ProcessRecord),
    /// Whether it does not list that slot.
    is_late: AtomicBool,
}

impl Lying {
    /// What a world's scheduler says, with that slot bent.
    pub fn about(world: &World, slot: Slot, bend: impl Fn(&mut Scheduled) + Send + Sync + 'static) -> Lying {
        let (inner, is_late) = (Arc::clone(&world.scheduler), AtomicBool::new(false));
        Lying { inner, slot, bend: Box::new(bend), bend_record: |_| {}, is_late }
    }

    fn show(&self, mut entry: Scheduled) -> Scheduled {
        if entry.assignment.slot == self.slot {
            (self.bend)(&mut entry);
        }
        entry
    }
}

#[async_trait]
impl Scheduler for Lying {
    async fn schedule(&self, item: DataItem) -> Result<Placed> {
        self.inner.schedule(item).await
    }

    async fn assign(&self, request: AssignRequest) -> Result<Placed> {
        self.inner.assign(request).await
    }

    async fn find(&self, process: Option<ProcessId>, id: Id) -> Result<Scheduled> {
        Ok(self.show(self.inner.find(process, id).await?))
    }

    async fn schedule_page(
        &self,
        process: ProcessId,
        range: SlotRange,
        limit: usize,
    ) -> Result<Page<Scheduled>> {
        let mut page = self.inner.schedule_page(process, range, limit).await?;
        if self.is_late.load(Ordering::Relaxed) {
            let listed = page.items.iter().take_while(|entry| entry.assignment.slot < self.slot).count();
            page.items.truncate(listed);
        }
        Ok(page.map(|entry| self.show(entry)))
    }

    async fn latest(&self, process: ProcessId) -> Result<Scheduled> {
        self.inner.latest(process).await
    }

    async fn process(&self, process: ProcessId) -> Result<ProcessRecord> {
        let mut record = self.inner.process(process).await?;
        (self.bend_record)(&mut record);
        Ok(record)
    }

    async fn now(&self) -> Result<Tip> {
        self.inner.now().await
    }

    async fn address(&self) -> Result<protocol::Address> {
        self.inner.address().await
    }
}

/// A process with three messages, of which every second has an anchor, and the process's id and theirs.
async fn scheduled(world: &World) -> (ProcessId, Vec<Id>) {
    let process = world.spawn(&[]).await;
    let mut messages = Vec::new();
    for n in 0..3_u8 {
        let tags = [("Action", "Echo")].into_iter().collect();
        let anchor = (n % 2 == 1).then_some([b'0' + n; 32]);
        let draft = Draft { target: Some(process.into()), tags, anchor, data: Bytes::from(vec![b'a' + n]) };
        messages.push(world.schedule(&world.user, draft).await.message_id());
    }
    (process, messages)
}

/// What a compute unit that knows nothing yet answers for slot 3 of a scheduler that lies about `slot`.
async fn answer(
    slot: u64,
    bend: fn(&mut Scheduled),
    bend_record: fn(&mut ProcessRecord),
    page: usize,
) -> String {
    let mut world = World::new();
    world.options.page = page;
    let (process, messages) = scheduled(&world).await;
    // The weave has them all, as it does in time.
    for entry in world.scheduler.entries(process) {
        world.weave.put((*entry.message.unwrap()).clone());
    }
    let lying = Lying { bend_record, ..Lying::about(&world, Slot(slot), bend) };
    let cu = world.open_believing(Arc::new(lying), None).await;
    let said = ask(&cu, process, messages[2]).await;
    messages
        .iter()
        .fold(said.replace(&process.to_string(), "P"), |said, id| said.replace(&id.to_string(), "M"))
}

async fn check(slot: u64, bend: fn(&mut Scheduled), expect: &str) {
    for page in [1, 2, 128] {
        let said = answer(slot, bend, |_| {}, page).await;
        assert!(said.starts_with(expect), "{page} a page: {said}");
    }
}

fn item(entry: &mut Scheduled) -> &mut Item {
    Arc::make_mut(entry.message.as_mut().unwrap())
}

/// Signs an assignment that says `change`, as that scheduler can whenever it likes.
fn signed(entry: &mut Scheduled, by: &Wallet, change: impl FnOnce(&mut Assignment)) {
    let mut says = (*entry.assignment).clone();
    change(&mut says);
    let Assignment { process, epoch, slot, hash_chain, block_height, timestamp, message, exclude, .. } = says;
    let tags = Assignment::tags(process, epoch, slot, hash_chain, block_height, timestamp, message, &exclude);
    let item = DataItem::sign(by, Draft { tags, ..Draft::default() }).unwrap();
    entry.assignment = Arc::new(Assignment::try_from(item.item().clone()).unwrap());
}

#[tokio::test]
async fn an_honest_one_is_evaluated() {
    for page in [1, 2, 128] {
        let said = answer(9, |_| {}, |_| {}, page).await;
        assert!(said.contains(r#""Data":"c""#), "{said}");
    }
}

#[tokio::test]
async fn a_slot_that_is_listed_late_is_evaluated_then() {
    for slot in 0..=3 {
        let world = World::new();
        let (process, messages) = scheduled(&world).await;
        let lying = Arc::new(Lying { is_late: true.into(), ..Lying::about(&world, Slot(slot), |_| {}) });
        let cu = world.open_believing(Arc::clone(&lying) as Arc<dyn Scheduler>, None).await;
        let said = ask(&cu, process, messages[2]).await;
        assert!(said.starts_with("Unavailable: "), "slot {slot}: {said}");
        lying.is_late.store(false, Ordering::Relaxed);
        let said = ask(&cu, process, messages[2]).await;
        assert!(said.contains(r#""Data":"c""#), "slot {slot}: {said}");
    }
}

#[tokio::test]
async fn an_assignment_must_be_what_its_scheduler_signed() {
    let not_signed = "Refused: the assignment of slot 2 of P is not what its scheduler signed (hint: ";
    check(2, |entry| Arc::make_mut(&mut entry.assignment).timestamp = Timestamp(1), not_signed).await;
    check(2, |entry| Arc::make_mut(&mut entry.assignment).item.tags.push("a", "b"), not_signed).await;
    check(2, |entry| Arc::make_mut(&mut entry.assignment).item.owner = scheduler_wallet_of(3), not_signed)
        .await;
    let another = |entry: &mut Scheduled| signed(entry, &Wallet::ed25519_from_seed([3; 32]), |_| {});
    check(2, another, "Refused: slot 2 of P is assigned by ").await;
    let nothing = |entry: &mut Scheduled| signed(entry, &scheduler_wallet(), |says| says.message = None);
    check(2, nothing, "Refused: slot 2 of P is assigned nothing").await;
}

fn scheduler_wallet_of(seed: u8) -> Bytes {
    Bytes::copy_from_slice(Wallet::ed25519_from_seed([seed; 32]).owner())
}

#[tokio::test]
async fn what_a_scheduler_signs_must_continue_what_it_signed_before_on_whatever_page() {
    let again = |entry: &mut Scheduled| signed(entry, &scheduler_wallet(), |says| says.timestamp.0 += 1);
    // Slot 2 may be so by itself, but slot 3 was signed after another slot 2.
    check(2, again, "Refused: HashChain invalid on message M").await;
    let forked = |entry: &mut Scheduled| {
        signed(entry, &scheduler_wallet(), |says| says.hash_chain = HashChain([7; 32]));
    };
    check(2, forked, "Refused: HashChain invalid on message M").await;
}

#[tokio::test]
async fn a_message_must_be_what_its_sender_signed() {
    for slot in [1, 2] {
        // Slot 2 has an anchor and no text that JSON could not say; slot 1 is compared with the weave's.
        let expect = format!("Refused: slot {slot} of P shows message M otherwise than its sender signed it");
        check(slot, |entry| item(entry).data = Bytes::from_static(b"give it to me"), &expect).await;
        check(slot, |entry| item(entry).tags.0.push(Tag::new("Quantity", "1000")), &expect).await;
        check(slot, |entry| item(entry).owner = scheduler_wallet_of(3), &expect).await;
    }
}

#[tokio::test]
async fn a_message_for_another_process_has_no_slot_in_this_one() {
    // Signed by whom it says, but for somebody else.
    let replayed = |entry: &mut Scheduled| {
        let draft = Draft { target: Some(Id([5; 32])), anchor: Some([b'1'; 32]), ..Draft::default() };
        let other = DataItem::sign(&Wallet::ed25519_from_seed([1; 32]), draft).unwrap();
        signed(entry, &scheduler_wallet(), |says| says.message = Some(other.id));
        entry.message = Some(other.shared());
    };
    check(2, replayed, "Refused: slot 2 of P has the message ").await;
}

#[tokio::test]
async fn the_process_itself_must_be_what_its_owner_signed() {
    let altered = "Refused: slot 0 of P shows message P otherwise than its sender signed it";
    for page in [1, 128] {
        let said =
            answer(9, |_| {}, |record| Arc::make_mut(&mut record.item).tags.push("On-Boot", "x"), page).await;
        assert!(said.starts_with(altered), "{said}");
        // When it began is said by its assignment, whatever the record says.
        let said = answer(9, |_| {}, |record| record.block_height = Height(77), page).await;
        assert!(said.contains(r#""Data":"c""#), "{said}");
    }
}

#[tokio::test]
async fn what_json_cannot_say_is_taken_from_the_weave() {
    let world = World::new();
    let process = world.spawn(&[]).await;
    let draft = Draft {
        target: Some(process.into()),
        tags: [("Action", "Echo")].into_iter().collect(),
        anchor: Some([0xf0; 32]),
        data: Bytes::from_static(b"\xff is no text"),
    };
    let whole = world.schedule(&world.user, draft).await.message.unwrap();
    let as_json = |entry: &mut Scheduled| {
        let shown = item(entry);
        shown.data = shown.text().into_owned().into();
        shown.anchor = Bytes::new();
    };
    let lying = Lying::about(&world, Slot(1), as_json);
    let cu = world.open_believing(Arc::new(lying), None).await;
    let said = ask(&cu, process, whole.id).await;
    assert!(
        said.starts_with("Unavailable: slot 1 of ") && said.contains("as soon as the weave has"),
        "{said}"
    );
    world.weave.put((*whole).clone());
    let said = ask(&cu, process, whole.id).await;
    assert!(said.contains("\u{fffd} is no text"), "{said}");
}

#[tokio::test]
async fn what_the_scheduler_of_this_node_signed_is_not_verified_again() {
    let world = World::new();
    let (process, messages) = scheduled(&world).await;
    // Nobody could have signed this; that it is evaluated shows that nobody looked.
    let bend = |entry: &mut Scheduled| item(entry).data = Bytes::from_static(b"unsigned");
    let lying = Lying::about(&world, Slot(1), bend);
    let cu = world.open_with(Arc::new(lying)).await;
    let said = ask(&cu, process, messages[0]).await;
    assert!(said.contains("unsigned"), "{said}");
}

#[tokio::test]
async fn whoever_claims_to_be_the_scheduler_of_this_node_is_verified_all_the_same() {
    let world = World::new();
    let (process, messages) = scheduled(&world).await;
    // Our own scheduler, whose name and key everybody knows, has never heard of that process.
    let own: Arc<dyn Scheduler> = World::new().scheduler;
    let forged = |entry: &mut Scheduled| item(entry).data = Bytes::from_static(b"give it to me");
    let lying = Lying::about(&world, Slot(2), forged);
    let cu = world.open_believing(Arc::new(lying), Some(own)).await;
    let said = ask(&cu, process, messages[1]).await;
    assert!(said.contains("otherwise than its sender signed it"), "{said}");
}

#[tokio::test]
async fn only_the_scheduler_of_a_process_says_which_slot_a_message_has() {
    // As a proxy before the scheduler could: slot 3 is said to be slot 1, and that is signed by somebody.
    let another = |entry: &mut Scheduled| {
        signed(entry, &Wallet::ed25519_from_seed([3; 32]), |says| says.slot = Slot(1));
    };
    check(3, another, "Refused: slot 1 of P is assigned by ").await;
}
