//! WeaveDrive: what a process may read of the weave, and reading it (`protocol/04b-wasm-host.md` section 4b.8).
//!
//! Every open is answered once for an evaluation and written down before its outcome is, so that whoever evaluates the
//! same again here is answered the same: which paths were not available, how long the data is, the text of headers. Data
//! itself is what its id says; it is checked by the weave that is asked, and read again when it is needed again.
//!
//! That something is not available is said only by a weave that has reached the block of the message: one that is behind
//! is a refusal, and so is whatever cannot be had now. A refusal is no outcome; the message is evaluated again when
//! somebody asks.
//!
//! # Deviations
//!
//! - What is admitted and not there is a refusal, where the reference fails the evaluation: it may be there for others.
//! - `/tx` and `/block` show what was in a block by the message's height, and transactions of the base layer only; for
//!   anything else there is no such file.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use protocol::{Address, Height, Id, ProcessId, Tags, tag};
use runtime::{Drive, Opened, Refusal, Unopened};
use serde::Deserialize;
use store::{Batch, Space};
use tokio::runtime::Handle;
use unit::{Error, Kind, Piece, Query, Result, Weave};

use crate::journal::Journal;
use crate::line::lock;

/// Process, BLAKE3 of the message as the guest sees it, path: an [answer](encode).
const OPENS: Space = Space("cu.drive");
/// The one value of `Extension` that opens the weave.
const EXTENSION: &str = "WeaveDrive";
/// Modules of this format have the extension without asking; only `/data` asks for the tag.
const ALWAYS: &str = "wasm64-unknown-emscripten-draft_2024_02_15";
const AVAILABILITY: &str = "Availability-Type";
const ATTESTOR: &str = "Attestor";
const ON_BOOT: &str = "On-Boot";

/// Bytes of checked data that are kept in memory for all processes together.
const CACHE_BYTES_MAX: usize = 64 << 20;
/// Bytes of a header: what is larger is refused.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// Bytes of a path; what is longer names nothing.
const PATH_BYTES_MAX: usize = 128;
/// Attestations that are looked at for one id: the first of them that is as it was signed counts.
const ATTESTATIONS_MAX: usize = 16;
/// How long an evaluation waits for one piece of the weave.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// What a process says about what it may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Whether it or its module has the extension.
    pub(crate) is_extended: bool,
    pub(crate) mode: Mode,
    /// Whose word counts.
    pub(crate) attestors: Vec<Address>,
    /// What it boots from needs nobody's word.
    pub(crate) on_boot: Option<Id>,
}

/// `Availability-Type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// What is attested as a message.
    Assignments,
    /// That, and what is said to be available.
    Individual,
    /// Nobody knows yet what that is.
    Library,
    /// Some other word.
    Unknown(String),
}

impl Rules {
    /// The rules of a process; `None` if it has no WeaveDrive.
    pub(crate) fn of(own: &Tags, module: &Tags, scheduler: Address) -> Option<Rules> {
        let is_extended =
            [own, module].iter().any(|tags| tags.all(tag::EXTENSION).any(|name| name == EXTENSION));
        if !is_extended && module.first(tag::MODULE_FORMAT) != Some(ALWAYS) {
            return None;
        }
        let mode = own.first(AVAILABILITY).or_else(|| module.first(AVAILABILITY));
        let mode = match mode.unwrap_or("Assignments") {
            "Assignments" => Mode::Assignments,
            "Individual" => Mode::Individual,
            "Library" => Mode::Library,
            other => Mode::Unknown(other.chars().take(64).collect()),
        };
        let attestor = own.all(ATTESTOR).last().and_then(|address| address.trim().parse().ok());
        let attestors = [scheduler].into_iter().chain(attestor).collect();
        let on_boot = own.first(ON_BOOT).and_then(|id| id.parse().ok());
        Some(Rules { is_extended, mode, attestors, on_boot })
    }
}

/// What was read of the weave lately, for all processes. The least recently used goes first.
#[derive(Default)]
pub(crate) struct Cache(Mutex<Cached>);

