use protocol::{DataItem, Wallet};

use super::*;

const MINUTE: u64 = 60_000;
const NOW: u64 = 1_708_950_896_789;

fn wallet(seed: u8) -> Wallet {
    Wallet::ed25519_from_seed([seed; 32])
}

/// Scheduler, owner, authority, stranger.
fn scheduler() -> Wallet {
    wallet(1)
}

fn signed(by: &Wallet, target: Option<Id>, tags: &[(&str, &str)]) -> Item {
    let tags = tags.iter().copied().collect();
    DataItem::sign(by, Draft { target, tags, ..Draft::default() }).unwrap().item().clone()
}

fn process(tags: &[(&str, &str)]) -> Item {
    let (scheduler, authority) = (scheduler().address().to_string(), wallet(3).address().to_string());
    let own = [("Type", "Process"), ("Scheduler", scheduler.as_str()), ("Authority", authority.as_str())];
    signed(&wallet(2), None, &[&own, tags].concat())
}

fn table(tags: &[(&str, &str)]) -> Table {
    Table::begin(&process(tags), scheduler().address(), Timestamp(NOW)).unwrap()
}

fn message(table: &Table, by: u8, tags: &[(&str, &str)]) -> Item {
    signed(&wallet(by), Some(table.process.0), &[&[("Type", "Message")], tags].concat())
}

/// Gives all that is due at `now`; the names and moments, counted from the beginning.
fn give(table: &mut Table, now: u64) -> Vec<(String, u64)> {
    let mut given = Vec::new();
    while let Some(due) = table.due(Timestamp(NOW + now)) {
        let tick = DataItem::sign(&scheduler(), due.draft.clone()).unwrap();
        assert!(table.apply(&tick, Slot(9), Timestamp(NOW + now)), "{due:?} is given");
        assert!(!table.apply(&tick, Slot(9), Timestamp(NOW + now)), "once");
        given.push((due.name, due.at.0.wrapping_sub(NOW)));
    }
    given
}

#[track_caller]
fn check(tags: &[(&str, &str)], looks: &[(u64, &[u64])]) {
    let mut table = table(tags);
    assert_eq!(table.refused(), None);
    for (now, expected) in looks {
        let next = table.next(Timestamp(NOW + now)).map(|next| next.0.wrapping_sub(NOW));
        let given: Vec<u64> = give(&mut table, *now).into_iter().map(|(_, at)| at).collect();
        assert_eq!(given, *expected, "at {now}");
        match given.first() {
            Some(first) => assert_eq!(next, Some(*first), "it says when it is to be looked at"),
            None => {
                assert!(next.is_none_or(|next| next > *now), "it says when it is to be looked at: {next:?}")
            }
        }
    }
}

#[test]
fn an_interval_is_due_at_its_moments_and_once_at_each() {
    let five = &[("Tick-Interval", "5-minutes")];
    check(five, &[(0, &[]), (5 * MINUTE - 1, &[]), (5 * MINUTE, &[5 * MINUTE]), (6 * MINUTE, &[])]);
    // A clock that goes back.
    check(
        five,
        &[(5 * MINUTE, &[5 * MINUTE]), (MINUTE, &[]), (5 * MINUTE, &[]), (10 * MINUTE, &[10 * MINUTE])],
    );
}

#[test]
fn what_was_missed_goes_by_the_policy() {
    let with = |missed| [("Tick-Interval", "5-minutes"), ("Tick-Missed", missed)];
    check(&with("once"), &[(28 * MINUTE, &[25 * MINUTE]), (31 * MINUTE, &[30 * MINUTE])]);
    check(
        &with("skip"),
        &[(28 * MINUTE, &[]), (30 * MINUTE + 60_000, &[30 * MINUTE]), (36 * MINUTE + 1, &[])],
    );
    check(&with("all-2"), &[(28 * MINUTE, &[20 * MINUTE, 25 * MINUTE]), (29 * MINUTE, &[])]);
    check(
        &with("all-100"),
        &[
            (28 * MINUTE, &[5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 20 * MINUTE, 25 * MINUTE]),
            (30 * MINUTE, &[30 * MINUTE]),
        ],
    );
    let mut late = table(&with("all-100"));
    assert_eq!(give(&mut late, 5 * MINUTE * 1000).len() as u64, CATCH_UP_MAX);
}

