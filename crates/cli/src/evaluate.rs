//! An Eval message, from text to outcome: what `pirn eval` and `pirn repl` do with a script.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::{DataItem, Draft, Id, Json, Outcome, ProcessId, Slot, Tag, Wallet, tag};
use tokio::time::Instant;
use unit::{Code, Compute as _, DryRun, Messenger as _, Scheduler as _};

use crate::commands::{anchor, ao_tags};
use crate::error::{Context as _, Result};
use crate::network::Clients;
use crate::render::Cost;

/// Milliseconds that the scheduler has to say which slot it was. It is asked for the sake of one number.
const SLOT_MS: u64 = 3_000;

/// A script and where it is from.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// Lua, or whatever the process takes.
    pub text: &'a str,
    /// The file that errors shall name. Pirn's own library does; others ignore it.
    pub file: Option<&'a str>,
}

/// What came of a script, and what it cost.
pub struct Evaluation {
    /// What came of it.
    pub outcome: Arc<Outcome>,
    /// What it cost.
    pub cost: Cost,
}

fn tags(script: Script<'_>) -> Vec<Tag> {
    let mut tags = vec![Tag::new(tag::ACTION, "Eval")];
    tags.extend(script.file.map(|file| Tag::new("File", file)));
    tags
}

/// The signed message.
pub fn sign(wallet: &Wallet, process: ProcessId, script: Script<'_>) -> Result<DataItem> {
    let draft = Draft {
        target: Some(process.0),
        anchor: Some(anchor()),
        tags: ao_tags(&tags(script), "Message"),
        data: Bytes::copy_from_slice(script.text.as_bytes()),
    };
    DataItem::sign(wallet, draft).context(Code::WALLET, "could not sign")
}

/// Sends a signed message and waits for its outcome.
pub async fn carry(clients: &Clients, process: ProcessId, item: DataItem) -> Result<Evaluation> {
    let began = Instant::now();
    let message: Id = clients.mu.send(item).await?.id;
    let outcome = clients.cu.result(process, message).await?;
    let took = began.elapsed();
    // Who does not know the scheduler's URL has everything but the number.
    let slot = tokio::time::timeout(Duration::from_millis(SLOT_MS), clients.su.find(Some(process), message));
    let slot: Option<Slot> = slot.await.ok().and_then(|found| Some(found.ok()?.assignment.slot));
    Ok(Evaluation { outcome, cost: Cost { slot, took } })
}

/// What would come of a script if `owner` sent it. Nothing is signed, sent or saved.
pub async fn dry(
    clients: &Clients,
    process: ProcessId,
    owner: &str,
    script: Script<'_>,
) -> Result<Evaluation> {
    let message = DryRun {
        id: Some("1234".to_owned()),
        signature: None,
        data: Some(Json::string(script.text)),
        owner: owner.to_owned(),
        target: Some(process.to_string()),
        anchor: Some(Some("0".to_owned())),
        forwarded_by: None,
        tags: ao_tags(&tags(script), "Message"),
        timestamp: None,
        block_height: None,
    };
    let began = Instant::now();
    let outcome = Arc::new(clients.cu.dry_run(process, message, None).await?);
    Ok(Evaluation { outcome, cost: Cost { slot: None, took: began.elapsed() } })
}
