//! Checkpoints on the weave: published, started from, and refused.

use std::sync::Arc;

use bytes::Bytes;
use cu::{CheckpointOptions, ComputeUnit, Counters};
use flate2::Compression;
use flate2::write::GzEncoder;
use protocol::{
    Checkpoint, DataItem, Draft, HashChain, Height, Id, ProcessId, Slot, Tags, Timestamp, Wallet,
};
use std::io::Write as _;
use store::{MemoryBlobs, MemoryStore};
use unit::{Compute as _, Evaluation, Query, Scheduler, Weave as _};

use crate::world::{MODULE, World, all_results, ask, dry, unit_wallet};

/// A world with a process of thirty messages, of which one repeats another, and a checkpoint after slot 20.
struct Past {
    world: World,
    process: ProcessId,
    /// By slot.
    messages: Vec<Id>,
    /// What came of each.
    outcomes: Vec<String>,
    checkpoint: Id,
}

impl Past {
    async fn new() -> Past {
        let mut world = World::new();
        world.options.checkpoints =
            CheckpointOptions { look_beyond: 0, on_demand: true, ..CheckpointOptions::default() };
        // Of two messengers, who sign the same message for the same sender.
        let messengers = [2, 3].map(|seed| Wallet::ed25519_from_seed([seed; 32]));
        let authorities = messengers.each_ref().map(|wallet| wallet.address().to_string()).join(",");
        let process = world.spawn(&[("Authority", &authorities)]).await;
        let mut messages = vec![process.into()];
        let (mut checkpoint, mut outcomes) = (None, Vec::new());
        let cu = world.open().await;
        for slot in 1..=30 {
            messages.push(match slot {
                5 => world.push(process, &messengers[0], "r").await.message_id(),
                25 => world.push(process, &messengers[1], "r").await.message_id(),
                _ => world.send(process, "Add").await,
            });
            if slot == 20 {
                let published = cu.publish_checkpoint(process).await.unwrap();
                assert_eq!((published.slot, published.is_new), (Slot(20), true));
                checkpoint = Some(published.id);
            }
        }
        for message in &messages {
            outcomes.push(ask(&cu, process, *message).await);
        }
        cu.stop().await;
        Past { world, process, messages, outcomes, checkpoint: checkpoint.unwrap() }
    }

    /// A unit that has never seen anything.
    async fn fresh(&mut self) -> Arc<ComputeUnit> {
        self.world.open_fresh().await
    }

    async fn last(&self, cu: &ComputeUnit) -> String {
        ask(cu, self.process, *self.messages.last().unwrap()).await
    }

    /// The published item.
    async fn item(&self) -> protocol::Item {
        (*self.world.weave.get(self.checkpoint).await.unwrap().item).clone()
    }

    /// Puts another checkpoint in the place of the good one, signed by `wallet`.
    async fn forge(&self, wallet: &Wallet, change: impl FnOnce(&mut Checkpoint, &mut Vec<u8>)) -> Id {
        let good = self.item().await;
        self.world.weave.forget(self.checkpoint);
        let mut says = Checkpoint::try_from(&good).unwrap();
        let mut data = good.data.to_vec();
        change(&mut says, &mut data);
        let draft = Draft { tags: says.tags(), data: Bytes::from(data), ..Draft::default() };
        let item = DataItem::sign(wallet, draft).unwrap();
        self.world.weave.upload(item.clone()).await.unwrap();
        item.id
    }

