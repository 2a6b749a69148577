//! A unit's end: it takes nothing new, finishes what is under way within a bound, and leaves the rest on the disk.

use std::time::Duration;

use tokio::sync::watch;

/// How far a unit's life has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    /// Finishes what is under way.
    Stopping,
    Over,
}

/// Tells everyone of the unit when to end.
pub(crate) struct Life {
    stage: watch::Sender<Stage>,
    /// How many are at work.
    busy: watch::Sender<usize>,
}

impl Life {
    pub(crate) fn new() -> Life {
        Life { stage: watch::Sender::new(Stage::Running), busy: watch::Sender::new(0) }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stage.borrow() != Stage::Running
    }

    /// Resolves when nothing new is to be begun.
    pub(crate) async fn stopping(&self) {
        self.reached(Stage::Stopping).await;
    }

    /// Resolves when everything is to be dropped.
    pub(crate) async fn over(&self) {
        self.reached(Stage::Over).await;
    }

    /// Waits, unless the unit stops first: then false.
    pub(crate) async fn wait(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stopping() => false,
            () = tokio::time::sleep(time) => true,
        }
    }

    /// Somebody is at work until this is dropped.
    pub(crate) fn busy(&self) -> Busy<'_> {
        self.busy.send_modify(|n| *n += 1);
        Busy(self)
    }

    /// Begins nothing new and waits until nobody is at work.
    pub(crate) async fn stop(&self, longest: Duration) {
        self.go_to(Stage::Stopping);
        let mut busy = self.busy.subscribe();
        let idle = busy.wait_for(|n| *n == 0);
        if tokio::time::timeout(longest, idle).await.is_err() {
            tracing::warn!("some of the messenger's work did not end in time; it goes on after the restart");
        }
    }

    /// Drops everything that is at work.
    pub(crate) fn end(&self) {
        self.go_to(Stage::Over);
    }

    fn go_to(&self, stage: Stage) {
        self.stage.send_modify(|now| *now = stage.max(*now));
    }

    async fn reached(&self, stage: Stage) {
        let mut changes = self.stage.subscribe();
        // The sender is `self`, so this ends only with a value.
        let _ = changes.wait_for(|now| *now >= stage).await;
    }
}

/// See [`Life::busy`].
pub(crate) struct Busy<'a>(&'a Life);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.send_modify(|n| *n -= 1);
    }
}
