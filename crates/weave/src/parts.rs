//! Uploads in parts. Parts are kept in pieces, so that they are put together without being read twice.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use protocol::{Id, Timestamp, Wallet};
use sha2::{Digest as _, Sha256};
use store::{Batch, Order};
use unit::{Error as Refusal, Kind, Result, UploadStage, UploadState, Uploads};

use crate::codec::{Reader, Writer};
use crate::core::{Core, aside, keys_all, keys_between};
use crate::keys::{PART, UPLOAD};
use crate::{EmbeddedWeave, Error, data};

/// Pieces, of at most 1 MiB each, that are read or written at once.
const PIECES: usize = 16;
/// Bytes of a reason that is kept with a refused upload.
const WHY_MAX: usize = 500;

/// What is kept of an upload.
struct Record {
    opened: Timestamp,
    /// When the last part came.
    touched: Timestamp,
    part_bytes: u64,
    bytes: u64,
    parts: u64,
    stage: UploadStage,
}

#[async_trait]
impl Uploads for EmbeddedWeave {
    async fn open_upload(&self, part_bytes: u64) -> Result<UploadState> {
        let core = &self.core;
        let _uploads = core.uploads.lock().await;
        let now = core.clock.now();
        let open = aside(core, move |core| sweep(core, now)).await?;
        let max = core.options.uploads_open_max;
        if open >= max {
            let what = format!("{max} uploads in parts are open, and no more are taken");
            let hint =
                format!("those to which nothing comes for {} ms make room", core.options.upload_idle_ms);
            return Err(Refusal::unavailable(what).with_hint(hint));
        }
        // A fresh key is as random as anything, and needs no source of randomness of our own.
        let mut name = Sha256::new_with_prefix(Wallet::generate_ed25519().address().0.0);
        name.update(now.0.to_be_bytes());
        let id = Id(name.finalize().into());
        let part_bytes = part_bytes.clamp(1, core.options.part_bytes_max);
        let stage = UploadStage::Open;
        let record = Record { opened: now, touched: now, part_bytes, bytes: 0, parts: 0, stage };
        let mut batch = Batch::new();
        batch.put(UPLOAD, id.as_bytes().to_vec(), record.write());
        core.store.append(batch).await.map_err(Error::from)?;
        Ok(record.state(core, id))
    }

    async fn upload_state(&self, upload: Id) -> Result<UploadState> {
        Ok(self.core.known_upload(upload)?.state(&self.core, upload))
    }

    async fn put_part(&self, upload: Id, offset: u64, part: Bytes) -> Result<()> {
        let core = &self.core;
        let options = &core.options;
        let size = part.len() as u64;
        if size == 0 {
            return Err(Refusal::invalid("a part has one byte at least"));
        }
        if size > options.part_bytes_max {
            let what = format!("a part has at most {} bytes, not {size}", options.part_bytes_max);
            return Err(Refusal::new(Kind::TooLarge, what));
        }
        let max = options.upload_bytes_max;
        let Some(end) = offset.checked_add(size).filter(|end| *end <= max) else {
            let what = format!("a part of {size} bytes at {offset} ends beyond the {max} that are taken");
            return Err(Refusal::new(Kind::TooLarge, what).with_hint("send the item in several items"));
        };
        let _uploads = core.uploads.lock().await;
        let mut record = core.known_upload(upload)?;
        if record.stage != UploadStage::Open {
            return Err(Refusal::invalid(format!("the upload {upload} has ended")));
        }
        if record.parts >= options.upload_parts_max {
            let what = format!("an upload has at most {} parts", options.upload_parts_max);
            return Err(Refusal::new(Kind::TooLarge, what).with_hint("send larger parts"));
        }
        record.touched = core.clock.now();
        record.parts += 1;
        record.bytes = record.bytes.max(end);
        let mut batch = Batch::new();
        let mut at = offset;
        for (index, piece) in data::pieces(&part).enumerate() {
            let next = at + piece.len() as u64;
            batch.put(PART, key(upload, at).to_vec(), piece);
            at = next;
            if index % PIECES == PIECES - 1 {
                // Batches become durable in order: the last one says that all before it are.
                drop(core.store.append(std::mem::take(&mut batch)));
            }
        }
        batch.put(UPLOAD, upload.as_bytes().to_vec(), record.write());
        Ok(core.store.append(batch).await.map_err(Error::from)?)
    }

    async fn assemble_upload(&self, upload: Id) -> Result<Bytes> {
        let record = self.core.known_upload(upload)?;
        let assembled = aside(&self.core, move |core| assemble(core, upload, record.bytes));
        assembled.await?.map_err(|at| {
            let what = format!("the parts of {upload} do not lie behind one another: see byte {at}");
            Refusal::invalid(what).with_hint("send the part that is missing, and finalize again")
        })
    }

    async fn end_upload(&self, upload: Id, stage: UploadStage) -> Result<()> {
        let core = &self.core;
        let _uploads = core.uploads.lock().await;
        let mut record = core.known_upload(upload)?;
        record.stage = stage;
        let mut batch = Batch::new();
        batch.put(UPLOAD, upload.as_bytes().to_vec(), record.write());
        core.store.append(batch).await.map_err(Error::from)?;
        Ok(aside(core, move |core| forget_parts(core, upload)).await?)
    }
}

