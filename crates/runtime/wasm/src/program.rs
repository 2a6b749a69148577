//! A module, compiled, and the memory that its processes begin with.

use std::sync::{Arc, OnceLock};

use protocol::Module;
use runtime::{Limits, Refusal, Stacks};
use wasmtime::{InstancePre, Linker};

use crate::cache::Compiled;
use crate::format::Format;
use crate::host::{self, Host};
use crate::image::Image;
use crate::instance::{Beginning, Instance};
use crate::prepare::Shape;
use crate::region::{CAPACITY_MAX, capacity_of};
use crate::{MachineOptions, stack, system};

/// A compiled module. Shared by all its machines.
pub(crate) struct Program {
    pub format: Format,
    pub shape: Shape,
    pub pre: InstancePre<Host>,
    pub options: MachineOptions,
    /// The code asks whether its time is up; who reads the stacks of this module, if it can be read.
    pub watching: Option<Option<Arc<dyn Stacks>>>,
    data: Vec<(u64, Vec<u8>)>,
    first: OnceLock<Result<Arc<First>, String>>,
}

/// What every process of a module begins with: how things are after its constructors.
pub(crate) struct First {
    pub image: Arc<Image>,
    pub size: u64,
    pub beginning: Beginning,
}

impl Program {
    /// Links a compiled module to the host.
    pub fn link(
        module: &Module,
        format: Format,
        compiled: Compiled,
        options: MachineOptions,
    ) -> Result<Program, Refusal> {
        let unfit = |error: wasmtime::Error| Refusal::Module { module: module.id, why: format!("{error:#}") };
        let Compiled { module: code, data, shape } = compiled;
        let mut linker = Linker::new(code.engine());
        host::link(&mut linker, &code, &format).map_err(unfit)?;
        let pre = linker.instantiate_pre(&code).map_err(unfit)?;
        Ok(Program { format, shape, pre, options, watching: None, data, first: OnceLock::new() })
    }

    /// What every process begins with, or why none does. Made once, by the first machine.
    pub fn first(&self) -> &Result<Arc<First>, String> {
        self.first.get_or_init(|| self.begin())
    }

    fn begin(&self) -> Result<Arc<First>, String> {
        let limits = Limits { memory_bytes: CAPACITY_MAX, compute: u64::MAX >> 1 };
        let why = |error: &dyn std::fmt::Display| error.to_string();
        let mut instance = Instance::new(self, limits, None).map_err(|error| why(&error))?;
        let beginning = stack::run(|| instance.begin(&self.data)).map_err(|error| why(&error))?;
        let beginning = beginning.map_err(|error| why(&error))?;
        // The instance's pages are its own, all that it has written: they are the image.
        let image = Image::new(self.capacity()).map_err(|error| why(&error))?;
        instance.view().commit(&image, None).map_err(|error| why(&error))?;
        Ok(Arc::new(First { image: Arc::new(image), size: instance.size(), beginning }))
    }

    /// Address space of a memory of this module.
    pub fn capacity(&self) -> u64 {
        let memory = self.pre.module().exports().find_map(|export| export.ty().memory().cloned());
        memory.map_or(0, |memory| {
            let bytes = |pages: u64| pages.saturating_mul(65536);
            capacity_of(bytes(memory.minimum()), memory.maximum().map(bytes))
        })
    }
}

/// A refusal of the operating system.
pub(crate) fn refused(what: &str) -> impl Fn(rustix::io::Errno) -> Refusal + '_ {
    move |error| system(format!("{what}: {error}"))
}
