//! What the Lua of a test can ask of the network: one table of functions.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use mlua::{IntoLua as _, Lua, LuaSerdeExt as _, Table, Value};
use protocol::{Id, Json, ModuleId, Outcome, ProcessId, SignatureType, Tag, Tags, tag};
use sandbox::{Fate, Faults, Letter, Sandbox, Signer, What};
use serde_json::Value as JsonValue;
use unit::DryRun;

use super::source::{self, Source, quoted};
use super::{Plan, coverage, trace};
use crate::project::Project;

/// Networks that blocks of tests stand on, at most: blocks in one another.
const SNAPSHOTS_MAX: usize = 1000;

/// Marks a value that is written as JSON in what an Eval shows.
const MARK: &str = "\u{1}json:";

/// The network of a file, and what is known of it.
pub struct Host {
    /// As it is now.
    pub net: Sandbox,
    /// Networks, and the names that were known with each.
    snapshots: BTreeMap<usize, (Sandbox, BTreeMap<Id, String>)>,
    next_snapshot: usize,
    /// What people call whoever has an id.
    pub names: BTreeMap<Id, String>,
    accounts: BTreeMap<Id, Signer>,
    module: ModuleId,
    base: PathBuf,
    project: Option<Project>,
    test: PathBuf,
    seed: u64,
    /// Of the test's own Lua; the network has another one.
    chance: u64,
    /// Files that processes were given.
    pub sources: Vec<Source>,
    /// What was counted.
    pub coverage: coverage::Coverage,
    /// Whether what runs now is counted and what it prints is kept: of what several runs of a file do alike, one is.
    pub counts: bool,
    /// Counters when the test began.
    pub begun: sandbox::Counters,
}

/// Shared between the functions of one Lua.
#[derive(Clone)]
pub struct Shared(Arc<Mutex<Host>>);

impl Shared {
    /// Everything of one file.
    pub fn new(plan: &Plan, test: PathBuf) -> Shared {
        let mut net = Sandbox::new(plan.modules.clone(), sandbox::Options::default());
        net.seed(plan.seed);
        if plan.coverage {
            net.set_probe(Some(sandbox::Probe { script: coverage::SCRIPT.to_owned() }));
        }
        let mut host = Host {
            net,
            snapshots: BTreeMap::new(),
            next_snapshot: 0,
            names: BTreeMap::new(),
            accounts: BTreeMap::new(),
            module: plan.module,
            base: plan.base.clone(),
            project: plan.project.clone(),
            test,
            seed: plan.seed,
            chance: plan.seed,
            sources: Vec::new(),
            coverage: coverage::Coverage::default(),
            counts: true,
            begun: sandbox::Counters::default(),
        };
        host.account("ada");
        Shared(Arc::new(Mutex::new(host)))
    }

