//! The weave's height, as the scheduler knows it. Nobody waits for a weave to get a slot, except a new process while no
//! height is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::Height;
use tracing::warn;
use unit::Weave;

use crate::Error;

/// Asks the weave for its height now and then, and knows it in between.
pub(crate) struct Heights {
    weave: Arc<dyn Weave>,
    known: AtomicU64,
    timeout_ms: u64,
}

/// No weave has as many blocks.
const UNKNOWN: u64 = u64::MAX;

impl Heights {
    pub(crate) fn new(weave: Arc<dyn Weave>, timeout_ms: u64) -> Heights {
        Heights { weave, known: AtomicU64::new(UNKNOWN), timeout_ms }
    }

    /// The height that was last heard of. Waits for the weave if it was never heard of.
    pub(crate) async fn get(&self) -> Result<Height, Error> {
        match self.known() {
            None => self.refresh().await,
            Some(height) => Ok(height),
        }
    }

    /// The height that was last heard of, if any was since the start.
    pub(crate) fn known(&self) -> Option<Height> {
        match self.known.load(Ordering::Acquire) {
            UNKNOWN => None,
            height => Some(Height(height)),
        }
    }

    pub(crate) async fn refresh(&self) -> Result<Height, Error> {
        let tip = ask(self.timeout_ms, self.weave.tip()).await?;
        self.known.store(tip.height.0, Ordering::Release);
        Ok(tip.height)
    }

    /// Keeps the height fresh, for ever.
    pub(crate) async fn run(self: Arc<Heights>, interval: Duration) {
        let mut reached = true;
        loop {
            let answer = self.refresh().await;
            // Once, not once a second: a weave may be away for a day.
            if let (Err(error), true) = (&answer, reached) {
                warn!(%error, "cannot ask the weave for its height; assignments say the last one known");
            }
            reached = answer.is_ok();
            tokio::time::sleep(interval).await;
        }
    }
}

/// A question to the weave, with the bound that every question has.
pub(crate) async fn ask<T>(ms: u64, question: impl Future<Output = unit::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(Duration::from_millis(ms), question).await {
        Ok(answer) => answer.map_err(Error::Weave),
        Err(_) => Err(Error::WeaveTimeout { ms }),
    }
}
