//! `pirn config`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use node::{Config as Configuration, Overrides};
use serde::Serialize;

use super::node::failed;
use crate::error::Result;
use crate::network::{Signer, Where, read_wallet};
use crate::project::{FILE, Project};
use crate::ui::{Ui, table};

/// Look at the configuration
#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(Show),
    Check(Check),
}

/// Print every option of a node, and what the other commands use, with where it comes from: default, file, environment,
/// flag, context
#[derive(Debug, Args)]
struct Show {
    /// Configuration file; ./pirn.toml if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What `pirn dev` would use.
    #[arg(long)]
    dev: bool,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

/// Read the configuration as a node would, with the wallets and the processes that it names, and say what is wrong
#[derive(Debug, Args)]
struct Check {
    /// Configuration file; ./pirn.toml if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As `pirn dev` would read it.
    #[arg(long)]
    dev: bool,
}

#[derive(Serialize)]
struct Checked {
    file: Option<PathBuf>,
    roles: Vec<node::Role>,
    processes: Vec<String>,
}

impl Config {
    /// Runs the verb.
    pub fn run(self, ui: Ui) -> Result {
        match self.command {
            Command::Show(show) => show.run(ui),
            Command::Check(check) => check.run(ui),
        }
    }
}

/// Reads it as a node would.
fn load(config: Option<&Path>, dev: bool) -> Result<node::Loaded> {
    let defaults = if dev { Configuration::development() } else { Configuration::default() };
    node::load(defaults, config, Overrides::default()).map_err(failed)
}

impl Show {
    fn run(self, ui: Ui) -> Result {
        let mut settings = load(self.config.as_deref(), self.dev)?.settings();
        let used = crate::network::settings(&self.at, &self.signer)?;
        settings.extend(used.into_iter().map(|(key, said)| node::Setting {
            key: format!("context.{key}"),
            value: format!("{:?}", said.value),
            source: said.source,
        }));
        let row = |setting: &node::Setting| {
            vec![setting.key.clone(), setting.value.clone(), setting.source.clone()]
        };
        ui.answer(table(&settings.iter().map(row).collect::<Vec<_>>()), &settings);
        Ok(())
    }
}

impl Check {
    fn run(self, ui: Ui) -> Result {
        let config = load(self.config.as_deref(), self.dev)?.config;
        let wallets = [&config.wallet, &config.wallets.mu, &config.wallets.su, &config.wallets.cu];
        for wallet in wallets.into_iter().flatten() {
            read_wallet(wallet)?;
        }
        let here = std::env::current_dir().unwrap_or_default();
        let processes = match &self.config {
            None if here.join(FILE).is_file() => Project::read(&here)?.processes.into_keys().collect(),
            _ => Vec::new(),
        };
        let default = Some(PathBuf::from(FILE)).filter(|file| file.is_file());
        let file = self.config.or(default);
        let text = match &file {
            Some(file) => format!("{} can be used", file.display()),
            None => "there is no pirn.toml here; the defaults can be used".to_owned(),
        };
        ui.answer(text, &Checked { file, roles: config.roles, processes });
        Ok(())
    }
}