    /// The host, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, Host> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table of functions.
    pub fn table(&self, lua: &Lua) -> mlua::Result<Table> {
        let table = lua.create_table()?;
        macro_rules! function {
            ($name:literal, $run:expr) => {{
                let shared = self.clone();
                let run = $run;
                table.set(
                    $name,
                    lua.create_function(move |lua, arguments| run(lua, &mut *shared.lock(), arguments))?,
                )?;
            }};
        }
        function!("spawn", |_: &Lua, host: &mut Host, what: Table| host.spawn(&what));
        function!("send", |_: &Lua, host: &mut Host, what: Table| host.send(&what, true));
        function!("post", |_: &Lua, host: &mut Host, what: Table| host.send(&what, false));
        function!("dry", |lua: &Lua, host: &mut Host, what: Table| host.dry(lua, &what));
        function!("run", |_: &Lua, host: &mut Host, (): ()| host.net.run().map_err(problem));
        function!("step", |_: &Lua, host: &mut Host, (): ()| host.net.step().map_err(problem));
        function!("letters", |_: &Lua, host: &mut Host, (): ()| Ok(host.net.letters().len()));
        function!("letter", |lua: &Lua, host: &mut Host, number: usize| host.letter(lua, number));
        function!("has", |_: &Lua, host: &mut Host, id: String| Ok(host.process(&id).is_ok()));
        function!("owner", |_: &Lua, host: &mut Host, id: String| {
            let process = host.process(&id)?;
            host.net.owner(process).map_err(problem)
        });
        function!("advance", |_: &Lua, host: &mut Host, ms: u64| host.net.advance(ms).map_err(problem));
        function!("now", |_: &Lua, host: &mut Host, (): ()| Ok(host.net.now().0));
        function!("height", |_: &Lua, host: &mut Host, (): ()| Ok(host.net.height().0));
        function!("mine", |_: &Lua, host: &mut Host, n: u64| Ok(host.net.mine(n).map_err(problem)?.0));
        function!("tick", |_: &Lua, host: &mut Host, id: String| {
            let process = host.process(&id)?;
            Ok(host.net.tick(process).map_err(problem)?.is_some())
        });
        function!("faults", |_: &Lua, host: &mut Host, what: Table| host.faults(&what));
        function!("account", |_: &Lua, host: &mut Host, name: String| Ok(host.account(&name).to_string()));
        function!("accounts", |_: &Lua, _: &mut Host, (): ()| {
            Ok(node::accounts().iter().map(|account| account.name).collect::<Vec<_>>())
        });
        function!("name", |_: &Lua, host: &mut Host, (id, name): (String, String)| {
            let process = host.process(&id)?;
            host.names.insert(process.0, name);
            Ok(())
        });
        function!("snapshot", |_: &Lua, host: &mut Host, (): ()| host.snapshot());
        function!("restore", |_: &Lua, host: &mut Host, number: usize| host.restore(number));
        function!("forget", |_: &Lua, host: &mut Host, number: usize| {
            host.snapshots.remove(&number);
            Ok(())
        });
        function!("clear", |_: &Lua, host: &mut Host, (): ()| {
            host.gather();
            let modules = host.net.modules().clone();
            let fresh = Sandbox::new(modules, sandbox::Options::default());
            let probe = host.net.probe();
            host.net = fresh;
            host.net.seed(host.seed);
            host.net.set_probe(probe);
            Ok(())
        });
        function!("counts", |_: &Lua, host: &mut Host, counts: bool| {
            host.set_counts(counts);
            Ok(())
        });
        function!("reseed", |_: &Lua, host: &mut Host, (): ()| {
            host.chance = host.seed;
            Ok(())
        });
        function!("random", |_: &Lua, host: &mut Host, (): ()| Ok(host.random()));
        function!("randomseed", |_: &Lua, host: &mut Host, seed: i64| {
            host.chance = seed as u64;
            Ok(())
        });
        function!("project", |lua: &Lua, host: &mut Host, name: String| host.project(lua, &name));
        function!("bundle", |_: &Lua, host: &mut Host, path: String| host.bundle(&path));
        function!("is_file", |_: &Lua, host: &mut Host, path: String| {
            Ok(source::locate(&path, &host.base, &host.test).is_some())
        });
        function!("eval_script", |_: &Lua, _: &mut Host, code: String| Ok(eval_script(&code)));
        function!("eval_value", |lua: &Lua, _: &mut Host, text: String| eval_value(lua, &text));
        function!("encode", |_: &Lua, _: &mut Host, value: Value| {
            serde_json::to_string(&value).map_err(mlua::Error::external)
        });
        function!("decode", |lua: &Lua, _: &mut Host, text: String| {
            let value: JsonValue = serde_json::from_str(&text).map_err(mlua::Error::external)?;
            to_lua(lua, &value)
        });
        function!("error_text", |_: &Lua, _: &mut Host, problem: Value| Ok(match problem {
            Value::Error(error) => Some(super::file::innermost(&error)),
            _ => None,
        }));
        function!("called", |_: &Lua, host: &mut Host, id: String| {
            Ok(id.parse().ok().and_then(|id: Id| host.names.get(&id).cloned()))
        });
        function!("is_protocol_tag", |_: &Lua, _: &mut Host, name: String| Ok(is_protocol_tag(&name)));
        Ok(table)
    }
}