#[derive(Default)]
struct Cached {
    /// By whose it is and where it begins: when it was used last, and itself.
    pieces: BTreeMap<(Id, u64), (u64, Piece)>,
    uses: u64,
    bytes: usize,
}

impl Cache {
    fn get(&self, id: Id, at: u64) -> Option<Piece> {
        let mut cached = lock(&self.0);
        cached.uses += 1;
        let uses = cached.uses;
        let (_, (used, piece)) = cached.pieces.range_mut((id, 0)..=(id, at)).next_back()?;
        if at >= piece.start + piece.bytes.len() as u64 {
            return None;
        }
        *used = uses;
        Some(piece.clone())
    }

    fn put(&self, id: Id, piece: &Piece) {
        if piece.bytes.len() > CACHE_BYTES_MAX {
            return;
        }
        let mut cached = lock(&self.0);
        cached.uses += 1;
        let entry = (cached.uses, piece.clone());
        cached.bytes += piece.bytes.len();
        if let Some((_, old)) = cached.pieces.insert((id, piece.start), entry) {
            cached.bytes -= old.bytes.len();
        }
        while cached.bytes > CACHE_BYTES_MAX {
            let oldest = cached.pieces.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key);
            let Some(key) = oldest else { return };
            if let Some((_, old)) = cached.pieces.remove(&key) {
                cached.bytes -= old.bytes.len();
            }
        }
    }
}

/// Reads the weave for one process.
pub(crate) struct Reader {
    pub(crate) process: ProcessId,
    pub(crate) rules: Rules,
    pub(crate) weave: Arc<dyn Weave>,
    pub(crate) journal: Journal,
    pub(crate) cache: Arc<Cache>,
    /// How often a weave that cannot be reached is asked again, and how long after the first time, ms; then twice as
    /// long each time.
    pub(crate) retries: (u32, u64),
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("process", &self.process)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

/// What of a message decides about what it may read.
#[derive(Deserialize)]
struct Seen {
    #[serde(rename = "Block-Height", default)]
    block_height: Option<u64>,
    #[serde(rename = "Read-Only", default)]
    read_only: bool,
}

impl Drive for Reader {
    fn open(&self, message: &str, path: &str) -> std::result::Result<Opened, Unopened> {
        let refused = |error: Error| Unopened::Refused(refusal(path, &error));
        let Some(path) = Path::read(path) else { return Ok(Opened::NotAvailable) };
        let seen: Seen = serde_json::from_str(message).map_err(|error| refused(Error::internal(&error)))?;
        let key = self.key(message, &path);
        if let Some(known) = self.journal.get(OPENS, &key).map_err(refused)? {
            return decode(&path, &known)
                .ok_or_else(|| refused(Error::new(Kind::Internal, "what was read before is not readable")));
        }
        let height = Height(seen.block_height.unwrap_or_default());
        let opened = self.look(path.clone(), height)?;
        // Of a dry run nothing is remembered.
        if !seen.read_only {
            let mut batch = Batch::default();
            batch.put(OPENS, key, encode(&opened));
            self.journal.append(batch).map_err(refused)?;
        }
        Ok(opened)
    }

    fn read(&self, id: Id, at: u64, max: usize) -> std::result::Result<Bytes, Refusal> {
        let piece = match self.cache.get(id, at) {
            Some(piece) => piece,
            None => self.piece(id, at).map_err(|error| refusal(&format!("/data/{id}"), &error))?,
        };
        let from = at.saturating_sub(piece.start) as usize;
        let to = from.saturating_add(max).min(piece.bytes.len());
        Ok(piece.bytes.slice(from.min(to)..to))
    }
}

impl Reader {
    fn key(&self, message: &str, path: &Path) -> Vec<u8> {
        let hash = blake3::hash(message.as_bytes());
        [&self.process.0.0[..], hash.as_bytes(), path.to_string().as_bytes()].concat()
    }