    /// A fresh unit refuses so many checkpoints and starts from the beginning.
    async fn refuses(mut self, refused: u64) {
        let cu = self.fresh().await;
        assert_eq!(self.last(&cu).await, self.outcomes[30]);
        let Counters { revived, checkpoints_refused, evaluated, .. } = cu.counters();
        assert_eq!((revived, checkpoints_refused, evaluated), (0, refused, 31));
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(plain).unwrap();
    gzip.finish().unwrap()
}

#[tokio::test]
async fn what_is_evaluated_after_a_checkpoint_is_what_it_is_from_genesis() {
    let mut past = Past::new().await;
    let cu = past.fresh().await;
    assert_eq!(past.last(&cu).await, past.outcomes[30]);
    let counters = cu.counters();
    assert_eq!((counters.revived, counters.passed, counters.checkpoints_refused), (1, 21, 0));
    assert_eq!((counters.evaluated, counters.duplicates), (10, 1), "what repeats slot 5 is found");
    for slot in 21..=30 {
        assert_eq!(ask(&cu, past.process, past.messages[slot]).await, past.outcomes[slot], "slot {slot}");
    }
    assert_eq!(all_results(&cu, past.process).await.items.len(), 9);
    // The next start goes on from the disk, and reads nothing again.
    cu.stop().await;
    let cu = past.world.open().await;
    assert_eq!(past.last(&cu).await, past.outcomes[30]);
    let next = past.world.send(past.process, "Add").await;
    assert_eq!(ask(&cu, past.process, next).await, "31");
    let counters = cu.counters();
    assert_eq!((counters.revived, counters.passed, counters.evaluated, counters.replayed), (0, 0, 1, 0));
}

#[tokio::test]
async fn outcomes_from_before_a_checkpoint_come_of_the_log_and_are_kept() {
    let mut past = Past::new().await;
    let cu = past.fresh().await;
    past.last(&cu).await;
    let asked = [7, 7, 3, 20, 0, 12].map(|slot| (slot, past.messages[slot]));
    for (slot, message) in asked {
        assert_eq!(ask(&cu, past.process, message).await, past.outcomes[slot], "slot {slot}");
    }
    // To slot 7, then to slot 20; nothing of it is evaluated for the first time.
    assert_eq!((cu.counters().replayed, cu.counters().evaluated), (8 + 21, 10));
    assert_eq!(all_results(&cu, past.process).await.items.len(), 30, "all but the one that repeats another");
    let at = cu.dry_run(past.process, dry("Add"), Some(past.messages[4])).await.unwrap();
    assert_eq!(at.output.get(), "\"6\"");
    cu.stop().await;
    let cu = past.world.open().await;
    assert_eq!(ask(&cu, past.process, past.messages[9]).await, past.outcomes[9]);
    assert_eq!(cu.counters().replayed, 0);
}

#[tokio::test]
async fn many_who_ask_at_once_start_it_once() {
    let mut past = Past::new().await;
    let cu = past.fresh().await;
    let asks = (0..=30).rev().map(|slot| ask(&cu, past.process, past.messages[slot]));
    let mut outcomes = futures::future::join_all(asks).await;
    outcomes.reverse();
    assert_eq!(outcomes, past.outcomes);
    assert!(cu.counters().revived <= 1);
}

#[tokio::test]
async fn without_a_history_nothing_is_attested() {
    let mut past = Past::new().await;
    let cu = past.fresh().await;
    past.last(&cu).await;
    let error = cu.attest(past.process, Evaluation::Message(past.messages[30]), false).await.unwrap_err();
    assert_eq!(error.code, unit::Code::NOT_EVALUATED);
    assert!(error.what.contains("from a checkpoint after slot 20"), "{error}");
    assert_eq!(cu.history(past.process, 0, 10).await.unwrap().size, 0);
}

#[tokio::test]
async fn a_lost_disk_but_for_the_log_costs_what_came_after_the_checkpoint() {
    let mut past = Past::new().await;
    past.world.blobs = Arc::new(MemoryBlobs::new());
    let cu = past.world.open().await;
    let next = past.world.send(past.process, "Add").await;
    assert_eq!(ask(&cu, past.process, next).await, "31");
    let counters = cu.counters();
    assert_eq!((counters.revived, counters.passed), (1, 0), "who repeats whom is known");
    assert_eq!((counters.evaluated, counters.replayed), (1, 10));
    cu.attest(past.process, Evaluation::Message(next), false).await.unwrap();
}

#[tokio::test]
async fn only_trusted_owners_are_believed() {
    let stranger = Wallet::ed25519_from_seed([44; 32]);
    let past = Past::new().await;
    past.forge(&stranger, |_, data| *data = gzip(b"{\"count\":1000,\"log\":[]}")).await;
    past.refuses(0).await;

    // Whoever is trusted is, even with what nobody can see is a lie.
    let mut past = Past::new().await;
    past.forge(&stranger, |says, data| {
        let plain = br#"{"count":1000,"log":[]}"#;
        says.sha256 = sha256(plain);
        *data = gzip(plain);
    })
    .await;
    past.world.options.checkpoints.trusted_owners = vec![stranger.address()];
    let cu = past.fresh().await;
    assert_eq!(past.last(&cu).await, "1009");
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).into()
}

