//! A process in memory: what it answers, what an error leaves behind, what a fork and a checkpoint are.

mod guest;

use expect_test::{Expect, expect};
use guest::{LIMITS, METERED, NARROW, WIDE, machine, program, say, start};
use runtime::{Limits, Machine as _, Memory, Refusal};

/// Gives each letter to a fresh machine, in every format; all say the same.
#[track_caller]
fn check(letters: &str, expect: Expect) {
    let mut said: Vec<String> = Vec::new();
    for format in [NARROW, WIDE, METERED[0], METERED[1]] {
        said.push(say(&mut machine(&program(format)), letters));
    }
    expect.assert_eq(&said[0]);
    for other in &said[1..] {
        assert_eq!(*other, said[0]);
    }
}

#[test]
fn a_message_changes_the_memory_and_nothing_else() {
    check(
        "cckgcgtt",
        expect![[r#"
        1
        2
        1
        1
        5
        1
        10005
        10005"#]],
    );
}

#[test]
fn what_a_module_sends_is_kept_to_the_letter() {
    check("m", expect![[r#""x" sends {"b":1,"a":"\u0041"}"#]]);
}

#[test]
fn an_error_leaves_the_memory_as_it_was() {
    check(
        "ccnceczcucacqcxcpc",
        expect![[r#"
        1
        2
        error "no"
        3
        error "bad"
        4
        error "the module trapped: wasm trap: integer divide by zero"
        5
        error "the module trapped: wasm trap: wasm `unreachable` instruction executed"
        6
        error "the module aborted: no reason given"
        7
        error "the module called nobody_provides_this, which this host does not provide"
        8
        error "the module called exit(3)"
        9
        error "the module passed a pointer out of its memory"
        10"#]],
    );
}

#[test]
fn messages_since_the_commit_are_evaluated_again_after_an_error() {
    // The interval doubles from one: errors come at all distances from a commit.
    let letters: String = (0..40).flat_map(|n| std::iter::repeat_n('w', n).chain(['u'])).collect();
    for format in [NARROW, WIDE] {
        let program = program(format);
        let mut failing = machine(&program);
        say(&mut failing, &letters);
        let mut clean = machine(&program);
        say(&mut clean, &letters.replace('u', ""));
        assert_eq!(failing.memory().unwrap(), clean.memory().unwrap());
    }
}

#[test]
fn a_guest_that_does_not_end_is_ended_by_its_limit() {
    check(
        "clc",
        expect![[r#"
        1
        error "out of gas: the evaluation used its Compute-Limit of 10000000000"
        2"#]],
    );
}

#[test]
fn a_guest_that_calls_itself_for_ever_overflows_its_stack() {
    check(
        "dc",
        expect![[r#"
        error "stack overflow: the module called itself too deeply"
        1"#]],
    );
}

#[test]
fn a_jump_lands_where_it_was_invoked() {
    check(
        "jj",
        expect![[r#"
        1
        1"#]],
    );
}

#[test]
fn the_host_executes_nothing_and_knows_nothing() {
    check("y", expect!["948"]);
}

#[test]
fn memory_grows_by_the_formula_and_not_beyond_its_limit() {
    check(
        "SHSGS",
        expect![[r#"
        2
        1
        4
        4
        5"#]],
    );
    // 4 MiB are 64 pages: the module's own maximum is the same.
    let limits = Limits { memory_bytes: 3 << 16, ..LIMITS };
    for format in [NARROW, WIDE] {
        let mut machine = program(format).machine(start(limits, None)).unwrap();
        assert_eq!(say(&mut machine, "SGSGSHc"), "2\n2\n3\n4294967295\n3\n0\n7");
    }
}

#[test]
fn a_module_that_needs_more_than_the_limit_says_so_each_time() {
    let limits = Limits { memory_bytes: 65536, ..LIMITS };
    let mut machine = program(NARROW).machine(start(limits, None)).unwrap();
    let says = r#"error "out of memory: the module starts with 131072 bytes and the Memory-Limit is 65536""#;
    assert_eq!(say(&mut machine, "cc"), format!("{says}\n{says}"));
    assert_eq!(machine.memory().unwrap(), Memory::default());
}

#[test]
fn an_input_larger_than_the_stack_is_an_error_and_not_a_corruption() {
    for format in [NARROW, WIDE] {
        let mut machine = machine(&program(format));
        let outcome = machine.handle_json(&"c".repeat(40_000)).unwrap();
        assert!(outcome.error.unwrap().get().contains("no room"));
        assert_eq!(say(&mut machine, "c"), "1");
    }
}

#[test]
fn forks_go_their_own_way_whatever_happens_to_the_other() {
    for format in [NARROW, WIDE] {
        let mut machine = machine(&program(format));
        say(&mut machine, "wwwww");
        let mut forks: Vec<_> = (0..3).map(|_| machine.fork().unwrap()).collect();
        // Commits of the machine, while the forks read what it was.
        say(&mut machine, &"w".repeat(300));
        for (n, fork) in forks.iter_mut().enumerate() {
            for _ in 0..n {
                fork.handle(&runtime::Input::default()).unwrap();
            }
            let mut again = fork.fork().unwrap();
            assert_eq!(again.memory().unwrap(), fork.memory().unwrap());
        }
        drop(forks);
        assert_eq!(say(&mut machine, "c"), "306");
    }
}

#[test]
fn a_checkpoint_and_the_rest_of_the_log_are_the_whole_log() {
    for format in [NARROW, WIDE, METERED[0], METERED[1]] {
        let program = program(format);
        let log = "wwHwwGwuwewwSww";
        let mut whole = machine(&program);
        say(&mut whole, log);
        let whole = whole.memory().unwrap();
        for cut in 0..log.len() {
            let mut first = machine(&program);
            say(&mut first, &log[..cut]);
            let checkpoint = first.memory().unwrap();
            assert_eq!(
                Memory::from_dense(&checkpoint.to_dense()),
                checkpoint,
                "sparse and dense are the same"
            );
            let mut second = program.machine(start(LIMITS, Some(checkpoint))).unwrap();
            say(&mut second, &log[cut..]);
            assert_eq!(second.memory().unwrap(), whole, "{format} cut at {cut}");
        }
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let program = program(NARROW);
    let page = bytes::Bytes::from(vec![1; 4096]);
    let bad = [
        Memory { size_bytes: 100, pages: vec![] },
        Memory { size_bytes: 1 << 40, pages: vec![] },
        Memory { size_bytes: 8 << 20, pages: vec![] },
        Memory { size_bytes: 131_072, pages: vec![(32, page.clone())] },
        Memory { size_bytes: 131_072, pages: vec![(u64::MAX, page.clone())] },
        Memory { size_bytes: 131_072, pages: vec![(1, page.clone()), (1, page.clone())] },
        Memory { size_bytes: 131_072, pages: vec![(1, page.slice(1..))] },
    ];
    for memory in bad {
        let shown = format!("{} {}", memory.size_bytes, memory.pages.len());
        let refused = program.machine(start(LIMITS, Some(memory)));
        assert!(matches!(refused, Err(Refusal::Memory { .. })), "{shown}");
    }
}

#[test]
fn machines_are_small_and_many() {
    let program = program(WIDE);
    let mut machines: Vec<_> = (0..500).map(|_| machine(&program)).collect();
    for machine in &mut machines {
        assert_eq!(say(machine, "cww"), "1\n2\n3");
        assert!(machine.resident_bytes() < 200_000, "{}", machine.resident_bytes());
    }
}

#[test]
fn the_root_is_that_of_the_memory_whenever_it_is_asked_for() {
    for format in [NARROW, WIDE] {
        let program = program(format);
        // Asked at every message, at some, and only once; through commits, failures, growth, forks and checkpoints.
        let (mut always, mut seldom) = (machine(&program), machine(&program));
        let letters = "ccgwnwwwewwwwwwwwuwwwwwwwwwwwwwwwwwwwgwwwwtwcww".repeat(4);
        for (n, letter) in letters.chars().enumerate() {
            say(&mut always, &letter.to_string());
            say(&mut seldom, &letter.to_string());
            let root = always.root().unwrap();
            assert_eq!(root, always.memory().unwrap().root(), "after {n} messages");
            if n % 17 == 3 {
                assert_eq!(seldom.root().unwrap(), root);
                let mut fork = always.fork().unwrap();
                assert_eq!(fork.root().unwrap(), root);
            }
        }
        let (root, memory) = (always.root().unwrap(), always.memory().unwrap());
        let mut restored = program.machine(start(LIMITS, Some(memory))).unwrap();
        assert_eq!(restored.root().unwrap(), root);
        say(&mut always, "w");
        assert_ne!(always.root().unwrap(), root);
    }
}
