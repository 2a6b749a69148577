//! What every weave must pass, here or behind a network.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{DataItem, Draft, Height, Id, Tags, Wallet};

use crate::{Arweave, Kind, Page, Query, Sort, TagFilter, Weave};

/// A fresh weave, and the node that makes its blocks: the same, or at the other end of a network.
pub struct WeaveGround {
    /// Under test. Nothing is on it.
    pub weave: Arc<dyn Weave>,
    /// Makes a block when asked, and never by itself.
    pub node: Arc<dyn Arweave>,
}

/// Everything that a [`Weave`] promises.
pub async fn weave(fresh: impl AsyncFn() -> WeaveGround) {
    an_item_is_there_at_once_and_in_a_block_later(fresh().await).await;
    a_forged_item_is_refused(fresh().await).await;
    what_is_not_there_is_not_found(fresh().await).await;
    filters_choose(fresh().await).await;
    pages_join(fresh().await).await;
    blocks_are_listed(fresh().await).await;
    wallets_are_known_by_what_they_did(fresh().await).await;
}

fn wallet(seed: u8) -> Wallet {
    Wallet::ed25519_from_seed([seed; 32])
}

fn item(seed: u8, target: Option<Id>, tags: &[(&str, &str)], data: &'static str) -> DataItem {
    let tags: Tags = tags.iter().copied().collect();
    let anchor = Some([seed; 32]);
    let draft = Draft { target, anchor, tags, data: Bytes::from_static(data.as_bytes()) };
    DataItem::sign(&wallet(seed), draft).expect("a small draft can be signed")
}

async fn an_item_is_there_at_once_and_in_a_block_later(ground: WeaveGround) {
    let WeaveGround { weave, node } = ground;
    let sent =
        item(1, Some(Id([9; 32])), &[("Type", "Message"), ("Type", "Again"), ("Empty", "")], "what it says");
    weave.upload(sent.clone()).await.expect("an item is taken in");
    weave.upload(sent.clone()).await.expect("and taken in again");
    let found = weave.get(sent.id).await.expect("it is there");
    assert_eq!(&*found.item, sent.item());
    assert_eq!((found.base_layer, found.block), (false, None));
    assert_eq!(weave.confirmations(sent.id).await.expect("it is known"), None);
    node.mine(3).await.expect("blocks are made");
    let block = weave.get(sent.id).await.expect("it is there").block.expect("it is in a block");
    assert_eq!(block.height, Height(1));
    assert_eq!(weave.confirmations(sent.id).await.expect("it is known"), Some(2));
    let page = weave.query(Query::tagged([("Type", "Again")])).await.expect("a query is answered");
    assert_eq!(ids(&page), [sent.id]);
    assert!(page.items[0].item.data.is_empty(), "a query gives no data");
}

async fn a_forged_item_is_refused(ground: WeaveGround) {
    let mut bytes = item(1, None, &[], "honest").bytes().to_vec();
    *bytes.last_mut().expect("it has bytes") ^= 1;
    let forged = DataItem::parse(bytes.into()).expect("it can be read");
    let error = ground.weave.upload(forged.clone()).await.expect_err("it is forged");
    assert_eq!(error.kind, Kind::Invalid);
    assert_eq!(ground.weave.get(forged.id).await.expect_err("it is not there").kind, Kind::NotFound);
}

async fn what_is_not_there_is_not_found(ground: WeaveGround) {
    let id = Id([7; 32]);
    assert_eq!(ground.weave.get(id).await.expect_err("nothing is there").kind, Kind::NotFound);
    assert_eq!(ground.weave.confirmations(id).await.expect_err("nothing is there").kind, Kind::NotFound);
    let page = ground.weave.query(Query { ids: vec![id], limit: 10, ..Query::default() }).await;
    assert_eq!(ids(&page.expect("a query is answered")), []);
}