#[tokio::test]
async fn a_flipped_byte_is_refused() {
    let past = Past::new().await;
    let length = past.item().await.data.len();
    for at in [0, 3, 12, length / 2, length - 9, length - 1] {
        let past = Past::new().await;
        // Signed all the same: only its digest, or gzip's own, tells.
        past.forge(&unit_wallet(), |_, data| data[at] ^= if at == 3 { 0x20 } else { 0x11 }).await;
        past.refuses(1).await;
        // The gateway flips it: it is not what was signed.
        let past = Past::new().await;
        let mut item = past.item().await;
        let mut data = item.data.to_vec();
        data[at] ^= 1;
        item.data = Bytes::from(data);
        past.world.weave.put(item);
        past.refuses(1).await;
    }
}

#[tokio::test]
async fn a_bomb_is_refused() {
    let past = Past::new().await;
    // Limited to 1 MB, like all of its module.
    let plain = vec![b' '; 64 << 20];
    past.forge(&unit_wallet(), |says, data| {
        says.sha256 = sha256(&plain);
        *data = gzip(&plain);
    })
    .await;
    past.refuses(1).await;
}

#[tokio::test]
async fn what_the_schedule_does_not_say_is_refused() {
    type Change = fn(&mut Checkpoint);
    let lies: [(&str, Change); 10] = [
        ("the module", |says| says.module = Id([1; 32]).into()),
        ("the slot", |says| (says.slot, says.ordinate) = (Slot(19), "19".to_owned())),
        ("the slot alone", |says| {
            (says.slot, says.ordinate) = (Slot(19), "19".to_owned());
            (says.assignment, says.hash_chain) = (None, None);
        }),
        ("the ordinate", |says| says.ordinate = "19".to_owned()),
        ("the assignment", |says| says.assignment = Some(Id([1; 32]))),
        ("the hash chain", |says| says.hash_chain = Some(HashChain([1; 32]))),
        ("the epoch", |says| says.epoch = Some(protocol::Epoch(1))),
        ("the timestamp", |says| says.timestamp = Timestamp(says.timestamp.0 + 1)),
        ("the height", |says| says.block_height = Height(says.block_height.0 + 1)),
        ("a cron", |says| says.cron = Some("0-1-second".to_owned())),
    ];
    for (_what, lie) in lies {
        let past = Past::new().await;
        past.forge(&unit_wallet(), |says, _| lie(says)).await;
        past.refuses(1).await;
    }
    // What is beyond what is asked for is not looked at.
    let past = Past::new().await;
    past.forge(&unit_wallet(), |says, _| (says.slot, says.ordinate) = (Slot(99), "99".to_owned())).await;
    past.refuses(0).await;
}

#[tokio::test]
async fn as_little_as_the_incumbent_may_say_is_enough() {
    let mut past = Past::new().await;
    past.forge(&unit_wallet(), |says, _| {
        (says.assignment, says.hash_chain, says.epoch) = (None, None, None);
    })
    .await;
    let cu = past.fresh().await;
    assert_eq!(past.last(&cu).await, past.outcomes[30]);
    assert_eq!(cu.counters().revived, 1);
}

#[tokio::test]
async fn the_next_candidate_is_tried() {
    let mut past = Past::new().await;
    let good = past.item().await;
    past.forge(&unit_wallet(), |_, data| data.truncate(20)).await;
    past.world.weave.put(good);
    // An older one does as well, and is not taken.
    let cu = past.fresh().await;
    assert_eq!(past.last(&cu).await, past.outcomes[30]);
    let counters = cu.counters();
    assert_eq!(counters.revived, 1);
    assert!(counters.checkpoints_refused <= 1, "whichever of the two is first");
}

#[tokio::test]
async fn who_does_not_want_one_evaluates_everything() {
    let mut past = Past::new().await;
    past.world.options.checkpoints.start = false;
    past.refuses(0).await;
    let mut past = Past::new().await;
    past.world.options.checkpoints.look_beyond = 64;
    past.refuses(0).await;
}

#[tokio::test]
async fn a_schedule_that_is_not_signed_is_not_passed_over() {
    let mut past = Past::new().await;
    (past.world.store, past.world.blobs) = (Arc::new(MemoryStore::new()), Arc::new(MemoryBlobs::new()));
    let elsewhere = Arc::clone(&past.world.scheduler) as Arc<dyn Scheduler>;
    let cu = past.world.open_believing(elsewhere, None).await;
    assert_eq!(past.last(&cu).await, past.outcomes[30]);
    assert_eq!((cu.counters().revived, cu.counters().evaluated), (1, 10));
}

