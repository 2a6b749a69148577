//! Looking at a guest while it runs.
//!
//! The code is compiled so that it asks, where it starts a function and where a loop goes round, whether its time is up;
//! here it always is, and the host looks at the memory and at the count of gas. What the guest runs is the same bytes:
//! it does the same, and counts the same.
//!
//! What was used since the last look belongs to whoever runs at this one. The count is exact before every call that
//! could change who runs, so only the few operators of a call itself are the caller's or the called one's by convention.

use std::collections::BTreeMap;
use std::sync::Arc;

use runtime::{Function, Profile, Running, Stacks};

/// Functions in one another that are told apart; who runs deeper counts as the last of them.
const DEPTH_MAX: usize = 256;

/// Stacks that are told apart in one evaluation; beyond, a function counts as the one that called it, so that what is kept
/// of a runaway is bounded.
const NODES_MAX: usize = 1 << 16;

/// Functions that are read for each look, on average: a stack that is deeper is read more rarely.
const DEPTH_PER_LOOK: usize = 64;

/// What was seen of the evaluation that runs.
pub(crate) struct Watch {
    stacks: Arc<dyn Stacks>,
    /// The functions in one another as a tree; the first is the interpreter itself.
    nodes: Vec<Node>,
    /// What ran at the last look, and the node of each.
    running: Vec<Running>,
    path: Vec<usize>,
    /// For the next look, so that it takes no new memory.
    buffer: Vec<Running>,
    /// Gas at the last look.
    gas: u64,
    /// Looks to leave out.
    idle: usize,
    names: BTreeMap<Running, Function>,
}

/// How an evaluation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With an answer.
    Returned,
    /// It was stopped where it was.
    Stopped,
}

struct Node {
    function: Option<Running>,
    parent: usize,
    children: BTreeMap<Running, usize>,
    gas: u64,
}

impl Watch {
    /// Nothing was seen yet.
    pub fn new(stacks: Arc<dyn Stacks>) -> Watch {
        let mut watch = Watch {
            stacks,
            nodes: Vec::new(),
            running: Vec::new(),
            path: Vec::new(),
            buffer: Vec::new(),
            gas: 0,
            idle: 0,
            names: BTreeMap::new(),
        };
        watch.begin();
        watch
    }

    /// An evaluation begins.
    pub fn begin(&mut self) {
        self.nodes = vec![Node { function: None, parent: 0, children: BTreeMap::new(), gas: 0 }];
        self.running.clear();
        self.path.clear();
        self.names.clear();
        (self.gas, self.idle) = (0, 0);
    }

    /// Looks: so much gas was used since the beginning.
    pub fn look(&mut self, memory: &[u8], gas: u64) {
        if self.idle > 0 {
            self.idle -= 1;
            return;
        }
        self.buffer.clear();
        if self.stacks.read(memory, &mut self.buffer) {
            self.idle = self.buffer.len() / DEPTH_PER_LOOK;
            self.buffer.truncate(DEPTH_MAX);
            if self.buffer != self.running {
                self.go(memory);
            }
        }
        self.count(gas);
    }

    /// Finds the node of what runs now.
    fn go(&mut self, memory: &[u8]) {
        let same = self.running.iter().zip(&self.buffer).take_while(|(was, is)| was == is).count();
        self.path.truncate(same);
        for &function in &self.buffer[same..] {
            let (at, next) = (self.path.last().copied().unwrap_or(0), self.nodes.len());
            let found = match self.nodes[at].children.get(&function) {
                Some(found) => *found,
                None if next >= NODES_MAX => at,
                None => {
                    self.nodes[at].children.insert(function, next);
                    let children = BTreeMap::new();
                    self.nodes.push(Node { function: Some(function), parent: at, children, gas: 0 });
                    self.names.entry(function).or_insert_with(|| self.stacks.name(memory, function));
                    next
                }
            };
            self.path.push(found);
        }
        std::mem::swap(&mut self.running, &mut self.buffer);
    }

    fn count(&mut self, gas: u64) {
        let at = self.path.last().copied().unwrap_or(0);
        self.nodes[at].gas += gas.saturating_sub(self.gas);
        self.gas = self.gas.max(gas);
    }

    /// The evaluation has ended, and used so much in all.
    pub fn end(&mut self, how: End, gas: u64) -> Profile {
        // Whoever was stopped had used what is not counted yet. Otherwise nothing runs any more but the interpreter.
        if how == End::Returned {
            self.path.clear();
        }
        self.count(gas);
        let mut profile = Profile::default();
        for mut at in 0..self.nodes.len() {
            let used = self.nodes[at].gas;
            if used == 0 {
                continue;
            }
            let mut stack = Vec::new();
            while let Some(function) = self.nodes[at].function {
                stack.extend(self.names.get(&function).cloned());
                at = self.nodes[at].parent;
            }
            stack.reverse();
            *profile.stacks.entry(stack).or_default() += used;
        }
        self.begin();
        profile
    }
}
