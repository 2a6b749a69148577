//! `pirn up`

pub mod load;
pub mod watch;

use std::path::Path;

use clap::Args;
use serde::Serialize;
use unit::Code;

use self::load::{Came, Loaded, Loader};
use self::watch::Watcher;
use super::node::Signals;
use crate::error::{Failure, Result};
use crate::network::{Signer, Where};
use crate::project::Project;
use crate::ui::{Ui, table};

/// Spawn, or bring up to date, the processes that pirn.toml names
#[derive(Debug, Args)]
pub struct Up {
    /// Only these.
    names: Vec<String>,
    /// Stay, and load a file again whenever it is saved. State is kept; what cannot be loaded leaves the old code
    /// running.
    #[arg(long, short)]
    watch: bool,
    /// Spawn them anew, with empty state.
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

/// What a program is told while files are watched, one object on a line each.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Event<'a> {
    Loaded(&'a Loaded),
    Failed { process: &'a str, error: &'a str, code: String },
    Watching { folder: &'a Path },
}

impl Up {
    /// Spawns and loads; with --watch, until it is told to end.
    pub async fn run(self, ui: Ui) -> Result {
        let here = std::env::current_dir().unwrap_or_default();
        let project = Project::find(&here)?.ok_or_else(|| {
            Failure { exit: 2, ..Failure::new(Code::CONFIG, "no pirn.toml here or above names processes") }
                .hint("`pirn new NAME` makes a project; `cd` into it")
        })?;
        let names = self.chosen(&project)?;
        let mut loader = Loader::open(&self.at, &self.signer, project).await?;
        if self.watch {
            return self.stay(loader, &names, ui).await;
        }
        let mut all = Vec::new();
        for name in &names {
            let loaded = loader.bring(name, self.fresh).await?;
            loaded.doubts.iter().for_each(|doubt| ui.note(format!("warning: {doubt}")));
            all.push(loaded);
        }
        ui.answer(table(&all.iter().map(row).collect::<Vec<_>>()), &all);
        Ok(())
    }

    fn chosen(&self, project: &Project) -> Result<Vec<String>> {
        let known: Vec<String> = project.processes.keys().cloned().collect();
        for name in &self.names {
            if !known.contains(name) {
                let what = format!("{} names no process {name}", project.folder.join("pirn.toml").display());
                let failure = Failure::usage(what);
                return Err(match node::nearest(name, &known) {
                    Some(near) => failure.hint(format!("did you mean {near}?")),
                    None => failure.hint(format!("it names {}", known.join(", "))),
                });
            }
        }
        Ok(if self.names.is_empty() { known } else { self.names.clone() })
    }

    async fn stay(&self, mut loader: Loader, names: &[String], ui: Ui) -> Result {
        let signals = Signals::listen()?;
        let mut watcher = Watcher::new()?;
        let mut fresh = self.fresh;
        let told = |name: &str, came: &Result<Loaded>| tell(ui, name, came);
        let folder = loader.project().folder.clone();
        let watching = format!("watching {} · save a file and it is loaded; state is kept", folder.display());
        let work = async {
            let mut first = true;
            loop {
                round(&mut loader, names, &mut watcher, std::mem::take(&mut fresh), &told).await;
                if std::mem::take(&mut first) {
                    ui.answer(&watching, &Event::Watching { folder: &folder });
                }
                watcher.changed().await;
            }
        };
        // Only a signal ends it.
        signals.unless_ended::<()>(work).await;
        Ok(())
    }
}

/// Brings each process up to date and says what changed. What fails is said once, until the files change again.
pub async fn round(
    loader: &mut Loader,
    names: &[String],
    watcher: &mut Watcher,
    fresh: bool,
    told: &(dyn Fn(&str, &Result<Loaded>) + Sync),
) {
    let mut fresh = fresh;
    loop {
        if let Err(failure) = loader.read_again() {
            told("pirn.toml", &Err(failure));
        }
        // A process that the file names since then is brought up as well.
        let all: Vec<String> = match names.is_empty() {
            true => loader.project().processes.keys().cloned().collect(),
            false => names.to_vec(),
        };
        for name in &all {
            let came = loader.bring(name, fresh).await;
            if !matches!(&came, Ok(Loaded { came: Came::Same, .. })) {
                told(name, &came);
            }
        }
        fresh = false;
        // What was saved before its folder was watched is looked at once more.
        if !watcher.watch(loader.files()) {
            return;
        }
    }
}

/// Says what came of loading: to a person, or as a line of JSON.
fn tell(ui: Ui, name: &str, came: &Result<Loaded>) {
    match came {
        Ok(loaded) => {
            loaded.doubts.iter().for_each(|doubt| ui.note(format!("warning: {doubt}")));
            ui.answer(table(&[row(loaded)]), &Event::Loaded(loaded));
        }
        Err(failure) if ui.json => {
            let code = failure.code.to_string();
            ui.answer("", &Event::Failed { process: name, error: &failure.what, code });
        }
        Err(failure) => ui.failed(failure),
    }
}

/// A line for people: `counter  spawned  ID  lua  owner ada  + inc, get`.
pub fn row(loaded: &Loaded) -> Vec<String> {
    let changes = |sign: &str, names: &[String]| match names.is_empty() {
        true => String::new(),
        false => format!("{sign} {}  ", names.join(", ")),
    };
    let handlers = changes("+", &loaded.added) + &changes("-", &loaded.removed);
    vec![
        loaded.name.clone(),
        loaded.came.word().to_owned(),
        loaded.process.to_string(),
        format!("owner {}", loaded.owner),
        handlers.trim_end().to_owned(),
    ]
}