impl Host {
    /// Takes what the probe has seen.
    pub fn gather(&mut self) {
        for probed in self.net.take_probed() {
            if self.counts {
                self.coverage.add(&probed);
            }
        }
    }

    /// Whether what runs from now on is counted.
    pub fn set_counts(&mut self, counts: bool) {
        self.gather();
        self.counts = counts;
    }

    /// A test begins: what it costs is counted from here, and chance is as for every other.
    pub fn begin(&mut self) {
        self.begun = self.net.counters();
        self.chance = self.seed;
    }

    /// 53 bits of chance.
    fn random(&mut self) -> i64 {
        let mut chance = sandbox::Chance(self.chance);
        let drawn = chance.draw() >> 11;
        self.chance = chance.0;
        drawn as i64
    }

    fn process(&self, id: &str) -> mlua::Result<ProcessId> {
        let process = id.parse().ok().filter(|process| self.net.has(*process));
        process.ok_or_else(|| mlua::Error::runtime(format!("there is no process {id}")))
    }

    /// The address of an account: of `pirn accounts`, or one that a name makes.
    fn account(&mut self, name: &str) -> Id {
        let known = node::accounts().into_iter().find(|account| account.name == name);
        let signer = known.map_or_else(|| Signer::named(name), |account| signer(account.jwk));
        let address = signer.address().0;
        self.names.insert(address, name.to_owned());
        self.accounts.entry(address).or_insert(signer);
        address
    }

    fn spawn(&mut self, what: &Table) -> mlua::Result<(String, usize)> {
        let by = self.signer(what.get::<Option<String>>("by")?)?;
        let module = match what.get::<Option<String>>("module")? {
            None => self.module,
            Some(text) => self.module_of(&text)?,
        };
        let (tags, data) = (tags(&what.get("tags")?)?, data(what)?);
        let process = self.net.spawn(&by, module, tags, data).map_err(problem)?;
        if let Some(name) = what.get::<Option<String>>("name")? {
            self.names.insert(process.0, name);
        }
        let is_it = |letter: &Arc<Letter>| letter.item.as_ref().is_some_and(|item| item.id == process.0);
        let number = self.net.letters().iter().rposition(is_it).unwrap_or_default();
        Ok((process.to_string(), number))
    }

    /// A process of the project, as `pirn up` spawns it.
    fn project(&self, lua: &Lua, name: &str) -> mlua::Result<Table> {
        let Some(project) = &self.project else {
            return Err(mlua::Error::runtime(format!(
                "there is no pirn.toml here that could name a process {name}: t.spawn({{ source = \"FILE.lua\" }}) needs none"
            )));
        };
        let process = project.processes.get(name).ok_or_else(|| {
            let names: Vec<&str> = project.processes.keys().map(String::as_str).collect();
            mlua::Error::runtime(format!("pirn.toml names no process {name}, but {}", names.join(", ")))
        })?;
        let table = lua.create_table()?;
        table.set("source", project.folder.join(&process.source).display().to_string())?;
        let file = project.folder.join(&process.module).display().to_string();
        if process.module != "lua" {
            let is_file = process.module.ends_with(".wasm");
            table.set("module", if is_file { file } else { process.module.clone() })?;
        }
        let owner = process.owner.as_deref();
        table.set(
            "owner",
            owner.map(|owner| crate::network::account(owner).map_or(owner, |known| known.name)),
        )?;
        // Tags of ticks belong to the interval before them.
        let cron = process.cron.iter().map(|cron| (tag::CRON_INTERVAL, cron.as_str()));
        let own = process.tags.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let list = lua.create_table()?;
        for (name, value) in cron.chain(own) {
            let tag = lua.create_table()?;
            tag.set("name", name)?;
            tag.set("value", value)?;
            list.push(tag)?;
        }
        table.set("tags", list)?;
        Ok(table)
    }

