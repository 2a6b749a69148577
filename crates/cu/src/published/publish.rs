//! Publishing: the memory of a process goes onto the weave. Nothing of it holds an evaluation up: pages are read
//! beside it, as those of checkpoints on the disk are.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::{Checkpoint, DataItem, Draft, Id, ProcessId, Tags, tag};
use runtime::Memory;
use tokio::sync::OwnedSemaphorePermit;
use unit::{Code, Error, Kind, PublishedCheckpoint, Query, Result};

use super::gzip;
use crate::checkpoint::Position;
use crate::evaluate::{Live, Work};
use crate::line::{Line, Shared};
use crate::subject::{Subject, refused};

/// A memory that may be published, and what it is the memory of.
pub(crate) struct Taken {
    pub(crate) subject: Arc<Subject>,
    pub(crate) position: Position,
    /// Which cron ticked last, if one did after the entry.
    pub(crate) cron: Option<String>,
    pub(crate) memory: Memory,
}

impl Taken {
    /// What its tags will say, but for the epoch and the digest.
    fn claim(&self, unit: &str) -> Checkpoint {
        let Position { slot, assignment, chain, last: (timestamp, block_height), .. } = self.position;
        Checkpoint {
            process: self.subject.process,
            module: self.subject.module,
            slot,
            timestamp,
            block_height,
            sha256: [0; 32],
            unit: unit.to_owned(),
            ordinate: slot.to_string(),
            assignment: Some(assignment),
            hash_chain: Some(protocol::HashChain(chain.0)),
            epoch: None,
            cron: self.cron.clone(),
        }
    }
}

impl Shared {
    /// Waits until a memory may be published.
    async fn publishing(&self) -> Result<OwnedSemaphorePermit> {
        let permits = Arc::clone(&self.published.permits);
        permits.acquire_owned().await.map_err(|_| crate::evaluate::stopping())
    }

    /// Publishes the memory of a process after its newest entry, because somebody asked for that.
    pub(crate) async fn publish_now(self: &Arc<Self>, process: ProcessId) -> Result<PublishedCheckpoint> {
        if !self.options.checkpoints.on_demand {
            let hint = "its operator allows it with cu.checkpoints.on_demand = true in pirn.toml";
            return Err(none(process, "this unit publishes none on demand").with_hint(hint));
        }
        let latest = self.patiently(|| self.ports.scheduler.latest(process)).await?;
        // Evaluated first, however long that takes: meanwhile others may publish.
        drop(self.fork(process, latest.assignment.slot).await?);
        let permit = self.publishing().await?;
        let mut forked = self.fork(process, latest.assignment.slot).await?;
        let memory = unit::blocking(move || {
            let memory = forked.machine.memory();
            (forked, memory)
        });
        let (forked, memory) = memory.await?;
        let memory = memory.map_err(|refusal| refused(&refusal))?;
        let position = forked.position.ok_or_else(|| none(process, "it has evaluated nothing yet"))?;
        let (subject, cron) = (forked.subject, forked.cron);
        self.publish(Taken { subject, position, cron, memory }, permit).await
    }