    /// What is there, as the weave says it.
    fn look(&self, path: Path, height: Height) -> std::result::Result<Opened, Unopened> {
        let refused = |error: Error| Unopened::Refused(refusal(&path.to_string(), &error));
        match path {
            Path::Data(id) => {
                if !self.admits(id, height)? {
                    return Ok(Opened::NotAvailable);
                }
                let piece = match self.cache.get(id, 0) {
                    Some(piece) => piece,
                    None => self.piece(id, 0).map_err(refused)?,
                };
                Ok(Opened::Data { id, size: piece.total })
            }
            Path::Transaction(id) => {
                let weave = Arc::clone(&self.weave);
                let query = Query { ids: vec![id], block_max: Some(height), limit: 1, ..Query::default() };
                let found = self.found(query, height).map_err(refused)?;
                if !found.is_some_and(|(_, base_layer)| base_layer) {
                    return Ok(Opened::NotAvailable);
                }
                let text = self.wait(move || {
                    let weave = Arc::clone(&weave);
                    async move { weave.transaction_json(id).await }
                });
                self.text(text).map_err(refused)
            }
            Path::Block(at) if at > height => Ok(Opened::NotAvailable),
            Path::Block(at) => {
                let weave = Arc::clone(&self.weave);
                let text = self.wait(move || {
                    let weave = Arc::clone(&weave);
                    async move { weave.block_json(at).await }
                });
                self.text(text).map_err(refused)
            }
        }
    }

    fn text(&self, text: Result<Bytes>) -> Result<Opened> {
        let text = text?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::refused(format!("it has more than {TEXT_BYTES_MAX} bytes")));
        }
        Ok(Opened::Text(text))
    }

    /// Whether the process may read that data, for a message at that height.
    fn admits(&self, id: Id, height: Height) -> std::result::Result<bool, Unopened> {
        let refused = |error: Error| Unopened::Refused(refusal(&format!("/data/{id}"), &error));
        let Rules { is_extended, mode, attestors, on_boot } = &self.rules;
        if *on_boot == Some(id) {
            return Ok(true);
        }
        if !is_extended {
            return Ok(false);
        }
        if let Mode::Unknown(word) = mode {
            return Err(Unopened::Failed(format!("WeaveDrive: the Availability-Type {word:?} is not known")));
        }
        let text = id.to_string();
        let said = |tags: [(&str, &str); 3]| {
            let query = Query::tagged(tags);
            let query = Query { owners: attestors.clone(), block_max: Some(height), ..query };
            self.found(query, height).map(|found| found.is_some()).map_err(refused)
        };
        if said([("Type", "Attestation"), ("Message", &text), ("Data-Protocol", "ao")])? {
            return Ok(true);
        }
        match mode {
            Mode::Individual => said([("Type", "Available"), ("ID", &text), ("Data-Protocol", "WeaveDrive")]),
            Mode::Library => {
                Err(Unopened::Failed("WeaveDrive: the Availability-Type Library is not supported".to_owned()))
            }
            _ => Ok(false),
        }
    }

    /// The first that matches and is as it was signed: its id, and whether it is of the base layer. That there is none
    /// only a weave can say that has reached `height`.
    fn found(&self, query: Query, height: Height) -> Result<Option<(Id, bool)>> {
        let weave = Arc::clone(&self.weave);
        let query = Query { limit: ATTESTATIONS_MAX, ..query };
        self.wait(move || {
            let (weave, query) = (Arc::clone(&weave), query.clone());
            async move {
                let tip = weave.tip().await?;
                for found in weave.query(query.clone()).await?.items {
                    let is_in_time = found.block.is_some_and(|block| block.height <= height);
                    if !is_in_time || !query.matches(&found.item) {
                        continue;
                    }
                    // With their data items are checked. What was asked for by its id is read, and checked, later.
                    let id = found.item.id;
                    let is_signed = query.ids.contains(&id) || {
                        let whole = weave.get(id).await?;
                        query.matches(&whole.item)
                    };
                    if is_signed {
                        return Ok(Some((id, found.base_layer)));
                    }
                }
                if tip.height < height {
                    let what = format!("the weave is at height {}, the message at {height}", tip.height);
                    return Err(Error::unavailable(what));
                }
                Ok(None)
            }
        })
    }

    fn piece(&self, id: Id, at: u64) -> Result<Piece> {
        let weave = Arc::clone(&self.weave);
        let piece = self.wait(move || {
            let weave = Arc::clone(&weave);
            async move { weave.piece(id, at).await }
        })?;
        let end = piece.start.checked_add(piece.bytes.len() as u64);
        let has_it = (piece.start..end.unwrap_or(0)).contains(&at) || at >= piece.total;
        if !has_it || end.is_none_or(|end| end > piece.total) {
            return Err(Error::unavailable(format!("the weave answered with another part than byte {at}")));
        }
        self.cache.put(id, &piece);
        Ok(piece)
    }

    /// Waits, on this thread, for what the weave answers; asks again if it cannot be reached.
    ///
    /// The guest's stack is small: what is asked runs elsewhere.
    fn wait<T: Send + 'static, F: Future<Output = Result<T>> + Send + 'static>(
        &self,
        ask: impl Fn() -> F + Send + 'static,
    ) -> Result<T> {
        if unit::blocks_here() {
            return Err(Error::unavailable("nothing can be waited for on this thread"));
        }
        let handle = Handle::try_current().map_err(|error| Error::internal(&error))?;
        let (retries, after_ms) = self.retries;
        let (tell, told) = mpsc::channel();
        let asked = handle.spawn(async move {
            let mut pause = Duration::from_millis(after_ms);
            for _ in 0..retries {
                match ask().await {
                    Err(error) if error.kind.is_transient() => tokio::time::sleep(pause).await,
                    answer => {
                        let _ = tell.send(answer);
                        return;
                    }
                }
                pause *= 2;
            }
            let _ = tell.send(ask().await);
        });
        told.recv_timeout(WAIT_MAX).unwrap_or_else(|_| {
            asked.abort();
            Err(Error::unavailable(format!("the weave did not answer within {} s", WAIT_MAX.as_secs())))
        })
    }
}