#[test]
fn a_start_an_end_and_a_budget_bound_it() {
    let (start, end) = ((NOW + 90_000).to_string(), (NOW + 210_000).to_string());
    let tags = &[("Tick-Interval", "1-minute"), ("Tick-Start", &start[..]), ("Tick-End", &end[..])];
    let minute = |n: u64| 90_000 + n * MINUTE;
    check(
        tags,
        &[
            (MINUTE, &[]),
            (90_000, &[90_000]),
            (minute(1), &[minute(1)]),
            (minute(9), &[minute(2)]),
            (minute(99), &[]),
        ],
    );
    check(
        &[("Tick-Interval", "1-minute"), ("Tick-Budget", "2"), ("Tick-Missed", "all-9")],
        &[(MINUTE * 3, &[MINUTE, 2 * MINUTE]), (MINUTE * 9, &[])],
    );
    // A start in the past is where intervals are counted from, and gives nothing for what was.
    let past = (NOW - 90_000).to_string();
    check(&[("Tick-Interval", "1-minute"), ("Tick-Start", &past)], &[(0, &[]), (40_000, &[30_000])]);
}

#[test]
fn cron_syntax_is_due_by_the_calendar() {
    // 12:34:56.789: the next quarter of an hour begins 10:03.211 later.
    let at = 10 * MINUTE + 3211;
    check(
        &[("Tick-Cron", "*/15 * * * *")],
        &[(at - 1, &[]), (at, &[at]), (at + 31 * MINUTE, &[at + 30 * MINUTE])],
    );
}

#[test]
fn several_timers_go_by_their_moments_and_names() {
    let mut table = table(&[
        ("Tick-Interval", "2-minutes"),
        ("Tick-Name", "b"),
        ("Tick-Interval", "1-minute"),
        ("Tick-Missed", "all-3"),
        ("Tick-Interval", "2-minutes"),
        ("Tick-Name", "a"),
        ("Tick-Tag-Action", "Sweep"),
        ("Tick-Tag-X", "1"),
    ]);
    let given = give(&mut table, 2 * MINUTE + 5);
    let given: Vec<_> = given.iter().map(|(name, at)| (name.as_str(), *at)).collect();
    assert_eq!(given, [("timer-2", MINUTE), ("a", 2 * MINUTE), ("b", 2 * MINUTE), ("timer-2", 2 * MINUTE)]);
    let due = table.due(Timestamp(NOW + 4 * MINUTE)).unwrap();
    let mut tags: Vec<_> = due.draft.tags.iter().map(|tag| format!("{}={}", tag.name, tag.value)).collect();
    assert_eq!((due.name.as_str(), tags.remove(0).as_str()), ("timer-2", "Data-Protocol=ao"));
    let a = table.timers().iter().find(|timer| timer.name == "a").unwrap();
    let tags: Vec<_> = table
        .draft(a, NOW + 4 * MINUTE)
        .tags
        .iter()
        .map(|tag| format!("{}={}", tag.name, tag.value))
        .collect();
    let (due, last) = (NOW + 4 * MINUTE, NOW + 2 * MINUTE);
    assert_eq!(
        tags,
        [
            "Data-Protocol=ao",
            "Variant=ao.TN.1",
            "Type=Message",
            "Tick-Name=a",
            &format!("Tick-Due={due}"),
            "Tick-Number=2",
            &format!("Tick-Previous={last}"),
            "Action=Sweep",
            "X=1",
        ]
    );
}