    fn module_of(&self, text: &str) -> mlua::Result<ModuleId> {
        if let Ok(module) = text.parse() {
            return Ok(module);
        }
        if text == "lua" {
            return Ok(self.net.modules().lua());
        }
        let path = source::locate(text, &self.base, &self.test)
            .ok_or_else(|| mlua::Error::runtime(format!("there is no module file {text}")))?;
        super::file::publish(self.net.modules(), &path).map_err(|failure| mlua::Error::runtime(failure.what))
    }

    fn signer(&mut self, by: Option<String>) -> mlua::Result<Signer> {
        let Some(by) = by else {
            let ada = self.account("ada");
            return Ok(self.accounts[&ada].clone());
        };
        let address = by.parse::<Id>().ok();
        if let Some(signer) = address.and_then(|address| self.accounts.get(&address)) {
            return Ok(signer.clone());
        }
        if address.is_none() {
            let address = self.account(&by);
            return Ok(self.accounts[&address].clone());
        }
        Err(mlua::Error::runtime(format!(
            "nobody here can sign as {by}: t.account('a name') can, and so can a process"
        )))
    }

    /// Who signs, and the tags that say for whom.
    fn sender(&mut self, by: Option<String>) -> mlua::Result<(Signer, Vec<Tag>)> {
        // A process speaks through the messenger.
        match by.as_deref().and_then(|by| self.process(by).ok()) {
            Some(process) => Ok((
                Signer::named("messenger"),
                vec![Tag::new(tag::FROM_PROCESS, process.to_string().as_str())],
            )),
            None => Ok((self.signer(by)?, Vec::new())),
        }
    }

    fn send(&mut self, what: &Table, now: bool) -> mlua::Result<usize> {
        let (by, from) = self.sender(what.get("by")?)?;
        let to: String = what.get("to")?;
        let to: Id = to.parse().map_err(|error| mlua::Error::runtime(format!("the Target {error}")))?;
        let mut tags = tags(&what.get("tags")?)?;
        tags.0.extend(from);
        let data = data(what)?;
        let sent = if now { self.net.send(&by, to, tags, data) } else { self.net.post(&by, to, tags, data) };
        self.gather();
        let number = sent.map_err(problem)?;
        if let Fate::Refused(why) = &self.net.letters()[number].fate {
            return Err(mlua::Error::runtime(format!("the message was refused: {why}")));
        }
        Ok(number)
    }

    fn dry(&mut self, lua: &Lua, what: &Table) -> mlua::Result<Table> {
        let (by, from) = self.sender(what.get("by")?)?;
        let process = self.process(&what.get::<String>("to")?)?;
        let mut tags = tags(&what.get("tags")?)?;
        tags.0.extend(from);
        let data = data(what)?;
        let message = DryRun {
            id: None,
            signature: None,
            data: Some(Json::string(&String::from_utf8_lossy(&data))),
            owner: cu_owner(&by),
            target: None,
            anchor: None,
            forwarded_by: None,
            tags,
            timestamp: None,
            block_height: None,
        };
        let outcome = self.net.dry(process, message).map_err(problem)?;
        let table = lua.create_table()?;
        outcome_into(lua, &table, &outcome)?;
        let messages = lua.create_table()?;
        for message in &outcome.messages {
            let value: JsonValue = serde_json::from_str(message.get()).map_err(mlua::Error::external)?;
            messages.push(to_lua(lua, &value)?)?;
        }
        table.set("messages", messages)?;
        Ok(table)
    }

