//! What every [`Machine`] must pass, whatever its state is made of.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{Json, Module, Outcome};

use crate::{
    Environment, GAS_SCHEDULE, Input, Limits, Machine, Memory, PAGE_BYTES, Program, Refusal, Runtime, Start,
};

/// A runtime under test, with one program. Messages tell it in their `Data` what to do.
pub struct Subject {
    /// The runtime.
    pub runtime: Arc<dyn Runtime>,
    /// The program. Its machines do as [`Ask`] says.
    pub module: Module,
    /// Enough for each message but [`Ask::Endless`] and [`Ask::Large`].
    pub limits: Limits,
}

/// What a program under test is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// `Data` is `c` and a digit: something small about the state becomes another, depending on that digit and on the
    /// state before. The output is `null` or whatever does not depend on the state.
    Change(u8),
    /// `s`: the output depends on all changes so far and on their order.
    Show,
    /// `f`: changes the state, and then fails.
    Fail,
    /// `l`: goes on for ever.
    Endless,
    /// `m`: asks for more memory than the limit, and fails if it does not get it.
    Large,
}

impl Ask {
    fn input(self) -> Input {
        let data = match self {
            Ask::Change(digit) => format!("c{digit}"),
            Ask::Show => "s".to_owned(),
            Ask::Fail => "f".to_owned(),
            Ask::Endless => "l".to_owned(),
            Ask::Large => "m".to_owned(),
        };
        Input { data: Some(Json::string(&data)), ..Input::default() }
    }
}

/// Runs every case; panics at the first broken promise.
pub fn check_machines(subject: &Subject) {
    let program = subject.runtime.load(&subject.module).expect("the program loads");
    let bench = Bench { program, limits: subject.limits };
    for case in [
        the_same_messages_have_the_same_outcomes_and_state,
        a_failure_leaves_the_state_as_it_was,
        what_does_not_end_is_ended_where_it_always_is,
        what_does_not_fit_fails_and_leaves_the_state,
        forks_go_their_own_way,
        a_checkpoint_is_the_whole_state,
        looking_changes_nothing,
        the_root_is_that_of_the_memory,
        what_changed_makes_a_memory_that_of_now,
        what_a_state_was_can_be_read_when_it_is_another,
        a_memory_is_sparse_and_in_order,
        a_small_change_changes_few_pages,
        a_memory_beyond_the_limit_is_not_gone_on_with,
    ] {
        case(&bench);
    }
}

struct Bench {
    program: Arc<dyn Program>,
    limits: Limits,
}

type Tested = Box<dyn Machine>;

impl Bench {
    fn start(&self, limits: Limits, memory: Option<Memory>) -> Result<Tested, Refusal> {
        let environment = Arc::new(Environment::from_json("{}"));
        self.program.start(Start { environment, limits, memory, drive: None })
    }

    fn fresh(&self) -> Tested {
        self.start(self.limits, None).expect("a machine starts")
    }

    fn from(&self, memory: Memory) -> Tested {
        self.start(self.limits, Some(memory)).expect("a machine starts from a checkpoint")
    }
}

fn ask(machine: &mut Tested, ask: Ask) -> Outcome {
    let outcome = machine.handle(&ask.input()).expect("an outcome");
    assert_eq!(outcome.gas_schedule, GAS_SCHEDULE, "{ask:?}");
    assert!(outcome.gas > 0, "{ask:?} costs something");
    let fails = matches!(ask, Ask::Fail | Ask::Endless | Ask::Large);
    assert_eq!(outcome.error.is_some(), fails, "{ask:?}: {:?}", outcome.error);
    outcome
}

fn change(machine: &mut Tested, n: u64) {
    for at in 0..n {
        ask(machine, Ask::Change((at * 7 % 10) as u8));
    }
}

fn shown(machine: &mut Tested) -> String {
    ask(machine, Ask::Show).output.get().to_owned()
}

fn memory(machine: &mut Tested) -> Memory {
    machine.memory().expect("a memory")
}

fn the_same_messages_have_the_same_outcomes_and_state(bench: &Bench) {
    let [mut one, mut other] = [bench.fresh(), bench.fresh()];
    let mut before = String::new();
    for at in 0..50 {
        let asked = if at % 5 == 4 { Ask::Show } else { Ask::Change(at % 10) };
        let outcome = ask(&mut one, asked);
        assert_eq!(ask(&mut other, asked), outcome);
        if asked == Ask::Show {
            assert_ne!(outcome.output.get(), before, "a change is seen");
            before = outcome.output.get().to_owned();
        }
    }
    assert_eq!(memory(&mut one), memory(&mut other));
}

