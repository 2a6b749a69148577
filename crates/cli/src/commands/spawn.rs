//! `pirn spawn`

use bytes::Bytes;
use clap::Args;
use protocol::{DataItem, Draft, ModuleId, ProcessId, Tag, Wallet, tag};
use serde::Serialize;
use unit::{Code, Compute as _, Messenger as _};

use super::module::{publish, publish_lua};
use super::{ao_tags, check, parse_tag, text_of};
use crate::error::{Context as _, Failure, Result};
use crate::network::{Clients, Signer, Where};
use crate::ui::Ui;

/// What stands for the module that is part of this program.
const LUA: &str = "lua";

/// Start a process: of a module, or of a file or Pirn's own Lua, which is then published first
#[derive(Debug, Args)]
pub struct Spawn {
    /// A module id, a .wasm file, or `lua`: Pirn's own, with the interface of aos.
    #[arg(default_value = LUA, allow_hyphen_values = true)]
    module: String,
    /// A tag of the process; may be repeated.
    #[arg(long = "tag", short = 't', value_name = "NAME=VALUE", value_parser = parse_tag)]
    tags: Vec<Tag>,
    /// The process's data: text, @FILE, or - for stdin.
    #[arg(long, default_value = " ")]
    data: String,
    /// The format of a .wasm file, where it cannot be told from the file.
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Trust another authority than the network's messenger unit.
    #[arg(long, value_name = "ADDRESS")]
    authority: Option<String>,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    at: Where,
}

/// A process that was spawned.
#[derive(Serialize)]
pub struct Spawned {
    /// Which.
    pub process: ProcessId,
    /// What it runs.
    pub module: ModuleId,
    /// Who orders its messages.
    pub scheduler: protocol::Address,
    /// Whom it trusts.
    pub authority: String,
}

/// What to spawn.
#[derive(Default)]
pub struct Spawning<'a> {
    /// A module id, a .wasm file, or `lua`.
    pub module: &'a str,
    /// The format of a .wasm file, where it cannot be told from the file.
    pub format: Option<&'a str>,
    /// Tags of the process.
    pub tags: Vec<Tag>,
    /// Its data; none is a space.
    pub data: Option<String>,
    /// Another authority than the network's messenger unit.
    pub authority: Option<String>,
}

impl Spawn {
    /// Publishes the module if it is a file, spawns, and waits for the boot.
    pub async fn run(self, ui: Ui) -> Result {
        let clients = self.at.clients()?;
        let spawning = Spawning {
            module: &self.module,
            format: self.format.as_deref(),
            tags: self.tags,
            data: Some(text_of(&self.data)?),
            authority: self.authority,
        };
        let spawned = spawn(&clients, &self.signer.wallet()?, spawning).await?;
        if self.module != spawned.module.to_string() {
            ui.note(format_args!("module   {}", spawned.module));
        }
        ui.answer(spawned.process, &spawned);
        Ok(())
    }
}

/// Publishes the module if it is a file or Pirn's own, spawns, and waits for the boot.
pub async fn spawn(clients: &Clients, wallet: &Wallet, spawning: Spawning<'_>) -> Result<Spawned> {
    let (scheduler, authority) = clients.addresses().await?;
    let module = match spawning.module.parse::<ModuleId>() {
        Ok(module) => module,
        Err(_) if spawning.module.ends_with(".wasm") => {
            publish(clients, wallet, spawning.module.as_ref(), spawning.format).await?
        }
        Err(_) if spawning.module == LUA => publish_lua(clients).await?,
        Err(error) => return Err(Failure::usage(error).hint("name a module id, a .wasm file, or lua")),
    };
    let authority = spawning.authority.unwrap_or_else(|| authority.to_string());
    let mut tags = ao_tags(&spawning.tags, "Process");
    tags.push(tag::MODULE, module);
    tags.push(tag::SCHEDULER, scheduler);
    tags.push(tag::AUTHORITY, &authority);
    let data = Bytes::from(spawning.data.unwrap_or_else(|| " ".to_owned()));
    let item = DataItem::sign(wallet, Draft { tags, data, ..Draft::default() })
        .context(Code::WALLET, "could not sign")?;
    let process = ProcessId(item.id);
    clients.mu.send(item).await?;
    let boot = clients.cu.result(process, process.0).await?;
    check(&boot)?;
    Ok(Spawned { process, module, scheduler, authority })
}
