//! Brings a process of a project up to date: spawns it if it is not there, evaluates its program if that has changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use protocol::{DataItem, Draft, Outcome, ProcessId, Tag, Wallet, tag};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use unit::{Code, Compute as _, Kind, Messenger as _, Scheduler as _};

use crate::bundle::{Bundle, Options};
use crate::commands::send::send;
use crate::commands::spawn::{Spawning, spawn};
use crate::commands::{anchor, ao_tags, check, output_of};
use crate::error::{Context as _, Failure, Result};
use crate::network::{Clients, Signer, Where};
use crate::project::{Note, Notes, Process, Project};

/// What had to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Came {
    /// It was not there.
    Spawned,
    /// Its program had changed.
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
    /// What its program asks for and may not be in the process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// What is shown of a program before it is evaluated and after: the names of its handlers.
const BEFORE: &str = "(function()
local function handlers()
  local names = {}
  for _, handler in ipairs(Handlers.list) do
    names[#names + 1] = handler.name
  end
  return names
end
local before = handlers()
local _ = ";
const AFTER: &str = "
return require(\"json\").encode({ before = before, after = handlers() })
end)()";

/// The processes of a project on a network.
pub struct Loader {
    clients: Clients,
    signer: Signer,
    project: Project,
    notes: Notes,
    /// The scheduler's address, which names the network.
    network: String,
    /// Files that the programs were made of, and those that were looked for.
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

    /// Every file that the programs depend on, there or not.
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
        let program: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();

        let wallet = self.owner(&process)?;
        let noted = self.notes.get(&self.network, name).filter(|_| !fresh).cloned();
        let noted = match noted {
            Some(note) if self.is_there(note.process).await? => Some(note),
            _ => None,
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
                let note = Note { process: self.spawn(name, &process, &wallet).await?, program: None };
                self.notes.set(&self.project.folder, &self.network, name, note.clone())?;
                note
            }
        };
        loaded.process = note.process;
        let attempt = (name.to_owned(), program.clone());
        if note.program.as_ref() == Some(&program) || self.failed.contains(&attempt) {
            return Ok(loaded);
        }
        self.failed.retain(|(failed, _)| failed != name);
        let outcome = self.evaluate(note.process, &wallet, &text).await?;
        if let Err(failure) = check(&outcome) {
            self.failed.push(attempt);
            return Err(explained(failure, &bundle, name));
        }
        if loaded.came == Came::Same {
            loaded.came = Came::Loaded;
        }
        (loaded.added, loaded.removed) = changes(&output_of(&outcome));
        let note = Note { process: note.process, program: Some(program) };
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

    /// A network that was begun anew under the same keys does not know what was spawned before.
    async fn is_there(&self, process: ProcessId) -> Result<bool> {
        match self.clients.su.find(Some(process), process.0).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind, Kind::NotFound | Kind::Invalid | Kind::Refused) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn spawn(&self, name: &str, process: &Process, wallet: &Wallet) -> Result<ProcessId> {
        let mut tags: Vec<Tag> = process.tags.iter().map(|(name, value)| Tag::new(name, value)).collect();
        if !process.tags.contains_key("Name") {
            tags.push(Tag::new("Name", name));
        }
        if let Some(cron) = &process.cron {
            tags.push(Tag::new(tag::CRON_INTERVAL, cron));
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

    /// Time does not pass for a process that nobody monitors.
    async fn monitor(&self, process: ProcessId, wallet: &Wallet) -> Result {
        let draft = Draft {
            target: Some(process.0),
            anchor: Some(anchor()),
            tags: ao_tags(&[], "Message"),
            data: bytes::Bytes::from_static(b" "),
        };
        let item = DataItem::sign(wallet, draft).context(Code::WALLET, "could not sign")?;
        Ok(self.clients.mu.monitor(item).await?)
    }

    async fn evaluate(
        &self,
        process: ProcessId,
        wallet: &Wallet,
        text: &str,
    ) -> Result<std::sync::Arc<Outcome>> {
        let text = format!("{BEFORE}{text}{AFTER}");
        let tags = [Tag::new(tag::ACTION, "Eval")];
        let message = send(&self.clients, wallet, process, &tags, &text).await?;
        Ok(self.clients.cu.result(process, message.0).await?)
    }
}

/// A test account's name, or an address.
fn owner_name(wallet: &Wallet) -> String {
    let address = wallet.address();
    let account = node::accounts().into_iter().find(|account| account.wallet().address() == address);
    account.map_or_else(|| address.to_string(), |account| account.name.to_owned())
}

/// The failure of a program, with the lines that it names.
fn explained(failure: Failure, bundle: &Bundle, name: &str) -> Failure {
    let failure = bundle.explain(failure);
    let hints = vec!["the code from before keeps running; save the file again to try again".to_owned()];
    Failure { what: format!("{name} is not loaded: {}", failure.what), hints, ..failure }
}

/// Which handlers came and which went.
fn changes(output: &str) -> (Vec<String>, Vec<String>) {
    #[derive(serde::Deserialize)]
    struct Handlers {
        before: Names,
        after: Names,
    }
    /// An empty table of Lua may be written as an object.
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Names {
        Some(Vec<String>),
        None {},
    }
    let Ok(Handlers { before, after }) = serde_json::from_str(output) else { return Default::default() };
    let [before, after] = [before, after].map(|names| match names {
        Names::Some(names) => names,
        Names::None {} => Vec::new(),
    });
    let without = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|name| !those.contains(name) && !name.starts_with('_')).cloned().collect()
    };
    (without(&after, &before), without(&before, &after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_that_came_and_went_are_told_apart() {
        let (added, removed) = changes(r#"{"before":["_eval","a","b"],"after":["_eval","b","c"]}"#);
        assert_eq!((added, removed), (vec!["c".to_owned()], vec!["a".to_owned()]));
        assert_eq!(changes(r#"{"before":{},"after":["x"]}"#).0, ["x"]);
        assert_eq!(changes("nothing of that sort"), Default::default());
    }
}
