//! Compiled modules on disk, so that a restart does not compile again.
//!
//! Compiled code is executed as it is read. A file is used only if it is whole (its BLAKE3 is in it) and was
//! made from that module, for that format, by this engine with this configuration (the key says so);
//! otherwise the module is compiled again. Nothing here can fail an evaluation.
#![expect(unsafe_code, reason = "loading compiled code; the one block says why that is sound")]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use tracing::{debug, warn};
use wasmtime::Engine;

use crate::format::Format;
use crate::prepare::{Shape, VERSION};

const MAGIC: &[u8; 8] = b"pirnwasm";
const HEADER: usize = 8 + 32 + 32;

/// A module, compiled, and what its instances need besides.
pub(crate) struct Compiled {
    /// The code.
    pub module: wasmtime::Module,
    /// What the data segments hold: offset in memory, bytes.
    pub data: Vec<(u64, Vec<u8>)>,
    /// What it is like.
    pub shape: Shape,
}

/// A folder of compiled modules.
pub(crate) struct Cache<'a> {
    folder: &'a Path,
    sleeps: bool,
}

impl<'a> Cache<'a> {
    /// The cache in that folder, of modules that may sleep or not.
    pub fn new(folder: &'a Path, sleeps: bool) -> Cache<'a> {
        Cache { folder, sleeps }
    }

    /// What is kept for that module, if it is there and whole.
    pub fn get(&self, engine: &Engine, format: Format, module: &[u8]) -> Option<Compiled> {
        let key = self.key(engine, format, module);
        let path = self.path(&key);
        let file = std::fs::read(&path).ok()?;
        let content = check(&file, &key);
        let loaded = content.and_then(|content| load(engine, content));
        match &loaded {
            Some(_) => debug!(path = %path.display(), "loaded a compiled module"),
            None => warn!(path = %path.display(), "a compiled module is damaged, compiling again"),
        }
        loaded
    }

    /// Keeps it.
    pub fn put(&self, engine: &Engine, format: Format, module: &[u8], compiled: &Compiled) {
        let key = self.key(engine, format, module);
        let path = self.path(&key);
        if let Err(error) = self.write(&path, &key, compiled) {
            warn!(path = %path.display(), error, "could not keep a compiled module");
        }
    }

    /// Names a module as this engine compiles it.
    fn key(&self, engine: &Engine, format: Format, module: &[u8]) -> [u8; 32] {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let mut key = blake3::Hasher::new_derive_key("pirn 2026 compiled WebAssembly module");
        key.update(&VERSION.to_le_bytes());
        key.update(&[u8::from(self.sleeps)]);
        key.update(&hasher.finish().to_le_bytes());
        key.update(blake3::hash(format.name.as_bytes()).as_bytes());
        key.update(blake3::hash(module).as_bytes());
        *key.finalize().as_bytes()
    }

    fn write(&self, path: &Path, key: &[u8; 32], compiled: &Compiled) -> Result<(), String> {
        let content = encode(compiled)?;
        let mut file = Vec::with_capacity(HEADER + content.len());
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(key);
        file.extend_from_slice(blake3::hash(&content).as_bytes());
        file.extend_from_slice(&content);
        // Two nodes may share the folder: each writes its own file, and whoever is last wins.
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let kept = std::fs::create_dir_all(self.folder)
            .and_then(|()| std::fs::write(&temporary, &file))
            .and_then(|()| std::fs::rename(&temporary, path));
        kept.map_err(|error| error.to_string())
    }

    fn path(&self, key: &[u8; 32]) -> PathBuf {
        self.folder.join(format!("{}.cwasm", blake3::Hash::from_bytes(*key).to_hex()))
    }
}

/// The content of a file that is whole and has that key.
fn check<'a>(file: &'a [u8], key: &[u8; 32]) -> Option<&'a [u8]> {
    let (magic, rest) = file.split_at_checked(8)?;
    let (found, rest) = rest.split_at_checked(32)?;
    let (checksum, content) = rest.split_at_checked(32)?;
    let whole = magic == MAGIC && found == key && checksum == blake3::hash(content).as_bytes();
    whole.then_some(content)
}

fn encode(compiled: &Compiled) -> Result<Vec<u8>, String> {
    let mut content = Vec::new();
    let mut field = |bytes: &[u8]| {
        content.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        content.extend_from_slice(bytes);
    };
    field(&serde_json::to_vec(&compiled.shape).map_err(|error| error.to_string())?);
    field(&compiled.module.serialize().map_err(|error| error.to_string())?);
    for (at, bytes) in &compiled.data {
        field(&at.to_le_bytes());
        field(bytes);
    }
    Ok(content)
}

fn load(engine: &Engine, content: &[u8]) -> Option<Compiled> {
    let mut rest = content;
    let shape = serde_json::from_slice(field(&mut rest)?).ok()?;
    let code = field(&mut rest)?;
    let mut data = Vec::new();
    while !rest.is_empty() {
        let at = u64::from_le_bytes(field(&mut rest)?.try_into().ok()?);
        data.push((at, field(&mut rest)?.to_vec()));
    }
    // SAFETY: the bytes are those that `serialize` of an engine with the same version and configuration gave:
    // the key holds both, and the checksum of the whole file was compared. The folder belongs to the operator;
    // who can write to it can replace this program as well.
    let module = unsafe { wasmtime::Module::deserialize(engine, code) }.ok()?;
    Some(Compiled { module, data, shape })
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (n, after) = rest.split_at_checked(8)?;
    let n = usize::try_from(u64::from_le_bytes(n.try_into().ok()?)).ok()?;
    let (field, after) = after.split_at_checked(n)?;
    *rest = after;
    Some(field)
}
