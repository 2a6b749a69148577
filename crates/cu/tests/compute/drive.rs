//! What a process may read of the weave, and that the same evaluation always reads the same.

use std::sync::Arc;

use protocol::{Draft, Id, ProcessId, Wallet};
use unit::Compute;
use unit::fakes::FakeWeave;

use crate::world::{World, ask, dry, item, module, output};

const DATA: Id = Id([33; 32]);

/// A process that has the extension, and believes the attestor.
async fn extended(world: &World) -> ProcessId {
    let attestor = attestor().address().to_string();
    world.spawn(&[("Extension", "WeaveDrive"), ("Attestor", &attestor)]).await
}

fn attestor() -> Wallet {
    Wallet::ed25519_from_seed([5; 32])
}

/// Puts data on the weave, and what `by` says of it, in the block at that height.
fn put(weave: &FakeWeave, by: &Wallet, tags: &[(&str, &str)], height: u64) {
    weave.put(item(DATA, &[], "the data"));
    let draft = Draft { tags: tags.iter().copied().collect(), ..Draft::default() };
    let said = protocol::DataItem::sign(by, draft).unwrap();
    weave.put_at(said.item().clone(), height);
}

fn attest(weave: &FakeWeave, by: &Wallet, height: u64) {
    let id = DATA.to_string();
    put(weave, by, &[("Data-Protocol", "ao"), ("Type", "Attestation"), ("Message", &id)], height);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_attestor_said_by_the_height_of_the_message_is_read() {
    let path = format!("/data/{DATA}");
    for (by, height, expected) in [
        (attestor(), 5, "the data"),
        (attestor(), 6, "not available"),
        (Wallet::ed25519_from_seed([6; 32]), 5, "not available"),
    ] {
        let world = World::new();
        attest(&world.weave, &by, height);
        let cu = world.open().await;
        let process = extended(&world).await;
        let message = world.send(process, &path).await;
        assert_eq!(ask(&cu, process, message).await, expected, "at height {height}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_extension_there_is_no_drive_and_a_mode_of_no_meaning_fails() {
    let world = World::new();
    let cu = world.open().await;
    let plain = world.spawn(&[]).await;
    let path = format!("/data/{DATA}");
    let message = world.send(plain, &path).await;
    assert_eq!(ask(&cu, plain, message).await, "no drive");
    for (mode, why) in [("Library", "is not supported"), ("Anything", "is not known")] {
        let process = world.spawn(&[("Extension", "WeaveDrive"), ("Availability-Type", mode)]).await;
        let message = world.send(process, &path).await;
        let said = ask(&cu, process, message).await;
        assert!(said.starts_with("error") && said.contains(why), "{mode}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weave_that_is_behind_or_has_not_the_data_is_no_answer_and_is_asked_again() {
    let world = World::new();
    let cu = world.open().await;
    let process = extended(&world).await;
    let message = world.send(process, &format!("/data/{DATA}")).await;
    world.weave.set_height(4);
    let said = ask(&cu, process, message).await;
    assert!(said.starts_with("Unavailable") && said.contains("height 4"), "{said}");
    world.weave.set_height(5);
    attest(&world.weave, &attestor(), 5);
    assert_eq!(ask(&cu, process, message).await, "the data");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_available_stays_so_for_that_message() {
    let mut world = World::new();
    let cu = world.open().await;
    let process = extended(&world).await;
    let path = format!("/data/{DATA}");
    let message = world.send(process, &path).await;
    assert_eq!(ask(&cu, process, message).await, "not available");
    cu.stop().await;
    // Another answer of the weave, and no checkpoint: everything is evaluated again.
    attest(&world.weave, &attestor(), 5);
    world.blobs = Arc::default();
    let handled = world.handled();
    let cu = world.open().await;
    let later = world.send(process, &path).await;
    assert_eq!(ask(&cu, process, later).await, "the data");
    assert_eq!(world.handled() - handled, 3);
    assert_eq!(ask(&cu, process, message).await, "not available");
    // A dry run asks each time.
    assert_eq!(output(&cu.dry_run(process, dry(&path), Some(message)).await.unwrap()), "the data");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_boots_from_needs_nobodys_word() {
    let world = World::new();
    world.weave.put(item(DATA, &[], "the data"));
    world.weave.put(module(protocol::ModuleId(Id([90; 32])), &[]));
    let cu = world.open().await;
    let id = DATA.to_string();
    let process = world.spawn(&[("Extension", "WeaveDrive"), ("On-Boot", &id)]).await;
    let message = world.send(process, &format!("/data/{DATA}")).await;
    assert_eq!(ask(&cu, process, message).await, "the data");
}
