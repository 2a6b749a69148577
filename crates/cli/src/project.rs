//! A project: a folder with a `pirn.toml` that names processes, and what is known of them on each network.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use protocol::ProcessId;
use serde::{Deserialize, Serialize};
use unit::Code;

use crate::error::{Context as _, Failure, Result};

/// The file that makes a folder a project.
pub const FILE: &str = "pirn.toml";
/// What is noted beside it; no part of the script, and made again when it is lost.
const NOTES: &str = ".pirn/processes.json";
/// Processes of a project.
const PROCESSES_MAX: usize = 1_000;
/// Networks that are remembered; the one that was used longest ago is forgotten first.
const NETWORKS_MAX: usize = 20;
/// Bytes of either file.
const FILE_MAX: u64 = 1024 * 1024;

/// A process of a project, as `[processes.NAME]` says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The Lua file that it begins with, from the project's folder.
    pub source: PathBuf,
    /// A module id, a .wasm file from the project's folder, or `lua`: Pirn's own.
    #[serde(default = "lua")]
    pub module: String,
    /// Tags of the process. `Name` is the process's name unless it is said.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// How often the messenger ticks: `1-minute`, `10-seconds`.
    pub cron: Option<String>,
    /// Who owns it: a wallet file, or the number or name of a test account. None: whoever runs `pirn up`.
    pub owner: Option<String>,
}

fn lua() -> String {
    "lua".to_owned()
}

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its folder.
    pub folder: PathBuf,
    /// Its processes, by name.
    pub processes: BTreeMap<String, Process>,
}

/// As much of the file as is about processes; the rest is the configuration of a node.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    processes: BTreeMap<String, Process>,
}

impl Project {
    /// The project of a folder or of the nearest one above it. None if there is no `pirn.toml` with processes.
    pub fn find(from: &Path) -> Result<Option<Project>> {
        let above = from.ancestors().find(|folder| folder.join(FILE).is_file());
        let Some(folder) = above else { return Ok(None) };
        let project = Project::read(folder)?;
        Ok((!project.processes.is_empty()).then_some(project))
    }

    /// Reads the file of a folder.
    pub fn read(folder: &Path) -> Result<Project> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).context(Code::FILE, path.display())?;
        let file: File = toml::from_str(&text).map_err(|error| {
            let what = format!("{}: {}", path.display(), error.to_string().trim_end());
            let hint = "a process has source, module, tags, cron and owner; `pirn new` makes an example";
            Failure { exit: 2, ..Failure::new(Code::CONFIG, what) }.hint(hint)
        })?;
        let refuse = |what: String| Err(Failure { exit: 2, ..Failure::new(Code::CONFIG, what) });
        if file.processes.len() > PROCESSES_MAX {
            return refuse(format!("{} names more than {PROCESSES_MAX} processes", path.display()));
        }
        for (name, process) in &file.processes {
            if let Err(why) = crate::context::parse_name(name) {
                return refuse(format!("{}: processes.{name}: {why}", path.display()));
            }
            let source = folder.join(&process.source);
            if !source.is_file() {
                return refuse(format!(
                    "{}: processes.{name}: there is no file {}",
                    path.display(),
                    source.display()
                ));
            }
        }
        Ok(Project { folder: folder.to_owned(), processes: file.processes })
    }

    /// What is known of its processes.
    pub fn notes(&self) -> Notes {
        Notes::read(&self.folder)
    }
}

/// A process that was spawned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Which.
    pub process: ProcessId,
    /// The digest of the script that it runs; none before the first.
    pub script: Option<String>,
    /// The message that loaded it: a network that was put back to a snapshot may not have it any more.
    #[serde(default)]
    pub message: Option<protocol::Id>,
    /// The names of the handlers that the script added.
    #[serde(default)]
    pub handlers: Vec<String>,
}

/// Processes that were spawned: by network, the newest last, then by name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Notes {
    networks: Vec<(String, BTreeMap<String, Note>)>,
}

