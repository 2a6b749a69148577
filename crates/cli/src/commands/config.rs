//! `pirn config`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use node::{Config as Configuration, Overrides};

use super::node::failed;
use crate::error::Result;
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
}

/// Print every option of a node with its value and where that comes from: default, file, environment
#[derive(Debug, Args)]
struct Show {
    /// Configuration file; ./pirn.toml if it is there.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What `pirn dev` would use.
    #[arg(long)]
    dev: bool,
}

impl Config {
    /// Reads it as a node would.
    pub fn run(self, ui: Ui) -> Result {
        let Command::Show(Show { config, dev }) = self.command;
        let defaults = if dev { Configuration::development() } else { Configuration::default() };
        let loaded = node::load(defaults, config.as_deref(), Overrides::default()).map_err(failed)?;
        let settings = loaded.settings();
        let row = |setting: &node::Setting| {
            vec![setting.key.clone(), setting.value.clone(), setting.source.clone()]
        };
        ui.answer(table(&settings.iter().map(row).collect::<Vec<_>>()), &settings);
        Ok(())
    }
}
