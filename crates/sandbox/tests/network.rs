//! A network that is the same in every run, and forks.

use bytes::Bytes;
use pirn_sandbox::{Fate, Faults, Letter, Modules, Options, Probe, Sandbox, Signer, What};
use protocol::{Id, ProcessId, Tags};
use runtime_wasm::WasmRuntime;
use std::sync::{LazyLock, OnceLock};
use unit::DryRun;

static MODULES: LazyLock<Modules> =
    LazyLock::new(|| Modules::new(WasmRuntime::new(runtime_wasm::Options::default()).unwrap()).unwrap());

fn ada() -> Signer {
    Signer::named("ada")
}

fn sandbox() -> Sandbox {
    Sandbox::new(MODULES.clone(), Options::default())
}

fn spawn(net: &mut Sandbox, tags: &[(&str, &str)], source: &str) -> ProcessId {
    let lua = net.modules().lua();
    let process = net.spawn(&ada(), lua, tags.iter().copied().collect(), Bytes::from_static(b" ")).unwrap();
    assert_eq!(eval(net, process, source), "");
    process
}

fn send(net: &mut Sandbox, to: ProcessId, tags: &[(&str, &str)], data: &str) -> usize {
    net.send(&ada(), to.0, tags.iter().copied().collect(), Bytes::copy_from_slice(data.as_bytes())).unwrap()
}

/// What an Eval says, or its error.
fn eval(net: &mut Sandbox, process: ProcessId, code: &str) -> String {
    let number = send(net, process, &[("Action", "Eval")], code);
    said(&net.letters()[number])
}

fn said(letter: &Letter) -> String {
    let outcome = letter.outcome().unwrap_or_else(|| panic!("{letter:?}"));
    if let Some(error) = &outcome.error {
        return format!("error: {}", error.get());
    }
    outcome.output.to::<serde_json::Value>().unwrap()["data"].as_str().unwrap().to_owned()
}

fn trace(net: &Sandbox) -> String {
    let line = |letter: &std::sync::Arc<Letter>| {
        let (what, action) = (&letter.what, letter.tag("Action").unwrap_or("-"));
        let fate = match &letter.fate {
            Fate::Evaluated { slot, at, .. } => {
                format!("slot {slot} at {}", at.0 - Options::default().start_ms)
            }
            Fate::Refused(why) => format!("refused: {why}"),
            other => format!("{other:?}"),
        };
        format!("{} {what:?} {action} {fate} from {:?}\n", letter.number, letter.parent)
    };
    net.letters().iter().map(line).collect()
}

const PING: &str = "Handlers.add('ping', 'Ping', function(m) Count = (Count or 0) + 1; Send({ Target = m.Peer, \
                    Action = 'Pong', Data = tostring(Count) }) end) \
                    Handlers.add('pong', 'Pong', function(m) Got = (Got or '') .. m.Data end)";

#[test]
fn what_a_process_sends_arrives_where_it_is_sent() {
    let mut net = sandbox();
    let (a, b) = (spawn(&mut net, &[], PING), spawn(&mut net, &[], PING));
    send(&mut net, a, &[("Action", "Ping"), ("Peer", &b.to_string())], "");
    assert_eq!(net.waiting(), 1);
    assert_eq!(net.run().unwrap(), 1);
    assert_eq!(eval(&mut net, b, "return Got"), "1");
    let wallet = ada().address();
    send(&mut net, a, &[("Action", "Ping"), ("Peer", &wallet.to_string())], "");
    net.run().unwrap();
    assert!(matches!(net.letters().last().unwrap().fate, Fate::Mailed));
}

#[test]
fn the_same_calls_are_the_same_network() {
    let story = |seed| {
        let mut net = sandbox();
        net.seed(seed);
        net.set_faults(Faults {
            reorder: true,
            drop_per_mille: 100,
            duplicate_per_mille: 100,
            delay_ms_max: 50,
        });
        let (a, b) = (spawn(&mut net, &[], PING), spawn(&mut net, &[], PING));
        for _ in 0..12 {
            net.post(
                &ada(),
                a.0,
                [("Action", "Ping"), ("Peer", b.to_string().as_str())].into_iter().collect(),
                Bytes::new(),
            )
            .unwrap();
        }
        net.run().unwrap();
        let got = eval(&mut net, b, "return Got");
        let ids: Vec<Option<Id>> =
            net.letters().iter().map(|letter| letter.item.as_ref().map(|item| item.id)).collect();
        (trace(&net), ids, got, net.memory(b).unwrap())
    };
    let (first, second) = (story(7), story(7));
    assert!(first == second, "{}\n{}", first.0, second.0);
    assert_ne!(first.2, "123456789101112");
    assert_ne!(story(8).2, first.2);
}

