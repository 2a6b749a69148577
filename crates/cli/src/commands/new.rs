//! `pirn new`

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use unit::Code;

use crate::context::parse_name;
use crate::error::{Context as _, Failure, Result};
use crate::ui::{Ui, table};

/// Make a project: a process in Lua, its tests, and types for editors. Nothing is downloaded
#[derive(Debug, Args)]
pub struct New {
    /// The folder to make. Its name is the process's.
    folder: PathBuf,
    /// What to begin with.
    #[arg(long, value_enum, default_value_t = Template::Lua)]
    template: Template,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Template {
    /// A counter: messages, and ticks of the clock.
    Lua,
    /// A token with balances and transfers.
    LuaToken,
    /// A process that acts by itself, within a budget.
    Agent,
}

/// A file of a template: where it goes, what it says, and what a person is told of it.
type File = (&'static str, &'static str, &'static str);

const TYPES: &str = include_str!("../../../../processes/library/ao.lua");
const TEST_TYPES: &str = include_str!("../../../../processes/library/test.lua");
const TOKEN: &str = include_str!("../../../../processes/blueprints/token.lua");

/// What every project has.
const COMMON: &[File] = &[
    (".luarc.json", include_str!("../../templates/luarc.json"), "settings of editors that speak LuaLS"),
    ("library/ao.lua", TYPES, "types of ao, Handlers, Send, Inbox"),
    ("library/test.lua", TEST_TYPES, "types of t, describe, it, assert"),
    (".gitignore", include_str!("../../templates/gitignore"), ""),
];

macro_rules! template {
    ($name:literal, $what:literal) => {
        [
            ("src/{{name}}.lua", include_str!(concat!("../../templates/", $name, "/src/name.lua")), $what),
            (
                "test/{{name}}_test.lua",
                include_str!(concat!("../../templates/", $name, "/test/name_test.lua")),
                "its tests",
            ),
            (
                "pirn.toml",
                include_str!(concat!("../../templates/", $name, "/pirn.toml")),
                "the processes of the project",
            ),
        ]
    };
}

const LUA: [File; 3] = template!("lua", "a process: Inc, Get, and a tick of the clock");
const LUA_TOKEN: [File; 3] = template!("lua-token", "a token: its name, its digits, who has what");
const AGENT: [File; 3] = template!("agent", "an agent: a plan of its owner's, carried out on ticks");

impl Template {
    fn files(self) -> Vec<File> {
        let token = ("src/token.lua", TOKEN, "what a token does: Transfer, Balance, Mint");
        match self {
            Template::Lua => LUA.to_vec(),
            Template::LuaToken => [&LUA_TOKEN[..1], &[token], &LUA_TOKEN[1..]].concat(),
            Template::Agent => AGENT.to_vec(),
        }
    }
}

#[derive(Serialize)]
struct Made {
    folder: PathBuf,
    files: Vec<PathBuf>,
}

impl New {
    /// Writes the files, into a folder that is not there or empty.
    pub fn run(self, ui: Ui) -> Result {
        let folder = &self.folder;
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Err(why) = parse_name(name) {
            return Err(Failure::usage(format!("{} names no process: {why}", folder.display()))
                .hint("choose a folder such as `counter`"));
        }
        if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Failure::usage(format!("{} has something in it already", folder.display()))
                .hint("choose a folder that is not there, or empty"));
        }
        let mut rows = Vec::new();
        let mut files = Vec::new();
        for (path, text, what) in self.template.files().iter().chain(COMMON) {
            let path = folder.join(path.replace("{{name}}", name));
            write(&path, &text.replace("{{name}}", name))?;
            if !what.is_empty() {
                rows.push(vec![path.display().to_string(), what.to_string()]);
            }
            files.push(path);
        }
        let next = format!(
            "\n\ncd {0} && pirn test   runs its tests: no network is needed\n\
             cd {0} && pirn up     spawns it on the network in use (`pirn dev` starts one)",
            folder.display()
        );
        ui.answer(table(&rows) + &next, &Made { folder: folder.clone(), files });
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result {
    let failed = || format!("could not write {}", path.display());
    let parent = path.parent().expect("it is in the project's folder");
    fs::create_dir_all(parent).context(Code::FILE, failed())?;
    fs::write(path, text).context(Code::FILE, failed())
}
