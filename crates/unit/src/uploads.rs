//! The contract of uploads in parts: an item that is larger than a client wants to send at once.

use async_trait::async_trait;
use bytes::Bytes;
use protocol::{Id, Timestamp};

use crate::Result;

/// Takes items in part by part, in any order and more than one at a time.
///
/// What was acknowledged survives a crash, until the upload ends or is as old as the operator keeps it.
#[async_trait]
pub trait Uploads: Send + Sync {
    /// Begins an upload in parts of so many bytes, or as near to it as is allowed.
    async fn open_upload(&self, part_bytes: u64) -> Result<UploadState>;

    /// An upload that is not forgotten yet.
    async fn upload_state(&self, upload: Id) -> Result<UploadState>;

    /// Keeps a part: bytes that begin at `offset`. The same part again takes the place of the first.
    async fn put_part(&self, upload: Id, offset: u64, part: Bytes) -> Result<()>;

    /// All parts, one behind the other. `Invalid` if there are gaps.
    async fn assemble_upload(&self, upload: Id) -> Result<Bytes>;

    /// Ends an upload, and forgets its parts.
    async fn end_upload(&self, upload: Id, stage: UploadStage) -> Result<()>;
}

/// What is known about an upload in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadState {
    /// Names it.
    pub id: Id,
    /// When it began.
    pub opened: Timestamp,
    /// Bytes of each part, but for the last.
    pub part_bytes: u64,
    /// The most bytes that a part may have.
    pub part_bytes_max: u64,
    /// Where the last part so far ends.
    pub bytes: u64,
    /// How far it is.
    pub stage: UploadStage,
}

/// How far an upload in parts is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadStage {
    /// Parts may come.
    Open,
    /// It was this item, which is kept.
    Done(Id),
    /// It was no item, or none that is accepted; and why.
    Refused(String),
}
