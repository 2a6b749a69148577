//! Golden lists of tags: what the reference messenger unit put on the wire, from recordings where there is one.

use super::*;

const P1: &str = "B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U";
const P2: &str = "GsgHmWsBxoDn33_zxM919oVSoDVeQ732dCDq7YypD9E";
const MODULE: &str = "IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g";
const SCHEDULER: &str = "MQBmGYX-KDeb43Z8BmAgPp8kd4FqXOgEax08GZkoIuM";
const HEAD: &str = "bYnNgUZLxnFEKdywsqBzniuGgHpoz69wQsJqBsseFWE";
const CHILD: &str = "h5Fzq4IkEvEmZEl5NGpgR-lWj_SdXLhB5WazKQ5X1E4";

const LIMITS: Limits = Limits { elements: 100, item_bytes: 1 << 20, outcome_bytes: 8 << 20 };

fn outcome(messages: &[&str], spawns: &[&str], assignments: &[&str]) -> Outcome {
    let list =
        |texts: &[&str]| texts.iter().map(|text| Json::parse(text).expect("the test has JSON")).collect();
    Outcome {
        messages: list(messages),
        spawns: list(spawns),
        assignments: list(assignments),
        error: None,
        ..Outcome::failed("", 0, 1)
    }
}

fn sender(pushed_for: Option<&str>) -> Sender<'static> {
    Sender {
        process: P1.parse().unwrap(),
        module: MODULE,
        scheduler: Some(SCHEDULER),
        pushed_for: pushed_for.map(|id| id.parse().unwrap()),
    }
}