#[test]
fn a_fork_goes_its_own_way() {
    let mut net = sandbox();
    let a = spawn(&mut net, &[], "Count = 1");
    let before = net.memory(a).unwrap();
    let mut forks = [net.fork(), net.fork(), net.fork()];
    for (n, fork) in forks.iter_mut().enumerate() {
        eval(fork, a, &format!("Count = Count + {n}"));
        assert_eq!(eval(fork, a, "return Count"), (1 + n).to_string());
        // A fork of a fork, while it goes on.
        let mut again = fork.fork();
        eval(fork, a, "Count = 'gone'");
        assert_eq!(eval(&mut again, a, "return Count"), (1 + n).to_string());
    }
    assert!(net.memory(a).unwrap() == before, "the original changed");
    assert_eq!(eval(&mut net, a, "return Count"), "1");
}

#[test]
fn failures_leave_the_state_and_forks_as_they_were() {
    let mut net = sandbox();
    let a = spawn(&mut net, &[], "Count = 1");
    let mut fork = net.fork();
    for _ in 0..3 {
        eval(&mut fork, a, "Count = Count + 1");
        assert!(eval(&mut fork, a, "Count = 100 error('no')").starts_with("error: "));
    }
    assert_eq!(eval(&mut fork, a, "return Count"), "4");
    assert_eq!(eval(&mut net, a, "return Count"), "1");
}

#[test]
fn crons_tick_as_the_clock_is_moved() {
    let mut net = sandbox();
    let tags = [("Cron-Interval", "1-minute"), ("Cron-Tag-Action", "Tick"), ("Cron-Interval", "1-block")];
    let source = "Handlers.add('tick', function(m) return m.Cron end, function(m) \
                  Seen = (Seen or '') .. (m.Action or 'block') .. ' ' .. (m.Timestamp - Start) // 1000 .. ';' \
                  Send({ Target = ao.id, Action = 'Noted' }) end) \
                  Handlers.add('noted', 'Noted', function() Noted = (Noted or 0) + 1 end)";
    let a = spawn(&mut net, &tags, &format!("Start = {} {source}", Options::default().start_ms));
    assert_eq!(net.advance(180_000).unwrap(), 4);
    net.run().unwrap();
    assert_eq!(eval(&mut net, a, "return Seen"), "Tick 60;block 120;Tick 120;Tick 180;");
    assert_eq!(eval(&mut net, a, "return Noted"), "4");
    net.mine(1).unwrap();
    assert_eq!(net.tick(a).unwrap().map(|at| (at.0 - Options::default().start_ms) / 1000), Some(181));
    assert_eq!(net.counters().ticks, 5);
    assert!(
        net.letters()
            .iter()
            .any(|letter| matches!(&letter.what, What::Tick { cron } if cron == "0-1-minute"))
    );
}

#[test]
fn timers_tick_as_the_clock_is_moved_and_are_changed_by_message() {
    let mut net = sandbox();
    let tags = [("Tick-Interval", "5-minutes"), ("Tick-Name", "sweep")];
    let source = "Handlers.add('sweep', Handlers.utils.tick('sweep'), function(m) \
                  Seen = (Seen or '') .. (tonumber(m['Tick-Due']) - Start) // 1000 .. ';' \
                  Send({ Target = ao.id, Action = 'Noted' }) end) \
                  Handlers.add('noted', 'Noted', function(m) Noted = (Noted or 0) + 1 end)";
    let a = spawn(&mut net, &tags, &format!("Start = {} {source}", Options::default().start_ms));
    assert_eq!(net.advance(15 * 60_000).unwrap(), 3);
    net.run().unwrap();
    assert_eq!(eval(&mut net, a, "return Seen"), "300;600;900;");
    assert_eq!(eval(&mut net, a, "return Noted"), "3");
    assert_eq!(net.tick(a).unwrap().map(|at| (at.0 - Options::default().start_ms) / 1000), Some(1200));
    // What only looks like one takes no tick's place.
    send(&mut net, a, &[("Action", "Tick"), ("Tick-Name", "sweep"), ("Tick-Due", "1")], "");
    assert_eq!(eval(&mut net, a, "return Seen"), "300;600;900;1200;");
    // By itself, as its messenger pushes it.
    let set = "Send({ Target = ao.id, Action = 'Tick-Set', Tags = { { name = 'Tick-Interval', value = '1-hour' }, { name = 'Tick-Name', value = 'sweep' } } })";
    eval(&mut net, a, set);
    net.run().unwrap();
    assert_eq!(net.advance(59 * 60_000).unwrap(), 0);
    let mut fork = net.fork();
    assert_eq!(net.advance(2 * 60_000).unwrap(), 1);
    send(&mut fork, a, &[("Action", "Tick-Cancel"), ("Tick-Name", "*")], "");
    assert_eq!(fork.advance(2 * 60_000).unwrap(), 0, "its owner has cancelled it there");
    assert_eq!(net.tick(a).unwrap().map(|at| (at.0 - net.now().0) / 1000), Some(0));
}

