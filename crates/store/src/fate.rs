//! What became of a log: whoever wants to know is told when it fails or is closed.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_channel::oneshot;

use crate::Error;

/// The end of a log, once it has come.
#[derive(Debug, Default)]
pub(crate) struct Fate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    ended: Option<Result<(), Error>>,
    waiting: Vec<oneshot::Sender<Error>>,
}

impl Fate {
    /// It ends like that. Only the first end counts.
    pub fn end(&self, how: Result<(), Error>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.ended.is_some() {
            return;
        }
        for waiting in state.waiting.drain(..) {
            if let Err(error) = &how {
                // Whoever waited may have gone.
                let _ = waiting.send(error.clone());
            }
        }
        state.ended = Some(how);
    }

    /// Waits for it.
    pub fn wait(&self) -> Failed {
        let (tell, told) = oneshot::channel();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.ended {
            None => state.waiting.push(tell),
            Some(Ok(())) => {}
            Some(Err(error)) => {
                let _ = tell.send(error.clone());
            }
        }
        Failed(told)
    }
}

/// Resolves with the reason when a log fails, and with nothing when it is closed before that.
#[derive(Debug)]
pub struct Failed(oneshot::Receiver<Error>);

impl Future for Failed {
    type Output = Option<Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(Result::ok)
    }
}