/// One element per paragraph: what it is, then a line per tag.
fn show(outcome: &Outcome, pushed_for: Option<&str>, limits: Limits, part: &Part) -> String {
    let (elements, refused) = read(sender(pushed_for), outcome, limits, part);
    let mut out = String::new();
    let draft = |out: &mut String, draft: &Draft| {
        let target = draft.target.map_or("-".to_owned(), |id| id.to_string());
        let anchor =
            draft.anchor.map_or("-".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
        *out += &format!("to {target} anchor {anchor} data {:?}\n", String::from_utf8_lossy(&draft.data));
        for Tag { name, value } in &draft.tags {
            *out += &format!("  {name} = {value}\n");
        }
    };
    for (_, _, element) in elements {
        match element {
            Element::Message { draft: message, assignments } => {
                out += "message ";
                draft(&mut out, &message);
                for process in assignments {
                    out += &format!("  and to {process}\n");
                }
            }
            Element::Spawn { draft: process, notice } => {
                out += "spawn ";
                draft(&mut out, &process);
                out += "notice ";
                draft(&mut out, &spawned(P1.parse().unwrap(), &notice, CHILD.parse().unwrap()));
            }
            Element::Assign(AssignRequest { process, message, base_layer, exclude }) => {
                out +=
                    &format!("assign {message} to {process} base layer {base_layer} without {exclude:?}\n");
            }
        }
    }
    for one in refused {
        out += &format!("{one}\n");
    }
    out
}

#[track_caller]
fn check(outcome: Outcome, pushed_for: Option<&str>, expect: expect_test::Expect) {
    expect.assert_eq(&show(&outcome, pushed_for, LIMITS, &Part::All));
}

#[test]
fn a_pushed_message_is_that_of_the_reference_tag_for_tag() {
    let message = format!(
        r#"{{"Data":"hi","Anchor":"00000000000000000000000000000003","Tags":[{{"value":"ao","name":"Data-Protocol"}},
        {{"value":"ao.TN.1","name":"Variant"}},{{"value":"Message","name":"Type"}},{{"value":"3","name":"Reference"}},
        {{"value":"Hello","name":"Action"}}],"Target":"{P2}"}}"#
    );
    // wire/16-message-to-other
    check(
        outcome(&[&message], &[], &[]),
        Some(HEAD),
        expect_test::expect![[r#"
            message to GsgHmWsBxoDn33_zxM919oVSoDVeQ732dCDq7YypD9E anchor 00000000000000000000000000000003 data "hi"
              Variant = ao.TN.1
              Reference = 3
              Action = Hello
              Data-Protocol = ao
              Type = Message
              From-Process = B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              From-Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Pushed-For = bYnNgUZLxnFEKdywsqBzniuGgHpoz69wQsJqBsseFWE
        "#]],
    );
    // wire/28-cron-eval: what cron began is pushed for nobody.
    check(
        outcome(&[&message], &[], &[]),
        None,
        expect_test::expect![[r#"
            message to GsgHmWsBxoDn33_zxM919oVSoDVeQ732dCDq7YypD9E anchor 00000000000000000000000000000003 data "hi"
              Variant = ao.TN.1
              Reference = 3
              Action = Hello
              Data-Protocol = ao
              Type = Message
              From-Process = B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              From-Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
        "#]],
    );
}

#[test]
fn a_spawn_and_its_notice_are_those_of_the_reference_without_its_repetitions() {
    let spawn = format!(
        r#"{{"Data":"child","Tags":[{{"value":"ao","name":"Data-Protocol"}},{{"value":"ao.TN.1","name":"Variant"}},
        {{"value":"Process","name":"Type"}},{{"value":"{P1}","name":"From-Process"}},
        {{"value":"{MODULE}","name":"From-Module"}},{{"value":"{MODULE}","name":"Module"}},
        {{"value":"4","name":"Reference"}},{{"value":"{SCHEDULER}","name":"Scheduler"}},
        {{"value":"{SCHEDULER}","name":"Authority"}}],"Anchor":"00000000000000000000000000000004"}}"#
    );
    // wire/19-message-spawn, where Variant and From-Process stand in the spawn twice.
    check(
        outcome(&[], &[&spawn], &[]),
        Some(HEAD),
        expect_test::expect![[r#"
            spawn to - anchor - data "child"
              From-Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Reference = 4
              Scheduler = MQBmGYX-KDeb43Z8BmAgPp8kd4FqXOgEax08GZkoIuM
              Authority = MQBmGYX-KDeb43Z8BmAgPp8kd4FqXOgEax08GZkoIuM
              Variant = ao.TN.1
              Data-Protocol = ao
              Type = Process
              From-Process = B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              Pushed-For = bYnNgUZLxnFEKdywsqBzniuGgHpoz69wQsJqBsseFWE
            notice to B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U anchor - data " "
              From-Process = B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              From-Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Reference = 4
              Scheduler = MQBmGYX-KDeb43Z8BmAgPp8kd4FqXOgEax08GZkoIuM
              Authority = MQBmGYX-KDeb43Z8BmAgPp8kd4FqXOgEax08GZkoIuM
              Data-Protocol = ao
              Type = Message
              Process = h5Fzq4IkEvEmZEl5NGpgR-lWj_SdXLhB5WazKQ5X1E4
              Action = Spawned
              Variant = ao.TN.1
        "#]],
    );
}

#[test]
fn a_spawn_without_a_scheduler_gets_that_of_its_spawner() {
    let spawn = format!(r#"{{"Tags":[{{"name":"Module","value":"{MODULE}"}}]}}"#);
    check(
        outcome(&[], &[&spawn], &[]),
        Some(HEAD),
        expect_test::expect![[r#"
            spawn to - anchor - data " "
              Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Variant = ao.TN.1
              Data-Protocol = ao
              Type = Process
              From-Process = B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              Pushed-For = bYnNgUZLxnFEKdywsqBzniuGgHpoz69wQsJqBsseFWE
              Scheduler = MQBmGYX-KDeb43Z8BmAgPp8kd4FqXOgEax08GZkoIuM
            notice to B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U anchor - data " "
              Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Data-Protocol = ao
              Type = Message
              Process = h5Fzq4IkEvEmZEl5NGpgR-lWj_SdXLhB5WazKQ5X1E4
              Action = Spawned
              Variant = ao.TN.1
        "#]],
    );
}

#[test]
fn a_process_speaks_for_itself_only() {
    let forged = format!(
        r#"[{{"name":"From-Process","value":"{P2}"}},{{"name":"From-Process","value":"{P2}"}},
        {{"name":"From-Module","value":"x"}},{{"name":"Pushed-For","value":"{P2}"}},{{"name":"Variant","value":"x"}},
        {{"name":"Variant","value":"y"}},{{"name":"Data-Protocol","value":"z"}},{{"name":"Type","value":"Process"}},
        {{"name":"Module","value":"{MODULE}"}}]"#
    );
    let message = format!(r#"{{"Target":"{P2}","Anchor":"{}","Tags":{forged}}}"#, "a".repeat(32));
    let spawn = format!(r#"{{"Tags":{forged}}}"#);
    check(
        outcome(&[&message], &[&spawn], &[]),
        None,
        expect_test::expect![[r#"
            message to GsgHmWsBxoDn33_zxM919oVSoDVeQ732dCDq7YypD9E anchor aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa data " "
              Variant = ao.TN.1
              Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Data-Protocol = ao
              Type = Message
              From-Process = B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              From-Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
            spawn to - anchor - data " "
              From-Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Variant = ao.TN.1
              Data-Protocol = ao
              Type = Process
              From-Process = B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              Scheduler = MQBmGYX-KDeb43Z8BmAgPp8kd4FqXOgEax08GZkoIuM
            notice to B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U anchor - data " "
              From-Process = B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              From-Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              Data-Protocol = ao
              Type = Message
              Process = h5Fzq4IkEvEmZEl5NGpgR-lWj_SdXLhB5WazKQ5X1E4
              Action = Spawned
              Variant = ao.TN.1
        "#]],
    );
}

#[test]
fn assignments_go_to_every_process_they_name() {
    let tagged = |value: &str| {
        let anchor = "a".repeat(32);
        format!(
            r#"{{"Target":"{P2}","Anchor":"{anchor}","Tags":[{{"name":"Assignments","value":{value}}}]}}"#
        )
    };
    let bare = format!(r#"{{"Processes":["{P1}","{P2}"],"Message":"{HEAD}"}}"#);
    let full =
        format!(r#"{{"Processes":["{P2}"],"Message":"{HEAD}","BaseLayer":true,"Exclude":["Data","Tags"]}}"#);
    let listed =
        format!(r#"{{"Processes":"{P2}","Message":"{HEAD}","BaseLayer":"","Exclude":"Data, Anchor"}}"#);
    check(
        outcome(&[&tagged(&format!(r#"["{P1}","{CHILD}"]"#))], &[], &[&bare, &full, &listed]),
        None,
        expect_test::expect![[r#"
            message to GsgHmWsBxoDn33_zxM919oVSoDVeQ732dCDq7YypD9E anchor aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa data " "
              Variant = ao.TN.1
              Data-Protocol = ao
              Type = Message
              From-Process = B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              From-Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
              and to B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              and to h5Fzq4IkEvEmZEl5NGpgR-lWj_SdXLhB5WazKQ5X1E4
            assign bYnNgUZLxnFEKdywsqBzniuGgHpoz69wQsJqBsseFWE to B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U base layer false without []
            assign bYnNgUZLxnFEKdywsqBzniuGgHpoz69wQsJqBsseFWE to GsgHmWsBxoDn33_zxM919oVSoDVeQ732dCDq7YypD9E base layer false without []
            assign bYnNgUZLxnFEKdywsqBzniuGgHpoz69wQsJqBsseFWE to GsgHmWsBxoDn33_zxM919oVSoDVeQ732dCDq7YypD9E base layer true without ["Data", "Tags"]
            assign bYnNgUZLxnFEKdywsqBzniuGgHpoz69wQsJqBsseFWE to GsgHmWsBxoDn33_zxM919oVSoDVeQ732dCDq7YypD9E base layer true without ["Data", "Anchor"]
        "#]],
    );
    let text = format!(r#""[\"{P1}\"]""#);
    let (elements, _) = read(sender(None), &outcome(&[&tagged(&text)], &[], &[]), LIMITS, &Part::All);
    let [(_, _, Element::Message { assignments, .. })] = &elements[..] else { panic!("{elements:?}") };
    assert_eq!(assignments, &[P1.parse::<ProcessId>().unwrap()]);
}

#[test]
fn numbers_and_booleans_are_pushed_as_text() {
    let anchor = "a".repeat(32);
    let message = format!(
        r#"{{"Target":"{P2}","Anchor":"{anchor}","Data":12.0,"Tags":[{{"name":"Quantity","value":5}},
        {{"name":"Half","value":0.5}},{{"name":"Whole","value":100.0}},{{"name":"Big","value":18446744073709551615}},
        {{"name":"Minus","value":-3}},{{"name":"Open","value":true}},{{"name":"Empty","value":""}}]}}"#
    );
    check(
        outcome(&[&message], &[], &[]),
        None,
        expect_test::expect![[r#"
            message to GsgHmWsBxoDn33_zxM919oVSoDVeQ732dCDq7YypD9E anchor aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa data "12"
              Quantity = 5
              Half = 0.5
              Whole = 100
              Big = 18446744073709551615
              Minus = -3
              Open = true
              Empty = 
              Variant = ao.TN.1
              Data-Protocol = ao
              Type = Message
              From-Process = B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              From-Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
        "#]],
    );
}

#[test]
fn a_bad_element_is_refused_alone_and_says_why() {
    let a = "a".repeat(32);
    let bad = [
        "7".to_owned(),
        "{}".to_owned(),
        format!(r#"{{"Target":"0x12","Anchor":"{a}","Tags":[]}}"#),
        format!(r#"{{"Target":5,"Anchor":"{a}","Tags":[]}}"#),
        format!(r#"{{"Target":"{P2}","Tags":[]}}"#),
        format!(r#"{{"Target":"{P2}","Anchor":"short","Tags":[]}}"#),
        format!(r#"{{"Target":"{P2}","Anchor":7,"Tags":[]}}"#),
        format!(r#"{{"Target":"{P2}","Anchor":"{a}"}}"#),
        format!(r#"{{"Target":"{P2}","Anchor":"{a}","Tags":[{{"name":"T","value":{{}}}}]}}"#),
        format!(r#"{{"Target":"{P2}","Anchor":"{a}","Tags":[{{"value":"x"}}]}}"#),
        format!(r#"{{"Target":"{P2}","Anchor":"{a}","Tags":[{{"name":"Assignments","value":"x"}}]}}"#),
        format!(r#"{{"Target":"{P2}","Anchor":"{a}","Tags":[]}}"#),
    ];
    let bad: Vec<&str> = bad.iter().map(String::as_str).collect();
    let spawns = [r#"{"Tags":[]}"#, r#"{"Tags":[{"name":"Module","value":"m"}]}"#, "null"];
    let message = format!(r#"{{"Message":"{P2}"}}"#);
    let processes = format!(r#"{{"Processes":[5],"Message":"{P2}"}}"#);
    check(
        outcome(&bad, &spawns, &[&message, &processes, r#"{"Processes":[]}"#]),
        None,
        expect_test::expect![[r#"
            message to GsgHmWsBxoDn33_zxM919oVSoDVeQ732dCDq7YypD9E anchor aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa data " "
              Variant = ao.TN.1
              Data-Protocol = ao
              Type = Message
              From-Process = B2xzNiot6ATlZv6c12dfNPnm83ZaVdWeJQ9gKeuv16U
              From-Module = IW5kj4Dqym5bgFoF-1GHfufKM2utIj5SQefD2n2o67g
            Messages[0] of the outcome is not pushed: it is not a message: invalid type: integer `7`, expected an object at line 1 column 1
            Messages[1] of the outcome is not pushed: it has no Target
            Messages[2] of the outcome is not pushed: its Target "0x12" is not an id: expected 43 base64url characters
            Messages[3] of the outcome is not pushed: its Target is not text
            Messages[4] of the outcome is not pushed: it has no Anchor
            Messages[5] of the outcome is not pushed: its Anchor has 5 bytes, not 32
            Messages[6] of the outcome is not pushed: its Anchor is not text
            Messages[7] of the outcome is not pushed: it has no Tags
            Messages[8] of the outcome is not pushed: the value of its tag "T" is neither text nor number nor boolean
            Messages[9] of the outcome is not pushed: it is not a message: missing field `name` at line 1 column 121
            Messages[10] of the outcome is not pushed: its Assignments: "x" is not an id: expected 43 base64url characters
            Spawns[0] of the outcome is not pushed: it has no Module tag
            Spawns[1] of the outcome is not pushed: its Module tag "m" is not an id: expected 43 base64url characters
            Spawns[2] of the outcome is not pushed: it is not a spawn: invalid type: null, expected an object at line 1 column 4
            Assignments[0] of the outcome is not pushed: it has no Processes
            Assignments[1] of the outcome is not pushed: its Processes is not a list of process ids
            Assignments[2] of the outcome is not pushed: it has no Message
        "#]],
    );
}

#[test]
fn an_outcome_has_bounds_and_what_is_beyond_is_refused() {
    let message = |data: usize| {
        let (anchor, data) = ("a".repeat(32), "d".repeat(data));
        format!(r#"{{"Target":"{P2}","Anchor":"{anchor}","Data":"{data}","Tags":[]}}"#)
    };
    let messages: Vec<String> = [10, 11, 10, 10].into_iter().map(message).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    let refused = |limits: Limits| -> Vec<String> {
        let (_, refused) = read(sender(None), &outcome(&messages, &[], &[]), limits, &Part::All);
        refused.iter().map(Refused::to_string).collect()
    };
    assert_eq!(
        refused(Limits { item_bytes: 10, elements: 2, ..LIMITS }),
        [
            "Messages[1] of the outcome is not pushed: its data has 11 bytes, at most 10 are pushed",
            "Messages[3] of the outcome is not pushed: at most 2 elements of one outcome are pushed",
        ]
    );
    assert_eq!(
        refused(Limits { outcome_bytes: 3 * OVERHEAD, ..LIMITS }),
        [
            "Messages[2] of the outcome is not pushed: at most 6144 bytes of one outcome are pushed",
            "Messages[3] of the outcome is not pushed: at most 6144 bytes of one outcome are pushed",
        ]
    );
}

#[test]
fn one_message_of_an_outcome_can_be_pushed_alone_and_the_others_later() {
    let message =
        |n: u8| format!(r#"{{"Target":"{P2}","Anchor":"{}","Data":{n},"Tags":[]}}"#, "a".repeat(32));
    let messages: Vec<String> = (0..3).map(message).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    let spawn = format!(r#"{{"Tags":[{{"name":"Module","value":"{MODULE}"}}]}}"#);
    let outcome = outcome(&messages, &[&spawn], &[]);
    let taken = |part: Part| -> Vec<(TraceKind, usize)> {
        let (elements, _) = read(sender(None), &outcome, LIMITS, &part);
        elements.into_iter().map(|(kind, index, _)| (kind, index)).collect()
    };
    assert_eq!(taken(Part::Message(1)), [(TraceKind::Message, 1)]);
    assert_eq!(taken(Part::Message(7)), []);
    let rest = [(TraceKind::Message, 0), (TraceKind::Message, 2), (TraceKind::Spawn, 0)];
    assert_eq!(taken(Part::AllBut([1].into())), rest);
}