/// Forgets uploads that are too old, and those that ended long ago if there are too many. If as many are open as may be,
/// one makes room to which nothing ever came, or nothing for long. How many are open.
fn sweep(core: &Core, now: Timestamp) -> Result<usize, Error> {
    let options = &core.options;
    let mut known = Vec::new();
    for (key, bytes) in
        core.store.scan(UPLOAD, keys_all(), Order::Ascending, options.uploads_known_max + 1)?
    {
        let id = Id::from_slice(&key).ok_or(Error::Damaged("an upload"))?;
        known.push((id, Record::read(bytes).ok_or(Error::Damaged("an upload"))?));
    }
    known.sort_by_key(|(_, record)| record.opened);
    let mut surplus = (known.len() + 1).saturating_sub(options.uploads_known_max);
    let mut open = Vec::new();
    for (id, record) in known {
        let is_open = record.stage == UploadStage::Open;
        let is_old = now.0.saturating_sub(record.opened.0) > options.upload_keep_ms;
        if !is_old && (is_open || surplus == 0) {
            if is_open {
                open.push((id, record));
            }
            continue;
        }
        surplus = surplus.saturating_sub(1);
        forget(core, id)?;
    }
    if open.len() < options.uploads_open_max {
        return Ok(open.len());
    }
    let idle = |record: &Record| now.0.saturating_sub(record.touched.0) > options.upload_idle_ms;
    let first = open.iter().filter(|(_, record)| record.parts == 0 || idle(record));
    match first.min_by_key(|(_, record)| (record.parts > 0, record.touched)) {
        Some((id, _)) => {
            forget(core, *id)?;
            Ok(open.len() - 1)
        }
        None => Ok(open.len()),
    }
}

fn forget(core: &Core, upload: Id) -> Result<(), Error> {
    forget_parts(core, upload)?;
    let mut batch = Batch::new();
    batch.delete(UPLOAD, upload.as_bytes().to_vec());
    Ok(core.store.append(batch).wait()?)
}

/// All parts behind one another; or the byte at which they do not lie so.
fn assemble(core: &Core, upload: Id, size: u64) -> Result<Result<Bytes, u64>, Error> {
    let mut whole = BytesMut::with_capacity(size as usize);
    let last = key(upload, u64::MAX);
    while (whole.len() as u64) < size {
        let at = whole.len() as u64;
        let page = core.store.scan(PART, keys_between(&key(upload, at), &last), Order::Ascending, PIECES)?;
        if page.is_empty() {
            return Ok(Err(at));
        }
        for (found, piece) in page {
            let at = whole.len() as u64;
            if found[..] != key(upload, at) {
                return Ok(Err(at));
            }
            whole.extend_from_slice(&piece);
        }
    }
    Ok(Ok(whole.freeze()))
}

fn forget_parts(core: &Core, upload: Id) -> Result<(), Error> {
    let (first, last) = (key(upload, 0), key(upload, u64::MAX));
    loop {
        let page = core.store.scan(PART, keys_between(&first, &last), Order::Ascending, PIECES)?;
        if page.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        page.into_iter().for_each(|(key, _)| {
            batch.delete(PART, key);
        });
        core.store.append(batch).wait()?;
    }
}

fn key(upload: Id, offset: u64) -> [u8; 40] {
    let mut key = [0; 40];
    key[..32].copy_from_slice(upload.as_bytes());
    key[32..].copy_from_slice(&offset.to_be_bytes());
    key
}

impl Core {
    fn known_upload(&self, id: Id) -> Result<Record> {
        let found = self.store.get(UPLOAD, id.as_bytes()).map_err(Error::from)?;
        let bytes = found.ok_or_else(|| {
            Refusal::not_found(format!("there is no upload {id}"))
                .with_hint("uploads are forgotten after a while: begin a new one")
        })?;
        Ok(Record::read(bytes).ok_or(Error::Damaged("an upload"))?)
    }
}

impl Record {
    fn state(&self, core: &Arc<Core>, id: Id) -> UploadState {
        UploadState {
            id,
            opened: self.opened,
            part_bytes: self.part_bytes,
            part_bytes_max: core.options.part_bytes_max,
            bytes: self.bytes,
            stage: self.stage.clone(),
        }
    }

    fn write(&self) -> Bytes {
        let writer = Writer::default().u64(self.opened.0).u64(self.touched.0);
        let writer = writer.u64(self.part_bytes).u64(self.bytes).u64(self.parts);
        match &self.stage {
            UploadStage::Open => writer.u8(0).finish(),
            UploadStage::Done(id) => writer.u8(1).raw(id.as_bytes()).finish(),
            UploadStage::Refused(why) => {
                let end = why.floor_char_boundary(why.len().min(WHY_MAX));
                writer.u8(2).raw(&why.as_bytes()[..end]).finish()
            }
        }
    }

    fn read(bytes: Bytes) -> Option<Record> {
        let mut reader = Reader::new(bytes);
        let (opened, touched) = (Timestamp(reader.u64()?), Timestamp(reader.u64()?));
        let (part_bytes, bytes, parts) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let stage = match reader.u8()? {
            0 => UploadStage::Open,
            1 => UploadStage::Done(Id(reader.array()?)),
            2 => UploadStage::Refused(String::from_utf8_lossy(&reader.rest()).into_owned()),
            _ => return None,
        };
        Some(Record { opened, touched, part_bytes, bytes, parts, stage })
    }
}
