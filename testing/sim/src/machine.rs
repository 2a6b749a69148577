//! The programs of the simulated world: one small native machine that plays every part.
//!
//! It has no linear memory. Its state is JSON in the pages of a [`Memory`], and holds a hash of every input so far:
//! two machines that saw anything else, or in another order, differ in all that they say afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{Json, Outcome, Tags};
use runtime::{Environment, GAS_SCHEDULE, Input, Limits, Machine, Memory, Program, Refusal, Runtime, Start};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The `Module-Format` of these programs.
pub const FORMAT: &str = "sim-1";

/// Gas of an ordinary message.
const GAS: u64 = 1000;

/// What a message asks for, in its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// From the owner: there are so many tokens more.
    Mint(u64),
    /// From the owner: send tokens around.
    Start(Pass),
    /// Tokens arrive, and go on.
    Pass(Pass),
    /// From the owner: play with that process, to and fro so often.
    Rally {
        /// With whom.
        with: String,
        /// How often.
        depth: u64,
    },
    /// Answered with one of a depth less, until it is 0.
    Ping(u64),
    /// Start so many processes, which greet whoever started them.
    Spawn(u64),
    /// Have this message assigned to another process as well.
    Share(String),
    /// Fails.
    Fail,
    /// Costs that much gas.
    Work(u64),
    /// Is only counted.
    Note,
    /// From a process whose time has come: which timer of it, and for which moment, ms since 1970.
    Told {
        /// Its name.
        timer: String,
        /// The moment.
        due: u64,
    },
    /// From the owner: say that to itself, by these tags in their order. So a process sets, changes and cancels its timers.
    Timer(Named),
    /// From the owner: start a process that has these tags besides.
    Bear(Named),
}

/// Names and values of tags, in their order.
pub type Named = Vec<(String, String)>;

/// Tokens on their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// How many.
    pub tokens: u64,
    /// Whom they go through yet, in turn.
    pub route: Vec<String>,
}

/// What every outcome shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Of everything that the process was given so far.
    pub history: String,
    /// Tokens that it holds.
    pub held: u64,
    /// How many elements it sent so far.
    pub sent: u64,
}

/// Runs these programs.
#[derive(Debug)]
pub struct SimRuntime;

impl Runtime for SimRuntime {
    fn runs(&self, format: &str) -> bool {
        format == FORMAT
    }

    fn load(&self, _module: &protocol::Module) -> Result<Arc<dyn Program>, Refusal> {
        Ok(Arc::new(SimProgram))
    }
}

struct SimProgram;

impl Program for SimProgram {
    fn start(&self, start: Start) -> Result<Box<dyn Machine>, Refusal> {
        let Start { environment, limits, memory, .. } = start;
        let about = About::of(&environment);
        let state = match memory.as_ref().map(Memory::to_dense) {
            None => State::default(),
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Refusal::Memory { why: format!("it is no state: {error}") })?,
        };
        Ok(Box::new(SimMachine { about: Arc::new(about), limits, state }))
    }
}

/// What a process knows of itself.
#[derive(Debug, Default)]
struct About {
    id: String,
    owner: String,
    module: String,
    authorities: Vec<String>,
    /// Who signs its ticks.
    scheduler: String,
    /// Whom it tells when time has passed.
    listener: Option<String>,
    /// It tells which timer, and which moment.
    is_exact: bool,
    /// It never answers.
    is_mute: bool,
}

impl About {
    fn of(environment: &Environment) -> About {
        let all: Value = serde_json::from_str(environment.to_json()).unwrap_or_default();
        let process = &all["Process"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let tags: Tags = serde_json::from_value(process["Tags"].clone()).unwrap_or_default();
        About {
            id: text(&process["Id"]),
            owner: text(&process["Owner"]),
            module: text(&all["Module"]["Id"]),
            authorities: tags.all(protocol::tag::AUTHORITY).map(str::to_owned).collect(),
            scheduler: tags.first(protocol::tag::SCHEDULER).unwrap_or_default().to_owned(),
            listener: tags.first("Listener").map(str::to_owned),
            is_exact: tags.has("Exact", "yes"),
            is_mute: tags.has("Mute", "yes"),
        }
    }
}

/// Moments, ms since 1970, in the order in which they were told; of a timer, or of a process and its timer.
pub type Moments = BTreeMap<String, Vec<u64>>;

/// What a process remembers: its memory, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Of everything that it was given so far.
    pub history: String,
    held: u64,
    sent: u64,
    /// The moments of its own timers that it was given ticks for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ticks: Moments,
    /// What others told it of theirs: see [`heard_of`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heard: Moments,
}