fn refusal(path: &str, error: &Error) -> Refusal {
    Refusal::Weave { what: format!("{path}: {error}") }
}

/// A path that means something.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Path {
    Data(Id),
    Transaction(Id),
    Block(Height),
}

impl Path {
    /// What follows a second name is passed over, as in the reference.
    fn read(path: &str) -> Option<Path> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        let mut parts = path.strip_prefix('/')?.split('/');
        match (parts.next()?, parts.next()?) {
            ("data", id) => Some(Path::Data(id.parse().ok()?)),
            ("tx", id) => Some(Path::Transaction(id.parse().ok()?)),
            ("block", height) => Some(Path::Block(Height(height.parse().ok()?))),
            _ => None,
        }
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Path::Data(id) => write!(f, "/data/{id}"),
            Path::Transaction(id) => write!(f, "/tx/{id}"),
            Path::Block(height) => write!(f, "/block/{height}"),
        }
    }
}

/// An answer as it is kept: a kind, and the size or the text.
fn encode(opened: &Opened) -> Bytes {
    match opened {
        Opened::NotAvailable => Bytes::from_static(&[0]),
        Opened::Data { size, .. } => [&[1][..], &size.to_le_bytes()].concat().into(),
        Opened::Text(text) => [&[2][..], text].concat().into(),
    }
}

fn decode(path: &Path, bytes: &Bytes) -> Option<Opened> {
    match (bytes.first()?, path) {
        (0, _) if bytes.len() == 1 => Some(Opened::NotAvailable),
        (1, Path::Data(id)) => {
            Some(Opened::Data { id: *id, size: u64::from_le_bytes(bytes[1..].try_into().ok()?) })
        }
        (2, _) => Some(Opened::Text(bytes.slice(1..))),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
