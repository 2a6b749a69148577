//! `pirn spawn`

use bytes::Bytes;
use clap::Args;
use protocol::{DataItem, Draft, ModuleId, ProcessId, Tag, tag};
use serde::Serialize;
use unit::{Code, Compute as _, Messenger as _};

use super::module::{publish, publish_lua};
use super::{ao_tags, check, parse_tag, text_of};
use crate::error::{Context as _, Failure, Result};
use crate::network::{Signer, Where};
use crate::ui::Ui;

/// What stands for the module that is part of this program.
const LUA: &str = "lua";

/// Start a process: of a module, or of a file or Pirn's own Lua, which is then published first
#[derive(Debug, Args)]
pub struct Spawn {
    /// A module id, a .wasm file, or `lua`: Pirn's own, with the interface of aos.
    #[arg(default_value = LUA)]
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

#[derive(Serialize)]
struct Spawned {
    process: ProcessId,
    module: ModuleId,
    scheduler: protocol::Address,
    authority: String,
}

impl Spawn {
    /// Publishes the module if it is a file, spawns, and waits for the boot.
    pub async fn run(self, ui: Ui) -> Result {
        let clients = self.at.clients()?;
        let wallet = self.signer.wallet()?;
        let (scheduler, authority) = clients.addresses().await?;
        let module = match self.module.parse::<ModuleId>() {
            Ok(module) => module,
            Err(_) if self.module.ends_with(".wasm") => {
                let module = publish(&clients, &wallet, self.module.as_ref(), self.format.as_deref()).await?;
                ui.note(format_args!("module   {module}"));
                module
            }
            Err(_) if self.module == LUA => {
                let module = publish_lua(&clients, &wallet).await?;
                ui.note(format_args!("module   {module}"));
                module
            }
            Err(error) => {
                return Err(Failure::usage(error).hint("name a module id, a .wasm file, or lua"));
            }
        };
        let authority = self.authority.unwrap_or_else(|| authority.to_string());
        let mut tags = ao_tags(&self.tags, "Process");
        tags.push(tag::MODULE, module);
        tags.push(tag::SCHEDULER, scheduler);
        tags.push(tag::AUTHORITY, &authority);
        let data = Bytes::from(text_of(&self.data)?);
        let item = DataItem::sign(&wallet, Draft { tags, data, ..Draft::default() })
            .context(Code::WALLET, "could not sign")?;
        let process = ProcessId(item.id);
        clients.mu.send(item).await?;
        let boot = clients.cu.result(process, process.0).await?;
        check(&boot)?;
        ui.answer(process, &Spawned { process, module, scheduler, authority });
        Ok(())
    }
}