/// Under which name a process remembers the moments of another's timer.
pub fn heard_of(process: &str, timer: &str) -> String {
    format!("{process}/{timer}")
}

struct SimMachine {
    about: Arc<About>,
    limits: Limits,
    state: State,
}

impl Machine for SimMachine {
    fn handle(&mut self, input: &Input) -> Result<Outcome, Refusal> {
        if self.about.is_mute {
            return Err(Refusal::System { what: "an answer of a process that never answers".to_owned() });
        }
        let mut next = self.state.clone();
        let mut said = Said::default();
        let seen = [next.history.as_str(), &input.to_json()].concat();
        next.history = blake3::hash(seen.as_bytes()).to_hex()[..16].to_owned();
        match self.act(input, &mut next, &mut said) {
            Ok(gas) if gas <= self.limits.compute => {
                let shown = Shown { history: next.history.clone(), held: next.held, sent: next.sent };
                let output = json!({ "data": shown }).to_string();
                self.state = next;
                Ok(Outcome {
                    messages: said.messages,
                    assignments: said.assignments,
                    spawns: said.spawns,
                    output: Json::parse(&output).expect("it was written as JSON"),
                    error: None,
                    gas_used: 0,
                    gas,
                    gas_schedule: GAS_SCHEDULE,
                    memory_bytes: 0,
                })
            }
            Ok(_) => Ok(Outcome::failed("out of gas", self.limits.compute, GAS_SCHEDULE)),
            Err(why) => Ok(Outcome::failed(why, GAS, GAS_SCHEDULE)),
        }
    }

    fn fork(&mut self) -> Result<Box<dyn Machine>, Refusal> {
        let (about, limits, state) = (Arc::clone(&self.about), self.limits, self.state.clone());
        Ok(Box::new(SimMachine { about, limits, state }))
    }

    fn memory(&mut self) -> Result<Memory, Refusal> {
        let bytes = serde_json::to_vec(&self.state).expect("a state is always JSON");
        Ok(Memory::from_dense(&Bytes::from(bytes)))
    }

    fn resident_bytes(&self) -> u64 {
        64
    }
}

/// What one evaluation sends.
#[derive(Default)]
struct Said {
    messages: Vec<Json>,
    assignments: Vec<Json>,
    spawns: Vec<Json>,
}