fn a_failure_leaves_the_state_as_it_was(bench: &Bench) {
    let [mut failing, mut clean] = [bench.fresh(), bench.fresh()];
    for at in 0..40 {
        ask(&mut failing, Ask::Change(at % 10));
        ask(&mut clean, Ask::Change(at % 10));
        for _ in 0..at % 3 {
            ask(&mut failing, Ask::Fail);
        }
        assert_eq!(shown(&mut failing), shown(&mut clean), "after {at}");
    }
    assert_eq!(memory(&mut failing), memory(&mut clean));
    assert_eq!(failing.root().expect("a root"), clean.root().expect("a root"));
}

fn what_does_not_end_is_ended_where_it_always_is(bench: &Bench) {
    let limits = Limits { compute: CUT, ..bench.limits };
    let start = || bench.start(limits, None).expect("a machine starts");
    let [mut one, mut other] = [start(), start()];
    change(&mut one, 3);
    change(&mut other, 3);
    let before = memory(&mut one);
    let outcome = ask(&mut one, Ask::Endless);
    assert_eq!(ask(&mut other, Ask::Endless), outcome);
    assert!(outcome.gas >= limits.compute, "{} of {}", outcome.gas, limits.compute);
    assert_eq!(memory(&mut one), before);
    assert_eq!(shown(&mut one), shown(&mut other));
}

/// Gas that is enough for every message that ends.
const CUT: u64 = 50_000_000;

fn what_does_not_fit_fails_and_leaves_the_state(bench: &Bench) {
    let mut machine = bench.fresh();
    change(&mut machine, 3);
    let before = memory(&mut machine);
    ask(&mut machine, Ask::Large);
    assert_eq!(memory(&mut machine), before);
    assert!(before.size_bytes <= bench.limits.memory_bytes);
}

fn forks_go_their_own_way(bench: &Bench) {
    let mut machine = bench.fresh();
    change(&mut machine, 20);
    let before = shown(&mut machine);
    let mut fork = machine.fork().expect("a fork");
    let mut of_fork = fork.fork().expect("a fork of a fork");
    assert_eq!(shown(&mut fork), before);
    change(&mut fork, 5);
    ask(&mut of_fork, Ask::Fail);
    assert_eq!(shown(&mut machine), before, "what a fork does is not seen");
    assert_eq!(shown(&mut of_fork), before);
    let of_five = shown(&mut fork);
    ask(&mut machine, Ask::Change(9));
    assert_eq!(shown(&mut fork), of_five, "nor by a fork what others do");
    drop(machine);
    assert_eq!(shown(&mut fork), of_five, "nor when the other goes");
    change(&mut of_fork, 5);
    assert_eq!(shown(&mut of_fork), of_five, "the same messages make the same of it");
}

fn a_checkpoint_is_the_whole_state(bench: &Bench) {
    let mut undisturbed = bench.fresh();
    let mut machine = bench.fresh();
    for _ in 0..4 {
        change(&mut undisturbed, 13);
        change(&mut machine, 13);
        let root = machine.root().expect("a root");
        let checkpoint = memory(&mut machine);
        drop(machine);
        machine = bench.from(checkpoint.clone());
        assert_eq!(memory(&mut machine), checkpoint, "it starts as it was left");
        assert_eq!(machine.root().expect("a root"), root);
        assert_eq!(ask(&mut machine, Ask::Show), ask(&mut undisturbed, Ask::Show));
    }
    assert_eq!(memory(&mut machine), memory(&mut undisturbed));
}

fn looking_changes_nothing(bench: &Bench) {
    let [mut looked_at, mut left_alone] = [bench.fresh(), bench.fresh()];
    for at in 0..30 {
        match at % 3 {
            0 => drop(memory(&mut looked_at)),
            1 => drop(looked_at.fork().expect("a fork")),
            _ => drop(looked_at.root().expect("a root")),
        }
        let _ = looked_at.resident_bytes();
        let asked = Ask::Change(at % 10);
        assert_eq!(ask(&mut looked_at, asked), ask(&mut left_alone, asked), "after {at}");
    }
    assert_eq!(memory(&mut looked_at), memory(&mut left_alone));
}

