//! How a line leaves checkpoints: on its way, while evaluation goes on, and at its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::ModuleId;

use crate::checkpoint::{self, Link, Position, Said};
use crate::evaluate::{Live, Work};
use crate::line::{Line, Shared, lock};

/// What the next checkpoint of a machine may follow.
///
/// A machine says what changed since it was asked last. So a checkpoint of changes follows the one that was taken last,
/// and no other; and only if that is on the disk by then.
#[derive(Default)]
pub(crate) struct Series {
    last: Option<Link>,
    /// How often something was taken, or another machine started.
    takes: u64,
}

impl Series {
    /// A machine starts from that checkpoint, or from elsewhere.
    pub(crate) fn starts(&mut self, link: Option<Link>) {
        self.takes += 1;
        self.last = link;
    }

    /// Something is taken; with its number.
    fn take(&mut self) -> (Option<Link>, u64) {
        self.takes += 1;
        (self.last.take(), self.takes)
    }

    /// What was taken is on the disk.
    fn wrote(&mut self, take: u64, link: Option<Link>) {
        if take == self.takes {
            self.last = link;
        }
    }
}

impl Line {
    /// Takes the state now and writes it while evaluation goes on.
    pub(crate) fn save_aside(self: &Arc<Self>, shared: &Arc<Shared>, live: &mut Live) {
        let (last, take) = lock(&self.series).take();
        let taken = checkpoint::take(&mut *live.machine, last);
        let (Some(position), Ok(taken)) = (live.position, taken) else {
            self.saving.store(false, Ordering::Release);
            return;
        };
        live.unsaved = Work::default();
        shared.saves.fetch_add(1, Ordering::Relaxed);
        let (line, shared, module) = (Arc::clone(self), Arc::clone(shared), live.subject.module);
        tokio::runtime::Handle::current().spawn(async move {
            match unit::blocking(move || taken.read()).await {
                Ok(Ok(said)) => line.write(&shared, module, position, said, take).await,
                Ok(Err(refusal)) => {
                    tracing::warn!(process = %line.process, %refusal, "no checkpoint could be read");
                }
                Err(_) => {}
            }
            line.saving.store(false, Ordering::Release);
            shared.saves.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Writes a checkpoint of the machine where it stands, and waits for that.
    pub(crate) async fn save(self: &Arc<Self>, shared: &Arc<Shared>, live: Option<Live>) -> Option<Live> {
        let mut live = live?;
        let _permit = shared.savers.acquire().await.ok()?;
        let publishes = self.publishes_at_the_end(shared, &live);
        let (last, take) = lock(&self.series).take();
        let taken = unit::blocking(move || {
            let taken = checkpoint::take(&mut *live.machine, last).and_then(checkpoint::Taken::read);
            let whole = match &taken {
                Ok(Said::Whole(memory)) if publishes => Some(memory.clone()),
                Ok(Said::Changes(..)) if publishes => live.machine.memory().ok(),
                _ => None,
            };
            (live, taken, whole)
        });
        let Ok((mut live, taken, whole)) = taken.await else { return None };
        match (live.position, taken) {
            (Some(position), Ok(taken)) => {
                self.write(shared, live.subject.module, position, taken, take).await;
                if let Some(memory) = whole {
                    self.publish_last(shared, &mut live, memory).await;
                }
            }
            (_, Err(refusal)) => {
                tracing::warn!(process = %self.process, %refusal, "no checkpoint could be taken")
            }
            (None, _) => {}
        }
        if self.publishes_at_the_end(shared, &live) {
            // It could not be.
            live.unpublished = Work::default();
        }
        live.unsaved = Work::default();
        Some(live)
    }

    async fn write(&self, shared: &Shared, module: ModuleId, position: Position, said: Said, take: u64) {
        // What decides about duplicates after the checkpoint must not be lost when the checkpoint is kept.
        if shared.journal.durable().await.is_err() {
            return;
        }
        let (checkpoints, process) = (shared.checkpoints.clone(), self.process);
        let written = unit::blocking(move || checkpoints.save(process, module, &position, &said)).await;
        match written {
            Ok(Ok(link)) => lock(&self.series).wrote(take, link),
            Ok(Err(error)) => tracing::warn!(%process, %error, "a checkpoint could not be written"),
            Err(_) => {}
        }
    }
}
