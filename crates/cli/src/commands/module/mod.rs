//! `pirn module`

mod run;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand};
use protocol::{DataItem, Draft, ModuleId, Wallet};
use serde::Serialize;
use unit::{Code, Query, Weave as _};

use crate::error::{Context as _, Failure, Result};
use crate::network::{Clients, Signer, Where};
use crate::ui::Ui;

/// Publish a module, or evaluate messages on a module file without any unit
#[derive(Debug, Args)]
pub struct Module {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Run),
    Publish(Publish),
}

/// Publish a .wasm file as a module
#[derive(Debug, Args)]
struct Publish {
    /// The module file.
    file: PathBuf,
    /// Its format, where it cannot be told from the file.
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

#[derive(Serialize)]
struct Published {
    module: ModuleId,
}

impl Module {
    /// Runs the verb.
    pub async fn run(self, ui: Ui) -> Result {
        match self.verb {
            Verb::Run(run) => run.run(ui),
            Verb::Publish(Publish { file, format, signer, at }) => {
                let module = publish(&at.clients()?, &signer.wallet()?, &file, format.as_deref()).await?;
                ui.answer(module, &Published { module });
                Ok(())
            }
        }
    }
}

/// Publishes a module file as a data item.
pub async fn publish(
    clients: &Clients,
    wallet: &Wallet,
    file: &Path,
    format: Option<&str>,
) -> Result<ModuleId> {
    let bytes = std::fs::read(file).context(Code::FILE, format!("could not read {}", file.display()))?;
    let format = match format {
        Some(format) => format,
        None => node::module_format(&bytes).ok_or_else(|| {
            Failure::new(
                Code::FORMAT_UNKNOWN,
                format!("cannot tell the format of {} from its imports", file.display()),
            )
            .hint("say it: --format wasm64-unknown-emscripten-draft_2024_02_15, for example")
        })?,
    };
    publish_item(clients, wallet, node::module_draft(format, Bytes::from(bytes))).await
}

/// The id of Pirn's own Lua, which is published if the network does not have it.
pub async fn publish_lua(clients: &Clients) -> Result<ModuleId> {
    let item = node::lua_module();
    let query = Query { ids: vec![item.id], limit: 1, ..Query::default() };
    if clients.gateway.query(query).await.is_ok_and(|found| !found.items.is_empty()) {
        return Ok(ModuleId(item.id));
    }
    clients.gateway.upload(item.clone()).await?;
    Ok(ModuleId(item.id))
}

async fn publish_item(clients: &Clients, wallet: &Wallet, draft: Draft) -> Result<ModuleId> {
    let item = DataItem::sign(wallet, draft).context(Code::WALLET, "could not sign the module")?;
    let id = ModuleId(item.id);
    clients.gateway.upload(item).await?;
    Ok(id)
}
