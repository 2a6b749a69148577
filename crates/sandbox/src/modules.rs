//! Modules, compiled once for all sandboxes of a program.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use protocol::{Draft, Module, ModuleId, Tags};
use runtime::{Program, Runtime};
use runtime_wasm::WasmRuntime;
use unit::{Code, Error, Result};

use crate::Signer;

/// A module and its program. The module's data is not kept.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) module: Arc<Module>,
    pub(crate) program: Arc<dyn Program>,
}

/// The modules that processes of sandboxes can be of. Cheap to clone, shared by threads.
#[derive(Clone)]
pub struct Modules {
    runtime: Arc<WasmRuntime>,
    loaded: Arc<Mutex<BTreeMap<ModuleId, Loaded>>>,
    lua: ModuleId,
}

impl Modules {
    /// Modules at most: each is some megabytes of code.
    const MODULES_MAX: usize = 64;

    /// With Pirn's own Lua, which takes a second to compile unless the runtime has a cache.
    pub fn new(runtime: WasmRuntime) -> Result<Modules> {
        let lua = ModuleId(protocol::Id([0; 32]));
        let mut modules = Modules { runtime: Arc::new(runtime), loaded: Arc::default(), lua };
        let data = Bytes::from_static(runtime_lua::MODULE);
        let draft = Draft { tags: Tags::from_iter(runtime_lua::TAGS), data, ..Draft::default() };
        modules.lua = modules.publish(&Signer::named("pirn"), draft)?;
        Ok(modules)
    }

    /// The id of Pirn's own Lua.
    pub fn lua(&self) -> ModuleId {
        self.lua
    }

    /// Publishes and compiles a module. The same one twice is one.
    pub fn publish(&self, signer: &Signer, draft: Draft) -> Result<ModuleId> {
        let item = signer.sign(draft)?;
        let module = Module::try_from(&*item).map_err(|error| Error::invalid(error.to_string()))?;
        self.load(module)
    }

    /// Compiles a module under the id that it has.
    pub fn load(&self, module: Module) -> Result<ModuleId> {
        let id = module.id;
        // Whoever wants the same one waits here instead of compiling it again.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.contains_key(&id) {
            return Ok(id);
        }
        if loaded.len() >= Self::MODULES_MAX {
            return Err(Error::refused(format!("at most {} modules are published", Self::MODULES_MAX)));
        }
        let program = self.runtime.load(&module).map_err(|refusal| {
            Error::refused(format!("module {id} cannot be run: {refusal}"))
                .with_code(Code::MODULE_UNSUPPORTED)
        })?;
        let module = Arc::new(Module { data: Bytes::new(), ..module });
        loaded.insert(id, Loaded { module, program });
        Ok(id)
    }

    pub(crate) fn get(&self, id: ModuleId) -> Result<Loaded> {
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.get(&id).cloned().ok_or_else(|| {
            Error::not_found(format!("module {id} is not published in this sandbox"))
                .with_code(Code::MODULE_MISSING)
        })
    }
}