    fn letter(&self, lua: &Lua, number: usize) -> mlua::Result<Table> {
        let letter = self.net.letters().get(number);
        let letter = letter.ok_or_else(|| mlua::Error::runtime("there is no such message"))?;
        let table = lua.create_table()?;
        table.set("number", number)?;
        table.set(
            "what",
            match letter.what {
                What::Message => "message",
                What::Process => "process",
                What::Assignment { .. } => "assignment",
                What::Tick { .. } => "tick",
            },
        )?;
        table.set("from", letter.from.to_string())?;
        table.set("to", letter.to.map(|to| to.to_string()))?;
        table.set("of_process", letter.of_process)?;
        table.set("parent", letter.parent)?;
        let tags = lua.create_table()?;
        if let Some(item) = &letter.item {
            table.set("id", item.id.to_string())?;
            table.set("data", lua.create_string(&item.data)?)?;
            for Tag { name, value } in item.tags.iter().rev() {
                tags.set(name.as_str(), value.as_str())?;
            }
        }
        table.set("tags", tags)?;
        table.set(
            "fate",
            match &letter.fate {
                Fate::Waiting => "waiting",
                Fate::Evaluated { .. } => "evaluated",
                Fate::Mailed => "mailed",
                Fate::Lost => "lost",
                Fate::Repeat => "repeat",
                Fate::Refused(_) => "refused",
            },
        )?;
        if let Fate::Evaluated { process, slot, outcome, .. } = &letter.fate {
            table.set("process", process.to_string())?;
            table.set("slot", slot.0)?;
            outcome_into(lua, &table, outcome)?;
        }
        if let Fate::Refused(why) = &letter.fate {
            table.set("error", why.as_str())?;
        }
        Ok(table)
    }

    fn faults(&mut self, what: &Table) -> mlua::Result<()> {
        let seed = what.get::<Option<u64>>("seed")?.unwrap_or(self.seed);
        self.net.seed(seed);
        self.net.set_faults(Faults {
            reorder: what.get("reorder")?,
            drop_per_mille: what.get("drop")?,
            duplicate_per_mille: what.get("duplicate")?,
            delay_ms_max: what.get("delay")?,
        });
        Ok(())
    }

    fn snapshot(&mut self) -> mlua::Result<usize> {
        if self.snapshots.len() >= SNAPSHOTS_MAX {
            return Err(mlua::Error::runtime(format!("more than {SNAPSHOTS_MAX} blocks in one another")));
        }
        self.gather();
        let number = self.next_snapshot;
        self.next_snapshot += 1;
        self.snapshots.insert(number, (self.net.fork(), self.names.clone()));
        Ok(number)
    }

    fn restore(&mut self, number: usize) -> mlua::Result<()> {
        self.gather();
        let base = self.snapshots.get(&number);
        let (net, names) = base.ok_or_else(|| mlua::Error::runtime("there is no such snapshot"))?;
        (self.net, self.names) = (net.fork(), names.clone());
        Ok(())
    }

    fn bundle(&mut self, path: &str) -> mlua::Result<String> {
        let found = source::locate(path, &self.base, &self.test).ok_or_else(|| {
            mlua::Error::runtime(format!(
                "there is no file {path}, neither from here nor from the folder of the test"
            ))
        })?;
        let (text, sources) = source::bundle(&found, &self.base)
            .map_err(|why| mlua::Error::runtime(format!("{path} cannot be read: {}", why.what)))?;
        for source in sources {
            if self.sources.iter().all(|known| known.name != source.name) {
                self.sources.push(source);
            }
        }
        Ok(text)
    }

    /// The messages of a test.
    pub fn trace(&self, mark: usize) -> Vec<String> {
        trace::lines(self.net.letters(), mark, &self.names)
    }
}