impl Notes {
    /// Reads them; there are none if the file is not there or not understood: then processes are spawned anew.
    fn read(folder: &Path) -> Notes {
        let path = folder.join(NOTES);
        let short = fs::metadata(&path).is_ok_and(|about| about.len() <= FILE_MAX);
        let text = if short { fs::read(&path).unwrap_or_default() } else { Vec::new() };
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// What is known of a process on a network, which its scheduler's address names.
    pub fn get(&self, network: &str, name: &str) -> Option<&Note> {
        self.networks.iter().find(|(known, _)| known == network)?.1.get(name)
    }

    /// The process of that name on the network that was used last.
    pub fn latest(&self, name: &str) -> Option<&Note> {
        self.networks.iter().rev().find_map(|(_, notes)| notes.get(name))
    }

    /// Notes a process, and keeps the notes.
    pub fn set(&mut self, folder: &Path, network: &str, name: &str, note: Note) -> Result {
        let known = self.networks.iter().position(|(known, _)| known == network);
        let mut notes = known.map(|at| self.networks.remove(at).1).unwrap_or_default();
        notes.insert(name.to_owned(), note);
        self.networks.push((network.to_owned(), notes));
        let forgotten = self.networks.len().saturating_sub(NETWORKS_MAX);
        self.networks.drain(..forgotten);

        let path = folder.join(NOTES);
        let failed = || format!("could not write {}", path.display());
        let parent = path.parent().expect("it is in a folder");
        fs::create_dir_all(parent).context(Code::FILE, failed())?;
        let mut made = tempfile::NamedTempFile::new_in(parent).context(Code::FILE, failed())?;
        let text = serde_json::to_vec_pretty(self).expect("notes are JSON");
        made.write_all(&text).context(Code::FILE, failed())?;
        made.persist(&path).map(|_| ()).context(Code::FILE, failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ProcessId {
        text.repeat(43).parse().unwrap()
    }

    #[test]
    fn a_project_is_found_from_its_folders_and_what_is_wrong_with_it_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("src");
        fs::create_dir(&inner).unwrap();
        let write = |text: &str| fs::write(folder.path().join(FILE), text).unwrap();
        write("[su]\npage_max = 7\n");
        assert!(Project::find(&inner).unwrap().is_none(), "a node's configuration alone is no project");
        write("[processes.a]\nsource = 'src/a.lua'\n");
        let failure = Project::find(&inner).unwrap_err();
        assert!(failure.what.contains("processes.a: there is no file"), "{failure:?}");
        fs::write(inner.join("a.lua"), "").unwrap();
        let project = Project::find(&inner).unwrap().unwrap();
        assert_eq!((project.folder.as_path(), &*project.processes["a"].module), (folder.path(), "lua"));
        write("[processes.a]\nsource = 'src/a.lua'\nmodul = 'x'\n");
        let failure = Project::find(&inner).unwrap_err();
        assert!(failure.what.contains("modul") && failure.code == Code::CONFIG, "{failure:?}");
    }

    #[test]
    fn notes_are_kept_by_network_and_old_networks_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut notes = Notes::read(folder.path());
        for number in 0..=NETWORKS_MAX {
            let note = Note { process: id("A"), script: None, message: None, handlers: Vec::new() };
            notes.set(folder.path(), &number.to_string(), "a", note).unwrap();
        }
        notes
            .set(
                folder.path(),
                "1",
                "b",
                Note { process: id("E"), script: Some("x".to_owned()), message: None, handlers: Vec::new() },
            )
            .unwrap();
        let notes = Notes::read(folder.path());
        assert!(notes.get("0", "a").is_none() && notes.get("1", "a").is_some());
        assert_eq!(notes.latest("b").unwrap().process, id("E"));
        assert_eq!(notes.networks.len(), NETWORKS_MAX);
        fs::write(folder.path().join(NOTES), "{").unwrap();
        assert!(Notes::read(folder.path()).networks.is_empty());
    }
}