#[test]
fn a_process_and_its_owner_change_timers_and_nobody_else() {
    let mut table = table(&[]);
    let own = table.process.to_string();
    let set = [("Action", "Tick-Set"), ("Tick-Interval", "1-minute"), ("Tick-Name", "x")];
    let itself = [&set[..], &[("From-Process", own.as_str())]].concat();
    let other = [&set[..], &[("From-Process", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI")]].concat();
    for (by, tags, works) in [
        (4, &set[..], false),
        (4, &itself[..], false),
        (3, &other[..], false),
        (3, &set[..], false),
        (2, &itself[..], false),
        (2, &set[..], true),
        (3, &itself[..], true),
        (1, &set[..], false),
    ] {
        let item = message(&table, by, tags);
        let mut changed = table.clone();
        assert_eq!(changed.apply(&item, Slot(1), Timestamp(NOW)), works, "{by} {tags:?}");
        assert_eq!(changed.timers().len(), usize::from(works));
    }
    let elsewhere = signed(&wallet(2), Some(Id([9; 32])), &[&[("Type", "Message")], &set[..]].concat());
    assert!(!table.apply(&elsewhere, Slot(1), Timestamp(NOW)), "it is for another process");
    assert!(table.apply(&message(&table, 2, &set), Slot(1), Timestamp(NOW)));
    let cancel = |name| [("Action", "Tick-Cancel"), ("Tick-Name", name)];
    assert!(!table.apply(&message(&table, 4, &cancel("x")), Slot(2), Timestamp(NOW)));
    assert!(!table.apply(&message(&table, 2, &cancel("y")), Slot(2), Timestamp(NOW)));
    assert!(table.apply(&message(&table, 2, &cancel("*")), Slot(2), Timestamp(NOW)));
    assert!(table.timers().is_empty() && table.next(Timestamp(NOW)).is_none());
}

#[test]
fn a_process_that_a_process_spawned_belongs_to_that_one() {
    let spawner = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI";
    let (scheduler, authority) = (scheduler().address().to_string(), wallet(3).address().to_string());
    let tags = [
        ("Type", "Process"),
        ("Scheduler", scheduler.as_str()),
        ("Authority", authority.as_str()),
        ("From-Process", spawner),
        ("Tick-Interval", "1-minute"),
    ];
    let child = signed(&wallet(3), None, &tags);
    let mut table = Table::begin(&child, wallet(1).address(), Timestamp(NOW)).unwrap();
    assert_eq!(give(&mut table, MINUTE).len(), 1, "children have the timers of their tags");
    let cancel = [("Action", "Tick-Cancel"), ("Tick-Name", "*"), ("From-Process", spawner)];
    assert!(!table.clone().apply(&message(&table, 4, &cancel), Slot(1), Timestamp(NOW)));
    assert!(table.apply(&message(&table, 3, &cancel), Slot(1), Timestamp(NOW)));
    // Whoever says so without being an authority owns what he signed himself.
    let forged = signed(&wallet(4), None, &tags);
    let table = Table::begin(&forged, wallet(1).address(), Timestamp(NOW)).unwrap();
    assert_eq!(table.owner, wallet(4).address().0);
}

#[test]
fn a_timer_that_is_set_again_never_repeats_a_moment() {
    let mut table = table(&[("Tick-Interval", "1-minute"), ("Tick-Name", "x")]);
    assert_eq!(give(&mut table, MINUTE).len(), 1);
    let start = NOW.to_string();
    let set =
        [("Action", "Tick-Set"), ("Tick-Interval", "1-minute"), ("Tick-Name", "x"), ("Tick-Start", &start)];
    // Even with a clock that went back in between.
    table.apply(&message(&table, 2, &set), Slot(5), Timestamp(NOW + 5));
    assert_eq!(give(&mut table, MINUTE), []);
    assert_eq!(give(&mut table, 2 * MINUTE).len(), 1);
}

#[test]
fn nobody_forges_a_tick() {
    let table = table(&[("Tick-Interval", "1-minute"), ("Tick-Name", "x")]);
    let due = (NOW + MINUTE).to_string();
    let tick = [("Action", "Tick"), ("Tick-Name", "x"), ("Tick-Due", due.as_str())];
    let own = table.process.to_string();
    let pushed = [&tick[..], &[("From-Process", own.as_str())]].concat();
    for (by, tags, works) in [
        (2, &tick[..], false),
        (3, &tick[..], false),
        (3, &pushed[..], false),
        (1, &pushed[..], false),
        (1, &tick[..], true),
    ] {
        let item = message(&table, by, tags);
        assert_eq!(table.clone().apply(&item, Slot(1), Timestamp(NOW + MINUTE)), works, "{by} {tags:?}");
        assert_eq!(table.is_tick(&item), works);
    }
}

#[test]
fn what_is_not_understood_changes_nothing_and_is_told() {
    for tags in [
        &[("Tick-Interval", "5")][..],
        &[("Tick-Interval", "999-ms")],
        &[("Tick-Cron", "* *")],
        &[("Tick-Name", "x"), ("Tick-Interval", "1-day")],
        &[("Tick-Interval", "1-day"), ("Tick-Missed", "all-101")],
        &[("Tick-Interval", "1-day"), ("Tick-Missed", "some")],
        &[("Tick-Interval", "1-day"), ("Tick-Name", "*")],
        &[("Tick-Interval", "1-day"), ("Tick-Tag-Type", "Process")],
        &[("Tick-Interval", "1-day"), ("Tick-Tag-tick-due", "1")],
        &[("Tick-Interval", "1-day"), ("Tick-Tag-From-Process", "x")],
        &[("Tick-Interval", "1-day"), ("Tick-Start", "soon")],
        &[("Tick-Interval", "1-day"), ("Tick-Tag-X", "a+link")],
        &[("Tick-Interval", "1-day"), ("Tick-Budget", "-1")],
        &[("Tick-Interval", "1-day"), ("Tick-Name", "x"), ("Tick-Cron", "@daily"), ("Tick-Name", "x")],
    ] {
        let table = table(tags);
        assert!(table.refused().is_some() && table.timers().is_empty(), "{tags:?}");
    }
    let many: Vec<_> = (0..=TIMERS_MAX).map(|_| ("Tick-Interval", "1-day")).collect();
    assert!(table(&many).refused().is_some() && table(&many[1..]).timers().len() == TIMERS_MAX);
    let tags: Vec<_> =
        [("Tick-Interval", "1-day")].into_iter().chain((0..=TAGS_MAX).map(|_| ("Tick-Tag-X", "1"))).collect();
    assert!(table(&tags).refused().is_some() && table(&tags[..=TAGS_MAX]).refused().is_none());
}

#[test]
fn timers_that_are_over_make_room() {
    let many: Vec<_> =
        (0..TIMERS_MAX).flat_map(|_| [("Tick-Interval", "1-day"), ("Tick-Budget", "0")]).collect();
    let mut table = table(&many);
    let set = [("Action", "Tick-Set"), ("Tick-Interval", "1-minute"), ("Tick-Name", "x")];
    assert!(table.apply(&message(&table, 2, &set), Slot(1), Timestamp(NOW)));
    assert_eq!(table.timers().len(), TIMERS_MAX);
    assert_eq!(give(&mut table, MINUTE), [("x".to_owned(), MINUTE)]);
}

#[test]
fn a_table_is_read_as_it_was_written() {
    let table = table(&[
        ("Tick-Interval", "1-day"),
        ("Tick-Cron", "0 0 29 2 *"),
        ("Tick-Missed", "all-3"),
        ("Tick-Tag-A", "b"),
    ]);
    let bytes = serde_json::to_vec(&table).unwrap();
    assert_eq!(serde_json::from_slice::<Table>(&bytes).unwrap(), table);
}

#[test]
fn another_schedulers_process_has_no_table() {
    assert_eq!(
        Table::begin(&process(&[("Tick-Interval", "1-day")]), wallet(9).address(), Timestamp(NOW)),
        None
    );
}