/// An account's signer. RSA keys are stood in for: their signatures take milliseconds.
fn signer(jwk: &str) -> Signer {
    let read: JsonValue = serde_json::from_str(jwk).unwrap_or_default();
    match read["n"].as_str().and_then(protocol::id::from_base64url) {
        Some(owner) => Signer::StandIn { kind: SignatureType::Arweave, owner },
        None => {
            Signer::Wallet(protocol::Wallet::from_jwk(jwk).expect("a test of protocol reads every account"))
        }
    }
}

fn cu_owner(signer: &Signer) -> String {
    sandbox::owner_text(signer.owner())
}

fn problem(error: unit::Error) -> mlua::Error {
    mlua::Error::runtime(error.to_string())
}

fn tags(list: &Table) -> mlua::Result<Tags> {
    let mut tags = Tags::default();
    for tag in list.sequence_values::<Table>() {
        let tag = tag?;
        let (name, value): (String, String) = (tag.get("name")?, tag.get("value")?);
        tags.0.push(Tag { name, value });
    }
    Ok(tags)
}

fn data(what: &Table) -> mlua::Result<Bytes> {
    let data: Option<mlua::LuaString> = what.get("data")?;
    Ok(data.map_or(Bytes::new(), |data| Bytes::copy_from_slice(&data.as_bytes())))
}

fn outcome_into(lua: &Lua, table: &Table, outcome: &Outcome) -> mlua::Result<()> {
    table.set("gas", outcome.gas)?;
    let output = crate::render::raw(outcome);
    table.set("output", lua.create_string(crate::ui::plain(&output))?)?;
    table.set("raw", lua.create_string(output)?)?;
    if let Some(error) = &outcome.error {
        let text = error.to::<String>().unwrap_or_else(|_| error.get().to_owned());
        let text = crate::ui::plain(text.trim());
        // Who called whom comes first, what went wrong last.
        let why = text.rsplit_once("error:\n").map_or(text.as_str(), |(_, why)| why);
        table.set("why", why.trim())?;
        table.set("error", text)?;
    }
    Ok(())
}

fn is_protocol_tag(name: &str) -> bool {
    matches!(
        name,
        "Data-Protocol" | "Variant" | "Type" | "From-Process" | "From-Module" | "Pushed-For" | "Reference"
    )
}

/// JSON as Lua has it: null is nil.
fn to_lua(lua: &Lua, value: &JsonValue) -> mlua::Result<Value> {
    Ok(match value {
        JsonValue::Null => Value::Nil,
        JsonValue::Bool(truth) => Value::Boolean(*truth),
        JsonValue::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        JsonValue::String(text) => text.as_str().into_lua(lua)?,
        JsonValue::Array(values) => {
            let table = lua.create_table()?;
            for (at, value) in values.iter().enumerate() {
                table.raw_set(at + 1, to_lua(lua, value)?)?;
            }
            Value::Table(table)
        }
        JsonValue::Object(fields) => {
            let table = lua.create_table()?;
            for (name, value) in fields {
                table.raw_set(name.as_str(), to_lua(lua, value)?)?;
            }
            Value::Table(table)
        }
    })
}

/// Runs Lua and shows its value as JSON, if that can say it.
fn eval_script(code: &str) -> String {
    format!(
        "(function() local code = {} local run, problem = load('return ' .. code, '=eval', 't') \
         if not run then run, problem = load(code, '=eval', 't') end if not run then error(problem, 0) end \
         local value = run() if value == nil then return end \
         local ok, text = pcall(require('json').encode, value) \
         return ok and '\\1json:' .. text or tostring(value) end)()",
        quoted(code)
    )
}

fn eval_value(lua: &Lua, text: &str) -> mlua::Result<Value> {
    match text.rsplit_once(MARK) {
        Some((_, json)) => match serde_json::from_str::<JsonValue>(json.trim_end()) {
            Ok(value) => to_lua(lua, &value),
            Err(_) => lua.to_value(json),
        },
        None if text.trim().is_empty() => Ok(Value::Nil),
        None => Ok(Value::String(lua.create_string(crate::ui::plain(text))?)),
    }
}
