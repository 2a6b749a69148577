//! What a backup has, by name.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::files::{Files, read_all, write_all};

/// The version of a backup.
const VERSION: u32 = 1;
const MANIFEST: &str = "manifest";
/// Bytes of the hash at the end of a blob.
pub(super) const HASH_LEN: usize = blake3::OUT_LEN;

/// What there is.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    /// By path in the state folder.
    pub parts: BTreeMap<String, Part>,
}

/// A file of the state folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Part {
    /// A segment that does not change any more.
    Sealed {
        kept: Kept,
        /// The hash of its footer and trailer, by which it is known without being read.
        footer: String,
    },
    /// The last segment, as far as it went.
    Open(Kept),
    /// A blob, by the hash that it ends with.
    Blob(Kept),
    /// Any other file.
    File(Kept),
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Its name.
    pub hash: String,
    pub bytes: u64,
}

impl Part {
    pub fn kept(&self) -> &Kept {
        match self {
            Part::Sealed { kept, .. } | Part::Open(kept) | Part::Blob(kept) | Part::File(kept) => kept,
        }
    }
}

impl Manifest {
    pub fn new() -> Manifest {
        Manifest { version: VERSION, parts: BTreeMap::new() }
    }

    /// The manifest in a folder, if there is one.
    pub fn read(files: &dyn Files, folder: &Path) -> Result<Option<Manifest>, Error> {
        let path = folder.join(MANIFEST);
        let bytes = match read_all(files, &path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path, &error)),
        };
        let damaged = || Error::Backup {
            path: path.display().to_string(),
            at: 0,
            why: "the manifest is not what was written".to_owned(),
        };
        let text = str::from_utf8(&bytes).map_err(|_| damaged())?;
        let (line, hash) = text.split_once('\n').ok_or_else(damaged)?;
        if hash.strip_suffix('\n') != Some(&blake3::hash(line.as_bytes()).to_hex()) {
            return Err(damaged());
        }
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_str(line).map_err(|_| damaged())?;
        if version != VERSION {
            return Err(Error::Version { path: path.display().to_string(), found: version, known: VERSION });
        }
        serde_json::from_str(line).map(Some).map_err(|_| damaged())
    }

    /// Makes this the manifest, with one rename.
    pub fn write(&self, files: &dyn Files, folder: &Path) -> Result<(), Error> {
        let line = serde_json::to_string(self).expect("a manifest is JSON");
        let hash = blake3::hash(line.as_bytes()).to_hex();
        let (unnamed, path) = (folder.join("manifest.new"), folder.join(MANIFEST));
        write_all(files, &unnamed, &[line.as_bytes(), b"\n", hash.as_bytes(), b"\n"])
            .and_then(|()| files.rename(&unnamed, &path))
            .and_then(|()| files.sync_folder(folder))
            .map_err(|error| Error::io("write", &path, &error))
    }
}

/// The hash that a blob ends with, if it is that of all before it.
pub(super) fn check_blob(bytes: &[u8]) -> Option<String> {
    let (value, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH_LEN)?)?;
    let found = blake3::hash(value);
    (found == *hash).then(|| found.to_hex().to_string())
}