    /// Compresses, signs and uploads a memory, unless this unit has published the same before.
    pub(crate) async fn publish(
        &self,
        taken: Taken,
        permit: OwnedSemaphorePermit,
    ) -> Result<PublishedCheckpoint> {
        let process = taken.subject.process;
        let published = self.upload(taken).await;
        drop(permit);
        match &published {
            Ok(published) if published.is_new => {
                self.published.uploaded.fetch_add(1, Ordering::Relaxed);
                let PublishedCheckpoint { id, slot, .. } = published;
                tracing::info!(%process, %slot, checkpoint = %id, "a checkpoint is on the weave");
            }
            Ok(_) => {}
            Err(error) => {
                self.published.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%process, %error, "no checkpoint was published");
            }
        }
        published
    }

    async fn upload(&self, taken: Taken) -> Result<PublishedCheckpoint> {
        let process = taken.subject.process;
        let options = &self.options.checkpoints;
        let claim = taken.claim(&options.unit_identifier);
        if taken.position.ticks.is_some() != taken.cron.is_some() {
            let why =
                "a cron ticked last, before this unit was started again, and which one it does not know";
            return Err(none(process, why).with_hint("ask again after the next message"));
        }
        if taken.memory.size_bytes == 0 {
            return Err(none(process, "its module cannot start, so it has no memory"));
        }
        // The same question that the incumbent asks.
        let mut same = Tags::default();
        same.push(tag::PROCESS, process);
        same.push(tag::NONCE, claim.slot);
        same.push(tag::TIMESTAMP, claim.timestamp);
        if let Some(cron) = &claim.cron {
            same.push(tag::CRON_INTERVAL, cron);
        }
        same.push(tag::TYPE, "Checkpoint");
        same.push(tag::DATA_PROTOCOL, tag::AO);
        let same = Query::tagged(same.iter().map(|tag| (tag.name.as_str(), tag.value.as_str())));
        let owners = vec![self.ports.wallet.address()];
        let same = Query { owners, limit: 1, ..same };
        let found = self.patiently(|| self.ports.weave.query(same.clone())).await?;
        let answer = |id: Id, sha256, is_new| PublishedCheckpoint {
            id,
            slot: claim.slot,
            timestamp: claim.timestamp,
            block_height: claim.block_height,
            cron: claim.cron.clone(),
            size_bytes: taken.memory.size_bytes,
            sha256,
            is_new,
        };
        if let Some(found) = found.items.iter().find_map(|found| {
            let said = Checkpoint::try_from(&*found.item).ok()?;
            // Without a cron the question is also answered by ticks of the same millisecond.
            (said.cron == claim.cron).then_some((found.item.id, said.sha256))
        }) {
            return Ok(answer(found.0, found.1, false));
        }
        // A position does not have it; the schedule does.
        let assignment = self.listed(process, claim.slot).await?.assignment;
        let epoch = (Some(assignment.id()) == claim.assignment).then_some(assignment.epoch);
        let (wallet, memory, max) = (self.ports.wallet.clone(), taken.memory.clone(), options.bytes_max);
        let draft = claim.clone();
        let signed = unit::blocking(move || {
            let too_large = || {
                let what = format!("the memory of process {process} is more than {max} bytes, compressed");
                Error::new(Kind::TooLarge, what).with_hint("cu.checkpoints.bytes_max says how much it may be")
            };
            let (data, sha256) = gzip::squeeze(&memory, max).ok_or_else(too_large)?;
            drop(memory);
            let tags = Checkpoint { sha256, epoch, ..draft }.tags();
            let draft = Draft { tags, data, ..Draft::default() };
            let item = DataItem::sign(&wallet, draft).map_err(|error| Error::internal(&error))?;
            Ok::<_, Error>((item, sha256))
        });
        let (item, sha256) = signed.await??;
        self.patiently(|| self.ports.weave.upload(item.clone())).await?;
        Ok(answer(item.id, sha256, true))
    }
}

impl Line {
    /// Whether the machine's memory is to be published because the unit stops.
    pub(crate) fn publishes_at_the_end(&self, shared: &Shared, live: &Live) -> bool {
        let options = &shared.options.checkpoints;
        self.past.is_none()
            && options.publish
            && options.on_stop
            && shared.stopping.load(Ordering::Relaxed)
            && live.unpublished != Work::default()
    }

    /// Between two messages: has the memory published, if that is due and somebody may.
    pub(crate) fn publish_aside(self: &Arc<Self>, shared: &Arc<Shared>, live: &mut Live) {
        let options = &shared.options.checkpoints;
        if !options.publish || options.gas == 0 || live.unpublished.gas < options.gas || self.past.is_some() {
            return;
        }
        let (now, last) = (shared.ports.clock.now().0, self.published_ms.load(Ordering::Relaxed));
        if last != 0 && now < last.saturating_add(options.pause_ms) {
            return;
        }
        // It waits for no other: this is asked again after the next message.
        let Ok(permit) = Arc::clone(&shared.published.permits).try_acquire_owned() else { return };
        let (Some(position), Ok(whole)) = (live.position, live.machine.memory_later()) else { return };
        let (subject, cron) = (Arc::clone(&live.subject), live.cron.clone());
        live.unpublished = Work::default();
        self.published_ms.store(now, Ordering::Relaxed);
        shared.saves.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(shared);
        tokio::runtime::Handle::current().spawn(async move {
            match unit::blocking(move || whole.read()).await {
                Ok(Ok(memory)) => {
                    let _ = shared.publish(Taken { subject, position, cron, memory }, permit).await;
                }
                Ok(Err(refusal)) => {
                    tracing::warn!(process = %subject.process, %refusal, "no checkpoint could be read");
                }
                Err(_) => {}
            }
            shared.saves.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Publishes a memory before its machine goes.
    pub(crate) async fn publish_last(&self, shared: &Shared, live: &mut Live, memory: Memory) {
        live.unpublished = Work::default();
        let (Some(position), Ok(permit)) = (live.position, shared.publishing().await) else { return };
        let (subject, cron) = (Arc::clone(&live.subject), live.cron.clone());
        let _ = shared.publish(Taken { subject, position, cron, memory }, permit).await;
    }
}

fn none(process: ProcessId, why: &str) -> Error {
    Error::refused(format!("no checkpoint of process {process} can be published: {why}"))
        .with_code(Code::CHECKPOINT)
}
