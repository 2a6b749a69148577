//! What applications are told of what processes send: streams that resume, and webhooks.
//!
//! Both read the durable record, not what happens to be in memory: a place names an evaluation in the history of a
//! process and a message in its outbox (`record`). Whoever follows a process shares one reading of it (`feed`); whoever
//! is slow or was away reads on their own, a few at once.
//!
//! A webhook is a row on the disk: what it wants, and the place up to which everything was taken or given up
//! (`hooks`). A message is posted until the receiver takes it, or it becomes a dead letter; only then does the place
//! move (`deliver`). So a crash posts some again, under the same `webhook-id`, and loses none.

mod deliver;
mod feed;
mod hooks;
mod options;
mod record;
mod sign;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use protocol::ProcessId;
use store::Store;
use tokio::sync::Semaphore;
use unit::{
    Clock, Compute, Courier, DeadDelivery, Error, Events, Filter, Follower, Happened, Heard, Hook, HookWish,
    Kind, Novelty, Page, Place, Result, Said, Scheduler, Start, Subscriptions,
};

pub use options::Options;

use feed::{Counted, Feed, FeedFollower, PAGE, take};
use hooks::Hooks;
use record::Record;

/// Evaluations that one request looks through.
const SCAN_MAX: usize = 1024;

/// What is needed.
#[derive(Clone)]
pub struct Ports {
    /// Keeps webhooks.
    pub store: Arc<dyn Store>,
    /// Has the record.
    pub compute: Arc<dyn Compute>,
    /// Knows the processes.
    pub scheduler: Arc<dyn Scheduler>,
    /// The network's time: when webhooks end.
    pub clock: Arc<dyn Clock>,
    /// The world's time: what a receiver compares with its own.
    pub wall: Arc<dyn Clock>,
    /// Tells that something was evaluated.
    pub events: Arc<Events>,
    /// Whether the compute unit tells there.
    pub is_told: bool,
    /// Posts.
    pub courier: Arc<dyn Courier>,
    /// 32 bytes that nobody can guess, new ones each time.
    pub fresh: Arc<dyn Fn() -> [u8; 32] + Send + Sync>,
}

/// Streams and webhooks of a node.
pub struct Apps {
    reads: Arc<Reads>,
    hooks: Arc<Hooks>,
}

/// How much there is to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Streams that are open.
    pub streams: usize,
    /// Processes that somebody follows.
    pub followed: usize,
    /// Webhooks that deliver.
    pub hooks_active: usize,
    /// Webhooks that are paused, because too much failed.
    pub hooks_paused: usize,
    /// Messages that receivers took, of all webhooks that are there.
    pub delivered: u64,
    /// Messages that webhooks gave up.
    pub given_up: u64,
}

/// What reads, for streams and webhooks.
pub(crate) struct Reads {
    record: Arc<Record>,
    feeds: Mutex<BTreeMap<ProcessId, Weak<Feed>>>,
    readers: Arc<Semaphore>,
    streams: Arc<AtomicUsize>,
    options: Options,
    poll: Duration,
}

impl Apps {
    /// Opens on a store, and goes on delivering what an earlier run left.
    pub fn open(ports: Ports, options: Options) -> Result<Arc<Apps>> {
        let record = Record {
            compute: Arc::clone(&ports.compute),
            scheduler: Arc::clone(&ports.scheduler),
            data_bytes_max: options.data_bytes_max,
            tails: Mutex::default(),
        };
        let is_told = ports.is_told && ports.events.are_kept();
        // What is told is seldom missed, and then found by the next look.
        let poll = options.poll_ms.max(1).saturating_mul(if is_told { 10 } else { 1 });
        let reads = Arc::new(Reads {
            record: Arc::new(record),
            feeds: Mutex::default(),
            readers: Arc::new(Semaphore::new(options.readers_max.max(1))),
            streams: Arc::default(),
            options: options.clone(),
            poll: Duration::from_millis(poll),
        });
        tokio::spawn(wake(Arc::downgrade(&reads), Arc::clone(&ports.events)));
        let hooks = Hooks::open(ports, options, Arc::clone(&reads))?;
        Ok(Arc::new(Apps { reads, hooks }))
    }

    /// Ends streams and stops delivering; what is under way is posted again later.
    pub fn stop(&self, why: &str) {
        self.hooks.stop();
        for feed in self.reads.followed() {
            feed.end(why);
        }
    }

    /// How much there is to do.
    pub fn gauges(&self) -> Gauges {
        let streams = self.reads.streams.load(std::sync::atomic::Ordering::Relaxed);
        Gauges { streams, followed: self.reads.followed().len(), ..self.hooks.gauges() }
    }
}