#[test]
fn a_process_spawns_another_and_is_told() {
    let mut net = sandbox();
    let source = "Handlers.add('go', 'Go', function() Spawn(ao.env.Process.Tags.Module, { Tags = { Role = 'child' } }) end) \
                  Handlers.add('born', 'Spawned', function(m) Child = m.Process end)";
    let a = spawn(&mut net, &[], source);
    send(&mut net, a, &[("Action", "Go")], "");
    assert_eq!(net.run().unwrap(), 2);
    let child: ProcessId = eval(&mut net, a, "return Child").parse().unwrap();
    assert!(net.has(child));
    assert_eq!(net.owner(child).unwrap(), a.to_string());
}

#[test]
fn a_pushed_message_has_one_slot_and_its_sender_may_try_again() {
    let mut net = sandbox();
    net.set_faults(Faults { duplicate_per_mille: 1000, ..Faults::default() });
    let (a, b) = (spawn(&mut net, &[], PING), spawn(&mut net, &[], PING));
    let number = send(&mut net, a, &[("Action", "Ping"), ("Peer", &b.to_string())], "");
    let item = net.letters()[number].item.clone().unwrap();
    net.run().unwrap();
    assert_eq!(eval(&mut net, b, "return Got"), "11");
    let again = net.post_item(item).unwrap();
    net.run().unwrap();
    assert!(matches!(net.letters()[again].fate, Fate::Repeat));
}

#[test]
fn what_has_no_end_is_ended() {
    let mut net = Sandbox::new(MODULES.clone(), Options { deliveries_max: 50, ..Options::default() });
    let a = spawn(
        &mut net,
        &[],
        "_ = Handlers.add('x', 'X', function(m) Send({ Target = ao.id, Action = 'X' }) end)",
    );
    send(&mut net, a, &[("Action", "X")], "");
    let error = net.run().unwrap_err();
    assert!(error.what.contains("after 50 deliveries"), "{error}");
}

#[test]
fn a_probe_sees_and_changes_nothing() {
    static PLAIN: OnceLock<runtime::Memory> = OnceLock::new();
    for script in [
        None,
        Some(
            "local r = ao.result ao.result = function(x) local y = r(x) y.Output = { data = 'seen' } return y end",
        ),
    ] {
        let mut net = sandbox();
        net.set_probe(script.map(|script| Probe { script: script.to_owned() }));
        let a = spawn(&mut net, &[], "Count = 1");
        assert_eq!(eval(&mut net, a, "Count = Count + 1 return Count"), "2");
        let probed = net.take_probed();
        assert_eq!(probed.len(), if script.is_some() { 3 } else { 0 });
        assert!(probed.iter().skip(1).all(|one| one.output.get().contains("seen")), "{probed:?}");
        let memory = net.memory(a).unwrap();
        assert!(*PLAIN.get_or_init(|| memory.clone()) == memory);
    }
}

#[test]
fn a_dry_run_changes_nothing_and_strangers_eval_nothing() {
    let mut net = sandbox();
    let a = spawn(&mut net, &[], "Count = 1");
    let dry = |net: &Sandbox, who: &str| {
        let message = DryRun {
            id: None,
            signature: None,
            data: Some(protocol::Json::string("Count = Count + 1 return Count")),
            owner: Signer::named(who).address().to_string(),
            target: None,
            anchor: None,
            forwarded_by: None,
            tags: Tags::from_iter([("Action", "Eval")]),
            timestamp: None,
            block_height: None,
        };
        net.dry(a, message).unwrap().output.get().to_owned()
    };
    assert!(dry(&net, "ada").contains("\"data\":\"2\""));
    assert!(dry(&net, "ada").contains("\"data\":\"2\""));
    assert!(!dry(&net, "ben").contains("\"data\":\"2\""));
    assert_eq!(eval(&mut net, a, "return Count"), "1");
}
