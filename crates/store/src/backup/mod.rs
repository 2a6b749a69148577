//! A copy of a state folder elsewhere: made while it is in use, made again at the cost of what is new, and checked.
//!
//! ```text
//! manifest        one line of JSON: what there is, and by which object; then the BLAKE3 of that line
//! objects/HASH    a segment of the log, or another file, by the BLAKE3 of what is in it; a blob, by the hash at its end
//! ```
//!
//! An object never changes, and the manifest is replaced with one rename: until then the backup is the one before. Blobs
//! are copied before the log, so that the log reaches at least as far as the checkpoints do. Of the last segment the whole
//! records are copied. So a backup has everything that was acknowledged before it began, and no batch by half.

mod manifest;
mod restore;

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::committer::name;
use crate::copy::names;
use crate::files::{Files, System, make_folders, read_all, write_all};
use crate::segment::{End, TRAILER_LEN};
use crate::{Error, disk, open, segment};

use manifest::{HASH_LEN, Kept, Manifest, Part};

/// Where the objects are.
const OBJECTS: &str = "objects";

/// What a backup has, and what it cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackedUp {
    /// Segments of the log.
    pub segments: usize,
    /// Blobs: checkpoints.
    pub blobs: usize,
    /// Other files: keys, and how the clock goes.
    pub files: usize,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes of those that an earlier backup did not have.
    pub bytes_copied: u64,
    /// Blobs that are not what was put, and are left out. What they hold can be made again.
    pub damaged_blobs: Vec<String>,
}

/// A backup in a folder. Everything here blocks on the disk.
#[derive(Debug, Clone)]
pub struct Backup {
    folder: PathBuf,
}

impl Backup {
    /// The backup in that folder, which need not be there yet.
    pub fn at(folder: impl Into<PathBuf>) -> Backup {
        Backup { folder: folder.into() }
    }

    /// Brings the backup up to date with a state folder, which may be in use: its log in `log`, its blobs in `blobs`,
    /// and those of `others`, paths in it, that are there.
    pub fn update(&self, state: &Path, others: &[String]) -> Result<BackedUp, Error> {
        let files = &System;
        let objects = self.folder.join(OBJECTS);
        make_folders(files, &objects).map_err(|error| Error::io("make", &objects, &error))?;
        let _lock = disk::lock(&self.folder)?;
        let before = Manifest::read(files, &self.folder)?.unwrap_or_default();
        let log = state.join("log");
        let which = which(&log)?;
        let mut copy =
            Copy { files, objects, known: BTreeSet::new(), now: Manifest::new(), said: BackedUp::default() };
        copy.known.extend(names(files, &copy.objects)?.into_iter().map(|(name, _)| name));
        copy.blobs(&state.join("blobs"))?;
        copy.log(&log, &before)?;
        for other in others {
            copy.other(state, other)?;
        }
        if self::which(&log)? != which {
            let error = io::Error::other("the network was put back to a snapshot meanwhile; try again");
            return Err(Error::io("back up", &log, &error));
        }
        let synced = files.sync_folder(&copy.objects);
        synced.map_err(|error| Error::io("sync", &copy.objects, &error))?;
        copy.now.write(files, &self.folder)?;
        copy.forget_others();
        Ok(copy.said)
    }
}

/// Tells a log from one that took its place.
fn which(log: &Path) -> Result<(u64, u64), Error> {
    let about = std::fs::metadata(log).map_err(|error| Error::io("read", log, &error))?;
    Ok((about.dev(), about.ino()))
}

/// A backup that is being made.
struct Copy<'a> {
    files: &'a dyn Files,
    objects: PathBuf,
    /// Objects that are there.
    known: BTreeSet<String>,
    now: Manifest,
    said: BackedUp,
}