/// Wakes the feeds of what was evaluated.
async fn wake(reads: Weak<Reads>, events: Arc<Events>) {
    let Ok(mut listener) = events.listen(None) else { return };
    loop {
        let heard = listener.next().await;
        let Some(reads) = reads.upgrade() else { return };
        match heard {
            Heard::Events(events) => {
                for event in events {
                    let is_evaluated =
                        matches!(event.what, Happened::Evaluated { .. } | Happened::Ticked { .. });
                    if let (true, Some(process)) = (is_evaluated, event.process) {
                        let feed = lock(&reads.feeds).get(&process).and_then(Weak::upgrade);
                        feed.inspect(|feed| feed.wake.notify_one());
                    }
                }
            }
            Heard::Missed(_) => reads.followed().iter().for_each(|feed| feed.wake.notify_one()),
            Heard::End(why) => {
                reads.followed().iter().for_each(|feed| feed.end(&why));
                return;
            }
        }
    }
}

impl Reads {
    fn followed(&self) -> Vec<Arc<Feed>> {
        lock(&self.feeds).values().filter_map(Weak::upgrade).collect()
    }

    /// Follows a process. `counted` is held as long as it lasts.
    pub(crate) async fn follow(
        &self,
        process: ProcessId,
        from: Start,
        filter: Filter,
        counted: Option<Counted>,
    ) -> Result<FeedFollower> {
        filter.check()?;
        let (next, is_beyond) = self.record.place(process, from).await?;
        let end = match from {
            Start::Now => next.leaf,
            _ => self.record.end(process).await?,
        };
        let feed = {
            let mut feeds = lock(&self.feeds);
            match feeds.get(&process).and_then(Weak::upgrade) {
                Some(feed) => feed,
                None => {
                    feeds.retain(|_, feed| feed.strong_count() > 0);
                    let (record, kept) = (Arc::clone(&self.record), self.options.kept_bytes_max);
                    let feed = Feed::open(process, record, end, kept, self.poll);
                    feeds.insert(process, Arc::downgrade(&feed));
                    feed
                }
            }
        };
        Ok(FeedFollower {
            news: feed.news(),
            feed,
            readers: Arc::clone(&self.readers),
            reading: None,
            filter,
            next,
            ahead: is_beyond.then_some(next),
            _counted: counted,
        })
    }
}

#[async_trait]
impl Subscriptions for Apps {
    async fn outgoing(
        &self,
        process: ProcessId,
        from: Start,
        filter: Filter,
        limit: usize,
    ) -> Result<(Page<Arc<Said>>, Place)> {
        filter.check()?;
        let record = &self.reads.record;
        let (mut next, _) = record.place(process, from).await?;
        let _permit = self.reads.readers.acquire().await.map_err(|_| Error::unavailable("the node stops"))?;
        let mut items = Vec::new();
        let mut scanned = 0;
        while items.len() < limit && scanned < SCAN_MAX {
            let turns = record.turns(process, next.leaf, PAGE).await?;
            if turns.is_empty() {
                return Ok((Page { items, has_next: false }, next));
            }
            scanned += turns.len();
            items.extend(take(&turns, &filter, &mut next, limit - items.len()));
        }
        let has_next = record.end(process).await? > next.leaf;
        Ok((Page { items, has_next }, next))
    }

    async fn follow(&self, process: ProcessId, from: Start, filter: Filter) -> Result<Box<dyn Follower>> {
        let max = self.reads.options.streams_max;
        let counted = Counted::one(&self.reads.streams, max).ok_or_else(|| {
            let busy = Kind::Busy { retry_after: Duration::from_secs(10) };
            Error::new(busy, format!("{max} streams are open at this node, and that is the most"))
                .with_hint("read pages instead (GET …/messages), or follow at another node")
        })?;
        Ok(Box::new(self.reads.follow(process, from, filter, Some(counted)).await?))
    }

    async fn create_hook(&self, wish: HookWish, key: Option<String>) -> Result<(Hook, Novelty)> {
        self.hooks.create(wish, key).await
    }

    async fn hooks(&self, after: Option<String>, limit: usize) -> Result<Page<Hook>> {
        Ok(self.hooks.list(after, limit))
    }

    async fn hook(&self, id: &str) -> Result<Hook> {
        self.hooks.get(id)
    }

    async fn remove_hook(&self, id: &str) -> Result<()> {
        self.hooks.remove(id).await
    }

    async fn replay_hook(&self, id: &str, from: Start) -> Result<Hook> {
        self.hooks.replay(id, from).await
    }

    async fn dead_deliveries(
        &self,
        id: &str,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page<DeadDelivery>> {
        self.hooks.dead(id, after, limit)
    }

    async fn retry_delivery(&self, id: &str, place: Place) -> Result<()> {
        self.hooks.retry(id, place).await
    }
}

/// A panic elsewhere must not hide behind a poisoned lock here; nothing is left half done under these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the store could not do.
fn internal(error: store::Error) -> Error {
    Error::internal(&error).with_code(unit::Code::STORE).with_hint_if(error.hint())
}
