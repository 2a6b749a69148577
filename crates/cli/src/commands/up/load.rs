//! Brings a process of a project up to date: spawns it if it is not there, evaluates its script if that has changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::{DataItem, Draft, Id, Outcome, ProcessId, Tag, Wallet, tag};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use unit::{Code, Compute as _, Kind, Messenger as _, Scheduler as _};

use crate::bundle::{self, Bundle, Options};
use crate::commands::send::send;
use crate::commands::spawn::{Spawning, spawn};
use crate::commands::{anchor, check, output_of};
use crate::error::{Context as _, Failure, Result};
use crate::network::{Clients, Signer, Where};
use crate::project::{Note, Notes, Process, Project};

/// What had to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Came {
    /// It was not there.
    Spawned,
    /// Its script had changed.
    Loaded,
    /// Nothing.
    Same,
}

impl Came {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Came::Spawned => "spawned",
            Came::Loaded => "loaded",
            Came::Same => "up to date",
        }
    }
}

/// A process that is up to date.
#[derive(Debug, Serialize)]
pub struct Loaded {
    /// Its name in the project.
    pub name: String,
    /// Which it is.
    pub process: ProcessId,
    /// What had to be done.
    pub came: Came,
    /// Who owns it: a test account's name, or an address.
    pub owner: String,
    /// Handlers that it has since then.
    pub added: Vec<String>,
    /// Handlers that it has no more.
    pub removed: Vec<String>,
    /// What its script asks for and may not be in the process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// Around a script when it is evaluated: the handlers that it added before are taken away, so that those that it does
/// not have any more are gone; what it adds is told. If it fails, the process is as it was.
const BEFORE: &str = "(function()
local mine = {}
for _, name in ipairs({NAMES}) do
  mine[name] = true
end
local others = {}
for index = #Handlers.list, 1, -1 do
  local name = Handlers.list[index].name
  if mine[name] then
    table.remove(Handlers.list, index)
  elseif name then
    others[name] = true
  end
end
local _ = ";
const AFTER: &str = "
local names = {}
for _, handler in ipairs(Handlers.list) do
  local name = handler.name
  if type(name) == \"string\" and not others[name] and name:sub(1, 1) ~= \"_\" then
    names[#names + 1] = name
  end
end
return table.concat(names, \"\\n\")
end)()";

/// The processes of a project on a network.
pub struct Loader {
    clients: Clients,
    signer: Signer,
    project: Project,
    notes: Notes,
    /// The scheduler's address, which names the network.
    network: String,
    /// Files that the scripts were made of, and those that were looked for.
    files: BTreeSet<PathBuf>,
    /// Programs that failed, by process: not tried again before they change.
    failed: Vec<(String, String)>,
}

impl Loader {
    /// Finds the network.
    pub async fn open(at: &Where, signer: &Signer, project: Project) -> Result<Loader> {
        let clients = at.clients()?;
        let network = clients.addresses().await.map_err(|error| {
            error.hint(
                "`pirn dev` starts a network; --port N, --mu URL or --context NAME say where another is",
            )
        })?;
        let (notes, network) = (project.notes(), network.0.to_string());
        let signer = signer.clone();
        Ok(Loader { clients, signer, project, notes, network, files: BTreeSet::new(), failed: Vec::new() })
    }

    /// The project.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Every file that the scripts depend on, there or not.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(PathBuf::as_path)
    }

    /// Reads `pirn.toml` again.
    pub fn read_again(&mut self) -> Result {
        self.project = Project::read(&self.project.folder)?;
        Ok(())
    }

    /// Brings a process up to date, or makes it anew.
    pub async fn bring(&mut self, name: &str, fresh: bool) -> Result<Loaded> {
        self.files.insert(self.project.folder.join(crate::project::FILE));
        let Some(process) = self.project.processes.get(name).cloned() else {
            return Err(Failure::new(Code::CONFIG, format!("pirn.toml names no process {name} any more")));
        };
        let source = self.project.folder.join(&process.source);
        self.files.insert(source.clone());
        let bundle = Bundle::read(&source, &self.project.folder, &Options::default())?;
        self.files.extend(bundle.sources.iter().map(|source| source.path.clone()));
        self.files.extend(bundle.missing.iter().flat_map(|missing| missing.tried.clone()));
        let text = bundle.text();
        let script: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();

        let wallet = self.owner(&process)?;
        let noted = self.notes.get(&self.network, name).filter(|_| !fresh).cloned();
        let noted = match noted {
            Some(note) => self.as_it_is(note).await?,
            None => None,
        };
        let mut loaded = Loaded {
            name: name.to_owned(),
            process: ProcessId(protocol::Id([0; 32])),
            came: Came::Same,
            owner: owner_name(&wallet),
            added: Vec::new(),
            removed: Vec::new(),
            doubts: bundle.doubts(),
        };
        let note = match noted {
            Some(note) => note,
            None => {
                loaded.came = Came::Spawned;
                let process = self.spawn(name, &process, &wallet).await?;
                let note = Note { process, script: None, message: None, handlers: Vec::new() };
                self.notes.set(&self.project.folder, &self.network, name, note.clone())?;
                note
            }
        };
        loaded.process = note.process;
        let attempt = (name.to_owned(), script.clone());
        if note.script.as_ref() == Some(&script) || self.failed.contains(&attempt) {
            return Ok(loaded);
        }
        self.failed.retain(|(failed, _)| failed != name);
        let (message, outcome) = self.evaluate(&note, &wallet, &text).await?;
        if let Err(failure) = check(&outcome) {
            self.failed.push(attempt);
            return Err(explained(failure, &bundle, name));
        }
        if loaded.came == Came::Same {
            loaded.came = Came::Loaded;
        }
        let handlers: Vec<String> = output_of(&outcome).lines().map(ToOwned::to_owned).collect();
        loaded.added = without(&handlers, &note.handlers);
        loaded.removed = without(&note.handlers, &handlers);
        let note = Note { process: note.process, script: Some(script), message: Some(message), handlers };
        self.notes.set(&self.project.folder, &self.network, name, note)?;
        Ok(loaded)
    }

    fn owner(&self, process: &Process) -> Result<Wallet> {
        let Some(owner) = &process.owner else { return self.signer.wallet() };
        match crate::network::account(owner) {
            Some(account) => Ok(account.wallet()),
            None => crate::network::read_wallet(&self.project.folder.join(owner)),
        }
    }

    /// A note, as far as it is true now. A network that was begun anew under the same keys does not know what was
    /// spawned before, and one that was put back to a snapshot runs what it ran then.
    async fn as_it_is(&self, note: Note) -> Result<Option<Note>> {
        if let Some(message) = note.message
            && self.is_there(note.process, message).await?
        {
            return Ok(Some(note));
        }
        let is_there = self.is_there(note.process, note.process.0).await?;
        let script = note.script.filter(|_| note.message.is_none());
        Ok(is_there.then_some(Note { process: note.process, script, message: None, handlers: note.handlers }))
    }

    async fn is_there(&self, process: ProcessId, message: Id) -> Result<bool> {
        match self.clients.su.find(Some(process), message).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Invalid | Kind::Refused) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn spawn(&self, name: &str, process: &Process, wallet: &Wallet) -> Result<ProcessId> {
        // First: tags of its ticks belong to the interval before them.
        let mut tags: Vec<Tag> = process.cron.iter().map(|cron| Tag::new(tag::CRON_INTERVAL, cron)).collect();
        tags.extend(process.tags.iter().map(|(name, value)| Tag::new(name, value)));
        if !process.tags.contains_key("Name") {
            tags.push(Tag::new("Name", name));
        }
        let file = self.project.folder.join(&process.module);
        let module = match process.module.ends_with(".wasm") {
            true => file.display().to_string(),
            false => process.module.clone(),
        };
        let spawned = spawn(&self.clients, wallet, Spawning { module: &module, tags, ..Spawning::default() });
        let process_id = spawned.await?.process;
        if process.cron.is_some() {
            self.monitor(process_id, wallet).await?;
        }
        Ok(process_id)
    }

    /// Time does not pass for a process that nobody monitors. The request is an item without tags: no message.
    async fn monitor(&self, process: ProcessId, wallet: &Wallet) -> Result {
        let draft = Draft { target: Some(process.0), anchor: Some(anchor()), ..Draft::default() };
        let item = DataItem::sign(wallet, draft).context(Code::WALLET, "could not sign")?;
        Ok(self.clients.mu.monitor(item).await?)
    }

    async fn evaluate(&self, note: &Note, wallet: &Wallet, text: &str) -> Result<(Id, Arc<Outcome>)> {
        let names: Vec<String> = note.handlers.iter().map(|name| bundle::quoted(name)).collect();
        let text = format!("{}{text}{AFTER}", BEFORE.replace("NAMES", &names.join(", ")));
        let tags = [Tag::new(tag::ACTION, "Eval")];
        let message = send(&self.clients, wallet, note.process, &tags, &text).await?;
        Ok((message.0, self.clients.cu.result(note.process, message.0).await?))
    }
}

/// A test account's name, or an address.
fn owner_name(wallet: &Wallet) -> String {
    let address = wallet.address();
    let account = node::accounts().into_iter().find(|account| account.wallet().address() == address);
    account.map_or_else(|| address.to_string(), |account| account.name.to_owned())
}

/// The failure of a script, with the lines that it names.
fn explained(failure: Failure, bundle: &Bundle, name: &str) -> Failure {
    let failure = bundle.explain(failure);
    let hints = vec!["the code from before keeps running; save the file again to try again".to_owned()];
    Failure { what: format!("{name} is not loaded: {}", failure.what), hints, ..failure }
}

/// Those of `these` that are not among `those`.
fn without(these: &[String], those: &[String]) -> Vec<String> {
    these.iter().filter(|name| !those.contains(name)).cloned().collect()
}