impl Copy<'_> {
    fn blobs(&mut self, folder: &Path) -> Result<(), Error> {
        let mut folders = vec![String::new()];
        while let Some(below) = folders.pop() {
            for (name, is_folder) in names(self.files, &folder.join(&below))? {
                let name = format!("{below}{name}");
                // What is half written, and nothing else, begins with a point.
                if name.rsplit('/').next().is_some_and(|last| last.starts_with('.')) {
                    continue;
                }
                match is_folder {
                    true => folders.push(format!("{name}/")),
                    false => self.blob(&folder.join(&name), &name)?,
                }
            }
        }
        Ok(())
    }

    fn blob(&mut self, path: &Path, name: &str) -> Result<(), Error> {
        let kept = match self.hash_at_end(path) {
            Ok(kept) => kept,
            // It was forgotten meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("read", path, &error)),
        };
        let known = kept.filter(|kept| self.has(kept));
        let kept = match known {
            Some(kept) => kept,
            None => {
                let bytes = match read_all(self.files, path) {
                    Ok(bytes) => bytes,
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                    Err(error) => return Err(Error::io("read", path, &error)),
                };
                let Some(hash) = manifest::check_blob(&bytes) else {
                    self.said.damaged_blobs.push(name.to_owned());
                    return Ok(());
                };
                let kept = Kept { hash, bytes: bytes.len() as u64 };
                self.keep(&kept, &bytes)?;
                kept
            }
        };
        self.said.blobs += 1;
        self.said.bytes += kept.bytes;
        self.now.parts.insert(format!("blobs/{name}"), Part::Blob(kept));
        Ok(())
    }

    /// What a blob says that it is.
    fn hash_at_end(&self, path: &Path) -> io::Result<Option<Kept>> {
        let file = self.files.open_to_read(path)?;
        let bytes = self.files.length(&file)?;
        let Some(at) = bytes.checked_sub(HASH_LEN as u64) else { return Ok(None) };
        let mut hash = [0; HASH_LEN];
        self.files.read(&file, &mut hash, at)?;
        Ok(Some(Kept { hash: blake3::Hash::from_bytes(hash).to_hex().to_string(), bytes }))
    }

    fn log(&mut self, log: &Path, before: &Manifest) -> Result<(), Error> {
        let count = open::count(self.files, log)?;
        if count == 0 {
            let error = io::Error::new(ErrorKind::NotFound, "there is no segment in it");
            return Err(Error::io("back up", log, &error));
        }
        for number in 1..=count {
            let (path, key) = (log.join(name(number)), format!("log/{}", name(number)));
            let of_path = |error: io::Error| Error::io("read", &path, &error);
            let is_last = number == count;
            if let (false, Some(Part::Sealed { kept, footer })) = (is_last, before.parts.get(&key))
                && self.has(kept)
                && self.footer_of(&path, kept.bytes).map_err(of_path)?.as_ref() == Some(footer)
            {
                self.said.bytes += kept.bytes;
                self.now.parts.insert(key, Part::Sealed { kept: kept.clone(), footer: footer.clone() });
                continue;
            }
            let mut bytes = read_all(self.files, &path).map_err(of_path)?;
            let refuse = |bad| open::refuse(&path, bad);
            let end = segment::replay(number, &bytes, |_| {}).map_err(refuse)?.end;
            match end {
                End::Sealed => open::check(number, &bytes, End::Sealed).map_err(refuse)?,
                End::Open(whole) if is_last => bytes.truncate(whole),
                End::Open(at) => return Err(refuse(segment::Bad::Damaged { at, why: open::UNSEALED })),
            }
            let kept = Kept { hash: blake3::hash(&bytes).to_hex().to_string(), bytes: bytes.len() as u64 };
            self.keep(&kept, &bytes)?;
            self.said.bytes += kept.bytes;
            let part = match footer_hash(&bytes).filter(|_| end == End::Sealed) {
                Some(footer) => Part::Sealed { kept, footer },
                None => Part::Open(kept),
            };
            self.now.parts.insert(key, part);
        }
        self.said.segments = count as usize;
        Ok(())
    }

    /// The hash of a sealed segment's footer and trailer, if the segment has that many bytes. The footer has the checksum
    /// of each value, so equal footers are equal segments.
    fn footer_of(&self, path: &Path, bytes: u64) -> io::Result<Option<String>> {
        let file = self.files.open_to_read(path)?;
        if self.files.length(&file)? != bytes {
            return Ok(None);
        }
        let Some(end) = bytes.checked_sub(TRAILER_LEN as u64) else { return Ok(None) };
        let mut trailer = [0; TRAILER_LEN];
        self.files.read(&file, &mut trailer, end)?;
        let Some(start) = segment::footer_start(&trailer).map(u64::from).filter(|start| *start <= end) else {
            return Ok(None);
        };
        let mut footer = vec![0; (bytes - start) as usize];
        self.files.read(&file, &mut footer, start)?;
        Ok(Some(blake3::hash(&footer).to_hex().to_string()))
    }

    fn other(&mut self, state: &Path, name: &str) -> Result<(), Error> {
        let path = state.join(name);
        let bytes = match read_all(self.files, &path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io("read", &path, &error)),
        };
        let kept = Kept { hash: blake3::hash(&bytes).to_hex().to_string(), bytes: bytes.len() as u64 };
        self.keep(&kept, &bytes)?;
        self.said.files += 1;
        self.said.bytes += kept.bytes;
        self.now.parts.insert(name.to_owned(), Part::File(kept));
        Ok(())
    }

    fn has(&self, kept: &Kept) -> bool {
        let length = || {
            self.files.open_to_read(&self.objects.join(&kept.hash)).and_then(|file| self.files.length(&file))
        };
        self.known.contains(&kept.hash) && length().is_ok_and(|length| length == kept.bytes)
    }

    /// Writes an object, unless it is there. It has its name once it is durable.
    fn keep(&mut self, kept: &Kept, bytes: &[u8]) -> Result<(), Error> {
        if self.has(kept) {
            return Ok(());
        }
        let (unnamed, path) = (self.objects.join(".new"), self.objects.join(&kept.hash));
        write_all(self.files, &unnamed, &[bytes])
            .and_then(|()| self.files.rename(&unnamed, &path))
            .map_err(|error| Error::io("write", &path, &error))?;
        self.known.insert(kept.hash.clone());
        self.said.bytes_copied += kept.bytes;
        Ok(())
    }

    /// Removes what no part needs any more. What cannot be removed is tried again the next time.
    fn forget_others(&self) {
        let needed: BTreeSet<&str> = self.now.parts.values().map(|part| part.kept().hash.as_str()).collect();
        for name in self.known.iter().filter(|name| !needed.contains(name.as_str())) {
            let _ = self.files.remove(&self.objects.join(name));
        }
    }
}

fn footer_hash(sealed: &[u8]) -> Option<String> {
    let trailer = sealed.last_chunk::<TRAILER_LEN>()?;
    let footer = sealed.get(segment::footer_start(trailer)? as usize..)?;
    Some(blake3::hash(footer).to_hex().to_string())
}
