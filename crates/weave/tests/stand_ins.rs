//! Ids and addresses that answer with something else, because whoever runs the weave says so.

mod common;

use std::sync::Arc;

use common::{ascending, find, item, manual, over, wallet, weave};
use protocol::{Address, Id};
use store::MemoryStore;
use unit::{Arweave as _, Kind, Query, Weave as _};

const CHOSEN: Id = Id([7; 32]);

#[tokio::test]
async fn an_item_answers_under_the_id_that_it_stands_in_for() {
    let weave = weave().await;
    let real = item(1, &[("Type", "Module")], "program");
    weave.upload(real.clone()).await.unwrap();
    assert_eq!(weave.get(CHOSEN).await.unwrap_err().kind, Kind::NotFound);
    weave.stand_in(CHOSEN, real.id).await.unwrap();
    weave.mine(1).await.unwrap();

    let found = weave.get(CHOSEN).await.unwrap();
    assert_eq!((found.item.id, &found.item.data[..]), (CHOSEN, &b"program"[..]));
    assert_eq!(weave.data(CHOSEN, 0..4).await.unwrap(), "prog");
    assert_eq!(weave.confirmations(CHOSEN).await.unwrap(), Some(0));
    let by_id = Query { ids: vec![CHOSEN], ..ascending(Query::tagged([("Type", "Module")])) };
    let page = weave.query(by_id).await.unwrap();
    assert_eq!(page.items.iter().map(|found| found.item.id).collect::<Vec<_>>(), [CHOSEN]);
    // Where nobody asks for that id, the item is what it is, once.
    let page = weave.query(ascending(Query::tagged([("Type", "Module")]))).await.unwrap();
    assert_eq!(page.items.iter().map(|found| found.item.id).collect::<Vec<_>>(), [real.id]);
}

#[tokio::test]
async fn an_item_that_really_has_the_id_wins() {
    let weave = weave().await;
    let (real, other) = (item(1, &[], "really"), item(1, &[], "instead"));
    weave.upload(other.clone()).await.unwrap();
    weave.stand_in(real.id, other.id).await.unwrap();
    assert_eq!(weave.get(real.id).await.unwrap().item.data, "instead");
    weave.upload(real.clone()).await.unwrap();
    assert_eq!(weave.get(real.id).await.unwrap().item.data, "really");
}

#[tokio::test]
async fn who_asks_for_an_owner_also_gets_what_its_stand_in_signed() {
    let weave = weave().await;
    let (named, ours) = (Address(CHOSEN), wallet(1).address());
    weave.upload(item(1, &[], "ours")).await.unwrap();
    weave.upload(item(2, &[], "of others")).await.unwrap();
    let query = Query { owners: vec![named], ..ascending(Query::default()) };
    assert!(find(&weave, query.clone()).await.is_empty());
    weave.stand_in_owner(named, ours).await.unwrap();
    assert_eq!(find(&weave, query).await, ["ours"]);
    assert_eq!(weave.stand_ins_of(ours).await.unwrap(), [named]);
    assert!(weave.stand_ins_of(named).await.unwrap().is_empty());
}

#[tokio::test]
async fn stand_ins_are_there_after_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let real = item(1, &[], "kept");
    {
        let weave = over(store.clone(), manual()).await;
        weave.upload(real.clone()).await.unwrap();
        weave.stand_in(CHOSEN, real.id).await.unwrap();
        weave.stand_in_owner(Address(CHOSEN), wallet(1).address()).await.unwrap();
        weave.stop().await;
    }
    let weave = over(store, manual()).await;
    assert_eq!(weave.get(CHOSEN).await.unwrap().item.data, "kept");
    assert_eq!(weave.stand_ins_of(wallet(1).address()).await.unwrap(), [Address(CHOSEN)]);
}