#[tokio::test]
async fn a_checkpoint_is_published_once_and_says_what_the_incumbents_says() {
    let past = Past::new().await;
    let tags: Tags = past.item().await.tags;
    let names: Vec<&str> = tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(
        names.join(" "),
        "Data-Protocol Variant Type Module Process Nonce Timestamp Block-Height Content-Type SHA-256 \
         Content-Encoding Unit-Identifier Ordinate Assignment Hash-Chain Epoch"
    );
    assert_eq!(tags.first("Module"), Some(MODULE.to_string().as_str()));
    let cu = past.world.open().await;
    let first = cu.publish_checkpoint(past.process).await.unwrap();
    let again = cu.publish_checkpoint(past.process).await.unwrap();
    assert_eq!((first.slot, first.is_new, again.is_new), (Slot(30), true, false));
    assert_eq!((first.id, first.sha256), (again.id, again.sha256));
    assert_eq!(cu.counters().checkpoints_published, 1);
}

async fn published(world: &World, process: ProcessId) -> Vec<u64> {
    let process = process.to_string();
    let query = Query::tagged([("Type", "Checkpoint"), ("Process", process.as_str())]);
    let found = world.weave.query(query).await.unwrap().items;
    found.iter().map(|found| Checkpoint::try_from(&*found.item).unwrap().slot.0).collect()
}

#[tokio::test]
async fn memories_are_published_by_gas_and_at_the_end_if_that_is_wanted() {
    for (publish, on_stop, expected) in
        [(false, true, vec![]), (true, false, vec![4]), (true, true, vec![4, 9])]
    {
        let mut world = World::new();
        // Each message has a gas of 10 here, and the clock goes on by 1 ms.
        let gas = 50;
        world.options.checkpoints =
            CheckpointOptions { publish, on_stop, gas, pause_ms: 1 << 40, ..CheckpointOptions::default() };
        let process = world.spawn(&[]).await;
        let cu = world.open().await;
        assert_eq!(ask(&cu, process, process.into()).await, "1");
        for _ in 1..10 {
            let message = world.send(process, "Add").await;
            ask(&cu, process, message).await;
        }
        // A unit that stops waits for what is being published.
        cu.stop().await;
        assert_eq!(published(&world, process).await, expected);
    }
}

#[tokio::test]
async fn a_weave_that_does_not_answer_costs_a_checkpoint_and_no_outcome() {
    let mut world = World::new();
    world.options.checkpoints =
        CheckpointOptions { publish: true, gas: 1, pause_ms: 0, on_demand: true, ..Default::default() };
    world.weave.fail_uploads(1 << 30);
    let process = world.spawn(&[]).await;
    let cu = world.open().await;
    let message = world.send(process, "Add").await;
    assert_eq!(ask(&cu, process, message).await, "2");
    let error = cu.publish_checkpoint(process).await.unwrap_err();
    assert!(error.kind.is_transient(), "{error}");
    cu.stop().await;
    assert!(cu.counters().checkpoints_failed > 0);
    assert_eq!(published(&world, process).await, Vec::<u64>::new());
}

#[tokio::test]
async fn a_checkpoint_after_a_tick_says_which_and_is_gone_on_from() {
    let mut world = World::new();
    world.options.checkpoints =
        CheckpointOptions { look_beyond: 0, on_demand: true, ..CheckpointOptions::default() };
    world.options.cron_lag_ms = 0;
    let process = world.spawn(&[("Cron-Interval", "2-seconds"), ("Cron-Tag-Action", "Tick")]).await;
    let first = world.send(process, "Add").await;
    let cu = world.open().await;
    world.clock.advance(7_000);
    let ticks = cu.cron(process, unit::OutcomeQuery { limit: 100, ..Default::default() }).await.unwrap();
    assert_eq!(ticks.items.len(), 3);
    let published = cu.publish_checkpoint(process).await.unwrap();
    assert_eq!((published.slot, published.cron.as_deref()), (Slot(1), Some("0-2-seconds")));
    world.clock.advance(5_000);
    let second = world.send(process, "Add").await;
    let expected = ask(&cu, process, second).await;
    assert_eq!(expected, "9", "three messages, six ticks");
    let all = all_results(&cu, process).await.items;
    cu.stop().await;

    let cu = world.open_fresh().await;
    assert_eq!(ask(&cu, process, second).await, expected);
    let counters = cu.counters();
    assert_eq!((counters.revived, counters.evaluated, counters.ticks), (1, 1, 3));
    ask(&cu, process, first).await;
    let here = all_results(&cu, process).await.items;
    // What ticked between slot 1 and the checkpoint is in no log but the checkpoint's.
    assert_eq!((all.len(), here.len()), (9, 6));
    assert!(here.iter().all(|one| all.contains(one)));
}
