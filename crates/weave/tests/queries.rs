//! Queries: filters, order and pages.

mod common;

use std::sync::Arc;

use common::{ascending, draft, find, item, manual, over, rich, tx_tags, wallet, weave};
use pirn_weave::{EmbeddedWeave, Options};
use protocol::{DataItem, Draft, Height, Id, Tags, Transaction};
use store::MemoryStore;
use unit::{Arweave, Kind, Query, Sort, TagFilter, Weave};

/// Items a, b, c in block 1, d and e in block 2, f in none.
async fn six() -> Arc<EmbeddedWeave> {
    let weave = weave().await;
    let tags = |unit, parity| [("Unit", unit), ("Parity", parity), ("App", "test"), ("App", "twice")];
    for (i, name) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
        let parity = if i % 2 == 0 { "even" } else { "odd" };
        weave.upload(item(1 + i as u8 % 3, &tags(name, parity), name)).await.unwrap();
        if name == "c" || name == "e" {
            weave.mine(1).await.unwrap();
        }
    }
    weave
}

fn tag(name: &str, values: &[&str], negated: bool) -> TagFilter {
    TagFilter {
        name: name.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        negated,
    }
}

#[track_caller]
fn expect(found: Vec<String>, expected: &str) {
    let expected: Vec<String> = expected.split_whitespace().map(str::to_owned).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn tag_filters_must_all_hold_and_one_of_their_values_each() {
    let weave = six().await;
    let by = |tags: Vec<TagFilter>| {
        let weave = weave.clone();
        async move { find(&weave, ascending(Query { tags, ..Query::default() })).await }
    };
    expect(by(vec![tag("Parity", &["even"], false)]).await, "a c e");
    expect(by(vec![tag("Unit", &["a", "f", "d", "x"], false)]).await, "a d f");
    expect(by(vec![tag("Parity", &["odd"], false), tag("Unit", &["a", "b", "f"], false)]).await, "b f");
    expect(by(vec![tag("Parity", &["odd"], false), tag("Unit", &["a"], false)]).await, "");
    expect(by(vec![tag("App", &["twice"], false)]).await, "a b c d e f");
    expect(by(vec![tag("App", &["test"], false), tag("Unit", &["c"], true)]).await, "a b d e f");
    expect(by(vec![tag("App", &["test"], false), tag("Parity", &["even"], true)]).await, "b d f");
    expect(by(vec![tag("unit", &["a"], false)]).await, "");
    expect(by(vec![tag("Unit", &["A"], false)]).await, "");
    expect(by(vec![tag("Unit", &[], false)]).await, "");
}

#[tokio::test]
async fn patterns_narrow_what_else_is_asked_for() {
    let weave = six().await;
    let by = |tags: Vec<TagFilter>, patterns: Vec<TagFilter>| {
        let weave = weave.clone();
        async move { find(&weave, ascending(Query { tags, patterns, ..Query::default() })).await }
    };
    expect(by(vec![], vec![tag("Parity", &["e*n"], false)]).await, "a c e");
    expect(by(vec![], vec![tag("Parity", &["*d", "ev?n"], false)]).await, "b d f");
    expect(by(vec![tag("Parity", &["odd"], false)], vec![tag("App", &["tw*"], false)]).await, "b d f");
    expect(by(vec![tag("App", &["test"], false)], vec![tag("App", &["tw*"], true)]).await, "");
    expect(by(vec![], vec![tag("Nothing", &["*"], false)]).await, "");
    expect(by(vec![tag("App", &["test"], false)], vec![tag("Nothing", &["*"], true)]).await, "a b c d e f");
    expect(by(vec![], vec![tag("Unit", &[], false)]).await, "");
    expect(by(vec![tag("Unit", &["*"], false)], vec![]).await, "");
}

#[tokio::test]
async fn owners_recipients_and_ids_are_alternatives_within_and_conditions_between() {
    let weave = six().await;
    let target = Id([5; 32]);
    let tags: Tags = [("Unit", "t")].into_iter().collect();
    let draft = Draft { target: Some(target), tags, data: "t".into(), ..Draft::default() };
    let sent = DataItem::sign(&wallet(1), draft).unwrap();
    weave.upload(sent.clone()).await.unwrap();
    let owned = |seeds: &[u8]| Query {
        owners: seeds.iter().map(|seed| wallet(*seed).address()).collect(),
        tags: vec![tag("Unit", &["a", "b", "c", "d", "e", "f", "t"], false)],
        ..Query::default()
    };
    expect(find(&weave, ascending(owned(&[1]))).await, "a d t");
    expect(find(&weave, ascending(owned(&[2, 3, 9]))).await, "b c e f");
    expect(find(&weave, ascending(Query { recipients: vec![target], ..owned(&[1]) })).await, "t");
    expect(find(&weave, ascending(Query { recipients: vec![target], ..owned(&[2]) })).await, "");
    let by_id = Query { ids: vec![sent.id, Id([1; 32]), sent.id], ..Query::default() };
    expect(find(&weave, ascending(by_id.clone())).await, "t");
    expect(find(&weave, ascending(Query { owners: vec![wallet(2).address()], ..by_id })).await, "");
}

#[tokio::test]
async fn the_newest_come_first_and_what_waits_for_a_block_is_newest() {
    let weave = six().await;
    let all = Query { limit: 10, ..Query::tagged([("App", "test")]) };
    expect(find(&weave, Query { sort: Sort::Descending, ..all.clone() }).await, "f e d c b a");
    expect(find(&weave, Query { sort: Sort::Ascending, ..all }).await, "a b c d e f");
}

#[tokio::test]
async fn a_range_of_blocks_leaves_out_what_waits_for_one() {
    let weave = six().await;
    let within = |min: Option<u64>, max: Option<u64>| {
        let weave = weave.clone();
        async move {
            let (block_min, block_max) = (min.map(Height), max.map(Height));
            find(&weave, ascending(Query { block_min, block_max, ..Query::tagged([("App", "test")]) })).await
        }
    };
    expect(within(Some(1), Some(1)).await, "a b c");
    expect(within(Some(2), None).await, "d e");
    expect(within(Some(0), Some(99)).await, "a b c d e");
    expect(within(None, Some(1)).await, "a b c");
    expect(within(Some(3), None).await, "");
    expect(within(Some(2), Some(1)).await, "");
}

#[tokio::test]
async fn pages_join_without_gap_or_repetition_while_the_weave_grows() {
    for sort in [Sort::Ascending, Sort::Descending] {
        let weave = six().await;
        let mut query = Query { limit: 4, sort, ..Query::tagged([("App", "test")]) };
        let first = weave.query(query.clone()).await.unwrap();
        assert!(first.has_next);
        weave.upload(item(9, &[("App", "test")], "late")).await.unwrap();
        weave.mine(1).await.unwrap();
        query.after = Some(first.items.last().unwrap().cursor.clone());
        let second = find(&weave, query.clone()).await;
        match sort {
            Sort::Ascending => expect(second, "e f late"),
            Sort::Descending => expect(second, "b a"),
        }
        // An id serves as well as a cursor.
        query.after = Some(first.items.last().unwrap().item.id.to_string());
        assert_eq!(find(&weave, query.clone()).await.len(), if sort == Sort::Ascending { 3 } else { 2 });
        for garbage in ["garbage", "", "AAAA", &Id([0; 32]).to_string()] {
            query.after = Some(garbage.to_owned());
            let error = weave.query(query.clone()).await.unwrap_err();
            assert_eq!((error.kind, &*error.what), (Kind::Invalid, "invalid cursor"), "{garbage:?}");
        }
    }
}

#[tokio::test]
async fn a_page_says_exactly_whether_there_is_more() {
    let weave = six().await;
    for (limit, more) in [(0, true), (5, true), (6, false), (100, false)] {
        let page = weave.query(Query { limit, ..Query::tagged([("App", "test")]) }).await.unwrap();
        assert_eq!((page.items.len(), page.has_next), (limit.min(6), more));
    }
}

#[tokio::test]
async fn a_rare_tag_is_found_among_many_with_few_steps() {
    let options = Options { query_steps_max: 200, ..manual() };
    let weave = over(Arc::new(MemoryStore::new()), options).await;
    for i in 0..500 {
        let rare = if i == 250 { "yes" } else { "no" };
        weave.upload(item(1, &[("App", "test"), ("Rare", rare)], format!("{i}"))).await.unwrap();
    }
    let query = Query::tagged([("App", "test"), ("Rare", "yes")]);
    expect(find(&weave, query).await, "250");
    let broad =
        Query { tags: vec![tag("App", &["test"], false), tag("Rare", &["yes"], true)], ..Query::default() };
    let error = weave.query(Query { limit: 1000, ..broad }).await.unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.hint.is_some());
}