fn the_root_is_that_of_the_memory(bench: &Bench) {
    let mut machine = bench.fresh();
    let mut before = None;
    for at in 0..30_u8 {
        ask(&mut machine, Ask::Change(at % 10));
        if at % 4 == 3 {
            ask(&mut machine, Ask::Fail);
        }
        if at % 3 == 0 {
            let root = machine.root().expect("a root");
            assert_eq!(root, memory(&mut machine).root(), "after {at}");
            assert_ne!(Some(root), before, "after {at}");
            before = Some(root);
        }
    }
}

fn what_changed_makes_a_memory_that_of_now(bench: &Bench) {
    let mut machine = bench.fresh();
    assert!(machine.changes().expect("an answer").is_none(), "nobody asked for it");
    change(&mut machine, 40);
    let mut known = memory(&mut machine);
    machine.track();
    for at in 0..30_u8 {
        ask(&mut machine, Ask::Change(at % 10));
        if at % 4 == 3 {
            ask(&mut machine, Ask::Fail);
        }
        if at % 5 == 2 {
            // A fork looks at what the machine commits, and counts nothing.
            let mut fork = machine.fork().expect("a fork");
            assert!(fork.changes().expect("an answer").is_none());
        }
        if at % 3 == 0 {
            // Who cannot say what changed, says so always.
            let Some(changes) = machine.changes().expect("an answer") else { return };
            let then = memory(&mut machine);
            ask(&mut machine, Ask::Change(at % 7));
            let changes = changes.read().expect("pages");
            assert!(changes.pages.is_sorted_by(|(one, _), (other, _)| one < other));
            known = changes.apply(&known);
            assert_eq!(known, then, "after {at}");
        }
    }
    let changes = machine.changes().expect("an answer").expect("it knew before").read().expect("pages");
    assert_eq!(changes.apply(&known), memory(&mut machine));
    // One that goes on from a checkpoint as well.
    let mut later = bench.from(known.clone());
    later.track();
    change(&mut later, 3);
    let changes = later.changes().expect("an answer").expect("it can").read().expect("pages");
    assert_eq!(changes.apply(&known), memory(&mut later));
}

fn what_a_state_was_can_be_read_when_it_is_another(bench: &Bench) {
    let mut machine = bench.fresh();
    let mut before = Vec::new();
    for at in 0..20_u8 {
        ask(&mut machine, Ask::Change(at % 10));
        before.push((machine.memory_later().expect("what it is"), memory(&mut machine)));
    }
    for (later, then) in before {
        assert!(then.pages.len() <= later.pages_max());
        assert_eq!(later.read().expect("pages"), then);
    }
}

fn a_memory_is_sparse_and_in_order(bench: &Bench) {
    let mut machine = bench.fresh();
    change(&mut machine, 40);
    let Memory { size_bytes, pages } = memory(&mut machine);
    assert!(!pages.is_empty());
    assert!(pages.is_sorted_by(|(one, _), (other, _)| one < other));
    for (index, page) in &pages {
        assert_eq!(page.len(), PAGE_BYTES);
        assert!(page.iter().any(|&byte| byte != 0), "page {index} has nothing");
        assert!(index * (PAGE_BYTES as u64) < size_bytes, "page {index} of {size_bytes} bytes");
    }
}

fn a_small_change_changes_few_pages(bench: &Bench) {
    let mut machine = bench.fresh();
    change(&mut machine, 200);
    let before: BTreeMap<u64, Bytes> = memory(&mut machine).pages.into_iter().collect();
    ask(&mut machine, Ask::Change(3));
    let after: BTreeMap<u64, Bytes> = memory(&mut machine).pages.into_iter().collect();
    let indices = before.keys().chain(after.keys());
    let mut changed: Vec<&u64> = indices.filter(|index| before.get(index) != after.get(index)).collect();
    changed.sort_unstable();
    changed.dedup();
    assert!((1..=8).contains(&changed.len()), "pages {changed:?} are others");
}

fn a_memory_beyond_the_limit_is_not_gone_on_with(bench: &Bench) {
    let mut machine = bench.fresh();
    change(&mut machine, 5);
    let checkpoint = memory(&mut machine);
    let limits = Limits { memory_bytes: checkpoint.size_bytes - 1, ..bench.limits };
    match bench.start(limits, Some(checkpoint)) {
        // Even an empty machine does not fit: then that is what each message is told.
        Ok(mut machine) => {
            let outcome = machine.handle(&Ask::Show.input()).expect("an outcome");
            assert!(outcome.error.is_some(), "{outcome:?}");
        }
        Err(refusal) => assert!(matches!(refusal, Refusal::Memory { .. }), "{refusal}"),
    }
}