async fn filters_choose(ground: WeaveGround) {
    let weave = ground.weave;
    let target = Id([5; 32]);
    let sent = [
        item(1, None, &[("Unit", "a"), ("Parity", "odd")], "a"),
        item(2, Some(target), &[("Unit", "b"), ("Parity", "even")], "b"),
        item(1, Some(target), &[("Unit", "c"), ("Parity", "odd")], "c"),
    ];
    for item in &sent {
        weave.upload(item.clone()).await.expect("an item is taken in");
    }
    let check = async |query: Query, expected: &[usize]| {
        let query = Query { sort: Sort::Ascending, limit: 10, ..query };
        let page = weave.query(query.clone()).await.expect("a query is answered");
        let expected: Vec<Id> = expected.iter().map(|index| sent[*index].id).collect();
        assert_eq!(ids(&page), expected, "{query:?}");
    };
    let tag = |name: &str, values: &[&str], negated| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        TagFilter { name: name.to_owned(), values, negated }
    };
    let tags = |tags: Vec<TagFilter>| Query { tags, ..Query::default() };
    check(tags(vec![tag("Unit", &["a", "b"], false)]), &[0, 1]).await;
    check(tags(vec![tag("Unit", &["a", "b"], false), tag("Parity", &["odd"], false)]), &[0]).await;
    check(tags(vec![tag("Parity", &["odd"], true)]), &[1]).await;
    check(tags(vec![tag("unit", &["a"], false)]), &[]).await;
    check(Query { owners: vec![wallet(1).address()], ..Query::default() }, &[0, 2]).await;
    check(Query { recipients: vec![target], ..Query::default() }, &[1, 2]).await;
    check(Query { owners: vec![wallet(1).address()], recipients: vec![target], ..Query::default() }, &[2])
        .await;
    check(Query { ids: vec![sent[2].id, sent[0].id], ..Query::default() }, &[0, 2]).await;
}

async fn pages_join(ground: WeaveGround) {
    let WeaveGround { weave, node } = ground;
    let data = ["0", "1", "2", "3", "4", "5", "6"];
    let mut sent = Vec::new();
    for (i, data) in data.into_iter().enumerate() {
        let item = item(1, None, &[("App", "pages")], data);
        weave.upload(item.clone()).await.expect("an item is taken in");
        sent.push(item.id);
        if i == 3 {
            node.mine(1).await.expect("a block is made");
        }
    }
    for sort in [Sort::Ascending, Sort::Descending] {
        let mut found = Vec::new();
        let mut query = Query { sort, limit: 3, ..Query::tagged([("App", "pages")]) };
        loop {
            let page = weave.query(query.clone()).await.expect("a query is answered");
            found.extend(ids(&page));
            if !page.has_next {
                break;
            }
            query.after = page.items.last().map(|last| last.cursor.clone());
        }
        if sort == Sort::Descending {
            found.reverse();
        }
        assert_eq!(found, sent);
    }
}

async fn blocks_are_listed(ground: WeaveGround) {
    let WeaveGround { weave, node } = ground;
    node.mine(5).await.expect("blocks are made");
    let tip = weave.tip().await.expect("there is a newest block");
    assert_eq!(tip.height, Height(5));
    let blocks = weave.blocks(Height(2), 2).await.expect("blocks are listed");
    let heights: Vec<Height> = blocks.iter().map(|block| block.height).collect();
    assert_eq!(heights, [Height(2), Height(3)]);
    let rest = weave.blocks(Height(5), 10).await.expect("blocks are listed");
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].timestamp, tip.timestamp);
    assert_eq!(weave.blocks(Height(6), 10).await.expect("none is no error"), []);
}

async fn wallets_are_known_by_what_they_did(ground: WeaveGround) {
    let WeaveGround { weave, node } = ground;
    let knows =
        async |seed| weave.knows_wallet(wallet(seed).address()).await.expect("wallets can be asked for");
    assert!(!knows(1).await);
    weave.upload(item(1, None, &[], "signed")).await.expect("an item is taken in");
    node.mint(wallet(2).address(), 1).await.expect("a wallet is given something");
    assert!(knows(1).await);
    assert!(knows(2).await);
    assert!(!knows(3).await);
}

fn ids(page: &Page<crate::Found>) -> Vec<Id> {
    page.items.iter().map(|found| found.item.id).collect()
}