#[tokio::test]
async fn what_is_rare_again_and_again_is_found_without_reading_what_lies_between() {
    let options = Options { query_steps_max: 1000, ..manual() };
    let weave = over(Arc::new(MemoryStore::new()), options).await;
    for i in 0..2000 {
        let rare = if i % 100 == 0 { "yes" } else { "no" };
        weave.upload(item(1, &[("App", "test"), ("Rare", rare)], format!("{i}"))).await.unwrap();
    }
    let query = Query::tagged([("App", "test"), ("Rare", "yes")]);
    let page = weave.query(Query { limit: 1000, ..query }).await.unwrap();
    assert_eq!((page.items.len(), page.has_next), (20, false));
}

#[tokio::test]
async fn a_query_with_too_many_terms_is_refused() {
    let weave = weave().await;
    let query = Query { ids: vec![Id([1; 32]); 1001], ..Query::default() };
    assert_eq!(weave.query(query).await.unwrap_err().kind, Kind::TooLarge);
}

#[tokio::test]
async fn transactions_are_found_as_items_are_and_say_what_they_paid() {
    let weave = weave().await;
    let tx = Transaction { tags: tx_tags(&[("Unit", "tx")]), ..draft(&weave, "data").await };
    let tx = tx.sign(&rich(&weave).await).unwrap();
    weave.post_transaction(tx.clone()).await.unwrap();
    let page = weave.entries(Query::tagged([("Unit", "tx")])).await.unwrap();
    let entry = &page.items[0];
    assert!(entry.found.base_layer);
    assert_eq!(entry.found.item.anchor, tx.last_tx);
    assert_eq!((entry.reward, entry.data_size, entry.bundle), (tx.reward, 4, None));
}
