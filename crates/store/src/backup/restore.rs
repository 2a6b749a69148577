//! A backup read again, every byte of it, and made a state folder.

use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::manifest::{Manifest, Part, check_blob};
use super::{BackedUp, Backup, OBJECTS};
use crate::committer::name;
use crate::files::{Files, System, make_folders, read_all, write_all};
use crate::segment::{Bad, End};
use crate::{Error, open};

impl Backup {
    /// Reads everything in the backup and compares it with its checksums, record by record. Says the first thing that is
    /// not what was written.
    pub fn verify(&self) -> Result<BackedUp, Error> {
        self.each(&System, |_, _| Ok(()))
    }

    /// Makes `state`, a folder that is not there yet, what was backed up. Everything is checked on the way.
    pub fn restore(&self, state: &Path) -> Result<BackedUp, Error> {
        let files = &System;
        let mut folders = vec![state.to_owned()];
        let restored = self.each(files, |path, bytes| {
            let path = state.join(path);
            let folder = path.parent().expect("it lies in the state folder");
            make_folders(files, folder).map_err(|error| Error::io("make", folder, &error))?;
            if folders.last().is_some_and(|last| last != folder) {
                folders.push(folder.to_owned());
            }
            write_all(files, &path, &[bytes]).map_err(|error| Error::io("write", &path, &error))
        })?;
        for folder in folders {
            files.sync_folder(&folder).map_err(|error| Error::io("sync", &folder, &error))?;
        }
        Ok(restored)
    }

    /// Shows each part, by its path in the state folder, once it is found to be what was written.
    fn each(
        &self,
        files: &dyn Files,
        mut see: impl FnMut(&Path, &[u8]) -> Result<(), Error>,
    ) -> Result<BackedUp, Error> {
        let Some(manifest) = Manifest::read(files, &self.folder)? else {
            let error = io::Error::new(ErrorKind::NotFound, "there is no manifest in it");
            return Err(Error::io("read the backup in", &self.folder, &error));
        };
        let mut seen = BackedUp::default();
        for (path, part) in &manifest.parts {
            let object = self.folder.join(OBJECTS).join(&part.kept().hash);
            let bad = |at: usize, why: &str| Error::Backup {
                path: object.display().to_string(),
                at: at as u64,
                why: format!("{path}: {why}"),
            };
            let path = plain(path).ok_or_else(|| bad(0, "that is no path in a state folder"))?;
            let bytes = match read_all(files, &object) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(bad(0, "it is missing")),
                Err(error) => return Err(Error::io("read", &object, &error)),
            };
            let kept = part.kept();
            if bytes.len() as u64 != kept.bytes {
                return Err(bad(bytes.len(), &format!("it has {} bytes, not {}", bytes.len(), kept.bytes)));
            }
            let of_segment = |number: u32, end| {
                open::check(number, &bytes, end).map_err(|found| match found {
                    Bad::Damaged { at, why } => bad(at, why),
                    Bad::Version(found) => open::refuse(&object, Bad::Version(found)),
                })
            };
            let whole = match part {
                Part::Sealed { .. } | Part::Open(_) => {
                    seen.segments += 1;
                    let number = seen.segments as u32;
                    if path != Path::new("log").join(name(number)) {
                        return Err(bad(0, &format!("it is not segment {number}")));
                    }
                    let is_sealed = matches!(part, Part::Sealed { .. });
                    of_segment(number, if is_sealed { End::Sealed } else { End::Open(bytes.len()) })?;
                    blake3::hash(&bytes).to_hex().as_str() == kept.hash
                }
                Part::Blob(_) => {
                    seen.blobs += 1;
                    check_blob(&bytes).as_ref() == Some(&kept.hash)
                }
                Part::File(_) => {
                    seen.files += 1;
                    blake3::hash(&bytes).to_hex().as_str() == kept.hash
                }
            };
            if !whole {
                return Err(bad(0, "its content is not what its name says"));
            }
            seen.bytes += kept.bytes;
            see(&path, &bytes)?;
        }
        Ok(seen)
    }
}

/// A path that leads nowhere else.
fn plain(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && path.components().next().is_some()).then(|| path.to_owned())
}
