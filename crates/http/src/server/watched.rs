//! What a connection is doing and since when, so that one that does nothing can be told from one that is slow.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Options;

/// What a connection is doing.
pub(super) struct Activity(Mutex<Doing>);

struct Doing {
    /// Requests that are read or answered.
    answering: usize,
    /// When the last of them was done with.
    idle_since: Instant,
    /// When the first byte of the next request came in.
    header_since: Option<Instant>,
    /// Since when the other end takes nothing more.
    blocked_since: Option<Instant>,
}

/// Why a connection has had its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nobody asked anything.
    Idle,
    /// A request began and its head does not end.
    Header,
    /// An answer is not read.
    Write,
}

impl Overdue {
    /// For people.
    pub fn why(self) -> &'static str {
        match self {
            Overdue::Idle => "nothing was asked within http.idle_ms",
            Overdue::Header => "the head of a request did not end within http.header_ms",
            Overdue::Write => "nothing of an answer was read within http.write_pause_ms",
        }
    }
}

impl Activity {
    /// Of a fresh connection.
    pub fn new() -> Activity {
        let doing =
            Doing { answering: 0, idle_since: Instant::now(), header_since: None, blocked_since: None };
        Activity(Mutex::new(doing))
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its time is over, and why.
    pub fn overdue(&self, options: &Options, now: Instant) -> Option<Overdue> {
        let deadlines = self.doing().deadlines(options);
        deadlines.into_iter().flatten().find(|(at, _)| *at <= now).map(|(_, overdue)| overdue)
    }

    /// When to look again: not later than anything can be overdue that has not even begun.
    pub fn next_look(&self, options: &Options, now: Instant) -> Instant {
        let soonest = options.header_ms.min(options.write_pause_ms).min(options.idle_ms).max(1);
        let soonest = now + Duration::from_millis(soonest);
        let deadlines = self.doing().deadlines(options);
        deadlines.into_iter().flatten().map(|(at, _)| at).fold(soonest, Instant::min)
    }
}

impl Doing {
    fn deadlines(&self, options: &Options) -> [Option<(Instant, Overdue)>; 2] {
        let after = |since: Instant, ms| since + Duration::from_millis(ms);
        let asked = match (self.answering, self.header_since) {
            (0, Some(since)) => Some((after(since, options.header_ms), Overdue::Header)),
            (0, None) => Some((after(self.idle_since, options.idle_ms), Overdue::Idle)),
            _ => None,
        };
        let blocked = self.blocked_since.map(|since| (after(since, options.write_pause_ms), Overdue::Write));
        [blocked, asked]
    }
}

/// A request that is read or answered, until this is gone.
pub(super) struct Answering(Arc<Activity>);

impl Answering {
    /// From the end of the request's head on.
    pub fn begin(activity: &Arc<Activity>) -> Answering {
        let mut doing = activity.doing();
        doing.answering += 1;
        doing.header_since = None;
        drop(doing);
        Answering(Arc::clone(activity))
    }

    /// The answer, which ends this when all of it is on its way.
    pub fn until_sent(self, response: Response) -> Response {
        response.map(|body| Body::new(Sent { body, _answering: self }))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut doing = self.0.doing();
        doing.answering -= 1;
        doing.idle_since = Instant::now();
        // What was read of a body says nothing about the next request.
        doing.header_since = None;
    }
}

/// A body that knows when it is gone.
struct Sent {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection whose activity is noted.
pub(super) struct Watched<C> {
    connection: C,
    activity: Arc<Activity>,
}

impl<C> Watched<C> {
    /// Notes what `connection` does in `activity`.
    pub fn new(connection: C, activity: Arc<Activity>) -> Watched<C> {
        Watched { connection, activity }
    }

    fn note_write<T>(&self, written: &Poll<Result<T>>) {
        let mut doing = self.activity.doing();
        match written {
            Poll::Pending => {
                doing.blocked_since.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => doing.blocked_since = None,
        }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Watched<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.connection).poll_read(cx, buf);
        if buf.filled().len() > before {
            let mut doing = self.activity.doing();
            if doing.answering == 0 {
                doing.header_since.get_or_insert_with(Instant::now);
            }
        }
        read
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Watched<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write(cx, bytes);
        self.note_write(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write_vectored(cx, bytes);
        self.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}
