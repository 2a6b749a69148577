//! What one process sends, for all who follow it.
//!
//! One task reads the record, once for everybody, and keeps the newest in a ring. A follower is a place. Whoever is
//! behind the ring reads the record at a pace of their own, a few at once; so a slow one costs the others nothing and
//! misses nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt as _};
use protocol::ProcessId;
use tokio::sync::{Notify, Semaphore, watch};
use unit::{Error, Filter, Followed, Follower, Place, Result, Said};

use crate::lock;
use crate::record::{Record, Turn};

/// Evaluations that are read at once.
pub(crate) const PAGE: usize = 32;
/// Messages that a follower is given at once.
const MESSAGES_MAX: usize = 64;
/// Milliseconds until the record is asked again after it failed.
const AGAIN_MS: u64 = 1000;

/// What a process sends, from when somebody began to follow it.
pub(crate) struct Feed {
    process: ProcessId,
    record: Arc<Record>,
    ring: Mutex<Ring>,
    kept_bytes_max: usize,
    /// Changes when there is something new, or nothing more.
    news: watch::Sender<()>,
    pub wake: Arc<Notify>,
    ended: OnceLock<String>,
}

struct Ring {
    turns: VecDeque<Arc<Turn>>,
    bytes: usize,
    /// The leaf after the newest.
    next: u64,
}

/// What a ring has for a place.
enum Look {
    Turns(Vec<Arc<Turn>>),
    /// It is older than the ring.
    Older,
    Nothing,
}

impl Feed {
    /// Begins to read at `next`; goes on as long as somebody holds it.
    pub fn open(
        process: ProcessId,
        record: Arc<Record>,
        next: u64,
        kept_bytes_max: usize,
        poll: Duration,
    ) -> Arc<Feed> {
        let feed = Arc::new(Feed {
            process,
            record,
            ring: Mutex::new(Ring { turns: VecDeque::new(), bytes: 0, next }),
            kept_bytes_max,
            news: watch::Sender::new(()),
            wake: Arc::default(),
            ended: OnceLock::new(),
        });
        tokio::spawn(pump(Arc::downgrade(&feed), Arc::clone(&feed.wake), poll));
        feed
    }

    /// There is nothing more, and why.
    pub fn end(&self, why: &str) {
        let _ = self.ended.set(why.to_owned());
        self.news.send_replace(());
        self.wake.notify_one();
    }

    fn push(&self, turns: Vec<Turn>) {
        {
            let mut ring = lock(&self.ring);
            for turn in turns {
                ring.next = turn.leaf + 1;
                ring.bytes += turn.bytes();
                ring.turns.push_back(Arc::new(turn));
            }
            while ring.bytes > self.kept_bytes_max {
                let Some(oldest) = ring.turns.pop_front() else { break };
                ring.bytes -= oldest.bytes();
            }
        }
        self.news.send_replace(());
    }

    fn look(&self, from: Place) -> Look {
        let ring = lock(&self.ring);
        if from.leaf >= ring.next {
            return Look::Nothing;
        }
        let oldest = ring.next - ring.turns.len() as u64;
        if from.leaf < oldest {
            return Look::Older;
        }
        let skip = (from.leaf - oldest) as usize;
        Look::Turns(ring.turns.iter().skip(skip).take(PAGE).cloned().collect())
    }
}

async fn pump(feed: Weak<Feed>, wake: Arc<Notify>, poll: Duration) {
    loop {
        let wait = {
            let Some(feed) = feed.upgrade() else { return };
            if feed.ended.get().is_some() {
                return;
            }
            let next = lock(&feed.ring).next;
            match feed.record.turns(feed.process, next, PAGE).await {
                Ok(turns) if turns.is_empty() => poll,
                Ok(turns) => {
                    feed.push(turns);
                    continue;
                }
                Err(error) => {
                    tracing::debug!(process = %feed.process, %error, "cannot read what a process sends; will try again");
                    poll.max(Duration::from_millis(AGAIN_MS))
                }
            }
        };
        let _ = tokio::time::timeout(wait, wake.notified()).await;
    }
}

/// Somebody who follows a feed.
pub(crate) struct FeedFollower {
    pub feed: Arc<Feed>,
    pub news: watch::Receiver<()>,
    pub readers: Arc<Semaphore>,
    /// A page of the record on its way. Whoever stops waiting for it and comes back waits for the same.
    pub reading: Option<BoxFuture<'static, Result<Vec<Turn>>>>,
    pub filter: Filter,
    pub next: Place,
    /// Where it resumed, if what it asked for is beyond the end.
    pub ahead: Option<Place>,
    /// Counted while it lasts.
    pub _counted: Option<Counted>,
}

/// One of a bounded number, until it is dropped.
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    /// One more, unless there are `max`.
    pub fn one(count: &Arc<AtomicUsize>, max: usize) -> Option<Counted> {
        let one = Counted(Arc::clone(count));
        (count.fetch_add(1, Ordering::Relaxed) < max).then_some(one)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Feed {
    /// What says that there is news.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}

/// Takes what is wanted of some evaluations, at most [`MESSAGES_MAX`], and moves the place behind it.
pub(crate) fn take<T: std::borrow::Borrow<Turn>>(
    turns: &[T],
    filter: &Filter,
    next: &mut Place,
    limit: usize,
) -> Vec<Arc<Said>> {
    let mut wanted = Vec::new();
    for turn in turns {
        let turn = turn.borrow();
        for said in &turn.said {
            let place = said.what.place();
            if place < *next || !filter.wants(&said.what) {
                continue;
            }
            if wanted.len() == limit {
                return wanted;
            }
            wanted.push(Arc::clone(said));
            *next = place.next();
        }
        *next = Place { leaf: turn.leaf + 1, index: 0 };
    }
    wanted
}

#[async_trait]
impl Follower for FeedFollower {
    async fn next(&mut self) -> Followed {
        if let Some(resumed) = self.ahead.take() {
            return Followed::Ahead { resumed };
        }
        loop {
            // Seen before the look: what comes after it changes this once more.
            self.news.borrow_and_update();
            let wanted = match self.feed.look(self.next) {
                Look::Turns(turns) => take(&turns, &self.filter, &mut self.next, MESSAGES_MAX),
                Look::Older => {
                    let reading = self.reading.get_or_insert_with(|| {
                        let (feed, readers, from) =
                            (Arc::clone(&self.feed), Arc::clone(&self.readers), self.next.leaf);
                        let read = async move {
                            let stops = |_| Error::unavailable("the node stops");
                            let _permit = readers.acquire().await.map_err(stops)?;
                            feed.record.turns(feed.process, from, PAGE).await
                        };
                        read.boxed()
                    });
                    let read = reading.await;
                    self.reading = None;
                    match read {
                        Ok(turns) => take(&turns, &self.filter, &mut self.next, MESSAGES_MAX),
                        Err(error) if error.kind.is_transient() => {
                            tokio::time::sleep(Duration::from_millis(AGAIN_MS)).await;
                            Vec::new()
                        }
                        Err(error) => return Followed::End(error.to_string()),
                    }
                }
                Look::Nothing => {
                    if let Some(why) = self.feed.ended.get() {
                        return Followed::End(why.clone());
                    }
                    // The sender is in `feed`, so this ends only with news.
                    let _ = self.news.changed().await;
                    continue;
                }
            };
            return if wanted.is_empty() { Followed::Nothing } else { Followed::Messages(wanted) };
        }
    }

    fn position(&self) -> Place {
        self.next
    }
}