impl SimMachine {
    /// The gas that it cost, or why it failed.
    fn act(&self, input: &Input, state: &mut State, said: &mut Said) -> Result<u64, &'static str> {
        if let Some((timer, due)) = self.time_of(input) {
            if self.about.is_exact {
                state.ticks.entry(timer.clone()).or_default().push(due);
            }
            if let Some(listener) = &self.about.listener {
                let ask = if self.about.is_exact { Ask::Told { timer, due } } else { Ask::Note };
                self.send(state, said, listener, &ask);
            }
            return Ok(GAS);
        }
        let from = input.from.as_deref().unwrap_or_default();
        let owner = input.owner.as_deref().unwrap_or_default();
        // As processes of ao do it: whoever speaks for another must be trusted to.
        let is_trusted = from == owner || self.about.authorities.iter().any(|authority| authority == owner);
        let is_owners = from == self.about.owner;
        let data = input.data.as_ref().and_then(|data| data.to::<String>().ok()).unwrap_or_default();
        let Ok(ask) = serde_json::from_str::<Ask>(&data) else { return Ok(GAS) };
        if !is_trusted {
            return Ok(GAS);
        }
        match ask {
            Ask::Mint(tokens) if is_owners => state.held += tokens,
            Ask::Start(pass) if is_owners => self.pass(state, said, pass),
            Ask::Pass(pass) => {
                state.held += pass.tokens;
                self.pass(state, said, pass);
            }
            Ask::Rally { with, depth } => self.send(state, said, &with, &Ask::Ping(depth)),
            Ask::Ping(depth) if depth > 0 => self.send(state, said, from, &Ask::Ping(depth - 1)),
            Ask::Spawn(n) => (0..n).for_each(|_| self.spawn(state, said, &[])),
            Ask::Bear(tags) if is_owners => self.spawn(state, said, &tags),
            Ask::Timer(tags) if is_owners => self.say(state, said, &self.about.id, &Ask::Note, &tags),
            Ask::Share(with) => {
                let message = input.id.as_deref().unwrap_or_default();
                said.assignments.push(parse(&json!({ "Processes": [with], "Message": message })));
            }
            Ask::Fail => return Err("it was asked to fail"),
            Ask::Work(gas) => return Ok(gas),
            Ask::Told { timer, due } => {
                state.heard.entry(heard_of(from, &timer)).or_default().push(due);
            }
            Ask::Mint(_) | Ask::Start(_) | Ask::Timer(_) | Ask::Bear(_) | Ask::Ping(_) | Ask::Note => {}
        }
        Ok(GAS)
    }

    /// Which timer's time has come, and which moment; None of what somebody said. A tick is what the scheduler signed
    /// and nobody pushed, as the boot library has it; a cron of legacynet names its timer by a tag of its own.
    fn time_of(&self, input: &Input) -> Option<(String, u64)> {
        let text = |name| input.tags.first(name).map(str::to_owned);
        if input.cron {
            return Some((text("Timer").unwrap_or_default(), input.timestamp.unwrap_or_default()));
        }
        let is_schedulers = |who: &Option<String>| who.as_deref() == Some(self.about.scheduler.as_str());
        if !is_schedulers(&input.owner) || !is_schedulers(&input.from) {
            return None;
        }
        Some((text("Tick-Name")?, text("Tick-Due")?.parse().ok()?))
    }

    fn pass(&self, state: &mut State, said: &mut Said, Pass { tokens, mut route }: Pass) {
        let tokens = tokens.min(state.held);
        if route.is_empty() || tokens == 0 {
            return;
        }
        let next = route.remove(0);
        state.held -= tokens;
        self.send(state, said, &next, &Ask::Pass(Pass { tokens, route }));
    }

    fn send(&self, state: &mut State, said: &mut Said, to: &str, ask: &Ask) {
        self.say(state, said, to, ask, &[]);
    }

    fn say(&self, state: &mut State, said: &mut Said, to: &str, ask: &Ask, more: &[(String, String)]) {
        state.sent += 1;
        let data = serde_json::to_string(ask).expect("what is asked is always JSON");
        let mut tags = vec![json!({ "name": "Reference", "value": state.sent.to_string() })];
        tags.extend(json_of(more));
        said.messages.push(parse(&json!({
            "Target": to, "Anchor": format!("{:032}", state.sent), "Data": data, "Tags": tags,
        })));
    }

    fn spawn(&self, state: &mut State, said: &mut Said, more: &[(String, String)]) {
        state.sent += 1;
        let mut tags = vec![
            json!({ "name": "Module", "value": self.about.module }),
            json!({ "name": "Reference", "value": state.sent.to_string() }),
        ];
        tags.extend(self.about.authorities.iter().map(|it| json!({ "name": "Authority", "value": it })));
        tags.extend(json_of(more));
        said.spawns
            .push(parse(&json!({ "Data": "", "Anchor": format!("{:032}", state.sent), "Tags": tags })));
    }
}

fn json_of(tags: &[(String, String)]) -> impl Iterator<Item = Value> + '_ {
    tags.iter().map(|(name, value)| json!({ "name": name, "value": value }))
}

fn parse(value: &Value) -> Json {
    Json::parse(&value.to_string()).expect("it was written as JSON")
}
